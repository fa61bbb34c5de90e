"""The jobs of a run: how many, which run, how far they are, and how long the rest may take."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from primum.artifact.results import LOGS
from primum.terminal.logs import JobLog, Step

_FIRST = 3  # so many jobs must have finished before they tell anything of the others


@dataclass(slots=True)
class Job:
    """A job that runs; ``stage`` and ``name`` are the folder and the name of its log, ``since`` when it began (seconds).

    ``ending`` is the signal or the exit status that ended it.
    """

    rule: str
    stage: str
    name: str
    since: float
    log: JobLog | None = None
    ending: str = ""

    @property
    def step(self) -> Step | None:
        return self.log.step if self.log else None


def name_job(rule: str, wildcards: Mapping[str, str], logs: Sequence[str]) -> tuple[str, str]:
    """(stage, name) as people know a job: ``logs/judge/harm/base.log`` is ``judge`` of ``harm/base``."""
    parts = Path(logs[0]).with_suffix("").parts if logs else ()
    if LOGS not in parts:
        return rule.replace("_", " "), "/".join(map(str, wildcards.values()))
    stage, *name = parts[len(parts) - parts[::-1].index(LOGS) :]
    return stage, "/".join(name) if name != [stage] else ""


@dataclass(slots=True)
class Jobs:
    """The jobs of one run that began at ``since``; with ``queued``, one that has not spoken yet may wait in a queue."""

    since: float
    queued: bool = False
    total: int = 0
    done: int = 0
    failed: int = 0
    running: dict[int, Job] = field(default_factory=dict)
    _waiting: Counter[str] = field(default_factory=Counter)
    _seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def plan(self, counts: Mapping[str, int]) -> None:
        """So many jobs of each rule are to run."""
        self._waiting = Counter(counts)
        self.total = sum(counts.values())

    def begin(self, number: int, job: Job) -> None:
        self._waiting[job.rule] -= 1
        self.running[number] = job

    def finish(self, number: int, now: float) -> None:
        job = self.running.pop(number, None)
        if job:
            self._seconds[job.rule].append(now - job.since)
            self.done += 1

    def fail(self, number: int) -> Job | None:
        """The job, which ran until now."""
        job = self.running.pop(number, None)
        self.failed += job is not None
        return job

    def retry(self, rule: str) -> None:
        """The job that failed last is tried again."""
        self._waiting[rule] += 1
        self.failed -= 1

    def read_logs(self) -> None:
        """Look at the logs of the jobs that run."""
        for job in list(self.running.values()):
            if job.log:
                job.log.read()

    def active(self) -> list[Job]:
        """Those that run, as far as one can tell."""
        return [job for job in list(self.running.values()) if not self._waits(job)]

    def in_queue(self) -> int:
        """How many were submitted and have not spoken yet."""
        return len(self.running) - len(self.active())

    def _waits(self, job: Job) -> bool:
        return self.queued and job.log is not None and not job.log.begun

    def time_left(self, now: float) -> tuple[float, bool] | None:
        """Seconds until the end, and whether all of it is known: False where jobs wait of whose rule none has finished yet.

        What has finished in this run tells how long others of the same rule take, and the median of all of it where there is
        none; as many are taken to run at a time as did so far. None in the beginning.
        """
        means = {rule: sum(seconds) / len(seconds) for rule, seconds in list(self._seconds.items())}
        jobs = list(self.running.values())
        if self.done < _FIRST and not any(job.step and job.step.left for job in jobs):
            return None
        waiting = {rule: count for rule, count in self._waiting.items() if count > 0}
        usual = median([each for seconds in self._seconds.values() for each in seconds] or [0.0])
        rest = [max(job.step.left if job.step else 0.0, means.get(job.rule, usual) - (now - job.since)) for job in jobs]
        work = sum(rest) + sum(means.get(rule, usual) * count for rule, count in waiting.items())
        busy = sum(map(sum, self._seconds.values())) + sum(now - job.since for job in jobs)
        at_a_time = max(busy / max(now - self.since, 1e-9), 1.0)
        known = all(rule in means for rule in waiting) and all(
            job.rule in means or (job.step and job.step.left) for job in jobs
        )
        return max(work / at_a_time, *rest, 0.0), known
