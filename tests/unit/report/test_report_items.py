"""What the page's cells open: the files of items say what the tables say, and hold no words."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest
import study

from primum.artifact.manifest import Artifact
from primum.curate.origins import ORIGINS
from primum.errors import PrimumError
from primum.report.data import Study
from primum.report.grids import opens
from primum.report.items import listed, score_sets
from primum.report.judged_items import judged_sets
from primum.report.learned_items import pair_sets
from primum.report.origins import Origins
from primum.report.packed import packed, packed_few, packed_lists
from primum.score.items import SCORES, VALUED
from primum.text.rows import PreferenceRow, RankedRow

Columns = dict[str, Any]


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> tuple[Columns, dict[str, list[Artifact]], Path]:
    folder = tmp_path_factory.mktemp("items")
    common, inputs = study.example(folder / "in")
    tables = study.make_tables(common, inputs, folder)
    common["origins"] = common["drops"]
    clinical = inputs["ledgers"][0].table().to_pylist()
    inputs["origins"] = [
        records(*each, clinical, folder) for each in zip(common["drops"], inputs["drops"], strict=True)
    ]
    page = study.make_report(common, tables, folder / "work", inputs)
    return common, {**inputs, "tables": tables}, page.parent


def records(name: str, drops: Artifact, ledger: list[Columns], folder: Path) -> Artifact:
    """The places of a dataset's rows, as many as the ledger counts, and of the records that were dropped when it was read."""
    dropped = drops.table()["id"].to_pylist()
    rows = sum(row["rows"] for row in ledger if row["dataset"] == name) - len(dropped)
    ids = [*(f"{name}/{n:04d}" for n in range(rows)), *dropped]
    places = [{"id": id_, "file": "a.jsonl", "line": n + 1, "unit": "line", "record": n} for n, id_ in enumerate(ids)]
    return study.save_table(places, ORIGINS, folder / f"origins/{name}.json")


def loaded(folder: Path, path: str) -> Columns:
    """The content of a file, as the page's function gets it."""
    text = (folder / "items" / f"{path}.js").read_text()
    match = re.fullmatch(r'primumItems\("(.*?)",(\{.*\})\);\n', text)
    assert match is not None
    assert match[1] == f"items/{path}"
    return dict(json.loads(match[2]))


def unpacked(column: Any, n: int) -> list[Any]:
    """A packed column as a list of ``n``."""
    if isinstance(column, dict):
        return [None if code is None else column["names"][code] for code in unpacked(column["codes"], n)]
    return column if isinstance(column, list) else [column] * n


def rows_of(inputs: dict[str, list[Artifact]], name: str) -> list[Columns]:
    table = inputs["tables"][study.TABLES.index(name)].table()
    return list(table.to_pylist())


def test_columns_are_as_short_as_they_can_be() -> None:
    assert packed(pa.array([3, 3, 3])) == 3
    assert packed(pa.array([3, None, 3])) == [3, None, 3]
    assert packed(pa.array([None, None], pa.int32())) is None
    assert packed(pa.array([0.25, 1.0, float("nan")]), 4) == [0.25, 1.0, None]
    assert packed(pa.array([1.0, 0.0])) == [1, 0]
    # Names in ascending order, whichever comes first; one code where all are alike.
    assert packed(pa.array(["b", "a", None, "b"])) == {"names": ["a", "b"], "codes": [1, 0, None, 1]}
    assert packed(pa.chunked_array([["x"], ["x"]])) == {"names": ["x"], "codes": 0}
    assert packed_few(pa.array([None, "b", None, "b"])) == {"rows": [1, 3], "values": {"names": ["b"], "codes": 0}}
    assert packed_few(pa.chunked_array([pa.nulls(2, pa.string())])) is None
    lists = pa.array([[-1.23456, float("-inf")], [-0.5, -2.0]])
    assert packed_lists(lists, 1000) == {"lengths": 2, "values": [-1235, None, -500, -2000]}
    assert packed_lists(pa.array([[1.0], [1.0, 2.0]]), 1)["lengths"] == [1, 2]
    assert packed_lists(pa.array([[], []], pa.list_(pa.float64())), 1) is None


def test_items_of_several_models_are_those_of_any(tmp_path: Path) -> None:
    first = [study.score("d/1", True, 2), study.score("d/2", True, 2) | {"status": "no-answer"}]
    other = [study.score("d/2", False, 2, "eyes"), study.score("d/3", True, 2) | {"contaminated": True}]
    both = [
        ((model, "b"), study.save_table(rows, SCORES, tmp_path / f"{model}.json"))
        for model, rows in {"m": first, "k": other}.items()
    ]
    (found,) = score_sets(both, Origins({}))
    assert found.path == "scores/b"
    assert found.shared["prefix"] == "d/"
    assert found.shared["id"] == ["1", "2", "3"]
    # What has no valid answer is wrong, whatever is marked as correct; an item that was not asked has no status.
    assert unpacked(found.own["m"]["right"], 3) == [1, 0, None]
    assert unpacked(found.own["m"]["status"], 3) == ["scored", "no-answer", ""]
    assert found.own["m"]["loglikelihoods"] == {"lengths": [2, 2, 0], "values": [-1000] * 4}
    assert unpacked(found.own["k"]["right"], 3) == [None, 0, 1]
    assert unpacked(found.own["k"]["contaminated"], 3) == [None, None, 1]
    assert found.contents["k"] == {"scores/k/b": both[1][1].manifest.content}


def test_a_task_that_says_what_an_answer_is_worth_is_believed(tmp_path: Path) -> None:
    rows = [study.score("d/1", True) | {"value": 0.25}, study.score("d/2", True) | {"value": 1.0}]
    artifact = study.save_table(rows, VALUED, tmp_path / "m.json")
    (found,) = score_sets([(("m", "b"), artifact)], Origins({}))
    assert found.own["m"]["right"] == [0.25, 1]


def test_each_item_says_where_it_is_in_the_raw_files(tmp_path: Path) -> None:
    rows = [study.score(f"d/{n}", True) for n in "123"]
    scores = study.save_table(rows, SCORES, tmp_path / "m.json")
    places = [{"id": "d/1", "file": "a.jsonl", "line": 7}, {"id": "d/3", "file": "b.csv", "line": 9}]
    rows = [{**each, "unit": "line", "record": each["line"] - 1} for each in places]
    origins = study.save_table(rows, ORIGINS, tmp_path / "d.json")
    (found,) = score_sets([(("m", "b"), scores)], Origins({"d": origins}))
    assert unpacked(found.shared["file"], 3) == ["a.jsonl", None, "b.csv"]
    assert unpacked(found.shared["line"], 3) == [7, None, 9]
    assert unpacked(found.shared["record"], 3) == [6, None, 8]


def test_flips_are_those_of_the_table_of_comparisons(common: tuple[Columns, Any, Path]) -> None:
    _, inputs, folder = common
    compared = 0
    for row in rows_of(inputs, "comparisons"):
        if row["both"] is None or row["benchmark"] == "average":
            continue
        path = f"scores/{row['benchmark']}"
        n = loaded(folder, path)["n"]
        mine, its = (unpacked(loaded(folder, f"{path}/{row[who]}")["right"], n) for who in ("model", "other"))
        found = Counter(zip(mine, its, strict=True))
        wanted = {(1, 1): row["both"], (1, 0): row["only_model"], (0, 1): row["only_other"], (0, 0): row["neither"]}
        assert found == Counter(wanted), row["id"]
        compared += 1
    assert compared > 100


def test_scores_of_responses_are_those_of_the_table_of_safety(common: tuple[Columns, Any, Path]) -> None:
    _, inputs, folder = common
    rows = [row for row in rows_of(inputs, "safety") if not row["category"]]
    for row in rows:
        path = f"safety/{row['judge']}/{row['prompts']}"
        n = loaded(folder, path)["n"]
        scores = unpacked(loaded(folder, f"{path}/{row['model']}")["score"], n)
        given = [score for score in scores if score is not None]
        assert (n, len(given)) == (row["n"], row["scored"])
        if row["judge"] == "harm":
            assert sum(given) / len(given) == pytest.approx(row["mean"])
            if row["change"] is not None:
                before = unpacked(loaded(folder, f"{path}/{row['start']}")["score"], n)
                pairs = [(a, b) for a, b in zip(scores, before, strict=True) if None not in (a, b)]
                assert sum(a < b for a, b in pairs) == row["lower"]
                assert sum(a > b for a, b in pairs) == row["higher"]
        else:
            assert given.count(3) / len(given) == pytest.approx(row["mean"])
    assert {row["judge"] for row in rows} == {"harm", "refusal"}


def test_labelled_responses_are_those_of_the_table_of_confusions(common: tuple[Columns, Any, Path]) -> None:
    _, inputs, folder = common
    for judge in ("harm", "refusal"):
        rows = [row for row in rows_of(inputs, "confusion") if row["judge"] == judge]
        own, n = loaded(folder, f"labels/{judge}/all"), loaded(folder, f"labels/{judge}")["n"]
        labels = unpacked(loaded(folder, f"labels/{judge}")["label"], n)
        found = Counter(zip(labels, unpacked(own["score"], n), strict=True))
        assert found == Counter({(row["label"], row["score"]): row["count"] for row in rows})


def test_criteria_add_up_to_the_table_of_rubrics(common: tuple[Columns, Any, Path]) -> None:
    _, inputs, folder = common
    (row,) = (r for r in rows_of(inputs, "rubrics") if r["model"] == "base" and not r["tag"])
    shared, own = loaded(folder, "rubrics/grader/talks"), loaded(folder, "rubrics/grader/talks/base")
    assert shared["n"] == row["criteria"] == 36
    assert unpacked(own["met"], 36).count(None) == row["unscored"] == 1
    assert shared["item"][:3] == ["000"] * 3
    assert shared["id"][:3] == ["000#0000", "000#0001", "000#0002"]


def test_what_became_of_records_is_what_the_ledgers_count(common: tuple[Columns, Any, Path]) -> None:
    _, inputs, folder = common
    rows = [row for row in rows_of(inputs, "curation") if row["mixture"] == "clinical" and row["dataset"]]
    for dataset in {row["dataset"] for row in rows}:
        counted: Counter[str] = Counter()
        for row in (each for each in rows if each["dataset"] == dataset and each["rows"]):
            counted[row["outcome"]] += row["rows"]
        path, source = f"curation/{dataset}", dataset.removeprefix("demo-")
        found = Counter(unpacked(loaded(folder, f"{path}/clinical/{source}")["outcome"], loaded(folder, path)["n"]))
        assert found == counted, dataset
    # A record that became no row has its own id, and its place.
    medquad = loaded(folder, "curation/demo-medquad")
    assert medquad["prefix"] == "demo-medquad/"
    assert medquad["id"][:2] == ["9000", "9001"]
    assert unpacked(medquad["line"], medquad["n"])[0] == 41
    # Each mixture did something of its own with the records of one dataset.
    names = [loaded(folder, f"curation/demo-medmcqa/{m}/medmcqa")["outcome"]["names"] for m in ("clinical", "safety")]
    assert names == [["contaminated", "duplicate", "kept", "no-answer"], ["kept", "no-answer", "not-sampled"]]


def test_a_duplicate_names_the_record_that_it_repeats(common: tuple[Columns, Any, Path]) -> None:
    own = loaded(common[2], "curation/demo-slimorca-t0/clinical/slimorca-t0")
    outcome, rows = unpacked(own["outcome"], 165), own["repeats"]["rows"]
    assert rows == own["twin"]["rows"] == [row for row, each in enumerate(outcome) if each == "duplicate"] != []
    repeats, twin = (unpacked(own[name]["values"], 5) for name in ("repeats", "twin"))
    assert twin == ["stackexchange"] * 4 + ["slimorca-t0"]
    assert repeats == [f"demo-{source}/0000" for source in twin]
    # Of a source without any nothing is said.
    other = loaded(common[2], "curation/demo-medquad/clinical/medquad")
    assert other["repeats"] is other["twin"] is None


def test_responses_say_what_they_became(common: tuple[Columns, Any, Path]) -> None:
    _, inputs, folder = common
    counted = {
        row["outcome"]: row["count"]
        for row in rows_of(inputs, "pairs")
        if (row["preferences"], row["step"]) == ("on-policy", "responses")
    }
    n = loaded(folder, "ranked/on-policy")["n"]
    own = loaded(folder, "ranked/on-policy/all")
    assert Counter(unpacked(own["outcome"], n)) == Counter(counted)
    assert unpacked(own["reward"], n) == [1, 1, 1, 1, None, None]


def test_the_sides_of_a_pair_are_found_among_the_ranked(tmp_path: Path) -> None:
    texts = ["good", "fair", "bad", "good"]
    statuses = ["ranked", "ranked", "ranked", "duplicate"]
    given = {"source": "p", "prompt_id": "p/1", "prompt": []}
    ranked = [
        {**given, "id": f"p/1/{n:03d}", "draw": n, "response": text, "status": status, "reward": 1.0 - n}
        for n, (text, status) in enumerate(zip(texts, statuses, strict=True))
    ]
    pair = {"id": "p/1", "source": "p", "prompt": [], "chosen": "good", "rejected": "bad"}
    pairs = study.save_table([pair], PreferenceRow.SCHEMA, tmp_path / "pairs.json")
    inputs = {"pairs": [pairs], "ranked": [study.save_table(ranked, RankedRow.SCHEMA, tmp_path / "ranked.json")]}
    first, second = pair_sets({"pairs": ["set"], "sampled": ["set"]}, inputs, Origins({}))
    assert (first.path, first.shared["id"], first.own[""]) == ("pairs/set", ["1"], {"outcome": "kept"})
    assert (second.path, second.shared["item"]) == ("ranked/set", ["1"] * 4)
    assert unpacked(second.own[""]["became"], 4) == ["chosen", None, "rejected", None]


def test_two_judges_are_side_by_side_over_what_both_scored(tmp_path: Path) -> None:
    scores = {"a": {"m": [1, 5, None], "k": [2, 2, 2]}, "b": {"m": [1, 4, 3], "k": [None, 3, 2]}}
    common: Columns = {"judges": [study.judge("a", "rubric"), study.judge("b", "rubric")]}
    common["judgements"] = [[judge, model, "set"] for judge in scores for model in scores[judge]]
    common["generations"] = [["m", "set"], ["k", "set"]]
    ids = ["d/0", "d/1", "d/2"]
    answers = [study.generation(id_, "kind") for id_ in ids]
    inputs = {
        "generations": [
            study.save_table(answers, study.GENERATION, tmp_path / f"{m}.json") for m, _ in common["generations"]
        ],
        "judgements": [
            study.save_table(
                [study.judgement(id_, "kind", score) for id_, score in zip(ids, scores[judge][model], strict=True)],
                study.JUDGEMENT,
                tmp_path / judge / f"{model}.json",
            )
            for judge, model, _ in common["judgements"]
        ],
    }

    class Compared:
        safety = ()
        agreements = (SimpleNamespace(judge="b", against="a", part=""),)

    *_, found = judged_sets(cast(Study, Compared), common, inputs, Origins({}))
    assert found.path == "agreements/b/a"
    assert found.shared["id"] == ["0", "1", "1", "2"]
    assert unpacked(found.shared["model"], 4) == ["m", "k", "m", "k"]
    assert unpacked(found.own["b"]["score"], 4) == [1, 3, 4, 2]
    assert unpacked(found.own["a"]["score"], 4) == [1, 2, 5, 2]


def test_a_judge_that_did_not_pass_shows_no_score_of_an_item(tmp_path: Path) -> None:
    common, inputs = study.example(tmp_path / "in")
    common["judges"] = [{**judge, "gate": 0.999} for judge in common["judges"]]
    tables = study.make_tables(common, inputs, tmp_path)
    folder = study.make_report(common, tables, tmp_path / "work", inputs).parent
    own = loaded(folder, "safety/harm/med-safety/sft")
    assert own["score"] is None
    assert own["status"]["names"] == ["gated"]


def test_no_file_has_a_word_that_was_asked_or_said(common: tuple[Columns, Any, Path]) -> None:
    files = [path for path in common[2].rglob("*") if path.is_file()]
    assert len(files) > 100
    for path in files:
        assert study.SECRET not in path.read_text(), path


def test_equal_artifacts_give_equal_files(common: tuple[Columns, Any, Path], tmp_path: Path) -> None:
    spec, inputs, folder = common
    again = study.make_report(spec, inputs["tables"], tmp_path, inputs).parent
    first, second = (
        {path.relative_to(base).as_posix(): path.read_bytes() for path in base.rglob("*") if path.is_file()}
        for base in (folder, again)
    )
    assert first == second
    assert "vendor/tabulator.min.js" in first


def test_all_that_opens_is_there(common: tuple[Columns, Any, Path]) -> None:
    page = (common[2] / "index.html").read_text()
    opened = set(re.findall(r'data-open="([^"]+)"', page))
    assert {"benchmarks/sft/medqa", "comparisons/base/medqa/dpo-1", "safety/base/advbench/harm"} & opened
    index = json.loads(page.split('id="explorer-index">')[1].split("</script>")[0])
    for each in opened:
        table, *names = each.split("/")
        if table in ("benchmarks", "preferences", "comparisons"):
            whole = names[1] == "average"
            assert whole or names[0] in index["sets"][f"scores/{names[1]}"], each
        elif table in ("safety", "rubrics"):
            assert names[0] in index["sets"][f"{table}/{names[2]}/{names[1]}"], each
        elif table in ("training", "curation", "audits", "pairs"):
            assert index["made"][f"{table}/{names[0]}"], each
        else:
            assert f"labels/{names[0]}" in index["sets"], each
            assert index["made"][f"judges/{names[0]}/labels"], each
    assert index["parts"]["scores"]["preference/average"] == ["pref-1", "pref-2", "pref-3"]
    assert index["starts"]["sft"] == "base"
    # The second of the trained models, the first of the audited; a mixture whose tokens are counted, and one's that are not.
    assert index["made"]["training/sft"] == {"trained": [1]}
    assert index["made"]["audits/sft"] == {"audits": [0]}
    assert index["made"]["curation/safety"] == {"ledgers": [1], "tokens": [0]}
    assert index["made"]["curation/clinical"] == {"ledgers": [0]}
    assert index["made"]["pairs/on-policy"] == {"pairs": [1], "draws": [0], "ranked": [0]}
    assert index["made"]["judges/harm/labels"] == {"agreements": [0], "labels": [0], "canaries": [0]}
    assert index["sets"]["curation/demo-medmcqa"] == ["clinical/medmcqa", "safety/medmcqa"]


def test_a_name_with_a_slash_stays_one_part_of_the_address() -> None:
    assert opens("benchmarks", "m", "b", "step2&3/x y") == "benchmarks/m/b/step2%263%2Fx%20y"


def test_a_list_that_does_not_fit_its_artifacts_is_refused() -> None:
    with pytest.raises(PrimumError, match="1 scores in the spec, but 0 artifacts"):
        listed({"scores": [["m", "b"]]}, "scores", [])
