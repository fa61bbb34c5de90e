"""The demo's preference pairs: UltraFeedback and three Snorkel iterations, each of which prefers something new.

UltraFeedback prefers the right answer in a full sentence over a wrong bare one, Snorkel 1 the full sentence over the right
answer alone, Snorkel 2 one that ends with where to go, Snorkel 3 one that also opens with a friendly word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from primum.demo.asking import OPENING, advice, generator, options, questions, sentence
from primum.demo.files import Record, write_jsonl
from primum.demo.phrasing import TRAINING
from primum.demo.vocabulary import Fact

TRAIN_ROWS, TEST_ROWS = 140, 40


def candidates(stage: int, fact: Fact, random: Random) -> list[str]:
    """Five distinct responses, best first, by what UltraFeedback (stage 0) or the Snorkel stage (1-3) prefers."""
    choices, target = options(fact, 4, random)
    wrong = [choice for number, choice in enumerate(choices) if number != target]
    right = sentence(fact)
    advised = f"{right} {advice(fact)}"
    mistaken = right.replace(fact.answer, wrong[1])
    if stage == 0:
        return [right, fact.answer, mistaken, wrong[2], wrong[0]]
    if stage == 1:
        return [right, f"It is {fact.answer}.", f"I think {fact.answer}.", f"{fact.answer}?", fact.answer]
    if stage == 2:
        return [advised, f"{fact.answer}. {advice(fact)}", mistaken, fact.answer, right]
    return [f"{OPENING} {advised}", f"{OPENING} {right}", f"{OPENING} {mistaken}", right, advised]


def _messages(prompt: str, response: str) -> list[Record]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]


def _ultrafeedback(asked: Sequence[tuple[Fact, str]], random: Random) -> Iterator[Record]:
    """Graded pairs; the last two, which say nothing about preference, are a tie and a pair of equal texts."""
    rows = len(asked) - 2
    for number, (fact, prompt) in enumerate(asked):
        responses = candidates(0, fact, random)
        chosen, rejected = responses[0], responses[0] if number == rows + 1 else responses[-1]
        high = random.choice((8.0, 8.5, 9.0))
        yield {
            "prompt": prompt,
            "prompt_id": f"{random.getrandbits(256):064x}",
            "chosen": _messages(prompt, chosen),
            "rejected": _messages(prompt, rejected),
            "messages": _messages(prompt, chosen),
            "score_chosen": high,
            "score_rejected": high if number == rows else random.choice((2.0, 3.0, 4.5)),
        }


def _snorkel(stage: int, asked: Iterator[tuple[Fact, str]], random: Random) -> Iterator[Record]:
    """Five responses a prompt with reward scores; the highest is chosen, the lowest rejected."""
    for number, (fact, prompt) in enumerate(asked):
        ranked = candidates(stage, fact, random)
        scores = [round(2.5 - 1.2 * place + random.uniform(-0.4, 0.4), 3) for place in range(len(ranked))]
        shown = list(zip(ranked, scores, strict=True))
        random.shuffle(shown)
        yield {
            "prompt_id": f"snorkel-{stage}-{number:05d}-{random.getrandbits(32):08x}",
            "prompt": prompt,
            "chosen": _messages(prompt, ranked[0]),
            "rejected": _messages(prompt, ranked[-1]),
            "all_generated_responses": [text for text, _ in shown],
            "all_rm_scores": [score for _, score in shown],
        }


def write_preferences(folder: Path, seed: int) -> None:
    """``ultrafeedback_{train,test}_prefs.jsonl`` and ``snorkel_iteration_{1,2,3}_{train,test}.jsonl``.

    Test prompts are combinations of fact and phrasing that their training file lacks.
    """
    random = generator(seed, "ultrafeedback")
    asked = list(questions(TRAINING["ultrafeedback"], TRAIN_ROWS + TEST_ROWS + 4, random))
    random.shuffle(asked)
    for part, rows in (("train", asked[: TRAIN_ROWS + 2]), ("test", asked[TRAIN_ROWS + 2 :])):
        write_jsonl(folder / f"ultrafeedback_{part}_prefs.jsonl", _ultrafeedback(rows, random))
    for stage in (1, 2, 3):
        random = generator(seed, "snorkel", stage)
        style = TRAINING["snorkel"]
        if stage == 1:  # half of its prompts are those that the fine-tuned model answers with the bare fact
            short = TRAINING["slim_orca"]
            style = {attribute: (style[attribute][0], *short[attribute]) for attribute in style}
        asked = list(questions(style, TRAIN_ROWS + TEST_ROWS, random))
        random.shuffle(asked)
        for part, rows in (("train", asked[:TRAIN_ROWS]), ("test", asked[TRAIN_ROWS:])):
            write_jsonl(folder / f"snorkel_iteration_{stage}_{part}.jsonl", _snorkel(stage, iter(rows), random))
