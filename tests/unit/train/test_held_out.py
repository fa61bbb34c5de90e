"""What a training holds out is never learned from, and its loss is what one computes by hand."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from test_train_dpo import PAIRS, _dpo, _reference
from test_train_sft import _chunks, _folder, _logged, _losses, _sft, _weights
from transformers import AutoModelForCausalLM

from primum.errors import PrimumError
from primum.text.packing import IGNORED
from primum.train.held_out import hold_out

ASKED = {"take": 5, "eval_steps": 3}


@pytest.fixture(scope="module")
def chunks() -> pa.Table:
    return _chunks(24)


def test_rows_are_drawn_with_the_seed_and_stay_in_order(chunks: pa.Table) -> None:
    kept, out = hold_out(chunks, ASKED, 3, "m")
    ids = chunks.column("id").to_pylist()
    assert (kept.num_rows, out.num_rows) == (19, 5)
    for part in (kept, out):
        assert part.column("id").to_pylist() == [each for each in ids if each in set(part.column("id").to_pylist())]
    assert set(ids) == set(kept.column("id").to_pylist()) | set(out.column("id").to_pylist())
    assert hold_out(chunks, ASKED, 3, "m")[1].equals(out)
    assert not hold_out(chunks, ASKED, 4, "m")[1].equals(out)


@pytest.mark.parametrize("take", [24, 25])
def test_something_must_be_left_to_learn_from(chunks: pa.Table, take: int) -> None:
    with pytest.raises(PrimumError, match=f"m: held_out.take is {take} of 24 .*nothing is left to learn from"):
        hold_out(chunks, {"take": take, "eval_steps": 1}, 3, "m")


def by_hand(folder: Path, chunks: pa.Table) -> float:
    """The mean loss over the labelled tokens of all chunks, each sample by itself."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    total, tokens = 0.0, 0
    for chunk in chunks.to_pylist():
        for first, last in pairwise(accumulate(chunk["seq_lengths"], initial=0)):
            with torch.inference_mode():
                logprobs = model(torch.tensor([chunk["input_ids"][first:last]])).logits[0].log_softmax(-1)
            for place in range(first + 1, last):
                if chunk["labels"][place] != IGNORED:
                    total -= logprobs[place - first - 1, chunk["labels"][place]].item()
                    tokens += 1
    return total / tokens


@pytest.mark.parametrize("micro_batch", [8, 2])
def test_chunks_are_held_out(tmp_path: Path, tiny_model: Path, chunks: pa.Table, micro_batch: int) -> None:
    """Before the first step, at each third, and after the last: weights are those of a training without these chunks."""
    kept, out = hold_out(chunks, ASKED, 3, "m")
    result = _sft(tmp_path / "1", tiny_model, chunks, held_out=ASKED, micro_batch=micro_batch)
    alone = _sft(tmp_path / "2", tiny_model, kept, micro_batch=micro_batch)
    assert _losses(result) == _losses(alone)
    for name, value in _weights(_folder(result)).items():
        assert torch.equal(value, _weights(_folder(alone))[name]), name
    found = _logged(result, "held_out_loss")
    assert list(found) == [0, 3, 4]
    assert found[0] == pytest.approx(by_hand(tiny_model, out), abs=1e-4)
    assert found[4] == pytest.approx(by_hand(_folder(result), out), abs=1e-4)
    assert found[4] < found[0] - 0.05, "training did something"
    assert f"m: held-out loss {found[4]:.4f} after step 4" in (tmp_path / "1" / "log.txt").read_text()
    assert not _logged(alone, "held_out_loss")


def test_samples_are_apart_in_what_is_held_out_too(tmp_path: Path, tiny_model: Path, chunks: pa.Table) -> None:
    """The kernel ``varlen`` is told where samples begin, in evaluation as in training."""
    spec: dict[str, Any] = {"held_out": {"take": 5, "eval_steps": 1}, "steps": 1, "attention": "varlen"}
    result = _sft(tmp_path, tiny_model, chunks, **spec)
    expected = by_hand(tiny_model, hold_out(chunks, ASKED, 3, "m")[1])
    assert _logged(result, "held_out_loss")[0] == pytest.approx(expected, abs=1e-4)


def test_pairs_are_held_out(tmp_path: Path, tiny_model: Path) -> None:
    """-log sigmoid of the margins against an imagined reference, before the first step."""
    table = _reference(tmp_path, tiny_model, PAIRS).table
    assert table is not None
    shifts = [0.5 * (place % 7) - 1.2 for place in range(table.num_rows)]
    moved = [value - shift for value, shift in zip(table.column("ref_chosen_logps").to_pylist(), shifts, strict=True)]
    place = table.schema.get_field_index("ref_chosen_logps")
    table = table.set_column(place, table.schema.field(place), pa.array(moved, type=pa.float32()))
    margins = dict(zip(table.column("id").to_pylist(), (0.3 * shift for shift in shifts), strict=True))
    out = [margins[each] for each in hold_out(table, ASKED, 3, "m")[1].column("id").to_pylist()]
    folder = _dpo(tmp_path, tiny_model, table, beta=0.3, held_out=ASKED, batch=4, micro_batch=2)
    rows = {row["step"]: row for row in pq.read_table(folder / "history.parquet").to_pylist()}
    assert [step for step, row in rows.items() if row["held_out_loss"] is not None] == [0, 3, 4]
    found = {name.removeprefix("held_out_"): value for name, value in rows[0].items() if name.startswith("held_out_")}
    assert found == {
        "loss": pytest.approx(sum(math.log(1 + math.exp(-margin)) for margin in out) / 5, abs=1e-4),
        "reward_chosen": pytest.approx(sum(out) / 5, abs=1e-4),
        "reward_rejected": pytest.approx(0, abs=1e-4),
        "reward_accuracy": pytest.approx(sum(margin > 0 for margin in out) / 5),
        "reward_margin": pytest.approx(sum(out) / 5, abs=1e-4),
    }
    assert rows[4]["held_out_reward_margin"] > rows[0]["held_out_reward_margin"]
