"""Pretraining: a tokenizer and a model from text alone, the same every time, and no text lost."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from stage_artifacts import make_job, table_artifact

from primum.artifact.job import Result
from primum.errors import PrimumError
from primum.experiment.models import Architecture, Optimization
from primum.text.chat import SPECIAL_TOKENS
from primum.text.rows import ChatRow, Message, Row, TextRow, to_table
from primum.train import pretrain

TEXTS = [f"The patient number {i} has a cough and takes {'tea and ' * (i % 4)}rest." for i in range(40)]


def _pretrain(work: Path, rows: list[Row], **changes: Any) -> Result:
    size = {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "layers": 2, "heads": 2, "kv_heads": 2}
    settings = {"learning_rate": 3e-3, "batch": 4, "steps": 6}
    spec = {
        "architecture": Architecture.model_validate({**size, "max_length": 64}).model_dump(mode="json"),
        "optimization": Optimization.model_validate(settings).model_dump(mode="json"),
        "held_out": None,
        "chunk_tokens": 64,
        "threads": 1,
        "seed": 3,
        **changes,
    }
    mixture = table_artifact(work / "mixture.parquet", to_table(rows, type(rows[0])))
    return next(iter(pretrain.run(make_job(work, {}, {"m": (spec, {"mixture": mixture})}))))


def _rows(texts: list[str]) -> list[Row]:
    return [TextRow(f"t/{i:03d}", "t", text) for i, text in enumerate(texts)]


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = _pretrain(tmp_path_factory.mktemp("pretrain"), _rows(TEXTS)).folder
    assert folder is not None
    return folder


def test_it_learns_and_is_a_llama_with_llama_3s_special_tokens(pretrained: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    losses = pq.read_table(pretrained / "history.parquet").column("loss").to_pylist()
    assert losses[-1] < losses[0] - 0.3
    tokenizer, model = AutoTokenizer.from_pretrained(pretrained), AutoModelForCausalLM.from_pretrained(pretrained)
    assert model.config.model_type == "llama"
    assert model.config.vocab_size == len(tokenizer) == 300
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [0, 1, 2, 3, 4]
    assert tokenizer.eos_token == "<|eot_id|>"
    assert model.config.eos_token_id == 4
    assert tokenizer.chat_template is not None


def test_the_same_text_gives_the_same_bytes(pretrained: Path, tmp_path: Path) -> None:
    again = _pretrain(tmp_path, _rows(TEXTS)).folder
    assert again is not None
    assert _digests(again) == _digests(pretrained)
    other = _pretrain(tmp_path / "other", _rows(TEXTS), seed=4).folder
    assert other is not None
    assert _digests(other)["model.safetensors"] != _digests(pretrained)["model.safetensors"]


def test_texts_longer_than_a_chunk_go_on_in_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = []
    original = pretrain.pack

    def pack(samples: list[Any], *rest: Any) -> Any:
        packed.extend(samples)
        return original(samples, *rest)

    monkeypatch.setattr(pretrain, "pack", pack)
    text = " ".join(f"word{i}" for i in range(100))
    result = _pretrain(tmp_path, _rows([text, "Say <|eot_id|> aloud."]))
    from transformers import AutoTokenizer

    assert result.folder is not None
    tokenizer = AutoTokenizer.from_pretrained(result.folder)
    said = [tokenizer.decode(sample.input_ids) for sample in packed]
    assert len(said) > 2
    assert all(len(sample.input_ids) <= 64 for sample in packed)
    assert "".join(said[:-1]) == f"<|begin_of_text|>{text}<|end_of_text|>"
    assert said[-1] == "<|begin_of_text|>Say < |eot_id|> aloud.<|end_of_text|>"


def test_conversations_are_refused(tmp_path: Path) -> None:
    chat = ChatRow("a/0", "a", (Message("user", "q"), Message("assistant", "a")))
    with pytest.raises(PrimumError, match="m: pretraining needs a mixture of text"):
        _pretrain(tmp_path, [chat])
