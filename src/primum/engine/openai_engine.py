"""Any OpenAI-compatible endpoint: many requests at once, retried, limited in time, and never paid for twice.

Results are *statistical*: what the endpoint answered is the artifact.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import openai

from primum.artifact.work import keep_work
from primum.engine.answer import Again, Refused, Reply, Spent, read_answer
from primum.engine.client import Failed, attempted, connected
from primum.engine.endpoint import Endpoint, read_endpoint, read_key
from primum.engine.journal import Journal, answer_key
from primum.engine.limiter import Limiter, retry_after
from primum.engine.outgoing import checked
from primum.engine.protocol import (
    MOST_ERRORS,
    Conversation,
    Report,
    Response,
    clean,
    conversation_seed,
    failed,
    tokens_spent,
)
from primum.errors import PrimumError
from primum.experiment.types import Sampling
from primum.progress import Progress

SECONDS = 300.0
PATIENCE = 300.0  # seconds of failures alone
REFUSED_AT_FIRST = 5  # requests, one after another, before any was answered
TOLD_FROM = 5.0  # seconds of a pause
LONGEST_BACKOFF = 30.0
# What a model may not take, and the two names of the limit: OpenAI has renamed its own, others know the old one alone.
OPTIONAL = ("seed", "top_p", "temperature")
LIMITS = ("max_tokens", "max_completion_tokens")
REFUSED = {401: "the key is not accepted", 403: "the key may not use this model", 404: "there is no such model there"}


# What is to be asked, with its seed, by the journal's key; and who is told of each answer.
Asked = Mapping[str, tuple[Conversation, int | None]]
Finished = Callable[[str, Response], None]


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Nothing is asked any more: ``why``, and the ``error`` of what was not."""

    why: str
    error: str


class _GaveUpError(Exception):
    """Ends the workers."""


class OpenAIEngine:
    """A model behind an endpoint, asked ``concurrency`` requests at a time, or as many as it lets in (:class:`Limiter`).

    ``seconds`` limits an attempt as a whole, however slowly the answer trickles in. A failure that comes and goes is tried again,
    a bounded number of times a request (:mod:`primum.engine.answer`). After ``patience`` seconds of failures alone, or where the
    endpoint asks for a longer pause, it gives up. What a model does not take, such as ``temperature``, is left out once
    it was refused; ``left_out`` has its names. ``spent`` counts answers and their tokens, also those of the journal.
    ``phi`` is what is done about identifiers in what is asked (:mod:`primum.engine.outgoing`): if nothing is said, ``warn``, or
    nothing for an endpoint on this machine.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        concurrency: int,
        journal: Path | None,
        progress: Progress,
        seconds: float = SECONDS,
        backoff: float = 1.0,
        phi: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.surrogates = 0
        self.identifiers: Counter[str] = Counter()
        self.left_out: tuple[str, ...] = ()
        self.spent: Counter[str] = Counter()
        self._phi = phi or (None if endpoint.is_here else "warn")
        self._folder, self._progress = journal, progress
        self._endpoint, self._concurrency = endpoint, concurrency
        self._seconds, self._backoff, self._patience = seconds, backoff, patience
        self._limits = list(reversed(LIMITS) if endpoint.host == "api.openai.com" else LIMITS)
        self._key = read_key(endpoint)
        self._journal = Journal(journal)
        self._failed = 0
        for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2"):
            # Their debugging lines hold requests and headers.
            logging.getLogger(name).setLevel(logging.WARNING)

    def chat(
        self, conversations: Sequence[Conversation], sampling: Sampling, seed: int, report: Report
    ) -> list[Response]:
        """See :class:`primum.engine.Engine`. The same request given twice is sent once.

        Where requests failed, the journal outlives the result that they are in: made again, it asks for them alone. PrimumError
        when the key, the quota or the model is refused, or over ``MOST_ERRORS`` of the conversations are without an answer when
        it gives up; what was answered until then is in the journal. With ``phi: stop`` also for any identifier, before anything
        is sent.
        """
        cleaned: list[Conversation] = [
            [replace(m, content=clean(m.content)[0]) for m in messages] for messages in conversations
        ]
        if self._phi is not None:
            cleaned, kinds = checked(cleaned, self._endpoint, self._phi, self._folder, self._progress)
            self.identifiers.update(kinds)
        seeds = [conversation_seed(seed, messages) if sampling.temperature > 0 else None for messages in cleaned]
        model = f"{self._endpoint.base_url}#{self._endpoint.model}"
        keys = [answer_key(model, messages, sampling, own) for messages, own in zip(cleaned, seeds, strict=True)]
        answers = {key: found for key in keys if (found := self._journal.find(key)) is not None}
        asked = {
            key: (messages, own) for key, messages, own in zip(keys, cleaned, seeds, strict=True) if key not in answers
        }
        times = Counter(keys)
        done = sum(times[key] for key in answers)
        tokens = sum(answer.prompt_tokens + answer.completion_tokens for answer in answers.values())

        def finished(key: str, answer: Response) -> None:
            nonlocal done, tokens
            answers[key] = answer
            done, tokens = done + times[key], tokens + answer.prompt_tokens + answer.completion_tokens
            report(done, tokens)

        end = self._find_answers(asked, sampling, finished)
        if end is not None:
            lost = sum(count for key, count in times.items() if key not in answers or failed(answers[key]))
            if lost > MOST_ERRORS * len(keys):
                raise PrimumError(f"{self._endpoint.model}: {end.why} ({len(self._journal):,} answers are kept)")
            self._progress.say(f"{self._endpoint.model}: {end.why}")
            answers = {key: answers.get(key, Response("", "error", error=end.error)) for key in keys}
        report(len(keys), tokens)
        self._failed += sum(times[key] for key, answer in answers.items() if failed(answer))
        keep_work(self._folder, self._failed)
        paid = [answer for answer in answers.values() if not failed(answer)]
        self.spent.update({"answers": len(paid), **tokens_spent(paid)})
        responses = []
        for key in keys:
            text, replaced = clean(answers[key].text)
            self.surrogates += replaced
            reasoning = clean(answers[key].reasoning)[0]
            responses.append(replace(answers[key], text=text, reasoning=reasoning))
        return responses

    def _find_answers(self, asked: Asked, sampling: Sampling, finished: Finished) -> GaveUp | None:
        """Call ``finished`` with the answer to each of ``asked``, unless it gives up before."""
        return asyncio.run(self._ask_all(asked, sampling, finished)) if asked else None

    async def _ask_all(self, asked: Asked, sampling: Sampling, finished: Finished) -> GaveUp | None:
        waiting = iter(asked.items())
        limiter = Limiter(self._concurrency, self._backoff)
        refused, answered = 0, False
        end: GaveUp | None = None

        async def worker(client: openai.AsyncOpenAI) -> None:
            nonlocal refused, answered, end
            for key, (messages, seed) in waiting:
                answer = await self._ask(client, limiter, messages, sampling, seed)
                if isinstance(answer, GaveUp):
                    end = answer
                    raise _GaveUpError
                if not failed(answer):
                    answered = True
                    await self._journal.keep(key, answer)
                finished(key, answer)
                refused += answer.error.startswith("http-")
                if not answered and refused >= REFUSED_AT_FIRST:
                    why = f"the first {refused} requests were refused ({answer.error}): check the model's endpoint"
                    end = GaveUp(why, answer.error)
                    raise _GaveUpError

        async with connected(self._endpoint, self._key, self._seconds) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self._concurrency, len(asked))):
                        group.create_task(worker(client))
            except ExceptionGroup as errors:
                ours = [error for error in errors.exceptions if isinstance(error, PrimumError)]
                if ours:
                    raise ours[0] from None
                if end is None:
                    raise
            finally:
                await self._journal.close()
        return end

    async def _ask(
        self,
        client: openai.AsyncOpenAI,
        limiter: Limiter,
        messages: Conversation,
        sampling: Sampling,
        seed: int | None,
    ) -> Response | GaveUp:
        tries: Counter[bool] = Counter()
        while True:
            number = await limiter.start()
            reply, headers = await self._attempt(client, self._request(messages, sampling, seed))
            reply = self._without_key(reply)
            if isinstance(reply, Response):
                limiter.answered(number, headers, reply.prompt_tokens + reply.completion_tokens)
                return reply
            if isinstance(reply, Spent):
                self._quota_is_spent()
            if isinstance(reply, Refused):
                limiter.rejected(number, headers)
                if self._learn(reply):
                    continue
                if reply.status in REFUSED:
                    self._refused(reply)
                return Response("", "error", error=reply.error)
            shared = reply.limited or retry_after(headers) is not None
            pause = limiter.refused(number, headers) if shared else limiter.failed(number, headers)
            if limiter.without_answer() > self._patience:
                why = f"{self._endpoint.host} has not answered for {limiter.without_answer():,.0f} s, or asks to wait so long"
                return GaveUp(f"{why} (the last with {reply.error}): run again when it does", reply.error)
            if pause >= TOLD_FROM:
                self._progress.say(f"{self._endpoint.model}: {reply.error}: waiting {pause:.0f} s")
            tries[reply.limited] += 1
            if tries[reply.limited] >= reply.tries:
                return Response("", "error", error=reply.error)
            if not reply.limited:
                backoff = self._backoff * 2 ** (tries[False] - 1) * random.uniform(0.5, 1)
                await asyncio.sleep(min(backoff, LONGEST_BACKOFF))

    def _without_key(self, reply: Reply) -> Reply:
        if isinstance(reply, Again | Refused) and self._key in reply.error:
            return replace(reply, error=reply.error.split()[0])
        return reply

    def _quota_is_spent(self) -> NoReturn:
        kept = f"({len(self._journal):,} answers are kept)"
        raise PrimumError(f"{self._endpoint.key_env}: the quota is spent {kept}: top it up and run again")

    def _refused(self, reply: Refused) -> NoReturn:
        model, key = self._endpoint.model, self._endpoint.key_env
        raise PrimumError(f"{model}: {REFUSED[reply.status]} ({reply.error}): check the endpoint and {key}")

    def _request(self, messages: Conversation, sampling: Sampling, seed: int | None) -> dict[str, Any]:
        request = {
            "model": self._endpoint.model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self._limits[0]: sampling.max_tokens,
            **({} if seed is None else {"seed": seed}),
        }
        return {name: value for name, value in request.items() if name not in self.left_out}

    async def _attempt(self, client: openai.AsyncOpenAI, request: dict[str, Any]) -> tuple[Reply, Mapping[str, str]]:
        sent = [name for name in (*LIMITS, *OPTIONAL) if name in request]
        ask = partial(client.chat.completions.with_raw_response.create, **request)
        found = await attempted(ask, self._seconds, sent)
        if isinstance(found, Failed):
            return found.reply, found.headers
        return read_answer(found.content, next(request[name] for name in LIMITS if name in request)), found.headers

    def _learn(self, reply: Refused) -> bool:
        """Leave out what the model does not take, or give it its other name, from now on. Whether that is news to try."""
        name, model = reply.parameter, self._endpoint.model
        if name in LIMITS:
            if name != self._limits[0]:
                return len(self._limits) == 1  # another request was told before
            if len(self._limits) == 1:
                return False
            self._limits.pop(0)
            return True
        if name and name not in self.left_out:
            self.left_out = tuple(sorted({*self.left_out, name}))
            self._progress.say(f"{model}: takes no {name} ({reply.error}): asked without it, at the endpoint's own")
        return bool(name)


__all__ = ["Endpoint", "OpenAIEngine", "read_endpoint"]
