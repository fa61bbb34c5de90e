"""Fixtures that unit and integration tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

pytest_plugins = ["demo_run", "tiny_run"]

# A busy machine is no finding.
settings.register_profile("primum", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "thorough", settings.get_profile("primum"), max_examples=2000
)  # --hypothesis-profile=thorough
settings.load_profile("primum")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """A file's tests run in one process, since they share fixtures; files begin in their order, not by how many tests."""
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


# The first processes take the longest files: one computes, the other mostly waits for Slurm. The cluster's other tests come
# later, when they have more of the machine; what is left at the end is short.
_FIRST = ("tests/integration/test_demo.py", "tests/slurm/test_faults.py", "tests/parity/", "tests/slurm/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest."""
    items.sort(key=lambda item: next((i for i, path in enumerate(_FIRST) if item.nodeid.startswith(path)), len(_FIRST)))


@pytest.fixture(autouse=True, scope="session")
def as_installed() -> None:
    """The processes that tests start find the packages that users have (``support/as_installed``)."""
    folder = str(Path(__file__).parent / "support/as_installed")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))


@pytest.fixture(autouse=True, scope="module")
def own_environment(as_installed: None) -> Iterator[None]:
    """What a file's tests set in the environment, as vLLM's engine does, does not reach the next file in the process."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def in_time() -> Iterator[None]:
    """What waits for ever fails, after a minute."""

    def over(*_: Any) -> None:
        raise AssertionError("it waits for ever")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random two-layer Llama with Llama-3's special tokens and chat template."""
    from tiny_llama import write_tiny_llama

    folder = tmp_path_factory.mktemp("model") / "tiny"
    write_tiny_llama(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_requests() -> list[str]:
    """Requests of many lengths, so that batches need padding."""
    words = ["cough", "fever", "rest", "water", "doctor", "patient", "advice", "sleep", "tea", "and", "the", "of"]
    return [" ".join(words[(i * 7 + j * 5) % len(words)] for j in range(1 + (i * 5) % 23)) for i in range(24)]
