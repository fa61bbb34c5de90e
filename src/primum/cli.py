"""``primum``: the commands that people type (``primum.commands``), and ``primum stage NAME``, which the rules call."""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import os
import signal
import sys
import textwrap
import traceback
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from primum.commands import COMMANDS, GROUPS
from primum.dag.refresh import VARIABLE, is_refreshed
from primum.dag.stages import STAGES, TRAINING
from primum.errors import PrimumError
from primum.progress import Progress

if TYPE_CHECKING:
    from primum.artifact.job import Run


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


def _line(name: str, text: str) -> str:
    return f"  {name:<12}{text}"


def _listed() -> str:
    """People's commands by group, and examples, for the end of the help."""
    lines = []
    for group in GROUPS:
        own = [_line(command.name, command.help) for command in COMMANDS if command.group == group]
        lines += [f"{group}:", *own, ""] if own else []
    lines += ["The workflow's own:", _line("stage", "run one job, as the rules do: primum stage --help"), ""]
    examples = ["snakemake all --config experiment=demo", *(command.example for command in COMMANDS[:3])]
    return "\n".join([*lines, "Examples:", *(f"  {example}" for example in examples)])


def _add_stages(jobs: Any) -> None:
    for name, stage in STAGES.items():
        job = jobs.add_parser(name, description=f"Stage: {stage.help}.")
        job.add_argument("--spec", required=True, help="the job's spec, canonical JSON")
        for role in stage.inputs + stage.per_item:
            job.add_argument(f"--{role}", nargs="*", type=Path, default=[], metavar="MANIFEST")
        job.add_argument("--outputs", nargs="+", type=Path, required=True, metavar="MANIFEST", help="one for each item")
        job.add_argument("--store", type=Path, required=True, help="the content-addressed store")
        job.add_argument("--log", type=Path, help="also write the progress lines here")
        if name in TRAINING:
            job.add_argument("--nodes", type=int, default=1, help="nodes to train on (default: 1)")
            job.add_argument(
                "--processes", type=int, default=1, help="processes on all of them, one a GPU (default: 1)"
            )


# No stage but fetch touches the network, and no library reports home.
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


_NO_ROOM = "no space left on the device, or for files of this size"


def _is_no_room(error: Exception) -> bool:
    """Whether a disk or a quota is full. Safetensors and tokenizers write in Rust and torch in C++: their errors are text."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if isinstance(error, OSError) and error.errno in numbers:
        return True
    said = str(error)
    return any(f"os error {number}" in said for number in numbers) or "PytorchStreamWriter failed writing" in said


class _Ended(BaseException):
    """The process was told to stop."""


def _end(*_: Any) -> None:
    raise _Ended


def _run_stage(name: str, arguments: argparse.Namespace) -> None:
    from primum.artifact.job import Request, execute
    from primum.artifact.store import Store

    stage = STAGES[name]
    if stage.target != "fetch":
        os.environ.update(_OFFLINE)
    roles = stage.inputs + stage.per_item
    request = Request(
        spec=arguments.spec,
        inputs={role: getattr(arguments, role) for role in roles if getattr(arguments, role)},
        outputs=arguments.outputs,
        per_item=frozenset(stage.per_item),
        kind=stage.kind,
        store=Store(arguments.store),
        refresh=is_refreshed(name, arguments.outputs, os.environ.get(VARIABLE, "")),
    )

    def load() -> Run:
        if name in TRAINING and arguments.processes > 1:
            from primum.cluster.launch import Launch

            return Launch(stage.module, arguments.nodes, arguments.processes, arguments.log).run
        run: Run = importlib.import_module(stage.module).run
        return run

    progress = Progress(name, arguments.log)
    # A training stage has a handler of its own while it trains.
    signal.signal(signal.SIGTERM, _end)
    try:
        execute(request, load, progress)
    except _Ended:
        progress.say("error: stopped by SIGTERM (a time limit, a preemption, scancel): run again to go on")
        raise SystemExit(128 + signal.SIGTERM) from None
    except PrimumError as error:
        progress.say(f"error: {error}")
        raise SystemExit(1) from None
    except Exception as error:
        if not _is_no_room(error):
            # Into the log as well: on a terminal the run's line is all that people see.
            progress.say(
                f"{''.join(traceback.format_exception(error))}[{name}] error: {type(error).__name__}: see above"
            )
            raise SystemExit(1) from None
        progress.say(
            f"error: {getattr(error, 'filename', None) or arguments.store}: {_NO_ROOM}: make room and run again"
        )
        raise SystemExit(1) from None


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
        _run_stage(arguments.stage, arguments)
    else:
        people[arguments.command].run(arguments)


def main(argv: list[str] | None = None) -> None:
    """Run one command; errors go to standard error on one line, with exit status 1."""
    try:
        _run(sys.argv[1:] if argv is None else argv)
    except PrimumError as error:
        print(f"primum: error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


if __name__ == "__main__":
    main()
