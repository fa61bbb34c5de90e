"""Each failure on one line: Snakemake's own page about a job has its shell command, and on a cluster says nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from primum.terminal.jobs import Job

_LONGEST = 299
_ENDED = re.compile(r"died with <Signals\.(?P<signal>\w+): \d+>|returned non-zero exit status (?P<status>\d+)")
_INTERRUPTED = ("SIGINT", "130")


def ending_of(text: str) -> str:
    """How a shell command ended, as Snakemake tells it: a signal's name or an exit status; empty if it tells nothing."""
    found = _ENDED.search(text)
    return (found["signal"] or found["status"]) if found else ""


def is_interrupted(ending: str) -> bool:
    """Whether Ctrl-C ended the command, which reaches all jobs on this machine."""
    return ending in _INTERRUPTED


def failure_line(record: Any, job: Job | None, printed: Path | None = None) -> str:
    """Which job failed, why (as the job, the cluster or the system tells it), and where its log is; under 300 characters.

    ``printed`` is where its output went, for a job that told its log no reason.
    """
    # Snakemake adds nothing but advice behind the first sentences.
    told = str(getattr(record, "rule_msg", None) or "").partition("For further error details")[0].rstrip(" .")
    error = job.log.error if job and job.log else ""
    ended = {"": "", "1": ""}.get(job.ending, f"ended with {job.ending}") if job else ""
    reason = "; ".join(filter(None, (told, ended, error))) or "failed"
    logs = [*map(_short, getattr(record, "log", None) or ()), *([str(printed)] if printed and not error else [])]
    made = " ".join(list(getattr(record, "output", None) or ())[:1])
    before, after = f"error: {getattr(record, 'rule_name', '?')} ({made}): ", f"; log: {', '.join(logs)}"
    return before + _cut(reason, _LONGEST - len(before) - len(after)) + after


def condensed(text: str) -> str:
    """An error of Snakemake's on one line, without the places in the Snakefile that it names below."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("  File ")]
    if len(lines) > 1 and re.fullmatch(r"\w+(?: in .*)?:", lines[0].strip()):
        del lines[0]
    return _cut(f"error: {' '.join(' '.join(lines).split())}", _LONGEST)


def _short(path: str) -> str:
    """Relative to the folder of the run: the cluster's logs are named in full."""
    whole, here = Path(path), Path.cwd()
    return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: max(longest - 3, 0)]}..."
