"""The ledger of a mixture on the page: rows after each filter, shares, licences, what has no source, overlap and flow."""

from __future__ import annotations

import re
from dataclasses import replace

from primum.report.curation import mixtures, outcomes
from primum.report.data import Study
from primum.report.flow import flow
from primum.report.grids import Grid
from primum.report.ledger import ledger_grid
from primum.report.numbers import NONE
from primum.report.overlap import overlap_grid
from primum.report.parts import Model
from primum.report.records import Ledger

NARROW = "\u202f"


def row(source: str, outcome: str, rows: int, twin: str | None = None, words: int | None = 0, **more: object) -> Ledger:
    domain, licence = {"one": ("medical", "CC-BY-NC-SA-4.0"), "two": ("general", "")}.get(source, ("medical", "MIT"))
    plain = Ledger("m", source, f"d-{source}", licence, domain, outcome, twin, rows, 1, words, None, None, None)
    return replace(plain, **more)  # type: ignore[arg-type]


# One: 20 records upstream, 2 of them unreadable, 1 empty, 3 contaminated, 4 + 1 that repeat others, 3 not sampled: 6 are taken.
ROWS = (
    row("one", "image", 2, words=None),
    row("one", "empty", 1),
    row("one", "contaminated", 3, words=30),
    row("one", "duplicate", 4, "one", 40),
    row("one", "near-duplicate", 1, "one", 10),
    row("one", "not-sampled", 3, words=30),
    row("one", "kept", 6, words=60, published=100),
    # Two: taken twice each: 2 rows, as 4 of the mixture's 10, and 20 words as 40 of 100.
    row("two", "duplicate", 1, "one", 10, repeat=2),
    row("two", "duplicate", 2, "two", 20, repeat=2),
    row("two", "near-duplicate", 1, "one", 10, repeat=2),
    row("two", "kept", 2, words=20, published=50, repeat=2),
    row("(unlisted)", "kept", 0, published=25, dataset=""),
)


def cells(grid: Grid) -> dict[str, list[str]]:
    lines = [*(line for group in grid.groups for line in group.rows), *grid.foot]
    return {line.title: [cell.text for cell in line.cells] for line in lines}


def test_rows_after_each_filter_and_shares_by_hand() -> None:
    grid = ledger_grid(ROWS, "id", "caption")
    assert [(column.title, column.sub) for column in grid.columns] == [
        *(("Domain", ""), ("Licence", ""), ("Stated", "published"), ("Upstream", "records"), ("Read", "rows left")),
        *(
            ("Cleaned", "rows left"),
            ("Decontaminated", "rows left"),
            ("Deduplicated", "exact"),
            ("Deduplicated", "near"),
        ),
        *(("Taken", "rows"), ("Rows", "%"), ("Words", "%"), ("Dropped", "rows")),
    ]
    one = "duplicate 4, contaminated 3, not-sampled 3, image 2, empty 1, near-duplicate 1"
    both = "duplicate 7, contaminated 3, not-sampled 3, image 2, near-duplicate 2, empty 1"
    dash = [NONE] * 9
    two = ["50", "6", "6", "6", "6", "3", "2", "2", "40.0", "40.0", "duplicate 3, near-duplicate 1"]
    assert cells(grid) == {
        "one": ["medical", "CC-BY-NC-SA-4.0", "100", "20", "18", "17", "14", "10", "9", "6", "60.0", "60.0", one],
        "two": ["general", "unknown", *two],
        "(unlisted)": ["medical", NONE, "25", *dash, NONE],
        "All medical": ["", "", "125", "20", "18", "17", "14", "10", "9", "6", "60.0", "60.0", one],
        "All general": ["", "", *two],
        "All sources": ["", "", "175", "26", "24", "23", "20", "13", "11", "8", "100.0", "100.0", both],
    }
    first, second, _ = grid.groups[0].rows
    assert (first.cells[1].extra, second.cells[1].extra) == ("NC, SA", "?")
    assert first.cells[1].tip.startswith("forbid commercial use; ")
    assert (first.cells[9].extra, second.cells[9].extra) == ("", "\u00d72")


def test_a_filter_that_dropped_nothing_has_no_column() -> None:
    grid = ledger_grid([row("four", "kept", 6, words=60), row("three", "kept", 2, words=60)], "id", "caption")
    assert [column.title for column in grid.columns] == [
        "Domain",
        "Licence",
        "Upstream",
        "Taken",
        "Rows",
        "Words",
        "Dropped",
    ]
    assert cells(grid)["three"] == ["medical", "MIT", "2", "2", "25.0", "50.0", ""]
    assert grid.notes == (), "nothing is repeated, nothing forbidden, nothing without a source"


def test_tokens_are_shown_where_they_are_known() -> None:
    rows = [row("one", "kept", 6, words=60, tokens=30), row("two", "kept", 2, words=60, tokens=10, repeat=3)]
    grid = ledger_grid(rows, "id", "caption")
    assert grid.columns[5].title == "Tokens"
    # 30 and 3 x 10, where the rows are 6 and 3 x 2.
    assert [line.cells[5].text for line in grid.groups[0].rows] == ["50.0", "50.0"]
    assert [note[0] for note in grid.notes if ": sources that" not in note] == ["\u00d7"]


def test_what_a_publication_lists_under_no_source_is_said_with_its_numbers() -> None:
    """Table 5 of Med42-v2: 547,542 listed of 952,942 medical rows, and 343,529 general ones: 1,296,471 in all."""
    rows = [
        row("one", "kept", 5, published=547_542),
        row("two", "kept", 5, published=343_529),
        row("(unlisted)", "kept", 0, published=405_400, dataset=""),
    ]
    note, *_ = ledger_grid(rows, "id", "caption").notes
    assert note.replace(NARROW, ",") == (
        "The publication states 952,942 medical rows, but its medical sources sum to 547,542: 405,400 rows, 42.5% of these and "
        "31.3% of all 1,296,471, are without a source, and cannot be in this mixture."
    )


def test_licences_are_told_by_what_they_ask_for() -> None:
    notes = ledger_grid(ROWS, "id", "caption").notes
    assert [note for note in notes if ": sources that" in note] == [
        "NC: sources that forbid commercial use: one (CC-BY-NC-SA-4.0).",
        "SA: sources that ask that what is made of it is passed on under the same licence: one (CC-BY-NC-SA-4.0).",
        "?: sources that have no licence that is known: two.",
    ]


def test_overlap_is_a_matrix_in_the_mixtures_order() -> None:
    grid = overlap_grid(ROWS, "id", "m")
    assert grid is not None
    assert [column.title for column in grid.columns] == ["one", "two", "All"]
    # One: 4 + 1 of 20 repeat its own; of two's 6, 1 + 1 repeat one's and 2 its own. What comes first repeats nothing later.
    assert cells(grid) == {"one": ["5", "", "5"], "two": ["2", "2", "4"]}
    first, second = (line.cells for line in grid.groups[0].rows)
    assert [cell.extra for cell in (*first, *second)] == ["25.0%", "", "25.0%", "33.3%", "33.3%", "66.7%"]
    assert second[0].tip == "2 of 6 records of two repeat rows of one: duplicate 1, near-duplicate 1"
    # 45% at the largest share, a third; a quarter is three fourths of it.
    assert [first[0].shade, second[0].shade, second[2].shade] == [34, 45, 0]
    assert overlap_grid([row("one", "kept", 3), row("one", "not-sampled", 1)], "id", "m") is None
    three = [*ROWS, row("three", "duplicate", 1, "two"), row("three", "kept", 1)]
    grid = overlap_grid(three, "id", "m")
    assert grid is not None
    assert cells(grid)["three"] == ["0", "1", "1"]


def test_the_flow_is_as_thick_as_rows_are_many() -> None:
    rows = [row("one", "kept", 6), row("one", "image", 2, words=None), row("two", "kept", 2), row("none", "kept", 0)]
    drawn = str(flow(rows, "m", {"kept": "fill-kept", "image": "fill-drop0"}))
    # 10 rows are 300 pixels: 240 of one, 60 of two; 180 medical, 60 general, 60 images; 240 in the mixture.
    bars = re.findall(r"<rect x=\"([\d.]+)\" y=\"[\d.]+\" width=\"10\" height=\"([\d.]+)\" class=\"([\w-]+)\">", drawn)
    assert [(height, class_) for _, height, class_ in bars] == [
        *(("240", "source"), ("60", "source")),
        *(("180", "fill-kept"), ("60", "fill-kept"), ("60", "fill-drop0"), ("240", "fill-kept")),
    ]
    tips = re.findall(r"<path [^>]*><title>([^<]*)</title>", drawn)
    assert tips == [
        *("one \u2192 medical: 6 rows", "one \u2192 image: 2 rows", "two \u2192 general: 2 rows"),
        *("medical \u2192 m: 6 rows", "general \u2192 m: 2 rows"),
    ]
    # A band's ends: from its start's bar to its end's, each as high as its rows.
    ends = [
        (float(upper1) - float(upper0), float(lower1) - float(lower0))
        for upper0, lower0, lower1, upper1 in re.findall(
            r"M[\d.]+ ([\d.]+)C[\d.]+ [\d.]+ [\d.]+ [\d.]+ [\d.]+ ([\d.]+)V([\d.]+)C[\d.]+ [\d.]+ [\d.]+ [\d.]+ [\d.]+ ([\d.]+)Z",
            drawn,
        )
    ]
    assert ends == [(180, 180), (60, 60), (60, 60), (180, 180), (60, 60)]
    said = re.search(r'aria-label="([^"]*)"', drawn)
    assert said is not None
    assert said.group(1) == "m: of 10 records 8 are taken, medical 6 and general 2; dropped: image 2"
    assert flow([row("one", "kept", 6), row("two", "kept", 0)], "m", {"kept": "fill-kept"}) is None


def test_every_mixture_has_its_ledger_and_says_whom_it_trains() -> None:
    others = [replace(each, mixture="other") for each in ROWS[:1] + ROWS[6:7]]
    model = Model("a", "Model A", "small", "sft", None, "m", True, {})
    empty: tuple[()] = ()
    fields = dict.fromkeys(Study.__slots__, empty)
    study = Study(**{**fields, "ledger": (*ROWS, *others), "models": (model,)})  # type: ignore[arg-type]
    first, second = mixtures(study)
    assert (first.name, first.ledger.caption) == ("m", "Ledger of m, which trains Model A")
    assert (second.name, second.ledger.caption) == ("other", "Ledger of other")
    assert first.flow is not None
    assert (second.flow, second.overlap) == (None, None)
    assert list(outcomes(study)) == [
        "kept",
        "duplicate",
        "image",
        "contaminated",
        "not-sampled",
        "near-duplicate",
        "empty",
    ]
    assert outcomes(study)["kept"] == "fill-kept"
    assert outcomes(study)["image"] == "fill-drop1"
