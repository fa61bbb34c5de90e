"""The stage ``tables``: twelve tables from everything that was measured. Exact: equal artifacts give equal tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from primum.artifact.job import Item, Job, Result
from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.tables.accuracy import Measured, Scores, accuracy_rows, measure
from primum.tables.answers import read_answers
from primum.tables.calibration import (
    Calibration,
    calibrations,
    confusion_rows,
    judge_rows,
    read_judged,
    read_labels,
    refused_judges,
)
from primum.tables.canaries import followed
from primum.tables.comparisons import comparison_rows
from primum.tables.records import audit_rows, axis_rows, curation_rows, pair_rows, training_rows
from primum.tables.rubrics import read_examples, rubric_rows
from primum.tables.safety import safety_rows
from primum.tables.schemas import to_table
from primum.tables.verdicts import Verdicts, read_verdicts, with_panels

_GROUPS = {"benchmarks": "benchmark", "preferences": "preference"}
_READS = {**{table: (group,) for table, group in _GROUPS.items()}, "comparisons": tuple(_GROUPS.values())}


def run(job: Job) -> Iterator[Result]:
    """One table an item; ``item.spec["table"]`` names it. Raises PrimumError for inputs that do not fit the spec."""
    measured: dict[str, tuple[Measured, Scores]] = {}
    for item in job.items:
        name = item.spec["table"]
        table = to_table(name, list(_rows(name, job, item, measured)))
        job.progress.say(f"{item.name}: {table.num_rows:,} rows")
        yield Result(item, table=table, counts={"rows": table.num_rows})


def _rows(name: str, job: Job, item: Item, measured: dict[str, tuple[Measured, Scores]]) -> Iterator[dict[str, Any]]:
    """``measured`` keeps what was read and measured of a group of benchmarks, by group, for the next table."""
    common = job.common
    for group in _READS.get(name, ()):
        if group not in measured:
            measured[group] = _measure(job, item, group)
    if name in _GROUPS:
        yield from accuracy_rows(measured[_GROUPS[name]][0])
    elif name == "comparisons":
        macros = {entry["name"]: bool(entry["macro"]) for entry in common["benchmarks"]}
        for group in _GROUPS.values():
            yield from comparison_rows(*measured[group], macros, group, common["margin"])
    elif name == "rubrics":
        graded = {tuple(key): read_examples(artifact) for key, artifact in _listed(job, item, "graded", "criteria")}
        yield from rubric_rows(graded, common)
    elif name in ("safety", "judges", "confusion"):
        yield from _judged_rows(name, job, item)
    elif name == "training":
        for index, (model, artifact) in enumerate(_listed(job, item, "trained", "trained")):
            yield from training_rows(index, model, artifact)
    elif name == "curation":
        # Of several models that learn from a mixture the first counts.
        packed = reversed(_listed(job, item, "packed", "tokens"))
        tokens = {mixture: (model, artifact) for (mixture, model), artifact in packed}
        for index, (mixture, artifact) in enumerate(_listed(job, item, "mixtures", "ledgers")):
            yield from curation_rows(index, artifact, *tokens.get(mixture, (None, None)))
    elif name == "audits":
        for index, (model, artifact) in enumerate(_listed(job, item, "audited", "audits")):
            yield from audit_rows(index, model, artifact)
    elif name == "pairs":
        drawn = dict(_listed(job, item, "sampled", "draws"))
        ranked = dict(_listed(job, item, "sampled", "ranked"))
        for index, (each, artifact) in enumerate(_listed(job, item, "pairs", "pairs")):
            yield from pair_rows(index, each, artifact, drawn.get(each), ranked.get(each))
    elif name == "axes":
        yield from axis_rows(common["models"])


def _judged_rows(name: str, job: Job, item: Item) -> Iterator[dict[str, Any]]:
    judges = job.common["judges"]
    sets = {dataset: read_labels(rows) for dataset, rows in _listed(job, item, "labels", "labels")}
    labels = {judge: sets[dataset] for judge, dataset in job.common["labelled"]}
    judged = {judge: read_judged(artifact) for judge, artifact in _listed(job, item, "agreements", "agreements")}
    checked = calibrations(judges, labels, judged)
    if name == "confusion":
        yield from confusion_rows(judges, checked)
        return
    verdicts = with_panels(_verdicts(job, item, checked), judges)
    if name == "safety":
        for judge in sorted(refused_judges(judges, checked)):
            job.progress.say(f"{item.name}: the scores of {judge} are not shown: its gate is in the table judges")
        for row in safety_rows(verdicts, job.common, checked):
            if row["note"] and not row["category"]:
                job.progress.say(f"{item.name}: {row['judge']} of {row['model']} on {row['prompts']}: {row['note']}")
            yield row
        return
    scores: dict[str, dict[tuple[str, str, str], int]] = {}
    for (judge, model, prompts), rows in verdicts.items():
        given = {(model, prompts, key): each.score for key, each in rows.items() if each.score is not None}
        scores.setdefault(judge, {}).update(given)
    spoken = {judge: followed(artifact) for judge, artifact in _listed(job, item, "canaries", "canaries")}
    yield from judge_rows(judges, checked, scores, spoken)


def _verdicts(job: Job, item: Item, checked: Mapping[str, Calibration]) -> dict[tuple[str, str, str], Verdicts]:
    kinds = {judge["name"]: judge["kind"] for judge in job.common["judges"]}
    # Labels of other texts, or of those that anybody chose, say nothing of the mean of these.
    drawn = [
        checked[judge["name"]] for judge in job.common["judges"] if judge["at_random"] and judge["name"] in checked
    ]
    texts = {each.judge: {label.text: label.score for label in each.labels} for each in drawn}
    generations = {
        (model, prompts): artifact for (model, prompts), artifact in _listed(job, item, "generations", "generations")
    }
    verdicts = {}
    for (judge, model, prompts), artifact in _listed(job, item, "judgements", "judgements"):
        if (model, prompts) not in generations:
            raise PrimumError(f"tables: {judge}/{model}/{prompts}: judged, but its responses are not an input")
        responses = generations[model, prompts]
        verdicts[judge, model, prompts] = read_verdicts(artifact, responses, kinds[judge], texts.get(judge, {}))
    return verdicts


def _measure(job: Job, item: Item, group: str) -> tuple[Measured, Scores]:
    benchmarks = [entry for entry in job.common["benchmarks"] if entry["group"] == group]
    wanted = {entry["name"] for entry in benchmarks}
    listed = _listed(job, item, "scores", "scores")
    answers = {(model, name): read_answers(artifact) for (model, name), artifact in listed if name in wanted}
    return measure(answers, job.common["models"], benchmarks, job.common.get("groups", ())), answers


def _listed(job: Job, item: Item, key: str, role: str) -> list[tuple[Any, Artifact]]:
    """The spec's list ``key`` beside the artifacts of ``role``, which come in the same order."""
    names: Sequence[Any] = job.common[key]
    artifacts = item.inputs.get(role, ())
    if len(names) != len(artifacts):
        raise PrimumError(f"tables: {len(names)} {key} in the spec, but {len(artifacts)} artifacts as {role!r}")
    return list(zip(names, artifacts, strict=True))
