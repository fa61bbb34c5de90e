"""Ranking by two processes gives the rewards of one, and a judge is asked by one process, whatever there is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from stage_artifacts import folder_artifact, make_job, saved, table_artifact
from test_candidates import draw
from tiny_rankers import write_classifier, write_pairrm
from transformers import AutoModelForCausalLM

from primum.artifact.job import ALONE, Devices, Job
from primum.cluster.launch import Launch

WORDS = ("rest", "tea and water", "see a doctor", "sleep", "advice about rest, tea and water")
DRAWS = [
    draw(*((f"p/{prompt}", f"{WORDS[(prompt + number) % 5]}{' now' * prompt}", "stop") for prompt in range(5)))
    for number in range(3)
]
# What is launched; no GPU holds a model here, so that it is shared.
WORKER = """
import sys
from pathlib import Path
from primum.parallel import scorer, worker
scorer._holds_all = lambda _: False
worker.main(Path(sys.argv[1]))
"""


def job_of(work: Path, kind: str, models: dict[str, Path]) -> Job:
    common = {"kind": kind, "dtype": "float32", "batch_tokens": 60, "max_length": 200, "label": None, "beta": 0.5}
    roles = {}
    for role, folder in models.items():
        shutil.copytree(folder, work / role, dirs_exist_ok=True)
        roles[role] = saved(folder_artifact(work / role))
    job = make_job(work, common, {"m": ({}, roles)})
    draws = [saved(table_artifact(work / f"draw-{n}.parquet", table)) for n, table in enumerate(DRAWS)]
    return replace(job, items=[replace(job.items[0], inputs={**job.items[0].inputs, "samples": draws})])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, dict[str, Path]]:
    folder = tmp_path_factory.mktemp("rankers")
    write_pairrm(folder / "pairrm")
    write_classifier(folder / "reward")
    moved = AutoModelForCausalLM.from_pretrained(tiny_model)
    for weight in moved.parameters():
        weight.data += 0.02 * weight.data.sign()
    shutil.copytree(tiny_model, folder / "policy")
    moved.save_pretrained(folder / "policy")
    return {
        "pairrm": {"ranker": folder / "pairrm"},
        "reward": {"ranker": folder / "reward"},
        "implicit": {"ranker": folder / "policy", "reference": tiny_model},
    }


@pytest.mark.parametrize(("kind", "journal"), [("pairrm", "comparisons"), ("reward", "rewards"), ("implicit", "model")])
def test_two_processes_give_the_rewards_of_one(
    tmp_path: Path, models: dict[str, dict[str, Path]], monkeypatch: pytest.MonkeyPatch, kind: str, journal: str
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    original = Launch.command
    monkeypatch.setattr(
        Launch, "command", lambda self, request: [*original(self, request)[:-3], str(script), str(request)]
    )

    def made(work: Path, devices: Devices) -> tuple[pa.Table, Any]:
        (result,) = Launch("primum.prefer.rank", devices, work / "progress.txt").run(job_of(work, kind, models[kind]))
        assert result.table is not None
        return result.table, result.counts

    (one, counts), (two, others) = made(tmp_path / "1", ALONE), made(tmp_path / "2", Devices(1, 2))
    assert others == counts
    assert counts["ranked"] == 15
    rewards = [table.column("reward").to_pylist() for table in (one, two)]
    assert rewards[1] == pytest.approx(rewards[0], abs=1e-5)
    assert len(set(rewards[0])) > 5
    assert two.drop_columns("reward").equals(one.drop_columns("reward"))
    journals = [path.read_text().splitlines() for path in sorted((tmp_path / "2/work/m").glob(f"{journal}-*.jsonl"))]
    numbers = [[json.loads(line)["batch"] for line in lines] for lines in journals]
    assert numbers == [list(range(first, sum(map(len, numbers)), 2)) for first in (0, 1)]
