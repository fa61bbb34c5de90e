"""primum: curation -> SFT -> DPO -> generation -> judging -> tables, for one experiment file.

snakemake all                                     the experiment `demo`
snakemake all --config experiment=open-clinical   another one, by name or path
snakemake sft                                     one stage: fetch curate pretrain sft dpo sample rank generate judge score
                                                  tables report
snakemake all --config refresh=dpo                make a stage again (or refresh=dpo:NAME), whatever the store holds
snakemake all --config recompute=dpo              let GPUs make it again after a change of code or versions (see primum adopt)
"""

from primum.terminal.interrupt import tell_of_interrupts

# First, since the rest takes a moment to load.
tell_of_interrupts()

from pathlib import Path

from snakemake.utils import min_version

from primum.artifact.results import LOGS
from primum.audit.summary import summarize
from primum.cluster.site import load_site, shell_prefix
from primum.dag.workflow import open_workflow
from primum.errors import PrimumError
from primum.terminal.handler import listen
from primum.trace.rundata import write_run_data

min_version("9.27")


try:
    RUN = open_workflow(config, Path(workflow.basedir))
    SITE = load_site(Path(workflow.basedir) / "slurm" / "site.yaml")
except PrimumError as error:
    # Snakemake would name this place in the Snakefile as well.
    raise SystemExit(f"primum: error: {error}") from None

EVALUATE = RUN.experiment.evaluate
TERMINAL = listen(workflow, Path(RUN.dag.results))

shell.prefix(shell_prefix(SITE))


wildcard_constraints:
    **{
        name: r"[a-z0-9]+(?:[.-][a-z0-9]+)*"
        for name in ("dataset", "group", "model", "judge", "preferences")
    },


include: "rules/common.smk"
include: "rules/curation.smk"
include: "rules/training.smk"
include: "rules/preferences.smk"
include: "rules/evaluation.smk"
include: "rules/aggregation.smk"
include: "rules/audit.smk"


rule all:
    default_target: True
    input:
        begin,
        unread,
        targets("tables"),
        targets("report"),
        EXPORTS,


onsuccess:
    TERMINAL.end()
    if BEGUN == ["audit"]:
        print(
            f"Nothing wrong was found; the logs in {RUN.dag.results} name the reports"
        )
    else:
        try:
            write_run_data(Path(RUN.dag.results))
        except PrimumError as error:
            # What was made is there, with or without a record beside the report.
            print(f"primum: error: {error}")
        print(summarize(Path(RUN.dag.results)))


onerror:
    TERMINAL.end()
    print(
        f"Stopped. The logs are under {RUN.dag.results}/{LOGS}; run the same command again to go on from here."
    )
