"""lm-eval's own ``generate_until`` tasks: which load, and that what is read of an answer, and its score, are lm-eval's."""

from __future__ import annotations

import importlib.util
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from primum.errors import PrimumError
from primum.experiment.tasks import load_task
from primum.experiment.types import Benchmark
from primum.score.documents import Document, documents
from primum.score.written import Written, conversations, written
from primum.text.rows import DocumentRow

SPEC = importlib.util.find_spec("lm_eval")
assert SPEC is not None
assert SPEC.submodule_search_locations is not None
SHIPPED = Path(SPEC.submodule_search_locations[0]) / "tasks"
# Counted over all of lm-eval 0.4.13's files with output_type: generate_until; docs/scoring.md states them.
FILES, LOADED = 4569, 2395
REFUSED = {
    "metric": 1037,
    "filter": 286,
    "gen_prefix": 475,
    "process_results": 257,
}


class _Plain(yaml.CSafeLoader):
    """Functions as their names."""


_Plain.add_constructor("!function", lambda _, node: node.value)


def _output_type(path: Path) -> str | None:
    """That of a file or of what it includes, read without primum's loader."""
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Plain)  # noqa: S506 - a safe loader
    if content.get("output_type") is not None:
        return str(content["output_type"])
    included = content.get("include") or []
    found = [_output_type(path.parent / name) for name in ([included] if isinstance(included, str) else included)]
    return next((each for each in reversed(found) if each), None)


@pytest.fixture(scope="module")
def loaded() -> dict[str, Benchmark | str]:
    """Every file as a benchmark, or why it is refused."""
    found: dict[str, Benchmark | str] = {}
    for path in sorted([*SHIPPED.rglob("*.yaml"), *SHIPPED.rglob("*.yml")]):
        if _output_type(path) != "generate_until":
            continue
        name = str(path.relative_to(SHIPPED))
        try:
            found[name] = benchmark(name)
        except PrimumError as error:
            found[name] = str(error).removeprefix(f"{path}: ").partition(";")[0]
    return found


def benchmark(name: str, **keys: Any) -> Benchmark:
    task = load_task(SHIPPED / name)
    return Benchmark.model_validate({**task, "dataset": "d", "fewshot": {**task["fewshot"], "dataset": "d"}, **keys})


def test_every_file_loads_or_is_refused_by_name(loaded: dict[str, Benchmark | str]) -> None:
    refused = [why for why in loaded.values() if isinstance(why, str)]
    kinds = Counter(_kind(why) for why in refused)
    print(kinds, len(loaded), len(loaded) - len(refused))
    assert (len(loaded), len(loaded) - len(refused)) == (FILES, LOADED)
    assert dict(kinds.most_common(len(REFUSED))) == REFUSED


def _kind(why: str) -> str:
    assert "\n" not in why
    for kind in ("metric_list", "filter_list", "generation_kwargs", "fewshot_config", "!function"):
        if why.startswith(kind):
            return {"metric_list": "metric", "filter_list": "filter"}.get(kind, kind)
    return why.partition(":")[0]


# Answers of the kinds that filters look for, and others.
NUMBERS = ("7", "-3.5", "1,234", "18", "0", "$42", "6.")
TEXTS = (
    "#### {n}", "The answer is {n}.", "{n}", "So the answer is {l}.", "the answer is ({l})", "({l})", "answer is {l}", "{l}",
    "Answer: {l}", "Answer: ({l}) {o}", "{o}", "The correct answer is {o}", "I think: {l}", "", " ", "\n\n{l}\n", "yes", "No.", "True",
    "Let's think. {n} and {n}. So the answer is {n}.\n\nQ: {l}", "**{l}**", "\\boxed{{{l}}}", "\u7b54\u6848\u306f{n}\u3067\u3059\u3002", "({l}) and ({m})",
    "\u0391\u03c0\u03ac\u03bd\u03c4\u03b7\u03c3\u03b7: {n}", "valid", "{l}.", "{l}: {o}", "The best answer is {l}", "[{n}]", "{n}%", "{o} or {o}", "{o}!", "(Z)",
)  # fmt: skip
CHOICES = ["Guilty", "Guilty of Romance", "no", "Metformin, 500 mg", "{x} (y)", "e", "7", "True"]


def _answers(seed: int, count: int) -> Iterator[str]:
    draw = random.Random(seed)
    for _ in range(count):
        letters = draw.sample("ABCDEFGH", 2)
        parts = {"n": draw.choice(NUMBERS), "l": letters[0], "m": letters[1], "o": draw.choice(CHOICES)}
        yield "".join(draw.sample(["", " ", "\n", "Hmm. "], 1) + [draw.choice(TEXTS).format(**parts)])


def theirs(
    task: Mapping[str, Any], items: Sequence[tuple[Sequence[str], Sequence[str]]]
) -> list[list[tuple[str, bool]]]:
    """What lm-eval's filters and metric make of items (answers, targets): by pipeline and item the text and the score."""
    from lm_eval.api.instance import Instance
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters import build_filter_ensemble

    words = task["generate_until"]
    instances = []
    for number, (answers, _) in enumerate(items):
        instance = Instance("generate_until", {"choices": CHOICES}, ("", {}), 0, ("t", number, len(answers)))
        instance.resps = list(answers)
        instances.append(instance)
    options = {**words["exact_match"], "regexes_to_ignore": words["exact_match"]["regexes_to_ignore"] or None}
    result = []
    for pipeline in words["filters"] or [{"name": "none", "filter": [{"function": "take_first"}]}]:
        steps = [
            [step["function"], {key: value for key, value in step.items() if key != "function"}]
            for step in pipeline["filter"]
        ]
        build_filter_ensemble(pipeline["name"], steps).apply(instances)
        texts = [instance.filtered_resps[pipeline["name"]] for instance in instances]
        scores = [
            exact_match_hf_evaluate([text] * len(targets), list(targets), **options)["exact_match"] > 0
            for text, (_, targets) in zip(texts, items, strict=True)
        ]
        result.append([(text, bool(score)) for text, score in zip(texts, scores, strict=True)])
    return result


def test_what_is_read_is_what_lm_eval_reads(loaded: dict[str, Benchmark | str]) -> None:
    """For each form of filters and metric that occurs in any of the files that load."""
    tasks = [each.asked() for each in loaded.values() if isinstance(each, Benchmark)]
    forms = {json.dumps([t["generate_until"][key] for key in ("filters", "exact_match")]): t for t in tasks}
    counts: Counter[str] = Counter()
    for number, task in enumerate(forms.values()):
        words = task["generate_until"]
        words["until"] = ()
        draw = random.Random(number)
        steps = [step for pipeline in words["filters"] for step in pipeline["filter"]]
        times = max((step.get("k", 1) for step in steps), default=1)
        # A match that is not there is an error in lm-eval, and one here.
        twice = any(step.get("group_select", 0) not in (0, -1) for step in steps)
        known = [*NUMBERS, *CHOICES, "(A)", "A", "B", "(C)", "yes", "18"]
        items = [
            (
                [answer * (1 + twice) for answer in _answers(1000 * number + seed, times)],
                draw.sample(known, draw.choice((1, 1, 3))),
            )
            for seed in range(150)
        ]
        expected = theirs(task, items)
        found = [Written(Document("d", "", {"choices": CHOICES}), tuple(t), task).read(answers) for answers, t in items]
        for place, pipeline in enumerate(expected):
            assert [(each[place].text, each[place].correct) for each in found] == pipeline, words
        read = [each for several in found for each in several]
        counts.update("right" if each.correct else "fell back" if each.fell_back else "wrong" for each in read)
    assert len(forms) > 75
    assert min(counts.values()) > 300, counts
