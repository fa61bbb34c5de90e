"""Published data: raw files of the project, the web, a hub or git, and the adapter that reads them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from primum.experiment.types import AtLeastOne, Frozen, HubId, RelativePath, Revision

# No part of a path begins with a dot, since a mirror has folders of these names.
_ADDRESS = r"^https://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/[A-Za-z0-9_~+-][A-Za-z0-9_.~+-]*)+$"


def _address(given: str) -> str:
    if re.fullmatch(_ADDRESS, given) is None:
        # It is not repeated: it may hold a password.
        raise ValueError(
            "expected the https address of a repository, without user and password, such as https://github.com/org/name: "
            "how you log in, and other ways to the same repository (insteadOf), belong into git's own settings"
        )
    return given


GitAddress = Annotated[str, AfterValidator(_address), Field(json_schema_extra={"pattern": _ADDRESS})]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class DataFile(Frozen):
    """One raw file: shipped with the project (``path`` alone), or fetched from ``url`` and checked against ``sha256``.

    Of a dataset of a hub or of git ``path`` is a pattern in its repository, or in another one that ``hub`` or ``git`` and
    ``revision`` name.
    """

    path: RelativePath
    url: Annotated[str, Field(pattern=r"^https://")] | None = None
    sha256: Sha256 | None = None
    hub: HubId | None = None
    git: GitAddress | None = None
    revision: Revision | None = None

    @model_validator(mode="after")
    def _fetched_files_are_pinned(self) -> DataFile:
        _check_repository(self, f"file {self.path!r}: ")
        if self.in_repository and (self.url is not None or self.sha256 is not None):
            raise ValueError(
                f"file {self.path!r} is one of a repository, which has its own checksum: leave url and sha256 out"
            )
        if self.url is not None and self.sha256 is None:
            raise ValueError(f"file {self.path!r} has a url but no sha256: add the checksum of the pinned file")
        return self

    @property
    def in_repository(self) -> bool:
        """Whether the file names a repository of its own."""
        return self.hub is not None or self.git is not None


class Dataset(Frozen):
    """Raw files of one upstream dataset and the adapter that reads them (see ``primum.curate.adapters``).

    ``sensitive`` says of harmful text, such as rejected responses, what adapter and use do not (:mod:`primum.dag.sensitive`).

    ``rows`` is how many are read of the files at their pin, for `primum plan` until they are here; in no spec.

    Files without an adapter are a publication's code, whose wordings are read from it (``primum.text.published``).
    """

    adapter: str = ""
    files: tuple[DataFile, ...] = Field(min_length=1)
    options: dict[str, Any] = {}
    hub: HubId | None = None
    git: GitAddress | None = None
    revision: Revision | None = None
    title: str = ""
    license: str = ""
    citation: str = ""
    rows: AtLeastOne | None = None
    sensitive: bool = False

    @model_validator(mode="after")
    def _repositories_have_a_revision(self) -> Dataset:
        _check_repository(self)
        for file in self.files:
            if self.in_repository and file.url is not None:
                raise ValueError(
                    f"file {file.path!r} has a url, and its dataset a repository: name the repository with each of the others"
                )
        return self

    @property
    def in_repository(self) -> bool:
        """Whether files that name no repository of their own are of the dataset's."""
        return self.hub is not None or self.git is not None


def _check_repository(entry: DataFile | Dataset, where: str = "") -> None:
    """ValueError unless ``entry`` names one repository at a revision, or none."""
    if entry.hub is not None and entry.git is not None:
        raise ValueError(f"{where}'hub' and 'git' are two repositories: give one, and the other to files of their own")
    if entry.in_repository != (entry.revision is not None):
        kind = "git" if entry.git is not None else "hub"
        raise ValueError(f"{where}'{kind}' and 'revision' belong together: give both or neither")
