"""The SBOM: valid by its schema, as the lock has it, and the same bytes of the same lock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from shipped import ROOT

from primum.artifact.manifest import Manifest
from primum.cli import main
from primum.export.sbom import bom_text, read_lock, stated_licence

LOCK = "alpha==1.0\n    # via -r cpu.in\nnumpy==0.0.1\n    # via\n    #   -r cpu.in\n    #   alpha\n"


def artifact(content: str, item: dict[str, Any], files: dict[str, str]) -> Manifest:
    return Manifest("folder", "s", {"item": item, "libraries": {}}, {}, "k" * 64, content, {}, files=files)


def project(tmp_path: Path) -> Path:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/cpu.lock").write_text(LOCK)
    return tmp_path


def test_a_lock_says_who_needs_whom(tmp_path: Path) -> None:
    versions, needed = read_lock(project(tmp_path) / "envs/cpu.lock")
    assert versions == {"alpha": "1.0", "numpy": "0.0.1"}
    assert needed == {"alpha": ["-r cpu.in"], "numpy": ["-r cpu.in", "alpha"]}


def test_it_has_the_lock_and_what_the_run_was_made_of(tmp_path: Path) -> None:
    experiment = {
        "models": {
            "llama": {"hub": "meta/llama", "revision": "a" * 40, "license": "llama3"},
            "sft": {"train": "sft", "from": "llama", "data": "chat", "title": "Tuned"},
            "lost": {"train": "sft", "from": "llama", "data": "chat"},
        },
        "mixtures": {"chat": {"sources": {"one": {"dataset": "talks"}}}},
        "datasets": {"talks": {"hub": "org/talks", "revision": "b" * 40, "license": "cc-by-4.0"}, "unread": {}},
    }
    files = [{"path": "a.json", "hub": None, "revision": None, "url": None, "sha256": None}]
    manifests = {
        "models/llama": artifact("c1", {}, {"model.safetensors": "f" * 64}),
        "models/sft": artifact("c2", {}, {"model.safetensors": "e" * 64}),
        "data/raw/talks": artifact(
            "c3", {"files": files, "hub": "org/talks", "revision": "b" * 40}, {"a.json": "d" * 64}
        ),
    }
    text = bom_text(project(tmp_path), experiment, manifests)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    parts = {part["bom-ref"]: part for part in bom["components"]}
    assert set(parts) == {"pkg:pypi/alpha@1.0", "pkg:pypi/numpy@0.0.1", "model:llama", "model:sft", "data:talks"}
    assert parts["model:llama"]["purl"] == f"pkg:huggingface/meta/llama@{'a' * 40}"
    assert (parts["model:sft"]["type"], parts["model:sft"]["version"]) == ("machine-learning-model", "c2")
    assert {"name": "primum:sha256:model.safetensors", "value": "e" * 64} in parts["model:sft"]["properties"]
    assert parts["data:talks"]["licenses"] == [{"license": {"id": "CC-BY-4.0"}}]
    assert parts["data:talks"]["externalReferences"][0]["url"] == "https://huggingface.co/datasets/org/talks"
    # numpy is installed in another version: what that one says of its licence is not said of this one.
    assert "licenses" not in parts["pkg:pypi/numpy@0.0.1"]
    needs = {each["ref"]: each.get("dependsOn", []) for each in bom["dependencies"]}
    assert needs["primum"] == ["model:llama", "model:sft", "pkg:pypi/alpha@1.0", "pkg:pypi/numpy@0.0.1"]
    assert needs["pkg:pypi/alpha@1.0"] == ["pkg:pypi/numpy@0.0.1"]
    assert needs["model:sft"] == ["data:talks", "model:llama"]


def test_the_shipped_lock_makes_a_valid_one_and_the_same_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("one.json", "two.json"):
        main(["export", "--format", "sbom", "--output", str(tmp_path / name)])
    text = (tmp_path / "one.json").read_text()
    assert text == (tmp_path / "two.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    parts = {part["name"]: part for part in json.loads(text)["components"]}
    assert set(parts) == set(read_lock(ROOT / "envs/cpu.lock")[0])
    assert parts["snakemake"]["licenses"]
    with pytest.raises(SystemExit):
        main(["export", "--format", "sbom", "--output", str(tmp_path / "one.json")])


def test_a_licence_is_that_of_the_locked_version() -> None:
    pins = read_lock(ROOT / "envs/cpu.lock")[0]
    assert stated_licence("jinja2", pins["jinja2"])
    assert stated_licence("jinja2", "0.1") == ""
    assert stated_licence("no-such-package", "1.0") == ""
