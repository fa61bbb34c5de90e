"""What the GPU benchmark runs on: a Llama of random weights, invented rows, and how many FLOPs training on them takes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from primum.score.rows import Packed
from primum.text.packing import IGNORED, Sample, pack
from primum.text.tokenizer import train_tokenizer

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# Ids below this are special tokens.
FIRST = 300


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama's sizes, and the tokens of a chunk."""

    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    chunk: int


# Llama 3.2 1B, its head untied from its embeddings.
FULL = Shape(2048, 8192, 16, 32, 8, 32_000, 8192)
TINY = Shape(64, 128, 2, 4, 2, 640, 512)


def llama(shape: Shape, dtype: torch.dtype = torch.float32, attention: str = "sdpa") -> Any:
    """Random weights, made on the device; the same seed gives the same ones in every process."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.chunk,
        tie_word_embeddings=False,
        attn_implementation=attention,
    )
    with torch.device(DEVICE):
        return LlamaForCausalLM(config).to(dtype)


def tokenizer() -> Any:
    """Any tokenizer with a padding and an end token: all rows are token ids already."""
    return train_tokenizer(["what the patient has, and what helps"], 300)


def samples(shape: Shape, tokens: int, whole: bool = False) -> list[Sample]:
    """Conversations of about ``tokens`` tokens in all: log-normal lengths, the first two fifths without a label.

    At 8,192 tokens a chunk: median 370, mean 560. ``whole`` makes each as long as a chunk.
    """
    draw = np.random.default_rng(0)
    found: list[Sample] = []
    while tokens > 0:
        length = shape.chunk if whole else int(np.clip(draw.lognormal(np.log(shape.chunk / 22), 0.9), 16, shape.chunk))
        ids = draw.integers(FIRST, shape.vocabulary, length, dtype=np.int32)
        labels = ids.copy()
        labels[: length * 2 // 5] = IGNORED
        found.append(Sample(ids, labels))
        tokens -= length
    return found


def packed(shape: Shape, chunks: int, whole: bool = False) -> pa.Table:
    """``chunks`` chunks, as primum's stage ``pack`` makes them; the last ones, which few samples are left for, are not taken."""
    table = pack(samples(shape, shape.chunk * (chunks + 2), whole), shape.chunk, 0)
    fullest = sorted(range(table.num_rows), key=lambda i: -len(table["input_ids"][i]))[:chunks]
    return table.take(sorted(fullest))


def pairs(shape: Shape, number: int) -> list[dict[str, Any]]:
    """Preference pairs as token ids: prompts of about 160 tokens, responses of about 260 (at 8,192 a chunk)."""
    draw = np.random.default_rng(1)

    def ids(mean: int) -> list[int]:
        length = int(draw.integers(max(4, mean // 2), max(8, mean * 3 // 2)))
        return [int(each) for each in draw.integers(FIRST, shape.vocabulary, length)]

    prompt, response = shape.chunk * 160 // 8192, shape.chunk * 260 // 8192
    return [
        {"id": str(n), "prompt_ids": ids(prompt), "chosen_ids": ids(response), "rejected_ids": ids(response)}
        for n in range(number)
    ]


def questions(shape: Shape, number: int, context: int, shots: int) -> list[Packed]:
    """Four choices of about 10 tokens each after a context of about ``context``, behind ``shots`` shared examples."""
    draw = random.Random(2)

    def ids(mean: int) -> list[int]:
        length = draw.randint(mean * 2 // 3, mean * 4 // 3)
        return [draw.randrange(FIRST, shape.vocabulary) for _ in range(length)]

    examples = [token for _ in range(shots) for token in ids(context + 10)]
    return [([*examples, *ids(context)], [ids(10) for _ in range(4)]) for _ in range(number)]


def flops(model: Any, lengths: Sequence[int]) -> float:
    """Model FLOPs of a training step on sequences of these lengths, each attending to itself alone (PaLM, appendix B).

    6 N a token for the matrix products, N being all parameters but the input embedding, which multiplies nothing; and
    12 L H Q T a token for attention over T positions, of which a causal mask needs half: 6 L H Q T^2 a sequence.
    Activations computed again (checkpointing) and padding are no model FLOPs.
    """
    config = model.config
    used = sum(p.numel() for p in model.parameters()) - model.get_input_embeddings().weight.numel()
    attention = 6 * config.num_hidden_layers * config.num_attention_heads * config.head_dim
    return float(6 * used * sum(lengths) + attention * sum(length**2 for length in lengths))
