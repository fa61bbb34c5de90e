"""``primum show``: who made an artifact, on what, of which commit, and who adopted it, in lines that people read."""

from __future__ import annotations

from typing import Any

from primum.audit.history import told_of_run

NOTE = {"key": "ab" * 32, "code": True, "modules": ["primum.train.sft"], "libraries": {"torch": "1.0 -> 2.0"}}
RUN: dict[str, Any] = {
    **{"user": "ann", "host": "node7", "machine": "x86_64", "cpus": 64, "python": "3.11.9", "slurm_job": "12"},
    **{"finished": "2026-01-02T03:04:05Z", "seconds": 1234.5, "gpus": ["NVIDIA H100", "NVIDIA H100"]},
    **{"driver": "550.54", "cuda": "12.8", "container": "primum.sif", "commit": "c" * 40, "clean": False},
    **{"lock": {"file": "envs/gpu.lock", "sha256": "d" * 64}, "command": "snakemake all", "cost": {"gpu_hours": 2}},
    "modules": {"primum.errors": "e" * 64, "primum.train.sft": "f" * 64},
    "input_keys": {"model": ["1" * 64], "packed": ["2" * 64, "3" * 64]},
    "adopted": [{**NOTE, "by": "ben", "at": "2026-02-03T00:00:00Z", "why": "a log line\x1b[2J\nmore"}],
}


def test_all_facts_are_said_once() -> None:
    told = list(told_of_run(RUN))
    assert told == [
        ("made", "by ann on node7 (x86_64, 64 CPUs, Python 3.11.9, Slurm job 12)"),
        ("finished", "2026-01-02T03:04:05Z, in 1,234.5 s"),
        ("gpus", "NVIDIA H100, NVIDIA H100; driver 550.54; CUDA 12.8"),
        ("image", "primum.sif"),
        ("commit", f"{'c' * 40}, with changes"),
        ("lock", f"envs/gpu.lock, sha256 {'d' * 64}"),
        ("command", "snakemake all"),
        (
            "adopted",
            "2026-02-03T00:00:00Z by ben: a log line\\x1b[2J\\nmore (made as abababababab; differs in code of "
            "primum.train.sft; torch 1.0 -> 2.0)",
        ),
        ("modules", "primum.errors=eeeeeeeeeeee, primum.train.sft=ffffffffffff"),
        ("keys", "model=111111111111, packed=222222222222+333333333333"),
        ("run", '{"cost": {"gpu_hours": 2}}'),
    ]


def test_what_an_older_manifest_lacks_has_no_line() -> None:
    assert list(told_of_run({})) == []
    old = {"user": "ann", "host": "h", "gpus": [], "driver": "", "commit": "", "clean": None, "lock": {}}
    assert list(told_of_run(old)) == [("made", "by ann on h")]
