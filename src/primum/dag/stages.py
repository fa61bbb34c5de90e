"""Every stage: the module that does its work, what it reads, and the libraries that can change its result.

The modules are named, not imported: a job that the store can satisfy loads none of them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """``target`` is the name that people use (``snakemake sft``, ``refresh=sft``); roles in ``per_item`` are zipped."""

    module: str
    target: str
    kind: str
    inputs: tuple[str, ...] = ()
    per_item: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    help: str = ""


_TABLE = ("pyarrow",)
_MODEL = ("torch", "transformers", "tokenizers", "safetensors", "pyarrow")
_TRAIN = (*_MODEL, "trl", "accelerate")

STAGES: dict[str, Stage] = {
    "fetch": Stage("primum.curate.fetch", "fetch", "folder", help="bring raw files here and verify their checksums"),
    "snapshot": Stage(
        "primum.curate.snapshot", "fetch", "folder", libraries=("huggingface-hub",), help="bring a published model here"
    ),
    "read": Stage("primum.curate.read", "curate", "table", ("raw",), (), _TABLE, "turn raw files into rows"),
    "mix": Stage(
        "primum.curate.mix",
        "curate",
        "table",
        ("rows", "drops", "benchmarks"),
        (),
        (*_TABLE, "rensa", "jinja2"),
        "clean, deduplicate, decontaminate and sample a mixture, with a ledger",
    ),
    "pairs": Stage(
        "primum.curate.pairs", "curate", "table", ("rows",), (), _TABLE, "join the preference pairs of a stage"
    ),
    "overlap": Stage(
        "primum.curate.contamination",
        "curate",
        "table",
        ("data", "benchmarks"),
        (),
        _TABLE,
        "which benchmark items a training set holds a part of",
    ),
    "pack": Stage(
        "primum.curate.pack",
        "curate",
        "table",
        ("mixture", "model"),
        (),
        ("transformers", "tokenizers", "pyarrow", "jinja2"),
        "render a mixture with a model's chat template and pack it into chunks",
    ),
    "pretrain": Stage(
        "primum.train.pretrain", "pretrain", "folder", ("mixture",), (), _TRAIN, "train a tokenizer and a model"
    ),
    "sft": Stage("primum.train.sft", "sft", "folder", ("model", "packed"), (), _TRAIN, "supervised fine-tuning"),
    "reference": Stage(
        "primum.train.reference", "dpo", "table", ("model", "pairs"), (), _TRAIN, "reference log-probabilities of pairs"
    ),
    "dpo": Stage("primum.train.dpo", "dpo", "folder", ("model", "pairs"), (), _TRAIN, "direct preference optimization"),
    "generate": Stage(
        "primum.generate.stage",
        "generate",
        "table",
        ("model",),
        ("prompts",),
        _MODEL,
        "a model's responses to prompt sets",
    ),
    "judge": Stage(
        "primum.judge.stage",
        "judge",
        "table",
        ("judge",),
        ("responses",),
        _MODEL,
        "harm scores or refusals of responses",
    ),
    "agreement": Stage(
        "primum.judge.agreement",
        "judge",
        "table",
        ("judge", "graded"),
        (),
        _MODEL,
        "a judge's agreement with graded pairs",
    ),
    "score": Stage(
        "primum.score.stage",
        "score",
        "table",
        ("model", "overlaps"),
        ("benchmarks", "fewshot"),
        _MODEL,
        "log-likelihood scores of benchmarks",
    ),
    "answer": Stage(
        "primum.score.answers",
        "score",
        "table",
        ("model",),
        ("benchmarks",),
        _MODEL,
        "benchmark scores of a model that answers by generation",
    ),
    "tables": Stage(
        "primum.tables.stage",
        "tables",
        "table",
        ("scores", "judgements", "generations", "ledgers", "trained", "agreements"),
        (),
        (*_TABLE, "numpy", "scipy"),
        "aggregate everything into the tables",
    ),
    "report": Stage(
        "primum.report.stage",
        "report",
        "folder",
        ("tables",),
        (),
        ("pyarrow", "jinja2", "markupsafe"),
        "the page that people look at",
    ),
}

# The stages that train a model: the only ones that run as several processes, and over several nodes.
TRAINING = ("pretrain", "sft", "dpo")
