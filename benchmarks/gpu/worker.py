"""One case of the GPU benchmark in a process of its own: it imports, waits for its case, and prints a JSON line a row."""

from __future__ import annotations

import inspect
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

# Rows alone go to standard output, whatever a library prints.
_rows = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)
for _name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
    os.environ[_name] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import resets  # noqa: E402
import scoring  # noqa: E402
import shapes  # noqa: E402
import torch  # noqa: E402
import training  # noqa: E402

from primum.train import attention  # noqa: E402


def about(shape: shapes.Shape) -> Iterator[dict[str, Any]]:
    """The machine, the versions, the model's size, and what a large bfloat16 product reaches here."""
    names = (
        "torch",
        "transformers",
        "trl",
        "accelerate",
        "datasets",
        "triton",
        "lm_eval",
        "liger_kernel",
        "flash_attn",
    )
    row: dict[str, Any] = {"python": sys.version.split()[0], "cpus": os.cpu_count()}
    for name in names:
        try:
            row[name] = version(name)
        except PackageNotFoundError:
            row[name] = None
    cuda = torch.cuda.is_available()
    row["card"] = torch.cuda.get_device_name() if cuda else "none"
    row["memory_gb"] = torch.cuda.get_device_properties(0).total_memory / 1e9 if cuda else None
    size = 8192 if cuda else 256
    left, right = (torch.randn(size, size, device=shapes.DEVICE, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(13):
        if cuda:
            torch.cuda.synchronize()
        began = time.perf_counter()
        left @ right
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    row["matmul_tflops"] = 2 * size**3 / sorted(seconds[3:])[5] / 1e12
    row["parameters"] = shapes.llama(shape).num_parameters()
    yield row


KINDS: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {
    "about": about,
    "primum_sft": training.primum_sft,
    "trl_sft": training.trl_sft,
    "primum_dpo": training.primum_dpo,
    "trl_dpo": training.trl_dpo,
    "score": scoring.compare,
    "resets": lambda shape, kernel: iter([resets.resets(shape, kernel)]),
}


def _alone() -> dict[str, str]:
    """What torchrun tells a process that trains alone, as primum launches one that computes in bfloat16."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "benchmark"}
    return found | {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}


def _older_torch() -> None:
    """Before it had ``enable_gqa`` the variable-length kernel took keys of as many heads as queries have."""
    from torch.nn.attention.varlen import varlen_attn

    if "enable_gqa" in inspect.signature(varlen_attn).parameters:
        return

    def on_gpu(q: Any, k: Any, v: Any, bounds: Any, longest: int, scale: float) -> Any:
        k, v = (each.repeat_interleave(q.shape[1] // each.shape[1], 1) for each in (k, v))
        q, k, v = (each.to(torch.bfloat16).contiguous() for each in (q, k, v))
        return varlen_attn(q, k, v, bounds, bounds, longest, longest, scale=scale, window_size=(-1, 0))

    attention._on_gpu = on_gpu


def _say(row: dict[str, Any]) -> None:
    print(json.dumps(row), file=_rows, flush=True)


def main() -> int:
    """Serve the one case that standard input names: ``{"kind", "tiny", "arguments"}``."""
    _say({"ready": True})
    line = sys.stdin.readline()
    if not line:
        return 0
    case = json.loads(line)
    shape = shapes.TINY if case["tiny"] else shapes.FULL
    _older_torch()
    if case["kind"].startswith("primum"):
        os.environ.update(_alone())
    began = time.perf_counter()
    try:
        for row in KINDS[case["kind"]](shape, **case["arguments"]):
            memory = {}
            if torch.cuda.is_available():
                memory["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
                memory["reserved_gb"] = torch.cuda.max_memory_reserved() / 1e9
            _say({"status": "done", **memory, **row, "case_s": time.perf_counter() - began})
    except Exception as error:  # every failure is a row
        traceback.print_exc()
        _say({"status": "failed", "error": f"{type(error).__name__}: {error}"[:500]})
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    # Nothing is left to tidy, and a device's teardown must not hang a process whose rows are out.
    sys.stderr.flush()
    os._exit(code)
