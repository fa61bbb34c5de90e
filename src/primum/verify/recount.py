"""Tables counted again without the code that made them: items, right answers and accuracy, responses and mean scores."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from primum.artifact.manifest import Artifact
from primum.verify.finding import Finding, Seen, Unchecked
from primum.verify.reading import BROKEN
from primum.verify.study import Study

_AWAY = "delete it and its manifest, and run snakemake again"
_NOWHERE = "(none)"
_SCORED = frozenset({"score", "parse"})
Row = Mapping[str, Any]
# Kind of judge -> the number that a score counts as in a mean.
_COUNTS_AS = {
    "rubric": float,
    "refusal": float,
    "refusal-classes": lambda score: float(score == 3),
}
_HIGHEST = {"rubric": (1, 5), "refusal": (0, 1), "refusal-classes": (1, 3)}


def recount(study: Study) -> Iterator[Seen]:
    """Right answers of scores, and the rows of ``benchmarks``, ``preferences`` and ``safety`` of one benchmark or prompt set."""
    for artifact in study.graph.artifacts:
        manifest = artifact.manifest
        if manifest.stage in _SCORED:
            yield from _right(artifact)
        table = manifest.spec["item"].get("table") if manifest.stage == "tables" else None
        if table not in ("benchmarks", "preferences", "safety"):
            continue
        wrong: list[str] = []
        try:
            inputs, rows = study.inputs(artifact), artifact.table().to_pylist()
            count = _safety if table == "safety" else _accuracy
            wrong.extend(count(rows, manifest.spec["common"], inputs))
        except BROKEN:
            # What is damaged or missing is a finding of its own.
            yield Unchecked(f"tables: {table} counted again", "the table or its inputs are damaged, or not here")
        if wrong:
            more = f", and so it is in {len(wrong) - 1:,} more of its rows" if len(wrong) > 1 else ""
            yield Finding(artifact.data, wrong[0] + more, _AWAY)


def _right(artifact: Artifact) -> Iterator[Finding]:
    """What ``primum explain`` says of a score."""
    counted = artifact.manifest.counts.get("correct")
    try:
        right = sum(map(bool, artifact.table(["correct"]).column("correct").to_pylist()))
    except BROKEN:
        return  # a finding of its own
    if counted is not None and counted != right:
        yield Finding(artifact.data, f"has {right:,} right answers, its manifest counts {counted}", _AWAY)


def _accuracy(
    rows: Sequence[Row], common: Mapping[str, Any], inputs: Mapping[str, Sequence[Artifact]]
) -> Iterator[str]:
    """What is wrong, a line a row."""
    scores = {tuple(names): each for names, each in zip(common["scores"], inputs["scores"], strict=True)}
    macros = {entry["name"]: bool(entry["macro"]) for entry in common["benchmarks"]}
    for key in dict.fromkeys((row["model"], row["benchmark"]) for row in rows):
        if key not in scores:
            continue  # an average, or a group of benchmarks
        subjects = _marks(scores[key])
        if subjects is None:
            continue  # its answers are worth something between right and wrong
        for row in rows:
            if (row["model"], row["benchmark"]) != key:
                continue
            own = [subjects.get(row["subject"], {})] if row["subject"] else list(subjects.values())
            items = [item for part in own for item in part.values()]
            asked, right = sum(map(len, items)), sum(map(sum, items))
            shares = [sum(map(sum, part.values())) / sum(map(len, part.values())) for part in own if part]
            mean = math.fsum(shares) / len(shares) if macros[key[1]] and shares else right / asked if asked else None
            counted = {"n": len(items), "correct": right, "accuracy": mean}
            yield from _compared(row, ("model", "benchmark", "subject"), counted)


def _marks(scores: Artifact) -> dict[str, dict[str, list[bool]]] | None:
    """Whether each answer was right, by subject and item; None where an answer may be partly right."""
    rows = scores.table().to_pylist()
    if any("value" in row for row in rows[:1]):
        return None
    found: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found[row["subject"] or _NOWHERE][row["item"]].append(row["status"] == "scored" and bool(row["correct"]))
    return found


def _safety(rows: Sequence[Row], common: Mapping[str, Any], inputs: Mapping[str, Sequence[Artifact]]) -> Iterator[str]:
    """What is wrong, a line a row."""
    verdicts = {
        tuple(names): each for names, each in zip(common["judgements"], inputs.get("judgements", ()), strict=True)
    }
    kinds = {judge["name"]: judge["kind"] for judge in common["judges"]}
    for key in dict.fromkeys((row["judge"], row["model"], row["prompts"]) for row in rows):
        kind = kinds.get(key[0])
        if key not in verdicts or kind not in _COUNTS_AS:
            continue  # of a panel, or of several prompt sets
        low, high = _HIGHEST[kind]
        said = verdicts[key].table(["id", "category", "score"]).to_pylist()
        for row in rows:
            if (row["judge"], row["model"], row["prompts"]) != key:
                continue
            own = [each for each in said if row["category"] in ("", each["category"])]
            given = [each["score"] for each in own if each["score"] is not None and low <= each["score"] <= high]
            values = list(map(_COUNTS_AS[kind], given))
            counted: dict[str, float | None] = {"n": len(own), "scored": len(given)}
            if row["status"] == "measured":
                counted["mean"] = math.fsum(values) / len(values) if values else None
            yield from _compared(row, ("model", "prompts", "judge", "category"), counted)


def _compared(row: Row, named: Sequence[str], counted: Mapping[str, float | None]) -> Iterator[str]:
    for column, right in counted.items():
        there = row[column]
        if (there is None) != (right is None) or (right is not None and not math.isclose(there, right, abs_tol=1e-9)):
            who = "/".join(row[name] for name in named if row[name])
            yield f"{who}: its {column} is {there}, counted again it is {right}"
            return
