"""What ``snakemake -n`` says: how many jobs of each stage would run and why, and what the store has of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from primum.dag.dag import STAGES
from primum.dag.refresh import refreshed
from primum.dag.state import RunState
from primum.dag.workflow import Workflow
from primum.terminal.jobs import name_job

# What Snakemake's reason begins with or holds -> why, in words; the first that fits.
_WHY = (
    ("Missing output files", "not made yet"),
    ("Params have changed", "a setting, code or a library changed"),
    ("Updated input files", "an input changed"),
    ("Set of input files has changed", "has other inputs"),
    ("Input files updated by another job", "follows from the above"),
)


@dataclass(slots=True)
class DryRun:
    """The jobs of a dry run; paths in ``changed`` were made for another spec, those in ``stored`` the store has."""

    name: str
    store: str
    changed: frozenset[str]
    refreshed: frozenset[str]
    stored: frozenset[str]
    wanted: frozenset[str]
    _why: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _taken: int = 0

    @classmethod
    def of(cls, run: Workflow, state: RunState) -> DryRun:
        """Of what ``run`` would do, from that state."""
        again = {
            output.path
            for each in state.jobs
            for output in each.job.plan.outputs
            if output.name in refreshed(each.job, run.refresh)
        }
        stored = {path for each in state.jobs if each.state == "stored" for path in each.job.paths}
        return cls(
            run.experiment.name,
            run.store,
            state.stale - again,
            state.stale & frozenset(again),
            frozenset(stored),
            state.wanted,
        )

    def add(self, record: Any) -> None:
        """A job that would run, as Snakemake tells of it."""
        outputs = set(map(str, record.output))
        if not outputs:
            return
        if outputs & self.stored:
            self._taken += 1
            return
        stage, _ = name_job(record.rule_name, record.wildcards or {}, record.log)
        self._why[stage][self._reason(outputs, str(record.reason))] += 1

    def _reason(self, outputs: set[str], said: str) -> str:
        if said.startswith("Forced execution"):
            if outputs & self.refreshed:
                return "refresh asks for it"
            if outputs & self.changed:
                return "a setting, code or a library changed"
            if not outputs & self.wanted:
                return "-R or -F asks for it"
            return "follows from the above" if all(Path(path).exists() for path in outputs) else "not made yet"
        return next((why for words, why in _WHY if words in said), said.partition(":")[0])

    def text(self) -> str:
        """A table with a line for each stage."""
        counts = {stage: sum(reasons.values()) for stage, reasons in self._why.items()}
        total = sum(counts.values())
        others = sum(count for stage, count in counts.items() if stage not in STAGES)
        # `primum plan` and `primum why` count the jobs of stages alone.
        what = f": {total - others} of stages, {others} other{'s' * (others > 1)}, such as CSV" if others else ""
        width = max(map(len, ("stage", *self._why)))
        jobs = "1 job" if total == 1 else f"{total} jobs"
        lines = [f"{self.name}: {jobs} would run{what}", "", f"{'stage':<{width}}  jobs  why"] if total else []
        for stage, reasons in self._why.items():
            why = ", ".join(f"{n} {reason}" if len(reasons) > 1 else reason for reason, n in reasons.most_common())
            lines.append(f"{stage:<{width}}  {counts[stage]:>4}  {why}")
        lines += [""] if total else []
        if self._taken:
            them, do = ("1 job is", "does") if self._taken == 1 else (f"{self._taken} jobs are", "do")
            lines.append(f"{them} taken from the store {self.store} and {do} not run.")
        lines.append(f"Nothing was started. What changed: primum why {self.name}")
        lines.append(f"What it may cost: primum plan {self.name}; job by job: add --quiet host")
        return "\n".join(lines)
