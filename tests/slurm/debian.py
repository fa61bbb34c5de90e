"""Slurm's Debian packages: installed if they are missing, without starting Debian's own services."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The core packages of MariaDB are the programs alone: no service, no database of the system's own.
PACKAGES = (
    "munge",
    "slurmctld",
    "slurmd",
    "slurm-client",
    "slurm-wlm-basic-plugins",
    "slurmdbd",
    "slurm-wlm-mysql-plugin",
    "mariadb-server-core",
    "mariadb-client-core",
)
POLICY = Path("/usr/sbin/policy-rc.d")


class Unavailable(Exception):
    """This machine cannot have the cluster; the message is one line and says why."""


def missing() -> list[str]:
    """The packages that are not installed."""
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *PACKAGES]
    shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    return [package for package in PACKAGES if f"{package} installed" not in shown]


@contextmanager
def _no_services() -> Iterator[None]:
    """While this lasts, maintainer scripts start no service; a policy that the machine already has stays in force."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def _apt(log: Path, *arguments: str) -> bool:
    command = ["apt-get", "--quiet", "--option", "DPkg::Lock::Timeout=300", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with log.open("ab") as output:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    return done.returncode == 0


def install(log: Path) -> list[str]:
    """Install what is missing, and return it. Raises Unavailable; what apt said is in ``log``."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-query") is None:
        raise Unavailable("needs Debian packages, and there is no apt-get here")
    packages = missing()
    if not packages:
        return []
    wanted = ("install", "--yes", "--no-install-recommends", *packages)
    with _no_services():
        # A fresh image has no package lists, or old ones: they are fetched only where that is what is missing.
        if not (_apt(log, *wanted) or (_apt(log, "update") and _apt(log, *wanted))):
            errors = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("E:")]
            reason = errors[-1] if errors else "no reason given"
            raise Unavailable(f"apt-get cannot install {' '.join(packages)}: {reason} (see {log})")
    return packages
