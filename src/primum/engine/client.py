"""The connection to an endpoint, which nobody else sees into, and what a failure of it means."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import openai

from primum.engine.answer import Again, Reply, read_error
from primum.engine.endpoint import Endpoint

# What a call to the client may raise, and :func:`read_failure` reads.
FAILURES = (TimeoutError, openai.APIStatusError, openai.APIConnectionError)


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


def read_failure(error: Exception, sent: Sequence[str] = ()) -> tuple[Reply, Mapping[str, str]]:
    """What one of :data:`FAILURES` means for a request with the optional parameters ``sent``, and the headers that came.

    Anything else is a body that is no JSON.
    """
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return Again("timeout"), {}
    if isinstance(error, openai.APIStatusError):
        return read_error(error.status_code, error.response.content, sent), error.response.headers
    return Again("connection" if isinstance(error, openai.APIConnectionError) else "bad-json"), {}
