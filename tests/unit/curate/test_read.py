"""The stage read: what it says of columns that are new upstream, once each, and that this changes nothing."""

import json
from pathlib import Path

import pytest
from stage_artifacts import folder_artifact, make_job, whole

from primum.curate import read as stage
from primum.curate.adapters.columns import Columns, Fields

SECRET = "Tell me how to, please"


def _read(work: Path, adapter: str, files: dict[str, list[dict[str, object]]]) -> tuple[list[object], list[object]]:
    raw = work / "raw"
    for name, records in files.items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    spec = {"dataset": "d", "adapter": adapter, "options": {}}
    inputs = {"raw": folder_artifact(raw)}
    items = {f"d/{output}": ({**spec, "output": output}, inputs) for output in ("rows", "drops")}
    rows, drops = (whole(result).table for result in stage.run(make_job(work, {}, items)))
    assert rows is not None
    assert drops is not None
    return rows.to_pylist(), drops.to_pylist()


def test_a_new_column_is_said_once_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    records: list[dict[str, object]] = [{"prompt": "Q", "prompt_id": f"p{n}", "messages": turns} for n in range(3)]
    plain = _read(
        tmp_path / "plain", "ultrachat", {"a/x.jsonl": records, "b.jsonl": [{**records[0], "prompt_id": "q"}]}
    )
    assert "column" not in capsys.readouterr().err
    thinking = [turns[0], {**turns[1], "thinking": "T"}]
    more: list[dict[str, object]] = [
        records[0],
        {**records[1], "rating": 3, SECRET: 1, "x" * 33: 1},
        {**records[2], "messages": thinking, "rating": None},
    ]
    files = {"a/x.jsonl": more, "b.jsonl": [{**records[0], "prompt_id": "q", "rating": 4, "split": "train"}]}
    assert _read(tmp_path / "more", "ultrachat", files) == plain
    said = [line.removeprefix("[test] d: ") for line in capsys.readouterr().err.splitlines() if "column" in line]
    assert said == [
        "new upstream column 'rating' is not read (first in a/x.jsonl)",
        "new upstream column 'messages.thinking' is not read (first in a/x.jsonl)",
        "new upstream column 'split' is not read (first in b.jsonl)",
        "2 more new upstream columns are not read: long or odd names (first in a/x.jsonl)",
    ]


def test_processes_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three datasets of many batches, their records in no order of ids, with drops and a column that is new."""
    items = {}
    for name, count in (("a", 5), ("b", 60), ("c", 31)):
        raw = tmp_path / name
        raw.mkdir()
        turns = [{"role": "user", "content": f"Q of {name}"}, {"role": "assistant", "content": "A"}]
        records = [
            {"prompt": "Q", "prompt_id": f"p{n * 7 % count}", "messages": turns if n % 9 else [], "rating": n}
            for n in range(count)
        ]
        (raw / "x.jsonl").write_text("".join(json.dumps(record) + "\n" for record in [*records, records[1]]))
        spec = {"dataset": name, "adapter": "ultrachat", "options": {}}
        items |= {f"{name}/{o}": ({**spec, "output": o}, {"raw": folder_artifact(raw)}) for o in ("rows", "drops")}

    def results(work: str) -> tuple[dict[str, list[object]], set[str]]:
        found = {each.item.name: whole(each) for each in stage.run(make_job(tmp_path / work, {}, items))}
        said = {line for line in capsys.readouterr().err.splitlines() if "dropped" in line or "column" in line}
        return {name: [each.table and each.table.to_pylist(), each.counts] for name, each in found.items()}, said

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    alone = results("1")
    assert len(alone[1]) == 6
    monkeypatch.setattr(stage, "_BATCH", 4)
    assert results("2") == alone
    monkeypatch.setattr(stage, "_BYTES_WORTH_PROCESSES", 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert results("3") == alone


def test_a_column_that_only_some_records_are_asked_for_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a pair with equal scores the responses are not looked at."""
    sides = {
        side: [{"role": "user", "content": "Q"}, {"role": "assistant", "content": side}]
        for side in ("chosen", "rejected")
    }
    tie = {"prompt_id": "a", **sides, "score_chosen": 1.0, "score_rejected": 1.0}
    _read(tmp_path, "ultrafeedback", {"a.jsonl": [tie], "b.jsonl": [{**tie, "prompt_id": "b", "score_chosen": 2.0}]})
    assert "column" not in capsys.readouterr().err


def test_a_file_of_countless_names_takes_bounded_memory() -> None:
    columns = Columns()
    for n in range(3000):
        Fields({f"c{n}": 1}, columns)
    assert list(columns.found) == [f"c{n}" for n in range(1000)]


def test_what_a_record_is_asked_for() -> None:
    columns = Columns()
    fields = Fields({"a": 1, "b": [{"c": 2, "d": 3}]}, columns)
    assert "e" not in fields
    assert fields.get("a") == 1
    assert fields.inside("b", fields["b"][0])["c"] == 2
    assert columns.asked == {"e", "a", "b", "b.c"}
    assert list(columns.found) == ["a", "b", "b.c", "b.d"]
    assert dict(fields) == {"a": 1, "b": [{"c": 2, "d": 3}]}, "asks for all"
