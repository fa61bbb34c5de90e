"""Counts on the published files themselves, read through the catalog. Skipped where the files are not at hand.

The folder is named by the environment variable PRIMUM_REAL_DATA, or is ``shared/data`` beside the checkout.
"""

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from primum.curate.adapters import ADAPTERS, RawFile, read
from primum.curate.adapters.columns import unread
from primum.experiment.datasets import Dataset
from primum.text.rows import Drop, from_table, to_table

ROOT = Path(__file__).parents[3]
REAL = Path(os.environ.get("PRIMUM_REAL_DATA", ROOT.parent / "shared" / "data"))
CATALOGS = {name: ROOT / "config" / "catalog" / f"{name}.yaml" for name in ("datasets", "demo-datasets")}

needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"no published files in {REAL} (set PRIMUM_REAL_DATA)")


def catalog(name: str) -> dict[str, Dataset]:
    entries = yaml.safe_load(CATALOGS[name].read_text(encoding="utf-8"))["datasets"]
    return {dataset: Dataset.model_validate(entry) for dataset, entry in entries.items()}


def read_dataset(name: str, dataset: Dataset, folder: Path) -> tuple[list[Any], Counter[str]]:
    """Rows, and drops by reason, of a dataset whose files are in ``folder``; every row is written and read back."""
    files = [RawFile(folder / file.path, file.path) for file in dataset.files]
    rows = list(read(dataset.adapter, files, name, dataset.options))
    kept = [row for row in rows if not isinstance(row, Drop)]
    row_type = ADAPTERS[dataset.adapter].row_type
    assert from_table(to_table(kept, row_type), row_type) == sorted(kept, key=lambda row: row.id)
    assert len({row.id for row in kept}) == len(kept)
    assert unread(dataset.adapter, {file.name: file.columns for file in files}) == {}
    return kept, Counter(row.reason for row in rows if isinstance(row, Drop))


def real(name: str) -> tuple[list[Any], Counter[str]]:
    return read_dataset(name, catalog("datasets")[name], REAL)


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
        ("medquad", 270, {"no-answer": 8}),
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
def test_files_have_the_catalogs_checksums() -> None:
    checked = 0
    for dataset in catalog("datasets").values():
        for file in dataset.files:
            if file.url is not None and (path := REAL / file.path).exists():
                assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256, file.path
                checked += 1
    assert checked > 100


@pytest.mark.parametrize("name", CATALOGS)
def test_catalog_names_adapters_and_options_that_exist(name: str) -> None:
    for title, dataset in catalog(name).items():
        adapter = ADAPTERS[dataset.adapter]
        assert set(dataset.options) <= set(adapter.options), title
        assert {option for option, required in adapter.options.items() if required} <= set(dataset.options), title
        for file in dataset.files:
            assert file.url is None or file.url.endswith(file.path.rsplit("/", 1)[-1]), title


def test_demo_files_all_belong_to_a_dataset_and_are_read() -> None:
    datasets = catalog("demo-datasets")
    listed = {file.path for dataset in datasets.values() for file in dataset.files}
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "data" / "demo").rglob("*") if path.is_file()}
    assert listed == shipped - {"data/demo/README.md"}
    dropped: Counter[str] = Counter()
    for name, dataset in datasets.items():
        kept, reasons = read_dataset(name, dataset, ROOT)
        assert kept, name
        dropped += reasons
    assert dropped >= Counter(["no-answer", "bad-label", "image", "tie", "identical", "other-site"])
