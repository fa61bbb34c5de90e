"""The journal of an endpoint's finished answers: a rerun pays only for what is not in it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from primum.artifact.canonical import digest
from primum.engine.protocol import Conversation, Response
from primum.errors import PrimumError
from primum.experiment.types import Sampling

NAME = "journal.jsonl"


def answer_key(model: str, conversation: Conversation, sampling: Sampling, seed: int | None) -> str:
    """What an answer depends on, hashed. ``model`` says where it is served too; ``seed`` is None for greedy answers."""
    messages = [[message.role, message.content] for message in conversation]
    return digest({"model": model, "messages": messages, "sampling": sampling.model_dump(mode="json"), "seed": seed})


class Journal:
    """``journal.jsonl`` in ``folder``: one finished answer a line. It holds answers, so only its owner can read it.

    Answers that come at about the same time are written together, and reach the disk together: one after another they would wait
    for the disk longer than for the endpoint. Without a folder it remembers for as long as it lives.
    """

    def __init__(self, folder: Path | None) -> None:
        self._answers: dict[str, Response] = {}
        self._waiting: dict[str, Response] = {}
        self._next: asyncio.Task[None] | None = None  # writes those that wait
        self._last: asyncio.Task[None] | None = None
        self._path = None if folder is None else folder / NAME
        if self._path is None or not self._path.exists():
            return
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise PrimumError(f"{self._path}: cannot be read: {error.strerror}") from None
        for line in content.split(b"\n"):
            self._remember(line)
        if content and not content.endswith(b"\n"):
            # Ends a torn line, so that the next answer does not become a part of it.
            self._append(b"\n")

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, key: str) -> Response | None:
        """The answer of :func:`answer_key`'s ``key``, if it was paid for before."""
        return self._answers.get(key)

    async def keep(self, key: str, response: Response) -> None:
        """Keep a finished answer; it is on the disk when this returns. PrimumError when the disk takes no more.

        An answer whose keeper is cancelled is kept all the same, by :meth:`close` at the latest.
        """
        if self._next is None:
            self._next = self._last = asyncio.create_task(self._write(self._last))
        self._waiting[key] = response
        await asyncio.shield(self._next)

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._last is not None:
            with suppress(PrimumError):  # its keepers have it
                await self._last

    async def _write(self, before: asyncio.Task[None] | None) -> None:
        """Write those that came while the group before was written."""
        if before is not None and not before.done():
            await asyncio.wait([before])
        group, self._waiting, self._next = self._waiting, {}, None
        # Elsewhere: a slow disk must not keep answers from being read.
        await asyncio.to_thread(self._append, b"".join(_line(key, response) for key, response in group.items()))
        self._answers.update(group)

    def _append(self, lines: bytes) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(handle, "wb", buffering=0) as file:
                if file.write(lines) != len(lines):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
        except OSError as error:
            raise PrimumError(f"{self._path}: cannot be written: {error.strerror}") from None

    def _remember(self, line: bytes) -> None:
        """A line that a crash tore is no answer: it is asked for again."""
        try:
            record = json.loads(line)
        except ValueError:
            return
        if isinstance(record, Mapping) and isinstance(record.get("key"), str) and _is_response(record):
            self._answers[record["key"]] = Response(
                **{name: record[name] for name in Response.__slots__ if name in record}
            )


def _line(key: str, response: Response) -> bytes:
    record = {"key": key, **{name: getattr(response, name) for name in Response.__slots__}}
    return json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def _is_response(record: Mapping[str, Any]) -> bool:
    kinds = {"text": str, "status": str, "prompt_tokens": int, "completion_tokens": int, "error": str}
    # An older line has no reasoning.
    return all(type(record.get(name)) is kind for name, kind in kinds.items()) and isinstance(
        record.get("reasoning", ""), str
    )
