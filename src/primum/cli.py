"""``primum``: the commands that people type (``primum.commands``), and ``primum stage NAME``, which the rules call."""

from __future__ import annotations

import argparse
import difflib
import os
import signal
import sys
import textwrap
from collections.abc import Collection
from pathlib import Path
from typing import Any

from primum.commands import COMMANDS, GROUPS
from primum.dag.dag import SEVERAL, STAGES
from primum.errors import PrimumError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="primum",
        usage="primum COMMAND ...",
        description="Train, align and safety-test clinical language models. `snakemake all` runs an experiment; these "
        "are the commands around it, and `primum COMMAND --help` says more of each.",
        epilog=_listed(),
        formatter_class=_Help,
    )
    commands = parser.add_subparsers(dest="command", prog="primum", metavar="COMMAND", help=argparse.SUPPRESS)
    for command in COMMANDS:
        about = f"{command.help[0].upper()}{command.help[1:]}."
        own = commands.add_parser(command.name, description=about, epilog=f"Example: {command.example}")
        for names, options in command.arguments:
            own.add_argument(*names, **options)
    stages = commands.add_parser(
        "stage",
        usage="primum stage NAME ...",
        description="One job of a stage, as the workflow's rules run it. People run `snakemake STAGE` instead.",
        epilog="\n".join(["Stages:", *(_line(name, stage.help) for name, stage in STAGES.items())]),
        formatter_class=_Help,
    )
    _add_stages(stages.add_subparsers(dest="stage", prog="primum stage", metavar="NAME", help=argparse.SUPPRESS))
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    """Wraps lines, and keeps their breaks."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(
            textwrap.fill(line, width, subsequent_indent=_line("", "") if line.startswith(" ") else "")
            for line in text.splitlines()
        )


# What somebody with an experiment of their own types first: the examples of the help.
_FIRST = ("check", "plan", "pin")
# What a training stage is told of the machines: options of its command.
_DEVICES = ("nodes", "processes", "activation_checkpointing", "cpu_offload")


def _line(name: str, text: str) -> str:
    return f"  {name:<12}{text}"


def _listed() -> str:
    """People's commands by group, and examples, for the end of the help."""
    lines = []
    for group, commands in GROUPS.items():
        lines += [f"{group}:", *(_line(command.name, command.help) for command in commands), ""]
    lines += ["The workflow's own:", _line("stage", "run one job, as the rules do: primum stage --help"), ""]
    examples = [
        "snakemake all --config experiment=demo",
        *(command.example for command in COMMANDS if command.name in _FIRST),
    ]
    return "\n".join([*lines, "Examples:", *(f"  {example}" for example in examples)])


def _add_stages(stages: Any) -> None:
    for name, stage in STAGES.items():
        own = stages.add_parser(name, description=f"Stage: {stage.help}.")
        own.add_argument("--request", type=Path, required=True, metavar="FILE", help="what is asked for, and of what")
        own.add_argument("--log", type=Path, metavar="FILE", help="also write the progress lines here")
        if name in SEVERAL:
            own.add_argument("--nodes", type=int, default=1, help="nodes to run on (default: 1)")
            own.add_argument(
                "--processes", type=int, default=1, help="processes on all of them, one a GPU (default: 1)"
            )
            own.add_argument(
                "--activation-checkpointing",
                action="store_true",
                help="compute activations again in the backward pass: less memory, a third more time",
            )
            own.add_argument(
                "--cpu-offload", action="store_true", help="keep weights and optimizer in the CPU's memory"
            )


def _check_name(kind: str, name: str, names: Collection[str]) -> None:
    """PrimumError naming the nearest of ``names`` when ``name`` is none of them."""
    if name in names:
        return
    if kind == "command" and name in STAGES:
        raise PrimumError(f"'{name}' is a stage, which the workflow's rules call: primum stage {name}")
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or sorted(names)
    raise PrimumError(f"no {kind} '{name}'; {'nearest' if len(near) < len(names) else 'there are'}: {', '.join(near)}")


def _run(words: list[str]) -> None:
    people = {command.name: command for command in COMMANDS}
    if words in ([], ["stage"]):
        words = [*words, "--help"]
    if not words[0].startswith("-"):
        _check_name("command", words[0], [*people, "stage"])
    if words[0] == "stage" and words[1:] and not words[1].startswith("-"):
        _check_name("stage", words[1], STAGES)
    arguments = _parser().parse_args(words)
    if arguments.command == "stage":
        from primum.run_stage import run_stage

        asked = vars(arguments)
        devices = {name: asked[name] for name in _DEVICES if name in asked}
        run_stage(STAGES[arguments.stage], arguments.request, arguments.log, **devices)
    else:
        people[arguments.command].run(arguments)


def main(argv: list[str] | None = None) -> None:
    """Run one command; errors go to standard error on one line, with exit status 1."""
    try:
        _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except PrimumError as error:
        print(f"primum: error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except BrokenPipeError:  # whoever read the output, such as head, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None


if __name__ == "__main__":
    main()
