"""Why what is there was made again: the artifact of the store that it took the place of, and what differs between the two."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded import Project, record

from primum.errors import PrimumError
from primum.trace.ran import as_json, by_cause, find_ran
from primum.trace.told import print_ran


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Made twice: the second time with other settings of one model, and one dataset with another raw file."""
    project = Project(tmp_path / "project")
    record(project.open(), day=1)
    project.edit("config/experiments/tiny.yaml", "steps: 4", "steps: 5")
    (raw,) = [each for each in (project.root / "data/demo").glob("*") if "usmle_sample" in each.name]
    raw.write_bytes(raw.read_bytes() + b"\n")
    record(project.open(), only_new=True, text="2", day=2)
    return project


def results(project: Project) -> tuple[Path, Path]:
    return project.root / "results/tiny", project.root / "results/.store"


def test_each_is_told_from_its_predecessor(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    found = {each.name: each for each in find_ran(*results(project), project.root, "all")}
    sft = found["models/sft"]
    assert sft.previous is not None
    assert sft.previous.run["finished"] == "2026-03-01T12:00:00Z"
    assert [cause.words for cause in sft.causes] == ["models.sft.optimization.steps: 4 -> 5"]
    # What was not made again has none.
    assert found["models/base"].previous is None
    # Both reasons of a score, down to the first ones.
    groups = {cause.name: {each.name for each in made} for cause, made in by_cause(list(found.values())).items()}
    (raw,) = [name for name in groups if name.startswith("data/demo/")]
    assert groups["models.sft.optimization.steps"] >= {"models/sft", "scores/sft/exam", "tables/benchmarks"}
    assert groups[raw] >= {"data/raw/demo-usmle-sample-exam", "scores/sft/exam", "tables/benchmarks"}
    assert "generations/sft/benign" not in groups[raw]
    print_ran(*results(project), project.root, None, False)
    said = capsys.readouterr().out
    assert "models.sft.optimization.steps: 4 -> 5\n  made again models/sft, and " in said
    print_ran(*results(project), project.root, "score:exam", False)
    said = " ".join(capsys.readouterr().out.split())
    assert "scores/sft/exam, made 2026-03-02T12:00:00Z, took the place of one of 2026-03-01T12:00:00Z" in said
    assert "models/sft: has other content models.sft.optimization.steps: 4 -> 5" in said
    (told,) = as_json([sft])
    assert told["causes"] == [{"kind": "setting", "name": "models.sft.optimization.steps", "change": "4 -> 5"}]


def test_where_nothing_was_made_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path / "project")
    record(project.open())
    print_ran(*results(project), project.root, None, False)
    assert capsys.readouterr().out.startswith("tiny: nothing was made again: the store has nothing that its ")
    with pytest.raises(
        PrimumError, match=r"why --ran dpo: \S+ has nothing of it; give all, a stage, stage:name or an artifact"
    ):
        print_ran(*results(project), project.root, "dpo", False)
