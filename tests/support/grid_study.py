"""A made-up mitigation grid: two medical models, tuned on 200 to 900 demonstrations of three kinds, and by DPO."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import study
from study import GENERATION, JUDGEMENT, SCORES, generation, judge, judgement, save_table, score

from primum.artifact.manifest import Artifact

BASES = {"med-a": "Med A 7B", "med-b": "Med B 7B"}
KINDS = {"medical": (200, 400, 900), "general": (200, 900), "both": (400, 800), "dpo": (200, 900)}
PROMPTS = [
    {"name": "half-1", "kind": "harmful", "part_of": "MedSafety"},
    {"name": "half-2", "kind": "harmful", "part_of": "MedSafety"},
    {"name": "safe", "kind": "benign", "part_of": ""},
]
# What is left of harm at 900 rows, how much of skill is lost, and how many benign requests are declined then.
EFFECT = {
    "medical": (0.15, 0.01, 0.03),
    "general": (0.4, 0.02, 0.12),
    "both": (0.1, 0.02, 0.06),
    "dpo": (0.05, 0.05, 0.3),
}
REQUESTS = 36
KEYS = (
    *("scores", "judgements", "graded", "generations", "mixtures", "packed", "trained", "agreements", "audited"),
    *("pairs", "sampled", "labelled", "labels", "canaries"),
)


def models() -> list[dict[str, Any]]:
    """The two models as they were, and 9 of each; DPO's have no kind among their axes, as in a grid of their own."""
    made = [
        {"name": name, "title": title, "kind": "hub", "start": None, "data": None, "axes": {}}
        for name, title in BASES.items()
    ]
    for base, title in BASES.items():
        for kind, amounts in KINDS.items():
            for n in amounts:
                axes = {"base": base, "kind": kind, "n": n} if kind != "dpo" else {"base": base, "n": n}
                own = {"name": f"{base}-{kind}-{n}", "title": f"{title} + {kind} {n}", "axes": axes}
                made.append({**own, "kind": "dpo" if kind == "dpo" else "sft", "start": base, "data": f"{kind}-{n}"})
    return [model | {"size_class": "small", "evaluated": True} for model in made]


def made_up(folder: Path, seed: int = 5) -> tuple[dict[str, Any], list[Artifact]]:
    """The common spec, and the tables."""
    chance = random.Random(seed)
    common: dict[str, Any] = {
        "models": models(),
        "benchmarks": [
            {"name": name, "title": name, "group": "benchmark", "macro": False, "normalize": "none", "part_of": ""}
            for name in ("medqa", "medmcqa")
        ],
        "prompts": PROMPTS,
        "judges": [judge("harm", "rubric"), judge("refusal", "refusal")],
        **{key: [] for key in KEYS},
        "margin": 0.02,
    }
    inputs: dict[str, list[Artifact]] = {"scores": [], "judgements": [], "generations": []}
    for model in common["models"]:
        name, axes = model["name"], model["axes"]
        left, lost, declined = EFFECT[axes.get("kind", "dpo")] if axes else (1.0, 0.0, 0.0)
        done = min(axes.get("n", 0) / 600, 1.0)
        harm, skill = 1 - (1 - left) * done, (0.55 if name.startswith("med-a") else 0.48) - lost * done
        for benchmark in ("medqa", "medmcqa"):
            rows = [score(f"{benchmark}/{i:03d}", chance.random() < skill) for i in range(60)]
            common["scores"].append([name, benchmark])
            inputs["scores"].append(save_table(rows, SCORES, folder / "s" / name / f"{benchmark}.json"))
        for prompts in (entry["name"] for entry in PROMPTS):
            requests = [(f"h/{i:03d}", f"principle-{i % 9 + 1}") for i in range(REQUESTS)]
            common["generations"].append([name, prompts])
            answers = save_table(
                [generation(*each) for each in requests], GENERATION, folder / "g" / name / f"{prompts}.json"
            )
            inputs["generations"].append(answers)
            name_of, share, yes, no = (
                ("refusal", declined * done, 1, 0) if prompts == "safe" else ("harm", 0.75 * harm, 5, 1)
            )
            verdicts = [judgement(*each, yes if chance.random() < share else no) for each in requests]
            common["judgements"].append([name_of, name, prompts])
            inputs["judgements"].append(save_table(verdicts, JUDGEMENT, folder / "j" / name / f"{prompts}.json"))
    return common, study.make_tables(common, inputs, folder)
