"""What each stage did, in words: every stage has some, and no text of a spec is among them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shipped import ROOT

from primum.dag.dag import STAGES, Dag
from primum.experiment import load_experiment
from primum.trace.sentences import SENTENCES, did
from primum.trace.words import counted, hidden, settings, told

KEYS = (
    "optimization",
    "sampling",
    "engine",
    "sources",
    "order",
    "lora",
    "held_out",
    "fewshot",
    "benchmarks",
    "generate_until",
)


def test_every_stage_has_a_sentence() -> None:
    assert SENTENCES.keys() == STAGES.keys()


def _texts(value: Any) -> Iterator[str]:
    """All texts in a spec: what has white space between words."""
    if isinstance(value, str):
        if re.search(r"\S\s+\S", value):
            yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


@pytest.mark.parametrize("name", ["demo", "demo-engines", "med42-v2-8b-on-policy", "med-safety", "table4"])
def test_each_planned_artifact_is_told_and_no_text_of_its_spec(name: str) -> None:
    """All that these experiments would make: the demo's stages are all but ``snapshot``, which the others have."""
    dag = Dag(load_experiment(name, ROOT), ROOT, "results/x")
    seen: set[tuple[str, str]] = set()
    for stage in STAGES.values():
        for job in list(stage.jobs(dag))[:6]:
            plan = stage.plan(dag, job)
            for output in plan.outputs[:30]:
                spec = {"common": dict(plan.common), "item": dict(output.spec)}
                names = {role: [Path(path).stem for path in paths] for role, paths in plan.inputs_of(output).items()}
                said = did(stage.name, spec, {}, names)
                printed = " ".join([said.sentence, *(f"{key} {value}" for key, value in settings(said).items())])
                assert said.sentence.endswith("."), stage.name
                assert "version" not in said.sentence, stage.name
                assert "None" not in said.sentence.replace("None of", ""), (stage.name, said.sentence)
                for text in _texts(spec):
                    assert text not in printed, (stage.name, output.name)
                seen.add((stage.name, str(output.spec.get("output"))))
    assert {stage for stage, _ in seen} >= {"fetch", "read", "tables", "report"}


def test_a_sentence_says_what_counts_and_settings_then_leave_out() -> None:
    spec = {
        "item": {"beta": 0.1, "seed": 17, "threads": 2, "optimization": {"learning_rate": 5e-7, "batch": 16}},
        "common": {},
    }
    said = did("dpo", spec, {"pairs": 1280, "steps": 45, "short": 3, "none": 0}, {"model": ["sft"]})
    assert said.sentence.startswith("Trained sft by DPO with beta 0.1 on 1,280 pairs: 45 steps of 16 pairs at learning")
    assert "rate 5e-07, seed 17" in said.sentence
    assert settings(said) == {"threads": "2"}
    assert counted(said) == {"short": 3}


def test_filters_of_a_mixture_are_told_with_their_counts() -> None:
    item = {
        "output": "rows",
        "mixture": "clinical",
        "sources": {"a": {"take": 5, "repeat": 1}, "b": {"take": None, "repeat": 2}},
        "order": ["a", "b"],
        "deduplicate": "near",
        "near_threshold": 0.95,
        "decontaminate": True,
        "ngram": 8,
        "benchmarks": ["medqa", "mmlu"],
        "seed": 3,
    }
    said = did("mix", {"item": item}, {"kept": 2171, "duplicate": 2, "contaminated": 61}, {})
    assert said.sentence == (
        "Mixed 2 sources; took 5 of a; repeated b 2 times; removed duplicates: near (similar at 0.95); removed what shares 8 "
        "words in a row with 2 benchmark datasets; seed 3. Of the mixture clinical, 2,171 rows kept, 63 left out "
        "(61 contaminated, 2 duplicate)."
    )


def test_a_stage_of_another_version_is_named() -> None:
    said = did("distil", {"item": {"rate": 3}}, {"rows": 4}, {})
    assert said.sentence == "Ran the stage distil, which this version does not know."
    assert (settings(said), counted(said)) == ({"rate": "3"}, {"rows": 4})


@given(st.text())
def test_what_is_told_has_no_space_and_no_control_character(text: str) -> None:
    shown = told(text)
    assert shown.isprintable()
    if re.search(r"\S\s+\S", text) or not re.fullmatch(r"[\w.:/@+*=,\s-]*", text):
        assert shown == hidden(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_any_setting_can_be_told_and_texts_below_it_are_not(value: Any) -> None:
    said = replace(did("unknown", {}, {}, {}), item={"key": value, "template": value})
    for shown in settings(said).values():
        assert shown.isprintable()
    printed = " ".join(settings(said).values())
    for text in _texts(value):
        assert len(text) < 4 or text not in printed


@given(st.sampled_from(sorted(SENTENCES)), st.dictionaries(st.sampled_from(["output", *KEYS]), VALUES, max_size=6))
def test_a_spec_of_any_form_is_told_in_one_line(stage: str, item: dict[str, Any]) -> None:
    said = did(stage, {"item": item}, {"rows": "many"}, {"model": ["sft"]})
    assert said.sentence.isprintable()
    for text in _texts(item):
        assert len(text) < 4 or text not in said.sentence
