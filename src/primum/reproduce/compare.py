"""What was claimed beside what was made again: the first rows and columns that differ, or the weights, and never a text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from primum.artifact.folder import folder_files
from primum.artifact.table import read_table
from primum.reproduce.classes import Tolerance, beyond, may_differ

_NAMED = 3  # rows, tensors and files that are named


@dataclass(frozen=True, slots=True)
class Part:
    """A column, a tensor or a file that differs: ``kind`` says which, ``where`` in which file of a folder.

    ``rows`` counts the rows that differ. ``largest`` and ``mean`` are of the numbers' distances, of a tensor as a share of its
    largest weight; both are None of what is no number.
    """

    kind: str
    name: str
    where: str = ""
    rows: int = 0
    largest: float | None = None
    mean: float | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """How two contents differ. ``within`` says that the tolerance allows it. ``first`` are ids of the first rows that differ."""

    within: bool
    parts: Sequence[Part] = ()
    rows: int = 0
    of: int = 0
    first: Sequence[str] = ()
    only: Sequence[str] = field(default_factory=tuple)

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    def words(self) -> str:
        """In a line."""
        said = [*self.only]
        if self.rows:
            said.append(f"{self.rows:,} of {self.of:,} rows ({', '.join(self.first)}{', ...' * (self.rows > _NAMED)})")
        said += [_words(part) for part in self.parts[:_NAMED]]
        more = len(self.parts) - _NAMED
        return "; ".join([*said, *([f"{more} more"] if more > 0 else [])])


def _words(part: Part) -> str:
    name = f"{part.kind} {part.name}" + (f" in {part.where}" if part.where else "")
    far = "" if part.largest is None else f" by up to {part.largest:.2g}"
    if part.rows and part.largest is None:
        far = f" in {part.rows:,} rows"
    share = " of its largest weight" if part.kind == "tensor" and far else ""
    return f"{name}{far}{share}"


def compare_tables(claimed: pa.Table, made: pa.Table, tolerance: Tolerance | None) -> Difference:
    """Compare the rows of two tables, one by one in their order. Without a ``tolerance`` nothing may differ."""
    if claimed.schema != made.schema:
        names = sorted({field.name for each in (claimed.schema, made.schema) for field in each})
        other = [name for name in names if _type(claimed, name) != _type(made, name)]
        return Difference(False, [Part("column", name) for name in other], only=["other columns"])
    ids = _ids(claimed)
    if ids != _ids(made):
        mine, its = set(ids), set(_ids(made))
        left, new = [each for each in ids if each not in its], [each for each in _ids(made) if each not in mine]
        only = [f"rows that are not made: {len(left):,} ({', '.join(left[:_NAMED])})"] if left else []
        only += [f"rows that are new: {len(new):,} ({', '.join(new[:_NAMED])})"] if new else []
        return Difference(False, of=len(ids), only=only or ["rows in another order"])
    parts: list[Part] = []
    differing: set[int] = set()
    others: set[int] = set()
    within = tolerance is not None
    for name in claimed.column_names:
        found = _column(name, claimed.column(name).to_pylist(), made.column(name).to_pylist(), tolerance)
        if found.rows:
            parts.append(found.part)
            differing |= found.rows
            others |= found.other
            within = within and not found.far
    if tolerance is not None:
        within = within and len(others) <= tolerance.rows * len(ids)
    first = [ids[row] for row in sorted(differing)[:_NAMED]]
    return Difference(within, parts, len(differing), len(ids), first)


def _type(table: pa.Table, name: str) -> str:
    return str(table.schema.field(name)) if name in table.column_names else ""


def _ids(table: pa.Table) -> list[str]:
    """The rows' names: their ids, or numbers from 1."""
    if "id" in table.column_names:
        return [str(each) for each in table.column("id").to_pylist()]
    return [f"row {number}" for number in range(1, table.num_rows + 1)]


@dataclass(frozen=True, slots=True)
class _Column:
    """``rows`` are those that differ, ``other`` those that do in no number; ``far`` says that a number does by too much."""

    part: Part
    rows: set[int]
    other: set[int]
    far: bool


def _column(name: str, claimed: list[Any], made: list[Any], tolerance: Tolerance | None) -> _Column:
    rows: set[int] = set()
    other: set[int] = set()
    distances: list[float] = []
    excess, numbers, far = 0.0, 0, tolerance is None
    for row, (one, its) in enumerate(zip(claimed, made, strict=True)):
        pairs = _floats(one, its)
        numbers += len(pairs or ())
        if one == its or (pairs and all(_same(a, b) for a, b in pairs)):
            continue
        rows.add(row)
        if pairs is None:
            other.add(row)
            continue
        distances += [abs(a - b) for a, b in pairs]
        excess += sum(beyond(a, b) for a, b in pairs)
        far = far or tolerance is None or not all(may_differ(a, b, tolerance) for a, b in pairs)
    if not distances:
        return _Column(Part("column", name, "", len(rows)), rows, other, False)
    finite = [each for each in distances if math.isfinite(each)]
    far = far or tolerance is None or not excess / numbers <= tolerance.mean
    return _Column(
        Part("column", name, "", len(rows), max(finite, default=None), sum(finite) / numbers), rows, other, far
    )


def _floats(one: Any, other: Any) -> list[tuple[float, float]] | None:
    """The floats of two cells side by side; None where they hold anything else, or not as many."""
    if isinstance(one, float) and isinstance(other, float):
        return [(one, other)]
    if not (isinstance(one, list) and isinstance(other, list) and len(one) == len(other)):
        return None
    floats = all(isinstance(each, float) for each in (*one, *other))
    return list(zip(one, other, strict=True)) if floats else None


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def compare_folders(claimed: Path, made: Path, tolerance: Tolerance | None) -> Difference:
    """Compare two folders file by file: weights tensor by tensor, Parquet files row by row, others as bytes."""
    mine, its = folder_files(claimed), folder_files(made)
    only = [f"{name} is not made" for name in mine if name not in its]
    only += [f"{name} is new" for name in its if name not in mine]
    parts: list[Part] = []
    within = tolerance is not None and not only
    for name in sorted(mine.keys() & its.keys()):
        if mine[name] == its[name]:
            continue
        if name.endswith(".safetensors"):
            found = list(_tensors(claimed / name, made / name, name))
            parts += found
            within = within and all(
                each.largest is not None and tolerance is not None and each.largest <= tolerance.weight
                for each in found
            )
        elif name.endswith(".parquet"):
            difference = compare_tables(read_table(claimed / name), read_table(made / name), tolerance)
            parts += [Part(each.kind, each.name, name, each.rows, each.largest, each.mean) for each in difference.parts]
            only += [f"{name}: {each}" for each in difference.only]
            within = within and difference.within
        else:
            parts.append(Part("file", name))
            within = False
    return Difference(within, parts, only=only)


def _tensors(claimed: Path, made: Path, where: str) -> Iterator[Part]:
    """The tensors that differ, the one that does most first."""
    from safetensors import safe_open

    found = []
    with safe_open(claimed, framework="pt") as one, safe_open(made, framework="pt") as other:
        for name in sorted({*one.keys(), *other.keys()}):
            if name not in one.keys() or name not in other.keys():  # noqa: SIM118 - not a dictionary
                found.append(Part("tensor", name, where))
                continue
            a, b = one.get_tensor(name), other.get_tensor(name)
            if a.shape != b.shape or a.dtype != b.dtype:
                found.append(Part("tensor", name, where))
            elif not a.equal(b):
                a, b = a.double(), b.double()
                scale = float(a.abs().max()) or 1.0
                apart = (a - b).abs()
                largest = float(apart.max()) / scale
                found.append(
                    Part(
                        "tensor",
                        name,
                        where,
                        0,
                        largest if math.isfinite(largest) else None,
                        float(apart.mean()) / scale,
                    )
                )
    yield from sorted(found, key=lambda each: -math.inf if each.largest is None else -each.largest)
