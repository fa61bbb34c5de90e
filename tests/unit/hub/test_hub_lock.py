"""The lock of hub repositories: what is written is what is read, in one order, and nothing else is taken for it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import hub_project
import pytest
from hypothesis import given
from hypothesis import strategies as st

from primum.errors import PrimumError
from primum.experiment import load_experiment
from primum.experiment.load import read_experiment
from primum.hub.files import is_whole, matching
from primum.hub.lock import LOCK, HubFile, Listing, Lock, parse, read_lock
from primum.hub.locked import write_lock

COMMITS = st.text("0123456789abcdef", min_size=40, max_size=40)
CHECKSUMS = COMMITS.map("git-sha1:{}".format) | st.text("0123456789abcdef", min_size=64, max_size=64).map(
    "sha256:{}".format
)
NAMES = st.text(min_size=1).filter(lambda name: not name.startswith("/") and ".." not in name.split("/"))
FILES = st.dictionaries(NAMES, st.builds(HubFile, st.integers(0, 10**13), CHECKSUMS))
IDS = st.from_regex(r"[\w.-]+/[\w.-]+", fullmatch=True)
ADDRESSES = st.from_regex(r"https://[a-z.]+(:[0-9]+)?(/[\w.-]+)+", fullmatch=True)
REPOSITORIES = st.tuples(st.sampled_from(["dataset", "model"]), IDS) | st.tuples(st.just("git"), ADDRESSES)
ABOUT = st.tuples(COMMITS, FILES, st.text(), st.text(), st.text(), st.booleans())
LISTINGS = st.builds(lambda repository, about: Listing(*repository, *about), REPOSITORIES, ABOUT)


def lock_of(listings: list[Listing]) -> Lock:
    return {(each.kind, each.hub): each for each in listings}


@given(st.lists(LISTINGS, max_size=4), st.randoms())
def test_a_lock_is_read_as_it_was_written_whatever_the_order(listings: list[Listing], chance: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lock = lock_of(listings)
        write_lock(Path(folder), lock)
        assert read_lock(Path(folder)) == lock
        text = (Path(folder) / LOCK).read_bytes()
        shuffled = list(lock)
        chance.shuffle(shuffled)
        write_lock(Path(folder), {key: lock[key] for key in shuffled})
        assert (Path(folder) / LOCK).read_bytes() == text
        assert [path.name for path in (Path(folder) / "config").iterdir()] == [LOCK.name]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_what_is_no_record_is_an_error_of_one_line(entry: Any) -> None:
    with pytest.raises(PrimumError, match="is no record of a repository"):
        parse(Path("lock"), "models/org/name", entry)


SOUND = {"commit": "a" * 40, "files": {"config.json": ["git-sha1:" + "b" * 40, 2]}}


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("spaces/org/name", SOUND),
        ("gits/org/name", SOUND),
        ("models/org/name", {**SOUND, "commit": "main"}),
        ("models/org/name", {**SOUND, "date": 5}),
        *(
            ("models/org/name", {**SOUND, "files": files})
            for files in (
                {"/etc/passwd": ["git-sha1:" + "b" * 40, 2]},
                {"a/../../b": ["git-sha1:" + "b" * 40, 2]},
                {"a": ["md5:" + "b" * 32, 2]},
                {"a": ["git-sha1:" + "b" * 40, -1]},
                {"a": ["git-sha1:" + "b" * 40, True]},
                {"a": ["git-sha1:" + "b" * 40]},
            )
        ),
    ],
)
def test_a_record_is_checked(name: str, entry: Any) -> None:
    assert parse(Path("lock"), "models/org/name", SOUND).files == {"config.json": HubFile(2, "git-sha1:" + "b" * 40)}
    with pytest.raises(PrimumError, match=f"lock: {name}: is no record"):
        parse(Path("lock"), name, entry)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"repositories": []}', "\x00", "{" * 100_000, '{"a":' * 100_000])
def test_a_damaged_lock_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK).parent.mkdir()
    (tmp_path / LOCK).write_text(text)
    with pytest.raises(PrimumError, match=r"hub\.lock\.json: ") as caught:
        read_lock(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_git_checksum_is_git_s_own(tmp_path: Path) -> None:
    """`printf 'hello\\n' | git hash-object --stdin`, and `printf 'hello\\n' | sha256sum`."""
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")
    git, sha256 = (
        "ce013625030ba8dba906f756967f9e9ca394464a",
        "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
    )
    assert is_whole(path, HubFile(6, f"git-sha1:{git}"))
    assert is_whole(path, HubFile(6, f"sha256:{sha256}"))
    assert not is_whole(path, HubFile(6, f"sha256:{'0' * 64}"))
    assert not is_whole(path, HubFile(7, f"sha256:{sha256}"))
    assert not is_whole(tmp_path, HubFile(6, f"sha256:{sha256}"))


def test_a_pattern_means_what_it_means_in_a_shell(tmp_path: Path) -> None:
    names = ["a.json", "b/a.json", "b/c/a.json", "b/A.json", "step1.json", "step[123].json"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for pattern in ("*.json", "b/*.json", "*/a.json", "b/*/*", "step[123].json", "?.json", "b"):
        assert matching([pattern], names) == sorted(
            path.relative_to(tmp_path).as_posix() for path in tmp_path.glob(pattern) if path.is_file()
        )


def test_an_entry_written_by_hand_keeps_its_revision_and_grids_are_pinned_too(tmp_path: Path) -> None:
    document = hub_project.document({"pinned-chat": "1" * 40, "judge": "2" * 40})
    document["datasets"]["${part}"] = {
        "matrix": {"part": ["one", "two"]},
        **{"adapter": "instruction", "files": [{"path": "${part}.json"}], "hub": "org/parts", "revision": "unknown"},
    }
    root = hub_project.write(tmp_path, document)
    # Every repository of a dataset is in the lock, and org/chat as a model, too.
    pairs = [
        ("dataset", "org/chat", "3"),
        ("dataset", "org/pinned-chat", "4"),
        ("dataset", "org/parts", "5"),
        ("model", "org/chat", "6"),
    ]
    write_lock(root, {(kind, hub): Listing(kind, hub, commit * 40, {}) for kind, hub, commit in pairs})
    experiment = load_experiment("of-a-hub", root)
    found = {name: (entry.revision or "")[:1] for name, entry in experiment.datasets.items()}
    assert found == {
        "chat": "3",
        "same-chat": "3",
        "pinned-chat": "1",
        "unused": "u",
        "exam": "",
        "one": "5",
        "two": "5",
    }
    models = {name: getattr(entry, "revision", "")[:1] for name, entry in experiment.models.items()}
    assert models == {"base": "u", "judge": "2", "sft": ""}
    assert read_experiment("of-a-hub", root, locked=False).content["datasets"]["chat"]["revision"] == "unknown"
