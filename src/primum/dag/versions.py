"""The versions that the project's locks pin."""

from __future__ import annotations

import re
from pathlib import Path

from primum.errors import PrimumError

_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;+]+)", re.MULTILINE)


def locked_versions(envs: Path) -> dict[str, str]:
    """Package -> version of cpu.lock, and of what gpu.lock adds (vLLM). PrimumError when the two disagree.

    What neither has is taken from dev.lock, if there is one: lm-eval, which tasks' own functions may import.
    """
    versions: dict[str, str] = {}
    for lock in (envs / "cpu.lock", envs / "gpu.lock"):
        try:
            pins = _LOCKED.findall(lock.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise PrimumError(f"{lock}: missing: restore it from the project, or run make lock") from None
        for name, version in pins:
            if versions.setdefault(name.lower(), version) != version:
                raise PrimumError(
                    f"{lock}: {name}=={version}, but cpu.lock has {versions[name.lower()]}: run make lock"
                )
    extra = envs / "dev.lock"
    if extra.is_file():
        for name, version in _LOCKED.findall(extra.read_text(encoding="utf-8")):
            versions.setdefault(name.lower(), version)
    return versions
