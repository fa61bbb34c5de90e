"""One process of several that :mod:`primum.cluster.launch` started: ``python -m primum.parallel.worker REQUEST``."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from primum.artifact.job import Devices, Item, Job, Result
from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.progress import Progress
from primum.tracebacks import withheld


def main(request: Path) -> None:
    """Do what ``request`` says. The first process speaks for all: its progress, the counts."""
    asked = json.loads(request.read_text(encoding="utf-8"))
    first = os.environ["RANK"] == "0"
    progress = Progress(asked["stage"], Path(asked["log"]) if asked["log"] and first else None, silent=not first)
    items = [_item(each) for each in asked["items"]]
    job = Job(asked["stage"], asked["common"], items, progress, Devices(**asked["devices"]))
    try:
        for result in importlib.import_module(asked["module"]).run(job):
            if first:
                _leave(result, asked["table"], asked["counts"])
    except PrimumError as error:
        Path(asked["error"]).write_text(str(error), encoding="utf-8")
        raise SystemExit(1) from None
    except Exception as error:
        if all(each.manifest.sensitive is False for item in items for given in item.inputs.values() for each in given):
            raise
        # Any of the processes may be the one that fails.
        kept = items[0].work / f"{os.environ['RANK']}.traceback"
        print(withheld(error, kept), file=sys.stderr, flush=True)
        raise SystemExit(1) from None
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # nobody leaves while another is at work
        torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    # All is written. Python's own end of a process takes down libraries' threads in any order, which sometimes aborts: a training
    # that is done would count as failed.
    os._exit(0)


def _item(asked: dict[str, Any]) -> Item:
    inputs = {role: [Artifact.open(Path(path)) for path in paths] for role, paths in asked["inputs"].items()}
    return Item(asked["name"], asked["spec"], inputs, asked["key"], Path(asked["work"]))


def _leave(result: Result, table: str, counts: str) -> None:
    """The table, then the counts, which are there all at once: who waits for them finds both."""
    work = result.item.work
    if result.table is not None:
        pq.write_table(result.table, work / table)
    written = work / f"{counts}.tmp"
    written.write_text(json.dumps(dict(result.counts)), encoding="utf-8")
    written.replace(work / counts)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
