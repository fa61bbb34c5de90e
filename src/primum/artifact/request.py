"""What a job is asked for, as a file: a spec and its inputs may be longer than Linux lets one argument be (131,072 bytes)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from primum.artifact.store import Store
from primum.errors import PrimumError
from primum.reading import regular

Inputs = Mapping[str, Sequence[Path]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One artifact to make: where its manifest goes, and the manifests that it alone reads, by role.

    A ``sensitive`` one is its owner's alone, and marked.
    """

    path: Path
    inputs: Inputs = field(default_factory=dict)
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One job: its spec, one output for each of the spec's items, and the manifests that all of them read, by role.

    ``refresh`` names the items that are to be made whatever the store has. ``batch`` says that an endpoint is asked in batches:
    here, and in no spec, since the answers are of the same kind.
    """

    spec: str
    outputs: Sequence[Asked]
    inputs: Inputs
    kind: Literal["table", "folder"]
    store: Store
    refresh: frozenset[str] = frozenset()
    batch: bool = False

    def save(self, path: Path) -> None:
        """Write the request, by a rename, unless it is there already."""
        content = json.dumps(
            {
                "spec": self.spec,
                "kind": self.kind,
                "store": str(self.store.root),
                "refresh": sorted(self.refresh),
                "batch": self.batch,
                "inputs": _text(self.inputs),
                "outputs": [
                    {"path": str(output.path), "inputs": _text(output.inputs), "sensitive": output.sensitive}
                    for output in self.outputs
                ],
            },
            indent=1,
        )
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text(content, encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def load_request(path: Path) -> Request:
    """Read what :meth:`Request.save` wrote. PrimumError with the path and the remedy when it is not that."""
    try:
        content = json.loads(regular(path).read_text(encoding="utf-8"))
        return Request(
            spec=content["spec"],
            kind=content["kind"],
            store=Store(Path(content["store"])),
            refresh=frozenset(content["refresh"]),
            batch=content["batch"],
            inputs=_paths(content["inputs"]),
            outputs=[
                Asked(Path(output["path"]), _paths(output["inputs"]), output["sensitive"])
                for output in content["outputs"]
            ],
        )
    except FileNotFoundError:
        raise PrimumError(f"{path}: no such request: snakemake writes it before its first job") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise PrimumError(f"{path}: is no request of a job: run snakemake again") from None


def _text(inputs: Inputs) -> dict[str, list[str]]:
    return {role: [str(path) for path in paths] for role, paths in inputs.items() if paths}


def _paths(inputs: Mapping[str, Any]) -> dict[str, list[Path]]:
    return {role: [Path(path) for path in paths] for role, paths in inputs.items()}
