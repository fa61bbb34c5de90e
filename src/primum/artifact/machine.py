"""What an artifact is made on: the machine, its GPUs, the container and the lock. No stage imports this: it is in no spec."""

from __future__ import annotations

import getpass
import os
import platform
import re
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from primum.artifact.folder import file_sha256
from primum.artifact.invocation import CLONE

_SECONDS = 10
_LOCKS = ("cpu.lock", "gpu.lock", "dev.lock")  # as versions are looked up (primum.dag.versions)
_ON_GPUS = frozenset({"torch", "vllm"})
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


def user_name() -> str:
    """Who runs this process: what the environment or the system calls them, else their number, as ``uid 1000``.

    A container that is started as some user need not know a name for them.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def machine(libraries: Collection[str]) -> dict[str, Any]:
    """The part of a manifest's ``run`` that this process knows of itself, now; ``libraries`` are those of the job's spec.

    GPUs are asked about once, and only for libraries that use them.
    """
    names, driver = gpus() if _ON_GPUS & set(libraries) else ([], "")
    return {
        "host": socket.gethostname(),
        "user": user_name(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "slurm_job": os.environ.get("SLURM_JOB_ID", ""),
        "gpus": names,
        "driver": driver,
        "cuda": _cuda() if names else "",
        "container": container(),
        "lock": lock_of(frozenset(libraries), CLONE / "envs"),
    }


@cache
def gpus() -> tuple[list[str], str]:
    """The names of the GPUs that this process may use, and the version of their driver; ([], "") where there is none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible == "" or not any(Path("/dev").glob("nvidia[0-9]*")):
        return [], ""
    try:
        said = subprocess.run(
            [  # noqa: S607 - it is where the driver's installer put it
                "nvidia-smi",
                "--query-gpu=index,uuid,driver_version,name",
                "--format=csv,noheader",
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=_SECONDS,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return [], ""
    return visible_gpus(said, visible)


def visible_gpus(said: str, visible: str | None) -> tuple[list[str], str]:
    """The GPUs that nvidia-smi ``said`` there are (index, uuid, driver, name), of those that CUDA_VISIBLE_DEVICES has, if any.

    They are in its order. As CUDA does it, what is unknown ends the list. A part of a GPU (MIG) goes by the name of the whole.
    """
    rows = [[part.strip() for part in line.split(",", 3)] for line in said.splitlines() if line.count(",") >= 3]
    if visible is not None and not (visible.startswith("MIG-") and len(rows) == 1):
        chosen = []
        for wanted in visible.split(","):
            row = next((row for row in rows if wanted and (row[0] == wanted or row[1].startswith(wanted))), None)
            if row is None:
                break
            chosen.append(row)
        rows = chosen
    return [row[3] for row in rows], rows[0][2] if rows else ""


def _cuda() -> str:
    """The CUDA version of torch, which is not imported for it: a job may leave that to processes of its own."""
    if "torch" in sys.modules:
        return str(sys.modules["torch"].version.cuda or "")
    try:
        torch = find_spec("torch")
        text = Path(str(torch.origin)).with_name("version.py").read_text(encoding="utf-8") if torch else ""
    except (OSError, ValueError, ImportError):
        return ""
    found = re.search(r"^cuda\b.*=\s*'([^']+)'", text, re.MULTILINE)
    return found[1] if found else ""


def container() -> str:
    """The image that this process runs in, as far as it can be told: a path or a name, else which kind it is, else ""."""
    for variable in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        if os.environ.get(variable):
            return os.environ[variable]
    podman = Path("/run/.containerenv")
    if podman.exists():
        try:
            said = dict(line.split("=", 1) for line in podman.read_text(encoding="utf-8").splitlines() if "=" in line)
        except (OSError, ValueError):
            said = {}
        parts = [said[name].strip('"') for name in ("image", "imageid") if name in said]
        return "@".join(parts) or "podman"
    return "docker" if Path("/.dockerenv").exists() else ""


@cache
def lock_of(libraries: frozenset[str], envs: Path) -> dict[str, str]:
    """``file`` and ``sha256`` of the first lock in ``envs`` that pins all of ``libraries``; {} where there is none."""
    for name in _LOCKS:
        try:
            pinned = {each.lower() for each in _PINNED.findall((envs / name).read_text(encoding="utf-8"))}
        except (OSError, ValueError):
            continue
        if {each.lower() for each in libraries} <= pinned:
            return {"file": f"{envs.name}/{name}", "sha256": file_sha256(envs / name)}
    return {}
