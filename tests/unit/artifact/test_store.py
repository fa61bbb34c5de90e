"""The store: whole entries or none, whatever dies, fills up or flips."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from primum.artifact.folder import folder_files, folder_hash
from primum.artifact.manifest import Artifact, Manifest, artifact_key, load_manifest, save_manifest
from primum.artifact.store import Store, table_file
from primum.artifact.table import content_hash, read_table, write_table
from primum.errors import PrimumError

TABLE = pa.table({"id": [f"row-{index:03}" for index in range(40)], "n": list(range(40))})


def _manifest(kind: Any, content: str, key: str, files: dict[str, str] | None = None) -> Manifest:
    return Manifest(kind, "test", {"common": {}, "item": {}}, {}, key, content, {"rows": 40}, files=files or {})


def put_table(store: Store, key: str = "ab" * 32, table: pa.Table = TABLE) -> Manifest:
    filled = store.new_folder()
    write_table(table, table_file(filled), {})
    return store.add(filled, _manifest("table", content_hash(table), key))


def put_folder(store: Store, key: str = "cd" * 32) -> Manifest:
    import numpy as np

    filled = store.new_folder()
    save_file({"weight": np.arange(64, dtype=np.float32)}, filled / "model.safetensors")
    (filled / "nested").mkdir()
    (filled / "nested/config.json").write_text("{}")
    files = folder_files(filled)
    return store.add(filled, _manifest("folder", folder_hash(files), key, files))


def flip(path: Path, seed: int) -> None:
    """One bit of a file, as a disk might."""
    content = bytearray(path.read_bytes())
    position = random.Random(seed).randrange(len(content) * 8)
    content[position // 8] ^= 1 << position % 8
    path.unlink()  # other names of the same file keep what they have
    path.write_bytes(content)


def test_what_was_put_is_found_and_taken(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    manifest = put_table(store)
    assert store.find(manifest.key) == manifest
    store.take(manifest, tmp_path / "out/a.parquet")
    assert read_table(tmp_path / "out/a.parquet").equals(TABLE)
    assert store.find("ff" * 32) is None


def test_a_folder_is_taken_whole_and_nothing_else_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    manifest = put_folder(store)
    target = tmp_path / "model"
    (target / "nested").mkdir(parents=True)
    (target / "stale.bin").write_text("old")
    (target / "nested/config.json").write_text("old")
    store.take(manifest, target)
    assert folder_files(target) == manifest.files == folder_files(store.entry(manifest.key))


def test_an_output_is_never_older_than_its_taking(tmp_path: Path) -> None:
    """Snakemake compares times: what is taken today from an entry of last year was made today."""
    store = Store(tmp_path / "store")
    manifest = put_table(store)
    os.utime(store.entry(manifest.key) / "data.parquet", (1, 1))
    before = time.time() - 1
    store.take(manifest, tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_mtime > before


def test_the_first_of_two_writers_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = put_table(store)
    assert put_table(store, table=TABLE.slice(1)) == first
    assert store.find(first.key) == first
    assert not list((store.root / "tmp").iterdir())


def test_many_writers_of_one_key_leave_one_whole_entry(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    threads = [threading.Thread(target=put_table, args=(store,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.find("ab" * 32) is not None
    assert not list((store.root / "tmp").iterdir())


@pytest.mark.parametrize("seed", range(25))
def test_a_flipped_bit_in_an_entry_makes_it_absent(tmp_path: Path, seed: int) -> None:
    """In its manifest, in a table, in weights: the entry goes, and is made again; unless the flip changed no row."""
    store = Store(tmp_path / "store")
    table, folder = put_table(store), put_folder(store)
    flip(store.entry(table.key) / "manifest.json", seed)
    assert store.find(table.key) is None
    assert not store.entry(table.key).exists()
    flip(store.entry(folder.key) / ("model.safetensors" if seed % 2 else "nested/config.json"), seed)
    assert store.find(folder.key) is None
    table = put_table(store)
    flip(store.entry(table.key) / "data.parquet", seed)
    if store.find(table.key) is not None:
        assert read_table(store.entry(table.key) / "data.parquet").equals(TABLE)


def test_an_entry_that_lost_a_file_is_absent(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    manifest = put_folder(store)
    (store.entry(manifest.key) / "nested/config.json").unlink()
    assert store.find(manifest.key) is None


def test_an_entry_under_another_key_is_absent(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    manifest = put_table(store)
    moved = "ee" * 32
    store.entry(moved).parent.mkdir(parents=True)
    store.entry(manifest.key).rename(store.entry(moved))
    assert store.find(moved) is None


def test_a_damaged_entry_gives_way_to_a_new_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    manifest = put_table(store)
    (store.entry(manifest.key) / "data.parquet").write_bytes(b"")
    assert put_table(store) == manifest
    assert store.find(manifest.key) == manifest


@pytest.mark.parametrize("made_anew", [True, False])
def test_an_entry_that_changes_while_it_is_read_is_not_taken_for_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_anew: bool
) -> None:
    """As by `primum gc` or a refresh: what another process makes in its place meanwhile stays."""
    store = Store(tmp_path / "store")
    manifest = put_table(store)
    read = []

    def load(path: Path) -> Manifest:
        read.append(path)
        if len(read) == 1:
            shutil.rmtree(path.parent)
            if made_anew:
                put_table(store)
            raise PrimumError(f"{path}: no such artifact")
        return load_manifest(path)

    monkeypatch.setattr("primum.artifact.store.load_manifest", load)
    assert store.find(manifest.key) == (manifest if made_anew else None)
    assert store.entry(manifest.key).exists() is made_anew


def test_refresh_replaces_an_entry_and_leaves_what_was_taken(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    manifest = put_table(store)
    store.take(manifest, tmp_path / "a.parquet")
    filled = store.new_folder()
    other = TABLE.slice(3)
    write_table(other, table_file(filled), {})
    store.replace(filled, _manifest("table", content_hash(other), manifest.key))
    found = store.find(manifest.key)
    assert found is not None
    assert found.content == content_hash(other)
    assert read_table(tmp_path / "a.parquet").equals(TABLE)


def test_sweep_removes_what_dead_processes_left_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    mine = store.new_folder()
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from pathlib import Path; from primum.artifact.store import Store; "
         "print(Store(Path(sys.argv[1])).new_folder().name)", str(store.root)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    dead = store.root / "tmp" / done.stdout.strip()
    elsewhere = store.root / "tmp/another-host-1-abcdef01"
    elsewhere.mkdir()
    assert dead.is_dir()
    store.sweep()
    assert (mine.exists(), dead.exists(), elsewhere.exists()) == (True, False, True)


def test_a_lock_is_waited_for_once_and_ends_with_its_holder(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    code = (
        "import sys; from pathlib import Path; from primum.artifact.store import Store\n"
        "with Store(Path(sys.argv[1])).lock('k', lambda: None):\n    print('held', flush=True); sys.stdin.readline()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(store.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waited: list[str] = []

    def waiting() -> None:
        waited.append("waiting")
        holder.kill()

    with store.lock("k", waiting), store.lock("other", waiting):
        assert waited == ["waiting"]
    holder.wait()
    holder.stdout.close()


def test_links_are_no_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(PrimumError, match="artifacts hold no links"):
        folder_files(tmp_path)


# Manifests ----------------------------------------------------------------------------------------------------------


def test_a_manifest_reads_back(tmp_path: Path) -> None:
    manifest = Manifest(
        "table", "score", {"common": {"a": [1, 2.5]}, "item": {}}, {"model": ["c"]}, "k", "c", {"ok": 3}
    )
    save_manifest(manifest, tmp_path / "a.json")
    assert load_manifest(tmp_path / "a.json") == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("seed", range(60))
def test_a_flipped_bit_in_a_manifest_is_refused(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "a.json"
    save_manifest(_manifest("table", "c" * 64, "k" * 64), path)
    before = load_manifest(path)
    flip(path, seed)
    said = f"{path}: "
    try:
        after = load_manifest(path)
    except PrimumError as error:
        after, said = before, str(error)
    assert after == before  # white space, or the escape of the same character
    assert said.startswith(f"{path}: ")
    assert "\n" not in said


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", '"a"', "{}", '{"kind": "table"}', "\x00", '{"kind": NaN}']
)
def test_what_is_no_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(PrimumError, match=r"a\.json"):
        load_manifest(tmp_path / "a.json")


def test_another_schema_version_is_said(tmp_path: Path) -> None:
    save_manifest(Manifest("table", "t", {}, {}, "k", "c", {}, schema_version=99), tmp_path / "a.json")
    with pytest.raises(PrimumError, match="schema version 99, expected 1: run again"):
        load_manifest(tmp_path / "a.json")


def test_keys_depend_on_spec_roles_and_contents() -> None:
    key = artifact_key({"stage": "a"}, {"model": ["x", "y"]})
    others = [
        artifact_key({"stage": "b"}, {"model": ["x", "y"]}),
        artifact_key({"stage": "a"}, {"model": ["y", "x"]}),
        artifact_key({"stage": "a"}, {"judge": ["x", "y"]}),
        artifact_key({"stage": "a"}, {"model": ["x"]}),
    ]
    assert len({key, *others}) == 5


def test_an_artifact_that_is_not_what_its_manifest_says(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    manifest = put_table(store)
    write_table(TABLE.slice(1), tmp_path / "a.parquet", {})
    save_manifest(manifest, tmp_path / "a.json")
    with pytest.raises(PrimumError, match=r"a\.parquet: is not what its manifest describes: delete it and run again"):
        Artifact.open(tmp_path / "a.json").table()


def test_every_file_of_a_model_is_verified(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    manifest = put_folder(store)
    store.take(manifest, tmp_path / "model")
    save_manifest(manifest, tmp_path / "model/manifest.json")
    model = Artifact.open(tmp_path / "model/manifest.json")
    model.verify()
    flip(tmp_path / "model/model.safetensors", 3)
    model.verify(weights=False)
    with pytest.raises(PrimumError, match=r"model\.safetensors: is not what its manifest describes"):
        model.verify()
    (tmp_path / "model/nested/config.json").unlink()
    with pytest.raises(PrimumError, match=r"config\.json: is not what its manifest describes"):
        model.verify(weights=False)
    with pytest.raises(PrimumError, match=r"has no file 'other': it holds model\.safetensors, nested/config\.json"):
        model.file("other")
