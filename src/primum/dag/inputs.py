"""What every job reads: the manifests by role that its rule (``rules/*.smk``) passes on.

For those who ask about jobs without Snakemake; a test holds this against Snakemake's own graph.
"""

from __future__ import annotations

from primum.dag.plan import TABLES
from primum.dag.workflow import Workflow
from primum.errors import PrimumError


def inputs_of(run: Workflow, stage: str, name: str) -> dict[str, list[str]]:
    """Role -> manifests of the job ``name`` of ``stage`` (as in ``Workflow.jobs``); roles without any are left out.

    PrimumError for a stage that there is not.
    """
    roles = {**_curation(run, stage, name), **_models(run, stage, name), **_evaluation(run, stage, name)}
    if not roles and stage not in ("fetch", "snapshot"):
        raise PrimumError(f"{stage!r}: nobody has said what it reads: add it to primum.dag.inputs")
    return {role: paths for role, paths in roles.items() if paths}


def _curation(run: Workflow, stage: str, name: str) -> dict[str, list[str]]:
    at = run.layout
    if stage == "read":
        return {"raw": [at.raw(name)]}
    if stage == "mix":
        sources = run.sources(name)
        benchmarks = run.plan.decontaminating(name)
        return {
            "rows": [at.rows(dataset) for dataset in sources],
            "drops": [at.drops(dataset) for dataset in sources],
            "benchmarks": [at.rows(dataset) for dataset in benchmarks],
        }
    if stage == "pairs":
        return {"rows": [at.rows(dataset) for dataset in run.experiment.preferences[name].datasets]}
    if stage == "overlap":
        kind, _, data = name.partition("/")
        read = at.mixture(data) if kind == "mixtures" else at.pairs(data)
        return {"data": [read], "benchmarks": [at.rows(dataset) for dataset in run.plan.knowledge()]}
    if stage == "pack":
        return {"mixture": [at.mixture(run.training_data(name))], "model": [at.model(run.start(name))]}
    return {}


def _models(run: Workflow, stage: str, name: str) -> dict[str, list[str]]:
    at = run.layout
    if stage == "pretrain":
        return {"mixture": [at.mixture(run.training_data(name))]}
    if stage == "sft":
        return {"model": [at.model(run.start(name))], "packed": [at.packed(name)]}
    if stage == "reference":
        return {"model": [at.model(run.reference(name))], "pairs": [at.pairs(run.training_data(name))]}
    if stage == "dpo":
        return {"model": [at.model(run.start(name))], "pairs": [at.reference(name)]}
    return {}


def _evaluation(run: Workflow, stage: str, name: str) -> dict[str, list[str]]:
    e, p, at = run.experiment, run.plan, run.layout
    if stage == "generate":
        prompts = [e.prompts[each].dataset for each in e.evaluate.prompts]
        return {"model": [at.model(name)], "prompts": [at.rows(dataset) for dataset in prompts]}
    if stage == "judge":
        judge, _, model = name.partition("/")
        responses = [at.generation(model, prompts) for prompts in e.judges[judge].prompts]
        return {"judge": run.judge_model(judge), "responses": responses}
    if stage == "agreement":
        return {"judge": run.judge_model(name), "graded": [at.rows(e.judges[name].graded or "")]}
    if stage in ("score", "answer"):
        return _scoring(run, stage, name)
    if stage == "tables":
        return {
            "scores": [at.score(*pair) for pair in p.scored()],
            "judgements": [at.judgement(*triple) for triple in p.judged()],
            "generations": [at.generation(*pair) for pair in p.generated()],
            "ledgers": [at.ledger(mixture) for mixture in p.mixtures()],
            "trained": [at.model(model) for model in p.trained()],
            "agreements": [at.agreement(judge) for judge in p.agreements()],
        }
    return {"tables": [at.table(table) for table in TABLES]} if stage == "report" else {}


def _scoring(run: Workflow, stage: str, name: str) -> dict[str, list[str]]:
    at = run.layout
    benchmarks = [run.experiment.benchmarks[each].datasets() for each in run.plan.benchmarks_of(name)]
    rows = [at.rows(questions) for questions, _ in benchmarks]
    if stage == "answer":
        return {"model": [at.model(name)], "benchmarks": rows}
    fewshot = [at.rows(examples) for _, examples in benchmarks]
    return {"model": [at.model(name)], "overlaps": run.overlaps(name), "benchmarks": rows, "fewshot": fewshot}
