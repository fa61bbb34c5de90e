"""Commands that change what is kept in the store."""

from __future__ import annotations

import argparse

from primum.commands.command import KEPT, RUN, Command, argument, opened


def _adopt(given: argparse.Namespace) -> None:
    from primum.audit.adopt import adopt

    adopt(opened(given), given.stage, given.why)


def _gc(given: argparse.Namespace) -> None:
    from primum.upkeep.command import gc

    gc(given.results, given.store, given.older_than, given.larger_than, given.keep, given.yes)


COMMANDS = (
    Command(
        "adopt",
        "keep artifacts although the code or the versions that make them changed",
        "primum adopt sft:dpo-1 --why 'only an error message changed'",
        _adopt,
        (
            argument("stage", metavar="STAGE[:NAME]", help="a stage, one job of it, or all"),
            argument("--why", required=True, metavar="TEXT", help="why their content stays the same; kept with each"),
            argument("--experiment", default="demo", help="a name or a path, as for check (default: demo)"),
            *RUN,
        ),
    ),
    Command(
        "gc",
        "remove from the store what no experiment needs; without --yes only say what that is",
        "primum gc --older-than 30d",
        _gc,
        (
            *KEPT,
            argument("--older-than", metavar="AGE", help="only what was not used for 12h, 30d, 8w (at least a day)"),
            argument("--larger-than", metavar="SIZE", help="only what is larger than 500MB, 1GB"),
            argument("--keep", metavar="SIZE", help="what was not used for longest, until 500GB are left in the store"),
            argument("--yes", action="store_true", help="remove it"),
        ),
    ),
)
