"""A project whose experiment reads a hub: a dataset and a model that are not pinned, one of each that are, and a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from hub_server import Hub
from shipped import ROOT

CHAT = {"data/train-0.json": b'[{"instruction": "What is gout?", "input": "", "output": "Crystals."}]' * 1}
CHAT |= {"data/train-1.json": CHAT["data/train-0.json"].replace(b"gout", b"a rash"), "README.md": b"# chat\n"}
MODEL = {
    "config.json": b"{}",
    "model-00001-of-00002.safetensors": b"\1" * 3_000_000,
    "model-00002-of-00002.safetensors": b"\2" * 1000,
    "model.safetensors.index.json": b"{}",
    "consolidated.safetensors": b"\3" * 5000,
    "pytorch_model.bin": b"pickled",
    "tokenizer.model": b"pieces",
    "onnx/config.json": b"{}",
}
READ = sorted(set(MODEL) - {"consolidated.safetensors", "pytorch_model.bin", "onnx/config.json"})
EXAM = b'{"question": "Which?"}\n'


def fill(hub: Hub) -> dict[str, str]:
    """The repositories that the experiment names; their commits."""
    return {
        "chat": hub.push("dataset", "org/chat", CHAT),
        "pinned-chat": hub.push("dataset", "org/pinned-chat", CHAT, license="cc-by-4.0"),
        "base": hub.push("model", "org/base", MODEL, gated=True),
        "judge": hub.push("model", "org/chat", MODEL),  # a dataset has the same id
    }


def document(commits: dict[str, str]) -> dict[str, Any]:
    """An experiment that trains on both datasets from a model that is not pinned, and asks one that is."""
    instructions = {"adapter": "instruction", "files": [{"path": "data/train-*.json"}]}
    training = {"learning_rate": 0.001, "batch": 2, "steps": 4}
    return {
        "name": "of-a-hub",
        "datasets": {
            "chat": {**instructions, "hub": "org/chat", "revision": "unknown"},
            "same-chat": {"adapter": "instruction", "files": [{"path": "data/train-1.json"}]}
            | {"hub": "org/chat", "revision": "unknown"},
            "pinned-chat": {**instructions, "hub": "org/pinned-chat", "revision": commits["pinned-chat"]},
            "unused": {**instructions, "hub": "org/gone", "revision": "unknown"},
            "exam": {"adapter": "usmle", "files": [{"path": "exam/step1.json"}]},
        },
        "mixtures": {
            "chats": {"sources": {name: {"dataset": name} for name in ("chat", "same-chat", "pinned-chat")}},
        },
        "models": {
            "base": {"hub": "org/base", "revision": "unknown"},
            "judge": {"hub": "org/chat", "revision": commits["judge"], "engine": {"kind": "transformers"}},
            "sft": {"train": "sft", "from": "base", "data": "chats", "optimization": training},
        },
        "benchmarks": {"exam": {"dataset": "exam"}},
        "evaluate": {"models": ["sft", "judge"], "benchmarks": ["exam"]},
    }


def write(root: Path, experiment: dict[str, Any]) -> Path:
    """A project at ``root`` with the experiment, its file, and the shipped locks of Python packages."""
    (root / "config/experiments").mkdir(parents=True, exist_ok=True)
    (root / "Snakefile").touch()
    shutil.copytree(ROOT / "envs", root / "envs", dirs_exist_ok=True)
    (root / "config/experiments/of-a-hub.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
    (root / "exam").mkdir(exist_ok=True)
    (root / "exam/step1.json").write_bytes(EXAM)
    return root


def locked(root: Path) -> dict[str, Any]:
    """The repositories of the lock, as plain JSON."""
    repositories: dict[str, Any] = json.loads((root / "config/hub.lock.json").read_text())["repositories"]
    return repositories
