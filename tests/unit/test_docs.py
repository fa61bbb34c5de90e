"""README.md, CONTRIBUTING.md, docs/ and the other pages: what they name is there."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from shipped import ROOT

from primum.commands import COMMANDS
from primum.dag import aggregation, curation, evaluation, preferences, training
from primum.dag.dag import STAGES, TARGETS
from primum.dag.workflow import CONFIG_KEYS

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "config/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
]
README = PAGES[0].read_text(encoding="utf-8")
MAP = re.findall(r"^\| .*`.*\|$", README.partition("## Where things are")[2], re.MULTILINE)
TOP = "src|tests|config|docs|data|envs|rules|profiles|slurm|benchmarks"
EXAMPLES = {"config/tasks/own/own.yaml", "data/own/hex-phi/"}


def ids(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def code(text: str) -> Iterator[str]:
    """Code spans, and the lines of code blocks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        yield from block.splitlines()
    yield from (line for line in text.splitlines() if line.startswith("    "))
    yield from spans(text)


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub names them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150
    assert 10 < len(MAP) <= 25


def test_the_map_says_where_every_stage_is_declared() -> None:
    (row,) = [row for row in MAP if "every stage is declared" in row]
    assert "`src/primum/dag/`" in row
    said = {name: set(stages.split(", ")) for name, stages in re.findall(r"`(\w+)\.py` \(([\w, -]+)\)", row)}
    groups = (curation, training, preferences, evaluation, aggregation)
    assert said == {each.__name__.rpartition(".")[2]: {stage.name for stage in each.STAGES} for each in groups}
    assert set.union(*said.values()) == set(STAGES)


def test_the_map_has_every_room() -> None:
    first = [name for row in MAP for name in spans(row.split("|")[1])]
    assert all((ROOT / name).exists() for name in first)
    rooms = {path.parent.relative_to(ROOT).as_posix() + "/" for path in (ROOT / "src/primum").glob("*/__init__.py")}
    assert rooms <= set(first)


@pytest.mark.parametrize("row", MAP)
def test_each_path_of_the_map_is_there(row: str) -> None:
    _, places, words, _ = row.split("|")
    folders = [ROOT / name for name in spans(places)]
    for name in spans(words):
        if "/" in name or name.endswith(".py"):
            assert any((folder / name).exists() for folder in (*folders, ROOT)), name


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_path_is_there(page: Path) -> None:
    for name in spans(page.read_text(encoding="utf-8")):
        if re.fullmatch(rf"(?:{TOP})/[\w./*-]*", name) and name not in EXAMPLES:
            assert list(ROOT.glob(name.rstrip("/"))), name


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_command_is_one(page: Path) -> None:
    known = {"stage", *(command.name for command in COMMANDS)}
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in code(page.read_text(encoding="utf-8")):
        assert set(re.findall(r"(?<![\w./-])primum ([a-z][a-z0-9-]*)", line)) <= known, line
        assert set(re.findall(r"(?:^|`)make (\w+)", line)) <= targets, line


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_key_of_config_is_one(page: Path) -> None:
    for line in code(page.read_text(encoding="utf-8")):
        for given in re.findall(r"--config((?: \w+=\S+)+)", line):
            assert {word.partition("=")[0] for word in given.split()} <= set(CONFIG_KEYS), line


def test_the_page_about_running_has_every_key_of_config() -> None:
    page = (ROOT / "docs/running.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)=", page, re.MULTILINE)) == sorted(CONFIG_KEYS)


def test_the_stages_to_ask_for_are_those_that_there_are() -> None:
    assert f"`{' '.join(TARGETS)}`" in README
    page = (ROOT / "docs/running.md").read_text(encoding="utf-8")
    assert f"`{' '.join(TARGETS)}`" in page.replace("\n", " ")


def test_the_picture_of_the_dag_is_what_its_script_draws() -> None:
    script = ROOT / "docs/images/dag.py"
    names = runpy.run_path(str(script))
    drawn = names["picture"](names["graph"]())
    assert script.with_name("dag.svg").read_text(encoding="utf-8") == drawn, "run: python docs/images/dag.py"
    assert len(drawn) < 40_000
    assert not re.search(r"(?:href|src)=|url\((?!#)", drawn)
