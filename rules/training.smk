# Models: fetched from a hub, or trained, each by one job; three DPO stages are three models in a chain.
#
# reads   data/mixtures, data/pairs, models/{start}
# writes  models/{model}/               safetensors and tokenizer; of a trained model history.parquet, too
#         data/packed/{model}           token chunks for one SFT model, with loss masks and sample lengths
#         data/reference/{model}        a DPO stage's tokenised pairs with their reference log-probabilities
#         data/tokens/{model}           how many of its tokens come from which source
#         data/audits/{model}           what is unsound in these chunks or pairs, held against the model's limits


localrules:
    fetch_model,


rule pretrain:
    input:
        begin,
        targets("pretrain"),


rule sft:
    input:
        begin,
        targets("sft"),


rule dpo:
    input:
        begin,
        targets("dpo"),


rule fetch_model:
    input:
        begin,
    output:
        manifests(training.MODEL),
    log:
        RUN.log("snapshot", "{model}"),
    wildcard_constraints:
        model=RUN.names("snapshot"),
    params:
        spec=spec("snapshot"),
    shell:
        "exec primum stage snapshot --request {REQUESTS}/{rule}/{wildcards.model}.json --log {log:q}"


rule pack_chunks:
    input:
        mixture=reads("pack", "mixture"),
        model=reads("pack", "model"),
    output:
        manifests=manifests([training.PACKED, training.AUDIT, training.TOKENS]),
        tables=tables_of(manifests([training.PACKED, training.AUDIT, training.TOKENS])),
    log:
        RUN.log("pack", "{model}"),
    wildcard_constraints:
        model=RUN.names("pack"),
    threads: RUN.threads("pack")
    resources:
        **resources_of("pack"),
    params:
        spec=spec("pack"),
    shell:
        "exec primum stage pack --request {REQUESTS}/{rule}/{wildcards.model}.json --log {log:q}"


rule pretrain_model:
    input:
        mixture=reads("pretrain", "mixture"),
    output:
        manifests(training.MODEL),
    log:
        RUN.log("pretrain", "{model}"),
    benchmark:
        RUN.benchmark("pretrain", "{model}")
    wildcard_constraints:
        model=RUN.names("pretrain"),
    threads: lambda w: RUN.threads("pretrain", w.model)
    resources:
        **resources_of("pretrain"),
    params:
        spec=spec("pretrain"),
    shell:
        "exec primum stage pretrain --request {REQUESTS}/{rule}/{wildcards.model}.json --log {log:q}"
        " {resources.launch}"


rule sft_model:
    input:
        model=reads("sft", "model"),
        packed=reads("sft", "packed"),
    output:
        manifests(training.MODEL),
    log:
        RUN.log("sft", "{model}"),
    benchmark:
        RUN.benchmark("sft", "{model}")
    wildcard_constraints:
        model=RUN.names("sft"),
    threads: lambda w: RUN.threads("sft", w.model)
    resources:
        **resources_of("sft"),
    params:
        spec=spec("sft"),
    shell:
        "exec primum stage sft --request {REQUESTS}/{rule}/{wildcards.model}.json --log {log:q}"
        " {resources.launch}"


rule reference_logprobs:
    input:
        model=reads("reference", "model"),
        pairs=reads("reference", "pairs"),
    output:
        manifests=manifests([training.REFERENCE, training.AUDIT]),
        tables=tables_of(manifests([training.REFERENCE, training.AUDIT])),
    log:
        RUN.log("reference", "{model}"),
    benchmark:
        RUN.benchmark("reference", "{model}")
    wildcard_constraints:
        model=RUN.names("reference"),
    threads: lambda w: RUN.threads("reference", w.model)
    resources:
        **resources_of("reference"),
    params:
        spec=spec("reference"),
    shell:
        "exec primum stage reference --request {REQUESTS}/{rule}/{wildcards.model}.json --log {log:q}"
        " {resources.launch}"


rule dpo_model:
    input:
        model=reads("dpo", "model"),
        pairs=reads("dpo", "pairs"),
    output:
        manifests(training.MODEL),
    log:
        RUN.log("dpo", "{model}"),
    benchmark:
        RUN.benchmark("dpo", "{model}")
    wildcard_constraints:
        model=RUN.names("dpo"),
    threads: lambda w: RUN.threads("dpo", w.model)
    resources:
        **resources_of("dpo"),
    params:
        spec=spec("dpo"),
    shell:
        "exec primum stage dpo --request {REQUESTS}/{rule}/{wildcards.model}.json --log {log:q}"
        " {resources.launch}"
