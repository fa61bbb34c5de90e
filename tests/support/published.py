"""A small results folder as a run leaves it, with store and requests: two models, their scores and verdicts, tables, report.

Data are made up. All of it is published as jobs publish it, and tables and report are made by their own stages.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from study import GENERATION, JUDGEMENT, TABLES, generation, judge, judgement, score

import primum
from primum.artifact.canonical import canonical_json
from primum.artifact.code import code_digest
from primum.artifact.job import Job, Result, Run, execute
from primum.artifact.request import Asked, Request
from primum.artifact.store import Store
from primum.dag.dag import STAGES
from primum.progress import Progress
from primum.report import stage as report_stage
from primum.score.items import SCORES
from primum.tables import stage as tables_stage
from primum.tables.csv import export_csv

SOURCE = Path(primum.__file__).parents[1]
MODELS, BENCHMARKS = ("a", "b"), ("medqa", "mmlu")
RAW = "data/own/questions.csv"


@dataclass(frozen=True)
class Made:
    """An artifact to publish at ``path`` (a manifest in the results): rows, or the content of files by name."""

    path: str
    spec: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]] = ()
    schema: pa.Schema | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    inputs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    sensitive: bool = False


@dataclass(frozen=True)
class Publisher:
    """Publishes into ``root/results/NAME``; ``root`` looks like a clone."""

    root: Path
    name: str = "tiny"

    @property
    def results(self) -> Path:
        return self.root / "results" / self.name

    @property
    def store(self) -> Store:
        return Store(self.root / "results" / ".store")

    def publish(self, stage: str, job: str, made: Mapping[str, Made], **more: Any) -> None:
        """One job: its request is written down, and its artifacts are made by ``run``, or are what ``made`` holds."""
        kind = "folder" if any(each.files for each in made.values()) else "table"
        spec = {"stage": stage, "code": "c", "libraries": {}, "common": {}, "reads": []}
        run = more.pop("run", None)
        kind = more.pop("kind", kind)
        spec |= more | {"items": [[name, each.spec] for name, each in made.items()]}
        outputs = [
            Asked(
                self.results / each.path,
                {role: [self.results / path for path in paths] for role, paths in each.inputs.items()},
                each.sensitive,
            )
            for each in made.values()
        ]
        request = Request(canonical_json(spec), outputs, {}, kind, self.store)
        request.save(self.results / "requests" / f"{stage}-{job}.json")

        def make(job: Job) -> Iterator[Result]:
            for item in job.items:
                each = made[item.name]
                if each.files:
                    folder = item.work / "made"
                    for name, content in each.files.items():
                        (folder / name).parent.mkdir(parents=True, exist_ok=True)
                        (folder / name).write_bytes(content)
                    yield Result(item, folder=folder, counts=each.counts)
                else:
                    rows = sorted(each.rows, key=lambda row: row["id"])
                    yield Result(item, table=pa.Table.from_pylist(rows, schema=each.schema), counts=each.counts)

        def load() -> Run:
            return run or make

        execute(request, load, Progress("test", silent=True))


def publish_study(root: Path) -> Path:
    """All of it; returns the results folder."""
    draw = random.Random(3)
    to = Publisher(root)
    for folder in ("config/experiments", Path(RAW).parent):
        (root / folder).mkdir(parents=True)
    (root / "Snakefile").write_text("")
    content = b"id,question\n1,what\n"
    (root / RAW).write_bytes(content)
    pinned = {"path": RAW, "url": None, "sha256": hashlib.sha256(content).hexdigest()}
    fetched = {"files": [pinned], "hub": None, "revision": None}
    to.publish(
        "fetch",
        "questions",
        {"questions": Made("data/raw/questions/manifest.json", fetched, files={RAW: content}, counts={"files": 1})},
    )
    to.publish(
        "read",
        "benchmarks",
        {
            f"{name}/rows": Made(
                f"data/rows/{name}.json",
                {"dataset": name},
                [{"id": str(number), "text": f"question {number} of {name}"} for number in range(6)],
                inputs={"raw": ["data/raw/questions/manifest.json"]},
                counts={"rows": 6},
            )
            for name in BENCHMARKS
        },
    )
    for model in MODELS:
        publish_model(to, model, draw)
    publish_aggregates(to)
    return to.results


def publish_model(to: Publisher, model: str, draw: random.Random) -> None:
    """A model of random weights, its scores, generations and verdicts. Its scores have the specs of all others'."""
    history = pa.BufferOutputStream()
    steps = {"step": pa.array([1, 2], pa.int32()), "loss": [2.0, draw.random()], "learning_rate": [0.1, 0.1]}
    pq.write_table(pa.table(steps), history)
    files = {"model.safetensors": draw.randbytes(50_000), "history.parquet": history.getvalue().to_pybytes()}
    place = f"models/{model}/manifest.json"
    to.publish("sft", model, {model: Made(place, {"seed": model}, files=files, inputs={})})
    to.publish(
        "score",
        model,
        {
            name: Made(
                f"scores/{model}/{name}.json",
                {"benchmark": name},
                [
                    score(f"{number:03d}", draw.random() < 0.5, subject=f"s{number % 2}")
                    for number in range(20 if name == "medqa" else 25)
                ],
                SCORES,
                inputs={"model": [place], "rows": [f"data/rows/{name}.json"]},
            )
            for name in BENCHMARKS
        },
    )
    ids = [(f"{number:02d}", "xy"[number % 2]) for number in range(12)]
    said = f"generations/{model}/harmful.json"
    generated = Made(
        said,
        {"prompts": "harmful"},
        [generation(id_, category) | {"prompt_tokens": draw.randint(1, 99)} for id_, category in ids],
        GENERATION,
        inputs={"model": [place]},
        counts={"rows": 12, "stop": 12},
        sensitive=True,
    )
    to.publish("generate", model, {"harmful": generated})
    for name, highest in (("harm", 5), ("refusal", 1)):
        rows = [judgement(id_, category, draw.randint(1 if name == "harm" else 0, highest)) for id_, category in ids]
        made = Made(
            f"verdicts/{name}/{model}/harmful.json",
            {"judge": name},
            rows,
            JUDGEMENT,
            inputs={"responses": [said]},
            counts={"rows": 12, "scored": 12},
            sensitive=True,
        )
        to.publish("verdicts", f"{name}-{model}", {f"{name}/{model}/harmful": made})


def publish_aggregates(to: Publisher) -> None:
    """Tables with their CSV, and the report."""
    names = ("name", "title", "size_class", "kind", "start", "data", "evaluated")
    study: dict[str, Any] = {
        "models": [
            dict(zip(names, (model, model.upper(), "small", "sft", None, "chat", True), strict=True)) | {"axes": {}}
            for model in MODELS
        ],
        "benchmarks": [
            {"name": name, "title": name, "group": "benchmark", "macro": name == "mmlu", "normalize": "none"}
            | {"part_of": ""}
            for name in BENCHMARKS
        ],
        "prompts": [{"name": "harmful", "kind": "harmful", "part_of": ""}],
        "judges": [judge("harm", "rubric"), judge("refusal", "refusal")],
    }
    lists: dict[str, list[Any]] = {
        "scores": [[model, benchmark] for model in MODELS for benchmark in BENCHMARKS],
        "judgements": [[name, model, "harmful"] for name in ("harm", "refusal") for model in MODELS],
        "generations": [[model, "harmful"] for model in MODELS],
        "trained": list(MODELS),
    }
    empty = (
        "graded",
        "mixtures",
        "packed",
        "agreements",
        "canaries",
        "labelled",
        "labels",
        "audited",
        "pairs",
        "sampled",
    )
    inputs = {
        "scores": [f"scores/{model}/{benchmark}.json" for model, benchmark in lists["scores"]],
        "judgements": [f"verdicts/{name}/{model}/{prompts}.json" for name, model, prompts in lists["judgements"]],
        "generations": [f"generations/{model}/{prompts}.json" for model, prompts in lists["generations"]],
        "trained": [f"models/{model}/manifest.json" for model in MODELS],
    }
    to.publish(
        "tables",
        "tables",
        {name: Made(f"tables/{name}.json", {"table": name}, inputs=inputs) for name in TABLES},
        run=tables_stage.run,
        code=code_digest(STAGES["tables"].module, SOURCE),
        common={**study, **lists, **{name: [] for name in empty}, "margin": 0.02},
    )
    for name in TABLES:
        export_csv(to.results / f"tables/{name}.json")
    told = {"experiment": to.name, "title": "Tiny", "description": "", "disclaimer": "", "tables": list(TABLES)}
    to.publish(
        "report",
        "report",
        {"report": Made("report/manifest.json", {}, inputs={"tables": [f"tables/{name}.json" for name in TABLES]})},
        run=report_stage.run,
        kind="folder",
        code=code_digest(STAGES["report"].module, SOURCE),
        common={**study, **told, "trained": lists["trained"], **{name: [] for name in empty}},
    )


def copied(root: Path, target: Path) -> Path:
    """A copy of what ``publish_study`` made at ``root``, its hard links kept; returns the results folder."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(root), str(target)], check=True)
    return target / "results" / "tiny"
