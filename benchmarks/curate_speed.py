"""The stage ``mix`` beside the same work by ``datasets.map`` and datatrove's MinHash, on the same rows, in one run.

    python3 -m venv .venv-peer
    .venv-peer/bin/pip install "datatrove[processing]==0.10.1" datasets==5.2.0 spacy==3.8.18
    python benchmarks/curate_speed.py --output results/curate_speed.json

The peer (curate_peer.py) has an environment of its own: datatrove asks for an older xxhash than the locks hold.

The rows are those of mix_scale.py; then one in a hundred gets the words of an earlier one in capitals, one in a hundred a piece
of a benchmark question, and one in four what cleaning is for, accents too. The stage runs four times, each with one kind of work
more, every time from Parquet to Parquet. The peer does each step once. Both use all processes; their start is in the times, and
the import of libraries by the first process is not. What the two keep is compared after each step.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from mix_scale import ROOT, artifact, make, mixed, published

from primum.artifact.manifest import Artifact
from primum.text.rows import ChatRow, Message, from_table, to_table

# What the stage is asked for, and the peer's steps that do the same: each row of the table adds to the one before.
WORK: dict[str, tuple[dict[str, Any], list[str]]] = {
    "cleaning": ({"deduplicate": "none", "decontaminate": False}, ["read", "clean"]),
    "and decontamination": ({"deduplicate": "none"}, ["decontaminate"]),
    "and exact duplicates": ({"deduplicate": "exact"}, ["exact duplicates"]),
    "and near duplicates": (
        {"deduplicate": "near"},
        ["write for datatrove", "signatures", "buckets", "clusters", "filter"],
    ),
}
NGRAM = 13


def changed(rows: Sequence[ChatRow], questions: Sequence[str]) -> list[ChatRow]:
    """The rows, some of them as duplicates, with a part of a benchmark, or with what cleaning is for."""
    result: list[ChatRow] = []
    for at, row in enumerate(rows):
        question, answer = (message.content for message in row.messages)
        if at % 100 == 51:
            question, answer = (message.content.upper() for message in rows[at // 2].messages)
        elif at % 100 == 77:
            first = at % 40
            piece = questions[at % len(questions)].split()[first : first + NGRAM]
            answer = f"{answer} {' '.join(piece)}"
        if at % 4 == 2:
            # An e with its accent as a character of its own, a no-break space, a tab, other line ends, a byte order mark.
            answer = "\ufeff" + answer.replace(" ", "\u00a0\t", 1) + "\r\n\r\n\r\n \u2265 5 \u03bcg/l, cafe\u0301 \r\n"
        result.append(ChatRow(row.id, row.source, (Message("user", question), Message("assistant", answer))))
    return result


def drawn(counts: Mapping[str, int], folder: Path) -> dict[str, list[Artifact]]:
    """What ``mix`` reads, by role; the rows' files lie in ``folder/rows``, in the order of the sources."""
    inputs = make(counts, folder)
    (benchmark,) = inputs["benchmarks"]
    questions = benchmark.table().column("question").to_pylist()
    (folder / "rows").mkdir()
    tables = [to_table(changed(from_table(each.table(), ChatRow), questions), ChatRow) for each in inputs["rows"]]
    rows = [artifact(folder / "rows" / f"{number:03d}.parquet", table) for number, table in enumerate(tables)]
    return {**inputs, "rows": rows}


def primum(counts: Mapping[str, int], inputs: Mapping[str, list[Artifact]], folder: Path, work: str) -> dict[str, Any]:
    """The stage in a process of its own: seconds by the clock and of the processor, and what it counts."""
    asked = dict(WORK[work][0])
    compared = asked.pop("decontaminate", True)
    roles = {role: given for role, given in inputs.items() if compared or role != "benchmarks"}
    folder.mkdir()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        told: dict[str, Any] = process.submit(mixed, counts, roles, folder, **asked).result()
    return told


def peer(python: Path, folder: Path, processes: int) -> list[dict[str, Any]]:
    """Every step of the peer."""
    script = str(Path(__file__).with_name("curate_peer.py"))
    paths = [str(folder / name) for name in ("rows", "benchmarks.parquet", "peer")]
    (folder / "peer").mkdir()
    done = subprocess.run(  # noqa: S603
        [str(python), script, *paths, "--processes", str(processes)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the peer: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def ids(path: Path) -> set[str]:
    """Of what a step kept."""
    return set(pq.read_table(path, columns=["id"]).column(0).to_pylist())


def texts(path: Path) -> dict[str, str]:
    """Of what cleaning left."""
    table = pq.read_table(path)
    if "text" in table.column_names:
        return dict(zip(table.column("id").to_pylist(), table.column("text").to_pylist(), strict=True))
    return {
        row["id"]: "\n".join(turn["content"] for turn in row["messages"])
        for batch in table.to_batches(1000)
        for row in batch.to_pylist()
    }


def families(before: Mapping[str, str], kept: set[str]) -> dict[str, list[str]]:
    """The rows that were drawn from one, by what they have in common; those alone left out."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for id, text in before.items():
        if id in kept:
            source = id.partition("/")[0]
            found[f"{source}/{' '.join(text.lower().replace('.', ' ').split()[:40])}"].append(id)
    return {key: members for key, members in found.items() if len(members) > 1}


def agreement(folder: Path) -> dict[str, Any]:
    """What the two kept after each step, compared."""
    mine = {name: folder / f"primum-{number}" / "mixture.parquet" for number, name in enumerate(WORK)}
    theirs = [folder / "peer" / f"{name}.parquet" for name in ("clean", "decontaminate", "exact")]
    cleaned = texts(mine["cleaning"])
    told: dict[str, Any] = {"cleaned texts equal": cleaned == texts(theirs[0])}
    for name, path in zip(list(WORK)[1:3], theirs[1:], strict=True):
        told[f"kept alike, {name}"] = ids(mine[name]) == ids(path)
    before = ids(mine["and exact duplicates"])
    groups = families(cleaned, before)
    planted = sum(len(members) - 1 for members in groups.values())
    told["near duplicates planted"] = planted
    for name, path in {
        "primum": mine["and near duplicates"],
        **{f"datatrove, {words}": folder / "peer" / f"near-{words}.parquet" for words in ("spaces", "spacy")},
    }.items():
        kept = ids(path)
        left = sum(max(0, sum(id in kept for id in members) - 1) for members in groups.values())
        told[name] = {"dropped": len(before - kept), "planted and kept": left,
                      "families lost": sum(not kept.intersection(members) for members in groups.values())}  # fmt: skip
    return told


def main() -> None:
    """Draw the rows, let both work, compare, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="all sources together (default: 100000)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="of both (default: as many as CPUs)")
    parser.add_argument("--peer", type=Path, default=ROOT / ".venv-peer/bin/python", help="Python that has datatrove")
    parser.add_argument("--output", type=Path, help="write the measurements here as JSON")
    given = parser.parse_args()
    counts = published("med42-v2-8b", given.rows)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        inputs = drawn(counts, folder)
        os.environ["OMP_NUM_THREADS"] = str(given.processes)
        ours = [primum(counts, inputs, folder / f"primum-{number}", work) for number, work in enumerate(WORK)]
        steps = peer(given.peer, folder, given.processes)
        told = agreement(folder)
    print(f"{sum(counts.values()):,} rows, {given.processes} processes; seconds, by the clock and by CPU time")
    rows = []
    for words in ("spaces", "spacy"):
        print(
            f"\n{f'datatrove splits words: {words}':28}{'primum':>8}{'peer':>8}{'ratio':>8}{'primum':>9}{'peer':>8}{'by CPU':>8}"
        )
        spent = {"seconds": 0.0, "cpu": 0.0}
        for mine, (work, (_, names)) in zip(ours, WORK.items(), strict=True):
            mine_too = [each for each in steps if each["step"] in names and each.get("words", words) == words]
            spent = {key: value + sum(each[key] for each in mine_too) for key, value in spent.items()}
            row = {"work": work, "words": words, "primum": mine["seconds"], "peer": spent["seconds"],
                   "primum_cpu": mine["cpu"], "peer_cpu": spent["cpu"]}  # fmt: skip
            rows.append(row)
            print(f"{work:28}{row['primum']:8.1f}{row['peer']:8.1f}{row['peer'] / row['primum']:7.1f}x"
                  f"{row['primum_cpu']:9.1f}{row['peer_cpu']:8.1f}{row['peer_cpu'] / row['primum_cpu']:7.1f}x")  # fmt: skip
    print()
    for each in steps:
        print(f"peer: {each['step']:22}{each.get('words', ''):8}{each['seconds']:8.1f}{each['cpu']:8.1f}")
    for name, value in told.items():
        print(f"{name}: {value}")
    if given.output:
        made_of = {"rows": rows, "primum": ours, "peer": steps, "agreement": told}
        given.output.write_text(json.dumps(made_of, indent=2) + "\n", encoding="utf-8")
    if not all(value for value in told.values() if isinstance(value, bool)):
        print("what the two keep differs before near duplicates", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
