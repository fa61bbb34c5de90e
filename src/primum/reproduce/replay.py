"""``primum replay``: a run that somebody exported as a crate, planned and made again here, and compared with what was recorded.

What is taken from the crate is what no job computes: raw files, models of a hub, and the answers of models behind endpoints,
which nobody can ask for again. Everything else is made anew. The workflow and the package are those in the crate.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from primum.artifact.folder import file_sha256
from primum.artifact.libraries import check_libraries
from primum.artifact.manifest import Manifest, load_manifest
from primum.artifact.private import tighten
from primum.artifact.results import STORE
from primum.artifact.store import Store, table_file
from primum.errors import PrimumError
from primum.project import project_root
from primum.reproduce.crate import WORKFLOW, Recorded, open_crate

_BROUGHT = ("fetch", "snapshot")
_STEERING = ("PRIMUM_STORE", "PRIMUM_REFRESH", "PRIMUM_MIRROR", "PRIMUM_REPORT_TO", "SNAKEMAKE_PROFILE")
_SHOWN = 10
SAME, DIFFERENT, MISSING, TAKEN = "same", "different", "not made", "taken"


def replay(crate: Path, folder: Path | None, cores: int, dry_run: bool) -> None:
    """Make the run of ``crate`` again in the new ``folder``, and print what came out the same; plan it only with ``dry_run``.

    PrimumError where the crate is damaged, the libraries are others, other jobs or keys are planned than were recorded, something
    needed is not there, or an artifact came out different or not at all.
    """
    recorded = open_crate(crate)
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="primum-replay-") as place:
            _plan(recorded, Path(place))
        if missing := list(_wanting(recorded)):
            print(
                f"A replay would lack the data of {len(missing)} artifacts, the first {missing[0][0]}: {missing[0][2]}"
            )
        return
    target = folder or crate.with_name(f"{crate.resolve().name}-replay")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise PrimumError(f"{target}: is there already: name another folder with --folder")
    lost = next(_wanting(recorded), None)
    if lost is not None:
        raise PrimumError(f"{lost[0]}: {lost[1]}: {lost[2]}")
    try:
        _plan(recorded, target)
    except PrimumError:
        shutil.rmtree(target, ignore_errors=True)  # it was new or empty
        raise
    taken = _seed(recorded, target)
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "all",
        "--cores",
        str(cores),
        "--config",
        f"experiment={recorded.name}",
    ]
    done = subprocess.run(command, cwd=target, env=_environment(target), check=False)  # noqa: S603 - this Python, own words
    verdicts = {path: verdict(manifest, target / path, path in taken) for path, manifest in recorded.manifests.items()}
    _report(recorded, verdicts, target)
    wrong = [path for path, said in verdicts.items() if said in (DIFFERENT, MISSING)]
    if wrong:
        ended = "" if done.returncode == 0 else f"; the run itself ended with status {done.returncode}"
        raise PrimumError(f"{len(wrong)} of {len(verdicts)} artifacts are not as recorded, the first {wrong[0]}{ended}")
    if done.returncode != 0:
        raise PrimumError(f"{target}: the run ended with status {done.returncode}: see its logs")


def _plan(recorded: Recorded, target: Path) -> None:
    """Compare versions with the lock's, unpack the workflow into ``target``, and compare what it plans with what was recorded."""
    libraries: dict[str, str] = {}
    for manifest in recorded.manifests.values():
        libraries |= json.loads(manifest.job)["libraries"]
    try:
        check_libraries(libraries)
    except PrimumError as error:
        lock = recorded.folder / WORKFLOW / "envs" / ("gpu.lock" if "vllm" in libraries else "cpu.lock")
        raise PrimumError(f"{error}: pip install -r {lock}") from None
    target.mkdir(parents=True, exist_ok=True)
    for name in recorded.files:
        if name.startswith(WORKFLOW):
            _copy(recorded.folder / name, target / name.removeprefix(WORKFLOW))
    pythons = {str(m.run["python"]) for m in recorded.manifests.values() if m.run.get("python")}
    if pythons and platform.python_version() not in pythons:
        print(f"Python is {platform.python_version()} here, and was {', '.join(sorted(pythons))}: results may differ")
    done = subprocess.run(  # noqa: S603 - this Python, own words
        [sys.executable, "-m", "primum.reproduce.planned", recorded.name, str(recorded.folder.resolve())],
        cwd=target,
        env=_environment(target),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PrimumError((done.stderr.strip().splitlines() or ["no plan"])[-1].removeprefix("primum: error: "))
    plan = {each["path"]: each for each in json.loads(done.stdout)}
    difference = first_difference(plan, recorded.manifests)
    if difference:
        raise PrimumError(difference)
    jobs = {(each["stage"], each["job"]) for each in plan.values()}
    print(f"{recorded.name}: {len(jobs)} stage jobs and {len(plan)} artifacts, all with the keys that were recorded")


def first_difference(plan: Mapping[str, Mapping[str, Any]], recorded: Mapping[str, Manifest]) -> str:
    """The first thing that is planned otherwise than recorded, in the order of the plan; empty where nothing is."""
    for path, each in plan.items():
        if path not in recorded:
            return f"{path}: is planned here, and was not recorded"
        manifest = recorded[path]
        if each["spec"] != manifest.job:
            where = next(_differing(json.loads(manifest.job), json.loads(each["spec"])), "its text")
            return f"{path}: its job is planned with another spec: {where}"
        if each["key"] != manifest.key:
            return f"{path}: has the key {each['key'][:12]} here, and had {manifest.key[:12]}: what it reads is other"
    lost = next((path for path in recorded if path not in plan), None)
    return f"{lost}: was recorded, and is not planned here" if lost else ""


def _differing(was: Any, now: Any, where: str = "") -> Iterator[str]:
    """The places at which two JSON values differ, with both values where they are short."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted({*was, *now}):
            yield from _differing(was.get(key), now.get(key), f"{where}.{key}".lstrip("."))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from _differing(one, other, f"{where}[{index}]")
    elif was != now:
        short = all(isinstance(each, int | float | bool | None) or len(str(each)) <= 64 for each in (was, now))
        yield f"{where}: {was!r} -> {now!r}" if short else where


def is_paid(manifest: Manifest) -> bool:
    """Whether a model behind an endpoint said what the artifact holds."""
    engine = manifest.spec.get("common", {}).get("engine")
    return isinstance(engine, Mapping) and engine.get("kind") == "openai"


def _wanting(recorded: Recorded) -> Iterator[tuple[str, str, str]]:
    """What is needed and neither in the crate nor to be had: its path, what is wrong, and the remedy."""
    remedy = "export the crate with --with-data, and --include-harmful-text i-understand where it is sensitive"
    for path, manifest in recorded.manifests.items():
        if recorded.has_data(path):
            continue
        if is_paid(manifest):
            yield path, "holds answers of a model behind an endpoint, and is not in the crate", remedy
        elif manifest.stage == "fetch":
            for name in (name for name in own_files(manifest) if _found_here(name, manifest.files[name]) is None):
                yield path, f"{name} has no address, and is neither in the crate nor in the clone you are in", remedy
                break


def own_files(manifest: Manifest) -> list[str]:
    """The raw files of a dataset that belong to the project: those without any address."""
    item = manifest.spec["item"]
    if item.get("hub") or item.get("git"):
        return []
    named = [file for file in item["files"] if not (file.get("url") or file.get("hub") or file.get("git"))]
    return [file["path"] for file in named if file["path"] in manifest.files]


def _found_here(name: str, sha256: str) -> Path | None:
    """A raw file of this content in the clone that the current folder is in."""
    try:
        path = project_root() / name
    except PrimumError:
        return None
    return path if path.is_file() and file_sha256(path) == sha256 else None


def _seed(recorded: Recorded, target: Path) -> set[str]:
    """Put raw files, fetched models and paid answers where the run finds them; the paths of those that the crate had."""
    store, taken = Store(target / "results" / STORE), set()
    for path, manifest in recorded.manifests.items():
        inside = recorded.has_data(path)
        own = own_files(manifest) if manifest.stage == "fetch" else []
        data = recorded.folder / path.removesuffix("manifest.json")
        for name in own:
            source = data / name if inside else _found_here(name, manifest.files[name])
            if source is not None:
                _copy(source, target / name)
                if manifest.sensitive is not False:
                    tighten(target / name)
        if not inside or not (manifest.stage in _BROUGHT or is_paid(manifest)):
            continue
        filled = store.new_folder(private=manifest.sensitive is not False)
        if manifest.kind == "table":
            _copy(recorded.folder / f"{path.removesuffix('.json')}.parquet", table_file(filled))
        else:
            for name in manifest.files:
                _copy(data / name, filled / name)
        store.add(filled, manifest)
        if is_paid(manifest):
            print(f"{path}: answers of a model behind an endpoint: those in the crate are taken")
        taken.add(path)
    brought = sum(recorded.manifests[path].stage in _BROUGHT for path in taken)
    print(
        f"Taken from the crate: {brought} sets of raw files and fetched models, {len(taken) - brought} of paid answers"
    )
    return taken


def verdict(manifest: Manifest, path: Path, taken: bool) -> str:
    """What came of an artifact, by the content hash in the manifest at ``path``."""
    try:
        made = load_manifest(path)
    except PrimumError:
        return MISSING
    if made.content != manifest.content:
        return DIFFERENT
    return TAKEN if taken else SAME


def _report(recorded: Recorded, verdicts: Mapping[str, str], target: Path) -> None:
    """Print how many artifacts of each stage came out how, and name those that did not; all of it goes into replay.json, too."""
    by_stage: dict[str, Counter[str]] = {}
    for path, said in verdicts.items():
        by_stage.setdefault(recorded.manifests[path].stage, Counter())[said] += 1
    heads = (SAME, TAKEN, DIFFERENT, MISSING)
    print(f"{'stage':<16}" + "".join(f"{head:>11}" for head in heads))
    for stage, counts in by_stage.items():
        print(f"{stage:<16}" + "".join(f"{counts[head]:>11}" for head in heads))
    wrong: Sequence[str] = [path for path, said in verdicts.items() if said in (DIFFERENT, MISSING)]
    for path in wrong[:_SHOWN]:
        print(f"{verdicts[path]}: {path}")
    if len(wrong) > _SHOWN:
        print(f"and {len(wrong) - _SHOWN} more: see {target / 'replay.json'}")
    text = json.dumps({"crate": recorded.name, "artifacts": verdicts}, indent=1, sort_keys=True)
    (target / "replay.json").write_text(text + "\n", encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _environment(target: Path) -> dict[str, str]:
    """The variables under which the crate's own package is what runs, and nothing else steers the run."""
    kept = {name: value for name, value in os.environ.items() if name not in _STEERING}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**kept, "PYTHONPATH": str(target.resolve() / "src"), "PATH": path}
