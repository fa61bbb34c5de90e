"""Several responses to each prompt, each draw with seeds of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from stage_artifacts import ScriptedEngine, folder_artifact, make_job, table_artifact

from primum.engine import Response
from primum.errors import PrimumError
from primum.experiment.types import Engine
from primum.prefer import rank, sample
from primum.text.rows import SAMPLES, ChatRow, Message, RankedRow, RequestRow, from_table, to_table


def job_of(work: Path, model: Path, rows: pa.Table, draws: range, **common: Any) -> Any:
    given = {
        "engine": Engine(max_length=200).model_dump(mode="json"),
        "sampling": {"temperature": 1.0, "max_tokens": 8},
        "take": None,
        "seed": 3,
        **common,
    }
    prompts = table_artifact(work / "prompts.parquet", rows)
    items = {f"{draw:03d}": ({"draw": draw}, {"model": folder_artifact(model), "prompts": prompts}) for draw in draws}
    return make_job(work, given, items)


def requests(texts: list[str]) -> pa.Table:
    return to_table([RequestRow(f"d/{n:03d}", "d", "c", text) for n, text in enumerate(texts)], RequestRow)


def test_draws_differ_and_stay_what_they_are_when_more_are_asked(
    tmp_path: Path, tiny_model: Path, tiny_requests: list[str]
) -> None:
    rows = requests(tiny_requests)
    three = [result.table for result in sample.run(job_of(tmp_path / "3", tiny_model, rows, range(3)))]
    five = [result.table for result in sample.run(job_of(tmp_path / "5", tiny_model, rows, range(2, 5)))]
    assert all(table.schema.equals(SAMPLES) and table.num_rows == len(tiny_requests) for table in three)
    assert five[0].equals(three[2])
    texts = [table.column("response").to_pylist() for table in (*three, *five[1:])]
    for one in range(5):
        for other in range(one):
            same = sum(a == b for a, b in zip(texts[one], texts[other], strict=True))
            assert same < len(tiny_requests) / 2
    # Another seed of the experiment, other draws.
    (other,) = [r.table for r in sample.run(job_of(tmp_path / "s", tiny_model, rows, range(1), seed=4))]
    assert other.column("response").to_pylist() != texts[0]


def test_a_prompt_is_asked_once_and_what_is_none_is_counted(tmp_path: Path, tiny_model: Path) -> None:
    ask, answer = Message("user", "ask"), Message("assistant", "answer")
    chats = [
        ChatRow("d/1", "d", (ask, answer)),
        ChatRow("d/2", "d", (ask, Message("assistant", "another"))),
        ChatRow("d/3", "d", (ask,)),
        ChatRow("d/4", "d", (Message("user", "more"), answer)),
    ]
    (result,) = sample.run(job_of(tmp_path, tiny_model, to_table(chats, ChatRow), range(1)))
    assert result.table.column("id").to_pylist() == ["d/1", "d/4"]
    counts = dict(result.counts)
    assert (counts.pop("rows"), counts.pop("duplicate-prompts"), counts.pop("no-prompt")) == (2, 1, 1)
    assert sum(counts.get(status, 0) for status in ("stop", "length")) == 2


def test_a_sample_of_the_prompts(tmp_path: Path, tiny_model: Path, tiny_requests: list[str]) -> None:
    def ids(take: int) -> list[str]:
        work = tmp_path / str(take)
        (result,) = sample.run(job_of(work, tiny_model, requests(tiny_requests), range(1), take=take))
        found: list[str] = result.table.column("id").to_pylist()
        return found

    assert set(ids(3)) < set(ids(6))
    assert ids(6) == sorted(ids(6))


def test_a_model_that_fails_gives_no_sample(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ScriptedEngine(lambda _: Response("", "error", error="timeout"))
    monkeypatch.setattr(sample, "with_engines", lambda settings, model, items, _: ((item, engine) for item in items))
    with pytest.raises(PrimumError, match=r"draw 1: 2 of 2 requests failed \(timeout 2\)"):
        list(sample.run(job_of(tmp_path, tiny_model, requests(["a", "b"]), range(1))))


def test_prompts_of_no_kind(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(PrimumError, match=r"prompts\.json: no prompt in them|no prompt in them"):
        list(sample.run(job_of(tmp_path, tiny_model, requests([]), range(1))))


def rank_job(work: Path, draws: list[list[str]]) -> Any:
    tables = [
        table_artifact(
            work / f"{number}.parquet",
            pa.Table.from_pylist(
                [
                    {
                        **{"id": f"p/{n}", "source": "d", "prompt": [{"role": "user", "content": "ask"}]},
                        **{"response": text, "status": "stop", "prompt_tokens": 1, "completion_tokens": 1, "error": ""},
                    }
                    for n, text in enumerate(texts)
                ],
                schema=SAMPLES,
            ),
        )
        for number, texts in enumerate(draws)
    ]
    job = make_job(work, {"kind": "any"}, {"own": ({}, {})})
    job.items[0].inputs["samples"] = tables  # type: ignore[index]
    return job


class _Scripted:
    def __init__(self, rewards: list[list[float | str]]) -> None:
        self.counts = {"asked": 1}
        self._rewards = rewards

    def rewards(self, candidates: Any) -> list[list[float | str]]:
        return self._rewards


def test_rewards_and_statuses_of_all_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank, "open_ranker", lambda *_: _Scripted([[0.5, -1.0], ["malformed", 2.0]]))
    job = rank_job(tmp_path, [["a", "a"], ["b", "a"], ["b", "c"]])
    (result,) = rank.run(job)
    rows = from_table(result.table, RankedRow)
    assert [(row.id, row.status, row.reward) for row in rows] == [
        ("p/0/000", "ranked", 0.5),
        ("p/0/001", "ranked", -1.0),
        ("p/0/002", "duplicate", None),
        ("p/1/000", "malformed", None),
        ("p/1/001", "duplicate", None),
        ("p/1/002", "ranked", 2.0),
    ]
    assert dict(result.counts) == {
        **{"prompts": 2, "responses": 6, "duplicate": 2, "malformed": 1, "ranked": 3},
        "asked": 1,
    }


def test_a_reward_that_is_not_finite_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank, "open_ranker", lambda *_: _Scripted([[0.5, float("nan")]]))
    with pytest.raises(PrimumError, match="own: p/0/001: its reward is not finite"):
        list(rank.run(rank_job(tmp_path, [["a"], ["b"]])))


def test_nothing_to_rank_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(
        PrimumError, match=r"own: no prompt has two different responses \(\{'alone': 1, 'duplicate': 1\}\)"
    ):
        list(rank.run(rank_job(tmp_path, [["a"], ["a "]])))
