"""An OpenAI-compatible endpoint asked through its Batch API: up to a day for the answers, at a lower price.

The answers are those of :class:`primum.engine.openai_engine.OpenAIEngine`: read alike, in the same journal. A kill at any point
loses nothing: what is under way is written down before it is waited for (:mod:`primum.engine.batch_parts`), and found again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import NoReturn

from openai.types import Batch

from primum.engine.answer import Again, Refused, Reply, Spent
from primum.engine.batch_api import ENDED, BatchApi, error_codes
from primum.engine.batch_parts import MOST_REQUESTS, Part, batch_line, in_parts, read_parts, results, write_part
from primum.engine.client import connected
from primum.engine.endpoint import Endpoint
from primum.engine.openai_engine import (
    OPTIONAL,
    REFUSED,
    REFUSED_AT_FIRST,
    SECONDS,
    Asked,
    Finished,
    GaveUp,
    OpenAIEngine,
)
from primum.engine.protocol import Response, failed
from primum.errors import PrimumError
from primum.experiment.types import Sampling
from primum.progress import Progress

AT_ONCE = 20  # so few questions are not worth a day
ROUNDS = 3  # batches that one request is in
PATIENCE = 3600.0  # seconds of failures alone: nobody sits and waits
POLL, LONGEST_POLL = 5.0, 120.0  # seconds
LEAST = 100  # requests that a batch is not made smaller than where the account has room for few tokens
NO_ROOM_PAUSE, LONGEST_NO_ROOM_PAUSE = 60.0, 600.0  # seconds
MOST_NO_ROOM = 150  # such pauses one after another: a day
_NO_ROOM = "token_limit_exceeded"  # by batches under way, of the whole account


class BatchEngine(OpenAIEngine):
    """A model behind an endpoint, asked in batches. ``folder`` has the journal, and what is known of the batches under way.

    The first question is asked at once, so that a wrong key, model or setting is known in seconds; so are ``AT_ONCE`` or fewer.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        concurrency: int,
        folder: Path,
        progress: Progress,
        seconds: float = SECONDS,
        backoff: float = 1.0,
        phi: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__(endpoint, concurrency, folder, progress, seconds, backoff, phi, patience)
        self._parts_in, self._most = folder, MOST_REQUESTS
        self._no_room = 0
        self._tried = False

    def _find_answers(self, asked: Asked, sampling: Sampling, finished: Finished) -> GaveUp | None:
        if not asked and not read_parts(self._parts_in):
            return None
        return asyncio.run(self._in_batches(asked, sampling, finished))

    async def _in_batches(self, asked: Asked, sampling: Sampling, finished: Finished) -> GaveUp | None:
        left, tries = dict(asked), Counter[str]()

        def answered(key: str, answer: Response) -> None:
            del left[key]
            finished(key, answer)

        async with connected(self._endpoint, self._key, self._seconds) as client:
            api = BatchApi(client, self._endpoint, self._progress, self._without_key, self._backoff, self._patience)
            try:
                parts = await self._under_way(api, left, sampling)
                while left:
                    end = await self._send(api, parts, left, sampling, answered)
                    if end is not None:
                        return end
                    if not parts:
                        continue
                    part, batch = await self._first_to_end(api, parts)
                    if batch.status == "failed":
                        await self._refuse(api, parts, part, batch)
                        continue
                    parts.remove(part)
                    self._no_room = 0
                    for each in parts:
                        each.held = False
                    replies = await self._collect(api, part, batch)
                    self._finish(replies, batch, left, tries, answered)
            finally:
                await self._journal.close()
        return None

    async def _under_way(self, api: BatchApi, left: Asked, sampling: Sampling) -> list[Part]:
        """The parts that an earlier run left, those of other questions aside. What is answered already is cleared away."""
        parts = []
        for part in read_parts(self._parts_in):
            if part.settled or all(self._journal.find(key) is not None for key in part.keys):
                await self._clear(api, part)
            elif not part.keys.isdisjoint(left):
                parts.append(part)
                # What was left out of these requests the model has refused.
                sent = [*part.settings, *(() if sampling.temperature > 0 else ("seed",))]
                self.left_out = tuple(sorted({*self.left_out, *OPTIONAL} - set(sent)))
        if parts:
            requests = sum(len(part.keys) for part in parts)
            self._progress.say(f"{self._endpoint.model}: {requests:,} requests were sent before: not sent again")
        return parts

    async def _send(
        self, api: BatchApi, parts: list[Part], left: Asked, sampling: Sampling, answered: Finished
    ) -> GaveUp | None:
        """Send what is not under way: few at once, and more in batches."""
        sent = {key for part in parts for key in part.keys}
        unsent = {key: request for key, request in left.items() if key not in sent}
        end = None
        if len(unsent) > AT_ONCE and not self._tried:
            end = await self._try_some(unsent, sampling, answered)
        unsent = {key: request for key, request in unsent.items() if key in left}
        if end is None and 0 < len(unsent) <= AT_ONCE:
            end = await self._ask_all(unsent, sampling, answered)
        if end is not None and not parts:
            return end
        if end is not None:
            # What is under way is paid for: the rest does not keep it from being fetched.
            self._progress.say(f"{self._endpoint.model}: {end.why}")
            for key in [key for key in unsent if key in left]:
                answered(key, Response("", "error", error=end.error))
        elif len(unsent) > AT_ONCE:
            lines = (
                batch_line(key, self._request(messages, sampling, seed)) for key, (messages, seed) in unsent.items()
            )
            parts += [write_part(self._parts_in, each) for each in in_parts(lines, self._most)]
        for part in parts:
            if not part.batch and not part.held:
                await self._submit(api, part)
        return None

    async def _try_some(self, unsent: Asked, sampling: Sampling, answered: Finished) -> GaveUp | None:
        """Ask one after another until one is answered: what all would be refused for is told, or learnt, before."""
        said: list[Response] = []

        def tell(key: str, answer: Response) -> None:
            said.append(answer)
            answered(key, answer)

        for key in list(unsent)[:REFUSED_AT_FIRST]:
            end = await self._ask_all({key: unsent[key]}, sampling, tell)
            if end is not None:
                return end
            if not failed(said[-1]):
                self._tried = True
                return None
        error = said[-1].error
        return GaveUp(f"the first {len(said)} requests failed ({error}): check the model's endpoint", error)

    async def _submit(self, api: BatchApi, part: Part) -> None:
        """Make a batch of a part. Each step is written down; a step of which nobody knows whether it was made is looked for."""
        none_yet = part.fresh or not part.file
        if not part.file:
            part.file = await api.upload(part.path, part.fresh)
            part.remember()
        part.batch = await api.create(part.file, none_yet)
        part.remember()

    async def _first_to_end(self, api: BatchApi, parts: Iterable[Part]) -> tuple[Part, Batch]:
        waiting = [part for part in parts if part.batch]
        total = sum(len(part.keys) for part in waiting)
        pause, before = POLL, -1
        while True:
            done = 0
            for part in waiting:
                batch = await api.batch(part.batch)
                if batch.status in ENDED:
                    return part, batch
                counts = batch.request_counts
                done += (counts.completed or 0) + (counts.failed or 0) if counts is not None else 0
            if done != before:
                note = f"in {len(waiting)} batches, up to a day each"
                self._progress.update(f"{self._endpoint.model}: requests", done, total, note=note)
            before = done
            await asyncio.sleep(pause * self._backoff)
            pause = min(pause * 1.5, LONGEST_POLL)

    async def _refuse(self, api: BatchApi, parts: list[Part], part: Part, batch: Batch) -> None:
        """A batch failed its examination, and nothing of it was asked. PrimumError unless the account only had no room for it."""
        codes = error_codes(batch)
        model, why = self._endpoint.model, ", ".join(codes) or "no code"
        if _NO_ROOM not in codes:
            await self._clear(api, part)
            raise PrimumError(f"{model}: a batch of {len(part.keys):,} requests was refused ({why}): none was asked")
        part.batch = ""
        part.remember()
        if any(other.batch for other in parts):
            part.held = True  # until one of them has ended
            self._progress.say(f"{model}: {why}: {len(part.keys):,} requests wait for another batch to end")
            return
        self._no_room += 1
        if self._no_room > MOST_NO_ROOM:
            raise PrimumError(
                f"{model}: the account had no room for a batch in {MOST_NO_ROOM} tries ({why}): run again later"
            )
        if len(part.keys) > LEAST:
            self._most = max(LEAST, len(part.keys) // 2)
            await self._clear(api, part)
            parts.remove(part)
        for each in parts:
            each.held = False
        pause = min(NO_ROOM_PAUSE * 2 ** (self._no_room - 1), LONGEST_NO_ROOM_PAUSE) * self._backoff
        self._progress.say(f"{model}: {why}: batches of at most {self._most:,} requests, in {pause:.0f} s")
        await asyncio.sleep(pause)

    async def _collect(self, api: BatchApi, part: Part, batch: Batch) -> dict[str, Reply]:
        """What came of the requests of a part. The answers are in the journal when this returns."""
        replies: dict[str, Reply] = {key: Again(f"batch_{batch.status}") for key in part.keys}
        part.files = tuple(file for file in (part.file, batch.output_file_id, batch.error_file_id) if file)
        for file in part.files[1:]:
            replies |= results(await api.download(file), part)
        replies = {key: self._without_key(reply) for key, reply in replies.items()}
        answers = {key: reply for key, reply in replies.items() if isinstance(reply, Response) and not failed(reply)}
        # Together: one by one they would wait for the disk each.
        await asyncio.gather(*(self._journal.keep(key, answer) for key, answer in answers.items()))
        part.settled = True
        part.remember()
        await self._clear(api, part)
        return replies

    async def _clear(self, api: BatchApi, part: Part) -> None:
        """Delete a part here and, as far as the provider does it, there: these are prompts and answers."""
        files = part.files or ((part.file,) if part.file else ())
        there = sum([not await api.delete(file) for file in files])
        if there:
            host = self._endpoint.host
            self._progress.say(
                f"{self._endpoint.model}: {there} files could not be deleted at {host}: delete them there"
            )
        part.forget()

    def _finish(
        self, replies: Mapping[str, Reply], batch: Batch, left: Asked, tries: Counter[str], answered: Finished
    ) -> None:
        """Tell the answers and what has failed for good; what may succeed stays in ``left``. PrimumError where nothing can."""
        fatal: Callable[[], NoReturn] | None = None
        for key, reply in replies.items():
            if key not in left:
                continue
            if isinstance(reply, Response):
                answered(key, reply)
                continue
            if isinstance(reply, Spent):
                fatal = self._quota_is_spent
                continue
            tries[key] += 1
            # Who cancels a batch does not want it to be sent again.
            again = self._learn(reply) if isinstance(reply, Refused) else batch.status != "cancelled"
            if isinstance(reply, Refused) and reply.status in REFUSED and not again:
                fatal = partial(self._refused, reply)
            elif not again or tries[key] >= ROUNDS:
                answered(key, Response("", "error", error=reply.error))
        if fatal is not None:
            fatal()
