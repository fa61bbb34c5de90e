"""What ``primum plan`` says of models behind endpoints: requests, tokens and dollars, still to come and already spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from primum.artifact.manifest import Manifest
from primum.audit.questions import (
    CHARACTERS_A_TOKEN,
    REQUEST_TOKENS,
    UNKNOWN,
    Amount,
    judge_model,
    judge_questions,
    number,
    responses,
    spoken,
)
from primum.dag.dag import Job
from primum.dag.judging import GENERATION
from primum.dag.state import JobState, RunState
from primum.dag.workflow import Workflow
from primum.experiment.models import EndpointModel, Price

ENDPOINTS_HEAD = (
    ("", "to ask,", "tokens", "tokens", "", "answers", "tokens", "tokens", ""),
    ("endpoint", "at most", "sent", "back", "dollars", "here", "sent", "back", "dollars"),
)


@dataclass(slots=True)
class Bill:
    """Of one model: ``requests`` and their tokens to come at most, and ``spent`` on what is here (:class:`Counter` of
    ``answers``, ``prompt_tokens``, ``completion_tokens``).
    """

    price: Price | None
    requests: Amount = field(default_factory=Amount)
    prompt: Amount = field(default_factory=Amount)
    completion: Amount = field(default_factory=Amount)
    spent: Counter[str] = field(default_factory=Counter)

    def add(self, count: Amount, prompt: float, completion: float) -> None:
        """So many requests of so many tokens each."""
        self.requests += count
        self.prompt += Amount(count.value * prompt, count.unknown)
        self.completion += Amount(count.value * completion, count.unknown)

    @property
    def to_pay(self) -> Amount | None:
        """Dollars to come at most; None without a price."""
        if self.price is None:
            return None
        dollars = self.price.prompt * self.prompt.value + self.price.completion * self.completion.value
        return Amount(dollars / 1e6, self.requests.unknown)

    @property
    def paid(self) -> Amount | None:
        """Dollars that the answers here cost at this price; attempts that brought none are not counted by anybody."""
        if self.price is None:
            return None
        tokens = self.spent
        dollars = self.price.prompt * tokens["prompt_tokens"] + self.price.completion * tokens["completion_tokens"]
        return Amount(dollars / 1e6)


def bills(run: Workflow, state: RunState) -> dict[str, Bill]:
    """The bill of each model behind an endpoint that the experiment asks, by its name."""
    found: dict[str, Bill] = {}
    for job in state.jobs:
        name = _asked_model(run, job)
        entry = run.experiment.models.get(name or "")
        if name is None or not isinstance(entry, EndpointModel):
            continue
        bill = found.setdefault(name, Bill(entry.price))
        for manifest in _made(job.job, state.known):
            bill.spent.update(manifest.run.get("cost", {}).get("spent", {}))
        if job.state == "to run":
            _add_to_come(bill, run, job, state.known)
    return found


def bill_rows(found: Mapping[str, Bill]) -> Iterator[tuple[str, ...]]:
    """One row a model, as :data:`ENDPOINTS_HEAD` has it."""
    for name, bill in found.items():
        coming = (bill.requests, bill.prompt, bill.completion, bill.to_pay)
        spent = [Amount(bill.spent[each]) for each in ("answers", "prompt_tokens", "completion_tokens")]
        yield (name, *map(_told, (*coming, *spent, bill.paid)))


def _told(amount: Amount | None) -> str:
    """``12+`` for at least 12, to keep the columns narrow."""
    return f"{number(amount.value)}+" if amount and amount.unknown and amount.value else spoken(amount)


def _asked_model(run: Workflow, job: JobState) -> str | None:
    if job.stage in ("generate", "answer"):
        return job.name
    preferences = run.experiment.preferences.get(job.name)
    if job.stage == "sample":
        return getattr(preferences, "start", None)
    if job.stage == "rate":
        ranker = run.experiment.rankers.get(getattr(preferences, "ranker", ""))
        return getattr(ranker, "model", None)
    return judge_model(run, job)


def _made(job: Job, known: Mapping[str, Manifest]) -> Iterator[Manifest]:
    return (known[output.path] for output in job.plan.outputs if output.path in known)


def _add_to_come(bill: Bill, run: Workflow, job: JobState, known: Mapping[str, Manifest]) -> None:
    questions = judge_questions(run, job, known)
    if questions is not None:
        bill.add(questions.count, questions.prompt, questions.completion)
    elif job.stage == "generate":
        for prompts in run.experiment.evaluate.prompts:
            if run.dag.path(GENERATION, model=job.name, prompts=prompts) in job.missing:
                count = responses(run, job.name, prompts, known)
                system = len(run.experiment.prompts[prompts].system) / CHARACTERS_A_TOKEN
                asked = UNKNOWN if count is None else Amount(count)
                bill.add(asked, REQUEST_TOKENS + system, run.experiment.sampling.max_tokens)
    else:
        bill.add(Amount(0, len(job.missing)), 0, 0)
