"""``primum export``: scores or data in another tool's form, in a folder that appears whole or not at all.

What is sensitive is left out, unless somebody asks twice; it stays its owner's alone then.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from primum.artifact.manifest import Artifact
from primum.artifact.private import tighten
from primum.errors import PrimumError
from primum.export.lm_eval import write_lm_eval
from primum.export.scores import read_scores

# Asked twice: the flag, and a word that nobody types by accident.
HARMFUL_FLAG, HARMFUL_WORD = "--include-harmful-text", "i-understand"
_T = TypeVar("_T")


def export(results: Path, form: str, output: Path, force: bool) -> None:
    """Write the scores of ``results`` to the new folder ``output``, which only ``force`` replaces, and say what there is."""
    check_output(output, force)
    experiment, models = read_scores(results)
    if form == "hf":
        from primum.export.hub import write_hub as write
    else:
        write = write_lm_eval
    publish(output, lambda folder: write(experiment, models, folder))
    tasks = [task for model in models for task in model.tasks]
    print(f"{output}: {len(models)} models, {len(tasks)} scores")
    if words := sum(task.manifest.sensitive is True for task in tasks):
        print(f"Left out of {words} scores: what models answered, which is sensitive")
    if form == "hf" and (left := {task.benchmark for task in tasks if not task.on_hub}):
        print(f"No .eval_results for benchmarks whose dataset is on no hub: {', '.join(sorted(left))}")


def export_dataset(
    results: Path, mixture: str | None, preferences: str | None, output: Path, force: bool, harmful: bool = False
) -> None:
    """Write a mixture or a preference set of ``results`` as a dataset, as :func:`export` does scores.

    PrimumError for a sensitive one, unless ``harmful`` says that it was asked for twice.
    """
    # The hub's libraries take a second or two, and what is asked for is looked at first.
    from primum.export.sources import read_mixture, read_preferences

    check_output(output, force)
    data = read_mixture(results, mixture) if mixture is not None else read_preferences(results, preferences or "")
    sensitive = check_sensitive(data.artifact, harmful)
    from primum.export.dataset import write_dataset

    shards = publish(output, lambda folder: write_dataset(data, folder), private=sensitive)
    size = sum(file.size for file in shards.files)
    print(f"{output}: {shards.rows:,} rows, {size:,} bytes, Parquet files: {len(shards.files)}")
    if sensitive:
        print(f"It holds harmful text, or may: {output} is for its owner alone, until you open it to others")
    print(
        f"Read README.md first: it names each source's licence. To upload: hf upload ORG/NAME {output} --type dataset"
    )


def check_sensitive(artifact: Artifact, harmful: bool) -> bool:
    """Whether an artifact is sensitive, or not known not to be. PrimumError if so and nobody asked for harmful text twice."""
    marked = artifact.manifest.sensitive
    if marked is not False and not harmful:
        why = "is marked as sensitive" if marked else "was made before sensitive artifacts were marked, and may be one"
        raise PrimumError(f"{artifact.path}: {why}: nothing was written: {HARMFUL_FLAG} {HARMFUL_WORD} writes it")
    return marked is not False


def check_output(output: Path, force: bool) -> None:
    """PrimumError unless ``output`` is a folder that is new or empty, or may be replaced by ``force``."""
    if output.exists() and not output.is_dir():
        raise PrimumError(f"{output}: is not a folder: name another")
    if output.exists() and not force and any(output.iterdir()):
        raise PrimumError(f"{output}: is there already: name another folder, or give --force to replace it")


def publish(output: Path, write: Callable[[Path], _T], private: bool = False) -> _T:
    """What ``write`` returns of a new folder, which then takes the place of ``output``, for its owner alone if ``private``."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
        try:
            new, old = temporary / "new", temporary / "old"
            new.mkdir()
            result = write(new)  # nobody else may enter the folder around it
            if private:
                tighten(new)
            if output.exists():
                output.rename(old)
            try:
                new.rename(output)
            except OSError:
                if old.exists():
                    old.rename(output)
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise PrimumError(f"{output}: cannot be written: {error.strerror}") from None
    return result
