"""What a manifest says of its making (``run``), as every reader of histories takes it to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from primum.artifact.manifest import Manifest
from primum.errors import PrimumError


def check_run(manifest: Manifest, path: Path) -> Manifest:
    """The manifest at ``path``; PrimumError naming a field of its ``run`` that holds what no job writes there.

    A job reads no ``run`` of what it is made of, so it does not ask. Somebody may have edited it, with a fitting checksum.
    """
    for name, fits in _FORMS.items():
        if name in manifest.run and not fits(manifest.run[name], manifest):
            wrong = f"damaged: its {name!r} under 'run' is none that a job writes: delete it and run again"
            raise PrimumError(f"{path}: {wrong}")
    return manifest


def _is_text(value: Any, _: Manifest) -> bool:
    return value is None or isinstance(value, str)


def _is_time(value: Any, _: Manifest) -> bool:
    try:
        return datetime.fromisoformat(value) is not None
    except (TypeError, ValueError):
        return False


def _is_number(value: Any, _: Manifest) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_object(value: Any, _: Manifest) -> bool:
    return value is None or isinstance(value, dict)


def _are_digests(value: Any, _: Manifest) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(each, str) for each in value.values()))


def _are_texts(value: Any, _: Manifest) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(each, str) for each in value))


def _are_keys(value: Any, manifest: Manifest) -> bool:
    """One for each input of a role."""
    return value is None or (
        isinstance(value, dict)
        and all(
            isinstance(keys, list) and len(keys) == len(manifest.inputs.get(role, ())) for role, keys in value.items()
        )
        and all(key is None or isinstance(key, str) for keys in value.values() for key in keys)
    )


def _are_notes(value: Any, _: Manifest) -> bool:
    return isinstance(value, list) and all(
        isinstance(note, dict)
        and all(isinstance(note.get(name), str) for name in ("by", "at", "why", "key"))
        and isinstance(note.get("modules"), list | None)
        and isinstance(note.get("libraries"), dict)
        for note in value
    )


_FORMS: Mapping[str, Callable[[Any, Manifest], bool]] = {
    **dict.fromkeys(("user", "host", "machine", "commit", "container", "command", "driver", "cuda"), _is_text),
    "finished": _is_time,
    "seconds": _is_number,
    "cost": _is_object,
    "lock": _is_object,
    "modules": _are_digests,
    "gpus": _are_texts,
    "input_keys": _are_keys,
    "adopted": _are_notes,
}
