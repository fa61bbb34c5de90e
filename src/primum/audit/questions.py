"""What is asked of models that answer and judge: how many questions there are, and the tokens of one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from primum.artifact.manifest import Manifest
from primum.dag.curation import ROWS
from primum.dag.judges import canaries
from primum.dag.judging import CANARY, CRITERIA, GENERATION, GRADED, JUDGEMENT
from primum.dag.preferences import ASSESSED
from primum.dag.state import JobState
from primum.dag.workflow import Workflow

CRITERIA_A_RESPONSE = 12  # HealthBench has 11.4
PUBLISHED_CHARACTERS = 7000  # of MedSafetyBench's longer policy, rubric and steps, which are in no spec
CHARACTERS_A_TOKEN = 3  # of a judge's template and policy; English has about 4
REQUEST_TOKENS = 256  # a request, and what the chat template adds


@dataclass(frozen=True, slots=True)
class Amount:
    """A sum of which ``unknown`` parts are not known."""

    value: float = 0
    unknown: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.value + other.value, self.unknown + other.unknown)


UNKNOWN = Amount(0, 1)


def number(value: float) -> str:
    """To be read, not to be reckoned with: 1.2M, 2,742, 46.9, 0.031."""
    if value >= 1e6:
        return f"{value / 1e6:,.1f}M"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def spoken(amount: Amount | None) -> str:
    """``12``, ``at least 12`` where a part is unknown, ``unknown`` where all is, ``-`` where nothing is estimated."""
    if amount is None:
        return "-"
    if not amount.unknown:
        return number(amount.value)
    return f"at least {number(amount.value)}" if amount.value else "unknown"


@dataclass(frozen=True, slots=True)
class Questions:
    """What a judge is asked by one job: how many questions, and the tokens of one, sent and at most written."""

    count: Amount
    prompt: int
    completion: int


def judge_tokens(run: Workflow, job: JobState, known: Mapping[str, Manifest]) -> Amount | None:
    """Tokens that a judge reads and writes for what is missing; None for other stages and for judges without a model."""
    asked = judge_questions(run, job, known)
    if asked is None:
        return None
    each, engine = asked.prompt + asked.completion, run.experiment.engine_of(judge_model(run, job) or "")
    if engine.kind != "openai":
        each = min(each, engine.max_length)  # longer questions are not asked
    return Amount(asked.count.value * each, asked.count.unknown)


def judge_model(run: Workflow, job: JobState) -> str | None:
    """The model that a job of judging asks; None for other jobs, and for judges without one."""
    if (job.target != "judge" and job.stage != "assess") or job.stage == "verdicts":
        return None
    return run.experiment.judges[job.name.partition("/")[0]].model


def judge_questions(run: Workflow, job: JobState, known: Mapping[str, Manifest]) -> Questions | None:
    """What a judge is asked for what is missing; None where :func:`judge_model` is."""
    if judge_model(run, job) is None:
        return None
    e, path = run.experiment, run.dag.path
    name, _, model = job.name.partition("/")
    judge = e.judges[name]
    common = job.job.plan.common
    asked = PUBLISHED_CHARACTERS if judge.published else len(common["template"])
    asked += max(map(len, common.get("policies", {}).values()), default=0)
    times = 1
    if job.stage == "agreement":
        tested: dict[str, float | None] = {path(CANARY, judge=name): float(len(canaries(run.dag)))}
        tested |= {path(GRADED, judge=name): _rows(run, judge.graded or "", known)}
        rows = [count for each, count in tested.items() if each in job.missing]
    elif job.stage == "assess":
        rows = [
            _at_most(run, dataset, run.dag.responding()[model][dataset], known)
            for dataset in run.dag.assessing()[job.name]
            if path(ASSESSED, judge=name, model=model, dataset=dataset) in job.missing
        ]
    elif job.stage == "grade":
        times = CRITERIA_A_RESPONSE
        rows = [
            responses(run, model, prompts, known)
            for judge_name, model, prompts in run.dag.graded()
            if path(CRITERIA, judge=judge_name, model=model, prompts=prompts) in job.missing
        ]
    else:
        missing = [
            prompts
            for prompts in judge.prompts
            if path(JUDGEMENT, judge=name, model=model, prompts=prompts) in job.missing
        ]
        rows = [responses(run, model, prompts, known) for prompts in missing]
    return Questions(
        sum((UNKNOWN if count is None else Amount(count * times) for count in rows), Amount()),
        math.ceil(asked / CHARACTERS_A_TOKEN) + REQUEST_TOKENS + e.sampling.max_tokens,
        judge.sampling.max_tokens,
    )


def responses(run: Workflow, model: str, prompts: str, known: Mapping[str, Manifest]) -> float | None:
    """How many responses of ``model`` to a prompt set there are or will be, at most: None before that is known."""
    made = counted(known.get(run.dag.path(GENERATION, model=model, prompts=prompts)), "rows")
    if made is not None:
        return made
    entry = run.experiment.prompts[prompts]
    return _at_most(run, entry.dataset, entry.take, known)


def _at_most(run: Workflow, dataset: str, take: int | None, known: Mapping[str, Manifest]) -> float | None:
    bounds = [_rows(run, dataset, known), take]
    return min((bound for bound in bounds if bound is not None), default=None)


def _rows(run: Workflow, dataset: str, known: Mapping[str, Manifest]) -> float | None:
    """The rows of a dataset: as they were counted, or as the catalog says of its files."""
    there = counted(known.get(run.dag.path(ROWS, dataset=dataset)), "rows")
    entry = run.experiment.datasets.get(dataset)
    return there if there is not None or entry is None else entry.rows


def counted(manifest: Manifest | None, key: str) -> float | None:
    """A count of a manifest; None without one."""
    return None if manifest is None or key not in manifest.counts else float(manifest.counts[key])
