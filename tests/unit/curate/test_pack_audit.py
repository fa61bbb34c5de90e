"""The audit of packed samples: what the stage counts, what stops it, and that chunks do not depend on limits."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from stage_artifacts import folder_artifact, make_job, saved, table_artifact, whole

from primum.artifact.canonical import canonical_json
from primum.artifact.job import Result, execute
from primum.artifact.manifest import load_manifest
from primum.artifact.request import Asked, Request
from primum.artifact.store import Store
from primum.curate import pack as stage
from primum.curate import tokenise
from primum.errors import PrimumError
from primum.experiment.models import SFTLimits
from primum.progress import Progress
from primum.text.audit import NAMED
from primum.text.chat import LLAMA3_TEMPLATE
from primum.text.packing import IGNORED, PACKED, Sample, chunks
from primum.text.rows import ChatRow, Message, Row, to_table

OUTPUTS = ("chunks", "audit")
SPEC = {"chunk_tokens": 64, "train_on_inputs": False, "seed": 0, "template": None, "fold_system": False}
ALL = SFTLimits(**dict.fromkeys(SFTLimits.model_fields, 1.0))


def _both(
    work: Path,
    model: Path,
    rows: list[Row],
    limits: SFTLimits = ALL,
    outputs: tuple[str, ...] = OUTPUTS,
    **settings: Any,
) -> list[Result]:
    mixture = table_artifact(work / "mixture.parquet", to_table(rows, type(rows[0])))
    inputs = {"model": folder_artifact(model), "mixture": mixture}
    own = {"chunks": {}, "audit": {"limits": limits.model_dump()}, "tokens": {}}
    items = {f"m/{output}": (SPEC | settings | {"output": output, **own[output]}, inputs) for output in outputs}
    return [whole(result) for result in stage.run(make_job(work, {}, items))]


def _audit(work: Path, model: Path, rows: list[Row], **settings: Any) -> dict[str, tuple[int, int]]:
    """Of each check the count, and of how many."""
    (result,) = _both(work, model, rows, outputs=("audit",), **settings)
    assert result.table is not None
    return {row["check"]: (row["count"], row["of"]) for row in result.table.to_pylist()}


def _row(number: int, question: str, answer: str) -> ChatRow:
    return ChatRow(f"d/{number}", "d", (Message("user", question), Message("assistant", answer)))


CUT: list[Row] = [
    _row(0, "cough", "rest"),
    _row(1, "cough", "rest " * 80),  # cut, and learned up to there
    _row(2, "cough " * 80, "rest"),  # cut before its answer: nothing to learn
]


def test_chunks_and_audit_are_of_the_same_samples(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    original = tokenise.tokenize_conversations
    monkeypatch.setattr(tokenise, "tokenize_conversations", lambda *given: calls.append(given) or original(*given))
    packed, audit = _both(tmp_path, tiny_model, CUT)
    assert len(calls) == 1, "once for both"
    assert packed.table is not None
    (alone,) = _both(tmp_path, tiny_model, CUT, outputs=("chunks",))
    assert packed.table.equals(alone.table)
    tokens = sum(len(ids) for ids in packed.table.column("input_ids").to_pylist())
    assert audit.table is not None
    assert {row["check"]: (row["count"], row["of"]) for row in audit.table.to_pylist()} == {
        "refused": (0, 3),
        "no-loss-tokens": (1, 3),
        "end-unlearned": (0, 1),
        "two-bos": (0, 3),
        "labels-across-samples": (0, 2),
        "truncated": (2, 3),
        "unfilled": (2 * 64 - tokens, 2 * 64),
    }
    assert {row["check"]: row["rows"] for row in audit.table.to_pylist()} == {
        **{check: [] for check in ("refused", "end-unlearned", "two-bos")},
        "no-loss-tokens": ["d/2"],
        "truncated": ["d/1", "d/2"],
        **dict.fromkeys(("labels-across-samples", "unfilled")),
    }


def test_processes_and_batches_make_the_same_chunks(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows of many lengths, refused ones, cut ones, and ones without an answer to learn, in batches of seven."""
    talk = [_row(n, "cough " * (n % 5), "rest " * (3 * n % 31)) for n in range(10, 60)]
    refused = [ChatRow(f"d/{n}x", "d", ADVISED.messages) for n in range(10, 60, 9)]
    rows: list[Row] = [*talk, *refused, *CUT]
    alone = _both(tmp_path / "1", tiny_model, rows, template=NO_SYSTEM)
    said = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert {"refused", "truncated", "no-loss-tokens"} <= set(alone[0].counts)
    monkeypatch.setattr(stage, "_ROWS", 7)
    monkeypatch.setattr(stage, "_ROWS_WORTH_PROCESSES", 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    several = _both(tmp_path / "2", tiny_model, rows, template=NO_SYSTEM)
    for one, other in zip(alone, several, strict=True):
        assert one.table is not None
        assert one.table.equals(other.table)
        assert one.counts == other.counts
    assert [line for line in capsys.readouterr().err.splitlines() if "left out" in line] == said


def test_tokens_are_counted_by_source(tmp_path: Path, tiny_model: Path) -> None:
    """Against the chunks themselves: d's first row, its cut row, and e's; the row without an answer is no sample."""
    rows: list[Row] = [*CUT, ChatRow("e/0", "e", _row(0, "cough and fever", "rest").messages)]
    packed, tokens = _both(tmp_path, tiny_model, rows, outputs=("chunks", "tokens"))
    (alone,) = _both(tmp_path, tiny_model, rows[:3], outputs=("tokens",))
    assert packed.table is not None
    assert tokens.table is not None
    assert alone.table is not None
    first, second = tokens.table.to_pylist()
    assert [first] == alone.table.to_pylist()
    assert (first["id"], first["samples"], second["id"], second["samples"]) == ("d", 2, "e", 1)
    lengths = sorted(length for each in packed.table.column("seq_lengths").to_pylist() for length in each)
    assert first["tokens"] == lengths[0] + 64
    assert second["tokens"] == lengths[1]
    assert first["loss_tokens"] + second["loss_tokens"] == packed.counts["loss-tokens"]
    assert 0 < second["loss_tokens"] < second["tokens"]


def test_a_template_that_writes_bos_twice_is_found(tmp_path: Path, tiny_model: Path) -> None:
    twice = "{{- bos_token }}" + LLAMA3_TEMPLATE
    assert _audit(tmp_path, tiny_model, CUT)["two-bos"] == (0, 3)
    assert _audit(tmp_path, tiny_model, CUT, template=twice)["two-bos"] == (3, 3)


def test_an_end_of_turn_without_a_label_is_found(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = tokenise.tokenize_conversations

    def without_ends(*given: Any) -> list[Sample]:
        every = original(*given)
        return [Sample(each.input_ids, np.append(each.labels[:-1], np.int32(IGNORED))) for each in every]  # type: ignore[union-attr]

    monkeypatch.setattr(tokenise, "tokenize_conversations", without_ends)
    assert _audit(tmp_path, tiny_model, [*CUT, _row(3, "cough", "rest")])["end-unlearned"] == (2, 2)


def test_samples_that_packing_joins_are_found(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def joined(*given: Any) -> Iterator[pa.Table]:
        for table in chunks(*given):
            lengths = [[sum(each)] for each in table.column("seq_lengths").to_pylist()]
            yield table.set_column(3, PACKED.field("seq_lengths"), pa.array(lengths, type=pa.list_(pa.int32())))

    rows: list[Row] = [_row(number, "cough", "rest") for number in range(3)]
    assert _audit(tmp_path, tiny_model, rows)["labels-across-samples"] == (0, 3)
    monkeypatch.setattr(stage, "chunks", joined)
    assert _audit(tmp_path, tiny_model, rows)["labels-across-samples"] == (
        2,
        3,
    )  # 27 tokens each: two in a chunk of 64, and one alone


# As Gemma 2's: it has no place for a system turn.
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + LLAMA3_TEMPLATE
)
ADVISED = ChatRow("d/9", "d", (Message("system", "Be brief"), *CUT[0].messages))  # type: ignore[union-attr]


def test_a_refused_conversation_is_left_out_counted_and_named(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, _ = _both(tmp_path, tiny_model, CUT, template=NO_SYSTEM)
    assert "refused" not in plain.counts
    limits = ALL.model_copy(update={"refused": 0.25})  # which one of four is not above
    capsys.readouterr()
    packed, audit = _both(tmp_path, tiny_model, [*CUT, ADVISED], limits, template=NO_SYSTEM)
    assert packed.table is not None
    assert packed.table.equals(plain.table)
    assert packed.counts == {**plain.counts, "refused": 1}
    assert audit.table is not None
    assert audit.table.to_pylist()[0] | {"id": ""} == {
        **{"id": "", "check": "refused", "count": 1, "of": 4, "share": 0.25, "limit": 0.25, "passed": True},
        "rows": ["d/9"],
    }
    said = capsys.readouterr().err
    (named,) = [line for line in said.splitlines() if "d/9" in line]
    assert re.search(
        r"m: d/9 is left out: .* refuses the roles system, user, assistant: set 'fold_system: true'$", named
    )
    assert "m: 1 of 4 conversations are refused by its chat template" in said
    assert "brief" not in said
    folded, _ = _both(tmp_path, tiny_model, [*CUT, ADVISED], template=NO_SYSTEM, fold_system=True)
    assert "refused" not in folded.counts


@pytest.mark.parametrize("rows", [[*CUT, ADVISED], [ADVISED]])
def test_too_many_refused_conversations_are_one_line(tmp_path: Path, tiny_model: Path, rows: list[Row]) -> None:
    limits = ALL.model_copy(update={"refused": SFTLimits().refused})
    share = r"1 of 4 conversations \(25%\)" if len(rows) == 4 else r"1 of 1 conversations \(100%\)"
    remedy = (
        "set 'fold_system: true' where it refuses a system turn, or name another chat template with the key 'template'"
    )
    with pytest.raises(
        PrimumError, match=rf"^models.m: refused: {share} are above the limit of 1%: {remedy}, or raise"
    ):
        _both(tmp_path, tiny_model, rows, limits, template=NO_SYSTEM)
    if len(rows) == 1:
        with pytest.raises(PrimumError, match=r"^m: no sample has a token to learn from"):
            _both(tmp_path, tiny_model, rows, template=NO_SYSTEM)


def test_not_all_of_many_refused_conversations_are_named(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[Row] = [ChatRow(f"d/{n:03d}", "d", ADVISED.messages) for n in range(NAMED + 20)]
    _both(tmp_path, tiny_model, [*CUT, *rows], template=NO_SYSTEM)
    assert capsys.readouterr().err.count("is left out") == NAMED


def test_a_template_that_can_take_no_conversation_is_no_matter_of_limits(tmp_path: Path, tiny_model: Path) -> None:
    endless = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}{% endfor %}"
    with pytest.raises(PrimumError, match=r"^m: .*leaves an answer or the end of a turn out of what is learned"):
        _both(tmp_path, tiny_model, CUT, template=endless)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (
            "no_loss_tokens",
            r"no-loss-tokens: 1 of 3 samples \(33\.33%\) .* 28%: raise chunk_tokens or check the mixture",
        ),
        ("truncated", r"truncated: 2 of 3 samples \(66\.67%\) .* 28%: raise chunk_tokens, or raise limits\.truncated"),
        ("unfilled", r"unfilled: \d+ of 128 token places .* lower chunk_tokens, or raise limits\.unfilled"),
    ],
)
def test_above_a_limit_neither_is_given(tmp_path: Path, tiny_model: Path, key: str, said: str) -> None:
    limits = ALL.model_copy(update={key: 0.28})
    with pytest.raises(PrimumError, match=f"^models.m: {said}") as error:
        _both(tmp_path, tiny_model, CUT, limits)
    assert "cough" not in str(error.value)


def test_a_failed_audit_publishes_nothing_and_another_limit_takes_the_chunks(tmp_path: Path, tiny_model: Path) -> None:
    """The whole job: what is there afterwards, and what a changed limit makes anew."""
    start, mixture = (
        saved(each)
        for each in (
            folder_artifact(shutil.copytree(tiny_model, tmp_path / "start")),
            table_artifact(tmp_path / "mixture.parquet", to_table(CUT, ChatRow)),
        )
    )
    outputs = [tmp_path / "results" / f"{name}.json" for name in ("chunks", "audit")]

    def packed(limits: SFTLimits) -> str:
        common = {"stage": "pack", "code": "c", "libraries": {}, "common": {}}
        items = [
            ["m/chunks", SPEC | {"output": "chunks"}],
            ["m/audit", SPEC | {"output": "audit", "limits": limits.model_dump()}],
        ]
        inputs = {"model": [start.path], "mixture": [mixture.path]}
        asked = [Asked(path, {}) for path in outputs]
        request = Request(canonical_json(common | {"items": items}), asked, inputs, "table", Store(tmp_path / "store"))
        log = tmp_path / "log.txt"
        log.unlink(missing_ok=True)
        execute(request, lambda: stage.run, Progress("pack", log, interval=0))
        return log.read_text()

    strict = ALL.model_copy(update={"truncated": 0.6})
    with pytest.raises(PrimumError, match="truncated: 2 of 3"):
        packed(strict)
    assert not list(tmp_path.glob("results/*"))
    assert not list(tmp_path.glob("store/**/*.parquet"))

    packed(ALL)
    first = [load_manifest(path) for path in outputs]
    said = packed(ALL.model_copy(update={"truncated": 0.7}))
    second = [load_manifest(path) for path in outputs]
    assert "m/chunks: taken from the store" in said
    assert "m/audit: taken" not in said
    assert (second[0].key, second[0].content) == (first[0].key, first[0].content)
    assert second[1].key != first[1].key
