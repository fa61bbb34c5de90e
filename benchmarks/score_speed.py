"""Items per second of primum's log-likelihoods and of lm-eval's ``hf`` backend: the same model object, requests and threads.

    python benchmarks/score_speed.py --output speed.json

Both get token ids, so no tokenisation is timed. lm-eval runs at each of its batch sizes and its best counts. The two are
timed in turn, and the quickest round of each is compared. The ratio of CPU times, which what else the machine does hardly
changes, is the one that --quick looks at.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from speed_cases import REAL, VOCABULARY, cases, llama

from primum.score.loglikelihood import loglikelihoods
from primum.score.reach import reach
from primum.score.rows import Packed

LEAST = {"zero-shot": 4.0, "five-shot": 8.0}


@dataclass(frozen=True, slots=True)
class Result:
    """One comparison: items a second, ratios by the clock and by CPU time, MB of memory above what there was before."""

    task: str
    model: str
    items: int
    choices: int
    context: int
    primum: float
    lm_eval: float
    ratio: float
    cpu_ratio: float
    batch_size: int
    primum_memory: float
    lm_eval_memory: float
    difference: float


def peak(call: Callable[[], Any]) -> float:
    """MB by which the resident memory rose at most during a call, looked at every 5 ms."""

    def resident() -> float:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() / 1e6

    before = most = resident()
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.005):
            most = max(most, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        call()
    finally:
        over.set()
        watcher.join()
    return most - before


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Seconds that a call takes, on the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - clock, time.process_time() - processor


def compare(
    task: str,
    size: str,
    model: Any,
    tokenizer: Any,
    asked: list[Packed],
    batch_tokens: int,
    sizes: list[int],
    rounds: int,
) -> Result:
    """Both on the same requests: a warm-up that also measures memory, then ``rounds`` timings in turn."""
    from lm_eval.models.huggingface import HFLM

    within = reach(model, tokenizer.pad_token_id, print)

    def ours() -> list[float]:
        found = loglikelihoods(model, asked, tokenizer.pad_token_id, batch_tokens, lambda done, tokens: None, within)
        return [value.logprob for choices in found for value in choices]

    flat = [(("", ""), context, choice) for context, choices in asked for choice in choices]
    backends = {
        size: HFLM(pretrained=model, tokenizer=tokenizer, batch_size=size, device="cpu", max_length=4096)
        for size in sizes
    }

    def theirs(batch: int) -> list[float]:
        return [value for value, _ in backends[batch]._loglikelihood_tokens(flat, disable_tqdm=True)]

    scores: dict[str, list[float]] = {}
    memory = peak(lambda: scores.update(primum=ours()))
    # The warm-up of each batch size says which is best here.
    warm: dict[int, tuple[float, float]] = {}
    for batch in sizes:
        started = time.process_time()
        used = peak(lambda batch=batch: scores.update(lm_eval=theirs(batch)))
        warm[batch] = (time.process_time() - started, used)
    best = min(warm, key=lambda batch: warm[batch])
    memory_theirs = warm[best][1]
    difference = max(abs(a - b) for a, b in zip(scores["primum"], scores["lm_eval"], strict=True))
    times = [(timed(ours), timed(lambda: theirs(best))) for _ in range(rounds)]
    mine, other = ([min(each) for each in zip(*of, strict=True)] for of in zip(*times, strict=True))
    return Result(
        task,
        size,
        len(asked),
        round(statistics.mean(len(choices) for _, choices in asked)),
        round(statistics.mean(len(context) for context, _ in asked)),
        round(len(asked) / mine[0], 2),
        round(len(asked) / other[0], 2),
        round(other[0] / mine[0], 2),
        round(other[1] / mine[1], 2),
        best,
        round(memory),
        round(memory_theirs),
        difference,
    )


def main() -> int:
    """Print the table; with --quick, fail below what primum promises."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        type=Path,
        default=REAL,
        help="folder of the published files; the demo's are read where there is none (default: that of the tests)",
    )
    parser.add_argument("--output", type=Path, help="write the measurements here as JSON")
    parser.add_argument(
        "--quick", action="store_true", help=f"the two promised ratios alone, {LEAST}; exit 1 below them"
    )
    parser.add_argument("--rounds", type=int, default=2, help="timings of each, in turn (default: 2)")
    parser.add_argument("--batch-tokens", type=int, default=4096, help="primum's token budget (default: 4096)")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8], help="lm-eval's, the best counts")
    parser.add_argument("--threads", type=int, help="of torch, for both (default: torch's own)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32, vocabulary {VOCABULARY}")
    print(f"{'task':34}{'model':>9}{'items':>6}{'choices':>8}{'context':>8}{'primum/s':>9}{'lm-eval/s':>10}"
          f"{'ratio':>7}{'by CPU':>7}{'batch':>6}{'MB':>6}{'MB lm-eval':>11}{'difference':>11}")  # fmt: skip
    results: list[Result] = []
    loaded: dict[str, Any] = {}
    tokenizer, found = cases(arguments.data, arguments.quick)
    for task, size, asked in found:
        if size not in loaded:
            loaded = {size: llama(size)}
        got = compare(
            task, size, loaded[size], tokenizer, asked, arguments.batch_tokens, arguments.batch_sizes,
            arguments.rounds,
        )  # fmt: skip
        results.append(got)
        print(f"{got.task:34}{got.model:>9}{got.items:6}{got.choices:8}{got.context:8}{got.primum:9.1f}{got.lm_eval:10.2f}"
              f"{got.ratio:6.1f}x{got.cpu_ratio:6.1f}x{got.batch_size:6}{got.primum_memory:6.0f}{got.lm_eval_memory:11.0f}"
              f"{got.difference:11.1e}", flush=True)  # fmt: skip
        if arguments.output:
            arguments.output.write_text(
                json.dumps([asdict(each) for each in results], indent=2) + "\n", encoding="utf-8"
            )
    wrong = [each.task for each in results if each.difference > 1e-3]
    slow = [each.task for each in results for name, least in LEAST.items() if arguments.quick
            if each.task.startswith(f"{name},") and each.cpu_ratio < least]  # fmt: skip
    for task in wrong:
        print(f"{task}: the log-likelihoods differ", file=sys.stderr)
    for task in slow:
        print(f"{task}: below the promised ratio", file=sys.stderr)
    return 1 if wrong or slow else 0


if __name__ == "__main__":
    raise SystemExit(main())
