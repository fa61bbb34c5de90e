# Aggregation: everything into the tables, and the tables into the page that people look at.
#
# reads   scores, verdicts, criteria, generations, data/ledgers, data/tokens, data/audits, data/pairs, data/samples, data/ranked,
#         models (their history), data/rows (of labelled sets); the report also data/outcomes, data/drops, data/origins, data/overlaps
# writes  tables/{table}.parquet, .csv     benchmarks preferences comparisons safety rubrics judges confusion training curation
#                                          audits pairs axes
#         tables/table4.{html,md,tex}      Table 4 of Med42-v2 beside it, where an experiment measures rows of it
#         report/                          one self-contained page, and the items that its cells open
from primum.table4.paper import SUFFIXES, load_table4


localrules:
    export_csv,


AGGREGATED = manifests(aggregation.TABLE, table=aggregation.TABLES)
CSV = [path.replace(".json", ".csv") for path in AGGREGATED]
# For an experiment that measures rows of Table 4 on all of its benchmarks.
TABLE4 = (
    [f"{RUN.dag.results}/tables/table4.{suffix}" for suffix in SUFFIXES]
    if load_table4(RUN.dag.root).is_measured_by(RUN.experiment)
    else []
)
EXPORTS = CSV + TABLE4


rule tables:
    input:
        begin,
        targets("tables"),
        EXPORTS,


rule report:
    input:
        begin,
        targets("report"),


rule aggregate_tables:
    input:
        scores=reads("tables", "scores"),
        judgements=reads("tables", "judgements"),
        criteria=reads("tables", "criteria"),
        generations=reads("tables", "generations"),
        ledgers=reads("tables", "ledgers"),
        tokens=reads("tables", "tokens"),
        trained=reads("tables", "trained"),
        agreements=reads("tables", "agreements"),
        canaries=reads("tables", "canaries"),
        labels=reads("tables", "labels"),
        audits=reads("tables", "audits"),
        pairs=reads("tables", "pairs"),
        draws=reads("tables", "draws"),
        ranked=reads("tables", "ranked"),
    output:
        manifests=AGGREGATED,
        tables=tables_of(AGGREGATED),
    log:
        RUN.log("tables", "tables"),
    threads: RUN.threads("tables")
    resources:
        **resources_of("tables"),
    params:
        spec=spec("tables"),
    shell:
        "exec primum stage tables --request {REQUESTS}/{rule}.json --log {log:q}"


# All by one job: the start of a process takes longer than a table.
rule export_csv:
    input:
        AGGREGATED,
    output:
        CSV,
    params:
        folder=lambda wildcards, output: str(Path(output[0]).parent),
    shell:
        "exec primum csv {input:q} {params.folder:q}"


rule render_table4:
    input:
        table=manifests(aggregation.TABLE, table="benchmarks"),
        published=[
            "data/papers/med42_v2_table4.csv",
            "data/papers/med42_v2_table4.yaml",
        ],
    output:
        TABLE4,
    shell:
        'tables="$(dirname {input.table:q})"; exec primum table4 "$(dirname "$tables")" --format all --output "$tables"'


rule write_report:
    input:
        tables=reads("report", "tables"),
        scores=reads("report", "scores"),
        judgements=reads("report", "judgements"),
        criteria=reads("report", "criteria"),
        generations=reads("report", "generations"),
        agreements=reads("report", "agreements"),
        labels=reads("report", "labels"),
        audits=reads("report", "audits"),
        outcomes=reads("report", "outcomes"),
        drops=reads("report", "drops"),
        pairs=reads("report", "pairs"),
        ranked=reads("report", "ranked"),
        origins=reads("report", "origins"),
        overlaps=reads("report", "overlaps"),
    output:
        manifest=manifests(aggregation.REPORT),
        page=f"{RUN.dag.results}/report/index.html",
    log:
        RUN.log("report", "report"),
    threads: RUN.threads("report")
    resources:
        **resources_of("report"),
    params:
        spec=spec("report"),
    shell:
        "exec primum stage report --request {REQUESTS}/{rule}.json --log {log:q}"
