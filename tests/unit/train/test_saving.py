"""What is saved is what transformers would have saved, without a second copy of the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from primum.train import saving

SMALL = {
    "vocab_size": 320, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2,
}  # fmt: skip


def model_of(kind: str) -> Any:
    torch.manual_seed(0)
    if kind == "experts":
        return MixtralForCausalLM(MixtralConfig(**SMALL, num_local_experts=2))
    return LlamaForCausalLM(LlamaConfig(**SMALL, tie_word_embeddings=kind == "tied"))


@pytest.mark.parametrize("kind", ["untied", "tied", "experts"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("largest", ["5GB", "20KB"])
def test_files_are_those_of_transformers(
    tmp_path: Path, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch, kind: str, dtype: str, largest: str
) -> None:
    monkeypatch.setattr(saving, "_LARGEST", largest)
    saving.save(model_of(kind), tiny_tokenizer, [], tmp_path / "ours", dtype)
    model_of(kind).to(getattr(torch, dtype)).save_pretrained(tmp_path / "theirs", max_shard_size=largest)
    weights = sorted(path.name for path in (tmp_path / "theirs").glob("model*"))
    assert sorted(path.name for path in (tmp_path / "ours").glob("model*")) == weights
    assert ("model.safetensors.index.json" in weights) is (largest == "20KB")
    # transformers keeps in one file what it has cut from one tensor, as the weights of experts.
    for name in weights if kind != "experts" or largest == "5GB" else []:
        ours, theirs = ((tmp_path / folder / name).read_bytes() for folder in ("ours", "theirs"))
        assert (json.loads(ours) == json.loads(theirs)) if name.endswith(".json") else (ours == theirs), name
    for name in ("config.json", "generation_config.json"):
        ours, theirs = (json.loads((tmp_path / folder / name).read_text()) for folder in ("ours", "theirs"))
        assert ours == {key: value for key, value in theirs.items() if key != "_name_or_path"}
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", dtype="auto")
    for name, value in model_of(kind).state_dict().items():
        assert torch.equal(again.state_dict()[name], value.to(getattr(torch, dtype))), name


@pytest.fixture(scope="module")
def tiny_tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)
