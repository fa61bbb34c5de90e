"""Which artifacts are sensitive: each of them by hand, and nothing beside them holds words or tokens of one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
from shipped import open_shipped

from primum.artifact.canonical import canonical_json
from primum.artifact.job import item_spec
from primum.artifact.manifest import Manifest, artifact_key, data_path, load_manifest, measure
from primum.artifact.private import tighten
from primum.artifact.publish import publish
from primum.artifact.request import Asked
from primum.artifact.store import Store, table_file
from primum.artifact.table import write_table
from primum.curate.adapters import ADAPTERS as READERS
from primum.dag.dag import STAGES, Dag
from primum.dag.restore import mark
from primum.dag.sensitive import ADAPTERS
from primum.dag.state import state_of
from primum.dag.workflow import Workflow
from primum.text.rows import GradedRow, RequestRow

EXPERIMENTS = ("demo", "med-safety", "open-clinical")
# What may read what is sensitive and is not: ids, counts, log-probabilities and weights, no words and no tokens.
NUMBERS = {"models", "tables", "report", "scores"}
NUMBERS_OF_DATA = {"drops", "origins", "ledgers", "outcomes", "phi", "overlaps", "audits", "tokens"}
# A mixture is compared with a benchmark's questions, and holds none of them.
COMPARED = {"benchmarks"}


def kind_of(path: str, run: Workflow) -> str:
    first, *rest = path.removeprefix(f"{run.dag.results}/").split("/")
    return rest[0] if first == "data" else first


def sensitive(run: Workflow) -> set[str]:
    return {output.path for job in run.dag.jobs for output in job.plan.outputs if output.sensitive}


def test_the_demo(tmp_path: Path) -> None:
    run = open_shipped(tmp_path, "demo")
    found = {path.removeprefix(f"{run.dag.results}/") for path in sensitive(run)}
    harmful = {"demo-advbench", "demo-graded-test", "demo-graded-train", "demo-criteria-train"}
    harmful |= {"demo-med-safety-bench-test", "demo-med-safety-bench-train", "demo-xstest-safe", "demo-xstest-unsafe"}
    harmful |= {"demo-toxigen", "demo-xstest-completions"}
    wanted = {f"data/raw/{name}/manifest.json" for name in harmful} | {f"data/rows/{name}.json" for name in harmful}
    assert {path for path in found if path.startswith(("data/raw/", "data/rows/"))} == wanted
    assert found >= {f"data/mixtures/{name}.json" for name in ("safety", "graded", "criteria")}
    assert found >= {f"data/packed/{name}.json" for name in ("medical-safe", "judge", "criteria-judge")}
    # Pairs of responses that were drawn from a model here are, those that a dataset has are not.
    assert found >= {"data/pairs/on-policy-2.json", "data/reference/dpo-2-on-policy.json"}
    others = {"data/mixtures/clinical.json", "data/packed/sft.json", "data/pairs/stage-1.json"}
    assert not found & {*others, "data/reference/dpo-1.json", "data/rows/demo-ultrafeedback.json"}
    everything = {path.removeprefix(f"{run.dag.results}/") for job in run.dag.jobs for path in job.paths}
    assert everything >= others
    for folder in ("generations/", "judgements/", "criteria/", "answers/", "data/samples/", "data/ranked/"):
        of_it = {path for path in everything if path.startswith(folder)}
        assert of_it
        assert of_it <= found, folder
    assert not [path for path in found if path.startswith(("tables/", "report/", "models/", "data/ledgers/"))]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_reads_something_sensitive_is_too_or_holds_numbers_alone(tmp_path: Path, name: str) -> None:
    run = open_shipped(tmp_path, name)
    marked = sensitive(run)
    for job in run.dag.jobs:
        for output in job.plan.outputs:
            inputs = job.plan.inputs_of(output)
            read = {path for role, paths in inputs.items() if role not in COMPARED for path in paths}
            if read & marked and not output.sensitive:
                assert kind_of(output.path, run) in NUMBERS | NUMBERS_OF_DATA, output.path
    # The report reads of verdicts and responses what the tables do.
    (report,) = (job for job in run.dag.jobs if job.stage.name == "report")
    (tables,) = (job for job in run.dag.jobs if job.stage.name == "tables")
    assert report.plan.read & marked <= tables.plan.read


def test_a_dataset_may_say_so_itself(tmp_path: Path) -> None:
    run = open_shipped(tmp_path, "demo")
    e = run.experiment
    named = "demo-snorkel-1-train"
    entry = e.datasets[named].model_copy(update={"sensitive": True})
    changed = Dag(e.model_copy(update={"datasets": {**e.datasets, named: entry}}), run.dag.root, run.dag.results)
    found = {o.path for job in changed.jobs for o in job.plan.outputs if o.sensitive} - sensitive(run)
    assert {path.removeprefix(f"{run.dag.results}/") for path in found} == {
        f"data/raw/{named}/manifest.json",
        f"data/rows/{named}.json",
        "data/pairs/stage-1.json",
        "data/reference/dpo-1.json",
    }
    assert {job.spec for job in changed.jobs} == {job.spec for job in run.dag.jobs}


def test_every_reader_of_requests_and_of_graded_responses_is_named() -> None:
    assert {name for name, reader in READERS.items() if reader.row_type in (RequestRow, GradedRow)} <= ADAPTERS
    assert set(READERS) >= ADAPTERS


@pytest.mark.parametrize("name", ["demo", "med-safety"])
def test_it_is_in_no_spec(tmp_path: Path, name: str) -> None:
    run = open_shipped(tmp_path, name)
    assert not [job.name for job in run.dag.jobs if "sensitive" in json.loads(job.spec)["common"]]
    assert not [job.name for job in run.dag.jobs for _, item in json.loads(job.spec)["items"] if "sensitive" in item]


def test_the_stages_whose_artifacts_are_words() -> None:
    told = {name for name, stage in STAGES.items() if stage.sensitive}
    assert told >= {"generate", "judge", "grade", "agreement", "answer", "parse", "sample", "pair"}
    assert told >= {"rank", "rate", "rewards"}


def _made(run: Workflow, stages: set[str], marks: bool | None) -> list[Path]:
    """Artifacts of ``stages`` as an earlier version left them: with modes that let everybody read, and these marks."""
    store, contents, paths = Store(Path(run.store)), dict[str, str](), []
    for job in run.dag.jobs:
        if job.stage.name not in stages:
            continue
        spec = json.loads(job.spec)
        for output, (_, item) in zip(job.plan.outputs, spec["items"], strict=True):
            inputs = {role: [contents[path] for path in given] for role, given in job.plan.inputs_of(output).items()}
            filled = store.new_folder()
            table = job.stage.kind == "table"
            if table:
                write_table(pa.table({"id": [output.path]}), table_file(filled), {})
            else:
                (filled / "inner").mkdir()
                (filled / "inner/file.txt").write_text(output.path)
            content, files = measure(table_file(filled) if table else filled, job.stage.kind)
            own = item_spec(spec, item)
            key = artifact_key(own, inputs)
            manifest = Manifest(
                job.stage.kind, job.stage.name, own, inputs, key, content, {}, "", files, sensitive=marks
            )
            added = store.add(filled, manifest)
            publish(store, added, canonical_json(spec), Asked(Path(output.path)), taken=False)
            contents[output.path] = added.content
            paths.append(Path(output.path))
    return paths


def test_what_an_earlier_version_left_open_is_closed_and_marked_and_not_made_again(tmp_path: Path) -> None:
    run = open_shipped(tmp_path, "demo")
    paths = _made(run, {"fetch", "read"}, None)
    times = {path: path.stat().st_mtime_ns for path in paths}
    store = Store(Path(run.store))
    mark(run, state_of(run))
    marked = {Path(path) for path in sensitive(run)}
    assert 0 < len(marked & set(paths)) < len(paths)
    for path in paths:
        manifest = load_manifest(path)
        assert manifest.sensitive is (path in marked)
        data, entry = data_path(path, manifest.kind), store.entry(manifest.key)
        for each in (data, *(data.rglob("*") if data.is_dir() else ()), entry, *entry.rglob("*")):
            assert bool(each.stat().st_mode & 0o077) is (path not in marked), each
        if path in marked:
            assert load_manifest(entry / "manifest.json").sensitive is True
    # Snakemake goes by times: nothing is new.
    assert {path: path.stat().st_mtime_ns for path in paths} == times
    states = {job.stage: job.current for job in state_of(run).jobs if job.stage in ("fetch", "read")}
    assert states == {"fetch": True, "read": True}
    # Opened by hand since, and met again.
    (opened,) = (path for path in paths if path.parent.name == "rows" and path.stem == "demo-advbench")
    os.chmod(opened.with_suffix(".parquet"), 0o644)  # noqa: PTH101
    mark(run, state_of(run))
    assert opened.with_suffix(".parquet").stat().st_mode & 0o777 == 0o600


def test_closing_what_is_gone_or_a_link_does_nothing(tmp_path: Path) -> None:
    tighten(tmp_path / "gone")
    (tmp_path / "elsewhere").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to(tmp_path / "elsewhere")
    tighten(tmp_path / "folder")
    assert (tmp_path / "elsewhere").stat().st_mode & 0o077
