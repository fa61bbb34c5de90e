"""On a CPU the chunk trainer computes TRL's loss, and its gradients, at the labelled positions alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM
from trl import SFTConfig, SFTTrainer

from primum.text.packing import IGNORED
from primum.train.chunks import ChunkCollator, _ChunkTrainer


def gradients(trainer_class: type[SFTTrainer], folder: Path, work: Path) -> tuple[float, list[torch.Tensor]]:
    """The loss of one batch of two packed chunks, and the gradient of every parameter."""
    chunks = [
        {"input_ids": [5, 6, 7, 8, 9, 10, 11], "labels": [IGNORED, 6, 7, IGNORED, 9, 10, 11], "seq_lengths": [3, 4]},
        {"input_ids": [12, 13, 14], "labels": [IGNORED, IGNORED, 14], "seq_lengths": [3]},
    ]
    model = AutoModelForCausalLM.from_pretrained(folder)
    options = SFTConfig(
        str(work), use_cpu=True, report_to="none", max_length=None, dataset_kwargs={"skip_prepare_dataset": True}
    )
    collator = ChunkCollator(pad=0, attention_reset=True)
    trainer = trainer_class(model=model, args=options, train_dataset=Dataset.from_list(chunks), data_collator=collator)
    loss = trainer.compute_loss(trainer.model, collator(chunks), num_items_in_batch=torch.tensor(5))
    loss.backward()
    return float(loss), [parameter.grad for _, parameter in sorted(model.named_parameters())]


def test_loss_and_gradients_equal_trls(tiny_model: Path, tmp_path: Path) -> None:
    ours, theirs = (gradients(kind, tiny_model, tmp_path / kind.__name__) for kind in (_ChunkTrainer, SFTTrainer))
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    for a, b in zip(ours[1], theirs[1], strict=True):
        assert torch.allclose(a, b, atol=1e-5)
