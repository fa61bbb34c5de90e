"""The implicit reward of a DPO model (Rafailov et al. 2023): beta times the log-ratio of model and reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from primum.artifact.job import Item, Job
from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.parallel.batches import in_batches
from primum.parallel.logprobs import response_logprobs
from primum.parallel.scorer import load_scorer
from primum.prefer.candidates import Candidates
from primum.prefer.fitting import reward_fitting
from primum.text.chat import check_answers
from primum.text.packing import Ids
from primum.text.tokenizer import load_tokenizer
from primum.text.tokens import answer_tokens


class ImplicitReward:
    """The model is asked about every response first, then the reference: one of them is in memory at a time.

    Each is whole in every process, or shared between them where a GPU cannot hold it.
    """

    def __init__(self, job: Job, item: Item) -> None:
        self.counts: dict[str, int] = {}
        self._job, self._item = job, item
        self._tokenizer = load_tokenizer(item.one("ranker"))
        try:
            check_answers(self._tokenizer)
        except PrimumError as error:
            raise PrimumError(f"{item.name}: {error}") from None

    def rewards(self, candidates: Sequence[Candidates]) -> list[list[float | str]]:
        """See :class:`primum.prefer.candidates.Ranker`.

        A response that is too long with its prompt, or that the chat template refuses, gets no reward.
        """
        split = [self._split(each, response) for each in candidates for response in each.responses]
        limit = self._job.common["max_length"]
        return reward_fitting(
            self._job, self._item, candidates, split, lambda row: len(row[0]) + len(row[1]), limit, self._rewards
        )

    def _rewards(self, rows: Sequence[tuple[Ids, Ids]], labels: Sequence[str]) -> list[float]:
        own = self._logprobs(self._item.one("ranker"), rows, labels, "model")
        other = self._logprobs(self._item.one("reference"), rows, labels, "reference")
        return [self._job.common["beta"] * (one - two) for one, two in zip(own, other, strict=True)]

    def _split(self, each: Candidates, response: str) -> tuple[Ids, Ids] | None:
        try:
            tokens, start = answer_tokens(self._tokenizer, each.prompt, response)
        except PrimumError:
            return None
        ids = np.array(tokens, dtype=np.int32)
        return ids[:start], ids[start:]

    def _logprobs(
        self, model: Artifact, rows: Sequence[tuple[Ids, Ids]], labels: Sequence[str], name: str
    ) -> list[float]:
        scorer = load_scorer(model, self._job.common["dtype"])
        pad = self._tokenizer.pad_token_id
        return in_batches(
            [len(prompt) + len(response) for prompt, response in rows],
            self._job.common["batch_tokens"],
            lambda indices: response_logprobs(scorer.model, [_lists(rows[index]) for index in indices], pad),
            self._item.work,
            name,
            f"{self._item.name}, {name}",
            self._job.progress,
            label=labels.__getitem__,
            together=scorer.shared,
        )


def _lists(row: tuple[Ids, Ids]) -> tuple[list[int], list[int]]:
    prompt, response = row
    return prompt.tolist(), response.tolist()
