"""All of lm-eval's multiple-choice files: how many load, each kind of key against lm-eval's own requests, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest

from primum.errors import PrimumError
from primum.experiment.benchmarks import Benchmark
from primum.experiment.task_files import Code, read_task
from primum.experiment.tasks import load_task
from primum.score.documents import documents
from primum.score.loglikelihood import Likelihood
from primum.score.requests import _asked
from primum.score.stage import _record
from primum.score.tried import try_task
from primum.score.worth import worth
from primum.text.rows import DocumentRow

SPEC = importlib.util.find_spec("lm_eval")
assert SPEC is not None
assert SPEC.submodule_search_locations is not None
SHIPPED = Path(SPEC.submodule_search_locations[0]) / "tasks"
DOCS = Path(__file__).parents[2] / "docs" / "scoring.md"
METRICS = {"none": "acc", "characters": "acc_norm", "bytes": "acc_bytes"}


# What lm-eval ships ---------------------------------------------------------------------------------------------------


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    """Every multiple-choice file, with what it includes, by its place in lm-eval's folder."""
    from lm_eval.tasks._yaml_loader import load_yaml

    found = {}
    for path in sorted(SHIPPED.rglob("*.y*ml")):
        text = path.read_text(encoding="utf-8")
        # Reading every file in full takes a minute: the others say what they are in a line of their own.
        if re.search(r"^output_type: *[\"']?(generate_until|loglikelihood)", text, re.MULTILINE):
            continue
        try:
            task = read_task(path)
        except PrimumError:
            assert load_yaml(path, resolve_func=False).get("output_type") != "multiple_choice"
            continue
        if task.get("output_type") == "multiple_choice" and isinstance(task.get("task"), str):
            found[path.relative_to(SHIPPED).as_posix()] = task
    return found


@cache
def _loaded() -> dict[str, Benchmark | str]:
    """Each as a benchmark, or why it is refused."""
    found: dict[str, Benchmark | str] = {}
    for name in _shipped():
        try:
            keys = load_task(SHIPPED / name)
            found[name] = Benchmark.model_validate({**keys, "dataset": keys.get("dataset", "d")})
        except PrimumError as error:
            found[name] = str(error).removeprefix(f"{SHIPPED / name}: ")
    return found


def test_how_many_files_load_is_what_the_documentation_says() -> None:
    refused = Counter(
        " ".join(said.split(": ")[:2] if said.startswith("metric_list") else said.split(": ")[:1])
        for said in _loaded().values()
        if isinstance(said, str)
    )
    table = dict(re.findall(r"^\| `([^|]+)` \| ([0-9,]+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert {key: int(count.replace(",", "")) for key, count in table.items()} == _by_key(refused)
    text = DOCS.read_text(encoding="utf-8")
    assert f"Of its {len(_loaded()):,} multiple-choice files, {len(_loaded()) - refused.total():,} load" in text


def _by_key(refused: Counter[str]) -> dict[str, int]:
    """By key; of metrics by the first that the file names."""
    counts: Counter[str] = Counter()
    for said, count in refused.items():
        counts[said.partition(",")[0].replace(" ", ": ", 1)] += count
    return dict(counts)


# What a key may look like -----------------------------------------------------------------------------------------------


def _forms(task: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in task.items():
        if isinstance(value, Code):
            yield key, "function"
        elif key == "metric_list":
            for metric in value:
                name, aggregation = str(metric["metric"]), metric.get("aggregation")
                known = name if name in ("acc", "acc_norm", "acc_bytes", "f1", "mcc", "exact_match") else "another"
                yield key, f"{known}: {'function' if isinstance(aggregation, Code) else aggregation}"
        elif key == "fewshot_config" and value is not None:
            yield from (
                (key, f"{name}: {each if isinstance(each, str) else type(each)}") for name, each in value.items()
            )
        elif key == "metadata":
            yield key, f"version: {type(value.get('version')).__name__}"
        elif key == "num_fewshot":
            yield key, "0" if value == 0 else "more" if value else "none"
        elif key.startswith("doc_to_") and isinstance(value, str):
            yield key, "template" if "{" in value else "text"
        else:
            yield key, f"{value!r}" if key.endswith("delimiter") else type(value).__name__


def test_every_key_in_every_form_that_occurs_is_tried() -> None:
    tried = {form for name in (*TASKS, *REFUSED) for form in _forms(_shipped()[name])}
    everywhere = {form: name for name, task in _shipped().items() for form in _forms(task)}
    assert not {form: name for form, name in everywhere.items() if form not in tried}
    assert len(everywhere) > 50


# Made-up rows in upstream columns: the first two are asked (or as many as process_docs leaves), the others are examples -------


def _bbh(i: int) -> dict[str, Any]:
    return {"input": f"Which statement is sarcastic?\nOptions:\n(A) {i}\n(B) more", "target": f"({'AB'[i % 2]})"}


def _mc2(i: int) -> dict[str, Any]:
    return {"choices": [f"right {i}", "also right", "wrong", "wrong too"], "labels": [1, 1, 0, 0]}


def _winogrande(i: int) -> dict[str, Any]:
    return {
        "sentence": f"Cup {i} holds more than the glass, so the _ is big .",
        "option1": "cup",
        "option2": "glass",
    } | {"answer": str(i % 2 + 1)}


def _four(i: int) -> dict[str, Any]:
    return {"question": f" Question {i}? ", "choices": ["a", "bb", f"c{i}", "d"], "answer": (i + 2) % 4}


def _copa(i: int) -> dict[str, Any]:
    return (
        {"premise": f"Number {i} fell. ", "question": ("cause", "effect")[i % 2], "choice1": "It slid."}
        | {"choice2": "It broke."}
        | {"label": i % 2}
    )


TASKS: dict[str, Any] = {
    "aradice/ArabicMMLU/EGY/AraDiCE_ArabicMMLU_high_stem_biology.yaml": lambda i: (
        {"Subject": "Biology", "Level": ("High", "")[i % 2], "Country": "Egypt", "context": ("", "Read.")[i % 2]}
        | {"question": f"Which, {i}?", "options": {"A": "x", "B": "y", "C": "z"}, "Answer Key": "ABC"[i % 3]}
    ),
    "truthfulqa-multi/truthfulqa-multi_mc2_ca.yaml": lambda i: {"question": f"Is it, {i}?", "mc2_targets": _mc2(i)},
    "med_text_classification/med_text_classification_easy.yaml": lambda i: {"text": f"Text {i}.", "class": i % 5 + 1},
    "turblimp/binding.yaml": lambda i: {"sentence_good": f"It sees itself {i}.", "sentence_bad": f"It see itself {i}."},
    "leaderboard/bbh_mc/snarks.yaml": _bbh,
    "toksuite/toksuite_math/toksuite_math_farsi.yaml": _four,
    "toksuite/toksuite_stem/toksuite_stem_latex.yaml": _four,
    "mc_taco/default.yaml": lambda i: (
        {"sentence": f"He ran {i} miles.", "question": "How long?", "answer": "an hour", "label": i % 2}
    ),
    "noreval/norbelebele/norbelebele_p3.yaml": lambda i: (
        {"question": f"Hva, {i}?", "flores_passage": "Tekst.", "correct_answer_num": str(i % 4 + 1)}
        | {f"mc_answer{n}": f"svar {n}" for n in (1, 2, 3, 4)}
    ),
    "global_piqa/parallel_cloze/acm_arab.yaml": lambda i: (
        {"prompt": f"p {i}", "label": i % 4} | {f"solution{n}": f"s\u00e9{'e' * n}" for n in (0, 1, 2, 3)}
    ),
    "japanese_leaderboard/ja_leaderboard_xwinograd.yaml": lambda i: (
        {"sentence1": f" a {i} ", "sentence2": f"b {i}", "answer": str(i % 2 + 1)}
    ),
    "xcopa/default_et.yaml": _copa,
    "super_glue/copa/default.yaml": _copa,
    "leaderboard/mmlu_pro/mmlu_pro.yaml": lambda i: (
        {"question": f"Q {i}?", "options": ["o", "p", "q"][: 2 + i % 2], "answer": "AB"[i % 2]}
    ),
    "race/race.yaml": lambda i: {
        "article": f"Once, {i}.",
        "problems": repr(
            [
                {"question": q, "answer": "ABCD"[(i + 1) % 4], "options": ["w", "x", "y", "z"]}
                for q in ("It is  _  .", "Why?")
            ]
        ),
    },
    "afrimmlu/direct/prompt_1/afrimmlu_direct_eng.yaml": lambda i: (
        {"subject": "law", "question": f"Q {i}", "choices": "['a', 'b', 'c', 'd']", "answer": "ABCD"[i % 4]}
    ),
    "mathqa/mathqa.yaml": lambda i: (
        {"Problem": f"{i} + 1 ?", "options": "a ) 1 , b ) 2 , c ) 3 , d ) 4 , e ) none", "correct": "abcde"[i]}
    ),
    "winogrande/default.yaml": _winogrande,
    "icelandic_winogrande/default.yaml": _winogrande,
    "xwinograd/xwinograd_en.yaml": _winogrande,
    "agieval/sat-math.yaml": lambda i: {"query": f"Q {i}?", "choices": ["(A) a", "(B) bbb"], "gold": [i % 2]},
    "truthfulqa/truthfulqa_mc2.yaml": lambda i: {"question": f"Is it, {i}?", "mc2_targets": _mc2(i)},
    "okapi/truthfulqa_multilingual/truthfulqa_zh_mc2.yaml": lambda i: (
        {"question": f"Q {i} [title] so", "mc1_targets_choices": ["a", "b"]}
        | {f"mc2_targets_{key}": value for key, value in _mc2(i).items()}
    ),
    "openai-mmmlu/default/mmmlu_ar_xy_anatomy.yaml": lambda i: (
        {"Question": f" Q {i} ", "Subject": ("anatomy", "anatomy_test.csv_ar.csv")[i % 2], "Answer": "ABCD"[i % 4]}
        | {letter: letter.lower() for letter in "ABCD"}
    ),
    "super_glue/cb/default.yaml": lambda i: {"premise": f"It rains {i}.", "hypothesis": "It is wet", "label": i % 3},
    "hellaswag/hellaswag.yaml": lambda i: (
        {"ctx_a": f"A man {i}", "ctx_b": "he [title] runs", "activity_label": "Sport", "label": str(i % 4)}
        | {"endings": ["one [x] two", "three", "four  five", "six"]}
    ),
    "med_concepts_qa/med_concepts_qa_atc_easy.yaml": lambda i: {"question": f"Code {i}?", "answer_id": i % 4},
}
# lm-eval itself cannot give an example of a task with lists of targets; 10% of the rows are kept by the other's process_docs.
SHOTS = {"agieval/sat-math.yaml": 0}
ROWS = {"med_text_classification/med_text_classification_easy.yaml": 40}
REFUSED = {
    "super_glue/record/default.yaml": "metric_list: f1, em: not supported",
    "discrim_eval/discrim_eval_explicit.yaml": "metric_list: black_bias, asian_bias",
    "webqs/webqs.yaml": "metric_list: exact_match: not supported",
    "mela/mela_ar.yaml": "metric_list: mcc: not supported",
    "tinyBenchmarks/tinyArc.yaml": "metric_list: acc_norm: aggregation agg_functions.agg_gpirt_arc is not supported",
    "tinyBenchmarks/tinyTruthfulQA_mc2.yaml": "metric_list: acc: aggregation agg_functions.agg_gpirt_truthfulqa",
    "evalita_llm/_evalita-mp_hs_p1.yaml": "metric_list: f1: not supported",
    "e2lmc/mmlu_early_training/mmlu_early_training.yaml": "metric_list: likelihood: not supported",
    "catalan_bench/cieacova/cieacova_choice.yaml": "custom_dataset: is not supported",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_scored_is_refused_by_its_key(name: str) -> None:
    said = _loaded()[name]
    assert isinstance(said, str)
    assert said.startswith(REFUSED[name])


class _Plain:
    """All of a tokenizer that a prompt without a chat template asks for: it has no special tokens."""

    added_tokens_decoder: ClassVar[dict[int, Any]] = {}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_asks_and_scores_what_lm_eval_does(name: str, tmp_path: Path) -> None:
    """Prompts with examples, continuations, and what made-up log-likelihoods are worth, item by item."""
    count = ROWS.get(name, 2)
    records = [TASKS[name](i) for i in range(2 * count)]
    task = _shipped()[name]
    k = 0 if task.get("num_fewshot") == 0 else SHOTS.get(name, 1 if not task.get("fewshot_config", {}) else 2)
    k = 1 if task.get("fewshot_split") == task.get("test_split") else k  # one of two is the question itself
    theirs = _lm_eval(name, tmp_path, records[:count], records[count:], k)

    keys = load_task(SHIPPED / name)
    fewshot = {**keys["fewshot"], "k": k}
    fewshot |= {"sampler": "lm-eval"} if fewshot["sampler"] == "random" else {}
    fewshot |= {} if "samples" in fewshot else {"dataset": fewshot.get("dataset", "d")}
    benchmark = Benchmark.model_validate({**keys, "fewshot": fewshot, "chat_template": False})
    asked, pool = _rows(records[:count]), _rows(records[count:])
    pool = asked if benchmark.fewshot.dataset == benchmark.dataset else pool
    spec = benchmark.asked()
    try_task(asked, spec, pool)
    ours = list(_asked(asked, spec, _Plain(), pool))

    docs = documents(asked, spec)
    assert len(ours) == len(docs) == len(theirs.eval_docs) > 0
    assert len(docs) == (2 if count == 2 else 4)
    for number, (made, document, doc) in enumerate(zip(ours, docs, theirs.eval_docs, strict=True)):
        requests = [each for each in theirs.instances if each.doc_id == number]
        contexts = made.inputs or [made.text] * len(made.answers)
        assert list(zip(contexts, made.answers, strict=True)) == [each.args for each in requests]
        sums = [
            Likelihood(-1.0 - (7 * place + 3 * number) % 5 * 0.37, (place + number) % 2 == 0)
            for place in range(len(requests))
        ]
        expected = theirs.process_results(doc, [tuple(each) for each in sums])[METRICS[benchmark.normalize]]
        if benchmark.process_results:
            found = worth(document.id, document.fields, sums, spec)
        else:
            question = made.question
            question.continuations.extend([[0]] * len(sums))
            question.drops.extend([0] * len(sums))
            found = float(_record(question, sums, benchmark.normalize)["correct"])
        assert found == pytest.approx(float(expected), abs=1e-12)


def _rows(records: list[dict[str, Any]]) -> list[DocumentRow]:
    return [DocumentRow(f"d/{number:07d}", "d", json.dumps(record)) for number, record in enumerate(records)]


def _lm_eval(name: str, work: Path, asked: list[dict[str, Any]], others: list[dict[str, Any]], k: int) -> Any:
    """lm-eval's task on local files, with its requests made as ``--num_fewshot`` has them by default (seed 1234)."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    config = load_yaml(SHIPPED / name)
    questions = config.get("test_split") or config["validation_split"]
    splits = {config.get(f"{kind}_split") for kind in ("training", "validation", "test", "fewshot")} - {None}
    files = {}
    for split in splits:
        files[split] = str(work / f"{split}.jsonl")
        lines = [json.dumps(record) + "\n" for record in (asked if split == questions else others)]
        Path(files[split]).write_text("".join(lines), encoding="utf-8")
    # The others it would load from the hub, and they are not compared.
    metrics = [metric for metric in config.get("metric_list", []) if metric["metric"] in METRICS.values()]
    kwargs = {"data_files": files, "cache_dir": str(work / "cache")}
    task = ConfigurableTask(
        config={
            **config,
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": kwargs,
            "metric_list": metrics,
        }
    )
    task.set_config("num_fewshot", k)
    task.set_fewshot_seed(1234)
    task.build_all_requests()
    return task
