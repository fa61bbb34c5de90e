"""What Snakemake would run: a process that answers each question in a fork of its own, so that none sees another's state.

Started with a copy of the project as its working folder and the copy's ``src`` on PYTHONPATH; reads one JSON request a
line, writes one JSON answer a line. Questions: ``plan`` (a dry-run of `all`), ``finish`` (write every output as if it had
been made, and let Snakemake record it), ``jobs`` (what the package lists), ``state`` (what a plan depends on), ``graph`` (what
each job reads and asks for).
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

from snakemake.api import SnakemakeApi
from snakemake.executors.dryrun import Executor as DryRunExecutor
from snakemake.settings.enums import Quietness
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    ExecutionSettings,
    OutputSettings,
    ResourceSettings,
)

from primum.artifact.canonical import digest
from primum.artifact.job import item_spec
from primum.artifact.manifest import Manifest, artifact_key, save_manifest
from primum.dag.dag import Job
from primum.dag.workflow import open_workflow

# What a plan imports, beside what this file does.
_IMPORTED = (
    "smart_open",
    "snakemake.executors.touch",
    "primum.audit.adopt",
    "primum.audit.summary",
    "primum.audit.trainings",
    "primum.cluster.resources",
    "primum.cluster.site",
    "primum.dag.restore",
    "primum.reproduce.budget",
    "primum.table4.paper",
    "primum.terminal.handler",
    "primum.trace.rundata",
)


def _build(request: Mapping[str, Any], executor: str) -> Any:
    """The DAG after a dry-run or a touch."""
    with SnakemakeApi(OutputSettings(quiet=frozenset({Quietness.ALL}), dryrun=executor == "dryrun")) as api:
        workflow_api = api.workflow(
            resource_settings=ResourceSettings(cores=2),
            config_settings=ConfigSettings(config=request.get("config", {})),
            snakefile=Path("Snakefile"),
        )
        dag_api = workflow_api.dag(
            DAGSettings(
                targets=frozenset(request.get("targets", ["all"])),
                forceall=executor == "touch" or request.get("forceall", False),
                forcerun=frozenset(request.get("forcerun", ())),
            )
        )
        # A dry-run's words go nowhere, and are a fifth of its time.
        with mock.patch.object(DryRunExecutor, "printjob"):
            dag_api.execute_workflow(executor=executor, execution_settings=ExecutionSettings(lock=False))
        return workflow_api._workflow.dag


def plan(request: Mapping[str, Any]) -> dict[str, Any]:
    """``planned``: the jobs that would run; ``stale``: those whose outputs were made for another spec; ``all`` jobs."""
    dag = _build(request, "dryrun")
    jobs = {_id(job): job for job in dag.jobs if not job.rule.norun}
    return {
        "planned": [name for name, job in jobs.items() if dag.finished(job)],
        "stale": [name for name, job in jobs.items() if _stale(job)],
        "all": list(jobs),
    }


def _id(job: Any) -> str:
    return " ".join([job.rule.name, *map(str, job.wildcards_dict.values())])


def _stale(job: Any) -> bool:
    """Whether what is there was made for another spec than the planned one; jobs without spec (CSV) never are."""
    if "spec" not in dict(job.params.items()):
        return False
    for path in (Path(str(path)) for path in job.output if str(path).endswith(".json")):
        try:
            if json.loads(path.read_text())["job"] != str(job.params.spec):
                return True
        except (ValueError, FileNotFoundError):
            return True
    return False


def finish(request: Mapping[str, Any]) -> dict[str, Any]:
    """Every output as if it had been made for the planned spec, recorded by Snakemake's touch."""
    workflow = open_workflow(request.get("config", {}), Path.cwd())
    contents: dict[str, str] = {}
    keys: dict[str, str] = {}
    for job in workflow.dag.jobs:
        spec = json.loads(job.spec)
        for output, (_, item) in zip(job.plan.outputs, spec["items"], strict=True):
            path = Path(output.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            if job.stage.kind == "table":
                path.with_suffix(".parquet").write_bytes(b"")
            if job.stage.name == "report":
                (path.parent / "index.html").write_text("")
            if job.stage.name == "tables":
                path.with_suffix(".csv").write_text("")
            contents[output.path] = output.path
            given = job.plan.inputs_of(output)
            inputs = {role: [contents[each] for each in paths] for role, paths in given.items()}
            own = item_spec(spec, item)
            key = artifact_key(own, inputs)
            keys[output.path] = key
            run = {"input_keys": {role: [keys[each] for each in paths] for role, paths in given.items()}}
            made = Manifest(job.stage.kind, job.stage.name, own, inputs, key, output.path, {}, job.spec, run=run)
            save_manifest(made, path)
    # Snakemake's touch waits a tenth of a second a job, for file systems with coarse times.
    with mock.patch("time.sleep"):
        _build(request, "touch")
    return {}


def jobs(request: Mapping[str, Any]) -> dict[str, Any]:
    """Stage, name, spec and manifests of every job."""
    workflow = open_workflow(request.get("config", {}), Path.cwd())
    return {"jobs": [[job.stage.name, job.name, job.spec, job.paths] for job in workflow.dag.jobs]}


def state(request: Mapping[str, Any]) -> dict[str, Any]:
    """A digest of all that a plan depends on: each job's inputs and outputs, and which of its specs are not those recorded."""
    workflow = open_workflow(request.get("config", {}), Path.cwd())
    return {"state": digest(sorted([job.stage.name, job.name, *_seen(job)] for job in workflow.dag.jobs))}


def _seen(job: Job) -> list[Any]:
    spec = json.loads(job.spec)
    seen = []
    for output, (_, item) in zip(job.plan.outputs, spec["items"], strict=True):
        path = Path(output.path)
        made = json.loads(path.read_text()) if path.exists() else {"job": None, "spec": None}
        new = [made["job"] != job.spec, made["spec"] != item_spec(spec, item)]
        seen.append(
            [output.name, output.path, {role: list(paths) for role, paths in job.plan.inputs_of(output).items()}, new]
        )
    return seen


def graph(request: Mapping[str, Any]) -> dict[str, Any]:
    """By the manifests it makes: what each job with a spec reads, by role, and its GPUs, nodes and minutes."""
    dag = _build({**request, "forceall": True}, "dryrun")
    jobs = [job for job in dag.jobs if "spec" in dict(job.params.items())]
    return {"graph": {" ".join(sorted(_manifests(job.output))): {**_asked(job), "reads": _reads(job)} for job in jobs}}


def _reads(job: Any) -> dict[str, list[str]]:
    named = {role: [paths] if isinstance(paths, str) else list(paths) for role, paths in job.input.items()}
    return {role: sorted(map(str, paths)) for role, paths in named.items() if paths}


def _manifests(paths: Any) -> list[str]:
    return [str(path) for path in paths if str(path).endswith(".json")]


def _asked(job: Any) -> dict[str, int]:
    asked = {name: job.resources.get(name) for name in ("gpu", "gres", "nodes", "runtime")}
    each = int(asked["gres"].split(":")[-1]) if asked["gres"] else 0
    gpus = each * asked["nodes"] if each else asked["gpu"] or 0
    return {"gpus": gpus, "nodes": asked["nodes"] or 1, "minutes": asked["runtime"]}


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # what Snakemake prints must not mix with the answers
    os.dup2(silence, 2)
    # The forks inherit the modules, and what counts of the package's code.
    for module in _IMPORTED:
        import_module(module)
    jobs({})
    gc.collect()
    gc.freeze()  # else a collection in a fork copies all that it inherited
    for line in sys.stdin:
        request = json.loads(line)
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            try:
                answer = {"plan": plan, "finish": finish, "jobs": jobs, "graph": graph, "state": state}[request["ask"]](
                    request
                )
            except BaseException as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            with os.fdopen(write_end, "w", encoding="utf-8") as pipe:
                json.dump(answer, pipe)
            os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end, encoding="utf-8") as pipe:
            print(pipe.read() or '{"error": "the planner died"}', file=answers, flush=True)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
