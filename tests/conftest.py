"""Fixtures that unit and integration tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["demo_run"]

# A busy machine is no finding.
settings.register_profile("primum", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("primum")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests run in one process, since they share fixtures; those of the cluster, which is brought up once, too."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group("slurm" if folder == "slurm" else str(item.path)))


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
