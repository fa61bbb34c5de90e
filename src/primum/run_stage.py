"""``primum stage NAME``, which the workflow's rules call: one job, from the store or by the stage's module."""

from __future__ import annotations

import errno
import importlib
import json
import os
import resource
import signal
import traceback
from functools import partial
from pathlib import Path
from typing import Any

from primum.artifact.canonical import digest
from primum.artifact.code import recorded_digests
from primum.artifact.invocation import invocation_of
from primum.artifact.job import Devices, Run, execute
from primum.artifact.machine import machine
from primum.artifact.manifest import load_manifest
from primum.artifact.request import Request, load_request
from primum.dag.dag import SEVERAL
from primum.dag.stage import Stage
from primum.errors import PrimumError
from primum.progress import Progress
from primum.tracebacks import withheld

_SOURCE = Path(__file__).parents[1]

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


def _is_sensitive(asked: Request) -> bool:
    """Whether a job makes or reads what is sensitive, or what is not known not to be."""
    read = [asked.inputs, *(output.inputs for output in asked.outputs)]
    paths = {path for inputs in read for given in inputs.values() for path in given}
    try:
        return any(output.sensitive for output in asked.outputs) or any(
            load_manifest(path).sensitive is not False for path in paths
        )
    except PrimumError:
        return True


class _Ended(BaseException):
    """The process was told to stop."""


def _end(*_: Any) -> None:
    raise _Ended


def run_stage(stage: Stage, request: Path, log: Path | None, **devices: Any) -> None:
    """Make what ``request`` (a file) asks for, on ``devices`` (:class:`primum.artifact.job.Devices`).

    What goes wrong is a line on standard error and in ``log``, and SystemExit with status 1.
    """
    if stage.target != "fetch":
        os.environ.update(_OFFLINE)

    if log is not None:  # where TensorBoard's files go, if it is asked for
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(log.parent.parent / "tensorboard" / log.stem)

    def load() -> Run:
        if stage.name in SEVERAL:
            from primum.cluster.launch import Launch

            return Launch(stage.module, Devices(**devices), log).run
        if stage.name == "score":
            from primum.cluster.together import Together

            return Together(stage.module, log).run
        run: Run = importlib.import_module(stage.module).run
        return run

    progress = Progress(stage.name, log)
    # A training stage has a handler of its own while it trains.
    signal.signal(signal.SIGTERM, _end)
    try:
        asked = load_request(request)
        # In the store, since logs are passed on.
        kept = asked.store.root / "work" / f"{stage.name}-{digest(str(request.resolve()))[:16]}.traceback"
        kept.unlink(missing_ok=True)
        if any(output.sensitive for output in asked.outputs):
            # What dies of a signal would leave its memory in a file.
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        spec = json.loads(asked.spec)

        def environment() -> dict[str, Any]:
            return {**machine(spec["libraries"]), **invocation_of(request)}

        execute(asked, load, progress, partial(recorded_digests, stage.module, _SOURCE, spec["code"]), environment)
    except _Ended:
        progress.say("error: stopped by SIGTERM (a time limit, a preemption, scancel): run again to go on")
        raise SystemExit(128 + signal.SIGTERM) from None
    except PrimumError as error:
        progress.say(f"error: {error}")
        raise SystemExit(1) from None
    except Exception as error:
        if not _is_no_room(error):
            # Into the log as well: on a terminal the run's line is all that people see.
            told = (
                withheld(error, kept) if _is_sensitive(asked) else "".join(traceback.format_exception(error)).rstrip()
            )
            progress.say(f"{told}\n[{stage.name}] error: {type(error).__name__}: see above")
            raise SystemExit(1) from None
        where = getattr(error, "filename", None) or asked.store.root
        progress.say(f"error: {where}: {_NO_ROOM}: make room and run again")
        raise SystemExit(1) from None
