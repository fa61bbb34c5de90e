"""A Slurm for the tests in this folder: each process of pytest-xdist that runs some brings up one, and takes it down."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster
from debian import Unavailable
from demo_run import shared_folder
from filelock import FileLock


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here bears the mark."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("slurm")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster with no jobs but those of earlier tests. Skips where the machine cannot have one."""
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        with FileLock(shared_folder(tmp_path_factory) / "slurm.lock"):  # one installs the packages
            cluster.up()
        yield cluster
    except Unavailable as reason:
        pytest.skip(f"no Slurm here: {reason}")
    finally:
        cluster.down()
        # The logs stay, as pytest keeps them; the database is a hundred megabytes that nobody reads.
        shutil.rmtree(cluster.folder / "mysql", ignore_errors=True)
