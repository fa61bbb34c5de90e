"""What ``primum why`` prints: every cause with what it makes again, or every job with the way to its causes."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from primum.audit.adopt import command
from primum.dag.dag import TARGETS, Job
from primum.dag.workflow import Workflow
from primum.errors import PrimumError
from primum.trace.causes import Cause
from primum.trace.ran import Ran, by_cause, find_ran
from primum.trace.ran import as_json as ran_as_json
from primum.trace.why import Group, Needed, Why, as_json, asked_paths, find_why

_NAMED = 6
_WIDEST = 120


def print_why(run: Workflow, root: Path, experiment: str, asked: str | None, json_: bool) -> None:
    """Print why jobs of ``experiment`` would run: all of them by cause, or one by one those that ``asked`` names.

    Raises PrimumError where it names no job.
    """
    check_asked(run, asked)
    found = find_why(run, root, experiment)
    if json_:
        print(json.dumps(as_json(found, asked or "all"), indent=1))
    else:
        print("\n".join(_overview(found) if asked is None else _job_by_job(found, asked)))


def check_asked(run: Workflow, asked: str | None) -> None:
    """PrimumError where ``asked`` names no job of the experiment."""
    if asked is not None and not any(asked_paths(run, job, asked) for job in run.dag.jobs):
        stages = ", ".join(run.dag.targets)
        raise PrimumError(f"why {asked}: matches no job; give all, a stage ({stages}), stage:name or an artifact")


def _overview(found: Why) -> Iterator[str]:
    waiting, total, name = len(found.waiting), len(found.run.dag.jobs), found.run.experiment.name
    if not waiting:
        yield f"{name}: nothing would run: what its {total} stage jobs make is here, or in the store {found.run.store}"
        return
    yield f"{name}: {waiting} of {total} stage jobs would run, for {several(len(found.groups), 'cause')}"
    for groups in _of_the_same(found.groups):
        yield ""
        for group in groups:
            yield from filled(": ".join(filter(None, (listed(group.names), group.cause.change))))
            yield from filled(_origin(group.cause), "  ")
        yield from _made_again(groups[0])
    yield ""
    if found.adoptable:
        yield from filled(
            f"{found.adoptable} of {waiting} jobs to run differ from what is there in code or versions alone: "
            f"{command(found.run)}"
        )
    yield f"Job by job: primum why {name} all; what it may cost: primum plan {name}"


def _of_the_same(groups: Sequence[Group]) -> list[list[Group]]:
    """The causes that make the same artifacts again, together."""
    found: dict[object, list[Group]] = {}
    for group in groups:
        own, behind = ([each.path for each in needed] for needed in (group.own, group.behind))
        found.setdefault((tuple(own), tuple(behind)), []).append(group)
    return list(found.values())


def _made_again(group: Group) -> Iterator[str]:
    yield from filled(f"makes again {_artifacts(group.own)}", "  ")
    own_jobs = {each.job for each in group.own}
    jobs = list(dict.fromkeys(each.job for each in group.behind if each.job not in own_jobs))
    if jobs:
        behind = f"then {several(len(jobs), 'job')}, unless what they read comes out as it was: {_by_target(jobs)}"
        yield from filled(behind, "  ")


def _artifacts(own: Sequence[Needed]) -> str:
    names, jobs = [each.name for each in own], list(dict.fromkeys(each.job for each in own))
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{len(names)} artifacts of {several(len(jobs), 'job')} ({_by_target(jobs)}), such as {names[0]}"


def _origin(cause: Cause) -> str:
    """Where a cause stands, and who made it; empty where nobody knows."""
    more = f"; and {several(cause.more, 'later commit')}" if cause.more else ""
    commit = f"{cause.commit}{more}" if cause.commit else ""
    return "; ".join(filter(None, (cause.place, commit)))


def _by_target(jobs: Sequence[Job]) -> str:
    counts = Counter(job.stage.target for job in jobs)
    return ", ".join(f"{counts[target]} {target}" for target in TARGETS if target in counts)


def _job_by_job(found: Why, asked: str) -> Iterator[str]:
    by_path = {each.path: each for each in found.needed}
    done = 0
    for job in found.run.dag.jobs:
        asked_for = asked_paths(found.run, job, asked)
        if not asked_for:
            continue
        own = [by_path[path] for path in asked_for if path in by_path]
        if not own:
            done += 1
            continue
        yield f"{job.stage.name}:{job.name} would run"
        for names, causes, ways in _alike(own, by_path):
            yield from filled(f"for {names}", "  ")
            for cause in causes:
                yield from cause_lines(cause, "    ")
            for way, cause in ways:
                yield from filled(f"which reads {', made of '.join(way)}, which must be made", "    ")
                yield from cause_lines(cause, "      ")
    if done:
        yield f"{several(done, 'job')} would not run: what {'it makes' if done == 1 else 'they make'} is here, or in the store"


_Way = tuple[list[str], Cause]


def _alike(needed: Sequence[Needed], by_path: dict[str, Needed]) -> Iterator[tuple[str, tuple[Cause, ...], list[_Way]]]:
    """The artifacts of a job that are made for the same causes, as one: their names, the causes, the ways of the first."""
    groups: dict[object, list[tuple[Needed, list[_Way]]]] = {}
    for each in needed:
        ways = list(_ways(each, by_path))
        groups.setdefault((each.causes, frozenset(cause for _, cause in ways)), []).append((each, ways))
    for alike in groups.values():
        first, ways = alike[0]
        yield listed([each.name for each, _ in alike]), first.causes, ways


def _ways(needed: Needed, by_path: dict[str, Needed]) -> Iterator[_Way]:
    """Of each cause behind an artifact the shortest way to it, as the names that are read on it."""
    told: set[Cause] = set(needed.causes)
    waiting = deque((path, [by_path[path].name]) for path in needed.after)
    seen = set(needed.after)
    while waiting:
        path, way = waiting.popleft()
        for cause in by_path[path].causes:
            if cause not in told:
                told.add(cause)
                yield way, cause
        for each in by_path[path].after:
            if each not in seen:
                seen.add(each)
                waiting.append((each, [*way, by_path[each].name]))


def print_ran(results: Path, store: Path, root: Path, asked: str | None, json_: bool) -> None:
    """Print why what is in ``results`` was made again: by cause, or one by one what ``asked`` names.

    Raises PrimumError where it names nothing, or there are no results.
    """
    found = find_ran(results, store, root, asked or "all")
    if json_:
        print(json.dumps(ran_as_json(found), indent=1))
    else:
        print("\n".join(_ran_by_cause(results, found) if asked is None else _ran_one_by_one(found)))


def _ran_by_cause(results: Path, found: Sequence[Ran]) -> Iterator[str]:
    again = [each for each in found if each.previous is not None]
    if not again:
        yield f"{results.name}: nothing was made again: the store has nothing that its {len(found)} artifacts differ from"
        return
    groups = by_cause(again)
    causes = several(len(groups), "cause")
    yield f"{results.name}: {len(again)} of {len(found)} artifacts took the place of earlier ones, for {causes}"
    for cause, made in groups.items():
        own = [each.name for each in made if cause in each.causes]
        behind = len(made) - len(own)
        yield ""
        yield from filled(cause.words)
        yield from filled(_origin(cause), "  ")
        yield from filled(f"made again {listed(own)}" + (f", and {behind} behind" if behind else ""), "  ")


def _ran_one_by_one(found: Sequence[Ran]) -> Iterator[str]:
    for each in found:
        finished = each.manifest.run.get("finished", "at an unknown time")
        if each.previous is None:
            yield from filled(f"{each.name}, made {finished}: the store has no earlier one")
            continue
        before = each.previous.run.get("finished", "an unknown time")
        yield from filled(f"{each.name}, made {finished}, took the place of one of {before}")
        for cause in each.causes:
            yield from cause_lines(cause, "  ")
        if not each.causes:
            yield "  nothing differs: it was made again as it was"


def cause_lines(cause: Cause, indent: str) -> Iterator[str]:
    """A cause with its place and commit, and below it what it comes from."""
    origin = _origin(cause)
    yield from filled(cause.words + (f" ({origin})" if origin else ""), indent)
    for each in cause.because:
        yield from cause_lines(each, f"{indent}  ")


def filled(text: str, indent: str = "") -> list[str]:
    """``text`` in lines that the terminal has room for. Names and places are not broken."""
    width = min(shutil.get_terminal_size((98, 24)).columns, _WIDEST)
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def listed(names: Iterable[str]) -> str:
    """The first of several names, and how many more there are."""
    found = list(names)
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"{', '.join(found[:_NAMED])}{more}"


def several(number: int, what: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
