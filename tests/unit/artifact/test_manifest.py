"""Manifests that somebody wrote by hand: one line for each, wherever they are read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from primum.artifact.manifest import Manifest, load_manifest, save_manifest
from primum.errors import PrimumError

GOOD = Manifest(
    kind="table", stage="read", spec={"code": "c"}, inputs={"rows": ["aa"]}, key="k", content="d", counts={"rows": 1}
)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "list"},
        {"stage": None},
        {"key": 1},
        {"spec": []},
        {"inputs": ["aa"]},
        {"inputs": {"rows": "aa"}},
        {"inputs": {"rows": [1]}},
        {"counts": None},
        {"files": {"a": 1}},
        {"files": []},
        {"run": "x"},
    ],
)
def test_a_field_of_another_type_is_no_manifest_even_with_a_fitting_checksum(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    save_manifest(replace(GOOD, **change), tmp_path / "m.json")
    with pytest.raises(PrimumError, match=r"m\.json: not a manifest, or damaged: .* delete it and run again"):
        load_manifest(tmp_path / "m.json")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_has_not_is_no_manifest(tmp_path: Path, number: str) -> None:
    save_manifest(GOOD, tmp_path / "m.json")
    text = (tmp_path / "m.json").read_text().replace('"rows": 1', f'"rows": {number}')
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(PrimumError, match=r"m\.json: not a manifest, or damaged"):
        load_manifest(tmp_path / "m.json")
