"""``primum store``: what a store holds, how much of it whom it serves, and whose it is."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from primum.artifact.store import Store
from primum.progress import Progress
from primum.upkeep.amounts import age_text, size_text
from primum.upkeep.held import Held, Holdings, read_store, user
from primum.upkeep.needed import Need, experiments, need_of

Row = tuple[str, str, str, str]
_OTHER = {"work": "journals, checkpoints and tracebacks in work/", "tmp": "half filled folders in tmp/"}


def print_overview(store: Path, results: Sequence[Path]) -> None:
    """Print it. ``results`` are the folders of experiments, or folders of these. PrimumError where one cannot be read."""
    holdings = read_store(store, Progress("store"))
    needs = [need_of(each, Store(store)) for each in experiments(results)]
    entries = [each for each in holdings.held if each.kind in ("entry", "damaged", "closed")]
    print(
        f"{store}: {len(entries):,} artifacts, {size_text(holdings.size())}, of which {size_text(holdings.shared())} "
        "lie in results, too, under a second name"
    )
    rows = [
        *_by(holdings, entries, "stage", _stage),
        *_by_experiment(holdings, entries, needs),
        *_by(holdings, entries, "owner", lambda each: user(each.owner)),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for first, *numbers in rows:
        cells = [text.rjust(width) for text, width in zip(numbers, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    for kind, said in _OTHER.items():
        found = [each for each in holdings.held if each.kind == kind]
        if found:
            oldest = age_text(time.time() - min(each.used for each in found))
            print(f"{len(found):,} {said}: {size_text(holdings.size(found))}, the oldest of {oldest} ago")


def _stage(each: Held) -> str:
    return {"damaged": "(damaged)", "closed": "(another user's, closed)"}.get(each.kind, each.stage)


def _by(holdings: Holdings, entries: Iterable[Held], heading: str, group: Callable[[Held], str]) -> list[Row]:
    groups: dict[str, list[Held]] = defaultdict(list)
    for each in entries:
        groups[group(each)].append(each)
    rows = sorted(groups.items(), key=lambda pair: -holdings.size(pair[1]))
    return [_heading(heading), *(_row(name, holdings, members) for name, members in rows)]


def _by_experiment(holdings: Holdings, entries: Sequence[Held], needs: Sequence[Need]) -> list[Row]:
    rows = [_heading("needed by")]
    for need in needs:
        mine = [each for each in entries if need.needs(each.key, each.spec)]
        rows.append(_row(str(need.results) + (" (running)" if need.running else ""), holdings, mine))
    nobody = [each for each in entries if not any(need.needs(each.key, each.spec) for need in needs)]
    return [*rows, _row("none of these", holdings, nobody)]


def _heading(name: str) -> Row:
    return name, "artifacts", "size", "sensitive"


def _row(name: str, holdings: Holdings, entries: Sequence[Held]) -> Row:
    sensitive = sum(each.sensitive or each.kind == "closed" for each in entries)
    return f"  {name}", f"{len(entries):,}", size_text(holdings.size(entries)), f"{sensitive:,}" if sensitive else ""
