"""An explanation as one page that opens from the disk: it unfolds, and needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from primum.trace.explain import Explanation
from primum.trace.steps import Read, Unfolded
from primum.trace.tree import adoptions, common_facts, cost, from_where, grouped, lost, short, told
from primum.writing import write_whole

_OPEN = 2  # levels that are unfolded when the page opens


def write_page(explanation: Explanation, path: Path) -> None:
    """Write the page of an explanation. PrimumError when it cannot be written; what was there before then stays."""
    write_whole(path, page(explanation))


def page(explanation: Explanation) -> str:
    """The page, HTML that holds all it needs."""
    unfolded = explanation.unfolded
    facts, versions = common_facts(list(unfolded.steps.values()))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"short": short, "told": told}
    return environment.get_template("page.html.j2").render(
        explanation=explanation,
        root=_node(unfolded, unfolded.root, {}, 0),
        ids=_ids(unfolded),
        facts=facts,
        versions=versions,
        seconds=sum(float(step.run.get("seconds") or 0) for step in unfolded.steps.values()),
    )


def _ids(unfolded: Unfolded) -> dict[str, str]:
    """The anchor of each step."""
    return {name: f"s{number}" for number, name in enumerate(unfolded.steps)}


def _node(unfolded: Unfolded, read: Read, seen: dict[str, None], level: int) -> Mapping[str, Any]:
    """A step where it is met first, with the nodes of its inputs below; else what it is referred to by."""
    role = read.role + (f" ({read.why})" if read.why else "")
    if not read.step:
        return {"role": role, "lost": lost(read)}
    if read.step in seen:
        return {"role": role, "see": [read.step]}
    seen[read.step] = None
    step = unfolded.steps[read.step]
    below: list[Mapping[str, Any]] = []
    for group in grouped(step.inputs, seen):
        if group[0].step in seen:
            names = list(dict.fromkeys(each.step for each in group))
            below.append({**_node(unfolded, group[0], seen, level + 1), "see": names})
        else:
            below.append(_node(unfolded, group[0], seen, level + 1))
    return {
        "role": role if level else "",
        "step": step,
        "stored": read.state == "store",
        "open": level < _OPEN,
        "cost": cost(step),
        "facts": {key: value for key, value in step.run.items() if key not in ("finished", "seconds", "cost")},
        "adopted": adoptions(step),
        "files": [(file, from_where(file)) for file in step.files],
        "below": below,
    }
