"""The commands that people type: what they print, what they keep to themselves, and how they fail."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from primum.artifact.manifest import Manifest, load_manifest, save_manifest
from primum.artifact.request import Asked, Request
from primum.artifact.store import Store
from primum.artifact.table import content_hash, write_table
from primum.audit.show import is_hidden
from primum.cli import main
from primum.commands import COMMANDS, GROUPS
from primum.commands.command import Command
from primum.dag.dag import STAGES
from primum.experiment import Experiment

ROOT = Path(__file__).parents[2]
HARMFUL = "how one would do the forbidden thing"


@pytest.fixture
def generations(tmp_path: Path) -> Path:
    """An artifact with requests and responses, two of them in columns that nobody has thought of yet."""
    table = pa.table(
        {
            "id": ["a", "b"],
            "category": ["privacy", "consent"],
            "status": ["ok", "truncated"],
            "request": [HARMFUL, HARMFUL],
            "response": ["Sure: " + HARMFUL, "\x1b[2JSure"],
            "turns": [[{"role": "user", "content": HARMFUL}]] * 2,
            "tokens": [[5, 6], [7]],
            "new_text": [HARMFUL, HARMFUL],
            "score": [4, 5],
        }
    )
    write_table(table, tmp_path / "generations.parquet", {})
    spec = {"common": {}, "item": {"model": "medical"}}
    save_manifest(
        Manifest("table", "generate", spec, {"model": ["c" * 64]}, "k" * 64, content_hash(table), {"ok": 1}),
        tmp_path / "generations.json",
    )
    return tmp_path / "generations.json"


def test_show_prints_the_manifest_and_hides_what_may_be_harmful(
    generations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["show", str(generations)])
    printed = capsys.readouterr().out
    for shown in (
        "generate",
        "k" * 64,
        "privacy",
        "truncated",
        "rows     2",
        "input    model: cccccccccccc",
        "score: 4",
    ):
        assert shown in printed
    assert "forbidden" not in printed
    assert "Sure" not in printed
    assert "[5, 6]" not in printed
    assert "hidden   request, response, turns, tokens, new_text: may hold harmful text; --show-harmful-text" in printed


def test_show_prints_harmful_text_when_asked_and_escapes_it(
    generations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["show", str(generations.with_suffix(".parquet")), "--show-harmful-text"])
    printed = capsys.readouterr().out
    assert HARMFUL in printed
    assert "\x1b" not in printed
    assert "hidden" not in printed


def test_show_folds_what_is_long(
    generations: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = load_manifest(generations.with_suffix(".json"))
    modules = {f"primum.module{number}": "a" * 64 for number in range(40)}
    save_manifest(replace(manifest, run={**manifest.run, "modules": modules}), generations.with_suffix(".json"))
    monkeypatch.setenv("COLUMNS", "80")
    main(["show", str(generations)])
    lines = capsys.readouterr().out.splitlines()
    modules_lines = [line for line in lines if "primum.module" in line]
    assert max(map(len, modules_lines)) <= 80
    assert len(modules_lines) > 10
    assert "primum.module39=aaaaaaaaaaaa" in "".join(modules_lines)


def test_show_takes_a_number_of_rows(generations: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["show", str(generations), "--rows", "1"])
    printed = capsys.readouterr().out
    assert "privacy" in printed
    assert "consent" not in printed


def test_a_column_that_nobody_named_is_hidden() -> None:
    assert is_hidden(pa.field("anything", pa.string()))
    assert is_hidden(pa.field("answer", pa.string()))
    assert is_hidden(pa.field("input_ids", pa.list_(pa.int32())))
    assert not is_hidden(pa.field("anything", pa.float64()))
    assert not is_hidden(pa.field("loglikelihoods", pa.list_(pa.float64())))
    assert not any(is_hidden(pa.field(name, pa.string())) for name in ("category", "item", "method", "check"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "nowhere.json"], "nowhere.json: no such artifact: give its path, such as results/demo/scores/"),
        (
            ["check", "no-such"],
            "experiment 'no-such': no such experiment; there are: demo, demo-engines, demo-judges, ",
        ),
        (["csv", "nowhere.json", "a.csv"], "nowhere.json: no such artifact"),
        (["demo-data", "folder", "--table5", "3"], "a share of 3.0 cannot be written"),
        (["plam"], "no command 'plam'; nearest: plan"),
        (["xyzzy"], "no command 'xyzzy'; there are: adopt, audit, check, csv, demo-data, "),
        (["read", "--request", "r.json"], "'read' is a stage, which the workflow's rules call: primum stage read\n"),
        (["stage", "sf"], "no stage 'sf'; nearest: sft\n"),
        (["plan", "demo"], "is in no clone of primum: run this inside one, or give the path of a file in one"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT if arguments[0] == "check" else tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("primum: error: ")
    assert said in error
    assert error.count("\n") == 1


def test_the_schema_is_that_of_experiments(capsys: pytest.CaptureFixture[str]) -> None:
    main(["schema"])
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["properties"]) == {*Experiment.model_fields, "extends"}
    assert schema["additionalProperties"] is False


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    """As `primum schema | head -1`: more than a pipe holds, of which one line is read."""
    command = [sys.executable, "-m", "primum.cli", "schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == b"{"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141, "that of a process that SIGPIPE ended"


def test_help_lists_people_s_commands_by_group_and_no_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    for group, commands in GROUPS.items():
        own = printed.split(f"{group}:\n")[1].split("\n\n")[0]
        assert re.findall(r"^  (\S+) ", own, re.MULTILINE) == [command.name for command in commands]
    assert list(GROUPS) == ["Look", "Trace", "Fetch", "Change", "Export", "Data"]
    traced = ["explain", "uses", "why", "diff", "verify", "audit", "replay", "report-data"]
    assert [command.name for command in GROUPS["Trace"]] == traced
    assert re.findall(r"^  primum (\S+)", printed.split("Examples:\n")[1], re.MULTILINE) == ["check", "plan", "pin"]
    assert "  stage " in printed
    assert not [name for name in STAGES if f"\n  {name} " in printed]


def test_the_help_loads_nothing_that_only_a_command_needs() -> None:
    script = (
        "import sys\nfrom primum.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(*sorted(name for name in sys.modules if name.split('.')[0] in ('primum', 'torch', 'pandas')), file=sys.stderr)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stderr.split()
    assert "primum.commands.trace" in loaded
    assert not {"torch", "pandas"} & set(loaded)
    rooms = {name.split(".")[1] for name in loaded if "." in name and name.startswith("primum.")}
    assert not {"audit", "trace", "export", "verify", "reproduce", "pins", "upkeep", "tables", "table4"} & rooms


def test_no_word_at_all_is_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["stage"]):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 0
        assert " ".join(["usage: primum", *words]) in capsys.readouterr().out


def test_the_help_of_stage_says_what_each_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit):
        main(["stage", "--help"])
    printed = capsys.readouterr().out
    for name, stage in STAGES.items():
        assert f"  {name:<12}{stage.help}\n" in printed


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_help_of_a_command_has_an_example_that_it_takes(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit):
        main([command.name, "--help"])
    printed = capsys.readouterr().out
    assert f"Example: {command.example}" in printed
    assert printed.startswith(f"usage: primum {command.name} ")
    program, *words = shlex.split(command.example.partition(" > ")[0])
    parser = argparse.ArgumentParser(exit_on_error=False)
    for names, options in command.arguments:
        parser.add_argument(*names, **options)
    assert (program, words[0]) == ("primum", command.name)
    parser.parse_args(words[1:])


def test_a_command_has_a_name_of_its_own() -> None:
    assert len({command.name for command in COMMANDS} - set(STAGES)) == len(COMMANDS)


def test_a_failing_stage_says_why_on_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = json.dumps(
        {"stage": "read", "code": "c", "libraries": {"pyarrow": "0.1"}, "common": {}, "items": [["a", {}]]}
    )
    request = tmp_path / "request.json"
    Request(spec, [Asked(tmp_path / "a.json")], {}, "table", Store(tmp_path / "store")).save(request)
    with pytest.raises(SystemExit) as stopped:
        main(["stage", "read", "--request", str(request), "--log", str(tmp_path / "logs/a.log")])
    assert stopped.value.code == 1
    line = capsys.readouterr().err
    assert line.startswith("[read] error: pyarrow ")
    assert (tmp_path / "logs/a.log").read_text() == line


@pytest.mark.parametrize("content", [None, "", "{}", '{"spec": 1}'])
def test_a_request_that_is_none_is_one_line(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "request.json").write_text(content)
    with pytest.raises(SystemExit):
        main(["stage", "read", "--request", str(tmp_path / "request.json")])
    said = capsys.readouterr().err
    assert said.startswith(f"[read] error: {tmp_path / 'request.json'}: ")
    assert said.count("\n") == 1
