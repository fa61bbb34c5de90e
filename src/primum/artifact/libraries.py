"""The versions of libraries that are installed here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from primum.errors import PrimumError


def installed(package: str) -> str | None:
    """The version of a package here, without its build; None where there is none."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return None


def library(name: str) -> str | None:
    """The version of a library of a spec, as :func:`installed`. vLLM for CPUs is a package of its own."""
    return installed(name) or installed(f"{name}-cpu")


def check_libraries(libraries: Mapping[str, str]) -> None:
    """Raise PrimumError unless the versions installed here are those the spec was planned with."""
    for name, wanted in libraries.items():
        found = library(name)
        if found is None:
            raise PrimumError(
                f"{name} is not installed: install {name}=={wanted} from the lock in envs/"
                + (", or primum's extra of that name" if name == "lm-eval" else "")
            )
        if found != wanted:
            raise PrimumError(f"{name} {found} is installed, the lock says {wanted}: install from the lock in envs/")
