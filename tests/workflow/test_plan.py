"""Every key of the demo, changed alone: the dry-run plans exactly the jobs that the key belongs to, and their readers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import pytest
import yaml
from meaning import Document, Meaning, leaves
from project import DEMO, Planner

from primum.experiment.types import Frozen

LEAVES = dict(leaves(yaml.safe_load(DEMO)))

# Leaves with one valid value only, or that make it another experiment altogether (tested below on their own).
_ALONE = {
    ("name",): "names the results folder",
    ("catalogs", 0): "the catalog",
    ("models", "*", "train"): "another kind of model has other keys",
    ("judges", "*", "kind"): "another kind of judge has other keys",
    ("judges", "refusal", "graded"): "there is one set with classes of refusal",
    ("judges", "criteria", "prompts", 0): "there is one set of conversations",
    ("prompts", "conversations", "kind"): "another kind has other judges",
    ("prompts", "conversations", "dataset"): "there is one dataset with criteria",
    ("mixtures", "*", "sources", "*", "judge"): "there is one rubric judge",
    ("rankers", "*", "kind"): "another kind of ranker has other keys",
    ("preferences", "*", "ranker"): "there is one ranker",
    ("preferences", "*", "judge"): "there is one rubric judge",
}
_WORDS = {
    "deduplicate": ("none", "exact", "near"),
    "domain": ("medical", "general", "safety", "judge"),
    "kind": ("harmful", "benign"),
    "group": ("benchmark", "preference"),
    "normalize": ("none", "tokens", "characters", "bytes"),
    "scoring": ("letter", "full_answer"),
    "size_class": ("small", "large"),
    "optimizer": ("adamw", "rmsprop"),
    "schedule": ("cosine", "linear"),
    "dtype": ("float32", "bfloat16"),
}
# Keys that the demo leaves at their defaults: a path, and a value that is not the default.
_ADDED: dict[tuple[Any, ...], Any] = {
    ("mixtures", "clinical", "text"): True,
    ("mixtures", "clinical", "deduplicate"): "none",
    ("mixtures", "clinical", "decontaminate"): False,
    ("mixtures", "clinical", "phi"): "warn",
    ("mixtures", "clinical", "choice_prompt"): "{{ question }}",
    ("mixtures", "clinical", "choice_answer"): "{{ answer }}",
    ("mixtures", "corpus", "near_threshold"): 0.5,
    ("mixtures", "clinical", "sources", "mmlu", "take"): 3,
    ("mixtures", "clinical", "sources", "mmlu", "repeat"): 2,
    ("mixtures", "clinical", "sources", "mmlu", "domain"): "general",
    ("mixtures", "medical", "unlisted"): 5,
    ("models", "sft", "seed"): 3,
    ("models", "sft", "threads"): 2,
    ("models", "sft", "size_class"): "medium",
    ("models", "sft", "axes"): {"n": 200},
    ("models", "sft", "family"): "llama2",
    ("models", "sft", "packing"): False,
    ("models", "sft", "attention"): "varlen",
    ("models", "sft", "attention_reset"): False,
    ("models", "sft", "train_on_inputs"): True,
    ("models", "sft", "lora"): {"r": 4},
    ("models", "sft", "template"): "alpaca",
    ("models", "sft", "fold_system"): True,
    ("models", "sft", "published_steps"): 7,
    ("models", "base", "held_out"): {"take": 2, "eval_steps": 10},
    ("models", "dpo-1", "held_out"): {"take": 2, "eval_steps": 10},
    ("models", "sft", "limits"): {
        **{"no_loss_tokens": 0.2, "end_unlearned": 0.2, "two_bos": 0.2, "labels_across_samples": 0.2},
        **{"truncated": 0.2, "unfilled": 0.2, "refused": 0.2},
    },
    ("models", "dpo-2", "limits"): {
        **{"end_unlearned": 0.2, "two_bos": 0.2, "truncated": 0.2, "prompt_too_long": 0.2, "equal_texts": 0.2},
        **{"refused": 0.2},
    },
    ("models", "sft", "engine"): {"kind": "vllm"},
    ("models", "judge", "engine"): {"max_length": 512},
    ("models", "base", "seed"): 3,
    ("models", "dpo-2", "seed"): 3,
    ("models", "dpo-2", "reference"): "sft",
    ("models", "dpo-2", "optimization", "dtype"): "bfloat16",
    ("models", "sft", "optimization", "micro_batch"): 2,
    ("models", "sft", "optimization", "schedule"): "linear",
    ("models", "sft", "optimization", "optimizer"): "rmsprop",
    ("models", "sft", "optimization", "max_grad_norm"): 0.5,
    ("models", "sft", "optimization", "warmup_ratio"): 0.5,
    ("models", "sft", "optimization", "warmup_steps"): 3,
    ("models", "sft", "optimization", "drop_last"): True,
    ("models", "sft", "optimization", "checkpoint_steps"): 7,
    ("models", "dpo-1", "optimization", "weight_decay"): 0.5,
    ("preferences", "on-policy-2", "take"): 3,
    ("preferences", "on-policy-2", "sampling", "top_p"): 0.5,
    ("preferences", "safe", "asked"): ["demo-mediqa"],
    ("prompts", "benign", "system"): "Answer.",
    ("prompts", "benign", "take"): 3,
    ("prompts", "benign", "part_of"): "Both",
    ("benchmarks", "medqa", "task"): "medqa",
    ("benchmarks", "medqa", "doc_to_text"): "{{ question }}!",
    ("benchmarks", "medqa", "doc_to_choice"): "letters",
    ("benchmarks", "medqa", "doc_to_target"): 0,
    ("benchmarks", "medqa", "process_docs"): {"function": "own.clean", "source": "def clean(docs): return docs"},
    ("benchmarks", "medqa", "process_results"): {
        "function": "own.worth",
        "source": "def worth(doc, results): return {}",
    },
    ("benchmarks", "medqa", "gen_prefix"): "So",
    ("benchmarks", "medqa", "cluster"): "context",
    ("benchmarks", "medqa", "description"): "Questions.",
    ("benchmarks", "medqa", "target_delimiter"): "\n",
    ("benchmarks", "medqa", "fewshot_delimiter"): "\n",
    ("benchmarks", "medqa", "fewshot"): {
        **{"k": 2, "dataset": "demo-medqa-train", "sampler": "random", "seeds": [1, 2]},
        **{"same_subject": True, "multiturn": False, "own_split": False, "samples": [{"question": "Why?"}]},
    },
    ("benchmarks", "medqa", "scoring"): "letter",
    ("benchmarks", "medqa", "normalize"): "characters",
    ("benchmarks", "medqa", "delimiter"): " ",
    ("benchmarks", "medqa", "chat_template"): False,
    ("benchmarks", "medqa", "macro"): True,
    ("benchmarks", "medqa", "part_of"): "Both",
    ("benchmarks", "medqa", "group"): "preference",
    ("benchmarks", "medqa", "version"): 2,
    ("benchmarks", "medqa", "method"): "generation",
    ("groups",): {"both": {"title": "Both", "benchmarks": ["medqa", "medmcqa"], "weight_by_size": False}},
    ("benchmarks", "usmle-in-words", "generate_until", "temperature"): 0.5,
    ("benchmarks", "usmle-in-words", "generate_until", "top_p"): 0.5,
    ("benchmarks", "usmle-in-words", "generate_until", "repeats"): 2,
    ("benchmarks", "usmle-in-words", "generate_until", "target_is_choice"): True,
    ("benchmarks", "usmle-in-words", "generate_until", "examples"): {
        **{"doc_to_text": "{{ question }}", "doc_to_target": "{{ choices[0] }}", "samples": [{"question": "Q"}]},
    },
    ("benchmarks", "usmle-in-words", "generate_until", "exact_match", "ignore_numbers"): True,
    ("benchmarks", "usmle-in-words", "generate_until", "exact_match", "regexes_to_ignore"): [","],
    ("judges", "harm", "policies"): "config/policies.yaml",
    ("judges", "harm", "seed"): 3,
    ("judges", "harm", "graded_at_random"): True,
    ("judges", "harm", "sampling", "temperature"): 0.5,
    ("judges", "harm", "sampling", "top_p"): 0.5,
    ("evaluate", "margin"): 0.05,
    ("sampling", "top_p"): 0.5,
    ("engine", "tensor_parallel"): 2,
    ("engine", "concurrency"): 2,
    ("resources", "score", "gpus"): 1,
    ("resources", "score", "nodes"): 2,
    ("resources", "sft", "activation_checkpointing"): True,
    ("resources", "dpo", "cpu_offload"): True,
    ("overrides",): {"sft": {"resources": {"sft": {"mem_mb": 1}}}},
    ("budget",): {"gpu_hours": 1, "disk_gb": 1000, "judge_tokens": 10**12},
}


def _alone(path: tuple[Any, ...]) -> bool:
    return any(
        len(path) == len(pattern) and all(want in ("*", got) for want, got in zip(pattern, path, strict=True))
        for pattern in _ALONE
    )


def _replaced(document: Document, path: tuple[Any, ...], value: Any) -> Document:
    changed: Any = json.loads(json.dumps(document))  # no longer sharing what YAML anchors share
    place = changed
    for key in path[:-1]:
        place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
    place[path[-1]] = value
    return changed


def _other(document: Document, path: tuple[Any, ...]) -> Document:
    """``document`` with another valid value at ``path``. In a list of names, the name changes places with its neighbour."""
    value = LEAVES[path]
    key = path[-1]
    if path[0] == "engine" and key == "kind":
        return _replaced(document, path, "vllm")
    if isinstance(key, int) and path[:2] in {
        ("evaluate", kind) for kind in ("models", "benchmarks", "prompts", "judges")
    }:
        names = list(document["evaluate"][path[1]])
        other = key + 1 if key + 1 < len(names) else key - 1
        names[key], names[other] = names[other], names[key]
        return _replaced(document, path[:2], names)
    if path[0] == "judges" and isinstance(key, int):
        names = [name for index, name in enumerate(document["judges"][path[1]]["prompts"]) if index != key]
        return _replaced(document, path[:3], names)
    named = {"datasets", "prompts"} | ({"demonstrations"} if path[0] == "preferences" else set())
    if key in ("dataset", "graded") or named & set(path[2:]):
        return _replaced(document, path, _another_dataset(path, value))
    if key == "from":
        ancestors = {"sft": "medical", "medical": "sft", "judge": "sft", "medical-safe": "sft", "criteria-judge": "sft"}
        return _replaced(document, path, ancestors.get(path[1], "base"))
    if key == "data":
        kinds = document["preferences"] if document["models"][path[1]]["train"] == "dpo" else document["mixtures"]
        return _replaced(document, path, next(name for name in kinds if name != value))
    if key == "model":
        return _replaced(document, path, "dpo-1" if path[0] == "rankers" else "medical")
    if key == "template":
        return _replaced(document, path, "config/other.j2")
    return _replaced(document, path, _another(key, value))


def _another_dataset(path: tuple[Any, ...], value: str) -> str:
    """A dataset that the demo reads elsewhere, so that the graph keeps its shape."""
    if path == ("judges", "harm", "graded"):
        return "demo-graded-train"  # the other judge's has classes of refusal
    alike = [
        v
        for p, v in LEAVES.items()
        if v != value and (p[0], *(p[2:] if path[0] == "preferences" else p[-1:])) == (path[0], *_place(path))
    ]
    return alike[0] if alike else "demo-graded-train"


def _place(path: tuple[Any, ...]) -> tuple[Any, ...]:
    return ("datasets", 0) if path[0] == "preferences" else path[-1:]


def _another(key: Any, value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 or 0.5
    if isinstance(value, str) and key in _WORDS:
        return next(word for word in _WORDS[key] if word != value)
    if isinstance(value, str):
        try:
            return float(value) / 2
        except ValueError:
            return f"{value} changed"
    raise AssertionError(f"{key}: no other value for a {type(value).__name__}")


def _check(planner: Planner, before: Document, after: Document, path: tuple[Any, ...]) -> str | None:
    """What is wrong with the plan for ``after``, if anything."""
    with planner.experiment(after) as path_given:
        answer = planner.plan(config={"experiment": path_given})
    meaning = Meaning(after)
    owners = _owners(before, after, path)
    # In another order the responses are what they were: their job is asked anew, and who reads them is not.
    same = meaning.generating() if path[:2] == ("evaluate", "prompts") else set()
    planned = meaning.jobs(meaning.closure(owners - same) | same)
    regrouped = meaning.within(meaning.regrouped(Meaning(before)), planned)
    specs = meaning.jobs(owners) | regrouped
    expected = planned | regrouped
    problems = []
    if set(answer["stale"]) != specs:
        problems.append(f"specs: {_difference(set(answer['stale']), specs)}")
    if set(answer["planned"]) != expected:
        problems.append(f"plan: {_difference(set(answer['planned']), expected)}")
    return f"{'.'.join(map(str, path))}: {'; '.join(problems)}" if problems else None


def _owners(before: Document, after: Document, path: tuple[Any, ...]) -> set[str]:
    owners = Meaning(after).owners(path)
    old, new = Meaning(before), Meaning(after)
    if path[:2] == ("evaluate", "benchmarks") and old.benchmark_datasets() != new.benchmark_datasets():
        owners |= new.decontaminating() | new.overlapping()  # read them in another order
    if (path[0], path[-1]) == ("benchmarks", "dataset") and old.benchmark_datasets() == new.benchmark_datasets():
        owners -= new.decontaminating() | new.overlapping()  # another benchmark asks of the same dataset
    if path[:2] == ("evaluate", "benchmarks") and old.ranked() == new.ranked():
        owners -= new.scoring()  # the one that changed its place is answered in words
    if old.placed() != new.placed():
        owners.add("write_report")
    if path[:2] == ("evaluate", "models"):
        owners.add("write_report")
    return owners


def _difference(found: set[str], expected: set[str]) -> str:
    return f"missing {sorted(expected - found)}, too many {sorted(found - expected)}"


def _document() -> Document:
    return yaml.safe_load(DEMO)


@pytest.fixture(scope="module")
def prepared(planner: Planner) -> Iterator[list[Planner]]:
    """Two planners in one copy, with the files that some changed keys name."""
    (planner.project / "config/policies.yaml").write_text("default: be careful\n")
    (planner.project / "config/other.j2").write_text("{{ request }} {{ response }}\n")
    second = Planner(planner.project)
    yield [planner, second]
    second.close()


def test_the_hand_written_graph_is_snakemakes(planner: Planner) -> None:
    assert set(planner.ask("plan", forceall=True)["all"]) == set(Meaning(_document()).together())


def test_a_finished_demo_plans_nothing(planner: Planner) -> None:
    answer = planner.ask("plan")
    assert answer["planned"] == []
    assert answer["stale"] == []


SECTIONS = [
    section for section in dict.fromkeys(path[0] for path in LEAVES) if section not in ("name", "catalogs", "resources")
]


@pytest.mark.parametrize("section", SECTIONS)
def test_each_leaf_plans_exactly_its_jobs(prepared: list[Planner], section: str) -> None:
    document = _document()
    paths = [path for path in LEAVES if path[0] == section and not _alone(path)]
    changes = [(path, _other(document, path)) for path in paths]
    with ThreadPoolExecutor(len(prepared)) as pool:
        free = SimpleQueue[Planner]()
        for planner in prepared:
            free.put(planner)

        def check(path: tuple[Any, ...], after: Document) -> str | None:
            planner = free.get()
            try:
                return _check(planner, document, after, path)
            finally:
                free.put(planner)

        wrong = list(filter(None, pool.map(check, *zip(*changes, strict=True)))) if changes else []
    assert not wrong, "\n".join(wrong)[:4000]


@pytest.mark.parametrize("path", _ADDED, ids=".".join)
def test_each_key_left_at_its_default_plans_exactly_its_jobs(prepared: list[Planner], path: tuple[Any, ...]) -> None:
    document = _document()
    wrong = _check(prepared[0], document, _replaced(document, path, _ADDED[path]), path)
    assert not wrong, wrong


def test_all_resources_at_once_plan_nothing(prepared: list[Planner]) -> None:
    document = _document()
    for path, value in LEAVES.items():
        if path[0] == "resources":
            document = _replaced(document, path, value + 1)
    with prepared[0].experiment(document) as given:
        assert prepared[0].planned(config={"experiment": given}) == set()


def test_no_key_of_an_experiment_is_left_out() -> None:
    def classes(kind: type[Frozen]) -> set[type[Frozen]]:
        return {kind, *(each for child in kind.__subclasses__() for each in classes(child))}

    kinds = [kind for kind in classes(Frozen) if kind.__module__.startswith("primum.experiment.")]
    fields = {field.alias or name for kind in kinds for name, field in kind.model_fields.items()}
    tried = {key for path in (*LEAVES, *_ADDED) for key in path}
    tried |= {key for path, _ in leaves([*_ADDED.values()]) for key in path}
    # Of fetched models and datasets, which the demo has none of or keeps in a catalog (test_invalidation).
    elsewhere = {
        "hub",
        "git",
        "revision",
        "license",
        "shape",
        "tied",
        "endpoint",
        "base_url",
        "key_env",
        "price",
        "prompt",
        "completion",
        "modules",
        "dropout",
        # Of other kinds of ranker (test_rankings).
        "label",
        "best",
        # Of panels, which are no job (test_judges).
        "members",
        "quorum",
        # Of published code (test_dag).
        "wording",
        "policy",
    }
    catalog = {"path", "url", "sha256", "adapter", "files", "options", "citation", "rows", "sensitive"}
    assert fields - tried == elsewhere | catalog


def test_another_name_is_another_folder(planner: Planner) -> None:
    text = DEMO.replace("name: demo\n", "name: demo-2\n")
    with planner.edited("config/experiments/demo.yaml", text):
        answer = planner.ask("jobs")
    assert all(path.startswith("results/demo-2/") for *_, paths in answer["jobs"] for path in paths)
