"""Reference log-probabilities by several processes, by a shared model, and after a kill: always the same table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from stage_artifacts import folder_artifact, make_job, saved, table_artifact
from test_train_dpo import PAIRS

from primum.artifact.job import ALONE, Devices, Job
from primum.cluster.launch import Launch
from primum.errors import PrimumError
from primum.text.rows import Message, PreferenceRow, to_table
from primum.train import reference

SMALL = 64  # tokens a batch


def job_of(work: Path, model: Path, pairs: list[PreferenceRow] = PAIRS) -> Job:
    rows = saved(table_artifact(work / "pairs.parquet", to_table(pairs, PreferenceRow)))
    shutil.copytree(model, work / "start", dirs_exist_ok=True)
    start = saved(folder_artifact(work / "start"))
    spec = {"max_length": 128, "dtype": "float32", "output": "pairs"}
    return make_job(work, {}, {"m": (spec, {"model": start, "pairs": rows})})


def made(work: Path, model: Path, devices: Devices = ALONE) -> pa.Table:
    (result,) = Launch("primum.train.reference", devices, work / "progress.txt").run(job_of(work, model))
    assert result.table is not None
    return result.table


# What is launched, with small batches and, if asked, no GPU that holds the model.
WORKER = """
import sys
from pathlib import Path
from primum.parallel import scorer, worker
from primum.train import reference
reference._BATCH_TOKENS = {tokens}
if {shared}:
    scorer._holds_all = lambda _: False
worker.main(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("shared", [False, True])
def test_two_processes_make_the_table_of_one(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    monkeypatch.setattr(reference, "_BATCH_TOKENS", SMALL)
    one = made(tmp_path / "1", tiny_model)
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(tokens=SMALL, shared=shared))
    original = Launch.command

    def command(self: Launch, request: Path) -> list[str]:
        return [*original(self, request)[:-3], str(script), str(request)]

    monkeypatch.setattr(Launch, "command", command)
    two = made(tmp_path / "2", tiny_model, Devices(1, 2))
    assert two.schema.equals(reference.REFERENCE)
    assert two.equals(one)
    journals = [path.read_text().splitlines() for path in sorted((tmp_path / "2/work/m").glob("logprobs-*.jsonl"))]
    numbers = [[json.loads(line)["batch"] for line in journal] for journal in journals]
    assert numbers == [list(range(first, sum(map(len, numbers)), 2)) for first in (0, 1)]


def test_after_a_kill_no_batch_is_computed_again(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "_BATCH_TOKENS", SMALL)
    whole = made(tmp_path / "whole", tiny_model)
    total = len((tmp_path / "whole/work/m/logprobs-0.jsonl").read_text().splitlines())
    original, asked = reference.response_logprobs, []

    def killed(*given: Any) -> list[float]:
        if len(asked) == 5:
            raise KeyboardInterrupt
        asked.append(given)
        return original(*given)

    with monkeypatch.context() as once:
        once.setattr(reference, "response_logprobs", killed)
        with pytest.raises(KeyboardInterrupt):
            made(tmp_path / "cut", tiny_model)
    journal = tmp_path / "cut/work/m/logprobs-0.jsonl"
    journal.write_text(journal.read_text()[:-10])  # its last line was being written
    journal.rename(journal.with_name("logprobs-3.jsonl"))  # there were more processes then
    again = []
    monkeypatch.setattr(reference, "response_logprobs", lambda *given: again.append(given) or original(*given))
    assert made(tmp_path / "cut", tiny_model).equals(whole)
    assert len(again) == total - 4
    assert f"m: 4 of {total} batches are done already" in (tmp_path / "cut/log.txt").read_text()


def test_the_error_of_any_process_is_said(tmp_path: Path, tiny_model: Path) -> None:
    long = [PreferenceRow("p/0", "p", (Message("user", "cough " * 200),), "rest", "tea")]
    with pytest.raises(PrimumError, match="m: no pair is left"):
        list(Launch("primum.train.reference", Devices(1, 2)).run(job_of(tmp_path, tiny_model, long)))
