"""Stages pairs and pair: the preference pairs of one DPO stage, of datasets or of ranked responses, each pair once."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import groupby

from primum.artifact.job import Job, Result
from primum.artifact.manifest import Artifact
from primum.curate.clean import words
from primum.errors import PrimumError
from primum.experiment.types import CHOICE_PROMPT
from primum.text.choices import render_choice
from primum.text.rows import ChoiceRow, Message, PreferenceRow, RankedRow, from_table, to_table


def run(job: Job) -> Iterator[Result]:
    """One table of PreferenceRow; counts say how many pairs were dropped as duplicates or as equal texts.

    Of ranked responses they say also how many prompts had fewer than two with a reward, or a ``tie`` of best and worst.
    """
    for item in job.items:
        seen: set[str] = set()
        rows: list[PreferenceRow] = []
        counts = {"kept": 0, "duplicate": 0, "equal-texts": 0}
        for artifact in item.inputs["rows"]:
            for row in _pairs(artifact, item.spec["seed"]):
                if isinstance(row, str):
                    counts[row] = counts.get(row, 0) + 1
                    continue
                prompt = "\n".join(message.content for message in row.prompt)
                key = "\x00".join(" ".join(words(text)) for text in (prompt, row.chosen, row.rejected))
                # Templates trim what they render, so that white space makes no difference between two responses.
                equal = row.chosen.strip() == row.rejected.strip()
                outcome = "equal-texts" if equal else "duplicate" if key in seen else "kept"
                counts[outcome] += 1
                if outcome == "kept":
                    seen.add(key)
                    rows.append(row)
        if not rows:
            raise PrimumError(f"preferences.{item.name}: no pair is left ({counts})")
        job.progress.say(f"{item.name}: {counts}")
        yield Result(item, table=to_table(rows, PreferenceRow), counts=counts)


def _pairs(artifact: Artifact, seed: int) -> Iterator[PreferenceRow | str]:
    """Every pair, or the reason why there is none of a prompt."""
    table = artifact.table()
    if table.schema.equals(PreferenceRow.SCHEMA):
        yield from from_table(table, PreferenceRow)
    elif table.schema.equals(ChoiceRow.SCHEMA):
        for row in from_table(table, ChoiceRow):
            prompt = render_choice(CHOICE_PROMPT, row)
            wrong = [choice for index, choice in enumerate(row.choices) if index != row.target]
            rejected = random.Random(f"{seed}/{row.id}").choice(wrong)
            yield PreferenceRow(row.id, row.source, (Message("user", prompt),), row.choices[row.target], rejected)
    elif table.schema.equals(RankedRow.SCHEMA):
        rows = from_table(table, RankedRow)
        yield from (best_and_worst(list(of_prompt)) for _, of_prompt in groupby(rows, key=lambda row: row.prompt_id))
    else:
        raise PrimumError(f"{artifact.name}: holds neither preference pairs nor multiple-choice questions")


def best_and_worst(rows: Sequence[RankedRow]) -> PreferenceRow | str:
    """A prompt's response with the highest reward against that with the lowest; of several the one that was drawn first.

    ``too-few`` where fewer than two have a reward, ``tie`` where all have the same.
    """
    rewarded = [(row.reward, row) for row in sorted(rows, key=lambda row: row.draw) if row.reward is not None]
    if len(rewarded) < 2:
        return "too-few"
    (most, best), (least, worst) = (extreme(rewarded, key=lambda pair: pair[0]) for extreme in (max, min))
    if most == least:
        return "tie"
    return PreferenceRow(best.prompt_id, best.source, best.prompt, best.response, worst.response)
