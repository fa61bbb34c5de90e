"""Starting the literal command on the cluster, and reading what it made."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster import Cluster
from configuration import GPU_TYPE
from daemons import wait_for
from project import environment

from primum.cluster.orphans import name_prefix

SITE = "account: lab\npartitions: {{cpu: {partition}, gpu: {partition}}}\ngpu_type: {gpu}\nwarning_seconds: 10\n"


def site(project: Path, partition: str = "main") -> None:
    """The site file: everything in one partition."""
    text = SITE.format(partition=partition, gpu=GPU_TYPE)
    (project / "slurm/site.yaml").write_text(text, encoding="utf-8")


class Run:
    """`snakemake --profile slurm TARGET` in ``project``, with its results and store in a folder of its own."""

    def __init__(self, cluster: Cluster, project: Path, results: str, experiment: str, target: str = "all") -> None:
        self.cluster, self.project, self.results, self.experiment = cluster, project, results, experiment
        self.target = target
        self.output = project / f"{results}.output"

    def command(self, *options: str) -> list[str]:
        """Without options for what is the default."""
        named = {"experiment": (self.experiment, "demo"), "results": (self.results, "results")}
        config = [f"{key}={value}" for key, (value, default) in named.items() if value != default]
        start = [sys.executable, "-m", "snakemake", "--profile", "slurm", self.target]
        return [*start, *(["--config", *config] if config else []), *options]

    @contextmanager
    def running(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """The command, begun; what is left of it at the end is killed, its jobs too."""
        with self.output.open("a") as output:
            process = subprocess.Popen(
                self.command(*options),
                cwd=self.project,
                env={**environment(self.project), **self.cluster.environment()},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def finish(self, process: subprocess.Popen[str], seconds: float = 600) -> None:
        """Until it ends, well."""
        assert self.end(process, seconds) == 0, self.said()[-5000:]

    def end(self, process: subprocess.Popen[str], seconds: float = 600) -> int:
        """Until it ends: its exit status. Fails, with the end of its output, where it hangs."""
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s: {self.said()[-3000:]}") from None

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def log(self, stage: str, name: str) -> str:
        """A job's progress lines, of its latest attempt: Snakemake removes those of the one before."""
        path = self.project / self.results / self.experiment / "logs" / stage / f"{name}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def slurm_log(self, comment: str, job: int) -> str:
        """What a job printed; the plugin keeps it where the job failed."""
        rule, _, wildcards = comment.partition("_wildcards_")
        path = self.project / ".snakemake/slurm_logs" / rule / wildcards / f"{job}.log"
        return path.read_text(encoding="utf-8", errors="replace")

    def wait_step(self, stage: str, name: str, step: int, seconds: float = 240) -> None:
        """Until a training's log tells of this step or a later one."""

        def reached() -> bool:
            done = re.findall(rf"^\[{stage}\] {name}: ([\d,]+)/", self.log(stage, name), re.MULTILINE)
            return bool(done) and int(done[-1].replace(",", "")) >= step

        wait_for(f"{name} is at step {step}", reached, seconds)

    def all_jobs(self) -> list[dict[str, str]]:
        """What accounting says of every attempt at a job of these results, oldest first."""
        return [job for job in self.cluster.accounting("--duplicates") if job["JobName"].startswith(self._prefix)]

    def jobs(self, comment: str) -> list[dict[str, str]]:
        """Of the attempts at one rule's job."""
        return [job for job in self.all_jobs() if job["Comment"] == comment]

    def submitted(self, comment: str, after: int = 0) -> int:
        """The id of the job, later than ``after``, that waits or runs in the queue."""

        def queued() -> list[int]:
            found = [job for job in self.cluster.squeue() if job["JobName"].startswith(self._prefix)]
            return [int(job["JobID"]) for job in found if job["Comment"] == comment and int(job["JobID"]) > after]

        wait_for(f"{comment} is in the queue", queued, 120)
        return queued()[-1]

    @property
    def _prefix(self) -> str:
        return name_prefix(self.experiment, str(self.project / self.results / self.experiment)) + "_"
