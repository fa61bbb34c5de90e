"""``primum verify``: all checks of some results folders, one line a finding, and the report as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from primum.errors import PrimumError
from primum.verify.artifacts import check_artifacts, files_of
from primum.verify.copies import check_copies
from primum.verify.finding import Finding, Seen, Unchecked, some, sorted_out
from primum.verify.manifests import Known, check_manifests, known_in
from primum.verify.meter import metered
from primum.verify.mixtures import check_mixtures
from primum.verify.raw import check_raw
from primum.verify.reading import BROKEN, Readings, cores, read_all, total
from primum.verify.record import check_record, check_texts
from primum.verify.recount import recount
from primum.verify.remade import check_report, check_tables
from primum.verify.study import Study, open_study
from primum.writing import write_whole

# The exit status of a run that was interrupted, or lost something: neither clean, nor wrong (1), nor asked wrongly (2).
_INCOMPLETE = 3


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found in ``results``: ``size`` is in bytes, each file counted once; ``reading`` and ``seconds`` are times.

    ``missing`` are the artifacts that an experiment asks for and that were not made yet, or are gone.
    """

    results: tuple[str, ...]
    artifacts: int
    entries: int
    files: int
    size: int
    reading: float
    seconds: float
    findings: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...]
    missing: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        findings = [{**asdict(each), "path": str(each.path)} for each in self.findings]
        return {**asdict(self), "clean": not self.findings, "findings": findings}

    def summary(self) -> list[str]:
        """The last lines: what was looked at, what could not be, and whether all is right."""
        rate = self.size / max(self.reading, 1e-9) / 1e9
        lines = [
            f"{self.artifacts:,} artifacts and {self.entries:,} entries of the store: {self.files:,} files, "
            f"{decimal(self.size)} read in {self.reading:.1f} s ({rate:.2f} GB/s), {self.seconds:.1f} s in all"
        ]
        lines += [f"not checked: {each}" for each in self.unchecked]
        if self.missing:
            lines.append(f"missing: {_counted(len(self.missing), 'artifact')} of the experiment: {some(self.missing)}")
        return [*lines, self._verdict()]

    def _verdict(self) -> str:
        if self.findings:
            return _counted(len(self.findings), "finding")
        if self.missing:
            return "incomplete: no finding in what is here; snakemake all makes what is missing"
        return "clean as far as it was checked: no finding" if self.unchecked else "clean: no finding"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def verify(folders: Sequence[Path], store: Path | None, report: Path | None, jobs: int | None) -> None:
    """Print what is wrong in results ``folders``, and write it to ``report`` as JSON.

    SystemExit with 1 if something is; with 3 if nothing is, and artifacts are missing.

    PrimumError where a folder is not there, or the report cannot be written.
    """
    if jobs is not None and jobs < 1:
        raise PrimumError(f"--jobs {jobs}: give 1 or more")
    found = verified(folders, store, jobs)
    for finding in found.findings:
        print(finding)
    if report is not None:
        write_whole(report, json.dumps(found.record(), indent=1) + "\n")
    print("\n".join(found.summary()))
    if found.findings:
        raise SystemExit(1)
    if found.missing:
        raise SystemExit(_INCOMPLETE)


def verified(folders: Sequence[Path], store: Path | None = None, jobs: int | None = None) -> Verified:
    """Check results ``folders`` together, by ``jobs`` threads (all cores by default). PrimumError where one is not there."""
    begun = time.monotonic()
    studies = [open_study(folder, store) for folder in folders]
    try:
        files = [each for study in studies for each in files_of(study)]
        size = total(files)
    except FileNotFoundError as error:
        raise PrimumError(f"{error.filename}: went away meanwhile: verify when no run is at work here") from None
    started = time.monotonic()
    with metered(size) as meter:
        readings = read_all(files, jobs or cores(), meter.tick)
        took = time.monotonic() - started
        known = known_in(studies)
        seen = (each for study in studies for each in _checks(study, readings, known, meter.tell))
        findings, unchecked = sorted_out(seen)
    return Verified(
        tuple(map(str, folders)),
        sum(len(study.graph.artifacts) for study in studies),
        len({path for study in studies for path, _ in study.entries.values()}),
        len(readings.by_inode),
        readings.size,
        round(took, 3),
        round(time.monotonic() - begun, 3),
        tuple(findings),
        tuple(unchecked),
        tuple(path for study in studies for path in study.missing),
    )


def _checks(study: Study, readings: Readings, known: Known, tell: Callable[[str], None]) -> Iterator[Seen]:
    checks: dict[str, Callable[[], Iterator[Seen]]] = {
        "artifacts": lambda: check_artifacts(study, readings),
        "manifests": lambda: check_manifests(study, known),
        "raw files": lambda: check_raw(study),
        "tables": lambda: check_tables(study),
        "numbers": lambda: recount(study),
        "mixtures": lambda: check_mixtures(study),
        "copies": lambda: check_copies(study),
        "the report": lambda: check_report(study),
        "the record": lambda: check_record(study),
        "texts": lambda: check_texts(study),
    }
    for name, check in checks.items():
        tell(f"checking {name}")
        try:
            yield from check()
        except BROKEN as error:
            # Its message may hold a value of a row. What is checked behind it is checked all the same.
            wrong = f"checking {name} came to no end ({type(error).__name__}): a manifest says what no stage writes"
            yield Finding(study.results, wrong, "see to the other findings first")
