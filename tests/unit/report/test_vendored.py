"""The libraries beside the report's page: they are those that the list names, and a changed one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from primum.errors import PrimumError
from primum.report import vendored
from primum.report.vendored import LIBRARIES, SCRIPTS, VENDOR, Library, write_libraries

HERE = Path(vendored.__file__).parent / VENDOR
# The files that each page has; of those with items, too.
PICTURES = {"d3.min.js", "d3.LICENSE.txt", "plot.min.js", "plot.LICENSE.txt"}
ITEMS = {"tabulator.min.js", "tabulator.min.css", "tabulator.LICENSE.txt"}


@pytest.mark.parametrize("items", [False, True])
def test_a_report_has_the_libraries_that_its_page_loads(tmp_path: Path, items: bool) -> None:
    write_libraries(tmp_path, items)
    written = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    }
    expected = PICTURES | ITEMS if items else PICTURES
    assert written == {f"{VENDOR}/{name}": (HERE / name).read_bytes() for name in expected}
    assert SCRIPTS == ("vendor/d3.min.js", "vendor/plot.min.js"), "d3 first: Plot is built on it"


def test_the_list_has_all_that_is_bundled() -> None:
    assert {path.name for path in HERE.iterdir() if path.is_file()} == PICTURES | ITEMS


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.package)
def test_a_library_is_the_one_that_its_authors_published(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library.version in (HERE / library.files[0].name).read_text(encoding="utf-8")[:60]
    (tmp_path / VENDOR).mkdir()
    monkeypatch.setattr(vendored, "_HERE", tmp_path)
    for path in HERE.iterdir():
        (tmp_path / VENDOR / path.name).write_bytes(path.read_bytes())
    for file in library.files:
        changed = tmp_path / VENDOR / file.name
        content = changed.read_bytes()
        changed.write_bytes(content + b" ")
        with pytest.raises(PrimumError) as refused:
            write_libraries(tmp_path / "report", items=True)
        said = f"{changed}: not the file of {library.package} {library.version}: install primum again"
        assert str(refused.value) == said
        assert not (tmp_path / "report").exists()
        changed.write_bytes(content)
    write_libraries(tmp_path / "report", items=True)
