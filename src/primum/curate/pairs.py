"""Stage pairs: the preference pairs of one DPO stage, from one or more datasets, each prompt and pair once."""

from __future__ import annotations

import random
from collections.abc import Iterator

from primum.artifact.job import Job, Result
from primum.artifact.manifest import Artifact
from primum.curate.clean import words
from primum.errors import PrimumError
from primum.experiment.types import CHOICE_PROMPT
from primum.text.choices import render_choice
from primum.text.rows import ChoiceRow, Message, PreferenceRow, from_table, to_table


def run(job: Job) -> Iterator[Result]:
    """One table of PreferenceRow; counts say how many pairs were dropped as duplicates or as equal texts."""
    for item in job.items:
        seen: set[str] = set()
        rows: list[PreferenceRow] = []
        counts = {"kept": 0, "duplicate": 0, "equal-texts": 0}
        for artifact in item.inputs["rows"]:
            for row in _pairs(artifact, item.spec["seed"]):
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
            raise PrimumError(f"preferences.{item.name}: no pair is left")
        job.progress.say(f"{item.name}: {counts}")
        yield Result(item, table=to_table(rows, PreferenceRow), counts=counts)


def _pairs(artifact: Artifact, seed: int) -> Iterator[PreferenceRow]:
    table = artifact.table()
    if table.schema.equals(PreferenceRow.SCHEMA):
        yield from from_table(table, PreferenceRow)
    elif table.schema.equals(ChoiceRow.SCHEMA):
        for row in from_table(table, ChoiceRow):
            prompt = render_choice(CHOICE_PROMPT, row)
            wrong = [choice for index, choice in enumerate(row.choices) if index != row.target]
            rejected = random.Random(f"{seed}/{row.id}").choice(wrong)
            yield PreferenceRow(row.id, row.source, (Message("user", prompt),), row.choices[row.target], rejected)
    else:
        raise PrimumError(f"{artifact.name}: holds neither preference pairs nor multiple-choice questions")
