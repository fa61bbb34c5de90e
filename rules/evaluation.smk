# Evaluation: responses, judgements and benchmark scores. One job a model loads it once and publishes one artifact a pair;
# pairs that the store already has are taken from there.
#
# reads   models/{model}, data/rows/{dataset}, data/overlaps/{kind}/{data}, data/raw/{dataset} (published code)
# writes  generations/{model}/{prompts}            responses
#         judgements/{judge}/{model}/{prompts}     what a judge answered about each response
#         judgements/{judge}/graded, canary        about graded pairs, and (of rubric judges) about responses that speak to them
#         criteria/{judge}/{model}/{prompts}       what a judge answered about each criterion of each response
#         verdicts/{judge}/{model}/{prompts}       harm scores (1-5) or refusals (0/1)
#         verdicts/{judge}/graded, canary          a judge against graded pairs, and whether it does what it is told
#         data/questions/{benchmark}               what is asked where answers are in words
#         answers/{model}/{benchmark}              the raw answers
#         scores/{model}/{benchmark}               log-likelihoods of every choice, or what the answer says, item by item


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


GENERATED = manifests(judging.GENERATION, prompts=EVALUATE.prompts)


rule generate_responses:
    input:
        model=reads("generate", "model"),
        prompts=reads("generate", "prompts"),
        wording=reads("generate", "wording"),
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


# Judges differ in the prompt sets they judge, hence one rule a judge.
for judge in RUN.dag.scorers():
    JUDGED = manifests(
        judging.JUDGEMENT, judge=judge, prompts=RUN.experiment.judges[judge].prompts
    )

    rule:
        name:
            f"judge_{judge}"
        input:
            judge=reads("judge", "judge", judge=judge),
            published=reads("judge", "published", judge=judge),
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


for judge in RUN.dag.graders():
    GRADED = manifests(
        judging.CRITERIA,
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


# Judges differ in whether there are graded pairs and canaries for them.
for judge in RUN.dag.tested():
    TESTED = [judging.CANARY] if judge in RUN.dag.rubric_judges() else []
    TESTED += [judging.GRADED] if judge in RUN.dag.agreements() else []
    TESTED = manifests(TESTED, judge=judge)

    rule:
        name:
            f"agreement_{judge}"
        input:
            judge=reads("agreement", "judge", judge=judge),
            published=reads("agreement", "published", judge=judge),
            graded=reads("agreement", "graded", judge=judge),
        output:
            manifests=TESTED,
            tables=tables_of(TESTED),
        log:
            RUN.log("agreement", judge),
        threads: threads_of("agreement", judge=judge)
        resources:
            **resources_of("agreement", judge=judge),
        params:
            spec=spec("agreement", judge=judge),
        shell:
            "exec primum stage agreement --request {REQUESTS}/{rule}.json --log {log:q}"


VERDICTS = [
    path
    for judge, model, prompts in RUN.dag.judged()
    for path in manifests(judging.VERDICT, judge=judge, model=model, prompts=prompts)
]
VERDICTS += manifests(judging.FOLLOWED, judge=RUN.dag.rubric_judges())
VERDICTS += manifests(judging.AGREEMENT, judge=RUN.dag.agreements())


rule read_verdicts:
    input:
        responses=reads("verdicts", "responses"),
        answers=reads("verdicts", "answers"),
        graded=reads("verdicts", "graded"),
    output:
        manifests=VERDICTS,
        tables=tables_of(VERDICTS),
    log:
        RUN.log("verdicts", "verdicts"),
    threads: RUN.threads("verdicts")
    resources:
        **resources_of("verdicts"),
    params:
        spec=spec("verdicts"),
    shell:
        "exec primum stage verdicts --request {REQUESTS}/{rule}.json --log {log:q}"


# Models that give log-likelihoods answer all benchmarks by them, but for those that are answered in words.
SCORED = manifests(
    evaluation.SCORE,
    benchmark=[
        n for n in EVALUATE.benchmarks if not RUN.experiment.benchmarks[n].in_words
    ],
)


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


ASKED = manifests(evaluation.QUESTIONS, benchmark=evaluation.asked_in_words(RUN.dag))


rule write_questions:
    input:
        benchmarks=reads("questions", "benchmarks"),
        fewshot=reads("questions", "fewshot"),
    output:
        manifests=ASKED,
        tables=tables_of(ASKED),
    log:
        RUN.log("questions", "questions"),
    threads: RUN.threads("questions")
    resources:
        **resources_of("questions"),
    params:
        spec=spec("questions"),
    shell:
        "exec primum stage questions --request {REQUESTS}/{rule}.json --log {log:q}"


# Models differ in the benchmarks that they answer in words (behind an endpoint it is all), hence one rule a model.
for model in dict.fromkeys(model for model, _ in RUN.dag.worded()):
    ANSWERED = manifests(
        evaluation.ANSWER, model=model, benchmark=RUN.dag.in_words(model)
    )

    rule:
        name:
            f"answer_{model}"
        input:
            model=reads("answer", "model", model=model),
            questions=reads("answer", "questions", model=model),
        output:
            manifests=ANSWERED,
            tables=tables_of(ANSWERED),
        log:
            RUN.log("answer", model),
        benchmark:
            RUN.benchmark("answer", model)
        threads: threads_of("answer", model=model)
        resources:
            **resources_of("answer", model=model),
        params:
            spec=spec("answer", model=model),
        shell:
            "exec primum stage answer --request {REQUESTS}/{rule}.json --log {log:q}"


PARSED = [
    path
    for model, benchmark in RUN.dag.worded()
    for path in manifests(evaluation.SCORE, model=model, benchmark=benchmark)
]


rule parse_answers:
    input:
        answers=reads("parse", "answers"),
        benchmarks=reads("parse", "benchmarks"),
        overlaps=reads("parse", "overlaps"),
    output:
        manifests=PARSED,
        tables=tables_of(PARSED),
    log:
        RUN.log("parse", "answers"),
    threads: RUN.threads("parse")
    resources:
        **resources_of("parse"),
    params:
        spec=spec("parse"),
    shell:
        "exec primum stage parse --request {REQUESTS}/{rule}.json --log {log:q}"
