"""Mixtures: every row has one outcome, and the ledger says which."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stage_artifacts import table_artifact, whole

from primum.artifact.job import Item, Job
from primum.artifact.table import content_hash
from primum.curate.mix import run
from primum.curate.outcomes import OUTCOMES, outcome_tables
from primum.curate.read import DROPS
from primum.errors import PrimumError
from primum.experiment.types import Mixture
from primum.progress import Progress
from primum.text.rows import (
    ChatRow,
    ChoiceRow,
    GradedRow,
    Message,
    PreferenceRow,
    RequestRow,
    Row,
    TextRow,
    from_table,
    to_table,
)

Sources = Mapping[str, Sequence[Row]]


def chat(id: str, question: str, answer: str) -> ChatRow:
    return ChatRow(id, id.partition("/")[0], (Message("user", question), Message("assistant", answer)))


def mix(*given: Any, **named: Any) -> tuple[pa.Table, Mapping[tuple[str, str], int], pa.Table]:
    """Run the stage as :func:`mixed` does; the rows, the ledger's counts by (source, outcome), and the ledger."""
    return mixed(*given, **named)[:3]


def mixed(
    work: Path,
    sources: Sources,
    settings: Mapping[str, Any] | None = None,
    questions: Sequence[str] = (),
    drops: Mapping[str, Sequence[str]] | None = None,
    judges: Mapping[str, Any] | None = None,
    seed: int = 7,
    **mixture: Any,
) -> tuple[pa.Table, Mapping[tuple[str, str], int], pa.Table, pa.Table]:
    """What :func:`mix` gives, and the outcomes of all rows, which must be those that the ledger counts."""
    given_settings = settings or {}
    declared = {name: {"dataset": name, **given_settings.get(name, {})} for name in sources}
    common = Mixture.model_validate({"sources": declared, **mixture}).model_dump(mode="json")
    common |= {"mixture": "m", "seed": seed, "order": list(sources), "judges": judges or {}}
    licences = {source["dataset"]: f"licence of {source['dataset']}" for source in declared.values()}
    inputs: dict[str, list[Any]] = {"rows": [], "drops": []}
    for name, rows in sources.items():
        inputs["rows"].append(
            table_artifact(work / name / "rows.parquet", to_table(rows, type(rows[0]) if rows else ChatRow))
        )
        records = [{"id": f"{i}", "reason": reason} for i, reason in enumerate((drops or {}).get(name, ()))]
        inputs["drops"].append(
            table_artifact(work / name / "drops.parquet", pa.Table.from_pylist(records, schema=DROPS))
        )
    if questions:
        items = [ChoiceRow(f"b/{i}", "b", "", "", q, ("a", f"{i}"), 0) for i, q in enumerate(questions)]
        inputs["benchmarks"] = [table_artifact(work / "b.parquet", to_table(items, ChoiceRow))]
    specs = {"rows": common, "ledger": {**common, "licences": licences}, "outcomes": common}
    items_ = [Item(name, {**spec, "output": name}, inputs, name, work / name) for name, spec in specs.items()]
    made = {
        result.item.name: whole(result).table for result in run(Job("mix", {}, items_, Progress("mix", interval=0)))
    }
    rows_table, ledger, outcomes = made["rows"], made["ledger"], made["outcomes"]
    assert rows_table is not None
    assert ledger is not None
    assert outcomes is not None
    counts: Counter[tuple[str, str]] = Counter()
    for row in ledger.to_pylist():
        counts[row["source"], row["outcome"]] += row["rows"]
    found = Counter((row["source"], row["outcome"], row["twin"]) for row in outcomes.to_pylist())
    found.update((name, reason, None) for name, reasons in (drops or {}).items() for reason in reasons)
    told = {(row["source"], row["outcome"], row["twin"]): row["rows"] for row in ledger.to_pylist()}
    assert found == {key: count for key, count in told.items() if count}
    return rows_table, counts, ledger, outcomes


LONG = " ".join(f"word{i}" for i in range(30))
QUESTION = "Which nerve supplies the deltoid muscle of the shoulder?"


def test_each_outcome_by_hand(tmp_path: Path) -> None:
    a = [
        chat("a/0", "What helps against a cough?", LONG),
        chat("a/1", "what helps against a COUGH", LONG + "!"),  # the same words: duplicate
        chat("a/2", "What helps against a cough?", LONG.replace("word29", "other")),  # one of 35 words: near-duplicate
        chat("a/3", "And a cold?", "  "),  # empty
        chat("a/4", f"Q: {QUESTION}", "The axillary nerve."),  # contaminated
        chat("a/5", "How long does a flu last?", "A week."),
    ]
    b = [
        chat("b/0", "How long does a flu last?", "A week."),
        *(chat(f"b/{i}", f"Q{i}?", f"A{i}.") for i in range(1, 6)),
    ]
    rows, counts, ledger = mix(
        tmp_path,
        {"a": a, "b": b},
        {"b": {"take": 3, "repeat": 2, "published": 10, "domain": "general"}},
        [QUESTION],
        {"a": ["no-answer", "no-answer", "image"]},
        unlisted=99,
    )
    # 5-word shingles of a/0: 35 words -> 31; of a/2 the last one differs: 30 / 32 = 0.94 >= 0.85.
    assert counts == {
        ("a", "kept"): 2,
        ("a", "duplicate"): 1,
        ("a", "near-duplicate"): 1,
        ("a", "empty"): 1,
        ("a", "contaminated"): 1,
        ("a", "no-answer"): 2,
        ("a", "image"): 1,
        ("b", "kept"): 3,
        ("b", "duplicate"): 1,
        ("b", "not-sampled"): 2,
        ("(unlisted)", "kept"): 0,
    }
    ids = rows.column("id").to_pylist()
    assert ids == sorted(ids)
    assert ids[:2] == ["a/0", "a/5"]
    b_ids = [id for id in ids if id.startswith("b/")]
    assert len(b_ids) == 6, "three rows, twice"
    assert {id.removesuffix("+1") for id in b_ids} <= {f"b/{i}" for i in range(1, 6)}
    published = {(r["source"], r["outcome"]): (r["published"], r["domain"]) for r in ledger.to_pylist()}
    assert published[("b", "kept")] == (10, "general")
    assert published[("b", "duplicate")] == (None, "general")
    assert published[("a", "kept")] == (None, "medical")
    assert published[("(unlisted)", "kept")] == (99, "medical")
    # A row's words are those of its question and of its answer: 5 + 30 of the first three, 10 + 3 of a/4, 6 + 2 of a/5 and b/0,
    # 1 + 1 of the others. What was dropped before it was a row has no words that anybody knows.
    assert {(r["source"], r["outcome"]): r["words"] for r in ledger.to_pylist()} == {
        ("a", "kept"): 35 + 8,
        ("a", "duplicate"): 35,
        ("a", "near-duplicate"): 35,
        ("a", "empty"): 0,
        ("a", "contaminated"): 13,
        ("a", "no-answer"): None,
        ("a", "image"): None,
        ("b", "kept"): 6,
        ("b", "duplicate"): 8,
        ("b", "not-sampled"): 4,
        ("(unlisted)", "kept"): 0,
    }
    assert {r["source"]: (r["licence"], r["repeat"]) for r in ledger.to_pylist()} == {
        "a": ("licence of a", 1),
        "b": ("licence of b", 2),
        "(unlisted)": ("", 1),
    }


def test_a_duplicate_is_counted_by_the_source_of_the_row_that_it_repeats(tmp_path: Path) -> None:
    """In the mixture's order, not the alphabet's; an empty source among them shifts nothing."""
    near, other = LONG.replace("word29", "other"), LONG.replace("word", "thing")
    c = [chat("c/0", "Q?", LONG), chat("c/1", "Q?", LONG), chat("c/2", "Q?", "Short.")]
    a = [chat("a/0", "Q?", near), chat("a/1", "Q?", other), chat("a/2", "Q?", other)]
    b = [
        chat("b/0", "Q?", other),  # of a/1
        chat("b/1", "Q?", other.replace("thing29", "else")),  # near a/1
        chat("b/2", "Q?", LONG),  # of c/0
        chat("b/3", "Q?", near),  # of a/0, which itself is near c/0 and not kept
        chat("b/4", "Q?", "short"),  # of c/2
    ]
    _, _, ledger, outcomes = mixed(tmp_path, {"c": c, "empty": [], "a": a, "b": b})
    found = [(r["source"], r["outcome"], r["twin"], r["rows"], r["words"]) for r in ledger.to_pylist()]
    assert found == [
        ("c", "duplicate", "c", 1, 31),
        ("c", "kept", None, 2, 31 + 2),
        ("empty", "kept", None, 0, 0),
        ("a", "duplicate", "a", 1, 31),
        ("a", "kept", None, 1, 31),
        ("a", "near-duplicate", "c", 1, 31),
        ("b", "duplicate", "a", 2, 62),
        ("b", "duplicate", "c", 2, 31 + 2),
        ("b", "kept", None, 0, 0),
        ("b", "near-duplicate", "a", 1, 31),
    ]
    assert outcomes.select(["id", "outcome", "twin", "twin_id"]).to_pylist() == [
        {"id": id, "outcome": outcome, "twin": twin, "twin_id": twin_id}
        for id, outcome, twin, twin_id in (
            ("000/c/0", "kept", None, None),
            ("000/c/1", "duplicate", "c", "000/c/0"),
            ("000/c/2", "kept", None, None),
            ("002/a/0", "near-duplicate", "c", "000/c/0"),
            ("002/a/1", "kept", None, None),
            ("002/a/2", "duplicate", "a", "002/a/1"),
            ("003/b/0", "duplicate", "a", "002/a/1"),
            ("003/b/1", "near-duplicate", "a", "002/a/1"),
            ("003/b/2", "duplicate", "c", "000/c/0"),
            ("003/b/3", "duplicate", "a", "002/a/0"),
            ("003/b/4", "duplicate", "c", "000/c/2"),
        )
    ]


def test_rows_of_one_dataset_in_two_sources_have_an_outcome_each(tmp_path: Path) -> None:
    """In the mixture's order. A row that is drawn for the first source is not kept again for the second."""
    rows = [chat("d/0", "Q?", "One."), chat("d/1", "Q?", "Two.")]
    table, _, _, outcomes = mixed(
        tmp_path, {"z": rows, "a": rows}, {name: {"dataset": "d", "repeat": 2} for name in "za"}, deduplicate="exact"
    )
    assert table["id"].to_pylist() == ["d/0", "d/0+1", "d/1", "d/1+1"]
    assert [(row["source"], row["id"], row["outcome"], row["twin_id"]) for row in outcomes.to_pylist()] == [
        ("z", "000/d/0", "kept", None),
        ("z", "000/d/1", "kept", None),
        ("a", "001/d/0", "duplicate", "000/d/0"),
        ("a", "001/d/1", "duplicate", "000/d/1"),
    ]


def test_outcomes_are_written_in_parts_and_ascend_beyond_a_thousand_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("primum.curate.outcomes._WRITTEN", 2)
    spans = {f"s{n}": (3 * (n > 0), 3 * (n > 0) + 3 * (n in (0, 1000))) for n in range(1001)}
    ids, outcomes = ["d/0", "d/1", "d/2"] * 2, ["kept"] * 3 + ["duplicate"] * 3
    parts = list(outcome_tables(spans, ids, outcomes, np.array([-1, -1, -1, 0, 1, 2], dtype=np.int32)))
    assert [part.num_rows for part in parts] == [0, 2, 1, 2, 1]
    table = pa.concat_tables(parts)
    assert table.schema == OUTCOMES
    assert table["id"].to_pylist() == [f"{source}/d/{n}" for source in ("0000", "1000") for n in range(3)]
    assert table["twin_id"].to_pylist()[3:] == ["0000/d/0", "0000/d/1", "0000/d/2"]
    assert set(table["twin"].to_pylist()) == {None, "s0"}


def test_the_first_source_keeps_a_duplicate(tmp_path: Path) -> None:
    a, b = [chat("a/0", "Q?", "Same.")], [chat("b/0", "q", "same"), chat("b/1", "Other?", "Yes.")]
    _, counts, _ = mix(tmp_path / "1", {"a": a, "b": b})
    assert (counts["a", "kept"], counts["b", "kept"], counts["b", "duplicate"]) == (1, 1, 1)
    _, counts, _ = mix(tmp_path / "2", {"b": b, "a": a})
    assert (counts["b", "kept"], counts["a", "kept"], counts["a", "duplicate"]) == (2, 0, 1)


def test_deduplicate_is_a_switch(tmp_path: Path) -> None:
    rows = [chat("a/0", "Q?", LONG), chat("a/1", "Q?", LONG), chat("a/2", "Q?", LONG.replace("word29", "other"))]
    kept = {how: mix(tmp_path / how, {"a": rows}, deduplicate=how)[1]["a", "kept"] for how in ("none", "exact", "near")}
    assert kept == {"none": 3, "exact": 2, "near": 1}


def test_a_source_is_sampled_without_regard_to_the_others(tmp_path: Path) -> None:
    a = [chat(f"a/{i:02d}", f"Question number {i}?", f"Answer {i}.") for i in range(40)]
    b = [chat("b/0", "Another?", "Yes.")]

    def sampled(name: str, sources: Sources, seed: int = 7) -> list[str]:
        rows, _, _ = mix(tmp_path / name, sources, {"a": {"take": 10}}, seed=seed)
        return [id for id in rows.column("id").to_pylist() if id.startswith("a/")]

    alone = sampled("alone", {"a": a})
    assert len(alone) == 10
    assert sampled("again", {"a": a}) == alone
    assert sampled("after", {"b": b, "a": a}) == alone
    assert sampled("before", {"a": a, "b": b}) == alone
    assert sampled("seed", {"a": a}, seed=8) != alone


def test_choice_request_and_graded_rows_become_demonstrations(tmp_path: Path) -> None:
    choice = [
        ChoiceRow("c/0", "c", "s", "A trial.", "Did it work?", ("yes", "no"), 1, "It was small."),
        ChoiceRow("c/1", "c", "s", "", "Where is the liver?", ("right", "left"), 0),
    ]
    request = [RequestRow("r/0", "r", "1", "Help me harm.", "I cannot."), RequestRow("r/1", "r", "1", "Harm.", "")]
    graded = [GradedRow("g/0", "g", "Ask.", "Tell.", 5)]
    judges = {"j": {"template": "{{ policy }}|{{ request }}|{{ response }}", "policies": {"default": "Policy."}}}
    rows, counts, _ = mix(
        tmp_path, {"c": choice, "r": request, "g": graded}, {"g": {"judge": "j", "domain": "judge"}}, judges=judges
    )
    said = {row.id: [(m.role, m.content) for m in row.messages] for row in from_table(rows, ChatRow)}
    assert said == {
        "c/0": [("user", "A trial.\nDid it work?"), ("assistant", "no\nIt was small.")],
        "c/1": [("user", "Where is the liver?"), ("assistant", "right")],
        "r/0": [("user", "Help me harm."), ("assistant", "I cannot.")],
        "g/0": [("user", "Policy.|Ask.|Tell."), ("assistant", "#reason: complies in full\n#score: 5")],
    }
    assert counts["r", "empty"] == 1


def test_text_makes_plain_text_of_anything(tmp_path: Path) -> None:
    sources = {"t": [TextRow("t/0", "t", " A liver. ")], "a": [chat("a/0", "Where?", "On the right.")]}
    rows, _, _ = mix(tmp_path, sources, text=True)
    assert from_table(rows, TextRow) == [TextRow("a/0", "a", "Where?\nOn the right."), TextRow("t/0", "t", "A liver.")]


def _message(tmp_path: Path, sources: Sources, **more: Any) -> str:
    with pytest.raises(PrimumError) as caught:
        mix(tmp_path, sources, **more)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_errors_name_the_mixture_or_the_row_and_never_the_text(tmp_path: Path) -> None:
    text = [TextRow("t/0", "t", "secret")]
    assert "mixtures.m" in _message(tmp_path / "1", {"t": text, "a": [chat("a/0", "secret?", "Yes.")]})
    assert "no row is left" in _message(tmp_path / "2", {"a": [chat("a/0", "secret?", " ")]})
    pair = [PreferenceRow("p/0", "p", (Message("user", "secret"),), "a", "b")]
    assert "p/0" in _message(tmp_path / "3", {"p": pair})
    graded = [GradedRow("g/0", "g", "secret", "secret", 5)]
    assert "judge" in _message(tmp_path / "4", {"g": graded})
    choice = [ChoiceRow("c/0", "c", "", "", "secret", ("a", "b"), 0)]
    message = _message(tmp_path / "5", {"c": choice}, choice_prompt="{{ qestion }}")
    assert "c/0" in message
    assert "question" in message
    assert "secret" not in message
    many = [ChoiceRow("c/0", "c", "", "", "secret", tuple(map(str, range(27))), 26)]
    assert "27 choices" in _message(tmp_path / "6", {"c": many})


_SHORT = st.lists(st.sampled_from(["cough", "rest", "tea", "!", "\u03b1"]), max_size=4).map(" ".join)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.tuples(_SHORT, _SHORT), min_size=1, max_size=6), min_size=1, max_size=3),
    st.sampled_from(["none", "exact", "near"]),
    st.integers(1, 4),
)
def test_every_row_has_exactly_one_outcome(data: list[list[tuple[str, str]]], how: str, take: int) -> None:
    sources: dict[str, list[Row]] = {
        f"s{i}": [
            chat(f"s{i}/0", "Always here?", f"Yes, in {i}."),
            *(chat(f"s{i}/{j + 1}", q, a) for j, (q, a) in enumerate(rows)),
        ]
        for i, rows in enumerate(data)
    }
    with TemporaryDirectory() as folder:
        rows, counts, _ = mix(
            Path(folder), sources, {"s0": {"take": take}}, ["cough rest tea cough rest"], {"s0": ["x"]}, deduplicate=how
        )
    totals: Counter[str] = Counter()
    for (source, _), count in counts.items():
        totals[source] += count
    assert totals == {name: len(rows_) + (name == "s0") for name, rows_ in sources.items()}
    assert counts["s0", "kept"] <= take
    assert rows.num_rows == sum(count for (_, outcome), count in counts.items() if outcome == "kept")


def _many() -> Sources:
    """Rows of two sources with duplicates, near duplicates and questions between batches and sources."""
    draw = random.Random(5)
    vocabulary = [f"w{i}" for i in range(300)]
    made: list[ChatRow] = []
    for i in range(240):
        answer = (
            " ".join(draw.choices(vocabulary, k=30)) if i % 3 or not i else made[draw.randrange(i)].messages[1].content
        )
        words_ = answer.split()
        if i % 2:
            words_[draw.randrange(len(words_))] = "other"
        question = QUESTION if i % 40 == 7 else f"Number {i % 3}?"
        made.append(chat(f"{'ab'[i // 120]}/{i:03d}", question, " ".join(words_)))
    return {"b": made[120:], "a": made[:120]}


def test_processes_and_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_ = {"b": {"repeat": 2}, "a": {"take": 40}}
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    table, counts, ledger, outcomes = mixed(tmp_path / "one", _many(), settings_, [QUESTION])
    assert min(counts["b", outcome] for outcome in ("kept", "duplicate", "near-duplicate", "contaminated")) > 0
    assert counts["a", "not-sampled"] > 0
    monkeypatch.setattr("primum.curate.mix._BATCH", 7)
    monkeypatch.setattr("primum.curate.spill._WRITTEN", 11)
    monkeypatch.setattr("primum.curate.spill._OPEN", 2)
    monkeypatch.setattr("primum.curate.mix._ROWS_WORTH_PROCESSES", 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr("primum.curate.outcomes._WRITTEN", 9)
    several, _, again, others = mixed(tmp_path / "two", _many(), settings_, [QUESTION])
    assert content_hash(others) == content_hash(outcomes)
    assert content_hash(several) == content_hash(table)
    assert again == ledger


def test_an_error_in_another_process_is_the_same_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = [PreferenceRow("p/0", "p", (Message("user", "secret"),), "a", "b")]
    alone = _message(tmp_path / "one", {"p": pair})
    monkeypatch.setattr("primum.curate.mix._ROWS_WORTH_PROCESSES", 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert _message(tmp_path / "two", {"p": pair}) == alone


def test_a_changed_input_is_refused_though_it_is_read_in_parts(tmp_path: Path) -> None:
    rows = table_artifact(tmp_path / "a.parquet", to_table([chat("a/0", "Q?", "A.")], ChatRow))
    drops = table_artifact(tmp_path / "d.parquet", pa.Table.from_pylist([], schema=DROPS))
    table_artifact(tmp_path / "a.parquet", to_table([chat("a/0", "Q?", "B.")], ChatRow))
    common = Mixture.model_validate({"sources": {"a": {"dataset": "a"}}}).model_dump(mode="json")
    common |= {"mixture": "m", "seed": 7, "order": ["a"], "judges": {}, "output": "rows"}
    item = Item("rows", common, {"rows": [rows], "drops": [drops]}, "rows", tmp_path / "work")
    with pytest.raises(PrimumError, match=r"a\.parquet: is not what its manifest describes"):
        list(run(Job("mix", {}, [item], Progress("mix", interval=0))))
