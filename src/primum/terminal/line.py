"""The line that says how a run goes: ``12/28 jobs 1:23 | sft 571/1,004, 7,000 tokens/s | ~4 min left``.

A question mark behind the time left says that jobs are to come of which none like them has finished yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from primum.terminal.jobs import Job, Jobs

_SEPARATOR = " | "
_NAMES, _RATES, _SHARE, _PERCENT, _STAGES = range(5)  # from the most that is said of a job to the least


def run_line(jobs: Jobs, now: float, width: int | None = None) -> str:
    """The line, at most ``width`` characters: what is said of each job shrinks until it fits."""
    first, last = _head(jobs, now), _tail(jobs, now)
    queue = [f"{jobs.in_queue()} queued"] if jobs.in_queue() else []
    groups = _by_stage(jobs.active())
    for detail in (_NAMES, _RATES, _SHARE, _PERCENT, _STAGES):
        line = _SEPARATOR.join([first, *(_said(group, detail) for group in groups), *queue, *last])
        if width is None or len(line) <= width:
            return line
    for shown in range(len(groups) - 1, 0, -1):
        rest = f"+{sum(map(len, groups[shown:]))}"
        line = _SEPARATOR.join([first, *(_said(group, _STAGES) for group in groups[:shown]), rest, *last])
        if len(line) <= (width or 0):
            return line
    return _SEPARATOR.join([first, *last])[:width]


def _head(jobs: Jobs, now: float) -> str:
    failed = f", {jobs.failed} failed" if jobs.failed else ""
    return f"{jobs.done}/{jobs.total} jobs{failed} {clock(now - jobs.since)}"


def _tail(jobs: Jobs, now: float) -> list[str]:
    left = jobs.time_left(now)
    if left is None or not jobs.running:
        return []
    seconds, whole = left
    if seconds < 0.5:  # they take longer than was to be expected, and nobody knows how long
        return []
    return [f"~{spoken(seconds)} left{'' if whole else '?'}"]


def _by_stage(jobs: Sequence[Job]) -> list[list[Job]]:
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.stage, []).append(job)
    return list(groups.values())


def _said(group: Sequence[Job], detail: int) -> str:
    """What is said of the jobs of one stage."""
    words = [group[0].stage]
    if len(group) > 1:
        words.append(f"x{len(group)}")
    elif detail == _NAMES and group[0].name:
        words.append(group[0].name)
    steps = [job.step for job in group if job.step]
    done, total = sum(step.done for step in steps), sum(step.total for step in steps)
    if not total or detail == _STAGES:
        return " ".join(words)
    if detail == _NAMES and len(group) == 1 and steps[0].item not in group[0].name.split("/"):
        words.append(steps[0].item)
    units = {step.unit for step in steps if step.rate}
    has_rate = len(units) == 1 and detail != _PERCENT
    rate = f", {sum(step.rate for step in steps):,} {units.pop()}/s" if has_rate else ""
    far = f"{done:,}/{total:,}" if detail < _SHARE else f"{done / total:.0%}"
    return f"{' '.join(words)} {far}{rate}"


def clock(seconds: float) -> str:
    """``1:23``, or ``2:01:23`` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def spoken(seconds: float) -> str:
    """``23 s``, ``4 min``, ``1 h 20 min``, ``2 d 3 h``."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
