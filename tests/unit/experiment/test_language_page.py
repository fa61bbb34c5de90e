"""docs/experiments.md: every file in it loads, is admitted by the schema, and makes the names that the page shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml
from shipped import ROOT

from primum.audit.show import check
from primum.experiment import Experiment, load_experiment
from primum.experiment.models import DPOLimits, SFTLimits
from primum.experiment.schema import schema

PAGE = (ROOT / "docs/experiments.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = {
    found[1]: text
    for kind, text in BLOCKS
    if kind == "yaml" and (found := re.match(r"# config/experiments/([\w-]+)\.yaml\n", text))
}
# The lines that `primum check` prints, by the example that they follow.
PRINTED = {
    found[1]: BLOCKS[index + 1][1]
    for index, (_, text) in enumerate(BLOCKS[:-1])
    if BLOCKS[index + 1][0] == "text" and (found := re.match(r"# config/experiments/([\w-]+)\.yaml\n", text))
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the page's files and the shipped catalogs and locks."""
    root = tmp_path_factory.mktemp("page")
    shutil.copytree(ROOT / "config/catalog", root / "config/catalog")
    shutil.copytree(ROOT / "envs", root / "envs")
    (root / "config/experiments").mkdir()
    for name, text in EXAMPLES.items():
        (root / f"config/experiments/{name}.yaml").write_text(text, encoding="utf-8")
    return root


def test_the_page_has_its_examples() -> None:
    assert list(EXAMPLES) == [
        *(
            "small",
            "small-limits",
            "small-rows",
            "small-held-out",
            "small-phi",
            "small-batch",
            "small-words",
            "small-gentle",
            "small-base",
            "small-grid",
            "small-include",
        ),
        "small-cluster",
    ]
    assert list(PRINTED) == ["small-grid", "small-include"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_an_experiment(project: Path, name: str) -> None:
    assert load_experiment(name, project).name == name
    jsonschema.validate(yaml.safe_load(EXAMPLES[name]), schema())


@pytest.mark.parametrize("name", PRINTED)
def test_check_prints_what_the_page_shows(project: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    check(name, project)
    assert PRINTED[name] in capsys.readouterr().out


def _rows(heading: str) -> dict[str, list[str]]:
    """The rows of the table under a heading, by the keys that each begins with; a row of several keys is each one's."""
    section = PAGE.split(f"\n## {heading}")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {
        key: cells[1:] for first, *cells in [(row[0], *row) for row in rows] for key in re.findall(r"`(\w+)`", first)
    }


def test_every_key_is_in_its_table() -> None:
    assert _rows("The keys").keys() == {*Experiment.model_fields, "extends"}


def test_every_limit_is_in_its_table_with_its_default() -> None:
    limits = {key: field.default for kind in (SFTLimits, DPOLimits) for key, field in kind.model_fields.items()}
    assert {key: float(cells[1]) for key, cells in _rows("`limits`").items()} == limits


def test_what_the_page_says_of_its_examples(project: Path) -> None:
    small, gentle, grid = (load_experiment(name, project) for name in ("small", "small-gentle", "small-grid"))
    assert gentle.models["sft"].optimization.learning_rate == 5e-4  # type: ignore[union-attr]
    assert gentle.models["base"] == small.models["base"]
    assert grid.models["sft-50"].title == "SFT + 50"
    assert grid.mixtures["chat-50"].sources["opengpt"].take == 50
    assert grid.resources_of("sft", "base-100").minutes == 30
    assert grid.models["sft-50"].axes == {"start": "sft", "take": 50}
    include = load_experiment("small-include", project)
    rates = {name: include.models[name].optimization.learning_rate for name in include.evaluate.models}  # type: ignore[union-attr]
    assert rates == {"sft-50-4": 2e-3, "sft-50-8": 2e-3, "sft-50-16": 1e-3, "sft-100-4": 2e-3}
    limits = load_experiment("small-limits", project).models["sft"].limits  # type: ignore[union-attr]
    assert (limits.truncated, limits.unfilled, limits.no_loss_tokens) == (0.1, 0.25, 0.25)
