"""Where the numbers of the finished demo came from: explained, verified, audited, exported, and opened in the report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from runs import ROOT, command, environment, run

from primum.artifact.folder import file_sha256, folder_files, folder_hash
from primum.artifact.graph import manifest_paths, read_graph
from primum.artifact.manifest import data_path, load_manifest, save_manifest
from primum.cli import main
from primum.tables.cells import NAMED
from primum.trace.cell import Cell, inputs_of
from primum.trace.explain import explained, lines
from primum.trace.find import find_artifacts
from primum.trace.steps import unfold
from primum.trace.uses import reach
from primum.verify.command import verified

pytestmark = pytest.mark.demo


def test_every_cell_of_every_table_is_explained_down_to_raw_files_that_have_their_hash(demo: Path) -> None:
    """Of all rows but those of ``axes``, which repeat what the experiment's file says."""
    graph = read_graph(demo / "demo")
    artifacts = {graph.name(each): each for each in graph.artifacts}
    # One table's artifact names what all tables read, so that its steps are those of every cell.
    steps = unfold(graph, artifacts["tables/benchmarks"]).steps
    hashes = {
        f"{name}/{file.path}": file.sha256
        for name, step in steps.items()
        for file in step.files
        if step.stage == "fetch"
    }
    assert len(hashes) >= 49
    for path, sha256 in hashes.items():
        assert file_sha256(demo / "demo" / path) == sha256, path
    raw: dict[str, bool] = {}

    def is_raw(name: str) -> bool:
        """Whether every way from a step ends in a raw file."""
        if name not in raw:
            below = [read.step for read in steps[name].inputs]
            raw[name] = all(map(is_raw, below)) if below else bool(steps[name].files)
        return raw[name]

    for table in NAMED:
        artifact = artifacts[f"tables/{table}"]
        rows = artifact.table().to_pylist()
        for row in rows:
            read = inputs_of(graph, artifact, Cell(table, {}, "", row))
            assert bool(read) == (table != "axes"), (table, row["id"])
            assert all(each.artifact is not None and is_raw(graph.name(each.artifact)) for each, _ in read), row["id"]
        assert len({tuple(row[column] for column in NAMED[table]) for row in rows}) == len(rows), table
        names = {column: "none" if rows[-1][column] is None else str(rows[-1][column]) for column in NAMED[table]}
        told = explained(demo / "demo", table, names)
        assert told.cell is not None
        assert told.cell.row == rows[-1]
        assert bool(told.unfolded.raw) == (table != "axes")
        assert len(list(lines(told))) > len(told.unfolded.steps)


def test_every_record_of_a_mixture_has_one_outcome_in_the_page_too(demo: Path) -> None:
    graph, seen = read_graph(demo / "demo"), set()
    named = {graph.name(each): each for each in graph.artifacts}
    for name, artifact in named.items():
        if not name.startswith("data/outcomes/"):
            continue
        rows, mixture = artifact.table().to_pylist(), artifact.name
        for source, entry in artifact.manifest.spec["item"]["sources"].items():
            became = Counter(row["outcome"] for row in rows if row["source"] == source)
            seen |= set(became)
            drops = named[f"data/drops/{entry['dataset']}"].table()
            page = demo / f"demo/report/items/curation/{entry['dataset']}/{mixture}/{source}.js"
            told = json.loads(page.read_text().split(",", 1)[1].removesuffix(");\n"))["outcome"]
            codes = told["codes"]
            alike = [codes] * (sum(became.values()) + drops.num_rows)
            shown = Counter(told["names"][code] for code in (codes if isinstance(codes, list) else alike))
            assert shown == became + Counter(drops["reason"].to_pylist()), (mixture, source)
    assert {"kept", "duplicate", "near-duplicate", "contaminated", "not-sampled"} <= seen


@pytest.mark.parametrize(
    ("file", "benchmark"),
    [("data/demo/medqa_test.jsonl", "medqa"), ("data/demo/toxigen_annotated_test.jsonl", "toxigen")],
)
def test_a_raw_file_reaches_the_accuracy_of_its_benchmark_in_three_steps(demo: Path, file: str, benchmark: str) -> None:
    graph = read_graph(demo / "demo")
    nearest = reach(graph, find_artifacts(graph, file)).cells[0]
    assert (nearest.table, nearest.distance, nearest.way) == ("benchmarks", 3, ("read", "score", "tables"))
    assert set(nearest.names["benchmark"]) == {benchmark, "average"}
    assert len(nearest.names["model"]) == 10


def test_every_item_of_the_report_leads_to_a_line_of_a_raw_file(demo: Path) -> None:
    """And so does the tree of the run's record: from each artifact that a cell names to raw files with their sha256."""
    folder = demo / "demo"
    last: dict[Path, int] = {}
    for path in sorted(folder.glob("report/items/**/*.js")):
        columns = json.loads(path.read_text().split(",", 1)[1].removesuffix(");\n"))
        if not columns.get("file"):
            continue
        codes, line = (
            packed if isinstance(packed, list) else [packed] * columns["n"]
            for packed in (columns["file"]["codes"], columns["line"])
        )
        for id_, code, at in zip(columns["id"], codes, line, strict=True):
            dataset = f"{columns['prefix']}{id_}".partition("/")[0]
            raw = folder / "data/raw" / dataset / columns["file"]["names"][code]
            assert at >= 1, path
            last[raw] = max(last.get(raw, 0), at)
    assert len(last) > 20
    for raw, line in last.items():
        assert line <= raw.read_bytes().count(b"\n") + 1, raw
    told = json.loads((folder / "report.run.js").read_text().removeprefix("primumRun(").removesuffix(");\n"))
    by_name = {each["name"]: each for each in told["artifacts"]}
    files, seen, waiting = set(), set(), ["tables/benchmarks"]
    while waiting:
        each = by_name[waiting.pop()]
        files |= set(each.get("files", {}).values())
        new = {told["artifacts"][place]["name"] for place in each["inputs"]} - seen
        seen |= new
        waiting += sorted(new)
    assert len(files) > 20
    assert {f"scores/sft/{name}" for name in ("medqa", "mmlu")} < seen


@pytest.fixture
def planted(demo: Path, tmp_path: Path) -> Path:
    """A copy of all results, its hard links kept, to damage."""
    subprocess.run(["cp", "-a", str(demo), str(tmp_path / "copy")], check=True)
    return tmp_path / "copy"


def test_what_is_verified_is_whole_and_a_swapped_pair_and_an_edited_page_are_found(
    demo: Path, planted: Path, tmp_path: Path
) -> None:
    """The pair has equal specs, and goes with its manifests; the page has a manifest that describes it."""
    assert verified([demo / "demo"]).findings == ()
    first, second = (planted / f"demo/scores/{model}/medqa" for model in ("dpo-1", "dpo-2"))
    assert load_manifest(first.with_suffix(".json")).spec == load_manifest(second.with_suffix(".json")).spec
    for suffix in (".json", ".parquet"):
        first.with_suffix(suffix).rename(tmp_path / "between")
        second.with_suffix(suffix).rename(first.with_suffix(suffix))
        (tmp_path / "between").rename(second.with_suffix(suffix))
    page = planted / "demo/report/index.html"
    text = page.read_text(encoding="utf-8").replace("%", "‰", 1)
    page.unlink()
    page.write_text(text, encoding="utf-8")
    files = folder_files(page.parent)
    report = load_manifest(page.with_name("manifest.json"))
    save_manifest(replace(report, files=files, content=folder_hash(files)), page.with_name("manifest.json"))
    found = {(each.path, each.wrong) for each in verified([planted / "demo"]).findings}
    assert (page, "is not what its tables make") in found
    for model, path in (("dpo-1", first), ("dpo-2", second)):
        wrong = f"is stale or misplaced: it was made of another model than models/{model} is now"
        assert (path.with_suffix(".parquet"), wrong) in found


def test_verifying_as_a_job_changes_nothing_and_fails_where_something_is_wrong(planted: Path, experiment: str) -> None:
    """Not even what a run would write down or bring back: the text of the experiment is another, and a table is gone."""
    settings, lost = planted / "demo/experiment.json", planted / "demo/scores/sft/medqa.parquet"
    assert "Nothing wrong was found" in run(planted, experiment=experiment, target="verify")
    settings.write_text(settings.read_text() + " ")
    lost.unlink()
    failed = subprocess.run(
        command(planted, experiment=experiment, target="verify"),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert f"what is wrong, or missing, is in {planted}/demo/verification.json" in failed.stderr
    assert not lost.exists()
    assert settings.read_text().endswith(" ")
    findings = json.loads((planted / "demo/verification.json").read_text())["findings"]
    assert [each["path"] for each in findings] == [str(settings), str(lost)]


def test_an_audit_of_a_sample_passes(demo: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    stages = {"read", "mix", "verdicts", "score", "tables"}
    words = ["audit", str(demo / "demo"), "--stage", *sorted(stages), "--sample", "10", "--output", str(report)]
    done = subprocess.run(
        [sys.executable, "-m", "primum.cli", *words],
        cwd=ROOT,
        env=environment(),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = json.loads((report / "audit.json").read_text())["outcomes"]
    assert len(outcomes) == 10
    assert {each["stage"] for each in outcomes} == stages
    assert {each["verdict"] for each in outcomes if each["kind"] == "exact"} == {"equal"}
    assert (report / "audit.md").read_text().splitlines()[0].endswith(": passed")


def test_its_crate_holds_no_harmful_text_and_plans_the_same_jobs(
    demo: Path, experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if experiment != "demo":
        pytest.skip("a crate is of an experiment that the clone has by name")
    monkeypatch.chdir(ROOT)
    crate = tmp_path / "crate"
    main(["export", str(demo / "demo"), "--format", "crate", "--with-data", "--output", str(crate)])
    artifacts = {path: load_manifest(path) for path in manifest_paths(demo / "demo")}
    harmful = {path for path, manifest in artifacts.items() if manifest.sensitive is not False}
    assert len(harmful) > 200
    assert f"Left out of {len(harmful)} artifacts: their data, which was sensitive" in capsys.readouterr().out
    for path, manifest in artifacts.items():
        copy = crate / "results" / path.relative_to(demo)
        assert copy.read_bytes() == path.read_bytes()
        data = (
            [data_path(copy, "table")] if manifest.kind == "table" else [copy.parent / name for name in manifest.files]
        )
        assert {file.exists() for file in data} == {path not in harmful}, path
    main(["replay", str(crate), "--dry-run"])
    said = capsys.readouterr().out
    assert f"{len(artifacts)} artifacts, all with the keys that were recorded" in said
    # Every raw file that was left out is one of this clone.
    assert "would lack" not in said
