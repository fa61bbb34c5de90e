"""All of lm-eval's group files: how many load, whose tasks they hold, and what their means are by lm-eval's own aggregation."""

from __future__ import annotations

import importlib.util
import math
import random
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from primum.errors import PrimumError
from primum.experiment import task_groups
from primum.experiment.task_groups import Unfolded, read_group, unfold
from primum.experiment.task_names import TaskNames, names_below
from primum.tables.averages import columns
from primum.tables.sampling import sampled_mean
from primum.tables.statistics import bounded

SPEC = importlib.util.find_spec("lm_eval")
assert SPEC is not None
assert SPEC.submodule_search_locations is not None
SHIPPED = Path(SPEC.submodule_search_locations[0]) / "tasks"
DOCS = Path(__file__).parents[2] / "docs" / "scoring.md"


@cache
def _names() -> TaskNames:
    return names_below(SHIPPED)


def _groups() -> list[Path]:
    return [path for paths in _names().groups.values() for path in paths]


def _reason(path: Path, error: PrimumError) -> str:
    """The key that is refused, and whether it is the group's or that of one of its tasks or of a group in it."""
    file, key, said = str(error).split(": ", 2)
    if "no metric that all of" in said:
        said, file = "no metric that all tasks have", str(path)
    elif key == "aggregate_metric_list":
        said, file = "none of the metrics", str(path)
    elif key == "aggregate_metric_list.aggregation":
        said = "another aggregation"
    else:
        said = ""
    whose = " of the group" if file == str(path) else " of a task"
    return f"{re.sub(r'[.].*', '', key)}{whose}{': ' if said else ''}{said}"


def test_how_many_groups_load_is_what_the_documentation_says(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each file is a task of several groups: reading it once saves a minute.
    monkeypatch.setattr(task_groups, "read_task", cache(task_groups.read_task))
    refused: Counter[str] = Counter()
    for path in _groups():
        try:
            unfold("suite", path, _names())
        except PrimumError as error:
            refused[_reason(path, error)] += 1
    section = DOCS.read_text(encoding="utf-8").split("\n## Groups of tasks\n")[1].split("\n## ")[0]
    table = dict(re.findall(r"^\| (.+?) \| ([0-9,]+) \|$", section.replace("`", ""), re.MULTILINE))
    assert {key: int(count) for key, count in table.items()} == refused
    assert f"Of lm-eval's {len(_groups())} group files, {len(_groups()) - refused.total()} load" in " ".join(
        section.split()
    )


# Of each kind of member: nested files, tags, groups in the list, tasks with keys of their own, and means over benchmarks.
TREES = (
    *("mmlu/default/_mmlu.yaml", "mmlu/continuation/_mmlu.yaml", "benchmarks/multimedqa/multimedqa.yaml"),
    *(
        "leaderboard/bbh_mc/_leaderboard_bbh.yaml",
        "leaderboard/musr/_musr.yaml",
        "med_concepts_qa/_med_concepts_qa.yaml",
    ),
    *("blimp_nl/blimp_nl_group.yaml", "mmlusr/answer_only/_answer_only.yaml"),
    *(
        "global_piqa/_global_piqa_cloze.yaml",
        "aclue/_aclue.yaml",
        "arab_culture/_arab_culture.yaml",
        "e2lmc/noor/_noor.yaml",
    ),
    *("mmlu_pro/_mmlu_pro.yaml", "aradice/ArabicMMLU/EGY/AraDiCE_ArabicMMLU.yaml", "kobest/_kobest.yaml"),
)


def _tree(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """lm-eval's own group, built by its own factory from its own index; no task loads its data."""
    from lm_eval.api.task import ConfigurableTask, Task
    from lm_eval.tasks import _factory
    from lm_eval.tasks._index import Entry, Kind

    class Bare(ConfigurableTask):  # type: ignore[misc]
        def __init__(self, config: dict[str, Any]) -> None:
            self.given = config

        @property
        def task_name(self) -> str:
            return str(self.given["task"])

    assert issubclass(Bare, Task)
    load = _factory.load_yaml
    monkeypatch.setattr(_factory, "ConfigurableTask", Bare)
    monkeypatch.setattr(_factory, "load_yaml", lambda file, resolve_func: load(file, resolve_func=False))
    names = _names()
    index = {name: Entry(name, Kind.TASK, files[0]) for name, files in names.tasks.items()}
    index |= {name: Entry(name, Kind.GROUP, files[0]) for name, files in names.groups.items()}
    index |= {name: Entry(name, Kind.TAG, None, tags=tags) for name, tags in names.tags.items()}
    name = next(name for name, files in names.groups.items() if path in files)
    return _factory.TaskFactory().build(index[name], registry=index)


def test_names_are_those_of_lm_evals_index() -> None:
    from lm_eval.tasks._index import Kind, TaskIndex

    folders = ("mmlu", "benchmarks", "leaderboard", "blimp_nl", "global_piqa", "toksuite")
    for folder in (SHIPPED / name for name in folders):
        ours, theirs = names_below(folder), TaskIndex.build([folder])
        found = {
            kind: {n: e for n, e in theirs.items() if e.kind is kind} for kind in (Kind.TASK, Kind.GROUP, Kind.TAG)
        }
        assert {name: files[0] for name, files in ours.tasks.items()} == {
            name: entry.yaml_path for name, entry in found[Kind.TASK].items()
        }
        assert {name: files[0] for name, files in ours.groups.items()} == {
            name: entry.yaml_path for name, entry in found[Kind.GROUP].items()
        }
        assert ours.tags == {name: entry.tags for name, entry in found[Kind.TAG].items()}


@pytest.mark.parametrize("name", TREES)
def test_a_group_is_lm_evals_and_so_is_its_mean(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tasks under the same keys, and from made-up marks of their items the same means of every group."""
    theirs = _tree(SHIPPED / name, monkeypatch)
    ours, unfolded = read_group(SHIPPED / name, _names()), unfold("suite", SHIPPED / name, _names())
    tasks = theirs.get_all_tasks()
    assert [member.name for member in ours.members()] == [task.task_name for task in tasks]
    for member, task in zip(ours.members(), tasks, strict=True):
        told = {key: value for key, value in member.task.items() if key != "tag" and _plain(value)}
        assert told == {key: task.given.get(key) for key in told}
    aggregated = {each.name.rpartition("::")[2]: each for each in (theirs, *theirs.get_all_groups())}
    _compare(unfolded, list(ours.below()), aggregated, [task.task_name for task in tasks])


def _plain(value: Any) -> bool:
    return isinstance(value, int | float | bool) or (isinstance(value, str) and "/" not in value)


def _compare(unfolded: Unfolded, groups: list[Any], theirs: dict[str, Any], names: list[str]) -> None:
    from lm_eval.api.metrics import mean, mean_stderr

    chance = random.Random(len(names))
    marks = {
        name: [chance.random() < 0.2 + 0.6 * chance.random() for _ in range(2 + 7 * n % 40)]
        for n, name in enumerate(names)
    }
    slugs = dict(zip(names, unfolded.benchmarks, strict=True))
    metrics = {
        name: {f"{key},{kind}": mean(values), f"{key}_stderr,{kind}": mean_stderr(values), "sample_len": len(values)}
        for name, values in marks.items()
        for key, kind in [_reported(unfolded.benchmarks[slugs[name]])]
    }
    rows = [
        {"name": name, "benchmarks": row.benchmarks, "weight_by_size": row.weight_by_size}
        for name, row in unfolded.rows.items()
    ]
    made = {column.name: column for column in columns([(slug, "") for slug in slugs.values()], rows)}
    means = {slugs[name]: sampled_mean(np.array(values, dtype=float)[:, None]) for name, values in marks.items()}
    compared = 0
    for group in groups:
        expected = theirs[group.name].aggregate(metrics)
        slug = {slugs[member.name] for member in group.members()}
        row = next((row for row in rows if set(row["benchmarks"]) == slug), None)
        values = [key for key in expected if "," in key and "_stderr" not in key]
        assert bool(values) == (row is not None), "a row where lm-eval has a mean"
        if row is None:
            continue
        found = made[row["name"]].over([means[name] for name in made[row["name"]].benchmarks])
        assert found.value == pytest.approx(expected[values[0]], abs=1e-12)
        assert found.n == expected["sample_len"]
        stderr, theirs_ = math.sqrt(found.items), float(expected[values[0].replace(",", "_stderr,")])
        # By size lm-eval takes one variance for all tasks, where each has its own here.
        assert stderr == pytest.approx(theirs_, rel=0.1 if row["weight_by_size"] else 1e-9)
        estimate = bounded(found)
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low < found.value < estimate.high
        compared += 1
    assert compared >= len(rows)


def _reported(keys: dict[str, Any]) -> tuple[str, str]:
    """The metric that a benchmark is by lm-eval's name, and the filter that is its strict column."""
    if "generate_until" in keys:
        return "exact_match", next((str(each["name"]) for each in keys["generate_until"]["filters"]), "none")
    return {"none": "acc", "characters": "acc_norm", "bytes": "acc_bytes"}[keys["normalize"]], "none"
