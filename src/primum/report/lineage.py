"""The lineage of the models as a small tree: every model once, right of the model that it was trained from."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from primum.report.parts import Model
from primum.report.svg import element

WORDS = {
    "pretrain": "pretrained",
    "sft": "fine-tuned",
    "dpo": "DPO",
    "hub": "published model",
    "endpoint": "behind an endpoint",
}


def lineage_tree(models: Sequence[Model]) -> Markup:
    """A list that the page's style shows as a tree, a column a training step. The browser breaks its words, whatever its font.

    A model that no table covers is a ``helper``. ``--up`` is how many rows above a model the one lies that it was trained from.
    """
    places = _places(models)
    labels = {model.name: model.label for model in models}
    nodes = []
    for model in models:
        column, row = places[model.name]
        words = WORDS[model.kind] + (f" on {model.data}" if model.data else "")
        told = f"{model.label} ({model.name}): {words}" + ("" if model.evaluated else "; not in the tables")
        style, classes = f"grid-area: {row + 1} / {column + 1}; --kind: var(--{model.kind})", []
        parts = [element("b", model.label), element("span", words)]
        if model.start is not None:
            style += f"; --up: {row - places[model.start][1]}"
            classes.append("trained")
            parts.append(element("span", f"from {labels[model.start]}", class_="heard"))
        if not model.evaluated:
            classes.append("helper")
        nodes.append(element("li", *parts, class_=" ".join(classes) or None, style=style, title=told))
    return element("ul", *nodes, class_="tree")


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
