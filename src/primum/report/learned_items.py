"""What models learned from, behind the cells of curation and pairs: what became of every record, and of every response."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from primum.artifact.manifest import Artifact
from primum.report.data import Study
from primum.report.items import ItemSet, listed, named
from primum.report.origins import PLACES, Origins
from primum.report.packed import packed, packed_few
from primum.report.records import KEPT

Inputs = Mapping[str, Sequence[Artifact]]
_SOURCE = r"^[0-9]+/"  # before the id of a row in the outcomes of a mixture
_NUMBER = r"^[0-9]{8}/"  # before the id of a record that became no row


def curation_sets(study: Study, common: Mapping[str, Any], inputs: Inputs, origins: Origins) -> Iterator[ItemSet]:
    """A set a dataset: its records in the raw files, and of each source of a mixture (``mixture/source``) what became of them.

    Of a duplicate ``repeats`` is the record that it repeats, and ``twin`` the source of that one.
    """
    outcomes = dict(listed(common, "mixtures", inputs.get("outcomes", ())))
    drops = dict(listed(common, "drops", inputs.get("drops", ())))
    sources: dict[str, dict[tuple[str, str], None]] = {}
    for row in study.ledger:
        if row.dataset in drops and row.dataset in origins.artifacts and row.mixture in outcomes:
            sources.setdefault(row.dataset, {})[row.mixture, row.source] = None

    @cache  # a mixture has the rows of many datasets
    def became(mixture: str) -> pa.Table:
        return outcomes[mixture].table(["id", "source", "outcome", "twin", "twin_id"])

    for dataset, named_by in sorted(sources.items()):
        places = origins.artifacts[dataset].table(["id", *PLACES])
        ids = places["id"].combine_chunks()
        dropped = drops[dataset].table(["id", "reason"])
        reasons = dropped["reason"].take(pc.index_in(ids, value_set=dropped["id"].combine_chunks()))
        records = pc.replace_substring_regex(ids, _NUMBER, "").to_pylist()
        shared = {**named(records, records), **{name: packed(places[name]) for name in PLACES}}
        own = {f"{mixture}/{source}": _became(ids, reasons, became(mixture), source) for mixture, source in named_by}
        yield ItemSet(f"curation/{dataset}", shared, own, {name: {} for name in own})


def _became(ids: pa.Array, reasons: Any, outcomes: pa.Table, source: str) -> dict[str, Any]:
    """What became of each of ``ids`` in a source: why it became no row, or what the mixture did with it."""
    rows = outcomes.filter(pc.equal(outcomes["source"], source))
    found = rows.take(pc.index_in(ids, value_set=_own_id(rows["id"]).combine_chunks()))
    return {
        "outcome": packed(pc.coalesce(reasons, found["outcome"])),
        "repeats": packed_few(_own_id(found["twin_id"])),
        "twin": packed_few(found["twin"]),
    }


def _own_id(ids: Any) -> Any:
    """The ids of rows without the number of their source."""
    return pc.replace_substring_regex(ids, _SOURCE, "")


def pair_sets(common: Mapping[str, Any], inputs: Inputs, origins: Origins) -> Iterator[ItemSet]:
    """A set a preference set: its pairs. Of one that a model answered, another: each response, its reward, and what it became."""
    ranked = dict(listed(common, "sampled", inputs.get("ranked", ())))
    for name, pairs in listed(common, "pairs", inputs.get("pairs", ())):
        ids = pairs.table(["id"])["id"].combine_chunks()
        own = {"outcome": KEPT}
        yield ItemSet(f"pairs/{name}", {**_ids(ids, ids), **origins.of(ids)}, {"": own}, {"": {}})
        if name in ranked:
            yield _ranked_set(name, pairs, ranked[name], origins)


def _ranked_set(name: str, pairs: Artifact, ranked: Artifact, origins: Origins) -> ItemSet:
    responses = ranked.table(["id", "prompt_id", "draw", "status", "reward", "response"])
    learned = {row["id"]: row for row in pairs.table(["id", "chosen", "rejected"]).to_pylist()}
    became = [
        _side(learned.get(row["prompt_id"], {}), row)
        for row in responses.select(["prompt_id", "status", "response"]).to_pylist()
    ]
    prompts = responses["prompt_id"].combine_chunks()
    shared = {
        **_ids(responses["id"].combine_chunks(), prompts),
        "draw": packed(responses["draw"]),
        **origins.of(prompts),
    }
    own = {
        "outcome": packed(responses["status"]),
        "reward": packed(responses["reward"]),
        "became": packed(pa.array(became, pa.string())),
    }
    return ItemSet(f"ranked/{name}", shared, {"": own}, {"": {}})


def _side(pair: Mapping[str, str], response: Mapping[str, Any]) -> str | None:
    """The side of its prompt's pair that a ranked response is, None for neither."""
    sides = [side for side in ("chosen", "rejected") if pair.get(side) == response["response"]]
    return sides[0] if sides and response["status"] == "ranked" else None


def _ids(ids: pa.Array, items: pa.Array) -> dict[str, Any]:
    return named(ids.to_pylist(), items.to_pylist())
