"""``extends: NAME``: a file says only in what it differs from another one.

Mappings are merged key by key, at any depth. Anything else replaces what the base has, lists too; ``null`` removes a key.
A base is a file in config/bases/, which need not be whole and is never run, or an experiment.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from primum.errors import PrimumError
from primum.experiment.document import Document, places_of

BASES = "config/bases"
EXPERIMENTS = "config/experiments"


def extended(
    path: Path, root: Path, read: Callable[[Path], dict[str, Any]], children: tuple[Path, ...] = ()
) -> Document:
    """The file at ``path``, which ``read`` reads, with all that it extends below it. ``children`` are those that extend it.

    ``name`` is not inherited, since it names the results' folder. PrimumError for a name that there is not, or a circle.
    """
    content = read(path)
    own = Document(content, path, places_of(content, path))
    base = content.pop("extends", None)
    if base is None:
        return own
    found = _find(base, path, root)
    chain = [*children, path]
    if any(each.resolve() == found.resolve() for each in chain):
        circle = " -> ".join(each.stem for each in [*chain, found])
        raise PrimumError(f"{path}: extends: goes round in a circle: {circle}")
    below = extended(found, root, read, tuple(chain))
    inherited, places = ({key: each[key] for key in each if key != "name"} for each in (below.content, below.places))
    return Document(merged(inherited, own.content), path, {**places, **own.places})


def _find(name: object, path: Path, root: Path) -> Path:
    """The file that ``extends: name`` of the file at ``path`` means."""
    if not isinstance(name, str):
        raise PrimumError(f"{path}: extends: expected the name of one file in {BASES}/ or {EXPERIMENTS}/")
    files = [file for folder in (BASES, EXPERIMENTS) for file in sorted((root / folder).glob("*.yaml"))]
    found = [file for file in files if file.stem == name]
    if not found:
        names = ", ".join(sorted(file.stem for file in files)) or "none"
        raise PrimumError(f"{path}: extends: no file {name!r} in {BASES}/ or {EXPERIMENTS}/; there are: {names}")
    if len(found) > 1:
        raise PrimumError(f"{path}: extends: {name!r} is in both {BASES}/ and {EXPERIMENTS}/: rename one")
    return found[0]


def merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """``own`` over ``base``. A null removes what ``base`` has; one that removes nothing stays, for its key to be checked."""
    result = dict(base)
    for key, value in own.items():
        if value is None and key in base:
            del result[key]
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            result[key] = merged(base[key], value)
        else:
            result[key] = value
    return result
