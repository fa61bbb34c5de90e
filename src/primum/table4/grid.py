"""Table 4 as cells of text, for every format alike: what was published, its mark, and what was measured beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from primum.table4.choices import Change
from primum.table4.measured import Cell, Measured
from primum.table4.paper import AVERAGE, SIZE_CLASSES, Mark, Table4

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
DIFFERENCE = f"measured {MINUS} published"
TITLE = "Table 4 of Med42-v2 (arXiv 2408.06142): zero-shot accuracy in percent"


@dataclass(frozen=True, slots=True)
class View:
    """A cell: the published number, and below it the difference of what was measured, with its 95% interval.

    ``flags`` belong to the published number, ``below`` to the measured one; both refer to the notes.
    """

    published: str
    mark: Mark | None
    difference: str
    interval: str
    flags: str = ""
    below: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A model of the paper, with a view for each column; ``flags`` refer to the notes."""

    title: str
    flags: str
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """The whole table. ``notes`` are (flag, text); a flag of "" belongs to the whole table."""

    header: tuple[str, ...]
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    notes: tuple[tuple[str, str], ...]


def make_grid(table4: Table4, measured: Measured | None = None) -> Grid:
    """The table beside ``measured``; without it, nothing was run."""
    measured = measured or Measured({})
    marks = table4.marks(table4.size_classes())
    notes = [("", text) for text in _NOTES] + [("", _source(measured))]
    partial = [row.title for row in table4.rows if not table4.is_whole(row)]
    if partial:
        notes.append(
            (
                "a",
                f"Average over fewer columns than the others': it is neither compared nor marked ({', '.join(partial)}).",
            )
        )
    notes += [("", text) for text in _changed(measured.changes)]
    if any(cell.generated for cell in measured.cells.values()):
        notes.append(("g", "Measured by generation and strict extraction of the answer, not by log-likelihood."))
    flags: dict[str, str] = {}
    for row in table4.rows:
        if row.note:
            flags[row.title] = str(len(flags) + 1)
            notes.append((flags[row.title], f"{row.title}: {row.note}."))
    groups = []
    for size in SIZE_CLASSES:
        lines = []
        for row in (row for row in table4.rows if row.size_class == size):
            views = []
            for key in table4.keys:
                value = table4.published(row, key)
                cell = measured.cell(row.title, key)
                partly = "a" if key == AVERAGE and not table4.is_whole(row) else ""
                difference, interval = _beside(None if value is None else float(value), cell)
                text = MISSING if value is None else f"{value:.1f}"
                mark, below = marks.get((row.title, key)), "g" * cell.generated
                views.append(View(text, mark, difference, interval, partly, below))
            lines.append(Line(row.title, flags.get(row.title, ""), tuple(views)))
        if lines:
            groups.append((size, tuple(lines)))
    return Grid(("Model", *(column.title for column in table4.columns), "Avg."), tuple(groups), tuple(notes))


_NOTES = (
    "Bold: best, underlined: second best of a size class and column. All of the equal best are bold; second is the next "
    "lower value, and all that have it.",
    f"Below each published number: {DIFFERENCE}, in percentage points, with the 95% interval of the measurement. The "
    "published number is taken as exact: the paper gives no interval.",
    "The paper's caption names these three classes; its own underlines are those of four, with the last three rows apart.",
    "USMLE is the unweighted mean of self-assessment and sample exam, the average the unweighted mean of the columns; "
    "neither is measured unless all its parts are.",
)


def _source(measured: Measured) -> str:
    if not measured.table:
        return "Nothing was measured."
    return f"Measured: {len(measured.scores or {})} scores, table {measured.table}."


def _changed(changes: Sequence[Change]) -> list[str]:
    """A note for each setting that the paper leaves open, and that the run measured."""
    found: dict[str, list[str]] = {}
    for change in changes:
        low, high = min(change.points), max(change.points)
        found.setdefault(change.choice, []).append(
            f"{change.column} {_signed(change.mean)} ({_signed(low)} to {_signed(high)}; {len(change.points)})"
        )
    return [
        f"The paper leaves open whether {choice}. That changes, in points: {', '.join(parts)}. It is the mean over models; in "
        "brackets the lowest and the highest change, and the number of models."
        for choice, parts in found.items()
    ]


def _beside(published: float | None, cell: Cell) -> tuple[str, str]:
    """The difference and its interval as text; for a number that was not published the measurement itself."""
    if cell.value is None:
        return cell.why, ""
    base = 0.0 if published is None else published
    show = _signed if published is not None else "{:.1f}".format
    shown = show(cell.value - base)
    interval = "" if cell.low is None or cell.high is None else f"[{show(cell.low - base)}, {show(cell.high - base)}]"
    return (shown if published is not None else f"measured {shown}"), interval


def _signed(value: float) -> str:
    """One decimal with its sign, and no sign for what rounds to zero."""
    text = f"{value:+.1f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)
