"""What tests of engines share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chat_server import Server, misbehaving_server


@pytest.fixture
def server() -> Iterator[Server]:
    """An endpoint that fails as it is told to."""
    with misbehaving_server() as running:
        yield running
