"""A mirror folder, which stands in for the network: where in it things lie, and its own records of repositories.

``datasets/<hub>/<commit>/``, ``models/<hub>/<commit>/`` and ``git/<address>/<commit>/`` hold a repository's files,
``<commit>.json`` beside them what the hub or git states of these; files with an address of their own, and files of the project,
lie under the catalog's paths.
"""

from __future__ import annotations

import os
from pathlib import Path

from primum.errors import PrimumError
from primum.hub.lock import Listing, read_listing, title
from primum.hub.source import Source

MIRROR_VARIABLE = "PRIMUM_MIRROR"


def mirror_folder() -> Path | None:
    """The mirror that a run was given, if any."""
    given = os.environ.get(MIRROR_VARIABLE)
    return Path(given) if given else None


def mirrored(mirror: Path, source: Source) -> Path:
    """The folder of the files of a repository at its commit."""
    return mirror / title(source.kind, source.hub) / source.revision


def record_of(folder: Path) -> Path:
    """What the hub states of a :func:`mirrored` folder's files."""
    return folder.with_name(f"{folder.name}.json")


def recorded(mirror: Path, source: Source) -> Listing:
    """The mirror's own record of a repository. PrimumError where it has none."""
    path = record_of(mirrored(mirror, source))
    if not path.is_file():
        raise PrimumError(f"{source.where}: {source.at} is not in the mirror {mirror}: add it with `primum mirror`")
    return read_listing(path, source.kind, source.hub)
