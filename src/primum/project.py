"""Where the project lies that a command works on: the clone with its Snakefile, experiments, catalogs and locks."""

from __future__ import annotations

from pathlib import Path

from primum.errors import PrimumError


def project_root(*paths: str | Path | None) -> Path:
    """The clone that the current folder is in, or else the first of ``paths``. PrimumError naming where it looked."""
    here = Path.cwd()
    for place in (here, *(Path(path).resolve() for path in paths if path is not None)):
        for folder in (place, *place.parents):
            if (folder / "Snakefile").is_file() and (folder / "config" / "experiments").is_dir():
                return folder
    raise PrimumError(f"{here}: is in no clone of primum: run this inside one, or give the path of a file in one")
