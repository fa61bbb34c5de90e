"""Conversations whose answers are judged criterion by criterion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from primum.curate.adapters.files import RawFile
from primum.curate.adapters.records import Record, all_records
from primum.text.rows import Criterion, Drop, Message, RubricRow

MOST_POINTS = 1_000_000  # whole sums of as many points are exact
_THEME = "theme:"


def healthbench(files: Sequence[RawFile], dataset: str) -> Iterator[RubricRow | Drop]:
    """HealthBench (Arora et al. 2025): a conversation, and a physician's criteria with points and tags.

    The category is the first ``theme:`` among the example's tags. What a record says about physicians' own answers is not used.
    Drops: ``bad-roles`` (the turns do not alternate up to a user's, after a system turn or none), ``empty-text``,
    ``no-criteria``, ``empty-criterion``, ``bad-points`` (no number, or none that sums are made of), ``no-positive-points``
    (nothing to reach, so that there is no score), ``bad-tags`` (a tag that is empty, or there twice).
    """
    for _, record in all_records(files):
        id = f"{dataset}/{record.id('prompt_id')}"
        messages = [
            Message(record.as_text(each.get("role"), "prompt"), record.as_text(each.get("content"), "prompt"))
            for each in record.structs("prompt")
        ]
        tags = tuple(record.strings("example_tags"))
        criteria = _criteria(record)
        fault = _conversation_fault(messages) or _criteria_fault(criteria, tags)
        if fault:
            yield Drop(id, fault)
            continue
        theme = next((tag.removeprefix(_THEME) for tag in tags if tag.startswith(_THEME)), "")
        rated = tuple(Criterion(text, points, own) for text, points, own in criteria if points is not None)
        yield RubricRow(id, dataset, theme, tuple(messages), rated, tags)


def _criteria(record: Record) -> list[tuple[str, float | None, tuple[str, ...]]]:
    return [
        (record.as_text(each.get("criterion"), "rubrics"), _points(each.get("points")), _tags(record, each.get("tags")))
        for each in record.structs("rubrics")
    ]


def _tags(record: Record, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise record.error("rubrics", "holds tags that are not a list of texts")
    return tuple(record.as_text(each, "rubrics") for each in value)


def _points(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # NaN is not between anything.
    return float(value) if -MOST_POINTS <= value <= MOST_POINTS else None


def _conversation_fault(messages: Sequence[Message]) -> str:
    talk = messages[1:] if messages and messages[0].role == "system" else messages
    # An odd number of turns that alternate from a user's ends with a user's.
    alternate = all(message.role == ("user", "assistant")[turn % 2] for turn, message in enumerate(talk))
    if len(talk) % 2 == 0 or not alternate:
        return "bad-roles"
    return "" if all(message.content for message in messages) else "empty-text"


def _criteria_fault(criteria: Sequence[tuple[str, float | None, tuple[str, ...]]], example_tags: Sequence[str]) -> str:
    if not criteria:
        return "no-criteria"
    if not all(text for text, _, _ in criteria):
        return "empty-criterion"
    points = [each for _, each, _ in criteria if each is not None]
    if len(points) < len(criteria):
        return "bad-points"
    if not any(each > 0 for each in points):
        return "no-positive-points"
    for tags in (example_tags, *(own for _, _, own in criteria)):
        if not all(tags) or len(set(tags)) < len(tags):
            return "bad-tags"
    return ""
