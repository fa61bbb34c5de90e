"""The experiment files of the papers against their tables: data/papers is the record, the experiments follow it."""

import csv
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from primum.curate.adapters import RawFile, read
from primum.curate.fetch import run as fetch
from primum.curate.snapshot import run as snapshot
from primum.dag.dag import Dag
from primum.errors import PrimumError
from primum.experiment import Experiment, load_experiment
from primum.experiment.models import DPOModel, HubModel, SFTModel
from primum.tables.averages import columns as column_list
from primum.text.rows import Drop

ROOT = Path(__file__).parents[3]
PAPERS = ROOT / "data" / "papers"
SIZES = ("8b", "70b")
# Table 1: which experiment is which model of the suite.
SUITE = {
    "Med42-Llama2-70B": "med42-llama2-70b",
    "Med42-Llama3-8B": "med42-v2-8b",
    "Med42-Llama3-70B": "med42-v2-70b",
    "Med42-Llama3.1-8B": "med42-llama3.1-8b",
    "Med42-Llama3.1-70B": "med42-llama3.1-70b",
}
# Tables 2 and 3 have one column for Llama3 and Llama3.1 of a size, and none for Llama2.
OF_TABLES_2_AND_3 = [name for title, name in SUITE.items() if "Llama2" not in title]


@cache
def experiment(name: str) -> Experiment:
    return load_experiment(name, ROOT)


@cache
def training() -> Any:
    return yaml.safe_load((PAPERS / "med42_v2_training.yaml").read_text(encoding="utf-8"))


def table(number: int) -> list[dict[str, str]]:
    with (PAPERS / f"med42_v2_table{number}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def gpus(setup: str) -> tuple[int, int]:
    """``2 x 8 H100`` as (GPUs, nodes)."""
    nodes, each = re.fullmatch(r"(\d+) x (\d+) H100", setup).groups()  # type: ignore[union-attr]
    return int(nodes) * int(each), int(nodes)


def size_of(name: str) -> str:
    return name.rpartition("-")[2]


def test_every_model_of_table_1_has_an_experiment() -> None:
    """It starts from the model that the paper names, is fine-tuned, and aligned in three stages where the paper did that."""
    assert list(SUITE) == [row["name"] for row in training()["suite"]]
    for row in training()["suite"]:
        e = experiment(SUITE[row["name"]])
        base, *chain = e.lineage("dpo-3" if row["aligned"] else "sft")
        assert e.models[base].title == row["base"]
        assert chain == ["sft", *(["dpo-1", "dpo-2", "dpo-3"] if row["aligned"] else [])]
        assert sorted(Dag(e, ROOT, "results").trained()) == sorted(chain)
        assert set(chain) <= set(e.evaluate.models)


@pytest.mark.parametrize("name", OF_TABLES_2_AND_3)
def test_fine_tuning_is_table_2(name: str) -> None:
    e, paper, size = experiment(name), training()["sft"], size_of(name)
    sft = e.models["sft"]
    assert isinstance(sft, SFTModel)
    tuning, common = sft.optimization, paper["common"]
    assert tuning.optimizer == common["optimizer"]
    assert list(tuning.betas) == common["betas"]
    assert tuning.weight_decay == common["weight_decay"]
    assert tuning.learning_rate == common["max_lr"]
    assert tuning.schedule == "cosine"
    assert common["schedule"].endswith("cosine")
    assert tuning.warmup_ratio > 0
    assert (tuning.epochs, tuning.steps) == (common["epochs"], None)
    assert sft.chunk_tokens == common["chunk_tokens"]
    assert not sft.train_on_inputs
    assert sft.lora is None
    assert tuning.batch * sft.chunk_tokens == paper[size]["tokens_per_step"]
    asked = e.resources_of("sft", "sft")
    assert (asked.gpus, asked.nodes) == gpus(paper[size]["gpus"])
    assert tuning.batch % (asked.gpus * (tuning.micro_batch or 1)) == 0


@pytest.mark.parametrize("name", OF_TABLES_2_AND_3)
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_alignment_is_table_3(name: str, stage: int) -> None:
    e, paper, size = experiment(name), training()["dpo"], size_of(name)
    model = e.models[f"dpo-{stage}"]
    assert isinstance(model, DPOModel)
    tuning, common = model.optimization, paper["common"]
    assert tuning.optimizer == common["optimizer"]
    assert tuning.weight_decay == common["weight_decay"]
    assert tuning.learning_rate == common["max_lr"]
    assert tuning.schedule == "cosine"
    assert (tuning.epochs, tuning.steps) == (common["epochs_per_stage"], None)
    assert model.max_length == common["max_length"]
    assert model.beta == paper[size]["beta"]
    assert tuning.batch == paper[size]["batch_size"]
    asked = e.resources_of("dpo", f"dpo-{stage}")
    assert (asked.gpus, asked.nodes) == gpus(paper[size]["gpus"])
    assert tuning.batch % (asked.gpus * (tuning.micro_batch or 1)) == 0
    # Each stage starts from the previous stage's model, which is its reference as well.
    row = paper["stages"][stage - 1]
    assert (model.start, model.reference) == (row["start_from"].replace("_", "-"), row["reference"].replace("_", "-"))
    sets = {"ultrafeedback_binarized": "ultrafeedback-train-prefs"}
    sets.update({f"snorkel_stage_{n}": f"snorkel-iteration-{n}" for n in (1, 2, 3)})
    assert e.preferences[model.data].datasets == tuple(sets[name] for name in row["data"])


@pytest.mark.parametrize("size", SIZES)
def test_llama3_and_llama3_1_of_a_size_differ_in_where_they_start(size: str) -> None:
    older, newer = (experiment(f"med42-{version}-{size}") for version in ("v2", "llama3.1"))
    titles = {"title": ""}
    for name in ("sft", "dpo-1", "dpo-2", "dpo-3"):
        start = {"start": "another"} if name == "sft" else {}
        one, other = (e.models[name].model_copy(update=titles | start) for e in (older, newer))
        assert one == other
    for key in ("seed", "catalogs", "evaluate", "engine", "sampling", "resources", "overrides", "mixtures"):
        assert getattr(older, key) == getattr(newer, key), key


def test_what_the_paper_does_not_say_of_llama2_is_ours() -> None:
    """It has Table 1's row and no more; the file says of all else that it is ours, and takes it from Table 2's 70B."""
    e, larger = experiment("med42-llama2-70b"), experiment("med42-v2-70b")
    ours, theirs = e.models["sft"], larger.models["sft"]
    assert isinstance(ours, SFTModel)
    assert isinstance(theirs, SFTModel)
    changed = {"batch", "micro_batch"}
    settings = [each.optimization.model_dump(exclude=changed) for each in (ours, theirs)]
    assert settings[0] == settings[1]
    assert ours.chunk_tokens == 4096
    assert ours.optimization.batch * ours.chunk_tokens == training()["sft"]["70b"]["tokens_per_step"]
    asked = e.resources_of("sft", "sft")
    assert ours.optimization.batch == asked.gpus * (ours.optimization.micro_batch or 0)
    assert not any(isinstance(model, DPOModel) for model in e.models.values())
    assert e.evaluate.models == ("sft", "med42-llama2-70b")
    text = (ROOT / "config/experiments/med42-llama2-70b.yaml").read_text(encoding="utf-8")
    assert "settings for 70B, are ours here" in text
    assert "# Ours: Llama-2 reads 4,096 tokens" in text


def test_steps_and_tokens_agree_between_the_sizes() -> None:
    sft, derived = training()["sft"], training()["sft"]["derived"]
    totals = {size: sft[size]["steps"] * sft[size]["tokens_per_step"] for size in SIZES}
    # 5,321 x 262,144 and 3,549 x 393,216
    assert totals == {"8b": 1_394_868_224, "70b": 1_395_523_584}
    assert totals == {size: derived[f"total_tokens_{size}"] for size in SIZES}
    assert abs(totals["70b"] / totals["8b"] - 1) < 0.0005


def test_table_5_does_not_add_up_and_the_remainder_is_carried() -> None:
    rows = table(5)
    listed = {row["dataset"]: int(row["samples"]) for row in rows if row["dataset"] != "Total"}
    stated = {row["domain"]: int(row["samples"]) for row in rows if row["dataset"] == "Total"}
    sums = {d: sum(int(r["samples"]) for r in rows if r["domain"] == d and r["dataset"] != "Total") for d in stated}
    assert sums == {"medical": 547_542, "general": 343_529}
    assert stated == {"medical": 952_942, "general": 343_529}
    assert sum(row["domain"] == "medical" for row in rows) - 1 == 18
    for suited in SUITE.values():
        mixture = experiment(suited).mixtures["med42-v2"]
        assert mixture.unlisted == stated["medical"] - sums["medical"] == 405_400
        # In the table's own order, all 22.
        assert [source.published for source in mixture.sources.values()] == list(listed.values())
        assert [source.domain for source in mixture.sources.values()] == ["medical"] * 18 + ["general"] * 4
        assert all(source.take == source.published and source.repeat == 1 for source in mixture.sources.values())
        for name, dataset in zip(mixture.sources, listed, strict=True):
            assert name.replace("-", "") == re.sub(r"[^a-z0-9]", "", dataset.lower()), name


def test_all_share_data_and_evaluation() -> None:
    every = [experiment(name) for name in SUITE.values()]
    specs = {Dag(e, ROOT, "results").spec("mix", "mixtures") for e in every}
    assert len(specs) == 1
    for key in ("benchmarks", "prompts", "judges"):
        assert len({getattr(e.evaluate, key) for e in every}) == 1
    assert len({experiment(name).evaluate for name in OF_TABLES_2_AND_3}) == 1


def test_rows_of_table_4_are_evaluated_where_a_hub_has_them() -> None:
    e = experiment("med42-v2-8b")
    titles = {e.models[name].title: name for name in e.evaluate.models}
    published = {row["model"]: row["size_class"] for row in table(4)}
    assert len(published) == 22
    assert set(published) - set(titles) == {"GPT-4.0", "Med42-Llama3.1-8B", "Med42-Llama3.1-70B"}
    for title, name in titles.items():
        if title in published:
            assert isinstance(e.models[name], HubModel)
            assert e.models[name].size_class == published[title], title
    columns = [column for column in table(4)[0] if column not in ("model", "size_class", "average")]
    evaluated = {re.sub(r"-(medical|self-assessment|sample-exam)$", "", name) for name in e.evaluate.benchmarks}
    assert evaluated == {column.replace("_", "-") for column in columns}
    assert e.benchmarks["mmlu-medical"].macro
    # Zero-shot, with the chat template, by the whole answer's log-likelihood.
    for name in e.evaluate.benchmarks:
        asked = e.benchmarks[name].asked()
        assert (asked["fewshot"], asked["chat_template"], asked["doc_to_choice"]) == (None, True, "choices")
        assert (asked["scoring"], asked["delimiter"], asked["normalize"]) == (None, None, "none")
    # The paper's average is over its seven columns, of which USMLE is the mean of two benchmarks.
    average = column_list([(name, e.benchmarks[name].part_of) for name in e.evaluate.benchmarks])[-1]
    averaged = [re.sub("-medical$", "", part.name).lower().replace("-", "_") for part in average.parts]
    assert sorted(averaged) == sorted(columns)
    usmle = next(part for part in average.parts if part.name == "USMLE")
    assert usmle.benchmarks == ("usmle-self-assessment", "usmle-sample-exam")


def test_task_files_name_datasets_of_the_catalog() -> None:
    """Every shipped task can be asked, with and without examples, and says what it is."""
    catalog = experiment("med42-v2-8b").datasets
    shipped = sorted(path.stem for path in (ROOT / "config/tasks").glob("*.yaml"))
    assert set(shipped) <= set(experiment("med42-v2-8b").benchmarks)
    for name in shipped:
        benchmark = experiment("med42-v2-8b").benchmarks[name]
        assert benchmark.dataset in catalog, name
        without = name.startswith("usmle") or name == "toxigen"
        assert without or benchmark.fewshot.dataset in catalog, name
        assert benchmark.title
        assert benchmark.version == 1


@pytest.mark.parametrize("name", [*SUITE.values(), "table4", "med-safety"])
def test_models_get_the_gpus_that_their_engine_spreads_over(name: str) -> None:
    e = experiment(name)
    for model in e.evaluate.models:
        engine = e.engine_of(model)
        if engine.kind == "vllm":
            assert e.resources_of("generate", model).gpus == engine.tensor_parallel, model
            assert e.resources_of("score", model).gpus == engine.tensor_parallel, model


class FakeItem:
    """What the snapshot stage reads of an item."""

    def __init__(self, name: str, spec: dict[str, Any], work: Path) -> None:
        self.name, self.spec, self.work = name, spec, work


class FakeJob:
    """A job of one item, which stops before it reports anything."""

    progress = None

    def __init__(self, item: FakeItem) -> None:
        self.items = [item]


@pytest.mark.parametrize("name", [*SUITE.values(), "table4", "med-safety"])
def test_a_model_of_unknown_revision_is_refused_by_name(name: str, tmp_path: Path) -> None:
    e = experiment(name)
    unknown = [n for n in e.needed_models() if getattr(e.models[n], "revision", "") == "unknown"]
    assert unknown
    for model in unknown:
        (_, item), *_ = json.loads(Dag(e, ROOT, "results").spec("snapshot", model))["items"]
        with pytest.raises(PrimumError, match=rf"^models\.{re.escape(model)}: the revision of .* is unknown") as caught:
            list(snapshot(FakeJob(FakeItem(model, item, tmp_path))))  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_a_file_without_an_address_is_refused_by_name(tmp_path: Path) -> None:
    name = "usmle-sample-exam"
    dag = Dag(experiment("med42-v2-8b"), tmp_path, "results")
    (tmp_path / "envs").mkdir()
    ((_, item),) = [(output.name, output.spec) for output in dag.job("fetch", name).plan.outputs]
    with pytest.raises(PrimumError, match=r"^datasets\.usmle-sample-exam: .*step1\.json is not here") as caught:
        list(fetch(FakeJob(FakeItem(name, item, tmp_path / "work"))))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    # Once it is put in place, the spec holds its checksum, so that the job is planned anew.
    path = tmp_path / "usmle-sample-exam" / "step1.json"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    ((_, item),) = json.loads(Dag(experiment("med42-v2-8b"), tmp_path, "results").spec("fetch", name))["items"]
    assert [file["sha256"] for file in item["files"]] == [hashlib.sha256(b"abc").hexdigest(), None, None]


def test_every_revision_is_whole_or_unknown() -> None:
    for name in ("med42-v2-8b", "med-safety"):
        for entry in [*experiment(name).models.values(), *experiment(name).datasets.values()]:
            revision = getattr(entry, "revision", None)
            assert revision is None or revision == "unknown" or re.fullmatch("[0-9a-f]{40}", revision)


def test_slim_orca_parts_are_told_by_open_orca(tmp_path: Path) -> None:
    turns = [[{"from": "human", "value": f"Q{n}"}, {"from": "gpt", "value": "A", "weight": 1}] for n in range(4)]
    (tmp_path / "slim.jsonl").write_text("".join(json.dumps({"conversations": t}) + "\n" for t in turns))
    known = [{"id": f"{part}.{n}", "question": f"Q{n}"} for n, part in enumerate(("t0", "flan", "cot"))]
    pq.write_table(pa.Table.from_pylist(known), tmp_path / "orca.parquet")
    slim, orca = (RawFile(tmp_path / name, name) for name in ("slim.jsonl", "orca.parquet"))
    rows = list(read("slim_orca", [slim, orca], "d", {"collection": "flan"}))
    assert [row.reason if isinstance(row, Drop) else row.id for row in rows] == [
        "other-collection",
        "d/0000001",
        "other-collection",
        "no-collection",
    ]
    with pytest.raises(PrimumError, match="needs OpenOrca's Parquet files"):
        list(read("slim_orca", [slim], "d", {"collection": "flan"}))
    with pytest.raises(PrimumError, match="'collection' must be one of"):
        list(read("slim_orca", [slim, orca], "d", {"collection": "T0"}))
