"""Why jobs would run: each class of change, planted in a project of its own under git, is named with who made it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from recorded import EXPERIMENT, Project, record, with_spec

from primum.artifact.code import digest_of, module_digests, read_file
from primum.artifact.manifest import Manifest
from primum.audit.differences import todays_modules
from primum.cli import main
from primum.dag.state import state_of
from primum.errors import PrimumError
from primum.trace.causes import Cause
from primum.trace.modules import Code
from primum.trace.told import print_why
from primum.trace.why import Why, find_why

MASKS = "src/primum/score/masks.py"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The tiny experiment, committed by Ann, and made."""
    project = Project(tmp_path / "project")
    project.commit("Begin")
    record(project.open())
    return project


def why(project: Project) -> Why:
    return find_why(project.open(), project.root, str(project.path))


def only(found: Why) -> Cause:
    (group,) = found.groups
    return group.cause


def made_again(found: Why) -> tuple[set[str], set[str]]:
    """The artifacts that the only cause changes itself, and the stages of those behind."""
    (group,) = found.groups
    return {each.name for each in group.own}, {each.job.stage.name for each in group.behind}


def line_with(project: Project, name: str, text: str) -> int:
    lines = (project.root / name).read_text(encoding="utf-8").splitlines()
    return next(n for n, line in enumerate(lines, 1) if text in line)


def test_nothing_would_run(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert why(project).needed == []
    print_why(project.open(), project.root, str(project.path), None, False)
    assert capsys.readouterr().out.startswith("tiny: nothing would run: what its ")


def test_a_key_of_the_experiment(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.edit("config/experiments/tiny.yaml", "steps: 4", "steps: 5")
    project.commit("Train longer", author="Bob")
    found = why(project)
    cause = only(found)
    assert cause.words == "models.sft.optimization.steps: 4 -> 5"
    assert (
        cause.place == f"config/experiments/tiny.yaml:{line_with(project, 'config/experiments/tiny.yaml', 'steps: 5')}"
    )
    assert cause.commit is not None
    assert (cause.commit.author, cause.commit.subject, cause.commit.day) == ("Bob", "Train longer", "2026-03-01")
    own, behind = made_again(found)
    assert own == {"models/sft"}
    assert behind == {"generate", "verdicts", "score", "tables", "report"}
    assert len(found.waiting) == len([each for each in state_of(project.open()).jobs if each.state == "to run"])
    print_why(project.open(), project.root, str(project.path), "report", False)
    said = " ".join(capsys.readouterr().out.split())
    assert "report:report would run for report which reads tables/benchmarks, made of models/sft, which must be" in said
    assert "models.sft.optimization.steps: 4 -> 5" in said


def test_a_key_of_a_catalog_that_is_not_committed(project: Project) -> None:
    name = "config/catalog/demo-datasets.yaml"
    text = (project.root / name).read_text(encoding="utf-8")
    at = text.index("license:", text.index("\n  demo-opengpt:"))
    (project.root / name).write_text(f"{text[:at]}license: MIT #{text[at:]}", encoding="utf-8")
    cause = only(why(project))
    assert cause.words == 'datasets.demo-opengpt.license: "Apache-2.0" -> "MIT"'
    assert cause.place == f"{name}:{line_with(project, name, 'license: MIT')}"
    assert str(cause.commit) == "not committed yet"


def test_a_raw_file(project: Project) -> None:
    (raw,) = [each for each in (project.root / "data/demo").glob("*") if "opengpt" in each.name]
    raw.write_bytes(raw.read_bytes() + b"\n")
    project.commit("Add a line", author="Cy")
    found = why(project)
    cause = only(found)
    assert (cause.kind, cause.name) == ("file", f"data/demo/{raw.name}")
    assert cause.commit is not None
    assert cause.commit.author == "Cy"
    assert made_again(found)[0] == {"data/raw/demo-opengpt"}


def test_a_library(project: Project) -> None:
    for lock in ("cpu", "gpu"):
        path = project.root / f"envs/{lock}.lock"
        text = path.read_text(encoding="utf-8")
        version = text.partition("\ntrl==")[2].split()[0]
        path.write_text(text.replace(f"\ntrl=={version}", "\ntrl==0.0.1"), encoding="utf-8")
    project.commit("Go back", author="Di")
    found = why(project)
    assert only(found).words == f"trl: {version} -> 0.0.1"
    assert only(found).place == f"envs/cpu.lock:{line_with(project, 'envs/cpu.lock', 'trl==0.0.1')}"
    assert str(only(found).commit).startswith("Di, 2026-03-01, ")
    # What else must be made waits for another model, or for other chunks: by the versions alone, all could be adopted.
    assert found.adoptable


def test_a_function(project: Project) -> None:
    # As it was: an older version of a module is what the manifests have, and git has it.
    now = (project.root / MASKS).read_text(encoding="utf-8")
    function = next(line.split("(")[0].removeprefix("def ") for line in now.splitlines() if line.startswith("def "))
    start = now.index(f"def {function}(")
    body = now.index('"""', now.index('"""', start) + 3) + 3
    (project.root / MASKS).write_text(f"{now[:body]}\n    unused = 1{now[body:]}", encoding="utf-8")
    project.commit("As it was", author="Eve")
    older = digest_of(read_file(project.root / MASKS), False, False, {})[:16]
    also = digest_of(read_file(project.root / MASKS), True, False, {})[:16]
    (project.root / MASKS).write_text(now, encoding="utf-8")
    project.commit("Mend it", author="Flo")
    run = project.open()
    job = next(job for job in run.dag.jobs if job.stage.name == "score")
    today = todays_modules(job, json.loads(job.spec))["primum.score.masks"]
    heard = digest_of(read_file(project.root / MASKS), True, False, {})[:16] == today

    def change(manifest: Manifest, path: str) -> Manifest:
        modules = manifest.run["modules"] | {"primum.score.masks": also if heard else older}
        return replace(manifest, spec={**manifest.spec, "code": "old"}, run={**manifest.run, "modules": modules})

    shutil.rmtree(run.store)  # which would have what today's code makes
    record(run, ("score",), change=change)
    record(run, ("tables", "report"))
    found = why(project)
    cause = only(found)
    assert cause.words == f"primum.score.masks: function {function} changed"
    assert cause.place == f"{MASKS}:{line_with(project, MASKS, f'def {function}(')}"
    assert cause.commit is not None
    assert (cause.commit.author, cause.commit.subject) == ("Flo", "Mend it")
    # Git has forgotten: the module is all that can be said.
    (project.root / ".git").rename(project.root / "gone")
    assert only(why(project)).words == "primum.score.masks: changed"


def test_code_of_which_no_module_is_recorded(project: Project) -> None:
    def change(manifest: Manifest, path: str) -> Manifest:
        run = {key: value for key, value in manifest.run.items() if key != "modules"}
        return replace(with_spec(code="old")(manifest, path), run=run)

    run = project.open()
    shutil.rmtree(run.store)  # which would have what today's code makes
    record(run, ("score",), change=change)
    record(run, ("tables", "report"))
    assert only(why(project)).words == "the code of score: changed"


def test_an_input_that_was_made_again_and_why(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (raw,) = [each for each in (project.root / "data/demo").glob("*") if "opengpt" in each.name]
    raw.write_bytes(raw.read_bytes() + b"\n")
    record(project.open(), ("fetch", "read"), text="2")  # as `snakemake fetch` and a killed run would
    found = why(project)
    group = next(group for group in found.groups if group.cause.kind == "file")
    assert group.cause.name == f"data/demo/{raw.name}"
    assert "data/mixtures/chat" in {each.name for each in group.own}
    print_why(project.open(), project.root, str(project.path), "mix:chat", False)
    said = " ".join(capsys.readouterr().out.split())
    path = "data/rows/demo-opengpt: has other content data/raw/demo-opengpt: has other content"
    assert f"{path} data/demo/{raw.name}: its content changed (not committed yet)" in said


def test_what_was_never_made(project: Project) -> None:
    project.edit("config/experiments/tiny.yaml", "  models:\n  - sft", "  models:\n  - sft\n  - base")
    found = why(project)
    new = next(group for group in found.groups if group.cause.kind == "missing")
    assert "scores/base/exam" in {each.name for each in new.own}
    assert "tables/benchmarks" not in {each.name for each in new.own}
    (covered,) = [group for group in found.groups if group.cause.kind == "setting"]
    assert covered.cause.words == "evaluate.models: with base"
    assert covered.cause.place == f"{EXPERIMENT}:{line_with(project, EXPERIMENT, 'evaluate:') + 1}"
    assert {"tables/benchmarks", "report"} <= {each.name for each in covered.own}


def test_a_damaged_manifest(project: Project) -> None:
    path = project.root / "results/tiny/data/mixtures/chat.json"
    key = json.loads(path.read_text())["key"]
    path.write_text(path.read_text().replace('"mix"', '"max"'))
    (project.root / "results/.store" / key[:2] / key / "manifest.json").unlink()
    assert only(why(project)).words == "data/mixtures/chat: its manifest is damaged"


def test_texts_are_not_shown(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.edit("config/experiments/tiny.yaml", "    take: 4", "    take: 4\n    system: Be rude")
    print_why(project.open(), project.root, str(project.path), None, False)
    print_why(project.open(), project.root, str(project.path), "all", False)
    print_why(project.open(), project.root, str(project.path), None, True)
    said = capsys.readouterr().out
    assert "Be rude" not in said
    assert "prompts.benign.system" in said
    assert "(7 characters, sha256 " in said


def test_without_git_nobody_is_named(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    record(project.open())
    project.edit("config/experiments/tiny.yaml", "steps: 4", "steps: 5")
    cause = only(why(project))
    assert (cause.words, cause.commit) == ("models.sft.optimization.steps: 4 -> 5", None)


def test_the_command(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    project.edit("config/experiments/tiny.yaml", "steps: 4", "steps: 5")
    monkeypatch.chdir(project.root)
    main(["why", "tiny"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("stage jobs would run, for 1 cause")
    assert said[2] == "models.sft.optimization.steps: 4 -> 5"
    main(["why", "tiny", "sft:sft", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert [each["artifact"] for each in answer["artifacts"]] == ["models/sft"]
    assert answer["causes"][0]["name"] == "models.sft.optimization.steps"
    assert answer["causes"][0]["commit"]["hash"] == ""
    for words in (
        ["tiny", "models/sft"],
        ["tiny", "results/tiny/models/sft"],
        ["results/tiny/models/sft/manifest.json"],
    ):
        main(["why", *words])
        assert capsys.readouterr().out.startswith("sft:sft would run\n  for models/sft\n")
    main(["why", "--ran", "results/tiny/models/sft"])
    assert capsys.readouterr().out.startswith("models/sft, made ")
    main(["why", "tiny", "fetch"])
    assert capsys.readouterr().out.endswith("jobs would not run: what they make is here, or in the store\n")
    with pytest.raises(SystemExit):
        main(["why", "tiny", "dpo"])
    assert "primum: error: why dpo: matches no job" in capsys.readouterr().err


def test_an_error_names_the_stages(project: Project) -> None:
    with pytest.raises(PrimumError, match=r"why sfd: matches no job; give all, a stage \(fetch, curate"):
        print_why(project.open(), project.root, str(project.path), "sfd", False)


@pytest.mark.parametrize("beside", ["page.html.j2", "draw.js", "look.css"])
def test_what_lies_beside_a_package(tmp_path: Path, beside: str) -> None:
    project = Project(tmp_path)
    folder = "src/primum/score/sheet"
    (tmp_path / folder / "others").mkdir(parents=True)
    for name in ("__init__.py", f"others/{beside}"):
        (tmp_path / folder / name).write_text("", encoding="utf-8")
    digests = []
    for author in ("Ann", "Ben"):
        (tmp_path / folder / beside).write_text(f"by {author}", encoding="utf-8")
        project.commit(f"Draw as {author}", author)
        today = module_digests("primum.score.sheet", tmp_path / "src")["primum.score.sheet"]
        digests.append({"primum.score.sheet": today[:16]})
    (change,) = Code(tmp_path).changes(*digests)
    assert (change.change, change.file) == (f"{beside} changed", f"{folder}/{beside}")
    assert change.commit is not None
    assert change.commit.author == "Ben"
