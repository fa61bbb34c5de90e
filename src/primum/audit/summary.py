"""The lines that end a run: what was made, what came from the store, and where to look."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from primum.artifact.graph import manifest_paths
from primum.artifact.manifest import load_manifest
from primum.errors import PrimumError

NOT_SCORED = {"error", "no-response", "prompt-too-long", "truncated"}
# Answers of judges that are no verdicts.
NOT_SCORED |= {
    "refused_by_judge",
    "malformed",
    "out_of_range",
    "several",
    "filtered",
    "timeout",
    "too_long",
    "no_response",
}
NOT_SCORED |= {"cut", "too-long", "refused", "judge-cut"}  # responses that no ranker was shown, or that got no reward

# What these have no answer to counts where their answers are read.
_READ_LATER = {"judge", "agreement", "rate"}


def summarize(results: Path) -> str:
    """A few lines about the experiment in ``results``; reads manifests only. PrimumError when there is no such folder."""
    manifests = []
    for path in manifest_paths(results):
        try:
            manifests.append(load_manifest(path))
        except PrimumError:
            continue  # damaged, or no manifest
    taken = sum(bool(manifest.run.get("taken_from_store")) for manifest in manifests)
    lines = [f"\n{results}: {len(manifests)} artifacts, {taken} of them taken from the store."]
    not_scored: Counter[str] = Counter()
    for manifest in manifests:
        if manifest.stage in _READ_LATER:
            continue
        for status in set(manifest.counts) & NOT_SCORED:
            not_scored[f"{manifest.stage} {status}"] += manifest.counts[status]
    if +not_scored:
        lines.append("Not everything was scored: " + ", ".join(f"{name} {n:,}" for name, n in (+not_scored).items()))
    tables = sorted(results.glob("tables/*.csv"))
    if tables:
        lines.append(f"Tables:  {results / 'tables'}: {', '.join(path.stem for path in tables)} (.parquet and .csv)")
    if (table4 := results / "tables" / "table4.html").exists():
        lines.append(f"Table 4: {table4}, beside what was published (and .md, .tex)")
    page = results / "report" / "index.html"
    if page.exists():
        lines.append(f"Report:  {page}")
    return "\n".join(lines)
