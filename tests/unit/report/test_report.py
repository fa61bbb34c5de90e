"""The page: what it says, what it may never hold, and that equal tables give equal bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import study

from primum.errors import PrimumError
from primum.report.audits import audit_grid
from primum.report.data import Study, read_study
from primum.report.headline import headlines
from primum.report.lineage import lineage_tree
from primum.report.numbers import MINUS, NONE, count, decimal, interval, listing, percent, plural, signed
from primum.report.pairs import pairs_grid
from primum.report.parts import Model
from primum.report.plots import Axis, dot_plot
from primum.report.rubrics import rubric_grid
from primum.report.skill import accuracy_grid
from primum.report.stage import render

Made = tuple[dict[str, Any], list[Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("study")
    common, inputs = study.example(folder / "in")
    return common, study.make_tables(common, inputs, folder)


@pytest.fixture(scope="module")
def page(made: Made, tmp_path_factory: pytest.TempPathFactory) -> str:
    return study.make_report(*made, tmp_path_factory.mktemp("report")).read_text(encoding="utf-8")


def opened(made: Made, change: Callable[[Study], dict[str, Any]] | None = None) -> Study:
    """The study as the report reads it, with some of its fields replaced."""
    words = {"experiment": "x", "title": "", "description": "", "disclaimer": "", "tables": list(study.TABLES)}
    read = read_study({**made[0], **words}, made[1])
    if change is None:
        return read
    return Study(**{**{name: getattr(read, name) for name in Study.__slots__}, **change(read)})


class Outline(HTMLParser):
    """Every element with its attributes, and whether all elements were closed in order."""

    VOID = frozenset(("meta", "br", "hr", "img", "input", "link"))

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def links(self) -> set[str]:
        """Where links lead. Those to CSV files that a script makes have no address without it."""
        return {str(each["href"]) for each in self.all("a") if "href" in each}


def test_equal_tables_give_equal_bytes(made: Made, page: str, tmp_path: Path) -> None:
    folder = study.make_report(*made, tmp_path).parent
    scripts = {"tables.js", "figures.js", "curves.js", "made.js", "vendor/d3.min.js", "vendor/plot.min.js"}
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"index.html", *scripts, "vendor/d3.LICENSE.txt", "vendor/plot.LICENSE.txt"}
    assert (folder / "index.html").read_text(encoding="utf-8") == page


def test_nothing_is_fetched(page: str) -> None:
    assert not re.findall(r"https?:|//[a-z]|@import|url\(|srcset|<link|<img|<iframe|fetch\(", page)
    outline = Outline(page)
    links = {link for link in outline.links if not link.startswith("#")}
    assert links == {f"../tables/{name}.{ending}" for name in study.TABLES for ending in ("csv", "parquet")}
    loaded = [a["src"] for _, a in outline.elements if "src" in a]
    own = ["vendor/d3.min.js", "vendor/plot.min.js", "tables.js", "figures.js", "curves.js", "made.js"]
    assert loaded == [*own, "../report.run.js"], "beside the page, and what a run writes at its end"
    (policy,) = (a["content"] for a in outline.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_no_prompt_or_response_is_on_the_page(page: str) -> None:
    assert study.SECRET not in page


def test_the_page_is_well_formed_and_accessible(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert outline.all("html")[0]["lang"] == "en"
    tables = outline.all("table")
    assert len(tables) == len(outline.all("caption")) == 20
    assert all(cell.get("scope") for cell in outline.all("th"))
    assert all(plot.get("role") == "img" and plot.get("aria-label") for plot in outline.all("svg"))
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in outline.links if link.startswith("#")} <= set(ids)
    named = [a["aria-labelledby"] for _, a in outline.elements if "aria-labelledby" in a]
    assert set(named) <= set(ids)
    assert not re.search(r">\s*(None|nan|Undefined)\s*<", page)


def test_words_of_the_experiment_are_escaped(made: Made, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    common = {**made[0], "models": [{**model, "title": f"{evil}{model['name']}"} for model in made[0]["models"]]}
    page = study.make_report(common, made[1], tmp_path, title=evil, description=evil, disclaimer=evil).read_text()
    assert page.count("<script>") == 2
    assert "alert(1)&lt;/script&gt;" in page
    assert Outline(page).open == []


def test_hashes_and_disclaimer_are_shown(made: Made, page: str) -> None:
    for table in made[1]:
        assert table.manifest.content in page
    assert "says nothing about medicine" in page


def test_best_and_second_within_a_size_class(made: Made) -> None:
    def large(read: Study) -> dict[str, Any]:
        sizes = {"base": "large", "sft": "large"}
        return {
            "models": tuple(type(m)(**{**_fields(m), "size_class": sizes.get(m.name, "small")}) for m in read.models)
        }

    read = opened(made, large)
    grid = accuracy_grid(read, "benchmark", "id", "caption")
    assert grid is not None
    assert [group.title for group in grid.groups] == ["small models", "large models"]
    for group in grid.groups:
        for column in range(len(grid.columns)):
            cells = sorted((row.cells[column] for row in group.rows), key=lambda cell: -(cell.sort or 0))
            assert cells[0].mark == "best"
            assert {cell.mark for cell in cells if cell.text == cells[0].text} == {"best"}
            assert next((c.mark for c in cells if c.text != cells[0].text), "second") == "second"


def test_no_average_where_sets_are_unequal(made: Made) -> None:
    def lacking(read: Study) -> dict[str, Any]:
        rows = [_fields(row) for row in read.accuracy if (row.model, row.benchmark) != ("sft", "usmle")]
        for row in rows:
            if (row["model"], row["benchmark"]) == ("sft", "average"):
                row.update(accuracy=None, ci_low=None, ci_high=None, change=None, note="unequal sets")
        return {"accuracy": tuple(type(read.accuracy[0])(**row) for row in rows)}

    read = opened(made, lacking)
    grid = accuracy_grid(read, "benchmark", "id", "caption")
    assert grid is not None
    row = next(row for row in grid.groups[0].rows if row.sub == "sft")
    assert [cell.text for cell in row.cells[-1:]] == [NONE]
    assert any("unequal sets" in note for note in grid.notes)
    assert not any("<b>Tiny SFT</b>: " in s for f in headlines(read) for s in f.sentences if "highest" in s)


def test_headlines_state_the_tables(made: Made) -> None:
    read = opened(made)
    said = {finding.topic: " ".join(finding.sentences) for finding in headlines(read)}
    assert list(said) == ["Measured", "Skill", "Alignment", "Safety", "Judge"]
    assert (
        "7 models were measured on 7 benchmarks (540 questions) and 4 sets of requests (174 requests)."
        in said["Measured"]
    )
    averages = {m.name: read.whole("benchmark", m.name) for m in read.models if m.evaluated}
    best = max(averages, key=lambda name: averages[name].accuracy)  # type: ignore[union-attr, arg-type, return-value]
    assert f"<b>{read.model(best).label}</b> has the highest benchmark average" in said["Skill"]
    assert percent(averages[best].accuracy) in said["Skill"]  # type: ignore[union-attr]
    harm = [read.harm("harm", model, "med-safety") for model in ("medical", "medical-safe")]
    assert f"from {decimal(harm[0].mean)} to {decimal(harm[1].mean)} on med-safety" in said["Safety"]  # type: ignore[union-attr]
    assert "gave no score for" in said["Safety"]


def test_noise_is_called_noise(made: Made) -> None:
    def unclear(read: Study) -> dict[str, Any]:
        rows = (type(r)(**{**_fields(r), "tied": None if r.tied is None else True}) for r in read.safety)
        return {"safety": tuple(rows)}

    said = [sentence for finding in headlines(opened(made, unclear)) for sentence in finding.sentences]
    assert any("No training step measurably lowered the harm" in sentence for sentence in said)
    assert not any("lowered the harm of its answers most" in sentence for sentence in said)


def test_an_experiment_without_anything_still_has_a_page(tmp_path: Path) -> None:
    keys = (
        "scores",
        "judgements",
        "graded",
        "generations",
        "mixtures",
        "packed",
        "trained",
        "agreements",
        "canaries",
        "labelled",
        "labels",
        "audited",
        "pairs",
        "sampled",
    )
    model = {"name": "only", "title": "", "size_class": "small", "kind": "hub", "start": None, "data": None}
    common = {"models": [{**model, "evaluated": True, "axes": {}}], "benchmarks": [], "prompts": [], "judges": []}
    common |= {"margin": 0.02, **{key: [] for key in keys}}
    page = study.make_report(common, study.make_tables(common, {}, tmp_path), tmp_path / "work").read_text()
    assert Outline(page).open == []
    assert "only" in page


def test_tables_that_do_not_fit_are_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(PrimumError, match="5 tables for benchmarks"):
        study.make_report(made[0], made[1][:5], tmp_path)
    with pytest.raises(PrimumError, match="run the stage tables again"):
        study.make_report(made[0], made[1][::-1], tmp_path)


def test_audits_are_models_by_checks_in_percent(made: Made, page: str) -> None:
    grid = audit_grid(opened(made), "id")
    assert grid is not None
    assert [column.title for column in grid.columns] == [
        *("refused", "no-loss-tokens", "end-unlearned", "two-bos", "labels-across-samples", "truncated", "unfilled"),
        *("prompt-too-long", "equal-texts"),
    ]
    rows = {group.title: {row.title: row.cells for row in group.rows} for group in grid.groups}
    assert list(rows) == ["Packed samples", "Preference pairs"]
    assert list(rows["Preference pairs"]) == ["Tiny DPO 1", "Tiny DPO 2", "Tiny DPO 3"]
    sft, dpo = rows["Packed samples"]["Tiny SFT"], rows["Preference pairs"]["Tiny DPO 1"]
    # 1 of 1001; 4 of 1000; a tokenizer without BOS; 30 of 1000; 1536 of 61440.
    assert [cell.text for cell in sft] == ["0.1", "0.4", "0.0", NONE, "0.0", "3.0", "2.5", NONE, NONE]
    assert [cell.text for cell in dpo] == ["0.0", NONE, "0.0", "0.0", NONE, "1.3", NONE, "4.7", "2.0"]
    assert (sft[5].tip, sft[5].sort) == ("30 of 1\u202f000; limit 50.0%", 0.03)
    assert 'href="#audits"' in page
    assert audit_grid(opened(made, lambda _: {"audits": ()}), "id") is None


def test_without_audits_the_page_has_no_section(made: Made) -> None:
    page = render(opened(made, lambda _: {"audits": ()}))
    assert "Audits" not in page
    assert "audits-table" not in page


def test_pairs_are_sets_by_outcomes(made: Made, page: str) -> None:
    grid = pairs_grid(opened(made), "id")
    assert grid is not None
    assert [(column.sub, column.title) for column in grid.columns] == [
        *(("Prompts", "duplicate-prompts"), ("Prompts", "asked")),
        *(("Responses", "ranked"), ("Responses", "alone"), ("Responses", "duplicate")),
        *(("Pairs", "kept"), ("Pairs", "duplicate"), ("Pairs", "tie"), ("Pairs", "too-few")),
    ]
    rows = {row.title: [cell.text for cell in row.cells] for row in grid.groups[0].rows}
    assert rows == {
        "stage-1": [*[NONE] * 5, "140", "2", "0", "0"],
        "on-policy": ["4", "3", "4", "1", "1", "1", "0", "1", "1"],
    }
    assert 'href="#pairs"' in page
    without = render(opened(made, lambda _: {"pairs": ()}))
    assert "pairs-table" not in without
    assert 'href="#pairs"' not in without


def test_criteria_are_models_by_axes_and_themes(made: Made, page: str) -> None:
    grid = rubric_grid(opened(made), "id")
    assert grid is not None
    assert [(column.sub, column.title) for column in grid.columns] == [
        *(("%", "Score"), ("axis", "accuracy"), ("axis", "completeness"), ("theme", "context"), ("theme", "hedging")),
    ]
    (group,) = grid.groups
    assert group.title == "talks, judged by grader"
    rows = {row.title: row.cells for row in group.rows}
    # SFT meets all of 5 and 3 in nine of twelve conversations, and the fault of 4 in three: (9 x 8 - 3 x 4) / (12 x 8).
    assert rows["Tiny SFT"][0].text == "62.5"
    assert rows["Tiny SFT"][2].text == "75.0"
    # The base meets all in the first, and the fault in three: cut at 0, sorted by what it was. One answer is no verdict.
    base = rows["Tiny base"][0]
    assert (base.text, base.sort) == ("0.0‡", pytest.approx((8 - 12) / (11 * 8)))
    assert base.tip.startswith("95% CI ")
    assert "11 of 12 responses scored; between 0.0" in base.tip
    assert any("1 of 252 questions to the judge brought no verdict" in note for note in grid.notes)
    assert 'href="#rubrics"' in page
    without = render(opened(made, lambda _: {"rubrics": ()}))
    assert "rubrics-table" not in without
    assert 'href="#rubrics"' not in without


def test_the_lineage_names_every_model_once(made: Made) -> None:
    tree = str(lineage_tree(opened(made).models))
    assert tree.count("<li ") == len(study.MODELS)
    assert tree.count('class="trained') == len([model for model in study.MODELS if model[4]])
    assert tree.count("helper") == 1


def test_the_lineage_cuts_no_name_and_joins_each_model_to_its_start() -> None:
    long = "Med42 Llama3.1 70B + medical and general safety (DPO)"
    base, first, second = (
        Model(name, title, "small", kind, start, "facts", evaluated, {})
        for name, title, kind, start, evaluated in (
            ("base", "Base <1>", "pretrain", None, False),
            ("sft", "", "sft", "base", True),
            ("dpo", long, "dpo", "base", True),
        )
    )
    tree = str(lineage_tree((base, first, second)))
    assert f"<b>{long}</b><span>DPO on facts</span>" in tree
    assert tree.count('<span class="heard">from Base &lt;1&gt;</span>') == 2
    # The first child stands beside its parent, the second a row below it, with a line of one row up to it.
    places = re.findall(r'style="grid-area: (\d) / (\d); --kind: var\(--(\w+)\)(?:; --up: (\d))?"', tree)
    assert places == [("1", "1", "pretrain", ""), ("1", "2", "sft", "0"), ("2", "2", "dpo", "1")]


def test_a_plot_makes_room_for_long_names() -> None:
    def guide(title: str) -> float:
        plot = dot_plot("", [("a", title)], [Axis("", 0, 1, ())], {})
        assert f">{title}</text>" in plot
        (left,) = re.findall(r'<line x1="([\d.]+)"[^>]* class="guide"', plot)
        return float(left)

    assert guide("SFT") == 158
    # 37 letters of up to 7 pixels, and 14 before the line.
    assert guide("Med42 Llama3.1 70B, two stages of DPO") == 14 + 37 * 7


def test_numbers() -> None:
    assert (percent(0.12345), percent(None), decimal(-1.5), decimal(None)) == ("12.3", NONE, f"{MINUS}1.50", NONE)
    assert (signed(1.25), signed(-3), signed(-0.01)) == ("+1.2", f"{MINUS}3.0", "0.0")
    assert (count(1234567), plural(1, "model"), plural(2, "model")) == ("1\u202f234\u202f567", "1 model", "2 models")
    assert (interval(0.1, 0.25, scale=100), interval(None, 1)) == ("10.0\u201325.0", NONE)
    assert [listing(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in type(row).__slots__}
