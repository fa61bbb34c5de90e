"""What a run says on the terminal, told from Snakemake's log records.

Snakemake's own lines (which jobs it selects, starts and finishes, the host, the time) stay away unless they are asked for:
with ``--quiet host``, ``--verbose`` or ``--printshellcmds`` they are all there, and of this only the lines about failures.
"""

from __future__ import annotations

import atexit
import logging
import re
import sys
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from primum.artifact.results import LOGS
from primum.terminal.dryrun import DryRun
from primum.terminal.failures import condensed, ending_of, failure_line, is_interrupted
from primum.terminal.interrupt import AGAIN
from primum.terminal.jobs import Job, Jobs, name_job
from primum.terminal.line import clock, run_line
from primum.terminal.logs import JobLog
from primum.terminal.screen import LiveScreen, PlainScreen, Screen, open_screen

# Before the first job Snakemake says these besides what was asked for, such as the graph of jobs.
_BEFORE = ("Assuming unrestricted shared filesystem usage.", "Building DAG of jobs...")
# Our own lines say these: each failed job's, and the last one.
_SAID = ("At least one job did not complete successfully.", "Exiting because a job execution failed.")


class RunHandler(logging.Handler):
    """Takes the place of Snakemake's ``stream`` handler; ``results`` is the experiment's folder.

    ``own`` is False where Snakemake's lines are wanted, ``line`` where that of the run is not: then Snakemake does not tell
    which jobs finish. ``targets`` are rules that only name what is to be made.
    """

    def __init__(self, stream: logging.Handler | None, own: bool, line: bool, results: Path) -> None:
        super().__init__()
        self._snakemake, self._own, self._has_line = stream, own, line
        self._log = results / LOGS / "run.log"
        self._jobs = Jobs(time.monotonic())
        self._screen: Screen = PlainScreen(self._line)
        self._dry: DryRun | None = None
        self._graph: Any = None
        self._targets: Collection[str] = ()
        self._failed: dict[int, Job] = {}
        self._held: list[str] = []  # of jobs that Ctrl-C ended, or so it seems
        self._begun = self._shown = self._stopping = self._interrupted = False

    def begin(self, graph: Any, targets: Collection[str], queued: bool, dry: DryRun | None) -> None:
        """Snakemake's ``graph`` of jobs is being built, for a run (whose jobs may be ``queued`` on a cluster) or a dry run."""
        self._graph, self._targets, self._dry, self._begun = graph, targets, dry, True
        self._jobs = Jobs(time.monotonic(), queued)
        self._screen = PlainScreen(self._line, sys.stdout) if dry else open_screen(self._line, self._log)

    def end(self) -> None:
        """No job runs any more: the terminal is as it was."""
        shown, self._shown = self._shown, False
        if shown:
            self._screen.stop()
        if not self._interrupted:
            took = f"{self._jobs.done}/{self._jobs.total} jobs in {clock(self._now - self._jobs.since)}"
            for line in [*self._held, *([took] if shown else [])]:
                self._screen.say(line)
        self._held.clear()

    @property
    def _now(self) -> float:
        return time.monotonic()

    def _line(self, width: int | None) -> str:
        self._jobs.read_logs()
        before = "stopping | " if self._stopping else ""
        return before + run_line(self._jobs, self._now, width and max(width - len(before), 0))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = getattr(getattr(record, "event", None), "name", "").lower()
            on = getattr(self, f"_on_{event}", self._on_message if event in ("", "error") else None)
            if not self._own:
                if event.startswith("job_") and on and not self._dry:
                    on(record)
            elif not self._begun and record.levelno < logging.WARNING:
                if self._snakemake and record.getMessage() not in _BEFORE:
                    self._snakemake.handle(record)
            elif on:
                on(record)
        except Exception:
            self.handleError(record)

    # Records of one kind each -----------------------------------------------------------------------------------------

    def _on_run_info(self, record: Any) -> None:
        """How many jobs of each rule are to run: the last before the first of them."""
        if self._has_line and not self._dry and not self._shown:
            self._jobs.plan({rule: n for rule, n in record.stats.items() if rule not in (*self._targets, "total")})
            self._shown = True
            self._screen.start()

    def _on_job_info(self, record: Any) -> None:
        if self._dry:
            self._dry.add(record)

    def _on_job_started(self, record: Any) -> None:
        """These are to run from now on: on a cluster this is all that is told of them, by their numbers."""
        found = {job.jobid: job for job in self._graph.jobs} if self._graph else {}
        for job in filter(None, map(found.get, record.jobs)):
            if job.rule.name not in self._targets:
                logs = list(map(str, job.log))
                stage, name = name_job(job.rule.name, job.wildcards_dict, logs)
                log = JobLog(Path(logs[0])) if logs else None
                self._jobs.begin(job.jobid, Job(job.rule.name, stage, name, self._now, log))

    def _on_job_finished(self, record: Any) -> None:
        self._jobs.finish(record.job_id, self._now)

    def _on_job_error(self, record: Any) -> None:
        self._jobs.read_logs()
        job = self._jobs.fail(record.jobid)
        if job:
            self._failed[record.jobid] = job
        if self._interrupted:
            return
        printed = self._log if self._shown and isinstance(self._screen, LiveScreen) else None
        line = failure_line(record, job, printed)
        if job and is_interrupted(job.ending):
            self._held.append(line)
        else:
            self._screen.say(line)

    def _on_message(self, record: logging.LogRecord) -> None:
        text = str(record.msg or "")
        if record.levelno >= logging.ERROR:
            self._on_trouble(text, getattr(record, "exception", ""))
        elif record.levelno >= logging.WARNING:
            self._screen.say(text.strip())
        elif text.startswith("Nothing to be done"):
            self._screen.say(text)
        elif text.startswith("This was a dry-run") and self._dry:
            self._screen.say(self._dry.text())
        elif text.startswith("Terminating processes on user request"):
            self._stopping = self._interrupted = True
        elif text.startswith("Will exit after finishing") and not self._stopping:
            self._stopping = True
            self._screen.say("Stopping: the jobs that run are let finish.")
        elif tried := re.match(r"Trying to restart job (\d+)", text):
            job = self._failed.get(int(tried[1]))
            if job:
                self._jobs.retry(job.rule)
                self._screen.say(f"{' '.join(filter(None, (job.stage, job.name)))} is tried again")

    def _on_trouble(self, text: str, exception: str) -> None:
        ending = ending_of(text)
        if exception == "RuleException" and ending:  # a shell command: the line of its job follows
            for job in list(self._jobs.running.values()):
                if job.log and str(job.log.path) in text:
                    job.ending = ending
        elif "Traceback (most recent call last)" in text:
            self._screen.say(text)
        elif not any(said in text for said in _SAID):
            self._screen.say(AGAIN if exception == "KeyboardInterrupt" else condensed(text))


def listen(workflow: Any, results: Path) -> RunHandler:
    """Hear what Snakemake logs from now on, unless this is a job of a cluster, whose own log has it all."""
    from snakemake.logging import logger
    from snakemake.settings.enums import Quietness

    settings = workflow.output_settings
    asked = settings.verbose or settings.printshellcmds or settings.debug_dag
    quiet = settings.quiet or ()
    own = Quietness.RULES in quiet and not asked
    stream = next((each for each in logger.handlers if each.name == "DefaultStreamHandler"), None)
    handler = RunHandler(stream, own, Quietness.PROGRESS not in quiet, results)
    if workflow.is_main_process:
        if stream and own:
            logger.removeHandler(stream)
        logger.addHandler(handler)
        atexit.register(handler.end)
        sys.excepthook = partial(_on_exception, handler, sys.excepthook)
    return handler


def _on_exception(
    handler: RunHandler, before: Any, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """What ends the run while no job is at work comes below its line."""
    handler.end()
    before(kind, error, trace)
