"""One run of an experiment, as the Snakefile opens it: its DAG and store, what it makes again, and its claim on the folder.

Imports neither torch nor pandas: every cluster job parses the Snakefile again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from primum.artifact.invocation import request_paths, save_invocation
from primum.artifact.request import Asked, Request
from primum.artifact.results import BENCHMARKS, CLAIM, EXPERIMENT, EXPERIMENT_SUM, LOGS, REQUESTS, STORE
from primum.artifact.store import Store
from primum.dag.dag import STAGES, TARGETS, TRAINING, Dag, Job
from primum.dag.engines import asked_in_batches
from primum.dag.refresh import FAILED, refreshed, with_failed
from primum.errors import PrimumError
from primum.experiment import Experiment, load_experiment
from primum.hub.mirror import MIRROR_VARIABLE
from primum.writing import write_whole

CONFIG_KEYS = ("experiment", "refresh", "recompute", "mirror", "report_to", "store", "results", "audit")
REPORT_VARIABLE = "PRIMUM_REPORT_TO"
_SERVICES = ("mlflow", "tensorboard", "trackio", "wandb")  # names of transformers' and of the packages


@dataclass(frozen=True)
class Workflow:
    """A run of ``dag`` with the ``store``; ``refresh`` says what is made again whatever the store has.

    ``recompute`` names the jobs that may use GPUs again although the code or the versions alone changed, or is ``all``.
    """

    dag: Dag
    store: str
    refresh: str = ""
    recompute: str = ""
    _held: list[IO[str]] = field(default_factory=list)

    @property
    def experiment(self) -> Experiment:
        return self.dag.experiment

    def targets(self, target: str) -> list[str]:
        """The manifests of all jobs of a target, such as ``sft``."""
        return [path for job in self.dag.jobs if job.stage.target == target for path in job.paths]

    def names(self, stage: str) -> str:
        """A wildcard constraint that matches the jobs of a stage."""
        return "|".join(map(re.escape, STAGES[stage].jobs(self.dag))) or "(?!)"

    def threads(self, stage: str, model: str | None = None) -> int:
        """CPU threads of a job; for training those that its spec fixes, since they change the weights' bits."""
        own = getattr(self.experiment.models[model], "threads", None) if model and stage in TRAINING else None
        return own or STAGES[stage].resources(self.experiment, model).threads

    def log(self, stage: str, job: str) -> str:
        return f"{self.dag.results}/{LOGS}/{stage}/{job}.log"

    def benchmark(self, stage: str, job: str) -> str:
        """Where Snakemake writes what a job took."""
        return f"{self.dag.results}/{BENCHMARKS}/{stage}/{job}.tsv"

    @property
    def requests(self) -> Path:
        """The folder of what jobs are asked for."""
        return Path(self.dag.results, REQUESTS)

    def request_path(self, job: Job) -> Path:
        """Where a job finds what it is asked for: under its rule's name and, beside those in it, its wildcards."""
        wildcards = job.stage.wildcards(job.name)
        path = "/".join([job.stage.rule.format(**wildcards), *job.stage.own(wildcards)])
        return self.requests / f"{path}.json"

    def request(self, job: Job) -> Request:
        """What ``primum stage`` is asked for, to be run in the folder that Snakemake runs in."""
        outputs = [Asked(Path(each.path), _paths(each.inputs), each.sensitive) for each in job.plan.outputs]
        again = refreshed(job, self.refresh)
        batch = asked_in_batches(self.dag, job.plan)
        return Request(
            job.spec, outputs, _paths(job.plan.inputs), job.stage.kind, Store(Path(self.store)), again, batch
        )

    def write_requests(self) -> None:
        """Write down what every job is asked for, and by whom, before the first of them starts.

        What an earlier run asked for, and this one does not, goes: else it would count as missing ever after.
        """
        save_invocation(Path(self.dag.results))
        asked = {self.request_path(job): job for job in self.dag.jobs}
        for path, job in asked.items():
            self.request(job).save(path)
        for path in request_paths(Path(self.dag.results)):
            if path not in asked:
                path.unlink(missing_ok=True)

    def check_asked(self) -> None:
        """PrimumError when ``refresh`` or ``recompute`` names no job of this experiment."""
        recompute = "" if self.recompute == "all" else self.recompute
        for key, asked in (("refresh", self.refresh), ("recompute", recompute)):
            for part in filter(None, asked.split(",")):
                if not any(refreshed(job, part) for job in self.dag.jobs):
                    if part == FAILED:
                        raise PrimumError(f"refresh={FAILED}: no request failed in what is in {self.dag.results}")
                    stages = ", ".join(self.dag.targets)
                    raise PrimumError(f"{key}={part}: matches no job; give a stage ({stages}) or stage:name")

    def begin(self) -> None:
        """Claim the experiment for this run, and clear up after one that was killed.

        The claim is an flock on ``<results>/.lock``, which ends with this process however it dies. It stands in for
        Snakemake's own lock (see ``rules/common.smk``). PrimumError naming the holder if another run is alive.
        """
        lock = Path(self.dag.results) / CLAIM
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a+", encoding="utf-8")
        if not _claimed(file):
            raise PrimumError(f"{self.dag.results} is in use by {_holder(file)}: wait for it, or stop it")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        self._held.append(file)
        Store(Path(self.store)).sweep()

    def write_config(self) -> None:
        """Write the experiment, catalogs merged in, next to its results; and its checksum, in the form of sha256sum."""
        content = self.experiment.model_dump_json(indent=1, by_alias=True) + "\n"
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        for name, text in ((EXPERIMENT, content), (EXPERIMENT_SUM, f"{sha256}  {EXPERIMENT}\n")):
            path = Path(self.dag.results) / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                write_whole(path, text)


def open_workflow(config: Mapping[str, Any], root: Path) -> Workflow:
    """The run that ``snakemake --config ...`` asks for. PrimumError for an unknown key, listing the valid ones."""
    unknown = sorted(set(config) - set(CONFIG_KEYS))
    if unknown:
        raise PrimumError(f"--config {unknown[0]}: unknown key; valid keys: {', '.join(CONFIG_KEYS)}")
    experiment = load_experiment(str(config.get("experiment", "demo")), root)
    results = str(config.get("results", "results")).rstrip("/")
    if not re.fullmatch(r"[\w./ -]+", results):
        raise PrimumError(f"--config results={results!r}: use letters, digits, '.', '_', '-' and '/' only")
    refresh, recompute = (str(config.get(key, "") or "") for key in ("refresh", "recompute"))
    for key, asked in (("refresh", refresh), ("recompute", "" if recompute == "all" else recompute)):
        for part in filter(None, asked.split(",")):
            if part.partition(":")[0] not in (*TARGETS, *STAGES) and (key, part) != ("refresh", FAILED):
                raise PrimumError(f"--config {key}={part}: no such stage; there are: {', '.join(TARGETS)}")
    if config.get("mirror"):
        os.environ[MIRROR_VARIABLE] = str(Path(str(config["mirror"])).resolve())
    if config.get("report_to"):
        os.environ[REPORT_VARIABLE] = _services(str(config["report_to"]))
    # An own variable names the store on a cluster, so that experiments of many people share it.
    store = str(config.get("store") or os.environ.get("PRIMUM_STORE") or f"{results}/{STORE}")
    dag = Dag(experiment, root, f"{results}/{experiment.name}")
    return Workflow(dag, store, with_failed(dag.jobs, refresh), recompute)


def _services(asked: str) -> str:
    for service in asked.split(","):
        if service not in _SERVICES:
            raise PrimumError(f"--config report_to={service}: unknown; there are: {', '.join(_SERVICES)}")
        if find_spec(service) is None:
            raise PrimumError(f"--config report_to={service}: is not installed: pip install {service}")
    return asked


def _claimed(file: IO[str]) -> bool:
    """Lock it, unless it is another's; who only looks whether it is (``primum gc``) has it for a moment."""
    for _ in range(3):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False


def _holder(file: IO[str]) -> str:
    """Who holds a lock, in its own words, which it writes right after it has it: hence those that are still there later."""
    before = ""
    for _ in range(50):
        file.seek(0)
        said = file.read().strip()
        if said and said == before:
            break
        before = said
        time.sleep(0.1)
    return before or "an unknown process"


def _paths(inputs: Mapping[str, Sequence[str]]) -> dict[str, list[Path]]:
    return {role: [Path(path) for path in paths] for role, paths in inputs.items()}
