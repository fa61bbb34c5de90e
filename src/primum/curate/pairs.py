"""Stage pairs: the preference pairs of one DPO stage, from one or more datasets, each prompt and pair once."""

from __future__ import annotations

from collections.abc import Iterator

from primum.artifact.job import Job, Result
from primum.curate.clean import words
from primum.errors import PrimumError
from primum.rows import PreferenceRow, from_table, to_table


def run(job: Job) -> Iterator[Result]:
    """One table of PreferenceRow; counts say how many pairs were dropped as duplicates or as equal texts."""
    for item in job.items:
        seen: set[str] = set()
        rows: list[PreferenceRow] = []
        counts = {"kept": 0, "duplicate": 0, "equal-texts": 0}
        for artifact in item.inputs["rows"]:
            for row in from_table(artifact.table(), PreferenceRow):
                prompt = "\n".join(message.content for message in row.prompt)
                key = "\x00".join(" ".join(words(text)) for text in (prompt, row.chosen, row.rejected))
                outcome = "equal-texts" if row.chosen == row.rejected else "duplicate" if key in seen else "kept"
                counts[outcome] += 1
                if outcome == "kept":
                    seen.add(key)
                    rows.append(row)
        if not rows:
            raise PrimumError(f"preferences.{item.name}: no pair is left")
        job.progress.say(f"{item.name}: {counts}")
        yield Result(item, table=to_table(rows, PreferenceRow), counts=counts)
