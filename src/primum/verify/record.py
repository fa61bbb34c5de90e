"""The record of the run, from which the report tells what was made of what, against the manifests that it was written from."""

from __future__ import annotations

import json
from collections.abc import Iterator

from primum.reading import regular
from primum.trace.rundata import RUN_DATA
from primum.verify.finding import Finding, Seen
from primum.verify.reading import BROKEN
from primum.verify.study import Study

_OF_MANIFEST = ("stage", "content", "key")
_OF_RUN = ("seconds", "finished", "host", "commit")


def check_record(study: Study) -> Iterator[Seen]:
    """Of each artifact that both know: what it is, and when and where it was made."""
    path = study.results / RUN_DATA
    if not path.exists():
        return
    again = f"primum report-data {study.results}"
    try:
        text = regular(path).read_text(encoding="utf-8").strip().removeprefix("primumRun(").removesuffix(");")
        told = {each["name"]: each for each in json.loads(text)["artifacts"] if each["name"]}
    except BROKEN:
        yield Finding(path, "is no record of a run", again)
        return
    for artifact in study.graph.artifacts:
        name, manifest = study.graph.name(artifact), artifact.manifest
        facts = {each: getattr(manifest, each) for each in _OF_MANIFEST}
        facts |= {each: manifest.run.get(each) or None for each in _OF_RUN}
        wrong = [each for each, fact in facts.items() if name in told and (told[name].get(each) or None) != fact]
        if wrong:
            yield Finding(path, f"says of {name} another {' and '.join(wrong)} than its manifest", again)
            return
