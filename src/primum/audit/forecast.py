"""``primum plan``: what a run has still to do, stage by stage, what that may cost, and whether the budget allows it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from primum.audit import cost, questions
from primum.audit.adopt import command
from primum.audit.cost import Cost, cost_of
from primum.audit.differences import adoptable_jobs, pieces
from primum.audit.endpoints import ENDPOINTS_HEAD, bill_rows, bills
from primum.audit.questions import Amount, number, spoken
from primum.audit.trainings import MEMORY_HEAD, STEPS_HEAD, grouped, memory_rows, step_rows, trainings
from primum.cluster.site import load_site
from primum.dag.dag import TARGETS
from primum.dag.state import JobState, RunState, state_of
from primum.dag.workflow import Workflow
from primum.errors import PrimumError
from primum.experiment.types import Budget

_WIDTH = 98
_OF_TRAININGS = (
    "GB a GPU: an upper bound, with 2 GB for CUDA itself; 'fits' where slurm/site.yaml says gpu_memory_gb. Tokens and "
    "GPU-h are at the paper's steps where the data is not here yet to tell others."
)
_OF_ENDPOINTS = (
    "Endpoints: every response and verdict at its max_tokens, and what is asked as for judge tokens; what is here is counted "
    "as the endpoint stated it, whoever paid. Dollars at the model's 'price'. Attempts that brought no answer are in neither. "
    "A + says that more is to come which nobody can count yet, such as the questions of benchmarks."
)
_HEAD = (
    ("", "", "up to", "in", "to", "GPUs", "nodes", "GPU-h", "GPU-h", "disk", "judge"),
    ("stage", "jobs", "date", "store", "run", "a job", "a job", "limit", "estimate", "GB", "tokens"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """The jobs of one stage by state, and the sum of what those to run cost; GPUs and nodes are the largest job's."""

    title: str
    jobs: Sequence[JobState]
    costs: Sequence[Cost]

    def count(self, state: str) -> int:
        return sum(job.state == state for job in self.jobs)

    def total(self, what: str) -> Amount | None:
        """The sum of ``estimate``, ``disk`` or ``tokens``; None where nobody estimates any part of it."""
        parts = [part for each in self.costs if (part := getattr(each, what)) is not None]
        return sum(parts, Amount()) if parts else None

    @property
    def limit(self) -> float:
        return sum(each.limit for each in self.costs)


def forecast(run: Workflow, state: RunState | None = None) -> list[Line]:
    """One line a stage that the experiment has, and a last one for all of them."""
    state = state or state_of(run)
    lines = [_line(run, target, state, (target,)) for target in TARGETS]
    return [*(line for line in lines if line.jobs), _line(run, "all", state, TARGETS)]


def _line(run: Workflow, title: str, state: RunState, targets: Sequence[str]) -> Line:
    jobs = [job for job in state.jobs if job.target in targets]
    return Line(title, jobs, [cost_of(run, job, state.known) for job in jobs if job.state == "to run"])


def print_plan(run: Workflow) -> None:
    """Print the forecast, its assumptions and the budget. PrimumError on one line when the budget is too small."""
    state = state_of(run)
    lines = forecast(run, state)
    total = lines[-1]
    waiting = total.count("to run")
    print(f"{run.experiment.name}: {waiting} of {len(total.jobs)} stage jobs to run, with the store {run.store}")
    if adoptable := len(list(adoptable_jobs(pieces(run, state)))) if waiting else 0:
        print(
            f"{adoptable} of {waiting} jobs to run differ from what is there in code or versions alone: {command(run)}"
        )
    print()
    print("\n".join(table([*_HEAD, *(_cells(line) for line in lines)])) + "\n")
    if found := trainings(run, state):
        site = load_site(run.dag.root / "slurm" / "site.yaml")
        print("\n".join(table([*MEMORY_HEAD, *grouped(memory_rows(found, site.gpu_memory_gb))])) + "\n")
        print("\n".join(table([*STEPS_HEAD, *grouped(step_rows(found))])) + "\n")
        print(textwrap.fill(_OF_TRAININGS, _WIDTH, subsequent_indent="  "))
    if found_bills := bills(run, state):
        print("\n".join(table([*ENDPOINTS_HEAD, *bill_rows(found_bills)])) + "\n")
        print(textwrap.fill(_OF_ENDPOINTS, _WIDTH, subsequent_indent="  "))
    for text in _assumptions(total):
        print(textwrap.fill(text, _WIDTH, subsequent_indent="  "))
    print(textwrap.fill(f"Budget: {_spoken(run, total)}.", _WIDTH, subsequent_indent="  "))
    refuse_beyond(run, total)


def check_budget(run: Workflow, state: RunState | None = None) -> None:
    """PrimumError when what is still to run may go past the experiment's budget; looks at nothing where there is none."""
    if run.experiment.budget != Budget():
        refuse_beyond(run, forecast(run, state)[-1])


def refuse_beyond(run: Workflow, total: Line) -> None:
    """PrimumError naming the first key of the budget that ``total`` goes past. Unknown parts are not counted."""
    for key, given, needed, remedy in _budget(run, total):
        if given is not None and needed.value > given:
            raise PrimumError(
                f"{run.experiment.name}: budget.{key} is {exact(given)}, and the jobs to run may take "
                f"{'at least ' if needed.unknown else ''}{exact(needed.value)}: raise it, or {remedy}"
            )


def _budget(run: Workflow, total: Line) -> Iterator[tuple[str, float | None, Amount, str]]:
    """Each key of the budget, what it gives, what is needed, and how to need less."""
    given = run.experiment.budget
    yield "gpu_hours", given.gpu_hours, Amount(total.limit), "lower gpus or minutes under resources and overrides"
    disk = total.total("disk") or Amount()
    yield "disk_gb", given.disk_gb, Amount(disk.value / 1e9, disk.unknown), "name fewer models"
    yield "judge_tokens", given.judge_tokens, total.total("tokens") or Amount(), "limit prompts with 'take'"


def _spoken(run: Workflow, total: Line) -> str:
    asked = [(key, given, needed) for key, given, needed, _ in _budget(run, total) if given is not None]
    if not asked:
        return "none (keys of the experiment's section `budget`: gpu_hours, disk_gb, judge_tokens)"
    unknown = any(needed.unknown for _, _, needed in asked)
    parts = [f"{key} {spoken(needed)} of {exact(given)}" for key, given, needed in asked]
    return "; ".join(parts) + ("; what is unknown is not held against it" if unknown else "")


# The table ------------------------------------------------------------------------------------------------------------


def _cells(line: Line) -> tuple[str, ...]:
    disk = line.total("disk")
    waiting = line.count("to run")
    return (
        line.title,
        f"{len(line.jobs)}",
        f"{line.count('up to date')}",
        f"{line.count('stored')}",
        f"{waiting}",
        f"{max(each.gpus for each in line.costs)}" if waiting else "-",
        f"{max(each.nodes for each in line.costs)}" if waiting else "-",
        number(line.limit) if waiting else "-",
        spoken(line.total("estimate")),
        spoken(Amount(disk.value / 1e9, disk.unknown) if disk else None),
        spoken(line.total("tokens")),
    )


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of text, the first column to the left and the others to the right, each as wide as it must be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return lines


def exact(value: float) -> str:
    """Every digit before the point, as a budget has them."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.4g}"


def _assumptions(total: Line) -> list[str]:
    """What the numbers rest on, for those that there are."""
    texts = []
    if total.limit:
        texts.append("GPU-h limit: GPUs x time limit of every job to run. A retry asks again, for longer.")
    if total.total("estimate"):
        texts.append(
            f"GPU-h estimate: training alone, {cost.TRAINING_FLOPS} x parameters x tokens ({cost.FORWARD_FLOPS} x for "
            f"references) at {cost.UTILISATION:.0%} of an H100's {cost.PEAK_FLOPS / 1e12:.0f} TFLOP/s; chunks full, pairs "
            "at max_length. Epochs of data that is not here yet are unknown: the limit alone holds."
        )
    if total.total("disk"):
        texts.append(
            f"Disk: models alone, in their dtype (of a hub: {cost.HUB_BYTES} bytes a parameter), with {cost.CHECKPOINTS} "
            f"checkpoints of {cost.CHECKPOINT_BYTES} bytes a parameter where they are saved, as if all were kept at once. "
            "Parameters: as counted, of the architecture, or the size in the hub id (8B), if there is one."
        )
    if total.total("tokens"):
        texts.append(
            f"Judge tokens: responses x (template and policy at {questions.CHARACTERS_A_TOKEN} characters a token + "
            f"{questions.REQUEST_TOKENS} for the request + max_tokens of response and of verdict; a local judge's max_length "
            f"at most), {questions.CRITERIA_A_RESPONSE} times where criteria are judged. How many responses is unknown until "
            "prompts are read, or have a 'take', or the catalog has their dataset's 'rows'. The second question about an answer "
            "that is no verdict is not counted."
        )
    return texts
