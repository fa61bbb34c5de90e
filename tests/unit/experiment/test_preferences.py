"""Preference sets and rankers: what an experiment file may say of them, and what they make a model need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from primum.dag.dag import Dag
from primum.errors import PrimumError
from primum.experiment import load_experiment

ROOT = Path(__file__).parents[3]


def written(folder: Path, **more: Any) -> str:
    """The demo with ``more`` in it, a section each."""
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"extends": "demo", "name": "own", **more}))
    return str(path)


SET = {"from": "dpo-1", "prompts": ["demo-snorkel-2-train"], "ranker": "stage-2"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"preferences": {"x": {**SET, "n": 1}}}, "preferences.x.n: Input should be greater than or equal to 2"),
        ({"preferences": {"x": {**SET, "sampling": {"temperature": 0}}}}, "gives the same answer 5 times: raise it"),
        ({"preferences": {"x": {**SET, "ranker": "y"}}}, "preferences.x.ranker: no ranker 'y'; there are: stage-2"),
        ({"preferences": {"x": {**SET, "from": "y"}}}, "preferences.x.from: no model 'y'"),
        ({"preferences": {"x": {**SET, "prompts": ["y"]}}}, "preferences.x.prompts: no dataset 'y'"),
        (
            {"preferences": {"x": {**SET, "datasets": ["demo-snorkel-2-train"]}}},
            "preferences.x: unknown key 'datasets'",
        ),
        ({"preferences": {"x": {"dataset": "y"}}}, "preferences.x: unknown key 'dataset'; valid keys: datasets"),
        ({"rankers": {"x": {"kind": "best", "model": "sft"}}}, "rankers.x.kind: Input should be 'pairrm', 'reward'"),
        ({"rankers": {"x": {"kind": "judge", "model": "sft"}}}, "rankers.x: a 'judge' needs 'template'"),
        (
            {"rankers": {"x": {"kind": "implicit", "model": "dpo-2", "label": 1}}},
            "'label' is for rankers of kind 'reward'",
        ),
        ({"rankers": {"stage-2": {"model": "sft"}}}, "rankers.stage-2.model: 'sft' is no DPO model of this experiment"),
        (
            {"rankers": {"stage-2": {"kind": "pairrm", "model": "sft"}}},
            "'sft' is no fetched model, as 'pairrm' needs one",
        ),
        # Its own responses, ranked by what it is to become.
        (
            {"preferences": {"on-policy-2": {"from": "dpo-2-on-policy"}}},
            "lineage cycle: dpo-2-on-policy -> dpo-2-on-policy",
        ),
        ({"models": {"dpo-1": {"data": "on-policy-2"}}}, "lineage cycle: dpo-1 -> dpo-1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    with pytest.raises(PrimumError) as error:
        load_experiment(written(tmp_path, **more), ROOT)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_teacher_is_needed_and_no_ancestor(tmp_path: Path) -> None:
    alone = load_experiment(written(tmp_path, evaluate={"models": ["dpo-2-on-policy"], "judges": ["refusal"]}), ROOT)
    assert alone.lineage("dpo-2-on-policy") == ("base", "sft", "dpo-1", "dpo-2-on-policy")
    # dpo-2, whose implicit reward ranks, is trained before; dpo-3 is not.
    assert alone.needed_models() == ("base", "sft", "dpo-1", "dpo-2", "dpo-2-on-policy")
    dag = Dag(alone, ROOT, "results/own")
    order = [(job.stage.name, job.name) for job in dag.jobs]
    for before, after in [
        (("dpo", "dpo-1"), ("sample", "on-policy-2")),
        (("sample", "on-policy-2"), ("rank", "on-policy-2")),
        (("dpo", "dpo-2"), ("rank", "on-policy-2")),
        (("rank", "on-policy-2"), ("pair", "on-policy-2")),
        (("pair", "on-policy-2"), ("reference", "dpo-2-on-policy")),
        (("pair", "on-policy-2"), ("pair-overlap", "on-policy-2")),
        (("pair-overlap", "on-policy-2"), ("score", "dpo-2-on-policy")),
    ]:
        assert order.index(before) < order.index(after)
    # Nothing that is curated before training waits for a model.
    trained = {path for job in dag.jobs if job.stage.trains for path in job.paths}
    curated = [job for job in dag.jobs if job.stage.target == "curate" and job.stage.name != "pack"]
    assert curated
    assert not any(job.plan.read & trained for job in curated)


def test_each_draw_is_an_artifact_and_more_of_them_leave_the_first_as_they_are(tmp_path: Path) -> None:
    def keys(n: int) -> list[Any]:
        loaded = load_experiment(written(tmp_path, preferences={"on-policy-2": {"n": n}}), ROOT)
        plan = Dag(loaded, ROOT, "results/own").job("sample", "on-policy-2").plan
        return [(output.path, output.spec, plan.common) for output in plan.outputs]

    assert keys(7)[:3] == keys(3)
    assert len(keys(7)) == 7


@pytest.mark.parametrize(
    ("ranker", "libraries", "common"),
    [
        ({"kind": "implicit", "model": "dpo-3"}, {"torch"}, {"beta": 0.1, "dtype": "float32"}),
        ({"kind": "pairrm", "model": "pairrm"}, {"torch"}, {"dtype": "float32", "max_length": 1024}),
        ({"kind": "reward", "model": "pairrm", "label": 1}, {"torch"}, {"label": 1}),
        (
            {"kind": "judge", "model": "judge", "template": "data/rubrics/helpfulness-1-5.j2", "best": "lowest"},
            {"torch"},
            {"best": "lowest", "sampling": {"temperature": 0.0, "top_p": 1.0, "max_tokens": 256}},
        ),
    ],
)
def test_every_kind_of_ranker_is_planned(
    tmp_path: Path, ranker: dict[str, Any], libraries: set[str], common: dict[str, Any]
) -> None:
    hub = {"pairrm": {"hub": "llm-blender/PairRM-hf", "revision": "0" * 40}}
    loaded = load_experiment(
        written(tmp_path, models=hub, rankers={"own": ranker}, preferences={"on-policy-2": {"ranker": "own"}}),
        ROOT,
    )
    job = Dag(loaded, ROOT, "results/own").job("rank", "on-policy-2")
    assert job.model == ranker["model"]
    assert {key: job.plan.common[key] for key in common} == common
    assert set(job.plan.roles) == {"samples", "ranker", *({"reference"} if ranker["kind"] == "implicit" else set())}
    assert libraries < set(yaml.safe_load(job.spec)["libraries"])
    assert ranker["model"] in loaded.needed_models()
