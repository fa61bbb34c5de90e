"""``extends``: what a file takes from another one, which file an error names, and what is never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from shipped import ROOT

from primum.errors import PrimumError
from primum.experiment import load_experiment
from primum.experiment.extends import extended, merged
from primum.experiment.load import read_yaml

BASE = """
seed: 3
datasets:
  corpus: {adapter: text, files: [{path: data/corpus.jsonl}]}
mixtures:
  text: {sources: {corpus: {dataset: corpus, take: 5}}}
models:
  base: {train: pretrain, data: text, optimization: {batch: 2, steps: 3}}
  sft: {train: sft, from: base, data: text, optimization: {batch: 2, steps: 1}}
evaluate: {models: [base, sft]}
"""
CHILD = """
extends: common
name: child
models:
  base: {optimization: {learning_rate: 5e-6}}
  sft: {optimization: {learning_rate: 1e-5, batch: 4}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A base that lacks a learning rate, and an experiment that gives it."""
    for folder, name, text in (("bases", "common", BASE), ("experiments", "child", CHILD)):
        path = tmp_path / "config" / folder / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def _write(project: Path, name: str, text: str, folder: str = "experiments") -> Path:
    path = project / "config" / folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _refusal(project: Path, name: str = "child") -> str:
    with pytest.raises(PrimumError) as caught:
        load_experiment(name, project)
    said = str(caught.value)
    assert "\n" not in said
    return said.replace(f"{project}/config/", "")


@pytest.mark.parametrize(
    ("base", "own", "expected"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": {"u": 1, "v": 2}}}, {"a": {"x": {"u": None}}}, {"a": {"x": {"v": 2}}}),
        ({"a": {"x": 1}}, {"a": None}, {}),
        ({"a": 1}, {"b": None}, {"a": 1, "b": None}),
        ({"a": {"x": 1}}, {"a": 2}, {"a": 2}),
        ({"a": 2}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({}, {}, {}),
    ],
)
def test_mappings_merge_and_the_rest_is_replaced(
    base: dict[str, Any], own: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = repr((base, own))
    assert merged(base, own) == expected
    assert repr((base, own)) == before


def test_a_file_and_its_base_are_one_experiment(project: Path) -> None:
    e = load_experiment("child", project)
    assert (e.name, e.seed, e.evaluate.models) == ("child", 3, ("base", "sft"))
    tuned = {
        name: (m.optimization.learning_rate, m.optimization.batch, m.optimization.steps) for name, m in e.models.items()
    }  # type: ignore[union-attr]
    assert tuned == {"base": (5e-6, 2, 3), "sft": (1e-5, 4, 1)}


def test_chains_and_nulls(project: Path) -> None:
    _write(project, "next", "extends: child\nname: next\nmodels: {sft: null}\nevaluate: {models: [base]}")
    _write(project, "last", "extends: next\nname: last\nseed: 4\nmixtures: {text: {sources: {corpus: {take: null}}}}")
    e = load_experiment("last", project)
    assert (e.name, e.seed, list(e.models)) == ("last", 4, ["base"])
    assert e.models["base"].optimization.learning_rate == 5e-6  # type: ignore[union-attr]
    assert e.mixtures["text"].sources["corpus"].take is None
    assert load_experiment("child", project).mixtures["text"].sources["corpus"].take == 5


def test_a_grid_of_a_base_can_be_changed_before_it_expands(project: Path) -> None:
    grid = "\n  sft-${n}: {matrix: {n: [1, 2]}, train: sft, from: base, data: text, optimization: {batch: 2, steps: '${n}'}}"
    _write(
        project,
        "common",
        BASE.replace("\nevaluate: {models: [base, sft]}", f"{grid}\nevaluate: {{models: ['sft-${{n}}']}}"),
        "bases",
    )
    more = "\n  sft-${n}: {matrix: {n: [3]}, optimization: {learning_rate: 1e-4}}\n"
    path = _write(project, "child", CHILD.rstrip() + more)
    assert load_experiment("child", project).evaluate.models == ("sft-3",)
    # Each key of the grid's entry still has its file.
    path.write_text(path.read_text().replace("1e-4", "0"))
    said = (
        "experiments/child.yaml: models.sft-3.optimization.learning_rate: Input should be greater than 0 (an entry of "
    )
    assert _refusal(project).startswith(f"{said}models.sft-${{n}})")
    path.write_text(path.read_text().replace(", optimization: {learning_rate: 0}", ""))
    _write(
        project,
        "common",
        (project / "config/bases/common.yaml").read_text().replace("steps: '${n}'", "step: 1"),
        "bases",
    )
    assert _refusal(project).startswith("bases/common.yaml: models.sft-3.optimization: unknown key 'step'")


def test_a_name_is_not_inherited(project: Path) -> None:
    _write(project, "heir", "extends: child\n")
    assert _refusal(project, "heir") == "experiments/heir.yaml: name: Field required"


# (file, what is replaced, with what, the error)
WRONG = [
    ("bases/common", "batch: 2, steps: 3", "batch: none, steps: 3", "bases/common.yaml: models.base.optimization.batch: Input"),
    ("bases/common", "steps: 3", "stepps: 3", "bases/common.yaml: models.base.optimization: unknown key 'stepps'"),
    ("bases/common", "seed: 3", "sede: 3", "bases/common.yaml: unknown key 'sede'"),
    ("bases/common", "from: base", "from: bass", "bases/common.yaml: models.sft.from: no model 'bass'"),
    ("bases/common", "[base, sft]", "[base, sfft]", "bases/common.yaml: evaluate.models: no model 'sfft'"),
    ("bases/common", "seed: 3", "catalogs: demo", "bases/common.yaml: catalogs: expected a list of names"),
    ("bases/common", "  sft:", "  s_t:", "bases/common.yaml: models.s_t.[key]: String should match pattern"),
    ("bases/common", "seed: 3", "seed: 3\nseed: 4", "bases/common.yaml: line 3: key 'seed' is given twice"),
    ("experiments/child", "batch: 4", "batch: none", "experiments/child.yaml: models.sft.optimization.batch: Input should"),
    ("experiments/child", "batch: 4", "bach: 4", "experiments/child.yaml: models.sft.optimization: unknown key 'bach'"),
    ("experiments/child", "batch: 4", "batch: null", "experiments/child.yaml: models.sft.optimization.batch: Field required"),
    ("experiments/child", "name: child", "name: child\nsede: 3", "experiments/child.yaml: unknown key 'sede'"),
    ("experiments/child", "name: child", "name: child\ndatasets: 3", "experiments/child.yaml: datasets: Input should be"),
    ("experiments/child", "sft: {", "sft: {from: bass, ", "experiments/child.yaml: models.sft.from: no model 'bass'"),
    ("experiments/child", "sft: {", "stf: {", "experiments/child.yaml: models.stf: a model needs 'hub', 'endpoint', or"),
    ("experiments/child", "base: {", "basis: {", "experiments/child.yaml: models.basis: a model needs 'hub'"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "said"), WRONG, ids=[f"{file}: {new}" for file, _, new, _ in WRONG])
def test_an_error_names_the_file_in_which_the_key_stands(
    project: Path, file: str, old: str, new: str, said: str
) -> None:
    path = project / f"config/{file}.yaml"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    assert _refusal(project).startswith(said)


def test_what_an_entry_lacks_is_missed_where_it_was_last_touched(project: Path) -> None:
    path = project / "config/experiments/child.yaml"
    path.write_text(path.read_text().replace("{learning_rate: 5e-6}", "{batch: 3}"))
    said = "experiments/child.yaml: models.base.optimization.learning_rate: Field required"
    assert _refusal(project) == said


def test_circles_and_names_that_there_are_not(project: Path) -> None:
    path = project / "config/experiments/child.yaml"
    text = path.read_text()
    path.write_text(text.replace("extends: common", "extends: comon"))
    there = "in config/bases/ or config/experiments/; there are: child, common"
    assert _refusal(project) == f"experiments/child.yaml: extends: no file 'comon' {there}"
    path.write_text(text.replace("extends: common", "extends: ../bases/common"))
    assert "no file '../bases/common'" in _refusal(project)
    path.write_text(text.replace("extends: common", "extends: [common]"))
    assert "extends: expected the name of one file in config/bases/" in _refusal(project)
    path.write_text(text.replace("extends: common", "extends: child"))
    assert _refusal(project).endswith("child.yaml: extends: goes round in a circle: child -> child")
    path.write_text(text.replace("extends: common", "extends: next"))
    _write(project, "next", "extends: last\nname: next\n")
    _write(project, "last", "extends: child\nname: last\n")
    assert _refusal(project).endswith("extends: goes round in a circle: child -> next -> last -> child")
    path.write_text(text)
    _write(project, "common", CHILD)
    assert "extends: 'common' is in both config/bases/ and config/experiments/: rename one" in _refusal(project)


def test_a_base_is_not_an_experiment(project: Path) -> None:
    with pytest.raises(PrimumError, match="'common': no such experiment; there are: child; or give the path"):
        load_experiment("common", project)
    with pytest.raises(
        PrimumError, match=r"common\.yaml: is a base, and not run itself: write an experiment that says"
    ):
        load_experiment(str(project / "config/bases/common.yaml"), project)


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "config/bases").glob("*.yaml")))
def test_shipped_bases_have_no_name_and_are_used(name: str) -> None:
    assert "name" not in read_yaml(ROOT / f"config/bases/{name}.yaml")
    files = (ROOT / "config/experiments").glob("*.yaml")
    assert name in {yaml.safe_load(path.read_text(encoding="utf-8")).get("extends") for path in files}


def test_every_key_has_its_file(project: Path) -> None:
    path = project / "config/experiments/child.yaml"
    document = extended(path, project, read_yaml)
    base = project / "config/bases/common.yaml"
    assert document.file_of("models.sft.optimization.batch") == path
    assert document.file_of("models.sft.optimization.steps") == base
    assert document.file_of("models.sft.from") == base
    assert document.file_of("models.sft.optimization.unheard.of") == path
    assert document.file_of("budget") == path
