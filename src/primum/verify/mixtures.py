"""Mixtures counted again: ledgers and rows against what became of each row, and that against the sources, without their code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from primum.artifact.manifest import Artifact
from primum.verify.finding import AGAIN, Finding, Seen, Unchecked
from primum.verify.reading import BROKEN
from primum.verify.study import Study

_KEPT = "kept"
_REPEATING = pa.array(["duplicate", "near-duplicate"])
_UNLISTED = "(unlisted)"
_NUMBER = r"^[0-9]+/"  # of the source, before a row's own id
_WHAT = "mixtures counted again"


def check_mixtures(study: Study) -> Iterator[Seen]:
    """Each mixture's ledger and rows against its outcomes, and these against the rows of its sources."""
    made: dict[str, dict[str, Artifact]] = {}
    for artifact in study.graph.artifacts:
        if artifact.manifest.stage == "mix":
            item = artifact.manifest.spec["item"]
            made.setdefault(item["mixture"], {})[item["output"]] = artifact
    for by_output in made.values():
        outcomes = by_output.get("outcomes")
        if outcomes is None:
            yield Unchecked(_WHAT, "what became of each row is not here")
            continue
        try:
            yield from _check(study, outcomes, by_output)
        except BROKEN:
            # What is damaged or missing is a finding of its own.
            yield Unchecked(_WHAT, "an artifact of theirs, or an input, is damaged, or not here")


def _check(study: Study, outcomes: Artifact, by_output: Mapping[str, Artifact]) -> Iterator[Seen]:
    others = [by_output[output] for output in ("ledger", "rows") if output in by_output]
    if any(each.manifest.inputs != outcomes.manifest.inputs for each in others):
        yield Unchecked(_WHAT, "what became of each row was made of other rows")
        return
    inputs, rows = study.inputs(outcomes), outcomes.table().combine_chunks()
    yield from _check_outcomes(outcomes, rows, inputs["rows"])
    if "ledger" in by_output:
        yield from _check_ledger(by_output["ledger"], rows, inputs["drops"])
    if "rows" in by_output:
        yield from _check_rows(by_output["rows"], rows)


def _check_outcomes(outcomes: Artifact, rows: pa.Table, sources: Sequence[Artifact]) -> Iterator[Finding]:
    """One outcome for each row of each source, in order; duplicates repeat an earlier row, and other rows none."""
    order = outcomes.manifest.spec["item"]["order"]
    of_source: list[Any] = []
    for name, source in zip(order, sources, strict=True):
        ids = source.table(["id"])["id"]
        own = rows.filter(pc.equal(rows["source"], name))["id"]
        if not _without_number(own).equals(ids):
            yield Finding(outcomes.data, f"{name}: its rows are not those of {source.data}", AGAIN)
        of_source += own.chunks
    if not pa.chunked_array(of_source, pa.string()).equals(rows["id"]):
        yield Finding(outcomes.data, "its rows are not in the order of the mixture's sources, or are of others", AGAIN)
    repeating = pc.is_in(rows["outcome"], value_set=_REPEATING)
    places = pc.index_in(rows["twin_id"], value_set=rows["id"].combine_chunks())
    earlier = pc.less(places, pa.array(range(rows.num_rows), pa.int32()))
    known = pc.and_(earlier, pc.equal(rows["source"].take(places), rows["twin"]))
    none = pc.and_(pc.is_null(rows["twin"]), pc.is_null(rows["twin_id"]))
    wrong = rows.num_rows - (pc.sum(pc.if_else(repeating, pc.fill_null(known, False), none)).as_py() or 0)
    if wrong:
        yield Finding(outcomes.data, f"{wrong:,} of its rows repeat no earlier one, or should repeat none", AGAIN)
    if Counter(rows["outcome"].to_pylist()) != Counter(outcomes.manifest.counts):
        yield Finding(outcomes.data, "its outcomes are not those that its manifest counts", AGAIN)


def _check_ledger(ledger: Artifact, rows: pa.Table, drops: Sequence[Artifact]) -> Iterator[Finding]:
    groups = rows.group_by(["source", "outcome", "twin"]).aggregate([([], "count_all")]).to_pylist()
    counted = Counter({(row["source"], row["outcome"], row["twin"]): row["count_all"] for row in groups})
    for name, each in zip(ledger.manifest.spec["item"]["order"], drops, strict=True):
        counted.update((name, reason, None) for reason in each.table(["reason"])["reason"].to_pylist())
    told = [row for row in ledger.table().to_pylist() if row["source"] != _UNLISTED]
    there = Counter({(row["source"], row["outcome"], row["twin"]): row["rows"] for row in told})
    for key in {**there, **counted}:
        if there[key] != counted[key]:
            who = "/".join(part for part in key if part)
            yield Finding(ledger.data, f"{who}: its rows is {there[key]}, counted again it is {counted[key]}", AGAIN)
            return


def _check_rows(mixture: Artifact, rows: pa.Table) -> Iterator[Finding]:
    """The rows of a mixture are those that were kept, each as often as its source repeats them."""
    sources = mixture.manifest.spec["item"]["sources"]
    kept = rows.filter(pc.equal(rows["outcome"], _KEPT)).select(["id", "source"])
    kept = kept.set_column(0, "id", _without_number(kept["id"]))
    copies = []
    for copy in range(max(source["repeat"] for source in sources.values())):
        names = pa.array([name for name, source in sources.items() if source["repeat"] > copy], pa.string())
        again = kept.filter(pc.is_in(kept["source"], value_set=names))
        ids = pc.binary_join_element_wise(again["id"], f"+{copy}" if copy else "", "")
        copies.append(again.set_column(0, "id", ids))
    expected, there = pa.concat_tables(copies).sort_by("id"), mixture.table(["id", "source"])
    if any(not expected[name].equals(there[name]) for name in ("id", "source")):
        yield Finding(
            mixture.data, f"has {there.num_rows:,} rows, and {expected.num_rows:,} are kept, or others", AGAIN
        )


def _without_number(ids: Any) -> Any:
    return pc.replace_substring_regex(ids, _NUMBER, "")
