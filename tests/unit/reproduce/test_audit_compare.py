"""What differs is named by rows, columns and tensors, and a tolerance allows so much and no more."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from primum.reproduce.classes import FULL, HALF
from primum.reproduce.compare import Difference, compare_folders, compare_tables

SECRET = "a text that no report may hold"


def _scores(changed: dict[int, float], predictions: dict[int, int] | None = None, n: int = 200) -> pa.Table:
    sums = [[-1.0 - i + changed.get(i, 0.0), -2.0] for i in range(n)]
    answers = [(predictions or {}).get(i, 0) for i in range(n)]
    return pa.table({"id": [f"d/{i:03}" for i in range(n)], "loglikelihoods": sums, "prediction": answers})


def _compared(changed: dict[int, float], predictions: dict[int, int] | None = None) -> Difference:
    return compare_tables(_scores({}), _scores(changed, predictions), FULL)


def test_a_difference_names_its_rows_columns_and_size() -> None:
    found = compare_tables(_scores({}), _scores({7: 0.25, 3: -0.5}), None)
    assert (found.within, found.rows, found.of, list(found.first)) == (False, 2, 200, ["d/003", "d/007"])
    (part,) = found.parts
    assert (part.name, part.rows, part.largest) == ("loglikelihoods", 2, 0.5)
    assert part.mean == (0.25 + 0.5) / 400  # of 200 rows with two numbers each
    assert found.words() == "2 of 200 rows (d/003, d/007); column loglikelihoods by up to 0.5"


def test_a_number_may_differ_a_little_and_no_number_by_more() -> None:
    assert _compared({7: 0.0009}).within
    assert not _compared({7: 0.01}).within
    # Each is near enough, but all of them are off to one side.
    assert not _compared(dict.fromkeys(range(200), 0.0009)).within


def test_a_large_number_may_differ_by_a_small_share_of_it() -> None:
    """Perplexities, as threads changed them: 0.002 of 1,000 in every row."""
    one, other = (pa.table({"id": ["a", "b"], "perplexity": [1000.0 + by, 900.0 + by]}) for by in (0.0, 0.002))
    assert compare_tables(one, other, FULL).within
    assert not compare_tables(one, pa.table({"id": ["a", "b"], "perplexity": [1000.1, 900.1]}), FULL).within
    assert not compare_tables(one, pa.table({"id": ["a", "b"], "perplexity": [float("nan"), 900.0]}), HALF).within


def test_one_row_in_a_hundred_may_hold_another_prediction() -> None:
    found = _compared({}, {1: 3, 2: 3})
    assert found.within
    assert found.words() == "2 of 200 rows (d/001, d/002); column prediction in 2 rows"
    assert not _compared({}, {1: 3, 2: 3, 3: 3}).within
    assert not compare_tables(_scores({}), _scores({}, {1: 3}), None).within


def test_rows_that_are_missing_or_new_are_never_within_a_tolerance() -> None:
    found = compare_tables(_scores({}), _scores({}, n=199), HALF)
    assert not found.within
    assert found.words() == "rows that are not made: 1 (d/199)"
    other = compare_tables(_scores({}), _scores({}).rename_columns(["id", "loglikelihoods", "guess"]), HALF)
    assert not other.within
    assert {part.name for part in other.parts} == {"prediction", "guess"}


def test_rows_without_ids_are_numbered_and_texts_are_not_said() -> None:
    found = compare_tables(pa.table({"text": ["same", SECRET]}), pa.table({"text": ["same", "other"]}), None)
    assert list(found.first) == ["row 2"]
    assert SECRET not in f"{found.record()}{found.words()}"


def _model(folder: Path, change: float = 0.0, loss: float = 1.0, config: str = "{}") -> Path:
    folder.mkdir()
    weights = torch.tensor([[0.5, -2.0], [1.0, 0.25]])
    weights[0, 0] += change
    save_file({"layer.weight": weights, "norm.weight": torch.ones(2)}, folder / "model.safetensors")
    pq.write_table(pa.table({"step": [1], "loss": [loss]}), folder / "history.parquet")
    (folder / "config.json").write_text(config)
    return folder


def test_weights_are_compared_tensor_by_tensor(tmp_path: Path) -> None:
    one = _model(tmp_path / "one")
    near, far = _model(tmp_path / "near", change=0.001), _model(tmp_path / "far", change=0.1)
    found = compare_folders(one, near, FULL)
    (part,) = found.parts
    assert (part.name, part.where) == ("layer.weight", "model.safetensors")
    assert part.largest is not None
    assert abs(part.largest - 0.001 / 2) < 1e-6  # of the largest weight, 2
    assert found.within
    assert not compare_folders(one, near, None).within
    assert not compare_folders(one, far, FULL).within
    assert not compare_folders(one, far, HALF).within


def test_a_models_history_has_the_tolerance_of_numbers_and_other_files_have_none(tmp_path: Path) -> None:
    one = _model(tmp_path / "one")
    assert compare_folders(one, _model(tmp_path / "loss", loss=1.0001), FULL).within
    assert not compare_folders(one, _model(tmp_path / "worse", loss=1.1), FULL).within
    other = compare_folders(one, _model(tmp_path / "config", config='{"a": 1}'), HALF)
    assert not other.within
    assert other.words() == "file config.json"
    (tmp_path / "loss" / "more.txt").write_text("x")
    assert "more.txt is new" in compare_folders(one, tmp_path / "loss", FULL).words()
