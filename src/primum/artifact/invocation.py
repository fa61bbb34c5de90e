"""What was called, and of which commit: asked once by the process that plans a run, and read by its jobs.

A job on a compute node need not have git, and its own command line is not what the user typed. No stage imports this: it is in no
spec.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from primum.artifact.results import REQUESTS
from primum.reading import regular

# The clone that this code is run from, if it is one.
CLONE = Path(__file__).resolve().parents[3]
_SECONDS = 10
_NAME = "run.json"

# What is said after a commit, by whether its tree was clean.
CLEAN_WORDS = {True: "", False: ", with changes", None: ", it is not known whether with changes"}
_HIDDEN = "HIDDEN"
_WORDS = (
    r"(?:api[_-]?key|access[_-]?key|secret|token|passw(?:or)?d|passwd|pwd|credentials?|auth(?:orization)?|cookie|key)"
)
_OPTION = re.compile(rf"(?i)--?[\w-]*{_WORDS}")
# NAME=VALUE, all of an argument; and NAME=VALUE or NAME: VALUE within one, as in JSON or in an address.
_ASSIGNED = re.compile(rf"(?is)((?:--?)?[\w.-]*{_WORDS}=).+")
_NAMED = re.compile(rf"""(?i)([\w-]*{_WORDS}["']?\s*[:=]\s*)(?:"[^"]*"|'[^']*'|(?:bearer\s+)?[^\s"',;&}}]+)""")
_KINDS = re.compile(r"\b(?:sk|pk|rk|hf|gh[opsu]|github_pat|glpat|xox[abps]|AKIA|ASIA|AIza|eyJ)[-_A-Za-z0-9.]{12,}")
_USER_INFO = re.compile(r"(://)[^/\s@]+@")
_LEAST = 6  # characters of a secret: a shorter value of a variable is found anywhere


def command_line(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """A command as one line for a shell, without secrets.

    Hidden are values whose name, option or variable of the ``environment`` is called like a secret, what has the form of a known
    kind of key, and the user in an address.
    """
    named = re.compile(rf"(?i)(?:^|_){_WORDS}$")
    values = {value for name, value in environment.items() if named.search(name) and len(value) >= _LEAST}
    shown = _program(arguments[0]) if arguments else []
    hides = False
    for argument in arguments[1:]:
        if argument.startswith("-"):
            hides = bool(_OPTION.fullmatch(argument))
        shown.append(_HIDDEN if hides and not argument.startswith("-") else _without_secrets(argument, values))
    return shlex.join(shown)


def _program(path: str) -> list[str]:
    """What was typed for it: ``snakemake``, or ``python -m snakemake`` of ``.../snakemake/__main__.py``."""
    program = Path(path)
    return ["python", "-m", program.parent.name] if program.name == "__main__.py" else [program.name]


def _without_secrets(argument: str, values: Collection[str]) -> str:
    for value in sorted(values, key=len, reverse=True):
        argument = argument.replace(value, _HIDDEN)
    assigned = _ASSIGNED.fullmatch(argument)
    if assigned:
        return assigned[1] + _HIDDEN
    argument = _USER_INFO.sub(rf"\1{_HIDDEN}@", _NAMED.sub(rf"\1{_HIDDEN}", argument))
    return _KINDS.sub(_HIDDEN, argument)


def commit_of(clone: Path) -> tuple[str, bool | None]:
    """The commit that ``clone`` is at, and whether no tracked file differs from it. ("", None) where git cannot say."""
    if not (clone / ".git").exists():  # else git would tell of a repository around it
        return "", None
    # A hook of another repository sets these.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    asked = ["git", "--no-optional-locks", "-C", str(clone), "status", "--porcelain=v2", "--branch"]
    try:
        said = subprocess.run(  # noqa: S603
            [*asked, "--untracked-files=no"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=_SECONDS,
            errors="replace",
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return "", None
    commit = next((line.split()[-1] for line in said if line.startswith("# branch.oid ")), "")
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit):  # "(initial)"
        return "", None
    return commit, all(line.startswith("#") for line in said)


@cache
def invocation() -> dict[str, Any]:
    """``commit``, ``clean`` and ``command`` of this process; git is asked once."""
    commit, clean = commit_of(CLONE)
    return {"commit": commit, "clean": clean, "command": command_line(sys.argv, os.environ)}


def save_invocation(results: Path) -> None:
    """Write down this process's :func:`invocation` for the jobs of its run."""
    path = results / REQUESTS / _NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{_NAME}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(invocation()), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def invocation_of(request: Path) -> dict[str, Any]:
    """What the run wrote down that made the file ``request``, or else this process's own."""
    for folder in request.parents:
        if folder.name == REQUESTS:
            try:
                found = json.loads(regular(folder / _NAME).read_text(encoding="utf-8"))
                return {name: found[name] for name in ("commit", "clean", "command")}
            except (OSError, ValueError, KeyError, TypeError):
                break
    return invocation()


def request_paths(results: Path) -> list[Path]:
    """Where what each job of the last run was asked for is written down, in the order of the paths."""
    folder = results / REQUESTS
    return [path for path in sorted(folder.rglob("*.json")) if path != folder / _NAME]


def requested(results: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """By the path of a manifest, whole and from each of its folders on: the job that the last run asked for it, and its request.

    Where the results lay when it was written does not matter so. What is no request of a job is left out.
    """
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for path in request_paths(results):
        job = path.relative_to(results / REQUESTS).with_suffix("").as_posix()
        try:
            request = json.loads(regular(path).read_text(encoding="utf-8"))
            asked = [Path(output["path"]).parts for output in request["outputs"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found |= {"/".join(parts[start:]): (job, request) for parts in asked for start in range(len(parts))}
    return found
