"""The cells of the page in a real browser: they open by mouse and keyboard, and lead to the raw file's line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromium
import pytest
import study

from primum.artifact.manifest import Artifact
from primum.curate.contamination import OVERLAPS
from primum.curate.origins import ORIGINS
from primum.text.rows import ChoiceRow
from primum.trace.rundata import write_run_data

pytestmark = pytest.mark.skipif(chromium.CHROMIUM is None, reason="no chromium here: apt-get install chromium")

QUESTION = "Which of these has no stripes?"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A results folder of the study with its report, and the table of comparisons."""
    folder = tmp_path_factory.mktemp("results") / "demo"
    common, inputs = study.example(folder)
    ids = [f"medqa/{number:04d}" for number in range(80)]
    lines = [{"id": id_, "file": "a b.jsonl", "line": 5 + n, "unit": "line", "record": n} for n, id_ in enumerate(ids)]
    read = [*(f"demo-medquad/{n:04d}" for n in range(40)), *(f"{n:08d}/demo-medquad/{9000 + n:04d}" for n in range(61))]
    places = [
        {"id": id_, "file": "a b.jsonl", "line": n + 1, "unit": "line", "record": n} for n, id_ in enumerate(read)
    ]
    origins = {"medqa": lines, "demo-medquad": places}
    for name, count in (("demo-slimorca-t0", 165), ("demo-stackexchange", 200)):
        origins[name] = [{**lines[0], "id": f"{name}/{n:04d}", "line": n + 1} for n in range(count)]
    common["origins"] = list(origins)
    inputs["origins"] = [
        study.save_table(rows, ORIGINS, folder / f"data/origins/{name}.json") for name, rows in origins.items()
    ]
    # Rows of a training set that share words with the first item, and with one that no score has.
    held = [
        {"id": "medqa/0000", "dataset": "medqa", "rows": 3, "first": "demo-medquad/0007"},
        {"id": "mmlu/9999", "dataset": "mmlu", "rows": 1, "first": "demo-medquad/0001"},
    ]
    common["overlaps"], common["trained_on"] = ["mixtures/clinical"], {"medical": ["mixtures/clinical"], "base": []}
    inputs["overlaps"] = [study.save_table(held, OVERLAPS, folder / "data/overlaps/mixtures/clinical.json")]
    tables = study.make_tables(common, inputs, folder)
    page = study.make_report(common, tables, folder.parent / "work", inputs)
    page.parent.rename(folder / "report")
    raw = folder / "data/raw/medqa/a b.jsonl"
    raw.parent.mkdir(parents=True)
    raw.write_text("{}\n" * 84)
    rows = [{"id": id_, "source": "medqa", "subject": "", "context": "", "question": QUESTION} for id_ in ids]
    told = {"choices": ["a zebra", "a horse"], "target": 1, "explanation": ""}
    study.save_table([{**row, **told} for row in rows], ChoiceRow.SCHEMA, folder / "data/rows/medqa.json")
    return folder, tables[study.TABLES.index("comparisons")].table().to_pylist()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    with chromium.browser(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture
def tab(shared: chromium.Tab) -> Iterator[chromium.Tab]:
    shared.errors.clear()
    yield shared
    assert shared.errors == []


def drawn(set_: str) -> str:
    return (
        f"document.documentElement.dataset.drawn === '{set_}' && document.querySelector('#explorer-shown').textContent"
    )


def text(tab: chromium.Tab, selector: str) -> Any:
    return tab.see(f"document.querySelector('{selector}').textContent")


def test_a_cell_opens_by_mouse_and_keys_and_closes_by_escape(
    results: tuple[Path, list[dict[str, Any]]], tab: chromium.Tab
) -> None:
    page = (results[0] / "report" / "index.html").as_uri()
    tab.open(page)
    assert tab.see("typeof Tabulator") == "undefined"
    tab.click("td[data-open='benchmarks/sft/medqa']")
    tab.until(drawn("scores/medqa/sft"))
    assert tab.see("location.hash") == "#benchmarks/sft/medqa"
    assert tab.see("document.activeElement.id") == "explorer-title"
    assert text(tab, "#explorer-title") == "MedQA · Tiny SFT"
    tab.key("Escape")
    # The page hears of it a moment after it is closed.
    tab.until("!document.querySelector('#explorer').open && location.hash === ''")
    # The focus is back in the cell, from where a key opens it again.
    assert tab.see("document.activeElement.closest('td').dataset.open") == "benchmarks/sft/medqa"
    tab.key("Enter")
    tab.until("document.querySelector('#explorer').open")
    tab.key("Escape")
    tab.until("!document.querySelector('#explorer').open && location.hash === ''")
    # Arrows go to its neighbours, and the tab key leaves the table.
    place = "((cell) => [cell.closest('table').id, cell.dataset.open])(document.activeElement.closest('td'))"
    tab.key("ArrowRight")
    assert tab.see(place) == ["benchmarks", "benchmarks/sft/mmlu"]
    tab.key("ArrowDown")
    assert tab.see(place) == ["benchmarks", "benchmarks/dpo-1/mmlu"]
    tab.key("Tab")
    assert tab.see("document.activeElement.closest('#benchmarks')") is None
    assert tab.see("document.querySelectorAll('#benchmarks a.open:not([tabindex=\"-1\"])').length") == 1
    # An address is enough.
    tab.open(f"{page}#safety/medical-safe/med-safety/harm/principle-3")
    tab.until(drawn("safety/harm/med-safety/medical-safe"))
    assert text(tab, "#explorer-counts").startswith("6 responses, 6 scored, ")
    assert text(tab, "#explorer-shown") == "6 of 54 shown"
    tab.open(f"{page}#benchmarks/sft/average")
    tab.until("document.querySelectorAll('#explorer-parts a').length === 7")


def test_two_models_side_by_side_have_the_counts_of_the_table(
    results: tuple[Path, list[dict[str, Any]]], tab: chromium.Tab
) -> None:
    folder, comparisons = results
    names = {"model": "medical", "other": "base", "benchmark": "medqa", "against": "start"}
    (row,) = (row for row in comparisons if names.items() <= row.items())
    tab.open(f"{(folder / 'report/index.html').as_uri()}#comparisons/medical/medqa/base")
    tab.until(drawn("scores/medqa/medical"))
    squares = "[...document.querySelectorAll('#explorer-square button')].map((each) => [each.dataset.square, each.textContent])"
    told = {key: int(words.rpartition(" ")[2]) for key, words in tab.see(squares)}
    assert told == {key: row[key] for key in ("both", "only_model", "only_other", "neither")}
    flips = row["only_model"] + row["only_other"]
    right = row["both"] + row["only_model"]
    assert text(tab, "#explorer-counts") == f"80 items, {right} right, {flips} flipped against Tiny base."
    choose = "((f, n, v) => (f[n].value = v, f[n].dispatchEvent(new Event('input', {bubbles: true}))))"
    form = "document.querySelector('#explorer-filters').elements"
    tab.see(f"{choose}({form}, 'good', 'flipped')")
    assert text(tab, "#explorer-shown") == f"{flips} of 80 shown"
    tab.click("#explorer-square button[data-square=only_other]")
    assert text(tab, "#explorer-shown") == f"{row['only_other']} of 80 shown"
    # Of all that it was trained on, every eighth item.
    tab.see(f"{choose}({form}, 'good', '')")
    tab.click("#explorer-square button[data-square=only_other]")
    tab.see(f"{choose}({form}, 'contaminated', 'contaminated')")
    assert text(tab, "#explorer-shown") == "10 of 80 shown"
    # A heading sorts by a key: what it does not get right comes first.
    tab.see("document.querySelector('#explorer-rows [tabulator-field=good]').focus()")
    tab.key("Enter")
    tab.until("document.querySelector('#explorer-rows .tabulator-row .no')")
    assert tab.see("document.querySelector('#explorer-rows [tabulator-field=good]').ariaSort") == "ascending"
    # Beside another model the filter stays.
    tab.see(f"{choose}({form}, 'other', 'sft')")
    tab.until("document.querySelector('#explorer-counts').textContent.endsWith('against Tiny SFT.')")
    assert text(tab, "#explorer-shown") == "10 of 80 shown"


def test_clicks_lead_to_the_raw_files_line_and_to_the_artifacts(
    results: tuple[Path, list[dict[str, Any]]], tab: chromium.Tab
) -> None:
    folder = results[0]
    page = (folder / "report" / "index.html").as_uri()
    tab.open(f"{page}#benchmarks/sft/medqa")
    tab.until("document.querySelector('#explorer-lineage').textContent.includes('is not beside this report')")
    write_run_data(folder)
    tab.open(f"{page}#benchmarks/sft/medqa")
    tab.until("document.querySelector('#explorer-lineage summary')")
    # The table first, open, and of all that it read what this row was made of and is compared with.
    tab.until("document.querySelectorAll('#explorer-lineage summary').length === 3")
    names = "[...document.querySelectorAll('#explorer-lineage summary b')].map((each) => each.textContent)"
    assert tab.see(names) == ["tables/benchmarks", "scores/sft/medqa", "scores/base/medqa"]
    tab.click("#explorer-lineage .steps .steps summary")
    content = Artifact.open(folder / "scores/sft/medqa.json").manifest.content
    tab.until(f"document.querySelector('#explorer-lineage').textContent.includes('{content}')")
    tab.click("#explorer-rows .tabulator-row:nth-child(3) button")
    tab.until("document.activeElement.id === 'explorer-item-title'")
    assert text(tab, "#explorer-item-title") == "medqa/0002"
    link = "document.querySelector('#explorer-item a')"
    assert tab.see(f"{link}.href") == (folder / "data/raw/medqa/a b.jsonl").as_uri()
    assert tab.see(f"{link}.parentElement.textContent") == "data/raw/medqa/a b.jsonl, line 7, record 2"
    # An item that a training set holds a part of leads to the training row, too.
    tab.open(f"{page}#benchmarks/medical/medqa")
    tab.until(drawn("scores/medqa/medical"))
    tab.click("#explorer-rows .tabulator-row:nth-child(1) button")
    held = "[...document.querySelectorAll('#explorer-item dt')].find((each) => each.textContent === 'held by')?.nextSibling"
    tab.until(f"{held} && document.querySelector('#explorer-item-title').textContent === 'medqa/0000'")
    assert tab.see(f"{held}.textContent") == (
        "3 rows of mixtures/clinical, learned by Medical; the first is demo-medquad/0007: "
        "data/raw/demo-medquad/a b.jsonl, line 8, record 7"
    )
    assert tab.see(f"{held}.querySelector('a').href") == (folder / "data/raw/demo-medquad/a b.jsonl").as_uri()


def test_words_are_there_only_with_the_flag_and_covered_until_a_click(
    results: tuple[Path, list[dict[str, Any]]], tab: chromium.Tab
) -> None:
    from primum.export.texts import remove_texts, write_texts

    folder = results[0]
    page = f"{(folder / 'report/index.html').as_uri()}#benchmarks/sft/medqa"
    item = "document.querySelector('#explorer-item')"

    def opened() -> None:
        tab.open(page)
        tab.until(drawn("scores/medqa/sft"))
        tab.click("#explorer-rows .tabulator-row button")
        tab.until("document.activeElement.id === 'explorer-item-title'")

    opened()
    assert "primum texts results/demo --include-harmful-text i-understand" in tab.see(f"{item}.textContent")
    write_texts(folder, harmful=True)
    opened()
    assert QUESTION in tab.see(f"{item}.textContent")
    blurred = f"[...{item}.querySelectorAll('.words')].map((each) => getComputedStyle(each).filter)"
    assert set(tab.see(blurred)) == {"blur(7px)"}
    tab.click("#explorer-item button")
    assert set(tab.see(blurred)) == {"none"}
    remove_texts(folder)


def test_the_panel_fits_a_phone(results: tuple[Path, list[dict[str, Any]]], tab: chromium.Tab) -> None:
    tab.call("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=False)
    tab.open(f"{(results[0] / 'report/index.html').as_uri()}#benchmarks/sft/medqa")
    tab.until(drawn("scores/medqa/sft"))
    panel = "document.querySelector('#explorer')"
    assert tab.see(f"[{panel}.scrollWidth, document.documentElement.scrollWidth]") == [360, 360]
    # Where an item's answers are wider than the phone, keys scroll them, too.
    tab.click("#explorer-rows .tabulator-row button")
    tab.until("document.activeElement.id === 'explorer-item-title'")
    assert tab.see("document.querySelector('#explorer-item .scroll').tabIndex") == 0
    tab.call("Emulation.clearDeviceMetricsOverride")


def test_numbers_of_what_models_learned_from_open_too(
    results: tuple[Path, list[dict[str, Any]]], tab: chromium.Tab
) -> None:
    folder = results[0]
    write_run_data(folder)
    page = (folder / "report" / "index.html").as_uri()
    names = "[...document.querySelectorAll('#explorer-lineage summary b')].map((each) => each.textContent)"

    def settled() -> None:
        """The page with all its pictures: before, a cell may move away from the mouse."""
        tab.open(page)
        tab.until(
            "[...document.querySelectorAll('main .picture')].every((room) => room.querySelector('.plot-box svg'))"
        )

    def opened(cell: str, *artifacts: str) -> None:
        settled()
        tab.click(f"td[data-open='{cell}']")
        tab.until(f"document.querySelectorAll('#explorer-lineage summary').length === {1 + len(artifacts)}")
        assert tab.see(names) == [f"tables/{cell.partition('/')[0]}", *artifacts]

    opened("training/dpo-1", "models/dpo-1")
    assert tab.see("document.querySelectorAll('#explorer-parts svg').length") == 3
    tab.click("#explorer-parts summary")
    rows = Artifact.open(folder / "tables/training.json").table().to_pylist()
    steps = sum(row["model"] == "dpo-1" for row in rows)
    tab.until(f"document.querySelectorAll('#explorer-parts tbody tr').length === {steps}")
    place = "document.querySelector('#explorer-item a').parentElement.textContent"
    # Several cells open the same: what is told is the one that was clicked.
    settled()
    tab.click("#training-table td[data-open='training/sft']:nth-child(4)")
    tab.until("document.querySelector('#explorer').open")
    assert text(tab, "#explorer-value").startswith("In the table, Loss, last: ")
    opened("audits/sft/end-unlearned", "audits/judge-model")  # all of these audits are equal
    assert text(tab, "#explorer-counts").startswith("No row is listed: this check found none, ")
    opened("audits/sft/no-loss-tokens", "audits/judge-model")
    tab.until(drawn("audits/sft/no-loss-tokens/"))
    assert text(tab, "#explorer-counts") == "4 rows."
    tab.click("#explorer-rows .tabulator-row:nth-child(4) button")
    tab.until("document.activeElement.id === 'explorer-item-title'")
    assert text(tab, "#explorer-item-title") == "demo-medquad/0001+1"
    assert tab.see(place) == "data/raw/demo-medquad/a b.jsonl, line 2, record 1"
    opened("curation/clinical/medquad", "ledgers/clinical")
    tab.until(drawn("curation/demo-medquad/clinical/medquad"))
    assert text(tab, "#explorer-counts") == "101 records, 40 kept."
    tab.click("#explorer-rows .tabulator-row button")
    tab.until("document.activeElement.id === 'explorer-item-title'")
    assert tab.see(place) == "data/raw/demo-medquad/a b.jsonl, line 41, record 40"
    opened("curation/clinical/medquad/kept", "ledgers/clinical")
    tab.until(drawn("curation/demo-medquad/clinical/medquad"))
    assert text(tab, "#explorer-shown") == "40 of 101 shown"
    tab.open(f"{page}#curation/clinical/slimorca-t0/duplicate")
    tab.until(drawn("curation/demo-slimorca-t0/clinical/slimorca-t0"))
    assert text(tab, "#explorer-shown") == "5 of 165 shown"
    tab.click("#explorer-rows .tabulator-row button")
    tab.until("document.activeElement.id === 'explorer-item-title'")
    assert text(tab, "#explorer-item a:not([target])") == "demo-stackexchange/0000, of stackexchange"
    # What a duplicate repeats opens in its own source, and the way back leads to the duplicates.
    tab.click("#explorer-item a:not([target])")
    tab.until(drawn("curation/demo-stackexchange/clinical/stackexchange"))
    tab.until("document.querySelector('#explorer-item-title').textContent === 'demo-stackexchange/0000'")
    assert text(tab, "#explorer-title") == "stackexchange in clinical"
    assert text(tab, "#explorer-shown") == "200 of 200 shown"
    tab.see("history.back()")
    tab.until(drawn("curation/demo-slimorca-t0/clinical/slimorca-t0"))
    opened("curation/clinical", "ledgers/clinical")
    tab.until("document.querySelectorAll('#explorer-parts a').length === 7")
    opened("pairs/on-policy/responses/ranked", "samples/on-policy", "pairs/on-policy", "ranked/on-policy")
    tab.until(drawn("ranked/on-policy/"))
    assert text(tab, "#explorer-shown") == "4 of 6 shown"
    opened("judges/refusal", "labels/declined")
    tab.until(drawn("labels/refusal/"))
