"""One job: taken where the store has it, computed once, published whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from primum.artifact.canonical import canonical_json
from primum.artifact.job import Job, Result, Run, execute
from primum.artifact.libraries import check_libraries
from primum.artifact.manifest import Artifact, load_manifest
from primum.artifact.request import Asked, Request, load_request
from primum.artifact.store import Store
from primum.artifact.table import content_hash, read_table
from primum.artifact.work import keep_work
from primum.errors import PrimumError
from primum.progress import Progress


class Counting:
    """A stage that writes its item's value, and remembers what it was asked to make."""

    def __init__(self, make: Callable[[Any, Any], Result] | None = None) -> None:
        self.made: list[str] = []
        self.loaded = 0
        self._make = make or (
            lambda job, item: Result(
                item, table=pa.table({"id": ["a"], "value": [item.spec["value"] + job.common["plus"]]}), counts={"n": 1}
            )
        )

    def load(self) -> Run:
        self.loaded += 1
        return self.run

    def run(self, job: Job) -> Iterator[Result]:
        for item in job.items:
            self.made.append(item.name)
            yield self._make(job, item)


def spec(items: Mapping[str, int], **common: int) -> str:
    parts = [[name, {"value": value}] for name, value in items.items()]
    return canonical_json(
        {"stage": "test", "code": "c", "libraries": {}, "common": {"plus": 0, **common}, "items": parts}
    )


def request(root: Path, text: str, *names: str, **more: Any) -> Request:
    own = more.pop("own", [{}] * len(names))
    outputs = [Asked(root / "results" / f"{name}.json", inputs) for name, inputs in zip(names, own, strict=True)]
    given = {"inputs": {}, "kind": "table", "store": Store(root / "store"), **more}
    return Request(spec=text, outputs=outputs, **given)


def run(asked: Request, stage: Counting, root: Path) -> str:
    """Execute; the progress lines."""
    log = root / "log.txt"
    log.unlink(missing_ok=True)
    execute(asked, stage.load, Progress("test", log, interval=0))
    return log.read_text() if log.exists() else ""


def everything(root: Path) -> set[str]:
    """Every file under the store and the results, but the locks."""
    return {
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and "locks" not in path.parts
    } - {"log.txt"}


def test_batches_are_told_of_and_in_no_key(tmp_path: Path) -> None:
    engines = []

    def make(job: Any, item: Any) -> Result:
        engines.append(job.common["engine"])
        return Result(item, table=pa.table({"id": ["a"]}))

    text = json.dumps({**json.loads(spec({"one": 1})), "common": {"engine": {"kind": "openai"}}})
    asked = request(tmp_path, text, "one", batch=True)
    asked.save(tmp_path / "request.json")
    run(load_request(tmp_path / "request.json"), Counting(make), tmp_path)
    assert engines == [{"kind": "openai", "batch": True}]
    assert "batch" not in json.dumps(load_manifest(tmp_path / "results/one.json").spec)
    assert "taken from the store" in run(request(tmp_path, text, "one"), Counting(make), tmp_path)


def test_each_item_becomes_an_artifact(tmp_path: Path) -> None:
    stage = Counting()
    run(request(tmp_path, spec({"one": 1, "two": 2}, plus=10), "one", "two"), stage, tmp_path)
    artifact = Artifact.open(tmp_path / "results/two.json")
    assert artifact.table().to_pylist() == [{"id": "a", "value": 12}]
    assert artifact.manifest.spec == {
        "stage": "test", "code": "c", "libraries": {}, "common": {"plus": 10}, "item": {"value": 2}
    }  # fmt: skip
    assert artifact.manifest.counts == {"n": 1}
    assert artifact.manifest.run["taken_from_store"] is False
    assert not list((tmp_path / "store").glob("tmp/*"))


def test_a_parquet_file_alone_names_its_spec_and_key(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    run(request(tmp_path, spec({"one": 1}), "one"), Counting(), tmp_path)
    footer = pq.read_schema(tmp_path / "results/one.parquet").metadata
    manifest = load_manifest(tmp_path / "results/one.json")
    assert json.loads(footer[b"primum.spec"]) == manifest.spec
    assert footer[b"primum.key"].decode() == manifest.key


def test_a_table_in_parts_is_an_artifact_as_another(tmp_path: Path) -> None:
    table = pa.table({"id": [f"{i:02d}" for i in range(30)], "n": list(range(30))})

    def parts(job: Any, item: Any) -> Result:
        return Result(item, parts=(table.slice(first, 7) for first in range(0, 30, 7)))

    run(request(tmp_path, spec({"one": 1}), "one"), Counting(parts), tmp_path)
    found = Artifact.open(tmp_path / "results/one.json")
    assert found.table().equals(table)
    assert found.manifest.content == content_hash(table)


def test_an_error_among_the_parts_leaves_nothing(tmp_path: Path) -> None:
    def parts(job: Any, item: Any) -> Result:
        def made() -> Iterator[pa.Table]:
            yield pa.table({"id": ["a"]})
            raise PrimumError("one: too many are refused")

        return Result(item, parts=made())

    with pytest.raises(PrimumError, match="one: too many are refused"):
        run(request(tmp_path, spec({"one": 1}), "one"), Counting(parts), tmp_path)
    assert everything(tmp_path) == set()


def test_what_the_store_has_is_taken_and_loads_no_stage(tmp_path: Path) -> None:
    run(request(tmp_path, spec({"one": 1}), "one"), Counting(), tmp_path)
    shutil.rmtree(tmp_path / "results")
    stage = Counting()
    said = run(request(tmp_path, spec({"one": 1}), "one"), stage, tmp_path)
    assert (stage.loaded, stage.made) == (0, [])
    assert "one: taken from the store" in said
    assert load_manifest(tmp_path / "results/one.json").run["taken_from_store"] is True


def test_only_the_missing_items_are_made(tmp_path: Path) -> None:
    run(request(tmp_path, spec({"one": 1}), "one"), Counting(), tmp_path)
    stage = Counting()
    run(request(tmp_path, spec({"one": 1, "two": 2}), "one", "two"), stage, tmp_path)
    assert stage.made == ["two"]


def test_a_name_is_no_part_of_the_key_and_equal_items_are_made_once(tmp_path: Path) -> None:
    stage = Counting()
    run(request(tmp_path, spec({"one": 1, "same": 1}), "one", "same"), stage, tmp_path)
    assert len(stage.made) == 1
    one, same = (load_manifest(tmp_path / f"results/{name}.json") for name in ("one", "same"))
    assert (one.key, one.content) == (same.key, same.content)


def test_inputs_belong_to_the_key(tmp_path: Path) -> None:
    run(request(tmp_path, spec({"one": 1, "two": 2}), "one", "two"), Counting(), tmp_path)
    keys = set()
    for name in ("one", "two"):
        inputs = {"model": [tmp_path / f"results/{name}.json"]}
        run(request(tmp_path, spec({"next": 5}), "next", inputs=inputs), Counting(), tmp_path)
        keys.add(load_manifest(tmp_path / "results/next.json").key)
    assert len(keys) == 2


def test_an_items_own_inputs_go_to_it(tmp_path: Path) -> None:
    run(request(tmp_path, spec({"one": 1, "two": 2}), "one", "two"), Counting(), tmp_path)
    own = [{"rows": [tmp_path / f"results/{name}.json"]} for name in ("one", "two")]
    stage = Counting(lambda _, item: Result(item, table=item.one("rows").table()))
    run(request(tmp_path, spec({"a": 3, "b": 3}), "a", "b", own=own), stage, tmp_path)
    values = [read_table(tmp_path / f"results/{name}.parquet").to_pylist()[0]["value"] for name in ("a", "b")]
    assert values == [1, 2]
    with pytest.raises(PrimumError, match="test: 2 items but 1 outputs"):
        run(request(tmp_path, spec({"c": 4, "d": 4}), "c"), stage, tmp_path)


def test_a_refresh_computes_again_and_says_what_came_out(tmp_path: Path) -> None:
    asked = request(tmp_path, spec({"one": 1}), "one", refresh=frozenset({"one"}))
    assert "refreshed, content is new" in run(asked, Counting(), tmp_path)
    assert "refreshed, content is the same" in run(asked, Counting(), tmp_path)
    other = Counting(lambda _, item: Result(item, table=pa.table({"id": ["b"], "value": [0]})))
    assert "refreshed, content is DIFFERENT" in run(asked, other, tmp_path)
    assert read_table(tmp_path / "results/one.parquet").to_pylist() == [{"id": "b", "value": 0}]


def test_a_stage_that_dies_keeps_what_was_done_and_leaves_nothing_else(tmp_path: Path) -> None:
    def make(job: Job, item: Any) -> Result:
        if item.name == "two":
            raise PrimumError("two: no such thing")
        return Result(item, table=pa.table({"id": ["a"]}))

    asked = request(tmp_path, spec({"one": 1, "two": 2}), "one", "two")
    with pytest.raises(PrimumError, match="two: no such thing"):
        run(asked, Counting(make), tmp_path)
    published = {path for path in everything(tmp_path) if path.startswith("results/")}
    assert published == {"results/one.json", "results/one.parquet"}
    stage = Counting()
    run(asked, stage, tmp_path)
    assert stage.made == ["two"]


def test_a_stage_that_leaves_an_item_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrimumError, match="test: made nothing for one"):
        execute(request(tmp_path, spec({"one": 1}), "one"), lambda: lambda job: iter(()), Progress("test"))
    with pytest.raises(PrimumError, match="returned neither a table nor a folder"):
        run(request(tmp_path, spec({"one": 1}), "one"), Counting(lambda _, item: Result(item)), tmp_path)
    with pytest.raises(PrimumError, match="1 items but 2 outputs"):
        run(request(tmp_path, spec({"one": 1}), "one", "two"), Counting(), tmp_path)


def test_an_invalid_table_is_not_published(tmp_path: Path) -> None:
    stage = Counting(lambda _, item: Result(item, table=pa.table({"id": ["b", "a"]})))
    with pytest.raises(PrimumError, match="ids must be unique and ascending"):
        run(request(tmp_path, spec({"one": 1}), "one"), stage, tmp_path)
    assert everything(tmp_path) == set()


def test_a_folder_is_published_with_all_its_files(tmp_path: Path) -> None:
    def make(job: Job, item: Any) -> Result:
        folder = item.work / "model"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        return Result(item, folder=folder)

    asked = request(tmp_path, spec({"one": 1}), kind="folder")
    asked = Request(**{**_fields(asked), "outputs": [Asked(tmp_path / "results/one/manifest.json")]})
    run(asked, Counting(make), tmp_path)
    Artifact.open(tmp_path / "results/one/manifest.json").verify()
    assert not list((tmp_path / "store/work").iterdir())


def _fields(asked: Request) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in asked.__slots__}


def test_only_the_items_that_a_refresh_names_are_made_again(tmp_path: Path) -> None:
    items = spec({"one": 1, "two": 2})
    run(request(tmp_path, items, "one", "two"), Counting(), tmp_path)
    stage = Counting()
    said = run(request(tmp_path, items, "one", "two", refresh=frozenset({"two"})), stage, tmp_path)
    assert stage.made == ["two"]
    assert "one: taken from the store" in said
    assert "two: refreshed, content is the same" in said


def test_work_outlives_a_result_of_which_a_part_failed(tmp_path: Path) -> None:
    """What did not fail is found in it by the refresh that makes the rest."""

    def make(job: Job, item: Any) -> Result:
        answers = item.work / "answers"
        failed = 0 if answers.exists() else 3
        item.work.mkdir(parents=True, exist_ok=True)
        answers.touch()
        keep_work(item.work, failed)
        return Result(item, table=pa.table({"id": ["a"], "value": [failed]}))

    asked = request(tmp_path, spec({"one": 1}), "one")
    assert "one: 3 requests failed: --config refresh=failed asks for them alone" in run(asked, Counting(make), tmp_path)
    assert load_manifest(tmp_path / "results/one.json").run["failed"] == 3
    again = request(tmp_path, spec({"one": 1}), "one", refresh=frozenset({"one"}))
    assert "failed" not in run(again, Counting(make), tmp_path)
    manifest = load_manifest(tmp_path / "results/one.json")
    assert "failed" not in manifest.run
    assert read_table(tmp_path / "results/one.parquet").to_pylist() == [{"id": "a", "value": 0}]
    assert not list((tmp_path / "store/work").iterdir())


def test_data_that_was_deleted_beside_its_manifest_comes_back(tmp_path: Path) -> None:
    run(request(tmp_path, spec({"one": 1}), "one"), Counting(), tmp_path)
    (tmp_path / "results/one.parquet").unlink()
    inputs = {"rows": [tmp_path / "results/one.json"]}
    stage = Counting(lambda _, item: Result(item, table=item.one("rows").table()))
    run(request(tmp_path, spec({"next": 5}), "next", inputs=inputs), stage, tmp_path)
    assert read_table(tmp_path / "results/next.parquet").equals(read_table(tmp_path / "results/one.parquet"))
    (tmp_path / "results/one.parquet").unlink()
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(PrimumError, match=r"one\.parquet: missing, and not in the store: delete .*one\.json"):
        run(request(tmp_path, spec({"next": 6}), "next", inputs=inputs), stage, tmp_path)


def test_a_damaged_input_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    run(request(tmp_path, spec({"one": 1}), "one"), Counting(), tmp_path)
    damaged = tmp_path / "results/one.parquet"
    content = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(content[: len(content) // 2])
    before = everything(tmp_path)
    stage = Counting(lambda _, item: Result(item, table=item.one("rows").table()))
    with pytest.raises(PrimumError, match=r"one\.parquet: damaged .*: delete it and run again"):
        run(
            request(tmp_path, spec({"next": 5}), "next", inputs={"rows": [damaged.with_suffix(".json")]}),
            stage,
            tmp_path,
        )
    assert everything(tmp_path) == before


def test_the_libraries_are_those_of_the_lock() -> None:
    check_libraries({"pyarrow": pa.__version__})
    with pytest.raises(PrimumError, match=r"pyarrow \d+\.\S+ is installed, the lock says 1\.0: install from the lock"):
        check_libraries({"pyarrow": "1.0"})
    with pytest.raises(PrimumError, match=r"no-such-thing is not installed: install no-such-thing==2\.0"):
        check_libraries({"no-such-thing": "2.0"})
