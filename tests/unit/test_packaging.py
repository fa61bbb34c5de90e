"""What pyproject.toml says of the package: what it needs, and what a wheel of it holds."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from primum.dag.dag import STAGES
from primum.dag.versions import locked_versions

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = [Requirement(each) for each in PROJECT["dependencies"]]
EXTRAS = {name: [Requirement(each) for each in given] for name, given in PROJECT["optional-dependencies"].items()}


@pytest.mark.parametrize("requirement", [*CORE, *EXTRAS["gpu"]], ids=str)
def test_the_locks_satisfy_what_is_declared(requirement: Requirement) -> None:
    assert locked_versions(ROOT / "envs")[requirement.name] in requirement.specifier
    assert {each.operator for each in requirement.specifier} == {">=", "<"}


@pytest.mark.parametrize("extra", ["lm-eval", "export"])
def test_the_lock_of_the_tests_satisfies_extras(extra: str) -> None:
    pinned = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "envs/dev.lock").read_text(), re.MULTILINE))
    for requirement in EXTRAS[extra]:
        assert pinned[requirement.name] in requirement.specifier


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(cited)  # what the format's schema asks for
    assert (cited["version"], cited["license"]) == (PROJECT["version"], PROJECT["license"])
    released = f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert ("date-released" in cited) == released
    for work in cited["references"]:
        assert {"type", "title", "authors", "url"} <= set(work)


def test_all_that_is_imported_is_declared() -> None:
    imported = set()
    for path in (ROOT / "src/primum").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    imported -= {*sys.stdlib_module_names, "primum", "vllm"}
    providers = packages_distributions()
    needed = {canonicalize_name(providers[module][0]) for module in imported}
    assert {"pyyaml", "torch", "huggingface-hub"} <= needed
    assert needed <= {requirement.name for requirement in [*CORE, *EXTRAS["export"]]}


def test_the_libraries_of_specs_are_declared() -> None:
    libraries = {library for stage in STAGES.values() for library in stage.libraries}
    assert libraries <= {requirement.name for requirement in [*CORE, *EXTRAS["gpu"]]}


def test_a_wheel_holds_templates_and_the_mark_of_a_typed_package(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src/primum", tmp_path / "src/primum", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    build = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        (metadata,) = [archive.read(name).decode() for name in held if name.endswith("/METADATA")]
    source = {f"primum/{path.relative_to(ROOT / 'src/primum')}" for path in (ROOT / "src/primum").rglob("*.*")}
    assert {name for name in source if "__pycache__" not in name} <= held
    assert {"primum/py.typed", "primum/report/page.html.j2"} <= held
    assert "Provides-Extra: gpu" in metadata
    assert "Requires-Dist: pydantic<3,>=2.14" in metadata
