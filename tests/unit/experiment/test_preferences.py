"""Preference sets and rankers: what an experiment file may say of them, and what they make a model need."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from primum.cluster.resources import rule_resources
from primum.cluster.site import Site
from primum.dag.dag import Dag
from primum.dag.judging import judge_common
from primum.errors import PrimumError
from primum.experiment import load_experiment

ROOT = Path(__file__).parents[3]


def written(folder: Path, **more: Any) -> str:
    """The demo with ``more`` in it, a section each."""
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({"extends": "demo", "name": "own", **more}))
    return str(path)


OPTIMIZATION = {"learning_rate": 1e-4, "batch": 16, "epochs": 1}
SAFE: dict[str, Any] = {"from": "medical", "demonstrations": ["demo-med-safety-bench-train"], "judge": "harm"}
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
        (
            {"preferences": {"x": {**SAFE, "ranker": "stage-2"}}},
            "preferences.x: unknown key 'ranker'; valid keys: from, demonstrations, asked, judge, at_least, take, benign",
        ),
        ({"preferences": {"x": {**SAFE, "at_least": 1}}}, "preferences.x.at_least: Input should be greater than"),
        ({"preferences": {"x": {**SAFE, "from": "y"}}}, "preferences.x.from: no model 'y'"),
        ({"preferences": {"x": {**SAFE, "judge": "y"}}}, "preferences.x.judge: no judge 'y'"),
        (
            {"preferences": {"x": {**SAFE, "judge": "refusal"}}},
            "'refusal' is of kind 'refusal': a 'rubric' gives scores",
        ),
        ({"preferences": {"x": {**SAFE, "asked": ["y"]}}}, "preferences.x: no dataset 'y'"),
        (
            {"preferences": {"x": {**SAFE, "demonstrations": ["demo-advbench"]}}},
            "preferences.x.demonstrations: 'demo-advbench' has requests without an answer",
        ),
        (
            {"preferences": {"x": {**SAFE, "asked": ["demo-med-safety-bench-test"]}}},
            "'demo-med-safety-bench-test' is what evaluate.prompts 'medical-harmful' asks: a model would be trained on its test",
        ),
        (
            {"preferences": {"x": {**SAFE, "benign": {"datasets": SAFE["demonstrations"]}}}},
            "'demo-med-safety-bench-train' has demonstrations and is benign: name it once",
        ),
        # The answers of the model that is to be trained on them.
        (
            {"preferences": {"safe": {"from": "medical-dpo-safe"}}},
            "lineage cycle: medical-dpo-safe -> medical-dpo-safe",
        ),
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


def test_a_model_and_a_judge_are_asked_once_for_all_sets(tmp_path: Path) -> None:
    """Of a dataset as many requests as the largest sample has, or all; what others ask in its place is asked whole."""

    def model(data: str) -> dict[str, Any]:
        return {"train": "dpo", "from": "medical", "data": data, "beta": 0.1, "optimization": OPTIMIZATION}

    sets = {
        "a": {**SAFE, "take": 20},
        "b": {**SAFE, "take": 30},
        "c": {**SAFE, "demonstrations": ["demo-mediqa"], "asked": ["demo-medquad"], "take": 5},
    }
    names = [f"x-{name}" for name in sets]
    models = {f"x-{name}": model(name) for name in sets}
    loaded = load_experiment(
        written(tmp_path, preferences=sets, models=models, evaluate={"models": names, "judges": ["refusal"]}), ROOT
    )
    dag = Dag(loaded, ROOT, "results/own")
    assert dag.responding() == {"medical": {"demo-med-safety-bench-train": 30, "demo-medquad": None}}
    assert dag.assessing() == {"harm/medical": ["demo-med-safety-bench-train", "demo-medquad"]}
    # The judge judges nothing else here, and is trained all the same.
    assert [job.name for job in dag.jobs if job.stage.name in ("respond", "assess", "judge")].count("harm/medical") == 1
    assert "judge" in loaded.needed_models()
    assert {job.name for job in dag.jobs if job.stage.name == "contrast"} == set(sets)
    assert {job.name for job in dag.jobs if job.stage.name == "pair-overlap"} == set(sets)
    takes = {output.name: output.spec["take"] for output in dag.job("respond", "medical").plan.outputs}
    assert takes == {"demo-med-safety-bench-train": 30, "demo-medquad": None}
    # Asked as the evaluation asks, judged as the evaluation judges.
    assert dag.job("respond", "medical").plan.common == dag.job("generate", "medical").plan.common
    assert dag.job("assess", "harm/medical").plan.common == judge_common(dag, "harm")[0]
    tests = {f"results/own/data/rows/{loaded.prompts[name].dataset}.json" for name in loaded.evaluate.prompts}
    assert set(dag.job("contrast", "c").plan.reads("tests")) == tests


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


def test_a_judge_that_ranks_is_asked_by_one_stage_and_read_by_another(tmp_path: Path) -> None:
    """Which end of its scale is best is a matter of reading: it asks for nothing."""
    judge = {"kind": "judge", "model": "api", "template": "data/rubrics/helpfulness-1-5.j2"}
    api = {"endpoint": "x", "engine": {"kind": "openai"}}
    dags = []
    for best in ("highest", "lowest"):
        rankers = {"own": {**judge, "best": best}}
        sets = {"on-policy-2": {"ranker": "own"}}
        dags.append(
            Dag(
                load_experiment(written(tmp_path, models={"api": api}, rankers=rankers, preferences=sets), ROOT),
                ROOT,
                "results/own",
            )
        )
    dag, lowest = dags
    assert [job.name for job in dag.jobs if job.stage.name == "rank"] == []
    asking, reading = dag.job("rate", "on-policy-2"), dag.job("rewards", "on-policy-2")
    sampling = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 256}
    assert asking.model == "api"
    assert set(asking.plan.common) == {"engine", "template", "sampling", "seed"}
    assert asking.plan.common["sampling"] == sampling
    assert set(asking.plan.roles) == {"samples", "ranker"}
    assert set(reading.plan.roles) == {"samples", "answers"}
    # What reads ranked responses reads these as any others.
    assert reading.paths == dag.job("pair", "on-policy-2").plan.reads("rows")
    assert set(reading.paths) <= set(dag.job("tables", "tables").plan.reads("ranked"))
    assert lowest.job("rate", "on-policy-2").spec == asking.spec
    assert lowest.job("rewards", "on-policy-2").spec != reading.spec
    # Reading takes no GPU and calls nobody.
    wildcards = SimpleNamespace(preferences="on-policy-2")
    called = {name: rule_resources(dag.experiment, Site(), {}, name)["api"](wildcards) for name in ("rate", "rewards")}
    assert called == {"rate": 1, "rewards": 0}
