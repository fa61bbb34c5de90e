"""Exports: lm-eval's own numbers, keys and readers; the hub's own parsers; no text; whole or not at all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from scored_run import Run
from study import SECRET

from primum.artifact.manifest import Manifest, save_manifest
from primum.cli import main
from primum.errors import PrimumError
from primum.export.command import export
from primum.export.metrics import aggregate, metrics, unweighted

# Log-likelihoods and texts of three choices each, right answers, subjects. Divided by their characters:
# 0: -4/4 = -1, -3/1, -9/3: acc picks 1, acc_norm 0. Right: 0.      1: -2/1, -8/8 = -1, -6/2: acc 0, acc_norm 1. Right: 1.
# 2: -1/2 = -0.5, -5/5, -6/6: both 0. Right: 0.                      3: -7, -7, -9 each by 1: of equals the first, 0. Right: 1.
# 4: -3/3, -2/1, -8/2: acc 1, acc_norm 0. Right: 1.
ITEMS: list[tuple[list[float], list[str], int, str]] = [
    ([-4.0, -3.0, -9.0], ["long", "b", "ccc"], 0, "anatomy"),
    ([-2.0, -8.0, -6.0], ["a", "eightish", "cc"], 1, "anatomy"),
    ([-1.0, -5.0, -6.0], ["aa", "bbbbb", "cccccc"], 0, "virology"),
    ([-7.0, -7.0, -9.0], ["a", "b", "c"], 1, "virology"),
    ([-3.0, -2.0, -8.0], ["aaa", "b", "cc"], 1, "virology"),
]
HUB = "meta-llama/Meta-Llama-3-8B-Instruct"


def answers(method: str = "loglikelihood") -> list[dict[str, Any]]:
    return [
        {
            "id": f"q{n}",
            "item": f"q{n}",
            "subject": subject,
            "method": method,
            "status": "scored",
            "choices": 3,
            "loglikelihoods": sums if method == "loglikelihood" else [],
            "greedy": [value == -1.0 for value in sums] if method == "loglikelihood" else [],
            "perplexity": math.exp(-sums[target] / 2) if method == "loglikelihood" else None,
            "tokens": [2] * 3 if method == "loglikelihood" else [],
            "characters": [len(text) for text in texts],
            "prediction": sums.index(max(sums)),
            "target": target,
            "correct": sums.index(max(sums)) == target,
        }
        for n, (sums, texts, target, subject) in enumerate(ITEMS)
    ]


def finished(results: Path) -> Path:
    run = Run(results)
    rows = [{"id": f"q{n}", "question": f"{SECRET} {n}"} for n in range(len(ITEMS))]
    run.dataset("questions", rows, hub="cais/mmlu", revision="b" * 40)
    run.dataset("files", rows)
    run.benchmark("whole", "questions", "The whole")
    run.benchmark("parts", "files", "In parts", macro=True)
    run.benchmark("spoken", "files", "Spoken")
    run.benchmark("pairs", "files", group="preference")
    run.experiment["groups"] = {
        "both": {"title": "Both", "benchmarks": ["whole", "parts"], "weight_by_size": True},
        "lacking": {"title": "", "benchmarks": ["whole", "spoken"], "weight_by_size": False},
    }
    run.model("llama3-8b-instruct", HUB, "Llama3-8B-Instruct")
    run.model("sft", "", "SFT & co")
    run.score("llama3-8b-instruct", "whole", answers(), fewshot={"k": 5})
    run.score("llama3-8b-instruct", "parts", answers())
    run.score("llama3-8b-instruct", "pairs", answers())
    run.score("sft", "whole", answers(), normalize="characters")
    run.score("sft", "parts", answers(), normalize="bytes")
    run.score("sft", "spoken", answers("generation"))
    return run.finish()


def exported(tmp_path: Path, form: str) -> Path:
    export(finished(tmp_path / "run"), form, tmp_path / form, force=False)
    return tmp_path / form


def read(folder: Path) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Results and samples, found by lm-eval's own functions."""
    from lm_eval.utils import get_file_task_name, get_results_filenames, get_sample_results_filenames

    files = [str(path) for path in folder.iterdir()]
    (results,) = get_results_filenames(files)
    samples = {}
    for name in get_sample_results_filenames(files):
        lines = Path(name).read_text().splitlines()
        samples[get_file_task_name(Path(name).name)] = [json.loads(line) for line in lines]
    return json.loads(Path(results).read_text()), samples


def test_metrics_by_hand() -> None:
    rows = [(row["item"], metrics(row)) for row in answers()]
    assert [own["acc"] for _, own in rows] == [0, 0, 1, 0, 1]
    assert [own["acc_norm"] for _, own in rows] == [1, 1, 1, 0, 0]
    # acc: mean 2/5; squares 3 * 0.16 + 2 * 0.36 = 1.2, over 4 is 0.3, sqrt(0.3 / 5) = 0.2449. acc_norm: 3/5, the same sum.
    whole = aggregate(rows)
    assert whole == {
        "acc,none": 0.4,
        "acc_stderr,none": pytest.approx(math.sqrt(0.06)),
        "acc_norm,none": 0.6,
        "acc_norm_stderr,none": pytest.approx(math.sqrt(0.06)),
    }
    # One item has no standard error, and neither has a mean over it. An item of two seeds counts once, by its mean.
    assert aggregate(rows[:1])["acc_stderr,none"] == "N/A"
    assert unweighted([whole, aggregate(rows[:1])])["acc_stderr,none"] == "N/A"
    seeds = aggregate([("a", {"acc": 1.0}), ("a", {"acc": 0.0}), ("b", {"acc": 1.0})])
    assert seeds == {"acc,none": 0.75, "acc_stderr,none": pytest.approx(0.25)}
    # What the artifact says is right by a length that it does not hold.
    assert metrics({**answers()[0], "correct": True}, "bytes") == {"acc": 0.0, "acc_norm": 1.0, "acc_bytes": 1.0}
    assert metrics({"loglikelihoods": [], "correct": True}) == {"exact_match": 1.0}
    assert metrics({"loglikelihoods": [-1.0, -9.0], "characters": [0, 3], "target": 1})["acc_norm"] == 1.0


def lm_eval_run(folder: Path) -> Any:
    """The same log-likelihoods through lm-eval itself, as a group of two subjects and as one task."""
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM

    class Told(LM):  # type: ignore[misc]
        """Answers each request with the log-likelihood that its text stands for."""

        def loglikelihood(self, requests: Any) -> list[tuple[float, bool]]:
            said = {
                (f"q{n}", text): s for n, item in enumerate(ITEMS) for text, s in zip(item[1], item[0], strict=True)
            }
            sums = [said[request.args[0], request.args[1].strip()] for request in requests]
            return [(value, value == -1.0) for value in sums]

        def loglikelihood_rolling(self, requests: Any) -> Any:
            raise AssertionError("not asked for")

        generate_until = loglikelihood_rolling

    def task(name: str, subjects: tuple[str, ...]) -> dict[str, Any]:
        docs = [
            {"q": f"q{n}", "choices": texts, "gold": gold}
            for n, (_, texts, gold, subject) in enumerate(ITEMS)
            if subject in subjects
        ]
        path = folder / f"{name}.json"
        path.write_text("\n".join(json.dumps(doc) for doc in docs))
        metrics_ = [{"metric": m, "aggregation": "mean", "higher_is_better": True} for m in ("acc", "acc_norm")]
        return {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(path)}},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "{{q}}",
            "doc_to_choice": "choices",
            "doc_to_target": "gold",
            "metric_list": metrics_,
        }

    tasks = [
        task("whole", ("anatomy", "virology")),
        task("parts_anatomy", ("anatomy",)),
        task("parts_virology", ("virology",)),
    ]
    return simple_evaluate(model=Told(), tasks=tasks, bootstrap_iters=1000, log_samples=True)


def test_numbers_and_keys_are_lm_evals_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    from lm_eval.api.metrics import aggregate_subtask_metrics, pooled_sample_stderr, unweighted_mean_stderr
    from lm_eval.utils import make_table, sanitize_model_name

    theirs = lm_eval_run(tmp_path)
    ours, samples = read(exported(tmp_path, "lm-eval") / sanitize_model_name(HUB))
    environment = {"pretty_env_info", "upper_git_hash"}
    assert set(theirs) - {"samples"} - environment <= set(ours)
    for name in ("whole", "parts_anatomy", "parts_virology"):
        numbers = {key: value for key, value in theirs["results"][name].items() if "," in key}
        assert len(numbers) == 4
        assert {key: ours["results"][name][key] for key in numbers} == pytest.approx(numbers, abs=1e-12)
        assert set(theirs["results"][name]) == set(ours["results"][name])
        assert ours["n-samples"][name] == theirs["n-samples"][name]
        assert ours["higher_is_better"][name] == theirs["higher_is_better"][name]
        for mine, their in zip(samples[name], theirs["samples"][name], strict=True):
            assert set(their) <= set(mine)
            assert (mine["doc_id"], mine["acc"], mine["acc_norm"]) == (their["doc_id"], their["acc"], their["acc_norm"])
            assert mine["target"] == str(their["target"])
            assert mine["target_hash"] == their["target_hash"]
            assert [float(r[0]) for r in mine["filtered_resps"]] == [r[0] for r in their["filtered_resps"]]
            assert [r[1] for r in mine["filtered_resps"]] == [str(r[1]) for r in their["filtered_resps"]]
            assert len(mine["resps"]) == len(their["resps"]) == len(mine["arguments"]) == 3
    # A macro benchmark is a group: the unweighted mean of 0/2 and 2/3, with lm-eval's standard error of it.
    parts = [theirs["results"][f"parts_{subject}"]["acc_stderr,none"] for subject in ("anatomy", "virology")]
    assert ours["groups"]["parts"]["acc,none"] == pytest.approx(1 / 3)
    assert ours["groups"]["parts"]["acc_stderr,none"] == pytest.approx(unweighted_mean_stderr(parts))
    assert ours["group_subtasks"] == {"parts": ["parts_anatomy", "parts_virology"], "both": ["whole", "parts"]}
    # A group of the experiment, by size: 2/5 of five items and 1/3 of five.
    both, errors = ours["groups"]["both"], [ours["results"][name]["acc_stderr,none"] for name in ("whole", "parts")]
    assert both["acc,none"] == pytest.approx(aggregate_subtask_metrics([2 / 5, 1 / 3], [5, 5]))
    assert both["acc_stderr,none"] == pytest.approx(pooled_sample_stderr(errors, [5, 5]))
    assert (both["alias"], both["sample_len"], both["sample_count"]) == (
        "Both",
        10,
        {"acc,none": 10, "acc_norm,none": 10},
    )
    assert (ours["n-shot"]["whole"], ours["n-shot"]["parts"]) == (5, 0)
    # lm-eval's own printer reads it, groups as well.
    assert "0.4000" in make_table(ours)
    assert "In parts" in make_table(ours, "groups")


def test_every_number_can_be_traced(tmp_path: Path) -> None:
    from lm_eval.utils import hash_string

    results, samples = read(exported(tmp_path, "lm-eval") / "sft")
    manifest = json.loads((tmp_path / "run/scores/sft/whole.json").read_text())
    traced = results["primum"]["scores"]["whole"]
    assert {key: traced[key] for key in ("key", "content", "inputs")} == {
        key: manifest[key] for key in ("key", "content", "inputs")
    }
    assert (traced["code"], traced["libraries"]) == ("c" * 64, {"transformers": "5.19.0"})
    assert results["configs"]["whole"]["metadata"]["spec"]["normalize"] == "characters"
    # As EvaluationTracker.save_results_aggregated computes it.
    joined = "".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in samples["whole"])
    assert results["task_hashes"]["whole"] == hash_string(joined)
    assert len({s["doc_hash"] for s in samples["whole"]}) == len(ITEMS)
    # The right choices: -4, -8, -1, -7, -2 nats over ten tokens.
    assert results["primum"]["perplexity"]["whole"] == pytest.approx(math.exp(2.2))
    assert [sample["perplexity"] for sample in samples["whole"]] == pytest.approx(
        [math.exp(value / 2) for value in (4, 8, 1, 7, 2)]
    )
    assert results["primum"]["perplexity"]["spoken"] is None
    # An answer that was generated has no log-likelihoods, and a metric of its own.
    assert results["results"]["spoken"]["exact_match,none"] == 0.4
    assert samples["spoken"][0]["resps"] == []
    assert "pairs" not in results["results"]


def test_the_hub_reads_its_own_forms(tmp_path: Path) -> None:
    import yaml
    from huggingface_hub import ModelCard, parse_eval_result_entries

    folder = exported(tmp_path, "hf")
    card = ModelCard.load(folder / "llama3-8b-instruct" / "README.md")
    found = {(r.dataset_config, r.metric_name): r for r in card.data.eval_results}
    assert set(found) == {(name, m) for name in ("whole", "parts") for m in ("acc", "acc_norm")}
    assert found["whole", "acc"].metric_value == 0.4
    assert found["whole", "acc"].dataset_args == {"num_few_shot": 5, "n": 5}
    assert (found["whole", "acc"].dataset_type, found["whole", "acc"].dataset_revision) == ("cais/mmlu", "b" * 40)
    assert found["parts", "acc"].metric_value == pytest.approx(1 / 3)
    key = json.loads((tmp_path / "run/scores/llama3-8b-instruct/whole.json").read_text())["key"]
    assert found["whole", "acc"].metric_args["primum_key"] == key
    # Only the hub's dataset has a file of the newer form; sft's headline is acc_norm, since it normalizes by characters.
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.yaml"))
    assert files == ["llama3-8b-instruct/.eval_results/whole.yaml", "sft/.eval_results/whole.yaml"]
    (entry,) = parse_eval_result_entries(yaml.safe_load((folder / files[1]).read_text()))
    assert (entry.dataset_id, entry.task_id, entry.value, entry.dataset_revision) == (
        "cais/mmlu",
        "whole",
        0.6,
        "b" * 40,
    )
    assert entry.notes is not None
    assert entry.notes.startswith("acc_norm, log-likelihood of the choices, 0-shot, n=5")
    parts = next(
        line for line in (folder / "sft" / "README.md").read_text().splitlines() if line.startswith("| In parts")
    )
    assert parts.startswith("| In parts | acc_bytes | 0.3333 |")
    assert "# SFT \\& co: evaluation results" in (folder / "sft" / "README.md").read_text()


def test_a_card_says_how_its_model_was_trained(tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    results = finished(tmp_path / "run")
    path = results / "experiment.json"
    experiment = json.loads(path.read_text())
    experiment["disclaimer"] = "For research."
    experiment["models"]["llama3-8b-instruct"] |= {"license": "llama3"}
    experiment["datasets"] |= {
        "dialogues": {"hub": "org/dialogues", "revision": "d" * 40, "license": "cc-by-4.0"},
        "pairs-1": {"hub": None, "license": ""},
    }
    experiment["mixtures"] = {"chat": {"sources": {"a": {"dataset": "dialogues"}, "again": {"dataset": "dialogues"}}}}
    experiment["preferences"] = {"stage-1": {"datasets": ["pairs-1"]}}
    experiment["models"]["tuned"] = {
        "train": "sft",
        "from": "llama3-8b-instruct",
        "data": "chat",
        "train_on_inputs": False,
    } | {"optimization": {"learning_rate": 5e-06, "micro_batch": None}}
    experiment["models"]["sft"] |= {"train": "dpo", "from": "tuned", "data": "stage-1", "beta": 0.1, "optimization": {}}
    path.write_text(json.dumps(experiment))
    for name, counts in (
        ("models/tuned/manifest", {"steps": 5321, "parameters": 8_030_261_248}),
        ("data/mixtures/chat", {"kept": 1000, "duplicate": 7}),
        ("data/packed/tuned", {"packed": 1000, "tokens": 123456}),
    ):
        manifest = results / f"{name}.json"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        save_manifest(Manifest("table", "s", {}, {}, "k", f"content of {name}", counts), manifest)
    export(results, "hf", tmp_path / "cards", force=False)
    text = (tmp_path / "cards/sft/README.md").read_text()
    data = ModelCard.load(tmp_path / "cards/sft/README.md").data
    assert (data.base_model, data.license, data.datasets) == (HUB, "llama3", ["org/dialogues"])
    assert (data.library_name, data.pipeline_tag, data.tags) == (
        "transformers",
        "text-generation",
        ["primum", "sft", "dpo"],
    )
    assert "For research." in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")][:3]
    assert [row[0] for row in rows] == ["| `llama3-8b-instruct`", "| `tuned`", "| `sft`"]
    assert [row[1] for row in rows] == [f"fetched: {HUB}@{'a' * 40}", "sft of `llama3-8b-instruct`", "dpo of `tuned`"]
    assert rows[1][2:] == [
        "chat", "kept 1,000, packed 1,000, tokens 123,456, steps 5,321, parameters 8,030,261,248",
        "learning_rate 5e-06, train_on_inputs False", "`content of models/tuned/manifest` |",
    ]  # fmt: skip
    assert text.count("| `tuned` | `dialogues` | org/dialogues | " + "d" * 40 + " | cc-by-4.0 |") == 1
    assert "| `sft` | `pairs-1` | files of the catalog |  | unknown |" in text
    # Pairs of a model's own answers: their prompts are the data, and the card says who answered and ranked.
    experiment["rankers"] = {"best": {"kind": "pairrm", "model": "pairrm-hf"}}
    experiment["preferences"] = {"stage-1": {"from": "tuned", "prompts": ["pairs-1"], "n": 5, "ranker": "best"}}
    path.write_text(json.dumps(experiment))
    export(results, "hf", tmp_path / "own", force=False)
    text = (tmp_path / "own/sft/README.md").read_text()
    assert "| stage-1: 5 answers a prompt by `tuned`, ranked by `pairrm-hf` (pairrm) |" in text
    assert "| `sft` | `pairs-1` | files of the catalog |  | unknown |" in text
    # Of safety demonstrations: who gave the rejected answers, and who judged them.
    experiment["judges"] = {"harm": {"kind": "rubric", "model": "gpt-4"}}
    safe = {
        "from": "tuned",
        "demonstrations": ["pairs-1"],
        "judge": "harm",
        "at_least": 4,
        "benign": {"datasets": ["dialogues"]},
    }
    experiment["preferences"] = {"stage-1": safe}
    path.write_text(json.dumps(experiment))
    export(results, "hf", tmp_path / "safe", force=False)
    text = (tmp_path / "safe/sft/README.md").read_text()
    assert "| stage-1: safety demonstrations against answers by `tuned` that `gpt-4` scored 4 or more |" in text
    assert "| `sft` | `pairs-1` | files of the catalog |  | unknown |" in text
    assert "| `sft` | `dialogues` | org/dialogues |" in text
    # A fetched model has a card of its own where it comes from.
    assert "## Training" not in (tmp_path / "cards/llama3-8b-instruct/README.md").read_text()


@pytest.mark.parametrize("form", ["lm-eval", "hf"])
def test_no_text_and_the_same_bytes(tmp_path: Path, form: str) -> None:
    first = exported(tmp_path, form)
    export(tmp_path / "run", form, tmp_path / "again", force=False)
    files = [path for path in first.rglob("*") if path.is_file()]
    assert len(files) >= 4
    for path in files:
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(first)).read_bytes()
        assert SECRET not in path.read_text()


def test_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results, output = finished(tmp_path / "run"), tmp_path / "out"
    arguments = ["export", str(results), "--format", "lm-eval", "--output", str(output)]
    main(arguments)
    assert "2 models, 5 scores" in capsys.readouterr().out
    (output / "mine").write_text("kept")
    with pytest.raises(SystemExit):
        main(arguments)
    assert "give --force" in capsys.readouterr().err

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("primum.export.command.write_lm_eval", full)
        with pytest.raises(PrimumError, match="No space left"):
            export(results, "lm-eval", output, force=True)
    assert (output / "mine").read_text() == "kept", "a failed export leaves what was there"
    main([*arguments, "--force"])
    assert not (output / "mine").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"], "nothing temporary stays"


def test_other_rows_than_were_scored_are_refused(tmp_path: Path) -> None:
    results = finished(tmp_path / "run")
    other = Run(tmp_path / "other")
    other.dataset("questions", [{"id": "q0", "question": "changed"}])
    for suffix in ("json", "parquet"):
        (tmp_path / f"other/data/rows/questions.{suffix}").replace(results / f"data/rows/questions.{suffix}")
    with pytest.raises(PrimumError, match=r"whole\.json: was scored with other rows"):
        export(results, "lm-eval", tmp_path / "out", force=False)
    assert not (tmp_path / "out").exists()
    with pytest.raises(PrimumError, match="name an experiment's folder"):
        export(tmp_path, "lm-eval", tmp_path / "out", force=False)
