"""The DAG as the package says it: every stage once, every job behind what it reads, every artifact made by one job."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from shipped import ROOT, open_shipped

from primum.artifact.manifest import Manifest, save_manifest
from primum.dag import aggregation, curation, evaluation, preferences, training
from primum.dag.dag import STAGES, TARGETS, Dag, parquet
from primum.dag.judging import GENERATION, JUDGEMENT
from primum.dag.refresh import refreshed
from primum.dag.workflow import open_workflow
from primum.errors import PrimumError
from primum.experiment import TARGETS as KEYS
from primum.experiment import load_experiment

EXPERIMENTS = sorted(path.stem for path in (ROOT / "config/experiments").glob("*.yaml"))


def test_every_stage_has_a_module_a_rule_and_a_target_of_its_own_name() -> None:
    assert len(STAGES) == sum(len(group.STAGES) for group in (curation, training, preferences, evaluation, aggregation))
    for stage in STAGES.values():
        assert (ROOT / "src" / f"{stage.module.replace('.', '/')}.py").is_file()
    assert len({stage.rule for stage in STAGES.values()}) == len(STAGES)
    # Resources are asked for by target, in the words of the experiment file.
    assert set(TARGETS) == set(KEYS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_job_comes_behind_those_that_it_reads_from(tmp_path: Path, name: str) -> None:
    run = open_shipped(tmp_path, name)
    made: set[str] = set()
    for job in run.dag.jobs:
        assert job.plan.read <= made, f"{job.stage.name} {job.name}"
        assert not made & set(job.paths), f"{job.stage.name} {job.name}"
        made |= set(job.paths)
    # Nothing is made that neither a table nor a person needs.
    read = {path for job in run.dag.jobs for path in job.plan.read}
    people = ("/report/", "/data/drops/", "/data/origins/")
    unread = {path for path in made - read if not any(part in path for part in people)}
    assert unread == set()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_request_has_a_file_of_its_own_and_reads_back(tmp_path: Path, name: str) -> None:
    from primum.artifact.request import load_request

    run = open_shipped(tmp_path, name)
    paths = [run.request_path(job) for job in run.dag.jobs]
    assert len(set(paths)) == len(paths)
    for job in run.dag.jobs[:: max(1, len(paths) // 40)]:
        asked = run.request(job)
        asked.save(tmp_path / "request.json")
        again = load_request(tmp_path / "request.json")
        assert (again.spec, again.kind, again.store.root) == (asked.spec, asked.kind, asked.store.root)
        assert again.inputs == {role: paths for role, paths in asked.inputs.items() if paths}
        for before, after in zip(asked.outputs, again.outputs, strict=True):
            assert after.path == before.path
            assert after.inputs == {role: paths for role, paths in before.inputs.items() if paths}


def test_what_is_asked_for_no_more_has_no_request(tmp_path: Path) -> None:
    run = open_shipped(tmp_path, "demo-engines")
    former = Path(run.dag.results, "requests", "sft_model", "gone.json")
    former.parent.mkdir(parents=True)
    former.write_text("{}")
    run.write_requests()
    left = {path for path in former.parents[1].rglob("*.json") if path.name != "run.json"}
    assert left == {run.request_path(job) for job in run.dag.jobs}


def test_the_parts_of_a_jobs_name(tmp_path: Path) -> None:
    assert STAGES["judge"].wildcards("harm/mistral-7b-v0.3") == {"judge": "harm", "model": "mistral-7b-v0.3"}
    assert STAGES["tables"].wildcards("tables") == {}
    run = open_shipped(tmp_path, "demo")
    results = run.dag.results
    at = {(job.stage.name, job.name): str(run.request_path(job)) for job in run.dag.jobs}
    assert at["judge", "harm/sft"] == f"{results}/requests/judge_harm/sft.json"
    assert at["read", "training"] == f"{results}/requests/read_training.json"
    assert at["sft", "medical"] == f"{results}/requests/sft_model/medical.json"
    assert run.dag.job("judge", "harm/sft").model == "sft"
    assert run.dag.job("tables", "tables").model is None


def test_the_demos_curation_is_few_jobs(tmp_path: Path) -> None:
    """On a cluster a job costs half a minute, and the demo's files are read in milliseconds."""
    jobs = [job for job in open_shipped(tmp_path, "demo").dag.jobs if job.stage.target == "curate"]
    assert len(jobs) == 12
    assert sum(len(job.paths) for job in jobs) > 100


def test_a_groups_datasets_are_read_in_one_job_whatever_their_order(tmp_path: Path) -> None:
    one = open_shipped(tmp_path, "demo")
    evaluate = one.experiment.evaluate.model_dump()
    other = open_shipped(tmp_path, "demo", evaluate={**evaluate, "benchmarks": evaluate["benchmarks"][::-1]})
    for group in curation.GROUPS:
        assert one.dag.spec("read", group) == other.dag.spec("read", group)
    read = [dataset for group in curation.GROUPS.values() for dataset in group(one.dag)]
    assert len(read) == len(set(read)) == len(one.dag.datasets())


def test_an_unknown_stage_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(PrimumError, match=r"^'trane': no such stage; there are: fetch, read, "):
        open_shipped(tmp_path, "demo").dag.job("trane", "x")


def test_parquet_lies_beside_its_manifest() -> None:
    assert parquet("results/demo/data/rows/a.b.json") == "results/demo/data/rows/a.b.parquet"


def test_a_mixture_that_looks_for_identifiers_has_their_places_and_another_spec(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    before = open_shipped(tmp_path / "a", "demo")
    mixtures = before.experiment.model_dump(mode="json", exclude_defaults=True)["mixtures"]
    mixtures["clinical"]["phi"] = "warn"
    after = open_shipped(tmp_path / "b", "demo", mixtures=mixtures)
    plans = [
        {output.name: output.spec for output in run.dag.job("mix", "mixtures").plan.outputs} for run in (before, after)
    ]
    assert set(plans[1]) - set(plans[0]) == {"clinical/phi"}
    assert {name for name in plans[0] if plans[0][name] != plans[1][name]} == {
        f"clinical/{output}" for output in ("rows", "ledger", "outcomes")
    }
    assert not any("phi" in spec for spec in plans[0].values())
    assert plans[1]["clinical/rows"] == {**plans[0]["clinical/rows"], "phi": "warn"}


@pytest.mark.parametrize("phi", ["warn", "redact", "stop"])
def test_an_endpoint_is_told_what_to_do_about_identifiers(tmp_path: Path, phi: str) -> None:
    models = {"api": {"endpoint": "x", "engine": {"kind": "openai"}}}
    evaluate = {"models": ["sft", "api"], "prompts": ["benign"], "benchmarks": ["medqa"]}
    demo = load_experiment("demo", ROOT).model_dump(mode="json", by_alias=True, exclude_defaults=True)["models"]
    jobs = [("generate", "api"), ("answer", "api"), ("snapshot", "api"), ("generate", "sft")]
    found = []
    for folder, more in (("a", {}), ("b", {"phi": phi})):
        (tmp_path / folder).mkdir()
        run = open_shipped(
            tmp_path / folder, "demo", models={**demo, "api": {**models["api"], **more}}, evaluate=evaluate
        )
        found.append([json.loads(run.dag.spec(*job)) for job in jobs])
    for before, after in zip(found[0][:2], found[1][:2], strict=True):
        assert "phi" not in before["common"]["engine"]
        assert after["common"]["engine"] == {**before["common"]["engine"], "phi": phi}
        # What is found changes what is sent only where it is redacted.
        assert set(after["libraries"]) - set(before["libraries"]) == ({"python-stdnum"} if phi == "redact" else set())
    assert found[0][2:] == found[1][2:]


def test_batches_are_asked_for_in_no_spec(tmp_path: Path) -> None:
    """Of the jobs that ask the model, and of no other: what it answered at once is not asked for again."""
    demo = load_experiment("demo", ROOT).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    evaluate = {**demo["evaluate"], "models": ["sft", "api"]}
    judges = {**demo["judges"], "harm": {**demo["judges"]["harm"], "model": "api"}}
    specs, batches = [], []
    for folder, more in (("a", {}), ("b", {"batch": True})):
        (tmp_path / folder).mkdir()
        api = {"endpoint": "x", "engine": {"kind": "openai", **more}}
        run = open_shipped(
            tmp_path / folder, "demo", models={**demo["models"], "api": api}, evaluate=evaluate, judges=judges
        )
        specs.append({(job.stage.name, job.name): job.spec for job in run.dag.jobs})
        batches.append({(job.stage.name, job.name) for job in run.dag.jobs if run.request(job).batch})
    assert specs[0] == specs[1]
    assert batches[0] == set()
    asked = {
        ("generate", "api"),
        ("judge", "harm/api"),
        ("judge", "harm/sft"),
        ("agreement", "harm"),
        ("answer", "api"),
    }
    assert {job for job in batches[1] if job[0] != "assess"} == asked


# Refreshing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refresh", "stage", "name", "expected"),
    [
        ("dpo", "dpo", "dpo-1", {"dpo-1"}),
        ("dpo", "reference", "dpo-1", {"dpo-1/audit", "dpo-1/pairs"}),
        ("curate:sft", "pack", "sft", {"sft/chunks", "sft/audit", "sft/tokens"}),
        ("dpo:dpo-2", "dpo", "dpo-1", set()),
        ("reference:dpo-1", "dpo", "dpo-1", set()),
        ("sft,dpo:dpo-1", "dpo", "dpo-1", {"dpo-1"}),
        (
            "judge:refusal",
            "verdicts",
            "verdicts",
            {
                f"refusal/{model}/{prompts}"
                for model in load_experiment("demo", ROOT).evaluate.models
                for prompts in ("medical-harmful", "general-harmful", "benign", "unsafe-contrast")
            },
        ),
        ("judge:sft", "judge", "harm/sft", {"medical-harmful", "general-harmful", "benign", "unsafe-contrast"}),
        ("judge:judgements", "judge", "harm/sft", set()),
        ("judge:harm/sft/benign", "judge", "harm/sft", {"benign"}),
        ("judge:harm/sft/benign", "verdicts", "verdicts", set()),
        ("generate:benign", "generate", "sft", {"benign"}),
        ("mix:clinical", "mix", "mixtures", {"clinical/rows", "clinical/ledger", "clinical/outcomes"}),
        ("curate:clinical", "overlap", "overlaps", {"mixtures/clinical"}),
        ("read:demo-medqa-dev", "read", "training", set()),
        ("", "dpo", "dpo-1", set()),
    ],
)
def test_what_a_refresh_asks_for(tmp_path: Path, refresh: str, stage: str, name: str, expected: set[str]) -> None:
    job = open_shipped(tmp_path, "demo").dag.job(stage, name)
    assert refreshed(job, refresh) == expected
    run = open_workflow({"experiment": "demo", "results": str(tmp_path), "refresh": refresh}, ROOT)
    assert run.request(job).refresh == expected


def test_a_refresh_of_what_failed_is_settled_when_the_run_begins(tmp_path: Path) -> None:
    """The outputs whose manifests say so; they are taken away before the jobs start."""
    asked = {"experiment": "demo", "results": str(tmp_path), "refresh": "sft:medical,failed"}
    run = open_workflow(asked, ROOT)
    with pytest.raises(PrimumError, match=f"refresh=failed: no request failed in what is in {tmp_path}/demo"):
        run.check_asked()
    judged = run.dag.path(JUDGEMENT, judge="harm", model="sft", prompts="benign")
    generated = run.dag.path(GENERATION, model="sft", prompts="benign")
    for path, made in ((judged, {"failed": 2}), (generated, {})):
        Path(path).parent.mkdir(parents=True)
        save_manifest(Manifest("table", "stage", {}, {}, "key", "content", {}, run=made), Path(path))
    run = open_workflow(asked, ROOT)
    run.check_asked()
    for file in tmp_path.rglob("*.json"):
        file.unlink()
    assert {(job.stage.name, job.name): found for job in run.dag.jobs if (found := run.request(job).refresh)} == {
        ("sft", "medical"): {"medical"},
        ("judge", "harm/sft"): {"benign"},
    }


def test_specs_are_the_same_whoever_asks_first() -> None:
    experiment = load_experiment("demo", ROOT)
    backwards = Dag(experiment, ROOT, "results/demo")
    forwards = Dag(experiment, ROOT, "results/demo")
    found = {(job.stage.name, job.name): job.spec for job in forwards.jobs}
    assert {key: backwards.spec(*key) for key in reversed(found)} == found
    assert all(json.loads(spec)["stage"] == stage for (stage, _), spec in found.items())


@pytest.fixture(scope="module")
def safety(tmp_path_factory: pytest.TempPathFactory) -> Dag:
    return open_shipped(tmp_path_factory.mktemp("safety"), "med-safety").dag


def test_a_rule_waits_for_every_role_that_its_jobs_read(tmp_path: Path, safety: Dag) -> None:
    """A role that only some experiment has would else be missed, and its job start before what it reads is made."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").glob("*.smk")))
    waited = set(re.findall(r'reads\(\s*"([\w-]+)",\s*"(\w+)"', text))
    dags = [safety, open_shipped(tmp_path, "demo").dag, open_shipped(tmp_path, "med42-v2-8b-on-policy").dag]
    read = {(job.stage.name, role) for dag in dags for job in dag.jobs for role in job.plan.roles}
    assert ("generate", "wording") in read
    assert read - waited == set()


def test_published_code_is_fetched_and_what_is_taken_of_it_is_in_the_specs(safety: Dag) -> None:
    """Models by their family, judges by their policy; nothing of prompts and judges without it."""
    dag = safety
    code = dag.path(curation.RAW, dataset="med-safety-bench-code")
    assert dag.job("fetch", "med-safety-bench-code").paths == [code]
    assert not any("med-safety-bench-code" in path for path in dag.job("read", "safety").paths)
    asked = {output.name: output for output in dag.job("generate", "medalpaca-7b-both-600").plan.outputs}
    assert asked["advbench-as-published"].spec == {"system": "", "take": None, "family": "medalpaca"}
    assert asked["advbench-as-published"].inputs["wording"] == [code]
    assert asked["advbench"].spec == {"system": "", "take": None}
    assert not asked["advbench"].inputs["wording"]
    judged = {
        name: dag.job("judge", f"{name}/gpt-4").plan
        for name in ("general-as-published-gpt-3.5", "general-harm-gpt-3.5")
    }
    theirs, ours = judged.values()
    assert theirs.common["published"] == "hex_phi"
    assert theirs.inputs["published"] == [code]
    assert "template" not in theirs.common
    assert "published" not in ours.common
    assert not ours.inputs["published"]


def test_how_the_authors_tune_is_in_the_specs_and_defaults_are_not(tmp_path: Path, safety: Dag) -> None:
    chunks = safety.job("pack", "meditron-7b-medical-900").plan.outputs[0].spec
    tuned = safety.job("sft", "meditron-7b-medical-900").plan.outputs[0].spec["optimization"]
    assert (chunks["packing"], tuned["drop_last"], tuned["warmup_steps"]) == (False, True, 10)
    demo = open_shipped(tmp_path, "demo").dag
    assert "packing" not in demo.job("pack", "sft").plan.outputs[0].spec
    assert not {"drop_last", "warmup_steps"} & set(demo.job("sft", "sft").plan.outputs[0].spec["optimization"])
