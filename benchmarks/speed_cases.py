"""What the speed of scoring is measured on: benchmark questions as token ids, and Llamas of random weights."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

from primum.curate.adapters import RawFile, read
from primum.experiment.datasets import Dataset
from primum.experiment.types import CHOICE_PROMPT
from primum.score.rows import Packed
from primum.text.choices import render_choice
from primum.text.rows import ChoiceRow

ROOT = Path(__file__).parents[1]
# Where the tests look for published files, too.
REAL = Path(os.environ.get("PRIMUM_REAL_DATA", ROOT.parent / "shared" / "data"))
VOCABULARY = 32_000
# How most harnesses ask: the choices stand in the context too.
LISTED = (
    "Question: {{ question }}\nChoices:\n"
    "{% for choice in choices %}{{ letters[loop.index0] }}. {{ choice }}\n{% endfor %}Answer:"
)
# name: width, feed-forward width, layers
SIZES = {"23M": (256, 704, 8), "35M": (384, 1024, 6), "70M": (512, 1408, 12)}
# The smallest as a Mistral whose layers see so many tokens back: fewer than five examples have.
WINDOW = 256


def rows(name: str, data: Path | None, take: int) -> list[ChoiceRow]:
    """The first rows of a benchmark: its published files under ``data``, or else the demo's in the same format."""
    catalog = "datasets" if data and (data / "medmcqa-dev").is_dir() else "demo-datasets"
    entries = yaml.safe_load((ROOT / "config/catalog" / f"{catalog}.yaml").read_text(encoding="utf-8"))["datasets"]
    key = name if catalog == "datasets" else f"demo-{name}"
    dataset = Dataset.model_validate(entries[key])
    folder = data if catalog == "datasets" and data else ROOT
    files = [RawFile(folder / file.path, file.path) for file in dataset.files]
    found = [row for row in read(dataset.adapter, files, name, dataset.options) if isinstance(row, ChoiceRow)]
    return found[:take]


def tokenizer_of(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE learnt from the benchmark itself; the model's vocabulary is larger all the same."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "</s>", "<pad>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=8000, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>")  # noqa: S106


def requests(
    asked: Sequence[ChoiceRow],
    examples: Sequence[ChoiceRow],
    scoring: str,
    prompt: str,
    encode: Callable[[str], list[int]],
) -> list[Packed]:
    """Every row as token ids: the examples with their answers, the question, and a continuation for each choice."""

    def choices(row: ChoiceRow) -> list[str]:
        return [f" {'ABCDEFGHIJ'[i] if scoring == 'letter' else choice}" for i, choice in enumerate(row.choices)]

    shots = "".join(f"{render_choice(prompt, row)}{choices(row)[row.target]}\n\n" for row in examples)
    result = []
    for row in asked:
        context = encode(f"<s>{shots}{render_choice(prompt, row)}")
        result.append((context, [encode(choice) for choice in choices(row)]))
    return result


def llama(size: str) -> Any:
    """A Llama of random weights, drawn wide enough that its answers differ; ``23M/256`` is a Mistral with that window."""
    name, _, window = size.partition("/")
    width, inner, layers = SIZES[name]
    torch.manual_seed(0)
    kind, made, own = LlamaConfig, LlamaForCausalLM, {}
    if window:
        kind, made, own = MistralConfig, MistralForCausalLM, {"sliding_window": int(window)}
    config = kind(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 64,
        max_position_embeddings=4096,
        initializer_range=0.05,
        **own,
    )
    return made(config).eval()


def cases(data: Path | None, quick: bool) -> tuple[Any, list[tuple[str, str, list[Packed]]]]:
    """A tokenizer, and (task, model size, requests); the first two are promised, the others vary one thing each."""
    draw = random.Random(0)
    medmcqa, medqa = (rows(name, data, 2000) for name in ("medmcqa-dev", "medqa-test"))
    texts = [render_choice(LISTED, row) for row in (*medmcqa, *medqa)]
    tokenizer = tokenizer_of(texts)

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def sample(
        found: list[ChoiceRow], take: int, shots: int = 0, scoring: str = "full_answer", prompt: str = LISTED
    ) -> list[Packed]:
        drawn = random.Random(1).sample(found, min(len(found), take + shots))
        return requests(drawn[shots:], drawn[:shots], scoring, prompt, encode)

    few, many = 12, 64
    base = "23M"
    result = [
        ("zero-shot, MedMCQA", base, sample(medmcqa, many)),
        ("five-shot, MedMCQA", base, sample(medmcqa, few, 5)),
    ]
    if quick:
        return tokenizer, result
    result += [
        ("zero-shot letter, MedMCQA", base, sample(medmcqa, many, scoring="letter")),
        ("five-shot letter, MedMCQA", base, sample(medmcqa, few, 5, scoring="letter")),
        ("zero-shot, choices not listed", base, sample(medmcqa, many, prompt=CHOICE_PROMPT)),
        ("zero-shot, MedQA", base, sample(medqa, few)),
        ("five-shot, MedQA", base, sample(medqa, few // 2, 5)),
    ]
    result += [(f"zero-shot, {name}", name, sample(medmcqa, few)) for name in SIZES if name != base]

    def invented(context: int, choices: int, length: tuple[int, int] = (2, 8)) -> list[Packed]:
        def tokens(number: int) -> list[int]:
            return [draw.randrange(300, VOCABULARY) for _ in range(number)]

        return [(tokens(context), [tokens(draw.randint(*length)) for _ in range(choices)]) for _ in range(few // 2)]

    result += [(f"{length} tokens of context", base, invented(length, 4)) for length in (32, 128, 512)]
    result += [(f"{number} choices", base, invented(128, number)) for number in (2, 10)]
    # Where little is gained: the choices are longer than the context, which is empty but for its begin, or short.
    result += [(f"{length} tokens of context, long endings", base, invented(length, 4, (24, 40))) for length in (1, 32)]
    windowed = f"{base}/{WINDOW}"
    result += [
        ("five-shot, full window", windowed.replace(str(WINDOW), "4096"), sample(medmcqa, few, 5)),
        (f"five-shot, window of {WINDOW}", windowed, sample(medmcqa, few, 5)),
    ]
    return tokenizer, result
