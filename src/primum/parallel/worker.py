"""One process of several that :mod:`primum.cluster.launch` started: ``python -m primum.parallel.worker REQUEST``."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

import pyarrow.parquet as pq
import torch

from primum.artifact.job import Devices, Item, Job
from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.progress import Progress


def main(request: Path) -> None:
    """Do what ``request`` says. The first process speaks for all: its progress, the counts."""
    asked = json.loads(request.read_text(encoding="utf-8"))
    first = os.environ["RANK"] == "0"
    work = Path(asked["work"])
    progress = Progress(asked["stage"], Path(asked["log"]) if asked["log"] and first else None, silent=not first)
    inputs = {role: [Artifact.open(Path(path)) for path in paths] for role, paths in asked["inputs"].items()}
    item = Item(asked["name"], asked["spec"], inputs, asked["key"], work)
    job = Job(asked["stage"], asked["common"], [item], progress, Devices(**asked["devices"]))
    try:
        (result,) = importlib.import_module(asked["module"]).run(job)
    except PrimumError as error:
        (work / "error.txt").write_text(str(error), encoding="utf-8")
        raise SystemExit(1) from None
    if first:
        if result.table is not None:
            pq.write_table(result.table, asked["table"])
        (work / "counts.json").write_text(json.dumps(dict(result.counts)), encoding="utf-8")
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # nobody leaves while another is at work
        torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    # All is written. Python's own end of a process takes down libraries' threads in any order, which sometimes aborts: a training
    # that is done would count as failed.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
