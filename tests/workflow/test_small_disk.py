"""A disk that is too small, at one size after another: each run says so and stops, and the last one ends like any other."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import copy_project
from tiny import snakemake, write
from tiny_run import TinyRun

from primum.artifact.manifest import Artifact, load_manifest

SIZES_KB = (60, 450, 800)
ENOUGH_KB = 65_536


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    size = f"size={SIZES_KB[0]}k"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def artifacts(results: Path) -> dict[str, Artifact]:
    """Every artifact under ``results``, the store left out."""
    found = {}
    for path in sorted(results.rglob("*.json")):
        if ".store" not in path.parts and (path.name == "manifest.json" or path.with_suffix(".parquet").exists()):
            found[path.relative_to(results).as_posix()] = Artifact.open(path)
    return found


def test_a_run_on_a_disk_that_is_too_small(tmp_path: Path, disk: Path, tiny_run: TinyRun) -> None:
    project = copy_project(tmp_path / "project")
    write(project)
    finished = artifacts(tiny_run.project / "results")
    undisturbed = {name: artifact.manifest.content for name, artifact in finished.items()}
    done = []
    for size in SIZES_KB:
        subprocess.run(["mount", "-o", f"remount,size={size}k", str(disk)], check=True)
        output = snakemake(project, f"results={disk}/results", fails=True)
        assert "no space left" in output.lower(), output[-3000:]
        assert "Traceback" not in output, output[-6000:]
        for artifact in artifacts(disk / "results").values():
            if artifact.manifest.kind == "table":
                artifact.table()
            else:
                artifact.verify()
        done.append(len(artifacts(disk / "results")))
    assert done == sorted(done)
    assert done[-1] > done[0]
    subprocess.run(["mount", "-o", f"remount,size={ENOUGH_KB}k", str(disk)], check=True)
    snakemake(project, f"results={disk}/results")
    assert {name: each.manifest.content for name, each in artifacts(disk / "results").items()} == undisturbed
    assert load_manifest(disk / "results/tiny/report/manifest.json").stage == "report"
