"""Rule by rule: what a module says is left out of the digest of the code, and what it does is not.

Each case is a module before and after a change; ``seen`` says whether the digest of the stage that runs it must differ.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import primum
from primum.artifact.code import code_digest, code_digests, imported_modules, module_digests, read_file
from primum.artifact.job import Job
from primum.artifact.speech import SPEAKING
from primum.dag.dag import STAGES

SOURCE = Path(primum.__file__).parents[1]
HEAD = """from __future__ import annotations
import logging
import sys
import warnings
from primum.artifact.job import Job
from primum.errors import PrimumError
from primum.progress import Progress, hush_transformers
_log = logging.getLogger(__name__)
"""
RUN = "def run(job: Job, progress: Progress, rows, n):\n    "


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A package with the real modules for errors and progress."""
    for name in ("__init__.py", "errors.py", "progress.py"):
        (tmp_path / "primum").mkdir(exist_ok=True)
        shutil.copyfile(SOURCE / "primum" / name, tmp_path / "primum" / name)
    (tmp_path / "primum/artifact").mkdir()
    (tmp_path / "primum/artifact/__init__.py").write_text("")
    (tmp_path / "primum/artifact/job.py").write_text("class Job: ...\n")
    return tmp_path


def digest(root: Path, text: str) -> str:
    (root / "primum/stage.py").write_text(HEAD + text)
    return code_digest("primum.stage", root)


RAISE = [
    # Another word, another value in it, all of it.
    ('if n: raise PrimumError("a")', 'if n: raise PrimumError("b")', False),
    ('if n: raise PrimumError("a")', 'if n: raise PrimumError(f"{rows}: {len(rows):,} {n + 1} {job.name[:3]}")', False),
    ('if n: raise PrimumError("a")', 'if n > 1: raise PrimumError("a")', True),
    ('if n: raise PrimumError("a")', 'if n: raise ValueError("a")', True),
    ('if n: raise ValueError("a")', 'if n: raise ValueError("b")', True),
    ('if n: raise PrimumError("a")', 'if n: raise PrimumError("a") from None', True),
    ('if n: raise PrimumError("a")', "if n: pass", True),
    ('if n: raise PrimumError("a")', 'if n: return PrimumError("a")', True),
    ('return PrimumError("a")', 'return PrimumError("b")', True),
]
EFFECTS = [
    (f'if n: raise PrimumError(f"{{{one}}} a")', f'if n: raise PrimumError(f"{{{other}}} a")', True)
    for one, other in [
        ("n", "(n := 2)"),
        ("n", "next(rows)"),
        ("rows.pop()", "rows.pop(0)"),
        ("n", "rows[n]"),
        ("n", "n in rows"),
        ("n", "[*rows]"),
        ("n", "list(rows)"),
        ("n", "', '.join(rows)"),
        ("n", "[each for each in rows]"),
        ("n", "(yield)"),
        ("n", "n and rows.pop()"),
        ("n and rows.pop()", "job and rows.pop()"),
        ("n", "job.count()"),
    ]
]
PROGRESS = [
    ('progress.say("a"); return n', 'progress.say(f"b {n}"); return n', False),
    ('progress.say("a"); return n', "return n", False),
    ('if n: progress.say("a")', 'if n: progress.update("b", n, 2)', False),
    ('if n: progress.say("a")', 'if not n: progress.say("a")', True),
    ('if n: progress.say("a")', 'if next(rows): progress.say("a")', True),
    ('job.progress.update("a", n, n)', 'job.progress.update("b", n, 2 * n, unit="c")', False),
    ('job.progress.update("a", n, n)', "job.progress.update(next(rows), n, n)", True),
    ("hush_transformers(); return n", "return n", False),
    # A Progress that may be something else.
    ('rows.update("a")', 'rows.update("b")', True),
    ('rows.progress.update("a")', 'rows.progress.update("b")', True),
    ('progress = rows; progress.update("a")', 'progress = rows; progress.update("b")', True),
    ('job = rows; job.progress.update("a")', 'job = rows; job.progress.update("b")', True),
    ('job.progress = rows; job.progress.update("a")', 'job.progress = rows; job.progress.update("b")', True),
    ('return progress.say("a")', 'return progress.say("b")', True),
    ('def inner(progress): progress.update("a")', 'def inner(progress): progress.update("b")', True),
    ('def inner(): progress.say("a")', 'def inner(): progress.say("b")', False),
    ('progress.rate("a")', 'progress.rate("b")', True),
]
LOGS = [
    ('logging.info("a %s", n)', 'logging.info("b %s %s", n, job.name)', False),
    ('_log.warning("a")', '_log.warning("b")', False),
    ('if n: _log.warning("a")', 'if job: _log.warning("a")', True),
    ('_log.warning("a %s", n)', '_log.warning("a %s", next(rows))', True),
    ('rows.warning("a")', 'rows.warning("b")', True),
    ("_log.setLevel(1)", "_log.setLevel(2)", True),
    ('warnings.warn("a", stacklevel=2)', 'warnings.warn("b", stacklevel=2)', False),
    ('warnings.warn("a", UserWarning)', 'warnings.warn("a", FutureWarning)', True),
    ('warnings.warn("a")', "warnings.warn(next(rows))", True),
    ('print("a", file=sys.stderr)', 'print(f"b {n}", n, file=sys.stderr, flush=True)', False),
    ('print("a", file=sys.stderr)', "print(rows.pop(), file=sys.stderr)", True),
    ('print("a", file=rows)', 'print("b", file=rows)', True),
    ('print("a")', 'print("b")', True),
]
ASSERTIONS = [
    ('assert n, "a"', 'assert n, f"b {rows}"', False),
    ('assert n, "a"', 'assert not n, "a"', True),
    ('assert n, "a"', 'assert n, rows.pop()', True),
    ('import pydantic.types\n    from pydantic import Field\n    assert n, "a"',
     'import pydantic.types\n    from pydantic import Field\n    assert n, "b"', True),
]  # fmt: skip
GUARDED = [
    # Words that fail would now end in the handler.
    ('try: raise PrimumError("a")\n    except KeyError: return 1',
     'try: raise PrimumError("b")\n    except KeyError: return 1', False),
    ('try: progress.say("a")\n    except AttributeError: return 1',
     'try: progress.say(f"{rows.name}")\n    except AttributeError: return 1', True),
    ('with job: progress.say("a")', 'with job: progress.say(f"{rows.name}")', True),
    ('with job: progress.say("a")', 'with job: progress.say("b")', False),
    ('try: n += 1\n    finally: progress.say("a")', 'try: n += 1\n    finally: progress.say(f"{rows.name}")', False),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "seen"), RAISE + EFFECTS + PROGRESS + LOGS + ASSERTIONS + GUARDED)
def test_a_statement_of_a_function(root: Path, before: str, after: str, seen: bool) -> None:
    assert (digest(root, RUN + before) != digest(root, RUN + after)) == seen


WHOLE = [
    # An attribute that is made a Progress object, and one that may be another.
    ("class W:\n    def __init__(self, progress: Progress): self._p = progress\n    def f(self): self._p.say('a')",
     "class W:\n    def __init__(self, progress: Progress): self._p = progress\n    def f(self): self._p.say('b')", False),
    ("class W:\n    def __init__(self, progress): self._p = progress\n    def f(self): self._p.say('a')",
     "class W:\n    def __init__(self, progress): self._p = progress\n    def f(self): self._p.say('b')", True),
    # Annotations of functions and variables; of class bodies and where somebody looks.
    ("def f(a: int, *, b: str = 'x') -> int: return a", "def f(a: float, *, b: object = 'x'): return a", False),
    ("def f(a: int, *, b: str = 'x') -> int: return a", "def f(a: int, *, b: str = 'y') -> int: return a", True),
    ("def f(a: int, *, b: str = 'x') -> int: return a", "def f(a: int, b: str = 'x') -> int: return a", True),
    ("def f(): a: int = 1; return a", "def f(): a = 1; return a", False),
    ("a: int = 1", "a: float = 1", False),
    ("a: int = 1", "a: int = 2", True),
    ("from typing import Any\ndef f(a: Any): ...", "from collections.abc import Sequence\ndef f(a: Sequence): ...", False),
    ("from json import loads\nf = loads", "from json import dumps\nf = dumps", True),
    ("from dataclasses import dataclass\n@dataclass\nclass A:\n    a: int",
     "from dataclasses import dataclass\n@dataclass\nclass A:\n    a: float", True),
    ("class A:\n    a: int", "class A:\n    a: float", True),
    ("@rows.decorated\ndef f(a: int): ...", "@rows.decorated\ndef f(a: float): ...", True),
    ("@property\ndef f(a: int): ...", "@property\ndef f(a: float): ...", False),
    ("import inspect\ndef f(a: int): ...\ng = inspect.signature(f)",
     "import inspect\ndef f(a: float): ...\ng = inspect.signature(f)", True),
    ("import inspect\ndef f(a: int): ...\ng = inspect.signature(f).parameters.keys()",
     "import inspect\ndef f(a: float): ...\ng = inspect.signature(f).parameters.keys()", False),
    ("def f(a: int): ...\ng = f.__annotations__", "def f(a: float): ...\ng = f.__annotations__", True),
    # What stands in the place of what is left out.
    ("def f(): pass", "def f(): ...", True),
    ("def f(**a): return {**a}", "def f(**a): return {None: a}", True),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "seen"), WHOLE)
def test_a_module(root: Path, before: str, after: str, seen: bool) -> None:
    assert (digest(root, before) != digest(root, after)) == seen


def test_annotations_that_are_evaluated_count(root: Path) -> None:
    texts = [f"def f(a: {kind}): return a\n" for kind in ("int", "float")]
    seen = set()
    for text in texts:
        (root / "primum/stage.py").write_text(text)
        seen.add(code_digest("primum.stage", root))
    assert len(seen) == 2


# What catches -> whether it looks at what an error says.
CATCHING = {
    "try: f()\n    except PrimumError as e: return str(e)": True,
    "try: f()\n    except Exception as e: rows.append(f'{e}')": True,
    "try: f()\n    except (KeyError, PrimumError) as e: rows[0] = e": True,
    "try: f()\n    except rows.Error as e: return e.args": True,
    "try: f()\n    except BaseException as e: yield e": True,
    "try: f()\n    except PrimumError as e: text = str(e)\n    return text": True,
    "try: f()\n    except PrimumError as e:\n        def g(): return e": True,
    "try: f()\n    except PrimumError as e: g = lambda: e": True,
    "try: f()\n    except PrimumError as e: rows.write(e)": True,
    "try: f()\n    except PrimumError as e:\n        if 'x' in str(e): return 1": True,
    "try: f()\n    except PrimumError as e: raise ValueError(str(e))": True,
    "try: f()\n    except PrimumError as e: raise PrimumError(rows.reason(e))": True,
    "try: f()\n    except PrimumError as e: progress.say(f'{rows.reason(e)}')": True,
    "try: f()\n    except ExceptionGroup as e: return [str(x) for x in e.exceptions]": True,
    "import traceback": True,
    "from tenacity import retry_if_exception\n    retry_if_exception(lambda e: 'x' in str(e))": True,
    "from tenacity import retry_if_exception\n    def h(e): return 'x' in str(e)\n    retry_if_exception(h)": True,
    "def h(e: Exception): return 'x' in str(e)": True,
    "from tenacity import retry_if_exception\n    def h(e: Exception): return isinstance(e, OSError)\n"
    "    retry_if_exception(h)": False,
    "return sys.exc_info()": True,
    "return rows.exception()": True,
    "reason = rows.exception(); return str(reason)": True,
    "warnings.catch_warnings(record=True)": True,
    "try: f()\n    except PrimumError: return None": False,
    "try: f()\n    except PrimumError as e: raise": False,
    "try: f()\n    except PrimumError as e: raise e from None": False,
    "try: f()\n    except PrimumError as e: raise PrimumError(f'{n}: {e}') from e": False,
    "try: f()\n    except PrimumError as e: progress.say(f'error: {e}')": False,
    "try: f()\n    except Exception as e: return type(e).__name__": False,
    "try: f()\n    except rows.Error as e: return e.status_code": False,
    "try: f()\n    except (OSError, ValueError) as e: return str(e)": False,
    "try: f()\n    except ExceptionGroup as e:\n        own = [x for x in e.exceptions if isinstance(x, PrimumError)]\n"
    "        if own: raise own[0] from None\n        raise": False,
    "asked = rows.exception() if n else None\n    if isinstance(asked, OSError): return asked.wait": False,
}


@pytest.mark.parametrize(("catching", "looks"), CATCHING.items())
def test_what_an_error_says_counts_where_somebody_looks(root: Path, catching: str, looks: bool) -> None:
    """In another module than the one that raises, and behind a function call."""
    (root / "primum/other.py").write_text(f"{HEAD}{RUN}{catching}\n")
    raising = 'import primum.other\ndef g(n):\n    if n: raise PrimumError("{}")\n    assert n, "{}"'
    assert (digest(root, raising.replace("{}", "a")) != digest(root, raising.replace("{}", "b"))) == looks


def _progress(root: Path, old: str, new: str, stage: str = "") -> bool:
    """Whether a change of progress.py is seen by a stage of this text."""
    before = digest(root, stage or RUN + 'progress.say("a")')
    path = root / "primum/progress.py"
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    return code_digest("primum.stage", root) != before


def test_a_module_that_only_speaks_is_left_out(root: Path) -> None:
    assert not _progress(root, " s left", " seconds to go")
    assert "primum.progress" not in imported_modules("primum.stage", root)


@pytest.mark.parametrize(
    "stage",
    [
        "def run(log): return Progress('a', log)",
        "def run(x): return isinstance(x, Progress)",
        "import primum.progress",
        "from primum import progress",
        "def run(job): return job.progress._printed",
        "f = hush_transformers",
    ],
)
def test_but_not_where_it_is_used_for_more(root: Path, stage: str) -> None:
    assert _progress(root, " s left", " seconds to go", stage)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    def say(self", "    def rate(self): pass\n\n    def say(self"),
        ("        self._printed = now\n", "        self._printed = now\n        return now\n"),
        ("        self._printed = now\n", "        self._printed = now\n        self.printed = now\n"),
        ("def hush_transformers", "RATE = 1\n\n\ndef hush_transformers"),
        ("def hush_transformers", "def rate():\n    ...\n\n\ndef hush_transformers"),
        ("        self._printed = now\n", "        self._printed = now\n        raise StopIteration\n"),
    ],
)
def test_nor_where_it_does_more(root: Path, old: str, new: str) -> None:
    assert _progress(root, old, new)


def test_the_classes_of_errors_count(root: Path) -> None:
    before = digest(root, RUN + 'raise PrimumError("a")')
    (root / "primum/errors.py").write_text("class PrimumError(ValueError):\n    'An error.'\n")
    assert code_digest("primum.stage", root) != before


# The package itself -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(SOURCE / "primum", tmp_path_factory.mktemp("own") / "primum")).parent


@pytest.mark.parametrize(
    ("name", "old", "new", "stages"),
    [
        ("progress.py", " s left", " seconds to go", set()),
        ("progress.py", "{done:,}/{total:,}", "{done:,} of {total:,}", set()),
        ("train/common.py", "lower the learning rate or check the data", "check the data", set()),
        ("train/common.py", "is no multiple of micro_batch", "cannot be divided by micro_batch", set()),
        ("train/checkpoints.py", "resuming from", "going on from", set()),
        ("artifact/job.py", "waiting for its maker", "waiting", set()),
        ("artifact/table.py", "ids must be unique and ascending, but", "two equal ids:", set()),
        ("train/common.py", "if batch % (micro * world):", "if batch % micro:", {"pretrain", "sft", "reference", "dpo"}),
        ("train/common.py", "or math.isfinite(float(value))", "or not math.isnan(float(value))",
         {"pretrain", "sft", "reference", "dpo"}),
        # What an endpoint's failure is called is in the rows of responses.
        ("engine/client.py", 'Again("timeout")', 'Again("too late")',
         {"sample", "rank", "rate", "respond", "assess", "generate", "judge", "grade", "agreement", "answer"}),
        # Another reading of what judges answered asks none of them.
        ("text/verdict.py", "harm|harmfulness", "harm|harmful", {"verdicts", "contrast", "rewards"}),
        ("engine/openai_engine.py", "the quota is spent", "no quota is left", set()),
        ("curate/adapters/choice.py", "files: Sequence[RawFile]", "files: list[RawFile]", {"read"}),
    ],
)  # fmt: skip
def test_an_edit_of_this_package(own: Path, name: str, old: str, new: str, stages: set[str]) -> None:
    modules = [entry.module for entry in STAGES.values()]
    before = code_digests(modules, own)
    path = own / "primum" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        after = code_digests(modules, own)
    finally:
        path.write_text(text)
    assert {stage for stage, module in zip(STAGES, modules, strict=True) if before[module] != after[module]} == stages


def test_no_stage_of_this_package_looks_at_what_errors_say() -> None:
    """Else another word in any error would be a new key for it."""
    for entry in STAGES.values():
        looking = {name for name, path in imported_modules(entry.module, SOURCE).items() if read_file(path).overhears}
        assert looking == set()


def test_a_jobs_progress_is_what_the_rules_take_it_for() -> None:
    assert Job.__annotations__["progress"] == "Progress"
    assert set(SPEAKING) == {"primum.progress"}


def test_a_module_says_by_its_digest_that_it_differs(root: Path) -> None:
    digest(root, "a = 1")
    before = module_digests("primum.stage", root)
    digest(root, "a = 2")
    after = module_digests("primum.stage", root)
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == {"primum.stage"}
