"""Processes that train, or score responses, together: one a GPU, on one node or, inside a Slurm allocation, on several.

The job's own process looks into the store, holds the key's lock and publishes; the processes that it launches here train into
the item's work folder and end. torchrun starts them, on several nodes through one srun task a node. Without GPUs they are CPU
processes that talk over gloo. How many there are is a resource, like the GPUs that they stand for: it is in the manifest's
``run``, not in the spec, and changes a result by no more than the order of sums.

A single process that computes in float32 trains right here; all else is launched, be it one process, so that what is computed
in bfloat16 is the same whatever the number.
"""

from __future__ import annotations

import importlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from primum.artifact.job import Devices, Item, Job, Result
from primum.errors import PrimumError

# What processes leave in the item's work folder: a table, if they make one, then the counts.
TABLE, COUNTS, ERROR = "table.parquet", "counts.json", "error.txt"
_FIRST_PORT, _PORTS = 20_000, 10_000


def is_launched(job: Job, item: Item, devices: Devices) -> bool:
    """Whether ``item`` is trained, scored or ranked by processes of its own. To look at tokens one is enough."""
    if item.spec.get("output") == "audit":
        return False
    trained = item.spec.get("optimization")
    return devices.processes > 1 or (trained is not None and (devices.cpu_offload or trained["dtype"] != "float32"))


@dataclass(frozen=True, slots=True)
class Launch:
    """``module.run`` on ``devices``; ``log`` gets the progress lines of launched processes."""

    module: str
    devices: Devices
    log: Path | None = None

    def run(self, job: Job) -> Iterator[Result]:
        """As the module's own ``run``. PrimumError with the processes' own error, or saying that they died."""
        for item in job.items:
            if not is_launched(job, item, self.devices):
                yield from importlib.import_module(self.module).run(replace(job, items=[item], devices=self.devices))
                continue
            request = self.prepare(job, [item])
            # A SIGTERM from Slurm reaches the processes too; they save a checkpoint and end, and this one waits for them.
            ended = subprocess.run(self.command(request), check=False).returncode  # noqa: S603 - our own command
            yield self.result(item, request, ended)

    def prepare(self, job: Job, items: Sequence[Item]) -> Path:
        """Write what the processes are asked for; what earlier ones left is gone.

        It is in the last item's work folder, since an item's folder goes when the item is published.
        """
        for item in items:
            item.work.mkdir(parents=True, exist_ok=True)
            for name in (ERROR, TABLE, COUNTS):
                (item.work / name).unlink(missing_ok=True)
        record = {
            "module": self.module,
            "stage": job.stage,
            "common": job.common,
            "items": [
                {
                    "name": item.name,
                    "spec": item.spec,
                    "key": item.key,
                    "work": str(item.work),
                    "inputs": {role: [str(artifact.path) for artifact in given] for role, given in item.inputs.items()},
                }
                for item in items
            ],
            "log": str(self.log) if self.log else None,
            "devices": asdict(self.devices),
            "table": TABLE,
            "counts": COUNTS,
            "error": str(items[-1].work / ERROR),
        }
        request = items[-1].work / "request.json"
        request.write_text(json.dumps(record), encoding="utf-8")
        return request

    def result(self, item: Item, request: Path, ended: int) -> Result:
        """What the processes made of ``item``. PrimumError with their own error, or saying that they died."""
        error = request.with_name(ERROR)
        if ended and error.exists():
            raise PrimumError(error.read_text(encoding="utf-8"))
        if ended:
            raise PrimumError(f"{item.name}: the processes ended with status {ended}: see the lines above")
        counts = json.loads((item.work / COUNTS).read_text(encoding="utf-8"))
        table = item.work / TABLE
        made: dict[str, Any] = {"table": pq.read_table(table)} if table.exists() else {"folder": item.work / "model"}
        return Result(item, **made, counts=counts, cost=asdict(self.devices))

    def command(self, request: Path) -> list[str]:
        """The command line that starts the processes. PrimumError for several nodes outside a Slurm allocation."""
        nodes, processes = self.devices.nodes, self.devices.processes
        each, left = divmod(processes, nodes)
        if left or each < 1:
            raise PrimumError(f"{processes} processes cannot be spread evenly over {nodes} nodes")
        torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={each}"]
        worker = ["-m", "primum.parallel.worker", str(request)]
        if nodes == 1:
            return [*torchrun, "--standalone", *worker]
        job = os.environ.get("SLURM_JOB_ID")
        if job is None or shutil.which("srun") is None:
            raise PrimumError(f"{nodes} nodes need a Slurm allocation: run with --profile slurm, or ask for one node")
        torchrun += [
            f"--nnodes={nodes}",
            f"--master-addr={socket.gethostname()}",
            f"--master-port={_FIRST_PORT + int(job) % _PORTS}",
        ]
        return [*_srun(job, nodes), _on_each_node([*torchrun, *worker])]


def _srun(job: str, nodes: int) -> list[str]:
    """One task a node with all CPUs that the job has there; one that fails ends the others.

    A step has one CPU a task unless it asks for more, and the variables that would tell how many there are were dropped.
    """
    asked = ["squeue", "--noheader", f"--jobs={job}", "--format=%C"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if found.returncode or not found.stdout.strip().isdigit():
        raise PrimumError(f"job {job}: squeue does not tell its CPUs: {found.stderr.strip() or found.stdout.strip()}")
    cpus = int(found.stdout) // nodes
    each = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={cpus}"]
    return ["srun", *each, "--overlap", "--kill-on-bad-exit=1", "bash", "-c"]


def _on_each_node(torchrun: Sequence[str]) -> str:
    """A line for bash: only the task itself knows its number."""
    first, rest = shlex.join(torchrun[:3]), shlex.join(torchrun[3:])
    return f'exec {first} --node-rank="$SLURM_NODEID" {rest}'
