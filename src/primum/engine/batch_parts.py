"""The parts that requests are sent in as batches, one file each, and what is known of them: files that outlive a kill.

Beside the journal lie ``batch-<token>.jsonl``, the requests as they are uploaded, and ``batch-<token>.state``, where they are:
the provider's ids of the file and the batch. Both stay for as long as the part is under way, and are their owner's alone. The
token is the part's own, so that an upload that nobody remembers is found by its name.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from primum.artifact.private import private_file
from primum.engine.answer import Again, Reply, read_answer, read_error, read_refusal
from primum.engine.openai_engine import LIMITS
from primum.errors import PrimumError

MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
URL: Literal["/v1/chat/completions"] = "/v1/chat/completions"
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,256}")


@dataclass(slots=True)
class Part:
    """Requests that are one batch: their ``keys``, and their ``settings``, which are those of the first.

    ``file`` and ``batch`` are the provider's ids, empty while there is none; ``files`` all that is to be deleted there. It is
    ``settled`` once its answers are in the journal. ``fresh`` is one that this process wrote: what it does not know was not done.
    """

    path: Path
    keys: frozenset[str]
    settings: Mapping[str, Any]
    file: str = ""
    batch: str = ""
    files: tuple[str, ...] = ()
    settled: bool = False
    fresh: bool = False
    held: bool = False

    def remember(self) -> None:
        """Write down where the part is; it is on the disk when this returns."""
        record = {name: getattr(self, name) for name in ("file", "batch", "files", "settled")}
        _write(self.path.with_suffix(".state"), [json.dumps(record).encode() + b"\n"])

    def forget(self) -> None:
        """Nothing is left to do for it. The requests go last: without them nobody looks for the rest."""
        for path in (self.path, self.path.with_suffix(".state")):
            path.unlink(missing_ok=True)


def batch_line(key: str, body: Mapping[str, Any]) -> bytes:
    """A request as a line of the file that is uploaded."""
    return json.dumps({"custom_id": key, "method": "POST", "url": URL, "body": body}).encode() + b"\n"


def in_parts(lines: Iterable[bytes], most: int) -> Iterator[list[bytes]]:
    """The lines in order, at most ``most`` and ``MOST_BYTES`` together."""
    part: list[bytes] = []
    size = 0
    for line in lines:
        if part and (len(part) >= most or size + len(line) > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line)
    if part:
        yield part


def write_part(folder: Path, lines: list[bytes]) -> Part:
    """A new part of these lines, whose file is there as a whole or not at all."""
    path = folder / f"batch-{secrets.token_hex(16)}.jsonl"
    _write(path, lines)
    return _part(path, lines, fresh=True)


def is_under_way(folder: Path) -> bool:
    """Whether a run before this one left parts in ``folder``."""
    return any(folder.glob("batch-*.jsonl"))


def read_parts(folder: Path) -> list[Part]:
    """The parts that runs before this one left in ``folder``. PrimumError for files that cannot be read."""
    found = []
    for path in sorted(folder.glob("batch-*.jsonl")):
        state = path.with_suffix(".state")
        try:
            lines = path.read_bytes().splitlines()
            record = json.loads(state.read_bytes()) if state.exists() else {}
            part = _part(path, lines)
            part.file, part.batch = record.get("file", ""), record.get("batch", "")
            part.files, part.settled = tuple(record.get("files", ())), bool(record.get("settled"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise PrimumError(
                f"{path}: cannot be read: if no batch of it is under way, delete it and run again"
            ) from None
        found.append(part)
    return found


def is_id(value: Any) -> bool:
    """Whether a provider's id can be one: it goes into addresses and files."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def results(content: bytes, part: Part) -> dict[str, Reply]:
    """What a file of results says of the requests of ``part``, by key; lines that are no result of one of them are left out."""
    found: dict[str, Reply] = {}
    for line in content.split(b"\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, Mapping) and isinstance(key := record.get("custom_id"), str) and key in part.keys:
            found.setdefault(key, _reply(record, part.settings))
    return found


def _reply(record: Mapping[str, Any], settings: Mapping[str, Any]) -> Reply:
    response, error = record.get("response"), record.get("error")
    status = response.get("status_code") if isinstance(response, Mapping) else None
    if isinstance(response, Mapping) and type(status) is int and status:
        body = json.dumps(response.get("body")).encode()
        if status == 200:
            return read_answer(body, next((settings[name] for name in LIMITS if name in settings), None))
        return read_error(status, body, tuple(settings))
    # A request that was never run, since the batch expired or was cancelled, has an error of the batch's.
    reply = read_refusal(500, error if isinstance(error, Mapping) else {}, ())
    return Again(reply.error.removeprefix("http-500").strip() or "no-result") if isinstance(reply, Again) else reply


def _part(path: Path, lines: Iterable[bytes], fresh: bool = False) -> Part:
    requests = map(json.loads, lines)
    first = next(requests)
    settings = {name: value for name, value in first["body"].items() if name not in ("model", "messages")}
    return Part(path, frozenset([first["custom_id"], *(each["custom_id"] for each in requests)]), settings, fresh=fresh)


def _write(path: Path, lines: Iterable[bytes]) -> None:
    temporary = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        private_file(temporary)
        with temporary.open("wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise PrimumError(f"{path}: cannot be written: {error.strerror}") from None
