"""Which artifacts ``--config refresh=...`` asks to make again, whatever the store holds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from primum.artifact.manifest import load_manifest
from primum.dag.dag import Job
from primum.errors import PrimumError

FAILED = "failed"


def refreshed(job: Job, refresh: str) -> frozenset[str]:
    """The outputs of ``job`` that ``refresh`` asks for: ``dpo``, or ``dpo:name``, several separated by commas.

    A name is a job's (a model, a judge) and asks for all of its outputs, or an output's (a dataset, a mixture, a prompt set), or
    both, ``judge:harm/sft/benign``, for the one of the other.
    """
    found: set[str] = set()
    for part in filter(None, refresh.split(",")):
        wanted, _, name = part.partition(":")
        if wanted in (job.stage.name, job.stage.target):
            whole = not name or name in job.name.split("/")
            found.update(
                each.name
                for each in job.plan.outputs
                if whole or name in each.name.split("/") or name == f"{job.name}/{each.name}"
            )
    return frozenset(found)


def with_failed(jobs: Iterable[Job], refresh: str) -> str:
    """``refresh`` with ``failed``, if it is in it, as the outputs that are there and in which requests failed.

    To be asked once, before a run takes away what it is to make again. Where there are none ``failed`` stays, and matches no job.
    """
    parts = list(filter(None, refresh.split(",")))
    if FAILED not in parts:
        return refresh
    found = [f"{job.stage.name}:{job.name}/{out.name}" for job in jobs for out in job.plan.outputs if _failed(out.path)]
    return ",".join([*(part for part in parts if part != FAILED), *(found or [FAILED])])


def _failed(path: str) -> bool:
    try:
        return bool(load_manifest(Path(path)).run.get("failed"))
    except PrimumError:
        return False
