"""What judges need of each other, of their labelled sets and of the prompts that they judge."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from primum.experiment.datasets import Dataset
from primum.experiment.types import Judge, Prompts, Source

WITH_CRITERIA = frozenset({"healthbench"})  # the adapters whose rows have criteria
WITH_CLASSES = frozenset({"xstest_completions"})  # the adapters whose graded rows have classes of refusal


def labels_of(judges: Mapping[str, Judge], name: str) -> str | None:
    """The labelled set that a judge is checked on: of a panel the one that all its members are."""
    entry = judges[name]
    if entry.kind != "panel":
        return entry.graded
    sets = {judges[member].graded for member in entry.members}
    return sets.pop() if len(sets) == 1 else None


def check_judge(name: str, judge: Judge, datasets: Mapping[str, Dataset], prompts: Mapping[str, Prompts]) -> None:
    """ValueError where an evaluated judge cannot judge its prompts, or its labels are of another kind than what it gives."""
    for each in judge.prompts:
        entry = prompts[each]
        if (judge.kind == "criteria") != (entry.kind == "criteria"):
            raise ValueError(
                f"judges.{name}.prompts: {each!r} is of kind {entry.kind!r}, which a judge of kind {judge.kind!r} "
                "cannot judge: only the answers to prompts of kind 'criteria' are judged by criteria"
            )
        if judge.kind == "criteria" and datasets[entry.dataset].adapter not in WITH_CRITERIA:
            raise ValueError(
                f"prompts.{each}.dataset: {entry.dataset!r} has no criteria: use one of the adapter healthbench"
            )
    if judge.graded is None:
        return
    classes = datasets[judge.graded].adapter in WITH_CLASSES
    if classes != judge.kind.startswith("refusal"):
        has, wants = ("classes of refusal", "scores") if classes else ("scores", "classes of refusal")
        raise ValueError(f"judges.{name}.graded: {judge.graded!r} has {has}; a {judge.kind!r} judge needs {wants}")


def check_panel(name: str, judges: Mapping[str, Judge], evaluated: Collection[str]) -> None:
    """ValueError where a panel's members are no evaluated judges of harm, do not judge all that it does, or share no labels."""
    judge = judges[name]
    for member in judge.members:
        entry = judges[member]
        if entry.kind != "rubric" or member not in evaluated:
            raise ValueError(f"judges.{name}.members: {member!r} is no 'rubric' judge among evaluate.judges")
        if unjudged := set(judge.prompts) - set(entry.prompts):
            raise ValueError(f"judges.{name}.prompts: {member!r} does not judge {sorted(unjudged)[0]!r}")
    if judge.members and judge.gate and labels_of(judges, name) is None:
        raise ValueError(f"judges.{name}.gate: its members have no 'graded' in common to be checked on")


def check_rendered(where: str, source: Source, datasets: Mapping[str, Dataset], judges: Mapping[str, Judge]) -> None:
    """ValueError where a source of a mixture, rendered for a judge, would teach it no scores of harm."""
    if source.judge and judges[source.judge].kind != "rubric":
        raise ValueError(f"{where}.judge: {source.judge!r} is no 'rubric' judge, so it gives no scores to learn")
    if source.judge and datasets[source.dataset].adapter in WITH_CLASSES:
        raise ValueError(f"{where}.dataset: {source.dataset!r} has classes of refusal, no scores to learn")
