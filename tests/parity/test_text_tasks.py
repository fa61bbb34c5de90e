"""lm-eval's own ``generate_until`` tasks: which load, and that what is read of an answer, and its score, are lm-eval's."""

from __future__ import annotations

import importlib.util
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from primum.errors import PrimumError
from primum.experiment.benchmarks import Benchmark
from primum.experiment.tasks import load_task
from primum.score.documents import Document
from primum.score.written import Written, conversations, written
from primum.text.rows import DocumentRow

SPEC = importlib.util.find_spec("lm_eval")
assert SPEC is not None
assert SPEC.submodule_search_locations is not None
SHIPPED = Path(SPEC.submodule_search_locations[0]) / "tasks"
# Counted over all of lm-eval 0.4.13's files with output_type: generate_until; docs/scoring.md states them.
FILES, LOADED = 4569, 2440
REFUSED = {
    **{
        "metric": 978,
        "gen_prefix": 462,
        "process_results": 312,
        "filter": 283,
        "custom_dataset": 34,
        "doc_to_image": 33,
    },
    **{"fewshot_config": 10, "!function": 10, "generation_kwargs": 6, "doc_to_audio": 1},
}


class _Plain(yaml.CSafeLoader):
    """Functions as their names."""


_Plain.add_constructor("!function", lambda _, node: node.value)


def _output_type(path: Path) -> str | None:
    """That of a file or of what it includes, read without primum's loader."""
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Plain)  # a safe loader
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
    assert (len(loaded), len(loaded) - len(refused)) == (FILES, LOADED)
    assert dict(kinds) == REFUSED


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
    "Answer: {l}", "Answer: ({l}) {o}", "{o}", "The correct answer is {o}", "I think: {l}", "", " ", "\n\n{l}\n", "yes", "No.",
    "Let's think. {n} and {n}. So the answer is {n}.\n\nQ: {l}", "**{l}**", "\\boxed{{{l}}}", "({l}) and ({m})", "valid", "{l}.",
    "\u7b54\u6848\u306f{n}\u3067\u3059\u3002", "\u0391\u03c0\u03ac\u03bd\u03c4\u03b7\u03c3\u03b7: {n}", "{l}: {o}",
    "The best answer is {l}", "[{n}]", "{n}%", "{o} or {o}", "{o}!", "(Z)", "True",
)  # fmt: skip
CHOICES = ["Guilty", "Guilty of Romance", "no", "Metformin, 500 mg", "{x} (y)", "e", "7", "True"]


def _item(seed: int, times: int, again: int) -> tuple[list[str], list[str]]:
    """So many answers to a question, and its targets: one of the first answer's own parts, or others."""
    draw = random.Random(seed)
    answers, own = [], []
    for _ in range(times):
        letters = draw.sample("ABCDEFGH", 2)
        parts = {"n": draw.choice(NUMBERS), "l": letters[0], "m": letters[1], "o": draw.choice(CHOICES)}
        own += [parts["l"], f"({parts['l']})", parts["n"], parts["o"]]
        answers.append((draw.choice(["", " ", "\n", "Hmm. "]) + draw.choice(TEXTS).format(**parts)) * again)
    known = [*NUMBERS, *CHOICES, "(A)", "A", "B", "(C)", "yes", "18"]
    return answers, own[:4] if draw.random() < 0.6 else draw.sample(known, draw.choice((1, 3)))


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
        steps = [step for pipeline in words["filters"] for step in pipeline["filter"]]
        times = max((step.get("k", 1) for step in steps), default=1)
        # A match that is not there is an error in lm-eval, and one here.
        twice = any(step.get("group_select", 0) not in (0, -1) for step in steps)
        items = [_item(1000 * number + seed, times, 1 + twice) for seed in range(150)]
        expected = theirs(task, items)
        found = [Written(Document("d", "", {"choices": CHOICES}), tuple(t), task).read(answers) for answers, t in items]
        for place, pipeline in enumerate(expected):
            assert [(each[place].text, each[place].correct) for each in found] == pipeline, words
        read = [each for several in found for each in several]
        counts.update("right" if each.correct else "fell back" if each.fell_back else "wrong" for each in read)
    assert len(forms) > 75
    assert min(counts.values()) > 300, counts


GSM = {"question": "Two and two?", "answer": "Two and two are four.\n#### 4"}
FLAN = {"question": "Which?", "choices": ["a", "b", "c", "d"], "answer": 2, "subject": "anatomy"}
# Two documents' worth of upstream columns, and the right answers, by hand.
DOCUMENTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "gsm8k/gsm8k.yaml": (GSM, (GSM["answer"],)),
    "gsm8k/gsm8k-cot.yaml": (GSM, ("4",)),
    "mmlu/flan_cot_zeroshot/mmlu_anatomy.yaml": (FLAN, ("(C)",)),
    "mmlu/generative/mmlu_anatomy.yaml": (FLAN, ("C",)),
    "bbh/cot_fewshot/boolean_expressions.yaml": ({"input": "not True", "target": "False"}, ("False",)),
    "triviaqa/default.yaml": ({"question": "Who?", "answer": {"aliases": ["A", "B"], "value": "A"}}, ("A", "B")),
    "nq_open/nq_open.yaml": ({"question": "who", "answer": ["x", "y"]}, ("x", "y")),
    "babi/babi.yaml": ({"passage": "P.", "question": "Where?", "answer": "kitchen"}, (" kitchen",)),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_shipped_text_task_asks_and_wants_what_lm_eval_does(name: str, tmp_path: Path) -> None:
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    record, right = DOCUMENTS[name]
    lines = tmp_path / "docs.jsonl"
    lines.write_text(json.dumps(record) + "\n", encoding="utf-8")
    config = load_yaml(SHIPPED / name)
    for key in (
        "training_split",
        "validation_split",
        "test_split",
        "fewshot_split",
        "dataset_name",
        "tag",
        "process_docs",
    ):
        config.pop(key, None)
    files = {"data_files": {"test": str(lines)}, "cache_dir": str(tmp_path / "cache")}
    given = {**config, "test_split": "test", "dataset_path": "json", "dataset_kwargs": files, "fewshot_config": None}
    them = ConfigurableTask(config=given)
    task = benchmark(name, fewshot={}, chat_template=False, process_docs=None).asked()
    rows = [DocumentRow("d/0000000", "d", json.dumps(record))]
    ((_, _, _, (message,)),) = conversations(rows, task, [])
    (doc,) = them.eval_docs
    assert message.content == them.fewshot_context(doc, 0)
    (one,) = written(rows, task)
    assert one.targets == right
    gold = them.doc_to_target(doc)
    assert one.targets == (tuple(gold) if isinstance(gold, list) else (gold,))
    kwargs = them.config.generation_kwargs
    assert task["generate_until"]["until"] == (
        [kwargs["until"]] if isinstance(kwargs["until"], str) else kwargs["until"]
    )


def test_a_task_with_its_own_examples_writes_them_as_lm_eval_does(tmp_path: Path) -> None:
    """bbh has its examples in the file itself."""
    name = "bbh/cot_fewshot/boolean_expressions.yaml"
    task = benchmark(name, chat_template=False)
    samples = task.generate_until.examples.samples if task.generate_until else ()
    assert len(samples) == task.fewshot.k == 3
    rows = [DocumentRow("d/0000000", "d", json.dumps({"input": "not True", "target": "False"}))]
    ((_, _, _, (message,)),) = conversations(rows, task.asked(), [])
    for sample in samples:
        assert f"Q: {sample['input']}\nA: Let's think step by step." in message.content
        assert sample["target"] in message.content
    assert (
        message.content.endswith("Q: not True\nA: Let's think step by step.\n") or "not True" in message.content[-60:]
    )


BASE = "task: own\ndataset_path: d\ntest_split: test\noutput_type: generate_until\n"
MATCH = "metric_list: [{metric: exact_match}]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MATCH + "gen_prefix: So", "gen_prefix: is not supported"),
        (MATCH + "process_results: p", "process_results: is not supported"),
        ("metric_list: [{metric: bleu}]", "metric_list: bleu: is not supported; only exact_match is"),
        ("metric_list: [{metric: exact_match, ignore_all: true}]", "exact_match.ignore_all: is not supported"),
        ("metric_list: [{metric: exact_match, ignore_case: 'true - x'}]", "ignore_case: is neither true nor false"),
        ("metric_list: [{metric: exact_match, aggregation: nanmean}]", "aggregation: only mean is supported"),
        (MATCH + "generation_kwargs: {num_beams: 4}", "generation_kwargs.num_beams: is not supported"),
        (
            MATCH + "filter_list: [{name: n, filter: [{function: format_span}]}]",
            "filter_list.n: filter format_span: is not",
        ),
        (MATCH + "filter_list: [{name: n, filter: [{function: regex}]}]", "filter_list.n: needs take_first"),
        (
            MATCH + "filter_list: [{name: n, filter: [{function: take_first}, {function: lowercase}]}]",
            "needs take_first, once and as the last filter",
        ),
        (
            MATCH + "filter_list: [{name: n, filter: [{function: regex, regex_pattern: '('}, {function: take_first}]}]",
            "a pattern is no regular expression",
        ),
        (MATCH + "fewshot_config: {samples: 3}", "fewshot_config.samples: only a list of records is supported"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_name(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"{BASE}{text}\n")
    with pytest.raises(PrimumError) as caught:
        load_task(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
