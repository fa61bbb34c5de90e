"""What is written beside the tables from them: CSV, and Table 4 of Med42-v2."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from primum.tables.csv import write_csv
from primum.verify.finding import Finding, Seen, Unchecked
from primum.verify.reading import BROKEN
from primum.verify.study import Study


def check_copies(study: Study) -> Iterator[Seen]:
    """Every CSV file, and the rendered table, against what the tables give."""
    with tempfile.TemporaryDirectory(prefix="primum-verify-") as folder:
        for artifact in study.graph.artifacts:
            path = artifact.path.with_suffix(".csv")
            if artifact.manifest.stage != "tables":
                continue
            if not path.exists():
                yield Unchecked("tables as CSV", "not there: run snakemake again")
                continue
            fresh = Path(folder, path.name)
            try:
                write_csv(artifact.table(), fresh)
            except BROKEN:
                yield Unchecked("tables as CSV", "the table itself is damaged")
                continue
            if not path.is_file() or path.read_bytes() != fresh.read_bytes():
                yield Finding(path, f"is not what {artifact.data.name} gives", "delete it and run snakemake again")
        yield from _check_table4(study, Path(folder))


def _check_table4(study: Study, folder: Path) -> Iterator[Seen]:
    from primum.table4.grid import make_grid
    from primum.table4.measured import read_measured
    from primum.table4.paper import SUFFIXES, load_table4
    from primum.table4.render import FORMATS

    found = {suffix: study.results / "tables" / f"table4.{suffix}" for suffix in SUFFIXES}
    found = {suffix: path for suffix, path in found.items() if path.exists()}
    if not found:
        return
    if study.root is None:
        yield Unchecked("files of Table 4", "the project, which has the paper's numbers, is not at hand", len(found))
        return
    try:
        table = load_table4(study.root)
        grid = make_grid(table, read_measured(study.results, table))
    except BROKEN:
        yield Unchecked("files of Table 4", "the table benchmarks is damaged, or not here", len(found))
        return
    for form, suffix in zip(FORMATS, SUFFIXES, strict=True):
        path = found.get(suffix)
        if path is not None and not (path.is_file() and path.read_bytes() == FORMATS[form](grid).encode("utf-8")):
            yield Finding(path, "is not what the table benchmarks gives", "delete it and run snakemake again")
