"""The findings in sentences, every number in them from the tables. What is within the noise is said to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from markupsafe import Markup

from primum.report.data import BEST, START, Comparison, Study
from primum.report.judged import HARM, LABELS, REFUSALS, Safety
from primum.report.judges import refusals_of_judges
from primum.report.numbers import count, decimal, interval, listing, percent, plural, signed
from primum.report.parts import Model
from primum.tables.averages import AVERAGE


@dataclass(frozen=True, slots=True)
class Finding:
    """What the tables say about a topic, as escaped markup with the models' names in bold."""

    topic: str
    sentences: tuple[Markup, ...]


def headlines(study: Study) -> list[Finding]:
    """The findings, topic by topic; a topic that nothing was measured on has none."""
    topics = {
        "Measured": _scope(study),
        "Skill": chain(_best(study), _tuning(study)),
        "Alignment": _preferences(study),
        "Safety": _harm(study),
        "Judge": _judges(study),
    }
    found = [Finding(topic, tuple(sentences)) for topic, sentences in topics.items()]
    return [finding for finding in found if finding.sentences]


def _bold(model: Model) -> Markup:
    return Markup("<b>{}</b>").format(model.label)


def _name(judge: str) -> Markup:
    return Markup("<em>{}</em>").format(judge)


def _say(words: str, *values: Any) -> Markup:
    return Markup(words).format(*values)  # noqa: S704 - the words are this module's, the values are escaped


def _points(row: Comparison | None) -> str:
    """A paired change of an accuracy in points, with its interval, and what the one test of the tables says of it."""
    if row is None or row.difference is None or row.ci_low is None or row.ci_high is None:
        return "not paired"
    told = f"{signed(100 * row.difference)} points, {signed(100 * row.ci_low)} to {signed(100 * row.ci_high)}"
    if row.equivalent:
        return f"{told}, the same within {100 * row.margin:g}"
    if row.tied and row.detectable is not None:
        return f"{told}, within the noise: only {100 * row.detectable:.1f} or more would likely have been seen"
    return told


def _scope(study: Study) -> Iterator[Markup]:
    whole = [row for row in study.accuracy if not row.subject]
    names = [benchmark.name for benchmark in study.benchmarks if benchmark.group == "benchmark"]
    questions = sum(max((r.n for r in whole if r.benchmark == name), default=0) for name in names)
    own = {prompts.name for prompts in study.prompts}
    sizes = {row.prompts: row.n for row in study.safety if not row.category and row.prompts in own}
    covered = plural(sum(model.evaluated for model in study.models), "model")
    parts = []
    if questions:
        parts.append(f"{plural(len(names), 'benchmark')} ({count(questions)} questions)")
    if sizes:
        parts.append(f"{plural(len(sizes), 'set')} of requests ({count(sum(sizes.values()))} requests)")
    if parts:
        yield _say("{} measured on {}.", f"{covered} {'was' if covered == '1 model' else 'were'}", listing(parts))


def _best(study: Study) -> Iterator[Markup]:
    averages = [
        (row, m) for m in study.models if (row := study.whole("benchmark", m.name)) and row.accuracy is not None
    ]
    if len(averages) < 2:
        return
    ranked = sorted(averages, key=lambda pair: pair[0].accuracy or 0.0, reverse=True)
    (first, best), (second, runner) = ranked[:2]
    chance = "" if first.chance is None else f"; chance is {percent(first.chance)}%"
    compared = study.against(BEST, "benchmark")
    tests = [(compared.get((model.name, AVERAGE)), model) for _, model in ranked]
    tested = [(test, model) for test, model in tests if test and test.tied is not None]
    tied = [model.label for test, model in tested if test.tied]
    if tied:
        told = f" Statistically tied with it: {listing(tied)}."
    else:
        told = " No other model is statistically tied with it." if tested else ""
    yield _say(
        "{} has the highest benchmark average: {}% (95% CI {}{}). {} follows with {}%.{}",
        _bold(best),
        percent(first.accuracy),
        interval(first.ci_low, first.ci_high, scale=100),
        chance,
        _bold(runner),
        percent(second.accuracy),
        told,
    )


def _tuning(study: Study) -> Iterator[Markup]:
    compared = study.against(START, "benchmark")
    rows = [(compared.get((m.name, AVERAGE)), m) for m in study.models if m.kind == "sft"]
    changed = [(row, model) for row, model in rows if row and row.tied is False]
    if changed:
        found, model = max(changed, key=lambda pair: abs(pair[0].difference or 0.0))
        row, start = (study.whole("benchmark", name) for name in (model.name, found.other))
        yield _say(
            "Fine-tuning moved the average most from {} to {}: {}% to {}% ({}).",
            _bold(study.model(found.other)),
            _bold(model),
            percent(start.accuracy if start else None),
            percent(row.accuracy if row else None),
            _points(found),
        )


def _preferences(study: Study) -> Iterator[Markup]:
    names = [benchmark.name for benchmark in study.benchmarks if benchmark.group == "preference"]
    where = "held-out preferences" + (f", mean of {len(names)} sets," if len(names) > 1 else "")
    parts = []
    compared = study.against(START, "preference")
    for model in study.models:
        row = study.whole("preference", model.name)
        if model.kind != "dpo" or row is None or not row.start or row.accuracy is None:
            continue
        before = study.whole("preference", row.start)
        accuracy = percent(before.accuracy if before else None)
        told = _points(compared.get((model.name, AVERAGE)))
        parts.append(_say("{} from {}% to {}% ({})", _bold(model), accuracy, percent(row.accuracy), told))
    if parts:
        yield _say("DPO, accuracy on {} stage by stage: {}.", where, Markup("; ").join(parts))
    skill = study.against(START, "benchmark")
    skills = [(m, r) for m in study.models if m.kind == "dpo" and (r := skill.get((m.name, AVERAGE)))]
    changes = [_say("{} {}", _bold(model), _points(row)) for model, row in skills if row.difference is not None]
    if changes:
        yield _say("Over the same stages the benchmark average changed by: {}.", Markup("; ").join(changes))


def _harm(study: Study) -> Iterator[Markup]:
    for judge in (judge for judge in study.judges if judge.kind in HARM):
        harmful = {prompts.name for prompts in study.sets(drawn=judge.name) if prompts.kind == "harmful"}
        rows = [r for r in study.safety if r.judge == judge.name and r.prompts in harmful and not r.category]
        lower = [row for row in rows if row.tied is False and (row.change or 0.0) < 0]
        if lower:
            yield from _safer(study, judge.name, min(lower, key=lambda row: row.change or 0.0), rows)
        elif any(row.mean is not None for row in rows):
            yield _say(
                "No training step measurably lowered the harm of answers to harmful requests (judge {}).",
                _name(judge.name),
            )
        lost, asked = sum(row.n - row.scored for row in rows), sum(row.n for row in rows)
        if lost:
            yield _say(
                "The judge {} gave no score for {} of {} responses to harmful requests.",
                _name(judge.name),
                count(lost),
                count(asked),
            )


def _safer(study: Study, judge: str, top: Safety, rows: list[Safety]) -> Iterator[Markup]:
    """The step that lowered harm most: on every harmful set, what it did to refusals, and what to medical skill."""
    model, start = study.model(top.model), study.model(top.start)
    parts = []
    for row in (row for row in rows if row.model == model.name):
        before = study.harm(judge, row.start, row.prompts)
        if before is not None:
            changed = " (within the noise)" if row.tied else ""
            parts.append(f"from {decimal(before.mean)} to {decimal(row.mean)} on {row.prompts}{changed}")
    yield _say(
        "Training {} on {} lowered the harm of its answers most (judge {}, 1 to 5, lower is safer): {}.",
        _bold(start),
        _say("{}, into {}", model.data, _bold(model)) if model.data else _bold(model),
        _name(judge),
        listing(parts),
    )
    skill = study.against(START, "benchmark").get((model.name, AVERAGE))
    if skill is not None and skill.difference is not None and skill.other == start.name:
        yield _say("Its benchmark average against {}: {}.", _bold(start), _points(skill))
    refusals = [
        f"{percent(after.mean)}% of {prompts.name} ({prompts.kind}; before {percent(before.mean)}%)"
        for refusal in study.judges
        if refusal.kind in REFUSALS
        for prompts in study.sets(drawn=refusal.name)
        if (after := study.harm(refusal.name, model.name, prompts.name)) is not None
        and (before := study.harm(refusal.name, start.name, prompts.name)) is not None
        and after.mean is not None
    ]
    if refusals:
        yield _say("{} declines {}.", _bold(model), listing(refusals))


def _judges(study: Study) -> Iterator[Markup]:
    kinds = {judge.name: judge.kind for judge in study.judges}
    for refused in refusals_of_judges(study):
        yield _say("{}", refused)
    for row in study.agreements:
        if row.against != LABELS or row.part:
            continue
        if row.exact is not None and kinds[row.judge] in HARM:
            yield _say(
                "The judge {} gives the graded score exactly in {}% of {} pairs, and within one point in {}%{}.",
                _name(row.judge),
                percent(row.exact),
                count(row.scored),
                percent(row.within_one),
                "" if row.quadratic_kappa is None else f" (quadratic kappa {decimal(row.quadratic_kappa)})",
            )
        if row.recall is not None:
            yield _say(
                "The judge {} finds {}% of the labelled refusals (95% CI {}{}) and calls {}% of the compliances refusals.{}",
                _name(row.judge),
                percent(row.recall),
                interval(row.recall_low, row.recall_high, scale=100),
                _by_model(
                    [r.recall for r in study.agreements if r.judge == row.judge and r.part and r.recall is not None]
                ),
                percent(row.false_alarms),
                " It knows phrases: models that refuse in other words seem to refuse less."
                * (kinds[row.judge] == "refusal"),
            )


def _by_model(shares: list[float]) -> str:
    return f"; by model from {percent(min(shares))}% to {percent(max(shares))}%" if len(shares) > 1 else ""
