"""A reward model: any sequence classifier in safetensors that reads a conversation and gives it a number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from primum.artifact.job import Item, Job
from primum.engine.render import context_length
from primum.errors import PrimumError
from primum.parallel.batches import in_batches
from primum.prefer.candidates import Candidates, prompt_text
from primum.prefer.fitting import reward_fitting
from primum.prefer.loading import load_ranker
from primum.text.chat import render
from primum.text.packing import Ids
from primum.text.rows import Message


class RewardModel:
    """The reward is the model's one logit, or of several the log-probability of the experiment's ``label``.

    A model with a chat template reads the conversation as that renders it, one without reads prompt and response as a pair of
    texts. What is too long for it gets no reward, and neither does what its chat template refuses.
    """

    def __init__(self, job: Job, item: Item) -> None:
        self.counts: dict[str, int] = {}
        self._job, self._item, self._label = job, item, job.common["label"]
        source = item.one("ranker")
        family, about = AutoModelForSequenceClassification, "sequence classifier that can be loaded: name another model"
        self._model, self._tokenizer, missing = load_ranker(source, family, job.common["dtype"], about)
        if missing:  # as of a causal language model, which has no such head
            raise PrimumError(f"{source.data}: has no weights of a classifier's head: it is no reward model")
        labels = self._model.config.num_labels
        if labels > 1 and self._label is None:
            raise PrimumError(f"{source.data}: has {labels} labels: say which counts with 'label', 0 to {labels - 1}")
        if self._label is not None and not (labels > 1 and self._label < labels):
            raise PrimumError(f"{source.data}: has no label {self._label}: it has {labels}")
        self._limit = context_length(source.data, job.common["max_length"])

    def rewards(self, candidates: Sequence[Candidates]) -> list[list[float | str]]:
        """See :class:`primum.prefer.candidates.Ranker`."""
        encoded = [self._encode(each.prompt, response) for each in candidates for response in each.responses]
        return reward_fitting(
            self._job, self._item, candidates, encoded, lambda row: len(row["input_ids"]), self._limit, self._rewards
        )

    def _rewards(self, rows: Sequence[dict[str, Ids]], labels: Sequence[str]) -> list[float]:
        return in_batches(
            [len(row["input_ids"]) for row in rows],
            self._job.common["batch_tokens"],
            lambda indices: self._score([rows[index] for index in indices]),
            self._item.work,
            "rewards",
            self._item.name,
            self._job.progress,
            label=labels.__getitem__,
        )

    def _encode(self, prompt: Sequence[Message], response: str) -> dict[str, Ids] | None:
        """Token ids, and token types where the model tells two texts apart by them."""
        if self._tokenizer.chat_template is None:
            encoded = dict(self._tokenizer(prompt_text(prompt), response))
        else:
            try:
                text = render(self._tokenizer, [*prompt, Message("assistant", response)], generation_prompt=False)
            except PrimumError:
                return None
            encoded = dict(self._tokenizer(text, add_special_tokens=False))
        return {name: np.array(ids, dtype=np.int32) for name, ids in encoded.items() if name != "attention_mask"}

    def _score(self, rows: Sequence[dict[str, Ids]]) -> list[float]:
        width, device = max(len(row["input_ids"]) for row in rows), self._model.device
        pad = self._model.config.pad_token_id
        if pad is None:
            # Decoders are read at their last token, which they find by the padding: a token that no row has.
            used = {token for row in rows for token in row["input_ids"].tolist()}
            pad = next(token for token in range(self._model.config.vocab_size) if token not in used)
        given = {name: torch.zeros((len(rows), width), dtype=torch.int64) for name in (*rows[0], "attention_mask")}
        given["input_ids"].fill_(pad)
        for place, row in enumerate(rows):
            for name, ids in row.items():
                given[name][place, : len(ids)] = torch.from_numpy(ids)
            given["attention_mask"][place, : len(row["input_ids"])] = 1
        before, self._model.config.pad_token_id = self._model.config.pad_token_id, pad
        with torch.inference_mode():
            logits = self._model(**{name: ids.to(device) for name, ids in given.items()}).logits.float()
        self._model.config.pad_token_id = before
        values: torch.Tensor = logits[:, 0] if self._label is None else logits.log_softmax(-1)[:, self._label]
        found: list[float] = values.tolist()
        return found
