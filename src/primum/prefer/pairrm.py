"""PairRM (Jiang et al. 2023, LLM-Blender): any two responses compared by a DeBERTa-v3 that reads both, in both orders.

Reads a folder of the kind of ``llm-blender/PairRM-hf``: ``<|source|>`` and the prompt, ``<|candidate1|>`` and one response,
``<|candidate2|>`` and the other, each ended by a separator. A small network turns the encodings at the prompt's mark and at a
response's mark into a score, and the difference of the two scores says which is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Model, DebertaV2PreTrainedModel

from primum.artifact.job import Item, Job
from primum.errors import PrimumError
from primum.parallel.batches import in_batches
from primum.prefer.candidates import Candidates, prompt_text
from primum.prefer.loading import load_ranker
from primum.text.packing import Ids

# As published: a prompt is cut at 1,224 tokens, and the two responses share what is left of 2,048.
SOURCE_TOKENS, ALL_TOKENS = 1224, 2048
MARKS = ("<|source|>", "<|candidate1|>", "<|candidate2|>")


class PairRM(DebertaV2PreTrainedModel):  # type: ignore[misc]
    """The model; its parts are named as in the published weights."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.pretrained_model = DebertaV2Model(config)
        drop = getattr(config, "drop_out", 0.0)
        self.head_layer = nn.Sequential(
            nn.Dropout(drop), nn.Linear(2 * size, size), nn.Tanh(), nn.Dropout(drop), nn.Linear(size, 1)
        )
        self.post_init()

    def forward(self, ids: torch.Tensor, attention: torch.Tensor, marks: torch.Tensor) -> torch.Tensor:
        """How much better the first response is than the second, (batch,): more than 0 where it is.

        ``ids`` and ``attention`` (batch, tokens), ``marks`` (batch, 3): where the marks of prompt and responses are.
        """
        encoded = self.pretrained_model(input_ids=ids, attention_mask=attention).last_hidden_state
        source, first, second = (encoded[torch.arange(len(ids)), marks[:, part]] for part in range(3))
        scores = [self.head_layer(torch.cat([source, response], dim=-1)) for response in (first, second)]
        better: torch.Tensor = (scores[0] - scores[1]).mean(dim=-1)
        return better


class PairRanker:
    """A reward is a response's mean margin over the others of its prompt, each margin the mean of both orders (in logits)."""

    def __init__(self, job: Job, item: Item) -> None:
        self._job, self._item = job, item
        source = item.one("ranker")
        about = "PairRM that can be loaded: use llm-blender/PairRM-hf"
        self._model, self._tokenizer, missing = load_ranker(source, PairRM, job.common["dtype"], about)
        if missing:
            raise PrimumError(f"{source.data}: has not {missing} weights of a PairRM: use llm-blender/PairRM-hf")
        self._marks = [self._tokenizer.convert_tokens_to_ids(mark) for mark in MARKS]
        if any(mark in (None, self._tokenizer.unk_token_id) for mark in self._marks):
            raise PrimumError(f"{source.data}: its tokenizer has not the marks {', '.join(MARKS)}: it is no PairRM")
        self.counts = {"cut-prompts": 0, "cut-responses": 0, "comparisons": 0, "order-decided": 0}

    def rewards(self, candidates: Sequence[Candidates]) -> list[list[float | str]]:
        """See :class:`primum.prefer.candidates.Ranker`.

        ``order-decided`` counts the pairs of which the response that is shown first wins both times, or loses.
        """
        texts = [self._encoded(each) for each in candidates]
        asked = [
            (group, first, second)
            for group, each in enumerate(candidates)
            for first, second in permutations(range(len(each.responses)), 2)
        ]
        # Put together batch by batch: all rows at once would hold each text many times.
        logits = in_batches(
            [sum(map(len, texts[group].parts(first, second))) for group, first, second in asked],
            self._job.common["batch_tokens"],
            lambda indices: self._compare(
                [texts[group].parts(*shown) for group, *shown in map(asked.__getitem__, indices)]
            ),
            self._item.work,
            "comparisons",
            self._item.name,
            self._job.progress,
            label=lambda index: candidates[asked[index][0]].id,
        )
        won = dict(zip(asked, logits, strict=True))
        self.counts["comparisons"] = len(asked)
        self.counts["order-decided"] = sum(
            (won[group, first, second] > 0) == (won[group, second, first] > 0)
            for group, first, second in asked
            if first < second
        )
        return [_mean_margins(won, group, len(each.responses)) for group, each in enumerate(candidates)]

    def _encoded(self, each: Candidates) -> _Encoded:
        source = self._encode(0, prompt_text(each.prompt), SOURCE_TOKENS)
        room = (ALL_TOKENS - len(source)) // 2
        first, second = ([self._encode(part, response, room) for response in each.responses] for part in (1, 2))
        return _Encoded(source, first, second)

    def _encode(self, part: int, text: str, room: int) -> Ids:
        """The text behind its mark, between the tokenizer's own first and last token, at most ``room`` tokens in all."""
        ids = self._tokenizer.encode(MARKS[part] + text)
        if len(ids) > room:
            if part < 2:  # each response is encoded once as the first and once as the second
                self.counts[("cut-prompts", "cut-responses")[part]] += 1
            ids = self._tokenizer.encode(MARKS[part] + text, max_length=room, truncation=True)
        return np.array(ids, dtype=np.int32)

    def _compare(self, rows: Sequence[tuple[Ids, Ids, Ids]]) -> list[float]:
        """The logits of rows, a prompt and two responses each."""
        device, width = self._model.device, max(sum(map(len, parts)) for parts in rows)
        ids = torch.full((len(rows), width), self._tokenizer.pad_token_id)
        attention = torch.zeros((len(rows), width), dtype=torch.int64)
        marks = torch.zeros((len(rows), 3), dtype=torch.int64)
        for place, parts in enumerate(rows):
            row = np.concatenate(parts)
            ids[place, : len(row)] = torch.from_numpy(row)
            attention[place, : len(row)] = 1
            starts = [0, len(parts[0]), len(parts[0]) + len(parts[1])]
            for part, mark in enumerate(self._marks):
                # A text may spell out a mark itself: its own is the first one in it.
                marks[place, part] = starts[part] + int(np.argmax(parts[part] == mark))
        with torch.inference_mode():
            logits: list[float] = self._model(ids.to(device), attention.to(device), marks.to(device)).float().tolist()
        return logits


@dataclass(frozen=True, slots=True, eq=False)
class _Encoded:
    """A prompt, and its responses as the first and as the second of a pair, each behind its mark."""

    source: Ids
    first: Sequence[Ids]
    second: Sequence[Ids]

    def parts(self, first: int, second: int) -> tuple[Ids, Ids, Ids]:
        """What is read when two responses are compared."""
        return self.source, self.first[first], self.second[second]


def _mean_margins(won: dict[tuple[int, int, int], float], group: int, n: int) -> list[float | str]:
    return [
        sum((won[group, own, other] - won[group, other, own]) / 2 for other in range(n) if other != own) / (n - 1)
        for own in range(n)
    ]
