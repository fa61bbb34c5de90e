"""The table of comparisons, and the cells it compares, from artifacts whose numbers can be worked out by hand."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import study
from scipy.stats import t as student
from study import SCORES, save_table, score
from test_tables import bench, make

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.tables.answers import read_answers
from primum.tables.statistics import proportion

Rows = list[dict[str, Any]]


def answered(tmp_path: Path, answers: dict[tuple[str, str], Rows], *benchmarks: dict[str, Any]) -> dict[str, Any]:
    """What ``make`` takes: score artifacts by (model, benchmark), with models that descend from nobody."""
    saved = [save_table(rows, SCORES, tmp_path / model / f"{name}.json") for (model, name), rows in answers.items()]
    models = [{"name": name, "start": None} for name in dict.fromkeys(model for model, _ in answers)]
    scores = [list(key) for key in answers]
    return {"inputs": {"scores": saved}, "scores": scores, "models": models, "benchmarks": list(benchmarks)}


def marks(name: str, pattern: str, subject: str = "", **fields: Any) -> Rows:
    """A row for each of ``pattern``: 1 is right."""
    return [score(f"{name}/{i:03d}", mark == "1", 4, subject) | fields for i, mark in enumerate(pattern)]


def test_a_comparison_by_hand(tmp_path: Path) -> None:
    # "a" is right on 8 of 10 and "b" on 5: both on 4, a alone on 4, b alone on 1, neither on 1.
    given = answered(tmp_path, {("b", "m"): marks("m", "1111000010"), ("a", "m"): marks("m", "1111111100")}, bench("m"))
    row, average = make("comparisons", tmp_path, **given)
    assert (row["group"], row["model"], row["against"], row["other"], row["n"]) == ("benchmark", "b", "best", "a", 10)
    assert (row["both"], row["only_model"], row["only_other"], row["neither"]) == (4, 1, 4, 1)
    assert row["difference"] == pytest.approx(-0.3)
    assert row["ci_low"] <= -0.3 <= row["ci_high"]
    # By item -1 four times, +1 once: s² = (5 - 10 x 0.09) / 9, and 2/10² for the two more.
    assert row["stderr"] == pytest.approx((4.1 / 9 / 10 + 2 / 100) ** 0.5)
    assert row["p_value"] == pytest.approx(2 * student.sf(0.3 / row["stderr"], 9))
    assert (average["benchmark"], average["both"]) == ("average", None)
    assert average["difference"] == pytest.approx(-0.3)
    # Two tests of one and the same are the family.
    assert row["p_holm"] == average["p_holm"] == pytest.approx(min(1, 2 * row["p_value"]))
    assert row["level"] == 0.975
    half = student.ppf(0.9875, 9) * row["stderr"]
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((-0.3 - half, -0.3 + half))
    assert row["detectable"] == pytest.approx(half + student.ppf(0.8, 9) * row["stderr"])
    assert (row["tied"], row["equivalent"], row["margin"]) == (True, False, 0.02)


def test_the_best_is_told_apart_where_it_is(tmp_path: Path) -> None:
    worse, good, best = "1" * 20 + "0" * 40, "1" * 48 + "0" * 12, "1" * 50 + "0" * 10
    given = answered(
        tmp_path,
        {("a", "m"): marks("m", worse), ("b", "m"): marks("m", best), ("c", "m"): marks("m", good)},
        bench("m"),
    )
    rows = {row["model"]: row for row in make("comparisons", tmp_path, **given) if row["benchmark"] == "m"}
    assert set(rows) == {"a", "c"}, "the best is not compared with itself"
    assert {row["other"] for row in rows.values()} == {"b"}
    assert (rows["a"]["tied"], rows["c"]["tied"]) == (False, True)
    # Three pairs of models in each of two columns: six tests, of which the two of the worse model are rejected.
    assert (rows["a"]["level"], rows["c"]["level"]) == pytest.approx((1 - 0.05 / 6, 1 - 0.05 / 4))
    assert rows["a"]["ci_high"] < 0 < rows["c"]["ci_high"]


def test_against_the_start_is_a_family_of_its_own(tmp_path: Path) -> None:
    given = answered(tmp_path, {("a", "m"): marks("m", "11110000"), ("b", "m"): marks("m", "11111111")}, bench("m"))
    given["models"][1]["start"] = "a"
    rows = [row for row in make("comparisons", tmp_path, **given) if row["benchmark"] == "m"]
    assert [(row["model"], row["against"], row["other"]) for row in rows] == [("a", "best", "b"), ("b", "start", "a")]
    assert rows[0]["p_value"] == rows[1]["p_value"]
    assert rows[0]["difference"] == -rows[1]["difference"] == -0.5
    # A family has two tests, of the benchmark and of the average: the smaller p is doubled, the larger raised to it.
    every = make("comparisons", tmp_path, **given)
    for against in ("best", "start"):
        low, high = sorted((row for row in every if row["against"] == against), key=lambda row: row["p_value"])
        assert low["p_holm"] == pytest.approx(2 * low["p_value"])
        assert high["p_value"] == pytest.approx(low["p_value"]), "the average of one benchmark is it"
        assert high["p_holm"] == pytest.approx(max(2 * low["p_value"], high["p_value"]))


def test_a_macro_mean_is_compared_within_subjects(tmp_path: Path) -> None:
    # By subject the differences are -1 (1 item) and 0 (9 items): the macro difference is -1/2, not -1/10.
    first = [*marks("m/x", "0", "x"), *marks("m/y", "111111111", "y")]
    second = [*marks("m/x", "1", "x"), *marks("m/y", "111111111", "y")]
    given = answered(tmp_path, {("a", "m"): first, ("b", "m"): second}, bench("m", macro=True))
    row = make("comparisons", tmp_path, **given)[0]
    assert (row["difference"], row["only_other"], row["n"]) == (-0.5, 1, 10)


def test_other_items_are_refused_with_their_counts(tmp_path: Path) -> None:
    given = answered(tmp_path, {("a", "m"): marks("m", "1100"), ("b", "m"): marks("m", "11111")}, bench("m"))
    given["models"][1]["start"] = "a"
    for row in make("comparisons", tmp_path, **given):
        assert row["note"] == "m: 4 items shared, of 4 and 5" or row["note"] == "m: 4 items shared, of 5 and 4"
        assert (row["n"], row["difference"], row["p_value"], row["p_holm"], row["tied"]) == (0, None, None, None, None)
    changed = next(row for row in make("benchmarks", tmp_path, **given) if row["model"] == "b")
    assert (changed["change"], changed["note"]) == (None, "its start answered other items")


def test_no_average_is_compared_over_unequal_sets(tmp_path: Path) -> None:
    given = answered(
        tmp_path,
        {("a", "one"): marks("one", "1100"), ("a", "two"): marks("two", "10"), ("b", "one"): marks("one", "1000")},
        bench("one"),
        bench("two"),
    )
    average = next(row for row in make("comparisons", tmp_path, **given) if row["benchmark"] == "average")
    assert (average["model"], average["note"], average["difference"]) == ("b", "b: unequal sets: lacks two", None)


def test_a_mean_of_benchmarks_counts_once(tmp_path: Path) -> None:
    # 1/4 and 3/4: their mean is 1/2; the average with 1 is 3/4, not (1 + 1/4 + 3/4) / 3.
    rows = {
        ("a", "one"): marks("one", "1000"),
        ("a", "two"): marks("two", "1110"),
        ("a", "three"): marks("three", "11"),
    }
    given = answered(tmp_path, rows, bench("one", part_of="USMLE"), bench("two", part_of="USMLE"), bench("three"))
    made = {row["benchmark"]: row for row in make("benchmarks", tmp_path, **given)}
    assert list(made) == ["one", "two", "USMLE", "three", "average"]
    assert (made["USMLE"]["accuracy"], made["average"]["accuracy"]) == (0.5, 0.75)
    # Both parts have variance 3/16 / 3 = 1/16: the mean's standard error is sqrt(2/16) / 2, and the average's half that.
    assert made["USMLE"]["stderr"] == pytest.approx((2 / 16) ** 0.5 / 2)
    assert made["average"]["stderr"] == pytest.approx((2 / 16) ** 0.5 / 4)
    assert (made["USMLE"]["interval"], made["USMLE"]["n"], made["average"]["n"]) == ("effective", 8, 10)


def test_a_difference_is_that_of_the_accuracies(tmp_path: Path) -> None:
    chance = random.Random(5)
    answers = {
        (model, name): [score(f"{name}/{i:03d}", chance.random() < 0.5, 4, f"s{i % 5 % 3}") for i in range(n)]
        for model in ("a", "b")
        for name, n in {"one": 11, "two": 11, "three": 11, "four": 5}.items()
    }
    benchmarks = [bench("one", part_of="Both"), bench("two", macro=True, part_of="Both"), bench("three", macro=True)]
    given = answered(tmp_path, answers, *benchmarks, bench("four"))
    given |= {"groups": [{"name": "suite", "title": "", "benchmarks": ["four", "three"], "weight_by_size": True}]}
    whole = [row for row in make("benchmarks", tmp_path, **given) if not row["subject"]]
    accuracy = {(row["model"], row["benchmark"]): row["accuracy"] for row in whole}
    rows = make("comparisons", tmp_path, **given)
    assert [row["benchmark"] for row in rows] == ["one", "two", "Both", "suite", "average"]
    for row in rows:
        expected = accuracy[row["model"], row["benchmark"]] - accuracy[row["other"], row["benchmark"]]
        assert row["difference"] == pytest.approx(expected)


def seeded(tmp_path: Path, a: Rows, b: Rows) -> dict[str, Any]:
    return answered(tmp_path, {("a", "m"): a, ("b", "m"): b}, bench("m"))


def by_seed(marks_: list[str], **fields: Any) -> Rows:
    """A row for each item of ``marks_`` and each seed of its marks."""
    return [
        score(f"m/{i}@{seed}", mark == "1") | {"item": f"m/{i}", "seed": seed} | fields
        for i, item in enumerate(marks_)
        for seed, mark in enumerate(item)
    ]


def test_items_and_seeds_are_crossed(tmp_path: Path) -> None:
    # Items are right in 2, 1 and 0 of 2 seeds: s² = 1/4 over 3; the seeds on 2/3 and 1/3 of the items: s² = 1/18 over 2.
    given = seeded(tmp_path, by_seed(["11", "10", "00"]), by_seed(["11", "11", "11"]))
    row = make("benchmarks", tmp_path, **given)[0]
    assert (row["n"], row["seeds"], row["correct"], row["accuracy"], row["interval"]) == (3, 2, 3, 0.5, "crossed")
    assert row["stderr"] == pytest.approx((1 / 12 + 1 / 36) ** 0.5)
    compared = make("comparisons", tmp_path, **given)[0]
    assert (compared["difference"], compared["both"], compared["n"]) == (-0.5, None, 3)
    # The other is always right: the differences have the same variances, and the two more items.
    assert compared["stderr"] == pytest.approx((1 / 12 + 2 / 9 + 1 / 36) ** 0.5)


def test_what_a_seed_does_to_both_models_is_no_difference(tmp_path: Path) -> None:
    """Seed 0 is good and seed 1 bad for both alike: each accuracy is unsure, the difference is not for this."""
    given = seeded(tmp_path, by_seed(["10"] * 9 + ["11"]), by_seed(["10"] * 9 + ["10"]))
    row = make("comparisons", tmp_path, **given)[0]
    # By item 0 but for one 1/2, so s² = 1/40; by seed 0 and 1/10, so 1/200 over 2.
    assert row["stderr"] == pytest.approx((1 / 40 / 10 + 2 / 100 + 1 / 400) ** 0.5)
    assert make("benchmarks", tmp_path, **given)[0]["ci_low"] < 0.1
    # One of them was asked after other examples: then it is.
    apart = by_seed(["10"] * 9 + ["11"])
    other = [row | {"seed": row["seed"] + 5, "id": row["id"] + "5"} for row in by_seed(["10"] * 9 + ["10"])]
    row = make("comparisons", tmp_path, **seeded(tmp_path / "2", apart, other))[0]
    assert row["stderr"] == pytest.approx((1 / 40 / 10 + 2 / 100 + 0.81 / 4 + 1 / 4) ** 0.5)


def test_clusters_reach_every_interval_and_every_test(tmp_path: Path) -> None:
    """Five passages of four questions, each all right or all wrong: as five items, not as twenty."""
    passages = {"a": "11101", "b": "00101"}
    answers = {
        (model, "m"): [score(f"m/{i:02d}", pattern[i // 4] == "1") | {"cluster": f"{i // 4:x}"} for i in range(20)]
        for model, pattern in passages.items()
    }
    given = answered(tmp_path, answers, bench("m"))
    clustered = make("benchmarks", tmp_path, **given)[0]
    # 1, 1, 1, 0, 1: s² = 1/5 over 5.
    assert (clustered["n"], clustered["accuracy"], clustered["interval"]) == (20, 0.8, "effective")
    assert clustered["stderr"] == pytest.approx(0.2)
    row = make("comparisons", tmp_path, **given)[0]
    # b minus a is -1, -1, 0, 0, 0: s² = 3/10 over 5.
    assert row["stderr"] == pytest.approx((0.3 / 5 + 2 / 400) ** 0.5)
    assert row["p_value"] == pytest.approx(2 * student.sf(0.4 / row["stderr"], 4))
    plain = {key: [row | {"cluster": None} for row in rows] for key, rows in answers.items()}
    alone = answered(tmp_path / "2", plain, bench("m"))
    assert make("benchmarks", tmp_path, **alone)[0]["ci_low"] > clustered["ci_low"]
    assert make("comparisons", tmp_path, **alone)[0]["p_value"] < row["p_value"]


def test_every_item_needs_every_seed_once(tmp_path: Path) -> None:
    rows = [score(f"m/{i}@{s}", True) | {"item": f"m/{i}", "seed": s} for i in range(2) for s in range(2)]
    with pytest.raises(PrimumError, match="row m/1@0: its item lacks a few-shot seed, or has one twice"):
        read_answers(save_table(rows[:3], SCORES, tmp_path / "less.json"))
    twice = [rows[0], rows[1] | {"seed": 0}]
    with pytest.raises(PrimumError, match="row m/0@0: its item lacks a few-shot seed, or has one twice"):
        read_answers(save_table(twice, SCORES, tmp_path / "twice.json"))
    mixed = [score("m/0", True), score("m/1", True) | {"method": "generation"}]
    with pytest.raises(PrimumError, match="is answered by generation and by loglikelihood"):
        read_answers(save_table(mixed, SCORES, tmp_path / "mixed.json"))


def test_clean_accuracy_is_beside_the_full_one(tmp_path: Path) -> None:
    # Right: 3 of 4 flagged, 1 of 4 clean, 1 of 2 unknown.
    flagged = [None if i > 7 else i < 4 for i in range(10)]
    rows = [row | {"contaminated": flag} for row, flag in zip(marks("m", "1110100010"), flagged, strict=True)]
    clean = [row | {"contaminated": False} for row in rows]
    given = answered(tmp_path, {("a", "m"): rows, ("b", "m"): clean, ("c", "m"): marks("m", "1" * 10)}, bench("m"))
    made = {row["model"]: row for row in make("benchmarks", tmp_path, **given) if row["benchmark"] == "m"}
    row = made["a"]
    assert (row["accuracy"], row["flagged"], row["unknown"], row["clean_n"]) == (0.5, 4, 2, 4)
    expected = proportion(1, 4)
    assert (row["clean_accuracy"], row["clean_low"], row["clean_high"]) == (0.25, expected.low, expected.high)
    assert (made["b"]["flagged"], made["b"]["clean_n"], made["b"]["clean_accuracy"]) == (0, 10, None)
    assert (made["c"]["flagged"], made["c"]["unknown"], made["c"]["clean_accuracy"]) == (0, 10, None)


def test_the_unanswered_is_wrong_and_counted(tmp_path: Path) -> None:
    rows = marks("m", "1111", method="generation")
    rows[0] |= {"status": "no-answer", "prediction": -1}
    row = make("benchmarks", tmp_path, **answered(tmp_path, {("a", "m"): rows}, bench("m")))[0]
    assert (row["method"], row["accuracy"], row["unanswered"], row["correct"]) == ("generation", 0.75, 1, 3)


def test_the_order_of_rows_and_of_models_changes_no_number(tmp_path: Path) -> None:
    chance = random.Random(3)
    answers = {
        (model, name): [score(f"{name}/{i:03d}", chance.random() < 0.6, 4, f"s{i % 3}") for i in range(30)]
        for model in ("a", "b", "c")
        for name in ("m", "n")
    }
    one = answered(tmp_path / "1", answers, bench("m", macro=True), bench("n"))
    # Row ids decide an artifact's order: give the same items ids in another one.
    moved = {
        key: [row | {"id": f"{chance.random():.9f}"} for row in rows] for key, rows in reversed(list(answers.items()))
    }
    two = answered(tmp_path / "2", moved, bench("m", macro=True), bench("n"))
    for table in ("benchmarks", "comparisons"):
        rows = [
            sorted(({k: v for k, v in row.items() if k != "id"} for row in make(table, tmp_path, **given)), key=str)
            for given in (one, two)
        ]
        assert rows[0] == rows[1]


def test_a_third_model_changes_no_test(tmp_path: Path) -> None:
    chance = random.Random(11)
    answers = {
        (m, "m"): [score(f"m/{i:03d}", chance.random() < p) for i in range(300)] for m, p in (("a", 0.5), ("b", 0.6))
    }
    alone = make("comparisons", tmp_path, **answered(tmp_path / "1", answers, bench("m")))
    more = {**answers, ("c", "m"): marks("m", "0" * 300)}
    beside = make("comparisons", tmp_path, **answered(tmp_path / "2", more, bench("m")))
    keys = ("model", "other", "benchmark", "difference", "stderr", "p_value")
    rows = [[tuple(row[key] for key in keys) for row in made if row["model"] != "c"] for made in (alone, beside)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 2


def test_the_study_has_comparisons_of_both_groups(tmp_path: Path) -> None:
    common, inputs = study.example(tmp_path / "in")
    tables: list[Artifact] = study.make_tables(common, inputs, tmp_path)
    rows = dict(zip(study.TABLES, tables, strict=True))["comparisons"].table().to_pylist()
    assert {row["group"] for row in rows} == {"benchmark", "preference"}
    # Seven models: six against the best, and six that have a start, in each of 8 + 4 columns.
    assert len(rows) == 12 * 12
    compared = [row for row in rows if row["tied"] is not None]
    assert all(row["tied"] == (row["ci_low"] <= 0 <= row["ci_high"]) == (row["p_holm"] >= 0.05) for row in compared)
    assert {row["tied"] for row in compared} == {True, False}
    safety = dict(zip(study.TABLES, tables, strict=True))["safety"].table().to_pylist()
    changed = [row for row in safety if row["change"] is not None]
    assert all(row["tied"] == (row["change_low"] <= 0 <= row["change_high"]) for row in changed)
    assert {row["tied"] for row in changed} == {True, False}
    assert not [row for row in safety if row["mean"] is not None and row["ci_low"] == row["ci_high"]]
