"""Does a training fit its GPUs? What ``primum.train`` holds on each, in bytes, from the shape of the model alone.

An upper bound: it adds up what is there at different moments of a step. tests/unit/audit/test_memory.py sets it beside what was
measured on a GPU.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from primum.errors import PrimumError
from primum.experiment.models import DPOModel, LoRA, Shape, TrainedModel
from primum.experiment.types import Resources

_MASTER = 4  # bytes of a weight or gradient as it is kept: float32
_MOMENTS = {"adamw": 8, "rmsprop": 4}  # bytes a trained weight
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_TILE = (4096, 32_768)  # of TRL's fused head: tokens and vocabulary whose logits exist at a time
_RESERVE = 2e9  # CUDA's own, and what lies between tensors


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on each GPU; ``layers`` are gathered weights and their gradients."""

    weights: float
    gradients: float
    optimizer: float
    layers: float
    activations: float
    logits: float

    @property
    def total(self) -> float:
        return float(sum(astuple(self))) + _RESERVE


def parameters_of(shape: Shape) -> int:
    """The parameters of a decoder like Llama: attention, a gated MLP and two norms a layer, no biases."""
    embeddings = shape.vocab_size * shape.hidden_size
    return embeddings * (1 if shape.tied else 2) + shape.layers * _layer(shape) + shape.hidden_size


def _sizes(shape: Shape) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of each linear layer, by its name in transformers."""
    hidden, inner = shape.hidden_size, shape.intermediate_size
    key_value = hidden // shape.heads * shape.kv_heads
    attention = {"q_proj": hidden, "k_proj": key_value, "v_proj": key_value, "o_proj": hidden}
    feed = {"gate_proj": (hidden, inner), "up_proj": (hidden, inner), "down_proj": (inner, hidden)}
    return {**{name: (hidden, size) for name, size in attention.items()}, **feed}


def _layer(shape: Shape) -> int:
    return sum(inputs * outputs for inputs, outputs in _sizes(shape).values()) + 2 * shape.hidden_size


def _trained(shape: Shape, lora: LoRA | None) -> int:
    """The weights that have gradients and moments."""
    if lora is None:
        return parameters_of(shape)
    sizes = [size for name, size in _sizes(shape).items() if name in lora.modules]
    return shape.layers * sum(lora.r * (inputs + outputs) for inputs, outputs in sizes)


def tokens_held(entry: TrainedModel, processes: int) -> int:
    """The tokens of a process' micro-batch: chunks, or pairs of two sequences, full."""
    optimization = entry.optimization
    rows = optimization.micro_batch or max(1, optimization.batch // processes)
    return rows * (2 * entry.max_length if isinstance(entry, DPOModel) else entry.chunk_tokens)


def training_memory(shape: Shape, entry: TrainedModel, asked: Resources) -> Memory:
    """What a training of ``shape`` as ``entry`` says holds on each of the GPUs that are ``asked`` for."""
    processes = max(1, asked.gpus)
    dtype = BYTES[entry.optimization.dtype]
    tokens = tokens_held(entry, processes)
    hidden, layer = shape.hidden_size, _layer(shape)
    embeddings = shape.vocab_size * hidden
    kept = 0 if asked.cpu_offload else 1 / processes
    trained = _trained(shape, getattr(entry, "lora", None)) * kept
    shared = processes > 1 or asked.cpu_offload or dtype != _MASTER
    # The head all the time; a layer, the next one and a layer's gradients, also in float32, or the same of the embeddings.
    gathered = embeddings * dtype + max(layer * (3 * dtype + 4), embeddings * (2 * dtype + 4)) if shared else 0
    # What the linear layers and norms of one layer keep for the backward pass: the norms twice in float32 as well.
    key_value = hidden // shape.heads * shape.kv_heads
    inside = tokens * ((6 * hidden + 2 * key_value + 4 * shape.intermediate_size) * dtype + 4 * hidden * 4)
    inputs = shape.layers * tokens * hidden * dtype
    activations = inputs + inside if asked.activation_checkpointing else shape.layers * inside
    # A tile of logits, the head's gradient in float32, and that of its input.
    tile = min(tokens, _TILE[0]) * min(shape.vocab_size, _TILE[1]) * dtype
    return Memory(
        weights=parameters_of(shape) * _MASTER * kept,
        gradients=trained * _MASTER,
        optimizer=trained * _MOMENTS[entry.optimization.optimizer],
        layers=gathered,
        activations=activations,
        logits=tile + embeddings * 4 + tokens * hidden * (4 + dtype),
    )


def remedies(shape: Shape, entry: TrainedModel, asked: Resources, limit: float) -> list[str]:
    """What would make a training fit ``limit`` bytes a GPU, the cheapest first."""
    small = _with_micro_batch(entry, 1)
    own = asked.model_copy(update={"activation_checkpointing": True})
    ways = [("activation_checkpointing: true", own, entry), ("micro_batch: 1 and activation_checkpointing", own, small)]
    for times in (2, 4, 8):
        more = own.model_copy(update={"gpus": asked.gpus * times, "nodes": asked.nodes * times})
        if entry.optimization.batch % more.gpus == 0:
            ways.append((f"{more.gpus} GPUs, micro_batch: 1 and activation_checkpointing", more, small))
    offload = own.model_copy(update={"cpu_offload": True})
    ways.append(("cpu_offload: true, micro_batch: 1 and activation_checkpointing", offload, small))
    return [words for words, given, changed in ways if training_memory(shape, changed, given).total <= limit]


def _with_micro_batch(entry: TrainedModel, micro: int) -> TrainedModel:
    optimization = entry.optimization.model_copy(update={"micro_batch": micro})
    return entry.model_copy(update={"optimization": optimization})


def refuse_too_large(name: str, shape: Shape, entry: TrainedModel, asked: Resources, gigabytes: float) -> None:
    """PrimumError on one line for a training that cannot fit GPUs of so many GB (10^9 bytes), with what would make it fit."""
    needed = training_memory(shape, entry, asked).total
    if asked.gpus and needed > gigabytes * 1e9:
        ways = remedies(shape, entry, asked, gigabytes * 1e9)
        raise PrimumError(
            f"models.{name}: needs up to {needed / 1e9:.0f} GB on each of {asked.gpus} GPUs, and slurm/site.yaml says that they "
            f"have {gigabytes:g}: {' or '.join(ways[:2]) or 'give it many more of them'}"
        )
