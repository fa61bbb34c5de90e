"""Items per second of primum's log-likelihoods and of lm-eval's ``hf`` backend: the same model object, requests and threads.

    PYTHONPATH=src python benchmarks/score_speed.py --data ../shared/data --output speed.json

Both get token ids, so no tokenisation is timed. lm-eval runs at each of its batch sizes and its best counts. The two are
timed in turn, and the quickest round of each is compared. The ratio of CPU times, which what else the machine does hardly
changes, is the one that --quick looks at.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from primum.choices import render_choice
from primum.curate.adapters import RawFile, read
from primum.experiment.types import CHOICE_PROMPT, Dataset
from primum.rows import ChoiceRow
from primum.score.loglikelihood import loglikelihoods
from primum.score.rows import Packed

ROOT = Path(__file__).parents[1]
VOCABULARY = 32_000
# How most harnesses ask: the choices stand in the context too.
LISTED = (
    "Question: {{ question }}\nChoices:\n"
    "{% for choice in choices %}{{ letters[loop.index0] }}. {{ choice }}\n{% endfor %}Answer:"
)
# name: width, feed-forward width, layers
SIZES = {"23M": (256, 704, 8), "35M": (384, 1024, 6), "70M": (512, 1408, 12)}
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


def rows(name: str, data: Path | None, take: int) -> list[ChoiceRow]:
    """The first rows of a benchmark: its published files under ``data``, or else the demo's in the same format."""
    catalog = "datasets" if data and (data / "medmcqa-dev").is_dir() else "demo-datasets"
    entries = yaml.safe_load((ROOT / "config/catalog" / f"{catalog}.yaml").read_text(encoding="utf-8"))["datasets"]
    key = name if catalog == "datasets" else f"demo-{name}"
    dataset = Dataset.model_validate(entries[key])
    folder = data if catalog == "datasets" and data else ROOT
    files = [RawFile(folder / file.path, file.path) for file in dataset.files]
    found = [row for row in read(dataset.adapter, files, name, dataset.options) if isinstance(row, ChoiceRow)]
    return found[:take]


def tokenizer_of(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE learnt from the benchmark itself; the model's vocabulary is larger all the same."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "</s>", "<pad>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=8000, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>")  # noqa: S106


def requests(
    asked: Sequence[ChoiceRow],
    examples: Sequence[ChoiceRow],
    scoring: str,
    prompt: str,
    encode: Callable[[str], list[int]],
) -> list[Packed]:
    """Every row as token ids: the examples with their answers, the question, and a continuation for each choice."""

    def choices(row: ChoiceRow) -> list[str]:
        return [f" {'ABCDEFGHIJ'[i] if scoring == 'letter' else choice}" for i, choice in enumerate(row.choices)]

    shots = "".join(f"{render_choice(prompt, row)}{choices(row)[row.target]}\n\n" for row in examples)
    result = []
    for row in asked:
        context = encode(f"<s>{shots}{render_choice(prompt, row)}")
        result.append((context, [encode(choice) for choice in choices(row)]))
    return result


def llama(size: str) -> Any:
    """A Llama of random weights, drawn wide enough that its answers differ."""
    width, inner, layers = SIZES[size]
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 64,
        max_position_embeddings=4096,
        initializer_range=0.05,
    )
    return LlamaForCausalLM(config).eval()


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

    def ours() -> list[float]:
        found = loglikelihoods(model, asked, tokenizer.pad_token_id, batch_tokens, lambda done, tokens: None)
        return [value for sums in found for value in sums]

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


def cases(arguments: argparse.Namespace) -> list[tuple[str, str, list[Packed]]]:
    """(task, model size, requests). The first three are the targets; the others vary one thing each."""
    draw = random.Random(0)
    medmcqa, medqa = (rows(name, arguments.data, 2000) for name in ("medmcqa-dev", "medqa-test"))
    texts = [render_choice(LISTED, row) for row in (*medmcqa, *medqa)]
    tokenizer = arguments.tokenizer = tokenizer_of(texts)

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def sample(
        found: list[ChoiceRow], take: int, shots: int = 0, scoring: str = "full_answer", prompt: str = LISTED
    ) -> list[Packed]:
        drawn = random.Random(1).sample(found, min(len(found), take + shots))
        return requests(drawn[shots:], drawn[:shots], scoring, prompt, encode)

    few, many = 8, 24
    base = "23M"
    result = [
        ("zero-shot, MedMCQA", base, sample(medmcqa, many)),
        ("five-shot, MedMCQA", base, sample(medmcqa, few, 5)),
    ]
    if arguments.quick:
        return result
    result += [
        ("zero-shot letter, MedMCQA", base, sample(medmcqa, many, scoring="letter")),
        ("five-shot letter, MedMCQA", base, sample(medmcqa, few, 5, scoring="letter")),
        ("zero-shot, choices not listed", base, sample(medmcqa, many, prompt=CHOICE_PROMPT)),
        ("zero-shot, MedQA", base, sample(medqa, few)),
        ("five-shot, MedQA", base, sample(medqa, few // 2, 5)),
    ]
    result += [(f"zero-shot, {name}", name, sample(medmcqa, few)) for name in SIZES if name != base]

    def invented(context: int, choices: int) -> list[Packed]:
        def tokens(number: int) -> list[int]:
            return [draw.randrange(300, VOCABULARY) for _ in range(number)]

        return [(tokens(context), [tokens(draw.randint(2, 8)) for _ in range(choices)]) for _ in range(few // 2)]

    result += [(f"{length} tokens of context", base, invented(length, 4)) for length in (32, 128, 512)]
    return result + [(f"{number} choices", base, invented(128, number)) for number in (2, 10)]


def main() -> int:
    """Print the table; with --quick, fail below what primum promises."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the published files; without it, the demo's data")
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
    print(f"{'task':30}{'model':>6}{'items':>6}{'choices':>8}{'context':>8}{'primum/s':>9}{'lm-eval/s':>10}"
          f"{'ratio':>7}{'by CPU':>7}{'batch':>6}{'MB':>6}{'MB lm-eval':>11}{'difference':>11}")  # fmt: skip
    results: list[Result] = []
    loaded: dict[str, Any] = {}
    for task, size, asked in cases(arguments):
        if size not in loaded:
            loaded = {size: llama(size)}
        got = compare(
            task, size, loaded[size], arguments.tokenizer, asked, arguments.batch_tokens, arguments.batch_sizes,
            arguments.rounds,
        )  # fmt: skip
        results.append(got)
        print(f"{got.task:30}{got.model:>6}{got.items:6}{got.choices:8}{got.context:8}{got.primum:9.1f}{got.lm_eval:10.2f}"
              f"{got.ratio:6.1f}x{got.cpu_ratio:6.1f}x{got.batch_size:6}{got.primum_memory:6.0f}{got.lm_eval_memory:11.0f}"
              f"{got.difference:11.1e}", flush=True)  # fmt: skip
    if arguments.output:
        arguments.output.write_text(json.dumps([asdict(each) for each in results], indent=2) + "\n", encoding="utf-8")
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
