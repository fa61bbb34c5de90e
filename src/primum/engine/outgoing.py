"""What is about to leave for an endpoint: the identifiers in it are counted, redacted, or a reason to send nothing."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from primum.engine.endpoint import Endpoint
from primum.engine.protocol import Conversation
from primum.errors import PrimumError
from primum.progress import Progress
from primum.text.phi import Place, find, records, redacted_turns, told

NAME = "phi.jsonl"


def checked(
    conversations: Sequence[Conversation], endpoint: Endpoint, phi: str, folder: Path | None, progress: Progress
) -> tuple[list[Conversation], Counter[str]]:
    """The conversations as they may be sent, and how many identifiers of each kind were in them (:mod:`primum.text.phi`).

    ``warn`` leaves them as they are, ``redact`` puts a mark in each place, ``stop`` raises PrimumError if there is any.
    Their number is said. The places are in ``phi.jsonl`` in ``folder``, beside the journal: one a line, without the text.
    """
    found = [[find(message.content) for message in conversation] for conversation in conversations]
    kinds = Counter(place.kind for places in found for each in places for place in each)
    requests = sum(any(places) for places in found)
    numbers = f"{kinds.total():,} identifiers in {requests:,} of {len(found):,} requests to {endpoint.host}"
    if not kinds:
        progress.say(f"{endpoint.model}: no identifiers found in {len(found):,} requests to {endpoint.host}")
        return list(conversations), kinds
    path = None if folder is None else folder / NAME
    if path is not None:
        _keep(path, found)
    if phi == "stop":
        where = f", at the places in {path}" if path else ""
        remedy = "nothing was sent: take them out, or give the model 'phi: redact'"
        raise PrimumError(f"{endpoint.model}: {numbers} ({told(kinds)}){where}: {remedy}")
    done = "redacted" if phi == "redact" else "sent as they are"
    progress.say(f"{endpoint.model}: {numbers} ({told(kinds)}): {done}")
    if phi == "warn":
        return list(conversations), kinds
    return [redacted_turns(*pair) for pair in zip(conversations, found, strict=True)], kinds


def _keep(path: Path, found: Sequence[Sequence[Sequence[Place]]]) -> None:
    lines = [
        json.dumps({"request": request, **place}) for request, turns in enumerate(found) for place in records(turns)
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        raise PrimumError(f"{path}: cannot be written: {error.strerror}") from None
