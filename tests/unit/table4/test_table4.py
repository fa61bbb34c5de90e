"""Table 4 of Med42-v2: the data, its marks, what is measured beside it, and the three formats."""

from __future__ import annotations

import csv
import math
import os
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from scored_run import Run

from primum.cli import main
from primum.errors import PrimumError
from primum.experiment import load_experiment
from primum.table4.check import Statement, check
from primum.table4.grid import View, make_grid
from primum.table4.measured import Cell, Measured, read_measured
from primum.table4.paper import Column, Row, Table4, load_table4
from primum.table4.render import to_html, to_latex, to_markdown

ROOT = Path(__file__).parents[3]
REAL = Path(os.environ.get("PRIMUM_REAL_DATA") or ROOT.parent / "shared" / "data")
TABLE = load_table4(ROOT)


def small(**changes: object) -> Table4:
    """Four rows in one class, two columns; c lacks y."""
    columns = (Column("x", "X", ("bx",)), Column("y", "Y", ("y-1", "y-2")))
    numbers = {
        "a": ("10.0", "5.0", "7.5"),
        "b": ("30.0", "7.0", "18.5"),
        "c": ("30.0", "", "30.0"),
        "d": ("20.0", "6.0", "13.0"),
    }
    rows = [
        Row(
            title,
            "small",
            {key: Decimal(text) for key, text in zip("xy", (x, y), strict=True) if text},
            Decimal(average),
            f"model-{title}",
            f"org/{title}",
        )
        for title, (x, y, average) in numbers.items()
    ]
    return replace(Table4(columns, tuple(rows), {"bx": 100}), **changes)  # type: ignore[arg-type]


def test_the_shipped_table_is_the_transcription() -> None:
    facts = REAL.parent / "facts" / "med42_v2_table4_benchmarks.csv"
    if not facts.exists():
        pytest.skip("the transcription is not at hand")
    shipped = ROOT / "data" / "papers" / "med42_v2_table4.csv"
    assert list(csv.reader(shipped.open())) == list(csv.reader(facts.open()))


def test_every_row_has_its_model_or_says_why() -> None:
    catalog = yaml.safe_load((ROOT / "config" / "catalog" / "models.yaml").read_text())["models"]
    assert len(TABLE.rows) == 22
    for row in TABLE.rows:
        entry = catalog[row.model]
        assert (entry.get("hub") or entry["endpoint"], entry["size_class"]) == (row.source, row.size_class)
        assert entry["title"] == row.title or row.title == "GPT-4.0"
    benchmarks = yaml.safe_load((ROOT / "config" / "catalog" / "benchmarks.yaml").read_text())["benchmarks"]
    asked = {name for column in TABLE.columns for name in column.benchmarks}
    variants = {choice.variant(name) for choice in TABLE.choices for name in asked}
    assert asked <= set(benchmarks) <= asked | variants


def test_best_and_second_of_four_rows() -> None:
    # x: 30 twice is best, 20 the next lower value. y: 7, then 6; c has none. Average: c's 30.0 is over one column of two
    # and has no mark, so b's 18.5 is best and d's 13.0 second.
    assert small().marks(small().size_classes()) == {
        ("b", "x"): "best",
        ("c", "x"): "best",
        ("d", "x"): "second",
        ("b", "y"): "best",
        ("d", "y"): "second",
        ("b", "average"): "best",
        ("d", "average"): "second",
    }
    # All that have the second value are second, and a class of its own has its own best.
    assert small().marks({"a": "p", "b": "p", "c": "q", "d": "q"})["d", "x"] == "second"
    tied = small(rows=(*small().rows, replace(small().rows[3], title="e")))
    assert {t for (t, key), mark in tied.marks(tied.size_classes()).items() if (key, mark) == ("x", "second")} == {
        "d",
        "e",
    }


def test_marks_of_two_whole_columns() -> None:
    # Read off the csv by hand. MedMCQA small: 61.3, then 59.7 three times; medium: 61.5, 61.1; large: 75.8, then 73.2
    # twice. ToxiGen small: 86.2, 83.8; medium: 86.6, 83.5; large: 91.3 twice, 91.1.
    marks = TABLE.marks(TABLE.size_classes())
    assert {title: mark for (title, key), mark in marks.items() if key == "medmcqa"} == {
        "Med42-Llama3-8B": "best",
        "Llama3-8B-Instruct": "second",
        "JSL-MedLlama-3-8B-v2.0": "second",
        "Med42-Llama3.1-8B": "second",
        "Phi-3-Medium-128k-instruct": "best",
        "BiMediX (Eng)": "second",
        "Llama3.1-405B-Instruct": "best",
        "OpenBioLLM-70B": "second",
        "Med42-Llama3-70B": "second",
    }
    assert {title: mark for (title, key), mark in marks.items() if key == "toxigen"} == {
        "Mistral-7B-Instruct-v0.3": "best",
        "Med42-Llama3.1-8B": "second",
        "Phi-3-Medium-128k-instruct": "best",
        "Mixtral-8x7B-Instruct": "second",
        "Llama3.1-70B-Instruct": "best",
        "OpenBioLLM-70B": "best",
        "Mistral-Large-Instruct-2407": "second",
    }


def test_what_the_table_says_of_itself() -> None:
    said = check(TABLE)
    texts = [statement.text for statement in said]
    assert said[0] == Statement("22 of 22 averages are the mean of their published columns, to one decimal", True)
    assert texts[1].startswith("GPT-4.0: its average 78.9 is over 5 columns (without MMLU-Pro, ToxiGen)")
    claim = next(n for n, text in enumerate(texts) if "on all datasets" in text)
    assert said[claim].holds is False
    assert texts[claim + 1 : claim + 5] == [
        "  Med42-Llama3-70B: USMLE 83.8 < 84.1 of GPT-4.0",
        "  Med42-Llama3.1-70B: MMLU 86.8 < 87.0 of GPT-4.0",
        # (87.1 + 73.2 + 79.1 + 83.8 + 78.8) / 5 = 80.4, GPT-4.0's five 78.94
        "  over the 5 columns of both, Med42-Llama3-70B averages 80.4 and GPT-4.0 78.9; 2 columns cannot be compared",
        # (86.8 + 72.4 + 80.4 + 94.5 + 77.6) / 5 = 82.34
        "  over the 5 columns of both, Med42-Llama3.1-70B averages 82.3 and GPT-4.0 78.9; 2 columns cannot be compared",
    ]
    assert "  Med42-Llama3-8B: PubMedQA 68.4 < 69.8 of Llama3-8B-Instruct" in texts
    assert "31 of the paper's 32 underlines are second best in these with 3 rows apart" in texts


def test_a_wrong_average_is_found() -> None:
    row = TABLE.rows[0]  # its columns average 53.34
    wrong = replace(TABLE, rows=(replace(row, average=Decimal("53.4")), *TABLE.rows[1:]))
    first, second, *_ = check(wrong)
    assert first == Statement(f"{row.title}: its columns average 53.3, the table has 53.4", False, transcription=True)
    assert second.text.startswith("21 of 22")
    # And a claim that the table bears out is said to hold: b is above d wherever both have a number.
    claim = replace(TABLE.claims[0], pairs=(("b", "d"),))
    assert [s.holds for s in check(small(claims=(claim,))) if "bears it out" in s.text] == [True]


def run(results: Path, table: Table4 = TABLE) -> Run:
    """Llama3-8B-Instruct with all eight benchmarks, and a trained model that carries another row's name."""
    run = Run(results)
    run.model("llama3-8b-instruct", "meta-llama/Meta-Llama-3-8B-Instruct")
    for column in table.columns:
        for name in column.benchmarks:
            run.score("llama3-8b-instruct", name)
            n = table.items.get(name, 500)
            run.line("llama3-8b-instruct", name, n=n, accuracy=0.7, stderr=0.02, ci_low=0.66, ci_high=0.74)
    return run


def test_measured_beside_published(tmp_path: Path) -> None:
    made = run(tmp_path)
    made.line("llama3-8b-instruct", "mmlu-medical", subject="anatomy", accuracy=0.1, n=135)
    measured = read_measured(made.finish(), TABLE)
    title = "Llama3-8B-Instruct"
    assert measured.cell(title, "medqa") == Cell(70.0, 2.0, 66.0, 74.0, False, "", 1273)
    # Two parts with a standard error of 2: sqrt(2^2 + 2^2) / 2.
    usmle = measured.cell(title, "usmle")
    assert usmle.stderr == pytest.approx(math.sqrt(8) / 2)
    # Seven columns, six with variance 4 and one with 2: sqrt(26) / 7 = 0.7284, times 1.96 = 1.4277. Wilson's is a little lower.
    average = measured.cell(title, "average")
    assert average.value == pytest.approx(70)
    assert average.high == pytest.approx(70 + 1.959964 * math.sqrt(26) / 7, abs=0.05)
    assert measured.cell("Med42-Llama3-8B", "medqa") == Cell(why="not run")
    (line,) = (line for _, lines in make_grid(TABLE, measured).groups for line in lines if line.title == title)
    # Published 61.6: 70 - 61.6 = 8.4, from 66 - 61.6 to 74 - 61.6.
    assert line.views[3] == View("61.6", None, "+8.4", "[+4.4, +12.4]")
    # Published 72.9 (MMLU) and 69.8 (PubMedQA): below, and a bit above.
    assert line.views[1].difference == "\N{MINUS SIGN}2.9"
    assert line.views[5].interval == "[\N{MINUS SIGN}3.8, +4.2]"
    assert measured.scores is not None
    assert len(measured.scores) == 8


def test_a_mean_is_not_run_without_all_its_parts(tmp_path: Path) -> None:
    made = Run(tmp_path)
    made.model("llama3-8b-instruct", "meta-llama/Meta-Llama-3-8B-Instruct")
    made.score("llama3-8b-instruct", "usmle-sample-exam")
    made.line("llama3-8b-instruct", "usmle-sample-exam", n=10, accuracy=0.7)
    measured = read_measured(made.finish(), TABLE)
    assert {measured.cell("Llama3-8B-Instruct", key).why for key in TABLE.keys} == {"not run"}


def test_gpt_4_is_measured_over_its_five_columns_and_marked(tmp_path: Path) -> None:
    made = Run(tmp_path)
    made.model("gpt-4", "gpt-4-1106-preview")
    for column in TABLE.columns:
        for name in column.benchmarks if column.key != "toxigen" else ():
            made.score("gpt-4", name)
            made.line("gpt-4", name, n=TABLE.items.get(name, 9), accuracy=0.8, stderr=0.01, ci_low=0.78, ci_high=0.82)
    measured = read_measured(made.finish(), TABLE)
    cells = {place: replace(cell, generated=cell.value is not None) for place, cell in measured.cells.items()}
    grid = make_grid(TABLE, replace(measured, cells=cells))
    (line,) = (line for _, lines in grid.groups for line in lines if line.title == "GPT-4.0")
    # MMLU-Pro was not published: the measurement itself. 80 - 78.9 = 1.1; flag a: an average of five, g: by generation.
    assert line.views[0] == View("\N{EN DASH}", None, "measured 80.0", "[78.0, 82.0]", below="g")
    assert (line.views[6].published, line.views[6].difference) == ("\N{EN DASH}", "not run")
    assert (line.views[7].difference, line.views[7].flags, line.views[7].below) == ("+1.1", "a", "g")
    assert "<td>78.9<sup>a</sup><small>+1.1<sup>g</sup></small>" in to_html(grid)
    assert any(flag == "g" for flag, _ in grid.notes)


def test_what_the_papers_open_settings_change(tmp_path: Path) -> None:
    # Accuracy with the letter less that without, in points: 4 and -10 for MedQA, their mean -3. Of USMLE's two parts one model
    # has both with the letter: (2 + 6) / 2 = 4. What GPT-4 answers in words does not count.
    made = Run(tmp_path)
    for model, numbers in {
        "one": {"medqa": 0.5, "medqa-letter": 0.54, "usmle-self-assessment": 0.4, "usmle-self-assessment-letter": 0.42},
        "two": {"medqa": 0.6, "medqa-letter": 0.5, "pubmedqa": 0.7},
    }.items():
        made.model(model)
        for name, accuracy in numbers.items():
            made.line(model, name, n=100, accuracy=accuracy)
    made.line("one", "usmle-sample-exam", n=100, accuracy=0.3)
    made.line("one", "usmle-sample-exam-letter", n=100, accuracy=0.36)
    made.model("gpt-4", "gpt-4-1106-preview")
    for name in ("medqa", "medqa-letter"):
        made.score("gpt-4", name)
        made.line("gpt-4", name, n=100, accuracy=0.9, method="generation")
    measured = read_measured(made.finish(), TABLE)
    assert [(change.choice, change.column, pytest.approx(change.points)) for change in measured.changes] == [
        ("the letter is scored, not the answer", "MedQA", (4, -10)),
        ("the letter is scored, not the answer", "USMLE", (4,)),
    ]
    (note,) = (text for _, text in make_grid(TABLE, measured).notes if "leaves open" in text)
    minus = "\N{MINUS SIGN}"
    assert f"MedQA {minus}3.0 ({minus}10.0 to +4.0; 2), USMLE +4.0 (+4.0 to +4.0; 1)" in note


@pytest.mark.parametrize(
    ("source", "n", "item", "why"),
    [
        ("", 1273, {}, "other model"),
        ("someone/else", 1273, {}, "other model"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", 80, {}, "other items (n = 80)"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", 1273, {"fewshot": {"k": 5}}, "5-shot"),
    ],
)
def test_what_is_not_the_papers_is_not_compared(
    tmp_path: Path, source: str, n: int, item: dict[str, object], why: str
) -> None:
    made = Run(tmp_path)
    made.model("llama3-8b-instruct", source)
    made.score("llama3-8b-instruct", "medqa", **item)
    made.line("llama3-8b-instruct", "medqa", n=n, accuracy=0.9, ci_low=0.8, ci_high=0.95)
    measured = read_measured(made.finish(), TABLE)
    assert measured.cell("Llama3-8B-Instruct", "medqa") == Cell(why=why)
    assert "90.0" not in to_html(make_grid(TABLE, measured))


def test_a_table_of_other_scores_is_refused(tmp_path: Path) -> None:
    results = run(tmp_path).finish()
    later = Run(tmp_path / "later")
    later.model("llama3-8b-instruct", "meta-llama/Meta-Llama-3-8B-Instruct")
    later.score("llama3-8b-instruct", "medqa", [{"id": "another"}])
    for suffix in ("json", "parquet"):
        (tmp_path / f"later/scores/llama3-8b-instruct/medqa.{suffix}").replace(
            results / f"scores/llama3-8b-instruct/medqa.{suffix}"
        )
    with pytest.raises(PrimumError, match=r"medqa\.json: .*run the stage tables again"):
        read_measured(results, TABLE)


def snippet(text: str, start: str) -> list[str]:
    lines = text.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith(start))
    return lines[first : first + 3]


def example() -> tuple[Table4, Measured]:
    odd = replace(small().rows[1], title="b_1 & <co> | 50%")
    table = small(rows=(small().rows[0], odd, *small().rows[2:]))
    cells = {(odd.title, "x"): Cell(28.5, 1.0, 26.5, 30.5, False, "")}  # 28.5 - 30 = -1.5; -3.5 to 0.5
    return table, Measured(cells, "f" * 64, {})


def test_golden_html() -> None:
    page = to_html(make_grid(*example()))
    assert snippet(page, '<tr><th scope="row">b_1')[0] == (
        '<tr><th scope="row">b_1 &amp; &lt;co&gt; | 50%</th>'
        "<td><b>30.0</b><small>−1.5</small><small>[−3.5, +0.5]</small></td>"  # noqa: RUF001
        "<td><b>7.0</b><small>not run</small></td><td><b>18.5</b><small>not run</small></td></tr>"
    )
    assert "<td>–<small>not run</small></td><td>30.0<sup>a</sup><small>not run</small></td>" in page  # noqa: RUF001
    assert "f" * 64 in page


def test_golden_markdown() -> None:
    text = to_markdown(make_grid(*example()))
    assert snippet(text, "| b")[0] == (
        r"| b\_1 \& \<co\> \| 50% | **30.0**<br>−1.5<br>\[−3.5, +0.5\] | **7.0**<br>not run | **18.5**<br>not run |"  # noqa: RUF001
    )
    assert snippet(text, "| d")[0] == "| d | <u>20.0</u><br>not run | <u>6.0</u><br>not run | <u>13.0</u><br>not run |"
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}


def test_golden_latex() -> None:
    text = to_latex(make_grid(*example()))
    assert snippet(text, "b\\_1")[:2] == [
        r"b\_1 \& \textless{}co\textgreater{} \textbar{} 50\% & \textbf{30.0} & \textbf{7.0} & \textbf{18.5} \\",
        r"\quad{\scriptsize measured $-$ published} & {\scriptsize $-$1.5 {[}$-$3.5, +0.5{]}} & {\scriptsize not run} "
        r"& {\scriptsize not run} \\",
    ]
    assert r"d & \underline{20.0} & \underline{6.0} & \underline{13.0} \\" in text
    assert text.isascii()


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    main(["table4", "--check"])
    assert "no   " in capsys.readouterr().out
    results = run(tmp_path / "run").finish()
    for folder in ("one", "two"):
        main(["table4", str(results), "--format", "all", "--output", str(tmp_path / folder)])
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["table4.html", "table4.md", "table4.tex"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    capsys.readouterr()
    main(["table4"])
    assert capsys.readouterr().out.count("not run") == 22 * 8
    with pytest.raises(SystemExit):
        main(["table4", "--format", "all"])
    assert "needs --output FOLDER" in capsys.readouterr().err


def test_experiments_that_measure_it() -> None:
    # med-safety evaluates models of the table, but not on all of its benchmarks; the demo has none of its models.
    measuring = {
        name: TABLE.is_measured_by(load_experiment(name, ROOT))
        for name in ("demo", "med-safety", "med42-v2-8b", "table4", "table4-settings")
    }
    assert measuring == {
        "demo": False,
        "med-safety": False,
        "med42-v2-8b": True,
        "table4": True,
        "table4-settings": True,
    }
    # All rows in one experiment, and each open setting of each benchmark in another.
    table4, settings = (load_experiment(name, ROOT).evaluate for name in ("table4", "table4-settings"))
    assert sorted(table4.models) == sorted(row.model for row in TABLE.rows)
    asked = {name for column in TABLE.columns for name in column.benchmarks}
    catalog = yaml.safe_load((ROOT / "config" / "catalog" / "benchmarks.yaml").read_text())["benchmarks"]
    assert set(settings.benchmarks) == asked | {c.variant(n) for c in TABLE.choices for n in asked} & set(catalog)
