"""A task's own Python functions, run as in their file; what they print or fail at may quote a document, and is not told."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from primum.errors import PrimumError
from primum.experiment.task_files import imported

# What comes with the package's extra of that name, as tasks of lm-eval import it.
_EXTRA = "lm-eval"
_BROUGHT = ("lm_eval", "evaluate", "sklearn", "sacrebleu", "rouge_score")


def call(key: str, code: Mapping[str, Any], *arguments: Any, row: str = "") -> Any:
    """The answer of a task's function (``primum.experiment.benchmarks.Function`` as a mapping).

    What it draws at random it draws from seed 0, each time: the same items are scored in every run. PrimumError, naming the
    row, the key and the function, when it fails, or imports what is not installed.
    """
    name = code["function"]
    where = f"{row}: {key}: the task's {name}" if row else f"{key}: the task's {name}"
    try:
        with _silent(), _seeded(code):
            return _function(name, code["source"], tuple(sorted(code.get("files", {}).items())))(*arguments)
    except ModuleNotFoundError:
        raise PrimumError(f"{where} imports {_lacking(code['source'])}") from None
    except (Exception, SystemExit) as error:
        raise PrimumError(f"{where} fails ({type(error).__name__}): correct it") from None


def _lacking(source: str) -> str:
    """The first package that the source imports and that is not installed, and what to do."""
    package = next((name for name in sorted(imported(source)) if find_spec(name) is None), None)
    if package is None:
        return "a module that an installed package does not have: install the version that it was written for"
    remedy = f"pip install 'primum[{_EXTRA}]'" if package in _BROUGHT else "install it"
    return f"{package}, which is not installed: {remedy}"


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """What is printed goes nowhere: it may quote a document, and nobody here reads it."""
    before = sys.stdout, sys.stderr
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        sys.stdout = sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


@contextlib.contextmanager
def _seeded(code: Mapping[str, Any]) -> Iterator[None]:
    """Generators that everybody shares begin at seed 0 (lm-eval's) where the source names any, and go on as before."""
    if "random" not in code["source"]:
        yield
        return
    import numpy as np

    before, before_numpy = random.getstate(), np.random.get_state()
    random.seed(0)
    np.random.seed(0)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)


def _function(name: str, source: str, files: tuple[tuple[str, str], ...]) -> Callable[..., Any]:
    module, _, function = name.rpartition(".")
    found: Callable[..., Any] = getattr(_module(module, source, files), function)
    return found


@cache
def _module(name: str, source: str, files: tuple[tuple[str, str], ...]) -> ModuleType:
    """The module, with ``__file__`` in a folder of its own that holds the files it reads."""
    # Two tasks may have a utils.py each; under a name of its own, dataclasses and pickles find it.
    unique = f"primum_task_{hashlib.sha256(repr((name, source, files)).encode()).hexdigest()[:16]}"
    space = ModuleType(unique)
    if "__file__" in source:
        folder = TemporaryDirectory(prefix="primum-task-")
        space.__dict__["primum_folder"] = folder  # which lives as long as the module does
        root = Path(folder.name).resolve()
        home = root / "a" / "b"  # files may lie two folders above it
        for place, text in files:
            path = (home / place).resolve()
            if not path.is_relative_to(root):
                raise PrimumError(f"{name}: reads a file too far from its own")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        home.mkdir(parents=True, exist_ok=True)
        space.__file__ = str(home / f"{name.rpartition('.')[2]}.py")
    sys.modules[unique] = space
    try:
        exec(compile(source, f"{name}.py", "exec"), space.__dict__)  # noqa: S102 - the user's own file, part of the spec
    except BaseException:
        del sys.modules[unique]
        raise
    return space
