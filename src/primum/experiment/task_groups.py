"""Group files: several tasks of lm-evaluation-harness, in groups of groups, and the rows that are means over them.

Names are those of all files below a folder, as with lm-eval's ``include_path``. What a group says beside its own keys, or an
entry of its list, goes before what a task says, in all groups below. A mean is over the tasks, not over the groups between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from primum.errors import PrimumError
from primum.experiment.task_files import read_task
from primum.experiment.task_keys import named, shortened
from primum.experiment.task_names import TaskNames
from primum.experiment.tasks import benchmark_keys, reported

_OWN = ("group", "group_alias", "task", "aggregate_metric_list", "metadata")
_METRICS = ("acc", "acc_norm", "acc_bytes", "exact_match")
_AGGREGATE = ("metric", "aggregation", "weight_by_size", "filter_list")


@dataclass(frozen=True, slots=True)
class Member:
    """A task of a group: where it stands, and what it says under the group."""

    name: str
    path: Path
    task: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """A group as its file has it: ``means`` are the entries of ``aggregate_metric_list``."""

    name: str
    title: str
    path: Path
    means: tuple[Mapping[str, Any], ...]
    parts: tuple[Group | Member, ...]

    def members(self) -> list[Member]:
        """All tasks below, in their order."""
        return [each for part in self.parts for each in ([part] if isinstance(part, Member) else part.members())]

    def below(self) -> Iterator[Group]:
        """The group and all groups in it."""
        yield self
        for part in self.parts:
            if isinstance(part, Group):
                yield from part.below()


def read_group(path: Path, names: TaskNames) -> Group:
    """The group of the file at ``path``. PrimumError naming the file and the key for what is not supported."""
    return _group(path, read_task(path), {}, names, ())


def _group(
    path: Path, given: Mapping[str, Any], overrides: Mapping[str, Any], names: TaskNames, above: tuple[str, ...]
) -> Group:
    name = str(given.get("group") or path.stem)
    if name in above:
        raise PrimumError(f"{path}: group: {name!r} is a part of itself")
    told = {key: value for key, value in given.items() if key not in _OWN} | dict(overrides)
    entries = given["task"] if isinstance(given.get("task"), list) else [given.get("task")]
    parts = tuple(part for entry in entries for part in _parts(path, entry, told, names, (*above, name)))
    return Group(name, str(given.get("group_alias") or name), path, _means(path, given), parts)


def _parts(
    path: Path, entry: Any, overrides: Mapping[str, Any], names: TaskNames, above: tuple[str, ...]
) -> Iterator[Group | Member]:
    """What an entry of a group's list stands for: a group, a task, or all tasks with a tag."""
    if isinstance(entry, dict) and "group" in entry and str(entry["group"]) not in names.groups:
        yield _group(path, entry, overrides, names, above)
        return
    own = {} if isinstance(entry, str) else entry
    if not isinstance(own, dict) or not ("group" in own or isinstance(own.get("task", entry), str)):
        raise PrimumError(f"{path}: task: an entry has neither the name of a task nor of a group")
    name = str(own.get("group") or own.get("task") or entry)
    told = {**overrides, **{key: value for key, value in own.items() if key not in ("task", "group")}}
    if name in names.groups:
        file = names.file_of(name, path)
        yield _group(file, read_task(file), told, names, above)
    elif name in names.tasks or name in names.tags:
        for each in [name] if name in names.tasks else sorted(names.tags[name]):
            file = names.file_of(each, path)
            task = read_task(file)
            yield Member(each, file, {**task, **told, "task": each})
    elif {"dataset_path", "doc_to_text"} & set(own):
        yield Member(name, path, {**told, "task": name})
    else:
        raise PrimumError(f"{path}: task: {name!r}: no file below {names.folder} has a task, group or tag of that name")


def _means(path: Path, given: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The means that a group has by each metric that is supported. PrimumError where there are some, and none is."""
    listed = given.get("aggregate_metric_list") or []
    listed = [listed] if isinstance(listed, dict) else listed
    where = f"{path}: aggregate_metric_list"
    if not isinstance(listed, list) or not all(isinstance(each, dict) and each.get("metric") for each in listed):
        raise PrimumError(f"{where}: expected entries such as {{metric: acc, weight_by_size: true}}")
    found = [each for each in listed if str(each["metric"]) in _METRICS]
    if listed and not found:
        metrics = ", ".join(named(each["metric"]) for each in listed[:5])
        raise PrimumError(f"{where}: {metrics}: not supported; one of {', '.join(_METRICS)} is needed")
    for each in found:
        if unknown := next((key for key in each if key not in _AGGREGATE), None):
            raise PrimumError(f"{where}.{unknown}: is not supported; only {', '.join(_AGGREGATE)} are")
        if each.get("aggregation", "mean") != "mean":
            raise PrimumError(f"{where}.aggregation: {named(each['aggregation'])}: not supported; only mean is")
        if not isinstance(each.get("weight_by_size", True), bool):
            raise PrimumError(f"{where}.weight_by_size: must be true or false")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Row:
    """A mean over benchmarks, pooled over their items or (not ``weight_by_size``) over the benchmarks."""

    title: str
    benchmarks: tuple[str, ...]
    weight_by_size: bool


@dataclass(frozen=True, slots=True)
class Unfolded:
    """What a group file stands for: benchmarks as keys of a ``Benchmark``, each with its file, and rows, by their names."""

    benchmarks: Mapping[str, dict[str, Any]]
    files: Mapping[str, Path]
    rows: Mapping[str, Row]


def unfold(name: str, path: Path, names: TaskNames) -> Unfolded:
    """The group of the file at ``path``, named ``name``: its tasks are ``name-task``, its groups ``name-group``.

    All tasks of a mean report the first metric of ``aggregate_metric_list`` that each of them has. PrimumError naming the file
    and the key for what is not supported, for a task that is there twice, and where there is no such metric.
    """
    group = read_group(path, names)
    members = group.members()
    slugs = {each.name: _slug(name, group, each.name) for each in members}
    if not members or len(slugs) < len(members) or len(set(slugs.values())) < len(slugs):
        twice = [each.name for each in members if [m.name for m in members].count(each.name) > 1]
        raise PrimumError(
            f"{path}: task: {f'{twice[0]!r} is there twice' if twice else 'holds no tasks of their own names'}"
        )
    metrics: dict[str, str] = {}
    rows: dict[str, Row] = {}
    filters: list[tuple[Group, list[str]]] = []
    for each in group.below():
        if not each.means:
            continue
        metric = _metric(each, metrics)
        metrics |= dict.fromkeys((member.name for member in each.members()), metric)
        own = [mean for mean in each.means if mean["metric"] == metric]
        weights = {bool(mean.get("weight_by_size", True)) for mean in own}
        title = _slug(name, group, each.name) if each is not group else name
        row = Row(each.title, tuple(slugs[member.name] for member in each.members()), True in weights)
        # A group around a single group of its name is one row, too.
        same = title in rows and (row.benchmarks, row.weight_by_size) == (
            rows[title].benchmarks,
            rows[title].weight_by_size,
        )
        if (title in rows and not same) or title in slugs.values() or len(weights) > 1:
            raise PrimumError(f"{each.path}: group: {each.name!r} has two rows: give it one, and a name of its own")
        rows.setdefault(title, row)
        filters.append((each, [f for mean in own for f in _listed(mean.get("filter_list"))]))
    benchmarks = {
        slugs[each.name]: benchmark_keys(each.path, each.task, metrics.get(each.name, "")) for each in members
    }
    for each, wanted in filters:
        _check_filters(each, wanted, [benchmarks[slugs[member.name]] for member in each.members()])
    return Unfolded(benchmarks, {slugs[each.name]: each.path for each in members}, rows)


def _metric(group: Group, chosen: Mapping[str, str]) -> str:
    """The first metric of a group's means that all its tasks report, and that a group above has not chosen otherwise."""
    members = group.members()
    can = [[chosen[each.name]] if each.name in chosen else reported(each.task) for each in members]
    for mean in group.means:
        if all(mean["metric"] in metrics for metrics in can):
            return str(mean["metric"])
    listed = ", ".join(str(mean["metric"]) for mean in group.means)
    lacking = next(
        each.name for each, metrics in zip(members, can, strict=True) if group.means[0]["metric"] not in metrics
    )
    raise PrimumError(
        f"{group.path}: aggregate_metric_list: {listed}: no metric that all of {group.name!r} report: {lacking!r} does not"
    )


def _check_filters(group: Group, wanted: list[str], benchmarks: list[dict[str, Any]]) -> None:
    """PrimumError where a mean is over answers that are read in a way that is neither a task's strict nor its flexible one."""
    for keys in benchmarks:
        pipelines = [each["name"] for each in keys.get("generate_until", {}).get("filters", ())] or ["none"]
        if unknown := next((name for name in wanted if name not in (pipelines[0], pipelines[-1])), None):
            raise PrimumError(
                f"{group.path}: aggregate_metric_list.filter_list: {unknown!r} is neither the first nor the last filter of "
                "its tasks"
            )


def _listed(filters: Any) -> list[str]:
    return [str(each) for each in ([filters] if isinstance(filters, str) else filters or [])]


def _slug(name: str, group: Group, part: str) -> str:
    """``mmlu-anatomy`` of ``mmlu_anatomy`` in a group ``mmlu`` that is named ``mmlu`` here."""
    own = part.removeprefix(f"{group.name}_").lower()
    return shortened(f"{name}-{re.sub(r'[^a-z0-9]+', '-', own).strip('-') or 'task'}")
