# Training: every trained model is one job; three DPO stages are three models in a chain.
#
# reads   data/mixtures, data/packed, data/pairs, models/{start}
# writes  models/{model}/               safetensors, tokenizer, history.parquet
#         data/reference/{model}        a DPO stage's tokenised pairs with their reference log-probabilities


rule pretrain_model:
    input:
        mixture=lambda w: AT.mixture(RUN.training_data(w.model)),
    output:
        AT.model("{model}"),
    log:
        AT.log("pretrain", "{model}"),
    benchmark:
        AT.benchmark("pretrain", "{model}")
    wildcard_constraints:
        model=RUN.names("pretrain"),
    threads: lambda w: RUN.threads("pretrain", w.model)
    resources:
        **resources_of("pretrain"),
    params:
        spec=lambda w: RUN.plan.spec("pretrain", w.model),
    shell:
        "exec primum stage pretrain --spec {params.spec:q} --mixture {input.mixture:q} --outputs {output:q}"
        " --store {STORE:q} --log {log:q}"
        " --nodes {resources.nodes} --processes {resources.processes}"


rule sft_model:
    input:
        model=lambda w: AT.model(RUN.start(w.model)),
        packed=AT.packed("{model}"),
    output:
        AT.model("{model}"),
    log:
        AT.log("sft", "{model}"),
    benchmark:
        AT.benchmark("sft", "{model}")
    wildcard_constraints:
        model=RUN.names("sft"),
    threads: lambda w: RUN.threads("sft", w.model)
    resources:
        **resources_of("sft"),
    params:
        spec=lambda w: RUN.plan.spec("sft", w.model),
    shell:
        "exec primum stage sft --spec {params.spec:q} --model {input.model:q} --packed {input.packed:q} --outputs {output:q}"
        " --store {STORE:q} --log {log:q}"
        " --nodes {resources.nodes} --processes {resources.processes}"


rule reference_logprobs:
    input:
        model=lambda w: AT.model(RUN.reference(w.model)),
        pairs=lambda w: AT.pairs(RUN.training_data(w.model)),
    output:
        manifest=AT.reference("{model}"),
        table=parquet(AT.reference("{model}")),
    log:
        AT.log("reference", "{model}"),
    benchmark:
        AT.benchmark("reference", "{model}")
    wildcard_constraints:
        model=RUN.names("dpo"),
    threads: lambda w: RUN.threads("dpo", w.model)
    resources:
        **resources_of("reference"),
    params:
        spec=lambda w: RUN.plan.spec("reference", w.model),
    shell:
        "exec primum stage reference --spec {params.spec:q} --model {input.model:q} --pairs {input.pairs:q}"
        " --outputs {output.manifest:q} --store {STORE:q} --log {log:q}"


rule dpo_model:
    input:
        model=lambda w: AT.model(RUN.start(w.model)),
        pairs=AT.reference("{model}"),
    output:
        AT.model("{model}"),
    log:
        AT.log("dpo", "{model}"),
    benchmark:
        AT.benchmark("dpo", "{model}")
    wildcard_constraints:
        model=RUN.names("dpo"),
    threads: lambda w: RUN.threads("dpo", w.model)
    resources:
        **resources_of("dpo"),
    params:
        spec=lambda w: RUN.plan.spec("dpo", w.model),
    shell:
        "exec primum stage dpo --spec {params.spec:q} --model {input.model:q} --pairs {input.pairs:q} --outputs {output:q}"
        " --store {STORE:q} --log {log:q}"
        " --nodes {resources.nodes} --processes {resources.processes}"
