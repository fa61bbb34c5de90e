"""Aggregation: everything into the tables, and the tables into the page that people look at."""

from __future__ import annotations

from typing import Any

from primum.dag.curation import DROPS, LEDGER, ORIGINS, OUTCOMES, OVERLAP, PAIRS, rows_of
from primum.dag.evaluation import SCORE
from primum.dag.judging import AGREEMENT, CRITERIA, FOLLOWED, GENERATION, VERDICT
from primum.dag.metadata import experiment_metadata
from primum.dag.preferences import RANKED, SAMPLES, draws
from primum.dag.scope import Scope
from primum.dag.stage import Output, Plan, Stage
from primum.dag.training import AUDIT, MODEL, TOKENS

TABLE = "tables/{table}.json"
REPORT = "report/manifest.json"
TABLES = (
    *("benchmarks", "preferences", "comparisons", "safety", "rubrics", "judges", "confusion"),
    *("training", "curation", "audits", "pairs", "axes"),
)


# What the cells of the tables open.
ITEMS = ("scores", "judgements", "criteria", "generations", "agreements", "labels", "audits", "pairs", "ranked")


def _tables(scope: Scope, _: str) -> Plan:
    common: dict[str, Any] = {
        **experiment_metadata(scope.experiment),
        "scores": scope.scored(),
        "judgements": scope.judged(),
        "graded": scope.graded(),
        "generations": scope.generated(),
        "mixtures": scope.mixtures(),
        "packed": scope.packed(),
        "trained": scope.trained(),
        "agreements": scope.agreements(),
        "canaries": scope.rubric_judges(),
        "labelled": scope.labelled(),
        "labels": _labels(scope),
        "audited": scope.audited(),
        "pairs": scope.preferences(),
        "sampled": list(scope.sampled()),
        "margin": scope.experiment.evaluate.margin,
    }
    path = scope.path
    inputs = {
        "scores": [path(SCORE, model=model, benchmark=benchmark) for model, benchmark in scope.scored()],
        "judgements": [path(VERDICT, judge=j, model=m, prompts=p) for j, m, p in scope.judged()],
        "criteria": [path(CRITERIA, judge=j, model=m, prompts=p) for j, m, p in scope.graded()],
        "generations": [path(GENERATION, model=model, prompts=prompts) for model, prompts in scope.generated()],
        "ledgers": [path(LEDGER, mixture=mixture) for mixture in scope.mixtures()],
        "tokens": [path(TOKENS, model=model) for _, model in scope.packed()],
        "trained": [path(MODEL, model=model) for model in scope.trained()],
        "agreements": [path(AGREEMENT, judge=judge) for judge in scope.agreements()],
        "canaries": [path(FOLLOWED, judge=judge) for judge in scope.rubric_judges()],
        "labels": rows_of(scope, _labels(scope)),
        "audits": [path(AUDIT, model=model) for model in scope.audited()],
        "pairs": [path(PAIRS, preferences=name) for name in scope.preferences()],
        "draws": [path(SAMPLES, preferences=name, draw=draws(scope, name)[0]) for name in scope.sampled()],
        "ranked": [path(RANKED, preferences=name) for name in scope.sampled()],
    }
    return Plan([Output(table, path(TABLE, table=table), {"table": table}) for table in TABLES], common, inputs)


def _labels(scope: Scope) -> list[str]:
    return list(dict.fromkeys(dataset for _, dataset in scope.labelled()))


def _report(scope: Scope, _: str) -> Plan:
    experiment = scope.experiment
    common = {
        **experiment_metadata(experiment),
        "experiment": experiment.name,
        "title": experiment.title,
        "description": experiment.description,
        "disclaimer": experiment.disclaimer,
        "tables": list(TABLES),
    }
    # What the cells open: ids, numbers, statuses and categories alone, whatever words the artifacts hold.
    read = _tables(scope, "tables")
    common |= {key: value for key, value in read.common.items() if key not in common and key != "margin"}
    inputs = {"tables": [scope.path(TABLE, table=table) for table in TABLES]}
    inputs |= {role: list(read.inputs[role]) for role in ITEMS}
    datasets = [experiment.benchmarks[name].dataset for name in experiment.evaluate.benchmarks]
    datasets += [experiment.prompts[name].dataset for name in experiment.evaluate.prompts]
    # Which records models learned from, and what became of the others.
    common["drops"] = sorted(
        {source.dataset for m in scope.mixtures() for source in experiment.mixtures[m].sources.values()}
    )
    inputs["drops"] = [scope.path(DROPS, dataset=name) for name in common["drops"]]
    inputs["outcomes"] = [scope.path(OUTCOMES, mixture=name) for name in scope.mixtures()]
    # Which training row holds a part of an item that counts as contaminated.
    held = scope.overlapping()
    common["overlaps"] = [f"{kind}/{data}" for kind, data in held]
    scored = dict.fromkeys(model for model, _ in scope.scored())
    common["trained_on"] = {model: [f"{kind}/{data}" for kind, data in scope.overlaps(model)] for model in scored}
    inputs["overlaps"] = [scope.path(OVERLAP, kind=kind, data=data) for kind, data in held]
    # Where the items are in the raw files.
    common["origins"] = sorted({*datasets, *_labels(scope), *scope.training_datasets()})
    inputs["origins"] = [scope.path(ORIGINS, dataset=name) for name in common["origins"]]
    return Plan([Output("report", scope.path(REPORT), {})], common, inputs)


STAGES = (
    Stage(
        name="tables",
        help="aggregate everything into the tables",
        module="primum.tables.stage",
        target="tables",
        rule="aggregate_tables",
        job="tables",
        jobs=lambda scope: ("tables",),
        plan=_tables,
        libraries=("pyarrow", "numpy", "scipy"),
    ),
    Stage(
        name="report",
        help="the page that people look at",
        module="primum.report.stage",
        target="report",
        rule="write_report",
        job="report",
        jobs=lambda scope: ("report",),
        plan=_report,
        kind="folder",
        libraries=("pyarrow", "numpy", "scipy", "jinja2", "markupsafe"),
    ),
)
