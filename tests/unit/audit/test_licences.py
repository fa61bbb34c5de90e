"""What a licence asks for is read off its identifier, and `primum check` says it of what is trained on alone."""

from __future__ import annotations

import pytest
from shipped import ROOT

from primum.audit.licences import trained_on
from primum.audit.show import check
from primum.dag.scope import Scope
from primum.experiment import load_experiment
from primum.licences import MARKS, asking, conditions, told

NC, ND, SA = (
    "forbid commercial use",
    "forbid to pass on what is changed",
    "ask that what is made of it is passed on under the same licence",
)
OWN, UNKNOWN = "have terms of their own", "have no licence that is known"


@pytest.mark.parametrize(
    ("licence", "asked"),
    [
        *(
            (name, ())
            for name in ("MIT", "apache-2.0", "Apache-2.0", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "odc-by", "isc")
        ),
        ("CC-BY-NC-3.0", (NC,)),
        ("cc-by-nc-sa-4.0", (NC, SA)),
        ("cc-by-nc-nd-4.0", (NC, ND)),
        ("CC-BY-SA-4.0", (SA,)),
        ("CC-BY-ND-4.0", (ND,)),
        ("GPL-3.0-or-later", (SA,)),
        ("agpl-3.0", (SA,)),
        ("odbl", (SA,)),
        *((name, (OWN,)) for name in ("llama3.1", "gemma", "med42", "bigscience-openrail-m", "my-licence")),
        *((name, (UNKNOWN,)) for name in ("", "unknown", "Unknown", "other", "CC")),
    ],
)
def test_what_a_licence_asks_for(licence: str, asked: tuple[str, ...]) -> None:
    assert conditions(licence) == asked


def test_a_line_a_condition_names_all_that_ask_for_it() -> None:
    entries = [
        ("datasets.a", "cc-by-nc-sa-4.0"),
        ("datasets.b", "MIT"),
        ("datasets.c", "unknown"),
        ("models.d", "llama3"),
    ]
    assert told(entries) == [
        f"1 {NC}: datasets.a (cc-by-nc-sa-4.0)",
        f"1 {SA}: datasets.a (cc-by-nc-sa-4.0)",
        f"1 {OWN}: models.d (llama3)",
        f"1 {UNKNOWN}: datasets.c",
    ]
    assert told(entries[1:2]) == []
    assert asking(entries) == {
        NC: ["datasets.a (cc-by-nc-sa-4.0)"],
        SA: ["datasets.a (cc-by-nc-sa-4.0)"],
        OWN: ["models.d (llama3)"],
        UNKNOWN: ["datasets.c"],
    }
    assert MARKS == {NC: "NC", ND: "ND", SA: "SA", OWN: "own", UNKNOWN: "?"}


def test_check_says_it_of_what_is_trained_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Not of benchmarks, nor of models that are measured and nothing else."""
    experiment = load_experiment("med42-v2-8b", ROOT)
    entries = dict(trained_on(experiment, Scope(experiment, ROOT, "")))
    assert {name for name in entries if name.startswith("models.")} == {f"models.{experiment.lineage('dpo-3')[0]}"}
    assert "datasets.medqa-train" in entries
    assert "datasets.medqa-test" not in entries
    check("med42-v2-8b", ROOT)
    printed = capsys.readouterr().out
    for line in told(entries.items()):
        assert f"  licences  {line}" in printed
    assert NC in printed


def test_check_says_nothing_where_all_are_open(capsys: pytest.CaptureFixture[str]) -> None:
    check("demo", ROOT)
    assert "licences" not in capsys.readouterr().out
