"""``primum verify`` beside ``sha256sum`` of the same files, in one run: bytes a second, and the seconds of all checks.

    python benchmarks/verify_speed.py results/demo --gigabytes 2 --output results/verify_speed.json

The files are a finished experiment's, with the store's entries, and one file of weights that is made up for it. Each file is read
once before anything is timed, so that the disk counts for neither. ``sha256sum`` gets each inode once, as many files at a time
as there are cores. They take turns, and the quickest round of each counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from primum.artifact.canonical import digest
from primum.artifact.folder import folder_files, folder_hash
from primum.artifact.manifest import Manifest, artifact_key, save_manifest
from primum.verify.artifacts import files_of
from primum.verify.command import verified
from primum.verify.reading import cores
from primum.verify.study import open_study

_PIECE = 1 << 24


def weights(folder: Path, size: int) -> Path:
    """A results folder with one model of ``size`` bytes."""
    results = folder / "results" / "weights"
    model = results / "models" / "large"
    model.mkdir(parents=True)
    piece = os.urandom(_PIECE)
    with (model / "model.safetensors").open("wb") as file:
        for number in range(size // _PIECE):
            file.write(number.to_bytes(8, "little") + piece[8:])
    files = folder_files(model)
    spec = {"item": {"size": size, "of": digest(files)}}
    manifest = Manifest("folder", "sft", spec, {}, artifact_key(spec, {}), folder_hash(files), {}, files=files)
    save_manifest(manifest, model / "manifest.json")
    return results


def sha256sum(paths: list[Path]) -> float:
    """Seconds that it takes, as many files at a time as there are cores."""
    begun = time.monotonic()
    words = ["xargs", "-0", "-P", str(cores()), "-n", str(-(-len(paths) // cores())), "sha256sum"]
    subprocess.run(words, input="\0".join(map(str, paths)), text=True, stdout=subprocess.DEVNULL, check=True)  # noqa: S603
    return time.monotonic() - begun


def compare(results: Path, rounds: int) -> dict[str, Any]:
    """The quickest round of each, in seconds, and the bytes."""
    paths = {(path.stat().st_dev, path.stat().st_ino): path for path, _ in files_of(open_study(results, None))}
    size = sum(path.stat().st_size for path in paths.values())
    sha256sum(list(paths.values()))
    taken: dict[str, list[float]] = {"sha256sum": [], "reading": [], "all": []}
    for _ in range(rounds):
        taken["sha256sum"].append(sha256sum(list(paths.values())))
        found = verified([results])
        if found.findings:
            raise SystemExit(str(found.findings[0]))
        taken["reading"].append(found.reading)
        taken["all"].append(found.seconds)
    quickest = {name: min(seconds) for name, seconds in taken.items()}
    rates = {f"{name}_gb_s": size / quickest[name] / 1e9 for name in ("sha256sum", "reading")}
    return {"files": len(paths), "bytes": size, "artifacts": found.artifacts, "seconds": quickest, **rates}


def main() -> None:
    """Print a line for each, and write all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="*")
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found = {str(results): compare(results, given.rounds) for results in given.results}
    with tempfile.TemporaryDirectory(prefix="primum-verify-") as folder:
        found["weights"] = compare(weights(Path(folder), int(given.gigabytes * 1e9)), given.rounds)
    for name, row in found.items():
        seconds = ", ".join(f"{part} {taken:.2f} s" for part, taken in row["seconds"].items())
        print(
            f"{name}: {row['artifacts']:,} artifacts, {row['files']:,} files, {row['bytes'] / 1e6:,.0f} MB: {seconds}; "
            f"sha256sum {row['sha256sum_gb_s']:.2f} GB/s, verify {row['reading_gb_s']:.2f} GB/s"
        )
    if given.output is not None:
        given.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
