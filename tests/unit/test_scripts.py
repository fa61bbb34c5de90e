"""Scripts outside the package, which no other test imports: what they take from it is there, with the names they use."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path for folder in ("benchmarks", "envs", "docs", "data") for path in (ROOT / folder).rglob("*.py"))


def _taken(path: Path) -> list[tuple[str, str]]:
    """(module of primum, name) of every import, those inside functions too."""
    imports = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)
    ]
    return [
        (node.module, alias.name)
        for node in imports
        if node.module and node.module.partition(".")[0] == "primum"
        for alias in node.names
    ]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_script_takes_from_the_package_is_there(path: Path) -> None:
    gone = []
    for module, name in _taken(path):
        try:
            found = hasattr(importlib.import_module(module), name)
            found = found or importlib.util.find_spec(f"{module}.{name}") is not None
        except ModuleNotFoundError:
            found = False
        if not found:
            gone.append(f"{module}.{name}")
    assert not gone, f"{path.relative_to(ROOT)} imports {', '.join(gone)}"


def test_the_benchmarks_are_among_them() -> None:
    names = {path.name for path in SCRIPTS if _taken(path)}
    assert {"speed_cases.py", "score_speed.py", "training.py"} <= names
