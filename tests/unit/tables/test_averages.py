"""Which columns an accuracy table has, and what they are means of."""

from __future__ import annotations

from primum.tables.averages import AVERAGE, Column, columns


def test_a_mean_follows_its_parts_and_counts_once() -> None:
    made = columns([("medqa", ""), ("usmle-1", "USMLE"), ("usmle-2", "USMLE"), ("toxigen", "")])
    assert [column.name for column in made] == ["medqa", "usmle-1", "usmle-2", "USMLE", "toxigen", AVERAGE]
    usmle, average = made[3], made[-1]
    assert [part.name for part in usmle.parts] == ["usmle-1", "usmle-2"]
    assert [part.name for part in average.parts] == ["medqa", "USMLE", "toxigen"]
    assert average.benchmarks == ("medqa", "usmle-1", "usmle-2", "toxigen")


def test_parts_need_not_be_neighbours() -> None:
    made = columns([("a", "Both"), ("b", ""), ("c", "Both")])
    assert [column.name for column in made] == ["a", "b", "c", "Both", AVERAGE]
    assert [part.name for part in made[-1].parts] == ["b", "Both"]


def test_a_part_alone_stands_for_itself() -> None:
    assert columns([("usmle-1", "USMLE")]) == (Column("usmle-1"), Column(AVERAGE, (Column("usmle-1"),)))
    assert columns([]) == (Column(AVERAGE),)


def test_the_largest_group_counts_once() -> None:
    groups = [
        {"name": "mmlu", "benchmarks": ["anatomy", "law", "biology"], "weight_by_size": True},
        {"name": "stem", "benchmarks": ["anatomy", "biology"], "weight_by_size": False},
        {"name": "others", "benchmarks": ["elsewhere", "law"], "weight_by_size": True},
    ]
    made = columns([(name, "") for name in ("anatomy", "biology", "medqa", "law")], groups)
    assert [column.name for column in made] == ["anatomy", "biology", "stem", "medqa", "law", "mmlu", AVERAGE]
    stem, mmlu, average = made[2], made[5], made[-1]
    assert (stem.by_size, mmlu.by_size, average.by_size) == (False, True, None)
    assert mmlu.benchmarks == ("anatomy", "biology", "law")
    assert [part.name for part in average.parts] == ["medqa", "mmlu"]


def test_groups_of_equal_benchmarks_count_once() -> None:
    groups = [{"name": name, "benchmarks": ["a"], "weight_by_size": True} for name in ("inner", "outer")]
    made = columns([("a", "")], groups)
    assert [column.name for column in made] == ["a", "inner", "outer", AVERAGE]
    assert [part.name for part in made[-1].parts] == ["outer"]
