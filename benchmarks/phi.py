"""How well identifiers are found: recall where they were planted, false alarms on real notes and dialogues, and the speed.

    python benchmarks/phi.py --data FOLDER --output phi.json

``FOLDER`` holds ``mts-dialog/*.csv`` and ``aci-bench/*.csv`` as they were published; without one only what was planted is looked
at. Where Presidio is installed, ``--presidio`` measures its own recognizers without a language model beside ours.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from phi_planted import FILLER, PLANTED

from primum.text.phi import Place, find

Finder = Callable[[str], Sequence[Place]]


def recall(finder: Finder, each: int, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Of every kind how many were planted and found to the last letter or digit, by ``each`` notes a sentence."""
    r = random.Random(seed)
    found: dict[str, dict[str, Any]] = {}
    for kind, cases in PLANTED.items():
        planted = whole = 0
        missed: Counter[str] = Counter()
        for sentence, draw in cases:
            for _ in range(each):
                value = draw(r)
                before, after = sentence.split("{}")
                head = f"{r.choice(FILLER)}\n{before}"
                start, text = len(head), f"{head}{value}{after}\n{r.choice(FILLER)}"
                marked = {at for place in finder(text) for at in range(place.start, place.end)}
                planted += 1
                if all(at in marked for at in range(start, start + len(value)) if text[at].isalnum()):
                    whole += 1
                else:
                    missed[sentence] += 1
        found[kind] = {"planted": planted, "found": whole, "missed": dict(missed.most_common())}
    return found


def texts(folder: Path) -> dict[str, list[str]]:
    """The notes and the dialogues of both datasets, of all files that are there."""
    columns = {"mts-dialog": ("section_text", "dialogue"), "aci-bench": ("note", "dialogue")}
    read: dict[str, list[str]] = {}
    for name, (note, dialogue) in columns.items():
        for path in sorted((folder / name).glob("*.csv")):
            with path.open(encoding="utf-8-sig", newline="") as file:
                for row in csv.DictReader(file):
                    for kind, column in (("notes", note), ("dialogues", dialogue)):
                        if row.get(column):
                            read.setdefault(f"{name} {kind}", []).append(row[column])
    return read


def alarms(finder: Finder, read: Iterable[str]) -> dict[str, Any]:
    """What is found in texts, by kind and for 1,000 words, and how fast."""
    rows = list(read)
    words = sum(len(text.split()) for text in rows)
    started = time.process_time()
    places = [place for text in rows for place in finder(text)]
    seconds = time.process_time() - started
    kinds = Counter(place.kind for place in places)
    return {
        "rows": len(rows),
        "words": words,
        "per_1000_words": {kind: round(count / words * 1000, 3) for kind, count in sorted(kinds.items())},
        "places": dict(sorted(kinds.items())),
        "rows_per_s": round(len(rows) / seconds),
        "words_per_s": round(words / seconds),
    }


def presidio() -> Finder:
    """Presidio's recognizers for English and the United States, without a language model, at their own scores of 0.4 or more."""
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NlpArtifacts, NoOpNlpEngine

    class Words(NoOpNlpEngine):  # type: ignore[misc]
        """spaCy's words as their own lemmas: a blank pipeline gives none, and context words would not be found."""

        def __init__(self) -> None:
            super().__init__([{"lang_code": "en", "model_name": "blank"}])
            self._blank = spacy.blank("en")
            self.load()

        def process_text(self, text: str, language: str) -> NlpArtifacts:
            doc = self._blank(text)  # of a text's words, those that are no stop words are its context
            return NlpArtifacts([], doc, [t.idx for t in doc], [t.lower_ for t in doc], self, language)

    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"])
    registry.remove_recognizer("SpacyRecognizer")
    registry.remove_recognizer("EmailRecognizer")  # it asks the network for a list of domains
    engine = AnalyzerEngine(registry=registry, nlp_engine=Words(), supported_languages=["en"])
    return lambda text: [
        Place(each.start, each.end, each.entity_type) for each in engine.analyze(text, "en", score_threshold=0.4)
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--each", type=int, default=20, help="notes with each planted sentence")
    parser.add_argument("--presidio", action="store_true")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    finder = presidio() if args.presidio else find
    measured = {
        "recall": recall(finder, args.each),
        "alarms": {name: alarms(finder, read) for name, read in (texts(args.data) if args.data else {}).items()},
    }
    for kind, counts in measured["recall"].items():
        print(f"{kind:15} {counts['found']:4}/{counts['planted']:4}  {counts['missed'] or ''}")
    for name, counts in measured["alarms"].items():
        print(name, counts)
    if args.output:
        args.output.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
