"""The demo, finished without running anything, and a process that plans in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from project import DEMO, Planner, copy_project


@pytest.fixture(scope="session")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planner]:
    """A planner in a copy where the demo is finished; nothing is planned there until a test edits a file."""
    project = copy_project(tmp_path_factory.mktemp("plan") / "project")
    (project / "config/experiments/demo.yaml").write_text(DEMO, encoding="utf-8")  # as the tests' parameters have it
    planner = Planner(project)
    planner.ask("finish")
    yield planner
    planner.close()
