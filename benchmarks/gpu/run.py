"""Training and scoring on one GPU, primum beside TRL and lm-eval: every case a process of its own, in under eight minutes.

    PYTHONPATH=src python benchmarks/gpu/run.py --output FOLDER
    PYTHONPATH=src python benchmarks/gpu/run.py --output FOLDER --tiny     # every line a CPU can run, to try it

The most important cases come first; what the time does not reach is named as skipped. ``FOLDER`` gets ``rows.jsonl`` (a line a
row, written as it comes), ``table.md`` and ``log.txt`` (what the processes printed).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from cases import CASES, Case

# Seconds: no case is begun with less left, and none may take longer to import (a machine's first import reads the disk).
LEAST, IMPORTS = 12.0, 150.0


class Worker:
    """A process that has imported everything, or is about to, and waits for a case; it has not touched the GPU."""

    def __init__(self) -> None:
        self.log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, str(Path(__file__).with_name("worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            start_new_session=True,
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None  # noqa: S101
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def line(self, until: float) -> dict[str, Any] | None:
        """The next row, None at the end. TimeoutError when there is none by then (monotonic seconds)."""
        try:
            line = self.lines.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        row: dict[str, Any] | None = json.loads(line) if line else None
        return row

    def end(self) -> str:
        """Kill what is left of it; what it printed to standard error."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.seek(0)
        return self.log.read()


def served(worker: Worker, case: Case, tiny: bool, deadline: float) -> Any:
    """The rows of a case, and one that says so if it failed or took too long."""
    try:
        if worker.line(min(deadline, time.monotonic() + IMPORTS)) is None:
            yield {"status": "failed", "error": "it ended while it imported: see log.txt"}
            return
        asked = {"kind": case.kind, "tiny": tiny, "arguments": case.tiny if tiny and case.tiny else case.arguments}
        assert worker.process.stdin is not None  # noqa: S101
        worker.process.stdin.write(json.dumps(asked) + "\n")
        worker.process.stdin.flush()
        until = min(deadline, time.monotonic() + (600 if tiny else case.limit))
        failed = some = False
        while (row := worker.line(until)) is not None:
            some, failed = True, row["status"] == "failed"
            yield row
        code = worker.process.wait(10)
        if not some or (code and not failed):
            yield {"status": "failed", "error": f"it ended with {code}: see log.txt"}
    except TimeoutError:
        yield {"status": "too slow", "error": f"stopped at its limit of {case.limit} s, or at the end of the time"}
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        yield {"status": "failed", "error": f"{type(error).__name__}: {error}"}


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "" if value is None else str(value)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown, a table for each kind of case; what failed or was skipped has its reason."""
    shown = {
        "training": (
            "tokens_per_s",
            "pairs_per_s",
            "mfu",
            "mfu_chunk",
            "peak_gb",
            "step_s",
            "tokens_per_step",
            "steps",
        ),
        "scoring": (
            "items_per_s",
            "primum_sdpa_is_faster",
            "context",
            "difference",
            "agree",
            "error_float32",
            "peak_gb",
        ),
        "resets": ("samples", "moved", "moved_without_mask", "against_sdpa", "grouped_heads"),
    }
    kinds = {"score": "scoring", "resets": "resets"}
    text = [f"- {key}: {_number(value)}" for row in rows if row["kind"] == "about" for key, value in row.items()]
    for name, columns in shown.items():
        text += ["", "| case | status | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
        for row in rows:
            if row["kind"] != "about" and kinds.get(row["kind"], "training") == name:
                what = f"{row['case']}: {row['part']}" if row.get("part") else row["case"]
                state = row["status"] if row["status"] == "done" else f"{row['status']}: {row.get('error', '')[:90]}"
                text.append(f"| {what} | {state} | " + " | ".join(_number(row.get(each)) for each in columns) + " |")
    return "\n".join(text) + "\n"


def main() -> int:
    """Run the cases in order; 1 if primum's own first row is not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of rows.jsonl, table.md and log.txt")
    parser.add_argument(
        "--seconds", type=float, default=420, help="no case begins or goes on after them (default: 420)"
    )
    parser.add_argument("--tiny", action="store_true", help="a tiny model and few rows, for a CPU")
    parser.add_argument("--only", nargs="+", help="only cases whose name contains one of these")
    arguments = parser.parse_args()
    deadline = time.monotonic() + arguments.seconds
    arguments.output.mkdir(parents=True, exist_ok=True)
    wanted = [case for case in CASES if not arguments.only or any(part in case.name for part in arguments.only)]
    rows: list[dict[str, Any]] = []
    with (
        (arguments.output / "rows.jsonl").open("w", encoding="utf-8") as lines,
        (arguments.output / "log.txt").open("w", encoding="utf-8") as log,
    ):
        spare = Worker()
        try:
            for number, case in enumerate(wanted):
                if deadline - time.monotonic() < LEAST:
                    add(rows, lines, arguments.output, case, {"status": "skipped", "error": "no time was left"})
                    continue
                worker, last = spare, number + 1 == len(wanted)
                # The next one imports while this one works.
                spare = Worker() if not last else worker
                for row in served(worker, case, arguments.tiny, deadline):
                    add(rows, lines, arguments.output, case, row)
                said = worker.end()
                log.write(f"== {case.name}\n{said[-20000:]}\n")
                log.flush()
        finally:
            spare.end()
    print((arguments.output / "table.md").read_text(encoding="utf-8"))
    first = [row for row in rows if row["kind"] == "primum_sft"][:1]
    return 0 if first and first[0]["status"] == "done" else 1


def add(rows: list[dict[str, Any]], lines: TextIO, output: Path, case: Case, row: dict[str, Any]) -> None:
    """Keep a row, on the disk too, whatever becomes of the rest."""
    row = {"case": case.name, "kind": case.kind, **row}
    rows.append(row)
    lines.write(json.dumps(row) + "\n")
    lines.flush()
    (output / "table.md").write_text(table(rows), encoding="utf-8")
    brief = {
        key: row[key] for key in ("tokens_per_s", "pairs_per_s", "items_per_s", "mfu", "moved", "error") if key in row
    }
    print(f"[{time.strftime('%H:%M:%S')}] {case.name}: {row.get('part', '')} {row['status']} {brief}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
