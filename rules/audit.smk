# Audits: what was made, looked at again. None of it is part of `all`, and a run that audits makes nothing.
#
# reads   the results folder, and the store's entries of the same keys
# writes  verification.json    what `primum verify` found. No rule's output: Snakemake would remove it where there are findings.


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
