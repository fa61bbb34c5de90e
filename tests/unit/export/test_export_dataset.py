"""Datasets for the hub: the rows by its own reader, Croissant by its own library; whole or not at all."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from curated_example import ASKED, HUB, chat, exported, finished, source_of
from curated_run import CuratedRun

from primum.artifact.manifest import Artifact, save_manifest
from primum.artifact.table import content_hash
from primum.cli import main
from primum.errors import PrimumError
from primum.export import shards
from primum.export.command import export_dataset
from primum.text.rows import TextRow, to_table


def records(folder: Path) -> list[dict[str, Any]]:
    """What mlcroissant reads, with keys and texts as the table has them."""
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=folder / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key.rpartition("/")[2]: plain(each) for key, each in value.items()}
        return [plain(each) for each in value] if isinstance(value, list) else value.decode()

    return [plain(record) for record in dataset.records("default")]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: next(iter(asked.values())))
@pytest.mark.parametrize("several", [False, True])
def test_the_hubs_readers_get_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], several: bool
) -> None:
    from datasets import load_dataset

    if several:
        monkeypatch.setattr(shards, "_GROUP_ROWS", 2)
        monkeypatch.setattr("primum.export.dataset.SHARD_BYTES", 1)
    folder = exported(tmp_path, **asked)
    table = source_of(tmp_path, **asked).table()
    files = sorted(folder.glob("data/*"))
    count = -(-table.num_rows // 2) if several else 1
    assert [file.name for file in files] == [f"train-{n:05d}-of-{count:05d}.parquet" for n in range(count)]
    # The card's counts are compared with what is read.
    loaded = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"), verification_mode="all_checks")
    assert list(loaded) == ["train"]
    assert loaded["train"].to_list() == table.to_pylist()
    assert records(folder) == table.to_pylist()
    read = pa.concat_tables(pq.read_table(file, page_checksum_verification=True) for file in files)
    assert content_hash(read) == source_of(tmp_path, **asked).manifest.content


def test_a_file_holds_as_much_as_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_GROUP_ROWS", 100)
    text = [TextRow(f"a/{n:05d}", "a", hashlib.sha256(str(n).encode()).hexdigest() * 16) for n in range(2000)]
    run = CuratedRun(tmp_path / "run")
    run.table("rows/a", to_table(text, TextRow), "read", {}, {})
    (tmp_path / "out").mkdir()
    artifact = run.artifact("rows/a")
    written = shards.write_shards(artifact, tmp_path / "out", limit=20_000)
    sizes = [file.size for file in written.files]
    assert len(sizes) > 3
    # Above the limit by one group of rows, the footer and the index at most.
    assert all(20_000 <= size < 45_000 for size in sizes[:-1])
    assert (written.rows, written.by_source) == (2000, {"a": 2000})


def test_croissant_has_checksums_that_its_library_compares(tmp_path: Path) -> None:
    folder = exported(tmp_path, mixture="talk")
    said = json.loads((folder / "croissant.json").read_text())
    assert said["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    (file,) = said["distribution"]
    data = folder / file["contentUrl"]
    assert (file["sha256"], file["contentSize"]) == (
        hashlib.sha256(data.read_bytes()).hexdigest(),
        f"{data.stat().st_size} B",
    )
    # Nobody knows these here.
    assert not {"citeAs", "url", "version", "datePublished", "creator", "publisher", "inLanguage"} & set(said)
    assert said["license"] == ["CC-BY-NC-4.0", "MIT"]
    pq.write_table(pq.read_table(data).slice(1), data)
    with pytest.raises(Exception, match=r"the operation Download\(data/train-00000") as error:
        records(folder)
    assert "Hash of downloaded file" in str(error.value.__cause__)


def test_croissant_says_no_licence_where_one_is_unknown(tmp_path: Path) -> None:
    folder = exported(tmp_path, mixture="corpus")
    assert "license" not in json.loads((folder / "croissant.json").read_text())


def test_the_same_bytes_again(tmp_path: Path) -> None:
    first = exported(tmp_path, mixture="talk")
    export_dataset(tmp_path / "run", "talk", None, tmp_path / "again", force=False)
    files = [path for path in first.rglob("*") if path.is_file()]
    assert len(files) == 3
    for path in files:
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(first)).read_bytes()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, output = str(finished(tmp_path / "run")), tmp_path / "out"
    output.mkdir()  # an empty folder is as good as none
    arguments = ["export", results, "--format", "dataset", "--output", str(output)]
    main([*arguments, "--mixture", "talk"])
    assert "13 rows" in capsys.readouterr().out
    for wrong, said in (
        ([*arguments, "--mixture", "corpus"], "is there already"),
        (arguments, "give --mixture NAME or --preferences NAME"),
        ([*arguments, "--mixture", "talk", "--preferences", "own"], "give --mixture NAME or --preferences NAME"),
        ([*arguments, "--force", "--mixture", "tlak"], "no mixtures.tlak; there are: corpus, harm, talk"),
        ([*arguments, "--force", "--preferences", "talk"], "no preferences.talk; there are: own, stage-1"),
        (["export", results, "--format", "hf", "--output", "x", "--mixture", "talk"], "belong to --format dataset"),
    ):
        with pytest.raises(SystemExit):
            main(wrong)
        error = capsys.readouterr().err
        assert said in error
        assert len(error.splitlines()) == 1
    main([*arguments, "--force", "--mixture", "corpus"])
    assert "7 rows" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"], "nothing temporary stays"


@pytest.mark.parametrize("asked", [("--mixture", "harm"), ("--preferences", "own")])
def test_what_is_sensitive_is_written_only_where_it_is_asked_for_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: tuple[str, str]
) -> None:
    output = tmp_path / "out"
    arguments = ["export", str(finished(tmp_path / "run")), "--format", "dataset", "--output", str(output), *asked]
    flag, word = "--include-harmful-text", "i-understand"
    for once, said in (([], f"{flag} {word} writes it"), ([flag], "expected one argument"), ([flag, "yes"], word)):
        with pytest.raises(SystemExit):
            main([*arguments, *once])
        assert said in capsys.readouterr().err
        assert not output.exists()
    main([*arguments, flag, word])
    assert "for its owner alone, until you open it" in capsys.readouterr().out
    written = [output, *output.rglob("*")]
    assert len(written) == 5
    assert {path.name for path in written if path.stat().st_mode & 0o077} == set()


def test_what_nobody_marked_is_not_taken_for_harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = Artifact.open(finished(tmp_path / "run") / "data/mixtures/talk.json")
    save_manifest(replace(artifact.manifest, sensitive=None), artifact.path)
    with pytest.raises(PrimumError, match="was made before sensitive artifacts were marked, and may be one"):
        export_dataset(tmp_path / "run", "talk", None, tmp_path / "out", force=False)
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        main(["csv", str(artifact.path), str(tmp_path / "talk.csv")])
    assert "may be one" in capsys.readouterr().err
    assert not (tmp_path / "talk.csv").exists()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_export_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException | type[BaseException]
) -> None:
    finished(tmp_path / "run")

    def interrupted(*_: object, **__: object) -> None:
        assert list(tmp_path.glob(".talk.*/new/data/*.parquet")), "the rows are written"
        raise stop

    monkeypatch.setattr("primum.export.dataset.write_croissant", interrupted)
    with pytest.raises((KeyboardInterrupt, PrimumError)):
        exported(tmp_path, mixture="talk")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_without_mlcroissant_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "mlcroissant", None)
    with pytest.raises(PrimumError, match=r"pip install 'mlcroissant>=1\.1,<2'"):
        exported(tmp_path, mixture="talk")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_only_what_the_rows_were_made_of_is_named(tmp_path: Path) -> None:
    """A card would name other sources than the rows have, if the datasets, or the ledger, were made again since."""
    results = finished(tmp_path / "run")
    other = CuratedRun(tmp_path / "other")
    other.dataset("chat", [chat(5)], **HUB)
    other.mixture("talk", sources={"a": {"dataset": "chat"}})
    for name, said in (
        ("data/raw/chat/manifest.json", r"raw/chat/manifest\.json: is not what the data was made from"),
        ("data/rows/chat.json", r"rows/chat\.json: is not what the data was made from"),
        ("data/ledgers/talk.json", r"ledgers/talk\.json: is no ledger of the rows beside it"),
    ):
        path = results / name
        before = path.read_bytes()
        if "raw" in name:
            manifest = Artifact.open(path).manifest
            save_manifest(
                type(manifest)(**{**{k: getattr(manifest, k) for k in manifest.__slots__}, "content": "0"}), path
            )
        else:
            path.write_bytes((tmp_path / "other" / name).read_bytes())
        with pytest.raises(PrimumError, match=said):
            exported(tmp_path, mixture="talk")
        path.write_bytes(before)
    for name in ("data/mixtures/talk.json", "data/ledgers/talk.json", "data/rows/other.json"):
        path = results / name
        path.rename(tmp_path / "away")
        with pytest.raises(PrimumError, match="no such artifact: run the stage that makes it"):
            exported(tmp_path, mixture="talk")
        (tmp_path / "away").rename(path)
    assert exported(tmp_path, mixture="talk").is_dir()


def test_damaged_rows_are_not_exported(tmp_path: Path) -> None:
    results = finished(tmp_path / "run")
    path = results / "data/mixtures/talk.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, table.schema.field(1), table.column(1).take(list(range(12, -1, -1)))), path)
    with pytest.raises(PrimumError, match="is not what its manifest describes"):
        exported(tmp_path, mixture="talk")
    assert not (tmp_path / "talk").exists()
