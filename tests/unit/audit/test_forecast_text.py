"""`primum plan` in words: the table's sums, what is printed of them, and the budget's refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shipped import ROOT, open_shipped

from primum.audit.forecast import check_budget, forecast, print_plan, table
from primum.audit.questions import UNKNOWN, Amount, number, spoken
from primum.cli import main
from primum.dag.workflow import open_workflow
from primum.errors import PrimumError
from primum.experiment import load_experiment

EXPERIMENTS = sorted(path.stem for path in (ROOT / "config/experiments").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _as_nobody_asked_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRIMUM_STORE", raising=False)
    monkeypatch.setenv("PRIMUM_REFRESH", "")


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (None, "-"),
        (Amount(), "0"),
        (Amount(0, 2), "unknown"),
        (Amount(1682, 5), "at least 1,682"),
        (Amount(46.92), "46.9"),
        (Amount(12_345_678), "12.3M"),
        (Amount(0.0315), "0.032"),
    ],
)
def test_amounts_in_words(amount: Amount | None, expected: str) -> None:
    assert spoken(amount) == expected


def test_sums_keep_what_is_unknown() -> None:
    assert Amount(3) + UNKNOWN + Amount(4) == Amount(7, 1)
    assert number(999_999) == "999,999"


def test_the_table_is_aligned() -> None:
    assert table([("a", "jobs"), ("stage", "1")]) == ["a      jobs", "stage     1"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_shipped_experiment_has_a_plan_for_a_terminal(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    main(["plan", name, "--results", str(tmp_path), "--store", str(tmp_path / "store")])
    printed = capsys.readouterr().out
    lines = printed.splitlines()[1:]  # the first names folders
    assert max(map(len, lines)) <= 100
    total = len(open_workflow({"experiment": name, "results": str(tmp_path)}, ROOT).dag.jobs)
    assert printed.startswith(f"{name}: {total} of {total} stage jobs to run")
    assert next(line for line in lines if line.startswith("all ")).split()[1:5] == [str(total), "0", "0", str(total)]
    assert "Budget: none" in printed
    assert ("GPU-h limit: " in printed) == any(each.gpus for each in load_experiment(name, ROOT).resources.values())


def test_the_sums_of_the_8b_experiment(tmp_path: Path) -> None:
    """By its file: 16 GPUs x 24 h once; for each DPO stage 16 x 12 h, and as much for its reference."""
    lines = {line.title: line for line in forecast(open_shipped(tmp_path, "med42-v2-8b"))}
    assert "pretrain" not in lines
    assert lines["sft"].limit == 384
    assert lines["dpo"].limit == 3 * (192 + 192)
    # 13 models on one GPU for two hours, two on two GPUs; five 70B on four for four hours; three on eight for eight.
    assert lines["generate"].limit == 13 * 2 + 2 * 2 * 2 + 5 * 4 * 4 + 3 * 8 * 8
    assert lines["score"].limit == 13 * 4 + 2 * 2 * 8 + 5 * 4 * 12 + 3 * 8 * 24
    assert lines["all"].limit == sum(line.limit for title, line in lines.items() if title != "all") == 2742
    assert lines["judge"].total("tokens") is None
    # Nineteen models of a hub; five have no size in their id, or experts.
    assert lines["fetch"].total("disk") == Amount(2 * 1e9 * (5 * 70 + 405 + 7 + 4 * 8 + 9 + 11 + 27), 5)


# The budget -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (
            {"gpu_hours": 2741},
            "med42-v2-8b: budget.gpu_hours is 2,741, and the jobs to run may take 2,742: raise it, or lower",
        ),
        (
            {"disk_gb": 100},
            "budget.disk_gb is 100, and the jobs to run may take at least 2,514: raise it, or name fewer",
        ),
    ],
)
def test_a_budget_that_is_too_small(
    tmp_path: Path, budget: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = open_shipped(tmp_path, "med42-v2-8b", budget=budget)
    for refuse in (check_budget, print_plan):
        with pytest.raises(PrimumError) as refused:
            refuse(run)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)
    (key,) = budget
    assert f"Budget: {key} " in capsys.readouterr().out


def test_a_budget_of_judge_tokens(tmp_path: Path) -> None:
    """Ten responses, and ten canaries."""
    prompts = {"benign": {"dataset": "demo-xstest-safe", "kind": "benign", "take": 10}}
    judges = {
        "harm": {"kind": "rubric", "model": "judge", "template": "data/rubrics/demo-harm.j2", "prompts": ["benign"]}
    }
    evaluate = {"models": ["sft"], "prompts": ["benign"], "judges": ["harm"]}
    each = -(-len((ROOT / "data/rubrics/demo-harm.j2").read_text(encoding="utf-8")) // 3) + 256 + 48 + 256
    sections: dict[str, Any] = {"prompts": prompts, "judges": judges, "evaluate": evaluate}
    # Ten responses and ten canaries.
    check_budget(open_shipped(tmp_path, "demo", **sections, budget={"judge_tokens": (10 + 10) * each}))
    with pytest.raises(PrimumError, match=r"budget\.judge_tokens is .* or limit prompts with 'take'"):
        check_budget(open_shipped(tmp_path, "demo", **sections, budget={"judge_tokens": (10 + 10) * each - 1}))


def test_a_budget_that_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = open_shipped(tmp_path, "med42-v2-8b", budget={"gpu_hours": 2742, "disk_gb": "3e3"})
    print_plan(run)
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "Budget: gpu_hours 2,742 of 2,742; disk_gb at least 2,514 of 3,000; what is unknown is not held against it."
        in printed
    )


def test_a_refused_plan_is_printed_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    open_shipped(tmp_path, "med42-v2-8b", budget={"gpu_hours": 10})
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as stopped:
        main(["plan", str(tmp_path / "changed.yaml"), "--results", str(tmp_path)])
    assert stopped.value.code == 1
    said = capsys.readouterr()
    assert "Budget: gpu_hours 2,742 of 10." in said.out
    assert said.err.startswith("primum: error: med42-v2-8b: budget.gpu_hours is 10,")
    assert said.err.count("\n") == 1


def test_a_budget_is_in_no_spec(tmp_path: Path) -> None:
    without, given = (
        open_shipped(tmp_path, "demo", **more) for more in ({}, {"budget": {"gpu_hours": 1, "disk_gb": 2}})
    )
    assert [job.spec for job in without.dag.jobs] == [job.spec for job in given.dag.jobs]


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"gpu_hour": 1}, "budget: unknown key 'gpu_hour'; valid keys: gpu_hours, disk_gb, judge_tokens"),
        ({"gpu_hours": "many"}, "budget.gpu_hours: is a text where a number is expected"),
        ({"gpu_hours": -1}, "budget.gpu_hours: Input should be greater than or equal to 0"),
        ({"judge_tokens": 1.5}, "budget.judge_tokens: Input should be a valid integer"),
    ],
)
def test_what_a_budget_may_say(tmp_path: Path, budget: dict[str, Any], said: str) -> None:
    with pytest.raises(PrimumError) as refused:
        open_shipped(tmp_path, "demo", budget=budget)
    assert said in str(refused.value)
