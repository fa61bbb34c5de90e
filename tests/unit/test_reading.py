"""A named pipe in the place of a file is one line for each kind of reader, and nobody waits for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stage_artifacts import make_job

from primum.artifact.invocation import invocation_of, requested
from primum.artifact.manifest import load_manifest
from primum.artifact.request import load_request
from primum.artifact.results import experiment_of, written_experiment
from primum.artifact.store import Store
from primum.artifact.table import column_names, file_hash, read_table, row_count
from primum.curate import fetch
from primum.curate.adapters.files import RawFile, csv_rows, json_lines
from primum.curate.adapters.parquet import parquet_rows
from primum.errors import PrimumError
from primum.hub.lock import HubFile, Listing, read_lock
from primum.hub.mirror import MIRROR_VARIABLE, mirrored
from primum.hub.source import Source
from primum.hub.transfer import copy
from primum.project import results_folder
from primum.reading import regular
from primum.reproduce.crate import open_crate

SOURCE = Source("datasets.d", "dataset", "org/chat", "0" * 40, ("a.json",))


def raw(read: Callable[[RawFile], Any]) -> Callable[[Path], Any]:
    return lambda path: list(read(RawFile(path, path.name)))


def from_mirror(path: Path) -> None:
    mirror = path.parents[4]
    assert mirrored(mirror, SOURCE) == path.parent
    listing = Listing("dataset", SOURCE.hub, SOURCE.revision, {"a.json": HubFile(1, "sha256:" + "0" * 64)})
    copy(mirror, SOURCE, listing, ["a.json"], mirror / "to", lambda done: None)


def from_files(path: Path) -> None:
    file = {"path": path.name, "url": "https://example.org", "sha256": "0" * 64, "hub": None, "revision": None}
    spec = {"files": [file], "hub": None, "revision": None}
    list(fetch.run(make_job(path.parent, {}, {"d": (spec, {})})))


READERS: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "manifest": ("a.json", load_manifest, r"a\.json: cannot be read \(a pipe, .*\): see to it and run again"),
    "request": ("a.json", load_request, r"a\.json: is no request of a job: run snakemake again"),
    "table": ("a.parquet", read_table, r"a\.parquet: is a pipe, .*: delete it and run again"),
    "rows": ("a.parquet", row_count, r"a\.parquet: is a pipe, .*: delete it and run again"),
    "columns": ("a.parquet", column_names, r"a\.parquet: is a pipe, .*: delete it and run again"),
    "slices": ("a.parquet", file_hash, r"a\.parquet: is a pipe, .*: delete it and run again"),
    "experiment": ("experiment.json", lambda path: written_experiment(path.parent), "cannot be read: name an experiment"),
    "crate": ("ro-crate-metadata.json", lambda path: open_crate(path.parent), "cannot be read: name the folder of a crate"),
    "csv": ("a.csv", raw(csv_rows), r"a\.csv: cannot be read \(a pipe, .*\): fetch it again"),
    "packed": ("a.jsonl.gz", raw(json_lines), r"a\.jsonl\.gz: cannot be read \(a pipe, .*\): fetch it again"),
    "parquet": ("a.parquet", raw(parquet_rows), r"a\.parquet: cannot be read as Parquet .*: fetch it again"),
    "lock": ("config/hub.lock.json", lambda path: read_lock(path.parents[1]), "cannot be read as JSON: restore it"),
    "mirror": (f"datasets/org/chat/{'0' * 40}/a.json", from_mirror, "cannot be read .*: run `primum mirror` again"),
    "file": ("a.csv", from_files, "cannot be read .*: run `primum mirror` again"),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_each_reader_refuses_it(tmp_path: Path, in_time: None, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MIRROR_VARIABLE, str(tmp_path))
    name, read, said = READERS[reader]
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(PrimumError, match=said) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_what_is_looked_at_in_passing_counts_as_absent(
    tmp_path: Path, in_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results/demo"
    (results / "requests").mkdir(parents=True)
    for name in ("experiment.json", "requests/run.json", "requests/a.json"):
        os.mkfifo(results / name)
    assert experiment_of(results) == {}
    assert requested(results) == {}
    assert "command" in invocation_of(results / "requests/a.json")
    monkeypatch.chdir(tmp_path)
    assert results_folder("results/demo") == Path("results/demo")
    key = "ab" * 32
    entry = tmp_path / "store/ab" / key
    entry.mkdir(parents=True)
    os.mkfifo(entry / "manifest.json")
    assert Store(tmp_path / "store").manifest(key) is None
    assert Store(tmp_path / "store").find(key) is None
    assert not entry.exists()


def test_a_socket_and_a_device_are_no_files_and_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    assert regular(tmp_path / "link") == tmp_path / "link"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "socket", Path("/dev/null")):
            with pytest.raises(OSError, match="a pipe, a socket or a device, and no file"):
                regular(path)
    with pytest.raises(FileNotFoundError):
        regular(tmp_path / "nothing")
