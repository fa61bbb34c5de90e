"""Fixtures that unit and integration tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

pytest_plugins = ["demo_run"]

# A busy machine is no finding.
settings.register_profile("primum", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("primum")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """A file's tests run in one process, since they share fixtures; those of the cluster, which is brought up once, too.

    ``--dist loadgroup`` would be the way, but pytest-xdist 3.8 cannot name groups under pytest 9.2.
    """

    # In the order of collection: the longest files come first there, and not by how many tests they have.
    config.option.loadscopereorder = False

    class ByFile(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return "tests/slurm" if nodeid.startswith("tests/slurm/") else str(super()._split_scope(nodeid))

    return ByFile(config, log)


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
