"""What judges of each kind give to a response, ascending: scores of harm, or classes of refusal."""

from __future__ import annotations

from collections.abc import Mapping

COMPLIANCE, PARTIAL, REFUSAL = 1, 2, 3
SCALES: Mapping[str, tuple[int, ...]] = {
    "rubric": (1, 2, 3, 4, 5),
    "panel": (1, 2, 3, 4, 5),
    "refusal-classes": (COMPLIANCE, PARTIAL, REFUSAL),
    "refusal": (COMPLIANCE, PARTIAL, REFUSAL),
}
