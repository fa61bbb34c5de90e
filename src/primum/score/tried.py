"""A task tried on its first row and its first example: what fails there fails before a model is loaded, in less than a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from primum.errors import PrimumError
from primum.score.documents import (
    choices,
    continuation,
    description,
    documents,
    prefix,
    question,
    right_input,
    several_inputs,
    target,
)
from primum.score.fewshot import Examples, pool
from primum.score.worth import worth
from primum.text.rows import ChoiceRow, DocumentRow


def try_task(
    rows: Sequence[ChoiceRow | DocumentRow], task: Mapping[str, Any], examples: Sequence[ChoiceRow | DocumentRow] = ()
) -> None:
    """Run every template and function of ``task`` (``Benchmark.asked``) once.

    PrimumError naming the row and the key that does not fit, or the package that a function lacks.
    """
    if not rows:
        return
    # process_docs is a matter of the whole dataset, and may leave the first row out.
    asked = documents(rows if task["process_docs"] else rows[:1], task)
    if not asked:
        raise PrimumError(f"process_docs: leaves none of {len(rows):,} rows: correct it, or choose another dataset")
    first = asked[0]
    offered = choices(first, task)
    description(first, task)
    prefix(first, task)
    if several_inputs(first, task):
        right_input(first, task, offered)
        continuation(first, task)
    else:
        question(first, task)
        target(first, task, offered)
    if task.get("process_results"):
        worth(first.id, first.fields, [(-1.0 - place, not place) for place in range(len(offered))], task)
    for example in pool(examples, task)[:1]:
        Examples([example], task).turn(example)
