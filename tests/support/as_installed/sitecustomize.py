"""What a process that a test starts does not find, since users do not have it: scikit-learn, which comes with lm-eval alone.

transformers imports it wherever it is, which costs each process a second. Python imports this file from PYTHONPATH.
"""

from __future__ import annotations

from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

_found = PathFinder.find_spec


def _find_spec(name: str, *more: Any) -> ModuleSpec | None:
    return None if name == "sklearn" else _found(name, *more)


PathFinder.find_spec = staticmethod(_find_spec)  # type: ignore[assignment, method-assign]
