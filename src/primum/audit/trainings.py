"""What ``primum plan`` says of each training that is still to run: the memory of a GPU, whether it fits, steps and GPU-hours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass

from primum.audit.cost import TRAINING_FLOPS, asked_of, gpu_hours, shape_of, tokens_a_step, training_steps
from primum.audit.memory import Memory, parameters_of, refuse_too_large, training_memory
from primum.cluster.site import Site
from primum.dag.dag import TRAINING
from primum.dag.state import RunState
from primum.dag.workflow import Workflow
from primum.experiment.models import Shape, TrainedModel
from primum.experiment.types import Resources

MEMORY_HEAD = (
    ("GB a GPU", "", "", "", "opti-", "", "activa-", "", "", ""),
    ("model", "GPUs", "weights", "gradients", "mizer", "layers", "tions", "logits", "total", "fits"),
)
STEPS_HEAD = (
    ("", "tokens", "", "steps in", "tokens,", "GPU-h"),
    ("model", "a step", "steps", "the paper", "billions", "estimate"),
)


@dataclass(frozen=True, slots=True)
class Training:
    """A training to run on GPUs. ``steps`` and ``shape`` are None where they are not known."""

    name: str
    entry: TrainedModel
    asked: Resources
    shape: Shape | None
    steps: float | None

    @property
    def memory(self) -> Memory | None:
        return None if self.shape is None else training_memory(self.shape, self.entry, self.asked)

    @property
    def tokens(self) -> float | None:
        """In all steps, or in the paper's where there are no others."""
        steps = self.steps or self.entry.published_steps
        return None if steps is None else steps * tokens_a_step(self.entry)

    @property
    def gpu_hours(self) -> float | None:
        if self.tokens is None or self.shape is None:
            return None
        return gpu_hours(TRAINING_FLOPS * parameters_of(self.shape) * self.tokens)


def trainings(run: Workflow, state: RunState) -> list[Training]:
    """Those that must run and ask for GPUs, in the order of the graph."""
    found = []
    for job in state.jobs:
        if job.stage in TRAINING and job.state == "to run" and (asked := asked_of(run, job)).gpus:
            entry = run.experiment.models[job.name]
            assert isinstance(entry, TrainedModel)  # noqa: S101 - it is a training's
            steps = training_steps(run, job.name, state.known)
            found.append(Training(job.name, entry, asked, shape_of(run, job.name), steps))
    return found


def refuse_what_cannot_fit(run: Workflow, state: RunState, site: Site) -> None:
    """PrimumError for the first training that cannot fit the site's GPUs; nothing where it does not say what they have."""
    if site.gpu_memory_gb is None:
        return
    for each in trainings(run, state):
        if each.shape is not None:
            refuse_too_large(each.name, each.shape, each.entry, each.asked, site.gpu_memory_gb)


def grouped(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Rows that are equal but for their name as one, with the first name and how many more there are: a grid has dozens."""
    names: dict[tuple[str, ...], list[str]] = {}
    for name, *cells in rows:
        names.setdefault(tuple(cells), []).append(name)
    return [(f"{first} +{len(more)}" if more else first, *cells) for cells, (first, *more) in names.items()]


def memory_rows(found: list[Training], limit: float | None) -> Iterator[tuple[str, ...]]:
    """One row a training: GB (10^9 bytes) on each of its GPUs, which have ``limit`` of them."""
    for each in found:
        memory = each.memory
        if memory is None:
            yield (each.name, f"{each.asked.gpus}", *["-"] * 6, "unknown", "-")
            continue
        parts = [f"{part / 1e9:.1f}" for part in (*astuple(memory), memory.total)]
        fits = "-" if limit is None else f"{'yes' if memory.total <= limit * 1e9 else 'NO'}, of {limit:g}"
        yield (each.name, f"{each.asked.gpus}", *parts, fits)


def step_rows(found: list[Training]) -> Iterator[tuple[str, ...]]:
    """One row a training: its steps beside the paper's, its tokens, and GPU-hours at the stated share of the peak."""
    for each in found:
        paper = each.entry.published_steps
        yield (
            each.name,
            f"{tokens_a_step(each.entry):,}",
            "unknown" if each.steps is None else f"{each.steps:,.0f}",
            "-" if paper is None else f"{paper:,}",
            "unknown" if each.tokens is None else f"{each.tokens / 1e9:.3f}",
            "unknown" if each.gpu_hours is None else f"{each.gpu_hours:,.0f}",
        )
