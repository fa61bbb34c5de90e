"""What the page of the report reads beside it: the record of the run against the manifests, texts against the artifacts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from primum.export.texts import TEXTS, text_files
from primum.reading import regular
from primum.trace.rundata import RUN_DATA, run_data
from primum.verify.finding import Finding, Seen, Unchecked
from primum.verify.reading import BROKEN
from primum.verify.study import Study

# Of an artifact in the record: what its manifest says, too. Its size, its job and the words for its stage are left to the run.
_OF_MANIFEST = ("stage", "kind", "content", "key", "sensitive", "counts", "files", "adopted")
_OF_RUN = ("seconds", "finished", "host", "gpus", "cost", "commit", "clean")
_MADE_OF = "what it was made of"
_OTHERS = 0o077
Told = Mapping[str, Any]


def check_record(study: Study) -> Iterator[Seen]:
    """The first artifact of which the record says anything else than its manifest, or nothing although all is here."""
    path = study.results / RUN_DATA
    if not path.exists():
        return
    again = f"primum report-data {study.results}"
    try:
        text = regular(path).read_text(encoding="utf-8").strip().removeprefix("primumRun(").removesuffix(");")
        there = _read(json.loads(text)["artifacts"])
    except BROKEN:
        yield Finding(path, "is no record of a run", again)
        return
    # A record of another version may lack a field altogether.
    known = {field for told in there.values() for field in told}
    for name, told in _read(run_data(study.graph)["artifacts"]).items():
        if name not in there:
            if not study.missing:  # else a run was stopped before its end, where it writes the record
                yield Finding(path, f"lacks {name}", again)
                return
            continue
        wrong = [field for field in told if field in known and there[name].get(field) != told[field]]
        if wrong:
            yield Finding(path, f"says of {name} something else than its manifest: {', '.join(wrong)}", again)
            return


def _read(artifacts: Sequence[Told]) -> dict[str, dict[str, Any]]:
    """What a record says of each artifact by name, what it was made of as roles and contents."""
    found = {}
    for each in artifacts:
        told = {field: each.get(field) or None for field in (*_OF_MANIFEST, *_OF_RUN)}
        told |= {f"setting {key}": value for key, value in each.get("settings", {}).items()}
        read = zip(each["roles"], each["inputs"], strict=True)
        found[each["name"]] = told | {_MADE_OF: [(role, artifacts[index]["content"]) for role, index in read]}
    found.pop("", None)  # what is lost has no name
    return found


def check_texts(study: Study) -> Iterator[Seen]:
    """The folder of questions, requests and responses, if somebody had it written: each file is what the artifacts give."""
    folder = study.results / TEXTS
    if not folder.is_dir():
        return
    again = f"primum texts {study.results} --include-harmful-text i-understand"
    there = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if not path.is_dir()}
    try:
        for name, text in text_files(study.graph):
            path = there.pop(name, None)
            if path is None or path.is_symlink() or not path.is_file() or path.read_bytes() != text.encode("utf-8"):
                yield Finding(folder / name, "is not what the artifacts give, or missing", again)
        for path in there.values():
            yield Finding(path, "is no file of these texts", again)
    except BROKEN:
        yield Unchecked("folders of texts", "an artifact that they are of is damaged, or not here")
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink() and path.stat().st_mode & _OTHERS:
            yield Finding(path, "is sensitive, and others than its owner may read it", f"chmod go-rwx {path}")
