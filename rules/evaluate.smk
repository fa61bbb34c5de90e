# Evaluation: responses, judgements and benchmark scores. One job a model loads it once and publishes one artifact a pair;
# pairs that the store already has are taken from there.
#
# reads   models/{model}, data/rows/{dataset}, data/overlaps/{kind}/{data}
# writes  generations/{model}/{prompts}            responses
#         judgements/{judge}/{model}/{prompts}     harm scores (1-5) or refusals (0/1)
#         judgements/{judge}/agreement             a judge against graded pairs
#         scores/{model}/{benchmark}               log-likelihoods of every choice, or the answer, item by item


rule generate_responses:
    input:
        model=AT.model("{model}"),
        prompts=[
            AT.rows(RUN.experiment.prompts[name].dataset)
            for name in RUN.experiment.evaluate.prompts
        ],
    output:
        manifests=[
            AT.generation("{model}", name) for name in RUN.experiment.evaluate.prompts
        ],
        tables=[
            parquet(AT.generation("{model}", name))
            for name in RUN.experiment.evaluate.prompts
        ],
    log:
        AT.log("generate", "{model}"),
    benchmark:
        AT.benchmark("generate", "{model}")
    threads: lambda w: RUN.threads("generate", w.model)
    resources:
        **resources_of("generate"),
    params:
        spec=lambda w: RUN.plan.spec("generate", w.model),
    shell:
        "exec primum stage generate --spec {params.spec:q} --model {input.model:q} --prompts {input.prompts:q}"
        " --outputs {output.manifests:q} --store {STORE:q} --log {log:q}"


# Judges differ in the prompt sets they judge, hence one rule a judge.
for judge in RUN.experiment.evaluate.judges:

    rule:
        name:
            f"judge_{judge}"
        input:
            judge=RUN.judge_model(judge),
            responses=[
                AT.generation("{model}", name)
                for name in RUN.experiment.judges[judge].prompts
            ],
        output:
            manifests=[
                AT.judgement(judge, "{model}", name)
                for name in RUN.experiment.judges[judge].prompts
            ],
            tables=[
                parquet(AT.judgement(judge, "{model}", name))
                for name in RUN.experiment.judges[judge].prompts
            ],
        log:
            AT.log("judge", f"{judge}/{{model}}"),
        benchmark:
            AT.benchmark("judge", f"{judge}/{{model}}")
        threads: RUN.threads("judge")
        resources:
            **resources_of("judge", judge),
        params:
            spec=lambda w, judge=judge: RUN.plan.spec("judge", f"{judge}/{w.model}"),
        shell:
            "exec primum stage judge --spec {params.spec:q} --judge {input.judge:q} --responses {input.responses:q}"
            " --outputs {output.manifests:q} --store {STORE:q} --log {log:q}"


rule judge_agreement:
    input:
        judge=lambda w: RUN.judge_model(w.judge),
        graded=lambda w: AT.rows(RUN.experiment.judges[w.judge].graded),
    output:
        manifest=AT.agreement("{judge}"),
        table=parquet(AT.agreement("{judge}")),
    log:
        AT.log("agreement", "{judge}"),
    threads: RUN.threads("judge")
    resources:
        **resources_of("judge"),
    params:
        spec=lambda w: RUN.plan.spec("agreement", w.judge),
    shell:
        "exec primum stage agreement --spec {params.spec:q} --judge {input.judge:q} --graded {input.graded:q}"
        " --outputs {output.manifest:q} --store {STORE:q} --log {log:q}"


rule score_benchmarks:
    input:
        model=AT.model("{model}"),
        overlaps=lambda w: RUN.overlaps(w.model),
        benchmarks=[
            AT.rows(RUN.experiment.benchmarks[name].dataset)
            for name in RUN.experiment.evaluate.benchmarks
        ],
        fewshot=[
            AT.rows(RUN.experiment.benchmarks[name].datasets()[1])
            for name in RUN.experiment.evaluate.benchmarks
        ],
    output:
        manifests=[
            AT.score("{model}", name) for name in RUN.experiment.evaluate.benchmarks
        ],
        tables=[
            parquet(AT.score("{model}", name))
            for name in RUN.experiment.evaluate.benchmarks
        ],
    log:
        AT.log("score", "{model}"),
    benchmark:
        AT.benchmark("score", "{model}")
    wildcard_constraints:
        model=RUN.names("hub", "pretrain", "sft", "dpo"),
    threads: lambda w: RUN.threads("score", w.model)
    resources:
        **resources_of("score"),
    params:
        spec=lambda w: RUN.plan.spec("score", w.model),
    shell:
        "exec primum stage score --spec {params.spec:q} --model {input.model:q} --overlaps {input.overlaps:q}"
        " --benchmarks {input.benchmarks:q} --fewshot {input.fewshot:q}"
        " --outputs {output.manifests:q} --store {STORE:q} --log {log:q}"


# Models behind an endpoint have no log-likelihoods, and nobody knows what they were trained on.
ANSWERED = [
    name
    for name in RUN.experiment.evaluate.benchmarks
    if RUN.experiment.benchmarks[name].group == "benchmark"
]


if ANSWERED:

    rule answer_benchmarks:
        input:
            model=AT.model("{model}"),
            benchmarks=[
                AT.rows(RUN.experiment.benchmarks[name].dataset) for name in ANSWERED
            ],
        output:
            manifests=[AT.score("{model}", name) for name in ANSWERED],
            tables=[parquet(AT.score("{model}", name)) for name in ANSWERED],
        log:
            AT.log("answer", "{model}"),
        benchmark:
            AT.benchmark("answer", "{model}")
        wildcard_constraints:
            model=RUN.names("endpoint"),
        threads: lambda w: RUN.threads("score", w.model)
        resources:
            **resources_of("answer"),
        params:
            spec=lambda w: RUN.plan.spec("answer", w.model),
        shell:
            "exec primum stage answer --spec {params.spec:q} --model {input.model:q} --benchmarks {input.benchmarks:q}"
            " --outputs {output.manifests:q} --store {STORE:q} --log {log:q}"
