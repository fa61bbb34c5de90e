"""What the Snakefile needs: the experiment that was asked for, its plan and paths, and what to do before the first job.

Imports neither torch nor pandas: every cluster job parses the Snakefile again.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from primum.artifact.manifest import load_manifest
from primum.artifact.store import Store
from primum.cluster.orphans import name_prefix, take_over
from primum.cluster.site import Site, load_site
from primum.dag.layout import Layout
from primum.dag.plan import TABLES, Plan
from primum.dag.refresh import VARIABLE, is_refreshed
from primum.dag.stages import STAGES as JOBS
from primum.dag.stages import TRAINING
from primum.errors import PrimumError
from primum.experiment import STAGES, Experiment, load_experiment
from primum.experiment.models import DPOModel, PretrainedModel, SFTModel
from primum.progress import Progress
from primum.table4.paper import SUFFIXES, load_table4

CONFIG_KEYS = ("experiment", "refresh", "recompute", "mirror", "store", "results")
MIRROR_VARIABLE = "PRIMUM_MIRROR"


@dataclass(frozen=True)
class Workflow:
    """One run: ``experiment``, its ``plan`` and ``layout``, the ``store``, and which jobs ``refresh`` asks for.

    ``recompute`` names the jobs that may use GPUs again although the code or the versions alone changed, or is ``all``.
    ``running`` are Slurm's jobs that a killed run of it left (see :meth:`take_over`).
    """

    experiment: Experiment
    plan: Plan
    layout: Layout
    store: str
    refresh: str
    site: Site = field(default_factory=Site)
    _held: list[IO[str]] = field(default_factory=list)
    running: dict[str, str] = field(default_factory=dict)
    recompute: str = ""

    def jobs(self) -> Iterator[tuple[str, str, list[str]]]:
        """(stage, name, manifests) of every job of the experiment."""
        e, p, at = self.experiment, self.plan, self.layout
        for name in self.datasets():
            yield "fetch", name, [at.raw(name)]
            yield "read", name, [at.rows(name), at.drops(name)]
        for name in p.mixtures():
            yield "mix", name, [at.mixture(name), at.ledger(name)]
        for name in dict.fromkeys(m.data for m in map(e.models.get, p.trained()) if isinstance(m, DPOModel)):
            yield "pairs", name, [at.pairs(name)]
        for kind, name in p.overlapping():
            yield "overlap", f"{kind}/{name}", [at.overlap(kind, name)]
        for name in e.needed_models():
            kind = e.kind_of(name)
            if kind == "sft":
                yield "pack", name, [at.packed(name)]
            if kind == "dpo":
                yield "reference", name, [at.reference(name)]
            yield ("snapshot" if kind in ("hub", "endpoint") else kind), name, [at.model(name)]
        for model in e.evaluate.models:
            if e.evaluate.prompts:
                yield "generate", model, [at.generation(model, prompts) for prompts in e.evaluate.prompts]
            for judge in e.evaluate.judges:
                judged = [at.judgement(judge, model, prompts) for prompts in e.judges[judge].prompts]
                yield "judge", f"{judge}/{model}", judged
        for judge in p.agreements():
            yield "agreement", judge, [at.agreement(judge)]
        for model in dict.fromkeys(model for model, _ in p.scored()):
            scores = [at.score(model, benchmark) for benchmark in p.benchmarks_of(model)]
            yield "answer" if p.answers(model) else "score", model, scores
        yield "tables", "", [at.table(table) for table in TABLES]
        yield "report", "", [at.report()]

    def datasets(self) -> list[str]:
        """Every dataset that the tables need, in the order in which they are first needed."""
        e = self.experiment
        needed = [s.dataset for m in self.plan.mixtures() for s in e.mixtures[m].sources.values()]
        needed += [d for m in self.plan.mixtures() for d in self.plan.decontaminating(m)]
        for name in self.plan.trained():
            model = e.models[name]
            needed += e.preferences[model.data].datasets if isinstance(model, DPOModel) else ()
        needed += [dataset for name in e.evaluate.benchmarks for dataset in e.benchmarks[name].datasets()]
        needed += [e.prompts[name].dataset for name in e.evaluate.prompts]
        needed += [graded for name in e.evaluate.judges if (graded := e.judges[name].graded)]
        return list(dict.fromkeys(needed))

    def targets(self, target: str) -> list[str]:
        """The manifests that ``snakemake <target>`` makes: those of all jobs of that stage, or everything for ``all``."""
        wanted = ("tables", "report") if target == "all" else (target,)
        paths = [path for stage, _, paths in self.jobs() if JOBS[stage].target in wanted for path in paths]
        return paths + ([*map(self.layout.csv, TABLES), *self.renderings()] if "tables" in wanted else [])

    def renderings(self) -> list[str]:
        """Table 4 of Med42-v2 in every format, for an experiment that measures rows of it on all of its benchmarks."""
        measured = load_table4(self.plan.root).is_measured_by(self.experiment)
        return [self.layout.table4(suffix) for suffix in SUFFIXES] if measured else []

    def names(self, *kinds: str) -> str:
        """A wildcard constraint that matches the models of these kinds."""
        names = [name for name in self.experiment.needed_models() if self.experiment.kind_of(name) in kinds]
        return "|".join(map(re.escape, names)) or "(?!)"

    def sources(self, mixture: str) -> list[str]:
        """The datasets of a mixture's sources, in their order."""
        return [source.dataset for source in self.experiment.mixtures[mixture].sources.values()]

    def judge_model(self, judge: str) -> list[str]:
        """The manifest of the model that a judge asks; none for a judge that matches phrases."""
        model = self.experiment.judges[judge].model
        return [self.layout.model(model)] if model else []

    def threads(self, stage: str, model: str | None = None) -> int:
        """CPU threads of a job; for training those that its spec fixes, since they change the weights' bits."""
        own = getattr(self.experiment.models[model], "threads", None) if model and stage in TRAINING else None
        return own or self.experiment.resources_of(stage, model).threads

    def training_data(self, model: str) -> str:
        """The mixture or the preference set that a trained model is trained on."""
        entry = self.experiment.models[model]
        if not isinstance(entry, PretrainedModel | SFTModel | DPOModel):
            raise PrimumError(f"models.{model}: is not trained here")
        return entry.data

    def start(self, model: str) -> str:
        """The model that ``model`` starts from."""
        return self.experiment.parents(model)[0]

    def overlaps(self, model: str) -> list[str]:
        """The manifests of what the data of a model's lineage shares with the benchmarks."""
        return [self.layout.overlap(kind, data) for kind, data in self.plan.overlaps(model)]

    def reference(self, model: str) -> str:
        """The model that a DPO stage's reference log-probabilities come from."""
        return self.experiment.parents(model)[-1]

    def forced(self) -> list[str]:
        """The outputs that must be made again although they exist: refreshed ones, and those made for another spec.

        Snakemake sees a changed spec by itself, unless its metadata was lost; a manifest always tells.
        """
        forced = []
        for stage, name, manifests in self.jobs():
            if is_refreshed(stage, [Path(path) for path in manifests], self.refresh):
                forced += manifests
                continue
            for path in manifests:
                made_for = _job_of(Path(path))
                if made_for is not None and made_for != self.plan.spec(stage, name):
                    forced.append(path)
        return forced

    def check(self) -> None:
        """PrimumError if a job cannot be asked for: a template or a lock that is missing, say."""
        for stage, name, _ in self.jobs():
            self.plan.spec(stage, name)

    def check_asked(self) -> None:
        """PrimumError when ``refresh`` or ``recompute`` names no job of this experiment."""
        recompute = "" if self.recompute == "all" else self.recompute
        for key, asked in (("refresh", self.refresh), ("recompute", recompute)):
            for part in filter(None, asked.split(",")):
                jobs = [(stage, [Path(path) for path in paths]) for stage, _, paths in self.jobs()]
                if not any(is_refreshed(stage, paths, part) for stage, paths in jobs):
                    stages = ", ".join(dict.fromkeys(JOBS[stage].target for stage, _ in jobs))
                    raise PrimumError(f"{key}={part}: matches no job; give a stage ({stages}) or stage:name")

    @property
    def jobname_prefix(self) -> str:
        """What the names of this experiment's Slurm jobs begin with."""
        return name_prefix(self.experiment.name, self.layout.results)

    def take_over(self) -> None:
        """Look after the Slurm jobs of a killed run (see ``primum.cluster.orphans``)."""
        self.running.update(take_over(self.jobname_prefix, Progress("slurm")))

    def begin(self) -> None:
        """Claim the experiment for this run, and clear up after one that was killed.

        The claim is an flock on ``<results>/.lock``, which ends with this process however it dies; so a Snakemake lock
        over this experiment's files, found while the claim is ours, was left by a killed run. PrimumError naming the
        holder if another run is alive.
        """
        lock = Path(self.layout.results) / ".lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "an unknown process"
            raise PrimumError(f"{self.layout.results} is in use by {holder}: wait for it, or stop it") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        self._held.append(file)
        for left in Path(".snakemake/locks").glob("*.lock"):
            if any(line.startswith(f"{self.layout.results}/") for line in left.read_text().splitlines()):
                left.unlink()
        Store(Path(self.store)).sweep()

    def write_config(self) -> None:
        """Write the experiment, catalogs merged in, next to its results."""
        path = Path(self.layout.results) / "experiment.json"
        content = self.experiment.model_dump_json(indent=1, by_alias=True) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")


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
            if part.partition(":")[0] not in (*STAGES, *JOBS):
                raise PrimumError(f"--config {key}={part}: no such stage; there are: {', '.join(STAGES)}")
    os.environ[VARIABLE] = refresh
    if config.get("mirror"):
        os.environ[MIRROR_VARIABLE] = str(Path(str(config["mirror"])).resolve())
    # An own variable names the store on a cluster, so that experiments of many people share it.
    store = str(config.get("store") or os.environ.get("PRIMUM_STORE") or f"{results}/.store")
    site = load_site(root / "slurm" / "site.yaml")
    layout = Layout(f"{results}/{experiment.name}")
    workflow = Workflow(experiment, Plan(experiment, root), layout, store, refresh, site, recompute=recompute)
    workflow.check_asked()
    return workflow


def shell_prefix(site: Site) -> str:
    """What every job's shell begins with: strict mode, the site's modules on a cluster, this Python's folder on PATH.

    The path only where ``primum`` is not found otherwise.
    """
    modules = f"module load {' '.join(site.modules)}; " if site.modules and "SLURM_JOB_ID" in os.environ else ""
    path = "" if shutil.which("primum") else f"export PATH={Path(sys.executable).parent}:$PATH; "
    # `module` reads variables that are not set, hence the strict mode behind it.
    return f"{modules}set -euo pipefail; {path}"


def _job_of(manifest: Path) -> str | None:
    """The spec that an artifact was made for: None if there is none, empty (so that it is made again) if it is damaged."""
    if not manifest.exists():
        return None
    try:
        return load_manifest(manifest).job
    except PrimumError:
        return ""
