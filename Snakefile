"""primum: curation -> SFT -> DPO -> generation -> judging -> tables, for one experiment file.

snakemake all                                     the experiment `demo`
snakemake all --config experiment=open-clinical   another one, by name or path
snakemake sft                                     one stage: fetch curate pretrain sft dpo generate judge score tables report
snakemake all --config refresh=dpo                make a stage again (or refresh=dpo:NAME), whatever the store holds
snakemake all --config recompute=dpo              let GPUs make it again after a change of code or versions (see primum adopt)
"""

from functools import partial
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from primum.audit.summary import summarize
from primum.errors import PrimumError
from primum.dag.layout import parquet
from primum.dag.plan import TABLES
from primum.table4.paper import SUFFIXES
from primum.dag.restore import restore
from primum.cluster.resources import rule_resources
from primum.dag.workflow import open_workflow, shell_prefix

min_version("9.27")


try:
    RUN = open_workflow(config, Path(workflow.basedir))
except PrimumError as error:
    raise WorkflowError(str(error)) from None

AT = RUN.layout
STORE = RUN.store
resources_of = partial(rule_resources, RUN)

shell.prefix(shell_prefix(RUN.site))


wildcard_constraints:
    **{
        name: r"[a-z0-9]+(?:[.-][a-z0-9]+)*"
        for name in (
            "dataset",
            "mixture",
            "preferences",
            "data",
            "model",
            "prompts",
            "judge",
        )
    },


include: "rules/common.smk"
include: "rules/curate.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/tables.smk"


rule all:
    default_target: True
    input:
        begin,
        RUN.targets("all"),


rule fetch:
    input:
        begin,
        RUN.targets("fetch"),


rule curate:
    input:
        begin,
        RUN.targets("curate"),


rule pretrain:
    input:
        begin,
        RUN.targets("pretrain"),


rule sft:
    input:
        begin,
        RUN.targets("sft"),


rule dpo:
    input:
        begin,
        RUN.targets("dpo"),


rule generate:
    input:
        begin,
        RUN.targets("generate"),


rule judge:
    input:
        begin,
        RUN.targets("judge"),


rule score:
    input:
        begin,
        RUN.targets("score"),


rule tables:
    input:
        begin,
        RUN.targets("tables"),


rule report:
    input:
        begin,
        RUN.targets("report"),


onstart:
    RUN.write_config()


onsuccess:
    print(summarize(Path(AT.results)))


onerror:
    print(
        f"Stopped. The logs are under {AT.results}/logs; run the same command again to go on from here."
    )
