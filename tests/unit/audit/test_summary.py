"""What ends a run: a folder that is not there is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from primum.audit.summary import summarize
from primum.errors import PrimumError


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert summarize(tmp_path) == f"\n{tmp_path}: 0 artifacts, 0 of them taken from the store."
    with pytest.raises(PrimumError, match=r"none: no such results folder: give the path of one, such as results/demo"):
        summarize(tmp_path / "none")
