"""``primum export``: an experiment's scores in another tool's form, in a folder that appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from primum.errors import PrimumError
from primum.export.lm_eval import write_lm_eval
from primum.export.scores import read_scores


def export(results: Path, form: str, output: Path, force: bool) -> None:
    """Write the scores of ``results`` to the new folder ``output``, which only ``force`` replaces, and say what there is."""
    if output.exists() and not force:
        raise PrimumError(f"{output}: is there already: name another folder, or give --force to replace it")
    if output.exists() and not output.is_dir():
        raise PrimumError(f"{output}: is not a folder: name another")
    experiment, models = read_scores(results)
    if form == "hf":
        from primum.export.hub import write_hub as write
    else:
        write = write_lm_eval
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
        try:
            new, old = temporary / "new", temporary / "old"
            new.mkdir()
            write(experiment, models, new)
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
    tasks = [task for model in models for task in model.tasks]
    print(f"{output}: {len(models)} models, {len(tasks)} scores")
    if form == "hf" and (left := {task.benchmark for task in tasks if not task.on_hub}):
        print(f"No .eval_results for benchmarks whose dataset is on no hub: {', '.join(sorted(left))}")
