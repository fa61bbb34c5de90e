# Curation: raw files -> rows -> mixtures and preference pairs.
#
# reads   the catalog's files (network or mirror: only `fetch_dataset`)
# writes  data/raw/{dataset}/            verified raw files
#         data/rows/{dataset}            rows of one type (primum.text.rows), and data/drops/{dataset}: what became no row, and why
#         data/origins/{dataset}         the raw file and the line or record of it that each of them came from
#         data/mixtures/{mixture}        training rows, and data/ledgers/{mixture}: rows kept and dropped by source and reason
#         data/outcomes/{mixture}        what became of each row of its sources, and which row a duplicate repeats
#         data/phi/{mixture}             places of identifiers in a mixture that looks for them
#         data/pairs/{preferences}       preference pairs of one DPO stage
#         data/overlaps/{kind}/{data}    benchmark items that a mixture, or pairs, hold a part of
#
# One job reads the datasets of a group, makes all mixtures, or all pairs: each is an artifact of its own, taken from the
# store alone, and over Slurm a job costs more than to read a small file.


localrules:
    fetch_dataset,


rule fetch:
    input:
        begin,
        targets("fetch"),


rule curate:
    input:
        begin,
        targets("curate"),


rule fetch_dataset:
    input:
        begin,
    output:
        manifests(curation.RAW),
    log:
        RUN.log("fetch", "{dataset}"),
    benchmark:
        RUN.benchmark("fetch", "{dataset}")
    params:
        spec=spec("fetch"),
    shell:
        "exec primum stage fetch --request {REQUESTS}/{rule}/{wildcards.dataset}.json --log {log:q}"


# No wildcard can name the datasets of a group, hence one rule a group.
for group, datasets in curation.GROUPS.items():
    READ = manifests(
        [curation.ROWS, curation.DROPS, curation.ORIGINS], dataset=datasets(RUN.dag)
    )

    if READ:

        rule:
            name:
                f"read_{group}"
            input:
                raw=reads("read", "raw", group=group),
            output:
                manifests=READ,
                tables=tables_of(READ),
            log:
                RUN.log("read", group),
            benchmark:
                RUN.benchmark("read", group)
            threads: RUN.threads("read")
            resources:
                **resources_of("read", group=group),
            params:
                spec=spec("read", group=group),
            shell:
                "exec primum stage read --request {REQUESTS}/{rule}.json --log {log:q}"


MIXED = [
    path
    for name in RUN.dag.mixtures()
    for _, form in curation.mixed(RUN.dag.experiment.mixtures[name])
    for path in manifests(form, mixture=name)
]


rule mix_sources:
    input:
        rows=reads("mix", "rows"),
        drops=reads("mix", "drops"),
        benchmarks=reads("mix", "benchmarks"),
    output:
        manifests=MIXED,
        tables=tables_of(MIXED),
    log:
        RUN.log("mix", "mixtures"),
    benchmark:
        RUN.benchmark("mix", "mixtures")
    threads: RUN.threads("mix")
    resources:
        **resources_of("mix"),
    params:
        spec=spec("mix"),
    shell:
        "exec primum stage mix --request {REQUESTS}/{rule}.json --log {log:q}"


JOINED = manifests(curation.PAIRS, preferences=curation.read_preferences(RUN.dag))


rule join_pairs:
    input:
        rows=reads("pairs", "rows"),
    output:
        manifests=JOINED,
        tables=tables_of(JOINED),
    log:
        RUN.log("pairs", "pairs"),
    threads: RUN.threads("pairs")
    resources:
        **resources_of("pairs"),
    params:
        spec=spec("pairs"),
    shell:
        "exec primum stage pairs --request {REQUESTS}/{rule}.json --log {log:q}"


OVERLAPS = [
    path
    for kind, data in curation.curated(RUN.dag)
    for path in manifests(curation.OVERLAP, kind=kind, data=data)
]


rule find_overlaps:
    input:
        data=reads("overlap", "data"),
        benchmarks=reads("overlap", "benchmarks"),
    output:
        manifests=OVERLAPS,
        tables=tables_of(OVERLAPS),
    log:
        RUN.log("overlap", "overlaps"),
    benchmark:
        RUN.benchmark("overlap", "overlaps")
    threads: RUN.threads("overlap")
    resources:
        **resources_of("overlap"),
    params:
        spec=spec("overlap"),
    shell:
        "exec primum stage overlap --request {REQUESTS}/{rule}.json --log {log:q}"
