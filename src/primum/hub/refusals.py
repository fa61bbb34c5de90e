"""Errors of the hub's client as one line each, told apart by their class and the answer's status, never by their words.

Those may hold signed addresses; nothing here says a token, or an address that holds one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from httpx2 import ReadError, RemoteProtocolError, TransportError
from huggingface_hub import constants
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    XetDownloadError,
)

from primum.errors import PrimumError
from primum.hub.patience import NO_NETWORK, asked_wait

NO_REVISION = "the hub has no such revision of it: correct its entry, or let `primum pin` find one"


class Unreachable(PrimumError):
    """The hub cannot be asked at all, whatever the repository."""


def page(kind: str, hub: str) -> str:
    """The page of a repository, where access is asked for."""
    return f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{hub}"


def gated(kind: str, hub: str) -> str:
    """What to do about a gated repository."""
    return f"is gated: ask for access at {page(kind, hub)}, then set HF_TOKEN to a token of yours"


@contextmanager
def refusals(where: str, kind: str, hub: str, ref: str | None) -> Iterator[None]:
    """Raise errors of the client within as PrimumError: what they mean for the entry ``where``, and the remedy.

    OSError of the disk is raised as it is.
    """
    at = f"{where}: {hub}{'' if ref is None else f'@{ref[:12]}'}"
    try:
        yield
    except HfHubHTTPError as error:
        said = _answered(kind, hub, type(error), error.response.status_code, asked_wait(error.response.headers))
        raise PrimumError(f"{at}: {said}") from None
    except OfflineModeIsEnabled:
        raise Unreachable(f"{at}: HF_HUB_OFFLINE is set, and the hub is not asked: unset it. {NO_NETWORK}") from None
    except (ReadError, RemoteProtocolError, LocalEntryNotFoundError):
        raise PrimumError(f"{at}: the connection to the hub broke off: run again to go on") from None
    except TransportError as error:
        kind_of = type(error).__name__
        raise Unreachable(f"{at}: {constants.ENDPOINT} cannot be reached ({kind_of}): {NO_NETWORK}") from None
    except HFValidationError:
        raise PrimumError(f"{at}: is no name that a repository can have: correct its entry") from None
    except XetDownloadError:
        raise PrimumError(f"{at}: cannot be fetched (XetDownloadError): run again") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise PrimumError(f"{at}: cannot be fetched ({type(error).__name__}): run again") from None


def _answered(kind: str, hub: str, error: type[HfHubHTTPError], status: int, wait: int | None) -> str:
    """What an answer of the hub that is an error means."""
    known = {
        GatedRepoError: gated(kind, hub),
        RepositoryNotFoundError: "is not on the hub, or is private: correct its entry, or set HF_TOKEN if you may read it",
        DisabledRepoError: f"the hub has disabled it: see {page(kind, hub)}",
        RevisionNotFoundError: NO_REVISION,
        RemoteEntryNotFoundError: f"a file of it is not there: see {page(kind, hub)}",
    }
    when = "in some minutes" if wait is None else f"in {wait} s"
    by_status = {
        401: "the hub does not take the token: check HF_TOKEN",
        403: "the token may not read it: check HF_TOKEN and its permissions",
        429: f"the hub is asked too often: run again {when}",
    }
    return known.get(error) or by_status.get(status) or f"the hub answers HTTP {status}: run again later"
