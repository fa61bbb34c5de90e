"""Which class each artifact is in, and what its tolerance is."""

from __future__ import annotations

from typing import Any

import pytest

from primum.artifact.manifest import Manifest
from primum.dag.dag import STAGES, TRAINING
from primum.errors import PrimumError
from primum.reproduce.classes import ASKED, EXACT, FULL, HALF, PINNED, class_of, may_differ, tolerance_of


def _manifest(stage: str, common: Any = None, item: Any = None, **run: Any) -> Manifest:
    return Manifest("table", stage, {"common": common or {}, "item": item or {}}, {}, "k", "c", {}, run=run)


def test_every_stage_has_one_class() -> None:
    sets = [EXACT, ASKED, PINNED, frozenset(TRAINING)]
    assert set().union(*sets) == set(STAGES)
    assert sum(map(len, sets)) == len(STAGES)


@pytest.mark.parametrize("stage", sorted(ASKED))
def test_an_endpoint_is_not_asked_again(stage: str) -> None:
    assert class_of(_manifest(stage, {"engine": {"kind": "openai"}})) == "recorded"
    assert class_of(_manifest(stage, {"engine": {"kind": "vllm", "dtype": "bfloat16"}})) == "conditional"


def test_what_is_read_of_an_endpoints_answers_is_exact() -> None:
    assert {class_of(_manifest(stage)) for stage in ("verdicts", "parse", "tables")} == {"exact"}


def test_training_is_exact_only_where_both_times_had_no_gpu() -> None:
    cpu, gpu, unknown = _manifest("sft", gpus=[]), _manifest("sft", gpus=["H200"]), _manifest("sft")
    assert class_of(cpu, cpu) == "exact"
    assert class_of(cpu, gpu) == class_of(gpu, cpu) == class_of(unknown, cpu) == class_of(cpu, unknown) == "conditional"


def test_the_audit_of_pairs_asks_no_model() -> None:
    assert class_of(_manifest("reference", item={"output": "audit"})) == "exact"
    assert class_of(_manifest("reference", item={"output": "pairs"})) == "conditional"


def test_a_stage_of_another_version_is_said() -> None:
    with pytest.raises(PrimumError, match="distil: no such stage"):
        class_of(_manifest("distil"))


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (_manifest("score", {"engine": {"dtype": "float32"}}), FULL),
        (_manifest("score", {"engine": {"dtype": "bfloat16"}}), HALF),
        (_manifest("rank", {"dtype": "float32"}), FULL),
        (_manifest("sft", item={"optimization": {"dtype": "float16"}}), HALF),
        (_manifest("reference", item={"dtype": "float32"}), FULL),
        (_manifest("score"), HALF),  # nobody knows
    ],
)
def test_the_tolerance_goes_by_the_precision(manifest: Manifest, expected: Any) -> None:
    assert tolerance_of(manifest) == expected


def test_numbers_may_differ_by_the_tolerance_and_no_more() -> None:
    nan = float("nan")
    assert may_differ(-3.0, -3.0009, FULL)
    assert not may_differ(-3.0, -3.0012, FULL)
    assert may_differ(-1000.0, -1000.01, FULL)
    assert may_differ(nan, nan, FULL)
    assert not may_differ(nan, 1.0, FULL)
