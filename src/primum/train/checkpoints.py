"""Checkpoints that a training can go on from: each process vouches for what it wrote itself, and all look before they trust.

A folder ``checkpoint-STEP`` is the Trainer's own; of a shared model it holds a shard a process (torch.distributed.checkpoint).
What was half written when a job was killed, cut short by a full disk, or lost since, has no mark or fails it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from primum.artifact.folder import file_sha256
from primum.errors import PrimumError
from primum.parallel.processes import all_agree, from_first, gathered, is_launched, rank, world_size
from primum.progress import Progress

_MARK = "complete-{}.json"
# Of the files of a checkpoint those with a process' number in their name: its shards, its random states.
_OWN = re.compile(r"^(?:__|rng_state_)(\d+)[_.]")


def _mine(path: Path) -> bool:
    """Whether this process wrote a file of a checkpoint; what has no number the first one did."""
    number = _OWN.match(path.name)
    return (int(number[1]) if number else 0) == rank()


def vouch(folder: Path) -> int:
    """Write this process' mark for a checkpoint: the checksum of each file that it wrote. Returns their bytes."""
    written = [path for path in sorted(folder.rglob("*")) if path.is_file() and _mine(path)]
    files = {path.relative_to(folder).as_posix(): file_sha256(path) for path in written if "complete-" not in path.name}
    record = {"processes": world_size(), "sharded": is_launched(), "files": files}
    mark = folder / _MARK.format(rank())
    half = mark.with_suffix(".tmp")
    half.write_text(json.dumps(record), encoding="utf-8")
    half.replace(mark)
    return sum((folder / name).stat().st_size for name in files)


class Vouch(TrainerCallback):  # type: ignore[misc]
    """Marks each checkpoint as it is saved, and says what that cost."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._since = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._since = time.monotonic()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        written = time.monotonic()
        size = vouch(folder)
        now = time.monotonic()
        largest = max(gathered(size))
        of = f" a process, {world_size()} of them" if world_size() > 1 else ""
        took = f"{now - self._since:.1f} s, {now - written:.1f} s of them for checksums"
        self._progress.say(f"{folder.name} is saved: {largest / 1e9:,.3g} GB{of}, {took}")


def whole_checkpoint(work: Path, progress: Progress) -> str | None:
    """The newest checkpoint under ``work`` that is whole; damaged ones are removed, and that is said.

    Of several processes each reads its part of the files, and all come to the same answer. A checkpoint of a shared model may
    be from another number of processes: shards are cut anew. PrimumError for one that a process with a whole model cannot
    read, or the other way round.
    """
    found = sorted((work / "checkpoints").glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]), reverse=True)
    for name in from_first([path.name for path in found]):
        folder = work / "checkpoints" / name
        marks: list[Mapping[str, Any]] = from_first(_marks(folder) if rank() == 0 else None)
        if all_agree(bool(marks) and _is_whole(folder, marks)):
            _check_readable(folder, marks[0])
            before = marks[0]["processes"]
            progress.say(f"resuming from {name}" + (f", saved by {before} processes" if before != world_size() else ""))
            return str(folder)
        progress.say(f"{name} is not whole: removed")
        if rank() == 0:
            shutil.rmtree(folder, ignore_errors=True)
    return None


def _marks(folder: Path) -> Sequence[Mapping[str, Any]]:
    """The marks of all processes that saved a checkpoint; none where one of them is missing."""
    try:
        first = json.loads((folder / _MARK.format(0)).read_text(encoding="utf-8"))
        others = [_MARK.format(number) for number in range(1, first["processes"])]
        return [first, *(json.loads((folder / name).read_text(encoding="utf-8")) for name in others)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _is_whole(folder: Path, marks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether this process' part of the files is what their writers vouched for."""
    files = sorted((name, sha256) for mark in marks for name, sha256 in mark["files"].items())
    try:
        return all(file_sha256(folder / name) == sha256 for name, sha256 in files[rank() :: world_size()])
    except OSError:
        return False


def _check_readable(folder: Path, mark: Mapping[str, Any]) -> None:
    if mark["sharded"] == is_launched():
        return
    kind = (
        f"{mark['processes']} processes that share the model" if mark["sharded"] else "one process with a whole model"
    )
    now = f"{world_size()} processes that share it" if is_launched() else "one process"
    raise PrimumError(
        f"{folder.name} was saved by {kind}, and {now} cannot read it: give the training the GPUs that it had, or delete "
        f"{os.path.relpath(folder.parent)} to begin again"
    )
