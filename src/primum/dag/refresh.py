"""Which artifacts ``--config refresh=...`` asks to make again, whatever the store holds."""

from __future__ import annotations

from primum.dag.dag import Job


def refreshed(job: Job, refresh: str) -> frozenset[str]:
    """The outputs of ``job`` that ``refresh`` asks for: ``dpo``, or ``dpo:name``, several separated by commas.

    A name is a job's (a model, a judge) and asks for all of its outputs, or an output's (a dataset, a mixture, a prompt set).
    """
    found: set[str] = set()
    for part in filter(None, refresh.split(",")):
        wanted, _, name = part.partition(":")
        if wanted in (job.stage.name, job.stage.target):
            whole = not name or name in job.name.split("/")
            found.update(each.name for each in job.plan.outputs if whole or name in each.name.split("/"))
    return frozenset(found)
