"""The audit of preference pairs: what it counts, what stops it, and that no model is loaded and no process started for it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from number_tokens import BLANK, BOS, EOS, Tokens
from stage_artifacts import folder_artifact, make_job, table_artifact

from primum.artifact.job import Devices, Job
from primum.cluster.launch import Launch
from primum.errors import PrimumError
from primum.experiment.models import DPOLimits
from primum.text.chat import LLAMA3_TEMPLATE
from primum.text.rows import Message, PreferenceRow, to_table
from primum.train import reference
from primum.train.pairs import faults

ALL = DPOLimits(**dict.fromkeys(DPOLimits.model_fields, 1.0))
COUGH = (Message("user", "cough"),)
LONG = "tea " * 120
PAIRS = [
    PreferenceRow("p/0", "p", COUGH, "rest", "tea"),
    PreferenceRow("p/1", "p", COUGH, LONG, "tea"),  # its chosen response is cut
    PreferenceRow("p/2", "p", (Message("user", LONG),), "rest", "tea"),  # no room for any response
    PreferenceRow("p/3", "p", COUGH, LONG + "a", LONG + "b"),  # cut where they differ
]


# As Gemma 2's: it has no place for a system turn.
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + LLAMA3_TEMPLATE
)
ADVISED = PreferenceRow("p/4", "p", (Message("system", "Be brief"), *COUGH), "rest", "tea")


def _job(work: Path, model: Path, limits: DPOLimits = ALL, pairs_: Sequence[PreferenceRow] = PAIRS) -> Job:
    rows = table_artifact(work / "pairs.parquet", to_table(pairs_, PreferenceRow))
    inputs = {"model": folder_artifact(model), "pairs": rows}
    audit = {"max_length": 64, "output": "audit", "limits": limits.model_dump()}
    pairs = {"max_length": 64, "output": "pairs", "dtype": "float32"}
    return make_job(work, {}, {"m/audit": (audit, inputs), "m/pairs": (pairs, inputs)})


def _audit(work: Path, model: Path) -> dict[str, tuple[int, int]]:
    """Of each check the count, and of how many. It lists as many rows."""
    result = next(iter(reference.run(_job(work, model))))
    assert result.table is not None
    assert all(len(row["rows"]) == row["count"] for row in result.table.to_pylist())
    return {row["check"]: (row["count"], row["of"]) for row in result.table.to_pylist()}


def test_each_pair_is_kept_cut_or_left_out(tmp_path: Path, tiny_model: Path) -> None:
    assert _audit(tmp_path, tiny_model) == {
        "refused": (0, 4),
        "end-unlearned": (0, 1),
        "two-bos": (0, 2),
        "truncated": (1, 4),
        "prompt-too-long": (1, 4),
        "equal-texts": (1, 4),
    }


@pytest.fixture
def strict(tmp_path: Path, tiny_model: Path) -> Path:
    """The tiny model, which refuses a system turn."""
    folder = shutil.copytree(tiny_model, tmp_path / "strict")
    (folder / "chat_template.jinja").write_text(NO_SYSTEM)
    return folder


def test_a_refused_pair_is_left_out_counted_and_named(
    tmp_path: Path, strict: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = list(reference.run(_job(tmp_path / "plain", strict)))[1]
    limits = ALL.model_copy(update={"refused": 0.2})  # which one of five is not above
    capsys.readouterr()
    audit, pairs = reference.run(_job(tmp_path / "more", strict, limits, [*PAIRS, ADVISED]))
    assert audit.table is not None
    assert audit.table.to_pylist()[0] | {"id": ""} == {
        **{"id": "", "check": "refused", "count": 1, "of": 5, "share": 0.2, "limit": 0.2, "passed": True},
        "rows": ["p/4"],
    }
    assert pairs.table is not None
    assert plain.table is not None
    assert pairs.table.column("id").to_pylist() == plain.table.column("id").to_pylist() == ["p/0", "p/1"]
    assert pairs.counts == {**plain.counts, "refused": 1}
    said = capsys.readouterr().err
    (named,) = [line for line in said.splitlines() if "p/4" in line]
    assert re.search(r"m/audit: p/4 is left out: .* refuses the roles system, user: set 'fold_system: true'$", named)
    assert "brief" not in said


def test_too_many_refused_pairs_are_one_line(tmp_path: Path, strict: Path) -> None:
    limits = ALL.model_copy(update={"refused": DPOLimits().refused})
    remedy = "name another chat template with the key 'template' of the reference, or raise limits.refused"
    said = (
        rf"^models.m: refused: 1 of 5 pairs \(20%\) are above the limit of 1%: set 'fold_system: true' .*, or {remedy}$"
    )
    with pytest.raises(PrimumError, match=said):
        next(iter(reference.run(_job(tmp_path, strict, limits, [*PAIRS, ADVISED]))))


def test_a_response_without_its_end_is_found(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = reference.tokenize_pair

    def without_end(*given: Any) -> Any:
        record, outcome = original(*given)
        return record and {**record, "rejected_ids": record["rejected_ids"][:-1]}, outcome

    monkeypatch.setattr(reference, "tokenize_pair", without_end)
    assert _audit(tmp_path, tiny_model)["end-unlearned"] == (1, 1)


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt", "truncated", "found"),
    [
        ([6, EOS], [7, EOS], [BOS, 5], False, []),
        ([6, EOS, BLANK], [7, 3], [BOS, 5], False, []),
        ([6, EOS], [7], [BOS, 5], False, ["end-unlearned"]),
        ([6], [7, EOS], [BOS, 5], False, ["end-unlearned"]),
        ([6], [7, EOS], [BOS, 5], True, []),  # what was cut has no end
        ([6, EOS], [7, EOS], [BOS, BOS, 5], False, ["two-bos"]),
        ([6, EOS], [BOS, 7, EOS], [5], False, ["two-bos"]),
        ([6], [BOS, 7, EOS], [5], True, ["two-bos"]),
    ],
)
def test_the_faults_of_a_pairs_tokens(
    chosen: list[int], rejected: list[int], prompt: list[int], truncated: bool, found: list[str]
) -> None:
    record = {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}
    assert list(faults(Tokens(), record, truncated)) == found


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("truncated", "truncated: 1 of 4 pairs"),
        ("prompt_too_long", "prompt-too-long: 1 of 4 pairs"),
        ("equal_texts", "equal-texts: 1 of 4 pairs"),
    ],
)
def test_above_a_limit_the_job_fails_before_the_model_is_loaded(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, key: str, said: str
) -> None:
    loaded: list[Any] = []
    monkeypatch.setattr(reference, "load_scorer", lambda *given: loaded.append(given))
    job = _job(tmp_path, tiny_model, ALL.model_copy(update={key: 0.24}))
    with pytest.raises(PrimumError, match=rf"^models\.m: {said} \(25%\) are above the limit of 24%: ") as error:
        list(Launch("primum.train.reference", Devices(1, 2)).run(job))
    assert "tea" not in str(error.value)
    assert loaded == []


def test_processes_are_started_for_the_log_probabilities_alone(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def prepare(self: Launch, job: Job, items: Any) -> None:
        started.extend(item.name for item in items)
        raise PrimumError("started")

    monkeypatch.setattr(Launch, "prepare", prepare)
    results = Launch("primum.train.reference", Devices(1, 2)).run(_job(tmp_path, tiny_model))
    assert next(results).item.name == "m/audit"
    assert started == []
    with pytest.raises(PrimumError, match="started"):
        next(results)
    assert started == ["m/pairs"]
