"""The lineage of the models as a small tree: every model once, right of the model that it was trained from."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from primum.report.parts import Model
from primum.report.svg import drawing, element, shorten, text, tip

WORDS = {
    "pretrain": "pretrained",
    "sft": "fine-tuned",
    "dpo": "DPO",
    "hub": "published model",
    "endpoint": "behind an endpoint",
}
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 164.0, 44.0, 30.0, 12.0


def lineage_tree(models: Sequence[Model]) -> Markup:
    """An SVG tree, a column a training step; models that no table covers are drawn with a dashed outline."""
    places = _places(models)
    columns = 1 + max((column for column, _ in places.values()), default=0)
    rows = 1 + max((row for _, row in places.values()), default=0)
    edges, nodes = [], []
    for model in models:
        column, row = places[model.name]
        x, y = 1 + column * (_WIDTH + _GAP_X), 1 + row * (_HEIGHT + _GAP_Y)
        if model.start is not None:
            from_column, from_row = places[model.start]
            edges.append(_edge(from_column, from_row, x, y))
        words = WORDS[model.kind] + (f" on {model.data}" if model.data else "")
        told = f"{model.label} ({model.name}): {words}" + ("" if model.evaluated else "; not in the tables")
        body = element("rect", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=5, class_="node")
        stripe = element("rect", x=x, y=y + 6, width=3, height=_HEIGHT - 12, class_=f"fill-{model.kind}")
        name = text(x + 12, y + 18, shorten(model.label, 21), "node-name")
        kind = text(x + 12, y + 34, shorten(words, 26), "node-kind")
        class_ = "evaluated" if model.evaluated else "helper"
        nodes.append(element("g", tip(told), body, stripe, name, kind, class_=class_))
    width, height = 2 + columns * (_WIDTH + _GAP_X) - _GAP_X, 2 + rows * (_HEIGHT + _GAP_Y) - _GAP_Y
    label = "Lineage: " + "; ".join(f"{m.label} from {m.start}" if m.start else m.label for m in models)
    return drawing(width, height, label, [*edges, *nodes], "plot lineage")


def _edge(column: int, row: int, x: float, y: float) -> Markup:
    from_x, from_y = 1 + column * (_WIDTH + _GAP_X) + _WIDTH, 1 + row * (_HEIGHT + _GAP_Y) + _HEIGHT / 2
    bend, to_y = from_x + _GAP_X / 2, y + _HEIGHT / 2
    return element("path", d=f"M{from_x:g} {from_y:g}H{bend:g}V{to_y:g}H{x:g}", class_="edge")


def _places(models: Sequence[Model]) -> dict[str, tuple[int, int]]:
    """Column and row of every model: a first child keeps its parent's row, every other starts a new one below."""
    places: dict[str, tuple[int, int]] = {}
    children: dict[str | None, list[str]] = {}
    for model in models:
        children.setdefault(model.start, []).append(model.name)

    def depth(name: str) -> int:
        return 1 + max((depth(child) for child in children.get(name, ())), default=0)

    next_row = 0

    def place(name: str, column: int, row: int) -> None:
        nonlocal next_row
        places[name] = (column, row)
        next_row = max(next_row, row + 1)
        # The longest chain goes straight on, so that side branches stay short.
        for index, child in enumerate(sorted(children.get(name, ()), key=depth, reverse=True)):
            place(child, column + 1, row if index == 0 else next_row)

    for root in children.get(None, ()):
        place(root, 0, next_row)
    return places
