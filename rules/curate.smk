# Curation: raw files -> rows -> mixtures, preference pairs and packed chunks.
#
# reads   the catalog's files (network or mirror: only `fetch_*`)
# writes  data/raw/{dataset}/            verified raw files
#         data/rows/{dataset}            rows of one type (primum.text.rows), and data/drops/{dataset}: what became no row, and why
#         data/mixtures/{mixture}        training rows, and data/ledgers/{mixture}: rows kept and dropped by source and reason
#         data/pairs/{preferences}       preference pairs of one DPO stage
#         data/overlaps/{kind}/{data}    benchmark items that a mixture, or pairs, hold a part of
#         data/packed/{model}            token chunks for one SFT model, with loss masks and sample lengths


localrules:
    fetch_dataset,
    fetch_model,


rule fetch_dataset:
    input:
        begin,
    output:
        AT.raw("{dataset}"),
    log:
        AT.log("fetch", "{dataset}"),
    benchmark:
        AT.benchmark("fetch", "{dataset}")
    params:
        spec=lambda w: RUN.plan.spec("fetch", w.dataset),
    shell:
        "exec primum stage fetch --spec {params.spec:q} --outputs {output:q} --store {STORE:q} --log {log:q}"


rule fetch_model:
    input:
        begin,
    output:
        AT.model("{model}"),
    log:
        AT.log("fetch", "{model}"),
    wildcard_constraints:
        model=RUN.names("hub", "endpoint"),
    params:
        spec=lambda w: RUN.plan.spec("snapshot", w.model),
    shell:
        "exec primum stage snapshot --spec {params.spec:q} --outputs {output:q} --store {STORE:q} --log {log:q}"


rule read_dataset:
    input:
        raw=AT.raw("{dataset}"),
    output:
        manifests=[AT.rows("{dataset}"), AT.drops("{dataset}")],
        tables=[parquet(AT.rows("{dataset}")), parquet(AT.drops("{dataset}"))],
    log:
        AT.log("read", "{dataset}"),
    benchmark:
        AT.benchmark("read", "{dataset}")
    resources:
        **resources_of("curate"),
    params:
        spec=lambda w: RUN.plan.spec("read", w.dataset),
    shell:
        "exec primum stage read --spec {params.spec:q} --raw {input.raw:q} --outputs {output.manifests:q}"
        " --store {STORE:q} --log {log:q}"


rule mix_sources:
    input:
        rows=lambda w: [AT.rows(name) for name in RUN.sources(w.mixture)],
        drops=lambda w: [AT.drops(name) for name in RUN.sources(w.mixture)],
        benchmarks=lambda w: [
            AT.rows(name) for name in RUN.plan.decontaminating(w.mixture)
        ],
    output:
        manifests=[AT.mixture("{mixture}"), AT.ledger("{mixture}")],
        tables=[parquet(AT.mixture("{mixture}")), parquet(AT.ledger("{mixture}"))],
    log:
        AT.log("mix", "{mixture}"),
    benchmark:
        AT.benchmark("mix", "{mixture}")
    resources:
        **resources_of("curate"),
    params:
        spec=lambda w: RUN.plan.spec("mix", w.mixture),
    shell:
        "exec primum stage mix --spec {params.spec:q} --rows {input.rows:q} --drops {input.drops:q}"
        " --benchmarks {input.benchmarks:q} --outputs {output.manifests:q} --store {STORE:q} --log {log:q}"


rule join_pairs:
    input:
        rows=lambda w: [
            AT.rows(name)
            for name in RUN.experiment.preferences[w.preferences].datasets
        ],
    output:
        manifest=AT.pairs("{preferences}"),
        table=parquet(AT.pairs("{preferences}")),
    log:
        AT.log("pairs", "{preferences}"),
    resources:
        **resources_of("curate"),
    params:
        spec=lambda w: RUN.plan.spec("pairs", w.preferences),
    shell:
        "exec primum stage pairs --spec {params.spec:q} --rows {input.rows:q} --outputs {output.manifest:q}"
        " --store {STORE:q} --log {log:q}"


rule find_overlaps:
    input:
        data=lambda w: (AT.mixture if w.kind == "mixtures" else AT.pairs)(w.data),
        benchmarks=[AT.rows(name) for name in RUN.plan.knowledge()],
    output:
        manifest=AT.overlap("{kind}", "{data}"),
        table=parquet(AT.overlap("{kind}", "{data}")),
    log:
        AT.log("overlap", "{kind}/{data}"),
    wildcard_constraints:
        kind="mixtures|pairs",
    resources:
        **resources_of("curate"),
    params:
        spec=lambda w: RUN.plan.spec("overlap", f"{w.kind}/{w.data}"),
    shell:
        "exec primum stage overlap --spec {params.spec:q} --data {input.data:q} --benchmarks {input.benchmarks:q}"
        " --outputs {output.manifest:q} --store {STORE:q} --log {log:q}"


rule pack_chunks:
    input:
        mixture=lambda w: AT.mixture(RUN.training_data(w.model)),
        model=lambda w: AT.model(RUN.start(w.model)),
    output:
        manifest=AT.packed("{model}"),
        table=parquet(AT.packed("{model}")),
    log:
        AT.log("pack", "{model}"),
    wildcard_constraints:
        model=RUN.names("sft"),
    resources:
        **resources_of("curate"),
    params:
        spec=lambda w: RUN.plan.spec("pack", w.model),
    shell:
        "exec primum stage pack --spec {params.spec:q} --mixture {input.mixture:q} --model {input.model:q}"
        " --outputs {output.manifest:q} --store {STORE:q} --log {log:q}"
