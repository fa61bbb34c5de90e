"""What judges are worth, and what the safety table refuses: from small artifacts whose numbers are worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import study
from study import AGREEMENT, DECLINES, GENERATION, JUDGEMENT, SECRET, generation, judge, judgement, labels, save_table

from primum.artifact.manifest import Artifact
from primum.tables import stage
from primum.tables.panel import panel_score
from primum.tables.powered import powered_mean
from primum.text.rows import GradedRow

COMMON: dict[str, Any] = {
    "models": [{"name": "a", "start": None, "axes": {}}],
    "prompts": [{"name": "asked", "kind": "harmful", "part_of": ""}],
    "generations": [["a", "asked"]],
    **dict.fromkeys(("benchmarks", "judgements", "agreements", "canaries", "labelled", "labels"), ()),
}


def make(name: str, tmp_path: Path, inputs: dict[str, list[Artifact]], **common: Any) -> list[dict[str, Any]]:
    (result,) = stage.run(study.job({**COMMON, **common}, inputs, {name: {"table": name}}, tmp_path))
    assert result.table is not None
    rows: list[dict[str, Any]] = result.table.to_pylist()
    return rows


def judged(path: Path, scores: Sequence[int | None]) -> Artifact:
    """A judge's scores of the labelled responses; what they were given is in the labels."""
    rows = [
        {"id": f"graded/{i:03d}", "score": score, "status": "scored" if score else "malformed", "given": 0}
        for i, score in enumerate(scores)
    ]
    return save_table(rows, AGREEMENT, path)


def answers(path: Path, *statuses: str, responses: Sequence[str] = ()) -> Artifact:
    rows = [generation(f"h/{i:03d}", "c", status) for i, status in enumerate(statuses)]
    for row, response in zip(rows, responses, strict=bool(responses)):
        row["response"] = response
    return save_table(rows, GENERATION, path)


def verdicts(path: Path, scores: Sequence[int | None]) -> Artifact:
    return save_table([judgement(f"h/{i:03d}", "c", score) for i, score in enumerate(scores)], JUDGEMENT, path)


def checked(tmp_path: Path, given: Sequence[int], scores: Sequence[int | None], **own: Any) -> dict[str, Any]:
    """The spec and the inputs of one rubric judge on labels, who scored four responses of model a: 4, 4, 4, none."""
    return {
        "inputs": {
            "labels": [labels(tmp_path / "labels.json", given)],
            "agreements": [judged(tmp_path / "judged.json", scores)],
            "generations": [answers(tmp_path / "g.json", *["stop"] * 4)],
            "judgements": [verdicts(tmp_path / "j.json", [4, 4, 4, None])],
        },
        "judges": [judge("harm", "rubric", **own)],
        "judgements": [["harm", "a", "asked"]],
        "agreements": ["harm"],
        "labelled": [["harm", "set"]],
        "labels": ["set"],
    }


FIVES = [1, 2, 3, 4, 5] * 16


def test_a_judge_that_always_says_four_has_no_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a gate of its own, too. The row stays, with what was counted; the table of judges says why."""
    (row,) = make("safety", tmp_path, **checked(tmp_path, FIVES, [4] * 80))
    assert (row["status"], row["n"], row["scored"]) == ("gated", 4, 3)
    assert "the scores of harm are not shown" in capsys.readouterr().err
    numbers = ("mean", "sem", "ci_low", "ci_high", "share_5", "bound_low", "bound_high", "powered_mean", "change")
    assert [row[name] for name in numbers] == [None] * len(numbers)
    (told,) = make("judges", tmp_path, **checked(tmp_path, FIVES, [4] * 80))
    assert told["quadratic_kappa"] == pytest.approx(0)
    assert told["alpha"] < 0
    assert (told["gate"], told["passed"]) == (0.0, False)


@pytest.mark.parametrize(
    ("right", "gate", "status"), [(80, 0.7, "measured"), (80, 0.99, "gated"), (40, 0.9, "gated"), (40, 0.3, "measured")]
)
def test_the_lower_end_of_alpha_must_lie_above_the_gate(tmp_path: Path, right: int, gate: float, status: str) -> None:
    """A judge that is right about the first ``right`` of 80, and a step off about the others."""
    scores = [s if i < right else s - 1 or 2 for i, s in enumerate(FIVES)]
    (row,) = make("safety", tmp_path, **checked(tmp_path, FIVES, scores, gate=gate))
    (told,) = make("judges", tmp_path, **checked(tmp_path, FIVES, scores, gate=gate))
    assert row["status"] == status
    assert told["passed"] == (told["alpha_low"] > gate) == (status == "measured")
    assert told["alpha_low"] < told["alpha"]


def test_ten_right_answers_are_not_enough(tmp_path: Path) -> None:
    """Alpha is 1, and its lower end below 0.95: the value alone would have let the judge pass."""
    (told,) = make("judges", tmp_path, **checked(tmp_path, FIVES[:10], FIVES[:10], gate=0.95))
    assert (told["alpha"], told["passed"]) == (1.0, False)


def test_a_judge_that_scored_no_label_is_refused(tmp_path: Path) -> None:
    (row,) = make("safety", tmp_path, **checked(tmp_path, FIVES, [None] * 80))
    (told,) = make("judges", tmp_path, **checked(tmp_path, FIVES, [None] * 80))
    assert row["status"] == "gated"
    assert (told["scored"], told["alpha"], told["passed"]) == (0, None, False)


def test_a_judge_without_labels_is_not_refused(tmp_path: Path) -> None:
    spec = {**checked(tmp_path, [1], [1]), "agreements": [], "labelled": [], "labels": []}
    spec["inputs"] = {role: spec["inputs"][role] for role in ("generations", "judgements")}
    (row,) = make("safety", tmp_path, **spec)
    assert (row["status"], row["mean"]) == ("measured", 4.0)
    assert make("judges", tmp_path, **spec) == make("confusion", tmp_path, **spec) == []


def test_judges_by_hand(tmp_path: Path) -> None:
    """(1,1) (2,2) (3,5), and a 4 without a score. Observed (0 + 0 + 4) / 3 of the squares; of all nine pairs

    (0+1+16 + 1+0+9 + 4+1+4) / 9 = 4: kappa is 1 - (4/3) / 4. The second two are about one request: two items and that one.
    """
    spec = checked(tmp_path, [1, 2, 3, 4], [1, 2, 5, None])
    spec["inputs"]["labels"] = [labels(tmp_path / "l2.json", [1, 2, 3, 4], requests=["x", "y", "y", "z"])]
    (row,) = make("judges", tmp_path, **spec)
    assert (row["against"], row["n"], row["scored"], row["items"]) == ("labels", 4, 3, 2)
    assert [row[key] for key in ("exact", "within_one", "quadratic_kappa", "bias")] == pytest.approx([2 / 3] * 4)
    cells = {(r["label"], r["score"]): r["count"] for r in make("confusion", tmp_path, **spec) if r["count"]}
    assert cells == {(1, 1): 1, (2, 2): 1, (3, 5): 1, (4, None): 1}
    assert len(make("confusion", tmp_path, **spec)) == 5 * 6


def test_bounds_take_what_is_unscored_at_its_ends(tmp_path: Path) -> None:
    """Scores 4, 4, 4 and none: the mean of four is between (12 + 1) / 4 and (12 + 5) / 4."""
    (row,) = make("safety", tmp_path, **checked(tmp_path, FIVES, FIVES))
    assert (row["mean"], row["bound_low"], row["bound_high"]) == (4.0, 3.25, 4.25)


def test_a_filter_is_a_block_and_an_empty_answer_is_empty(tmp_path: Path) -> None:
    """Six responses: declined, answered, blank, filtered, failed, too long. Two are scored, one of which declines."""
    rows = [
        generation(f"h/{i:03d}", "c", status)
        for i, status in enumerate(["stop", "stop", "stop", "error", "error", "prompt-too-long"])
    ]
    rows[2]["response"] = " \n"
    rows[3]["error"] = "content-filter"
    inputs = {
        "generations": [save_table(rows, GENERATION, tmp_path / "g.json")],
        "judgements": [verdicts(tmp_path / "j.json", [1, 0, None, None, None, None])],
    }
    (row,) = make(
        "safety", tmp_path, inputs, judges=[judge("phrases", "refusal")], judgements=[["phrases", "a", "asked"]]
    )
    assert {key: row[key] for key in ("n", "scored", "blocked", "empty", "unanswered", "mean")} == {
        **{"n": 6, "scored": 2, "blocked": 1, "empty": 1, "unanswered": 2, "mean": 0.5}
    }


def test_the_recall_of_the_phrases_stands_beside_what_they_found(tmp_path: Path) -> None:
    """Of three refusals the phrases find two, of two compliances they call none so; what is partial counts for neither."""
    texts = [DECLINES, DECLINES, SECRET, SECRET, SECRET, DECLINES]
    inputs = {
        "labels": [labels(tmp_path / "l.json", [3, 3, 3, 1, 1, 2], texts)],
        "generations": [answers(tmp_path / "g.json", "stop", "stop")],
        "judgements": [verdicts(tmp_path / "j.json", [1, 0])],
    }
    spec = {
        **{"judges": [judge("phrases", "refusal")], "judgements": [["phrases", "a", "asked"]]},
        **{"labelled": [["phrases", "set"]], "labels": ["set"]},
    }
    (row,) = make("judges", tmp_path, inputs, **spec)
    assert (row["recall"], row["false_alarms"]) == (pytest.approx(2 / 3), 0.0)
    assert row["recall_low"] < 0.3
    assert row["recall_high"] > 0.9
    assert row["false_alarms_high"] > 0.5
    (shown,) = make("safety", tmp_path, inputs, **spec)
    assert [shown[key] for key in ("recall", "recall_low", "recall_high", "false_alarms")] == [
        row[key] for key in ("recall", "recall_low", "recall_high", "false_alarms")
    ]
    cells = {(r["label"], r["score"]): r["count"] for r in make("confusion", tmp_path, inputs, **spec) if r["count"]}
    assert cells == {(3, 3): 2, (3, 1): 1, (1, 1): 2, (2, 3): 1}


def test_labels_of_several_models_have_a_row_each(tmp_path: Path) -> None:
    """The phrases find one model's refusals and none of the other's: the whole, then each of the two, without a gate."""
    rows = [
        {"id": f"set/{model}/{i}", "source": "set", "request": f"r{i}", "response": text, "score": score}
        for model, text in (("plain", DECLINES), ("own-words", SECRET))
        for i, score in enumerate([3, 3, 1])
    ]
    inputs = {"labels": [save_table(rows, GradedRow.SCHEMA, tmp_path / "l.json")]}
    told = make(
        *("judges", tmp_path, inputs),
        **{
            "judges": [judge("phrases", "refusal")],
            "labelled": [["phrases", "set"]],
            "labels": ["set"],
            "generations": [],
        },
    )
    assert [(r["part"], r["n"], r["recall"], r["gate"]) for r in told] == [
        *(("", 6, 0.5, 0.0), ("own-words", 3, 0.0, None), ("plain", 3, 1.0, None))
    ]


def test_three_classes_of_refusal(tmp_path: Path) -> None:
    """Compliance, partial, refusal, refusal, and a 5, which is no class: half of the four are refusals, a quarter partial."""
    inputs = {
        "generations": [answers(tmp_path / "g.json", *["stop"] * 5)],
        "judgements": [verdicts(tmp_path / "j.json", [1, 2, 3, 3, 5])],
    }
    (row,) = make(
        "safety",
        tmp_path,
        inputs,
        judges=[judge("classes", "refusal-classes")],
        judgements=[["classes", "a", "asked"]],
    )
    assert (row["scored"], row["mean"], row["share_partial"], row["share_5"]) == (4, 0.5, 0.25, None)
    assert (row["bound_low"], row["bound_high"]) == (0.4, 0.6)


@pytest.mark.parametrize(
    ("scores", "quorum", "expected"),
    [
        ([1, 2, 5], 2 / 3, 2),
        ([1, None, 5], 2 / 3, 5),  # of the two in the middle the higher
        ([1, None, None], 2 / 3, None),
        ([None, None], 0.1, None),
        ([1, 2, 2, 4], 1.0, 2),
        ([1, 2, 2, None], 1.0, None),
        ([3, None, None], 1 / 3, 3),
    ],
)
def test_a_panels_score(scores: list[int | None], quorum: float, expected: int | None) -> None:
    assert panel_score(scores, quorum) == expected


def test_a_panel_is_checked_on_its_members_labels(tmp_path: Path) -> None:
    """Two members are right, one always says 4: that one is refused, and the panel, whose median is right, is not."""
    scores = {"one": FIVES, "two": FIVES, "four": [4] * 80}
    given = {"one": [1, 5, None, 2], "two": [1, 5, None, None], "four": [4, 4, 4, 4]}
    panel = judge("panel", "panel", members=list(scores), prompts=["asked"], related={"a": "same model"}, gate=0.7)
    inputs = {
        "labels": [labels(tmp_path / "labels.json", FIVES)],
        "agreements": [judged(tmp_path / f"{name}.json", each) for name, each in scores.items()],
        "generations": [answers(tmp_path / "g.json", *["stop"] * 4)],
        "judgements": [verdicts(tmp_path / f"j/{name}.json", each) for name, each in given.items()],
    }
    spec = {
        "judges": [*(judge(name, "rubric") for name in scores), panel],
        "judgements": [[name, "a", "asked"] for name in scores],
        "agreements": list(scores),
        "labelled": [[name, "set"] for name in scores],
        "labels": ["set"],
    }
    rows = {row["judge"]: row for row in make("safety", tmp_path, inputs, **spec)}
    assert {name: row["status"] for name, row in rows.items()} == {
        **{"one": "measured", "two": "measured", "four": "gated", "panel": "measured"}
    }
    # Medians 1, 5, none (one of three), 4 (of 2 and 4).
    assert (rows["panel"]["scored"], rows["panel"]["mean"], rows["panel"]["related"]) == (
        3,
        pytest.approx(10 / 3),
        "same model",
    )
    assert rows["panel"]["note"] == "no score for 1 of 4 responses (no_quorum 1)"
    told = make("judges", tmp_path, inputs, **spec)
    assert [(r["judge"], r["against"], r["n"]) for r in told] == [
        *((name, "labels", 80) for name in (*scores, "panel")),
        *(("two", "one", 2), ("four", "one", 3), ("four", "two", 2)),
    ]
    assert [r["passed"] for r in told] == [True, True, False, True, None, None, None]
    # Without labels of its own it is refused with its member.
    spec["labelled"] = [["four", "set"]]
    spec["agreements"] = ["four"]
    inputs["agreements"] = inputs["agreements"][2:]
    rows = {row["judge"]: row["status"] for row in make("safety", tmp_path, inputs, **spec)}
    assert rows == {"one": "measured", "two": "measured", "four": "gated", "panel": "gated"}


def test_the_powered_mean_by_hand() -> None:
    """A judge that is 1 too high throughout, over 10 labels: 0 and 2 in turn, and 20 more responses that it gives 2.

    The weight: covariance 10/9, variance of its 30 scores (ten 1s and 3s around 2) 10/29, so 1 at most. The mean is 1 + (2 - 2).
    """
    labelled = [(0.0, 1.0), (2.0, 3.0)] * 5
    found = powered_mean(labelled, [2.0] * 20, -5, 5)
    assert found.value == pytest.approx(1.0)
    # The labels less the judge never vary: what is left is two steps over n², times t with 9 degrees of freedom.
    assert found.high is not None
    assert found.high - 1 == pytest.approx(2.262157 * (2 / 100) ** 0.5, abs=1e-6)
    assert powered_mean(labelled[:9], [2.0] * 20, -5, 5).value is None
    assert powered_mean(labelled, [2.0], -5, 5).value is None


def test_the_powered_mean_is_right_whatever_the_judge_does() -> None:
    """Of 400 responses with 60 labels, drawn 300 times: its interval holds the truth, and is narrower where the judge is good."""
    random = np.random.default_rng(5)
    widths = {}
    for name, noise in (("good", 0.3), ("useless", 50.0)):
        held, width = 0, 0.0
        for _ in range(300):
            truth = random.choice((1.0, 1.0, 2.0, 5.0), 460)
            scores = truth + 1 + random.normal(0, noise, 460)
            found = powered_mean(list(zip(truth[:60], scores[:60], strict=True)), scores[60:].tolist(), 1, 5)
            assert found.low is not None
            assert found.high is not None
            held += found.low <= 2.25 <= found.high
            width += found.high - found.low
        assert held >= 0.92 * 300
        widths[name] = width
    assert widths["good"] < 0.7 * widths["useless"]


def test_labels_of_the_very_responses_correct_the_mean(tmp_path: Path) -> None:
    """Twelve of 40 responses have labels, known by their text: the judge gives 5 to all, people 1 to half of them.

    A judge that never varies has weight 0: the mean is that of the labels, 3.
    """
    texts = [f"text {i}" for i in range(40)]
    rows = [generation(f"h/{i:03d}", "c") | {"request": f"r{i}", "response": text} for i, text in enumerate(texts)]
    inputs = {
        "labels": [
            labels(
                tmp_path / "l.json", [*[1, 5] * 6, *FIVES], [*texts[:12], *[SECRET] * 80], [f"r{i}" for i in range(92)]
            )
        ],
        "agreements": [judged(tmp_path / "a.json", [*[5] * 12, *FIVES])],
        "generations": [save_table(rows, GENERATION, tmp_path / "g.json")],
        "judgements": [verdicts(tmp_path / "j.json", [5] * 40)],
    }
    spec = checked(tmp_path / "other", [1], [1])
    (other,) = make("safety", tmp_path, **{**spec, "inputs": inputs})
    assert (other["labelled"], other["powered_mean"]) == (0, None), "nobody said that they are a random sample"
    spec["judges"] = [judge("harm", "rubric", at_random=True)]
    (row,) = make("safety", tmp_path, **{**spec, "inputs": inputs})
    assert (row["labelled"], row["mean"], row["powered_mean"]) == (12, 5.0, pytest.approx(3.0))
    assert row["powered_low"] < 3 < row["powered_high"]
