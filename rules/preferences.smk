# On-policy preference pairs: a model's responses to prompts, ranked, and the best against the worst. And those of safety
# demonstrations: a model's responses to their requests, judged, and each demonstration against the harmful response.
#
# reads   models/{model}, data/rows/{dataset}
# writes  data/samples/{preferences}/{draw}    a response to each prompt, a draw an artifact
#         data/rated/{preferences}             a judge's answers about them, where a judge ranks
#         data/ranked/{preferences}            all draws, with the rewards that the ranker gives
#         data/responses/{model}/{dataset}     a response to each request of safety demonstrations
#         data/assessed/{judge}/{model}/{dataset}    a judge's harm scores of these
#         data/pairs/{preferences}             preference pairs of one DPO stage
#         data/overlaps/pairs/{preferences}    benchmark items that the pairs hold a part of
from primum.dag.preferences import ASSESSED, RANKED, RATED, RESPONSES, SAMPLES, draws


rule sample:
    input:
        begin,
        targets("sample"),


rule rank:
    input:
        begin,
        targets("rank"),


SAMPLED = "|".join(RUN.dag.sampled()) or "(?!)"
DEMONSTRATED = "|".join(RUN.dag.demonstrated()) or "(?!)"

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
        preferences=RUN.names("rank"),
    threads: threads_of("rank")
    resources:
        **resources_of("rank"),
    params:
        spec=spec("rank"),
    shell:
        "exec primum stage rank --request {REQUESTS}/{rule}/{wildcards.preferences}.json --log {log:q}"
        " {resources.launch}"


rule rate_responses:
    input:
        samples=reads("rate", "samples"),
        ranker=reads("rate", "ranker"),
    output:
        manifests=manifests(RATED),
        tables=tables_of(manifests(RATED)),
    log:
        RUN.log("rate", "{preferences}"),
    benchmark:
        RUN.benchmark("rate", "{preferences}")
    wildcard_constraints:
        preferences=RUN.names("rate"),
    threads: threads_of("rate")
    resources:
        **resources_of("rate"),
    params:
        spec=spec("rate"),
    shell:
        "exec primum stage rate --request {REQUESTS}/{rule}/{wildcards.preferences}.json --log {log:q}"


rule read_rewards:
    input:
        samples=reads("rewards", "samples"),
        answers=reads("rewards", "answers"),
    output:
        manifests=manifests(RANKED),
        tables=tables_of(manifests(RANKED)),
    log:
        RUN.log("rewards", "{preferences}"),
    wildcard_constraints:
        preferences=RUN.names("rewards"),
    threads: RUN.threads("rewards")
    resources:
        **resources_of("rewards"),
    params:
        spec=spec("rewards"),
    shell:
        "exec primum stage rewards --request {REQUESTS}/{rule}/{wildcards.preferences}.json --log {log:q}"


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


# Models differ in what they answer for pairs, and so does what a judge scores, hence one rule each.
for model, datasets in RUN.dag.responding().items():
    RESPONDED = manifests(RESPONSES, model=model, dataset=datasets)

    rule:
        name:
            f"respond_{model}"
        input:
            model=reads("respond", "model", model=model),
            prompts=reads("respond", "prompts", model=model),
        output:
            manifests=RESPONDED,
            tables=tables_of(RESPONDED),
        log:
            RUN.log("respond", model),
        benchmark:
            RUN.benchmark("respond", model)
        threads: threads_of("respond", model=model)
        resources:
            **resources_of("respond", model=model),
        params:
            spec=spec("respond", model=model),
        shell:
            "exec primum stage respond --request {REQUESTS}/{rule}.json --log {log:q}"


for pairing, datasets in RUN.dag.assessing().items():
    judge, model = pairing.split("/")
    SCORED = manifests(ASSESSED, judge=judge, model=model, dataset=datasets)

    rule:
        name:
            f"assess_{judge}_{model}"
        input:
            judge=reads("assess", "judge", judge=judge, model=model),
            published=reads("assess", "published", judge=judge, model=model),
            responses=reads("assess", "responses", judge=judge, model=model),
        output:
            manifests=SCORED,
            tables=tables_of(SCORED),
        log:
            RUN.log("assess", pairing),
        benchmark:
            RUN.benchmark("assess", pairing)
        threads: threads_of("assess", judge=judge, model=model)
        resources:
            **resources_of("assess", judge=judge, model=model),
        params:
            spec=spec("assess", judge=judge, model=model),
        shell:
            "exec primum stage assess --request {REQUESTS}/{rule}.json --log {log:q}"


rule contrast_responses:
    input:
        demonstrations=reads("contrast", "demonstrations"),
        responses=reads("contrast", "responses"),
        answers=reads("contrast", "answers"),
        benign=reads("contrast", "benign"),
        tests=reads("contrast", "tests"),
    output:
        manifests=manifests(curation.PAIRS),
        tables=tables_of(manifests(curation.PAIRS)),
    log:
        RUN.log("contrast", "{preferences}"),
    wildcard_constraints:
        preferences=DEMONSTRATED,
    threads: RUN.threads("contrast")
    resources:
        **resources_of("contrast"),
    params:
        spec=spec("contrast"),
    shell:
        "exec primum stage contrast --request {REQUESTS}/{rule}/{wildcards.preferences}.json --log {log:q}"


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
        preferences=f"{SAMPLED}|{DEMONSTRATED}",
    threads: RUN.threads("pair-overlap")
    resources:
        **resources_of("pair-overlap"),
    params:
        spec=spec("pair-overlap"),
    shell:
        "exec primum stage pair-overlap --request {REQUESTS}/{rule}/{wildcards.preferences}.json --log {log:q}"
