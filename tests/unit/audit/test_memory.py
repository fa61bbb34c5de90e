"""Will a training fit? Every number by hand, from the shapes of Llama 3 and the settings of Med42-v2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shipped import ROOT, open_shipped

from primum.audit.cost import shape_of
from primum.audit.memory import Memory, parameters_of, refuse_too_large, remedies, training_memory
from primum.audit.trainings import grouped, memory_rows, refuse_what_cannot_fit, step_rows, trainings
from primum.cluster.site import Site
from primum.dag.state import state_of
from primum.errors import PrimumError
from primum.experiment import load_experiment
from primum.experiment.models import LoRA, SFTModel, Shape, TrainedModel
from primum.experiment.types import Resources

SHAPE_8B = Shape(hidden_size=4096, intermediate_size=14336, layers=32, heads=32, kv_heads=8, vocab_size=128256)
SHAPE_70B = Shape(hidden_size=8192, intermediate_size=28672, layers=80, heads=64, kv_heads=8, vocab_size=128256)
MED42 = ["med42-v2-8b", "med42-v2-70b", "med42-llama3.1-8b", "med42-llama3.1-70b", "med42-llama2-70b"]


def shipped(name: str, model: str = "sft") -> tuple[TrainedModel, Resources]:
    loaded = load_experiment(name, ROOT)
    entry = loaded.models[model]
    assert isinstance(entry, TrainedModel)
    return entry, loaded.resources_of("sft" if isinstance(entry, SFTModel) else "dpo", model)


def test_parameters_are_the_published_models() -> None:
    assert parameters_of(SHAPE_8B) == 8_030_261_248
    assert parameters_of(SHAPE_70B) == 70_553_706_496
    assert parameters_of(SHAPE_8B.model_copy(update={"tied": True})) == 8_030_261_248 - 128_256 * 4096


def test_8b_on_16_gpus() -> None:
    """Two chunks of 8,192 tokens a GPU, bfloat16, AdamW, checkpointing."""
    parameters, tokens = 8_030_261_248, 2 * 8192
    layer = 2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336 + 2 * 4096
    embeddings = 128_256 * 4096
    assert training_memory(SHAPE_8B, *shipped("med42-v2-8b")) == Memory(
        weights=parameters * 4 / 16,
        gradients=parameters * 4 / 16,
        optimizer=parameters * 8 / 16,
        # The head in bfloat16; the embeddings in it, and their gradient in it and in float32: more than of three layers.
        layers=embeddings * 2 + embeddings * (2 + 2 + 4),
        # The input of each layer, and all of one: 6 x 4,096 + 2 x 1,024 + 4 x 14,336 numbers, and 4 x 4,096 in float32.
        activations=32 * tokens * 4096 * 2 + tokens * (83_968 * 2 + 4 * 4096 * 4),
        logits=4096 * 32_768 * 2 + embeddings * 4 + tokens * 4096 * 6,
    )
    assert embeddings * 8 > layer * 10
    assert training_memory(SHAPE_8B, *shipped("med42-v2-8b")).total / 1e9 == pytest.approx(26.2, abs=0.05)


def test_70b_on_48_gpus() -> None:
    """One chunk a GPU; a layer and its neighbour and gradients are more than the embeddings."""
    parameters, tokens = 70_553_706_496, 8192
    layer = 2 * 8192 * 8192 + 2 * 8192 * 1024 + 3 * 8192 * 28672 + 2 * 8192
    embeddings = 128_256 * 8192
    found = training_memory(SHAPE_70B, *shipped("med42-v2-70b"))
    assert found == Memory(
        weights=parameters * 4 / 48,
        gradients=parameters * 4 / 48,
        optimizer=parameters * 8 / 48,
        layers=embeddings * 2 + layer * (2 + 2 + 2 + 4),
        activations=80 * tokens * 8192 * 2 + tokens * (165_888 * 2 + 4 * 8192 * 4),
        logits=4096 * 32_768 * 2 + embeddings * 4 + tokens * 8192 * 6,
    )
    assert found.total / 1e9 == pytest.approx(55.6, abs=0.05)


def test_what_is_left_out_and_what_is_moved() -> None:
    entry, asked = shipped("med42-v2-8b")
    base = training_memory(SHAPE_8B, entry, asked)
    kept = training_memory(SHAPE_8B, entry, asked.model_copy(update={"activation_checkpointing": False}))
    assert kept.activations == 32 * 2 * 8192 * (83_968 * 2 + 4 * 4096 * 4)
    moved = training_memory(SHAPE_8B, entry, asked.model_copy(update={"cpu_offload": True}))
    assert (moved.weights, moved.gradients, moved.optimizer) == (0, 0, 0)
    assert moved.activations == base.activations
    # r 8 on q_proj (4,096 to 4,096) and v_proj (4,096 to 1,024), in 32 layers.
    adapters = training_memory(SHAPE_8B, entry.model_copy(update={"lora": LoRA()}), asked)
    assert adapters.gradients == 32 * 8 * (4096 + 4096 + 4096 + 1024) * 4 / 16
    assert adapters.weights == base.weights
    # RMSprop keeps one moment; a GPU holds two pairs of two sequences of 4,096 tokens.
    aligned = training_memory(SHAPE_8B, *shipped("med42-v2-8b", "dpo-1"))
    assert aligned.optimizer == aligned.weights
    assert aligned.activations == base.activations


def test_the_bound_is_above_what_was_measured() -> None:
    """On one H200, benchmarks/gpu: 18.9 GB with checkpointing and 29.4 GB without."""
    shape = Shape(hidden_size=2048, intermediate_size=8192, layers=16, heads=32, kv_heads=8, vocab_size=32000)
    entry, asked = shipped("med42-v2-8b")
    one = entry.model_copy(update={"optimization": entry.optimization.model_copy(update={"micro_batch": 1})})
    for again, measured in ((True, 18.9), (False, 29.4)):
        given = asked.model_copy(update={"gpus": 1, "nodes": 1, "activation_checkpointing": again})
        assert measured < training_memory(shape, one, given).total / 1e9 < 1.3 * measured


def test_a_training_that_cannot_fit_is_refused_with_what_would_make_it_fit() -> None:
    entry, asked = shipped("med42-v2-70b")
    refuse_too_large("sft", SHAPE_70B, entry, asked, 80)
    few = asked.model_copy(update={"gpus": 24, "nodes": 3, "activation_checkpointing": False})
    # 47.0 of weights and optimizer, 10.7 of layers, 80 x 8,192 x 462,848 = 303.3 of activations, 4.9 of logits, and 2.
    with pytest.raises(PrimumError) as refused:
        refuse_too_large("sft", SHAPE_70B, entry, few, 80)
    assert str(refused.value) == (
        "models.sft: needs up to 368 GB on each of 24 GPUs, and slurm/site.yaml says that they have 80: "
        "activation_checkpointing: true or micro_batch: 1 and activation_checkpointing"
    )
    (first, *_) = remedies(SHAPE_70B, entry, few.model_copy(update={"gpus": 12, "nodes": 2}), 80e9)
    assert first == "24 GPUs, micro_batch: 1 and activation_checkpointing"
    assert remedies(SHAPE_70B, entry, few, 10e9) == []
    refuse_too_large("sft", SHAPE_70B, entry, few.model_copy(update={"gpus": 0}), 80)


@pytest.mark.parametrize("name", MED42)
def test_every_med42_training_fits_the_papers_gpus(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIMUM_REFRESH", "")
    run = open_shipped(tmp_path, name)
    state = state_of(run)
    found = trainings(run, state)
    assert found[0].name == "sft"
    assert all(each.shape is not None for each in found)
    refuse_what_cannot_fit(run, state, Site(gpu_memory_gb=80))
    refuse_what_cannot_fit(run, state, Site())
    with pytest.raises(PrimumError, match=r"models\.sft: needs up to .* GB on each of "):
        refuse_what_cannot_fit(run, state, Site(gpu_memory_gb=16))
    assert {row[-1] for row in memory_rows(found, 80)} == {"yes, of 80"}
    assert {row[-1] for row in memory_rows(found, None)} == {"-"}
    assert {row[0] for row in memory_rows(found, 80)} == {each.name for each in found}
    paper = {"med42-llama2-70b": "-"}.get(name, "5,321" if "8b" in name else "3,549")
    assert next(step_rows(found))[:4] == ("sft", "262,144" if "8b" in name else "393,216", "unknown", paper)


def test_equal_trainings_are_one_row() -> None:
    assert grouped([("a", "1"), ("b", "2"), ("c", "1"), ("d", "1")]) == [("a +2", "1"), ("b", "2")]


def test_a_shape_is_read_from_the_models_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run: Any = open_shipped(tmp_path, "med42-v2-8b")
    config = Path(run.dag.path("models/{model}/manifest.json", model="llama3-8b-instruct")).with_name("config.json")
    monkeypatch.chdir(tmp_path)
    config.parent.mkdir(parents=True)
    config.write_text(
        '{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 320}'
    )
    own = Shape(hidden_size=64, intermediate_size=128, layers=2, heads=4, kv_heads=4, vocab_size=320)
    assert shape_of(run, "dpo-3") == own
    config.write_text("{")
    assert shape_of(run, "dpo-3") == SHAPE_8B
