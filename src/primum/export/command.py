"""``primum export``: scores or data in another tool's form, in a folder that appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from primum.errors import PrimumError
from primum.export.lm_eval import write_lm_eval
from primum.export.scores import read_scores

_T = TypeVar("_T")


def export(results: Path, form: str, output: Path, force: bool) -> None:
    """Write the scores of ``results`` to the new folder ``output``, which only ``force`` replaces, and say what there is."""
    _check(output, force)
    experiment, models = read_scores(results)
    if form == "hf":
        from primum.export.hub import write_hub as write
    else:
        write = write_lm_eval
    _publish(output, lambda folder: write(experiment, models, folder))
    tasks = [task for model in models for task in model.tasks]
    print(f"{output}: {len(models)} models, {len(tasks)} scores")
    if form == "hf" and (left := {task.benchmark for task in tasks if not task.on_hub}):
        print(f"No .eval_results for benchmarks whose dataset is on no hub: {', '.join(sorted(left))}")


def export_dataset(results: Path, mixture: str | None, preferences: str | None, output: Path, force: bool) -> None:
    """Write a mixture or a preference set of ``results`` as a dataset, as :func:`export` does scores."""
    # The hub's libraries take a second or two, and what is asked for is looked at first.
    from primum.export.sources import read_mixture, read_preferences

    _check(output, force)
    data = read_mixture(results, mixture) if mixture is not None else read_preferences(results, preferences or "")
    from primum.export.dataset import write_dataset

    shards = _publish(output, lambda folder: write_dataset(data, folder))
    size = sum(file.size for file in shards.files)
    print(f"{output}: {shards.rows:,} rows, {size:,} bytes, Parquet files: {len(shards.files)}")
    print(
        f"Read README.md first: it names each source's licence. To upload: hf upload ORG/NAME {output} --type dataset"
    )


def _check(output: Path, force: bool) -> None:
    if output.exists() and not output.is_dir():
        raise PrimumError(f"{output}: is not a folder: name another")
    if output.exists() and not force and any(output.iterdir()):
        raise PrimumError(f"{output}: is there already: name another folder, or give --force to replace it")


def _publish(output: Path, write: Callable[[Path], _T]) -> _T:
    """What ``write`` returns of a new folder, which then takes the place of ``output``."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
        try:
            new, old = temporary / "new", temporary / "old"
            new.mkdir()
            result = write(new)
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
