"""Which benchmark items training data holds a part of: by hand, on the demo's planted rows, and as flags of scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from shipped import ROOT, open_shipped
from stage_artifacts import make_job, table_artifact
from test_adapters_real import needs_real_data, real
from test_curate_mix import mix

import primum.curate.contamination as stage
from primum.artifact.job import Item, Job, Result
from primum.artifact.manifest import Artifact
from primum.curate.adapters import RawFile, read
from primum.curate.clean import words
from primum.curate.contamination import OVERLAPS, run
from primum.curate.overlap import shingles
from primum.demo.planted import CONTAMINATED
from primum.errors import PrimumError
from primum.experiment import load_experiment
from primum.progress import Progress
from primum.score.contaminated import mark
from primum.text.rows import ChatRow, ChoiceRow, Drop, Message, PreferenceRow, RequestRow, Row, TextRow, to_table

DELTOID = "Which nerve supplies the deltoid muscle of the shoulder?"
BICEPS = "Which nerve supplies the biceps muscle of the upper arm?"
SPLEEN = "Where in the abdomen would you look for the spleen?"


def item(id: str, question: str, *choices: str) -> ChoiceRow:
    return ChoiceRow(id, id.partition("/")[0], "", "", question, choices or ("a", "b"), 0)


def overlap(work: Path, data: pa.Table, benchmarks: dict[str, Sequence[Row]], ngram: int = 5) -> Result:
    artifacts = [
        table_artifact(work / "rows" / f"{n}.parquet", to_table(rows, ChoiceRow)) for n, rows in benchmarks.items()
    ]
    inputs = {"data": [table_artifact(work / "data.parquet", data)], "benchmarks": artifacts}
    made = Item("m", {"ngram": ngram}, inputs, "k", work)
    (result,) = run(Job("overlap", {"benchmarks": list(benchmarks)}, [made], Progress("overlap", work / "log.txt")))
    return result


def chat(id: str, *contents: str) -> ChatRow:
    roles = ("user", "assistant") * len(contents)
    return ChatRow(id, "s", tuple(Message(role, content) for role, content in zip(roles, contents, strict=False)))


def test_each_item_that_a_row_shares_words_with(tmp_path: Path) -> None:
    # Both nerve questions share "which nerve supplies the", four words, so that five in a row tell them apart.
    rows = [
        chat("s/0", f"Tell me: {DELTOID.upper()}", "The axillary nerve."),
        chat("s/0+1", f"Tell me: {DELTOID.upper()}", "The axillary nerve."),  # a row that the mixture repeats counts
        chat(
            "s/1", "What is left of the stomach?", "look for the spleen? Where, in the abdomen, would you look for it"
        ),
        chat("s/2", "Which nerve supplies the", "tongue"),
        chat("s/3", "deltoid muscle of", "the shoulder"),  # five words, over two turns
    ]
    benchmarks = {
        "exam": [item("exam/2", SPLEEN), item("exam/1", DELTOID), item("exam/0", BICEPS)],
        "board": [item("board/7", DELTOID, "c", "d")],
    }
    result = overlap(tmp_path, to_table(rows, ChatRow), benchmarks)
    assert result.table is not None
    assert result.table.schema.equals(OVERLAPS)
    assert result.table.to_pylist() == [
        {"id": "board/7", "dataset": "board", "rows": 3, "first": "s/0"},
        {"id": "exam/1", "dataset": "exam", "rows": 3, "first": "s/0"},
        {"id": "exam/2", "dataset": "exam", "rows": 1, "first": "s/1"},
    ]
    assert result.counts == {"rows": 5, "overlapping": 4, "items": 3}
    assert "nerve" not in (tmp_path / "log.txt").read_text()


def test_processes_and_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = {"exam": [item("exam/0", BICEPS), item("exam/1", DELTOID), item("exam/2", SPLEEN)]}
    asked = ["What else?", DELTOID, "And then?", SPLEEN, DELTOID, SPLEEN, DELTOID]
    table = to_table([chat(f"s/{i}", question, "That.") for i, question in enumerate(asked)], ChatRow)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    alone = overlap(tmp_path / "one", table, questions)
    monkeypatch.setattr(stage, "_BATCH", 2)
    monkeypatch.setattr(stage, "_ROWS_WORTH_PROCESSES", 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    several = overlap(tmp_path / "two", table, questions)
    assert several.table is not None
    assert several.table.equals(alone.table)
    assert several.counts == alone.counts == {"rows": 7, "overlapping": 5, "items": 2}
    assert [(row["rows"], row["first"]) for row in several.table.to_pylist()] == [(3, "s/1"), (2, "s/3")]
    rows = to_table([RequestRow("r/0", "s", "c", "Hello")], RequestRow)
    with pytest.raises(PrimumError, match="holds neither training text nor preference pairs"):
        overlap(tmp_path / "three", rows, questions)


def test_plain_text_and_both_responses_of_a_pair_count(tmp_path: Path) -> None:
    benchmark = {"exam": [item("exam/0", BICEPS), item("exam/1", DELTOID), item("exam/2", SPLEEN)]}
    text = to_table([TextRow("t/0", "s", f"{BICEPS} The musculocutaneous one.")], TextRow)
    assert _ids(overlap(tmp_path / "text", text, benchmark)) == ["exam/0"]
    pairs = [
        PreferenceRow("p/0", "s", (Message("user", "Ask!"),), BICEPS, "no"),
        PreferenceRow("p/1", "s", (Message("user", "Ask!"),), "no", DELTOID),
        PreferenceRow("p/2", "s", (Message("system", "."), Message("user", SPLEEN)), "no", "yes"),
    ]
    found = overlap(tmp_path / "pairs", to_table(pairs, PreferenceRow), benchmark)
    assert _ids(found) == ["exam/0", "exam/1", "exam/2"]


def test_the_wording_of_a_task_is_no_overlap(tmp_path: Path) -> None:
    """Four items share a question: what is in the training row is the task, and no item of it."""
    same = [item(f"exam/{i}", "Which of these statements is true?", "a", f"{i}") for i in range(4)]
    table = to_table([chat("s/0", "Which of these statements is true?", "None.")], ChatRow)
    assert _ids(overlap(tmp_path / "four", table, {"exam": same})) == []
    assert _ids(overlap(tmp_path / "three", table, {"exam": same[:3]})) == ["exam/0", "exam/1", "exam/2"]


def test_other_rows_are_refused(tmp_path: Path) -> None:
    rows = to_table([RequestRow("r/0", "s", "c", "Hello")], RequestRow)
    with pytest.raises(PrimumError, match="holds neither training text nor preference pairs"):
        overlap(tmp_path, rows, {"exam": [item("exam/0", BICEPS)]})


def _ids(result: Result) -> list[str]:
    assert result.table is not None
    ids: list[str] = result.table.column("id").to_pylist()
    return ids


def _demo(name: str) -> list[Any]:
    """The rows of a dataset that the demo ships."""
    dataset = load_experiment("demo", ROOT).datasets[name]
    files = [RawFile(ROOT / file.path, file.path) for file in dataset.files]
    return [r for r in read(dataset.adapter, files, name, dataset.options) if not isinstance(r, Drop)]


def test_the_demos_planted_questions(tmp_path: Path) -> None:
    """A mixture that was not decontaminated shows the planted questions, one that was shows nothing."""
    run = open_shipped(tmp_path, "demo")
    items = [row for name in run.dag.knowledge() for row in _demo(name)]
    planted = [row.id for row in items if row.question in {leak.question for leak in CONTAMINATED}]
    assert len(planted) == len(CONTAMINATED) == 2
    sources = {name: _demo(name) for name in ("demo-medmcqa-train", "demo-opengpt")}
    dirty, _, _ = mix(tmp_path / "dirty", sources, ngram=8)
    result = overlap(tmp_path / "a", dirty, {"all": items}, ngram=8)
    assert result.counts["overlapping"] == 2  # the two planted rows
    assert set(planted) <= set(_ids(result))
    # The demo's questions are made from templates: two more share eight words in a row with a planted one.
    leaked = set().union(*(shingles(words(leak.question), 8) for leak in CONTAMINATED))
    alike = {row.id for row in items if shingles(words(row.question), 8) & leaked}
    assert set(_ids(result)) <= alike
    assert len(_ids(result)) == 4
    clean, counts, _ = mix(tmp_path / "clean", sources, questions=[row.question for row in items], ngram=8)
    assert (counts["demo-medmcqa-train", "contaminated"], counts["demo-opengpt", "contaminated"]) == (1, 1)
    assert _ids(overlap(tmp_path / "b", clean, {"all": items}, ngram=8)) == []


@needs_real_data
def test_mmlus_examples_share_words_with_four_published_benchmarks(tmp_path: Path) -> None:
    """Seven of the 65 medical questions that MMLU gives as few-shot examples, five of them asked there word for word."""
    benchmarks = {name: real(name)[0] for name in ("medmcqa-dev", "medqa-test", "mmlu-medical-test", "pubmedqa-test")}
    examples = real("mmlu-medical-dev")[0]
    mixture, _, _ = mix(tmp_path / "mixture", {"mmlu": examples}, deduplicate="none")
    result = overlap(tmp_path, mixture, benchmarks, ngram=13)
    assert result.table is not None
    assert (result.counts["rows"], result.counts["overlapping"]) == (65, 7)
    found = Counter(result.table.column("dataset").to_pylist())
    assert found == {"mmlu-medical-test": 8, "medqa-test": 1, "medmcqa-dev": 1}


# The flag of a score ------------------------------------------------------------------------------------------------


def _overlaps(work: Path, *ids: str) -> Artifact:
    records = [{"id": id, "dataset": id.partition("/")[0], "rows": 1, "first": "s/0"} for id in ids]
    return table_artifact(work / f"{'-'.join(ids).replace('/', '.')}.parquet", pa.Table.from_pylist(records, OVERLAPS))


@pytest.mark.parametrize(
    ("from_scratch", "group", "expected"),
    [
        (True, "benchmark", [True, False, True, False]),
        (False, "benchmark", [True, None, True, None]),  # what a published model had read before is not known
        (True, "preference", [None] * 4),
    ],
)
def test_an_item_is_contaminated_by_any_data_of_the_lineage(
    tmp_path: Path, from_scratch: bool, group: str, expected: list[bool | None]
) -> None:
    inputs = {"overlaps": [_overlaps(tmp_path, "b/0", "other/1"), _overlaps(tmp_path, "b/2")]}
    # Few-shot scoring has several rows an item.
    records: list[dict[str, Any]] = [{"id": f"{i}.0", "item": i} for i in ("b/0", "b/1", "b/2", "b/3")]
    mark(records, Item("b", {"group": group}, inputs, "k", tmp_path), from_scratch)
    assert [record["contaminated"] for record in records] == expected


def test_a_model_that_was_not_trained_here_has_no_flag(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [{"item": "b/0"}]
    mark(records, make_job(tmp_path, {}, {"b": ({"group": "benchmark"}, {})}).items[0], False)
    assert records == [{"item": "b/0", "contaminated": None}]


# Who reads what -----------------------------------------------------------------------------------------------------


def test_a_score_reads_the_overlaps_of_its_whole_lineage(tmp_path: Path) -> None:
    run = open_shipped(tmp_path, "demo")

    def read_by(model: str) -> list[str]:
        paths = run.dag.job("score", model).plan.reads("overlaps")
        return [path.removeprefix(f"{run.dag.results}/data/overlaps/") for path in paths]

    sft = ["mixtures/corpus.json", "mixtures/clinical.json"]
    assert read_by("base") == sft[:1]
    assert read_by("dpo-2") == [*sft, "pairs/stage-1.json", "pairs/stage-2.json"]
    assert read_by("medical-safe") == ["mixtures/corpus.json", "mixtures/medical.json", "mixtures/safety.json"]
    # The judge's data is in no scored model.
    assert ("mixtures", "graded") not in run.dag.overlapping()
    assert '"from_scratch":true' in run.dag.spec("score", "dpo-2")


def test_a_published_beginning_is_not_from_scratch(tmp_path: Path) -> None:
    run = open_shipped(tmp_path, "med42-v2-8b")
    hub = next(m for m in run.experiment.evaluate.models if run.experiment.kind_of(m) == "hub")
    assert "overlaps" not in run.dag.job("score", hub).plan.roles
    for model in (hub, "sft", "dpo-3"):
        assert '"from_scratch":false' in run.dag.spec("score", model)
    # 13 words, as its mixture has it, and as pairs have by default.
    outputs = {output.name: output.spec for output in run.dag.job("overlap", "overlaps").plan.outputs}
    assert outputs["mixtures/med42-v2"] == outputs["pairs/med42-v2-stage-1"] == {"ngram": 13}
