"""Each kind of fault, planted on a copy of a small results folder, is found; and what is whole is not accused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from project import ROOT
from published import RAW, copied, publish_study
from study import SECRET

from primum.artifact.canonical import canonical_json
from primum.artifact.folder import file_sha256, folder_files, folder_hash
from primum.artifact.manifest import Manifest, artifact_key, load_manifest, save_manifest
from primum.artifact.store import Store
from primum.artifact.table import read_table, write_table
from primum.cli import main
from primum.errors import PrimumError
from primum.export.texts import write_texts
from primum.trace.rundata import write_run_data
from primum.verify.artifacts import table_faults
from primum.verify.command import verified
from primum.verify.reading import read_all


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("verify") / "clone"
    publish_study(root)
    return root


@pytest.fixture
def results(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, in whose clone the test is."""
    folder = copied(made, tmp_path / "clone")
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.delenv("PRIMUM_STORE", raising=False)
    return folder


def found(results: Path) -> list[tuple[str, str]]:
    """(path in the results, what is wrong) of every finding."""
    top = results.parent.parent
    return [
        (str(each.path.relative_to(results if each.path.is_relative_to(results) else top)), each.wrong)
        for each in verified([results]).findings
    ]


def paths(results: Path) -> set[str]:
    return {path for path, _ in found(results)}


def own(path: Path) -> bytes:
    """Make a hard link a file of its own; its content."""
    content, mode = path.read_bytes(), path.stat().st_mode
    path.unlink()
    path.write_bytes(content)
    path.chmod(mode)
    return content


def flip(path: Path, at: int) -> None:
    content = bytearray(own(path))
    content[at] ^= 1
    path.write_bytes(content)


def swap(first: Path, second: Path) -> None:
    between = first.with_name("between")
    first.rename(between)
    second.rename(first)
    between.rename(second)


def drop_store(results: Path) -> None:
    shutil.rmtree(results.parent / ".store")


def edit(manifest: Path, change: Callable[[Manifest], Manifest]) -> None:
    save_manifest(change(load_manifest(manifest)), manifest)


def forge_folder(folder: Path) -> None:
    """A manifest that describes what is in a folder now."""
    files = folder_files(folder)
    edit(folder / "manifest.json", lambda each: replace(each, files=files, content=folder_hash(files)))


def forge_table(manifest: Path, column: str, row: int, value: object) -> None:
    """Another cell, with file, footer, hashes and manifest as if it had been made so."""
    data = manifest.with_suffix(".parquet")
    table, footer = read_table(data), pq.read_metadata(data).metadata
    rows = table.to_pylist()
    rows[row][column] = value
    data.unlink()
    told = {key.decode().removeprefix("primum."): value.decode() for key, value in footer.items() if b"primum." in key}
    content = write_table(pa.Table.from_pylist(rows, schema=table.schema), data, told)
    edit(manifest, lambda each: replace(each, content=content))


def test_what_is_whole_is_clean_and_each_file_is_read_once(results: Path) -> None:
    report = verified([results])
    assert not report.findings
    assert not report.unchecked
    assert report.artifacts == report.entries == 28
    # Results and store are hard links of each other.
    named = [
        path for path in results.parent.rglob("*") if path.is_file() and path.suffix in (".parquet", ".safetensors")
    ]
    assert report.files < len(named)
    page = [path for path in (results / "report").rglob("*") if path.is_file() and path.name != "manifest.json"]
    assert len(page) > 5
    # And the one raw file.
    assert report.files == len({path.stat().st_ino for path in [*named, *page]}) + 1


def test_what_the_run_says_of_itself_is_no_request(results: Path) -> None:
    (results / "requests/run.json").write_text('{"commit": "", "clean": null, "command": "snakemake all"}')
    assert not found(results)


@pytest.mark.parametrize(
    ("output", "counts", "right"),
    [
        ("rows", {"rows": 3}, 3),
        ("drops", {"empty": 1, "no-answer": 2}, 3),
        ("drops", {}, 0),
        ("origins", {"rows": 3, "drops": 2}, 5),
    ],
)
def test_what_is_read_is_counted_as_rows_drops_or_both(
    output: str, counts: dict[str, int], right: int, tmp_path: Path
) -> None:
    spec = {"stage": "read", "common": {}, "item": {"output": output}}
    key, path = artifact_key(spec, {}), tmp_path / "t.parquet"

    def faults(number: int) -> list[str]:
        told = {"spec": canonical_json(spec), "key": key, "schema_version": "1"}
        rows = pa.table({"id": pa.array([f"{each:02}" for each in range(number)], pa.string())})
        content = write_table(rows, path, told)
        reading = read_all([(path, True)], 1, lambda _: None).of(path)
        return [wrong for wrong, _ in table_faults(Manifest("table", "read", spec, {}, key, content, counts), reading)]

    assert faults(right) == []
    assert faults(right + 1) == [f"has {right + 1} rows, its manifest counts {right}"]


def test_a_flipped_byte_in_a_page(results: Path) -> None:
    flip(results / "scores/a/medqa.parquet", 40)
    assert (
        "scores/a/medqa.parquet",
        "is damaged: it is no Parquet file, or the checksum of a page does not fit",
    ) in found(results)


def test_every_flipped_bit_of_a_table_is_found(results: Path) -> None:
    """Also where no checksum of Parquet's covers it: in the words with which a page or the footer begins."""
    path = results / "scores/a/mmlu.parquet"
    manifest, content, rows = load_manifest(path.with_suffix(".json")), own(path), read_table(path)
    before = replace(manifest, run={})  # written before the file's own hash was
    unseen = []
    for at in range(0, len(content), 17):
        path.write_bytes(content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :])
        reading = read_all([(path, True)], 1, lambda _: None).of(path)
        assert list(table_faults(manifest, reading)), at
        if not list(table_faults(before, reading)):
            assert read_table(path).equals(rows)
            unseen.append(at)
    assert 0 < len(unseen) < len(content) / 17 / 3


def test_a_flipped_byte_in_weights_is_one_finding_although_the_store_has_the_same_file(results: Path) -> None:
    with (results / "models/a/model.safetensors").open("r+b") as file:
        file.seek(700)
        file.write(b"\0\0\0\0")
    assert found(results) == [("models/a/model.safetensors", "is not what its manifest describes")]


def test_a_flipped_byte_in_a_manifest(results: Path) -> None:
    path = results / "scores/a/medqa.json"
    flip(path, path.read_bytes().index(b'"seconds"') + 1)
    assert "scores/a/medqa.json" in paths(results)


def test_a_flipped_byte_in_a_csv(results: Path) -> None:
    path = results / "tables/benchmarks.csv"
    flip(path, path.read_bytes().index(b"0."))
    assert found(results) == [("tables/benchmarks.csv", "is not what benchmarks.parquet gives")]


def test_swapped_models_with_their_manifests(results: Path) -> None:
    swap(results / "models/a", results / "models/b")
    wrong = found(results)
    assert ("models/a", "is b by its manifest, here belongs a") in wrong
    assert {path for path, _ in wrong} >= {"models/a", "models/b"}


def test_swapped_models_without_their_manifests(results: Path) -> None:
    for name in ("model.safetensors", "history.parquet"):
        swap(results / "models/a" / name, results / "models/b" / name)
    assert paths(results) >= {
        f"models/{model}/{name}" for model in "ab" for name in ("model.safetensors", "history.parquet")
    }


@pytest.mark.parametrize("stored", [True, False])
def test_swapped_scores_with_their_manifests(results: Path, stored: bool) -> None:
    """Their specs are equal: only what they were made of tells them apart."""
    first, second = (results / f"scores/{model}/medqa" for model in "ab")
    assert load_manifest(first.with_suffix(".json")).spec == load_manifest(second.with_suffix(".json")).spec
    for suffix in (".json", ".parquet"):
        swap(first.with_suffix(suffix), second.with_suffix(suffix))
    if not stored:
        drop_store(results)
    wrong = found(results)
    assert (
        "scores/a/medqa.parquet",
        "is stale or misplaced: it was made of another model than models/a is now",
    ) in wrong
    assert (
        "scores/b/medqa.parquet",
        "is stale or misplaced: it was made of another model than models/b is now",
    ) in wrong


def test_swapped_scores_without_their_manifests(results: Path) -> None:
    swap(results / "scores/a/medqa.parquet", results / "scores/b/medqa.parquet")
    wrong = "its rows are not those that its manifest describes"
    assert {("scores/a/medqa.parquet", wrong), ("scores/b/medqa.parquet", wrong)} <= set(found(results))


def test_swapped_scores_of_one_model_and_swapped_verdicts_of_two(results: Path) -> None:
    for suffix in (".json", ".parquet"):
        swap(results / f"scores/a/medqa{suffix}", results / f"scores/a/mmlu{suffix}")
        swap(results / f"verdicts/harm/a/harmful{suffix}", results / f"verdicts/refusal/a/harmful{suffix}")
    wrong = found(results)
    assert ("scores/a/medqa.parquet", "is mmlu by its manifest, here belongs medqa") in wrong
    assert (
        "verdicts/harm/a/harmful.parquet",
        "is refusal/a/harmful by its manifest, here belongs harm/a/harmful",
    ) in wrong


@pytest.mark.parametrize("forged", [False, True])
def test_an_edited_number_in_the_report(results: Path, forged: bool) -> None:
    page = results / "report/index.html"
    text = own(page).decode()
    at = text.index("0.") + 2 if "0." in text else text.index("5")
    page.write_text(text[:at] + str((int(text[at]) + 1) % 10 if text[at].isdigit() else 7) + text[at + 1 :])
    if forged:
        forge_folder(results / "report")
        drop_store(results)
    wrong = found(results)
    assert ("report/index.html", "is not what its tables make") in wrong
    assert (("report/index.html", "is not what its manifest describes") in wrong) != forged


def test_a_missing_input_and_one_that_only_the_store_has(results: Path) -> None:
    lost = results / "data/rows/medqa.json"
    key = load_manifest(lost).key
    lost.unlink()
    lost.with_suffix(".parquet").unlink()
    report = verified([results])
    assert not report.findings
    assert report.missing == (str(lost.with_suffix("")),)
    assert ("inputs: whether the data is whole", 2) in [(each.what, each.count) for each in report.unchecked]
    shutil.rmtree(Store(results.parent / ".store").entry(key))
    wrong = dict(found(results))
    assert set(wrong) == {"scores/a/medqa.parquet", "scores/b/medqa.parquet"}
    assert all("as 'rows'" in each and "is missing, here and in the store" in each for each in wrong.values())


def test_a_missing_table_beside_its_manifest(results: Path) -> None:
    (results / "scores/a/medqa.parquet").unlink()
    assert ("scores/a/medqa.parquet", "is missing, or no file") in found(results)


@pytest.mark.parametrize("forged", [False, True])
def test_a_raw_file_replaced(results: Path, forged: bool) -> None:
    raw = results / "data/raw/questions"
    own(raw / RAW)
    (raw / RAW).write_text("id,question\n1,which\n")
    if forged:
        forge_folder(raw)
        drop_store(results)
    assert (f"data/raw/questions/{RAW}", "is not the file that its spec pins") in found(results) or not forged
    assert f"data/raw/questions/{RAW}" in paths(results)


def test_a_source_file_of_the_project_replaced(results: Path) -> None:
    (results.parent.parent / RAW).write_text("id,question\n1,which\n")
    assert paths(results) == {RAW}


def test_extra_files(results: Path) -> None:
    (results / "models/a/.hidden").write_text("x")
    (results / "models/b/more").mkdir()
    (results / "models/b/more/config.json").write_text("{}")
    (results / "report/link.html").symlink_to("index.html")
    shutil.copyfile(results / "scores/a/medqa.parquet", results / "scores/a/other.parquet")
    (results / "verification.json").write_text("{}")
    (results / "models/a/.model.safetensors.4711").write_text("being put into place")
    assert paths(results) == {
        *("models/a/.hidden", "models/b/more/config.json", "report/link.html", "scores/a/other.parquet"),
    }


def test_a_stale_entry_of_the_store(results: Path) -> None:
    manifest = load_manifest(results / "scores/a/medqa.json")
    entry = Store(results.parent / ".store").entry(manifest.key)
    footer = {"spec": "", "key": manifest.key, "schema_version": "1"}
    rows = read_table(entry / "data.parquet")
    (entry / "data.parquet").unlink()
    content = write_table(rows.slice(1), entry / "data.parquet", footer)
    edit(entry / "manifest.json", lambda each: replace(each, content=content))
    wrong = dict(found(results))
    assert wrong["scores/a/medqa.json"].startswith("differs in content from ")


def test_a_damaged_entry_of_the_store(results: Path) -> None:
    entry = Store(results.parent / ".store").entry(load_manifest(results / "scores/a/medqa.json").key)
    flip(entry / "data.parquet", 40)
    flip(
        Store(results.parent / ".store").entry(load_manifest(results / "scores/b/medqa.json").key) / "manifest.json", 40
    )
    before = sorted(results.parent.rglob("*"))
    assert {Path(path).name for path in paths(results)} == {"data.parquet", "manifest.json"}
    # It reads: the store's own search removes what is damaged.
    assert sorted(results.parent.rglob("*")) == before


def _edited(manifest: Manifest) -> Manifest:
    return replace(manifest, spec={**manifest.spec, "item": {**manifest.spec["item"], "few_shot": 5}})


def _keyed(manifest: Manifest) -> Manifest:
    edited = _edited(manifest)
    return replace(edited, key=artifact_key(edited.spec, edited.inputs))


@pytest.mark.parametrize(
    "forge",
    [
        _edited,
        _keyed,
        lambda manifest: replace(manifest, key="0" * 64),
        lambda manifest: replace(manifest, inputs={**manifest.inputs, "rows": ["0" * 64]}),
        lambda manifest: replace(manifest, content="0" * 64),
        lambda manifest: replace(manifest, job=manifest.job.replace("medqa", "other")),
        lambda manifest: replace(manifest, stage="generate"),
        lambda manifest: replace(manifest, stage="fetch"),
        lambda manifest: replace(manifest, stage="tables", spec={}),
    ],
)
@pytest.mark.parametrize("stored", [True, False])
def test_a_forged_manifest(results: Path, forge: Callable[[Manifest], Manifest], stored: bool) -> None:
    edit(results / "scores/a/medqa.json", forge)
    if not stored:
        drop_store(results)
    assert paths(results) & {"scores/a/medqa.json", "scores/a/medqa.parquet"}


def test_an_adopted_artifact_is_not_accused_whose_file_names_its_former_key(results: Path) -> None:
    """Its data are hard links of what was adopted, footer and all; another key in the footer is a finding."""
    path = results / "scores/a/medqa.json"
    before, store = load_manifest(path), Store(results.parent / ".store")
    spec = {**before.spec, "code": "d"}
    note = {"key": before.key, "code": True, "modules": None, "libraries": {}, "why": "only an error message changed"}
    note |= {"by": "ann", "at": "2026-01-02T03:04:05Z"}
    key = artifact_key(spec, before.inputs)
    after = replace(
        before, spec=spec, key=key, job=before.job.replace('"code":"c"', '"code":"d"'), run={"adopted": [note]}
    )
    save_manifest(after, path)
    store.entry(key).parent.mkdir(exist_ok=True)
    store.entry(before.key).rename(store.entry(key))
    save_manifest(replace(after, job=""), store.entry(key) / "manifest.json")
    report = verified([results])
    assert not report.findings
    assert [each.why for each in report.unchecked] == ["the last run asked for other code"]
    edit(path, lambda each: replace(each, run={"adopted": [{**note, "key": "0" * 64}]}))
    assert ("scores/a/medqa.parquet", "its footer names another spec or key than its manifest") in found(results)


def test_requests_that_are_none_and_a_manifest_that_no_stage_writes(results: Path) -> None:
    own(results / "requests/score-a.json")
    (results / "requests/score-a.json").write_text("{")
    path = results / "requests/score-b.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"spec": "{}"}))
    edit(results / "verdicts/harm/a/harmful.json", lambda each: replace(each, counts={"rows": "many"}))
    edit(results / "tables/safety.json", lambda each: replace(each, spec={"item": {"table": "safety"}}))
    wrong = dict(found(results))
    assert wrong["requests/score-a.json"] == wrong["requests/score-b.json"] == "is no request of a job"
    assert wrong["."].startswith("checking ")
    assert wrong["tables/safety.json"].startswith("its key is not that of its spec")


def test_a_manifest_that_says_something_twice(results: Path) -> None:
    path = results / "scores/b/medqa.json"
    text = own(path).decode()
    # Who reads it sees the first, and whoever parses it the last, to which the checksum fits.
    path.write_text(text.replace("{\n", '{\n "content": "made up",\n', 1))
    assert found(results) == [("scores/b/medqa.json", "says 'content' twice: the manifest was edited")]


def test_counts_that_the_rows_do_not_bear_out(results: Path) -> None:
    drop_store(results)
    edit(results / "verdicts/harm/a/harmful.json", lambda each: replace(each, counts={"rows": 13}))
    edit(results / "generations/a/harmful.json", lambda each: replace(each, counts={"rows": 12, "stop": 11}))
    right = sum(read_table(results / "scores/a/medqa.parquet").column("correct").to_pylist())
    edit(results / "scores/a/medqa.json", lambda each: replace(each, counts={"correct": right + 1}))
    edit(results / "scores/b/medqa.json", lambda each: replace(each, counts={"items": 7}))
    asked = read_table(results / "scores/b/medqa.parquet").num_rows
    assert dict(found(results)) == {
        "scores/a/medqa.parquet": f"has {right} right answers, its manifest counts {right + 1}",
        "scores/b/medqa.parquet": f"has {asked} rows, its manifest counts 7",
        "verdicts/harm/a/harmful.parquet": "has 12 rows, its manifest counts 13",
        "generations/a/harmful.parquet": "has 12 rows of one status, its manifest counts 11",
    }


@pytest.mark.parametrize(("table", "column"), [("benchmarks", "accuracy"), ("safety", "mean"), ("training", "loss")])
def test_a_cell_of_a_table_edited_with_all_hashes(results: Path, table: str, column: str) -> None:
    """Found without the store: tables are made again, and accuracy and mean counted by other code than theirs."""
    drop_store(results)
    forge_table(results / f"tables/{table}.json", column, 1, 0.123456)
    wrong = [what for path, what in found(results) if path == f"tables/{table}.parquet"]
    assert any(f"its {column} is 0.123456, its inputs make " in what for what in wrong)
    assert any(f"its {column} is 0.123456, counted again it is " in what for what in wrong) == (table != "training")
    assert f"tables/{table}.csv" in paths(results)


def test_many_rows_that_are_counted_otherwise_are_one_line(results: Path) -> None:
    drop_store(results)
    for row in range(5):
        forge_table(results / "tables/benchmarks.json", "correct", row, 1000)
    (said,) = [what for path, what in found(results) if "counted again" in what and path == "tables/benchmarks.parquet"]
    assert said.startswith("a/medqa: its correct is 1000, counted again it is ")
    assert said.endswith(", and so it is in 4 more of its rows")


def test_a_table_by_other_code_is_counted_again_all_the_same(results: Path) -> None:
    drop_store(results)
    forge_table(results / "tables/benchmarks.json", "correct", 1, 1000)
    for path in (results / "tables").glob("*.json"):
        edit(path, lambda each: replace(each, spec={**each.spec, "code": "older"}))
    report = verified([results])
    assert any("its correct is 1000, counted again it is" in each.wrong for each in report.findings)
    assert ("tables: made again of their inputs", "made by other code", 12) in [
        (each.what, each.why, each.count) for each in report.unchecked
    ]


def test_a_csv_that_no_table_gives(results: Path) -> None:
    (results / "tables/best.csv").write_text("model,accuracy\na,1.0\n")
    assert found(results) == [("tables/best.csv", "has no manifest: no job made it")]


def test_what_is_sensitive_and_open_or_not_marked(results: Path) -> None:
    (results / "generations/a/harmful.parquet").chmod(0o640)
    edit(results / "generations/b/harmful.json", lambda each: replace(each, sensitive=False))
    assert set(found(results)) == {
        ("generations/a/harmful.parquet", "is sensitive, and others than its owner may read it"),
        (
            str(next(each for each in paths(results) if ".store" in each)),
            "is sensitive, and others than its owner may read it",
        ),
        ("generations/b/harmful.parquet", "is sensitive, and not marked so"),
    }


def test_a_folder_that_was_moved_alone_is_checked_without_store_and_project(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    shutil.copytree(results, moved, copy_function=shutil.copy2)
    monkeypatch.chdir(tmp_path / "elsewhere")
    report = verified([moved])
    assert not report.findings
    assert {each.what for each in report.unchecked} == {
        "artifacts against the store",
        "raw files against the project's",
    }
    for suffix in (".json", ".parquet"):
        swap(moved / f"scores/a/medqa{suffix}", moved / f"scores/b/medqa{suffix}")
    assert "scores/a/medqa.parquet" in paths(moved)


def test_an_edited_rendering_of_table_4(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # the paper's numbers are the project's
    main(["table4", str(results), "--format", "all", "--output", str(results / "tables")])
    assert not found(results)
    page = results / "tables/table4.md"
    page.write_text(page.read_text().replace("7", "8", 1))
    assert found(results) == [("tables/table4.md", "is not what the table benchmarks gives")]


def test_the_command_prints_a_line_a_finding_and_writes_a_report(
    results: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    main(["verify", str(results)])
    assert capsys.readouterr().out.splitlines()[-1] == "clean: no finding"
    flip(results / "generations/a/harmful.parquet", 60)
    (results / "models/a/model.safetensors").write_bytes(b"")
    report = tmp_path / "new" / "report.json"
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(results), "--json", str(report), "--jobs", "1"])
    assert ended.value.code == 1
    printed = capsys.readouterr().out
    written = json.loads(report.read_text())
    lines = printed.splitlines()
    assert lines[-1] == f"{len(written['findings'])} findings"
    assert [line for line in lines if line.startswith(str(results))] == [
        f"{each['path']}: {each['wrong']}: {each['remedy']}" for each in written["findings"]
    ]
    assert written["clean"] is False
    assert written["size"] > 50_000
    assert SECRET not in printed + report.read_text()


def test_a_run_that_is_not_finished_is_incomplete_and_not_clean(
    results: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.rmtree(results / "report")
    for suffix in (".json", ".parquet"):
        (results / f"scores/a/medqa{suffix}").unlink()
    report = tmp_path / "report.json"
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(results), "--json", str(report)])
    assert ended.value.code == 3
    *_, missing, last = capsys.readouterr().out.splitlines()
    lost = [f"{results}/report", f"{results}/scores/a/medqa"]
    assert missing == f"missing: 2 artifacts of the experiment: {', '.join(lost)}"
    assert last.startswith("incomplete: no finding in what is here")
    assert json.loads(report.read_text())["missing"] == lost
    # A manifest that is damaged is a finding, and its artifact not missing, too.
    flip(results / "scores/b/medqa.json", 40)
    assert list(verified([results]).missing) == lost


def test_an_edited_record_of_the_run(results: Path) -> None:
    record = write_run_data(results)
    assert not found(results)
    content = load_manifest(results / "models/a/manifest.json").content
    record.write_text(record.read_text().replace(content, "0" * 64))
    assert [path for path, _ in found(results)] == ["report.run.js"]
    record.write_text("primumRun({")
    assert found(results) == [("report.run.js", "is no record of a run")]


def test_a_record_of_the_run_in_which_a_step_is_another(results: Path) -> None:
    """What a reader of the report is led by: what a step was made of, its settings, and the sha256 of raw files."""
    record = write_run_data(results)
    whole = record.read_text()

    def edited(name: str, change: Callable[[dict[str, Any], list[str]], object]) -> list[tuple[str, str]]:
        told = json.loads(whole.removeprefix("primumRun(").removesuffix(");\n"))
        names = [each["name"] for each in told["artifacts"]]
        change(told["artifacts"][names.index(name)], names)
        record.write_text(f"primumRun({json.dumps(told)});\n")
        return found(results)

    says = "says of {} something else than its manifest: {}"
    raw = next(each["name"] for each in json.loads(whole[10:-3])["artifacts"] if each["stage"] == "fetch")
    assert edited(raw, lambda each, _: each.update(files=dict.fromkeys(each["files"], "0" * 64))) == [
        ("report.run.js", says.format(raw, "files"))
    ]
    score = "scores/a/medqa"
    assert edited(
        score, lambda each, names: each["inputs"].__setitem__(each["roles"].index("model"), names.index("models/b"))
    ) == [("report.run.js", says.format(score, "what it was made of"))]
    assert edited("models/a", lambda each, _: each.update(name="")) == [("report.run.js", "lacks models/a")]


def test_edited_texts_beside_the_report(results: Path) -> None:
    folder = write_texts(results, harmful=True)
    assert not found(results)
    said = folder / "generations/a/harmful.js"
    said.write_text(said.read_text().replace('":{', '": {', 1).replace("response", "answer", 1))
    (folder / "generations/more.js").write_text("")
    (folder / "generations/more.js").chmod(0o644)
    assert sorted(found(results)) == [
        ("report-texts/generations/a/harmful.js", "is not what the artifacts give, or missing"),
        ("report-texts/generations/more.js", "is no file of these texts"),
        ("report-texts/generations/more.js", "is sensitive, and others than its owner may read it"),
    ]
    # What cannot be read is told where it lies.
    flip(results / "scores/a/medqa.parquet", 100)
    assert "folders of texts" in {each.what for each in verified([results]).unchecked}


def test_an_edited_experiment(results: Path) -> None:
    written, listed = results / "experiment.json", results / "requests/experiment.sha256"
    written.write_text('{"seed": 17}\n')
    assert [str(each) for each in verified([results]).unchecked] == [
        "1 experiment file: no checksum of it was written down: run snakemake again"
    ]
    listed.write_text(f"{file_sha256(written)}  experiment.json\n")
    assert not found(results)
    written.write_text('{"seed": 18}\n')
    assert found(results) == [("experiment.json", "is not what the last run wrote there")]


def test_links_in_the_place_of_folders_and_manifests(results: Path, tmp_path: Path) -> None:
    for name in ("scores/a", "models/a", "scores/b/medqa.json"):
        (results / name).rename(moved := tmp_path / name.replace("/", "-"))
        (results / name).symlink_to(moved)
    for name in ("logs", ".kept"):  # where people may have them elsewhere
        (tmp_path / name).mkdir()
        (results / name).symlink_to(tmp_path / name)
    wrong = {path for path, what in found(results) if what == "is a link, and artifacts hold none"}
    assert wrong == {"scores/a", "models/a", "scores/b/medqa.json"}


def test_what_was_written_of_its_making_by_hand(results: Path) -> None:
    path, store = results / "scores/a/medqa.json", Store(results.parent / ".store")
    run = {"finished": "2026-01-02T03:04:05Z", "user": "ann"}
    for each in (path, store.entry(load_manifest(path).key) / "manifest.json"):
        edit(each, lambda manifest: replace(manifest, run={**manifest.run, **run}))
    assert not found(results)
    edit(path, lambda manifest: replace(manifest, run={**manifest.run, "user": "ben", "taken_from_store": True}))
    ((where, what),) = found(results)
    assert (where, what.partition(" from ")[0]) == ("scores/a/medqa.json", "differs in run.user")
    # Made again, elsewhere or for another experiment, it has the same key and another maker.
    edit(path, lambda manifest: replace(manifest, run={**manifest.run, "finished": "2026-02-02T03:04:05Z"}))
    assert not found(results)


@pytest.mark.parametrize(
    "change",
    [{"inputs": [1]}, {"inputs": {"rows": None}}, {"run": []}, {"kind": "folder"}, {"counts": {"rows": float("inf")}}],
)
def test_a_manifest_of_another_form_is_damaged(results: Path, change: dict[str, Any]) -> None:
    path = results / "scores/a/medqa.json"
    if "counts" in change:
        own(path)
        path.write_text(path.read_text().replace('"counts": {', '"counts": {"more": NaN, ', 1))
    else:
        edit(path, lambda each: replace(each, **change))
    said = "is the manifest of a folder" if "kind" in change else "not a manifest, or damaged"
    assert [what for where, what in found(results) if where == "scores/a/medqa.json"] == [said]


PIPE = "cannot be read (a pipe, a socket or a device, and no file): see to it and run again"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("scores/a/medqa.parquet", "is missing, or no file"),
        ("data/rows/medqa.parquet", "is missing, or no file"),
        ("models/a/model.safetensors", "is missing, or no file"),
        ("scores/a/medqa.json", PIPE.rpartition(":")[0]),
        ("tables/benchmarks.csv", "is not what benchmarks.parquet gives"),
        ("requests/experiment.sha256", "is no file"),
        ("experiment.json", "is not what the last run wrote there"),
        ("report.run.js", "is no record of a run"),
    ],
)
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(results: Path, in_time: None, name: str, said: str) -> None:
    (results / "requests").mkdir(exist_ok=True)
    (results / name).unlink(missing_ok=True)
    if name == "experiment.json":
        (results / "requests/experiment.sha256").write_text("")
    os.mkfifo(results / name)
    assert (name, said) in found(results)


def test_what_is_no_results_folder_is_not_read_as_one(results: Path) -> None:
    (results / "experiment.json").write_text("{}")
    for folder, said in (
        (results / "scores", "is a part of the results in "),
        (results / "models/a", "is a part of the results in "),
        (results.parent / ".store", "is a store"),
        (results.parent, "holds the results of experiments"),
        (results.parent.parent, "holds the results of experiments"),
    ):
        with pytest.raises(PrimumError, match=f"^{folder}: {said}"):
            verified([folder])


def test_what_was_asked_for_elsewhere_is_not_missing_here(results: Path) -> None:
    path = results / "requests/score_benchmarks/former.json"
    path.parent.mkdir(exist_ok=True)
    request = json.loads(next((results / "requests").rglob("*.json")).read_text())
    request["outputs"] = [{**each, "path": f"/elsewhere/{each['path']}"} for each in request["outputs"]]
    path.write_text(json.dumps(request))
    assert not verified([results]).missing


def test_a_folder_that_is_not_there_and_jobs_that_are_none(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["verify", "nowhere"], "nowhere: no such results folder"),
        (["verify", str(results), "--jobs", "0"], "--jobs 0: give 1 or more"),
        (["verify", str(results), "--store", "nowhere"], "nowhere: no such store"),
    ):
        with pytest.raises(SystemExit):
            main(words)
        assert said in capsys.readouterr().err


def test_a_thousand_artifacts_are_not_accused_but_for_the_one_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # which takes longer than all else here
    folder = tmp_path / "results" / "many" / "data" / "rows"
    folder.mkdir(parents=True)
    for number in range(1001):
        spec, rows = {"item": {"n": number}}, pa.table({"id": ["a", "b"], "n": [number, 1]})
        key, path = artifact_key(spec, {}), folder / f"{number}.json"
        footer = {"spec": canonical_json(spec), "key": key, "schema_version": "1"}
        content = write_table(rows, path.with_suffix(".parquet"), footer)
        save_manifest(Manifest("table", "read", spec, {}, key, content, {"rows": 2}), path)
    flip(folder / "707.parquet", 60)
    report = verified([tmp_path / "results" / "many"])
    assert report.artifacts == 1001
    assert [each.path.name for each in report.findings] == ["707.parquet"]
