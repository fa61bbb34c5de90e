"""The tasks of the catalog's ``niv2`` against its rule, applied to upstream's own list of tasks in data/papers."""

import csv
import re
from collections import Counter
from pathlib import Path

from primum.experiment import load_experiment

ROOT = Path(__file__).parents[3]
PAPERS = ROOT / "data" / "papers"
DOMAINS = ("Natural Science", "Healthcare", "Medicine")
TWICE = {184, 672, 861, 868, 1168}


def rows(name: str) -> list[dict[str, str]]:
    with (PAPERS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fits(domains: str) -> bool:
    return any(domain.split(" -> ")[0] in DOMAINS for domain in domains.split(", "))


def numbers(tasks: str) -> range:
    first, _, last = tasks.partition("-")
    return range(int(first), int(last or first) + 1)


def of_all() -> list[tuple[int, str]]:
    return [(number, row["domains"]) for row in rows("niv2_domains.csv") for number in numbers(row["tasks"])]


def test_the_domains_are_of_all_tasks_of_the_list() -> None:
    found = [number for number, _ in of_all()]
    assert found == sorted(found)
    assert (found[0], found[-1], len(found)) == (1, 1731, 1613)
    assert {number for number, count in Counter(found).items() if count > 1} == TWICE
    assert max(Counter(found).values()) == 2


def test_the_named_tasks_are_all_that_have_a_domain_of_the_rule() -> None:
    named = [(int(re.match(r"task(\d+)_", row["task"])[1]), row["domains"]) for row in rows("niv2_tasks.csv")]  # type: ignore[index]
    assert named == [(number, domains) for number, domains in of_all() if fits(domains)]
    assert len(named) == 86


def test_the_catalog_lists_exactly_the_tasks_of_the_rule() -> None:
    dataset = load_experiment("med42-v2-8b", ROOT).datasets["niv2"]
    chosen = [row["task"] for row in rows("niv2_tasks.csv") if row["input"] == row["output"] == "English"]
    assert [file.path for file in dataset.files] == [f"tasks/{task}.json" for task in chosen]
    assert len(chosen) == 72
    assert dataset.options == {"least": 1000}
