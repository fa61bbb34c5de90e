"""Some artifacts of one stage made again: in a fresh folder, store and process, under circumstances that must not matter."""

from __future__ import annotations

import contextlib
import json
import locale
import os
import shutil
import site
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import primum
from primum.artifact.canonical import canonical_json
from primum.artifact.code import code_digest
from primum.artifact.libraries import library
from primum.artifact.manifest import Artifact, data_path, measure
from primum.artifact.private import private_folder
from primum.artifact.request import Asked, Request
from primum.artifact.results import LOGS, REQUESTS
from primum.artifact.store import Store, link_or_copy
from primum.dag.dag import STAGES, TRAINING
from primum.errors import PrimumError
from primum.hub.mirror import MIRROR_VARIABLE

SOURCE = Path(primum.__file__).parents[1]
# What steers a run, and must not reach a job that is made again.
_STEERING = ("PRIMUM_", "SNAKEMAKE_", "LC_")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a process is given: its working directory, time zone, locale, hash seed, umask and home."""

    directory: str
    time_zone: str
    locale: str
    hash_seed: str
    umask: str
    home: str


def here() -> Circumstances:
    """The circumstances of this process."""
    umask = os.umask(0)
    os.umask(umask)
    zone = os.environ.get("TZ") or "/".join(time.tzname)
    hash_seed = os.environ.get("PYTHONHASHSEED", "random")
    return Circumstances(str(Path.cwd()), zone, _locale(), hash_seed, f"{umask:03o}", os.environ.get("HOME", ""))


def _locale() -> str:
    named = next((value for key in ("LC_ALL", "LC_CTYPE", "LANG") if (value := os.environ.get(key))), "C")
    return f"{named}, {locale.getpreferredencoding(False)}"


def elsewhere(work: Path, seed: int) -> Circumstances:
    """Other ones than those of this process, below ``work``. It is another day there."""
    now = here()
    # 14 hours ahead, or 12 behind: so the date differs from that of most of the world, at any hour.
    zone = "AHEAD-14" if time.gmtime().tm_hour >= 10 else "BEHIND+12"
    umask = "027" if now.umask == "077" else "077"
    return Circumstances(
        directory=str(work / "another folder"),
        time_zone=zone,
        locale="C, ascii",
        hash_seed=str(1 + seed % 4_294_967_294),
        umask=umask,
        home=str(work / "home"),
    )


def threads_of(artifact: Artifact, resources: Mapping[str, Any]) -> int:
    """Another number than the experiment's ``resources`` give the stage; for training it is the spec's."""
    stage = STAGES[artifact.manifest.stage]
    if stage.name in TRAINING:
        return int(artifact.manifest.spec["item"]["threads"])
    had = (resources.get(stage.asks or stage.target) or {}).get("threads", 1)
    return 1 if had != 1 else 2


def libraries_of(artifact: Artifact) -> dict[str, str]:
    """The versions that are installed here of what an artifact's spec names. PrimumError where one is not."""
    found = {}
    for name in artifact.manifest.spec["libraries"]:
        version = library(name)
        if version is None:
            raise PrimumError(f"{name} is not installed here")
        found[name] = version
    return found


@dataclass(frozen=True, slots=True)
class Wanted:
    """An artifact to make again: its ``name`` below the results, and what it reads, by role, as the results have it."""

    name: str
    artifact: Artifact
    inputs: Mapping[str, Sequence[tuple[str, Artifact]]]


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it: the artifact, or the ``error`` in a line; ``seconds`` of the whole process."""

    artifact: Artifact | None
    error: str
    seconds: float


class Workshop:
    """A fresh folder ``work`` with a store of its own, in which artifacts are made again under ``circumstances``.

    What is to be kept goes to ``kept``, a folder beside it. ``tick`` is called every second meanwhile.
    """

    def __init__(
        self, work: Path, circumstances: Circumstances, mirror: Path | None, tick: Callable[[], None] = lambda: None
    ) -> None:
        self.work = work
        self.circumstances = circumstances
        self.kept = work.with_name("different")
        self._mirror = mirror
        self._tick = tick
        self._verified: dict[str, Path] = {}
        self._number = 0
        self._said = work / "output.txt"
        private_folder(work)
        for name in (circumstances.directory, circumstances.home, str(work / "tmp")):
            Path(name).mkdir(parents=True)

    def make(self, group: Sequence[Wanted], threads: int) -> dict[str, Made]:
        """Make a group of artifacts of one stage in one process; the result by name.

        What has an input that is not what its manifest describes is not made.
        """
        first = group[0].artifact.manifest
        stage = STAGES[first.stage]
        self._number += 1
        spoilt: dict[str, Made] = {}
        asked: dict[str, Asked] = {}
        for wanted in group:
            try:
                inputs = {role: [self._input(*each) for each in given] for role, given in wanted.inputs.items()}
            except PrimumError as error:
                spoilt[wanted.name] = Made(None, str(error), 0.0)
                continue
            path = self._place("made", wanted.name, first.kind)
            asked[wanted.name] = Asked(path, inputs, wanted.artifact.manifest.sensitive is not False)
        if not asked:
            return spoilt
        # The other way round: which is first must not matter. Those of one dataset stay together.
        turned = sorted((each for each in group if each.name in asked), key=_item_name, reverse=True)
        spec = {
            "stage": stage.name,
            "code": code_digest(stage.module, SOURCE),
            "libraries": libraries_of(group[0].artifact),
            "common": first.spec["common"],
            "items": [[name, each.artifact.manifest.spec["item"]] for name, each in _items(turned)],
            "reads": [],
        }
        request, log = (self.work / kind / f"{self._number}.{end}" for kind, end in ((REQUESTS, "json"), (LOGS, "log")))
        outputs = [asked[each.name] for each in turned]
        Request(canonical_json(spec), outputs, {}, first.kind, Store(self.work / "store")).save(request)
        started = time.monotonic()
        command = ["stage", stage.name, "--request", str(request), "--log", str(log)]
        self._run([sys.executable, "-m", "primum.cli", *command], threads)
        seconds, said = time.monotonic() - started, _last_error(log, self._said)
        return spoilt | {name: _made(each.path, said, seconds) for name, each in asked.items()}

    def _run(self, command: Sequence[str], threads: int) -> None:
        given, path = self.circumstances, os.environ.get("PYTHONPATH", "")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(_STEERING)}
        environment |= {
            "TZ": given.time_zone,
            # Without these two Python makes UTF-8 of it again.
            "LC_ALL": given.locale.partition(",")[0],
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONHASHSEED": given.hash_seed,
            "HOME": given.home,
            "PYTHONUSERBASE": site.getuserbase(),
            "TMPDIR": str(self.work / "tmp"),
            "OMP_NUM_THREADS": str(threads),
            **(
                {"PYTHONPATH": os.pathsep.join(str(Path(each).resolve()) for each in path.split(os.pathsep))}
                if path
                else {}
            ),
            **({MIRROR_VARIABLE: str(self._mirror.resolve())} if self._mirror is not None else {}),
        }
        with self._said.open("wb") as said:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                cwd=given.directory,
                env=environment,
                umask=int(given.umask, 8),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=1)
                    return
                self._tick()
        finally:
            if process.poll() is None:  # whoever is interrupted leaves nobody at work
                process.kill()
                process.wait()

    def _place(self, kind: str, name: str, form: str) -> Path:
        path = self.work / kind / name
        return path / "manifest.json" if form == "folder" else path.with_name(f"{path.name}.json")

    def _input(self, name: str, artifact: Artifact) -> Path:
        """The manifest of a verified link to (or copy of) an input. PrimumError where it is not what its manifest describes."""
        manifest = artifact.manifest
        path = self._place("inputs", name, manifest.kind)
        if self._verified.get(name) is None:
            data, target = artifact.data, data_path(path, manifest.kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                if manifest.kind == "table":
                    link_or_copy(data, target)
                for file in sorted(manifest.files, reverse=True):
                    (target / file).parent.mkdir(parents=True, exist_ok=True)
                    link_or_copy(data / file, target / file)
            except OSError as error:
                raise PrimumError(f"{data}: cannot be read: {error.strerror}") from None
            if measure(target, manifest.kind)[0] != manifest.content:
                raise PrimumError(f"its input {name} is not what its manifest describes")
            link_or_copy(artifact.path, path)
            self._verified[name] = path
        return path

    def remove(self, artifact: Artifact) -> None:
        """What was made and need not be kept."""
        if artifact.manifest.kind == "folder":
            shutil.rmtree(artifact.data, ignore_errors=True)
        else:
            artifact.data.unlink(missing_ok=True)
            artifact.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            artifact.path.parent.rmdir()
        shutil.rmtree(Store(self.work / "store").entry(artifact.manifest.key), ignore_errors=True)


def _made(path: Path, error: str, seconds: float) -> Made:
    return Made(Artifact.open(path), "", seconds) if path.exists() else Made(None, error, seconds)


def _items(group: Sequence[Wanted]) -> list[tuple[str, Wanted]]:
    """Each under the name that its job had for it, or under its own, where another one of the group has that."""
    names = [_item_name(each) for each in group]
    return [(name if names.count(name) == 1 else each.name, each) for name, each in zip(names, group, strict=True)]


def _item_name(wanted: Wanted) -> str:
    """Where two items of the job have one spec, the name that is most like the artifact's path."""
    job = json.loads(wanted.artifact.manifest.job or '{"items": []}')
    item, parts = wanted.artifact.manifest.spec["item"], wanted.name.split("/")
    names = [name for name, spec in job["items"] if spec == item]
    return str(max(names, key=lambda name: sum(part in parts for part in name.split("/")), default=wanted.name))


def _last_error(log: Path, output: Path) -> str:
    """The line in which a job said why it ended; where it died before it had a log, its last line."""
    errors = [line.partition("error: ")[2] for line in _lines(log) if "error: " in line]
    if not errors and not log.is_file():
        errors = _lines(output)
    return errors[-1] if errors else "its process died without a word"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
