# Audits: what was made, looked at again. None of it is part of `all`, and a run that audits makes nothing.
#
# reads   the results folder, and the store's entries of the same keys
# writes  verification.json    what `primum verify` found. No rule's output: Snakemake would remove it where there are findings.

AUDITS = {"verify"}


def claim(wildcards):
    """As `begin`, but all stays as it is: what a run takes from the store, or writes down, is what is to be looked at."""
    if not workflow.is_main_process or workflow.executor_plugin is None or BEGUN:
        return []
    if not set(workflow.dag_settings.targets) <= AUDITS:
        raise SystemExit(
            f"primum: error: {', '.join(sorted(AUDITS))}: ask for it alone, after the run that makes the results"
        )
    if not workflow.dryrun:
        BEGUN.append("audit")
        workflow.persistence.lock = workflow.persistence.noop
        try:
            RUN.begin()
        except PrimumError as error:
            raise SystemExit(f"primum: error: {error}") from None
        TERMINAL.begin(workflow.dag, [], not workflow.local_exec, None)
    return []


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
        report=f"{RUN.dag.results}/verification.json",
    shell:
        "primum verify {params.results:q} --store {params.store:q} --json {params.report:q} --jobs {threads} > {log:q} 2>&1 "
        "|| {{ echo '[verify] error: what is wrong is in' {params.report:q} >> {log:q}; exit 1; }}"
