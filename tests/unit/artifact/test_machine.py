"""What a manifest says of the machine: GPUs as a job sees them, the container, and the lock that pins its libraries."""

from __future__ import annotations

import hashlib
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from primum.artifact.invocation import CLONE
from primum.artifact.machine import container, gpus, lock_of, machine, user_name, visible_gpus

# As nvidia-smi 550 prints it.
TWO = """0, GPU-aaaa1111-0000, 550.54.15, NVIDIA H100 80GB HBM3
1, GPU-bbbb2222-0000, 550.54.15, NVIDIA A100-SXM4, 40GB
"""
H100, A100 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4, 40GB"


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, [H100, A100]),
        ("1", [A100]),
        ("1,0", [A100, H100]),
        ("GPU-bbbb", [A100]),
        ("0,7,1", [H100]),
        ("-1", []),
    ],
)
def test_gpus_are_those_that_cuda_shows(visible: str | None, names: list[str]) -> None:
    assert visible_gpus(TWO, visible) == (names, "550.54.15" if names else "")


def test_who_it_is_has_a_name_or_is_said_to_be_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert user_name() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # as in a container without an entry for the user
    assert user_name() == f"uid {os.getuid()}"
    monkeypatch.setenv("USER", "ann")
    assert user_name() == "ann"


def test_a_part_of_a_gpu_and_no_answer() -> None:
    assert visible_gpus(TWO.splitlines()[0], "MIG-1234") == ([H100], "550.54.15")
    assert visible_gpus("No devices were found\n", None) == ([], "")


def test_nobody_asks_where_no_gpu_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(subprocess, "run", never)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    gpus.cache_clear()
    assert gpus() == ([], "")
    assert machine(["pyarrow"])["gpus"] == []
    gpus.cache_clear()


def test_a_machine_is_told_without_torch() -> None:
    """It would cost every job seconds, and memory on the GPU."""
    code = "import sys; from primum.artifact.machine import machine; m = machine(['torch']); print('torch' in sys.modules, *m)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    told, *names = done.stdout.split()
    assert told == "False"
    assert set(names) >= {"host", "user", "gpus", "driver", "cuda", "container", "lock", "slurm_job", "finished"}


def test_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        monkeypatch.delenv(name, raising=False)
    outside = container()
    monkeypatch.setenv("SINGULARITY_CONTAINER", "/images/old.sif")
    assert container() == "/images/old.sif"
    monkeypatch.setenv("APPTAINER_CONTAINER", "docker://primum:1")
    assert container() == "docker://primum:1"
    assert outside != container()


def test_the_lock_is_the_first_that_pins_all_libraries(tmp_path: Path) -> None:
    envs = tmp_path / "envs"
    envs.mkdir()
    assert lock_of(frozenset({"torch"}), envs) == {}
    (envs / "cpu.lock").write_text("torch==2.13.0\n    # via x\nPyArrow==26.0.1\n")
    (envs / "gpu.lock").write_text("torch==2.13.0\npyarrow==26.0.1\nvllm==0.32.0\n")

    def sha256(name: str) -> dict[str, str]:
        return {"file": f"envs/{name}", "sha256": hashlib.sha256((envs / name).read_bytes()).hexdigest()}

    lock_of.cache_clear()
    assert lock_of(frozenset({"torch", "pyarrow"}), envs) == sha256("cpu.lock")
    assert lock_of(frozenset({"torch", "vllm"}), envs) == sha256("gpu.lock")
    assert lock_of(frozenset(), envs) == sha256("cpu.lock")
    assert lock_of(frozenset({"lm-eval"}), envs) == {}
    assert machine(["lm-eval"])["lock"] == lock_of(frozenset({"lm-eval"}), CLONE / "envs") != {}
    lock_of.cache_clear()
