"""Grids: what a matrix makes, worked out by hand, and what is refused in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from primum.dag.dag import Dag
from primum.dag.workflow import open_workflow
from primum.errors import PrimumError
from primum.experiment import load_experiment
from primum.experiment.document import Document, places_of
from primum.experiment.grid import combinations, expand
from primum.experiment.load import read_experiment

ROOT = Path(__file__).parents[3]
FILE = Path("file.yaml")


def _expanded(text: str) -> Document:
    content = yaml.safe_load(text)
    return expand(Document(content, FILE, places_of(content, FILE)))


def _models(matrix: str, name: str, more: str = "") -> dict[str, Any]:
    text = f"models:\n  {name}:\n    matrix: {matrix}\n    {more}\n"
    models: dict[str, Any] = _expanded(text).content["models"]
    return models


def test_the_first_axis_varies_slowest() -> None:
    models = _models("{base: [a, b], n: [1, 2, 3]}", "${base}-${n}", "from: ${base}")
    assert list(models) == ["a-1", "a-2", "a-3", "b-1", "b-2", "b-3"]
    assert models["b-2"] == {"from": "b", "axes": {"base": "b", "n": 2}}


def test_entries_stand_where_their_grid_stood() -> None:
    text = 'models: {x: {title: X}, "m-${n}": {matrix: {n: [2, 1]}}, y: {title: Y}}'
    document = _expanded(text)
    assert list(document.content["models"]) == ["x", "m-2", "m-1", "y"]
    assert document.grids == {"models": {"m-${n}": ("m-2", "m-1")}}
    assert document.content["models"]["x"] == {"title": "X"}


def test_what_is_one_expression_keeps_its_type() -> None:
    entry = _models(
        "{n: [2], rate: [0.5], flag: [true]}",
        "m-${n}",
        'x: {whole: "${n}", part: "${n}.0", spaced: "${ n }", rate: ["${rate}"], flag: "${flag}", said: "it is ${flag}"}',
    )["m-2"]
    assert entry["x"] == {
        "whole": 2,
        "part": "2.0",
        "spaced": 2,
        "rate": [0.5],
        "flag": True,
        "said": "it is true",
    }
    assert type(entry["x"]["whole"]) is int
    assert entry["x"]["flag"] is True


def test_keys_inside_an_entry_are_names_too() -> None:
    mixtures = _expanded(
        'mixtures: {"${k}-${n}": {matrix: {k: [a], n: [1]}, sources: {"${k}": {take: "${n}"}}}}'
    ).content
    assert mixtures["mixtures"] == {"a-1": {"sources": {"a": {"take": 1}}}}  # axes are kept with models alone


def test_include_is_that_of_github_actions() -> None:
    """The example of its documentation. There pink overwrites green for cats; here both are made."""
    matrix = yaml.safe_load("""
        fruit: [apple, pear]
        animal: [cat, dog]
        include:
          - color: green
          - {color: pink, animal: cat}
          - {fruit: apple, shape: circle}
          - {fruit: banana}
          - {fruit: banana, animal: cat}
    """)
    assert combinations(matrix) == [
        {"fruit": "apple", "animal": "cat", "color": "green", "shape": "circle"},
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "green"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_a_list_multiplies_an_include() -> None:
    matrix = {"base": ["a", "b"], "include": [{"kind": ["x", "y"], "n": [1, 2]}, {"kind": "z", "n": [3]}]}
    made = ["-".join(map(str, each.values())) for each in combinations(matrix)]
    each = ["x-1", "x-2", "y-1", "y-2", "z-3"]
    assert made == [f"a-{rest}" for rest in each] + [f"b-{rest}" for rest in each]


def test_a_matrix_of_include_alone_is_a_list_of_combinations() -> None:
    assert combinations({"include": [{"n": 4, "half": 2}, {"n": 8}]}) == [{"n": 4, "half": 2}, {"n": 8}]


def test_titles_are_those_of_models_here_or_in_a_grid_before() -> None:
    models = _expanded("""
        models:
          a: {title: Model A}
          ${base}-sft:
            matrix: {base: [a]}
            title: ${title(base)} SFT
          ${base}-dpo:
            matrix: {base: [a-sft]}
            title: ${ title( base ) } DPO
    """).content["models"]
    assert models["a-sft-dpo"]["title"] == "Model A SFT DPO"


def test_a_backslash_keeps_an_expression_and_other_entries_keep_everything() -> None:
    mixtures = _expanded(r"""
        mixtures:
          plain: {choice_prompt: 'costs \${n} and ${n} {{ question }} ${'}
          m-${n}: {matrix: {n: [1]}, choice_prompt: 'costs \${n} {{ question }} {% if x %}$n{% endif %}: ${n}'}
    """).content["mixtures"]
    assert mixtures["plain"]["choice_prompt"] == r"costs \${n} and ${n} {{ question }} ${"
    assert mixtures["m-1"]["choice_prompt"] == "costs ${n} {{ question }} {% if x %}$n{% endif %}: 1"


def test_evaluate_and_overrides_name_a_grid_by_its_key() -> None:
    content = _expanded("""
        models:
          a: {}
          m-${n}: {matrix: {n: [1, 2]}}
        benchmarks:
          e-${k}: {matrix: {k: [x, y]}}
        evaluate: {models: [a, "m-${n}"], benchmarks: ["e-${k}"], prompts: [p]}
        overrides:
          a: {resources: {}}
          m-${n}: {resources: {sft: {gpus: 2}}}
    """).content
    assert content["evaluate"] == {"models": ["a", "m-1", "m-2"], "benchmarks": ["e-x", "e-y"], "prompts": ["p"]}
    more = {"resources": {"sft": {"gpus": 2}}}
    assert content["overrides"] == {"a": {"resources": {}}, "m-1": more, "m-2": more}


WHOLE = """
name: small
datasets:
  corpus: {adapter: text, files: [{path: data/corpus.jsonl}]}
mixtures:
  text: {sources: {corpus: {dataset: corpus}}}
models:
  base: {train: pretrain, data: text, optimization: {learning_rate: 5e-6, batch: 2, steps: 3}}
  sft-${batch}:
    matrix: {batch: [2, 4]}
    train: sft
    from: base
    data: text
    optimization: {learning_rate: 5e-6, batch: "${batch}", steps: 1}
evaluate: {models: ["sft-${batch}"]}
"""


def test_a_grid_is_an_experiment_of_plain_models(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(WHOLE, encoding="utf-8")
    experiment = load_experiment(str(path), tmp_path)
    assert experiment.evaluate.models == ("sft-2", "sft-4")
    assert [experiment.models[name].axes for name in ("base", "sft-2", "sft-4")] == [{}, {"batch": 2}, {"batch": 4}]
    assert [experiment.models[f"sft-{n}"].optimization.batch for n in (2, 4)] == [2, 4]  # type: ignore[union-attr]


def test_an_error_in_a_grids_entry_names_the_grid(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(WHOLE.replace("steps: 1", "step: 1"), encoding="utf-8")
    with pytest.raises(PrimumError) as caught:
        load_experiment(str(path), tmp_path)
    said = str(caught.value)
    assert said.startswith(f"{path}: models.sft-2.optimization: unknown key 'step'; valid keys: learning_rate")
    assert said.endswith("(an entry of models.sft-${batch}) (and 1 more)")


def test_a_grid_of_a_catalog_is_named_with_the_catalogs_file(tmp_path: Path) -> None:
    catalog = tmp_path / "config/catalog/shared.yaml"
    catalog.parent.mkdir(parents=True)
    catalog.write_text("prompts: {'p-${n}': {matrix: {n: [1, 2]}, dataset: corpus, kind: harmful, take: '${n}'}}\n")
    path = tmp_path / "small.yaml"
    named = WHOLE.replace("evaluate: {", "evaluate: {prompts: ['p-${n}'], ").replace(
        "datasets:", "catalogs: [shared]\ndatasets:"
    )
    path.write_text(named, encoding="utf-8")
    assert load_experiment(str(path), tmp_path).evaluate.prompts == ("p-1", "p-2")
    catalog.write_text(catalog.read_text().replace("'${n}'}", "'${k}'}"))
    with pytest.raises(PrimumError) as caught:
        load_experiment(str(path), tmp_path)
    assert str(caught.value).startswith(f"{catalog}: prompts.p-${{n}}: ${{k}}: no axis 'k'")


def test_axes_are_in_no_spec_but_that_of_the_tables(tmp_path: Path) -> None:
    """The same two models, by a grid and written out."""
    (by_grid := tmp_path / "grid.yaml").write_text(WHOLE, encoding="utf-8")
    content = yaml.safe_load(WHOLE)
    grid = content["models"].pop("sft-${batch}")
    for batch in grid.pop("matrix")["batch"]:
        content["models"][f"sft-{batch}"] = grid | {"optimization": grid["optimization"] | {"batch": batch}}
    content["evaluate"] = {"models": ["sft-2", "sft-4"]}
    (written_out := tmp_path / "plain.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    one, other = (open_workflow({"experiment": str(path)}, ROOT) for path in (by_grid, written_out))
    shown = ("tables", "report")
    specs = [
        [(job.stage.name, job.name, job.spec) for job in run.dag.jobs if job.stage.name not in shown]
        for run in (one, other)
    ]
    assert specs[0] == specs[1]
    assert {job.stage.name for job in one.dag.jobs} > {*shown, "sft"}


def test_the_grid_of_medical_safety() -> None:
    document = read_experiment("med-safety", ROOT)
    models, (first, second) = document.grids["models"], document.grids["mixtures"]
    kinds = [(kind, n) for kind in ("medical", "general") for n in (200, 400, 600, 800, 900)]
    kinds += [("both", n) for n in range(200, 1801, 200)]
    bases = {"meditron-7b": "Meditron-7B", "medalpaca-7b": "MedAlpaca-7B", "medalpaca-13b": "MedAlpaca-13B"}
    expected = [f"{base}-{kind}-{n}" for base in bases for kind, n in kinds]
    assert list(models) == ["${base}-${kind}-${n}", "${base}-dpo-${n}"]
    assert list(models["${base}-${kind}-${n}"]) == expected
    assert len(expected) == 57
    assert (first, second) == ("${kind}-${n}", "both-${n}")
    e = load_experiment("med-safety", ROOT)
    # Behind the 31 models that the paper evaluates as they are.
    aligned = [f"{base}-dpo-{n}" for base in bases for n in (200, 400, 600, 800, 900)]
    assert list(e.evaluate.models[31:]) == [*expected, *aligned]
    assert e.models["meditron-7b-dpo-400"].axes == {"base": "meditron-7b", "kind": "dpo", "n": 400}
    assert e.models["medalpaca-13b-both-1800"].title == "MedAlpaca-13B + both 1800"
    for base, title in bases.items():
        for kind, n in kinds:
            model = e.models[f"{base}-{kind}-{n}"]
            assert model.title == f"{title} + {kind} {n}"
            assert model.axes == {"base": base, "kind": kind, "n": n}
    assert list(e.mixtures) == [f"{kind}-{n}" for kind, n in kinds]
    both = {output.name: output.spec for output in Dag(e, ROOT, "results").job("mix", "mixtures").plan.outputs}
    assert both["both-1200/rows"]["order"] == ["medical", "general"]
    assert {s.dataset for s in e.mixtures["both-1200"].sources.values()} == {"safety-medical-600", "safety-general-600"}
