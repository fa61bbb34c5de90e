# What runs before the first job.
import traceback

from snakemake.io import IOFile
from snakemake.logging import logger as snakemake_logger

from primum.audit.adopt import check_remade
from primum.audit.forecast import check_budget
from primum.dag.failures import FailureLines

BEGUN = []


def begin(wildcards):
    """An input function, hence called while the DAG is built, when Snakemake knows whether this is a dry run.

    The first call claims the experiment, takes what the store has, and forces what a manifest says is out of date. Targets
    have it first, so that it comes before Snakemake looks which of their files there are.
    """
    if workflow.is_main_process and workflow.executor_plugin is not None and not BEGUN:
        BEGUN.append(True)
        snakemake_logger.addHandler(FailureLines())
        try:
            RUN.check()
            check_budget(RUN)
            if not (workflow.dryrun or workflow.touch):
                check_remade(RUN, workflow.dag_settings.targets)
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
