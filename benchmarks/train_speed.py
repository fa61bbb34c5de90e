"""Training on a CPU beside TRL, in one run: tokens a second of SFT and DPO, and the memory of each.

    python benchmarks/train_speed.py --output results/train_speed.json

The same rows (of about 35 tokens), Llama (a million random weights) and settings for all: float32, one thread, AdamW, about 3,072
tokens a step. Every case is a process of its own; they take turns, and each case's quickest round counts. Seconds are of CPU
time, which what else the machine does hardly changes. The cases are those of benchmarks/gpu.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

# Tokens a step are the same; TRL's padded rows are as many as come to them.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "SFT, primum": ("primum_sft", {"batch": 6, "micro_batch": 6, "dtype": "float32", "attention": "sdpa"}),
    "SFT, TRL packed": ("trl_sft", {"settings": {"packing": True, "per_device_train_batch_size": 6}}),
    "SFT, TRL padded": ("trl_sft", {"settings": {"per_device_train_batch_size": 88}}),
    "DPO, primum": ("primum_dpo", {"dtype": "float32"}),
    "DPO, TRL live reference": ("trl_dpo", {}),
}
TRL = {"bf16": False, "gradient_checkpointing": False, "use_cpu": True}


def serve(kind: str, change: dict[str, Any], steps: int) -> None:
    """One case in this process: its rows go to standard output."""
    sys.path.insert(0, str(Path(__file__).with_name("gpu")))
    import shapes
    import torch
    import training

    torch.set_num_threads(1)
    if kind.startswith("trl"):
        change = change | {"settings": TRL | change.get("settings", {})}
    shape = shapes.Shape(hidden=128, inner=384, layers=4, heads=4, kv_heads=4, vocabulary=1024, chunk=512)
    for row in getattr(training, kind)(shape, steps, change):
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(json.dumps({name: row[name] for name in row if name != "losses"} | {"memory_mb": memory}), flush=True)


def measured(name: str, steps: int) -> dict[str, Any]:
    """The training row of a case, in a fresh process."""
    kind, change = CASES[name]
    asked = json.dumps({"kind": kind, "change": change, "steps": steps})
    done = subprocess.run(  # noqa: S603
        [sys.executable, __file__, "--serve", asked],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]
    found: dict[str, Any] = rows[-1]
    return found


def main() -> None:
    """Run every case in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30, help="timed steps of each case (default: 30)")
    parser.add_argument("--rounds", type=int, default=2, help="how often each case is run (default: 2)")
    parser.add_argument("--output", type=Path, help="also write the rows here, as JSON")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(**json.loads(given.serve))
        return
    best: dict[str, dict[str, Any]] = {}
    for turn in range(given.rounds):
        for name in CASES:
            row = measured(name, given.steps)
            print(f"round {turn + 1}: {name}: {row['tokens_per_cpu_s']:,.0f} tokens/s", flush=True)
            if name not in best or row["tokens_per_cpu_s"] > best[name]["tokens_per_cpu_s"]:
                best[name] = row
    print("\n| case | tokens/s by CPU time | primum is faster | memory, MB |\n|---|---|---|---|")
    for name, row in best.items():
        own = best[f"{name.partition(',')[0]}, primum"]["tokens_per_cpu_s"]
        faster = "" if name.endswith("primum") else f"{own / row['tokens_per_cpu_s']:.1f}"
        print(f"| {name} | {row['tokens_per_cpu_s']:,.0f} | {faster} | {row['memory_mb']:,.0f} |")
    if given.output:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(best, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
