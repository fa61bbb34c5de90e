"""What a model learns from, as text: packed chunks and preference pairs with the tokens that bear a loss marked."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from primum.artifact.manifest import Artifact, load_manifest
from primum.text.packing import IGNORED

# The ANSI colours of what is given, learned, and learned to be avoided; the brackets where there are no colours.
_COLOURS = {"given": "2", "learned": "32", "rejected": "31"}
_BRACKETS = {"given": ("", ""), "learned": ("[[", "]]"), "rejected": ("{{", "}}")}


def tokenizer_of(artifact: Artifact) -> Any | None:
    """The tokenizer of the model that the tokens of ``artifact`` are for; None where that model is not here."""
    wanted = artifact.manifest.inputs.get("model", [])
    models = next((each / "models" for each in artifact.path.absolute().parents if (each / "models").is_dir()), None)
    for path in sorted(models.glob("*/manifest.json")) if models is not None else ():
        if load_manifest(path).content in wanted:
            from primum.text.tokenizer import load_tokenizer

            return load_tokenizer(Artifact.open(path))
    return None


def learned_text(row: Mapping[str, Any], tokenizer: Any) -> Iterator[str]:
    """A packed chunk, sample by sample, or a pair, as lines of text; a sample's first token bears no loss anywhere."""
    if "prompt_ids" in row:
        yield _marked(tokenizer, [(row["prompt_ids"], "given"), (row["chosen_ids"], "learned")])
        yield _marked(tokenizer, [(row["prompt_ids"], "given"), (row["rejected_ids"], "rejected")])
        return
    start = 0
    for length in row["seq_lengths"]:
        end = start + length
        flags = [False, *(label != IGNORED for label in row["labels"][start + 1 : end])]
        runs = groupby(zip(row["input_ids"][start:end], flags, strict=True), key=lambda pair: pair[1])
        yield _marked(tokenizer, [([token for token, _ in run], "learned" if kind else "given") for kind, run in runs])
        start = end


def _marked(tokenizer: Any, runs: Sequence[tuple[Sequence[int], str]]) -> str:
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    pieces: list[str] = []
    before: list[int] = []
    for ids, kind in runs:
        # Not by themselves: a tokenizer that marks spaces hides one at the beginning of what it decodes.
        texts = [_decoded(tokenizer, each) for each in (before, [*before, *ids])]
        before += ids
        text = _harmless(texts[1].removeprefix(texts[0]))
        opening, closing = _BRACKETS[kind]
        pieces.append(f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m" if colours else f"{opening}{text}{closing}")
    return "".join(pieces)


def _decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text


def _harmless(text: str) -> str:
    """Escaped but for line ends: what a model wrote must not steer the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)
