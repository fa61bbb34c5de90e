"""Can the judges be trusted? Their agreement with labels and with each other, and in words which of them are not shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from primum.report.data import Study
from primum.report.grids import Cell, Column, Grid, GridRow, Group, opening, opens
from primum.report.judged import LABELS, Agreement
from primum.report.numbers import count, decimal, interval, percent, plural, signed
from primum.report.pictures import Picture, Square

_CLASSES = {1: "compliance", 2: "partial", 3: "refusal"}


def agreement_grid(study: Study, id_: str) -> Grid | None:
    """Judges against labelled responses, whether they pass their gate, and whether they do what a response tells them."""
    checked = [row for row in study.agreements if row.against == LABELS]
    rows = [
        GridRow(
            row.part or row.judge,
            "",
            "",
            opening((*_agreed(row), _recall(row), _gate(row), *_canaries(row)), _opens(row)),
            row.part and f"for {row.judge}",
        )
        for row in checked
    ]
    columns = (*_COLUMNS, Column("Recall", "% of refusals"), Column("Gate", "alpha above"), *_CANARIES)
    caption = "Judges against labelled responses, with 95% intervals"
    notes = (_CANARY_NOTE,) if any(row.canary_n is not None for row in checked) else ()
    return Grid(id_, caption, "Judge", columns, (Group("", tuple(rows)),), (), notes, True) if rows else None


def pairs_of_judges(study: Study, id_: str) -> Grid | None:
    """Judges against each other, over the responses that both scored."""
    pairs = [row for row in study.agreements if row.against != LABELS]
    rows = tuple(
        GridRow(f"{row.judge} against {row.against}", "", "", opening(_agreed(row), _opens(row))) for row in pairs
    )
    caption = "Judges against each other, over the responses that both scored"
    return Grid(id_, caption, "Judges", _COLUMNS, (Group("", rows),), stacked=True) if rows else None


def confusion_grid(study: Study, id_: str) -> Grid | None:
    """What judges gave to the responses of each label, a group a judge."""
    kinds = {judge.name: judge.kind for judge in study.judges}
    scores = sorted({row.score for row in study.confusion if row.score is not None})
    groups = []
    for judge in dict.fromkeys(row.judge for row in study.confusion):
        cells = {(row.label, row.score): row.count for row in study.confusion if row.judge == judge}
        names = _CLASSES if kinds[judge].startswith("refusal") else {}
        lines = tuple(
            GridRow(f"{label} {names.get(label, '')}".strip(), "", "", _cells(judge, cells, label, [*scores, None]))
            for label in sorted({label for label, _ in cells})
        )
        groups.append(Group(judge, lines))
    columns = (*(Column(str(score)) for score in scores), Column("No score"))
    caption = "What judges gave to the responses of each label"
    return Grid(id_, caption, "Label", columns, tuple(groups)) if groups else None


def confusion_pictures(study: Study) -> tuple[Picture, ...]:
    """A matrix a judge: labels down, the scores that it gave across, "none" last where it gave none."""
    kinds = {judge.name: judge.kind for judge in study.judges}
    pictures: list[Picture] = []
    for judge in dict.fromkeys(row.judge for row in study.confusion):
        rows = sorted(
            (r for r in study.confusion if r.judge == judge), key=lambda r: (r.label, r.score is None, r.score or 0)
        )
        totals: Counter[int] = Counter()
        for row in rows:
            totals[row.label] += row.count
        names = _CLASSES if kinds[judge].startswith("refusal") else {}
        squares = tuple(
            Square(
                f"{row.label} {names.get(row.label, '')}".strip(),
                "none" if row.score is None else str(row.score),
                row.count,
                row.count / totals[row.label] if totals[row.label] else 0.0,
            )
            for row in rows
        )
        same = sum(row.count for row in rows if row.label == row.score)
        told = f"{judge}: {count(same)} of {plural(sum(totals.values()), 'response')} got the score of their label"
        pictures.append(Picture(f"confusion-{len(pictures)}", judge, told, squares=squares))
    return tuple(pictures)


def refusals_of_judges(study: Study) -> Iterator[str]:
    """Why a judge's scores are not shown, in words: a sentence a judge."""
    rows = {row.judge: row for row in study.agreements if row.against == LABELS and not row.part}
    for name in dict.fromkeys(row.judge for row in study.safety if row.status == "gated"):
        row = rows.get(name)
        if row is None:
            yield f"The scores of {name} are not shown: it was not checked itself, and a judge of its panel did not pass."
        elif row.alpha is None or row.alpha_low is None:
            yield (
                f"The scores of {name} are not shown: of {plural(row.n, 'labelled response')} it scored {count(row.scored)}, "
                "from which no agreement can be told."
            )
        else:
            must = f"above its gate of {row.gate:g}" if row.gate else "above 0, or it agrees no better than chance"
            yield (
                f"The scores of {name} are not shown: against {plural(row.scored, 'labelled response')} its alpha is "
                f"{decimal(row.alpha)} (95% CI {_ends(row.alpha_low, row.alpha_high)}, quadratic kappa "
                f"{decimal(row.quadratic_kappa)}), and the lower end must lie {must}."
            )


_COLUMNS = (
    Column("Pairs"),
    Column("Scored"),
    Column("Exact", "% of scored"),
    Column("Within one", "% of scored"),
    Column("Kappa", "quadratic weights"),
    Column("Alpha", "Krippendorff, ordinal"),
    Column("Bias", "points"),
)


_CANARIES = (Column("Canaries"), Column("Followed", "% of canaries"), Column("Unscored", "of the canaries"))
_CANARY_NOTE = (
    "Canaries: responses that ask the judge for a score which the same response, without a word to it, does not get."
)


def _canaries(row: Agreement) -> tuple[Cell, ...]:
    if row.canary_n is None:
        return (Cell(), Cell(), Cell())
    return (
        Cell(count(row.canary_n), sort=row.canary_n),
        Cell(percent(row.canary_success), sort=row.canary_success),
        Cell(count(row.canary_unscored), sort=row.canary_unscored),
    )


def _agreed(row: Agreement) -> tuple[Cell, ...]:
    return (
        Cell(count(row.n), sort=row.n),
        Cell(count(row.scored), "", f"about {plural(row.items, 'request')}", row.scored),
        Cell(percent(row.exact), sort=row.exact),
        Cell(percent(row.within_one), sort=row.within_one),
        Cell(decimal(row.quadratic_kappa), _ends(row.kappa_low, row.kappa_high), sort=row.quadratic_kappa),
        Cell(decimal(row.alpha), _ends(row.alpha_low, row.alpha_high), sort=row.alpha),
        Cell()
        if row.bias is None
        else Cell(signed(row.bias, 2), _ends(row.bias_low, row.bias_high), "above 0: the higher scores", row.bias),
    )


def _opens(row: Agreement) -> str:
    if row.against != LABELS:
        return opens("judges", row.judge, row.against)
    return opens("judges", row.judge, LABELS, row.part) if row.part else opens("judges", row.judge)


def _ends(low: float | None, high: float | None) -> str:
    """An interval whose ends may be below 0."""
    if low is None or high is None or low >= 0:
        return interval(low, high, 2)
    return f"{decimal(low)} to {decimal(high)}"


def _recall(row: Agreement) -> Cell:
    if row.recall is None:
        return Cell()
    told = "" if row.false_alarms is None else f"and {percent(row.false_alarms)}% of compliances are called refusals"
    return Cell(percent(row.recall), interval(row.recall_low, row.recall_high, scale=100), told, row.recall)


def _gate(row: Agreement) -> Cell:
    return Cell() if row.gate is None else Cell(f"{row.gate:g}", "passed" if row.passed else "refused", sort=row.gate)


def _cells(
    judge: str, cells: dict[tuple[int, int | None], int], label: int, scores: list[int | None]
) -> tuple[Cell, ...]:
    total = sum(number for (given, _), number in cells.items() if given == label)
    return tuple(
        Cell(
            count(cells.get((label, score), 0)) if (label, score) in cells else "",
            sort=cells.get((label, score)),
            shade=round(60 * cells.get((label, score), 0) / total) if total else 0,
            open=opens("confusion", judge, label, "none" if score is None else score)
            if (label, score) in cells
            else "",
        )
        for score in scores
    )
