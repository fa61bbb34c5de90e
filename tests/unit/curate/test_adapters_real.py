"""Counts on the published files themselves, read through the catalog. Skipped where the files are not at hand.

The folder is named by the environment variable PRIMUM_REAL_DATA, or is ``shared/data`` beside the checkout.
"""

import hashlib
import json
import os
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import git_server
import pytest
import yaml
from git_server import git
from jinja2 import Environment
from stage_artifacts import make_job

from primum.curate import fetch
from primum.curate.adapters import ADAPTERS, RawFile, read
from primum.curate.adapters.columns import unread
from primum.experiment.datasets import Dataset
from primum.progress import Progress
from primum.text.rows import Drop, from_table, to_table
from primum.text.templates import shipped

ROOT = Path(__file__).parents[3]
REAL = Path(os.environ.get("PRIMUM_REAL_DATA", ROOT.parent / "shared" / "data"))
MEDQUAD = REAL / "medquad-full-577bd37.tar.gz"
CATALOGS = {name: ROOT / "config" / "catalog" / f"{name}.yaml" for name in ("datasets", "demo-datasets")}

needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"no published files in {REAL} (set PRIMUM_REAL_DATA)")


def catalog(name: str) -> dict[str, Dataset]:
    entries = yaml.safe_load(CATALOGS[name].read_text(encoding="utf-8"))["datasets"]
    return {dataset: Dataset.model_validate(entry) for dataset, entry in entries.items()}


def read_dataset(name: str, dataset: Dataset, folder: Path) -> tuple[list[Any], Counter[str]]:
    """Rows, and drops by reason, of a dataset whose files are in ``folder``; every row is written and read back."""
    files = [RawFile(folder / path, path) for file in dataset.files for path in paths(dataset, file.path, folder)]
    rows = list(read(dataset.adapter, files, name, dataset.options))
    kept = [row for row in rows if not isinstance(row, Drop)]
    row_type = ADAPTERS[dataset.adapter].row_type
    assert from_table(to_table(kept, row_type), row_type) == sorted(kept, key=lambda row: row.id)
    assert len({row.id for row in kept}) == len(kept)
    assert unread(dataset.adapter, {file.name: file.columns for file in files}) == {}
    return kept, Counter(row.reason for row in rows if isinstance(row, Drop))


def paths(dataset: Dataset, path: str, folder: Path) -> list[str]:
    """The files of ``folder`` that a file of the catalog means: of a repository, those that match a pattern."""
    if not dataset.in_repository:
        return [path]
    return sorted(found.relative_to(folder).as_posix() for found in folder.glob(path))


def real(name: str) -> tuple[list[Any], Counter[str]]:
    dataset = catalog("datasets")[name]
    return read_dataset(name, dataset, REAL / "medquad" if dataset.git else REAL)


@needs_real_data
@pytest.mark.parametrize(
    ("name", "rows", "drops"),
    [
        ("medmcqa-dev", 4183, {}),
        ("medqa-test", 1273, {}),
        ("mmlu-medical-test", 1089, {}),
        ("mmlu-medical-dev", 65, {}),
        ("pubmedqa-train", 500, {"other-split": 500}),
        ("pubmedqa-test", 500, {"other-split": 500}),
        ("medical-meadow-small", 5942, {}),
        ("aci-bench-train", 67 + 20, {}),
        ("mts-dialog-train", 2 * (1201 + 100), {}),
        ("opengpt-sample", 306, {}),
        ("med-safety-bench-train-gpt4", 450, {}),
        ("med-safety-bench-train-llama2", 450, {}),
        ("med-safety-bench-test", 450, {}),
        ("advbench-goals", 520, {}),
    ],
)
def test_counts(name: str, rows: int, drops: dict[str, int]) -> None:
    kept, dropped = real(name)
    assert (len(kept), dropped) == (rows, drops)
    # What `primum plan` goes by before they are read.
    assert catalog("datasets")[name].rows in (None, rows)


@pytest.mark.skipif(not MEDQUAD.is_file(), reason=f"no {MEDQUAD.name} in {REAL} (set PRIMUM_REAL_DATA)")
def test_all_of_medquad_through_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are those of the commit that the catalog pins: git names the tree of both alike.

    Of 47,441 pairs 16,407 have an answer, and 34 of these an id that came before: 16,373.
    """
    with tarfile.open(MEDQUAD) as packed:
        packed.extractall(tmp_path, filter="data")
    upstream = tmp_path / "lab" / "medquad"
    upstream.mkdir(parents=True)
    git("init", "--quiet", "--bare", str(upstream), at=upstream)
    git(f"--work-tree={tmp_path / 'medquad'}", "add", "--all", at=upstream)
    tree = git("write-tree", at=upstream)
    assert (
        tree == "0e51034956585e1c9f66338dcb990529bff55607"
    )  # git rev-parse 577bd37b96c02d1833b2c9eed2de9f96964e96cb^{tree}
    commit = git_server.Server(tmp_path / "lab").commit_tree("medquad", tree)
    git_server.use(monkeypatch, tmp_path / "settings", str(tmp_path / "lab"))
    monkeypatch.chdir(tmp_path)
    entry = catalog("datasets")["medquad"].model_copy(
        update={"git": f"{git_server.ADDRESS}/medquad", "revision": commit}
    )
    job = make_job(tmp_path, {}, {"medquad": (entry.model_dump(mode="json"), {})})
    (fetched,) = fetch.run(replace(job, progress=Progress("test", silent=True)))
    assert fetched.folder is not None
    assert fetched.counts == {"files": 11_274}
    kept, dropped = read_dataset("medquad", entry, fetched.folder)
    assert (len(kept), dropped) == (16_373, {"no-answer": 31_034, "duplicate-id": 34})


@needs_real_data
def test_medmcqa_explanations_and_labels() -> None:
    kept, _ = real("medmcqa-dev")
    assert sum(not row.explanation for row in kept) == 1977
    assert Counter(row.target for row in kept) == {0: 1348, 1: 1085, 2: 925, 3: 825}  # upstream: 1-4


@needs_real_data
def test_mmlu_subjects() -> None:
    kept, _ = real("mmlu-medical-test")
    assert Counter(row.subject for row in kept) == {
        **{"clinical_knowledge": 265, "college_biology": 144, "college_medicine": 173},
        **{"medical_genetics": 100, "professional_medicine": 272, "anatomy": 135},
    }
    dev, _ = real("mmlu-medical-dev")
    assert set(Counter(row.subject for row in dev).values()) == {5}
    hyoid = next(row for row in dev if row.id == "mmlu-medical-dev/anatomy-0000")
    assert hyoid.choices[hyoid.target] == "The second and third pharyngeal arches"


@needs_real_data
def test_pubmedqa_halves_share_no_question_and_have_the_official_labels() -> None:
    halves = [real(f"pubmedqa-{split}")[0] for split in ("train", "test")]
    train, test = ({row.id.split("/")[1] for row in half} for half in halves)
    assert not train & test
    assert Counter(row.choices[row.target] for row in halves[1]) == {"yes": 276, "no": 169, "maybe": 55}


@needs_real_data
def test_med_safety_bench_principles() -> None:
    principles = {f"principle-{number}": 50 for number in range(1, 10)}
    for name in ("med-safety-bench-train-gpt4", "med-safety-bench-test"):
        kept, _ = real(name)
        assert Counter(row.category for row in kept) == principles
        assert all(row.safe_response for row in kept)


@needs_real_data
@pytest.mark.parametrize("kind", ["medical", "general"])
def test_safety_demonstrations_are_learned_in_the_text_of_alpaca_lora(kind: str) -> None:
    """MedSafetyBench's ``training/prompter.py`` by ``templates/alpaca.json``: none of the rows has an input."""
    (file,) = catalog("datasets")[f"safety-{kind}-900"].files
    records = json.loads((REAL / file.path).read_text(encoding="utf-8"))
    kept, _ = real(f"safety-{kind}-900")
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(shipped("alpaca"))
    task = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    assert len(records) == len(kept) == 900
    for record, row in zip(records, kept, strict=True):
        turns = [{"role": message.role, "content": message.content} for message in row.messages]
        learned = template.render(messages=turns, bos_token="<s>", eos_token="</s>")
        asked = f"<s>{task}\n\n### Instruction:\n{record['instruction']}\n\n### Response:\n"
        assert not record["input"]
        assert learned == f"{asked}{record['output']}</s>", row.id


@needs_real_data
def test_files_have_the_catalogs_checksums() -> None:
    checked = 0
    for dataset in catalog("datasets").values():
        for file in dataset.files:
            if file.url is not None and (path := REAL / file.path).exists():
                assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256, file.path
                checked += 1
    assert checked > 50


@pytest.mark.parametrize("name", CATALOGS)
def test_catalog_names_adapters_and_options_that_exist(name: str) -> None:
    for title, dataset in catalog(name).items():
        if not dataset.adapter:
            assert all(file.path.endswith(".py") for file in dataset.files), "code alone has no rows"
            continue
        adapter = ADAPTERS[dataset.adapter]
        assert set(dataset.options) <= set(adapter.options), title
        assert {option for option, required in adapter.options.items() if required} <= set(dataset.options), title
        for file in dataset.files:
            assert file.url is None or file.url.endswith(file.path.rsplit("/", 1)[-1]), title


def test_demo_files_all_belong_to_a_dataset_and_are_read() -> None:
    datasets = catalog("demo-datasets")
    listed = {file.path for dataset in datasets.values() for file in dataset.files}
    folders = (ROOT / "data" / "demo", ROOT / "data" / "labels")
    shipped = {path.relative_to(ROOT).as_posix() for each in folders for path in each.rglob("*") if path.is_file()}
    assert listed == shipped - {"data/demo/README.md"}
    dropped: Counter[str] = Counter()
    for name, dataset in datasets.items():
        kept, reasons = read_dataset(name, dataset, ROOT)
        assert kept, name
        dropped += reasons
    assert dropped >= Counter(["no-answer", "bad-label", "image", "tie", "identical", "other-site"])
