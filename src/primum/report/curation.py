"""The curation ledger as the page shows it: a source a line, with what was kept, what was dropped why, and a bar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from primum.report.data import Ledger, Study
from primum.report.numbers import count, percent
from primum.report.plots import share_bar

KEPT = "kept"
_COLOURS = 7


@dataclass(frozen=True, slots=True)
class Source:
    """One source of a mixture; ``published`` is the count that a publication states for it."""

    name: str
    dataset: str
    domain: str
    read: int
    kept: int
    share: str
    dropped: str
    tokens: int | None
    published: int | None
    bar: Markup


@dataclass(frozen=True, slots=True)
class Domain:
    """The listed sources of a domain together."""

    name: str
    read: int
    kept: int
    share: str
    published: int | None


@dataclass(frozen=True, slots=True)
class Mixture:
    """A mixture's ledger: its sources, their domains together, and the whole; ``used_by`` names the models."""

    name: str
    used_by: str
    sources: tuple[Source, ...]
    domains: tuple[Domain, ...]
    total: Source


def outcomes(study: Study) -> dict[str, str]:
    """Each outcome's colour class: kept first, then the reasons for dropping, the commonest first."""
    rows: dict[str, int] = {}
    for row in study.ledger:
        if row.rows:
            rows[row.outcome] = rows.get(row.outcome, 0) + row.rows
    reasons = sorted((name for name in rows if name != KEPT), key=lambda name: (-rows[name], name))
    return {KEPT: "fill-kept"} | {name: f"fill-drop{min(i, _COLOURS - 1)}" for i, name in enumerate(reasons)}


def mixtures(study: Study) -> tuple[Mixture, ...]:
    """Every mixture of the ledger, its sources in the ledger's order."""
    colours = outcomes(study)
    result = []
    for name in dict.fromkeys(row.mixture for row in study.ledger):
        rows = [row for row in study.ledger if row.mixture == name]
        kept = sum(row.rows for row in rows if row.outcome == KEPT)
        by_source: dict[str, list[Ledger]] = {}
        for row in rows:
            by_source.setdefault(row.source, []).append(row)
        sources = tuple(_source(source, own, kept, colours) for source, own in by_source.items())
        whole = _source("All sources", rows, kept, colours)
        published = _sum(source.published for source in sources)
        total = Source(**{**{f: getattr(whole, f) for f in whole.__slots__}, "published": published})
        used = [model.label for model in study.models if model.data == name]
        result.append(Mixture(name, ", ".join(used), sources, _domains(sources, kept), total))
    return tuple(result)


def _source(name: str, rows: Sequence[Ledger], mixture_kept: int, colours: dict[str, str]) -> Source:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.outcome] = counts.get(row.outcome, 0) + row.rows
    kept, read = counts.get(KEPT, 0), sum(counts.values())
    reasons = [(outcome, counts[outcome]) for outcome in colours if outcome != KEPT and counts.get(outcome)]
    label = f"{name}: {kept} of {read} rows kept"
    bar = share_bar(label, [(outcome, counts.get(outcome, 0), class_) for outcome, class_ in colours.items()])
    return Source(
        name=name,
        dataset=rows[0].dataset,
        domain=rows[0].domain,
        read=read,
        kept=kept,
        share=percent(kept / mixture_kept if mixture_kept else None),
        dropped=", ".join(f"{outcome} {count(rows_)}" for outcome, rows_ in reasons),
        tokens=_sum(row.tokens for row in rows if row.outcome == KEPT),
        published=max((row.published for row in rows if row.published is not None), default=None),
        bar=bar,
    )


def _domains(sources: Sequence[Source], mixture_kept: int) -> tuple[Domain, ...]:
    groups: dict[str, list[Source]] = {}
    for source in sources:
        groups.setdefault(source.domain, []).append(source)
    return tuple(
        Domain(
            name,
            sum(source.read for source in own),
            sum(source.kept for source in own),
            percent(sum(source.kept for source in own) / mixture_kept if mixture_kept else None),
            _sum(source.published for source in own),
        )
        for name, own in groups.items()
    )


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
