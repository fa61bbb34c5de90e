"""``primum pin``: the commit that a repository has now, for every entry without a revision, in the lock beside the catalogs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from primum.errors import PrimumError
from primum.hub import client, git
from primum.hub.lock import GIT, LOCK, UNKNOWN_REVISION, Listing, read_lock, title
from primum.hub.locked import write_lock
from primum.hub.patience import Say
from primum.hub.refusals import Unreachable, gated
from primum.hub.source import Source
from primum.pins.wanted import catalogued, written
from primum.progress import Progress

# The hub's own copy of a dataset as Parquet files, which it makes of what a dataset's script or files hold.
_PARQUET = "refs/convert/parquet"
_MANY = 50  # other revisions of one repository that are looked at, for safetensors
Key = tuple[str, str]


def pin(root: Path, experiment: str | None, update: str | None) -> None:
    """Resolve what is not in the lock yet, or the one repository that ``update`` names, and write the lock.

    ``experiment`` is a name or a path, or None for all that is in shipped experiments and catalogs. Prints a line a repository.
    What was resolved is kept when another fails. PrimumError at the end where some could not be pinned, and at once where the
    hub cannot be reached.
    """
    sources = catalogued(root) if experiment is None else written(experiment, root)
    lock, groups = read_lock(root), _unpinned(sources)
    chosen = groups if update is None else {key: groups[key] for key in _named(sources, groups, update)}
    failed = 0
    progress = Progress("pin")
    for done, (key, group) in enumerate(chosen.items(), 1):
        try:
            if key in lock and update is None:
                _selected(group, lock[key])
                continue
            answer = _resolve(key, group, progress)
            before = lock.get(key)
            lock[key] = answer.listing
            write_lock(root, lock)
            _print(f"[{done}/{len(chosen)}] {_line(key, group, answer, before)}")
            _print_notes(key, group, answer, progress.say)
        except Unreachable:
            raise
        except PrimumError as error:
            failed += 1
            _print(f"[{done}/{len(chosen)}] {_name(key)}  not pinned\n  {error}")
    pinned = len(chosen) - failed
    if chosen:
        _print(f"{pinned} of {len(chosen)} repositories without a revision of their own are pinned in {root / LOCK}")
    if failed:
        raise PrimumError(f"{failed} of {len(chosen)} repositories could not be pinned: see above")


def check(root: Path, experiment: str | None) -> None:
    """Print which pins of the lock the hub has moved on from. PrimumError where some have, are gone, or are not pinned yet."""
    sources = catalogued(root) if experiment is None else written(experiment, root)
    lock, groups = read_lock(root), _unpinned(sources)
    moved = 0
    progress = Progress("pin")
    for done, (key, group) in enumerate(groups.items(), 1):
        before = lock.get(key)
        try:
            state = "not pinned: run `primum pin`" if before is None else _moved(key, group, before, progress)
        except Unreachable:
            raise
        except PrimumError as error:
            state = f"cannot be checked\n  {error}"
        moved += bool(state)
        _print(f"[{done}/{len(groups)}] {_name(key)}  {state or 'as pinned'}")
    if moved:
        raise PrimumError(
            f"{moved} of {len(groups)} repositories are not as pinned: `primum pin --update NAME` takes one over; "
            "what reads it is made again then"
        )


def _unpinned(sources: Iterable[Source]) -> dict[Key, list[Source]]:
    """The entries that leave their revision to the lock, by repository; says so where there are none."""
    groups: dict[Key, list[Source]] = {}
    for source in sources:
        if source.revision == UNKNOWN_REVISION:
            groups.setdefault((source.kind, source.hub), []).append(source)
    if not groups:
        _print("every entry of a repository gives its revision itself: nothing is left to the lock")
    return dict(sorted(groups.items()))


def _named(sources: Sequence[Source], groups: Mapping[Key, Sequence[Source]], name: str) -> list[Key]:
    """The repositories that ``name`` means: an entry (``cord19``, ``datasets.cord19``) or an id. PrimumError if there is none."""
    found = [each for each in sources if name in (each.where, each.where.partition(".")[2], each.hub)]
    if not found:
        listed = sorted({each.where for group in groups.values() for each in group})
        raise PrimumError(
            f"--update {name}: no such entry; without a revision of their own are: {', '.join(listed) or 'none'}"
        )
    keys = dict.fromkeys((each.kind, each.hub) for each in found if (each.kind, each.hub) in groups)
    if not keys:
        raise PrimumError(f"--update {name}: {found[0].where} gives its revision itself: change it there")
    return list(keys)


def _resolve(key: Key, group: Sequence[Source], progress: Progress) -> client.Answer:
    """What the hub has now of a repository, at the ref that has what the entries read. PrimumError where none has."""
    kind, hub = key
    where, say = group[0].where, progress.say
    if kind == GIT:
        return client.Answer(_look(group, git.newest(where, hub, progress), progress), hub)
    answer = client.ask(where, kind, hub, None, say)
    try:
        _selected(group, answer.listing)
    except PrimumError as error:
        if kind == "model":
            raise PrimumError(f"{error}{_with_safetensors(where, kind, hub, say)}") from None
        if not client.is_there(where, kind, hub, _PARQUET, say):
            raise
        converted = client.ask(where, kind, hub, _PARQUET, say)
        try:
            _selected(group, converted.listing)
        except PrimumError:
            raise error from None
        return converted
    return answer


def _look(group: Sequence[Source], commit: str, progress: Progress) -> Listing:
    """The files of a git repository at ``commit``. PrimumError where one of its entries reads something that is not there."""
    patterns = tuple(pattern for source in group for pattern in source.patterns)
    return git.look(replace(group[0], revision=commit, patterns=patterns), progress)


def _with_safetensors(where: str, kind: str, hub: str, say: Say) -> str:
    """The revisions of a model that have safetensors, for the end of an error."""
    looked = 0
    for ref, commit, files in client.other_revisions(where, kind, hub, say):
        if any(file.endswith(".safetensors") for file in files):
            return f"; {ref} has: its commit is {commit}; see who made it, and write that as the entry's revision"
        looked += 1
        if looked == _MANY:
            break
    return f"; none of the {looked} other revisions looked at has" if looked else "; it has no other revision"


def _selected(group: Sequence[Source], listing: Listing) -> list[str]:
    """The files that the entries of a repository read, together. PrimumError where one reads something that is not there."""
    return sorted({path for source in group for path in source.select(listing.files)})


def _moved(key: Key, group: Sequence[Source], before: Listing, progress: Progress) -> str:
    """How a repository has moved on from a pin; empty if it has not."""
    kind, hub = key
    if kind == GIT:
        commit = git.newest(group[0].where, hub, progress)
        now = before if commit == before.commit else _look(group, commit, progress)
    else:
        ref = None if before.ref == "main" else before.ref
        now = client.ask(group[0].where, kind, hub, ref, progress.say).listing
    if now.commit == before.commit:
        return ""
    read = _selected(group, before)
    differ = sum(now.files.get(path) != before.files[path] for path in read)
    what = f"{differ} of the {len(read)} files that are read differ" if differ else "what is read of it is the same"
    return f"moved: {before.commit[:12]} -> {now.commit[:12]} of {now.date[:10]}: {what}"


def _line(key: Key, group: Sequence[Source], answer: client.Answer, before: Listing | None) -> str:
    listing = answer.listing
    read = _selected(group, listing)
    size = sum(listing.files[path].size for path in read)
    was = "" if before is None else "unchanged at " if before.commit == listing.commit else f"{before.commit[:12]} -> "
    return (
        f"{_name(key)}  {was}{listing.commit[:12]}  {listing.date[:10]}  {listing.license or 'no licence stated'}  "
        f"{len(read)} of {len(listing.files)} files, {size / 1e6:,.1f} MB"
    )


def _print_notes(key: Key, group: Sequence[Source], answer: client.Answer, say: Say) -> None:
    kind, hub = key
    if answer.hub != hub:
        _print(f"  was renamed: write {answer.hub} into {', '.join(each.where for each in group)}")
    if kind != GIT and answer.listing.ref != "main":
        _print(f"  from {answer.listing.ref}, since the main branch does not have the files that are read")
    if answer.listing.gated and not client.may_read(group[0].where, kind, hub, say):
        _print(f"  {gated(kind, hub)}")


def _name(key: Key) -> str:
    return title(*key)


def _print(line: str) -> None:
    print(line, flush=True)
