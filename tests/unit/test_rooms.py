"""The package's rooms: which may import which. Imports point one way, and no stage imports another."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import primum

SOURCE = Path(primum.__file__).parent
BELOW = {"errors", "progress", "reading", "writing"}  # what everybody may use
STAGES = {"curate", "train", "prefer", "generate", "judge", "score", "tables", "report"}
# A folder, or a module at the top, and what it may import besides.
ROOMS = {
    "errors": set(),
    "tracebacks": set(),
    "progress": set(),
    "reading": set(),
    "writing": set(),
    "project": {"artifact"},
    "licences": set(),
    "demo": set(),
    "artifact": set(),
    "hub": set(),
    "experiment": {"hub"},
    "text": {"artifact"},
    "engine": {"artifact", "experiment", "text"},
    "curate": {"artifact", "experiment", "hub", "text"},
    "parallel": {"artifact", "tracebacks"},
    "train": {"artifact", "text", "parallel"},
    "prefer": {"artifact", "experiment", "text", "engine", "parallel"},
    "generate": {"artifact", "experiment", "text", "engine"},
    "judge": {"artifact", "experiment", "text", "engine"},
    "score": {"artifact", "experiment", "text", "engine", "parallel"},
    "tables": {"artifact", "text"},  # how a judge's answer is read
    "report": {"artifact", "tables", "licences"},  # which columns a table has
    "dag": {"artifact", "experiment", "hub", "text"},  # the chat template that an experiment names
    "cluster": {"artifact", "experiment", "dag"},
    "table4": {"artifact", "experiment", "tables", "dag"},
    "export": {"artifact", "text", "dag", "licences"},
    "audit": {"artifact", "experiment", "hub", "text", "dag", "cluster", "licences", "score"},  # a task, tried on a row
    "trace": {"artifact", "experiment", "dag", "tables", "audit", "project"},  # which artifacts a row was made of
    "pins": {"artifact", "experiment", "dag", "hub", "curate"},
    "verify": {
        "artifact",
        "experiment",
        "dag",
        "hub",
        "curate",
        "tables",
        "table4",
        "report",
        "trace",
        "export",
        "project",
    },
    "reproduce": {"artifact", "dag", "experiment", "export", "hub", "project", "tables"},  # what a crate holds
    "terminal": {"artifact", "dag"},
    "upkeep": {"artifact", "project"},
    "run_stage": {"artifact", "dag", "cluster", "tracebacks"},
    "commands": {
        "artifact",
        "experiment",
        "dag",
        "project",
        "audit",
        "pins",
        "demo",
        "tables",
        "table4",
        "export",
        "trace",
        "upkeep",
        "verify",
        "reproduce",
    },
    "cli": {"dag", "commands", "run_stage"},
    "__main__": {"cli"},
}


def _imports(path: Path) -> set[str]:
    """The rooms that a file imports from, those of imports inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update([node.module] if "." in node.module else [f"{node.module}.{a.name}" for a in node.names])
    return {name.split(".")[1] for name in names if name.startswith("primum.")}


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def test_every_file_is_in_a_room_that_imports_what_it_may() -> None:
    wrong = []
    for path in sorted(SOURCE.rglob("*.py")):
        room = _room(path)
        if path == SOURCE / "__init__.py":
            continue
        for other in _imports(path) - {room} - BELOW - ROOMS[room]:
            wrong.append(f"{path.relative_to(SOURCE)} imports {other}")
    assert not wrong, "\n".join(wrong)


def test_imports_point_one_way() -> None:
    # Raises CycleError where they do not.
    order = list(TopologicalSorter(ROOMS).static_order())
    assert order.index("dag") < order.index("cluster") < order.index("audit")
    assert {_room(path) for path in SOURCE.rglob("*.py")} - {"__init__"} == set(ROOMS)


def test_no_stage_imports_another() -> None:
    for stage in STAGES - {"report"}:
        assert not ROOMS[stage] & STAGES
    assert ROOMS["report"] & STAGES == {"tables"}
