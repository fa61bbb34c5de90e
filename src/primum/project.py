"""Where the project lies that a command works on: the clone with its Snakefile, experiments, catalogs and locks."""

from __future__ import annotations

import os
from pathlib import Path

from primum.artifact.results import was_run
from primum.errors import PrimumError


def project_root(*paths: str | Path | None) -> Path:
    """The clone that the current folder is in, or else the first of ``paths``. PrimumError naming where it looked."""
    here = Path.cwd()
    for place in (here, *(Path(path).resolve() for path in paths if path is not None)):
        for folder in (place, *place.parents):
            if (folder / "Snakefile").is_file() and (folder / "config" / "experiments").is_dir():
                return folder
    raise PrimumError(f"{here}: is in no clone of primum: run this inside one, or give the path of a file in one")


def results_folder(given: str) -> Path:
    """The results folder that a path, or the name of an experiment that was run in this clone, means.

    Raises PrimumError where a name means none. What lies at a path is for who reads it to say.
    """
    path = Path(given)
    if len(path.parts) != 1 or was_run(path):
        return path
    found = Path(os.path.relpath(project_root() / "results" / given))
    if found.is_dir():
        return found
    if path.is_dir():
        return path
    raise PrimumError(f"{found}: no such results folder: give an experiment that was run, or its folder")
