"""What a cluster's site says of itself, in one short file: ``slurm/site.yaml``. Nothing in it can change a result."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from primum.errors import PrimumError
from primum.experiment.load import read_yaml
from primum.experiment.types import Frozen

# What reaches sbatch and a shell: no blanks, quotes or semicolons.
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:/@+-]+$")]


class Partitions(Frozen):
    """Where jobs with GPUs and jobs without go; Slurm's default partition where nothing is said."""

    cpu: Word | None = None
    gpu: Word | None = None


class Site(Frozen):
    """One cluster."""

    account: Word | None = None
    qos: Word | None = None
    partitions: Partitions = Partitions()
    gpu_type: Word | None = Field(default=None, description="The type in Slurm's gres, such as h100: gpu:h100:8.")
    gpu_memory_gb: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Of each GPU, in 10^9 bytes: a training that cannot fit is refused before it is submitted.",
    )
    constraint: Word | None = None
    modules: tuple[Word, ...] = Field(default=(), description="Loaded in every job: `module load ...`.")
    warning_seconds: int = Field(
        default=120,
        ge=10,
        le=3600,
        description="How long before its time limit a training job is told to save and end.",
    )


def load_site(path: Path) -> Site:
    """The site file, or the defaults where there is none. PrimumError on one line for what it must not say."""
    if not path.exists():
        return Site()
    try:
        return Site.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = "".join(f"{part}: " for part in first["loc"])
        raise PrimumError(f"{path}: {where}{first['msg'].removeprefix('Value error, ')}") from None


def shell_prefix(site: Site) -> str:
    """What every job's shell begins with: strict mode, the site's modules on a cluster, this Python's folder on PATH.

    The path only where ``primum`` is not found otherwise.
    """
    modules = f"module load {' '.join(site.modules)}; " if site.modules and "SLURM_JOB_ID" in os.environ else ""
    path = "" if shutil.which("primum") else f"export PATH={Path(sys.executable).parent}:$PATH; "
    # `module` reads variables that are not set, hence the strict mode behind it.
    return f"{modules}set -euo pipefail; {path}"
