"""How an artifact came about, in words: by whom, when, on what, of which commit, and who adopted it and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from primum.artifact.invocation import CLEAN_WORDS
from primum.audit.adopt import differing

_SHOWN = frozenset(
    {"user", "host", "machine", "cpus", "python", "finished", "seconds", "slurm_job", "gpus", "driver", "cuda"}
    | {"container", "commit", "clean", "lock", "command", "adopted", "modules", "input_keys"}
)


def told_of_run(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, text) of each line about a manifest's ``run``. What was not recorded, or is empty, has no line."""
    where = f" on {run['host']}" if run.get("host") else ""
    details = [
        *([str(run["machine"])] if run.get("machine") else []),
        *([f"{run['cpus']} CPUs"] if run.get("cpus") else []),
        *([f"Python {run['python']}"] if run.get("python") else []),
        *([f"Slurm job {run['slurm_job']}"] if run.get("slurm_job") else []),
    ]
    if run.get("user") or where:
        yield (
            "made",
            _line(f"by {run.get('user', 'somebody')}{where}" + (f" ({', '.join(details)})" if details else "")),
        )
    if run.get("finished"):
        took = f", in {run['seconds']:,} s" if "seconds" in run else ""
        yield "finished", _line(f"{run['finished']}{took}")
    if run.get("gpus"):
        versions = [f"{name} {run[key]}" for key, name in (("driver", "driver"), ("cuda", "CUDA")) if run.get(key)]
        yield "gpus", _line("; ".join([", ".join(run["gpus"]), *versions]))
    if run.get("container"):
        yield "image", _line(run["container"])
    if run.get("commit"):
        yield "commit", _line(f"{run['commit']}{CLEAN_WORDS[run.get('clean')]}")
    if run.get("lock"):
        yield "lock", _line(f"{run['lock'].get('file')}, sha256 {run['lock'].get('sha256')}")
    if run.get("command"):
        yield "command", _line(run["command"])
    for note in run.get("adopted", ()):
        differs = differing(note)
        yield (
            "adopted",
            _line(
                f"{note['at']} by {note['by']}: {note['why']} (made as {note['key'][:12]}"
                + (f"; differs in {differs})" if differs else ")")
            ),
        )
    for name in ("modules", "input_keys"):
        if run.get(name):
            yield name.removeprefix("input_"), _digests(run[name])
    rest = {name: value for name, value in run.items() if name not in _SHOWN}
    if rest:
        yield "run", json.dumps(rest)


def _digests(found: Mapping[str, Any]) -> str:
    """``primum.errors=0123456789ab, ...``: the beginnings of hashes by name."""
    named = {name: each if isinstance(each, list) else [each] for name, each in found.items()}
    return _line(", ".join(f"{name}={'+'.join(str(hash_)[:12] for hash_ in each)}" for name, each in named.items()))


def _line(text: object) -> str:
    """On one line: what people wrote must not steer the terminal."""
    said = str(text)
    return said if said.isprintable() else said.encode("unicode_escape").decode()
