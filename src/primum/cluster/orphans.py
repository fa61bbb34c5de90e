"""What a killed run left in Slurm's queue: jobs that wait are cancelled, and one that runs is waited for by its successor.

Nothing re-attaches to them. A job that runs on may be hours into a training, so it is let finish; whoever needs the same
result is submitted with ``--dependency=afterany`` on it, holds no GPU meanwhile, and finds the result in the store.
"""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from primum.artifact.canonical import digest
from primum.dag.stage import Stage
from primum.errors import PrimumError
from primum.progress import Progress

_SEPARATOR = "\x1f"


def name_prefix(experiment: str, results: str) -> str:
    """What the names of this experiment's jobs begin with, so that they are known from other folders' jobs in the queue."""
    readable = re.sub(r"[^A-Za-z0-9-]", "-", experiment)[:24]
    return f"primum-{readable}-{digest(str(Path(results).resolve()))[:8]}"


def comment(stage: Stage, wildcards: Mapping[str, str]) -> str | None:
    """The comment of a job's submission, as the plugin writes it; None for stages whose jobs are short."""
    if not stage.long:
        return None
    own = "_".join(stage.own(wildcards))
    return f"rule_{stage.rule.format(**wildcards)}" + (f"_wildcards_{own}" if own else "")


def take_over(prefix: str, progress: Progress) -> dict[str, str]:
    """Cancel this user's jobs of an earlier run (of that ``prefix``) that wait in the queue; comment -> id of those running.

    Raises PrimumError when the queue cannot be read: a job that is not known of would be run a second time.
    """
    if shutil.which("squeue") is None:
        return {}
    form = _SEPARATOR.join(("%i", "%T", "%j", "%k"))
    lines = _call("squeue", f"--user={getpass.getuser()}", "--noheader", f"--format={form}").splitlines()
    found = [line.split(_SEPARATOR) for line in lines if line.count(_SEPARATOR) == 3]
    own = [(job, state, note) for job, state, name, note in found if name.startswith(f"{prefix}_")]
    waiting = [job for job, state, _ in own if state == "PENDING"]
    running = {note: job for job, state, note in own if state != "PENDING"}
    if waiting:
        _call("scancel", *waiting)
        progress.say(
            f"{len(waiting)} jobs that a killed run left waiting are cancelled: what they were for is asked anew"
        )
    for note, job in running.items():
        progress.say(f"job {job} ({note}) of a killed run is running: its successor waits for it (or: scancel {job})")
    return running


def _call(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - Slurm's own commands
    if done.returncode:
        raise PrimumError(f"{command[0]} failed: {' '.join(done.stderr.split())}: is this a node that may submit jobs?")
    return done.stdout
