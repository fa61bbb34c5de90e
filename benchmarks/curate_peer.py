"""The peer of curate_speed.py: the work of the stage ``mix`` by ``datasets`` and datatrove. Needs nothing of primum.

    .venv-peer/bin/python benchmarks/curate_peer.py ROWS QUESTIONS WORK

ROWS is a folder of Parquet files of conversations, QUESTIONS a Parquet file with a column ``question``. Prints a line of JSON a
step, with its seconds; what each step kept is written to WORK, a Parquet file a step. curate_speed.py starts it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from datasets import Dataset, disable_progress_bars
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.logging import logger
from datatrove.utils.text import TextNormConfig
from datatrove.utils.word_tokenizers import WordTokenizer

NGRAM = 13
# Its own rule for a threshold, (1 / buckets) ** (1 / hashes): 0.855. As many hashes as primum's sketches have, 126. The words of
# the rows end in numbers, which are all one word by its default.
MINHASH = MinhashConfig(n_grams=5, num_buckets=9, hashes_per_bucket=14, norm_config=TextNormConfig(norm_numbers=False))
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\u200b]")
_SPACES = re.compile(r"[ \t\u00a0]+")
_BLANK_LINES = re.compile(r"\n{3,}")
_ACCENTS = re.compile(r"[\u0300-\u036f]")
_WORD = re.compile(r"\w+")


class Spaces(WordTokenizer):
    """Words as they are between spaces: datatrove has made spaces of punctuation before it asks."""

    def word_tokenize(self, text: str) -> list[str]:
        return text.split()

    def sent_tokenize(self, text: str) -> list[str]:
        raise NotImplementedError("MinHash asks for words")

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        raise NotImplementedError("MinHash asks for words")


def clean(text: str) -> str:
    """NFC, Unix line ends, no control characters, single spaces, at most one blank line, trimmed."""
    text = _CONTROL.sub("", unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n"))
    lines = [line.strip() for line in _SPACES.sub(" ", text).split("\n")]
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def clean_rows(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Conversations cleaned, and their text; those that lost a turn are left out."""
    ids, chats, texts = [], [], []
    for id, messages in zip(batch["id"], batch["messages"], strict=True):
        chat = [{"role": turn["role"], "content": clean(turn["content"])} for turn in messages]
        if all(turn["content"] for turn in chat):
            ids.append(id)
            chats.append(chat)
            texts.append("\n".join(turn["content"] for turn in chat))
    return {"id": ids, "messages": chats, "text": texts}


def words(text: str) -> list[str]:
    """Case, accents and punctuation left out."""
    return _WORD.findall(_ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold())))


def ngrams(tokens: list[str]) -> set[str]:
    """Word n-grams; a question shorter than one is one, if it has at least four words."""
    return {" ".join(tokens[i : i + NGRAM]) for i in range(max(1, len(tokens) - NGRAM + 1))}


def lookup(questions: list[str]) -> set[str]:
    """The n-grams of benchmark questions but those that four or more share."""
    counts: Counter[str] = Counter()
    for question in questions:
        tokens = words(question)
        if len(tokens) >= 4:
            counts.update(ngrams(tokens))
    return {gram for gram, count in counts.items() if count < 4}


def contaminated(texts: list[str], found: set[str]) -> dict[str, list[bool]]:
    """Which texts share an n-gram with a question. All questions here have at least as many words as an n-gram."""
    return {"contaminated": [not found.isdisjoint(ngrams(words(text))) for text in texts]}


def keys(texts: list[str]) -> dict[str, list[str]]:
    """A hash of each text's words."""
    return {"key": [xxhash.xxh128_hexdigest(" ".join(words(text))) for text in texts]}


@contextmanager
def step(name: str, **more: Any) -> Iterator[None]:
    """Prints what the block took: seconds by the clock, and of the processor by this process and those that it waited for."""
    before = os.times()
    yield
    after = os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    print(json.dumps({"step": name, "seconds": after.elapsed - before.elapsed, "cpu": cpu, **more}), flush=True)


def write(kept: Dataset, path: Path, columns: list[str]) -> None:
    """What a step kept, for the comparison: not timed."""
    pq.write_table(kept.with_format("arrow").select_columns(columns)[:], path)


def by_datasets(rows: Path, questions: Path, work: Path, processes: int) -> None:
    """Cleaning, decontamination and exact duplicates; ``work/input`` gets what is left, a file a process."""
    how: dict[str, Any] = {"num_proc": processes, "batched": True}
    with step("read"):
        files = [str(path) for path in sorted(rows.glob("*.parquet"))]
        data = Dataset.from_parquet(files, cache_dir=str(work / "cache"))
    with step("clean"):
        data = data.map(clean_rows, remove_columns=data.column_names, **how)
    write(data, work / "clean.parquet", ["id", "text"])
    with step("decontaminate"):
        found = lookup(pq.read_table(questions, columns=["question"]).column(0).to_pylist())
        flags = data.map(
            contaminated,
            input_columns="text",
            fn_kwargs={"found": found},
            remove_columns=data.column_names,
            **how,
        )
        data = data.select([at for at, bad in enumerate(flags["contaminated"]) if not bad])
    write(data, work / "decontaminate.parquet", ["id"])
    with step("exact duplicates"):
        hashes = data.map(keys, input_columns="text", remove_columns=data.column_names, **how)["key"]
        first: dict[str, int] = {}
        for at, key in enumerate(hashes):
            first.setdefault(key, at)
        data = data.select(list(first.values()))
    write(data, work / "exact.parquet", ["id"])
    (work / "input").mkdir()
    with step("write for datatrove"):
        for number in range(processes):
            data.shard(processes, number, contiguous=True).to_parquet(str(work / "input" / f"{number}.parquet"))


def by_datatrove(work: Path, processes: int, tokenizer: str) -> None:
    """Near duplicates among ``work/input``: the four steps of its MinHash pipeline."""
    folder = work / tokenizer
    signatures, buckets, clusters, output = (str(folder / name) for name in ("sigs", "buckets", "clusters", "output"))
    language: Any = Spaces("en") if tokenizer == "spaces" else "eng"
    few, all_ = (ParquetReader(str(work / "input"), read_metadata=read) for read in (False, True))
    steps = {
        "signatures": ([few, MinhashDedupSignature(signatures, MINHASH, language=language)], processes),
        "buckets": (
            [MinhashDedupBuckets(signatures, buckets, config=MINHASH, lines_to_buffer=1000)],
            MINHASH.num_buckets,
        ),
        "clusters": ([MinhashDedupCluster(buckets, clusters, config=MINHASH, lines_to_buffer=1000)], 1),
        "filter": ([all_, MinhashDedupFilter(clusters), ParquetWriter(output)], processes),
    }
    for name, (pipeline, tasks) in steps.items():
        with step(name, words=tokenizer):
            LocalPipelineExecutor(
                pipeline,
                tasks=tasks,
                workers=min(tasks, processes),
                logging_dir=str(folder / "logs" / name),
                start_method="fork",
            ).run()
    pq.write_table(pq.read_table(output, columns=["id"]), work / f"near-{tokenizer}.parquet")


def main() -> None:
    """All steps, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("rows", "questions", "work"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args()
    disable_progress_bars()
    logger.remove()
    pa.set_cpu_count(given.processes)
    by_datasets(given.rows, given.questions, given.work, given.processes)
    for tokenizer in ("spaces", "spacy"):
        by_datatrove(given.work, given.processes, tokenizer)


if __name__ == "__main__":
    main()
