"""What an entry reads of a repository, brought into a folder: from the mirror where there is one, else from the hub or by git."""

from __future__ import annotations

from pathlib import Path

from primum.hub import git
from primum.hub.client import ask, check_there
from primum.hub.lock import GIT, Listing, read_lock
from primum.hub.mirror import mirror_folder, recorded
from primum.hub.source import Source
from primum.hub.transfer import copy, download, in_megabytes, missing
from primum.progress import Progress


def bring(source: Source, folder: Path, name: str, progress: Progress) -> list[str]:
    """Bring the files of ``source`` into ``folder``; each is what the commit's id (of git), the lock, or else
    the hub or the mirror's record states.

    Whole files that are there already stay. Returns the paths of all of them.

    PrimumError naming the entry and the remedy. OSError when the disk does not take a file.
    """
    source.check_pinned()
    mirror = mirror_folder()
    listing = _locked(source)
    if mirror is not None:
        listing = listing or recorded(mirror, source)
    elif source.kind == GIT:
        listing = git.fetched(source, folder, progress)
    elif listing is None:
        listing = ask(source.where, source.kind, source.hub, source.revision, progress.say).listing
    else:  # what is wrong with the network or the repository is said at once, where the client's downloads would try again
        check_there(source.where, source.kind, source.hub, source.revision, progress.say)
    chosen = source.select(listing.files)
    paths = missing(listing, chosen, folder, lambda _: None)
    report = in_megabytes(progress, name, sum(listing.files[path].size for path in paths))
    if mirror is not None:
        copy(mirror, source, listing, paths, folder, report)
    elif source.kind == GIT:
        git.unpack(source, listing, paths, folder, report)
    else:
        download(source, listing, paths, folder, report)
    return chosen


def _locked(source: Source) -> Listing | None:
    """The lock's record, where it is of this commit. Snakemake runs in the project's folder."""
    found = read_lock(Path()).get((source.kind, source.hub))
    return found if found is not None and found.commit == source.revision else None
