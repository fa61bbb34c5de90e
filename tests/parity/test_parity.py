"""Item by item against lm-eval-harness 0.4.13: log-likelihoods, predictions, accuracies and their standard errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from harness import REAL, Scores, lm_eval, lm_eval_task, primum, rows, task
from models import write_llama, write_neox

from primum.tables.statistics import proportion
from primum.text.rows import ChoiceRow

MODELS = ("llama", "neox")
CHOICES = {"full_answer": "choices", "letter": "letters", "letter_and_answer": "lettered"}
# Summed over an answer's tokens, in float32.
TOLERANCE = 1e-4


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("parity-models")
    texts = [
        f"{row.context} {row.question} {' '.join(row.choices)}" for row in rows("pubmedqa")[:60] + rows("medqa")[:60]
    ]
    write_llama(folder / "llama", texts)
    write_neox(folder / "neox", texts)
    return {name: folder / name for name in MODELS}


@pytest.fixture(scope="session")
def harness(folders: dict[str, Path]) -> Callable[..., Any]:
    """lm-eval's model for one of ours; what it reads is limited to ``max_length`` tokens."""
    from lm_eval.models.huggingface import HFLM

    @cache
    def made(name: str, max_length: int = 4096) -> Any:
        return HFLM(pretrained=str(folders[name]), dtype="float32", device="cpu", batch_size=8, max_length=max_length)

    return made


def _agree(found: list[dict[str, Any]], expected: Scores, items: list[ChoiceRow]) -> None:
    assert [row["item"] for row in found] == [row.id for row in items]
    for row, sums in zip(found, expected.loglikelihoods, strict=True):
        assert row["loglikelihoods"] == pytest.approx(sums, abs=TOLERANCE, rel=0), row["item"]
    assert [row["greedy"] for row in found] == expected.greedy


def _accuracy(found: list[dict[str, Any]], expected: Scores, metric: str) -> None:
    assert [row["correct"] for row in found] == expected.correct[metric]
    measured = proportion(sum(row["correct"] for row in found), len(found))
    assert measured.value == pytest.approx(expected.value[metric], abs=1e-12)
    assert measured.stderr == pytest.approx(expected.stderr[metric], abs=1e-12)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["medqa", "medmcqa", "pubmedqa", "mmlu"])
def test_zero_shot(name: str, model: str, folders: dict[str, Path], harness: Any, tmp_path: Path) -> None:
    """Letters and whole answers, with and without a chat template, acc and acc_norm."""
    items = rows(name)[: {"pubmedqa": 12, "medqa": 24}.get(name, 40)]
    file = {"mmlu": "mmlu-medical"}.get(name, name)
    lm = harness(model)
    config = lm_eval_task(file, tmp_path, items, None)
    for scoring, chat in (("full_answer", True), ("full_answer", False), ("letter", True), ("letter", False)):
        expected = lm_eval(lm, {**config, "doc_to_choice": CHOICES[scoring]}, 0, chat)
        for metric, normalize in (("acc", "none"), ("acc_norm", "characters"))[: 2 if chat else 1]:
            switches = {"scoring": scoring, "chat_template": chat, "normalize": normalize}
            found = primum(folders[model], tmp_path, task(file, **switches), items)
            _agree(found, expected, items)
            _accuracy(found, expected, metric)


# Where the examples come from, if not from the questions themselves; how long 5 of them may be on two cores decides n.
FEWSHOT = {"medqa": (None, 8), "medmcqa": (None, 16), "pubmedqa": ("pubmedqa-train", 4), "mmlu": ("mmlu-dev", 12)}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", FEWSHOT)
def test_five_shot(name: str, model: str, folders: dict[str, Path], harness: Any, tmp_path: Path) -> None:
    """Examples from another file, or from the questions' own: then never the question itself."""
    source, n = FEWSHOT[name]
    file = {"mmlu": "mmlu-medical"}.get(name, name)
    items = [row for row in rows(name) if name != "mmlu" or row.subject == "medical_genetics"][:n]
    examples = None if source is None else [row for row in rows(source) if row.subject in {r.subject for r in items}]
    lm = harness(model)
    config = lm_eval_task(file, tmp_path, items, examples)
    for scoring, chat, multiturn in (("full_answer", False, True), ("letter", True, True), ("letter", True, False)):
        expected = lm_eval(lm, {**config, "doc_to_choice": CHOICES[scoring]}, 5, chat, multiturn)
        fewshot = {"k": 5, "sampler": "first_n", "multiturn": multiturn}
        switches = {"scoring": scoring, "chat_template": chat, "fewshot": fewshot}
        found = primum(folders[model], tmp_path, task(file, **switches), items, examples or ())
        _agree(found, expected, items)
        _accuracy(found, expected, "acc")


def test_letter_and_answer(folders: dict[str, Path], harness: Any, tmp_path: Path) -> None:
    items = rows("medmcqa")[:20]
    config = {**lm_eval_task("medmcqa", tmp_path, items, None), "doc_to_choice": "lettered"}
    expected = lm_eval(harness("llama"), config, 0, True)
    switches: dict[str, Any] = {"scoring": "letter_and_answer", "normalize": "characters"}
    found = primum(folders["llama"], tmp_path, task("medmcqa", **switches), items)
    _agree(found, expected, items)
    _accuracy(found, expected, "acc_norm")


def test_a_description_and_delimiters(folders: dict[str, Path], harness: Any, tmp_path: Path) -> None:
    """A description is the system's turn, the delimiters of examples and answers are the task's."""
    items = rows("medmcqa")[:12]
    keys = {
        "description": "Questions about {{ subject }}.\n\n",
        "target_delimiter": "\n",
        "fewshot_delimiter": "\n---\n",
    }
    config = {**lm_eval_task("medmcqa", tmp_path, items, None), **keys, "doc_to_choice": "choices"}
    for model in MODELS:
        for chat in (True, False):
            expected = lm_eval(harness(model), config, 2, chat)
            fewshot = {"k": 2, "sampler": "first_n"}
            benchmark = task("medmcqa", **keys, chat_template=chat, fewshot=fewshot)
            _agree(primum(folders[model], tmp_path, benchmark, items), expected, items)


def test_contexts_that_are_too_long_lose_as_much_as_in_lm_eval(
    folders: dict[str, Path], harness: Any, tmp_path: Path
) -> None:
    """Choices of one question differ in length, and so does what each has before it of the tokens that a model reads."""
    limit = 64 if REAL.is_dir() else 40  # the demo's questions are shorter
    items = rows("medqa")[:16]
    config = lm_eval_task("medqa", tmp_path, items, None)
    expected = lm_eval(harness("neox", max_length=limit), config, 0, False)
    found = primum(folders["neox"], tmp_path, task("medqa", chat_template=False), items, max_length=limit)
    _agree(found, expected, items)
    tokens = [row["context_tokens"] + row["lost_left"] for row in found]
    assert all(row["truncated"] == (row["lost_left"] > 0) for row in found)
    assert sum(row["truncated"] for row in found) >= 12
    assert {row["lost_right"] for row in found} == {0}
    longest = [max(row["tokens"]) for row in found]
    cut = [max(0, whole + choice - (limit + 1)) for whole, choice in zip(tokens, longest, strict=True)]
    assert [row["lost_left"] for row in found] == cut


def test_random_examples_with_several_seeds(folders: dict[str, Path], harness: Any, tmp_path: Path) -> None:
    """lm-eval, given the examples that a seed draws, agrees on each item of that seed."""
    from primum.score.documents import documents
    from primum.score.fewshot import Examples

    items, pool = rows("medmcqa")[:10], rows("medmcqa")[20:60]
    benchmark = task("medmcqa", chat_template=False, fewshot={"k": 2, "sampler": "random", "seeds": [3, 11]})
    found = primum(folders["llama"], tmp_path, benchmark, items, pool)
    assert [row["id"] for row in found] == [f"{row.id}+{seed:04d}" for row in items for seed in (3, 11)]
    drawn = Examples(documents(pool, benchmark.asked()), benchmark.asked())
    (first, *_) = documents(items, benchmark.asked())
    by_id = {row.id: row for row in pool}
    examples = {seed: [by_id[each.id] for each in drawn.chosen(first, seed)] for seed in (3, 11)}
    assert examples[3] != examples[11]
    for seed, chosen in examples.items():
        config = lm_eval_task("medmcqa", tmp_path / str(seed), items, chosen)
        expected = lm_eval(harness("llama"), config, 2, False)
        _agree([row for row in found if row["seed"] == seed], expected, items)


def test_examples_drawn_anew_for_every_question(folders: dict[str, Path], harness: Any, tmp_path: Path) -> None:
    """``sampler: lm-eval`` is what ``--num_fewshot 3`` does, with seed 1234: from another split, and from the questions' own."""
    items, others = rows("medmcqa")[:12], rows("medmcqa")[20:50]
    drawn = []
    for name, examples in (("others", others), ("own", None)):
        config = lm_eval_task("medmcqa", tmp_path / name, items, examples)
        expected = lm_eval(harness("llama"), {**config, "fewshot_config": {"sampler": "default"}}, 3, False)
        fewshot = {"k": 3, "sampler": "lm-eval", "own_split": examples is None}
        benchmark = task("medmcqa", chat_template=False, fewshot=fewshot)
        assert benchmark.fewshot.seeds == (1234,)
        found = primum(folders["llama"], tmp_path, benchmark, items, examples or ())
        _agree(found, expected, items)
        _accuracy(found, expected, "acc")
        drawn.append({tuple(row["loglikelihoods"]) for row in found})
    assert not drawn[0] & drawn[1]


SEVERAL = """
def inputs(doc): return [choice + " is what" for choice in doc["choices"]]
def right(doc): return doc["target"]
def after(doc): return "helps against " + doc["question"][:20]
def value(doc, results):
    import numpy as np
    likely = np.exp(np.array([result[0] for result in results]) / 50)
    return {"acc": likely[doc["target"]] / likely.sum()}
"""


def _functions(work: Path, keys: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same functions as lm-eval has them, and as primum does."""
    space: dict[str, Any] = {}
    exec(SEVERAL, space)
    theirs = {key: space[name] for key, name in keys.items()}
    return theirs, {key: {"function": f"own.{name}", "source": SEVERAL} for key, name in keys.items()}


@pytest.mark.parametrize("model", MODELS)
def test_several_inputs(model: str, folders: dict[str, Path], harness: Any, tmp_path: Path) -> None:
    """As in Winogrande each choice is a context, and all have one continuation; with an example, and under a chat template."""
    items = rows("medmcqa")[:12]
    theirs, ours = _functions(tmp_path, {"doc_to_choice": "inputs", "doc_to_text": "right", "doc_to_target": "after"})
    config = {**lm_eval_task("medmcqa", tmp_path, items, None), **theirs}
    for k, chat in ((0, False), (1, False), (1, True)):
        expected = lm_eval(harness(model), config, k, chat)
        benchmark = task("medmcqa", **ours, chat_template=chat, fewshot={"k": k, "sampler": "first_n"})
        found = primum(folders[model], tmp_path, benchmark, items)
        _agree(found, expected, items)
        _accuracy(found, expected, "acc")


def test_what_an_answer_is_worth_by_process_results(folders: dict[str, Path], harness: Any, tmp_path: Path) -> None:
    items = rows("medmcqa")[:12]
    theirs, ours = _functions(tmp_path, {"process_results": "value"})
    config = {**lm_eval_task("medmcqa", tmp_path, items, None), **theirs}
    config["metric_list"] = config["metric_list"][:1]
    expected = lm_eval(harness("llama"), config, 0, False, metrics=("acc",))
    found = primum(folders["llama"], tmp_path, task("medmcqa", **ours, chat_template=False), items)
    _agree(found, expected, items)
    values = [row["value"] for row in found]
    assert sum(values) / len(values) == pytest.approx(expected.value["acc"], abs=1e-6)
    assert 0 < min(values) < max(values) < 1
    assert [row["correct"] for row in found] == [value > 0.5 for value in values]


@pytest.mark.parametrize("begun", ["It helps to", "It helps to "])
def test_answers_that_begin_with_a_prefix(begun: str, folders: dict[str, Path], harness: Any, tmp_path: Path) -> None:
    items = rows("medmcqa")[:8]
    config = {**lm_eval_task("medmcqa", tmp_path, items, None), "gen_prefix": begun, "doc_to_choice": "choices"}
    # A template may trim what the answer begins with: then lm-eval has no space at all before the rest.
    for k, chat in ((1, False), (1, True))[: 1 if begun.endswith(" ") else 2]:
        expected = lm_eval(harness("llama"), config, k, chat)
        benchmark = task("medmcqa", gen_prefix=begun, chat_template=chat, fewshot={"k": k, "sampler": "first_n"})
        _agree(primum(folders["llama"], tmp_path, benchmark, items), expected, items)
