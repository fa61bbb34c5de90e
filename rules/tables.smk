# Aggregation: everything into the tables, and the tables into the page that people look at.
#
# reads   scores, judgements, generations, data/ledgers, models (their history), agreements
# writes  tables/{table}.parquet, .csv     benchmarks preferences safety judges training curation
#         tables/table4.{html,md,tex}      Table 4 of Med42-v2 beside it, where an experiment measures rows of it
#         report/index.html                one self-contained page


localrules:
    export_csv,


rule aggregate_tables:
    input:
        scores=[AT.score(*pair) for pair in RUN.plan.scored()],
        judgements=[AT.judgement(*triple) for triple in RUN.plan.judged()],
        generations=[AT.generation(*pair) for pair in RUN.plan.generated()],
        ledgers=[AT.ledger(name) for name in RUN.plan.mixtures()],
        trained=[AT.model(name) for name in RUN.plan.trained()],
        agreements=[AT.agreement(name) for name in RUN.plan.agreements()],
    output:
        manifests=[AT.table(name) for name in TABLES],
        tables=[parquet(AT.table(name)) for name in TABLES],
    log:
        AT.log("tables", "tables"),
    resources:
        **resources_of("tables"),
    params:
        spec=lambda w: RUN.plan.spec("tables"),
    shell:
        "exec primum stage tables --spec {params.spec:q} --scores {input.scores:q} --judgements {input.judgements:q}"
        " --generations {input.generations:q} --ledgers {input.ledgers:q} --trained {input.trained:q}"
        " --agreements {input.agreements:q} --outputs {output.manifests:q} --store {STORE:q} --log {log:q}"


rule export_csv:
    input:
        manifest=AT.table("{table}"),
    output:
        AT.csv("{table}"),
    wildcard_constraints:
        table="|".join(TABLES),
    shell:
        "exec primum csv {input.manifest:q} {output:q}"


rule render_table4:
    input:
        table=AT.table("benchmarks"),
        published=[
            "data/papers/med42_v2_table4.csv",
            "data/papers/med42_v2_table4.yaml",
        ],
    output:
        [AT.table4(suffix) for suffix in SUFFIXES],
    shell:
        'tables="$(dirname {input.table:q})"; exec primum table4 "$(dirname "$tables")" --format all --output "$tables"'


rule write_report:
    input:
        tables=[AT.table(name) for name in TABLES],
    output:
        manifest=AT.report(),
        page=f"{AT.results}/report/index.html",
    log:
        AT.log("report", "report"),
    resources:
        **resources_of("report"),
    params:
        spec=lambda w: RUN.plan.spec("report"),
    shell:
        "exec primum stage report --spec {params.spec:q} --tables {input.tables:q} --outputs {output.manifest:q}"
        " --store {STORE:q} --log {log:q}"
