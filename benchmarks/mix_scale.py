"""The stage ``mix`` at the size of a published mixture: rows a second, and the most memory of the job's process.

    python benchmarks/mix_scale.py                      # Table 5 of Med42-v2, 1.3 million rows
    python benchmarks/mix_scale.py --rows 100000 --processes 1

As many rows a source as are published, those that are listed under none as a source of their own; ``--rows`` scales all down.
Words of one to four syllables are drawn by Zipf's law, with commas, full stops and numbers between them; lengths of rows are
log-normal with a mean of 385 words; one row in twenty is an earlier one with a word added. The benchmarks are 8,000 questions
of 60 words. Time is from the sources' Parquet files to the mixture's, written and read back.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from primum.artifact.job import Item, Job
from primum.artifact.manifest import Artifact, Manifest
from primum.artifact.table import write_table
from primum.curate.mix import run
from primum.curate.read import DROPS
from primum.experiment.load import load_experiment
from primum.experiment.types import Mixture
from primum.progress import Progress
from primum.text.rows import ChatRow, ChoiceRow, to_table

ROOT = Path(__file__).parents[1]
_WORDS = 50_000
_MEAN, _SPREAD = 385, 0.6
_BEGINS = ("b", "c", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "st", "tr", "pl", "br")
_VOWELS = ("a", "e", "i", "o", "u", "ia", "ea", "ou")
_ENDS = ("", "n", "r", "s", "l", "m", "t", "x")


class Text:
    """Draws texts whose words follow Zipf's law."""

    def __init__(self, seed: int) -> None:
        vocabulary: dict[str, None] = {}
        words = np.random.default_rng(0)  # of every text the same
        while len(vocabulary) < _WORDS:
            syllables = words.integers((len(_BEGINS), len(_VOWELS), len(_ENDS)), size=(words.integers(1, 5), 3))
            vocabulary["".join(_BEGINS[b] + _VOWELS[v] + _ENDS[e] for b, v, e in syllables)] = None
        self._words = np.array(list(vocabulary), dtype=object)
        weights = 1 / np.arange(1, _WORDS + 1)
        self._ends = np.cumsum(weights / weights.sum())[:-1]
        self._draw = np.random.default_rng(seed)

    def words(self, count: int) -> list[str]:
        drawn = self._words[np.searchsorted(self._ends, self._draw.random(count))]
        drawn[5::23] = self._draw.integers(1, 2000, len(drawn[5::23])).astype(str).astype(object)
        drawn[7::11] += ","
        drawn[13::19] += "."
        found: list[str] = drawn.tolist()
        return found

    def length(self) -> int:
        return max(8, round(self._draw.lognormal(np.log(_MEAN) - _SPREAD**2 / 2, _SPREAD)))

    def below(self, number: int) -> int:
        return int(self._draw.integers(number))


def published(experiment: str, rows: int | None) -> dict[str, int]:
    """Source -> rows, as a publication counts them, or ``rows`` in the same shares."""
    found = {}
    for mixture in load_experiment(experiment, ROOT).mixtures.values():
        counts = {name: source.published or 0 for name, source in mixture.sources.items()}
        found = max(found, counts | {"unlisted": mixture.unlisted or 0}, key=lambda each: sum(each.values()))
    share = 1.0 if rows is None else rows / sum(found.values())
    return {name: max(1, round(share * count)) for name, count in found.items() if count}


def artifact(path: Path, table: pa.Table) -> Artifact:
    """``table`` as an input of the stage."""
    content = write_table(table, path, {})
    return Artifact(path.with_suffix(".json"), Manifest("table", "made", {}, {}, path.stem, content, {}))


def turns(text: Text, count: int) -> list[tuple[str, str]]:
    """``count`` questions with their answers; one in twenty is an earlier one with a word added."""
    drawn: list[tuple[str, str]] = []
    for at in range(count):
        if at % 20 == 3:
            question, answer = drawn[text.below(at)]
            drawn.append((question, f"{answer} more"))
        else:
            words = text.words(text.length())
            cut = len(words) // 4
            drawn.append((f"{' '.join(words[:cut])}?", f"{' '.join(words[cut:])}."))
    return drawn


def source(text: Text, name: str, count: int, folder: Path) -> Artifact:
    """``count`` conversations of two turns."""
    drawn = turns(text, count)
    messages = ([{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in drawn)
    columns = [
        pa.array([f"{name}/{at:08d}" for at in range(count)]),
        pa.array([name] * count),
        pa.array(messages, ChatRow.SCHEMA.field("messages").type, size=count),
    ]
    return artifact(folder / f"{name}.parquet", pa.Table.from_arrays(columns, schema=ChatRow.SCHEMA))


def questions(text: Text, folder: Path) -> Artifact:
    """What rows are compared with."""
    rows = [ChoiceRow(f"b/{i:05d}", "b", "", "", " ".join(text.words(60)), ("a", "b"), 0) for i in range(8_000)]
    return artifact(folder / "benchmarks.parquet", to_table(rows, ChoiceRow))


def make(counts: Mapping[str, int], folder: Path) -> dict[str, list[Artifact]]:
    """What ``mix`` reads, by role."""
    text = Text(0)
    benchmark = questions(text, folder)
    drops = artifact(folder / "drops.parquet", pa.Table.from_pylist([], schema=DROPS))
    return {
        "rows": [source(text, name, count, folder) for name, count in counts.items()],
        "drops": [drops] * len(counts),
        "benchmarks": [benchmark],
    }


def mixed(
    counts: Mapping[str, int], inputs: Mapping[str, list[Artifact]], folder: Path, **mixture: Any
) -> dict[str, Any]:
    """The stage, in a process that has drawn nothing: what it took and counts. The rows are ``folder/mixture.parquet``.

    ``outcomes`` is what it takes to write down each row's: seconds, bytes a row, and GB beyond the most memory before.
    """
    declared = Mixture.model_validate({"sources": {name: {"dataset": name} for name in counts}, **mixture})
    common = {**declared.model_dump(mode="json"), "mixture": "m", "seed": 7, "order": list(counts), "judges": {}}
    items = [Item(name, {**common, "output": name}, inputs, name, folder / "work") for name in ("rows", "outcomes")]
    file, outcomes = folder / "mixture.parquet", folder / "outcomes.parquet"
    before = os.times()
    for result in run(Job("mix", {}, items, Progress("mix"))):
        if result.item.name == "rows":
            content, counted = write_table(result.parts or [], file, {}), result.counts
            between, most = os.times(), peak()
        else:
            write_table(result.parts or [], outcomes, {})
    after = os.times()
    seconds, rows = after.elapsed - before.elapsed, sum(counts.values())
    told = {"rows": rows, "seconds": round(seconds, 1), "rows/s": round(rows / seconds), "peak GB": round(peak(), 2)}
    cpu = round(sum(after[:4]) - sum(before[:4]), 1)
    written = {"seconds": round(after.elapsed - between.elapsed, 1), "GB": round(peak() - most, 2)}
    written["bytes a row"] = round(outcomes.stat().st_size / rows, 1)
    return {**told, "cpu": cpu, "content": content[:12], "outcomes": written, **counted}


def peak() -> float:
    """The most memory of this process since it began, in GB; resource.getrusage would tell that of its parent, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e6


def main() -> None:
    """Draw the sources, mix them, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", default="med42-v2-8b", help="whose largest mixture gives the counts")
    parser.add_argument("--rows", type=int, help="all sources together; as published without it")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args()
    counts = published(given.experiment, given.rows)
    with tempfile.TemporaryDirectory() as work:
        inputs = make(counts, Path(work))
        os.environ["OMP_NUM_THREADS"] = str(given.processes)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            print(json.dumps(process.submit(mixed, counts, inputs, Path(work)).result()))


if __name__ == "__main__":
    main()
