"""What a job that must run may cost: GPU-hours, disk, judge tokens. Bounds and estimates, each from stated assumptions.

A number that is not known before the data is there, or not at all, is unknown and stays so: nothing is guessed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from primum.artifact.manifest import Manifest
from primum.audit.memory import BYTES, parameters_of
from primum.audit.questions import UNKNOWN, Amount, counted, judge_tokens
from primum.cluster.resources import asked_resources
from primum.dag.curation import PAIRS
from primum.dag.dag import TRAINING
from primum.dag.state import JobState
from primum.dag.training import AUDIT, MODEL, PACKED, REFERENCE
from primum.dag.workflow import Workflow
from primum.experiment.models import Architecture, DPOModel, HubModel, PretrainedModel, SFTModel, Shape, TrainedModel
from primum.experiment.types import Resources

PEAK_FLOPS = 989e12  # a second: NVIDIA's H100 SXM, bfloat16, dense
UTILISATION = 0.4
TRAINING_FLOPS = 6  # a parameter and token (Kaplan et al. 2020): 2 forward, 4 backward
FORWARD_FLOPS = 2
HUB_BYTES = 2  # a parameter: bfloat16 or float16
CHECKPOINT_BYTES = 12  # a parameter: weights and two moments, in float32
CHECKPOINTS = 2  # as many as training keeps
_SIZE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9.])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one job: ``limit`` is what it asks the scheduler for, in GPU-hours, and ``estimate`` what training may take.

    ``disk`` is in bytes, for models and their checkpoints; ``tokens`` are those that a judge reads and writes. None is
    what nobody estimates.
    """

    gpus: int = 0
    nodes: int = 1
    limit: float = 0
    estimate: Amount | None = None
    disk: Amount | None = None
    tokens: Amount | None = None


def cost_of(run: Workflow, job: JobState, known: Mapping[str, Manifest]) -> Cost:
    """The cost of a job that must run; ``known`` are the manifests of what is already made, by path."""
    asked = asked_of(run, job)
    return Cost(
        gpus=asked.gpus,
        nodes=asked.nodes,
        limit=asked.gpus * asked.minutes / 60,
        estimate=_estimate(run, job, known) if asked.gpus else None,
        disk=_disk(run, job, known),
        tokens=judge_tokens(run, job, known),
    )


def asked_of(run: Workflow, job: JobState) -> Resources:
    """What the job asks of the scheduler; nothing for fetching, which runs in place."""
    if job.target == "fetch":
        return Resources()
    return asked_resources(run.experiment, job.stage, job.job.model)


# Training -------------------------------------------------------------------------------------------------------------


def nominal_parameters(hub: str) -> float | None:
    """The size in a hub id (``8B``, ``70m``): a rounded number. None without one, with several, or for ``8x7B``."""
    found = _SIZE.findall(hub.partition("/")[2])
    sizes = {float(number) * {"b": 1e9, "m": 1e6}[unit.lower()] for number, unit in found}
    return sizes.pop() if len(sizes) == 1 else None


def architecture_parameters(size: Architecture) -> int:
    """The parameters of a Llama with tied embeddings: attention, a gated MLP and two norms a layer, no biases."""
    return parameters_of(_shape(size))


def _shape(size: Architecture) -> Shape:
    return Shape(**size.model_dump(exclude={"max_length"}), tied=True)


def parameters(run: Workflow, model: str, known: Mapping[str, Manifest]) -> float | None:
    """How many parameters a model has: as counted when it was made, else of the model that its lineage begins with."""
    made = known.get(run.dag.path(MODEL, model=model))
    if made is not None and "parameters" in made.counts:
        return float(made.counts["parameters"])
    entry = run.experiment.models[model]
    if isinstance(entry, HubModel):
        return nominal_parameters(entry.hub)
    if isinstance(entry, PretrainedModel):
        return architecture_parameters(entry.architecture)
    return parameters(run, entry.start, known) if isinstance(entry, SFTModel | DPOModel) else None


def shape_of(run: Workflow, model: str) -> Shape | None:
    """The sizes of a model, of the one that its lineage begins with: from its files where they are, else as the catalog says."""
    entry = run.experiment.models[model]
    if isinstance(entry, PretrainedModel):
        return _shape(entry.architecture)
    if isinstance(entry, HubModel):
        return _shape_in(Path(run.dag.path(MODEL, model=model)).with_name("config.json")) or entry.shape
    return shape_of(run, entry.start) if isinstance(entry, SFTModel | DPOModel) else None


def _shape_in(config: Path) -> Shape | None:
    """The shape in a fetched model's config.json; None where there is no such file, or it names its sizes otherwise."""
    try:
        found = json.loads(config.read_text(encoding="utf-8"))
        return Shape(
            hidden_size=found["hidden_size"],
            intermediate_size=found["intermediate_size"],
            layers=found["num_hidden_layers"],
            heads=found["num_attention_heads"],
            kv_heads=found.get("num_key_value_heads", found["num_attention_heads"]),
            vocab_size=found["vocab_size"],
            tied=found.get("tie_word_embeddings", False),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def training_steps(run: Workflow, model: str, known: Mapping[str, Manifest]) -> float | None:
    """Optimizer steps of a training; None where it takes epochs of data that is not there yet."""
    entry = run.experiment.models[model]
    if isinstance(entry, DPOModel):
        examples = _examples(entry, _pairs(run, model, entry, known))
    elif isinstance(entry, PretrainedModel | SFTModel):
        examples = _examples(entry, counted(known.get(run.dag.path(PACKED, model=model)), "chunks"))
    else:
        return None
    return None if examples is None else examples / entry.optimization.batch


def tokens_a_step(entry: TrainedModel) -> int:
    """At most: every chunk full, every pair two sequences of ``max_length``."""
    return entry.optimization.batch * (2 * entry.max_length if isinstance(entry, DPOModel) else entry.chunk_tokens)


def _pairs(run: Workflow, model: str, entry: DPOModel, known: Mapping[str, Manifest]) -> float | None:
    found = known.get(run.dag.path(REFERENCE, model=model)) or known.get(run.dag.path(PAIRS, preferences=entry.data))
    return counted(found, "kept")


def training_tokens(run: Workflow, model: str, known: Mapping[str, Manifest]) -> float | None:
    """At most how many tokens a training run sees: every chunk full, every pair two sequences of ``max_length``.

    None where it takes epochs of data that is not there yet.
    """
    entry = run.experiment.models[model]
    steps = training_steps(run, model, known)
    if steps is None or not isinstance(entry, TrainedModel):
        return None
    return steps * tokens_a_step(entry)


def _examples(entry: TrainedModel, there_are: float | None) -> float | None:
    """Chunks or pairs over the whole run, the last batch of an epoch full, or dropped, as ``primum.train`` counts steps."""
    optimization = entry.optimization
    if optimization.steps is not None:
        return optimization.steps * optimization.batch
    if there_are is None or optimization.epochs is None:
        return None
    there_are -= entry.held_out.take if entry.held_out else 0
    batches = there_are / optimization.batch
    whole = max(1, math.floor(batches) if optimization.drop_last else math.ceil(batches))
    return max(1, round(whole * optimization.epochs)) * optimization.batch


def _estimate(run: Workflow, job: JobState, known: Mapping[str, Manifest]) -> Amount | None:
    """GPU-hours of training, and of reference log-probabilities, at ``UTILISATION``; None for other stages."""
    entry = run.experiment.models.get(job.name)
    if job.stage == "reference" and isinstance(entry, DPOModel):
        if job.missing == (run.dag.path(AUDIT, model=job.name),):
            return Amount()  # which asks no model
        pairs = counted(known.get(run.dag.path(PAIRS, preferences=entry.data)), "kept")
        tokens = None if pairs is None else pairs * 2 * entry.max_length
        size, flops = parameters(run, run.experiment.parents(job.name)[-1], known), FORWARD_FLOPS
    elif job.stage in TRAINING:
        tokens = training_tokens(run, job.name, known)
        size, flops = parameters(run, job.name, known), TRAINING_FLOPS
    else:
        return None
    if tokens is None or size is None:
        return UNKNOWN
    return Amount(gpu_hours(flops * size * tokens))


def gpu_hours(flops: float) -> float:
    """What so many FLOPs take at ``UTILISATION``."""
    return flops / (PEAK_FLOPS * UTILISATION) / 3600


# Disk -----------------------------------------------------------------------------------------------------------------


def _disk(run: Workflow, job: JobState, known: Mapping[str, Manifest]) -> Amount | None:
    """Bytes of the model that a job makes, with its checkpoints; None for jobs that make no model."""
    if job.stage not in (*TRAINING, "snapshot"):
        return None
    entry = run.experiment.models[job.name]
    if isinstance(entry, HubModel):
        weight = HUB_BYTES
    elif isinstance(entry, TrainedModel):
        # Adapters are merged into the model in the end, and their checkpoints hold little.
        kept = CHECKPOINTS if entry.optimization.checkpoint_steps and getattr(entry, "lora", None) is None else 0
        saved = "float32" if isinstance(entry, PretrainedModel) else entry.optimization.dtype
        weight = BYTES[saved] + kept * CHECKPOINT_BYTES
    else:
        return Amount()  # an endpoint's address
    size = parameters(run, job.name, known)
    return UNKNOWN if size is None else Amount(size * weight)
