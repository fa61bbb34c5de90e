"""A curated run with each kind of data that can be exported, and its exports."""

from __future__ import annotations

from pathlib import Path

from curated_run import CuratedRun
from study import SECRET

from primum.artifact.manifest import Artifact
from primum.export.command import export_dataset
from primum.text.rows import ChatRow, GradedRow, Message, PreferenceRow, RankedRow, RequestRow, TextRow, to_table

HUB = {"hub": "org/chat", "revision": "a" * 40}
JUDGES = {"judge": {"template": "{{ request }} {{ response }} {{ policy }}", "policies": {}}}


def chat(number: int, words: str = "") -> ChatRow:
    said = (Message("user", f"{SECRET} question {number}?"), Message("assistant", f"{SECRET} {words} answer {number}"))
    return ChatRow(f"chat/{number:03d}", "chat", said)


def pair(number: int, rejected: str = "worse") -> PreferenceRow:
    return PreferenceRow(f"pairs/{number}", "pairs", (Message("user", f"{SECRET} {number}"),), "better", rejected)


def finished(folder: Path) -> Path:
    """Three mixtures (conversations, plain text, and requests and graded responses) and two preference sets."""
    run = CuratedRun(folder, sensitive={"mixtures/harm", "pairs/own"})
    same = ChatRow("chat/900", "chat", chat(0).messages)
    rows = [*(chat(n) for n in range(5)), same]
    run.dataset("chat", rows, **HUB, drops=["no-answer"] * 3, title="Chat | one", license="MIT", citation="One 2024")
    urls = [{"path": f"{n}", "url": f"https://example.org/at/{n}.json", "sha256": f"{n}" * 64} for n in range(2)]
    other = [ChatRow(f"other/{n}", "other", chat(100 + n).messages) for n in range(4)]
    run.dataset("other", other, urls, license="CC-BY-NC-4.0")
    run.dataset("plain", [TextRow(f"plain/{n}", "plain", f"{SECRET} text {n}") for n in range(7)], license="unknown")
    requests = [RequestRow(f"requests/{n}", "requests", "1", f"{SECRET} harm {n}", f"no {n}") for n in range(3)]
    run.dataset("requests", requests, license="MIT")
    run.dataset("graded", [GradedRow("graded/0", "graded", f"{SECRET} do", f"{SECRET} done", 5)], license="MIT")
    run.dataset("pairs", [*(pair(n) for n in range(4)), pair(9, "better ")], license="Apache-2.0")
    run.mixture(
        "talk",
        sources={"a": {"dataset": "chat", "repeat": 2}, "b": {"dataset": "other", "take": 3, "domain": "general"}},
        deduplicate="exact",
        unlisted=99,
    )
    run.mixture("corpus", sources={"plain": {"dataset": "plain"}})
    harm = {"requests": {"dataset": "requests"}, "graded": {"dataset": "graded", "judge": "judge", "domain": "judge"}}
    run.mixture("harm", JUDGES, sources=harm)
    run.preferences("stage-1", ["pairs"])
    prompt = (Message("user", f"{SECRET} 1"),)
    ranked = [
        RankedRow(f"pairs/{p}#{n}", "pairs", f"pairs/{p}", n, prompt, f"{SECRET} said {p} {n}", "ranked", float(n * p))
        for p in range(3)
        for n in range(2)
    ]
    run.experiment["models"]["teacher"] = {"license": "llama3"}
    run.sampled("own", "pairs", "teacher", to_table(ranked, RankedRow))
    return run.finish()


def exported(tmp_path: Path, **asked: str) -> Path:
    results = tmp_path / "run"
    if not results.exists():
        finished(results)
    (name,) = asked.values()
    harmful = name in ("harm", "own", "safe")
    export_dataset(results, asked.get("mixture"), asked.get("preferences"), tmp_path / name, False, harmful)
    return tmp_path / name


def source_of(tmp_path: Path, **asked: str) -> Artifact:
    ((kind, name),) = asked.items()
    return Artifact.open(tmp_path / "run" / "data" / {"mixture": "mixtures"}.get(kind, "pairs") / f"{name}.json")


ASKED = [{"mixture": "talk"}, {"mixture": "corpus"}, {"mixture": "harm"}, {"preferences": "stage-1"}]
ASKED += [{"preferences": "own"}]
