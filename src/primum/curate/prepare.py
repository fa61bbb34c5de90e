"""What is done to each row by itself before a mixture looks at all of them: rendered, cleaned, compared with benchmarks.

Rows come in batches, which several processes may work at. What a mixture needs of all rows at once is a few numbers a
row; the cleaned rows themselves go into files, one a batch, so that the memory does not grow with the rows' text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from primum.curate.clean import clean_row, row_text, words
from primum.curate.identified import places_table, redacted, row_places
from primum.curate.overlap import BenchmarkIndex, Sketches, exact_key, permutations, sketch, word_ngrams
from primum.curate.spill import write_batch
from primum.curate.workers import from_ipc
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
    RubricRow,
    TextRow,
    from_table,
    to_table,
)


@dataclass(frozen=True, slots=True)
class Batch:
    """``rows`` of one source, of type ``kind``, on their way into a mixture; their cleaned form is written to ``file``.

    They are in Arrow's stream format (:func:`primum.curate.workers.to_ipc`).
    """

    source: str
    kind: type[Row]
    rows: bytes
    file: Path


@dataclass(frozen=True, slots=True)
class Prepared:
    """Of a batch's rows what is looked at together.

    ``outcomes`` are ``kept``, ``empty`` or ``contaminated``; ``keys`` of exact duplicates (16 bytes); ``sketches`` uint32
    (rows, permutations), zeros where none is needed; ``words`` int32 (rows,), how many a row has;
    ``places`` a table of :data:`primum.curate.identified.PLACES`, of rows that are ``kept``, empty unless the mixture looks for
    identifiers.
    """

    source: str
    file: Path
    kind: type[ChatRow] | type[TextRow]
    ids: Sequence[str]
    outcomes: Sequence[str]
    keys: Sequence[bytes]
    sketches: Sketches
    words: npt.NDArray[np.int32]
    places: pa.Table


@dataclass(frozen=True, slots=True)
class Preparation:
    """How the rows of a mixture (``common``: its spec) are prepared."""

    common: Mapping[str, Any]
    index: BenchmarkIndex

    def __call__(self, batch: Batch) -> Prepared:
        """Writes ``batch.file``. Raises PrimumError for rows that are no demonstration."""
        common, name = self.common, batch.source
        rows: list[ChatRow | TextRow] = []
        outcomes, keys, identified = [], [], []
        near = common["deduplicate"] == "near"
        threshold = common["near_threshold"]
        given = from_table(from_ipc(batch.rows), batch.kind)
        sketches = np.zeros((len(given), permutations(threshold) if near else 0), dtype=np.uint32)
        counts = np.zeros(len(given), dtype=np.int32)
        for at, row in enumerate(given):
            rendered = _render(row, common["sources"][name], common)
            if common["text"]:
                rendered = TextRow(rendered.id, rendered.source, row_text(rendered))
            cleaned = clean_row(rendered)
            text = row_text(cleaned) if cleaned else ""
            tokens = words(text)
            ngrams = word_ngrams(tokens) if near or self.index else set()
            outcomes.append(
                "empty" if not cleaned else "contaminated" if self.index.overlaps(tokens, ngrams) else "kept"
            )
            if cleaned and outcomes[-1] == "kept" and common.get("phi"):
                places = row_places(cleaned)
                if any(places):
                    identified.append((at, places))
                    if common["phi"] == "redact":
                        cleaned = redacted(cleaned, places)
                        text = row_text(cleaned)
                        tokens = words(text)
                        ngrams = word_ngrams(tokens) if near else set()
            rows.append(replace(cleaned or rendered, source=name))
            keys.append(exact_key(text, tokens))
            counts[at] = len(tokens)
            if near and tokens and outcomes[-1] == "kept":
                sketches[at] = sketch(ngrams, threshold)
        kinds = {type(row) for row in rows}
        if len(kinds) > 1:
            raise one_kind(common["mixture"])
        kind = kinds.pop()
        # The rows of an artifact are in id order, and so these are.
        write_batch(to_table(rows, kind), batch.file)
        ids, places_of = [row.id for row in rows], places_table(identified)
        return Prepared(name, batch.file, kind, ids, outcomes, keys, sketches, counts, places_of)


def one_kind(mixture: str) -> PrimumError:
    """The error of a mixture that has rows of both kinds."""
    return PrimumError(f"mixtures.{mixture}: mixes plain text with conversations: use one mixture for each")


def row_type(schema: pa.Schema, name: str) -> type[Row]:
    """The type of the rows in a table with this schema. PrimumError, which names the table, where there is none."""
    found = next((kind for kind in ROW_TYPES.values() if kind.SCHEMA.equals(schema)), None)
    if found is None:
        raise PrimumError(f"{name}: holds rows of no known type: run the stage 'read' again")
    return found


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
    elif isinstance(row, RubricRow):
        raise PrimumError(f"{row.id}: conversations with criteria have no answer to train on: use them as 'prompts'")
    else:
        raise PrimumError(f"{row.id}: preference pairs belong in 'preferences', not in a mixture")
    return ChatRow(row.id, row.source, (Message("user", prompt), Message("assistant", answer)))
