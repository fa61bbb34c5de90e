"""Commands that say what is fetched, and bring it."""

from __future__ import annotations

import argparse
from pathlib import Path

from primum.commands.command import Command, argument
from primum.project import project_root


def _pin(given: argparse.Namespace) -> None:
    from primum.errors import PrimumError
    from primum.pins.pin import check, pin

    root = project_root(given.experiment)
    if given.check and given.update:
        raise PrimumError("--check and --update do not go together: give one of them")
    if given.check:
        check(root, given.experiment)
    else:
        pin(root, given.experiment, given.update)


def _mirror(given: argparse.Namespace) -> None:
    from primum.pins.mirror import mirror

    mirror(project_root(given.experiment), given.experiment, given.folder, not given.datasets_only)


COMMANDS = (
    Command(
        "pin",
        "write down which commits of a hub or of git are meant where an entry gives no revision",
        "primum pin med42-v2-8b",
        _pin,
        (
            argument("experiment", nargs="?", help="a name or a path, as for check (default: all that is shipped)"),
            argument("--check", action="store_true", help="say what has moved on from its pin, and write nothing"),
            argument("--update", metavar="NAME", help="take what is there now of one entry, or of a repository"),
        ),
    ),
    Command(
        "mirror",
        "bring all that an experiment reads into a folder, for a machine without network",
        "primum mirror med42-v2-8b /media/disk/mirror",
        _mirror,
        (
            argument("experiment", help="a name or a path, as for check"),
            argument("folder", type=Path, help="a new one, or one to complete: what is whole in it stays"),
            argument("--datasets-only", action="store_true", help="leave models out"),
        ),
    ),
)
