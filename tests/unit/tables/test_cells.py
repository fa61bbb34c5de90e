"""The artifacts behind a row of a table."""

from __future__ import annotations

from typing import Any

import pytest

from primum.errors import PrimumError
from primum.tables.cells import NAMED, behind
from primum.tables.schemas import SCHEMAS

COMMON: dict[str, Any] = {
    "benchmarks": [
        {"name": "medqa", "group": "benchmark", "part_of": ""},
        {"name": "self", "group": "benchmark", "part_of": "usmle"},
        {"name": "exam", "group": "benchmark", "part_of": "usmle"},
        {"name": "pref", "group": "preference", "part_of": ""},
    ],
    "groups": [{"name": "both", "benchmarks": ["medqa", "exam"]}],
    "prompts": [{"name": "m", "part_of": "all"}, {"name": "g", "part_of": "all"}],
    "judges": [
        {"name": "harm", "members": []},
        {"name": "second", "members": []},
        {"name": "panel", "members": ["harm", "second"]},
    ],
    "scores": [[model, name] for model in ("base", "sft") for name in ("medqa", "self", "exam", "pref")],
    "judgements": [[j, m, p] for j in ("harm", "second") for m in ("base", "sft") for p in ("m", "g")],
    "graded": [["criteria", "sft", "m"]],
    "generations": [[m, p] for m in ("base", "sft") for p in ("m", "g")],
    "mixtures": ["corpus", "clinical"],
    "packed": [["clinical", "sft"]],
    "trained": ["base", "sft"],
    "agreements": ["harm"],
    "canaries": ["harm"],
    "labels": ["graded-set"],
    "labelled": [["harm", "graded-set"]],
    "audited": ["sft"],
    "pairs": ["stage-1", "drawn"],
    "sampled": ["drawn"],
}


def _scores(*names: str) -> list[tuple[str, int]]:
    listed = [f"{model}/{benchmark}" for model, benchmark in COMMON["scores"]]
    return [("scores", listed.index(name)) for name in names]


@pytest.mark.parametrize(
    ("benchmark", "expected"),
    [
        ("medqa", ["sft/medqa", "base/medqa"]),
        ("usmle", ["sft/self", "sft/exam", "base/self", "base/exam"]),
        ("both", ["sft/medqa", "sft/exam", "base/medqa", "base/exam"]),
        ("average", ["sft/medqa", "sft/self", "sft/exam", "base/medqa", "base/self", "base/exam"]),
    ],
)
def test_a_column_leads_to_its_benchmarks_and_to_those_of_the_start(benchmark: str, expected: list[str]) -> None:
    row = {"model": "sft", "benchmark": benchmark, "subject": "", "start": "base"}
    assert behind("benchmarks", row, COMMON) == _scores(*expected)


def test_the_average_of_another_group_is_of_its_own_benchmarks() -> None:
    row = {"model": "base", "benchmark": "average", "subject": "", "start": ""}
    assert behind("preferences", row, COMMON) == _scores("base/pref")
    row = {"group": "benchmark", "model": "sft", "other": "base", "against": "best", "benchmark": "medqa"}
    assert behind("comparisons", row, COMMON) == _scores("sft/medqa", "base/medqa")


def test_a_pooled_set_seen_by_a_panel_leads_to_every_member_and_part() -> None:
    row = {"model": "sft", "prompts": "all", "judge": "panel", "category": "", "start": ""}
    found = behind("safety", row, COMMON)
    judged = [COMMON["judgements"][index] for role, index in found if role == "judgements"]
    assert judged == [[j, "sft", p] for j in ("harm", "second") for p in ("m", "g")]
    said = [COMMON["generations"][index] for role, index in found if role == "generations"]
    assert said == [["sft", "m"], ["sft", "g"]]
    assert ("agreements", 0) in found
    assert ("labels", 0) in found


def test_the_other_tables_lead_to_what_their_rows_name() -> None:
    assert behind("training", {"model": "sft", "step": 3}, COMMON) == [("trained", 1)]
    assert behind("audits", {"model": "sft", "check": "refused"}, COMMON) == [("audits", 0)]
    assert behind("axes", {"model": "sft", "axis": "n"}, COMMON) == []
    assert behind("pairs", {"preferences": "drawn"}, COMMON) == [("pairs", 1), ("draws", 0), ("ranked", 0)]
    row = {"mixture": "clinical", "tokens_of": "sft"}
    assert behind("curation", row, COMMON) == [("ledgers", 1), ("tokens", 0)]
    assert behind("rubrics", {"model": "sft", "judge": "criteria", "prompts": "m"}, COMMON) == [("criteria", 0)]
    found = behind("judges", {"judge": "harm", "against": "labels"}, COMMON)
    assert found == [("agreements", 0), ("labels", 0), ("canaries", 0)]
    found = behind("judges", {"judge": "harm", "against": "second"}, COMMON)
    assert [role for role, _ in found] == ["judgements"] * 8 + ["canaries"]


def test_every_table_can_be_asked_and_its_names_are_columns() -> None:
    assert NAMED.keys() == SCHEMAS.keys()
    for table, names in NAMED.items():
        assert set(names) <= set(SCHEMAS[table].names)
    # The average of the benchmarks and that of the preferences are rows of one table.
    assert "group" in NAMED["comparisons"]
    with pytest.raises(PrimumError, match="no such table"):
        behind("nothing", {}, COMMON)
