"""Training on packed chunks with TRL's SFTTrainer: what pretraining and supervised fine-tuning share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from trl import SFTConfig, SFTTrainer

from primum.artifact.job import ALONE, Devices
from primum.parallel.processes import is_launched
from primum.progress import Progress
from primum.text.packing import IGNORED
from primum.train import attention, held_out
from primum.train.common import arguments, fit
from primum.train.order import InOrder
from primum.train.sharding import set_precision


class ChunkCollator:
    """Chunks as a batch: ``input_ids``, ``labels`` and ``position_ids``, int64, shape (batch, longest chunk).

    With ``attention_reset`` positions start anew at each packed sample; transformers derives from that jump a
    block-diagonal causal mask, so that samples do not see one another::

        chunk      [a a a][b b]        position_ids  0 1 2 0 1
        mask       a a . . .           (row attends to column)
                   ...  b b

    The first token of a sample has no label: nothing before it belongs to the sample. Padding is a sample of its own
    without labels.
    """

    def __init__(self, pad: int, attention_reset: bool) -> None:
        self._pad = pad
        self._reset = attention_reset

    def __call__(self, chunks: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        width = max(len(chunk["input_ids"]) for chunk in chunks)
        ids = torch.full((len(chunks), width), self._pad)
        labels = torch.full((len(chunks), width), IGNORED)
        positions = torch.zeros((len(chunks), width), dtype=torch.int64)
        for row, chunk in enumerate(chunks):
            used = len(chunk["input_ids"])
            ids[row, :used] = torch.tensor(chunk["input_ids"])
            labels[row, :used] = torch.tensor(chunk["labels"])
            lengths = [*chunk["seq_lengths"], width - used] if self._reset else [used, width - used]
            positions[row] = torch.cat([torch.arange(length) for length in lengths])
            starts = torch.tensor([0, *chunk["seq_lengths"][:-1]]).cumsum(0)
            labels[row, starts] = IGNORED
        return {"input_ids": ids, "labels": labels, "position_ids": positions}


class _ChunkTrainer(InOrder, SFTTrainer):  # type: ignore[misc]
    """TRL's trainer; on a CPU with the same loss computed at the labelled positions alone.

    Without Triton TRL scores every position, and their entropies, which took 44% of the time of a small model's steps.
    """

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if self.model.config._attn_implementation == "varlen":  # on a GPU to look for them is to wait for it
            attention.set_bounds(inputs["position_ids"])
        if return_outputs or num_items_in_batch is None or not self._scores_here(inputs["input_ids"]):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"][:, 1:]
        learned = labels != IGNORED
        core = self.accelerator.unwrap_model(model)
        states = core.get_decoder()(
            input_ids=inputs["input_ids"], position_ids=inputs["position_ids"], use_cache=False
        ).last_hidden_state
        logits = core.get_output_embeddings()(states[:, :-1][learned]).float()
        return torch.nn.functional.cross_entropy(logits, labels[learned], reduction="sum") / num_items_in_batch

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[None, torch.Tensor, torch.Tensor]:
        """Of each held-out chunk the summed loss in nats, and how many tokens it is of; both (chunks, 1)."""
        inputs = self._prepare_inputs(inputs)
        if self.model.config._attn_implementation == "varlen":
            attention.set_bounds(inputs["position_ids"])
        with torch.no_grad(), self.compute_loss_context_manager():
            found = model(**inputs, use_cache=False, fused_lm_head=True)
        return None, -found.log_probs.sum(1, keepdim=True), found.label_mask.sum(1, keepdim=True)

    def _scores_here(self, ids: torch.Tensor) -> bool:
        """One float32 process on a CPU: autocast and several processes work through the whole model's forward.

        And an architecture whose logits are its head's output, which others scale or cap (Gemma 2, Granite, Cohere).
        """
        plain = self.model.config.model_type in ("llama", "mistral") and not self.args.bf16
        return plain and ids.device.type == "cpu" and not is_launched()


def train_on_chunks(
    model: Any,
    tokenizer: Any,
    chunks: pa.Table,
    item: Mapping[str, Any],
    name: str,
    work: Path,
    progress: Progress,
    attention_reset: bool,
    devices: Devices = ALONE,
) -> list[dict[str, Any]]:
    """Train ``model`` in place on packed chunks (``primum.text.packing.PACKED``); returns the trainer's log, one entry a step."""
    optimization = item["optimization"]
    chunks, kept_back = held_out.hold_out(chunks, item["held_out"], item["seed"], name)
    settings = arguments(item, chunks.num_rows, work, devices)
    config = SFTConfig(**settings, max_length=None, packing=False, dataset_kwargs={"skip_prepare_dataset": True})
    set_precision(config, optimization["dtype"])
    columns = ["input_ids", "labels", "seq_lengths"]
    trainer = _ChunkTrainer(
        model=model,
        args=config,
        train_dataset=held_out.data(chunks.select(columns)),
        eval_dataset=held_out.data(kept_back.select(columns)),
        compute_metrics=held_out.mean_loss,
        processing_class=tokenizer,
        data_collator=ChunkCollator(tokenizer.pad_token_id, attention_reset),
    )
    tokens = pc.sum(pc.list_value_length(chunks.column("input_ids"))).as_py() / chunks.num_rows
    fit(trainer, name, work, progress, tokens * optimization["batch"])
    log: list[dict[str, Any]] = trainer.state.log_history
    return log
