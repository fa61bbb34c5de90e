"""Stage mix: mixtures of several sources, each with a ledger that accounts for every row of every source, and each row's outcome.

The order of work: render to the mixture's row type, clean, drop what overlaps a benchmark, look for identifiers (``phi``), drop
duplicates (of an earlier source first), sample to ``take``, repeat. A row is kept or has exactly one reason for not being kept.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from primum.artifact.job import Item, Job, Result
from primum.curate.clean import record_text, words
from primum.curate.identified import PHI, counted, phi_table, refuse, said
from primum.curate.outcomes import outcome_tables
from primum.curate.overlap import (
    BenchmarkIndex,
    Sketches,
    distinct_questions,
    exact_duplicates,
    near_duplicates,
    permutations,
    word_ngrams,
)
from primum.curate.prepare import Batch, Preparation, one_kind, row_type
from primum.curate.spill import Spilled
from primum.curate.workers import in_order, processes, to_ipc
from primum.errors import PrimumError
from primum.text.rows import ChatRow, TextRow

LEDGER = pa.schema(
    [
        pa.field(name, pa.string(), nullable=False)
        for name in ("id", "mixture", "source", "dataset", "licence", "domain", "outcome")
    ]
    + [pa.field("twin", pa.string())]
    + [pa.field(name, pa.int64(), nullable=False) for name in ("rows", "repeat")]
    + [pa.field(name, pa.int64()) for name in ("words", "published")]
)

# A source, an outcome, and of a duplicate the source of the earlier row that it repeats.
_Key = tuple[str, str, str | None]

_BATCH = 2_000
# A process takes a second or two to begin: fewer rows are done by then.
_ROWS_WORTH_PROCESSES = 20_000


@dataclass(slots=True)
class _Rows:
    """Every row of the sources, a few numbers each: ``outcomes`` is ``kept`` until something drops it.

    ``spans`` are each source's first row and the one after its last, ``words`` int32 (rows,) how many words each has, ``twins``
    int32 (rows,) the earlier row that a duplicate repeats, or -1. The rows' text is in ``files``, the
    places of identifiers in ``places``, a table of :data:`primum.curate.identified.PLACES` a batch.
    """

    kind: type[ChatRow] | type[TextRow]
    files: Spilled
    spans: Mapping[str, tuple[int, int]]
    ids: list[str]
    outcomes: list[str]
    keys: list[bytes]
    sketches: Sketches
    words: npt.NDArray[np.int32]
    twins: npt.NDArray[np.int32]
    places: list[pa.Table]

    def kept(self) -> list[int]:
        return [at for at, outcome in enumerate(self.outcomes) if outcome == "kept"]


def run(job: Job) -> Iterator[Result]:
    """Of each mixture its items with ``output`` ``rows`` (ChatRow or TextRow), ``ledger`` (see :func:`_ledger`) and ``outcomes``.

    The last is what became of each row of the sources: :data:`primum.curate.outcomes.OUTCOMES`.

    With ``phi`` also ``phi``, the places of identifiers in the rows that are kept (:data:`primum.curate.identified.PHI`). Raises
    PrimumError for any, if that is ``stop``.
    """
    for _, items in groupby(job.items, lambda item: str(item.spec["mixture"])):
        yield from _mixture(job, list(items))


def _mixture(job: Job, items: Sequence[Item]) -> Iterator[Result]:
    common, inputs = items[0].spec, items[0].inputs
    sources: Mapping[str, Mapping[str, Any]] = common["sources"]
    counts: Counter[_Key] = Counter()
    for name, drops in zip(common["order"], inputs["drops"], strict=True):
        counts.update((name, reason, None) for reason in drops.table().column("reason").to_pylist())
    items[0].work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=items[0].work) as folder:
        rows = _prepared(job, items[0], Path(folder))
        _drop_duplicates(job, rows, common)
        _sample(rows, sources, common["seed"])
        found, words_ = _counted(rows)
        counts.update(found)
        kept = rows.kept()
        if not kept:
            raise PrimumError(f"mixtures.{common['mixture']}: no row is left: see the drops of its sources")
        totals: Counter[str] = Counter()
        for (_, outcome, _), count in counts.items():
            totals[outcome] += count
        phi = _identified(job, rows, common)
        copies = _copies(rows, kept, {name: source["repeat"] for name, source in sources.items()})
        job.progress.say(f"{common['mixture']}: {len(copies):,} rows from {len(sources)} sources; {dict(totals)}")
        by_output = {item.spec["output"]: item for item in items}
        # The rows first: what they are read from is in a folder that goes with the first item.
        if "rows" in by_output:
            parts = rows.files.tables([at for _, at in copies], [id for id, _ in copies])
            yield Result(by_output["rows"], parts=parts, counts=dict(totals))
        if "ledger" in by_output:
            ledger = _ledger(counts, words_, by_output["ledger"].spec)
            yield Result(by_output["ledger"], table=ledger, counts=dict(totals))
        if "outcomes" in by_output:
            each = outcome_tables(rows.spans, rows.ids, rows.outcomes, rows.twins)
            yield Result(by_output["outcomes"], parts=each, counts=dict(Counter(rows.outcomes)))
        if "phi" in by_output:
            yield Result(by_output["phi"], table=phi, counts=counted(phi))


def _prepared(job: Job, item: Item, folder: Path) -> _Rows:
    """Every row rendered, cleaned and compared with the benchmarks, in the order of the sources."""
    common, artifacts = item.spec, item.inputs["rows"]
    mixture: str = common["mixture"]
    numbers = [artifact.row_count() for artifact in artifacts]
    total = sum(numbers)
    several = processes() if total >= _ROWS_WORTH_PROCESSES else 1
    near = common["deduplicate"] == "near"
    sketches = np.zeros((total, permutations(common["near_threshold"]) if near else 0), dtype=np.uint32)
    counts = np.zeros(total, dtype=np.int32)
    index = BenchmarkIndex(
        [distinct_questions(each.table()) for each in item.inputs.get("benchmarks", ())], common["ngram"]
    )
    files: list[Path] = []
    bounds, kinds = [0], set()
    ids: list[str] = []
    outcomes: list[str] = []
    keys: list[bytes] = []
    places: list[pa.Table] = []

    def read() -> Iterator[Batch]:
        number = itertools.count()
        for name, artifact in zip(common["order"], artifacts, strict=True):
            for part in artifact.slices():
                kind = row_type(part.schema, str(artifact.data))
                for first in range(0, part.num_rows, _BATCH):
                    yield Batch(name, kind, to_ipc(part.slice(first, _BATCH)), folder / f"{next(number):06d}.arrow")

    for done in in_order(Preparation(common, index), read(), several, folder):
        first, end = bounds[-1], bounds[-1] + len(done.ids)
        files.append(done.file)
        ids += done.ids
        outcomes += done.outcomes
        keys += done.keys
        sketches[first:end], counts[first:end] = done.sketches, done.words
        if done.places.num_rows:
            places.append(done.places.set_column(0, "at", pc.add(done.places["at"], first)))
        bounds.append(end)
        kinds.add(done.kind)
        if len(kinds) > 1:
            raise one_kind(mixture)
        job.progress.update(mixture, end, total, end, note=done.source)
    if not kinds:
        raise PrimumError(f"mixtures.{mixture}: no row is left: see the drops of its sources")
    ends = np.cumsum([0, *numbers]).tolist()
    spans = dict(zip(common["order"], pairwise(ends), strict=True))
    twins = np.full(total, -1, dtype=np.int32)
    return _Rows(kinds.pop(), Spilled(files, bounds), spans, ids, outcomes, keys, sketches, counts, twins, places)


def _identified(job: Job, rows: _Rows, common: Mapping[str, Any]) -> pa.Table:
    """The places of identifiers in what is kept, which are said, or refused."""
    if not common.get("phi"):
        return PHI.empty_table()
    names = np.repeat(list(rows.spans), [end - first for first, end in rows.spans.values()])
    kept = pa.array([outcome == "kept" for outcome in rows.outcomes])
    table = phi_table(rows.places, pa.array(rows.ids, pa.string()), pa.array(names, pa.string()), kept)
    if common["phi"] == "stop":
        refuse(common["mixture"], table)
    for line in said(common["mixture"], table):
        job.progress.say(line)
    return table


def _drop_duplicates(job: Job, rows: _Rows, common: Mapping[str, Any]) -> None:
    """A duplicate of an earlier row is dropped: of an earlier source, or before it in its own."""
    if common["deduplicate"] == "none":
        return
    kept = rows.kept()
    for at, twin in zip(kept, exact_duplicates(rows.keys[at] for at in kept), strict=True):
        if twin is not None:
            rows.outcomes[at], rows.twins[at] = "duplicate", kept[twin]
    if common["deduplicate"] == "exact":
        return
    kept = rows.kept()
    where = np.array(kept, dtype=np.int64)

    def ngrams(number: int) -> set[str]:
        return word_ngrams(words(record_text(rows.files.row(kept[number]))))

    job.progress.say(f"{common['mixture']}: looking for near duplicates among {len(kept):,} rows")
    found = near_duplicates(rows.sketches[where], rows.words[where] > 0, ngrams, common["near_threshold"])
    for at, twin in zip(kept, found, strict=True):
        if twin is not None:
            rows.outcomes[at], rows.twins[at] = "near-duplicate", kept[twin]


def _sample(rows: _Rows, sources: Mapping[str, Mapping[str, Any]], seed: int) -> None:
    for name, source in sources.items():
        kept = [at for at in range(*rows.spans[name]) if rows.outcomes[at] == "kept"]
        take = source["take"]
        if take is not None and take < len(kept):
            chosen = set(random.Random(f"{seed}/{name}").sample(range(len(kept)), take))
            for index, at in enumerate(kept):
                if index not in chosen:
                    rows.outcomes[at] = "not-sampled"


def _copies(rows: _Rows, kept: Sequence[int], repeats: Mapping[str, int]) -> list[tuple[str, int]]:
    """The rows of the mixture in id order, as often as their source repeats them: their ids, and which row each is."""
    repeat = np.zeros(len(rows.ids), dtype=np.int64)
    for name, (first, end) in rows.spans.items():
        repeat[first:end] = repeats[name]
    copies = [(f"{rows.ids[at]}+{copy}" if copy else rows.ids[at], at) for at in kept for copy in range(repeat[at])]
    copies.sort(key=itemgetter(0))
    return copies


def _counted(rows: _Rows) -> tuple[Counter[_Key], Counter[_Key]]:
    """How many rows, and how many words, each source has of each outcome, duplicates by the source of the row they repeat."""
    names = list(rows.spans)
    starts = np.array([first for first, _ in rows.spans.values()])
    # Of sources that begin at the same row all but the last are empty.
    owners = np.where(rows.twins < 0, -1, np.searchsorted(starts, rows.twins, side="right") - 1)
    counts: Counter[_Key] = Counter()
    words_: Counter[_Key] = Counter()
    for name, (first, end) in rows.spans.items():
        columns = {"outcome": rows.outcomes[first:end], "twin": owners[first:end], "words": rows.words[first:end]}
        groups = pa.table(columns).group_by(["outcome", "twin"]).aggregate([("words", "count"), ("words", "sum")])
        for group in groups.to_pylist():
            key = (name, group["outcome"], names[group["twin"]] if group["twin"] >= 0 else None)
            counts[key], words_[key] = group["words_count"], group["words_sum"]
    return counts, words_


def _ledger(counts: Mapping[_Key, int], words_: Mapping[_Key, int], common: Mapping[str, Any]) -> pa.Table:
    """A row a source and outcome, in the mixture's order, and of duplicates one for each source that their ``twin`` is in.

    ``words`` are those of the rows, null where a row was dropped before it had a text. ``repeat`` is how often the mixture has
    each kept row.
    """
    records = []
    for number, name in enumerate(common["order"]):
        source = common["sources"][name]
        keys = dict.fromkeys([(name, "kept", None), *(key for key in counts if key[0] == name)])
        for key in keys:
            _, outcome, twin = key
            records.append(
                {
                    "id": "/".join([common["mixture"], f"{number:03d}", name, outcome, *([twin] if twin else [])]),
                    "mixture": common["mixture"],
                    "source": name,
                    "dataset": source["dataset"],
                    "licence": common["licences"][source["dataset"]],
                    "domain": source["domain"],
                    "outcome": outcome,
                    "twin": twin,
                    "rows": counts.get(key, 0),
                    "repeat": source["repeat"],
                    "words": words_.get(key, 0 if outcome == "kept" else None),
                    "published": source["published"] if outcome == "kept" else None,
                }
            )
    if common["unlisted"]:
        # What the publication counts without naming a source: carried so that its totals can be checked.
        identity = {"id": f"{common['mixture']}/{len(common['order']):03d}/(unlisted)", "mixture": common["mixture"]}
        unlisted = {"source": "(unlisted)", "dataset": "", "licence": "", "domain": "medical", "outcome": "kept"}
        records.append({**identity, **unlisted, "rows": 0, "repeat": 1, "words": 0, "published": common["unlisted"]})
    return pa.Table.from_pylist(sorted(records, key=lambda record: record["id"]), schema=LEDGER)
