# What runs before the first job.
BEGUN = []


def begin(wildcards):
    """An input function, hence called while the DAG is built, when Snakemake knows whether this is a dry run.

    The first call claims the experiment and forces what a manifest says is out of date.
    """
    if workflow.is_main_process and workflow.executor_plugin is not None and not BEGUN:
        BEGUN.append(True)
        try:
            RUN.check()
            if not (workflow.dryrun or workflow.touch):
                RUN.begin()
            if not workflow.touch:
                workflow.dag.forcefiles.update(RUN.forced())
        except PrimumError as error:
            # Snakemake would wrap any Exception of an input function in ten lines.
            raise SystemExit(f"primum: error: {error}") from None
    return []
