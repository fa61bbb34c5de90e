"""The tables ``judges`` and ``confusion``: what judges are worth, by labelled responses and by each other; and the gate.

A judge's scores are shown only where its labelled set shows that they mean something: the lower end of alpha's interval must lie
above the judge's gate. The value itself would let a small set pass by luck. Without a gate the end must lie above 0: a judge that
always gives the same score, or agrees no better than chance, is refused in any case.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from primum.artifact.canonical import canonical_json
from primum.artifact.manifest import Artifact
from primum.tables.agreement import NONE, Agreement, Range, agreement
from primum.tables.canaries import canary_columns
from primum.tables.panel import panel_score
from primum.tables.sampling import sampled_mean
from primum.tables.statistics import bounded
from primum.text.refusal import refusal_phrase
from primum.text.scales import COMPLIANCE, REFUSAL, SCALES

LABELS = "labels"


@dataclass(frozen=True, slots=True)
class Label:
    """A response that people scored. ``request`` and ``text`` (of request and response) are hashes, equal for equal texts.

    ``phrases`` is the class that the stock phrases put it in.
    """

    id: str
    request: str
    text: str
    score: int
    phrases: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge on its labelled set. ``recall`` is the share of refusals that it calls so, ``false_alarms`` of compliances.

    ``cells`` counts (label, judge's score), None where it gave none.
    """

    judge: str
    labels: Sequence[Label]
    scores: Sequence[int | None]
    agreed: Agreement
    recall: Range
    false_alarms: Range
    gate: float

    @property
    def passed(self) -> bool:
        """Whether the judge's scores may be shown."""
        return self.agreed.alpha.low is not None and self.agreed.alpha.low > self.gate

    @property
    def cells(self) -> Counter[tuple[int, int | None]]:
        return Counter((label.score, score) for label, score in zip(self.labels, self.scores, strict=True))


def same_text(*texts: str) -> str:
    """64 hex digits, equal for equal texts: so that they need not be kept."""
    return hashlib.sha256(canonical_json(list(texts)).encode("utf-8", "surrogatepass")).hexdigest()


def read_labels(rows: Artifact) -> list[Label]:
    """The labels of a dataset of graded rows, in their order."""
    return [
        Label(
            id=row["id"],
            request=same_text(row["request"]),
            text=same_text(row["request"], row["response"]),
            score=row["score"],
            phrases=REFUSAL if refusal_phrase(row["response"]) else COMPLIANCE,
        )
        for row in rows.table(["id", "request", "response", "score"]).to_pylist()
    ]


def read_judged(verdicts: Artifact) -> dict[str, int | None]:
    """The judge's score of each labelled response, by id."""
    return dict(zip(*verdicts.table(["id", "score"]).to_pydict().values(), strict=True))


def calibrations(
    judges: Sequence[Mapping[str, Any]],
    labels: Mapping[str, Sequence[Label]],
    judged: Mapping[str, Mapping[str, int | None]],
) -> dict[str, Calibration]:
    """Of each judge that was checked, what came of it. ``labels`` and ``judged`` (by id) are by judge, panels left out.

    A panel is checked where all its members are, and on the same labels.
    """
    found: dict[str, Calibration] = {}
    for judge in judges:
        name, kind = judge["name"], judge["kind"]
        if name in labels:
            own = labels[name]
            scores = [each.phrases if kind == "refusal" else judged[name].get(each.id) for each in own]
            found[name] = _calibrate(judge, own, [_on_scale(score, kind) for score in scores])
    for judge in (each for each in judges if each["kind"] == "panel"):
        members = [found.get(member) for member in judge["members"]]
        known = [member for member in members if member is not None]
        if len(known) == len(members) and all(member.labels == known[0].labels for member in known):
            scores = [panel_score(each, judge["quorum"]) for each in zip(*(m.scores for m in known), strict=True)]
            found[judge["name"]] = _calibrate(judge, known[0].labels, scores)
    return found


def _on_scale(score: int | None, kind: str) -> int | None:
    return score if score in SCALES[kind] else None


def _calibrate(judge: Mapping[str, Any], labels: Sequence[Label], scores: Sequence[int | None]) -> Calibration:
    given = [(label, score) for label, score in zip(labels, scores, strict=True) if score is not None]
    pairs = [(label.score, score) for label, score in given]
    refuses = judge["kind"].startswith("refusal")
    return Calibration(
        judge=judge["name"],
        labels=labels,
        scores=scores,
        agreed=agreement(pairs, [label.request for label, _ in given], SCALES[judge["kind"]]),
        recall=_share_refused(given, REFUSAL) if refuses else NONE,
        false_alarms=_share_refused(given, COMPLIANCE) if refuses else NONE,
        gate=judge["gate"],
    )


def _share_refused(given: Sequence[tuple[Label, int]], class_: int) -> Range:
    """Of the responses that were labelled so, the share that the judge calls refusals."""
    chosen = [(label.request, float(score == REFUSAL)) for label, score in given if label.score == class_]
    if not chosen:
        return NONE
    requests, called = zip(*chosen, strict=True)
    estimate = bounded(sampled_mean(np.array(called)[:, None], clusters=np.array(requests)))
    return Range(estimate.value, estimate.low, estimate.high)


def refused_judges(judges: Sequence[Mapping[str, Any]], checked: Mapping[str, Calibration]) -> set[str]:
    """The judges whose scores are not shown. A panel that was not checked is one of them if a member is."""
    refused = {name for name, each in checked.items() if not each.passed}
    panels = [judge for judge in judges if judge["kind"] == "panel" and judge["name"] not in checked]
    return refused | {panel["name"] for panel in panels if refused & set(panel["members"])}


def part_of(id_: str) -> str:
    """The model that a labelled response's id names, as in ``set/model/number``; "" where it names none."""
    return id_.split("/")[1] if id_.count("/") > 1 else ""


def _by_model(judge: Mapping[str, Any], whole: Calibration) -> Iterator[tuple[str, Calibration]]:
    """The parts of a labelled set whose ids name who wrote the responses (``set/model/number``): none where they do not."""
    names = [part_of(label.id) for label in whole.labels]
    for model in sorted(set(names)) if len(set(names)) > 1 else ():
        chosen = [place for place, name in enumerate(names) if name == model]
        yield model, _calibrate(judge, [whole.labels[i] for i in chosen], [whole.scores[i] for i in chosen])


def judge_rows(
    judges: Sequence[Mapping[str, Any]],
    checked: Mapping[str, Calibration],
    scores: Mapping[str, Mapping[tuple[str, str, str], int]],
    followed: Mapping[str, list[bool | None]],
) -> Iterator[dict[str, Any]]:
    """The rows of ``judges``: each checked judge against its labels, then each two that scored the same responses.

    Labelled responses of several models have a row a model, too: the gate is that of the whole. ``scores`` are by judge and by
    (model, prompts, id) of a response. Several models' responses to one request are one item. A judge's canaries (``followed``)
    are beside its labels; a judge without labels has a row for them, of no labels.
    """
    for index, judge in enumerate(judges):
        whole = checked.get(judge["name"])
        spoken = canary_columns(followed[judge["name"]]) if judge["name"] in followed else {}
        if whole is None and spoken:
            none = dict.fromkeys(("n", "scored", "items"), 0)
            yield {"id": f"{index:03d}.000", "judge": judge["name"], "against": LABELS, "part": "", **none, **spoken}
        if whole is None:
            continue
        for number, (model, each) in enumerate([("", whole), *_by_model(judge, whole)]):
            yield {
                "id": f"{index:03d}.{number:03d}",
                "judge": each.judge,
                "against": LABELS,
                "part": model,
                "n": len(each.labels),
                **_agreed(each.agreed),
                **_columns("recall", each.recall),
                **_columns("false_alarms", each.false_alarms),
                **({} if model else {"gate": whole.gate, "passed": whole.passed, **spoken}),
            }
    kinds = {judge["name"]: judge["kind"] for judge in judges}
    for number, (first, second) in enumerate(combinations([name for name in kinds if name in scores], 2)):
        both = sorted(scores[first].keys() & scores[second].keys())
        # A panel agrees with its own members in any case.
        if not both or SCALES[kinds[first]] != SCALES[kinds[second]] or "panel" in (kinds[first], kinds[second]):
            continue
        pairs = [(scores[first][key], scores[second][key]) for key in both]
        agreed = agreement(pairs, [(prompts, id_) for _, prompts, id_ in both], SCALES[kinds[first]])
        yield {
            "id": f"pair.{number:04d}",
            "judge": second,
            "against": first,
            "part": "",
            "n": len(both),
            **_agreed(agreed),
        }


def _agreed(found: Agreement) -> dict[str, Any]:
    return {
        "scored": found.pairs,
        "items": found.items,
        "exact": found.exact,
        "within_one": found.within_one,
        "quadratic_kappa": found.kappa.value,
        "kappa_low": found.kappa.low,
        "kappa_high": found.kappa.high,
        **_columns("alpha", found.alpha),
        **_columns("bias", found.bias),
    }


def _columns(name: str, found: Range) -> dict[str, float | None]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def confusion_rows(judges: Sequence[Mapping[str, Any]], checked: Mapping[str, Calibration]) -> Iterator[dict[str, Any]]:
    """The rows of ``confusion``: how often a judge gave each score to the responses of each label; null is no score."""
    for index, judge in enumerate(judges):
        if (each := checked.get(judge["name"])) is None:
            continue
        cells, scale = each.cells, SCALES[judge["kind"]]
        for label in scale:
            for place, score in enumerate((*scale, None)):
                yield {
                    "id": f"{index:03d}.{label}.{place}",
                    "judge": each.judge,
                    "label": label,
                    "score": score,
                    "count": cells[label, score],
                }
