"""What an audit finds, by hand: in single sequences, in packed chunks, and against limits."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from number_tokens import BLANK, BOS, EOS, Tokens

from primum.errors import PrimumError
from primum.text.audit import (
    AUDIT,
    Check,
    LabelsAcross,
    audit_table,
    ends_turn,
    fingerprint,
    has_end_unlearned,
    has_two_bos,
    rows_check,
)
from primum.text.packing import IGNORED, PACKED, Sample

N = IGNORED


def sample(ids: list[int], labels: list[int]) -> Sample:
    return Sample(np.array(ids, dtype=np.int32), np.array(labels, dtype=np.int32))


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        ([BOS, 5, 6], False),
        ([BOS], False),
        ([5, 6], False),
        ([BOS, BOS, 5], True),  # by the template and by the tokenizer
        ([BOS, 5, BOS, 6], True),
        ([5, BOS], True),
        ([BOS, 5, EOS, BOS, 6, EOS], False),  # as Llama 2's turns begin
        ([BOS, BOS, 5, EOS, BOS, 6, EOS], True),
    ],
)
def test_two_bos(ids: list[int], found: bool) -> None:
    assert has_two_bos(Tokens(), ids) is found
    assert has_two_bos(Tokens(), np.array(ids, dtype=np.int32)) is found
    assert has_two_bos(Tokens(bos_token_id=None), ids) is False


def test_where_bos_ends_turns_too_only_the_beginning_tells() -> None:
    one = Tokens(eos_token_id=BOS)
    assert has_two_bos(one, [BOS, 5, BOS, 6, BOS]) is False
    assert has_two_bos(one, [BOS, BOS, 5, BOS]) is True


@pytest.mark.parametrize(
    ("ids", "ends"),
    [
        ([5, EOS], True),
        ([5, 3], True),
        ([5, EOS, BLANK, BLANK], True),
        ([EOS, 5], False),
        ([BLANK], False),
        ([], False),
    ],
)
def test_a_turn_ends_with_an_end_token_and_white_space(ids: list[int], ends: bool) -> None:
    assert ends_turn(Tokens(), ids) is ends


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        # of  1 5 6 2 9 7 8 2
        ([N, N, 6, EOS, N, N, 8, EOS], False),
        ([N, N, 6, EOS, BLANK, N, 8, EOS], False),  # the line end behind it is learned too
        ([N, N, 6, N, N, N, 8, EOS], True),  # of the first turn
        ([N, N, 6, EOS, N, N, 8, N], True),  # of the last
        ([N] * 8, False),  # another check's
        ([BOS, 5, 6, EOS, BLANK, 7, 8, EOS], False),
    ],
)
def test_an_end_that_bears_no_loss(labels: list[int], found: bool) -> None:
    assert has_end_unlearned(Tokens(), sample([BOS, 5, 6, EOS, BLANK, 7, 8, EOS], labels)) is found


def test_where_all_is_learned_no_end_is_left_out() -> None:
    assert has_end_unlearned(Tokens(), sample([BOS, 5, EOS, 6], [BOS, 5, EOS, 6])) is False


# Packed chunks --------------------------------------------------------------------------------------------------------

A, B = sample([BOS, 5, 6], [N, 5, 6]), sample([BOS, 7], [BOS, 7])
C = sample([8, 8, 8, 8], [N, N, 8, 8])


def chunks(*rows: tuple[list[int], list[int], list[int]]) -> pa.Table:
    names = ("input_ids", "labels", "seq_lengths")
    return pa.Table.from_pylist(
        [{"id": f"{i:08d}", **dict(zip(names, row, strict=True))} for i, row in enumerate(rows)], schema=PACKED
    )


def labels_across_samples(packed: pa.Table, samples: list[Sample]) -> int:
    """Looked at a chunk at a time."""
    across = LabelsAcross(np.array([fingerprint(each.input_ids, each.labels) for each in samples], dtype=np.uint64))
    for row in range(packed.num_rows):
        across.look(packed.slice(row, 1))
    return across.count()


AB, ABL = [BOS, 5, 6, BOS, 7], [N, 5, 6, BOS, 7]
REST = ([8, 8, 8, 8], [N, N, 8, 8], [4])


@pytest.mark.parametrize(
    ("chunk", "lost"),
    [
        ((AB, ABL, [3, 2]), 0),
        ((AB, ABL, [5]), 2),  # one sample of two: its second BOS is learned from a 6
        ((AB, ABL, [2, 3]), 2),
        ((AB, ABL, [3, 1]), 2),  # lengths that do not reach the chunk's end
        ((AB, [*ABL, 4], [3, 2]), 2),  # a label too many
        ((AB, [N, 6, 5, BOS, 7], [3, 2]), 1),  # labels of other tokens
        ((AB, [N, 5, 6, N, 7], [3, 2]), 1),  # a label is lost
        (([BOS, 7, BOS, 5, 6], [BOS, 7, N, 5, 6], [2, 3]), 0),
        (([BOS, 5, 6, BOS, 5, 6], [N, 5, 6, N, 5, 6], [3, 3]), 1),  # one twice, in the place of another
    ],
)
def test_samples_that_no_chunk_holds_as_they_are(chunk: tuple[list[int], list[int], list[int]], lost: int) -> None:
    assert labels_across_samples(chunks(REST, chunk), [A, B, C]) == lost


def test_a_sample_there_twice_must_be_packed_twice() -> None:
    assert labels_across_samples(chunks(REST, REST), [C, C]) == 0
    assert labels_across_samples(chunks(REST), [C, C]) == 1


def test_labels_that_are_wrong_before_packing_are_found_too() -> None:
    wrong = sample([BOS, 5], [N, 6])
    assert labels_across_samples(chunks(([BOS, 5], [N, 6], [2])), [wrong]) == 1


def test_the_collator_learns_across_samples_exactly_where_lengths_are_wrong() -> None:
    """Without the first label of each true sample nothing is learned from another's tokens."""
    from primum.train.chunks import ChunkCollator

    right, wrong = (
        ChunkCollator(0, True)([{"input_ids": AB, "labels": ABL, "seq_lengths": lengths}])["labels"][0].tolist()
        for lengths in ([3, 2], [5])
    )
    assert (right, wrong) == ([N, 5, 6, N, 7], [N, 5, 6, BOS, 7])


# Limits ---------------------------------------------------------------------------------------------------------------

CHECKS = [
    Check("two-bos", 0, 0, "samples", "x"),
    rows_check("truncated", {"truncated": ["d/3"]}, 8, "samples", "raise chunk_tokens"),
]


def test_a_row_a_check_with_its_share_and_limit() -> None:
    table = audit_table("sft", CHECKS, {"truncated": 0.125, "two_bos": 0.0, "unfilled": 0.5})
    assert table.schema.equals(AUDIT)
    nothing = {"id": "00", "check": "two-bos", "count": 0, "of": 0, "share": None, "limit": 0.0, "passed": True}
    cut = {"id": "01", "check": "truncated", "count": 1, "of": 8, "share": 0.125, "limit": 0.125, "passed": True}
    assert table.to_pylist() == [nothing | {"rows": None}, cut | {"rows": ["d/3"]}]


def test_above_a_limit_is_an_error_of_one_line() -> None:
    with pytest.raises(PrimumError) as error:
        audit_table("sft", CHECKS, {"truncated": 0.124, "two_bos": 0.0})
    assert str(error.value) == (
        "models.sft: truncated: 1 of 8 samples (12.5%) are above the limit of 12.4%: raise chunk_tokens, "
        "or raise limits.truncated"
    )
