"""Responses that were never given: no judge is asked about them."""

from __future__ import annotations

# The status of a response that is none, and that of what a judge would have said about it.
NOT_ANSWERED = frozenset({"error", "prompt-too-long"})
NO_RESPONSE = "no-response"
