"""``primum table4``: the table rendered beside a run, or checked against itself."""

from __future__ import annotations

from pathlib import Path

from primum.errors import PrimumError
from primum.table4.check import check
from primum.table4.grid import make_grid
from primum.table4.measured import read_measured
from primum.table4.paper import SUFFIXES, load_table4
from primum.table4.render import FORMATS


def table4(root: Path, results: Path | None, form: str, output: Path | None) -> None:
    """Print the table in ``form``, or write ``table4.html``, ``.md`` and ``.tex`` into ``output`` (all for ``all``).

    ``results`` is an experiment's folder, None where nothing was run. PrimumError when a file cannot be written.
    """
    table = load_table4(root)
    grid = make_grid(table, None if results is None else read_measured(results, table))
    suffixes = dict(zip(FORMATS, SUFFIXES, strict=True))
    wanted = list(FORMATS) if form == "all" else [form]
    if output is None:
        if len(wanted) > 1:
            raise PrimumError("--format all: needs --output FOLDER")
        print(FORMATS[form](grid), end="")
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name in wanted:
            path = output / f"table4.{suffixes[name]}"
            temporary = path.with_name(f".{path.name}")
            temporary.write_text(FORMATS[name](grid), encoding="utf-8")
            temporary.replace(path)
            print(path)
    except OSError as error:
        raise PrimumError(f"{output}: cannot be written: {error.strerror}") from None


def check_table4(root: Path) -> None:
    """Print what the table says of itself. PrimumError where its transcription is not right in itself."""
    statements = check(load_table4(root))
    for statement in statements:
        print({True: "yes  ", False: "no   ", None: "     "}[statement.holds] + statement.text)
    if any(statement.transcription for statement in statements):
        raise PrimumError(
            "data/papers/med42_v2_table4.csv: its averages are not those of its columns: compare with the paper"
        )
