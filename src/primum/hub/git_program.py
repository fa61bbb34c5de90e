"""The ``git`` program: how it is run, and its errors as one line each.

The user's settings of git hold for what they are for: proxies, certificates, credentials, other addresses (``insteadOf``). Hooks
do not run, nothing is asked on the terminal, and git's own words are never shown: an address in them may hold a token.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import IO, TypeVar

from primum.errors import PrimumError
from primum.hub.patience import NO_NETWORK, SERVER_BUSY, Say, again, patient

T = TypeVar("T")
Heard = Callable[[int, int], None]  # is told objects done, and all of them, again and again
NO_COMMIT = "the repository has no such commit: correct its entry, or let `primum pin` find one"
# What of the environment is the user's word to git. All else that begins with GIT_ is of another repository, such as that in
# whose hook this runs.
_KEPT = ("GIT_CONFIG_", "GIT_SSL_", "GIT_SSH", "GIT_HTTP_", "GIT_PROXY", "GIT_EXEC_PATH")
_SETTINGS = (
    f"core.hooksPath={os.devnull}",
    "core.askPass=",
    "gc.auto=0",
    "init.defaultObjectFormat=sha1",
    "maintenance.auto=false",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
)
_SAYING = {
    **{"LC_ALL": "C", "LANGUAGE": "C"},  # what is read of its words is English
    **{"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "GCM_INTERACTIVE": "never"},
    # No program that an address names (ext::), wherever the user's settings lead to.
    "GIT_ALLOW_PROTOCOL": "https:http:ssh:file",
}
_FULL = {
    **{"no space left on device": errno.ENOSPC, "disk quota exceeded": errno.EDQUOT, "file too large": errno.EFBIG},
    f"died of signal {signal.SIGXFSZ:d}": errno.EFBIG,  # a file may not grow so large
}
_PROGRESS = re.compile(r"Receiving objects: +\d+% \((\d+)/(\d+)\)")
_BUSY = r"returned error: (?:408|429|5\d\d)|rpc failed|early eof|hung up|reset by peer|unexpected disconnect|too slow"
# In this order: what git says of a failure has several lines, the cause and what followed from it.
_SAID = (
    (r"not our ref|couldn't find remote ref", NO_COMMIT),
    (
        r"certificate|ssl_|ssl connect|handshake",
        "its certificate is not trusted: name your authority's in git's http.sslCAInfo",
    ),
    (_BUSY, "the connection to it broke off, or it is busy: run again"),
    (
        r"could not resolve|failed to connect|couldn't connect|refused|timed out|unreachable|no route to host",
        f"cannot be reached: {NO_NETWORK}",
    ),
    (
        r"terminal prompts disabled|authentication failed|could not read|not found|returned error: 40[134]|"
        r"not appear to be a git repository|permission denied|not a valid|does not exist",
        "is not there, or is private: correct its entry, or give git credentials for it",
    ),
)


class GitRefused(Exception):
    """git ended with another status than 0; ``said`` are its words, in English."""

    def __init__(self, said: str) -> None:
        super().__init__("git failed")
        self.said = said


@contextmanager
def running(
    words: Sequence[str], at: Path | None, stdin: int = DEVNULL, stdout: int = DEVNULL, stderr: int = DEVNULL
) -> Iterator[Popen[bytes]]:
    """git with ``words``, of the repository at ``at``; ended with the block. PrimumError where there is no git."""
    program = shutil.which("git")
    if program is None:
        raise PrimumError(
            "git is not here, and a dataset comes from a git repository: install git, or give --config mirror=FOLDER"
        )
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key.startswith(_KEPT)}
    options = [option for setting in _SETTINGS for option in ("-c", setting)]
    place = [] if at is None else [f"--git-dir={at}"]
    process = Popen(  # noqa: S603 - the words are ours; addresses begin with https, commits are hex digits
        [program, *options, *place, *words],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=kept | _SAYING,
        start_new_session=True,  # which has no terminal that ssh could ask on
    )
    try:
        yield process
        process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        with process:  # waits, and closes its ends
            pass


def pipe(end: IO[bytes] | None) -> IO[bytes]:
    """An end of a process that was started with it."""
    if end is None:
        raise AssertionError("was started without this pipe")
    return end


def answer(words: Sequence[str], at: Path | None = None) -> bytes:
    """What git prints. GitRefused; OSError when the disk is full."""
    with running(words, at, stdout=PIPE, stderr=PIPE) as process:
        printed, said = process.communicate()
    _check(process, said.decode("utf-8", "replace"))
    return printed


def follow(words: Sequence[str], at: Path, heard: Heard) -> None:
    """Run a fetch, and tell ``heard`` of the objects that it receives. GitRefused; OSError when the disk is full."""
    said, rest = [], ""
    with running(words, at, stderr=PIPE) as process:
        while piece := os.read(pipe(process.stderr).fileno(), 1 << 16):
            *lines, rest = re.split(r"[\r\n]", rest + piece.decode("utf-8", "replace"))
            for line in lines:
                if found := _PROGRESS.match(line):
                    heard(int(found[1]), int(found[2]))
                else:
                    said.append(line)
    _check(process, "\n".join([*said, rest]))


def _check(process: Popen[bytes], said: str) -> None:
    """Raise what a process that has ended with ``said`` means, unless all is well."""
    for sign, number in _FULL.items():
        if process.returncode and sign in said.lower():
            raise OSError(number, os.strerror(number))
    if process.returncode:
        raise GitRefused(said)


def patiently(at: str, work: Callable[[], T], say: Say) -> T:
    """``work``, again where a server is busy or a connection breaks off.

    PrimumError that begins with ``at`` (the entry and its repository), with what is wrong and the remedy.
    """

    def once(attempt: int) -> T:
        try:
            return work()
        except GitRefused as refused:
            words = re.sub(r"'[^']*'", "", refused.said.lower())  # without addresses
        if re.search(_BUSY, words):
            again(attempt)
        meant = next((meaning for pattern, meaning in _SAID if re.search(pattern, words)), None)
        raise PrimumError(f"{at}: {meant or 'git cannot read it: see what `git ls-remote` says of its address'}")

    return patient(once, SERVER_BUSY, say)
