"""``primum explain``: which cell is meant, what it was made of, and what is printed, written and left unsaid."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from traced_results import SECRET, Made, traced_results

from primum.artifact.folder import file_sha256
from primum.artifact.graph import read_graph
from primum.artifact.manifest import Artifact, save_manifest
from primum.artifact.store import Store, table_file
from primum.artifact.table import write_table
from primum.cli import main
from primum.errors import PrimumError
from primum.trace.explain import conditions, explained, lines
from primum.trace.find import find_artifact, find_artifacts
from primum.trace.page import page
from primum.trace.show import show
from primum.trace.tree import Line


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which no line of these is broken, wherever the results lie."""
    monkeypatch.setenv("COLUMNS", "140")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return traced_results(tmp_path / "results" / "tiny")


def _cell(made: Made, **where: str) -> list[Line]:
    return list(lines(explained(made.results, "benchmarks", {"model": "sft", "benchmark": "exam", **where})))


def _text(shown: list[Line]) -> str:
    return "\n".join(f"{line.guide}{line.text}{line.tail}" for line in shown)


def test_a_number_is_told_with_every_step_down_to_the_raw_files(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = _text(_cell(made))
    assert "benchmarks: model sft, benchmark exam\n  accuracy 100.0% (95% interval 50.0 to 100.0), n 2\n" in shown
    assert "Scored sft on 2 items of exam by the log-likelihood of each choice: 2 right" in shown
    assert "Fine-tuned base on packed chunks: 8 steps of 2 chunks at learning rate 0.001, seed 7." in shown
    assert "took 2 of corpus; repeated corpus 3 times; removed duplicates: exact; seed 7." in shown
    assert "adopted by me at 2026-02-03T04:05:06Z: only <b>words</b> changed" in shown
    for dataset in ("corpus", "exam"):
        path = f"data/raw/{dataset}/data/own/{dataset}.jsonl"
        assert f"{file_sha256(made.results / path)}  {path}" in shown.splitlines()
    assert SECRET not in shown
    assert f"a text of {len(SECRET)} characters" in shown


def test_what_the_cell_was_not_made_of_is_not_there_and_the_start_is_for_the_change(made: Made) -> None:
    shown = _text(_cell(made))
    assert "scores (for the change): scores/base/exam" in shown
    base = explained(made.results, "benchmarks", {"model": "base"})
    assert "scores/sft/exam" not in base.unfolded.steps
    assert [read.step for read in base.unfolded.steps["tables/benchmarks"].inputs] == ["scores/base/exam"]


def test_what_appears_twice_is_unfolded_once(made: Made) -> None:
    shown = _text(_cell(made))
    for name, manifest in made.by_name.items():
        assert len(re.findall(rf"{name}  {manifest.content[:12]}$", shown, re.MULTILINE)) == 1, name
    assert "model: see above: models/base" in shown
    assert "packed: see above: data/mixtures/text" in shown


def test_a_name_that_is_not_asked_for_is_the_whole(made: Made) -> None:
    whole = explained(made.results, "benchmarks", {"model": "sft"}).cell
    part = explained(made.results, "benchmarks", {"model": "sft", "subject": "heart"}).cell
    assert whole is not None
    assert part is not None
    assert (whole.row["id"], part.row["id"]) == ("1", "2")
    assert part.title == "benchmarks: model sft, benchmark exam, subject heart"


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({}, r"benchmarks: 2 rows are meant: model base; model sft. Give --where model=VALUE"),
        ({"model": "stf"}, r"benchmarks: no row has model 'stf'; nearest: sft"),
        ({"model": "base", "subject": "heart"}, r"no row of model base has subject 'heart'; there are: ''"),
        ({"colour": "red"}, r"has no column 'colour'; its rows are named by model, benchmark, subject"),
    ],
)
def test_a_cell_that_is_no_single_one_is_an_error(made: Made, where: dict[str, str], words: str) -> None:
    with pytest.raises(PrimumError, match=words):
        explained(made.results, "benchmarks", where)


def test_an_artifact_is_found_by_name_path_and_hash(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = read_graph(made.results)
    manifest = made.by_name["scores/sft/exam"]
    folder = made.results / "scores/sft"
    monkeypatch.chdir(made.results.parent)
    for given_ in (
        *("scores/sft/exam", "scores/sft/exam.json", str(folder / "exam.parquet"), "tiny/scores/sft/exam.json"),
        *(manifest.key[:8], manifest.content, manifest.key),
    ):
        assert graph.name(find_artifact(graph, given_)) == "scores/sft/exam", given_
    raw = made.by_name["data/raw/exam"].files["data/own/exam.jsonl"]
    for given_ in (
        *("data/raw/exam", "data/raw/exam/", "data/raw/exam/data/own/exam.jsonl", "data/own/exam.jsonl", raw),
        str(made.results / "data/raw/exam/manifest.json"),
    ):
        assert graph.name(find_artifact(graph, given_)) == "data/raw/exam", given_
    with pytest.raises(PrimumError, match=r"scores/sft/exma: no such artifact in .*; nearest: scores/sft/exam"):
        find_artifact(graph, "scores/sft/exma")
    with pytest.raises(PrimumError, match=r"no artifact in .* has a key, a content or a file of this hash"):
        find_artifact(graph, "0" * 64)


@given(st.text(max_size=30) | st.text("0123456789abcdef/.\n\0", max_size=30))
def test_any_name_is_found_or_refused_in_one_line(shared: Made, given_: str) -> None:
    graph = read_graph(shared.results)
    with contextlib.suppress(PrimumError):
        assert find_artifacts(graph, given_)
        return
    with pytest.raises(PrimumError) as refused:
        find_artifacts(graph, given_)
    assert len(str(refused.value).splitlines()) == 1


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return traced_results(tmp_path_factory.mktemp("shared") / "results" / "tiny")


@given(st.dictionaries(st.text("abc_", min_size=1), st.text(max_size=5), max_size=3))
def test_conditions_are_what_is_given(where: dict[str, str]) -> None:
    pairs = [f"{key}={value}" for key, value in where.items()]
    assert conditions(pairs, {"model": None}) == where
    assert conditions(pairs, {"model": "sft"}) == {"model": "sft", **where}


@pytest.mark.parametrize("pair", ["model", "=x", " =x"])
def test_a_condition_without_a_key_is_refused(pair: str) -> None:
    with pytest.raises(PrimumError, match="write it as KEY=VALUE"):
        conditions([pair], {})
    with pytest.raises(PrimumError, match="model is given twice, as 'sft' too"):
        conditions(["model=base"], {"model": "sft"})


def test_a_lost_input_is_said_and_the_store_is_asked(made: Made) -> None:
    lost = made.by_name["data/mixtures/text"]
    for suffix in (".json", ".parquet"):
        (made.results / f"data/mixtures/text{suffix}").unlink()
    shown = _text(_cell(made))
    gone = f"missing, here and in the store: content {lost.content[:12]}, key {lost.key[:12]}"
    assert f"mixture: {gone}" in shown
    assert "data/raw/corpus" not in shown

    store = Store(made.results.parent / ".store")
    filled = store.new_folder()
    write_table(pa.table({"id": ["m/0"]}), table_file(filled), {})
    store.add(filled, lost)
    shown = _text(_cell(made))
    assert f"mixture: store/{lost.key[:12]}" in shown
    assert "missing here; the store has it" in shown
    assert "data/raw/corpus" in shown


def test_a_lost_input_of_the_table_is_told_by_its_name(made: Made) -> None:
    for suffix in (".json", ".parquet"):
        (made.results / f"scores/sft/exam{suffix}").unlink()
    assert "scores sft/exam: missing, here and in the store" in _text(_cell(made))


def test_a_damaged_manifest_is_said(made: Made) -> None:
    path = made.results / "models/base/manifest.json"
    path.write_text(path.read_text().replace("0.001", "0.002"))
    shown = _text(_cell(made))
    assert "damaged, and left out" in shown
    assert "model: missing" in shown
    with pytest.raises(PrimumError, match=r"models/base/manifest\.json: damaged"):
        explained(made.results, "models/base", {})


def test_a_table_that_is_not_there_is_said_with_the_remedy(made: Made) -> None:
    with pytest.raises(PrimumError, match="tables/safety: no such table here: `snakemake tables` makes it"):
        explained(made.results, "safety", {"model": "sft"})
    path = made.results / "tables/benchmarks.json"
    path.write_text(path.read_text().replace("exam", "test"))
    with pytest.raises(PrimumError, match=r"tables/benchmarks\.json: damaged"):
        explained(made.results, "benchmarks", {"model": "sft"})


def test_a_table_of_another_version_or_without_rows_is_one_line(made: Made) -> None:
    artifact = Artifact.open(made.results / "tables/benchmarks.json")
    table = artifact.table()
    for other, said in (
        (
            table.drop_columns(["subject"]),
            "benchmarks.json: has no column 'subject': another version of primum made it",
        ),
        (table.drop_columns(["ci_low"]), "benchmarks.json: has no column 'ci_low': another version of primum made it"),
        (table.slice(0, 0), "benchmarks: has no rows"),
    ):
        content = write_table(other, artifact.data, {})
        save_manifest(replace(artifact.manifest, content=content), artifact.path)
        with pytest.raises(PrimumError, match=said):
            explained(made.results, "benchmarks", {"model": "sft"})


def test_depth_counts_levels_below_what_was_asked_for(made: Made) -> None:
    steps = [
        list(explained(made.results, "benchmarks", {"model": "base"}, depth).unfolded.steps) for depth in (0, 1, 2)
    ]
    assert steps[0] == ["tables/benchmarks"]
    assert steps[1] == ["tables/benchmarks", "scores/base/exam"]
    assert steps[2] == ["tables/benchmarks", "scores/base/exam", "data/rows/exam", "models/base"]
    shown = _text(list(lines(explained(made.results, "benchmarks", {"model": "base"}, 1))))
    assert "what it was made of is deeper than --depth" in shown
    top = _text(list(lines(explained(made.results, "benchmarks", {"model": "base"}, 0))))
    assert top.strip().endswith("Raw files are deeper than --depth.")
    with pytest.raises(PrimumError, match="--depth -1: give 0 or more"):
        explained(made.results, "benchmarks", {"model": "base"}, -1)


def test_the_json_has_all_steps_with_their_inputs_and_files(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", str(made.results), "benchmarks", "--model", "sft", "--json"])
    printed = capsys.readouterr().out
    told = json.loads(printed)
    assert list(told) == ["form", "results", "cell", "item", "root", "steps", "damaged"]
    assert told["form"] == 1
    assert told["cell"]["names"] == {"model": "sft", "benchmark": "exam", "subject": ""}
    assert told["cell"]["row"]["accuracy"] == 1.0
    assert told["steps"].keys() == made.by_name.keys()
    for name, manifest in made.by_name.items():
        step = told["steps"][name]
        assert (step["key"], step["content"]) == (manifest.key, manifest.content)
        assert all(read["step"] in told["steps"] for read in step["inputs"])
    (file,) = told["steps"]["data/raw/exam"]["files"]
    assert file == {
        "path": "data/own/exam.jsonl",
        "sha256": file_sha256(made.results / "data/raw/exam/data/own/exam.jsonl"),
        "source": "",
        "revision": "",
        "licence": "CC-BY-4.0",
    }
    assert SECRET not in printed


def test_an_item_is_told_without_its_text_and_with_its_line(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["explain", str(made.results), "benchmarks", "--model", "sft", "--item", "exam/1"]
    main(asked)
    shown = " ".join(capsys.readouterr().out.split())
    assert "scores/sft/exam: loglikelihoods [-1.5, -2.5], prediction 1, target 1, correct yes, status scored" in shown
    assert "data/origins/exam is not there" in shown
    assert SECRET not in shown

    places = {"id": ["exam/0", "exam/1"], "file": ["data/own/exam.jsonl"] * 2, "line": [1, 2], "unit": ["line"] * 2}
    item = {"dataset": "exam", "adapter": "medqa", "output": "origins"}
    made.table("data/origins/exam", "read", pa.table(places), item, {"raw": ["data/raw/exam"]}, {"rows": 2})
    main(asked)
    shown = " ".join(capsys.readouterr().out.split())
    assert "from line 2 of data/raw/exam/data/own/exam.jsonl" in shown
    assert "in training data" not in shown
    with pytest.raises(
        PrimumError, match=r"--item exam/7: no such item in scores/sft/exam; items are called as exam/0"
    ):
        explained(made.results, "benchmarks", {"model": "sft"}, None, "exam/7")


def test_a_contaminated_item_is_told_with_the_training_row_that_holds_it(
    made: Made, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    held = {"id": ["exam/0", "exam/1"], "dataset": ["exam"] * 2, "rows": [3, 1], "first": ["corpus/1", "corpus/0"]}
    made.table("data/overlaps/mixtures/text", "overlap", pa.table(held), {"ngram": 8}, {"data": ["data/mixtures/text"]})
    # As it was written before it said which row.
    old = pa.table(held).drop_columns(["first"])
    made.table("data/overlaps/pairs/old", "overlap", old, {"ngram": 8}, {"data": ["data/mixtures/text"]})
    places = {
        "id": ["corpus/0", "corpus/1"],
        "file": ["data/own/corpus.jsonl"] * 2,
        "line": [1, 2],
        "unit": ["line"] * 2,
    }
    item = {"dataset": "corpus", "adapter": "medqa", "output": "origins"}
    made.table("data/origins/corpus", "read", pa.table(places), item, {"raw": ["data/raw/corpus"]}, {"rows": 2})
    score = {"id": ["exam/0"], "item": ["exam/0"], "contaminated": [True]}
    overlaps = ["data/overlaps/mixtures/text", "data/overlaps/pairs/old"]
    made.table("scores/other/exam", "score", pa.table(score), {}, {"overlaps": overlaps})
    asked = ["explain", str(made.results), "scores/other/exam", "--item", "exam/0"]
    main(asked)
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "in training data: 3 rows of data/mixtures/text, the first of them corpus/1 from line 2 of data/raw/corpus/"
        in shown
    )
    assert "in training data: 3 rows of data/pairs/old which row is not recorded: run the stage again" in shown
    main([*asked, "--html", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    assert "<code>data/mixtures/text</code>, the first of them <code>corpus/1</code></p>" in page
    assert "corpus/1: from line 2 of <code>data/raw/corpus/data/own/corpus.jsonl</code>" in page


def test_a_raw_file_has_its_own_address_or_that_of_its_repository(tmp_path: Path) -> None:
    made = Made(tmp_path / "results" / "tiny")
    plain = {"url": None, "hub": None, "revision": None}
    entries = [
        {**plain, "path": "data/test-*.parquet"},
        {**plain, "path": "extra/*.csv", "hub": "other/repo", "revision": "b" * 40},
        {**plain, "path": "one.json", "url": "https://example.org/one.json"},
    ]
    files = dict.fromkeys(("data/test-00.parquet", "extra/a.csv", "one.json"), "x")
    made.folder("data/raw/d", "fetch", files, {"files": entries, "hub": "org/repo", "revision": "a" * 40}, {})
    step = explained(made.results, "data/raw/d", {}).unfolded.steps["data/raw/d"]
    assert [(file.path, file.source, file.revision) for file in step.files] == [
        ("data/test-00.parquet", "org/repo", "a" * 40),
        ("extra/a.csv", "other/repo", "b" * 40),
        ("one.json", "https://example.org/one.json", ""),
    ]


def test_token_ids_of_an_item_are_text_and_not_told(made: Made) -> None:
    rows = pa.table({"id": ["c/0"], "input_ids": [[11, 12]], "loss": [[0.5]], "length": [2]})
    made.table("data/packed/sft", "pack", rows, {"output": "chunks"}, {"mixture": ["data/mixtures/text"]})
    item = explained(made.results, "data/packed/sft", {}, 0, "c/0").item
    assert item is not None
    assert item.measured == [("data/packed/sft", {"id": "c/0", "loss": [0.5], "length": 2})]


def test_machine_and_commit_are_said_once_and_of_a_step_where_they_are_others(tmp_path: Path) -> None:
    made = Made(tmp_path / "results" / "tiny")
    facts = {"commit": "a" * 40, "clean": False, "gpus": [], "driver": None, "lock": {"cpu.lock": "b" * 64}}
    for number in range(3):
        item = {"dataset": f"d{number}", "adapter": "text", "output": "rows"}
        run = facts | ({"gpus": ["H200", "H200"], "host": "node-7"} if number == 2 else {})
        inputs = {"raw": [f"data/rows/d{number - 1}"]} if number else {}
        made.table(f"data/rows/d{number}", "read", pa.table({"id": ["0"]}), item, inputs, run=run)
    shown = " ".join(_text(list(lines(explained(made.results, "data/rows/d2", {})))).split())
    common = f"made with host here, user someone, commit {'a' * 12}, clean no, lock cpu.lock {'b' * 12} libraries"
    assert common in shown
    assert shown.count("host node-7, gpus [H200, H200]") == 1
    assert (shown.count("driver"), shown.count("gpus"), shown.count("aaaaaaaaaaaa")) == (0, 1, 1)


def test_without_a_table_it_lists_what_can_be_asked(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", str(made.results)])
    shown = capsys.readouterr().out
    assert "benchmarks   --where model=, benchmark=, subject=" in shown
    assert "data/raw         2 artifacts, such as data/raw/corpus" in shown
    for options, words in (
        (["--model", "sft"], "name a table or an artifact, too"),
        (["models/sft", "--json", "--html", "x.html"], "--json and --html do not go together"),
    ):
        with pytest.raises(SystemExit):
            main(["explain", str(made.results), *options])
        assert words in capsys.readouterr().err


def test_the_page_has_each_step_once_and_fetches_nothing(made: Made) -> None:
    html = page(explained(made.results, "benchmarks", {"model": "sft"}))
    anchors = re.findall(r'<li id="(s\d+)">', html)
    assert len(anchors) == len(set(anchors)) == len(made.by_name)
    assert set(re.findall(r'href="#(s\d+)"', html)) <= set(anchors)
    assert not re.search(r"(?:src|href)=[\"'](?!#)|url\(|@import|https?://", html)
    assert "only &lt;b&gt;words&lt;/b&gt; changed" in html
    assert file_sha256(made.results / "data/raw/exam/data/own/exam.jsonl") in html
    assert SECRET not in html


def test_the_page_is_written_whole_or_not_at_all(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sft.html"
    main(["explain", str(made.results), "models/sft", "--html", str(file)])
    assert capsys.readouterr().out == f"{file}: 5 steps of models/sft\n"
    assert file.read_text().rstrip().endswith("</html>")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["sft.html"]
    nowhere = file / "x.html"
    with pytest.raises(SystemExit):
        main(["explain", str(made.results), "models/sft", "--html", str(nowhere)])
    assert f"{nowhere}: cannot be written: " in capsys.readouterr().err


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    printed = {}
    for name, stream in (("file", io.StringIO()), ("terminal", _Terminal())):
        monkeypatch.setattr(sys, "stdout", stream)
        show([Line("├ ", "raw: [bold]x", "head", "  0123")])
        printed[name] = stream.getvalue()
    assert printed["file"] == "├ raw: [bold]x  0123\n"
    assert "\x1b[1mraw: [bold]x" in printed["terminal"]
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", _Terminal())
    show([Line("├ ", "raw", "head")])
    assert sys.stdout.getvalue() == "├ raw\n"  # type: ignore[attr-defined]


def test_nothing_heavy_is_imported() -> None:
    asked = "import sys, primum.trace.explain, primum.trace.uses; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "pandas", "transformers", "pydantic", "scipy"} & set(loaded)
