"""A sentence for every stage of :mod:`primum.dag`. A new stage has its own here: a test compares the two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from primum.trace import data_words as data
from primum.trace import model_words as model
from primum.trace.words import Said, plural, told


def _one_of(**by_output: Callable[[Said], str]) -> Callable[[Said], str]:
    """The sentence of a stage whose job makes several kinds of artifacts; its spec's ``output`` says which this is."""

    def sentence(said: Said) -> str:
        output = str(said.get("output"))
        make = by_output.get(output)
        return make(said) if make else f"Wrote {told(output)}, beside the other outputs of its job."

    return sentence


def _tables(said: Said) -> str:
    table, rows = told(said.get("table")), plural(said.count("rows"), "row")
    for key in said.common:
        said.get(key)
    margin = said.common.get("margin") if table == "comparisons" else None
    near = f" Differences below {told(margin)} count as equivalence." if margin is not None else ""
    return f"Aggregated {plural(sum(map(len, said.names.values())), 'artifact')} into the table {table}: {rows}.{near}"


def _report(said: Said) -> str:
    for key in said.common:
        said.get(key)
    return f"Wrote the page that shows {plural(len(said.names.get('tables', ())), 'table')}."


SENTENCES: dict[str, Callable[[Said], str]] = {
    "fetch": data.fetch,
    "snapshot": data.snapshot,
    "read": _one_of(rows=data.read_rows, drops=data.read_drops, origins=data.read_origins),
    "mix": _one_of(rows=data.mix_rows, ledger=data.mix_ledger, outcomes=data.mix_outcomes, phi=data.mix_phi),
    "pairs": data.pairs,
    "overlap": data.overlap,
    "pair-overlap": data.overlap,
    "pack": _one_of(chunks=data.pack_chunks, audit=data.audit, tokens=data.tokens),
    "pretrain": model.pretrain,
    "sft": model.sft,
    "reference": _one_of(pairs=model.reference, audit=data.audit),
    "dpo": model.dpo,
    "sample": model.sample,
    "rank": model.rank,
    "rate": model.rate,
    "rewards": model.rewards,
    "pair": data.pair,
    "respond": model.answered,
    "assess": model.judge,
    "contrast": data.contrast,
    "generate": model.answered,
    "judge": model.judge,
    "grade": model.grade,
    "agreement": model.agreement,
    "verdicts": model.verdicts,
    "score": model.score,
    "questions": model.questions,
    "answer": model.answer,
    "parse": model.parse,
    "tables": _tables,
    "report": _report,
}


def did(stage: str, spec: Mapping[str, Any], counts: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> Said:
    """What an artifact's stage did. ``names`` are its inputs' by role. What another version made is named, and no more."""
    said = Said(_mapping(spec.get("item")), _mapping(spec.get("common")), counts, names)
    try:
        make = SENTENCES.get(stage)
        said.sentence = make(said) if make else f"Ran the stage {told(stage)}, which this version does not know."
    except (KeyError, TypeError, AttributeError, ValueError):  # an entry of a spec has another form than today's
        said = replace(said, sentence=f"Ran the stage {told(stage)}, with settings of another version.")
    return said


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
