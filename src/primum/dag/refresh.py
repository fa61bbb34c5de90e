"""Which jobs ``--config refresh=...`` asks to make again, whatever the store holds."""

from __future__ import annotations

from pathlib import Path

from primum.dag.stages import STAGES

# How the workflow tells its jobs.
VARIABLE = "PRIMUM_REFRESH"
# How many parts of an output's path are names (see ``primum.dag.layout``), where it is more than the last one.
_NAMED_AFTER = {"generate": 2, "score": 2, "answer": 2, "judge": 3, "agreement": 2}


def is_refreshed(stage: str, outputs: list[Path], refresh: str) -> bool:
    """Whether ``refresh`` (``dpo``, or ``dpo:name``, several separated by commas) asks for this job.

    ``name`` is what an output is named after: a model, a dataset, a mixture, a prompt set, a judge.
    """
    depth = _NAMED_AFTER.get(stage, 1)
    paths = [output.parent if STAGES[stage].kind == "folder" else output.with_suffix("") for output in outputs]
    names = {part for path in paths for part in path.parts[-depth:]}
    for part in filter(None, refresh.split(",")):
        wanted, _, name = part.partition(":")
        if wanted in (stage, STAGES[stage].target) and (not name or name in names):
            return True
    return False
