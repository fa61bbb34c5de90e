"""``primum gc``: what no experiment needs goes from the store, beside whatever runs.

An entry goes under its key's lock, by one rename, and only if nobody has taken it since it was looked at. A job that was about to
take it finds it absent, and makes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from primum.artifact.store import Store
from primum.errors import PrimumError
from primum.progress import Progress
from primum.upkeep.amounts import age_text, size_text
from primum.upkeep.held import Held, Holdings, look_at, read_store, user
from primum.upkeep.needed import Need, experiments, need_of

# What was made or taken within a day may be of a run that nobody told of.
SAFE_AGE = 86_400.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Only what was not used for ``older_than`` seconds, is ``larger_than`` bytes, and so much that ``keep`` bytes are left."""

    older_than: float = SAFE_AGE
    larger_than: int = 0
    keep: int = 0


def collect(store: Path, results: Sequence[Path], limits: Limits, delete: bool) -> None:
    """Say what nobody needs, and remove it with ``delete``.

    ``results`` are the folders of experiments, or folders of these. PrimumError where they, or the store, cannot be read.
    """
    progress = Progress("gc")
    experiments(results)  # what is no folder of results is said before a store is looked for beside it
    # The needs last: what a run adds meanwhile is then seen as needed, or not seen at all.
    holdings = read_store(store, progress)
    needs = [need_of(each, Store(store)) for each in experiments(results)]
    now = time.time()
    chosen = choose(holdings, needs, limits, now)
    for each in chosen:
        print(f"{_name(each)}  {size_text(each.size)}  last used {age_text(now - each.used)} ago")
    _tell_of_others(holdings, needs)
    free = size_text(holdings.freed(chosen))
    if not delete:
        print(
            f"{len(chosen):,} would go, {free} would come free; {size_text(holdings.size())} are held"
            + (": --yes removes them" if chosen else "")
        )
        return
    gone = []
    for number, each in enumerate(chosen, 1):
        if remove(Store(store), each):
            gone.append(each)
        else:
            print(f"{_name(each)}  stays: it is in use")
        progress.update("removed", number, len(chosen))
    print(f"{len(gone):,} of {len(chosen):,} went, {size_text(holdings.freed(gone))} came free")


def choose(holdings: Holdings, needs: Sequence[Need], limits: Limits, now: float) -> list[Held]:
    """What goes, what was not used for longest first."""
    waiting = sorted(
        (each for each in holdings.held if _may_go(each, needs, limits, now)), key=lambda each: (each.used, each.path)
    )
    if not limits.keep:
        return waiting
    chosen: list[Held] = []
    left = holdings.size()
    names = dict(holdings.links)
    for each in waiting:
        if left <= limits.keep:
            break
        chosen.append(each)
        for file in each.files:
            names[file.inode] -= 1
            left -= file.size if not names[file.inode] else 0
    return chosen


def _may_go(each: Held, needs: Sequence[Need], limits: Limits, now: float) -> bool:
    idle = now - each.used
    if each.kind == "closed" or each.owner != os.geteuid() or idle < max(limits.older_than, SAFE_AGE):
        return False
    if each.kind == "tmp":
        return not _is_alive(each.path.name) and each.size >= limits.larger_than
    # A damaged entry is as good as none.
    needed = each.kind != "damaged" and any(need.needs(each.key, each.spec) for need in needs)
    return not needed and each.size >= limits.larger_than


def _is_alive(name: str) -> bool:
    """Whether a folder that is being filled is of a process that lives here (:meth:`Store.new_folder`)."""
    host, _, rest = name.rpartition("-")[0].rpartition("-")
    if host != socket.gethostname() or not rest.isdigit():
        return False
    return Path("/proc", rest).exists()


def remove(store: Store, held: Held) -> bool:
    """Remove it unless somebody holds its key, or has used it since. Returns whether it went.

    Raises PrimumError when it cannot be removed.
    """
    try:
        with _lock(store, held.key) as free:
            now = look_at(held.path) if free else None
            if now is None or _state(now) != _state(held):
                return False
            away = store.new_folder(private=True)
            held.path.rename(away / held.path.name)
        shutil.rmtree(away)
    except OSError as error:
        raise PrimumError(f"{held.path}: cannot be removed: {error.strerror}") from None
    return True


def _state(held: Held) -> tuple[object, ...]:
    """What changes when it is used or made anew; how many names its files have elsewhere does not matter."""
    return held.kind, held.used, [(file.inode, file.size) for file in held.files]


@contextmanager
def _lock(store: Store, key: str) -> Iterator[bool]:
    """Hold the store's lock of ``key``, as :meth:`Store.lock`, and say whether it was free; without waiting."""
    if not key:
        yield True
        return
    path = store.folder("locks") / key
    try:
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
    except PermissionError:  # another user's lock
        yield False


def _tell_of_others(holdings: Holdings, needs: Sequence[Need]) -> None:
    others = [each for each in holdings.held if each.owner != os.geteuid()]
    closed = [each for each in others if each.kind == "closed"]
    unneeded = [each for each in others if not any(need.needs(each.key, each.spec) for need in needs)]
    if unneeded:
        names = ", ".join(sorted({user(each.owner) for each in unneeded}))
        print(
            f"{len(unneeded):,} of other users ({names}) stay: {size_text(holdings.size(unneeded))}"
            + (f", and {len(closed):,} that nobody else can see into" if closed else "")
        )


def _name(each: Held) -> str:
    said = {"entry": each.stage, "damaged": "damaged entry", "work": "work", "tmp": "half filled"}[each.kind]
    return f"{said}  {each.path.name[:12] if each.kind != 'tmp' else each.path.name}"
