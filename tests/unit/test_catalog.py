"""What the Snakemake workflow catalog reads of this repository."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from primum.experiment import Experiment

ROOT = Path(__file__).parents[2]
README = (ROOT / "config/README.md").read_text()


def test_the_configuration_page_names_every_shipped_experiment() -> None:
    rows = re.findall(r"^\| `([a-z0-9.-]+)` \|", README.partition("## ")[0], re.MULTILINE)
    assert sorted(rows) == sorted(path.stem for path in (ROOT / "config/experiments").glob("*.yaml"))


def test_the_configuration_page_names_every_key_of_an_experiment() -> None:
    cells = re.findall(r"^\| (`.*?) \|", README.partition("## ")[2], re.MULTILINE)
    assert {key for cell in cells for key in re.findall(r"`(\w+)`", cell)} == set(Experiment.model_fields)


def test_the_catalog_finds_what_it_asks_for() -> None:
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"] == {"conda": False, "apptainer": False, "apptainer+conda": False}
    assert usage["mandatory-flags"]["flags"] == ""
    assert usage["report"] is False
    words = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in words
    assert "workflow" in words
    assert not any("conda:" in path.read_text() for path in (ROOT / "rules").glob("*.smk"))
