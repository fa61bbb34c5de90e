"""A repository as an entry of an experiment reads it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from primum.errors import PrimumError
from primum.hub.files import matching
from primum.hub.lock import UNKNOWN_REVISION

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True, slots=True)
class Source:
    """What ``where`` (``datasets.cord19``) reads of the repository ``hub``: the files that match ``patterns``.

    ``kind`` is ``dataset``, ``model`` or ``git``, whose ``hub`` is an address; ``revision`` a commit of 40 hex digits,
    or ``unknown``.
    """

    where: str
    kind: str
    hub: str
    revision: str
    patterns: tuple[str, ...]

    @property
    def at(self) -> str:
        return f"{self.hub}@{self.revision[:12]}"

    def check_pinned(self) -> None:
        """PrimumError where the revision is unknown."""
        if self.revision == UNKNOWN_REVISION:
            raise PrimumError(
                f"{self.where}: the revision of {self.hub} is unknown: `primum pin` resolves it, where there is network; "
                "or put the 40-digit commit to use into its entry"
            )

    def select(self, paths: Iterable[str]) -> list[str]:
        """What is read of all files of the repository. PrimumError where a pattern means no file, or a model has no weights."""
        paths = list(paths)
        found = matching(self.patterns, paths)
        if self.kind == "model":
            if not matching(["*.safetensors"], found):
                what = "pickled weights alone" if matching(_PICKLED, paths) else "no weights"
                raise PrimumError(
                    f"{self.where}: {self.hub} has {what}, no safetensors: choose a revision that has some"
                )
            return found
        for pattern in self.patterns:
            if not matching([pattern], found):
                raise PrimumError(f"{self.where}: {self.hub} has no file {pattern}: correct its entry")
        return found
