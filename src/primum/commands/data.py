"""Commands that write data files of the project."""

from __future__ import annotations

import argparse
from pathlib import Path

from primum.commands.command import Command, argument


def _demo_data(given: argparse.Namespace) -> None:
    from primum.demo import table5_scale, write

    write(given.folder, given.seed, table5_scale(given.table5) if given.table5 else None)


COMMANDS = (
    Command(
        "demo-data",
        "write the demo's data files, at their shipped size or a larger one",
        "primum demo-data data/demo",
        _demo_data,
        (
            argument("folder", type=Path),
            argument("--seed", type=int, default=0),
            argument(
                "--table5", type=float, metavar="SHARE", help="write the SFT sources at this share of Table 5's counts"
            ),
        ),
    ),
)
