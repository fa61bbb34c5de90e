"""``primum adopt``: artifacts whose code or libraries changed, and nothing else, are kept under today's key as well.

Somebody says that the change cannot have changed them, and why; the manifest keeps who, when, and what differed. The question
before a run that would use GPUs to make such artifacts again is here too.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from primum.artifact.folder import MANIFEST, file_sha256
from primum.artifact.machine import user_name
from primum.artifact.manifest import Manifest, data_path, load_manifest, measure
from primum.artifact.results import STORE
from primum.artifact.store import Store, link_or_copy, table_file
from primum.audit.cost import asked_of
from primum.audit.differences import Piece, changed_modules, pieces, todays_modules, versions
from primum.dag.dag import TARGETS, Job
from primum.dag.state import JobState, RunState, state_of
from primum.dag.workflow import Workflow
from primum.errors import PrimumError

_NAMED = 3


def adopt(run: Workflow, asked: str, why: str) -> None:
    """Adopt every artifact that ``asked`` (``all``, a stage, or stage:name) names and that can be; print a line for each.

    Raises PrimumError, behind what could be adopted, naming the first artifact that cannot, and why: something else differs, it
    is damaged, or it was never made; also where there is nothing to do. ``all`` leaves out what must be made anyway.
    """
    if not why.strip():
        raise PrimumError("--why: say why the content stays the same; it is kept with each artifact")
    chosen = [piece for piece in pieces(run, state_of(run)) if piece.is_asked(asked)]
    if not chosen:
        stages = ", ".join(run.dag.targets)
        raise PrimumError(f"adopt {asked}: matches no job; give all, a stage ({stages}) or stage:name")
    refused = [f"{piece.output}: {piece.reason}: it must be made again" for piece in chosen if piece.verdict == "new"]
    store, adopted = Store(Path(run.store)), 0
    for piece in chosen:
        if piece.verdict == "adoptable":
            try:
                print(f"{piece.output}: adopted; differs in {enter(store, piece, why)}")
                adopted += 1
            except PrimumError as error:
                refused.append(str(error))
    for piece in chosen if asked == "all" else ():
        if "->" in piece.reason:
            print(f"{piece.output}: not adopted: {piece.reason}")
    left = sum(piece.verdict == "here" for piece in chosen)
    print(f"{run.experiment.name}: {adopted} artifacts adopted; {left} needed it not, {len(refused)} must be made")
    if refused and (asked != "all" or not adopted + left):
        raise PrimumError(refused[0] + (f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""))
    if not adopted:
        raise PrimumError(f"adopt {asked}: {chosen[0].output} is under today's key already: nothing to adopt")


def enter(store: Store, piece: Piece, why: str) -> str:
    """Put a piece that can be adopted into the store under today's key, verified; return what differs, in words.

    Its files are hard links of what the store or the results folder has. Raises PrimumError when neither has them whole.
    """
    recorded, spec = piece.recorded, dict(piece.spec or {})
    if recorded is None:
        raise PrimumError(f"{piece.output}: cannot be adopted")
    # None where what made it was not recorded.
    changed = changed_modules(recorded.run.get("modules") or {}, todays_modules(piece.job, spec))
    difference: dict[str, Any] = {
        "key": recorded.key,
        "code": recorded.spec["code"] != spec["code"],
        "modules": changed if recorded.spec["code"] != spec["code"] else [],
        "libraries": versions(recorded.spec, spec),
    }
    note = {**difference, "by": user_name(), "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "why": why}
    run = {**recorded.run, "adopted": [*recorded.run.get("adopted", ()), note]}
    fields = {name: getattr(recorded, name) for name in Manifest.__slots__}
    planned = any(output.sensitive for output in piece.job.plan.outputs if output.path == piece.output)
    sensitive = planned or recorded.sensitive is True
    fields |= {"spec": spec, "key": piece.key, "job": "", "run": run, "sensitive": sensitive}
    filled = store.new_folder(private=fields["sensitive"])
    try:
        _fill(store, piece, recorded, filled)
        if recorded.kind == "table":
            run["sha256"] = file_sha256(table_file(filled))
        store.add(filled, Manifest(**fields))
    except OSError as error:
        raise PrimumError(f"{piece.output}: cannot be written to {store.root}: {error.strerror}") from None
    finally:
        shutil.rmtree(filled, ignore_errors=True)
    return differing(difference)


def differing(difference: Mapping[str, Any]) -> str:
    """What an entry of ``adopted`` says that differs, in words."""
    modules = difference["modules"]
    more = f" and {len(modules) - _NAMED} more" if modules and len(modules) > _NAMED else ""
    code = ["code"] if modules is None else [f"code of {', '.join(modules[:_NAMED])}{more}"] if modules else []
    return "; ".join([*code, *(f"{name} {change}" for name, change in difference["libraries"].items())])


def _fill(store: Store, piece: Piece, recorded: Manifest, filled: Path) -> None:
    """Link the data of ``recorded`` into an empty folder of the store. PrimumError if it is nowhere whole."""
    entry, output = store.entry(recorded.key), Path(piece.output)
    folder = recorded.kind == "folder"
    for manifest, data in (
        (entry / MANIFEST, entry if folder else table_file(entry)),
        (output, data_path(output, recorded.kind)),
    ):
        try:
            if load_manifest(manifest).content != recorded.content:
                continue
            for name in recorded.files:  # of a folder
                (filled / name).parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(data / name, filled / name)
            if not folder:
                link_or_copy(data, table_file(filled))
            if measure(filled if folder else table_file(filled), recorded.kind)[0] == recorded.content:
                return
        except (PrimumError, FileNotFoundError):
            pass
        for path in filled.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    raise PrimumError(f"{output}: is damaged or gone, here and in the store: it must be made again")


# Before a run ---------------------------------------------------------------------------------------------------------


def check_remade(run: Workflow, state: RunState, targets: Collection[str] = ()) -> None:
    """PrimumError when jobs that ask for GPUs would run again for no other reason than other code or versions.

    ``state`` is the run's. ``targets`` are what Snakemake is asked for, everything where they are none.
    What ``refresh`` or ``recompute`` names may run.
    """
    gpus = {job for job in run.dag.jobs if asked_of(run, JobState(job, "to run")).gpus}
    if not gpus or run.recompute == "all":
        return
    allowed = [part for part in run.recompute.split(",") if part]
    wanted = gpus & set(_needed(run, targets))
    stopped = [
        piece
        for piece in (pieces(run, state) if wanted else ())
        if piece.verdict == "adoptable" and piece.job in wanted and not any(map(piece.is_asked, allowed))
    ]
    if stopped:
        first = stopped[0]
        more = f" and {len(stopped) - 1} more" if len(stopped) > 1 else ""
        raise PrimumError(
            f"{first.output}{more} would be made again with GPUs for no other reason than other code or versions: keep "
            f"with `{command(run)}`, or make again with --config recompute={first.job.stage.target} (or all)"
        )


def command(run: Workflow) -> str:
    """How to adopt all that can be of a run."""
    results = str(Path(run.dag.results).parent)
    given = {
        "experiment": (run.experiment.name, "demo"),
        "results": (results, "results"),
        "store": (run.store, os.environ.get("PRIMUM_STORE") or f"{results}/{STORE}"),
    }
    options = "".join(f" --{name} {value}" for name, (value, default) in given.items() if value != default)
    return f"primum adopt all --why TEXT{options}"


def _needed(run: Workflow, targets: Collection[str]) -> Iterator[Job]:
    """The jobs that make ``targets`` and what they read, directly or not; all jobs where a target is not known."""
    makers = {path: job for job in run.dag.jobs for path in job.paths}
    if not targets or not all(target in makers or target in TARGETS for target in targets):
        yield from run.dag.jobs
        return
    waiting = [path for target in targets for path in ([target] if target in makers else run.targets(target))]
    seen: set[Job] = set()
    while waiting:
        job = makers.get(waiting.pop())
        if job is not None and job not in seen:
            seen.add(job)
            waiting += job.plan.read
            yield job
