"""The demo's data: a miniature of every upstream file, quirks included, from a seeded generator.

``python -c "from pathlib import Path; from primum.demo import write; write(Path('data/demo'))"`` writes what the
project ships. Nothing in it is medical advice, and no sentence in it is copied from an upstream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from primum.demo.choices import (
    write_benchmarks,
    write_headqa,
    write_medmcqa,
    write_medqa,
    write_mmlu_train,
    write_sciq,
)
from primum.demo.conversations import (
    write_aci_bench,
    write_mts_dialog,
    write_slim_orca_cot,
    write_slim_orca_flan,
    write_slim_orca_t0,
    write_ultrachat,
)
from primum.demo.corpus import write_corpus
from primum.demo.files import write_text
from primum.demo.instructions import (
    write_cord19,
    write_flashcards,
    write_health_fact,
    write_medical_instruction,
    write_mediqa,
    write_medquad,
    write_niv2,
    write_opengpt,
    write_pubmed_causal,
    write_stack_exchange,
)
from primum.demo.preferences import write_preferences
from primum.demo.refusals import write_classes, write_completions
from primum.demo.rubrics import write_rubrics
from primum.demo.safety import write_graded, write_requests
from primum.demo.verdicts import write_pubmedqa, write_toxigen
from primum.errors import PrimumError

SourceWriter = Callable[[Path, int, int], None]

SOURCES: Mapping[str, tuple[int, SourceWriter]] = {
    "MedMCQA": (240, write_medmcqa),
    "Medical Flashcards": (160, write_flashcards),
    "StackExchange": (90, write_stack_exchange),
    "MedQA": (126, write_medqa),
    "CORD-19": (40, write_cord19),
    "PubMedQA": (60, write_pubmedqa),
    "HeadQA": (80, write_headqa),
    "MediQA": (60, write_mediqa),
    "SciQ": (100, write_sciq),
    "PubMed Causal": (40, write_pubmed_causal),
    "OpenGPT": (120, write_opengpt),
    "MedQUAD": (120, write_medquad),
    "MMLU": (104, write_mmlu_train),
    "Niv2": (100, write_niv2),
    "Pubhealth": (48, write_health_fact),
    "Medical-Instruction": (160, write_medical_instruction),
    "ACI-Bench": (12, write_aci_bench),
    "MTS-Dialog": (40, write_mts_dialog),
    "SlimOrca T0": (150, write_slim_orca_t0),
    "SlimOrca Flan": (160, write_slim_orca_flan),
    "SlimOrca CoT": (60, write_slim_orca_cot),
    "Ultrachat": (120, write_ultrachat),
}
"""The 22 sources of the fine-tuning mixture by their name in Table 5 of Med42-v2: rows shipped, and the writer."""

TABLE5: Mapping[str, int] = {
    "MedMCQA": 180_462,
    "Medical Flashcards": 30_106,
    "StackExchange": 64_246,
    "MedQA": 11_290,
    "CORD-19": 17_721,
    "PubMedQA": 499,
    "HeadQA": 2_657,
    "MediQA": 1_950,
    "SciQ": 11_679,
    "PubMed Causal": 2_169,
    "OpenGPT": 66_026,
    "MedQUAD": 14_553,
    "MMLU": 244,
    "Niv2": 11_447,
    "Pubhealth": 9_804,
    "Medical-Instruction": 120_000,
    "ACI-Bench": 87,
    "MTS-Dialog": 2_602,
    "SlimOrca T0": 109_235,
    "SlimOrca Flan": 109_169,
    "SlimOrca CoT": 74_172,
    "Ultrachat": 50_953,
}
"""Samples of every source in Table 5 of Med42-v2 (arXiv 2408.06142)."""

README = """# Data of the demo

Written for this project by a seeded generator (`src/primum/demo`): every file is a miniature of an upstream file, in
that file's own format and with its quirks (empty answers, hidden labels, HTML, repeats, two leaked benchmark
questions). It contains no upstream text. Licence: Apache-2.0, as the project.

**Not medical advice.** The facts are simplified textbook statements for testing software.
The harmful requests are templated and mild; they exist to test refusals.
"""


def table5_scale(share: float) -> dict[str, int]:
    """The rows of every source at ``share`` (above 0, at most 1) of Table 5's counts: a ``scale`` for :func:`write`.

    At least one row a source; MTS-Dialog, whose records make two rows each, gets the next even number.

    Raises:
        PrimumError: ``share`` is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise PrimumError(f"table5: a share of {share} cannot be written; give a number above 0 and at most 1")
    rows = {name: max(1, round(share * samples)) for name, samples in TABLE5.items()}
    return rows | {"MTS-Dialog": rows["MTS-Dialog"] + rows["MTS-Dialog"] % 2}


def write(folder: Path, seed: int = 0, scale: Mapping[str, int] | None = None) -> None:
    """Writes all of the demo's files into ``folder``; the same arguments give the same bytes.

    Args:
        folder: created if absent; files of the same names in it are replaced.
        seed: of everything random.
        scale: rows of a source of the mixture by its name in ``SOURCES``, at least 1, instead of its shipped number. A
            row is what an adapter reads as one: records that it drops (no answer, no label, an image) come on top.

    Raises:
        PrimumError: a name in ``scale`` is unknown, or a number cannot be written.
    """
    rows = {name: shipped for name, (shipped, _) in SOURCES.items()}
    for name, number in (scale or {}).items():
        if name not in rows:
            raise PrimumError(f"scale: unknown source {name!r}; the sources are {', '.join(sorted(rows))}")
        if number < 1:
            raise PrimumError(f"scale: {name} has {number} rows; give at least 1")
        rows[name] = number
    for name, (_, writer) in SOURCES.items():
        writer(folder, seed, rows[name])
    write_corpus(folder, seed)
    write_benchmarks(folder, seed)
    write_toxigen(folder, seed)
    write_preferences(folder, seed)
    write_requests(folder, seed)
    write_graded(folder, seed)
    write_completions(folder, seed)
    write_classes(folder, seed)
    write_rubrics(folder, seed)
    write_text(folder / "README.md", README)
