"""Tensor parallelism: two processes that each hold half of every layer give the scores of one, for all items of a job."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stage_artifacts import folder_artifact, make_job, saved, table_artifact
from transformers import AutoModelForCausalLM, GPT2Config

from primum.artifact.job import Job
from primum.artifact.weights import load_model
from primum.cluster.launch import Launch
from primum.cluster.together import Together, is_divisible
from primum.errors import PrimumError
from primum.experiment.benchmarks import Benchmark
from primum.text.rows import ChoiceRow, to_table

# Sums of log-probabilities in float32: an all-reduce adds in another order.
TOLERANCE = 1e-4
WORDS = ("rest", "tea and water", "see a doctor", "advice about rest, tea and water")
# What is launched; each process also tells how many of the model's numbers it holds.
WORKER = """
import sys
from pathlib import Path
from primum.parallel import processes, worker
from primum.score import stage

load = stage.load_model

def told(*given, **named):
    model = load(*given, **named)
    held = sum(getattr(each, "_local_tensor", each).numel() for each in model.parameters())
    Path(sys.argv[1]).with_name(f"held-{processes.rank()}").write_text(str(held))
    return model

stage.load_model = told
worker.main(Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """The tiny model, with a vocabulary that two divides."""
    folder = tmp_path_factory.mktemp("models") / "even"
    shutil.copytree(tiny_model, folder)
    loaded = AutoModelForCausalLM.from_pretrained(tiny_model)
    loaded.resize_token_embeddings(320, mean_resizing=False)
    loaded.save_pretrained(folder)
    return folder


def job_of(work: Path, model: Path, number: int, **engine: Any) -> Job:
    shutil.copytree(model, work / "model", dirs_exist_ok=True)
    source = saved(folder_artifact(work / "model"))
    common = {
        "engine": {"dtype": "float32", "max_length": 256, "batch_tokens": 512, "tensor_parallel": number, **engine},
        "seed": 0,
        "from_scratch": True,
    }
    items = {}
    for name, count in (("long", 9), ("short", 3)):
        rows = [
            ChoiceRow(f"{name}/{i}", name, "s", "", "What helps " + "a cough " * (i % 5) + f"{i}?", WORDS, i % 4)
            for i in range(count)
        ]
        table = saved(table_artifact(work / f"{name}.parquet", to_table(rows, ChoiceRow)))
        task = Benchmark.model_validate({"dataset": name, "chat_template": False})
        items[name] = (task.asked(), {"model": source, "benchmarks": table})
    return make_job(work, common, items)


def test_two_processes_give_the_scores_of_one(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    original = Launch.command
    monkeypatch.setattr(
        Launch, "command", lambda self, request: [*original(self, request)[:-3], str(script), str(request)]
    )
    one = list(Together("primum.score.stage").run(job_of(tmp_path / "1", model, 1)))
    two = list(Together("primum.score.stage", tmp_path / "log.txt").run(job_of(tmp_path / "2", model, 2)))
    assert [result.item.name for result in two] == ["long", "short"]
    rounded = ("loglikelihoods", "perplexity")
    for alone, shared in zip(one, two, strict=True):
        assert alone.table is not None
        assert shared.table is not None
        for sums, others in zip(
            *(t.column("loglikelihoods").to_pylist() for t in (alone.table, shared.table)), strict=True
        ):
            assert others == pytest.approx(sums, abs=TOLERANCE)
        assert shared.table.drop_columns(rounded).equals(alone.table.drop_columns(rounded))
        assert shared.counts == alone.counts
        # The tree is what it is with one process.
        assert shared.counts["plain_rows"] == 0
        assert shared.cost["processes"] == 2
    weights = dict(AutoModelForCausalLM.from_pretrained(model).named_parameters())
    in_both = sum(each.numel() for name, each in weights.items() if "norm" in name or "embed_tokens" in name)
    held = [int((tmp_path / f"2/work/short/held-{number}").read_text()) for number in (0, 1)]
    assert held == [(sum(each.numel() for each in weights.values()) + in_both) // 2] * 2
    assert "long" in (tmp_path / "log.txt").read_text()


def test_what_is_done_is_kept_and_the_error_is_the_processes_own(tmp_path: Path, model: Path) -> None:
    job = job_of(tmp_path, model, 2)
    # Its first row can be asked, which is all that is tried before the model is loaded. A choice of the second has no token.
    rows = [
        ChoiceRow(f"odd/{i}", "odd", "s", "", "What helps?", WORDS if i == 0 else ("", *WORDS[1:]), 1) for i in (0, 1)
    ]
    table = saved(table_artifact(tmp_path / "odd.parquet", to_table(rows, ChoiceRow)))
    spec = {**job.items[1].spec, "target_delimiter": ""}
    bad = replace(job.items[1], spec=spec, inputs={**job.items[1].inputs, "benchmarks": [table]})
    results = Together("primum.score.stage").run(replace(job, items=[job.items[0], bad]))
    assert next(results).item.name == "long"
    shutil.rmtree(job.items[0].work)  # as it is when the item is published
    with pytest.raises(PrimumError, match="odd/1: the prompt or a choice has no token"):
        next(results)


def test_a_model_that_cannot_be_divided_is_scored_by_one_process(tmp_path: Path, model: Path) -> None:
    """The tiny model has two heads, and transformers has no plan for GPT-2."""
    source = folder_artifact(model)
    assert is_divisible(source, 2)
    assert not is_divisible(source, 4)
    GPT2Config(n_head=4, vocab_size=320).save_pretrained(tmp_path / "gpt2")
    assert not is_divisible(folder_artifact(tmp_path / "gpt2"), 2)
    first = next(Together("primum.score.stage").run(job_of(tmp_path, model, 4)))
    assert first.cost == {}
    assert "cannot divide this model's layers by 4" in (tmp_path / "log.txt").read_text()


def test_layers_are_never_put_beside_the_gpus(model: Path) -> None:
    """Here there is no GPU at all, so that no layer has a place."""
    with pytest.raises(PrimumError, match=r"have no room for all of its layers: ask for more of them \(resources"):
        load_model(folder_artifact(model), spread=True)
