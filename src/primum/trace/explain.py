"""``primum explain``: a number of a table, or an artifact, and all that it was made of, down to the raw files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from primum.artifact.graph import Graph, read_graph
from primum.errors import PrimumError
from primum.project import results_folder
from primum.tables.cells import NAMED
from primum.trace.cell import Cell, find_cell, inputs_of
from primum.trace.find import find_artifact, located, named_in
from primum.trace.item import Item, find_item
from primum.trace.origin import Origin
from primum.trace.show import show
from primum.trace.steps import Unfolded, unfold
from primum.trace.tree import Line, Tree, short, told
from primum.trace.words import plural

# Of what --json prints. A new field keeps it; a field that is gone or means something else makes it another.
FORM = 1
_LISTED = 12


@dataclass(frozen=True)
class Explanation:
    """What was asked for, a ``cell`` of a table or an artifact, and the steps from it down."""

    results: Path
    cell: Cell | None
    unfolded: Unfolded
    item: Item | None = None

    @property
    def title(self) -> str:
        """What was asked for."""
        return self.cell.title if self.cell else self.unfolded.root.step

    def as_dict(self) -> dict[str, Any]:
        """What ``--json`` prints: docs/provenance.md says what each field is."""
        cell = self.cell
        named = (
            None if cell is None else {"table": cell.table, "names": cell.names, "number": cell.number, "row": cell.row}
        )
        return {
            "form": FORM,
            "results": self.results.as_posix(),
            "cell": named,
            "item": asdict(self.item) if self.item else None,
            "root": self.unfolded.root.step,
            "steps": {name: asdict(step) for name, step in self.unfolded.steps.items()},
            "damaged": dict(self.unfolded.damaged),
        }


def explained(
    results: Path, what: str, where: Mapping[str, str], depth: int | None = None, item: str | None = None
) -> Explanation:
    """The explanation of a cell of the table ``what``, or of the artifact that ``what`` names.

    PrimumError where nothing is meant, or more than one.
    """
    if depth is not None and depth < 0:
        raise PrimumError(f"--depth {depth}: give 0 or more")
    graph = read_graph(results)
    name = named_in(results, what).removeprefix("tables/")
    if name in NAMED and (what == name or where):
        what = name
        table, cell = find_cell(graph, what, where)
        chosen = inputs_of(graph, table, cell)
        measured = [read.artifact for read, why in chosen if read.artifact is not None and not why]
        found = find_item(graph, measured, item) if item else None
        return Explanation(results, cell, unfold(graph, table, chosen, depth), found)
    if where:
        column = next(iter(where))
        raise PrimumError(f"--where {column}: belongs to a table, which {what} is not; tables: {', '.join(NAMED)}")
    artifact = find_artifact(graph, what)
    found = find_item(graph, [artifact], item) if item else None
    return Explanation(results, None, unfold(graph, artifact, None, depth), found)


def lines(explanation: Explanation) -> Iterator[Line]:
    """The explanation as it is printed."""
    unfolded, cell = explanation.unfolded, explanation.cell
    tree = Tree(unfolded)
    yield Line("", explanation.title, "head")
    if cell is not None:
        yield from tree.wrapped("  ", cell.number, "head")
        if cell.others:
            yield from tree.wrapped("  ", ", ".join(f"{key} {value}" for key, value in cell.others.items()), "soft")
    if explanation.item is not None:
        yield from _item(explanation.item, tree)
    for path, why in unfolded.damaged.items():
        yield from tree.wrapped("  ", f"damaged, and left out: {why.removeprefix(f'{path}: ')} ({path})", "bad")
    yield Line("", "")
    yield from tree.common()
    yield Line("", "")
    yield from tree.lines()
    yield Line("", "")
    if unfolded.raw:
        yield Line(
            "",
            f"{plural(len(unfolded.raw), 'raw file')}, as sha256sum --check reads them in {explanation.results}:",
            "soft",
        )
        yield from tree.files()
    elif any(step.deeper for step in unfolded.steps.values()):
        yield Line("", "Raw files are deeper than --depth.", "soft")
    elif cell is not None and not unfolded.steps[unfolded.root.step].inputs:
        yield Line("", "This row repeats what the experiment's file says: no artifact was read for it.", "soft")
    else:
        yield Line("", "No raw file is among these steps.", "soft")


def _item(item: Item, tree: Tree) -> Iterator[Line]:
    yield Line("  ", f"item {item.id}", "head")
    for name, row in item.measured:
        said = ", ".join(f"{key} {told(value)}" for key, value in row.items() if value not in (None, "", [], item.id))
        yield from tree.wrapped("    ", f"{name}: {said}")
    for record in item.became:
        yield from tree.wrapped("    ", f"{record.artifact}: {record.sentence}")
        if record.repeats is not None and record.repeats.origin is not None:
            yield from tree.wrapped("      ", f"{record.repeats.id}: {_place(record.repeats.origin)}")
    yield from _from(item.origin, item.note, "    ", tree)
    for each in item.trained:
        said = f"in training data: {plural(each.rows, 'row')} of {each.data}"
        yield from tree.wrapped("    ", f"{said}, the first of them {each.first}" if each.first else said, "bad")
        yield from _from(each.origin, each.note, "      ", tree)


def _from(origin: Origin | None, note: str, indent: str, tree: Tree) -> Iterator[Line]:
    if origin is not None:
        yield from tree.wrapped(indent, _place(origin))
    else:
        yield from tree.wrapped(indent, note, "soft")


def _place(at: Origin) -> str:
    return f"from {at.unit} {at.line:,} of {at.artifact}/{at.file}, sha256 {short(at.sha256)}"


def listed(graph: Graph) -> Iterator[Line]:
    """What can be asked of a results folder."""
    yield Line(
        "", f"{graph.results}: {plural(len(graph.artifacts), 'artifact')}. A table's cell, or any artifact:", "head"
    )
    names = [graph.name(artifact) for artifact in graph.artifacts]
    for table, columns in NAMED.items():
        if f"tables/{table}" in names:
            yield Line("  ", f"{table:<12} --where " + ", ".join(f"{column}=" for column in columns))
    for place, count in Counter(_kind(name) for name in names).items():
        first = next(name for name in names if _kind(name) == place)
        yield Line("  ", f"{place:<16} {plural(count, 'artifact')}, such as {first}", "soft")
    for path, why in graph.unreadable.items():
        yield Line("  ", f"damaged: {why}" if str(path) in why else f"damaged: {path}: {why}", "bad")


def _kind(name: str) -> str:
    parts = name.split("/")
    return "/".join(parts[: 2 if parts[0] == "data" else 1])


def explain(
    experiment: str,
    what: str | None,
    where: Mapping[str, str],
    depth: int | None,
    item: str | None,
    as_json: bool,
    html: Path | None,
) -> None:
    """Print an explanation, as text or JSON, or write it as a page. Without ``what``, print what can be asked."""
    if as_json and html is not None:
        raise PrimumError("--json and --html do not go together: give one of them")
    if what is None and (place := located(experiment)) is not None:
        results, what = place
    else:
        results = results_folder(experiment)
    if what is None:
        if where or item or as_json or html is not None or depth is not None:
            raise PrimumError(f"name a table or an artifact, too: `primum explain {experiment}` lists what there is")
        show(listed(read_graph(results)))
        return
    explanation = explained(results, what, where, depth, item)
    if html is not None:
        from primum.trace.page import write_page

        write_page(explanation, html)
        print(f"{html}: {plural(len(explanation.unfolded.steps), 'step')} of {explanation.title}")
    elif as_json:
        print(json.dumps(explanation.as_dict(), indent=1))
    else:
        show(lines(explanation))


def conditions(pairs: list[str], options: Mapping[str, str | None]) -> dict[str, str]:
    """Column -> value of ``KEY=VALUE`` pairs and of the options of the most common columns. PrimumError for anything else."""
    where = {key: value for key, value in options.items() if value is not None}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise PrimumError(f"--where {pair}: write it as KEY=VALUE, such as benchmark=medqa")
        if where.setdefault(key.strip(), value) != value:
            raise PrimumError(f"--where {pair}: {key.strip()} is given twice, as '{where[key.strip()]}' too")
    return where
