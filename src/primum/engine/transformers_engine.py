"""transformers in process: the default where there is no GPU.

Torch takes its number of threads from OMP_NUM_THREADS. Results are *exact* on a CPU at a fixed number of threads, and
*conditional* on hardware and versions on a GPU. A sampled answer depends on the seed and its conversation alone, up to
the rounding that the shape of a batch brings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig, LogitsProcessor, LogitsProcessorList

from primum.engine.protocol import Conversation, Report, Response, clean, conversation_seed
from primum.engine.render import answer_text, end_tokens, load_tokenizer, prompt_limit, prompts_within
from primum.errors import PrimumError
from primum.experiment.types import Sampling
from primum.progress import hush_transformers


class SampleTokens(LogitsProcessor):  # type: ignore[misc]
    """Draws each row's next token by inverting the distribution's CDF at the row's own uniform number.

    One number a row and step, drawn beforehand from the row's seed, keeps a row's draws apart from its batch.
    """

    def __init__(self, seeds: Sequence[int], prompt_length: int, sampling: Sampling) -> None:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        rows = [torch.rand(sampling.max_tokens, generator=g, dtype=torch.float64) for g in generators]
        self._uniform = torch.stack(rows)  # [batch, max_tokens]
        self._prompt_length = prompt_length
        self._sampling = sampling

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """``scores`` [batch, vocabulary] with all but the drawn token at -inf, so that the greedy pick is it."""
        step = input_ids.shape[1] - self._prompt_length
        uniform = self._uniform[:, step : step + 1].to(scores.device)
        tempered = torch.softmax(scores.double() / self._sampling.temperature, dim=-1)
        probabilities, order = tempered.sort(dim=-1, descending=True, stable=True)
        cumulative = probabilities.cumsum(dim=-1)
        # Nucleus: the fewest likely tokens whose mass reaches top_p; the first is always kept.
        kept = (cumulative - probabilities < self._sampling.top_p).sum(dim=-1, keepdim=True)
        mass = cumulative.gather(-1, kept - 1)
        drawn = torch.minimum(torch.searchsorted(cumulative, uniform * mass, right=True), kept - 1)
        chosen = torch.full_like(scores, float("-inf"))
        return chosen.scatter_(-1, order.gather(-1, drawn), 0.0)


def batches(lengths: Sequence[int], max_tokens: int, batch_tokens: int) -> list[list[int]]:
    """Indices of ``lengths`` (prompt tokens) in batches of similar length, longest first.

    A batch's padded size, answers included, stays within ``batch_tokens``; one that is larger alone is a batch of one.
    """
    made: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        longest = lengths[made[-1][0]] if made else 0
        if made and (len(made[-1]) + 1) * (longest + max_tokens) <= batch_tokens:
            made[-1].append(index)
        else:
            made.append([index])
    return made


class TransformersEngine:
    """A causal language model from a folder of safetensors, in batches of at most ``batch_tokens`` tokens."""

    def __init__(self, folder: Path, dtype: str, max_length: int, batch_tokens: int) -> None:
        self.surrogates = 0
        self.identifiers: Counter[str] = Counter()
        self._folder, self._max_length, self._batch_tokens = folder, max_length, batch_tokens
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer = load_tokenizer(folder)
        self._ends = end_tokens(self._tokenizer, folder)
        hush_transformers()
        try:
            model: Any
            model, loading = AutoModelForCausalLM.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=getattr(torch, dtype),
                output_loading_info=True,
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            kind = type(error).__name__
            raise PrimumError(f"{folder}: no model can be loaded from its safetensors ({kind}): get it again") from None
        if loading["missing_keys"]:
            # The library would fill them with random numbers and go on.
            raise PrimumError(f"{folder}: {len(loading['missing_keys'])} weights are missing: get the model again")
        self._model = model.to(self._device).eval()
        # What a model's own file says of sampling or penalties would be merged into every call.
        self._model.generation_config = GenerationConfig()

    def chat(
        self, conversations: Sequence[Conversation], sampling: Sampling, seed: int, report: Report
    ) -> list[Response]:
        """See :class:`primum.engine.Engine`. A prompt that leaves no room for max_tokens is not cut but refused."""
        limit = prompt_limit(self._folder, self._max_length, sampling.max_tokens)
        prompts, responses = prompts_within(self._tokenizer, conversations, limit)
        fitting = list(prompts)
        tokens = sum(response.prompt_tokens for response in responses.values())
        for batch in batches([len(prompts[i]) for i in fitting], sampling.max_tokens, self._batch_tokens):
            indices = [fitting[position] for position in batch]
            seeds = [conversation_seed(seed, conversations[index]) for index in indices]
            answers = self._answer([prompts[index] for index in indices], seeds, sampling)
            for index, response in zip(indices, answers, strict=True):
                responses[index] = response
                tokens += response.prompt_tokens + response.completion_tokens
            report(len(responses), tokens)
        return [responses[index] for index in range(len(conversations))]

    def _answer(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], sampling: Sampling) -> list[Response]:
        width = max(len(ids) for ids in prompts)
        pad = self._ends[0]
        padded = torch.tensor([[pad] * (width - len(ids)) + list(ids) for ids in prompts], device=self._device)
        mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts], device=self._device)
        processors = [SampleTokens(seeds, width, sampling)] if sampling.temperature > 0 else []
        config = GenerationConfig(
            do_sample=False, max_new_tokens=sampling.max_tokens, eos_token_id=self._ends, pad_token_id=pad
        )
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=padded,
                attention_mask=mask,
                generation_config=config,
                logits_processor=LogitsProcessorList(processors),
            )
        answers = output[:, width:].tolist()
        return [self._response(ids, new, sampling) for ids, new in zip(prompts, answers, strict=True)]

    def _response(self, prompt: Sequence[int], new: Sequence[int], sampling: Sampling) -> Response:
        text, end = answer_text(self._tokenizer, new, self._ends, prompt)
        text, replaced = clean(text)
        self.surrogates += replaced
        completion_tokens = sampling.max_tokens if end is None else end + 1
        return Response(text, "length" if end is None else "stop", len(prompt), completion_tokens)
