"""A published mixture at its real size, from upstream files to packed chunks: time, memory and the ledger of every stage.

    python benchmarks/curate_scale.py                     # Table 5 of Med42-v2: 1.3 million rows, 700 million tokens
    python benchmarks/curate_scale.py --rows 100000

Rows are drawn as in mix_scale.py and written as JSON Lines, a file a source. Then the stages ``read``, ``mix`` and ``pack`` run
as their rules run them: each a job in a process of its own, its artifacts written, read back, and put into a store. The chat
template is Llama 3's, the tokenizer a byte-level BPE of 32,000 tokens that is trained on some of the rows (about 555 tokens a
row). Its own rate is that of ``encode_batch`` on the rendered conversations, by as many threads as there are processes.

Memory is that of a job and its processes together, looked at twice a second: shared pages count once (PSS). Pages of mapped
files are in it; ``anonymous`` is without them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
from mix_scale import Text, published, questions, turns

from primum.artifact.canonical import canonical_json
from primum.artifact.folder import MANIFEST, folder_files, folder_hash
from primum.artifact.job import execute
from primum.artifact.manifest import Artifact, Manifest, save_manifest
from primum.artifact.request import Asked, Request
from primum.artifact.store import Store
from primum.experiment.models import SFTLimits
from primum.experiment.types import Mixture
from primum.progress import Progress
from primum.text.chat import render
from primum.text.rows import ChatRow, from_table
from primum.text.tokenizer import load_tokenizer, train_tokenizer

_CHUNK_TOKENS = 8_192  # as Med42-v2
_OF_THE_TOKENIZER = 3_000
_RATED = 10_000


@dataclass(frozen=True, slots=True)
class Task:
    """One job: its items (name, spec), inputs by role, and where the manifests go."""

    stage: str
    items: Sequence[tuple[str, Mapping[str, Any]]]
    inputs: Mapping[str, Sequence[Path]]
    own: Sequence[Mapping[str, Sequence[Path]]]  # of each item
    folder: Path
    threads: int

    def output(self, number: int) -> Path:
        return self.folder / "results" / f"{self.items[number][0].replace('/', '-')}.json"


def job(task: Task) -> None:
    """Run it, in a process that has done nothing else."""
    os.environ |= {"OMP_NUM_THREADS": str(task.threads), "TOKENIZERS_PARALLELISM": "false"}
    spec = {"stage": task.stage, "code": "benchmark", "libraries": {}, "common": {}, "items": list(task.items)}
    outputs = [Asked(task.output(number), own) for number, own in enumerate(task.own)]
    request = Request(canonical_json(spec), outputs, task.inputs, "table", Store(task.folder / "store"))
    stages = {"read": "primum.curate.read", "mix": "primum.curate.mix", "pack": "primum.curate.pack"}
    execute(request, lambda: import_module(stages[task.stage]).run, Progress(task.stage, interval=30))


def run(task: Task) -> None:
    """In a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(job, task).result()


@contextmanager
def measured(stage: str, told: dict[str, dict[str, float]]) -> Iterator[None]:
    """Seconds, and the most memory (GB) of all processes below this one."""
    most = {"Pss": 0, "Pss_Anon": 0}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.5):
            found = dict.fromkeys(most, 0)
            for process in psutil.Process().children(recursive=True):
                try:
                    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
                except OSError:
                    continue  # it has ended
                for line in rollup.splitlines():
                    name, _, value = line.partition(":")
                    if name in found:
                        found[name] += int(value.split()[0])
            for name, value in found.items():
                most[name] = max(most[name], value)

    looking = threading.Thread(target=look)
    looking.start()
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - started
        done.set()
        looking.join()
    told[stage] = {"seconds": seconds, "GB": most["Pss"] / 1e6, "anonymous GB": most["Pss_Anon"] / 1e6}


def raw(text: Text, name: str, count: int, folder: Path) -> Path:
    """The upstream file of a source, as an artifact; its manifest."""
    folder = folder / "raw" / name
    folder.mkdir(parents=True)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for question, answer in turns(text, count):
            file.write(json.dumps({"instruction": question, "output": answer}) + "\n")
    return kept(folder)


def kept(folder: Path) -> Path:
    """A folder as an artifact; its manifest."""
    files = folder_files(folder)
    save_manifest(
        Manifest("folder", "made", {}, {}, folder.name, folder_hash(files), {}, files=files), folder / MANIFEST
    )
    return folder / MANIFEST


def benchmarks(text: Text, folder: Path) -> Path:
    """Questions that rows are compared with, as an artifact; its manifest."""
    made = questions(text, folder)
    save_manifest(made.manifest, made.path)
    return made.path


def model(text: Text, folder: Path) -> Path:
    """A model folder that has a tokenizer alone, as an artifact; its manifest."""
    drawn = [" ".join(text.words(text.length())) for _ in range(_OF_THE_TOKENIZER)]
    train_tokenizer(drawn, 32_000).save_pretrained(folder / "model")
    return kept(folder / "model")


def own_rate(mixture: Path, start: Path, processes: int) -> float:
    """Tokens a second of the tokenizer by itself, on the first rows of the mixture; the better of two rounds."""
    os.environ |= {"TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": str(processes)}
    tokenizer = load_tokenizer(Artifact.open(start))
    rows: list[ChatRow] = from_table(next(Artifact.open(mixture).slices()).slice(0, _RATED), ChatRow)
    texts = [render(tokenizer, row.messages, generation_prompt=False) for row in rows]
    found = []
    for _ in range(2):
        started = time.perf_counter()
        encodings = tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
        seconds = time.perf_counter() - started
        found.append(sum(len(encoding.ids) for encoding in encodings) / seconds)
    return max(found)


def told_own_rate(mixture: Path, start: Path, processes: int) -> float:
    """:func:`own_rate` in a process of its own, which reads how many threads it may use when it begins."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(own_rate, mixture, start, processes).result()


def replica(counts: Mapping[str, int], processes: int, folder: Path) -> None:
    """Draw, read, mix, pack, and print what it took."""
    text = Text(0)
    start, compared = model(text, folder), benchmarks(text, folder)
    sources = {name: raw(text, name, count, folder) for name, count in counts.items()}
    told: dict[str, dict[str, float]] = {}
    items = [
        (f"{name}/{output}", {"dataset": name, "adapter": "instruction", "options": {}, "output": output})
        for name in sources
        for output in ("rows", "drops")
    ]
    own = [{"raw": [path]} for path in sources.values() for _ in range(2)]
    read = Task("read", items, {}, own, folder, processes)
    with measured("read", told):
        run(read)
    mixture = Mixture.model_validate({"sources": {name: {"dataset": name} for name in counts}})
    common = {**mixture.model_dump(mode="json"), "mixture": "replica", "seed": 7, "order": list(counts), "judges": {}}
    licences = {"licences": dict.fromkeys(counts, "unknown")}
    more: dict[str, Any] = {"rows": {}, "ledger": licences, "outcomes": {}}
    items = [(f"replica/{output}", common | own_ | {"output": output}) for output, own_ in more.items()]
    outputs = [read.output(number) for number in range(2 * len(counts))]
    inputs = {"rows": outputs[::2], "drops": outputs[1::2], "benchmarks": [compared]}
    mix = Task("mix", items, inputs, [{}, {}, {}], folder, processes)
    with measured("mix", told):
        run(mix)
    common = {
        "chunk_tokens": _CHUNK_TOKENS,
        "train_on_inputs": False,
        "seed": 7,
        "template": None,
        "fold_system": False,
    }
    limits = {"limits": SFTLimits(truncated=1.0).model_dump()}
    more = {"chunks": {}, "audit": limits, "tokens": {}}
    items = [(f"m/{output}", common | own_ | {"output": output}) for output, own_ in more.items()]
    pack = Task("pack", items, {"model": [start], "mixture": [mix.output(0)]}, [{}, {}, {}], folder, processes)
    with measured("pack", told):
        run(pack)

    for row in Artifact.open(mix.output(1)).table().to_pylist():
        print(f"{row['source']:<40} {row['outcome']:<16} {row['rows']:>10,}")
    found = Artifact.open(pack.output(0)).manifest.counts
    total = sum(each["seconds"] for each in told.values())
    for stage, each in told.items():
        print(f"{stage:<8}{each['seconds']:8.1f} s {each['GB']:6.2f} GB, anonymous {each['anonymous GB']:5.2f} GB")
    rate, own = found["tokens"] / told["pack"]["seconds"], told_own_rate(mix.output(0), start, processes)
    filled = found["tokens"] / (found["chunks"] * _CHUNK_TOKENS)
    print(f"{sum(counts.values()):,} rows in {total:,.0f} s")
    print(f"{found['tokens']:,} tokens in {found['chunks']:,} chunks, {filled:.2%} filled")
    print(f"pack {rate:,.0f} tokens/s in all, the tokenizer by itself {own:,.0f}: {rate / own:.0%}")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", default="med42-v2-8b", help="whose largest mixture gives the counts")
    parser.add_argument("--rows", type=int, help="all sources together; as published without it")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, help="where 40 GB are free for the time of the run; else the system's")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        replica(published(given.experiment, given.rows), given.processes, Path(folder))


if __name__ == "__main__":
    main()
