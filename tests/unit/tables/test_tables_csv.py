"""CSV copies: what a spreadsheet must not run, and what must survive."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study import save_table

from primum.artifact.manifest import save_manifest
from primum.cli import main
from primum.errors import PrimumError
from primum.tables.csv import export_csv, write_csv

SCHEMA = pa.schema([("id", pa.string()), ("note", pa.string()), ("value", pa.float64())])


def test_formulas_are_text_and_numbers_stay_numbers(tmp_path: Path) -> None:
    notes = ["=1+1", "+1", "-1", "@a", "\tx", "plain", "", None]
    rows = [{"id": str(i), "note": note, "value": -0.1 * i} for i, note in enumerate(notes)]
    write_csv(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        header, *read = csv.reader(file)
    assert header == ["id", "note", "value"]
    assert [row[1] for row in read] == ["'=1+1", "'+1", "'-1", "'@a", "'\tx", "plain", "", ""]
    assert [float(row[2]) for row in read] == [row["value"] for row in rows]
    assert list(tmp_path.iterdir()) == [tmp_path / "t.csv"], "nothing temporary stays"


@given(st.text(st.characters(codec="utf-8")))
def test_no_cell_starts_a_formula(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    write_csv(pa.Table.from_pylist([{"id": "1", "note": text, "value": 1.0}], schema=SCHEMA), path)
    with path.open(encoding="utf-8", newline="") as file:
        cell = list(csv.reader(file))[1][1]
    assert cell.removeprefix("'") == text.removeprefix("'")
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_export_lies_beside_the_table(tmp_path: Path) -> None:
    save_table([{"id": "1", "note": "a", "value": 0.5}], SCHEMA, tmp_path / "benchmarks.json")
    assert export_csv(tmp_path / "benchmarks.json").read_bytes() == b"id,note,value\r\n1,a,0.5\r\n"


def test_of_several_tables_each_has_a_file_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("safety", "axes"):
        table = save_table([{"id": name, "note": "a", "value": 0.5}], SCHEMA, tmp_path / f"{name}.json")
        save_manifest(replace(table.manifest, sensitive=False), table.path)
    with pytest.raises(SystemExit):
        main(["csv", "safety.json", "axes.json", "copies"])
    assert "copies: is no folder, which several tables need" in capsys.readouterr().err
    (tmp_path / "copies").mkdir()
    with pytest.raises(SystemExit):
        main(["csv", "safety.json", "none.json", "copies"])
    assert list((tmp_path / "copies").iterdir()) == []
    main(["csv", "safety.json", "axes.json", "copies"])
    written = {path.name: path.read_bytes() for path in (tmp_path / "copies").iterdir()}
    assert written == {f"{name}.csv": f"id,note,value\r\n{name},a,0.5\r\n".encode() for name in ("safety", "axes")}


def test_an_unwritable_place_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PrimumError, match="cannot be written"):
        write_csv(pa.table({"id": ["1"]}), tmp_path / "none" / "t.csv")
