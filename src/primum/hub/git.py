"""A git repository at a commit: its files, as they are in it.

What is relied on is the commit's id. git names each object that it receives by its content, and a fetch fails where something
that the commit leads to is missing; every file that is written is hashed once more. Nothing is checked out: files are read as
git stores them, so that no line ending, attribute, filter or hook has a say, and no setting can change a byte. Symbolic links
and submodules are not followed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE
from typing import IO

from primum.errors import PrimumError
from primum.hub.files import is_whole
from primum.hub.git_program import NO_COMMIT, GitRefused, Heard, answer, follow, patiently, pipe, running
from primum.hub.lock import GIT, HubFile, Listing, is_inside
from primum.hub.source import Source
from primum.hub.transfer import Report
from primum.progress import Progress

_OBJECTS = ".git"  # beside the files while they are brought; no file of a repository can have this name
_OURS = "refs/primum/commit"  # written when all of the commit is here
_CHUNK = 1 << 20
_POINTER = b"version https://git-lfs.github.com/spec/"
_LONGEST_POINTER = 1024  # bytes, by the specification of Git LFS
_NOT_FILES = {b"120000": "is a symbolic link, which is not followed", b"160000": "is a submodule, which is not fetched"}


def newest(where: str, url: str, progress: Progress) -> str:
    """The commit that the repository's default branch has now. PrimumError naming the entry ``where`` and the remedy."""
    at = f"{where}: {url}"
    printed = patiently(at, lambda: answer(["ls-remote", "--quiet", url, "HEAD"]), progress.say)
    if not printed:
        raise PrimumError(f"{at}: has no commit yet: correct its entry")
    return printed.split()[0].decode("ascii")


def look(source: Source, progress: Progress) -> Listing:
    """The files of ``source`` at its commit, which is fetched for that, and thrown away.

    PrimumError as :func:`fetched`, and where there is no room for it.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="primum-") as folder:
            return fetched(source, Path(folder), progress)
    except OSError as error:
        raise PrimumError(
            f"{source.where}: {source.at}: cannot be written to {tempfile.gettempdir()} ({error.strerror}): "
            "set TMPDIR to a folder with more room"
        ) from None


def fetched(source: Source, folder: Path, progress: Progress) -> Listing:
    """Fetch the commit of ``source`` into ``folder``, for :func:`unpack`, and list its files; what is there already stays.

    PrimumError naming the entry and the remedy: no git, no network, no such repository or commit, a pattern that means no file,
    or something that is no file. OSError when the disk does not take it.
    """
    objects = folder / _OBJECTS
    at = f"{source.where}: {source.at}"
    if not is_fetched(source, folder):
        shutil.rmtree(objects, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)

        def heard(done: int, total: int) -> None:
            progress.update(f"{source.hub} received", done, total, done, "objects")

        try:
            patiently(at, lambda: _fetch(source, objects, heard), progress.say)
        except BaseException:
            shutil.rmtree(objects, ignore_errors=True)
            raise
    files, others = _tree(source, objects)
    for path in source.select([*files, *others]):
        if path in others:
            raise PrimumError(f"{at}: {path!r} {others[path]}: correct the patterns of its entry")
    made = int(answer(["show", "--no-patch", "--format=%ct", source.revision], objects))
    date = datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Listing(GIT, source.hub, source.revision, files, ref="HEAD", date=date)


def is_fetched(source: Source, folder: Path) -> bool:
    """Whether the commit of ``source`` is in ``folder``, not unpacked yet."""
    try:
        found = answer(["rev-parse", "--verify", "--quiet", _OURS], folder / _OBJECTS)
    except GitRefused:
        return False
    return found.decode("ascii").strip() == source.revision


def unpack(source: Source, listing: Listing, paths: Sequence[str], folder: Path, report: Report) -> None:
    """Write ``paths`` of the commit that was :func:`fetched` into ``folder``, and remove what git has there.

    PrimumError for a pointer of Git LFS. OSError when the disk does not take a file.
    """
    objects = folder / _OBJECTS
    try:
        if paths:
            _read_blobs(source, listing, paths, folder, report)
    finally:
        shutil.rmtree(objects, ignore_errors=True)


def _read_blobs(source: Source, listing: Listing, paths: Sequence[str], folder: Path, report: Report) -> None:
    done = 0
    try:
        with running(["cat-file", "--batch"], folder / _OBJECTS, stdin=PIPE, stdout=PIPE) as process:
            asked, content = pipe(process.stdin), pipe(process.stdout)
            for path in paths:
                file = listing.files[path]
                blob = file.checksum.rpartition(":")[2].encode("ascii")
                asked.write(blob + b"\n")
                asked.flush()
                if content.readline() != b"%s blob %d\n" % (blob, file.size):
                    raise PrimumError(f"{source.where}: {source.at}: {path} cannot be read: run again")
                _write(source, folder / path, path, file, content)
                done += file.size
                report(done)
            asked.close()
    except BrokenPipeError:
        raise PrimumError(f"{source.where}: {source.at}: git ended before all was read: run again") from None


def _fetch(source: Source, objects: Path, heard: Heard) -> None:
    """The commit alone, where the server gives one by its id; else all branches and tags, one of which has it. GitRefused."""
    answer(["init", "--quiet", "--bare", "--template=", str(objects)])
    words = ["fetch", "--progress", "--no-tags", "--no-recurse-submodules"]
    try:
        follow([*words, "--depth=1", source.hub, f"+{source.revision}:{_OURS}"], objects, heard)
    except GitRefused as refused:
        if not any(sign in refused.said for sign in ("unadvertised object", "dumb http", "shallow")):
            raise
        follow([*words, source.hub, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"], objects, heard)
    try:
        kind = answer(["cat-file", "-t", source.revision], objects).strip()
    except GitRefused:
        kind = b""
    if kind != b"commit":
        raise PrimumError(f"{source.where}: {source.at}: {NO_COMMIT}")
    answer(["update-ref", _OURS, source.revision], objects)


def _tree(source: Source, objects: Path) -> tuple[dict[str, HubFile], Mapping[str, str]]:
    """The files of the commit, and why other entries of its tree are none, by path."""
    files, others = {}, {}
    for entry in answer(["ls-tree", "-r", "-z", "-l", "--full-tree", source.revision], objects).split(b"\0")[:-1]:
        about, _, name = entry.partition(b"\t")
        mode, _, blob, size = about.split()
        path = name.decode("utf-8", "surrogateescape")
        if mode in _NOT_FILES:
            others[path] = _NOT_FILES[mode]
        elif not path.isprintable() or not is_inside(path):
            others[path] = "is a name that no file here may have"
        else:
            files[path] = HubFile(int(size), f"git-sha1:{blob.decode('ascii')}")
    return files, others


def _write(source: Source, target: Path, path: str, file: HubFile, content: IO[bytes]) -> None:
    """Write ``file`` from what git prints, which a line's end follows: whole, or not at all."""
    at = f"{source.where}: {source.at}: {path}"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("wb") as written:
            left = file.size
            while left and (piece := content.read(min(left, _CHUNK))):
                written.write(piece)
                left -= len(piece)
        content.read(1)
        if not is_whole(target, file):
            raise PrimumError(f"{at} cannot be read: run again")
        if file.size < _LONGEST_POINTER and target.read_bytes().startswith(_POINTER):
            raise PrimumError(
                f"{at} is a pointer of Git LFS, which the repository has in place of the file: give the file's url and sha256"
            )
    except BaseException:
        target.unlink(missing_ok=True)
        raise
