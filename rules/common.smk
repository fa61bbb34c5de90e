# What runs before the first job.
import traceback

from snakemake.io import IOFile

from primum.audit.forecast import check_budget
from primum.terminal.dryrun import DryRun

BEGUN = []


def begin(wildcards):
    """An input function, hence called while the DAG is built, when Snakemake knows whether this is a dry run.

    The first call claims the experiment, takes what the store has, and forces what a manifest says is out of date. Targets
    have it first, so that it comes before Snakemake looks which of their files there are.
    """
    if workflow.is_main_process and workflow.executor_plugin is not None and not BEGUN:
        BEGUN.append(True)
        try:
            RUN.check()
            listen_to_run()
            check_budget(RUN)
            if not (workflow.dryrun or workflow.touch):
                RUN.begin()
                name_jobs()
                forget(restore(RUN))
            if not workflow.touch:
                workflow.dag.forcefiles.update(RUN.forced())
        except PrimumError as error:
            # Snakemake would wrap any Exception of an input function in ten lines.
            raise SystemExit(f"primum: error: {error}") from None
        except Exception:
            # And it would call the function again, which then did nothing.
            raise SystemExit(traceback.format_exc()) from None
    return []


def listen_to_run():
    """From now on the terminal tells of this run, or of this dry run."""
    targets = [rule.name for rule in workflow.rules if rule.norun]
    dry = DryRun.of(RUN) if workflow.dryrun else None
    TERMINAL.begin(workflow.dag, targets, not workflow.local_exec, dry)


def name_jobs():
    """On Slurm: names by which the next run knows this one's jobs, should it be killed; and see to those of the last one."""
    if hasattr(workflow.executor_settings, "jobname_prefix"):
        workflow.executor_settings.jobname_prefix = RUN.jobname_prefix
        RUN.take_over()


def forget(manifests):
    """Drop what Snakemake remembers of outputs that were replaced: it is of what was there before."""
    for path in manifests:
        for output in (path, parquet(path)):
            workflow.persistence.cleanup_metadata(IOFile(output))
