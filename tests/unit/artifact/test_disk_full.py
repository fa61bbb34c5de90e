"""A disk that fills up while a stage writes: one line that says so, nothing half-written, and the next run goes on.

The limit on the size of a file (RLIMIT_FSIZE) stands in for a full disk: a write beyond it fails in the same calls, without
a file system of our own. Where tests run as root on Linux, a real file system of a megabyte is filled as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from primum.artifact.canonical import canonical_json
from primum.artifact.manifest import Artifact

ROOT = Path(__file__).parents[3]
ROWS = 20_000


def spec(root: Path) -> str:
    """A fetch job of one file of some megabytes that does not compress."""
    path = root / "raw.jsonl"
    if not path.exists():
        path.write_text("".join(json.dumps({"text": os.urandom(64).hex()}) + "\n" for _ in range(ROWS)))
    file = {"path": "raw.jsonl", "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "url": None}
    item = {"hub": None, "revision": "unknown", "subset": None, "split": None, "files": [file]}
    return canonical_json({"stage": "fetch", "code": "c", "libraries": {}, "common": {}, "items": [["raw", item]]})


def fetch(root: Path, target: Path, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """`primum stage fetch` with its outputs and store under ``target``."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "primum.cli",
                "stage",
                "fetch",
                "--spec",
                spec(root),
                "--store",
                str(target / "store"),
            ),
            *("--outputs", str(target / "results/raw/manifest.json"), "--log", str(root / "log.txt")),
        ],
        cwd=root,
        preexec_fn=limited,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _refused(done: subprocess.CompletedProcess[str], target: Path) -> None:
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith("[fetch] error: "), lines[-1]
    assert "Traceback" not in done.stderr
    assert not [path for path in (target / "results").rglob("*") if path.is_file()]
    assert not [path for path in (target / "store").rglob("*") if path.is_file() and "locks" not in path.parts]


def test_a_file_that_cannot_grow(tmp_path: Path) -> None:
    target = tmp_path / "target"
    done = fetch(tmp_path, target, limit=300_000)
    _refused(done, target)
    assert "files of this size: make room and run again" in done.stderr
    assert fetch(tmp_path, target).returncode == 0
    Artifact.open(target / "results/raw/manifest.json").verify()


def test_a_disk_that_is_full(tmp_path: Path, small_disk: Path) -> None:
    done = fetch(tmp_path, small_disk)
    _refused(done, small_disk)
    assert "no space left" in done.stderr
    subprocess.run(["mount", "-o", "remount,size=32m", str(small_disk)], check=True)
    assert fetch(tmp_path, small_disk).returncode == 0
    Artifact.open(small_disk / "results/raw/manifest.json").verify()
