"""Stage mix: mixtures of several sources, each with a ledger that accounts for every row of every source.

The order of work: render to the mixture's row type, clean, drop what overlaps a benchmark, drop duplicates (of an earlier
source first), sample to ``take``, repeat. A row is kept or has exactly one reason for not being kept.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.artifact.manifest import Artifact
from primum.curate.clean import clean_row, row_text
from primum.curate.overlap import BenchmarkIndex, distinct_questions, exact_duplicates, near_duplicates
from primum.errors import PrimumError
from primum.text import rubric
from primum.text.choices import render_choice
from primum.text.rows import (
    ROW_TYPES,
    ChatRow,
    ChoiceRow,
    DocumentRow,
    GradedRow,
    Message,
    RequestRow,
    Row,
    TextRow,
    from_table,
    to_table,
)

LEDGER = pa.schema(
    [
        pa.field(name, pa.string(), nullable=False)
        for name in ("id", "mixture", "source", "dataset", "domain", "outcome")
    ]
    + [pa.field("rows", pa.int64(), nullable=False), pa.field("published", pa.int64())]
)


@dataclass(slots=True)
class _Entry:
    """A row on its way into the mixture; ``outcome`` is ``kept`` until something drops it."""

    source: str
    row: ChatRow | TextRow
    outcome: str = "kept"


def run(job: Job) -> Iterator[Result]:
    """Of each mixture its items with ``output`` ``rows`` (ChatRow or TextRow) and ``ledger`` (a row a source and outcome)."""
    for _, items in groupby(job.items, lambda item: str(item.spec["mixture"])):
        yield from _mixture(job, list(items))


def _mixture(job: Job, items: Sequence[Item]) -> Iterator[Result]:
    common, inputs = items[0].spec, items[0].inputs
    sources: Mapping[str, Mapping[str, Any]] = common["sources"]
    outcomes: Counter[tuple[str, str]] = Counter()
    entries: list[_Entry] = []
    for name, rows, drops in zip(common["order"], inputs["rows"], inputs["drops"], strict=True):
        outcomes.update((name, reason) for reason in drops.table().column("reason").to_pylist())
        for row in _rows(rows):
            rendered = _render(row, sources[name], common)
            if common["text"]:
                rendered = TextRow(rendered.id, rendered.source, row_text(rendered))
            cleaned = clean_row(rendered)
            entries.append(_Entry(name, cleaned or rendered, "kept" if cleaned else "empty"))
        job.progress.update(common["mixture"], len(entries), len(entries) + 1, len(entries), note=name)
    kinds = {type(entry.row) for entry in entries}
    if len(kinds) > 1:
        raise PrimumError(
            f"mixtures.{common['mixture']}: mixes plain text with conversations: use one mixture for each"
        )
    _drop_contaminated(entries, inputs.get("benchmarks", ()), common["ngram"])
    _drop_duplicates(entries, common["deduplicate"], common["near_threshold"])
    _sample(entries, sources, common["seed"])
    outcomes.update((entry.source, entry.outcome) for entry in entries)
    kept = [
        replace(entry.row, id=f"{entry.row.id}+{copy}" if copy else entry.row.id, source=entry.source)
        for entry in entries
        if entry.outcome == "kept"
        for copy in range(sources[entry.source]["repeat"])
    ]
    if not kept:
        raise PrimumError(f"mixtures.{common['mixture']}: no row is left: see the drops of its sources")
    totals: Counter[str] = Counter()
    for (_, outcome), count in outcomes.items():
        totals[outcome] += count
    job.progress.say(f"{common['mixture']}: {len(kept):,} rows from {len(sources)} sources; {dict(totals)}")
    tables = {"rows": to_table(kept, kinds.pop()), "ledger": _ledger(outcomes, common)}
    for item in items:
        yield Result(item, table=tables[item.spec["output"]], counts=dict(totals))


def _rows(artifact: Artifact) -> Sequence[Row]:
    table = artifact.table()
    row_type = next((kind for kind in ROW_TYPES.values() if kind.SCHEMA.equals(table.schema)), None)
    if row_type is None:
        raise PrimumError(f"{artifact.data}: holds rows of no known type: run the stage 'read' again")
    return from_table(table, row_type)


def _render(row: Row, source: Mapping[str, Any], common: Mapping[str, Any]) -> ChatRow | TextRow:
    """A row as the demonstration that it is trained on."""
    if isinstance(row, TextRow | ChatRow):
        return row
    if isinstance(row, ChoiceRow):
        prompt, answer = (render_choice(common[key], row) for key in ("choice_prompt", "choice_answer"))
    elif isinstance(row, RequestRow):
        prompt, answer = row.request, row.safe_response
    elif isinstance(row, GradedRow):
        judge = common["judges"].get(source["judge"])
        if judge is None:
            raise PrimumError(f"mixtures.{common['mixture']}: graded rows need the source's key 'judge'")
        asked = rubric.question(judge["template"], judge["policies"], rubric.DEFAULT, row.request, row.response)
        return ChatRow(row.id, row.source, (*asked, Message("assistant", rubric.completion(row.score))))
    elif isinstance(row, DocumentRow):
        raise PrimumError(f"{row.id}: raw documents can be scored, not trained on: use an adapter that reads them")
    else:
        raise PrimumError(f"{row.id}: preference pairs belong in 'preferences', not in a mixture")
    return ChatRow(row.id, row.source, (Message("user", prompt), Message("assistant", answer)))


def _drop_contaminated(entries: Sequence[_Entry], benchmarks: Sequence[Artifact], ngram: int) -> None:
    index = BenchmarkIndex([distinct_questions(each.table()) for each in benchmarks], ngram)
    for entry in entries:
        if entry.outcome == "kept" and index.overlaps(row_text(entry.row)):
            entry.outcome = "contaminated"


def _drop_duplicates(entries: Sequence[_Entry], how: str, threshold: float) -> None:
    for level, find in (("exact", exact_duplicates), ("near", lambda texts: near_duplicates(texts, threshold))):
        if how == "none" or (level == "near" and how == "exact"):
            return
        kept = [entry for entry in entries if entry.outcome == "kept"]
        for entry, twin in zip(kept, find([row_text(entry.row) for entry in kept]), strict=True):
            if twin is not None:
                entry.outcome = "duplicate" if level == "exact" else "near-duplicate"


def _sample(entries: Sequence[_Entry], sources: Mapping[str, Mapping[str, Any]], seed: int) -> None:
    for name, source in sources.items():
        kept = [entry for entry in entries if entry.source == name and entry.outcome == "kept"]
        take = source["take"]
        if take is not None and take < len(kept):
            chosen = set(random.Random(f"{seed}/{name}").sample(range(len(kept)), take))
            for index, entry in enumerate(kept):
                if index not in chosen:
                    entry.outcome = "not-sampled"


def _ledger(outcomes: Mapping[tuple[str, str], int], common: Mapping[str, Any]) -> pa.Table:
    records = []
    for name in common["order"]:
        source = common["sources"][name]
        found = {outcome: count for (owner, outcome), count in outcomes.items() if owner == name}
        for outcome, count in {"kept": 0, **found}.items():
            records.append(
                {
                    "id": f"{common['mixture']}/{name}/{outcome}",
                    "mixture": common["mixture"],
                    "source": name,
                    "dataset": source["dataset"],
                    "domain": source["domain"],
                    "outcome": outcome,
                    "rows": count,
                    "published": source["published"] if outcome == "kept" else None,
                }
            )
    if common["unlisted"]:
        # What the publication counts without naming a source: carried so that its totals can be checked.
        unlisted = {"source": "(unlisted)", "dataset": "", "domain": "medical", "outcome": "kept", "rows": 0}
        identity = {"id": f"{common['mixture']}/(unlisted)", "mixture": common["mixture"]}
        records.append({**identity, **unlisted, "published": common["unlisted"]})
    return pa.Table.from_pylist(sorted(records, key=lambda record: record["id"]), schema=LEDGER)
