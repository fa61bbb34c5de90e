"""What a model learns, as text: marked token by token, and printed only where harmful text is asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tokenised import tokenize_conversation

from primum.artifact.folder import folder_files, folder_hash
from primum.artifact.manifest import Manifest, save_manifest
from primum.artifact.table import content_hash, write_table
from primum.audit.learned import learned_text
from primum.audit.show import show
from primum.text.packing import PACKED, pack
from primum.text.rows import Message
from primum.text.tokenizer import train_tokenizer

HEAD = "<|start_header_id|>{}<|end_header_id|>\n\n"
USER, MODEL = HEAD.format("user"), HEAD.format("assistant")
TALKS = [("What helps?", "Rest\x1b[2J."), ("And then?", "Tea.")]


@pytest.fixture
def tokenizer() -> Any:
    return train_tokenizer(["What helps? Rest. And then? Tea."] * 3, 300)


@pytest.fixture
def chunks(tokenizer: Any) -> pa.Table:
    """One chunk of two conversations, the longer one first."""
    talks = [(Message("user", asked), Message("assistant", said)) for asked, said in TALKS]
    return pack([tokenize_conversation(tokenizer, talk, train_on_inputs=False) for talk in talks], 256, seed=0)


EXPECTED = [
    f"<|begin_of_text|>{USER}What helps?<|eot_id|>{MODEL}[[Rest\\x1b[2J.<|eot_id|>]]",
    f"<|begin_of_text|>{USER}And then?<|eot_id|>{MODEL}[[Tea.<|eot_id|>]]",
]


def test_a_chunk_sample_by_sample(tokenizer: Any, chunks: pa.Table) -> None:
    (row,) = chunks.to_pylist()
    assert list(learned_text(row, tokenizer)) == EXPECTED
    # With a loss on everything, a sample's first token still has none: nothing comes before it.
    everything = row | {"labels": row["input_ids"]}
    assert [text.partition("[[")[0] for text in learned_text(everything, tokenizer)] == ["<|begin_of_text|>"] * 2


def test_colours_on_a_terminal(tokenizer: Any, chunks: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = list(learned_text(chunks.to_pylist()[0], tokenizer))[1]
    assert text == f"\x1b[2m<|begin_of_text|>{USER}And then?<|eot_id|>{MODEL}\x1b[0m\x1b[32mTea.<|eot_id|>\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert list(learned_text(chunks.to_pylist()[0], tokenizer)) == EXPECTED


def test_a_pair(tokenizer: Any) -> None:
    ids = {
        name: tokenizer(text, add_special_tokens=False)["input_ids"]
        for name, text in zip("pcr", ("What? ", "Rest.", "Tea."), strict=True)
    }
    row = {"id": "0", "prompt_ids": ids["p"], "chosen_ids": ids["c"], "rejected_ids": ids["r"]}
    assert list(learned_text(row, tokenizer)) == ["What? [[Rest.]]", "What? {{Tea.}}"]


def test_show_prints_it_only_when_asked(
    tmp_path: Path, tokenizer: Any, chunks: pa.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "demo/models/base"
    tokenizer.save_pretrained(model)
    files = folder_files(model)
    save_manifest(Manifest("folder", "sft", {}, {}, "k", folder_hash(files), {}, files=files), model / "manifest.json")
    path = tmp_path / "demo/data/packed/sft.json"
    path.parent.mkdir(parents=True)
    write_table(chunks, path.with_suffix(".parquet"), {})
    inputs = {"model": [folder_hash(files)]}
    save_manifest(Manifest("table", "pack", {}, inputs, "k2", content_hash(chunks), {}), path)
    assert chunks.schema == PACKED
    show(path, 5, harmful=False)
    said = capsys.readouterr().out
    assert "Rest" not in said
    assert "--show-harmful-text" in said
    show(path, 5, harmful=True)
    assert capsys.readouterr().out.endswith("\n".join(["  - 00000000", *EXPECTED]) + "\n")
    # Without the model there are the ids alone.
    (model / "manifest.json").unlink()
    show(path, 5, harmful=True)
    said = capsys.readouterr().out
    assert "Rest" not in said
    assert f"input_ids: {chunks.column('input_ids')[0].as_py()}" in said
