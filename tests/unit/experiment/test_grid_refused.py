"""Grids that are refused, and in which words: one line that names file and grid."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from primum.errors import PrimumError
from primum.experiment.document import Document, places_of
from primum.experiment.grid import expand

FILE = Path("file.yaml")


def _expanded(text: str) -> Document:
    content = yaml.safe_load(text)
    return expand(Document(content, FILE, places_of(content, FILE)))


GRID = "models: {base: {title: B}, 'm-${n}': {matrix: {n: [1, 2]}, title: '${n}'}}"
# (what is replaced in GRID, with what, the whole error)
REFUSED = [
    ("base: {title: B}", "m-2: {title: B}", "models.m-${n}: the name 'm-2' is given twice: tell the two apart"),
    ("{n: [1, 2]}", "{n: [1, 1]}", "models.m-${n}: the name 'm-1' is given twice: tell the two apart"),
    ("{n: [1, 2]}", "{n: [1, '1']}", "models.m-${n}: the name 'm-1' is given twice: tell the two apart"),
    ("{n: [1, 2]}", "{n: [1], k: [2]}", "models.m-${n}: matrix.k: nothing uses ${k}: use it or remove the axis"),
    ("title: '${n}'", "title: '${k}'", "models.m-${n}: ${k}: no axis 'k' beside n: 1; write \\${ for a text with ${"),
    (
        "title: '${n}'",
        "x: [{'${k}': 1}]",
        "models.m-${n}: ${k}: no axis 'k' beside n: 1; write \\${ for a text with ${",
    ),
    ("title: '${n}'", "title: '${n'", "models.m-${n}: a ${ without its }: close it, or write \\${ for a text with ${"),
    ("{n: [1, 2]}", "{n: []}", "models.m-${n}: matrix.n: has no values: give at least one"),
    ("{n: [1, 2]}", "{include: [{n: []}]}", "models.m-${n}: matrix.include.n: has no values: give at least one"),
    ("{n: [1, 2]}", "{n: 1}", "models.m-${n}: matrix.n: expected a list of values, such as [200, 400]"),
    ("{n: [1, 2]}", "{n: [[1]]}", "models.m-${n}: matrix.n: expected texts, numbers, true or false"),
    ("{n: [1, 2]}", "{n: [null]}", "models.m-${n}: matrix.n: expected texts, numbers, true or false"),
    (
        "{n: [1, 2]}",
        "{n-1: [1]}",
        "models.m-${n}: matrix: 'n-1' is no name for an axis: use letters, digits and '_'; quote what YAML reads otherwise",
    ),
    (
        "{n: [1, 2]}",
        "{on: [1]}",
        "models.m-${n}: matrix: True is no name for an axis: use letters, digits and '_'; quote what YAML reads otherwise",
    ),
    ("{n: [1, 2]}", "[1]", "models.m-${n}: matrix: expected axes with their values, such as {n: [200, 400]}"),
    ("{n: [1, 2]}", "{}", "models.m-${n}: matrix: expected axes with their values, such as {n: [200, 400]}"),
    (
        "{n: [1, 2]}",
        "{n: [1], exclude: [{n: 1}]}",
        "models.m-${n}: matrix.exclude: is not supported: name the combinations that there are under 'include'",
    ),
    (
        "{n: [1, 2]}",
        "{n: [1], include: {n: 2}}",
        "models.m-${n}: matrix.include: expected a list of axes with their values, such as [{kind: both, n: 400}]",
    ),
    ("{n: [1, 2]}", "{n: [1], include: [{n: 1}]}", "models.m-${n}: matrix.include: n: 1 adds nothing: remove it"),
    (
        "'m-${n}'",
        "m",
        "models.m: a grid needs a name with ${...}, such as sft-${n}, so that its entries have names of their own",
    ),
    ("matrix: {n: [1, 2]}, ", "", "models.m-${n}: a name with ${...} needs a 'matrix'"),
    ("title: '${n}'", "title: '${upper(n)}'", "models.m-${n}: ${upper(n)}: no function 'upper'; there is: title"),
    (
        "title: '${n}'",
        "title: '${title(n)}'",
        "models.m-${n}: ${title(...)}: no model '1' with a title stands before it",
    ),
    ("title: '${n}'", "axes: {n: 1}", "models.m-${n}: axes: are those of the matrix here: remove the key"),
    ("title: '${n}'", "x: {'${n}': 1, '1': 2}", "models.m-${n}: the key '1' is given twice: tell the two apart"),
]


@pytest.mark.parametrize(("old", "new", "said"), REFUSED, ids=[f"{old} -> {new}" for old, new, _ in REFUSED])
def test_what_is_refused(old: str, new: str, said: str) -> None:
    assert GRID.count(old) == 1
    with pytest.raises(PrimumError) as caught:
        _expanded(GRID.replace(old, new))
    assert str(caught.value) == f"file.yaml: {said}"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "evaluate: {models: ['x-${n}']}",
            "evaluate.models: no grid of models has the key 'x-${n}'; there are: 'm-${n}'",
        ),
        ("evaluate: {judges: ['m-${n}']}", "evaluate.judges: no grid of judges has the key 'm-${n}'; there are: none"),
        (
            "evaluate: {models: [m-2, 'm-${n}']}",
            "evaluate.models: 'm-2' is named twice, once by a grid: remove one",
        ),
        ("overrides: {'x-${n}': {}}", "overrides: no grid of models has the key 'x-${n}'; there are: 'm-${n}'"),
        ("overrides: {'m-${n}': {}, m-1: {}}", "overrides: 'm-1' is named twice, once by a grid: remove one"),
    ],
)
def test_a_pattern_that_names_no_grid(more: str, said: str) -> None:
    with pytest.raises(PrimumError) as caught:
        _expanded(f"{GRID}\n{more}")
    assert str(caught.value) == f"file.yaml: {said}"
