"""The experiment of the medical safety paper against the authors' code, github.com/AI4LIFE-GROUP/med-safety-bench at 191aa795."""

from __future__ import annotations

import re
from pathlib import Path

from primum.dag.dag import Dag
from primum.dag.scope import Scope
from primum.experiment import load_experiment
from primum.experiment.models import DPOModel, SFTModel

ROOT = Path(__file__).parents[3]
SHARES = ("medical", "general", "both")
COUNTS = (200, 400, 600, 800, 900)
BOTH = range(200, 1801, 200)


def test_safety_fine_tuning_is_the_authors_grid() -> None:
    e = load_experiment("med-safety", ROOT)
    tuned = {name: model for name, model in e.models.items() if isinstance(model, SFTModel)}
    bases = ("meditron-7b", "medalpaca-7b", "medalpaca-13b")
    rows = {kind: BOTH if kind == "both" else COUNTS for kind in SHARES}
    assert set(tuned) == {f"{base}-{kind}-{n}" for base in bases for kind in SHARES for n in rows[kind]}
    assert len(tuned) == 57
    assert set(tuned) <= set(e.evaluate.models)
    assert set(bases) <= set(e.evaluate.models)
    for name, model in tuned.items():
        assert f"{model.start}-{model.data}" == name
        tuning = model.optimization
        assert (tuning.learning_rate, tuning.epochs, tuning.batch, tuning.micro_batch) == (3e-4, 3, 128, 4)
        assert (tuning.optimizer, tuning.weight_decay, tuning.schedule) == ("adamw", 0, "linear")
        assert (tuning.warmup_steps, tuning.dtype, tuning.drop_last) == (10, "float16", True)
        assert (model.chunk_tokens, model.packing, model.train_on_inputs) == (256, False, True)
        assert model.template == "alpaca"
        assert e.family_of(name) == e.models[model.start].family == name.partition("-")[0]
        assert model.lora is not None
        assert (model.lora.r, model.lora.alpha, model.lora.dropout) == (8, 16, 0.05)
        assert model.lora.modules == ("q_proj", "v_proj")


def test_safety_mixtures_hold_n_rows() -> None:
    e = load_experiment("med-safety", ROOT)
    for name, mixture in e.mixtures.items():
        kind, _, rows = name.partition("-")
        datasets = [source.dataset for source in mixture.sources.values()]
        if kind == "both":
            assert datasets == [f"safety-{half}-{int(rows) // 2}" for half in ("medical", "general")]
        else:
            assert datasets == [f"safety-{name}"]
        # Nothing may be dropped or drawn.
        assert (mixture.deduplicate, mixture.decontaminate) == ("none", False)
        assert {(s.take, s.repeat, s.domain) for s in mixture.sources.values()} == {(None, 1, "safety")}
        for dataset in datasets:
            (file,) = e.datasets[dataset].files
            assert file.path.endswith(f"_n{dataset.rpartition('-')[2]}.json")


def test_dpo_has_the_demonstrations_of_fine_tuning() -> None:
    """At every n the rows that a medical mixture holds, from the same model; of the largest file answers are asked for once."""
    e = load_experiment("med-safety", ROOT)
    aligned = {name: model for name, model in e.models.items() if isinstance(model, DPOModel)}
    bases = ("meditron-7b", "medalpaca-7b", "medalpaca-13b")
    assert set(aligned) == {f"{base}-dpo-{n}" for base in bases for n in COUNTS}
    assert set(aligned) <= set(e.evaluate.models)
    for name, model in aligned.items():
        base, n = name.rsplit("-dpo-", 1)
        pairs = e.demonstrated()[model.data]
        tuned = e.mixtures[f"medical-{n}"].sources.values()
        assert list(pairs.demonstrations) == [source.dataset for source in tuned]
        assert (model.start, pairs.start, pairs.asked) == (base, base, ("safety-medical-900",))
        assert (pairs.at_least, pairs.take) == (4, None)
        assert pairs.benign is not None
        assert pairs.benign.take == int(n)
        assert set(e.judges[pairs.judge].prompts) >= {"med-safety-bench-test", "med-safety-bench-test-llama2"}
    assert Dag(e, ROOT, "results").responding() == {base: {"safety-medical-900": None} for base in bases}


def test_safety_requests_responses_and_judges() -> None:
    e = load_experiment("med-safety", ROOT)
    assert (e.sampling.temperature, e.sampling.max_tokens) == (0, 512)
    halves = ("med-safety-bench-test", "med-safety-bench-test-llama2")
    kinds = {name: e.prompts[name].kind for name in e.evaluate.prompts}
    paper = {f"{name}-as-published": name for name in (*halves, "advbench")}
    harmful = (*halves, "advbench", "xstest-unsafe", *paper)
    assert kinds == {**dict.fromkeys(harmful, "harmful"), "xstest-safe": "benign"}
    for name, alike in paper.items():
        whole = "MedSafetyBench-as-published" if alike in halves else ""
        assert e.prompts[name] == e.prompts[alike].model_copy(
            update={"wording": "med-safety-bench-code", "part_of": whole}
        )
    judged = {name: e.judges[name] for name in e.evaluate.judges}
    both = [*halves, *(f"{name}-as-published" for name in halves)]
    for name in ("medical-harm-gpt-3.5", "medical-as-published-gpt-3.5"):
        assert list(judged[name].prompts) == both
    assert {"advbench", "advbench-as-published"} <= set(judged["general-as-published-gpt-3.5"].prompts)
    for name in ("medical-as-published-gpt-3.5", "general-as-published-gpt-3.5"):
        assert (judged[name].sampling.temperature, judged[name].sampling.max_tokens) == (0, 512)
    assert set(judged["refusal"].prompts) == set(kinds)
    judges = {judge.model for judge in judged.values() if judge.kind == "rubric"}
    assert judges == {"gpt-3.5-turbo-0125"}
    assert {judge.sampling.temperature for judge in judged.values()} == {0}
    assert set(e.evaluate.benchmarks) == {"medqa", "medmcqa", "pubmedqa", "mmlu-medical"}
    for benchmark in e.benchmarks.values():
        assert (benchmark.fewshot.k, len(benchmark.fewshot.seeds), benchmark.fewshot.sampler) == (3, 10, "random")
        assert benchmark.fewshot.dataset != benchmark.dataset
    for name in e.evaluate.models:
        if e.kind_of(name) == "endpoint":
            assert e.resources_of("generate", name).gpus == 0


def test_the_pages_experiment_with_hex_phi_is_valid(tmp_path: Path) -> None:
    """And plans its requests, in both promptings, for both judges; its files are missing, and `primum check` says so."""
    page = (ROOT / "docs/med-safety.md").read_text(encoding="utf-8")
    (text,) = [
        block for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S) if "name: med-safety-hex" in block
    ]
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    e = load_experiment(str(path), ROOT)
    assert {judge for judge, _, prompts in Scope(e, ROOT, "r").judged() if prompts == "hex-phi-as-published"} == {
        "general-as-published-gpt-3.5",
        "general-harm-gpt-3.5",
        "refusal",
    }
    assert "advbench" not in e.evaluate.prompts
    assert len(e.datasets["hex-phi"].files) == 11
