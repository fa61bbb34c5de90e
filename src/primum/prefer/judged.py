"""A model as a judge: each response gets a score from 1 to 5 by a rubric."""

from __future__ import annotations

from collections.abc import Sequence

from primum.artifact.job import Item, Job
from primum.engine import open_engine
from primum.engine.protocol import refuse_many_errors
from primum.experiment.types import Sampling
from primum.prefer.candidates import Candidates, by_prompt, prompt_text
from primum.text.answer_line import asked_code
from primum.text.rubric import question
from primum.text.verdict import parse


class Judged:
    """The reward is the score, or minus the score where the lowest is the best. An answer without a score has its status."""

    def __init__(self, job: Job, item: Item) -> None:
        self.counts: dict[str, int] = {}
        self._job, self._item = job, item
        self._engine = open_engine(job.common["engine"], item.one("ranker"), job.progress, item.work)

    def rewards(self, candidates: Sequence[Candidates]) -> list[list[float | str]]:
        """See :class:`primum.prefer.candidates.Ranker`. PrimumError when more than 20% of the questions failed."""
        common = self._job.common
        pairs = [(prompt_text(each.prompt), response) for each in candidates for response in each.responses]
        questions = [question(common["template"], {}, "", *pair) for pair in pairs]

        def report(done: int, tokens: int) -> None:
            self._job.progress.update(self._item.name, done, len(questions), tokens, "tokens")

        answers = self._engine.chat(questions, Sampling(**common["sampling"]), common["seed"], report)
        if self._engine.identifiers:
            self.counts["identifiers"] = self._engine.identifiers.total()
        refuse_many_errors(self._item.name, answers)
        sign = 1 if common["best"] == "highest" else -1
        found: list[float | str] = []
        for pair, answer in zip(pairs, answers, strict=True):
            if answer.status != "stop":
                found.append("judge-cut" if answer.status == "length" else answer.status)
                continue
            verdict = parse(answer.text, asked_code(common["template"], *pair), "\n".join(pair))
            found.append(verdict.status if verdict.score is None else float(sign * verdict.score))
        return by_prompt(candidates, found)
