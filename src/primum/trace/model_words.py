"""What the stages did that train models, ask them, judge and score, each in a sentence."""

from __future__ import annotations

from typing import Any

from primum.trace.data_words import template
from primum.trace.words import Said, hidden, number, plural, told


def _optimized(said: Said, unit: str) -> str:
    settings: dict[str, Any] = dict(said.get("optimization") or {})
    steps, rate, batch = said.count("steps"), settings.pop("learning_rate", None), settings.pop("batch", None)
    others = ", ".join(
        f"{told(key)} {told(value)}" for key, value in settings.items() if value is not None and key != "steps"
    )
    held = said.get("held_out")
    kept = f" {told(held['take'])} {unit}s were held out." if held else ""
    return (
        f"{plural(steps, 'step')} of {told(batch)} {unit}s at learning rate {told(rate)}, seed {told(said.get('seed'))}.{kept}"
        f" Optimizer: {others}."
    )


def pretrain(said: Said) -> str:
    """A model from random weights."""
    size = plural(said.count("parameters"), "parameter")
    return f"Trained a tokenizer and a model of {size} from random weights on {said.of('mixture')}: {_optimized(said, 'chunk')}"


def sft(said: Said) -> str:
    """A fine-tuned model."""
    lora = said.get("lora")
    adapters = f" with low-rank adapters (r {told(lora['r'])}, alpha {told(lora['alpha'])})" if lora else ""
    return (
        f"Fine-tuned {said.of('model')}{adapters} on packed chunks: {_optimized(said, 'chunk')} Uses {template(said)}."
    )


def reference(said: Said) -> str:
    """Reference log-probabilities of pairs."""
    pairs, longest = plural(said.count("kept"), "pair"), told(said.get("max_length"))
    return f"Computed the log-probabilities of {pairs} of {said.of('pairs')} under {said.of('model')}, up to {longest} tokens."


def dpo(said: Said) -> str:
    """A model trained by DPO."""
    beta, pairs = told(said.get("beta")), plural(said.count("pairs"), "pair")
    return f"Trained {said.of('model')} by DPO with beta {beta} on {pairs}: {_optimized(said, 'pair')}"


def _drawn(said: Said) -> str:
    """How text is drawn from a model, and how that is run."""
    temperature, top_p = said.within("sampling", "temperature"), said.within("sampling", "top_p")
    how = f"temperature {number(temperature)}, top-p {told(top_p)}" if temperature else "greedily"
    kind, dtype = said.within("engine", "kind"), said.within("engine", "dtype")
    runs = (f" with {told(kind)}" if kind else "") + (f" in {told(dtype)}" if dtype else "")
    most = told(said.within("sampling", "max_tokens"))
    return f"{how}, at most {most} tokens{runs}, seed {told(said.get('seed'))}"


def _system(said: Said) -> str:
    text = said.get("system")
    return f" System turn: {hidden(text)}." if text else ""


def answered(said: Said) -> str:
    """Responses to prompts."""
    rows, take = said.count("rows"), said.get("take")
    first = f", the first {number(take)} alone" if take is not None else ""
    asked = f"Asked {said.of('model')} for responses to {plural(rows, 'prompt')} of {said.of('prompts')}{first}"
    return f"{asked}: {_drawn(said)}.{_system(said)}"


def sample(said: Said) -> str:
    """One response of several to each prompt."""
    rows, draw = plural(said.count("rows"), "prompt"), told(said.get("draw"))
    return f"Drew response number {draw} of {said.of('model')} to each of {rows} of {said.of('prompts', 3)}: {_drawn(said)}."


def rank(said: Said) -> str:
    """Rewards of responses."""
    ranked, prompts = number(said.count("ranked")), plural(said.count("prompts"), "prompt")
    return f"Ranked {ranked} responses to {prompts} by {told(said.get('kind'))} rewards of {said.of('ranker')}."


def rate(said: Said) -> str:
    """A judge's answers about sampled responses."""
    rows = plural(said.count("rows"), "sampled response")
    return f"Asked {said.of('ranker')} to rate {rows}; {_judge_words(said)}; {_drawn(said)}."


def rewards(said: Said) -> str:
    """Rewards that were read from a judge's answers."""
    ranked, rows = number(said.count("ranked")), plural(said.count("responses"), "response")
    return (
        f"Read rewards from the judge's answers, the {told(said.get('best'))} score being the best: {ranked} of {rows}."
    )


def _judge_words(said: Said) -> str:
    """With which words a judge is asked: how long they are, and which."""
    template, policies, published = said.get("template"), said.get("policies") or {}, said.get("published")
    written = {key: value for key, value in policies.items() if value}
    words = [f"rubric: {hidden(template)}"] if template else []
    words += [f"policies: {hidden(written)}"] if written else []
    words += ["in a publication's own words"] if published is not None else []
    return "; ".join(words) or "no words of its own"


def judge(said: Said) -> str:
    """A judge's answers about responses."""
    rows, judge = plural(said.count("rows"), "response"), said.of("judge")
    return f"Asked {judge} to judge {rows} ({told(said.get('kind'))}); {_judge_words(said)}; {_drawn(said)}."


def grade(said: Said) -> str:
    """A judge's answers about criteria."""
    rows, responses = plural(said.count("rows"), "criterion", "criteria"), plural(said.count("responses"), "response")
    said.get("kind")
    return f"Asked {said.of('judge')} to judge {rows} of {responses}; {_judge_words(said)}; {_drawn(said)}."


def agreement(said: Said) -> str:
    """A judge's answers about responses whose score is known."""
    planted, kind, rows = said.get("canary"), said.get("kind"), said.count("rows")
    about = (
        f"{plural(rows, 'response')} that ask for a score"
        if planted
        else f"{plural(rows, 'response')} that people graded"
    )
    told_kind = f" ({told(kind)})" if kind else ""
    return f"Asked {said.of('judge')} to judge {about}{told_kind}; {_judge_words(said)}; {_drawn(said)}."


def verdicts(said: Said) -> str:
    """Scores that were read from answers."""
    kind, scored, rows = said.get("kind"), said.count("scored"), said.count("rows")
    said.get("canary")
    if kind == "refusal":
        return f"Looked for phrases of refusal in {plural(rows, 'response')}: {number(scored)} could be looked at."
    return f"Read the judge's scores from its answers: {number(scored)} of {number(rows)} have one."


_TASK = ("doc_to_choice", "doc_to_text", "doc_to_target", "fewshot_delimiter", "target_delimiter")


def _task(said: Said) -> str:
    """How a benchmark asks."""
    fewshot = said.get("fewshot")
    shown = f"{told(fewshot['k'])} examples first ({told(fewshot.get('sampler'))})" if fewshot else "no examples first"
    chat = "as a chat turn" if said.get("chat_template") else "as plain text"
    words = {key: value for key in _TASK if (value := said.get(key))}
    return f"asked {chat}, {shown}" + (f", wording {hidden(words)}" if words else "")


def score(said: Said) -> str:
    """Log-likelihood scores."""
    items, correct = plural(said.count("items"), "item"), number(said.count("correct"))
    said.within("engine", "kind")
    dtype, kind = told(said.within("engine", "dtype")), said.get("normalize")
    length = f", normalized by {told(kind)}" if kind not in (None, "none") else ""
    return (
        f"Scored {said.of('model')} on {items} of {said.of('benchmarks')} by the log-likelihood of each choice{length}: "
        f"{correct} right; {_task(said)}; in {dtype}, seed {told(said.get('seed'))}."
    )


def questions(said: Said) -> str:
    """Questions that are answered in words."""
    rows = plural(said.count("rows"), "question")
    return f"Wrote {rows} of {said.of('benchmarks')} that are answered in words; {_task(said)}."


def answer(said: Said) -> str:
    """Answers in words."""
    rows, repeats = plural(said.count("rows"), "question"), said.get("repeats")
    times = f" {told(repeats)} times" if repeats not in (None, 1) else ""
    return f"Asked {said.of('model')} {rows} of {said.of('questions')}{times}: {_drawn(said)}."


def parse(said: Said) -> str:
    """What answers in words say."""
    items, correct = plural(said.count("items"), "answer"), number(said.count("correct"))
    filters = said.within("generate_until", "filters") or []
    by = (
        f" by the filters {', '.join(told(each.get('name')) for each in filters)} ({hidden(filters)})"
        if filters
        else ""
    )
    return f"Read what {items} to {said.of('benchmarks')} say{by}: {correct} right; {_task(said)}."
