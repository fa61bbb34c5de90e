"""How much of an endpoint's allowance is used, what becomes of 10,000 requests among every fault, and what the journal costs.

    python benchmarks/endpoint.py --output endpoint.json            # all of it, eleven minutes
    python benchmarks/endpoint.py --only faults --items 2000

The endpoint is a server on this machine, in a process of its own, which answers after 50 ms. ``allowance`` is the time in which
its limiter would have let all requests in at best, over the time they took. Exit 1 where that is below 0.95 with a limiter that
says what is left or how long to wait, or where a request ends without a status.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from primum.engine.endpoint import Endpoint
from primum.engine.openai_engine import OpenAIEngine
from primum.engine.protocol import Response
from primum.experiment.types import Sampling
from primum.progress import Progress
from primum.text.rows import Message

LEAST = 0.95
SECONDS = 0.05
FAULTS = ("429", "429-after-1s", "500", "reset", "cut-json", "null", "error-in-200", "filter", "redirect", "trickle")
Headers = dict[str, str]


@dataclass
class Limit:
    """``rate`` a second: in windows of ``seconds``, or by a bucket that holds as many as come in that time. It tells ``says``."""

    kind: str
    rate: float
    seconds: float
    says: str
    level: float = 0.0
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.level = self.rate * self.seconds

    def room(self) -> tuple[bool, Headers]:
        now, full = time.monotonic(), self.rate * self.seconds
        if self.kind == "bucket":
            self.level, self.at = min(full, self.level + self.rate * (now - self.at)), now
            until_one, until_all = max(0.0, (1 - self.level) / self.rate), (full - self.level) / self.rate
        else:
            if now - self.at >= self.seconds:
                self.level, self.at = full, self.at + (now - self.at) // self.seconds * self.seconds
            until_one = until_all = self.at + self.seconds - now
        let_in = self.level >= 1
        self.level -= let_in
        if self.says == "what is left":
            left = {
                "x-ratelimit-remaining-requests": str(int(self.level)),
                "x-ratelimit-reset-requests": f"{until_all:.3f}s",
            }
            return let_in, left
        if let_in or self.says == "nothing":
            return let_in, {}
        return let_in, {"retry-after-ms": str(int(until_one * 1000) + 1)}

    def best(self, requests: int) -> float:
        """The seconds until this many are let in, if they are asked at once."""
        full = self.rate * self.seconds
        return (
            max(0.0, (requests - full) / self.rate) if self.kind == "bucket" else (requests - 1) // full * self.seconds
        )


def serve(pipe: Connection, limit: Limit | None, faults: float) -> None:
    """A chat completion server until the pipe is closed; sends its port first."""
    r, faulty = random.Random(1), Counter[str]()

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(status: int, body: bytes, headers: Headers | None = None) -> None:
            lines = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            writer.write(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body)

        while head := await reader.readuntil(b"\r\n\r\n"):
            (size,) = (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            asked = json.loads(await reader.readexactly(size))["messages"][-1]["content"]
            let_in, headers = limit.room() if limit else (True, {})
            fault = r.choice(FAULTS) if r.random() < faults else ""
            faulty[fault] += 1
            await asyncio.sleep(SECONDS)
            if not let_in:
                send(429, b'{"error": {"code": "rate_limit_exceeded"}}', headers)
            elif fault == "reset":
                writer.transport.abort()
                return
            elif fault == "trickle":
                body = answer(asked)
                writer.write(b"HTTP/1.1 200 X\r\ncontent-length: %d\r\n\r\n" % len(body))
                for start in range(0, len(body), 40):
                    writer.write(body[start : start + 40])
                    await asyncio.sleep(0.05)
            else:
                status, body, more = broken(fault, asked)
                send(status, body, {**headers, **more})
            await writer.drain()

    async def main() -> None:
        server = await asyncio.start_server(reply, "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)
        pipe.send(dict(faulty))

    # Connections that the other end leaves are not worth a word.
    sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    asyncio.run(main())


def answer(asked: str, finish: str = "stop", text: str | None = "") -> bytes:
    """A chat completion."""
    content = f"answer to {asked}" if text == "" else text
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 5}}).encode()


def broken(fault: str, asked: str) -> tuple[int, bytes, Headers]:
    """Status, body and headers with a fault."""
    limited = b'{"error": {"code": "rate_limit_exceeded"}}'
    return {
        "": (200, answer(asked), {}),
        "429": (429, limited, {}),
        "429-after-1s": (429, limited, {"retry-after": "1"}),
        "500": (500, b"<html>oops</html>", {}),
        "cut-json": (200, answer(asked)[:60], {}),
        "null": (200, answer(asked, text=None), {}),
        "error-in-200": (200, b'{"error": {"code": "overloaded"}}', {}),
        "filter": (200, answer(asked, finish="content_filter"), {}),
        "redirect": (307, b"", {"location": "http://127.0.0.1:9/elsewhere"}),
    }[fault]


@dataclass(frozen=True)
class Ran:
    """What came of it; ``journal`` counts its lines, ``served`` the requests by fault."""

    seconds: float
    responses: list[Response]
    journal: int
    served: dict[str, int]


def ask(items: int, concurrency: int, limit: Limit | None = None, faults: float = 0.0) -> Ran:
    """Ask so many requests of a new server."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(theirs, limit, faults), daemon=True)
    process.start()
    os.environ["BENCHMARK_KEY"] = "none"
    endpoint = Endpoint("m", f"http://127.0.0.1:{ours.recv()}/v1", "BENCHMARK_KEY")
    with tempfile.TemporaryDirectory() as folder:
        engine = OpenAIEngine(endpoint, concurrency, Path(folder), Progress("endpoint", silent=True))
        asked = [[Message("user", f"item {number}")] for number in range(items)]
        started = time.monotonic()
        responses = engine.chat(asked, Sampling(), 0, lambda done, tokens: None)
        seconds = time.monotonic() - started
        journal = len((Path(folder) / "journal.jsonl").read_bytes().splitlines())
    ours.send(None)
    served: dict[str, int] = ours.recv()
    process.join()
    return Ran(seconds, responses, journal, served)


def allowance(_: int) -> list[dict[str, Any]]:
    """Limits of each kind, each with all that it may say."""
    rows = []
    for kind, rate, seconds, requests in (("window", 20, 30, 1201), ("bucket", 40, 5, 1400)):
        for says in ("what is left", "how long", "nothing"):
            limit = Limit(kind, rate, seconds, says)
            best, ran = limit.best(requests), ask(requests, 64, limit)
            used = round((best + SECONDS) / ran.seconds, 3)
            refused = sum(ran.served.values()) - requests
            rows.append(
                {**asdict(limit), "requests": requests, "seconds": ran.seconds, "allowance": used, "refused": refused}
            )
            rows[-1].pop("level"), rows[-1].pop("at")
            holds = all(response.status == "stop" for response in ran.responses) and (
                says == "nothing" or used >= LEAST
            )
            rows[-1]["holds"] = holds
            print(
                f"{kind:7s} {rate} a second, {seconds} s, says {says:13s} {used:6.3f}  {refused} refused  {holds}",
                flush=True,
            )
    return rows


def faults(items: int) -> list[dict[str, Any]]:
    """Every fault, 5% in all."""
    ran = ask(items, 64, faults=0.05)
    found = Counter(f"{response.status} {response.error}".strip() for response in ran.responses)
    failed = sum(count for name, count in found.items() if name.startswith("error") and "content-filter" not in name)
    holds = len(ran.responses) == items and ran.journal == items - failed
    print(
        f"{items} items, {ran.seconds:.0f} s: {dict(found)}; journal {ran.journal}; {holds}\n  {ran.served}", flush=True
    )
    return [{"items": items, "seconds": ran.seconds, "statuses": found, "served": ran.served, "holds": holds}]


def journal(items: int) -> list[dict[str, Any]]:
    """The rate with a disk that takes 0, 5 and 25 ms to sync."""
    rows, real = [], os.fsync
    for milliseconds in (0, 5, 25):

        def slow(handle: int, wait: float = milliseconds / 1000) -> None:
            time.sleep(wait)
            real(handle)

        os.fsync = slow  # type: ignore[assignment]
        ran = ask(items, 64)
        os.fsync = real
        rows.append(
            {"fsync_ms": milliseconds, "items": items, "rate": items / ran.seconds, "holds": ran.journal == items}
        )
        print(f"sync of {milliseconds} ms: {items / ran.seconds:.0f} a second", flush=True)
    return rows


def main() -> int:
    """Measure; 1 where what is promised does not hold."""
    parts: dict[str, Callable[[int], list[dict[str, Any]]]] = {
        "allowance": allowance,
        "faults": faults,
        "journal": journal,
    }
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--only", choices=parts)
    arguments.add_argument("--items", type=int, help="requests among faults (10,000), and for the journal (3,000)")
    arguments.add_argument("--output", type=Path)
    given = arguments.parse_args()
    chosen = [given.only] if given.only else list(parts)
    found = {name: parts[name](given.items or {"faults": 10_000, "journal": 3_000}.get(name, 0)) for name in chosen}
    if given.output:
        given.output.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if all(row["holds"] for rows in found.values() for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
