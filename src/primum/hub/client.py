"""What the hub says of a repository.

The client is ``huggingface_hub``: the address comes from ``HF_ENDPOINT``, the token from ``HF_TOKEN`` or ``hf auth login``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import TypeVar

from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import logging

from primum.errors import PrimumError
from primum.hub.lock import HubFile, Listing
from primum.hub.patience import Say, again, patient
from primum.hub.refusals import NO_REVISION, refusals

T = TypeVar("T")
_TIMEOUT = 30.0  # seconds, of each step of a connection


@dataclass(frozen=True, slots=True)
class Answer:
    """What the hub has now: the ``listing``, and the repository's own id, another one than was asked for if it was renamed."""

    listing: Listing
    hub: str


def ask(where: str, kind: str, hub: str, ref: str | None, say: Say) -> Answer:
    """The files of ``hub`` at ``ref`` (a commit or a branch; the main one if None), as the hub states them.

    A server that is busy is waited for, as long as it asks for; ``say`` is told. PrimumError naming the entry ``where``, what is
    wrong and the remedy: no network, gated, removed, no such revision, asked too often.
    """
    _quiet()
    api = HfApi()
    with refusals(where, kind, hub, ref):
        # Without a retry of the client's own: where there is no network, this says so at once.
        found = _patient(lambda: api.repo_info(hub, revision=ref, repo_type=kind, timeout=_TIMEOUT), say)
        commit = found.sha or ""
        files = {
            each.path: _stated(each)
            for each in api.list_repo_tree(hub, recursive=True, revision=commit, repo_type=kind)
            if isinstance(each, RepoFile)
        }
    date = found.last_modified
    listing = Listing(
        kind,
        hub,
        commit,
        files,
        ref="main" if ref is None else ref,
        date="" if date is None else date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        license=next((tag.partition(":")[2] for tag in found.tags or () if tag.startswith("license:")), ""),
        gated=bool(found.gated),
    )
    return Answer(listing, found.id)


def is_there(where: str, kind: str, hub: str, ref: str, say: Say) -> bool:
    """Whether ``hub`` has ``ref``: one request. PrimumError as :func:`ask`."""
    _quiet()
    with refusals(where, kind, hub, ref):
        try:
            _patient(lambda: HfApi().repo_info(hub, revision=ref, repo_type=kind, timeout=_TIMEOUT), say)
        except RevisionNotFoundError:
            return False
    return True


def check_there(where: str, kind: str, hub: str, ref: str, say: Say) -> None:
    """PrimumError as :func:`ask` where ``hub`` cannot be asked, or has no ``ref``: one request."""
    if not is_there(where, kind, hub, ref, say):
        raise PrimumError(f"{where}: {hub}@{ref[:12]}: {NO_REVISION}")


def may_read(where: str, kind: str, hub: str, say: Say) -> bool:
    """Whether the files of a gated repository may be read with the token that is set. PrimumError as :func:`ask`."""
    _quiet()
    with refusals(where, kind, hub, None):
        try:
            _patient(lambda: HfApi().auth_check(hub, repo_type=kind), say)
        except GatedRepoError:
            return False
    return True


def other_revisions(where: str, kind: str, hub: str, say: Say) -> Iterator[tuple[str, str, list[str]]]:
    """(ref, commit, files at the top) of each other branch and pull request of a repository. PrimumError as :func:`ask`."""
    api = HfApi()
    with refusals(where, kind, hub, None):
        refs = _patient(lambda: api.list_repo_refs(hub, repo_type=kind, include_pull_requests=True), say)
        for each in [*refs.branches, *refs.converts, *(refs.pull_requests or [])]:
            if each.name != "main":
                tree = api.list_repo_tree(hub, revision=each.target_commit, repo_type=kind)
                yield each.ref.removeprefix("refs/heads/"), each.target_commit, [file.path for file in tree]


def _patient(ask: Callable[[], T], say: Say) -> T:
    """``ask`` again while the hub is busy, as often as that may help."""

    def once(attempt: int) -> T:
        try:
            return ask()
        except HfHubHTTPError as error:
            again(attempt, error.response.status_code, error.response.headers)
            raise

    return patient(once, "the hub is busy", say)


def _stated(file: RepoFile) -> HubFile:
    if file.lfs is None:
        return HubFile(file.size, f"git-sha1:{file.blob_id}")
    return HubFile(file.lfs.size, f"sha256:{file.lfs.sha256}")


def _quiet() -> None:
    """Keep the client's warnings away: they hold signed addresses, and what matters of them is said here."""
    logging.set_verbosity_error()
