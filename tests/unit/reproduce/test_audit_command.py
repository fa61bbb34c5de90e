"""``primum audit``: what it refuses in one line, the budget that it keeps, and what it asks of a cluster."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from shipped import ROOT
from stage_artifacts import saved, table_artifact

import primum.reproduce.audit
from primum.artifact.manifest import Artifact, Manifest, save_manifest
from primum.cli import main
from primum.cluster.resources import largest_resources
from primum.cluster.site import Partitions, Site
from primum.errors import PrimumError
from primum.experiment import load_experiment
from primum.reproduce.audit import _make, audit
from primum.reproduce.elsewhere import Workshop, elsewhere, here
from primum.reproduce.outcome import Outcome
from primum.reproduce.sample import Candidate, choose
from primum.reproduce.screen import Screen


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """One artifact of a stage that this version does not have."""
    folder = tmp_path / "results" / "tiny"
    saved(table_artifact(folder / "rows" / "a.parquet", pa.table({"id": ["1"]})))
    return folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--all", "--sample", "3"], "--all and --sample do not go together"),
        (["--sample", "0"], "--sample 0: give 1 or more"),
        (["--budget", "soon"], "a budget of soon: is no time"),
        (["--stage", "sfd"], "--stage sfd: no such stage; there are: fetch"),
        (["--stage", "sft"], "has no artifact of the stages sft"),
        (["--profile", "slurm", "--sample", "3"], "--profile takes --budget or --all alone"),
        (["--profile", "slurm", "--all", "--budget", "1h"], "--profile takes --budget or --all, not both"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    results: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["audit", str(results), *words])
    assert stopped.value.code == 1
    assert said in capsys.readouterr().err
    assert not (results.parent / "audits").exists()


def test_a_folder_that_cannot_be_made_is_one_line(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results.parent / "audits").write_text("a file in the place of the folder")
    with pytest.raises(SystemExit) as stopped:
        main(["audit", str(results)])
    assert stopped.value.code == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"primum: error: {results.parent}/audits/tiny-")
    assert said.endswith(": Not a directory: give a folder that can be written to as --output")


def test_a_folder_that_holds_something_is_not_written_to(results: Path) -> None:
    with pytest.raises(PrimumError, match="is there: give a new folder"):
        audit(results, [], None, None, 0, results, Screen(io.StringIO(), None))


def test_a_stage_of_another_version_is_not_checked_and_nothing_made_is_no_pass(results: Path, tmp_path: Path) -> None:
    found = audit(results, [], None, None, 0, tmp_path / "report", Screen(io.StringIO(), None))
    assert found.left == {"test: no such stage in this version of primum": [("rows/a", "test")]}
    assert not found.is_clean


def test_a_manifest_that_says_nothing_of_how_it_was_made_is_no_pass(results: Path, tmp_path: Path) -> None:
    artifact = Artifact.open(results / "rows" / "a.json")
    save_manifest(replace(artifact.manifest, stage="read"), artifact.path)
    found = audit(results, [], None, None, 0, tmp_path / "report", Screen(io.StringIO(), None))
    assert found.wrong == [f"{artifact.path}: its spec is none that a stage can be asked with"]
    assert not found.is_clean


def test_nothing_is_started_that_would_not_end_in_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process takes 10 s where 1.6 were expected: of four the third would end after 29 s."""
    now = [0.0]

    def remake(group: Any, workshop: Any, threads: int) -> list[Outcome]:
        now[0] += 10
        return [Outcome(each.name, "read", "exact", "equal", "c") for each in group]

    monkeypatch.setattr(primum.reproduce.audit, "remake", remake)
    monkeypatch.setattr(primum.reproduce.audit.time, "monotonic", lambda: now[0])
    names = [f"rows/{number}" for number in range(4)]
    artifact = Artifact(tmp_path / "a.json", Manifest("table", "read", {}, {}, "k", "c", {}))
    sample = choose([Candidate(artifact, name, name, 0.1, model=False) for name in names], 29, None, 0)
    assert len(sample.chosen) == 4
    wanted: dict[str, Any] = {name: SimpleNamespace(name=name) for name in names}
    stream = io.StringIO()
    workshop = Workshop(tmp_path / "work", elsewhere(tmp_path / "work", 0), None)
    made = _make(sample, wanted, workshop, {}, 29, Screen(stream, 29))
    assert (len(made.outcomes), len(made.late)) == (2, 2)
    assert "0:20 of 0:29 read: 1 of 1 as claimed" in stream.getvalue()


def test_elsewhere_nothing_is_as_it_is_here(tmp_path: Path) -> None:
    one, other = here(), elsewhere(tmp_path, 0)
    for name in ("directory", "time_zone", "locale", "hash_seed", "umask", "home"):
        assert getattr(one, name) != getattr(other, name), name


def test_a_job_that_makes_anything_again_gets_the_most_that_one_job_has_on_a_node() -> None:
    experiment = load_experiment("med42-v2-8b", ROOT)
    jobs: Any = [
        SimpleNamespace(stage=SimpleNamespace(name=stage), model=model)
        for stage, model in (("read", None), ("sft", "sft"), ("score", "sft"))
    ]
    site = Site(partitions=Partitions(cpu="small", gpu="large"))
    asked = {name: experiment.resources_of(name, "sft") for name in ("curate", "sft", "score")}
    found = largest_resources(experiment, site, jobs, 90)
    assert found["gpu"] == max(each.gpus // each.nodes for each in asked.values()) > 0
    assert found["mem_mb"] == max(each.mem_mb for each in asked.values())
    assert found["runtime"] == 2 + max(each.minutes for each in asked.values())
    assert (found["slurm_partition"], found["nodes"]) == ("large", 1)
    everything = largest_resources(experiment, site, jobs, None)
    assert everything["runtime"] == sum(each.minutes for each in asked.values())
    alone = largest_resources(experiment, site, jobs[:1], 90)
    assert (alone["gpu"], alone["slurm_partition"]) == (0, "small")
