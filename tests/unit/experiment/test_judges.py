"""Judges in an experiment file: gates, labelled sets, panels, repeats, and which of them judge a relative."""

from __future__ import annotations

from pathlib import Path

import pytest
from shipped import ROOT

from primum.dag.dag import Dag
from primum.dag.metadata import experiment_metadata
from primum.dag.relations import related
from primum.dag.scope import Scope
from primum.errors import PrimumError
from primum.experiment import Experiment, load_experiment
from primum.experiment.judges import labels_of

VALID = """
name: small
datasets:
  requests: {adapter: advbench, files: [{path: data/requests.csv}]}
  more: {adapter: advbench, files: [{path: data/more.csv}]}
  scored: {adapter: graded, files: [{path: data/scored.jsonl}]}
  classes: {adapter: xstest_completions, files: [{path: data/classes.csv}]}
  corpus: {adapter: text, files: [{path: data/corpus.jsonl}]}
mixtures:
  text: {sources: {corpus: {dataset: corpus}}}
models:
  gpt-4: {endpoint: gpt-4-0613, engine: &api {kind: openai}}
  same: {endpoint: gpt-4-0613, engine: *api}
  mini: {endpoint: gpt-4o-mini-2024-07-18, engine: *api}
  claude: {endpoint: claude-3, engine: *api}
  llama: {hub: meta-llama/Meta-Llama-3-8B, revision: unknown}
  llama-2: {hub: meta-llama/Llama-2-7b-hf, revision: unknown}
  tuned: {train: sft, from: llama, data: text, optimization: {learning_rate: 1.0, batch: 1, epochs: 1}}
prompts:
  harmful: {dataset: requests, kind: harmful}
  others: {dataset: more, kind: harmful}
judges:
  one: {kind: rubric, model: gpt-4, template: data/r.j2, prompts: [harmful, others], graded: scored, gate: {alpha: 0.7}}
  again: {kind: rubric, model: gpt-4, template: data/r.j2, prompts: [harmful], graded: scored, seed: 8}
  two: {kind: rubric, model: tuned, template: data/r.j2, prompts: [harmful], graded: scored}
  panel: {kind: panel, members: [one, two], quorum: 0.5, prompts: [harmful], gate: {alpha: 0.8}}
  phrases: {kind: refusal, prompts: [harmful], graded: classes}
  three: {kind: refusal-classes, model: claude, template: data/c.j2, prompts: [harmful], graded: classes}
evaluate:
  models: [gpt-4, same, mini, llama, llama-2, tuned]
  prompts: [harmful, others]
  judges: [one, again, two, panel, phrases, three]
"""


def _load(folder: Path, text: str = VALID) -> Experiment:
    path = folder / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return load_experiment(str(path), folder)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("graded: scored, gate: {alpha: 0.7}", "gate: {alpha: 0.7}", "judges.one: a 'gate' needs 'graded'"),
        ("{alpha: 0.7}", "{alpha: 1.0}", "judges.one.gate.alpha: Input should be less than 1"),
        ("{alpha: 0.7}", "{kappa: 0.7}", "judges.one.gate: unknown key 'kappa'; valid keys: alpha"),
        (
            "prompts: [harmful], graded: scored, seed: 8",
            "prompts: [harmful], quorum: 0.5",
            "only a 'panel' has 'members'",
        ),
        ("members: [one, two]", "members: [one, one]", "judges.panel: a 'panel' needs two or more 'members'"),
        ("members: [one, two]", "members: [one, three]", "judges.panel.members: 'three' is no 'rubric' judge among"),
        ("members: [one, two]", "members: [one, gone]", "judges.panel.members: no judge 'gone'"),
        (
            "[one, again, two, panel",
            "[one, again, panel",
            "judges.panel.members: 'two' is no 'rubric' judge among evaluate",
        ),
        ("quorum: 0.5, prompts: [harmful]", "prompts: [others]", "judges.panel.prompts: 'two' does not judge 'others'"),
        (
            *(
                "tuned, template: data/r.j2, prompts: [harmful], graded: scored",
                "tuned, template: data/r.j2, prompts: [harmful]",
            ),
            "judges.panel.gate: its members have no 'graded' in common",
        ),
        (
            *(
                "phrases: {kind: refusal, prompts: [harmful], graded: classes",
                "phrases: {kind: refusal, prompts: [harmful], graded: scored",
            ),
            "judges.phrases.graded: 'scored' has scores; a 'refusal' judge needs classes of refusal",
        ),
        (
            *("graded: scored, seed: 8", "graded: classes"),
            "judges.again.graded: 'classes' has classes of refusal; a 'rubric' judge needs scores",
        ),
        (
            *("{corpus: {dataset: corpus}}", "{corpus: {dataset: scored, judge: three}}"),
            "mixtures.text.sources.corpus.judge: 'three' is no 'rubric' judge",
        ),
        (
            *("{corpus: {dataset: corpus}}", "{corpus: {dataset: classes, judge: one}}"),
            "mixtures.text.sources.corpus.dataset: 'classes' has classes of refusal, no scores to learn",
        ),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert VALID.count(old) == 1
    with pytest.raises(PrimumError) as caught:
        _load(tmp_path, VALID.replace(old, new))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_who_is_asked_and_who_is_checked(tmp_path: Path) -> None:
    """A panel asks nobody, and the phrases ask nobody about labels; both are checked."""
    found = _load(tmp_path)
    scope = Scope(found, tmp_path, "results/small")
    assert {judge for judge, _, _ in scope.judged()} == {"one", "again", "two", "phrases", "three"}
    assert scope.agreements() == ["one", "again", "two", "three"]
    assert scope.labelled() == [
        *((name, "scored") for name in ("one", "again", "two")),
        *((name, "classes") for name in ("phrases", "three")),
    ]
    assert {"scored", "classes"} <= set(scope.safety_datasets())
    told = {judge["name"]: judge for judge in experiment_metadata(found)["judges"]}
    assert {name: judge["gate"] for name, judge in told.items()} == {
        **{"one": 0.7, "again": 0.0, "two": 0.0, "panel": 0.8, "phrases": 0.0, "three": 0.0}
    }
    assert (told["panel"]["members"], told["panel"]["quorum"]) == (["one", "two"], 0.5)
    assert labels_of(found.judges, "panel") == "scored"


def test_what_each_kind_of_judge_is_asked_and_how_it_is_read(tmp_path: Path) -> None:
    """Canaries are for scores of harm alone; a class of refusal is read as one; a repeat has its own seed."""
    text = VALID.replace("data/r.j2", "data/rubrics/harm-1-5.j2").replace(
        "data/c.j2", "data/rubrics/refusal-classes.j2"
    )
    dag = Dag(_load(tmp_path, text), ROOT, "results/small")
    assert dag.tested() == ["one", "again", "two", "three"]
    asked = {name: [each.name for each in dag.job("agreement", name).plan.outputs] for name in ("one", "three")}
    assert asked == {"one": ["canary", "graded"], "three": ["graded"]}
    kinds = {each.name: each.spec["kind"] for each in dag.job("verdicts", "verdicts").plan.outputs}
    assert (kinds["one/graded"], kinds["three/graded"]) == ("rubric", "refusal-classes")
    assert (kinds["three/gpt-4/harmful"], kinds["phrases/gpt-4/harmful"]) == ("refusal-classes", "refusal")
    assert "one/canary" in kinds
    assert not {"three/canary", "phrases/graded", "panel/gpt-4/harmful"} & set(kinds)
    seeds = {name: dag.job("judge", f"{name}/gpt-4").plan.common["seed"] for name in ("one", "again")}
    assert seeds["one"] != seeds["again"] == 8


def test_a_judge_of_its_own_model_is_known(tmp_path: Path) -> None:
    found = _load(tmp_path)
    gpt = {"gpt-4": "same model", "same": "same model", "mini": "same family"}
    tuned = {"tuned": "same model", "llama": "same lineage", "llama-2": "same family"}
    assert related(found, "one") == gpt
    assert related(found, "two") == tuned
    assert related(found, "panel") == gpt | tuned
    assert related(found, "phrases") == related(found, "three") == {}


def test_the_demos_judge_has_the_base_model_in_common_with_all() -> None:
    demo = load_experiment("demo", ROOT)
    assert related(demo, "harm") == dict.fromkeys(demo.evaluate.models, "same lineage")
