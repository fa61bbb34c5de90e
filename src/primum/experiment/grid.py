"""Grids: one entry with a ``matrix`` stands for many, as a job of GitHub Actions does.

::

    ${base}-${n}:                       makes   a-1: {from: a, steps: 1}
      matrix: {base: [a, b], n: [1, 2]}         a-2: {from: a, steps: 2}
      from: ${base}                             b-1: {from: b, steps: 1}
      steps: ${n}                               b-2: {from: b, steps: 2}

A grid becomes plain entries while the file is read, before anything is checked: nothing behind it knows of grids. Texts of
entries without a matrix are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, product
from typing import Any

from primum.errors import PrimumError
from primum.experiment.document import Document

SECTIONS = ("datasets", "mixtures", "preferences", "rankers", "models", "benchmarks", "prompts", "judges")
# A backslash keeps "${" a text, as in OmegaConf and DVC; "${" without an end is a slip.
_EXPRESSION = re.compile(r"(?P<kept>\\\$\{)|\$\{(?P<inside>[^{}]*)\}|\$\{")
_AXIS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CALL = re.compile(r"(\w+)\(\s*(\w*)\s*\)")

Combination = dict[str, Any]


def expand(document: Document) -> Document:
    """``document`` with entries instead of grids, and their names where ``evaluate`` or ``overrides`` names a grid.

    PrimumError on one line, naming file and grid.
    """
    content = dict(document.content)
    grids: dict[str, dict[str, tuple[str, ...]]] = {}
    # Models first, since any entry may ask for a model's title.
    for section in sorted(SECTIONS, key=lambda each: each != "models"):
        if isinstance(content.get(section), dict):
            content[section], grids[section] = _section(section, content, document)
    _name_grids(content, grids, document)
    places = dict(document.places)
    for section, made in grids.items():
        for key, names in made.items():
            grid = f"{section}.{key}"
            inside = [place for place in document.places if f"{place}.".startswith(f"{grid}.")]
            places |= {
                f"{section}.{name}{place.removeprefix(grid)}": document.places[place]
                for name in names
                for place in inside
            }
    return replace(document, content=content, places=places, grids={s: made for s, made in grids.items() if made})


def _section(
    section: str, content: Mapping[str, Any], document: Document
) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """The entries of a section without grids, and the names that each of its grids made."""
    entries: dict[str, Any] = content[section]
    result: dict[str, Any] = {}
    grids: dict[str, tuple[str, ...]] = {}
    for key, entry in entries.items():
        try:
            if not (isinstance(entry, dict) and "matrix" in entry):
                if "${" in str(key):
                    raise PrimumError("a name with ${...} needs a 'matrix'")
                result[key] = entry
                continue
            models = content.get("models")
            known = {**(models if isinstance(models, dict) else {}), **(result if section == "models" else {})}
            for name, made in _entries(str(key), entry, known, keep_axes=section == "models"):
                if name in result or name in entries:
                    raise PrimumError(f"the name {name!r} is given twice: tell the two apart")
                result[name] = made
                grids[key] = (*grids.get(key, ()), name)
        except PrimumError as error:
            where = f"{section}.{key}"
            raise PrimumError(f"{document.file_of(where)}: {where}: {error}") from None
    return result, grids


def _entries(
    key: str, entry: Mapping[str, Any], models: Mapping[str, Any], keep_axes: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, entry) of every combination of a grid."""
    if "${" not in key:
        raise PrimumError(
            "a grid needs a name with ${...}, such as sft-${n}, so that its entries have names of their own"
        )
    if keep_axes and "axes" in entry:
        raise PrimumError("axes: are those of the matrix here: remove the key")
    made_of = combinations(entry["matrix"])
    rest = {inner: value for inner, value in entry.items() if inner != "matrix"}
    used: set[str] = set()
    made = []
    for axes in made_of:
        lookup = _lookup(axes, models, used)
        name, filled = _text(key, lookup), _filled(rest, lookup)
        made.append((name, {**filled, "axes": axes} if keep_axes else filled))
    for axis in dict.fromkeys(chain.from_iterable(made_of)):
        if axis not in used:
            raise PrimumError(f"matrix.{axis}: nothing uses ${{{axis}}}: use it or remove the axis")
    yield from made


def combinations(matrix: object) -> list[Combination]:
    """The combinations of a matrix in their order: the first axis varies slowest.

    ``include`` is that of GitHub Actions, where a value may also be a list, which multiplies its entry: an entry is added to
    each combination of the axes that it does not contradict, and is a combination of its own if there is none. Where
    GitHub Actions lets an entry overwrite what one before it has added, both are kept, as two combinations.
    """
    if not isinstance(matrix, dict) or not matrix:
        raise PrimumError("matrix: expected axes with their values, such as {n: [200, 400]}")
    if "exclude" in matrix:
        raise PrimumError("matrix.exclude: is not supported: name the combinations that there are under 'include'")
    axes = {axis: values for axis, values in matrix.items() if axis != "include"}
    for axis, values in axes.items():
        if not isinstance(values, list):
            raise PrimumError(f"matrix.{axis}: expected a list of values, such as [200, 400]")
    originals: list[Combination] = _products(axes, "matrix") if axes else []
    extended: list[list[Combination]] = [[{}] for _ in originals]
    own: list[Combination] = []
    for entry in _included(matrix.get("include", [])):
        added = {axis: value for axis, value in entry.items() if axis not in axes}
        fitting = [others for o, others in zip(originals, extended, strict=True) if _agree(o, entry)]
        alike = [each for others in fitting for each in others if _agree(each, added)]
        if alike and all(added.items() <= each.items() for each in alike):
            raise PrimumError(f"matrix.include: {_listed(entry)} adds nothing: remove it")
        for others in fitting:
            if not any(_agree(each, added) for each in others):
                others.append(dict(added))
        for each in alike:
            each.update(added)
        if not fitting:
            own.append(entry)
    return [*({**o, **each} for o, each_of in zip(originals, extended, strict=True) for each in each_of), *own]


def _included(include: object) -> list[Combination]:
    if not isinstance(include, list) or not all(isinstance(entry, dict) and entry for entry in include):
        raise PrimumError("matrix.include: expected a list of axes with their values, such as [{kind: both, n: 400}]")
    entries = [{axis: v if isinstance(v, list) else [v] for axis, v in entry.items()} for entry in include]
    return [combination for entry in entries for combination in _products(entry, "matrix.include")]


def _products(axes: Mapping[Any, list[Any]], where: str) -> list[Combination]:
    for axis, values in axes.items():
        if not isinstance(axis, str) or not _AXIS.fullmatch(axis):
            hint = "use letters, digits and '_'; quote what YAML reads otherwise"
            raise PrimumError(f"{where}: {axis!r} is no name for an axis: {hint}")
        if not values:
            raise PrimumError(f"{where}.{axis}: has no values: give at least one")
        if not all(isinstance(value, str | int | float) for value in values):
            raise PrimumError(f"{where}.{axis}: expected texts, numbers, true or false")
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def _agree(one: Combination, other: Combination) -> bool:
    return all(one[axis] == other[axis] for axis in one.keys() & other.keys())


def _lookup(axes: Combination, models: Mapping[str, Any], used: set[str]) -> Callable[[str], Any]:
    """What ``${...}`` stands for in one combination; adds the axis to ``used``."""

    def value(inside: str) -> Any:
        call = _CALL.fullmatch(inside.strip())
        axis = call[2] if call else inside.strip()
        if call and call[1] != "title":
            raise PrimumError(f"${{{inside}}}: no function {call[1]!r}; there is: title")
        if axis not in axes:
            raise PrimumError(
                f"${{{inside}}}: no axis {axis!r} beside {_listed(axes)}; write \\${{ for a text with ${{"
            )
        used.add(axis)
        return _title(str(axes[axis]), models) if call else axes[axis]

    return value


def _title(name: str, models: Mapping[str, Any]) -> str:
    entry = models.get(name)
    title = entry.get("title") if isinstance(entry, dict) else None
    if not isinstance(title, str) or not title:
        raise PrimumError(f"${{title(...)}}: no model {name!r} with a title stands before it")
    return title


def _filled(value: Any, lookup: Callable[[str], Any]) -> Any:
    """``value`` with every ``${...}`` replaced, in texts and keys. What is one ``${...}`` and no more keeps its type."""
    if isinstance(value, str):
        whole = _EXPRESSION.fullmatch(value)
        return lookup(whole["inside"]) if whole and whole["inside"] is not None else _text(value, lookup)
    if isinstance(value, list):
        return [_filled(each, lookup) for each in value]
    if not isinstance(value, dict):
        return value
    filled: dict[Any, Any] = {}
    for key, each in value.items():
        name = _text(key, lookup) if isinstance(key, str) else key
        if name in filled:
            raise PrimumError(f"the key {name!r} is given twice: tell the two apart")
        filled[name] = _filled(each, lookup)
    return filled


def _text(text: str, lookup: Callable[[str], Any]) -> str:
    def replaced(found: re.Match[str]) -> str:
        if found["kept"]:
            return "${"
        if found["inside"] is None:
            raise PrimumError("a ${ without its }: close it, or write \\${ for a text with ${")
        return _spelled(lookup(found["inside"]))

    return _EXPRESSION.sub(replaced, text)


def _spelled(value: Any) -> str:
    """As YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(axes: Combination) -> str:
    return ", ".join(f"{axis}: {_spelled(value)}" for axis, value in axes.items())


def _name_grids(
    content: dict[str, Any], grids: Mapping[str, Mapping[str, tuple[str, ...]]], document: Document
) -> None:
    """Put a grid's names where ``evaluate`` lists its key, and give each of its models what ``overrides`` says of it."""
    evaluate, overrides = content.get("evaluate"), content.get("overrides")
    if isinstance(evaluate, dict):
        content["evaluate"] = {**evaluate}
        for kind in SECTIONS:
            listed = evaluate.get(kind)
            if isinstance(listed, list) and any(map(_is_pattern, listed)):
                named = [_named(name, kind, grids, f"evaluate.{kind}", document) for name in listed]
                content["evaluate"][kind] = _distinct(list(chain.from_iterable(named)), f"evaluate.{kind}", document)
    if isinstance(overrides, dict) and any(map(_is_pattern, overrides)):
        named = [_named(key, "models", grids, "overrides", document) for key in overrides]
        _distinct(list(chain.from_iterable(named)), "overrides", document)
        entries = zip(named, overrides.values(), strict=True)
        content["overrides"] = {name: entry for names, entry in entries for name in names}


def _is_pattern(name: object) -> bool:
    return isinstance(name, str) and "${" in name


def _named(
    name: Any, kind: str, grids: Mapping[str, Mapping[str, tuple[str, ...]]], where: str, document: Document
) -> tuple[Any, ...]:
    """The names of the grid whose key ``name`` is; a plain name alone."""
    if not _is_pattern(name):
        return (name,)
    if name not in grids.get(kind, {}):
        there = ", ".join(map(repr, grids.get(kind, {}))) or "none"
        raise PrimumError(
            f"{document.file_of(where)}: {where}: no grid of {kind} has the key {name!r}; there are: {there}"
        )
    return grids[kind][name]


def _distinct(names: list[Any], where: str, document: Document) -> list[Any]:
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise PrimumError(
            f"{document.file_of(where)}: {where}: {twice[0]!r} is named twice, once by a grid: remove one"
        )
    return names
