"""Adopting what an older version of the code made: what may be kept, what is refused, and what the store has afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from tiny import STAGES as EVERY
from tiny import TINY

from primum.artifact.canonical import canonical_json
from primum.artifact.folder import folder_files
from primum.artifact.job import item_spec
from primum.artifact.manifest import Artifact, Manifest, artifact_key, load_manifest, measure, save_manifest
from primum.artifact.publish import publish
from primum.artifact.request import Asked
from primum.artifact.store import Store, table_file
from primum.artifact.table import write_table
from primum.audit.adopt import adopt, check_remade, command
from primum.audit.differences import first_difference, pieces
from primum.audit.forecast import print_plan
from primum.cli import main
from primum.dag.dag import STAGES
from primum.dag.restore import restore
from primum.dag.state import state_of
from primum.dag.training import MODEL, PACKED
from primum.dag.workflow import Workflow, open_workflow
from primum.errors import PrimumError

ROOT = Path(__file__).parents[3]
WHY = "a progress bar"
Open = Callable[..., Workflow]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """The tiny experiment with its results in a folder of the test; keys replace those of the file, ``config`` adds to it."""

    def open_(config: dict[str, str] | None = None, **changed: Any) -> Workflow:
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(TINY | changed, sort_keys=False))
        given = {"experiment": str(path), "results": str(tmp_path / "results"), **(config or {})}
        return open_workflow(given, ROOT)

    return open_


def make(run: Workflow, stages: tuple[str, ...] = tuple(STAGES), text: str = "", **changed: Any) -> None:
    """Every artifact as if the stages had made it by an older spec, with what is said in ``changed``."""
    store, made = Store(Path(run.store)), dict[str, str]()
    for job in run.dag.jobs:
        stage, kind = job.stage.name, job.stage.kind
        spec = json.loads(job.spec) | (changed if stage in stages else {})
        for output, (_, item) in zip(job.plan.outputs, spec["items"], strict=True):
            inputs = {role: [made[path] for path in paths] for role, paths in job.plan.inputs_of(output).items()}
            filled = store.new_folder()
            if kind == "table":
                write_table(pa.table({"id": [output.path + text]}), table_file(filled), {})
            else:
                (filled / "nested").mkdir()
                (filled / "nested/file.txt").write_text(output.path + text)
            content, files = measure(table_file(filled) if kind == "table" else filled, kind)
            own_spec = item_spec(spec, item)
            run_ = {"modules": {"primum": "0", f"primum.{stage}": "1"}, "seconds": 1.5}
            manifest = Manifest(
                kind, stage, own_spec, inputs, artifact_key(own_spec, inputs), content, {"rows": 1}, "", files, run_
            )
            added = store.add(filled, manifest)
            publish(store, added, canonical_json(spec), Asked(Path(output.path)), taken=False)
            made[output.path] = added.content


def remade(run: Workflow, targets: tuple[str, ...] | list[str] = ()) -> None:
    check_remade(run, state_of(run), targets)


def states(run: Workflow) -> dict[str, set[str]]:
    """State -> the stages whose jobs are in it."""
    found: dict[str, set[str]] = {}
    for job in state_of(run).jobs:
        found.setdefault(job.state, set()).add(job.stage)
    return found


def test_all_is_adopted_and_nothing_is_left_to_run(opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    run = opened()
    make(run, code="old")
    assert states(run) == {"to run": EVERY}
    adopt(run, "all", WHY)
    assert states(run) == {"stored": EVERY}
    said = capsys.readouterr().out.splitlines()
    manifests = [path for job in run.dag.jobs for path in job.paths]
    assert said[-1] == f"tiny: {len(manifests)} artifacts adopted; 0 needed it not, 0 must be made"
    before = {path: load_manifest(Path(path)) for path in manifests}
    assert sorted(restore(run, state_of(run))) == sorted(manifests)
    assert states(run) == {"up to date": EVERY}
    after = {path: load_manifest(Path(path)) for path in manifests}
    for path in manifests:
        assert (after[path].content, after[path].files) == (before[path].content, before[path].files)
        assert after[path].key != before[path].key
        Artifact.open(Path(path)).verify()
    # Before there was a mark all could be read by everybody, in the store as well.
    for output in (output for job in run.dag.jobs for output in job.plan.outputs):
        entry = Store(Path(run.store)).entry(after[output.path].key)
        assert load_manifest(entry / "manifest.json").sensitive is output.sensitive
        assert (entry.stat().st_mode & 0o077 == 0) is output.sensitive
        assert {path.stat().st_mode & 0o077 == 0 for path in entry.iterdir()} == {output.sensitive}
    with pytest.raises(PrimumError, match="under today's key already"):
        adopt(run, "all", WHY)


def test_the_manifest_keeps_who_when_why_and_what_differs(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ann")
    run = opened()
    spec = json.loads(run.dag.spec("sft", "sft"))
    old = {name: version for name, version in spec["libraries"].items() if name != "trl"} | {"torch": "1.0"}
    make(run, stages=("sft",), code="old", libraries=old)
    path = Path(run.dag.path(MODEL, model="sft"))
    before = load_manifest(path)
    adopt(run, "sft", WHY)
    (found,) = [piece for piece in pieces(run, state_of(run)) if piece.output == str(path)]
    assert found.verdict == "here"
    manifest = Store(Path(run.store)).find(found.key)
    assert manifest is not None
    assert manifest.spec == item_spec(spec, spec["items"][0][1])
    assert (manifest.inputs, manifest.counts, manifest.job) == (before.inputs, before.counts, "")
    (note,) = manifest.run["adopted"]
    assert (note["by"], note["why"], note["key"], note["code"]) == ("ann", WHY, before.key, True)
    assert note["libraries"] == {
        "torch": f"1.0 -> {spec['libraries']['torch']}",
        "trl": f"none -> {spec['libraries']['trl']}",
    }
    assert {"primum", "primum.sft", "primum.train.sft", "primum.train.common"} <= set(note["modules"])
    assert manifest.run["seconds"] == 1.5
    data = Store(Path(run.store)).entry(manifest.key) / "nested/file.txt"
    assert data.stat().st_ino == (Store(Path(run.store)).entry(before.key) / "nested/file.txt").stat().st_ino


def test_who_adopted_and_why_is_kept_by_the_next_adoption(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the results, too, where ``primum show`` reads it; and by an adoption from there, once the store has it no more."""
    run = opened()
    make(run, stages=("sft",), code="oldest")
    path, store = Path(run.dag.path(MODEL, model="sft")), Store(Path(run.store))
    keys = [load_manifest(path).key]
    for number, user in enumerate(("ann", "ben"), 1):
        monkeypatch.setenv("LOGNAME", user)
        adopt(run, "sft", f"{WHY} {number}")
        restore(run, state_of(run))
        adopted = load_manifest(path)
        assert (len(adopted.run["adopted"]), adopted.run["adopted"][-1]["key"]) == (number, keys[-1])
        # As if the code of then were not that of today.
        spec = adopted.spec | {"code": f"old {number}"}
        keys.append(artifact_key(spec, adopted.inputs))
        shutil.rmtree(store.entry(adopted.key))
        save_manifest(replace(adopted, spec=spec, key=keys[-1]), path)
    notes = load_manifest(path).run["adopted"]
    assert [(note["by"], note["why"]) for note in notes] == [("ann", f"{WHY} 1"), ("ben", f"{WHY} 2")]
    assert [note["key"] for note in notes] == keys[:2]
    assert load_manifest(path).run["seconds"] == 1.5


def test_libraries_alone_differ(opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    run = opened()
    libraries = json.loads(run.dag.spec("read", "training"))["libraries"]
    make(run, stages=("read",), libraries=libraries | {"pyarrow": "1.0"})
    adopt(run, "read:demo-corpus", WHY)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f"data/rows/demo-corpus.json: adopted; differs in pyarrow 1.0 -> {libraries['pyarrow']}")
    assert len(lines) == 4  # rows, drops, origins, and the sum


def test_a_stage_alone_and_the_chain_behind_it(opened: Open) -> None:
    run = opened()
    make(run, stages=("pack", "sft", "generate"), code="old")
    adopt(run, "sft", WHY)
    # Its key is of the content that pack made, so it is found once pack is adopted, or has made the same again.
    assert states(run)["to run"] == {"pack", "sft", "generate", "verdicts", "score", "tables", "report"}
    verdicts = {
        (piece.job.stage.name, piece.verdict) for piece in pieces(run, state_of(run)) if piece.verdict != "here"
    }
    assert verdicts == {("pack", "adoptable"), ("generate", "adoptable")}
    adopt(run, "curate", WHY)
    assert states(run)["to run"] == {"generate", "verdicts", "tables", "report"}
    adopt(run, "all", WHY)
    assert "to run" not in states(run)


def test_what_differs_otherwise_is_refused_by_name(opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    make(opened(), code="old")
    run = opened(seed=2)
    with pytest.raises(PrimumError, match=r"models/sft/manifest.json: item.seed: 1 -> 2: it must be made again$"):
        adopt(run, "sft", WHY)
    read = r"overlaps/mixtures/chat.json: it reads \S*data/mixtures/chat.json, which must be made \(item.seed: 1 -> 2\)"
    with pytest.raises(PrimumError, match=read):
        adopt(run, "overlap:chat", WHY)
    assert "adopted; differs" not in capsys.readouterr().out
    adopt(run, "all", WHY)
    said = capsys.readouterr().out
    assert f"{run.dag.path(MODEL, model='base')}: not adopted: item.seed: 1 -> 2" in said
    assert states(run)["stored"] == {"fetch", "read"}


def test_the_one_that_read_what_there_is_now_is_adopted(opened: Open) -> None:
    run = opened()
    make(run, stages=("pack", "sft"), code="older", text="!")
    make(run, stages=("sft",), code="old")
    path = Path(run.dag.path(MODEL, model="sft"))
    before = load_manifest(path)
    assert before.inputs["packed"] == [load_manifest(Path(run.dag.path(PACKED, model="sft"))).content]
    path.unlink()  # so that the store alone tells, which has both
    adopt(run, "sft", WHY)
    (piece,) = [piece for piece in pieces(run, state_of(run)) if piece.output == str(path)]
    found = Store(Path(run.store)).find(piece.key)
    assert found is not None
    assert (found.inputs, found.content) == (before.inputs, before.content)


def test_without_the_results_the_store_tells(opened: Open, tmp_path: Path) -> None:
    import shutil

    run = opened()
    make(run, code="old")
    shutil.rmtree(tmp_path / "results/tiny")
    adopt(run, "all", WHY)
    assert states(run) == {"stored": EVERY}


def test_without_the_store_the_results_are_enough(opened: Open) -> None:
    import shutil

    run = opened()
    make(run, code="old")
    shutil.rmtree(run.store)
    adopt(run, "all", WHY)
    assert states(run) == {"stored": EVERY}


def _damage(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + b"x")


def test_what_is_damaged_is_not_adopted(opened: Open) -> None:
    run = opened()
    make(run, stages=("sft",), code="old")
    path, store = Path(run.dag.path(MODEL, model="sft")), Store(Path(run.store))
    entry = store.entry(load_manifest(path).key)
    _damage(path.parent / "nested/file.txt")
    _damage(entry / "nested/file.txt")
    with pytest.raises(PrimumError, match=r"models/sft/manifest.json: is damaged or gone, here and in the store"):
        adopt(run, "sft", WHY)
    assert not list((store.root / "tmp").iterdir())
    assert states(run)["to run"] >= {"sft"}


def test_one_whole_copy_is_enough(opened: Open) -> None:
    run = opened()
    make(run, stages=("sft",), code="old")
    _damage(Store(Path(run.store)).entry(load_manifest(Path(run.dag.path(MODEL, model="sft"))).key) / "nested/file.txt")
    adopt(run, "sft", WHY)
    assert folder_files(Path(run.dag.path(MODEL, model="sft")).parent)
    assert "to run" not in states(run)


def test_what_was_never_made_and_what_is_nobody(opened: Open) -> None:
    run = opened()
    with pytest.raises(PrimumError, match=r"data/raw/demo-corpus/manifest.json: nothing like it was ever made"):
        adopt(run, "fetch:demo-corpus", WHY)
    with pytest.raises(PrimumError, match=r"adopt dpo: matches no job; give all, a stage \(fetch, curate"):
        adopt(run, "dpo", WHY)
    with pytest.raises(PrimumError, match="--why: say why"):
        adopt(run, "all", " ")
    make(run)
    with pytest.raises(PrimumError, match=r"adopt sft: .*models/sft/manifest.json is under today's key already"):
        adopt(run, "sft", WHY)


def test_a_damaged_manifest_says_so(opened: Open) -> None:
    import shutil

    run = opened()
    make(run, stages=("sft",), code="old")
    shutil.rmtree(run.store)
    path = Path(run.dag.path(MODEL, model="sft"))
    path.write_text(path.read_text().replace('"sft"', '"sfd"'))
    with pytest.raises(PrimumError, match=r"models/sft/manifest.json: damaged"):
        adopt(run, "sft", WHY)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"code": "a", "libraries": {}}, {"code": "b", "libraries": {"x": "1"}}, None),
        ({"common": {"seed": 17, "a": 1}}, {"common": {"seed": 18, "a": 1}}, "common.seed: 17 -> 18"),
        ({"common": {"code": 1}}, {"common": {"code": 2}}, "common.code: 1 -> 2"),
        ({"item": {"n": [1, {"a": 2}]}}, {"item": {"n": [1, {"a": 3}]}}, "item.n.1.a: 2 -> 3"),
        ({"item": {"n": [1]}}, {"item": {"n": [1, 2]}}, "item.n: [1] -> [1, 2]"),
        ({"item": {}}, {"item": {"n": None}}, "item.n: not there -> there"),
        ({"item": {"n": 1}}, {"item": {"n": 1.0}}, "item.n: 1 -> 1.0"),
        (
            {"common": {"template": "x" * 99}},
            {"common": {"template": "a word"}},
            "common.template: (99 characters, sha256 d0621fdd) -> (6 characters, sha256 993a6153)",
        ),
        ({"item": {"n": ["a word"]}}, {"item": {"n": [{"a": 1}, 2]}}, "item.n: (1 entry) -> (2 entries)"),
    ],
)
def test_the_first_difference_of_two_specs(old: Any, new: Any, said: str | None) -> None:
    assert first_difference(old, new) == said


# Plan and guard -----------------------------------------------------------------------------------------------------

GPU = {"resources": {"pretrain": {"gpus": 2}, "sft": {"gpus": 2}}}


def test_the_plan_says_how_many_could_be_adopted(opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    run = opened()
    make(run, stages=("sft", "score"), code="old")
    print_plan(run)
    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith(
        "2 of 6 jobs to run differ from what is there in code or versions alone: primum adopt all --why"
    )
    make(opened())
    print_plan(opened())
    assert "versions alone" not in capsys.readouterr().out


def test_gpus_do_not_make_again_what_only_the_code_changed(opened: Open) -> None:
    run = opened(**GPU)
    make(run, stages=("sft", "score"), code="old")
    with pytest.raises(PrimumError) as error:
        remade(run)
    said = str(error.value)
    assert "\n" not in said
    assert said.startswith(f"{run.dag.path(MODEL, model='sft')} would be made again with GPUs for no other reason")
    assert command(run) in said
    assert "--config recompute=sft (or all)" in said
    adopt(run, "sft", WHY)
    remade(run)


@pytest.mark.parametrize("given", ["sft", "sft:sft", "score,sft", "all"])
def test_recompute_lets_them(opened: Open, given: str) -> None:
    run = opened({"recompute": given}, **GPU)
    make(run, stages=("sft",), code="old")
    remade(run)


def test_recompute_of_another_stage_does_not(opened: Open) -> None:
    run = opened({"recompute": "pretrain"}, **GPU)
    make(run, stages=("pretrain", "sft"), code="old")
    with pytest.raises(PrimumError, match=r"models/sft/manifest.json would"):
        remade(run)


def test_the_guard_asks_nobody_who_needs_no_gpu_or_wants_it_so(opened: Open) -> None:
    make(opened(), code="old")
    remade(opened())  # no GPU
    remade(opened({"refresh": "pretrain,sft"}, **GPU))
    with pytest.raises(PrimumError, match=r"models/sft/manifest.json would"):
        remade(opened({"refresh": "pretrain"}, **GPU))  # what reads a refreshed artifact was not asked for
    remade(opened(seed=2, **GPU))  # another question
    remade(opened(**GPU), ["fetch"])  # another target
    with pytest.raises(PrimumError, match=r"models/base/manifest.json would"):
        remade(opened(**GPU), ["pretrain"])
    with pytest.raises(PrimumError, match=r"models/base/manifest.json and 1 more would"):
        remade(opened(**GPU), ["somewhere/else.txt"])


def test_recompute_is_checked(opened: Open) -> None:
    with pytest.raises(PrimumError, match=r"--config recompute=train: no such stage; there are: fetch"):
        opened({"recompute": "train"})
    with pytest.raises(PrimumError, match=r"recompute=dpo: matches no job"):
        opened({"recompute": "dpo"}).check_asked()


def test_the_command(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = opened()
    make(run, code="old")
    monkeypatch.chdir(ROOT)
    given = ["--experiment", str(tmp_path / "tiny.yaml"), "--results", str(tmp_path / "results")]
    main(["adopt", "sft:sft", "--why", WHY, *given])
    assert "models/sft/manifest.json: adopted; differs in code of primum" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["adopt", "sft:sft", "--why", WHY, *given])
    assert "primum: error: adopt sft:sft: " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["adopt", "sft:sft", *given])
    assert "--why" in capsys.readouterr().err
