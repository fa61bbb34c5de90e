"""What a run may cost, worked out by hand: parameters, tokens, GPU-hours, bytes, judge tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from shipped import ROOT, open_shipped

from primum.artifact.manifest import Manifest
from primum.audit.cost import (
    architecture_parameters,
    cost_of,
    nominal_parameters,
    parameters,
    training_tokens,
)
from primum.audit.questions import UNKNOWN, Amount, responses
from primum.dag.curation import PAIRS, ROWS
from primum.dag.judging import CANARY, CRITERIA, GENERATION, GRADED, JUDGEMENT
from primum.dag.preferences import ASSESSED
from primum.dag.state import JobState
from primum.dag.training import AUDIT, MODEL, PACKED
from primum.dag.workflow import Workflow
from primum.experiment.models import Architecture


@pytest.fixture(autouse=True)
def _as_nobody_asked_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRIMUM_STORE", raising=False)
    monkeypatch.setenv("PRIMUM_REFRESH", "")


def _counted(**counts: float) -> Manifest:
    return Manifest("table", "test", {}, {}, "k", "c", counts)


def _to_run(run: Workflow, stage: str, name: str, *missing: str) -> JobState:
    return JobState(run.dag.job(stage, name), "to run", missing)


@pytest.mark.parametrize(
    ("hub", "expected"),
    [
        ("meta-llama/Meta-Llama-3-8B-Instruct", 8e9),
        ("johnsnowlabs/JSL-MedLlama-3-8B-v2.0", 8e9),
        ("google/gemma-2-27b-it", 27e9),
        ("EleutherAI/pythia-6.9b-deduped", 6.9e9),
        ("EleutherAI/pythia-70m-deduped", 70e6),
        ("m42-health/med42-70b", 70e9),
        # Not the total of eight experts, which share their attention.
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", None),
        ("mistralai/Mistral-Large-Instruct-2407", None),
        ("microsoft/Phi-3-medium-128k-instruct", None),
        ("BiMediX/BiMediX-Eng", None),
        ("someone/Some-7B-Instruct-1M", None),  # a context of a million tokens
        ("someone/Some-MoE-A2.7B", None),  # active parameters
        ("someone/some-4bit-2mini", None),
        ("7B-lab/some-model", None),
    ],
)
def test_the_size_in_a_hub_id(hub: str, expected: float | None) -> None:
    assert nominal_parameters(hub) == expected


def test_the_parameters_of_an_architecture() -> None:
    # By hand, of the demo's: 1024 x 128 embeddings; four layers of four 128 x 128 (attention), three 128 x 384 and two
    # norms of 128; a last norm.
    size = Architecture(vocab_size=1024, hidden_size=128, intermediate_size=384, layers=4, heads=4, kv_heads=4)
    assert architecture_parameters(size) == 131_072 + 4 * (65_536 + 147_456 + 256) + 128 == 984_192
    # A quarter of the heads for keys and values: two of the four matrices are 128 x 32.
    grouped = Architecture(vocab_size=1024, hidden_size=128, intermediate_size=384, layers=4, heads=4, kv_heads=1)
    assert architecture_parameters(grouped) == 984_192 - 4 * 2 * 128 * 96


def test_a_models_parameters_come_from_where_its_lineage_begins(tmp_path: Path) -> None:
    demo = open_shipped(tmp_path, "demo")
    assert parameters(demo, "dpo-3", {}) == 984_192
    counted = {demo.dag.path(MODEL, model="sft"): _counted(parameters=984_000)}
    assert parameters(demo, "dpo-3", counted) == 984_000
    assert parameters(open_shipped(tmp_path, "med42-v2-8b"), "dpo-3", {}) == 8e9
    safety = open_shipped(tmp_path, "med-safety")
    assert parameters(safety, "gpt-4", {}) is None
    assert parameters(safety, "medalpaca-13b-both-400", {}) == 13e9


def test_the_tokens_of_a_training_run(tmp_path: Path) -> None:
    demo = open_shipped(tmp_path, "demo")
    assert training_tokens(demo, "base", {}) == 450 * 10 * 128
    assert training_tokens(demo, "dpo-1", {}) == 45 * 16 * 2 * 512
    # 3.5 epochs of chunks that are not packed yet.
    assert training_tokens(demo, "sft", {}) is None
    # 100 chunks are 34 batches of 3; 3.5 epochs of them are 119 steps. Of the 116 of sft 16 are held out.
    for model, chunks in (("medical", 100), ("sft", 116)):
        assert (
            training_tokens(demo, model, {demo.dag.path(PACKED, model=model): _counted(chunks=chunks)}) == 119 * 3 * 128
        )


def test_gpu_hours_of_training(tmp_path: Path) -> None:
    """The paper's 5,321 steps of 262,144 tokens, by 8e9 parameters: 46.9 of the 384 GPU-hours asked for."""
    run = open_shipped(tmp_path, "med42-v2-8b")
    job = _to_run(run, "sft", "sft")
    cost = cost_of(run, job, {})
    assert (cost.gpus, cost.nodes, cost.limit, cost.estimate) == (16, 2, 16 * 24, UNKNOWN)
    chunks = 5321 / 2 * 32  # an epoch's, since there are two
    cost = cost_of(run, job, {run.dag.path(PACKED, model="sft"): _counted(chunks=chunks)})
    flops = 6 * 8e9 * 2 * 2661 * 262_144
    assert cost.estimate == Amount(pytest.approx(flops / (0.4 * 989e12) / 3600))
    assert 46 < cost.estimate.value < 48
    pairs = {run.dag.path(PAIRS, preferences="med42-v2-stage-1"): _counted(kept=256)}
    reference = cost_of(run, _to_run(run, "reference", "dpo-1"), pairs).estimate
    trained = cost_of(run, _to_run(run, "dpo", "dpo-1"), pairs).estimate
    audit = _to_run(run, "reference", "dpo-1", run.dag.path(AUDIT, model="dpo-1"))
    assert cost_of(run, audit, pairs).estimate == Amount(), "the log-probabilities are there"
    assert reference == Amount(pytest.approx(2 * 8e9 * 256 * 2 * 4096 / (0.4 * 989e12) / 3600))
    assert trained is not None
    assert trained.value == pytest.approx(3 * reference.value)


def test_what_a_job_asks_for_is_its_models(tmp_path: Path) -> None:
    run = open_shipped(tmp_path, "med42-v2-8b")
    assert cost_of(run, _to_run(run, "score", "sft"), {}).limit == 4
    assert cost_of(run, _to_run(run, "score", "mixtral-8x22b-instruct"), {}).limit == 8 * 24
    assert cost_of(run, _to_run(run, "snapshot", "mixtral-8x22b-instruct"), {}).limit == 0
    assert cost_of(run, _to_run(run, "reference", "dpo-2"), {}).limit == 16 * 12
    endpoints = open_shipped(tmp_path, "med-safety")
    assert cost_of(endpoints, _to_run(endpoints, "generate", "gpt-4"), {}).gpus == 0
    assert cost_of(endpoints, _to_run(endpoints, "verdicts", "verdicts"), {}).gpus == 0


def test_bytes_of_models_and_their_checkpoints(tmp_path: Path) -> None:
    run = open_shipped(tmp_path, "med42-v2-8b")
    assert cost_of(run, _to_run(run, "snapshot", "llama3-8b-instruct"), {}).disk == Amount(16e9)
    assert cost_of(run, _to_run(run, "snapshot", "bimedix-eng"), {}).disk == UNKNOWN
    # bfloat16, and two checkpoints of three float32 numbers a parameter
    assert cost_of(run, _to_run(run, "sft", "sft"), {}).disk == Amount(8e9 * (2 + 2 * 12))
    assert cost_of(run, _to_run(run, "score", "sft"), {}).disk is None
    safety = open_shipped(tmp_path, "med-safety")
    assert cost_of(safety, _to_run(safety, "sft", "meditron-7b-both-400"), {}).disk == Amount(14e9)
    assert cost_of(safety, _to_run(safety, "snapshot", "gpt-4"), {}).disk == Amount()
    demo = open_shipped(tmp_path, "demo")
    assert cost_of(demo, _to_run(demo, "pretrain", "base"), {}).disk == Amount(984_192 * 4)


def test_how_many_responses_there_will_be(tmp_path: Path) -> None:
    run = open_shipped(tmp_path, "open-clinical")
    rows = run.dag.path(ROWS, dataset="med-safety-bench-test")
    assert responses(run, "sft", "med-safety-bench", {}) == 180  # its `take`
    assert responses(run, "sft", "med-safety-bench", {rows: _counted(rows=100)}) == 100
    assert responses(run, "sft", "med-safety-bench", {rows: _counted(rows=450)}) == 180
    made = run.dag.path(GENERATION, model="sft", prompts="med-safety-bench")
    assert responses(run, "sft", "med-safety-bench", {made: _counted(rows=7)}) == 7
    assert responses(open_shipped(tmp_path, "demo"), "sft", "benign", {}) is None


def _longest() -> int:
    """The characters of the longest question to the judge, beside what is judged."""
    template = (ROOT / "data/rubrics/harm-1-5.j2").read_text(encoding="utf-8")
    policies = yaml.safe_load((ROOT / "data/policies/general-use.yaml").read_text(encoding="utf-8"))
    return len(template) + max(map(len, policies.values()))


def test_judge_tokens(tmp_path: Path) -> None:
    run = open_shipped(tmp_path, "med-safety")
    judge, model = "general-harm-gpt-3.5", "llama-7b"
    missing = [
        run.dag.path(JUDGEMENT, judge=judge, model=model, prompts=prompts) for prompts in ("advbench", "xstest-safe")
    ]
    job = _to_run(run, "judge", f"{judge}/{model}", *missing)
    # As the catalog says, until they are read.
    each = -(-_longest() // 3) + 256 + 512 + 512
    assert cost_of(run, job, {}).tokens == Amount((520 + 250) * each)
    known = {run.dag.path(ROWS, dataset="advbench-goals"): _counted(rows=500)}
    assert cost_of(run, job, known).tokens == Amount((500 + 250) * each)
    assert cost_of(run, _to_run(run, "verdicts", "verdicts"), known).tokens is None


def test_a_judge_is_asked_about_each_criterion(tmp_path: Path) -> None:
    run = open_shipped(tmp_path, "demo")
    paths = [run.dag.path(CRITERIA, judge="criteria", model=m, prompts="conversations") for m in ("base", "sft")]
    known = {run.dag.path(ROWS, dataset="demo-healthbench"): _counted(rows=12)}
    each = -(-len((ROOT / "data/rubrics/demo-criteria.j2").read_text(encoding="utf-8")) // 3) + 256 + 48 + 24
    assert cost_of(run, _to_run(run, "grade", "criteria", *paths), known).tokens == Amount(2 * 12 * 12 * each)


def test_answers_that_are_judged_for_pairs_are_paid_for_too(tmp_path: Path) -> None:
    run = open_shipped(tmp_path, "med-safety")
    judge, model = "medical-harm-gpt-3.5", "meditron-7b"
    # Five sets of different sizes read the largest file's answers.
    path = run.dag.path(ASSESSED, judge=judge, model=model, dataset="safety-medical-900")
    job = _to_run(run, "assess", f"{judge}/{model}", path)
    assert job.job.paths == [path]
    assert cost_of(run, job, {}).tokens == UNKNOWN
    template = (ROOT / "data/rubrics/harm-1-5.j2").read_text(encoding="utf-8")
    policies = yaml.safe_load((ROOT / "data/policies/medical-use.yaml").read_text(encoding="utf-8"))
    each = -(-(len(template) + max(map(len, policies.values()))) // 3) + 256 + 512 + 512
    known = {run.dag.path(ROWS, dataset="safety-medical-900"): _counted(rows=900)}
    assert cost_of(run, job, known).tokens == Amount(900 * each)
    assert cost_of(run, job, known).gpus == 0
    assert cost_of(run, _to_run(run, "respond", model), {}).gpus == 1


def test_a_local_judge_reads_no_more_than_its_length(tmp_path: Path) -> None:
    template = ROOT / "data/rubrics/demo-harm.j2"
    run = open_shipped(tmp_path, "demo")
    known = {run.dag.path(ROWS, dataset="demo-graded-test"): _counted(rows=10)}
    each = -(-len(template.read_text(encoding="utf-8")) // 3) + 256 + 48 + 32
    graded, canary = (run.dag.path(path, judge="harm") for path in (GRADED, CANARY))
    assert cost_of(run, _to_run(run, "agreement", "harm", graded), known).tokens == Amount(10 * each)
    assert cost_of(run, _to_run(run, "agreement", "harm", graded, canary), known).tokens == Amount((10 + 10) * each)
    small = open_shipped(tmp_path, "demo", engine={"max_length": 64})
    assert cost_of(small, _to_run(small, "agreement", "harm", graded), known).tokens == Amount(640)
