"""The report of an audit: ``audit.json`` with all of it, ``audit.md`` for a reviewer, and the manifests that it speaks of."""

from __future__ import annotations

import json
import os
import platform
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from primum.artifact.folder import file_sha256
from primum.artifact.invocation import CLEAN_WORDS, invocation
from primum.artifact.libraries import library
from primum.artifact.machine import user_name
from primum.artifact.manifest import Artifact
from primum.dag.dag import STAGES
from primum.reproduce.audit import NOT_ASKED, Audit
from primum.reproduce.classes import FULL, HALF, RELATIVE, class_of
from primum.reproduce.outcome import Outcome
from primum.reproduce.screen import clock

LIST = "manifests.sha256"
_NAMED = 5
_KINDS = {
    "exact": "the same content, bit by bit",
    "conditional": "the same content, or within a tolerance: a model is asked or trained",
    "pinned": "the same content: files at a pinned revision or checksum",
    "recorded": "not made again: the recorded answers are the artifact",
}


def write_report(audit: Audit, output: Path) -> Path:
    """Write the report into ``output``, names, numbers and hashes alone, and no text of rows; the path of ``audit.md``."""
    paths = sorted([each.path for each in audit.graph.artifacts] + list(audit.graph.unreadable))
    lines = [f"{file_sha256(path)}  {path.relative_to(audit.graph.results).as_posix()}\n" for path in paths]
    listed = output / LIST
    listed.write_text("".join(lines), encoding="utf-8")
    record = _record(audit, file_sha256(listed), len(paths))
    page = output / "audit.json"
    page.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    target = output / "audit.md"
    target.write_text("\n".join(_page(audit, record, file_sha256(page))) + "\n", encoding="utf-8")
    return target


def _record(audit: Audit, listed: str, manifests: int) -> dict[str, Any]:
    verdicts = Counter(each.verdict for each in audit.outcomes)
    return {
        "results": str(audit.graph.results),
        "clean": audit.is_clean,
        "claimed": {
            "artifacts": len(audit.graph.artifacts),
            "stages": dict(Counter(each.manifest.stage for each in audit.graph.artifacts)),
            "manifests": manifests,
            "manifests_sha256": listed,
            "recorded_on": _recorded(audit.graph.artifacts),
        },
        "made_again": {"artifacts": len(audit.outcomes), **{name.replace(" ", "_"): n for name, n in verdicts.items()}},
        "outcomes": [
            {**asdict(each), "difference": each.difference and each.difference.record()} for each in audit.outcomes
        ],
        "not_made_again": [
            {"reason": reason, "artifacts": [name for name, _ in given]} for reason, given in audit.left.items()
        ],
        "unreadable": list(audit.wrong),
        "circumstances": {"here": asdict(audit.here), "there": asdict(audit.there), "threads": list(audit.threads)},
        "tolerances": {"float32": asdict(FULL), "other": asdict(HALF), "relative": RELATIVE},
        "run": {
            **invocation(),
            "by": user_name(),
            "host": socket.gethostname(),
            "started": _at(audit.started),
            "seconds": round(audit.seconds, 1),
            "budget": audit.budget,
            "expected_seconds": round(audit.sample.seconds, 1),
            "seed": audit.seed,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "versions": _versions(audit.graph.artifacts),
        },
    }


def _recorded(artifacts: Sequence[Artifact]) -> dict[str, list[str]]:
    """The machines, versions of Python and commits that the manifests name."""
    keys = ("host", "machine", "python", "commit")
    return {key: sorted({str(each.manifest.run.get(key, "")) for each in artifacts} - {""}) for key in keys}


def _versions(artifacts: Sequence[Artifact]) -> dict[str, str | None]:
    """What is installed here of all that the specs name."""
    return {
        name: library(name)
        for name in sorted({name for each in artifacts for name in each.manifest.spec.get("libraries", ())})
    }


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# The page -------------------------------------------------------------------------------------------------------------


def _page(audit: Audit, record: Mapping[str, Any], digest: str) -> Iterator[str]:
    outcomes, claimed, run = audit.outcomes, record["claimed"], record["run"]
    matched = [each for each in outcomes if each.matched]
    equal = sum(each.verdict == "equal" for each in outcomes)
    left = sum(map(len, audit.left.values()))
    yield f"# Audit of {audit.graph.results}: {'passed' if audit.is_clean else 'NOT passed'}"
    yield ""
    yield (
        f"**{len(matched):,} of {len(outcomes):,} artifacts made again came out as claimed**: {equal:,} the same bit by bit, "
        f"{len(matched) - equal:,} within their tolerance. "
        f"{len(outcomes) - len(matched):,} did not. {left:,} were not made again."
    )
    yield ""
    yield from _untouched(audit)
    yield (
        f"Claimed: {claimed['artifacts']:,} artifacts of {len(claimed['stages'])} stages, made on "
        f"{', '.join(claimed['recorded_on']['host']) or 'an unknown machine'}. Each is made again from its own recorded inputs, "
        "whose hashes were checked first. Whether it lies in its place, `primum verify` says."
    )
    yield from _failures(audit)
    yield from _near(outcomes)
    yield from _others(outcomes)
    yield from _by_stage(audit)
    yield from _left(audit)
    yield from _circumstances(audit, record)
    yield from _tolerances()
    yield from ["", "## Signed off", "", "| | |", "|---|---|"]
    yield f"| by | {run['by']} on {run['host']} |"
    yield f"| at | {run['started']}, for {clock(audit.seconds)} |"
    yield f"| command | `{run['command']}` |"
    yield f"| sha256 of `audit.json` | `{digest}` |"
    yield f"| sha256 of `{LIST}` | `{claimed['manifests_sha256']}` |"
    yield "| reviewed by, on | |"
    yield ""
    yield (
        f"`{LIST}` lists the manifests that this report speaks of. In the results folder, `sha256sum -c` of it says whether "
        "they are still the same."
    )


def _untouched(audit: Audit) -> Iterator[str]:
    """The stages that the audit says nothing of: a reader of the first lines should not think that it does."""
    made = {each.stage for each in audit.outcomes}
    claimed = {each.manifest.stage for each in audit.graph.artifacts}
    rest = [stage for stage in [*STAGES, *sorted(claimed - STAGES.keys())] if stage in claimed - made]
    if rest:
        yield f"**Of {len(rest)} of {len(claimed)} stages nothing was made again**: {', '.join(rest)}."
        yield ""


def _failures(audit: Audit) -> Iterator[str]:
    wrong = [each for each in audit.outcomes if not each.matched]
    if not wrong and not audit.wrong:
        return
    yield from [
        "",
        "## What did not come out as claimed",
        "",
        "| artifact | class | | what differs |",
        "|---|---|---|---|",
    ]
    for each in wrong:
        note = f" (made by {'; '.join(each.made_by)})" if each.made_by else ""
        yield f"| `{each.name}` | {each.kind} | {each.verdict}{note} | {_cell(each.said)} |"
    for said in audit.wrong:
        yield f"| | | unreadable | {_cell(said)} |"
    if any(each.verdict == "different" for each in wrong):
        yield from ["", "What was made here instead is in `different/`."]


def _near(outcomes: Sequence[Outcome]) -> Iterator[str]:
    near = [each for each in outcomes if each.verdict == "within tolerance"]
    if near:
        yield from ["", "## Within tolerance", "", "| artifact | what differs |", "|---|---|"]
        yield from (f"| `{each.name}` | {_cell(each.said)} |" for each in near)


def _others(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What other code or versions made, and what was adopted."""
    others = [each for each in outcomes if each.made_by or each.adopted]
    if not others:
        return
    yield from ["", "## Made by other code or versions, or adopted", ""]
    yield from ["| artifacts | of stage | made by | today's code gives | adopted, since |", "|---|---|---|---|---|"]
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for each in others:
        content = {"equal": "equal content", "within tolerance": "content within tolerance"}.get(
            each.verdict, "other content"
        )
        content = "nothing" if each.verdict == "not made" else content
        alike.setdefault((each.stage, "; ".join(each.made_by), content, each.adopted), []).append(each.name)
    for (stage, made_by, content, adopted), names in alike.items():
        yield f"| {_names(names)} | {stage} | {made_by} | {content} | {_cell(adopted)} |"


def _by_stage(audit: Audit) -> Iterator[str]:
    yield from ["", "## By stage", ""]
    yield from [
        "| stage | class | claimed | made again | equal | within tolerance | different | not made |",
        "|---|---|---|---|---|---|---|---|",
    ]
    claimed = Counter(each.manifest.stage for each in audit.graph.artifacts)
    unasked = {stage for _, stage in audit.left.get(NOT_ASKED, ())}
    for stage in [*STAGES, *(name for name in claimed if name not in STAGES)]:
        if not claimed[stage] or stage in unasked:
            continue
        own = [each for each in audit.outcomes if each.stage == stage]
        verdicts = Counter(each.verdict for each in own)
        counts = [verdicts[name] for name in ("equal", "within tolerance", "different", "not made")]
        kinds = ", ".join(sorted({each.kind for each in own} or _classes(audit, stage)))
        yield (
            f"| {stage} | {kinds} | {claimed[stage]:,} | {len(own):,} | " + " | ".join(f"{n:,}" for n in counts) + " |"
        )


def _classes(audit: Audit, stage: str) -> set[str]:
    return {
        class_of(each.manifest) for each in audit.graph.artifacts if each.manifest.stage == stage and stage in STAGES
    }


def _left(audit: Audit) -> Iterator[str]:
    if not audit.left:
        return
    yield from ["", "## What was not made again, and why", "", "| why | artifacts | of stages |", "|---|---|---|"]
    for reason, given in audit.left.items():
        stages = ", ".join(f"{stage} {n:,}" for stage, n in Counter(stage for _, stage in given).items())
        yield f"| {_cell(reason)} | {len(given):,} | {stages} |"


def _circumstances(audit: Audit, record: Mapping[str, Any]) -> Iterator[str]:
    one, other, run = audit.here, audit.there, record["run"]
    yield from ["", "## Where", "", "| | the audit itself | what was made again |", "|---|---|---|"]
    for label, name in (
        ("working directory", "directory"),
        ("time zone", "time_zone"),
        ("locale", "locale"),
        ("hash seed", "hash_seed"),
        ("umask", "umask"),
        ("home", "home"),
    ):
        yield f"| {label} | {_cell(getattr(one, name))} | {_cell(getattr(other, name))} |"
    threads = ", ".join(map(str, audit.threads))
    yield f"| threads | as the experiment asks | {threads}: another number than that, but for training, whose spec fixes it |"
    yield "| items and files | in order | the other way round |"
    recorded = record["claimed"]["recorded_on"]
    bound = "none" if audit.budget is None else clock(audit.budget)
    yield ""
    libraries = ", ".join(f"{name} {version or 'not installed'}" for name, version in run["versions"].items())
    code = f"commit {run['commit']}{CLEAN_WORDS[run['clean']]}" if run["commit"] else "of no known commit"
    yield f"Code: {code}. The manifests say {_some(recorded['commit']) or 'none'}."
    yield ""
    yield (
        f"Python {run['python']} on {run['machine']}, {run['cpus']} CPUs. "
        f"The manifests say Python {_some(recorded['python'])}. Here: {libraries}."
    )
    yield ""
    yield (
        f"Budget: {bound}. By the recorded times {clock(audit.sample.seconds)} were expected; it took {clock(audit.seconds)}. "
        f"The sample's seed is {audit.seed}."
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _tolerances() -> Iterator[str]:
    yield from ["", "## Classes and tolerances", ""]
    yield from [f"- **{kind}**: {words}." for kind, words in _KINDS.items()]
    for name, each in (("float32", FULL), ("lower precision", HALF)):
        yield (
            f"- Tolerance in {name}: a number by {each.value:g} (and {RELATIVE:g} of it), those of a column by {each.mean:g} on "
            f"average, {each.rows:.0%} of the rows in anything else, a weight by {each.weight:g} of the largest in its tensor."
        )


def _names(names: Sequence[str]) -> str:
    return _some([f"`{name}`" for name in names])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
