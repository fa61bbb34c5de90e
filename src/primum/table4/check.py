"""What Table 4 says of itself: its averages, its own underlines, and the paper's claims about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from primum.table4.paper import AVERAGE, Claim, Row, Table4

_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Statement:
    """One finding. ``holds`` is None where there is nothing to hold; a transcription that does not ``holds`` is an error."""

    text: str
    holds: bool | None = None
    transcription: bool = False


def check(table4: Table4) -> list[Statement]:
    """Every statement about the table, in the order in which a reader would ask."""
    return [*_averages(table4), *_unequal(table4), *_claims(table4), *_underlines(table4)]


def mean_of(row: Row, keys: list[str] | None = None) -> Decimal:
    """The unweighted mean of the row's published columns, or of ``keys``."""
    values = [row.values[key] for key in keys] if keys is not None else list(row.values.values())
    return sum(values, Decimal(0)) / len(values)


def rounded(value: Decimal) -> Decimal:
    """``value`` with one decimal, halves up."""
    return value.quantize(_TENTH, ROUND_HALF_UP)


def _averages(table4: Table4) -> Iterator[Statement]:
    wrong = [row for row in table4.rows if rounded(mean_of(row)) != row.average]
    for row in wrong:
        text = f"{row.title}: its columns average {rounded(mean_of(row))}, the table has {row.average}"
        yield Statement(text, False, transcription=True)
    right = len(table4.rows) - len(wrong)
    yield Statement(
        f"{right} of {len(table4.rows)} averages are the mean of their published columns, to one decimal", not wrong
    )


def _unequal(table4: Table4) -> Iterator[Statement]:
    titles = {column.key: column.title for column in table4.columns}
    for row in table4.rows:
        if not table4.is_whole(row):
            missing = ", ".join(title for key, title in titles.items() if key not in row.values)
            yield Statement(
                f"{row.title}: its average {row.average} is over {len(row.values)} columns (without {missing}): it does "
                f"not compare with averages over {len(titles)}"
            )


def _claims(table4: Table4) -> Iterator[Statement]:
    for claim in table4.claims:
        against = [line for pair in claim.pairs for line in _not_better(table4, *pair)]
        yield Statement(
            f'"{claim.quote}" (section {claim.section}): {"the table bears it out" if not against else "not so"}',
            not against,
        )
        for line in against:
            yield Statement(f"  {line}", False)
        yield from _footing(table4, claim)


def _not_better(table4: Table4, better: str, worse: str) -> Iterator[str]:
    first, second = table4.by_title[better], table4.by_title[worse]
    for column in table4.columns:
        mine, other = first.values.get(column.key), second.values.get(column.key)
        if mine is not None and other is not None and mine <= other:
            yield f"{better}: {column.title} {mine} {'<' if mine < other else '='} {other} of {worse}"


def _footing(table4: Table4, claim: Claim) -> Iterator[Statement]:
    """Averages of a pair over the columns that both have, where they do not have the same."""
    for better, worse in claim.pairs:
        first, second = table4.by_title[better], table4.by_title[worse]
        shared = [column.key for column in table4.columns if column.key in first.values and column.key in second.values]
        if len(shared) < len(table4.columns):
            means = [rounded(mean_of(row, shared)) for row in (first, second)]
            yield Statement(
                f"  over the {len(shared)} columns of both, {better} averages {means[0]} and {worse} {means[1]}; "
                f"{len(table4.columns) - len(shared)} columns cannot be compared"
            )


def _underlines(table4: Table4) -> Iterator[Statement]:
    """The paper's own underlines against second best, in its three classes and with the rows set apart in a fourth."""
    if not table4.underlined:
        return
    printed = {(title, key) for key, titles in table4.underlined.items() for title in titles}
    classes = table4.size_classes()
    fours = {title: "apart" if title in table4.apart else size for title, size in classes.items()}
    for name, groups in (("three size classes", classes), (f"these with {len(table4.apart)} rows apart", fours)):
        seconds = {place for place, mark in table4.marks(groups).items() if mark == "second"}
        yield Statement(f"{len(printed & seconds)} of the paper's {len(printed)} underlines are second best in {name}")
    seconds = {place for place, mark in table4.marks(fours).items() if mark == "second"}
    odd = sorted(printed - seconds)
    tied = sorted(seconds - printed)
    for label, places in (("underlined, but not second", odd), ("second, but not underlined", tied)):
        for title, key in places:
            column = next((c.title for c in table4.columns if c.key == key), "Avg." if key == AVERAGE else key)
            yield Statement(f"  {label}: {title}, {column} {table4.published(table4.by_title[title], key)}")
