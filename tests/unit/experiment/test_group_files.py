"""Group files: what they name, what is said of their tasks, which rows they have, and what of them is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from primum.errors import PrimumError
from primum.experiment.experiment import Experiment
from primum.experiment.load import load_experiment, read_experiment
from primum.experiment.task_groups import read_group, unfold
from primum.experiment.task_names import names_below

DATASETS = ("d-test", "d-train")
TASK = """dataset_path: d
test_split: test
fewshot_split: train
doc_to_text: q
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
SUITE = {
    "template": TASK,
    "heart.yaml": "include: template\ntask: suite_heart\ntag: [suite_organs, other]\n",
    "lung.yaml": "include: template\ntask: suite_lung\ntask_alias: Lung\ntag: suite_organs\n",
    "law.yaml": "include: template\ntask: law\nnum_fewshot: 3\n",
    "organs.yaml": "group: suite_organs_group\ngroup_alias: Organs\ntask: [suite_organs]\n"
    "aggregate_metric_list: [{metric: acc, weight_by_size: false}]\ntarget_delimiter: ':'\n",
    "suite.yaml": "group: suite\ntask: [suite_organs_group, {task: law, num_fewshot: 1, task_alias: Law}]\n"
    "aggregate_metric_list: {metric: acc, filter_list: none}\n",
}


def project(root: Path, files: dict[str, str], **entry: Any) -> Path:
    """A project with task files below config/tasks/own/, and an experiment that asks its suite."""
    for name, text in files.items():
        path = root / "config" / "tasks" / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    dataset = {"adapter": "documents", "license": "mit", "citation": "none", "files": ["rows.jsonl"]}
    experiment = {
        "name": "own",
        "datasets": {name: {**dataset, "files": [{"path": "data/x.jsonl"}]} for name in DATASETS},
        "models": {"m": {"hub": "org/m", "revision": "a" * 40}},
        "benchmarks": {"clinic": {"task": "config/tasks/own/suite.yaml", **entry}},
        "evaluate": {"models": ["m"], "benchmarks": ["clinic"]},
    }
    path = root / "own.yaml"
    path.write_text(yaml.safe_dump(experiment), encoding="utf-8")
    return path


def loaded(root: Path, files: dict[str, str] = SUITE, **entry: Any) -> Experiment:
    return load_experiment(str(project(root, files, **entry)), root)


def test_a_group_is_its_tasks_and_a_row_for_each_group(tmp_path: Path) -> None:
    experiment = loaded(tmp_path, title="The clinic")
    names = ("clinic-heart", "clinic-lung", "clinic-law")
    assert experiment.evaluate.benchmarks == names == tuple(experiment.benchmarks)
    assert [experiment.benchmarks[name].title for name in names] == ["suite_heart", "Lung", "Law"]
    assert experiment.benchmarks["clinic-heart"].task == "config/tasks/own/heart.yaml"
    clinic, organs = (experiment.groups[name] for name in ("clinic", "clinic-organs-group"))
    assert (clinic.title, clinic.benchmarks, clinic.weight_by_size) == ("The clinic", names, True)
    assert (organs.title, organs.benchmarks, organs.weight_by_size) == ("Organs", names[:2], False)
    assert list(experiment.evaluated_groups()) == ["clinic", "clinic-organs-group"]


def test_the_group_says_more_than_a_task_and_an_entry_more_than_the_group(tmp_path: Path) -> None:
    experiment = loaded(tmp_path)
    delimiters = {name: entry.target_delimiter for name, entry in experiment.benchmarks.items()}
    assert delimiters == {"clinic-heart": ":", "clinic-lung": ":", "clinic-law": " "}
    assert experiment.benchmarks["clinic-law"].fewshot.k == 1, "the list's num_fewshot, not the file's 3"
    asked = loaded(tmp_path / "more", fewshot={"k": 5}, chat_template=False, target_delimiter="=")
    for entry in asked.benchmarks.values():
        assert (entry.fewshot.k, entry.chat_template, entry.target_delimiter) == (5, False, "=")


def test_all_tasks_report_the_metric_that_the_group_is_a_mean_of(tmp_path: Path) -> None:
    norm = {**SUITE, "suite.yaml": SUITE["suite.yaml"].replace("metric: acc,", "metric: acc_norm,")}
    norm["organs.yaml"] = SUITE["organs.yaml"].replace("metric: acc,", "metric: acc_norm,")
    assert {entry.normalize for entry in loaded(tmp_path, norm).benchmarks.values()} == {"characters"}


def test_evaluate_may_name_a_group_in_a_group_or_a_benchmark_of_one(tmp_path: Path) -> None:
    path = project(tmp_path, SUITE)
    content = yaml.safe_load(path.read_text())
    for named, meant, rows in (
        ("clinic-organs-group", ("clinic-heart", "clinic-lung"), ["clinic-organs-group"]),
        ("clinic-law", ("clinic-law",), []),
    ):
        content["evaluate"]["benchmarks"] = [named]
        path.write_text(yaml.safe_dump(content))
        experiment = load_experiment(str(path), tmp_path)
        assert experiment.evaluate.benchmarks == meant
        assert list(experiment.evaluated_groups()) == rows, "a mean over fewer benchmarks would not compare"


def test_benchmarks_of_the_experiment_may_be_a_group(tmp_path: Path) -> None:
    path = project(tmp_path, {"law.yaml": SUITE["law.yaml"], "template": TASK})
    content = yaml.safe_load(path.read_text())
    task = {"task": "config/tasks/own/law.yaml"}
    content |= {"benchmarks": {"a": task, "b": task}, "groups": {"both": {"benchmarks": ["a", "b"]}}}
    content["evaluate"]["benchmarks"] = ["both"]

    def load(**change: Any) -> Experiment:
        path.write_text(yaml.safe_dump({**content, **change}))
        return load_experiment(str(path), tmp_path)

    assert load().evaluate.benchmarks == ("a", "b")
    part = {**task, "part_of": "Laws"}
    for change, said in (
        ({"groups": {"both": {"benchmarks": ["a", "c"]}}}, "groups.both.benchmarks: no benchmark 'c'"),
        (
            {"groups": {"a": {"benchmarks": ["a", "b"]}}, "evaluate": {"models": ["m"]}},
            "groups.a: is the name of another column",
        ),
        (
            {"groups": {"average": {"benchmarks": ["a"]}}, "evaluate": {"models": ["m"]}},
            "groups.average: is the name of",
        ),
        ({"groups": {"both": {"benchmarks": ["a", "a"]}}}, "'a' is there twice"),
        ({"benchmarks": {"a": task, "b": part}}, "'b' is there twice, has a part_of"),
        ({"groups": ["both"], "evaluate": {"models": ["m"]}}, "own.yaml: groups: "),
    ):
        with pytest.raises(PrimumError) as caught:
            load(**change)
        assert said in str(caught.value)


def test_check_shows_what_a_group_is(tmp_path: Path) -> None:
    document = read_experiment(str(project(tmp_path, SUITE)), tmp_path)
    assert document.grids["benchmarks"]["clinic"] == ("clinic-heart", "clinic-lung", "clinic-law")
    assert document.file_of("benchmarks.clinic-heart.dataset") == tmp_path / "own.yaml"


def test_of_several_files_the_nearest_is_meant(tmp_path: Path) -> None:
    """As a project's own pubmedqa beside a folder of lm-eval's, which has one, too."""
    files = {"law.yaml": TASK + "task: law\n", "deep/law.yaml": TASK + "task: law\ntarget_delimiter: near\n"}
    files |= {"deep/group/all.yaml": "group: all\ntask: [law]\n", "deep/__pycache__/law.yaml": "task: law\n"}
    project(tmp_path, files)
    folder = tmp_path / "config" / "tasks"
    path = folder / "own" / "deep" / "group" / "all.yaml"
    (found,) = read_group(path, names_below(folder)).members()
    assert found.task["target_delimiter"] == "near"
    (folder / "own" / "deep" / "other.yaml").write_text("task: law\n")
    with pytest.raises(PrimumError, match=r"task: 'law' is the name of .*law\.yaml and of .*other\.yaml: rename one"):
        read_group(path, names_below(folder))


def test_groups_and_tasks_may_stand_in_the_list_itself(tmp_path: Path) -> None:
    inline = "{task: own, dataset_path: d, test_split: test, doc_to_text: q}"
    text = f"group: suite\ntask: [{{group: part, task: [law, {inline}], target_delimiter: '-', group_alias: Part}}]\n"
    files = {**SUITE, "suite.yaml": text}
    project(tmp_path, files)
    folder = tmp_path / "config" / "tasks"
    group = read_group(folder / "own" / "suite.yaml", names_below(folder))
    (part,) = group.parts
    assert part.name == "part"
    law, own = group.members()
    assert (law.task["target_delimiter"], own.task["target_delimiter"], own.name) == ("-", "-", "own")
    unfolded = unfold("s", folder / "own" / "suite.yaml", names_below(folder))
    assert (list(unfolded.benchmarks), unfolded.rows) == (["s-law", "s-own"], {}), "without a metric there is no row"


def test_names_that_are_too_long_differ(tmp_path: Path) -> None:
    long = "x" * 70
    files = {"template": TASK, "suite.yaml": f"group: suite\ntask: [suite_{long}_a, suite_{long}_b]\n"}
    files |= {f"{end}.yaml": f"include: template\ntask: suite_{long}_{end}\n" for end in "ab"}
    first, second = loaded(tmp_path, files).benchmarks
    assert first != second
    assert max(len(first), len(second)) <= 64


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"suite.yaml": "group: suite\ntask: [lawyer]\n"}, "suite.yaml: task: 'lawyer': no file below"),
        ({"suite.yaml": "group: suite\ntask: [{task_alias: a}]\n"}, "suite.yaml: task: an entry has neither the name"),
        ({"suite.yaml": "group: suite\ntask: [3]\n"}, "suite.yaml: task: an entry has neither the name"),
        ({"suite.yaml": "group: suite\ntask: []\n"}, "suite.yaml: task: holds no tasks"),
        ({"suite.yaml": "group: suite\ntask: [law, law]\n"}, "suite.yaml: task: 'law' is there twice"),
        ({"suite.yaml": "group: suite\ntask: [suite]\n"}, "suite.yaml: group: 'suite' is a part of itself"),
        ({"law.yaml": "task: law\nuse_prompt: all\n"}, "law.yaml: use_prompt: is not supported"),
        ({"law.yaml": f"{TASK}task: law\noutput_type: loglikelihood\n"}, "law.yaml: output_type: only"),
        (
            {
                "law.yaml": "task: law\ndataset_path: d\noutput_type: generate_until\nmetric_list: [{metric: exact_match}]\n"
            },
            "suite.yaml: aggregate_metric_list: acc: no metric that all of 'suite' report: 'law' does not",
        ),
        *(
            ({"suite.yaml": f"group: suite\ntask: [law]\naggregate_metric_list: {given}\n"}, f"suite.yaml: {said}")
            for given, said in (
                ("[{metric: f1}, {metric: mcc}]", "aggregate_metric_list: f1, mcc: not supported; one of acc,"),
                ("[{metric: acc, aggregation: median}]", "aggregate_metric_list.aggregation: median: not supported"),
                ("[{metric: acc, aggregation: !function own.f}]", "aggregate_metric_list.aggregation: own.f: not supp"),
                (
                    "[{metric: acc, weight_by_size: some}]",
                    "aggregate_metric_list.weight_by_size: must be true or false",
                ),
                ("[{metric: acc, weights: [1]}]", "aggregate_metric_list.weights: is not supported; only metric,"),
                ("[{metric: acc, filter_list: [strict]}]", "aggregate_metric_list.filter_list: 'strict' is neither"),
                ("[acc]", "aggregate_metric_list: expected entries such as {metric: acc"),
                ("[{metric: acc}, {metric: acc, weight_by_size: false}]", "group: 'suite' has two rows"),
            )
        ),
    ],
)
def test_what_is_not_supported_is_refused_with_its_key(tmp_path: Path, change: dict[str, str], said: str) -> None:
    path = project(tmp_path, {**SUITE, "own.py": "def f(values): return 0\n", **change})
    with pytest.raises(PrimumError) as caught:
        load_experiment(str(path), tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{path}: benchmarks.clinic: ")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("entry", "others", "said"),
    [
        ({"dataset": "d-test"}, {}, "benchmarks.clinic.dataset: 'clinic' is a group, whose tasks have their own"),
        ({"part_of": "All"}, {}, "benchmarks.clinic.part_of: 'clinic' is a group"),
        ({}, {"clinic-law": {"dataset": "d-test"}}, "benchmarks.clinic: its task 'clinic-law' is a benchmark, too"),
        ({"scoring": "words"}, {}, "benchmarks.clinic-heart.scoring: Input should be"),
    ],
)
def test_what_an_experiment_may_not_say_of_a_group(
    tmp_path: Path, entry: dict[str, Any], others: dict[str, Any], said: str
) -> None:
    path = project(tmp_path, SUITE, **entry)
    content = yaml.safe_load(path.read_text())
    content["benchmarks"] |= others
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(PrimumError) as caught:
        load_experiment(str(path), tmp_path)
    assert said in str(caught.value)
