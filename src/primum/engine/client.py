"""The connection to an endpoint, which nobody else sees into, and what a failure of it means."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import openai

from primum.engine.answer import Again, Reply, read_error
from primum.engine.endpoint import Endpoint

_T = TypeVar("_T")


@asynccontextmanager
async def connected(endpoint: Endpoint, key: str, seconds: float) -> AsyncIterator[openai.AsyncOpenAI]:
    """A client of ``endpoint`` that tries nothing again by itself; ``seconds`` limit each step of a request."""
    # A redirect could carry prompts and key to another host: it is an answer with status 3xx, not an instruction. So could a
    # proxy that a variable names; a site's own certificates count all the same.
    own = any(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    verify = ssl.create_default_context() if own else True
    async with openai.DefaultAsyncHttpxClient(
        follow_redirects=False, timeout=seconds, trust_env=False, verify=verify
    ) as http:
        yield openai.AsyncOpenAI(
            api_key=key, base_url=endpoint.base_url, max_retries=0, timeout=seconds, http_client=http
        )


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that brought no answer: what that means, and the headers that came with it."""

    reply: Reply
    headers: Mapping[str, str]


async def attempted(call: Callable[[], Awaitable[_T]], seconds: float, sent: Sequence[str] = ()) -> _T | Failed:
    """What ``call`` brings within so many seconds, or why it brings nothing; ``sent`` are the optional parameters in it."""
    try:
        async with asyncio.timeout(seconds):
            return await call()
    except (TimeoutError, openai.APITimeoutError):
        return Failed(Again("timeout"), {})
    except openai.APIStatusError as error:
        return Failed(read_error(error.status_code, error.response.content, sent), error.response.headers)
    except openai.APIConnectionError:
        return Failed(Again("connection"), {})
    except (ValueError, AttributeError):  # no JSON, or another shape than the client expects
        return Failed(Again("bad-json"), {})
