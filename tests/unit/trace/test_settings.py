"""Where in an experiment the places of specs come from: every one of the demo's, and the line of a file that gives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from shipped import ROOT

from primum.artifact.job import item_spec
from primum.dag.workflow import Workflow, open_workflow
from primum.trace.settings import Setting, Settings

# What no key gives: names of outputs, what follows from other keys, and defaults of the stages.
OURS = {
    *(("read", "item.dataset"), ("read", "item.output")),
    *(("mix", "item.mixture"), ("mix", "item.order"), ("mix", "item.output")),
    ("mix", "item.judges.harm.policies.default"),
    *(("overlap", "item.ngram"), ("pair-overlap", "item.ngram")),
    *(("pack", "item.output"), ("reference", "item.output"), ("sample", "item.draw")),
    *(("score", "common.from_scratch"), ("parse", "item.from_scratch")),
    *(("respond", "item.system"), ("respond", "item.take")),
}


@pytest.fixture(scope="module")
def demo() -> tuple[Workflow, Settings]:
    return open_workflow({"experiment": "demo"}, ROOT), Settings.of("demo", ROOT)


def leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, each in enumerate(value):
            yield from leaves(each, (*path, str(index)))
    else:
        yield path


def artifacts(run: Workflow) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Stage, name and spec of what is made."""
    for job in run.dag.jobs:
        spec = json.loads(job.spec)
        for output, (_, item) in zip(job.plan.outputs, spec["items"], strict=True):
            name = output.path.removeprefix(f"{run.dag.results}/").removesuffix(".json").removesuffix("/manifest")
            yield job.stage.name, name, item_spec(spec, item)


def test_every_place_of_the_demo_s_specs_is_found(demo: tuple[Workflow, Settings]) -> None:
    run, settings = demo
    lost: set[tuple[str, str]] = set()
    for stage, name, spec in artifacts(run):
        # The tables' spec repeats the experiment: see primum.trace.causes.
        for path in (
            leaves({key: spec[key] for key in ("common", "item")}, ()) if stage not in ("tables", "report") else ()
        ):
            setting = settings.find(stage, name, path, spec)
            if not setting.found:
                lost.add((stage, ".".join("#" if key.isdigit() else key for key in path)))
            elif not setting.is_file and len(path) > 1:
                assert setting.line, setting
    assert {each for each in lost if "." in each[1]} == OURS


@pytest.mark.parametrize(
    ("artifact", "path", "name"),
    [
        ("models/sft", "item.seed", "seed"),
        ("models/dpo-3", "item.optimization.steps", "models.dpo-3.optimization.steps"),
        ("data/raw/demo-corpus", "item.files.0.path", "datasets.demo-corpus.files.0.path"),
        ("data/mixtures/graded", "item.judges.harm.template", "data/rubrics/demo-harm.j2"),
        ("data/mixtures/clinical", "item.sources.medqa.dataset", "mixtures.clinical.sources.medqa.dataset"),
        ("generations/sft/benign", "common.sampling.max_tokens", "sampling.max_tokens"),
        ("generations/sft/benign", "common.engine.dtype", "engine.dtype"),
        ("judgements/harm/sft/benign", "common.sampling.max_tokens", "judges.harm.sampling.max_tokens"),
        ("judgements/harm/sft/benign", "common.template", "data/rubrics/demo-harm.j2"),
        ("judgements/harm/canary", "item.canary.0.response", "data/canaries/responses.yaml"),
        ("scores/sft/mmlu", "item.target_delimiter", "benchmarks.mmlu.target_delimiter"),
        (
            "answers/sft/usmle-in-words",
            "item.sampling.max_tokens",
            "benchmarks.usmle-in-words.generate_until.max_gen_toks",
        ),
        ("data/ranked/on-policy-2", "common.beta", "models.dpo-2.beta"),
        ("data/samples/on-policy-2/000", "common.sampling.temperature", "preferences.on-policy-2.sampling.temperature"),
        ("data/pairs/safe", "item.at_least", "preferences.safe.at_least"),
        ("tables/benchmarks", "common.models.1.title", "models.sft.title"),
        ("tables/benchmarks", "common.judges.0.gate", "judges.harm.gate.alpha"),
        ("tables/benchmarks", "common.margin", "evaluate.margin"),
    ],
)
def test_the_name_of_a_place(demo: tuple[Workflow, Settings], artifact: str, path: str, name: str) -> None:
    run, settings = demo
    stage, spec = next((stage, spec) for stage, each, spec in artifacts(run) if each == artifact)
    assert settings.find(stage, artifact, tuple(path.split(".")), spec).name == name


def line(file: str, text: str) -> int:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return next(
        number for number, each in enumerate(lines, 1) if each.startswith(text) or (text[0] == "&" and text in each)
    )


def test_lines_of_anchors_catalogs_tasks_and_bases(demo: tuple[Workflow, Settings]) -> None:
    _, settings = demo
    file = "config/experiments/demo.yaml"
    anchor = line(file, "&tuning")
    assert settings.key("models", "medical", "optimization", "epochs") == Setting(
        "models.medical.optimization.epochs", file=file, line=anchor, exact=True
    )
    catalog = "config/catalog/demo-datasets.yaml"
    found = settings.key("datasets", "demo-corpus", "adapter")
    assert (found.file, found.line, found.exact) == (catalog, line(catalog, "  demo-corpus:") + 2, True)
    # A default stands nowhere: the entry is what can be named.
    found = settings.key("models", "judge", "threads")
    assert (found.file, found.line, found.exact) == (file, line(file, "  judge:") + 1, False)
    table4 = Settings.of("table4", ROOT)
    task = next(name for name, entry in table4.content["benchmarks"].items() if entry["task"].endswith("mmlu-pro"))
    found = table4.key("benchmarks", task, "doc_to_text")
    assert found.file.startswith("config/"), found
    base = Settings.of("med42-v2-8b", ROOT).key("evaluate", "benchmarks")
    assert (base.file, base.exact) == ("config/bases/med42-v2.yaml", True)


def test_an_entry_of_a_grid_stands_where_the_grid_does(tmp_path: Path) -> None:
    from tiny import TINY

    path = tmp_path / "grid.yaml"
    grid = {
        **TINY["models"]["sft"],
        "matrix": {"n": [4, 5]},
        "optimization": {"learning_rate": 0.001, "batch": 2, "steps": "${n}"},
    }
    content = TINY | {"name": "grid", "models": {"base": TINY["models"]["base"], "sft-${n}": grid}}
    content["evaluate"] = TINY["evaluate"] | {"models": ["sft-${n}"]}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    found = Settings.of(str(path), ROOT).key("models", "sft-5", "optimization", "steps")
    number = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "steps: ${n}" in text)
    assert (found.name, found.line, found.exact) == ("models.sft-5.optimization.steps", number, True)
