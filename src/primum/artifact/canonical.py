"""One spelling for every value: the canonical JSON that specs and keys are hashed from."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """``value`` as JSON with sorted keys, no spaces and plain ASCII, so that equal values are equal strings.

    Floats keep Python's shortest round-trip form. Raises ValueError for NaN and infinities, TypeError for objects.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """The sha256 of ``value``'s canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
