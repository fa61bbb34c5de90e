# Evaluation: responses, judgements and benchmark scores. One job a model loads it once and publishes one artifact a pair;
# pairs that the store already has are taken from there.
#
# reads   models/{model}, data/rows/{dataset}, data/overlaps/{kind}/{data}
# writes  generations/{model}/{prompts}            responses
#         judgements/{judge}/{model}/{prompts}     harm scores (1-5) or refusals (0/1)
#         judgements/{judge}/agreement             a judge against graded pairs
#         criteria/{judge}/{model}/{prompts}       what a judge answered about each criterion of each response
#         scores/{model}/{benchmark}               log-likelihoods of every choice, or the answer, item by item


rule generate:
    input:
        begin,
        targets("generate"),


rule judge:
    input:
        begin,
        targets("judge"),


rule score:
    input:
        begin,
        targets("score"),


GENERATED = manifests(evaluation.GENERATION, prompts=EVALUATE.prompts)


rule generate_responses:
    input:
        model=reads("generate", "model"),
        prompts=reads("generate", "prompts"),
    output:
        manifests=GENERATED,
        tables=tables_of(GENERATED),
    log:
        RUN.log("generate", "{model}"),
    benchmark:
        RUN.benchmark("generate", "{model}")
    threads: lambda w: RUN.threads("generate", w.model)
    resources:
        **resources_of("generate"),
    params:
        spec=spec("generate"),
    shell:
        "exec primum stage generate --request {REQUESTS}/{rule}/{wildcards.model}.json --log {log:q}"


GRADERS = RUN.dag.graders()

# Judges differ in the prompt sets they judge, hence one rule a judge.
for judge in [name for name in EVALUATE.judges if name not in GRADERS]:
    JUDGED = manifests(
        evaluation.JUDGEMENT, judge=judge, prompts=RUN.experiment.judges[judge].prompts
    )

    rule:
        name:
            f"judge_{judge}"
        input:
            judge=reads("judge", "judge", judge=judge),
            responses=reads("judge", "responses", judge=judge),
        output:
            manifests=JUDGED,
            tables=tables_of(JUDGED),
        log:
            RUN.log("judge", f"{judge}/{{model}}"),
        benchmark:
            RUN.benchmark("judge", f"{judge}/{{model}}")
        threads: RUN.threads("judge")
        resources:
            **resources_of("judge", judge=judge),
        params:
            spec=spec("judge", judge=judge),
        shell:
            "exec primum stage judge --request {REQUESTS}/{rule}/{wildcards.model}.json --log {log:q}"


for judge in GRADERS:
    GRADED = manifests(
        evaluation.CRITERIA,
        judge=judge,
        model=EVALUATE.models,
        prompts=RUN.experiment.judges[judge].prompts,
    )

    rule:
        name:
            f"grade_{judge}"
        input:
            judge=reads("grade", "judge", judge=judge),
            responses=reads("grade", "responses", judge=judge),
            prompts=reads("grade", "prompts", judge=judge),
        output:
            manifests=GRADED,
            tables=tables_of(GRADED),
        log:
            RUN.log("grade", judge),
        benchmark:
            RUN.benchmark("grade", judge)
        threads: threads_of("grade", judge=judge)
        resources:
            **resources_of("grade", judge=judge),
        params:
            spec=spec("grade", judge=judge),
        shell:
            "exec primum stage grade --request {REQUESTS}/{rule}.json --log {log:q}"


rule judge_agreement:
    input:
        judge=reads("agreement", "judge"),
        graded=reads("agreement", "graded"),
    output:
        manifests=manifests(evaluation.AGREEMENT),
        tables=tables_of(manifests(evaluation.AGREEMENT)),
    log:
        RUN.log("agreement", "{judge}"),
    threads: RUN.threads("agreement")
    resources:
        **resources_of("agreement"),
    params:
        spec=spec("agreement"),
    shell:
        "exec primum stage agreement --request {REQUESTS}/{rule}/{wildcards.judge}.json --log {log:q}"


SCORED = manifests(evaluation.SCORE, benchmark=EVALUATE.benchmarks)


rule score_benchmarks:
    input:
        model=reads("score", "model"),
        overlaps=reads("score", "overlaps"),
        benchmarks=reads("score", "benchmarks"),
        fewshot=reads("score", "fewshot"),
    output:
        manifests=SCORED,
        tables=tables_of(SCORED),
    log:
        RUN.log("score", "{model}"),
    benchmark:
        RUN.benchmark("score", "{model}")
    wildcard_constraints:
        model=RUN.names("score"),
    threads: lambda w: RUN.threads("score", w.model)
    resources:
        **resources_of("score"),
    params:
        spec=spec("score"),
    shell:
        "exec primum stage score --request {REQUESTS}/{rule}/{wildcards.model}.json --log {log:q}"


# Models behind an endpoint have no log-likelihoods, and which of two responses they prefer is not asked.
ANSWERED = manifests(evaluation.SCORE, benchmark=RUN.dag.answerable())


rule answer_benchmarks:
    input:
        model=reads("answer", "model"),
        benchmarks=reads("answer", "benchmarks"),
    output:
        manifests=ANSWERED,
        tables=tables_of(ANSWERED),
    log:
        RUN.log("answer", "{model}"),
    benchmark:
        RUN.benchmark("answer", "{model}")
    wildcard_constraints:
        model=RUN.names("answer"),
    threads: lambda w: RUN.threads("answer", w.model)
    resources:
        **resources_of("answer"),
    params:
        spec=spec("answer"),
    shell:
        "exec primum stage answer --request {REQUESTS}/{rule}/{wildcards.model}.json --log {log:q}"
