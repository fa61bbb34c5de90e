"""The schema that editors read: it is current, admits every shipped file as it is written, and sees slips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from primum.experiment import Experiment
from primum.experiment.grid import SECTIONS
from primum.experiment.schema import schema

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "config/schema/experiment.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(schema())
FILES = [
    path for folder in ("experiments", "bases", "catalog") for path in sorted((ROOT / "config" / folder).glob("*.yaml"))
]

WHOLE: dict[str, Any] = yaml.safe_load("""
name: small
mixtures:
  text: {sources: {corpus: {dataset: corpus, take: 5}}}
models:
  base: {train: pretrain, data: text, optimization: {learning_rate: 5e-6, batch: 2, steps: 3}}
  sft-${n}-${kind}:
    matrix: {n: [1, 2], include: [{kind: [a, b]}, {kind: c, n: 3}]}
    train: sft
    from: base
    data: ${kind}
    lora: {r: "${n}"}
    optimization: {learning_rate: 1e-3, batch: "${n}"}
  hub: {hub: org/name, revision: unknown, engine: null}
evaluate: {models: [base, "sft-${n}-${kind}"]}
overrides:
  sft-${n}-${kind}: {resources: {sft: {gpus: 1}}}
""")
PART: dict[str, Any] = yaml.safe_load("""
extends: small
name: other
mixtures: {text: {sources: {corpus: {take: null}}}}
models:
  base: {title: Base, optimization: {batch: 3}}
  hub: null
evaluate: {models: [base]}
""")


def test_the_shipped_schema_is_current() -> None:
    # Made by: primum schema > config/schema/experiment.schema.json
    assert json.loads(SHIPPED.read_text(encoding="utf-8")) == schema()


def test_it_is_a_schema_and_has_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert set(schema()["properties"]) == {*Experiment.model_fields, "extends"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_shipped_file_names_it_and_is_admitted_as_written(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    first = "# yaml-language-server: $schema="
    assert text.startswith(first)
    assert (path.parent / text.splitlines()[0].removeprefix(first)).resolve() == SHIPPED
    VALIDATOR.validate(yaml.safe_load(text))


def _changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(document))
    *parents, last = path.split("/")
    place = changed
    for key in parents:
        place = place.setdefault(key, {})
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return changed


@pytest.mark.parametrize("document", [WHOLE, PART], ids=["whole", "part"])
def test_grids_and_parts_are_admitted(document: dict[str, Any]) -> None:
    VALIDATOR.validate(document)


GRID = "models/sft-${n}-${kind}"
# (key, value; ... to remove it): refused in a whole file and in one that extends another
SLIPS = [
    ("sede", 3),
    ("seed", "three"),
    ("extends", ["a", "b"]),
    ("models/base/optimization/bach", 3),
    ("models/base/optimization/batch", "many"),
    ("models/base/optimization/batch", 0),
    ("models/base/optimization/learning_rate", 0),
    ("models/base/optimization/optimizer", "sgd"),
    ("models/base/optimization", []),
    ("models/Base", {}),
    ("mixtures/text/sources/corpus/take", "some"),
    ("mixtures/text/deduplicate", "fuzzy"),
    ("evaluate/models", "base"),
    ("evaluate/models", ["No Slug"]),
    ("evaluate/model", ["base"]),
    ("overrides/base", {"resource": {}}),
    ("resources/sfft", 3),
    (f"{GRID}/matrix", []),
    (f"{GRID}/matrix", {}),
    (f"{GRID}/matrix/n", 3),
    (f"{GRID}/matrix/n", []),
    (f"{GRID}/matrix/n", [[1]]),
    (f"{GRID}/matrix/include", {"n": 1}),
    (f"{GRID}/matrix/exclude", [{"n": 1}]),
]
# A whole file needs its keys; and a model that says what it is has that kind's keys alone.
WHOLE_SLIPS = [
    ("evaluate", ...),
    ("evaluate/models", ...),
    ("evaluate/models", []),
    ("models/base/data", ...),
    ("models/base/optimization/batch", ...),
    ("models/base/optimization/batch", None),
    ("models/base", None),
    ("models/base/from", "hub"),
    ("models/hub/train", "sft"),
    ("models/hub/revision", "main"),
    (f"{GRID}/from", ...),
    (f"{GRID}/beta", 0.1),
    ("mixtures/text/sources", {"corpus": {}}),
]


@pytest.mark.parametrize(("key", "value"), SLIPS)
@pytest.mark.parametrize("document", [WHOLE, PART], ids=["whole", "part"])
def test_slips_are_seen_in_every_file(document: dict[str, Any], key: str, value: Any) -> None:
    assert not VALIDATOR.is_valid(_changed(document, key, value))


@pytest.mark.parametrize(("key", "value"), WHOLE_SLIPS)
def test_what_a_whole_file_needs(key: str, value: Any) -> None:
    assert not VALIDATOR.is_valid(_changed(WHOLE, key, value))


def test_every_section_may_have_grids() -> None:
    for section in SECTIONS:
        VALIDATOR.validate({section: {"a-${n}": {"matrix": {"n": [1]}}}})
