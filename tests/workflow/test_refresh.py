"""A small experiment, really run: what the store gives back, what is computed again, and what is said about it."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tiny import STAGES, snakemake, started, taken, verdicts, write
from tiny_run import TinyRun

from primum.artifact.manifest import load_manifest, save_manifest
from primum.artifact.store import Store
from primum.artifact.table import content_hash, write_table
from primum.dag.workflow import open_workflow
from primum.errors import PrimumError

RULES = {
    "fetch_dataset", "read_training", "read_benchmarks", "read_safety", "mix_sources", "pretrain_model", "pack_chunks",
    "sft_model", "generate_responses", "read_verdicts", "find_overlaps", "score_benchmarks", "aggregate_tables",
    "write_report",
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the tiny experiment has run."""
    assert started(tiny_run.output) == RULES
    assert taken(tiny_run.output) == set()
    return tiny_run.copy(tmp_path_factory.mktemp("tiny") / "project")


def contents(project: Path, experiment: str = "tiny") -> dict[str, str]:
    """Artifact -> content hash."""
    found = {}
    for path in (project / "results" / experiment).rglob("*.json"):
        with suppress(PrimumError):  # a tokenizer's files, say, are no manifests
            found[str(path.relative_to(project))] = load_manifest(path).content
    return found


def test_a_second_run_does_nothing(project: Path) -> None:
    output = snakemake(project)
    assert started(output) == set()
    assert "Nothing to be done" in output


def test_a_lost_folder_comes_back_from_the_store(project: Path) -> None:
    before = contents(project)
    shutil.rmtree(project / "results/tiny")
    output = snakemake(project)
    # No job is started, or submitted to a cluster, to take what the store has.
    assert started(output) == set()
    assert f"[store] {len(before)} artifacts taken from results/.store" in output
    assert verdicts(output) == {}
    assert contents(project) == before
    runs = [load_manifest(path).run for path in (project / "results/tiny/models").rglob("manifest.json")]
    assert all(run["taken_from_store"] for run in runs)


def test_a_refreshed_stage_computes_and_its_readers_do_not(project: Path) -> None:
    output = snakemake(project, "refresh=sft")
    assert verdicts(output) == {"sft": "the same"}
    assert started(output) == {
        "sft_model", "generate_responses", "read_verdicts", "score_benchmarks", "aggregate_tables", "write_report",
    }  # fmt: skip
    assert taken(output) == {"generate", "verdicts", "score", "tables", "report"}


def test_a_refresh_of_one_job_that_others_do_not_read(project: Path) -> None:
    output = snakemake(project, "refresh=score:sft")
    assert verdicts(output) == {"exam": "the same"}
    assert taken(output) == {"tables", "report"}


def test_a_refresh_that_differs_is_said_and_spreads(project: Path) -> None:
    """The store is made to hold another result of the same key, as another machine's might be."""
    path = project / "results/tiny/verdicts/refusal/sft/benign.json"
    manifest = load_manifest(path)
    store = Store(project / "results/.store")
    entry = store.entry(manifest.key)
    table = pq.read_table(entry / "data.parquet").replace_schema_metadata(None)
    other = table.slice(1)
    (entry / "data.parquet").unlink()
    write_table(other, entry / "data.parquet", {})
    record = {name: getattr(load_manifest(entry / "manifest.json"), name) for name in manifest.__slots__}
    changed = type(manifest)(**{**record, "content": content_hash(other)})
    save_manifest(changed, entry / "manifest.json")
    assert store.find(manifest.key) == changed
    output = snakemake(project, "refresh=judge")
    assert verdicts(output) == {"refusal/sft/benign": "DIFFERENT"}
    assert load_manifest(path).content == content_hash(table)
    # What the tables read is now what it was at first, which the store still has.
    assert taken(output) == {"tables", "report"}


def test_readers_compute_when_a_refresh_changed_what_they_read(project: Path) -> None:
    """The tables' own entry is gone with the content that it was made of."""
    tables = project / "results/tiny/tables/safety.json"
    shutil.rmtree(Store(project / "results/.store").entry(load_manifest(tables).key))
    output = snakemake(project, "refresh=judge")
    assert verdicts(output) == {"refusal/sft/benign": "the same"}
    assert "tables" in started_stages(output)
    assert taken(output) >= {"report"}
    assert load_manifest(tables).run["taken_from_store"] is False


def started_stages(output: str) -> set[str]:
    return {name.split("_")[-1] for name in started(output)}


def test_snakemakes_own_ways_to_force_take_from_the_store(project: Path) -> None:
    before = contents(project)
    output = snakemake(project, "--forcerun", "sft_model")
    assert "sft_model" in started(output)
    assert taken(output) == {"sft", "generate", "verdicts", "score", "tables", "report"}
    output = snakemake(project, "--forceall")
    assert started(output) == RULES
    assert taken(output) == STAGES
    assert contents(project) == before
    output = snakemake(project, "-R", "score_benchmarks")
    assert taken(output) == {"score", "tables", "report"}


def test_lost_metadata_recomputes_nothing(project: Path) -> None:
    shutil.rmtree(project / ".snakemake/metadata")
    assert started(snakemake(project)) == set()


def test_another_experiment_shares_what_is_the_same(project: Path) -> None:
    from tiny import TINY

    other = json.loads(json.dumps(TINY | {"name": "tiny-2"}))
    other["models"]["sft"]["title"] = "Another title"
    write(project, other)
    output = snakemake(project, experiment="tiny-2")
    # The title is in the tables' question and the report's, and nowhere else.
    assert started(output) == {"aggregate_tables", "write_report"}
    assert taken(output) == set()
    mine, theirs = contents(project), contents(project, "tiny-2")
    same = {name for name, content in theirs.items() if mine[name.replace("tiny-2", "tiny")] == content}
    assert all(name.startswith(("results/tiny-2/tables/", "results/tiny-2/report/")) for name in theirs.keys() - same)


def test_a_changed_setting_recomputes_its_readers_only(project: Path) -> None:
    from tiny import TINY

    changed = json.loads(json.dumps(TINY))
    changed["sampling"]["max_tokens"] = 7
    write(project, changed)
    try:
        output = snakemake(project)
        assert started(output) == {"generate_responses", "read_verdicts", "aggregate_tables", "write_report"}
        assert "generate" not in taken(output)
    finally:
        write(project)
    back = snakemake(project)
    # Responses, judgements, the tables, and the page, which opens the responses.
    assert "[store] 15 artifacts taken from results/.store" in back
    assert started(back) <= {"aggregate_tables", "write_report"}


def test_a_refresh_of_nothing_is_an_error_before_any_job(project: Path) -> None:
    path = project / "config/experiments/tiny.yaml"
    for asked, said in {
        "dpo": "refresh=dpo: matches no job; give a stage (fetch, curate, pretrain, sft, generate, judge, score, tables",
        "sft:nobody": "refresh=sft:nobody: matches no job",
        "sft:tiny": "refresh=sft:tiny: matches no job",
        "train": "refresh=train: no such stage; there are: fetch, curate, pretrain",
    }.items():
        with pytest.raises(PrimumError, match=re.escape(said)):
            open_workflow({"experiment": str(path), "refresh": asked}, project).check_asked()
    # Snakemake stops at it; tests/workflow/test_terminal.py looks at a stage that matches no job.
    output = snakemake(project, f"refresh={asked}", fails=True)
    assert said in output
    assert started(output) == set()


def test_a_missing_template_is_an_error_before_any_job(project: Path) -> None:
    from tiny import TINY

    judges = {"harm": {"kind": "rubric", "model": "sft", "template": "config/none.j2", "prompts": ["benign"]}}
    document = json.loads(json.dumps(TINY | {"name": "tiny-3", "judges": judges}))
    document["evaluate"]["judges"] = ["harm"]
    write(project, document)
    output = snakemake(project, experiment="tiny-3", fails=True)
    assert "config/none.j2: no such file in the project" in output
    assert "Traceback" not in output
    assert started(output) == set()


def test_what_the_logs_hold_is_no_row(project: Path) -> None:
    rows = pq.read_table(project / "results/tiny/generations/sft/benign.parquet").to_pylist()
    texts = [row[key] for row in rows for key in ("request", "response") if len(row[key]) > 12]
    logs = "".join(path.read_text(encoding="utf-8") for path in (project / "results/tiny/logs").rglob("*.log"))
    assert logs
    assert not [text for text in texts if text in logs]


def test_what_is_lost_for_good_and_read_by_nobody_is_made_again(project: Path) -> None:
    """A kill, or a full disk, between two artifacts of one job: the one that others read may be there alone."""
    before = contents(project)
    path = project / "results/tiny/data/drops/demo-xstest-safe.json"
    shutil.rmtree(Store(project / "results/.store").entry(load_manifest(path).key))
    path.unlink()
    path.with_suffix(".parquet").unlink()
    assert started(snakemake(project)) == {"read_safety"}
    assert contents(project) == before
    assert "Nothing to be done" in snakemake(project)


def test_a_lost_table_comes_back_beside_its_manifest(project: Path) -> None:
    """One that no other job reads, too: nobody would ask for it."""
    lost = [
        *(project / "results/tiny/data/drops").glob("*.parquet"),
        project / "results/tiny/data/mixtures/chat.parquet",
    ]
    assert len(lost) > 2
    before = {path: path.read_bytes() for path in lost}
    for path in lost:
        path.unlink()
    assert started(snakemake(project)) == set()
    assert {path: path.read_bytes() for path in lost} == before
    assert "Nothing to be done" in snakemake(project)
