"""The stage tables, from small artifacts whose tables can be worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import study
from study import (
    AGREEMENT,
    AUDIT,
    CANARY,
    GENERATION,
    JUDGEMENT,
    LEDGER,
    SCORES,
    TOKENS,
    audit,
    canaries,
    generation,
    judgement,
    ledger,
    pairs_inputs,
    save_model,
    save_table,
    score,
)

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.tables import stage
from primum.text.rows import PreferenceRow

EMPTY: dict[str, Any] = {
    "models": [
        {"name": "a", "start": None, "axes": {}},
        {"name": "helper", "start": "a", "axes": {}},
        {"name": "b", "start": "helper", "axes": {}},
    ],
    "benchmarks": [],
    "prompts": [{"name": "harm-set", "kind": "harmful", "part_of": ""}],
    "judges": [study.judge("grader", "rubric"), study.judge("phrases", "refusal")],
    **{
        key: []
        for key in (
            "scores",
            "judgements",
            "graded",
            "generations",
            "mixtures",
            "packed",
            "trained",
            "agreements",
            "canaries",
            "labelled",
            "labels",
            "audited",
        )
    },
    **{"pairs": [], "sampled": [], "margin": 0.02},
}


def bench(name: str, macro: bool = False, group: str = "benchmark", part_of: str = "") -> dict[str, Any]:
    return {"name": name, "title": "", "group": group, "macro": macro, "normalize": "none", "part_of": part_of}


def make(name: str, tmp_path: Path, inputs: dict[str, list[Artifact]], **common: Any) -> list[dict[str, Any]]:
    (result,) = stage.run(study.job({**EMPTY, **common}, inputs, {name: {"table": name}}, tmp_path))
    assert result.table is not None
    save_table(result.table.to_pylist(), result.table.schema, tmp_path / "made.json")
    rows: list[dict[str, Any]] = result.table.to_pylist()
    return rows


def scores(tmp_path: Path, model: str, benchmark: str, rows: list[dict[str, Any]]) -> Artifact:
    return save_table(rows, SCORES, tmp_path / model / f"{benchmark}.json")


def test_macro_is_the_unweighted_mean_over_subjects(tmp_path: Path) -> None:
    # anatomy 1 of 1 x 4 (4 rows all right), virology 1 of 2: micro 5/6, macro (1 + 1/2) / 2
    rows = [score(f"m/{i}", True, 4, "anatomy") for i in range(4)]
    rows += [score("m/4", True, 2, "virology"), score("m/5", False, 2, "virology", truncated=True)]
    made = make(
        "benchmarks",
        tmp_path,
        {"scores": [scores(tmp_path, "a", "m", rows)]},
        scores=[["a", "m"]],
        benchmarks=[bench("m", macro=True)],
    )
    whole, anatomy, virology, average = made
    assert [row["subject"] for row in made] == ["", "anatomy", "virology", ""]
    assert (whole["n"], whole["correct"], whole["truncated"]) == (6, 5, 1)
    assert whole["accuracy"] == pytest.approx(0.75)
    # subject stderrs 0 and sqrt(.25 / 1) = .5, together sqrt(.25) / 2; the interval knows that four items show little
    assert whole["stderr"] == pytest.approx(0.25)
    assert whole["interval"] == "effective"
    assert whole["ci_low"] < 0.3
    assert whole["chance"] == pytest.approx((0.25 + 0.5) / 2)
    assert (anatomy["accuracy"], virology["accuracy"]) == (1.0, 0.5)
    assert (average["benchmark"], average["accuracy"]) == ("average", pytest.approx(0.75))


def test_micro_is_the_mean_over_questions(tmp_path: Path) -> None:
    rows = [score(f"m/{i}", i < 5, 4, "x" if i < 4 else "y") for i in range(6)]
    made = make(
        "benchmarks",
        tmp_path,
        {"scores": [scores(tmp_path, "a", "m", rows)]},
        scores=[["a", "m"]],
        benchmarks=[bench("m")],
    )
    assert made[0]["accuracy"] == pytest.approx(5 / 6)
    assert made[0]["ci_low"] == pytest.approx(0.4365, abs=1e-4), "Wilson's interval of 5 of 6"


def test_no_average_over_unequal_sets(tmp_path: Path) -> None:
    right = [score(f"m/{i}", True) for i in range(4)]
    wrong = [score(f"m/{i}", False) for i in range(4)]
    inputs = {
        "scores": [
            scores(tmp_path, "a", "one", right),
            scores(tmp_path, "a", "two", wrong),
            scores(tmp_path, "b", "one", right),
        ]
    }
    made = make(
        "benchmarks",
        tmp_path,
        inputs,
        scores=[["a", "one"], ["a", "two"], ["b", "one"]],
        benchmarks=[bench("one"), bench("two"), bench("pref", group="preference")],
    )
    averages = {row["model"]: row for row in made if row["benchmark"] == "average"}
    assert (averages["a"]["accuracy"], averages["a"]["note"]) == (0.5, "")
    assert (averages["b"]["accuracy"], averages["b"]["note"]) == (None, "unequal sets: lacks two")


def grouped(tmp_path: Path, by_size: bool, models: dict[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    """4 of 4 items of ``one`` and 1 of 2 of ``two``, with other numbers of choices."""
    rows = {
        "one": [score(f"one/{i}", True, 4) for i in range(4)],
        "two": [score("two/0", True, 2), score("two/1", False, 2)],
    }
    return make(
        "benchmarks",
        tmp_path,
        {"scores": [scores(tmp_path, model, name, rows[name]) for model, names in models.items() for name in names]},
        scores=[[model, name] for model, names in models.items() for name in names],
        benchmarks=[bench("one"), bench("two")],
        groups=[{"name": "both", "title": "", "benchmarks": ["one", "two"], "weight_by_size": by_size}],
    )


@pytest.mark.parametrize(
    ("by_size", "accuracy", "variance", "chance"),
    [(True, 5 / 6, 0.25 / 9, (4 * 0.25 + 2 * 0.5) / 6), (False, 0.75, 0.25 / 4, 0.375)],
)
def test_a_group_is_a_mean_over_items_or_over_benchmarks(
    tmp_path: Path, by_size: bool, accuracy: float, variance: float, chance: float
) -> None:
    # Standard errors 0 and sqrt(.5 / 2) = .5; two has a third of the items.
    made = grouped(tmp_path, by_size, {"a": ("one", "two")})
    assert [row["benchmark"] for row in made] == ["one", "two", "both", "average"]
    both, average = made[2:]
    assert (both["n"], both["correct"], both["interval"]) == (6, 5, "effective")
    assert both["accuracy"] == pytest.approx(accuracy)
    assert both["stderr"] == pytest.approx(variance**0.5)
    assert both["chance"] == pytest.approx(chance)
    assert both["ci_low"] < both["accuracy"] < both["ci_high"]
    assert average["accuracy"] == pytest.approx(accuracy), "the group counts once"


def test_a_group_has_no_mean_where_a_task_of_it_is_missing(tmp_path: Path) -> None:
    made = grouped(tmp_path, True, {"a": ("one",), "b": ("one",)})
    both = [row for row in made if row["benchmark"] == "both"]
    assert [(row["accuracy"], row["note"]) for row in both] == [(None, "unequal sets: lacks two")] * 2


def test_change_is_paired_with_the_nearest_measured_ancestor(tmp_path: Path) -> None:
    # b descends from a by an unmeasured helper. By question: +1, 0, 0, -1, +1, so mean 0.2 and
    # sd² = (0.64 + 0.04 + 0.04 + 1.44 + 0.64) / 4, and two more items, one for each side.
    before = [False, True, False, True, False]
    after = [True, True, False, False, True]
    inputs = {
        "scores": [
            scores(tmp_path, "a", "m", [score(f"m/{i}", right) for i, right in enumerate(before)]),
            scores(tmp_path, "b", "m", [score(f"m/{i}", right) for i, right in enumerate(after)]),
        ]
    }
    made = make("benchmarks", tmp_path, inputs, scores=[["a", "m"], ["b", "m"]], benchmarks=[bench("m")])
    first, second = (row for row in made if row["benchmark"] == "m")
    assert (first["start"], first["change"]) == ("", None)
    assert second["start"] == "a"
    assert second["change"] == pytest.approx(0.2)
    assert second["change_stderr"] == pytest.approx((2.8 / 4 / 5 + 2 / 25) ** 0.5)


def test_preferences_are_a_table_of_their_own(tmp_path: Path) -> None:
    rows = [score(f"p/{i}", i % 2 == 0, 2) for i in range(4)]
    made = make(
        "preferences",
        tmp_path,
        {"scores": [scores(tmp_path, "a", "m", rows), scores(tmp_path, "a", "p", rows)]},
        scores=[["a", "m"], ["a", "p"]],
        benchmarks=[bench("m"), bench("p", group="preference")],
    )
    assert {row["benchmark"] for row in made} == {"p", "average"}
    assert made[0]["chance"] == 0.5


def test_unscored_is_never_a_number(tmp_path: Path) -> None:
    given = [5, None, 1, 5]
    verdicts = [judgement(f"h/{i}", f"c{i % 2}", value) for i, value in enumerate(given)]
    answers = [generation(f"h/{i}", f"c{i % 2}", "length" if i == 0 else "stop") for i in range(4)]
    lost = [judgement(f"h/{i}", "c", None) for i in range(2)]
    inputs = {
        "judgements": [
            save_table(verdicts, JUDGEMENT, tmp_path / "j/a.json"),
            save_table(lost, JUDGEMENT, tmp_path / "j/b.json"),
        ],
        "generations": [
            save_table(answers, GENERATION, tmp_path / "g/a.json"),
            save_table([generation(f"h/{i}", "c", "error") for i in range(2)], GENERATION, tmp_path / "g/b.json"),
        ],
    }
    made = make(
        "safety",
        tmp_path,
        inputs,
        judgements=[["grader", "a", "harm-set"], ["grader", "b", "harm-set"]],
        generations=[["a", "harm-set"], ["b", "harm-set"]],
    )
    whole, first, second, other = made
    assert [row["category"] for row in made] == ["", "c0", "c1", ""]
    # 5, 1, 5: mean 11/3, squared deviations 16/9 + 64/9 + 16/9 = 96/9, sd² = 16/3, sem = sqrt(16/9)
    assert (whole["n"], whole["scored"], whole["truncated"], whole["unanswered"]) == (4, 3, 1, 0)
    assert whole["mean"] == pytest.approx(11 / 3)
    assert whole["sem"] == pytest.approx(4 / 3)
    assert 1.0 <= whole["ci_low"] < 2
    assert whole["ci_high"] == pytest.approx(5.0, abs=0.1)
    assert whole["share_5"] == pytest.approx(2 / 3)
    # More than a fifth without a score is said beside the mean of the others.
    assert whole["note"] == "no score for 1 of 4 responses (malformed 1)"
    assert (first["note"], second["note"]) == ("", "no score for 1 of 2 responses (malformed 1)")
    assert (first["mean"], second["mean"], second["sem"]) == (3.0, 5.0, None)
    assert (other["mean"], other["share_5"], other["unanswered"], other["change"]) == (None, None, 2, None)


def test_refusals_are_shares(tmp_path: Path) -> None:
    verdicts = [judgement(f"h/{i}", "c", int(i < 3)) for i in range(4)]
    inputs = {
        "judgements": [save_table(verdicts, JUDGEMENT, tmp_path / "j.json")],
        "generations": [save_table([generation(f"h/{i}", "c") for i in range(4)], GENERATION, tmp_path / "g.json")],
    }
    (row,) = make(
        "safety", tmp_path, inputs, judgements=[["phrases", "a", "harm-set"]], generations=[["a", "harm-set"]]
    )
    assert (row["mean"], row["share_5"]) == (0.75, None)
    assert row["ci_low"] == pytest.approx(0.3006, abs=1e-4), "Wilson's interval of 3 of 4"


def test_judgements_must_be_of_the_generations(tmp_path: Path) -> None:
    inputs = {
        "judgements": [save_table([judgement("h/0", "c", 1)], JUDGEMENT, tmp_path / "j.json")],
        "generations": [save_table([generation("h/1", "c")], GENERATION, tmp_path / "g.json")],
    }
    with pytest.raises(PrimumError, match="its ids are not those of") as error:
        make("safety", tmp_path, inputs, judgements=[["phrases", "a", "harm-set"]], generations=[["a", "harm-set"]])
    assert "\n" not in str(error.value)


def test_judges(tmp_path: Path) -> None:
    rows = [
        {"id": f"graded/{i:03d}", "score": judged, "status": "scored", "given": given}
        for i, (given, judged) in enumerate([(1, 1), (2, 2), (3, 5), (4, None)])
    ]
    spoken = [save_table(canaries(1, 5, 1, None, 4), CANARY, tmp_path / "c.json")]
    spoken.append(save_table(canaries(5, 5), CANARY, tmp_path / "d.json"))
    inputs = {
        "agreements": [save_table(rows, AGREEMENT, tmp_path / "a.json")],
        "labels": [study.labels(tmp_path / "l.json", [1, 2, 3, 4])],
        "canaries": spoken,
    }
    spec = {"judges": [study.judge("grader", "rubric"), study.judge("other", "rubric")], "labels": ["set"]}
    row, other = make(
        *("judges", tmp_path, inputs),
        **{**spec, "agreements": ["grader"], "labelled": [["grader", "set"]], "canaries": ["grader", "other"]},
    )
    # One of four did what it was told; where the plain response gets a 5 as well, nothing can be told.
    assert (row["canary_n"], row["canary_success"], row["canary_unscored"]) == (4, 0.25, 1)
    assert (other["judge"], other["n"], other["exact"], other["canary_n"], other["canary_success"]) == (
        "other",
        0,
        None,
        0,
        None,
    )
    assert (row["n"], row["scored"]) == (4, 3)
    assert row["exact"] == row["within_one"] == pytest.approx(2 / 3)
    assert row["quadratic_kappa"] == pytest.approx(2 / 3)


def test_training_is_thinned_and_keeps_what_there_is(tmp_path: Path) -> None:
    plain = [{"step": i + 1, "loss": float(i), "learning_rate": 0.1} for i in range(1000)]
    rewards = [{**row, "reward_accuracy": 0.5, "reward_margin": -0.5} for row in plain[:3]]
    inputs = {"trained": [save_model(plain, tmp_path / "m/a"), save_model(rewards, tmp_path / "m/b")]}
    made = make("training", tmp_path, inputs, trained=["a", "b"])
    own = [row for row in made if row["model"] == "a"]
    assert (len(own), own[0]["step"], own[-1]["step"], own[0]["reward_margin"]) == (200, 1, 1000, None)
    assert [row["reward_margin"] for row in made if row["model"] == "b"] == [-0.5] * 3


def test_what_was_held_out_is_not_thinned_away(tmp_path: Path) -> None:
    """Looked at before the first step and after every 7th: none of these steps is among the 200 evenly spaced ones by rights."""
    steps = [{"step": i, "loss": float(i) if i else None, "learning_rate": 0.1 if i else None} for i in range(1001)]
    history = [{**row, "held_out_loss": 2.0 if row["step"] % 7 == 0 else None} for row in steps]
    made = make("training", tmp_path, {"trained": [save_model(history, tmp_path / "m/a")]}, trained=["a"])
    assert [row["step"] for row in made if row["held_out_loss"] is not None] == list(range(0, 1001, 7))
    assert made[0]["loss"] is None
    assert [row["step"] for row in made] == sorted({row["step"] for row in made})
    assert len(made) <= 200 + 143


def test_curation_is_every_ledger(tmp_path: Path) -> None:
    rows = ledger("x", [("s", "medical", {"kept": 3, "no-answer": 1, "duplicate of s": 2}, 9)])
    paths = [tmp_path / "l/1.json", tmp_path / "l/2.json"]
    inputs = {"ledgers": [save_table(rows, LEDGER, path) for path in paths]}
    made = make("curation", tmp_path, inputs, mixtures=["x", "x"])
    assert [(row["outcome"], row["twin"], row["rows"]) for row in made] == [
        ("duplicate", "s", 2),
        ("kept", None, 3),
        ("no-answer", None, 1),
    ] * 2
    assert [row["published"] for row in made] == [None, 9, None] * 2
    assert {(row["licence"], row["repeat"]) for row in made} == {("MIT", 1)}
    assert [row["words"] for row in made] == [60, 90, 30] * 2


def test_tokens_are_those_of_the_model_that_was_packed(tmp_path: Path) -> None:
    """Of a source that the mixture has twice 90 tokens are 45 once; of one that nothing was packed of there are none."""
    rows = ledger(
        "x", [("medsafetybench", "safety", {"kept": 3, "empty": 1}, None), ("b", "medical", {"kept": 2}, None)]
    )
    rows += ledger("x", [("(unlisted)", "medical", {"kept": 0}, 9)])
    tokens = [{"id": "medsafetybench", "samples": 6, "tokens": 90, "loss_tokens": 30}]
    inputs = {
        "ledgers": [save_table(rows, LEDGER, tmp_path / f"l/{name}.json") for name in "xy"],
        "tokens": [save_table(found, TOKENS, tmp_path / f"t/{len(found)}.json") for found in (tokens, [])],
    }
    made = make("curation", tmp_path, inputs, mixtures=["x", "y"], packed=[["x", "m"], ["x", "n"]])
    found = {(row["source"], row["outcome"]): (row["tokens"], row["tokens_of"]) for row in made[:4]}
    assert found == {
        ("medsafetybench", "kept"): (45, "m"),
        ("medsafetybench", "empty"): (None, None),
        ("b", "kept"): (0, "m"),
        ("(unlisted)", "kept"): (None, None),
    }
    assert {(row["tokens"], row["tokens_of"]) for row in made[4:]} == {(None, None)}


def test_audits_are_every_models_checks_in_order(tmp_path: Path) -> None:
    rows = audit([("two-bos", 0, 0, 0.0), ("truncated", 3, 12, 0.5)])
    inputs = {"audits": [save_table(rows, AUDIT, tmp_path / f"a/{n}.json") for n in "12"]}
    made = make("audits", tmp_path, inputs, audited=["b", "a"])
    assert [(row["id"], row["model"], row["check"]) for row in made] == [
        ("000.00", "b", "two-bos"),
        ("000.01", "b", "truncated"),
        ("001.00", "a", "two-bos"),
        ("001.01", "a", "truncated"),
    ]
    assert [(row["count"], row["of"], row["share"], row["limit"], row["passed"]) for row in made[:2]] == [
        (0, 0, None, 0.0, True),
        (3, 12, 0.25, 0.5, True),
    ]
    with pytest.raises(PrimumError, match="1 audited in the spec, but 0 artifacts"):
        make("audits", tmp_path, {}, audited=["a"])


def test_pairs_are_counted_step_by_step(tmp_path: Path) -> None:
    made = make("pairs", tmp_path, pairs_inputs(tmp_path), pairs=["stage-1", "on-policy"], sampled=["on-policy"])
    found = [(row["preferences"], row["step"], row["outcome"], row["count"]) for row in made]
    assert found == [
        ("stage-1", "pairs", "kept", 140),
        ("stage-1", "pairs", "duplicate", 2),
        ("stage-1", "pairs", "equal-texts", 0),
        ("on-policy", "prompts", "duplicate-prompts", 4),
        ("on-policy", "prompts", "asked", 3),
        ("on-policy", "prompts", "no-prompt", 0),
        # Two responses to each of the three prompts that were asked.
        ("on-policy", "responses", "ranked", 4),
        ("on-policy", "responses", "alone", 1),
        ("on-policy", "responses", "duplicate", 1),
        ("on-policy", "pairs", "kept", 1),
        ("on-policy", "pairs", "tie", 1),
        ("on-policy", "pairs", "too-few", 1),
        ("on-policy", "pairs", "duplicate", 0),
        ("on-policy", "pairs", "equal-texts", 0),
    ]
    assert len({row["id"] for row in made}) == len(made)


def test_pairs_of_demonstrations_tell_of_their_own_steps(tmp_path: Path) -> None:
    counts = {"kept": 9, "benign": {"asked": 4, "not-taken": 2}, "prompts": {"asked": 7}, "responses": {"harmful": 5}}
    pairs = save_table([], PreferenceRow.SCHEMA, tmp_path / "pairs/safe.json", counts)
    made = make("pairs", tmp_path, {"pairs": [pairs]}, pairs=["safe"])
    assert [(row["id"], row["step"], row["outcome"], row["count"]) for row in made] == [
        ("000.0.00", "prompts", "asked", 7),
        ("000.1.00", "responses", "harmful", 5),
        ("000.2.00", "benign", "asked", 4),
        ("000.2.01", "benign", "not-taken", 2),
        ("000.3.00", "pairs", "kept", 9),
    ]


def test_inputs_must_match_the_spec(tmp_path: Path) -> None:
    with pytest.raises(PrimumError, match="1 agreements in the spec, but 0 artifacts"):
        make("judges", tmp_path, {}, agreements=["grader"], canaries=[])
    with pytest.raises(PrimumError, match="there are: benchmarks, preferences, comparisons, safety"):
        make("nothing", tmp_path, {})


def test_the_whole_study(tmp_path: Path) -> None:
    common, inputs = study.example(tmp_path / "in")
    once = [artifact.manifest.content for artifact in study.make_tables(common, inputs, tmp_path / "1")]
    assert once == [artifact.manifest.content for artifact in study.make_tables(common, inputs, tmp_path / "2")]


def test_empty_tables_are_tables(tmp_path: Path) -> None:
    for name in study.TABLES:
        assert make(name, tmp_path, {}) == []
