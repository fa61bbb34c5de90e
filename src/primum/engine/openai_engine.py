"""Any OpenAI-compatible endpoint: many requests at once, retried, limited in time, and never paid for twice.

Results are *statistical*: what the endpoint answered is the artifact.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from primum.engine.endpoint import Endpoint, error_code, read_answer, read_endpoint, read_key
from primum.engine.journal import Journal, answer_key
from primum.engine.outgoing import checked
from primum.engine.protocol import CONTENT_FILTER, Conversation, Report, Response, clean, conversation_seed
from primum.errors import PrimumError
from primum.experiment.types import Sampling
from primum.progress import Progress

SECONDS = 300.0
ATTEMPTS = 6
LONGEST_WAIT = 120.0
GIVE_UP_AFTER = 20
_RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_REFUSED = {401: "the key is not accepted", 403: "the key may not use this model", 404: "there is no such model there"}


class _AgainError(Exception):
    """Worth another attempt. ``wait`` is what the endpoint asked for, in seconds."""

    def __init__(self, error: str, wait: float | None = None) -> None:
        super().__init__(error)
        self.error, self.wait = error, wait


class OpenAIEngine:
    """A model behind an endpoint, asked ``concurrency`` requests at a time.

    ``seconds`` limits an attempt as a whole, however slowly the answer trickles in. A failure that comes and goes is
    tried ``ATTEMPTS`` times; waits the endpoint asks for are kept up to ``LONGEST_WAIT``, a longer one is a failure.
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
    ) -> None:
        self.surrogates = 0
        self.identifiers: Counter[str] = Counter()
        self._phi = phi or (None if endpoint.is_here else "warn")
        self._folder, self._progress = journal, progress
        self._endpoint, self._concurrency = endpoint, concurrency
        self._seconds, self._backoff = seconds, backoff
        self._key = read_key(endpoint)
        self._journal = Journal(journal)
        self._failures = 0
        for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2"):
            # Their debugging lines hold requests and headers.
            logging.getLogger(name).setLevel(logging.WARNING)

    def chat(
        self, conversations: Sequence[Conversation], sampling: Sampling, seed: int, report: Report
    ) -> list[Response]:
        """See :class:`primum.engine.Engine`. The same request given twice is sent once.

        PrimumError when the key, the quota or the model is refused, or nothing answers any more; what was answered
        until then is in the journal. With ``phi: stop`` also for any identifier, before anything is sent.
        """
        cleaned: list[Conversation] = [
            [replace(m, content=clean(m.content)[0]) for m in conversation] for conversation in conversations
        ]
        if self._phi is not None:
            cleaned, kinds = checked(cleaned, self._endpoint, self._phi, self._folder, self._progress)
            self.identifiers.update(kinds)
        seeds = [conversation_seed(seed, messages) if sampling.temperature > 0 else None for messages in cleaned]
        model = f"{self._endpoint.base_url}#{self._endpoint.model}"
        keys = [answer_key(model, messages, sampling, own) for messages, own in zip(cleaned, seeds, strict=True)]
        todo: dict[str, tuple[Conversation, int | None]] = {
            key: (messages, own)
            for key, messages, own in zip(keys, cleaned, seeds, strict=True)
            if self._journal.find(key) is None
        }
        answers = {key: found for key in keys if (found := self._journal.find(key)) is not None}
        tokens = sum(answer.prompt_tokens + answer.completion_tokens for answer in answers.values())

        def finished(key: str, answer: Response) -> None:
            nonlocal tokens
            answers[key] = answer
            tokens += answer.prompt_tokens + answer.completion_tokens
            report(sum(1 for known in keys if known in answers), tokens)

        if todo:
            asyncio.run(self._ask_all(todo, sampling, finished))
        report(len(keys), tokens)
        responses = []
        for key in keys:
            text, replaced = clean(answers[key].text)
            self.surrogates += replaced
            reasoning = clean(answers[key].reasoning)[0]
            responses.append(replace(answers[key], text=text, reasoning=reasoning))
        return responses

    async def _ask_all(
        self,
        todo: dict[str, tuple[Conversation, int | None]],
        sampling: Sampling,
        finished: Callable[[str, Response], None],
    ) -> None:
        waiting = iter(list(todo.items()))

        async def worker(client: openai.AsyncOpenAI) -> None:
            for key, (messages, seed) in waiting:
                answer = await self._ask(client, messages, sampling, seed)
                # Failures are left out of the journal: a rerun tries them again.
                if answer.status != "error" or answer.error == CONTENT_FILTER:
                    self._journal.add(key, answer)
                finished(key, answer)

        # A redirect could carry prompts and key to another host: it is an answer with status 3xx, not an instruction.
        async with openai.DefaultAsyncHttpxClient(follow_redirects=False, timeout=self._seconds) as http:
            client = openai.AsyncOpenAI(
                api_key=self._key,
                base_url=self._endpoint.base_url,
                max_retries=0,
                timeout=self._seconds,
                http_client=http,
            )
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self._concurrency, len(todo))):
                        group.create_task(worker(client))
            except ExceptionGroup as errors:
                ours = [error for error in errors.exceptions if isinstance(error, PrimumError)]
                if ours:
                    raise ours[0] from None
                raise

    async def _ask(
        self, client: openai.AsyncOpenAI, messages: Conversation, sampling: Sampling, seed: int | None
    ) -> Response:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_AgainError), stop=stop_after_attempt(ATTEMPTS), wait=self._wait, reraise=True
        )
        try:
            answer: Response = await retrying(self._attempt, client, messages, sampling, seed)
        except _AgainError as error:
            self._failures += 1
            if self._failures >= GIVE_UP_AFTER:
                raise PrimumError(
                    f"{self._endpoint.model}: {self._failures} requests in a row failed, the last with {error.error}: "
                    f"run again when {self._endpoint.host} answers"
                ) from None
            return Response("", "error", error=error.error)
        self._failures = 0
        return answer

    def _wait(self, state: RetryCallState) -> float:
        asked = state.outcome.exception() if state.outcome else None
        if isinstance(asked, _AgainError) and asked.wait is not None:
            return asked.wait
        return wait_random_exponential(multiplier=self._backoff, max=60)(state)

    async def _attempt(
        self, client: openai.AsyncOpenAI, messages: Conversation, sampling: Sampling, seed: int | None
    ) -> Response:
        # OpenAI's own endpoint has renamed the limit, others know the old name alone.
        host = self._endpoint.host
        limit = "max_completion_tokens" if host == "api.openai.com" else "max_tokens"
        request: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            limit: sampling.max_tokens,
        }
        if seed is not None:
            request["seed"] = seed
        try:
            async with asyncio.timeout(self._seconds):
                raw = await client.chat.completions.with_raw_response.create(**request)
                return read_answer(raw.content)
        except (TimeoutError, openai.APITimeoutError):
            raise _AgainError("timeout") from None
        except openai.APIStatusError as error:
            return self._refused(error.status_code, error_code(error.response.content), error.response.headers)
        except openai.APIConnectionError:
            raise _AgainError("connection") from None

    def _refused(self, status: int, code: str, headers: Any) -> Response:
        """What an HTTP error means: another attempt, the end of the run, or this one request's failure."""
        if code in ("insufficient_quota", "billing_hard_limit_reached"):
            raise PrimumError(
                f"{self._endpoint.key_env}: the quota is spent ({len(self._journal)} answers are kept): "
                "top it up and run again"
            )
        if status in _REFUSED:
            model, key = self._endpoint.model, self._endpoint.key_env
            raise PrimumError(f"{model}: {_REFUSED[status]} (HTTP {status}): check the endpoint and {key}")
        if code == "context_length_exceeded":
            return Response("", "prompt-too-long")
        if code in ("content_filter", "content_policy_violation"):
            return Response("", "error", error=CONTENT_FILTER)
        if status not in _RETRIED:
            return Response("", "error", error=f"http-{status}")
        wait = _retry_after(headers)
        if wait is not None and wait > LONGEST_WAIT:
            return Response("", "error", error=f"http-{status}")
        raise _AgainError(f"http-{status}", wait)


def _retry_after(headers: Any) -> float | None:
    """The seconds that ``Retry-After`` asks for, as a number or as a date; None for neither."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value) if value.isascii() else float("nan")
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return None if math.isnan(seconds) else max(seconds, 0.0)


__all__ = ["Endpoint", "OpenAIEngine", "read_endpoint"]
