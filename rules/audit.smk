# Audits: what was made, looked at again. None of it is part of `all`, and a run that audits makes nothing.
#
# reads   the results folder, and the store's entries of the same keys
# writes  verification.json    what `primum verify` found. No rule's output: Snakemake would remove it where there are findings.
#         ../audits/           the reports of `primum audit`
from math import ceil

from primum.artifact.results import VERIFICATION
from primum.cluster.resources import largest_resources
from primum.reproduce.budget import BUDGET, seconds_of


rule verify:
    input:
        claim,
    log:
        RUN.log("verify", "verify"),
    threads: RUN.threads("tables")
    resources:
        **resources_of("tables"),
    params:
        results=RUN.dag.results,
        store=RUN.store,
        report=f"{RUN.dag.results}/{VERIFICATION}",
    shell:
        "primum verify {params.results:q} --store {params.store:q} --json {params.report:q} --jobs {threads} > {log:q} 2>&1 "
        "|| {{ echo '[verify] error: what is wrong, or missing, is in' {params.report:q} >> {log:q}; exit 1; }}"


# `--config audit=2h`, or audit=all: how much is made again.
ASKED = str(config.get("audit") or BUDGET)
try:
    SECONDS = None if ASKED == "all" else ceil(seconds_of(ASKED))
except PrimumError as error:
    raise SystemExit(f"primum: error: --config audit: {error}") from None


rule audit:
    input:
        claim,
    log:
        RUN.log("audit", "audit"),
    threads: max(RUN.threads(job.stage.name, job.model) for job in RUN.dag.jobs)
    resources:
        **largest_resources(RUN.experiment, SITE, RUN.dag.jobs, SECONDS),
    params:
        results=RUN.dag.results,
        bound="--all" if SECONDS is None else f"--budget {SECONDS}s",
    shell:
        "primum audit {params.results:q} {params.bound} > {log:q} 2>&1 "
        '|| {{ echo "[audit] error: $(tail -n 1 {log:q})" >> {log:q}; exit 1; }}'
