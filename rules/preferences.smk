# On-policy preference pairs: a model's responses to prompts, ranked, and the best against the worst.
#
# reads   models/{model}, data/rows/{dataset}
# writes  data/samples/{preferences}/{draw}    a response to each prompt, a draw an artifact
#         data/ranked/{preferences}            all draws, with the rewards that the ranker gives
#         data/pairs/{preferences}             preference pairs of one DPO stage
#         data/overlaps/pairs/{preferences}    benchmark items that the pairs hold a part of
from primum.dag.preferences import RANKED, SAMPLES, draws


rule sample:
    input:
        begin,
        targets("sample"),


rule rank:
    input:
        begin,
        targets("rank"),


SAMPLED = "|".join(RUN.dag.sampled()) or "(?!)"

# Sets differ in how many draws they have, hence one rule a set.
for preferences in RUN.dag.sampled():
    DRAWN = manifests(
        SAMPLES, preferences=preferences, draw=draws(RUN.dag, preferences)
    )

    rule:
        name:
            f"sample_{preferences}"
        input:
            model=reads("sample", "model", preferences=preferences),
            prompts=reads("sample", "prompts", preferences=preferences),
        output:
            manifests=DRAWN,
            tables=tables_of(DRAWN),
        log:
            RUN.log("sample", preferences),
        benchmark:
            RUN.benchmark("sample", preferences)
        threads: threads_of("sample", preferences=preferences)
        resources:
            **resources_of("sample", preferences=preferences),
        params:
            spec=spec("sample", preferences=preferences),
        shell:
            "exec primum stage sample --request {REQUESTS}/{rule}.json --log {log:q}"


rule rank_responses:
    input:
        samples=reads("rank", "samples"),
        ranker=reads("rank", "ranker"),
        reference=reads("rank", "reference"),
    output:
        manifests=manifests(RANKED),
        tables=tables_of(manifests(RANKED)),
    log:
        RUN.log("rank", "{preferences}"),
    benchmark:
        RUN.benchmark("rank", "{preferences}")
    wildcard_constraints:
        preferences=SAMPLED,
    threads: threads_of("rank")
    resources:
        **resources_of("rank"),
    params:
        spec=spec("rank"),
    shell:
        "exec primum stage rank --request {REQUESTS}/{rule}/{wildcards.preferences}.json --log {log:q}"
        " {resources.launch}"


rule pair_responses:
    input:
        rows=reads("pair", "rows"),
    output:
        manifests=manifests(curation.PAIRS),
        tables=tables_of(manifests(curation.PAIRS)),
    log:
        RUN.log("pair", "{preferences}"),
    wildcard_constraints:
        preferences=SAMPLED,
    threads: RUN.threads("pair")
    resources:
        **resources_of("pair"),
    params:
        spec=spec("pair"),
    shell:
        "exec primum stage pair --request {REQUESTS}/{rule}/{wildcards.preferences}.json --log {log:q}"


FOUND = manifests(curation.OVERLAP, kind="pairs", data="{preferences}")


rule find_pair_overlaps:
    input:
        data=reads("pair-overlap", "data"),
        benchmarks=reads("pair-overlap", "benchmarks"),
    output:
        manifests=FOUND,
        tables=tables_of(FOUND),
    log:
        RUN.log("pair-overlap", "{preferences}"),
    wildcard_constraints:
        preferences=SAMPLED,
    threads: RUN.threads("pair-overlap")
    resources:
        **resources_of("pair-overlap"),
    params:
        spec=spec("pair-overlap"),
    shell:
        "exec primum stage pair-overlap --request {REQUESTS}/{rule}/{wildcards.preferences}.json --log {log:q}"
