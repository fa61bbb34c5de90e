"""Packing: every sample once, no chunk too long, and samples that do not see one another."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_artifacts import folder_artifact, make_job, table_artifact, whole

from primum.artifact.job import Result
from primum.curate.pack import run
from primum.errors import PrimumError
from primum.text.packing import IGNORED, PACKED, Sample, best_fit_decreasing, pack
from primum.text.rows import ChatRow, Message, Row, TextRow, to_table


def test_best_fit_decreasing_by_hand() -> None:
    # 7 opens a chunk (3 left), 6 another (4 left), 4 fits the second, 3 the first, 2 opens a third.
    assert best_fit_decreasing([2, 7, 3, 4, 6], 10) == [[1, 2], [4, 3], [0]]


def _naive(lengths: list[int], capacity: int) -> Counter[tuple[int, ...]]:
    """Longest first, each into the chunk with the least room that it fits; the chunks' lengths."""
    chunks: list[list[int]] = []
    for length in sorted(lengths, reverse=True):
        fitting = [chunk for chunk in chunks if sum(chunk) + length <= capacity]
        if fitting:
            max(fitting, key=sum).append(length)
        else:
            chunks.append([length])
    return Counter(tuple(chunk) for chunk in chunks)


def _rooms(chunks: Counter[tuple[int, ...]]) -> list[int]:
    return sorted(sum(chunk) for chunk in chunks.elements())


@given(st.integers(1, 40).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.integers(1, c), max_size=60))))
def test_every_sample_once_no_overflow_and_as_full_as_naively(case: tuple[int, list[int]]) -> None:
    capacity, lengths = case
    bins = best_fit_decreasing(lengths, capacity)
    assert sorted(index for members in bins for index in members) == list(range(len(lengths)))
    packed = Counter(tuple(lengths[index] for index in members) for members in bins)
    assert all(sum(chunk) <= capacity for chunk in packed)
    # Which of two equally full chunks takes a sample is open, how full the chunks are is not.
    assert _rooms(packed) == _rooms(_naive(lengths, capacity))


@pytest.mark.parametrize("lengths", [[0], [11]])
def test_a_length_that_cannot_be_packed_is_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="does not fit a chunk of 10"):
        best_fit_decreasing(lengths, 10)


def _samples(lengths: list[int]) -> list[Sample]:
    """Sample i is its number times 100 and its positions; its first half has no label."""
    made = []
    for number, length in enumerate(lengths):
        ids = np.arange(length, dtype=np.int32) + 100 * number
        made.append(Sample(ids, np.where(np.arange(length) < length // 2, IGNORED, ids).astype(np.int32)))
    return made


@given(st.lists(st.integers(1, 12), min_size=1, max_size=40), st.integers(0, 3))
def test_packed_chunks_unpack_to_the_samples(lengths: list[int], seed: int) -> None:
    samples = _samples(lengths)
    table = pack(samples, 12, seed)
    assert table.schema.equals(PACKED)
    table.validate(full=True)
    found = []
    for chunk in table.to_pylist():
        assert len(chunk["input_ids"]) == len(chunk["labels"]) == sum(chunk["seq_lengths"]) <= 12
        place = 0
        for length in chunk["seq_lengths"]:
            found.append((chunk["input_ids"][place : place + length], chunk["labels"][place : place + length]))
            place += length
    assert sorted(found) == sorted((sample.input_ids.tolist(), sample.labels.tolist()) for sample in samples)
    assert pack(samples, 12, seed).equals(table)


def test_the_seed_orders_the_chunks() -> None:
    samples = _samples([10] * 20)
    first, second = (pack(samples, 10, seed).column("input_ids").to_pylist() for seed in (1, 2))
    assert first != second
    assert sorted(first) == sorted(second)
    assert pack(samples, 10, 1).column("id").to_pylist() == [f"{i:08d}" for i in range(20)]


# The stage --------------------------------------------------------------------------------------------------------


def _pack(work: Path, model: Path, rows: list[Row], **settings: Any) -> Result:
    spec = {"chunk_tokens": 64, "train_on_inputs": False, "seed": 0, "template": None, "fold_system": False} | settings
    spec["output"] = "chunks"
    mixture = table_artifact(work / "mixture.parquet", to_table(rows, type(rows[0])))
    job = make_job(work, {}, {"m": (spec, {"model": folder_artifact(model), "mixture": mixture})})
    (result,) = [whole(each) for each in run(job)]
    return result


def _row(number: int, question: str, answer: str) -> ChatRow:
    return ChatRow(f"d/{number}", "d", (Message("user", question), Message("assistant", answer)))


def test_the_stage_counts_what_it_cuts_and_leaves_out(tmp_path: Path, tiny_model: Path) -> None:
    rows: list[Row] = [
        _row(0, "cough", "rest"),
        _row(1, "cough", "rest " * 80),  # cut, and learned up to there
        _row(2, "cough " * 80, "rest"),  # cut before its answer: nothing to learn
    ]
    result = _pack(tmp_path, tiny_model, rows)
    table = result.table
    assert table is not None
    lengths = [length for chunk in table.column("seq_lengths").to_pylist() for length in chunk]
    labels = [label for chunk in table.column("labels").to_pylist() for label in chunk]
    assert result.counts == {
        "packed": 2,
        "truncated": 2,
        "no-loss-tokens": 1,
        "tokens": sum(lengths),
        "loss-tokens": sum(label != IGNORED for label in labels),
        "chunks": 2,
    }
    assert max(lengths) == 64


def test_without_packing_each_sample_is_a_chunk(tmp_path: Path, tiny_model: Path) -> None:
    """Three rows that one chunk would hold; the same samples, and no place between them that could be filled."""
    rows: list[Row] = [_row(0, "cough", "rest"), _row(1, "cough", "tea"), _row(2, "a cough", "rest and tea")]
    packed = _pack(tmp_path / "1", tiny_model, rows, chunk_tokens=96).table
    result = _pack(tmp_path / "2", tiny_model, rows, chunk_tokens=96, packing=False)
    assert packed is not None
    assert packed.num_rows == 1
    assert result.table is not None
    assert result.counts["packed"] == result.counts["chunks"] == 3
    assert [len(lengths) for lengths in result.table.column("seq_lengths").to_pylist()] == [1, 1, 1]
    (chunk,) = packed.to_pylist()
    bounds = [sum(chunk["seq_lengths"][:n]) for n in range(4)]
    samples = [tuple(chunk["input_ids"][a:b]) for a, b in pairwise(bounds)]
    assert Counter(map(tuple, result.table.column("input_ids").to_pylist())) == Counter(samples)
    other = _pack(tmp_path / "3", tiny_model, rows, chunk_tokens=96, packing=False, seed=2).table
    assert other is not None
    assert not other.equals(result.table), "the seed orders them"


def test_with_loss_on_inputs_the_first_token_still_counts_as_unlearned(tmp_path: Path, tiny_model: Path) -> None:
    result = _pack(tmp_path, tiny_model, [_row(0, "cough", "rest")], train_on_inputs=True)
    assert result.counts["loss-tokens"] == result.counts["tokens"] - 1


def test_errors_name_the_model_and_never_the_text(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(PrimumError, match=r"m: no sample has a token to learn"):
        _pack(tmp_path / "1", tiny_model, [_row(0, "cough " * 80, "rest")])
    with pytest.raises(PrimumError, match=r"m: .*plain text"):
        _pack(tmp_path / "2", tiny_model, [TextRow("t/0", "t", "cough")])


# What a model sees of a packed chunk --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama(tiny_model: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model).eval()


def _chunks(seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    chunks = []
    for lengths in ([9, 5, 4], [7, 3], [12]):
        ids = [draw.randrange(5, 300) for _ in range(sum(lengths))]
        labels = [token if draw.random() < 0.7 else IGNORED for token in ids]
        chunks.append({"input_ids": ids, "labels": labels, "seq_lengths": lengths})
    return chunks


def test_the_collator_draws_positions_and_labels_by_hand() -> None:
    from primum.train.chunks import ChunkCollator

    chunks = [
        {"input_ids": [5, 6, 7, 8, 9], "labels": [5, 6, 7, 8, 9], "seq_lengths": [3, 2]},
        {"input_ids": [4], "labels": [4], "seq_lengths": [1]},
    ]
    batch = ChunkCollator(1, attention_reset=True)(chunks)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9], [4, 1, 1, 1, 1]]
    assert batch["labels"].tolist() == [[-100, 6, 7, -100, 9], [-100] * 5]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1], [0, 0, 1, 2, 3]]
    batch = ChunkCollator(1, attention_reset=False)(chunks)
    assert batch["labels"].tolist() == [[-100, 6, 7, -100, 9], [-100] * 5]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4], [0, 0, 1, 2, 3]]


def test_with_reset_each_sample_is_as_if_alone(llama: Any) -> None:
    import torch

    from primum.train.chunks import ChunkCollator

    chunks = _chunks(0)
    different = 0.0
    with torch.inference_mode():
        packed = llama(**_inputs(ChunkCollator(1, True)(chunks)), use_cache=False).logits
        joined = llama(**_inputs(ChunkCollator(1, False)(chunks)), use_cache=False).logits
        for row, chunk in enumerate(chunks):
            place = 0
            for number, length in enumerate(chunk["seq_lengths"]):
                alone = llama(torch.tensor([chunk["input_ids"][place : place + length]])).logits[0]
                torch.testing.assert_close(packed[row, place : place + length], alone, atol=2e-4, rtol=1e-4)
                gap = (joined[row, place : place + length] - alone).abs().max().item()
                if number == 0:
                    assert gap < 2e-4, "nothing comes before a chunk's first sample"
                else:
                    different = max(different, gap)
                place += length
    assert different > 0.1, "without reset, samples see those before them"


def test_the_packed_loss_is_the_samples_own_weighted_by_tokens(llama: Any) -> None:
    import torch

    from primum.train.chunks import ChunkCollator

    chunks = _chunks(1)
    total, tokens = 0.0, 0
    with torch.inference_mode():
        packed = llama(**ChunkCollator(1, True)(chunks), use_cache=False).loss.item()
        for chunk in chunks:
            place = 0
            for length in chunk["seq_lengths"]:
                ids = torch.tensor([chunk["input_ids"][place : place + length]])
                labels = torch.tensor(chunk["labels"][place : place + length])[1:]
                own = torch.log_softmax(llama(ids).logits[0, :-1], -1)
                for position, label in enumerate(labels.tolist()):
                    if label != IGNORED:
                        total -= own[position, label].item()
                        tokens += 1
                place += length
    assert packed == pytest.approx(total / tokens, abs=2e-4)


def _inputs(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: batch[name] for name in ("input_ids", "position_ids")}
