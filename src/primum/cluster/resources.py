"""What a rule asks of the scheduler: the experiment's resources and the site's, under the names that reach sbatch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from primum.cluster.orphans import comment
from primum.cluster.site import Site
from primum.dag.dag import SEVERAL, STAGES, TRAINING, Job
from primum.experiment import Experiment
from primum.experiment.types import Resources


def asked_resources(experiment: Experiment, stage: str, model: str | None) -> Resources:
    """What the experiment asks for a job of a stage, of a model or of none; training and the reference may have several nodes."""
    asked = STAGES[stage].resources(experiment, model)
    return asked if stage in SEVERAL else asked.model_copy(update={"nodes": 1, "gpus": asked.gpus // asked.nodes})


def rule_resources(
    experiment: Experiment, site: Site, running: Mapping[str, str], stage: str, **names: str
) -> dict[str, Callable[..., int | str | None]]:
    """A rule's resources, under the names that Snakemake's Slurm plugin passes on to sbatch.

    Memory (MB a node) and runtime (minutes) grow with every attempt. GPUs on one node are ``gpu``; on several nodes
    ``gres`` says how many each node gives, and ``mpi`` that the job starts its own tasks, one a node. ``launch`` is
    for the job itself: the options of ``primum stage`` that say on what it trains. ``api`` counts jobs that call an endpoint.
    ``running`` are a killed run's jobs (see :func:`primum.cluster.orphans.take_over`). ``names`` are those in the rule's name.
    """
    typed = f"gpu:{site.gpu_type}" if site.gpu_type else "gpu"

    def of_job(wildcards: Any) -> dict[str, str]:
        return {name: names.get(name) or getattr(wildcards, name) for name in STAGES[stage].names}

    def asked(wildcards: Any) -> Resources:
        return asked_resources(experiment, stage, STAGES[stage].model(experiment, of_job(wildcards)))

    def partition(wildcards: Any) -> str | None:
        return site.partitions.gpu if asked(wildcards).gpus else site.partitions.cpu

    def gpu_model(wildcards: Any) -> str | None:
        r = asked(wildcards)
        return site.gpu_type if r.gpus and r.nodes == 1 else None

    def gres(wildcards: Any) -> str:
        r = asked(wildcards)
        return f"{typed}:{r.gpus // r.nodes}" if r.gpus and r.nodes > 1 else ""

    def api(wildcards: Any) -> int:
        judge = of_job(wildcards).get("judge")
        model = experiment.judges[judge].model if judge else STAGES[stage].model(experiment, of_job(wildcards))
        called = model is not None and experiment.kind_of(model) == "endpoint"
        asking = ("generate", "judge", "grade", "agreement", "answer", "sample", "rate", "respond", "assess")
        return int(called and stage in asking)

    # None is a resource that a job does not have: the plugin looks whether there is one.
    def mpi(wildcards: Any) -> str | None:
        return "srun" if asked(wildcards).nodes > 1 else None

    def tasks(wildcards: Any) -> int | None:
        return asked(wildcards).nodes if asked(wildcards).nodes > 1 else None

    def extra(wildcards: Any) -> str:
        twin = running.get(comment(STAGES[stage], of_job(wildcards)) or "")
        warning = f"--signal=TERM@{site.warning_seconds}" if stage in TRAINING else ""
        return f"{warning} --dependency=afterany:{twin}".strip() if twin else warning

    def launch(wildcards: Any) -> str:
        r = asked(wildcards)
        options = [f"--nodes {r.nodes} --processes {max(r.gpus, r.nodes)}"]
        options += ["--activation-checkpointing"] * r.activation_checkpointing + ["--cpu-offload"] * r.cpu_offload
        return " ".join(options)

    several = {"mpi": mpi, "tasks": tasks, "launch": launch}
    return {
        "mem_mb": lambda wildcards, attempt: asked(wildcards).mem_mb * attempt,
        "runtime": lambda wildcards, attempt: asked(wildcards).minutes * attempt,
        "nodes": lambda wildcards: asked(wildcards).nodes,
        "gpu": lambda wildcards: asked(wildcards).gpus if asked(wildcards).nodes == 1 else 0,
        "gpu_model": gpu_model,
        "gres": gres,
        "api": api,
        "slurm_account": lambda wildcards: site.account,
        "slurm_partition": partition,
        "qos": lambda wildcards: site.qos,
        "constraint": lambda wildcards: site.constraint,
        "slurm_extra": extra,
        **(several if stage in SEVERAL else {}),
    }


def largest_resources(
    experiment: Experiment, site: Site, jobs: Iterable[Job], seconds: int | None
) -> dict[str, int | str | None]:
    """What one job asks for, on one node, that does what any of ``jobs`` does, one after another: the most of each.

    It may take ``seconds`` and as long as the longest of them besides; None: as long as all of them together.
    """
    asked = [asked_resources(experiment, job.stage.name, job.model) for job in jobs]
    times = [each.minutes for each in asked]
    gpus = max(each.gpus // each.nodes for each in asked)
    return {
        "mem_mb": max(each.mem_mb for each in asked),
        "runtime": sum(times) if seconds is None else math.ceil(seconds / 60) + max(times),
        "nodes": 1,
        "gpu": gpus,
        "gpu_model": site.gpu_type if gpus else None,
        "slurm_account": site.account,
        "slurm_partition": site.partitions.gpu if gpus else site.partitions.cpu,
        "qos": site.qos,
        "constraint": site.constraint,
    }
