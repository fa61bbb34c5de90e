# What the rules share: what a stage reads and makes, as `src/primum/dag/` says it, and what runs before the first job.
#
# A job finds its spec and the manifests it reads in {REQUESTS}/{rule}/{wildcards}.json, which is written before the first
# job: they may be longer than an argument can be. The spec is the only entry of `params`, by which Snakemake sees a change.
import traceback

from snakemake.io import IOFile
from snakemake.settings.enums import RerunTrigger

from primum.audit.adopt import check_remade
from primum.audit.forecast import check_budget
from primum.audit.trainings import refuse_what_cannot_fit
from primum.cluster.orphans import name_prefix, take_over
from primum.cluster.resources import rule_resources
from primum.dag import aggregation, curation, evaluation, judging, training
from primum.dag.dag import STAGES, parquet
from primum.dag.restore import mark, restore
from primum.dag.state import state_of
from primum.progress import Progress
from primum.terminal.dryrun import DryRun

REQUESTS = RUN.requests
# A killed run's jobs that are still in the cluster's queue, the jobs that have nothing to do, and what is to be made although no
# job reads it.
RUNNING = {}
CURRENT = set()
UNREAD = set()
BEGUN = []
# Rules that look at what was made, and make nothing. They are asked for alone.
AUDITS = {"verify", "audit"}


def manifests(templates, **names):
    """The manifests of `primum.dag` templates, for the names that are given; others stay wildcards."""
    templates = [templates] if isinstance(templates, str) else templates
    paths = [f"{RUN.dag.results}/{template}" for template in templates]
    return expand(paths, **names, allow_missing=True)


def tables_of(manifests):
    """The Parquet files beside manifests."""
    return [parquet(path) for path in manifests]


def job_name(stage, wildcards, **names):
    return STAGES[stage].job.format(**{**wildcards, **names})


def spec(stage, **names):
    """The spec of a job: all that its result depends on, but for the content of what it reads."""
    return lambda wildcards: RUN.dag.spec(stage, job_name(stage, wildcards, **names))


def reads(stage, role, **names):
    """The manifests that a job reads in a role; of a job that has nothing to do, none.

    For what a job makes beside others (the rows of one dataset among many) says nothing about its readers: those whose
    own inputs are what they were must not be started because another's are new.
    """

    def paths(wildcards):
        begin(wildcards)
        name = job_name(stage, wildcards, **names)
        return (
            []
            if (stage, name) in CURRENT
            else RUN.dag.job(stage, name).plan.reads(role)
        )

    return paths


def targets(target):
    return lambda wildcards: RUN.targets(target)


def resources_of(stage, **names):
    return rule_resources(RUN.experiment, SITE, RUNNING, stage, **names)


def threads_of(stage, **names):
    return lambda wildcards: RUN.threads(
        stage, RUN.dag.job(stage, job_name(stage, wildcards, **names)).model
    )


def begin(wildcards):
    """An input function, hence called while the DAG is built, when Snakemake knows whether this is a dry run.

    The first call claims the experiment, takes what the store has, and forces what a manifest says is out of date. Targets
    have it first, so that it comes before Snakemake looks which of their files there are.
    """
    if workflow.is_main_process and workflow.executor_plugin is not None and not BEGUN:
        BEGUN.append(True)
        try:
            prepare()
        except PrimumError as error:
            # Snakemake would wrap any Exception of an input function in ten lines.
            raise SystemExit(f"primum: error: {error}") from None
        except OSError as error:
            where = error.filename or RUN.dag.results
            raise SystemExit(
                f"primum: error: {where}: {error.strerror}: see to it and run again"
            ) from None
        except Exception:
            # And it would call the function again, which then did nothing.
            raise SystemExit(traceback.format_exc()) from None
    return []


def claim(wildcards):
    """As `begin`, but all stays as it is: what a run takes from the store, or writes down, is what is to be looked at."""
    if not workflow.is_main_process or workflow.executor_plugin is None:
        return []
    if not set(workflow.dag_settings.targets) <= AUDITS:
        raise SystemExit(
            f"primum: error: {', '.join(sorted(AUDITS))}: ask for it alone, after the run that makes the results"
        )
    if not workflow.dryrun and not BEGUN:
        BEGUN.append("audit")
        workflow.persistence.lock = workflow.persistence.noop
        try:
            RUN.begin()
        except PrimumError as error:
            raise SystemExit(f"primum: error: {error}") from None
        name_jobs()
        TERMINAL.begin(workflow.dag, [], not workflow.local_exec, None)
    return []


def prepare():
    RUN.check_asked()
    # A job that has nothing to do is given no inputs (`reads`): Snakemake's other triggers would take that for a change, and
    # begin by removing what the job made.
    workflow.dag_settings.rerun_triggers = frozenset(
        {RerunTrigger.PARAMS, RerunTrigger.MTIME}
    )
    # After a kill the same command goes on.
    workflow.dag_settings.force_incomplete = True
    # The project's own claim decides who may run here: Snakemake's lock of the whole folder goes when the first of several
    # runs ends, or fails two that end together, and outlives a run that was killed.
    workflow.persistence.lock = workflow.persistence.noop
    if not workflow.dryrun:
        RUN.begin()
    # Behind the claim: nobody else changes what there is from now on.
    state = state_of(RUN)
    # From now on the terminal tells of this run, or of this dry run.
    named = [rule.name for rule in workflow.rules if rule.norun]
    dry = DryRun.of(RUN, state) if workflow.dryrun else None
    TERMINAL.begin(workflow.dag, named, not workflow.local_exec, dry)
    check_budget(RUN, state)
    refuse_what_cannot_fit(RUN, state, SITE)
    if workflow.touch:
        return
    if not workflow.dryrun:
        check_remade(RUN, state, workflow.dag_settings.targets)
        take_over_jobs()
        RUN.write_requests()
        RUN.write_config()
        if any(job.stored or job.restamp for job in state.jobs):
            forget(restore(RUN, state))
            state = state_of(RUN)
        mark(RUN, state)
    # What is forced by hand (-F, -R, -f) is Snakemake's to follow, through the whole graph.
    if not (workflow.dag.forcerules or workflow.dag.forcefiles):
        CURRENT.update((job.stage, job.name) for job in state.jobs if job.current)
    UNREAD.update(state.unread)
    # Snakemake's own times are not enough: it calls a job that failed up to date with the inputs that it had.
    workflow.dag.forcefiles.update(state.stale | state.wanted)


def unread(wildcards):
    """What no job reads, such as the drops of a data set, and is lost: nobody else would ask for it."""
    begin(wildcards)
    return sorted(UNREAD)


def name_jobs():
    """On Slurm, name this run's jobs so that the next run knows them, should this one be killed: what the names begin with."""
    if not hasattr(workflow.executor_settings, "jobname_prefix"):
        return None
    prefix = name_prefix(RUN.experiment.name, RUN.dag.results)
    workflow.executor_settings.jobname_prefix = prefix
    return prefix


def take_over_jobs():
    """On Slurm: see to the jobs of a run that was killed."""
    if (prefix := name_jobs()) is not None:
        RUNNING.update(take_over(prefix, Progress("slurm")))


def forget(manifests):
    """Drop what Snakemake remembers of outputs that were replaced: it is of what was there before."""
    for path in manifests:
        for output in (path, parquet(path)):
            workflow.persistence.cleanup_metadata(IOFile(output))
