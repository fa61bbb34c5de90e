"""A made-up study, small but shaped like a real one: what the stages tables and report read, written to a folder."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from primum.artifact.folder import folder_files, folder_hash
from primum.artifact.job import Item, Job, Result
from primum.artifact.manifest import MANIFEST, Artifact, Manifest, save_manifest
from primum.artifact.table import content_hash, write_table
from primum.judge.criteria import SCHEMA as CRITERIA
from primum.judge.verdicts import CANARY
from primum.progress import Progress
from primum.report import stage as report_stage
from primum.score.items import SCORES
from primum.tables import stage as tables_stage
from primum.text.rows import SAMPLES, GradedRow, PreferenceRow, RankedRow

TABLES = (
    *("benchmarks", "preferences", "comparisons", "safety", "rubrics", "judges", "confusion"),
    *("training", "curation", "audits", "pairs", "axes"),
)
SECRET = "zebra-quartz-forbidden-text"
DECLINES = f"I can't help with that. {SECRET}"

MODELS = [
    ("base", "Tiny base", "small", "pretrain", None, "corpus", True),
    ("sft", "Tiny SFT", "small", "sft", "base", "clinical", True),
    ("dpo-1", "Tiny DPO 1", "small", "dpo", "sft", "stage-1", True),
    ("dpo-2", "Tiny DPO 2", "small", "dpo", "dpo-1", "stage-2", True),
    ("dpo-3", "Tiny DPO 3", "small", "dpo", "dpo-2", "stage-3", True),
    ("medical", "Medical", "small", "sft", "base", "medical", True),
    ("medical-safe", "Medical, safe", "small", "sft", "medical", "safety", True),
    ("judge-model", "", "small", "sft", "base", "graded", False),
]
BENCHMARKS = [
    ("medmcqa", "MedMCQA", 80, 4, False, "benchmark"),
    ("medqa", "MedQA", 80, 4, False, "benchmark"),
    ("mmlu", "MMLU", 120, 4, True, "benchmark"),
    ("mmlu-pro", "MMLU-Pro", 60, 10, False, "benchmark"),
    ("usmle", "USMLE", 80, 4, True, "benchmark"),
    ("pubmedqa", "PubMedQA", 60, 3, False, "benchmark"),
    ("toxigen", "ToxiGen", 60, 2, False, "benchmark"),
    ("pref-1", "Stage 1", 40, 2, False, "preference"),
    ("pref-2", "Stage 2", 40, 2, False, "preference"),
    ("pref-3", "Stage 3", 40, 2, False, "preference"),
]
SUBJECTS = {
    "mmlu": [
        "anatomy",
        "clinical_knowledge",
        "college_biology",
        "college_medicine",
        "medical_genetics",
        "professional",
    ],
    "usmle": ["sample_exam", "self_assessment"],
}
PROMPTS = [("med-safety", "harmful"), ("advbench", "harmful"), ("xstest-unsafe", "harmful"), ("xstest-safe", "benign")]
CONVERSATIONS = ("talks", "criteria")
SKILL = {"base": 0.06, "sft": 0.72, "dpo-1": 0.73, "dpo-2": 0.71, "dpo-3": 0.72, "medical": 0.62, "medical-safe": 0.61}
TASTE = {"base": 0.45, "sft": 0.5, "dpo-1": 0.68, "dpo-2": 0.78, "dpo-3": 0.85, "medical": 0.5, "medical-safe": 0.5}
HARM = {"base": 1.6, "sft": 4.4, "dpo-1": 4.3, "dpo-2": 4.4, "dpo-3": 4.2, "medical": 4.5, "medical-safe": 1.15}

JUDGEMENT = pa.schema(
    [
        ("id", pa.string()),
        ("category", pa.string()),
        ("score", pa.int32()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)
GENERATION = pa.schema(
    [
        ("id", pa.string()),
        ("category", pa.string()),
        ("request", pa.string()),
        ("response", pa.string()),
        ("status", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("error", pa.string()),
    ]
)
LEDGER = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("id", "mixture", "source", "dataset", "licence", "domain", "outcome", "twin")
        ),
        *((name, pa.int64()) for name in ("rows", "repeat", "words", "published")),
    ]
)
OUTCOMES = pa.schema([(name, pa.string()) for name in ("id", "source", "outcome", "twin", "twin_id")])
TOKENS = pa.schema([("id", pa.string()), ("samples", pa.int64()), ("tokens", pa.int64()), ("loss_tokens", pa.int64())])
AUDIT = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "check")),
        *((name, pa.int64()) for name in ("count", "of")),
        *((name, pa.float64()) for name in ("share", "limit")),
        ("passed", pa.bool_()),
        ("rows", pa.list_(pa.string())),
    ]
)
AGREEMENT = pa.schema([("id", pa.string()), ("score", pa.int32()), ("status", pa.string()), ("given", pa.int32())])


def save_table(
    rows: Sequence[Mapping[str, Any]], schema: pa.Schema, path: Path, counts: Mapping[str, Any] = MappingProxyType({})
) -> Artifact:
    """Rows as a table artifact whose manifest is ``path``."""
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: row["id"]), schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, path.with_suffix(".parquet"), {})
    save_manifest(Manifest("table", "test", {}, {}, "0" * 64, content_hash(table), dict(counts)), path)
    return Artifact.open(path)


def save_model(history: Sequence[Mapping[str, Any]], folder: Path) -> Artifact:
    """A model folder that holds a training history alone."""
    folder.mkdir(parents=True)
    columns = {"step": pa.int32(), "loss": pa.float64(), "learning_rate": pa.float64()}
    if "reward_margin" in history[0]:
        columns |= {"reward_accuracy": pa.float64(), "reward_margin": pa.float64()}
    if "held_out_loss" in history[-1]:
        columns |= {"held_out_loss": pa.float64()}
    pq.write_table(pa.Table.from_pylist(list(history), schema=pa.schema(columns)), folder / "history.parquet")
    files = folder_files(folder)
    save_manifest(Manifest("folder", "test", {}, {}, "0" * 64, folder_hash(files), {}, files=files), folder / MANIFEST)
    return Artifact.open(folder / MANIFEST)


def score(id_: str, correct: bool, choices: int = 4, subject: str = "", truncated: bool = False) -> dict[str, Any]:
    """A row of a score artifact."""
    return {
        "id": id_,
        "item": id_,
        "subject": subject,
        "seed": 0,
        "method": "loglikelihood",
        "status": "scored",
        "choices": choices,
        "loglikelihoods": [-1.0] * choices,
        "greedy": [False] * choices,
        "perplexity": math.e,
        "tokens": [1] * choices,
        "characters": [1] * choices,
        "context_tokens": 9,
        "prediction": 0 if correct else 1,
        "target": 0,
        "correct": correct,
        "truncated": truncated,
        "lost_left": int(truncated),
        "lost_right": 0,
        "contaminated": None,
        "cluster": None,
    }


def judge(name: str, kind: str, **own: Any) -> dict[str, Any]:
    """What the spec says of a judge."""
    return {
        "name": name,
        "kind": kind,
        "gate": 0.0,
        "at_random": False,
        "members": [],
        "quorum": 2 / 3,
        "prompts": [],
        "related": {},
        **own,
    }


def labels(path: Path, scores: Sequence[int], responses: Sequence[str] = (), requests: Sequence[str] = ()) -> Artifact:
    """Labelled responses ``graded/000`` and so on, each to a request of its own where nothing is said."""
    rows = [
        {
            "id": f"graded/{i:03d}",
            "source": "graded",
            "score": score,
            "request": requests[i] if requests else f"{SECRET} {i}",
        }
        | {"response": responses[i] if responses else SECRET}
        for i, score in enumerate(scores)
    ]
    return save_table(rows, GradedRow.SCHEMA, path)


def judgement(id_: str, category: str, score_: int | None) -> dict[str, Any]:
    """A row of a verdict artifact."""
    status = "malformed" if score_ is None else "scored"
    return {"id": id_, "category": category, "score": score_, "status": status, "reason": SECRET, "raw": SECRET}


def generation(id_: str, category: str, status: str = "stop") -> dict[str, Any]:
    """A row of a generation artifact."""
    texts = {"request": SECRET, "response": SECRET, "error": "timeout" if status == "error" else ""}
    return {"id": id_, "category": category, "status": status, "prompt_tokens": 9, "completion_tokens": 9, **texts}


def ledger(mixture: str, sources: Sequence[tuple[str, str, Mapping[str, int], int | None]]) -> list[dict[str, Any]]:
    """A mixture's ledger from (source, domain, rows by outcome, published) each; ``duplicate of NAME`` names a twin's."""
    return [
        {
            "id": f"{index:03d}/{source}/{outcome}",
            "mixture": mixture,
            "source": source,
            "dataset": "" if source == "(unlisted)" else f"demo-{source}",
            "licence": {"medquad": "CC-BY-4.0", "stackexchange": "CC-BY-SA-4.0", "medmcqa": "unknown"}.get(
                source, "MIT"
            ),
            "domain": domain,
            "outcome": outcome.partition(" of ")[0],
            "twin": outcome.partition(" of ")[2] or None,
            "rows": rows,
            "repeat": 2 if source == "medsafetybench" else 1,
            "words": 30 * rows,
            "published": published if outcome == "kept" else None,
        }
        for index, (source, domain, outcomes, published) in enumerate(sources)
        for outcome, rows in outcomes.items()
    ]


def audit(checks: Sequence[tuple[str, int, int, float]]) -> list[dict[str, Any]]:
    """An audit from (check, count, of, limit) each: it found the first rows of a source, each repeated once."""
    return [
        {"id": f"{i:02d}", "check": check, "count": count, "of": of, "share": count / of if of else None}
        | {"limit": limit, "passed": True}
        | {"rows": None if check in ("labels-across-samples", "unfilled") else _found(count)}
        for i, (check, count, of, limit) in enumerate(checks)
    ]


def _found(count: int) -> list[str]:
    return [f"demo-medquad/{number // 2:04d}{'+1' if number % 2 else ''}" for number in range(count)]


def _audits(kind: str) -> list[dict[str, Any]]:
    if kind == "dpo":
        cut = [("end-unlearned", 0, 138, 0.0), ("two-bos", 0, 140, 0.0), ("truncated", 2, 150, 0.5)]
        return audit([("refused", 0, 150, 0.01), *cut, ("prompt-too-long", 7, 150, 0.1), ("equal-texts", 3, 150, 0.1)])
    whole = [
        ("refused", 1, 1001, 0.01),
        ("no-loss-tokens", 4, 1000, 0.1),
        ("end-unlearned", 0, 970, 0.0),
        ("two-bos", 0, 0, 0.0),
    ]
    whole += [("labels-across-samples", 0, 996, 0.0), ("truncated", 30, 1000, 0.5)]
    return audit([*whole, ("unfilled", 1536, 61440, 0.5)])


def example(folder: Path) -> tuple[dict[str, Any], dict[str, list[Artifact]]]:
    """The common spec and the inputs of the stage tables: 8 models, 10 benchmarks, 5 prompt sets, 3 judges."""
    chance = random.Random(7)
    models = [m[0] for m in MODELS if m[6]]
    common: dict[str, Any] = {
        "models": [
            dict(zip(("name", "title", "size_class", "kind", "start", "data", "evaluated"), model, strict=True))
            | {"axes": {}}
            for model in MODELS
        ],
        "benchmarks": [
            {"name": name, "title": title, "group": group, "macro": macro, "normalize": "none", "part_of": ""}
            for name, title, _, _, macro, group in BENCHMARKS
        ],
        "prompts": [{"name": name, "kind": kind, "part_of": ""} for name, kind in (*PROMPTS, CONVERSATIONS)],
        "judges": [
            judge("harm", "rubric", gate=0.7, related={"base": "same lineage"}),
            judge("refusal", "refusal"),
            judge("grader", "criteria"),
        ],
        "scores": [[model, benchmark[0]] for model in models for benchmark in BENCHMARKS],
        "generations": [[model, prompts] for model in models for prompts, _ in PROMPTS],
        "judgements": [["harm", model, p] for model in models for p, kind in PROMPTS if kind == "harmful"]
        + [["refusal", model, prompts] for model in models for prompts, _ in PROMPTS],
        "graded": [["grader", model, CONVERSATIONS[0]] for model in models],
        "mixtures": ["clinical", "safety"],
        "packed": [["safety", "medical-safe"]],
        "trained": [model[0] for model in MODELS],
        "agreements": ["harm"],
        "canaries": ["harm"],
        "labelled": [["harm", "graded"], ["refusal", "declined"]],
        "labels": ["graded", "declined"],
        "audited": [model[0] for model in MODELS if model[3] in ("sft", "dpo")],
        "pairs": ["stage-1", "on-policy"],
        "sampled": ["on-policy"],
        "drops": [f"demo-{source}" for source, *_ in _clinical() if source != "(unlisted)"],
        "margin": 0.02,
    }
    inputs = {
        "scores": [_scores(folder, model, name, chance) for model, name in common["scores"]],
        "generations": [_generations(folder, model, prompts) for model, prompts in common["generations"]],
        "judgements": [_judgements(folder, *names, chance) for names in common["judgements"]],
        "criteria": [_graded(folder, model) for _, model, _ in common["graded"]],
        "ledgers": [
            save_table(ledger("clinical", _clinical()), LEDGER, folder / "ledgers/clinical.json"),
            save_table(ledger("safety", _safety()), LEDGER, folder / "ledgers/safety.json"),
        ],
        "tokens": [
            save_table(
                [
                    {"id": source, "samples": 0, "tokens": 41 * rows["kept"] * repeat, "loss_tokens": 0}
                    for (source, _, rows, _), repeat in zip(_safety(), (2, 1), strict=True)
                ],
                TOKENS,
                folder / "tokens/medical-safe.json",
            )
        ],
        "trained": [save_model(_history(model[3], chance), folder / "models" / model[0]) for model in MODELS],
        "agreements": [save_table(_agreement(chance), AGREEMENT, folder / "agreements/harm.json")],
        "canaries": [save_table(canaries(1, 1, 5, 1, None), CANARY, folder / "canaries/harm.json")],
        "labels": [
            labels(folder / "labels/graded.json", [index % 5 + 1 for index in range(80)]),
            labels(
                folder / "labels/declined.json",
                [3, 3, 3, 1, 1, 2] * 10,
                [DECLINES, DECLINES, SECRET, SECRET, SECRET, SECRET] * 10,
            ),
        ],
        "audits": [
            save_table(_audits(model[3]), AUDIT, folder / "audits" / f"{model[0]}.json")
            for model in MODELS
            if model[3] in ("sft", "dpo")
        ],
        **pairs_inputs(folder),
        "outcomes": [_outcomes(folder, "clinical", _clinical()), _outcomes(folder, "safety", _safety())],
        "drops": [_drops(folder, *entry[::2]) for entry in _clinical() if entry[0] != "(unlisted)"],
    }
    return common, inputs


# What is dropped when a dataset is read, and by no filter of a mixture.
UNREAD = {"no-answer", "image", "bad-label"}


def _outcomes(folder: Path, name: str, sources: Sequence[tuple[str, str, Mapping[str, int], int | None]]) -> Artifact:
    """What a mixture did with each row: its sources have the outcomes in turn, and duplicates repeat a source's first row."""
    places = {source: f"{place:03d}/demo-{source}" for place, (source, *_) in enumerate(sources)}
    rows = []
    for source, _, outcomes, _ in sources:
        each = [outcome for outcome, count in outcomes.items() if outcome not in UNREAD for _ in range(count)]
        for n, outcome in enumerate(each):
            what, _, twin = outcome.partition(" of ")
            repeated = {"twin": twin, "twin_id": f"{places[twin]}/0000"} if twin else {}
            rows.append({"id": f"{places[source]}/{n:04d}", "source": source, "outcome": what, **repeated})
    return save_table(rows, OUTCOMES, folder / f"outcomes/{name}.json")


def _drops(folder: Path, source: str, outcomes: Mapping[str, int]) -> Artifact:
    """The records of a source's dataset that became no row, numbered, with ids behind those of its rows."""
    reasons = [reason for reason, count in outcomes.items() if reason in UNREAD for _ in range(count)]
    rows = [{"id": f"{n:08d}/demo-{source}/{9000 + n:04d}", "reason": reason} for n, reason in enumerate(reasons)]
    schema = pa.schema([("id", pa.string()), ("reason", pa.string())])
    return save_table(rows, schema, folder / f"drops/{source}.json")


def pairs_inputs(folder: Path) -> dict[str, list[Artifact]]:
    """A set of a dataset's pairs, and one of a model's own responses: two to each of three prompts."""
    read = {"kept": 140, "duplicate": 2, "equal-texts": 0}
    own = {"kept": 1, "duplicate": 0, "equal-texts": 0, "too-few": 1, "tie": 1}
    drawn = {"rows": 3, "duplicate-prompts": 4, "no-prompt": 0, "stop": 3}
    statuses = [*["ranked"] * 4, "alone", "duplicate"]
    ranked = [
        {"id": f"p/{n // 2}/{n % 2:03d}", "source": "p", "prompt_id": f"p/{n // 2}", "draw": n % 2, "prompt": []}
        | {"response": SECRET, "status": status, "reward": 1.0 if status == "ranked" else None}
        for n, status in enumerate(statuses)
    ]
    return {
        "pairs": [
            save_table([], PreferenceRow.SCHEMA, folder / "pairs/stage-1.json", read),
            save_table([], PreferenceRow.SCHEMA, folder / "pairs/on-policy.json", own),
        ],
        "draws": [save_table([], SAMPLES, folder / "samples/on-policy.json", drawn)],
        "ranked": [save_table(ranked, RankedRow.SCHEMA, folder / "ranked/on-policy.json")],
    }


def _scores(folder: Path, model: str, name: str, chance: random.Random) -> Artifact:
    _, _, n, choices, _, group = next(b for b in BENCHMARKS if b[0] == name)
    right = TASTE[model] if group == "preference" else 1 / choices + (1 - 1 / choices) * SKILL[model]
    subjects = SUBJECTS.get(name, [""])
    cut = name == "pubmedqa" and model == "base"
    rows = [
        score(f"{name}/{i:04d}", chance.random() < right, choices, subjects[i % len(subjects)], cut and i < 3)
        for i in range(n)
    ]
    if model.startswith("medical") and name == "medqa":
        rows = [row | {"contaminated": i % 8 == 0} for i, row in enumerate(rows)]
    if model == "base" and name == "toxigen":
        rows[:2] = [row | {"status": "no-answer", "prediction": -1, "correct": False} for row in rows[:2]]
    return save_table(rows, SCORES, folder / "scores" / model / f"{name}.json")


def _requests(prompts: str) -> list[tuple[str, str]]:
    if prompts == "med-safety":
        return [(f"{prompts}/{i:03d}", f"principle-{i % 9 + 1}") for i in range(54)]
    return [(f"{prompts}/{i:03d}", "general") for i in range(40)]


def _generations(folder: Path, model: str, prompts: str) -> Artifact:
    rows = [
        generation(id_, category, "length" if i % 17 == 3 else "stop")
        for i, (id_, category) in enumerate(_requests(prompts))
    ]
    return save_table(rows, GENERATION, folder / "generations" / model / f"{prompts}.json")


def _judgements(folder: Path, judge: str, model: str, prompts: str, chance: random.Random) -> Artifact:
    rows = []
    for index, (id_, category) in enumerate(_requests(prompts)):
        if judge == "harm":
            drawn: int | None = min(5, max(1, round(chance.gauss(HARM[model], 0.8))))
            if model == "base" and index % 13 == 0:
                drawn = None
        else:
            declines = 0.03 if model != "medical-safe" else (0.06 if prompts == "xstest-safe" else 0.96)
            drawn = int(chance.random() < declines)
        rows.append(judgement(id_, category, drawn))
    return save_table(rows, JUDGEMENT, folder / "judgements" / judge / model / f"{prompts}.json")


def graded(
    example: str,
    criteria: Sequence[tuple[float, str, str]],
    tags: Sequence[str] = (),
    response: str = "stop",
    **own: Any,
) -> list[dict[str, Any]]:
    """A judge's answers about one response, from (points, tag, answer) each; an answer in brackets is a status."""
    return [
        {
            **{"id": f"{example}#{number:04d}", "example": example, "conversation": own.get("conversation", example)},
            **{"tags": list(tags), "response_status": response, "number": number, "points": points},
            "criterion_tags": [tag] if tag else [],
            "status": answer.strip("[]") if answer.startswith("[") else "stop",
            "raw": "" if answer.startswith("[") else answer,
            "error": own.get("error", "timeout") if answer == "[error]" else "",
        }
        for number, (points, tag, answer) in enumerate(criteria)
    ]


YES, NO = '{"criteria_met": true}', '{"criteria_met": false}'


def _graded(folder: Path, model: str) -> Artifact:
    """Twelve conversations of two themes, three criteria each; a model meets the more of them, the more skilled it is."""
    rows = []
    for index in range(12):
        good = YES if index < 12 * SKILL[model] else NO
        bad = YES if index % 4 == 3 else NO
        lost = "no idea" if model == "base" and index == 5 else good
        criteria = [(5.0, "axis:accuracy", good), (3.0, "axis:completeness", lost), (-4.0, "axis:accuracy", bad)]
        rows += graded(f"talks/{index:03d}", criteria, [f"theme:{('hedging', 'context')[index % 2]}"])
    return save_table(rows, CRITERIA, folder / "criteria" / "grader" / model / f"{CONVERSATIONS[0]}.json")


def _history(kind: str, chance: random.Random) -> list[dict[str, Any]]:
    steps = {"pretrain": 700, "sft": 400, "dpo": 60}[kind]
    history = []
    for step in range(1, steps + 1):
        done = step / steps
        row = {"step": step, "learning_rate": 1e-3 * (1 + math.cos(math.pi * done)) / 2}
        if kind == "dpo":
            row |= {"loss": 0.69 * math.exp(-1.5 * done) + chance.gauss(0, 0.02)}
            row |= {"reward_accuracy": min(1.0, 0.5 + 0.45 * done + chance.gauss(0, 0.04))}
            row |= {"reward_margin": 2.2 * done + chance.gauss(0, 0.1)}
        else:
            row |= {"loss": 0.6 + 6 * math.exp(-5 * done) + chance.gauss(0, 0.05)}
        if kind == "sft" and step % 100 == 0:
            row |= {"held_out_loss": 0.8 + 5 * math.exp(-4 * done)}
        history.append(row)
    return history if kind != "sft" else [{"step": 0, "held_out_loss": 5.8}, *history]


def _agreement(chance: random.Random) -> list[dict[str, Any]]:
    rows = []
    for index in range(80):
        given = index % 5 + 1
        judged = given if chance.random() < 0.92 else min(5, given + 1)
        rows.append({"id": f"graded/{index:03d}", "score": judged, "status": "scored", "given": given})
    rows[3] |= {"score": None, "status": "malformed"}
    return rows


def canaries(plain: int | None, *scores: int | None) -> list[dict[str, Any]]:
    """A judge's scores of a response as it is, and as it asks for a 5 in several ways; None is no verdict."""
    rows = [{"id": f"a/{number}", "score": score} for number, score in enumerate(scores)]
    rows.append({"id": "a/plain", "score": plain})
    told = {"category": "default", "reason": "", "planted": 5, "plain": "a/plain"}
    return [{**told, **row, "status": "malformed" if row["score"] is None else "scored"} for row in rows]


def _clinical() -> list[tuple[str, str, dict[str, int], int | None]]:
    return [
        ("medmcqa", "medical", {"kept": 420, "no-answer": 31, "duplicate of medmcqa": 12, "contaminated": 2}, 180462),
        ("medical-flashcards", "medical", {"kept": 188, "near-duplicate of medmcqa": 9}, 30106),
        ("stackexchange", "medical", {"kept": 96, "not-sampled": 104}, 64246),
        ("medquad", "medical", {"kept": 40, "no-answer": 61}, 14553),
        ("aci-bench", "medical", {"kept": 12}, 87),
        (
            "slimorca-t0",
            "general",
            {"kept": 160, "duplicate of stackexchange": 4, "duplicate of slimorca-t0": 1},
            109235,
        ),
        ("ultrachat", "general", {"kept": 81, "too-long": 4}, 50953),
        ("(unlisted)", "medical", {"kept": 0}, 405400),
    ]


def _safety() -> list[tuple[str, str, dict[str, int], int | None]]:
    return [
        ("medsafetybench", "safety", {"kept": 108}, None),
        ("medmcqa", "medical", {"kept": 108, "not-sampled": 312}, None),
    ]


def job(
    common: Mapping[str, Any], inputs: Mapping[str, Sequence[Artifact]], specs: Mapping[str, Any], work: Path
) -> Job:
    """A job with an item for each of ``specs``."""
    items = [Item(name, spec, inputs, "0" * 64, work / name) for name, spec in specs.items()]
    return Job("test", common, items, Progress("test"))


def make_tables(common: Mapping[str, Any], inputs: Mapping[str, Sequence[Artifact]], folder: Path) -> list[Artifact]:
    """The tables as artifacts, in the report's order."""
    made: list[Artifact] = []
    for result in tables_stage.run(job(common, inputs, {name: {"table": name} for name in TABLES}, folder)):
        assert result.table is not None
        rows = result.table.to_pylist()
        path = folder / "tables" / f"{result.item.name}.json"
        manifest = save_table(rows, result.table.schema, path).manifest
        read = {role: [each.manifest.content for each in artifacts] for role, artifacts in inputs.items()}
        save_manifest(replace(manifest, inputs=read), path)
        made.append(Artifact.open(path))
    return made


def make_report(
    common: Mapping[str, Any],
    tables: Sequence[Artifact],
    work: Path,
    items: Mapping[str, Sequence[Artifact]] | None = None,
    **words: str,
) -> Path:
    """The page's path. ``items`` are the inputs that its cells open, ``words`` replace the title, description and disclaimer."""
    told = {
        "experiment": "demo",
        "title": "A clinical model, trained, aligned and safety-tested",
        "description": "A 1.4-million-parameter Llama learns made-up clinical facts, is aligned with three DPO stages, "
        "and is taught to decline harmful requests.",
        "disclaimer": "A model this small, trained on made-up text, says nothing about medicine: its accuracy shows "
        "that the pipeline works, and no more.",
        "tables": list(TABLES),
    }
    lists = ("scores", "judgements", "graded", "generations", "agreements", "labelled", "labels", "origins")
    lists = (*lists, "mixtures", "drops", "pairs", "sampled", "overlaps", "audited")
    without = {} if items else {key: [] for key in lists}
    read = {"tables": tables, **(items or {})}
    (result,) = report_stage.run(job({**common, **told, **words, **without}, read, {"report": {}}, work))
    assert isinstance(result, Result)
    assert result.folder is not None
    return result.folder / "index.html"
