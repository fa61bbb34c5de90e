"""Log-likelihoods of packed choices, against one choice at a time; and the stage around them."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from naive import naive, together
from stage_artifacts import folder_artifact, make_job, table_artifact

from primum.artifact.job import Result
from primum.errors import PrimumError
from primum.experiment.benchmarks import Benchmark
from primum.score.loglikelihood import Likelihood
from primum.score.requests import Question
from primum.score.rows import Packed
from primum.score.stage import SCORES, _record, run
from primum.text.rows import ChoiceRow, Message, PreferenceRow, Row, to_table


@pytest.fixture(scope="module")
def llama(tiny_model: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model).eval()


def _ragged(seed: int, number: int) -> list[Packed]:
    draw = random.Random(seed)

    def tokens(most: int) -> list[int]:
        return [draw.randrange(5, 300) for _ in range(draw.randint(1, most))]

    return [(tokens(30), [tokens(9) for _ in range(draw.randint(1, 5))]) for _ in range(number)]


def _flat(sums: list[list[float]]) -> list[float]:
    return [value for each in sums for value in each]


def _quiet(done: int, tokens: int) -> None:
    pass


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("batch_tokens", [1, 64, 300, 100_000])
def test_choices_behind_one_context_score_as_if_each_stood_alone(llama: Any, batch_tokens: int, attention: str) -> None:
    questions = _ragged(0, 25)
    llama.set_attn_implementation(attention)
    found = together(llama, questions, 1, batch_tokens, _quiet)
    assert [len(sums) for sums in found] == [len(choices) for _, choices in questions]
    assert _flat(found) == pytest.approx(_flat(naive(llama, questions)), abs=1e-4, rel=1e-6)


def test_batches_hold_no_more_than_asked_and_all_is_reported(llama: Any) -> None:
    questions = _ragged(1, 20)
    widths: list[tuple[int, int]] = []
    reported: list[tuple[int, int]] = []
    hook = llama.register_forward_pre_hook(
        lambda module, args, inputs: widths.append(tuple(inputs["input_ids"].shape)), with_kwargs=True
    )
    together(llama, questions, 1, 100, lambda done, tokens: reported.append((done, tokens)))
    hook.remove()
    assert all(rows * width <= 100 or rows == 1 for rows, width in widths)
    # A token is read once for all choices that start alike up to it; a choice's last one is only predicted.
    starts = [{tuple(choice[:n]) for choice in choices for n in range(1, len(choice))} for _, choices in questions]
    total = sum(len(context) + len(own) for (context, _), own in zip(questions, starts, strict=True))
    assert reported[-1] == (20, total)
    assert len(reported) == len(widths)


def test_the_order_of_questions_does_not_matter(llama: Any) -> None:
    questions = _ragged(2, 12)
    forwards = together(llama, questions, 1, 200, _quiet)
    backwards = together(llama, questions[::-1], 1, 200, _quiet)[::-1]
    assert _flat(forwards) == pytest.approx(_flat(backwards), abs=1e-4)


def _question(characters: list[int], tokens: list[int]) -> Question:
    continuations = [[7] * n for n in tokens]
    octets = [2 * n for n in characters[:-1]] + [80]
    return Question("b/0", "s", [1], continuations, characters, octets, 1, [0] * len(tokens))


def _found(*sums: float) -> list[Likelihood]:
    return [Likelihood(value, greedy=not number) for number, value in enumerate(sums)]


@pytest.mark.parametrize(
    ("normalize", "prediction"),
    # sums -6, -8, -9; divided by tokens (1, 4, 3): -6, -2, -3; by characters (2, 4, 9): -3, -2, -1; by bytes (4, 8, 80):
    # -1.5, -1, -0.1.
    [("none", 0), ("tokens", 1), ("characters", 2), ("bytes", 2)],
)
def test_normalisation_by_hand(normalize: str, prediction: int) -> None:
    record = _record(_question([2, 4, 9], [1, 4, 3]), _found(-6.0, -8.0, -9.0), normalize)
    assert record["prediction"] == prediction
    assert record["correct"] is (prediction == 1)
    assert record["loglikelihoods"] == [-6.0, -8.0, -9.0]
    assert record["tokens"] == [1, 4, 3]
    assert record["greedy"] == [True, False, False]
    # The right choice is the second: e to 8 nats over four tokens.
    assert record["perplexity"] == pytest.approx(math.exp(2))


def test_a_tie_goes_to_the_first_choice_and_nan_is_no_score() -> None:
    assert _record(_question([1, 1], [1, 1]), _found(-2.0, -2.0), "none")["prediction"] == 0
    with pytest.raises(PrimumError, match="b/0: a log-likelihood is not finite"):
        _record(_question([1, 1], [1, 1]), _found(-2.0, math.nan), "none")


# The stage ----------------------------------------------------------------------------------------------------------


def _score(work: Path, model: Path, rows: list[Row], max_length: int = 1024, **benchmark: Any) -> Result:
    task = Benchmark.model_validate({"dataset": "b", **benchmark})
    common = {
        "engine": {"dtype": "float32", "max_length": max_length, "batch_tokens": 512},
        "seed": 0,
        "from_scratch": True,
    }
    table = table_artifact(work / "b.parquet", to_table(rows, type(rows[0])))
    return next(
        iter(run(make_job(work, common, {"b": (task.asked(), {"model": folder_artifact(model), "benchmarks": table})})))
    )


def test_the_stage_scores_a_benchmark(tmp_path: Path, tiny_model: Path, llama: Any) -> None:
    from transformers import AutoTokenizer

    rows: list[Row] = [
        ChoiceRow(
            f"b/{i}", "b", "s", "", "What helps " + "a cough " * i + "?", ("rest", "tea and water", "a doctor"), i % 3
        )
        for i in range(6)
    ]
    result = _score(tmp_path, tiny_model, rows, normalize="characters")
    assert result.table is not None
    assert result.table.schema.equals(SCORES)
    records = result.table.to_pylist()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    for record, row in zip(records, rows, strict=True):
        assert isinstance(row, ChoiceRow)
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": row.question}], tokenize=False, add_generation_prompt=True
        )
        context = tokenizer(text.rstrip(), add_special_tokens=False)["input_ids"]
        whole = [tokenizer(text + choice, add_special_tokens=False)["input_ids"] for choice in row.choices]
        expected = naive(llama, [(context, [ids[len(context) :] for ids in whole])])[0]
        assert record["loglikelihoods"] == pytest.approx(expected, abs=1e-4)
        assert record["characters"] == [4, 13, 8]
        by_character = [value / n for value, n in zip(expected, (4, 13, 8), strict=True)]
        assert record["prediction"] == by_character.index(max(by_character))
        assert record["correct"] == (record["prediction"] == row.target)
    correct = sum(record["correct"] for record in records)
    nothing = {"truncated": 0, "contaminated": 0, "lost_left": 0, "lost_right": 0, "plain_rows": 0}
    assert result.counts == {"items": 6, "correct": correct, **nothing}


def test_a_held_out_pair_is_a_question_whose_first_choice_is_right(tmp_path: Path, tiny_model: Path) -> None:
    prompt = (Message("system", "Be kind."), Message("user", "A cough?"))
    rows: list[Row] = [
        PreferenceRow("p/0", "p", prompt, "rest", "tea"),
        PreferenceRow("p/1", "p", prompt, "tea", "rest"),
    ]
    table = _score(tmp_path, tiny_model, rows, group="preference", normalize="tokens").table
    assert isinstance(table, pa.Table)
    first, second = table.to_pylist()
    assert first["target"] == second["target"] == 0
    assert first["loglikelihoods"] == pytest.approx(second["loglikelihoods"][::-1], abs=1e-4)
    assert first["correct"] is not second["correct"]


def test_the_models_own_length_limits_the_context(tmp_path: Path, tiny_model: Path) -> None:
    """The tiny model has 256 positions: a longer prompt loses its start and says so, whatever the engine allows."""
    rows: list[Row] = [
        ChoiceRow("b/0", "b", "s", "", "cough " * 400, ("rest", "tea"), 0),
        ChoiceRow("b/1", "b", "s", "", "cough", ("rest", "tea"), 0),
    ]
    result = _score(tmp_path, tiny_model, rows, max_length=4096)
    assert result.table is not None
    assert result.table.column("truncated").to_pylist() == [True, False]
    assert result.counts["truncated"] == 1


def test_weights_that_are_not_finite_are_an_error(tmp_path: Path, tiny_model: Path, llama: Any) -> None:
    import copy
    import shutil

    import torch

    folder = tmp_path / "broken"
    shutil.copytree(tiny_model, folder)
    broken = copy.deepcopy(llama)
    with torch.no_grad():
        broken.lm_head.weight[7] = float("nan")
    broken.save_pretrained(folder)
    with pytest.raises(PrimumError, match="b/0: a log-likelihood is not finite"):
        _score(tmp_path, folder, [ChoiceRow("b/0", "b", "s", "", "cough", ("rest", "tea"), 0)])
