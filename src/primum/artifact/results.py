"""A results folder: what lies in it beside its artifacts, and the experiment as it was run last.

No stage imports this: it is in no spec.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from primum.errors import PrimumError
from primum.reading import regular

# The experiment with its catalogs merged in, and its checksum as sha256sum writes it.
EXPERIMENT = "experiment.json"
REQUESTS = "requests"  # what each job of the last run was asked for
EXPERIMENT_SUM = f"{REQUESTS}/experiment.sha256"
CLAIM = ".lock"  # whoever runs the experiment has it locked
VERIFICATION = "verification.json"  # the report of `snakemake verify`
LOGS, BENCHMARKS = "logs", "benchmarks"  # what each job said, and what it took
STORE = ".store"  # beside results folders


def was_run(folder: Path) -> bool:
    """Whether it is the results folder of an experiment that was run."""
    return (folder / EXPERIMENT).is_file()


def written_experiment(results: Path) -> dict[str, Any]:
    """The experiment that ``results`` is the folder of, as its last run wrote it down. PrimumError where there is none."""
    path = results / EXPERIMENT
    try:
        found = json.loads(regular(path).read_text(encoding="utf-8"))
    except OSError:
        raise PrimumError(f"{path}: cannot be read: name an experiment's folder, such as results/demo") from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise PrimumError(f"{path}: damaged: run the experiment again")
    return found


def experiment_of(results: Path) -> dict[str, Any]:
    """As :func:`written_experiment`; empty where that is not known."""
    with suppress(PrimumError):
        return written_experiment(results)
    return {}
