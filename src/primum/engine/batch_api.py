"""The calls of a Batch API in OpenAI's form (``/v1/files``, ``/v1/batches``), tried again where that may help.

What costs money is asked for once: where nobody knows whether a batch was created, those that there are are looked at before.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import openai
from openai.types import Batch

from primum.engine.answer import Again, Refused, Reply, Spent
from primum.engine.batch_parts import URL, is_id
from primum.engine.client import Failed, attempted
from primum.engine.endpoint import Endpoint
from primum.engine.limiter import retry_after
from primum.errors import PrimumError
from primum.progress import Progress

ENDED = ("completed", "failed", "expired", "cancelled")
FILE_SECONDS = 3600.0  # 200 MB, there or back
LONGEST_PAUSE = 60.0
TOLD_FROM = 5.0  # seconds of a pause
_SLUG = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_T = TypeVar("_T")


class BatchApi:
    """The files and batches of the account that ``client`` has the key of. After ``patience`` seconds of failures it gives up."""

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        endpoint: Endpoint,
        progress: Progress,
        without_key: Callable[[Reply], Reply],
        backoff: float,
        patience: float,
    ) -> None:
        self._client, self._endpoint, self._progress, self._without_key = client, endpoint, progress, without_key
        self._backoff, self._patience = backoff, patience

    async def upload(self, path: Path, known: bool) -> str:
        """The id of the uploaded file of requests. Unless it is ``known`` that it was not sent before, it may be there."""

        async def send() -> str:
            nonlocal known
            if not known and (there := await self._uploaded(path.name)):
                return there
            known = False
            # Read, and its name given, by the client.
            return _checked((await self._client.files.create(file=path, purpose="batch", timeout=FILE_SECONDS)).id)

        return await self._call("a file of requests", send)

    async def create(self, file: str, known: bool) -> str:
        """The id of the batch of an uploaded file. Unless it is ``known`` that there is none, there may be one."""

        async def send() -> str:
            nonlocal known
            if not known and (there := await self._created(file)):
                return there
            known = False
            made = await self._client.batches.create(input_file_id=file, endpoint=URL, completion_window="24h")
            return _checked(made.id)

        return await self._call("a batch", send)

    async def batch(self, batch: str) -> Batch:
        """What has become of a batch."""

        async def ask() -> Batch:
            found = await self._client.batches.retrieve(batch)
            if not isinstance(found, Batch) or not isinstance(found.status, str):
                raise ValueError
            return found

        return await self._call("a look at a batch", ask)

    async def download(self, file: str) -> bytes:
        """A file of results."""

        async def ask() -> bytes:
            return (await self._client.files.content(file, timeout=FILE_SECONDS)).content

        return await self._call("a file of results", ask)

    async def delete(self, file: str) -> bool:
        """Whether a file is no longer at the provider. Tried once: nothing depends on it."""
        found = await attempted(partial(self._client.files.delete, file), LONGEST_PAUSE)
        return not isinstance(found, Failed) or (isinstance(found.reply, Refused) and found.reply.status == 404)

    async def _uploaded(self, name: str) -> str | None:
        try:
            async for file in self._client.files.list(purpose="batch"):
                if file.filename == name and is_id(file.id):
                    return file.id
        except openai.APIStatusError as error:
            # Not all list files. Sent twice it costs nothing: a batch is what is paid for.
            if error.status_code not in (404, 405, 501):
                raise
        return None

    async def _created(self, file: str) -> str | None:
        async for batch in self._client.batches.list(limit=100):
            # One that failed its examination was never run.
            if batch.input_file_id == file and batch.status != "failed" and is_id(batch.id):
                return batch.id
        return None

    async def _call(self, what: str, ask: Callable[[], Awaitable[_T]]) -> _T:
        since, pause = None, self._backoff
        while True:
            found = await attempted(ask, FILE_SECONDS)
            if not isinstance(found, Failed):
                return found
            reply = self._without_key(found.reply)
            if isinstance(reply, Spent):
                key = self._endpoint.key_env
                raise PrimumError(f"{key}: the quota is spent: top it up and run again; what is under way is kept")
            if not isinstance(reply, Again):
                raise PrimumError(
                    f"{self._endpoint.model}: {self._endpoint.host} refused {what} ({reply.error or reply.status}): check "
                    f"{self._endpoint.key_env}, and that this endpoint has a Batch API (else 'batch: false')"
                )
            now = time.monotonic()
            since = now if since is None else since
            asked = retry_after(found.headers)
            wait = min(pause, LONGEST_PAUSE) * random.uniform(0.75, 1.25) if asked is None else asked
            if now + wait - since > self._patience:
                raise PrimumError(
                    f"{self._endpoint.model}: {self._endpoint.host} has not answered for {now - since:,.0f} s (the last with "
                    f"{reply.error}): run again when it does; what is under way is kept"
                )
            if wait >= TOLD_FROM:
                self._progress.say(f"{self._endpoint.model}: {what}: {reply.error}: waiting {wait:.0f} s")
            pause *= 2
            await asyncio.sleep(wait)


def error_codes(batch: Batch) -> list[str]:
    """The codes of a batch that was refused as a whole, each once: slugs of the endpoint's."""
    errors = (batch.errors.data if batch.errors is not None else None) or ()
    codes = (error.code for error in errors)
    return list(dict.fromkeys(code for code in codes if isinstance(code, str) and _SLUG.fullmatch(code)))


def _checked(found: str) -> str:
    if not is_id(found):
        raise ValueError
    return found
