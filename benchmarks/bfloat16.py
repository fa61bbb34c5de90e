"""In bfloat16: how often primum's and lm-eval's predictions differ, and how far both are from those of the same float32 model.

    python benchmarks/bfloat16.py

MedMCQA, zero-shot, on the Llama of random weights that ``score_speed.py`` has, or on ``--model``, a folder of a model with its
tokenizer. Both backends get the same token ids and the same weights.
"""

from __future__ import annotations

import argparse
import copy
import logging
import random
from pathlib import Path
from typing import Any

import torch
from speed_cases import LISTED, REAL, llama, requests, rows, tokenizer_of
from transformers import AutoModelForCausalLM, AutoTokenizer

from primum.score.loglikelihood import loglikelihoods
from primum.score.reach import reach
from primum.score.rows import Packed
from primum.text.choices import render_choice

Sums = list[list[float]]


def primum(model: Any, tokenizer: Any, asked: list[Packed]) -> Sums:
    """Log-likelihoods by item and choice, as the stage ``score`` has them."""
    pad = tokenizer.pad_token_id
    found = loglikelihoods(model, asked, pad, 4096, lambda done, tokens: None, reach(model, pad, print))
    return [[each.logprob for each in choices] for choices in found]


def lm_eval(model: Any, tokenizer: Any, asked: list[Packed]) -> Sums:
    """The same by lm-eval's ``hf`` backend, with its defaults."""
    from lm_eval.models.huggingface import HFLM

    backend = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=8, device="cpu", max_length=4096)
    flat = [(("", ""), context, choice) for context, choices in asked for choice in choices]
    values = iter(value for value, _ in backend._loglikelihood_tokens(flat, disable_tqdm=True))
    return [[next(values) for _ in choices] for _, choices in asked]


def _predictions(sums: Sums) -> list[int]:
    return [values.index(max(values)) for values in sums]


def _differing(one: Sums, other: Sums) -> int:
    return sum(a != b for a, b in zip(_predictions(one), _predictions(other), strict=True))


def distance(one: Sums, other: Sums) -> float:
    """The mean distance of the log-likelihoods, in nats."""
    pairs = [(a, b) for left, right in zip(one, other, strict=True) for a, b in zip(left, right, strict=True)]
    return sum(abs(a - b) for a, b in pairs) / len(pairs)


def main() -> None:
    """Print a line for each way of scoring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=REAL, help="folder of the published files (default: the tests')")
    parser.add_argument("--model", type=Path, help="a folder of a model (default: a Llama of random weights, 23M)")
    parser.add_argument("--items", type=int, default=200)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    found = rows("medmcqa-dev", arguments.data, 2000)
    if arguments.model:
        tokenizer = AutoTokenizer.from_pretrained(arguments.model)
        precise = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).eval()
    else:
        tokenizer = tokenizer_of([render_choice(LISTED, row) for row in found])
        precise = llama("23M")
    model = copy.deepcopy(precise).to(torch.bfloat16)

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    drawn = random.Random(1).sample(found, min(len(found), arguments.items))
    print(f"torch {torch.__version__}, {len(drawn)} items, predictions that differ; distance to float32 in nats")
    print(
        f"{'scoring':14}{'float32':>9}{'bfloat16':>10}{'primum to float32':>19}{'lm-eval to float32':>20}{'distances':>18}"
    )
    for scoring in ("full_answer", "letter"):
        asked = requests(drawn, (), scoring, LISTED, encode)
        exact, exact_theirs = (of(precise, tokenizer, asked) for of in (primum, lm_eval))
        ours, theirs = (of(model, tokenizer, asked) for of in (primum, lm_eval))
        print(
            f"{scoring:14}{_differing(exact, exact_theirs):9}{_differing(ours, theirs):10}{_differing(ours, exact):19}"
            f"{_differing(theirs, exact):20}{distance(ours, exact):9.4f}{distance(theirs, exact):9.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
