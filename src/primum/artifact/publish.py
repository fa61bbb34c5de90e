"""What is in the store, put where an experiment asks for it."""

from __future__ import annotations

from dataclasses import replace

from primum.artifact.manifest import Artifact, Manifest, data_path, save_manifest
from primum.artifact.private import tighten
from primum.artifact.request import Asked
from primum.artifact.store import Store
from primum.errors import PrimumError


def restore(store: Store, artifact: Artifact) -> None:
    """Data that was deleted beside its manifest comes back from the store. PrimumError where that has not the same."""
    if artifact.manifest.kind == "table" and not artifact.data.exists():
        found = store.find(artifact.manifest.key)
        if found is None or found.content != artifact.manifest.content:
            raise PrimumError(f"{artifact.data}: missing, and not in the store: delete {artifact.path} and run again")
        store.take(found, artifact.data, private=bool(artifact.manifest.sensitive))


def publish(store: Store, manifest: Manifest, spec: str, asked: Asked, taken: bool) -> None:
    """Put the data of an entry, then its manifest, where it is ``asked`` for: a manifest is there only when its data is.

    ``spec`` is the whole job's. What is sensitive, or was for another experiment, is closed to other users in the store as well.
    PrimumError when it cannot be written.
    """
    output, sensitive = asked.path, asked.sensitive or manifest.sensitive is True
    try:
        if sensitive:
            store.mark(manifest)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.unlink(missing_ok=True)
        data = data_path(output, manifest.kind)
        store.take(manifest, data, private=sensitive)
        run = {**manifest.run, "taken_from_store": taken}
        save_manifest(replace(manifest, job=spec, run=run, sensitive=sensitive), output)
        if sensitive:
            tighten(data)
    except OSError as error:
        raise PrimumError(f"{output}: cannot be written: {error.strerror}") from None


def took(store: Store, manifest: Manifest, spec: str, asked: Asked) -> bool:
    """Publish an entry that was there, and say whether it still was: somebody may be clearing up the store.

    PrimumError when it cannot be written.
    """
    try:
        publish(store, manifest, spec, asked, taken=True)
    except PrimumError:
        if store.manifest(manifest.key) is not None:
            raise
        return False
    return True
