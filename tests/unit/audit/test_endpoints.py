"""The bill of models behind endpoints, reckoned by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shipped import ROOT, open_shipped

from primum.artifact.manifest import Manifest
from primum.audit.endpoints import bill_rows, bills
from primum.audit.forecast import print_plan
from primum.audit.questions import Amount
from primum.dag.dag import Dag
from primum.dag.judging import CANARY, JUDGEMENT
from primum.dag.state import JobState, RunState
from primum.dag.workflow import Workflow
from primum.experiment import load_experiment

# 16 requests of the demo's prompts, answered and judged by two models behind endpoints.
CHANGED: dict[str, Any] = {
    "models": {
        "asked": {"endpoint": "a", "engine": {"kind": "openai"}},
        "judge": {"endpoint": "j", "engine": {"kind": "openai"}, "price": {"prompt": 2.5, "completion": 10}},
    },
    "evaluate": {"models": ["asked"], "prompts": ["benign"], "judges": ["harm"]},
    "prompts": {"benign": {"dataset": "demo-xstest-safe", "kind": "benign", "take": 16}},
    "judges": {
        "harm": {
            "kind": "rubric",
            "model": "judge",
            "template": "data/rubrics/demo-harm.j2",
            "prompts": ["benign"],
            "sampling": {"max_tokens": 32},
        }
    },
    **{name: {} for name in ("mixtures", "preferences", "rankers", "benchmarks", "resources", "overrides")},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.delenv("PRIMUM_STORE", raising=False)
    return open_shipped(tmp_path, "demo", **CHANGED)


def _state(run: Workflow, known: dict[str, Manifest]) -> RunState:
    states = []
    for job in run.dag.jobs:
        missing = tuple(path for path in job.paths if path not in known)
        states.append(JobState(job, "to run" if missing else "up to date", missing, (), ()))
    return RunState(tuple(states), known, frozenset(), frozenset(), frozenset())


def test_what_is_to_come_and_what_was_spent(run: Workflow) -> None:
    """Of the judge 16 responses and 10 canaries are to come: template / 3 + 256 + 48 tokens, 32 back, at 2.5 and 10 dollars."""
    each = -(-len((ROOT / "data/rubrics/demo-harm.j2").read_text(encoding="utf-8")) // 3) + 256 + 48
    found = bills(run, _state(run, {}))
    assert set(found) == {"asked", "judge"}
    assert (found["asked"].requests, found["asked"].prompt, found["asked"].completion) == (
        Amount(16),
        Amount(16 * 256),
        Amount(16 * 48),
    )
    assert found["asked"].to_pay is None
    assert (found["judge"].requests, found["judge"].prompt) == (Amount(26), Amount(26 * each))
    assert found["judge"].to_pay == Amount((26 * each * 2.5 + 26 * 32 * 10) / 1e6)
    assert found["judge"].paid == Amount(0)

    spent = {"answers": 16, "prompt_tokens": 400_000, "completion_tokens": 50_000}
    judged = run.dag.path(JUDGEMENT, judge="harm", model="asked", prompts="benign")
    canary = run.dag.path(CANARY, judge="harm")
    made = Manifest("table", "judge", {}, {}, "k", "c", {}, run={"cost": {"spent": spent}})
    found = bills(run, _state(run, {judged: made, canary: replace(made, run={})}))
    assert (found["judge"].to_pay, found["judge"].paid) == (Amount(0), Amount(1.5))
    rows = {name: cells for name, *cells in bill_rows(found)}
    assert rows["judge"] == ["0", "0", "0", "0", "16", "400,000", "50,000", "1.5"]
    assert rows["asked"][3] == rows["asked"][7] == "-"


def test_what_nobody_knows_stays_unknown(tmp_path: Path) -> None:
    changed = {**CHANGED, "prompts": {"benign": {"dataset": "demo-xstest-safe", "kind": "benign"}}}
    run = open_shipped(tmp_path, "demo", **changed)
    # Ten canaries are known.
    bill = bills(run, _state(run, {}))["judge"]
    assert (bill.requests, bill.to_pay.unknown) == (Amount(10, 1), 1)


def test_a_judge_that_ranks_is_paid_for_where_it_is_asked(tmp_path: Path) -> None:
    demo = load_experiment("demo", ROOT).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    api = {"endpoint": "j", "engine": {"kind": "openai"}, "price": {"prompt": 2.5, "completion": 10}}
    ranker = {"kind": "judge", "model": "api", "template": "data/rubrics/helpfulness-1-5.j2"}
    run = open_shipped(tmp_path, "demo", models={**demo["models"], "api": api}, rankers={"stage-2": ranker})
    asked = [job for job in run.dag.jobs if job.stage.name in ("rate", "rewards")]
    spent = {"answers": 4, "prompt_tokens": 400_000, "completion_tokens": 50_000}
    made = Manifest("table", "rate", {}, {}, "k", "c", {}, run={"cost": {"spent": spent}})
    known = {path: made if job.stage.name == "rate" else replace(made, run={}) for job in asked for path in job.paths}
    assert bills(run, _state(run, {}))["api"].to_pay == Amount(0, 1)  # of one job, nobody knows how many
    assert bills(run, _state(run, known))["api"].paid == Amount(1.5)


def test_prices_and_numbers_of_rows_change_no_result(tmp_path: Path) -> None:
    plain, priced = dict(CHANGED["models"]["judge"]), CHANGED["models"]["judge"]
    del plain["price"]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with_price = open_shipped(tmp_path / "a", "demo", **CHANGED)
    models = {**CHANGED["models"], "judge": plain}
    without = open_shipped(tmp_path / "b", "demo", **{**CHANGED, "models": models})
    assert priced["price"]
    assert [job.spec for job in with_price.dag.jobs] == [job.spec for job in without.dag.jobs]
    sized = with_price.experiment.model_copy(
        update={
            "datasets": {
                name: each.model_copy(update={"rows": 7}) for name, each in with_price.experiment.datasets.items()
            }
        }
    )
    again = Dag(sized, ROOT, with_price.dag.results)
    assert [job.spec for job in again.jobs] == [job.spec for job in with_price.dag.jobs]


def test_the_plan_prints_it(run: Workflow, capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(run)
    printed = capsys.readouterr().out
    assert "Dollars at the model's 'price'" in printed
    (line,) = (
        line for line in printed.splitlines() if line.startswith("judge ") and "unknown" not in line and " 26 " in line
    )
    assert line.split()[1] == "26"
