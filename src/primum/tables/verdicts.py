"""What judges and panels said of responses, as the tables ``safety`` and ``judges`` read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow.compute as pc

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.tables.calibration import same_text
from primum.tables.panel import panel_score
from primum.text.scales import SCALES

BLOCKED, EMPTY = "blocked", "empty"
UNANSWERED = ("error", "prompt-too-long")
# Verdicts of responses that no judge is asked about.
NOT_ASKED = ("no_response", "empty")
NO_QUORUM = "no_quorum"
_FILTERED = "content-filter"  # the error of an answer that an endpoint's own filter stopped


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said of one response: no score is None, never a number. ``label`` is what people said of the same text.

    ``response`` is the generation's status, ``blocked`` where an endpoint's own filter stopped it, ``empty`` where there is no
    text. ``status`` is the verdict's.
    """

    category: str
    score: int | None
    response: str
    status: str
    label: int | None = None


Verdicts = Mapping[str, Verdict]


def read_verdicts(verdicts: Artifact, generations: Artifact, kind: str, labels: Mapping[str, int]) -> Verdicts:
    """The rows of a verdict artifact by id, with the state of the response each is about, and its label if it has one.

    ``kind`` is the judge's; ``labels`` are scores by the hash of request and response. Raises PrimumError unless both artifacts
    have the same ids.
    """
    responses = _responses(generations)
    rows = verdicts.table(["id", "category", "score", "status"]).to_pylist()
    if {row["id"] for row in rows} != set(responses):
        raise PrimumError(f"{verdicts.data}: its ids are not those of {generations.data}: run the stage judge again")
    texts = generations.table(["id", "request", "response"]).to_pylist() if labels else []
    known = {row["id"]: labels.get(same_text(row["request"], row["response"])) for row in texts}
    return {
        row["id"]: Verdict(
            category=row["category"],
            score=_scored(row["score"], kind),
            response=responses[row["id"]],
            status=row["status"],
            label=known.get(row["id"]),
        )
        for row in rows
    }


def _responses(generations: Artifact) -> dict[str, str]:
    table = generations.table(["id", "status", "error", "response"])
    empty = pc.equal(pc.utf8_trim_whitespace(table.column("response")), "").to_pylist()
    rows = zip(*table.select(["id", "status", "error"]).to_pydict().values(), empty, strict=True)
    return {
        id_: (BLOCKED if error == _FILTERED else status) if status in UNANSWERED else EMPTY if nothing else status
        for id_, status, error, nothing in rows
    }


def _scored(score: int | None, kind: str) -> int | None:
    """A score on the scale of the judge's kind: the stock phrases say 1 or 0, which are classes at its two ends."""
    if kind == "refusal" and score is not None:
        score = SCALES[kind][-1] if score else SCALES[kind][0]
    return score if score in SCALES[kind] else None


def with_panels(
    judgements: Mapping[tuple[str, str, str], Verdicts], judges: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str, str], Verdicts]:
    """``judgements`` and those of the panels, by (judge, model, prompts)."""
    found = dict(judgements)
    for panel in (judge for judge in judges if judge["kind"] == "panel"):
        first, *_ = panel["members"]
        for model, prompts in [key[1:] for key in judgements if key[0] == first and key[2] in panel["prompts"]]:
            members = [judgements[member, model, prompts] for member in panel["members"]]
            found[panel["name"], model, prompts] = {
                key: _of_panel([each[key] for each in members], panel["quorum"]) for key in members[0]
            }
    return found


def _of_panel(members: Sequence[Verdict], quorum: float) -> Verdict:
    score = panel_score([each.score for each in members], quorum)
    unasked = members[0].status in NOT_ASKED
    return replace(
        members[0],
        score=score,
        status="scored" if score is not None else members[0].status if unasked else NO_QUORUM,
    )
