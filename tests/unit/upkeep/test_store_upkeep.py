"""``primum gc`` and ``primum store``: what goes and what stays, of every kind that a store can hold, beside jobs that run."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from primum.artifact.canonical import canonical_json
from primum.artifact.job import Job, Result, execute
from primum.artifact.manifest import load_manifest, save_manifest
from primum.artifact.request import Asked, Request
from primum.artifact.store import Store
from primum.cli import main
from primum.errors import PrimumError
from primum.progress import Progress
from primum.upkeep.amounts import age, age_text, size, size_text
from primum.upkeep.gc import Limits, choose, collect, remove
from primum.upkeep.held import look_at, read_store
from primum.upkeep.needed import experiments, need_of

DAY = 86_400


class Project:
    """Results and a store of tables, made by real jobs, each of ``rows`` rows."""

    def __init__(self, root: Path) -> None:
        self.results = root / "results"
        self.store = Store(self.results / ".store")

    def request(self, experiment: str, name: str, value: int, inputs: tuple[str, ...] = (), rows: int = 3) -> Request:
        folder = self.results / experiment
        spec = {"stage": "test", "code": "c", "libraries": {}, "common": {}, "items": [[name, {"v": value, "n": rows}]]}
        read = {"rows": [folder / f"data/{each}.json" for each in inputs]} if inputs else {}
        return Request(canonical_json(spec), [Asked(folder / f"data/{name}.json")], read, "table", self.store)

    def make(self, experiment: str, name: str, value: int, inputs: tuple[str, ...] = (), rows: int = 3) -> Path:
        """Its entry in the store."""
        asked = self.request(experiment, name, value, inputs, rows)
        asked.save(self.results / experiment / "requests" / f"{name}.json")
        execute(asked, lambda: stage, Progress("test", silent=True))
        return self.store.entry(load_manifest(asked.outputs[0].path).key)

    def forget(self, experiment: str, *names: str) -> None:
        """As if the experiment's file did not have it any more."""
        for name in names:
            for path in (f"data/{name}.json", f"data/{name}.parquet", f"requests/{name}.json"):
                (self.results / experiment / path).unlink()

    def age(self, days: float = 40) -> None:
        """All that is held was used last so long ago."""
        then = time.time() - days * DAY
        for path in [*self.store.root.rglob("*")]:
            os.utime(path, (then, then))

    def collect(self, delete: bool = True, **limits: Any) -> None:
        collect(self.store.root, [self.results], Limits(**limits), delete)


def stage(job: Job) -> Iterator[Result]:
    for item in job.items:
        ids = [f"{number:06d}" for number in range(item.spec["n"])]
        yield Result(
            item, table=pa.table({"id": ids, "v": [item.spec["v"] * number % 9973 for number in range(len(ids))]})
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_what_no_experiment_needs_goes_and_all_else_stays(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    kept = [project.make("a", "x", 1), project.make("b", "y", 2), project.make("b", "z", 3, ("y",))]
    lost = [project.make("a", "old", 4), project.make("b", "older", 5, rows=5000)]
    project.forget("a", "old")
    project.forget("b", "older", "y")  # what z was made of is still known by its key
    project.age()
    project.collect(delete=False)
    said = capsys.readouterr().out
    assert "2 would go" in said
    assert f"test  {lost[0].name[:12]}  " in said
    assert "last used 40 days ago" in said
    assert all(entry.exists() for entry in (*kept, *lost))
    project.collect()
    assert [entry.exists() for entry in (*kept, *lost)] == [True, True, True, False, False]
    assert "2 of 2 went" in capsys.readouterr().out
    assert not list((project.store.root / "tmp").iterdir())
    project.collect()
    assert "0 of 0 went" in capsys.readouterr().out


def test_age_size_and_what_is_to_be_left(project: Project) -> None:
    entries = {n: project.make("a", f"x{n}", n, rows=4000 * n) for n in (1, 2, 3)}
    project.make("a", "kept", 9)
    project.forget("a", "x1", "x2", "x3")
    for n, entry in entries.items():
        for path in (entry, *entry.iterdir()):
            os.utime(path, (1e9, time.time() - n * 10 * DAY))
    holdings = read_store(project.store.root)
    needs = [need_of(project.results / "a", project.store)]

    def chosen(**limits: Any) -> list[int]:
        paths = [each.path for each in choose(holdings, needs, Limits(**limits), time.time())]
        return [next(n for n, entry in entries.items() if entry == path) for path in paths]

    assert chosen() == [3, 2, 1]  # what was not used for longest comes first
    assert chosen(older_than=15 * DAY) == [3, 2]
    sizes = {n: holdings.size([each for each in holdings.held if each.path == entry]) for n, entry in entries.items()}
    assert sizes[1] < sizes[2] < sizes[3]
    assert chosen(larger_than=sizes[2]) == [3, 2]
    total = holdings.size()
    assert chosen(keep=total) == []
    assert chosen(keep=total - 1) == [3]
    assert chosen(keep=total - sizes[3]) == [3]
    assert chosen(keep=total - sizes[3] - 1) == [3, 2]
    assert chosen(keep=1, older_than=25 * DAY) == [3]


def test_what_is_young_stays_whatever_is_asked(project: Project) -> None:
    entry = project.make("a", "x", 1)
    project.make("a", "y", 2)
    project.forget("a", "x")
    project.collect(older_than=0)
    assert entry.exists()
    project.age(0.9)
    project.collect(older_than=0)
    assert entry.exists()
    project.age(1.1)
    project.collect(older_than=0)
    assert not entry.exists()


def test_what_was_taken_lately_was_used_lately(project: Project) -> None:
    entry = project.make("a", "x", 1)
    project.age()
    project.make("elsewhere", "x", 1)  # an experiment that nobody names
    shutil.rmtree(project.results / "a/data")
    shutil.rmtree(project.results / "a/requests/x.json", ignore_errors=True)
    (project.results / "a/requests/x.json").unlink()
    collect(project.store.root, [project.results / "a"], Limits(), delete=True)
    assert entry.exists()


def test_work_damage_and_leftovers(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    entry = project.make("a", "x", 1)
    broken = project.make("a", "y", 2)
    (broken / "manifest.json").write_text("{}")
    planned = project.request("a", "z", 3)
    planned.save(project.results / "a/requests/z.json")
    root = project.store.root
    key = load_manifest(_made_elsewhere(project, planned)).key
    names = {
        "planned": root / "work" / key,  # a killed run's journal, which the next run goes on from
        "nobody's": root / "work" / ("ab" * 32),
        "held": root / "work" / ("cd" * 32),
        "traceback": root / "work/judge-0123456789abcdef.traceback",
        "elsewhere": root / "tmp/otherhost-1-abcdef01",
        "mine": project.store.new_folder(),
    }
    for name, path in names.items():
        if name == "traceback":
            path.write_text("Traceback")
        else:
            path.mkdir(parents=True, exist_ok=True)
            (path / "journal.jsonl").write_text("{}\n")
    project.age()
    (root / "locks").mkdir(exist_ok=True)
    with (root / "locks" / ("cd" * 32)).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        project.collect()
    assert {name for name, path in names.items() if path.exists()} == {"planned", "held", "mine"}
    assert (entry.exists(), broken.exists()) == (True, False)
    assert f"work  {'cd' * 6}  stays: it is in use" in capsys.readouterr().out
    project.collect()
    assert not names["held"].exists()


def _made_elsewhere(project: Project, asked: Request) -> Path:
    """The manifest of what is asked for, made in another store."""
    path = project.results.parent / "elsewhere/z.json"
    made = replace(asked, store=Store(project.results.parent / "other"), outputs=[Asked(path)])
    execute(made, lambda: stage, Progress("test", silent=True))
    return path


def test_a_running_experiment_keeps_what_it_may_yet_take(project: Project) -> None:
    """The key of ``late`` depends on what ``early`` will be: its spec alone is known, and stays while the run lives."""
    early, late = project.make("a", "early", 1), project.make("a", "late", 2, ("early",))
    for path in (project.results / "a/data").iterdir():
        path.unlink()
    shutil.rmtree(early)
    project.age()
    with (project.results / "a/.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert need_of(project.results / "a", project.store).running
        project.collect()
        assert late.exists()
    assert not need_of(project.results / "a", project.store).running
    project.collect()
    assert not late.exists()


def test_a_folder_is_needed_by_its_name_wherever_the_run_was(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests name paths as the run did, from the project's folder; this is called from another one."""
    early, late = project.make("a", "early", 1), project.make("a", "late", 2, ("early",))
    for path in (project.results / "a/requests").iterdir():
        path.write_text(path.read_text().replace(str(project.results), "results"))
    (project.results / "a/data/late.json").unlink()
    project.age()
    monkeypatch.chdir(project.results / "a")
    project.collect()
    assert early.exists()
    assert late.exists()


def test_what_a_folder_has_lost_is_needed_all_the_same(project: Project) -> None:
    """Its requests, or what is still there, lead to the rest through the manifests of the store."""
    chain = [project.make("a", "x", 1), project.make("a", "y", 2, ("x",)), project.make("a", "z", 3, ("y",))]
    for name in ("x", "y", "z"):
        (project.results / f"a/data/{name}.json").unlink()
    project.age()
    project.collect()
    assert all(entry.exists() for entry in chain), "the last run asked for them"
    for value, (name, read) in enumerate({"x": (), "y": ("x",), "z": ("y",)}.items(), 1):
        project.make("a", name, value, read)
    project.forget("a", "x", "y")
    (project.results / "a/requests/z.json").unlink()
    project.age()
    project.collect()
    assert all(entry.exists() for entry in chain), "z was made of them"


def test_links_count_once_and_what_results_have_is_not_freed(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = project.make("a", "x", 1, rows=5000)
    twin = project.store.root / "ff" / ("ff" * 32)  # adopted: another key, the same file
    twin.mkdir(parents=True)
    os.link(entry / "data.parquet", twin / "data.parquet")
    save_manifest(replace(load_manifest(entry / "manifest.json"), key=twin.name), twin / "manifest.json")
    data = (entry / "data.parquet").stat().st_size
    manifests = sum((each / "manifest.json").stat().st_size for each in (entry, twin))
    holdings = read_store(project.store.root)
    assert holdings.size() == data + manifests
    assert holdings.shared() == data
    both = [each for each in holdings.held if each.kind == "entry"]
    assert len(both) == 2
    assert holdings.freed(both) == manifests, "results have the data"
    project.make("a", "y", 2)
    project.forget("a", "x")
    assert read_store(project.store.root).freed(both[:1]) < data
    holdings = read_store(project.store.root)
    assert holdings.freed([each for each in holdings.held if each.path in (entry, twin)]) == data + manifests
    project.age()
    project.collect()
    assert f"2 of 2 went, {size_text(data + manifests)} came free" in capsys.readouterr().out


def test_whatever_cannot_be_read_stops_it(project: Project, tmp_path: Path) -> None:
    entry = project.make("a", "x", 1)
    project.make("a", "y", 1)
    project.forget("a", "x")
    project.age()
    (project.results / "a/data/y.json").write_text("{")
    with pytest.raises(PrimumError, match=r"y\.json: not a manifest, or damaged"):
        project.collect()
    assert entry.exists()
    (tmp_path / "empty").mkdir()
    for folder, said in ((tmp_path / "empty", "holds no experiment's results"), (tmp_path / "none", "no such folder")):
        with pytest.raises(PrimumError, match=said):
            collect(project.store.root, [folder], Limits(), delete=True)
    with pytest.raises(PrimumError, match="no such store"):
        collect(tmp_path / "none", [project.results], Limits(), delete=True)
    assert [path.name for path in experiments([project.results, project.results / "a"])] == ["a"]


def test_what_somebody_used_since_it_was_looked_at_stays(project: Project) -> None:
    entry = project.make("a", "x", 1)
    project.age()
    held = look_at(entry)
    assert held is not None
    project.store.take(load_manifest(entry / "manifest.json"), project.results / "b/x.parquet")
    assert not remove(project.store, held)
    again = look_at(entry)
    assert again is not None
    assert remove(project.store, again)
    assert not remove(project.store, again), "it is gone"


TAKER = """
import sys, json
from pathlib import Path
import pyarrow as pa
from primum.artifact.job import Result, execute
from primum.artifact.request import load_request
from primum.progress import Progress
made = 0
def run(job):
    global made
    for item in job.items:
        made += 1
        yield Result(item, table=pa.table({"id": ["a"], "v": [item.spec["v"]]}))
asked = load_request(Path(sys.argv[1]))
path = asked.outputs[0].path
print("ready", flush=True)
sys.stdin.readline()
rounds = 0
while not Path(sys.argv[2]).exists():
    execute(asked, lambda: run, Progress("test", silent=True))
    assert json.loads(path.read_text())["content"] and path.with_suffix(".parquet").stat().st_size
    rounds += 1
    path.unlink(); path.with_suffix(".parquet").unlink()
execute(asked, lambda: run, Progress("test", silent=True))
print(rounds, made)
"""


def test_beside_processes_that_take_and_make_the_same_key(project: Project) -> None:
    """Two take it, or make it, again and again while it is removed again and again: each has it whole every time."""
    takers, stop = [], project.results.parent / "stop"
    for number in range(2):
        asked = project.request(f"e{number}", "x", 1)
        path = project.results.parent / f"asked{number}.json"
        asked.save(path)
        takers.append(
            subprocess.Popen(
                [sys.executable, "-c", TAKER, str(path), str(stop)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    for taker in takers:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "ready\n"
    for taker in takers:
        assert taker.stdin is not None
        taker.stdin.write("\n")
        taker.stdin.flush()
    removed = 0
    while removed < 3 and all(taker.poll() is None for taker in takers):
        for path in project.store.root.glob("[0-9a-f][0-9a-f]/*"):
            held = look_at(path)
            removed += held is not None and held.kind == "entry" and remove(project.store, held)
    stop.touch()
    counts = [list(map(int, taker.communicate()[0].split())) for taker in takers]
    assert [taker.returncode for taker in takers] == [0, 0]
    assert removed == 3
    assert sum(made for _, made in counts) >= removed, "what was removed was made again"
    assert all(rounds for rounds, _ in counts)
    assert not list((project.store.root / "tmp").iterdir())


def test_another_users_entries_stay_and_are_counted(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be two users")
    open_, closed = project.make("a", "x", 1), project.make("a", "y", 2)
    project.make("a", "z", 3)
    project.forget("a", "x", "y")
    for entry in (open_, closed):
        for path in (entry, *entry.iterdir()):
            os.chown(path, 54321, 54321)
    closed.chmod(0o700)
    project.age()
    # Root may read everything: what another user sees is said by this function alone.
    monkeypatch.setattr("primum.upkeep.held.is_closed", lambda path: path == closed)
    project.collect()
    assert open_.exists()
    assert closed.exists()
    said = capsys.readouterr().out
    assert "2 of other users (54321) stay: " in said
    assert "and 1 that nobody else can see into" in said


def test_the_overview_says_what_whom_and_whose(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.make("a", "x", 1)
    project.make("b", "x", 1)
    project.make("b", "y", 2)
    project.make("b", "old", 3)
    project.forget("b", "old")
    (project.store.root / "work" / ("ab" * 32)).mkdir(parents=True, exist_ok=True)
    folders = [str(project.results / name) for name in "ab"]
    main(["store", "--results", *folders, "--store", str(project.store.root)])
    said = capsys.readouterr().out
    assert said.startswith(f"{project.store.root}: 3 artifacts, ")
    # Of a heading or a name, how many artifacts.
    counts = {tuple(line.split()[:-3]) or line: line.split()[-3] for line in said.splitlines()[1:-1]}
    assert counts[("test",)] == "3"
    assert [counts[(folder,)] for folder in folders] == ["1", "2"]
    assert counts[("none", "of", "these")] == "1"
    assert "1 journals, checkpoints and tracebacks in work/" in said


def test_the_command_removes_nothing_unless_told(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = project.make("a", "x", 1)
    project.make("a", "y", 2)
    project.forget("a", "x")
    project.age()
    monkeypatch.delenv("PRIMUM_STORE", raising=False)
    given = ["gc", "--results", str(project.results / "a")]
    main([*given, "--older-than", "30d"])
    assert "1 would go" in capsys.readouterr().out
    assert entry.exists()
    main([*given, "--older-than", "50d", "--yes"])
    main([*given, "--larger-than", "1GB", "--yes"])
    main([*given, "--keep", "1GB", "--yes"])
    assert entry.exists()
    main([*given, "--older-than", "30d", "--yes"])
    assert not entry.exists()
    for wrong in (["--older-than", "3"], ["--keep", "1 apple"]):
        with pytest.raises(SystemExit):
            main([*given, *wrong])
        assert "write it as" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (size, "1GB", 10**9),
        (size, "1.5 TB", 1_500_000_000_000),
        (size, "512MiB", 512 << 20),
        (size, "7B", 7),
        (age, "90m", 5400),
        (age, "30d", 30 * DAY),
        (age, "1.5h", 5400),
        (age, "2w", 14 * DAY),
    ],
)
def test_sizes_and_ages(read: Callable[[str], float], text: str, value: float) -> None:
    assert read(text) == value


def test_sizes_and_ages_in_words() -> None:
    assert [size_text(n) for n in (0, 999, 1000, 999_960, 12_345_678_901)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.0 MB",
        "12.3 GB",
    ]
    assert [age_text(n) for n in (10, 3600 * 5, DAY * 41)] == ["0 hours", "5 hours", "41 days"]
