"""What came of artifacts that were made again: equal, within the tolerance of their class, different, or not made."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from primum.artifact.code import combined, module_digests
from primum.artifact.manifest import Artifact, Manifest, artifact_key, measure
from primum.artifact.table import read_table
from primum.dag.dag import STAGES
from primum.errors import PrimumError
from primum.reproduce.classes import Kind, class_of, tolerance_of
from primum.reproduce.compare import Difference, compare_folders, compare_tables
from primum.reproduce.elsewhere import SOURCE, Made, Wanted, Workshop, libraries_of

Verdict = Literal["equal", "within tolerance", "different", "not made"]
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one artifact. ``made_by`` names what made it and is not what is here: code, or versions of libraries."""

    name: str
    stage: str
    kind: Kind
    verdict: Verdict
    claimed: str
    made: str = ""
    said: str = ""
    difference: Difference | None = None
    made_by: Sequence[str] = ()
    adopted: str = ""
    seconds: float = 0.0

    @property
    def matched(self) -> bool:
        return self.verdict in ("equal", "within tolerance")


def remake(group: Sequence[Wanted], workshop: Workshop, threads: int) -> list[Outcome]:
    """Make a group of artifacts of one stage again, and compare each. What differs is kept below ``workshop.kept``."""
    made = workshop.make(group, threads)
    failed = [each for each in group if made[each.name].artifact is None and made[each.name].seconds]
    if len(group) > 1:
        # One that fails ends its job: the others are to be seen, too.
        for each in failed:
            made |= workshop.make([each], threads)
    return [_compared(each, made[each.name], workshop) for each in group]


def _compared(wanted: Wanted, made: Made, workshop: Workshop) -> Outcome:
    artifact, manifest = wanted.artifact, wanted.artifact.manifest
    remade = None if made.artifact is None else made.artifact.manifest
    notes = manifest.run.get("adopted") or [{}]
    outcome = Outcome(
        name=wanted.name,
        stage=manifest.stage,
        kind=class_of(manifest, remade),
        verdict="not made",
        claimed=manifest.content,
        made="" if remade is None else remade.content,
        said=made.error,
        made_by=_made_by(manifest, libraries_of(artifact)),
        adopted=str(notes[-1].get("why", "")),
        seconds=round(made.seconds, 1),
    )
    if made.artifact is None or remade is None:
        return outcome
    told = _damage(artifact)
    if told or remade.content != manifest.content:
        outcome = _told_apart(outcome, artifact, made.artifact, told)
    else:
        outcome = replace(outcome, verdict="equal")
    if outcome.verdict == "different":
        _keep(made.artifact, workshop.kept / wanted.name)
    workshop.remove(made.artifact)
    return outcome


def _told_apart(outcome: Outcome, artifact: Artifact, made: Artifact, damage: str) -> Outcome:
    if damage:
        same = made.manifest.content == artifact.manifest.content
        return replace(
            outcome, verdict="different", said=f"{damage}; made again it is {'' if same else 'not '}what it claims"
        )
    tolerance = tolerance_of(artifact.manifest) if outcome.kind == "conditional" else None
    if artifact.manifest.kind == "table":
        difference = compare_tables(read_table(artifact.data), read_table(made.data), tolerance)
    else:
        difference = compare_folders(artifact.data, made.data, tolerance)
    verdict: Verdict = "within tolerance" if difference.within else "different"
    return replace(outcome, verdict=verdict, difference=difference, said=difference.words())


def _damage(artifact: Artifact) -> str:
    """What is wrong with a claimed artifact by its own manifest."""
    manifest = artifact.manifest
    if artifact_key(manifest.spec, manifest.inputs) != manifest.key:
        return "its key is not that of its spec and inputs"
    try:
        content = measure(artifact.data, manifest.kind)[0]
    except PrimumError:
        return "its data is missing or damaged"
    return "" if content == manifest.content else "its data is not what its manifest describes"


def _made_by(manifest: Manifest, libraries: Mapping[str, str]) -> list[str]:
    """What of the code and the libraries that made an artifact is another here, in words."""
    today = _digests(STAGES[manifest.stage].module)
    digests = {name: each[:16] for name, each in today.items()}
    recorded = manifest.run.get("modules") or {}
    said = []
    if manifest.spec["code"] != combined(today):
        changed = sorted(name for name in {*digests, *recorded} if digests.get(name) != recorded.get(name))
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        said.append(f"other code ({', '.join(changed[:_NAMED])}{more})" if recorded and changed else "other code")
    had: Mapping[str, str] = manifest.spec["libraries"]
    return said + [f"{name} {had[name]} -> {libraries[name]}" for name in had if had[name] != libraries[name]]


@cache
def _digests(module: str) -> dict[str, str]:
    """Those of today's code, in whole."""
    return module_digests(module, SOURCE)


def _keep(made: Artifact, target: Path) -> None:
    """Keep what differs, for whoever looks into it; what is sensitive stays its owner's alone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if made.manifest.kind == "folder":
        shutil.copytree(made.data, target)
    else:
        shutil.copy2(made.data, target.with_name(f"{target.name}.parquet"))
        shutil.copy2(made.path, target.with_name(f"{target.name}.json"))
