"""Faults that are planted in a stage, and in what it made, are found by an audit; what has none passes.

A copy of the package, whose stage ``read`` has one fault a dataset, makes ten datasets in a process, and audits them in another.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from stage_artifacts import folder_artifact, saved

import primum
from primum.artifact.canonical import canonical_json
from primum.artifact.code import code_digest
from primum.artifact.invocation import invocation
from primum.artifact.libraries import installed
from primum.artifact.manifest import Artifact, Manifest, artifact_key, load_manifest, save_manifest
from primum.artifact.request import Asked, Request
from primum.artifact.store import Store
from primum.artifact.table import read_table, write_table
from primum.reproduce.budget import seconds_of
from primum.reproduce.command import audit_results

CANARY = "amoxicillin-canary"
# What each dataset's rows have besides, by the dataset's name.
FAULTS = """

import itertools, locale, os, random, time
_run, _count = run, itertools.count()
_FAULTS = {
    "clock": lambda: time.time_ns(),
    "day": lambda: time.strftime("%Y-%m-%d"),
    "hash-seed": lambda: "".join(set("abcdefghijklmnopq")),
    "unused-seed": lambda: random.random(),
    "time-zone": lambda: time.strftime("%H:%M", time.localtime(0)),
    "locale": lambda: locale.getpreferredencoding(False),
    "threads": lambda: os.environ["OMP_NUM_THREADS"],
    "directory": lambda: os.getcwd(),
    "home": lambda: os.environ["HOME"],
    "order": lambda: _place,
}


def run(job):
    global _place
    for result in _run(job):
        _place = next(_count)
        fault = _FAULTS.get(result.item.spec["dataset"])
        if fault is None:
            yield result
        else:
            rows = pa.concat_tables(result.parts)
            yield Result(result.item, table=rows.append_column("planted", pa.array([str(fault())] * rows.num_rows)))
"""
PLANTED = ("clock", "day", "hash-seed", "unused-seed", "time-zone", "locale", "threads", "directory", "home", "order")
SOUND = ("sound", "sound-2", "stale", "library", "other-code", "damaged", "lost-input", "spoilt-input", "adopted")


def _primum(source: Path, at: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(source),
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
        **more,
    }
    command = [sys.executable, "-m", "primum.cli", *words]
    return subprocess.run(command, cwd=at, env=environment, text=True, capture_output=True, check=False)


def _record(source: Path, at: Path) -> Path:
    """A results folder in which every dataset was read by the code in ``source``."""
    results = at / "results" / "tiny"
    names = sorted((*PLANTED, *SOUND))
    outputs = []
    for name in names:
        raw = results / "data" / "raw" / name
        raw.mkdir(parents=True)
        (raw / "rows.jsonl").write_text(json.dumps({"instruction": name, "input": "", "output": CANARY}) + "\n")
        saved(folder_artifact(raw))
        rows = results / "data" / "rows" / f"{name}.json"
        outputs.append(Asked(rows, {"raw": [raw / "manifest.json"]}, sensitive=False))
    spec = {
        "stage": "read",
        "code": code_digest("primum.curate.read", source),
        "libraries": {"pyarrow": installed("pyarrow")},
        "common": {},
        "items": [
            [f"{name}/rows", {"adapter": "instruction", "dataset": name, "options": {}, "output": "rows"}]
            for name in names
        ],
        "reads": [],
    }
    request = results / "requests" / "read.json"
    Request(canonical_json(spec), outputs, {}, "table", Store(at / "results" / ".store")).save(request)
    done = _primum(source, at, "stage", "read", "--request", str(request))
    assert done.returncode == 0, done.stderr
    return results


def _change(path: Path, change: Callable[[Manifest], Manifest]) -> None:
    """Save a manifest anew, with its checksum and its key as they have to be."""
    changed = change(load_manifest(path))
    save_manifest(replace(changed, key=artifact_key(changed.spec, changed.inputs)), path)


def _with_spec(**keys: Any) -> Callable[[Manifest], Manifest]:
    return lambda manifest: replace(manifest, spec={**manifest.spec, **keys})


def _forge(path: Path) -> None:
    """Other rows, and a manifest that is true of them: what is left is that nobody can make them of the input."""
    data = path.with_suffix(".parquet")
    rows = read_table(data)
    data.unlink()  # it is a link into the store
    content = write_table(rows.set_column(0, rows.schema.field("id"), pa.array(["stale/9"])), data, {})
    _change(path, lambda manifest: replace(manifest, content=content))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str], Path]:
    """The folder of the report, what the command said, and the results."""
    at = tmp_path_factory.mktemp("faults")
    source = at / "source"
    shutil.copytree(Path(primum.__file__).parent, source / "primum", ignore=shutil.ignore_patterns("__pycache__"))
    with (source / "primum" / "curate" / "read.py").open("a") as module:
        module.write(FAULTS)
    results = _record(source, at)
    rows = results / "data" / "rows"
    _forge(rows / "stale.json")
    _change(rows / "library.json", _with_spec(libraries={"pyarrow": "1.0.0"}))
    _change(rows / "other-code.json", _with_spec(code="0" * 64))
    note = {"why": "only a comment changed", "by": "somebody", "at": "2026-01-02T03:04:05Z", "key": "0" * 64}
    note |= {"modules": [], "libraries": {}}
    _change(rows / "adopted.json", lambda manifest: replace(manifest, run={**manifest.run, "adopted": [note]}))
    damaged = bytearray((rows / "damaged.parquet").read_bytes())
    damaged[60] ^= 1
    (rows / "damaged.parquet").unlink()
    (rows / "damaged.parquet").write_bytes(damaged)
    shutil.rmtree(results / "data" / "raw" / "lost-input")
    (results / "data" / "raw" / "spoilt-input" / "rows.jsonl").write_text("{}")
    report = at / "report"
    done = _primum(source, at, "audit", str(results), "--stage", "read", "--all", "--output", str(report))
    return report, done, results


@pytest.fixture(scope="module")
def record(faulty: tuple[Path, Any, Path]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((faulty[0] / "audit.json").read_text())
    return found


def _outcome(record: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [each for each in record["outcomes"] if each["name"] == f"data/rows/{name}"]
    return dict(found)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found_and_named_by_its_column(record: dict[str, Any], fault: str) -> None:
    found = _outcome(record, fault)
    assert found["verdict"] == "different"
    assert [part["name"] for part in found["difference"]["parts"]] == ["planted"]
    assert found["difference"]["first"] == [f"{fault}/0000000"]


@pytest.mark.parametrize("name", ["sound", "sound-2"])
def test_what_has_no_fault_is_equal(record: dict[str, Any], name: str) -> None:
    found = _outcome(record, name)
    assert (found["verdict"], found["kind"], found["made_by"]) == ("equal", "exact", [])
    assert found["claimed"] == found["made"]


def test_a_stale_artifact_with_a_forged_manifest_is_found(record: dict[str, Any]) -> None:
    found = _outcome(record, "stale")
    assert found["verdict"] == "different"
    assert found["said"] == "rows that are not made: 1 (stale/9); rows that are new: 1 (stale/0000000)"


def test_what_other_code_or_versions_made_is_told_apart(record: dict[str, Any]) -> None:
    here = installed("pyarrow")
    assert _outcome(record, "library")["made_by"] == [f"pyarrow 1.0.0 -> {here}"]
    assert _outcome(record, "other-code")["made_by"] == ["other code"]
    assert {_outcome(record, name)["verdict"] for name in ("library", "other-code")} == {"equal"}


def test_what_is_damaged_is_found_and_what_lacks_its_input_is_not_passed_over(record: dict[str, Any]) -> None:
    assert _outcome(record, "damaged")["verdict"] == "different"
    assert _outcome(record, "damaged")["said"] == "its data is missing or damaged; made again it is what it claims"
    spoilt = _outcome(record, "spoilt-input")
    assert spoilt["verdict"] == "not made"
    assert spoilt["said"] == "its input data/raw/spoilt-input is not what its manifest describes"
    left = {entry["reason"]: entry["artifacts"] for entry in record["not_made_again"]}
    assert left["an input is not in these results any more"] == ["data/rows/lost-input"]


def test_the_report_is_signed_bound_to_the_results_and_holds_no_text(
    faulty: tuple[Path, subprocess.CompletedProcess[str], Path], record: dict[str, Any]
) -> None:
    report, done, results = faulty
    page = (report / "audit.md").read_text()
    assert done.returncode == 1, done.stderr
    assert page.startswith(f"# Audit of {results}: NOT passed\n")
    assert hashlib.sha256((report / "audit.json").read_bytes()).hexdigest() in page
    assert hashlib.sha256((report / "manifests.sha256").read_bytes()).hexdigest() in page
    subprocess.run(["sha256sum", "--quiet", "-c", str(report / "manifests.sha256")], cwd=results, check=True)
    assert "`data/rows/clock`" in page
    assert "only a comment changed" in page
    assert "equal content" in page
    for said in (page, (report / "audit.json").read_text(), done.stdout, done.stderr):
        assert CANARY not in said
    # What differs is kept, and nothing else.
    kept = {path.stem for path in (report / "different").rglob("*.json")}
    assert kept == {*PLANTED, "stale", "damaged"}
    assert not (report / "work").exists()


def test_untouched_code_passes_over_what_it_can_make(
    faulty: tuple[Path, Any, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the package itself, in this process: what the copy made without a fault was made by other code, and is equal."""
    results = tmp_path / "results" / "tiny"
    for kind, names in (("rows", ("sound", "sound-2")), ("raw", ("sound", "sound-2"))):
        for name in names:
            for path in (faulty[2] / "data" / kind).glob(f"{name}*"):
                target = results / "data" / kind / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(path, target, dirs_exist_ok=True) if path.is_dir() else shutil.copy(path, target)
    audit_results(results, ["read"], False, None, "1min", 0, None)
    said = capsys.readouterr().out
    assert "2 of 2 made again as claimed" in said
    (page,) = (tmp_path / "results" / "audits").glob("tiny-*/audit.md")
    assert f"# Audit of {results}: passed" in page.read_text()
    assert "other code (primum.curate.read)" in page.read_text()
    assert "**Of 1 of 2 stages nothing was made again**: test.\n" in page.read_text()
    assert (
        f"Code: {f'commit {commit}' if (commit := invocation()['commit']) else 'of no known commit'}"
        in page.read_text()
    )
    assert Artifact.open(results / "data" / "rows" / "sound.json").table().num_rows == 1


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("10min", 600), ("1.5h", 5400), ("1d", 86400), ("45", 45)])
def test_a_budget_is_read(text: str, expected: float) -> None:
    assert seconds_of(text) == expected
