"""The record of a run beside its report: the tree from any artifact to the raw files, and no text of a spec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from primum.artifact.folder import folder_files, folder_hash
from primum.artifact.graph import read_graph
from primum.artifact.manifest import Manifest, save_manifest
from primum.artifact.table import write_table
from primum.cli import main
from primum.dag.dag import STAGES
from primum.errors import PrimumError
from primum.trace.rundata import run_data, settings, write_run_data

SECRET = "a request for harm"


def put(path: Path, stage: str, spec: dict[str, Any], inputs: dict[str, list[Manifest]], **own: Any) -> Manifest:
    """A table of one row, or the raw file of a folder, made of ``inputs``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    run = {"input_keys": {role: [each.key for each in of] for role, of in inputs.items()}, **own.pop("run", {})}
    contents = {role: [each.content for each in of] for role, of in inputs.items()}
    if path.name == "manifest.json":
        (path.parent / "a.jsonl").write_text(SECRET)
        files = folder_files(path.parent)
        manifest = Manifest("folder", stage, spec, contents, stage, folder_hash(files), {}, files=files, run=run, **own)
    else:
        content = write_table(pa.table({"id": ["0"], "stage": [stage]}), path.with_suffix(".parquet"), {})
        manifest = Manifest("table", stage, spec, contents, stage, content, own.pop("counts", {}), run=run, **own)
    save_manifest(manifest, path)
    return manifest


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """raw -> rows -> verdicts, which also read responses that are here no more."""
    folder = tmp_path / "results" / "tiny"
    raw = put(folder / "data/raw/x/manifest.json", "fetch", {}, {}, sensitive=True)
    rows = put(folder / "data/rows/x.json", "read", {"item": {"adapter": "medqa"}}, {"raw": [raw]}, sensitive=False)
    lost = Manifest("table", "generate", {}, {}, "gone", "f" * 64, {})
    spec = {"item": {"kind": "rubric", "seed": 3}, "common": {"template": SECRET, "engine": {"max_length": 1024}}}
    note = {
        "why": "only a comment",
        "by": "sam",
        "at": "2026-01-02T03:04:05Z",
        "key": "0" * 64,
        "modules": [],
        "libraries": {},
    }
    run = {
        "seconds": 2.5,
        "finished": "2026-01-02T03:04:05Z",
        "host": "node1",
        "cost": {"tokens": 9},
        "adopted": [note],
    }
    put(
        folder / "verdicts/harm/m/p.json",
        "verdicts",
        spec,
        {"rows": [rows, rows], "responses": [lost]},
        counts={"scored": 1, "by": {"other": 2}, "why": SECRET},
        run=run,
        sensitive=True,
    )
    return folder


def test_the_tree_goes_down_to_the_raw_files(results: Path) -> None:
    artifacts = run_data(read_graph(results))["artifacts"]
    raw, rows, verdicts, lost = artifacts
    assert [each["name"] for each in artifacts] == ["data/raw/x", "data/rows/x", "verdicts/harm/m/p", ""]
    assert (rows["inputs"], rows["roles"]) == ([0], ["raw"])
    assert (verdicts["inputs"], verdicts["roles"]) == ([3, 1, 1], ["responses", "rows", "rows"])
    assert lost == {"name": "", "content": "f" * 64, "key": "gone", "inputs": [], "roles": [], "lost": True}
    (sha256,) = raw["files"].values()
    assert raw["bytes"] == len(SECRET)
    assert list(raw["files"]) == ["a.jsonl"]
    assert len(sha256) == 64
    assert rows["settings"] == {"adapter": "medqa"}
    assert rows["help"] == STAGES["read"].help
    assert (verdicts["seconds"], verdicts["host"], verdicts["cost"]) == (2.5, "node1", {"tokens": 9})
    assert verdicts["adopted"] == "only a comment (sam, 2026-01-02T03:04:05Z)"
    # Of what is sensitive numbers alone.
    assert verdicts["settings"] == {"seed": 3, "engine.max_length": 1024}
    assert verdicts["counts"] == {"scored": 1, "by/other": 2}


def test_the_file_is_one_call_and_holds_no_text(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["report-data", str(results)])
    assert capsys.readouterr().out.strip() == str(results / "report.run.js")
    text = (results / "report.run.js").read_text()
    assert text.startswith("primumRun({")
    assert text.endswith("});\n")
    assert len(json.loads(text[len("primumRun(") : -3])["artifacts"]) == 4
    assert SECRET not in text
    # Written again it is replaced, and the record is no artifact itself.
    assert write_run_data(results).read_text() == text


def test_the_jobs_are_those_of_the_last_run(results: Path) -> None:
    folder = results / "requests/read_rows"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text(json.dumps({"outputs": [{"path": "results/elsewhere/data/rows/x.json"}]}))
    (folder / "y.json").write_text("{")
    (results / "requests/run.json").write_text("{}")
    jobs = {each["name"]: each.get("job") for each in run_data(read_graph(results))["artifacts"]}
    assert jobs == {"data/raw/x": None, "data/rows/x": "read_rows/x", "verdicts/harm/m/p": None, "": None}


def test_a_damaged_manifest_is_left_out_and_said(results: Path) -> None:
    (results / "verdicts/harm/m/p.json").write_text("{")
    with pytest.raises(PrimumError, match=r"left out: .*p\.json: not a manifest, or damaged"):
        write_run_data(results)
    assert "verdicts/harm/m/p" not in (results / "report.run.js").read_text()


def test_settings_are_names_and_numbers() -> None:
    spec = {
        "item": {
            "doc_to_text": "{{ question }}",
            "lr": 0.1,
            "name": "adamw",
            "note": "two words",
            "system": "Hush",
            "on": True,
        },
        "common": {"lr": 0.2, **{f"key{number:02d}": number for number in range(20)}},
    }
    found = settings(spec, words=True)
    assert {key: found[key] for key in ("lr", "name", "on")} == {"lr": 0.1, "name": "adamw", "on": True}
    assert len(found) == 16
    assert not {"doc_to_text", "note", "system"} & found.keys()
