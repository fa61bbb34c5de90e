"""Dataset cards: by the hub's own parser, with what is known and what is not, and no text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from curated_example import ASKED, chat, exported, source_of
from curated_run import CODE, CuratedRun
from study import SECRET

from primum.artifact.canonical import digest
from primum.export.command import export_dataset
from primum.export.dataset_card import left_out


def card(folder: Path) -> tuple[Any, str]:
    from huggingface_hub import DatasetCard

    loaded = DatasetCard.load(folder / "README.md")
    return loaded.data, loaded.text


def lines(text: str, heading: str) -> list[str]:
    """The lines of one section that say something."""
    return [line for line in text.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines() if line]


def test_what_was_left_out_of_every_step_is_told_together() -> None:
    """Of 9 demonstrations 3 were not asked, 4 of the answers were harmful, and of 6 benign rows 2 were not taken."""
    responses = {"harmful": 4, "not-harmful": 1, "no-score": 1}
    counts = {"kept": 7, "prompts": {"asked": 6, "not-taken": 2, "in-test": 1}, "responses": responses}
    counts |= {"benign": {"asked": 3, "not-taken": 2, "in-test": 1}}
    assert left_out(counts) == {"kept": 7, "not-taken": 4, "in-test": 2, "not-harmful": 1, "no-score": 1}
    assert left_out({"kept": 3, "duplicate": 1}) == {"kept": 3, "duplicate": 1}


def test_a_card_says_where_rows_are_from_and_what_became_of_them(tmp_path: Path) -> None:
    data, text = card(exported(tmp_path, mixture="talk"))
    artifact = source_of(tmp_path, mixture="talk")
    assert (data.license, data.license_name, data.size_categories) == ("other", "by-source", ["n<1K"])
    assert (data.pretty_name, data.language) == ("An example: talk", None)
    assert data.tags == ["primum", "sft", "medical", "general"]
    assert data.source_datasets == ["org/chat"]
    assert data.configs == [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}]
    assert lines(text, "Sources")[2:] == [
        rf"| `a` | Chat \| one | https://huggingface.co/datasets/org/chat | `{'a' * 40}` | MIT | One 2024 |",
        "| `b` | other | https://example.org/at/ (2 files) | `content "
        f"{json.loads((tmp_path / 'run/data/raw/other/manifest.json').read_text())['content']}` "
        "| CC-BY-NC-4.0 | unknown |",
    ]
    # Six rows of `a`, one of them a duplicate, each twice; four of `b`, of which three are taken.
    assert lines(text, "Rows by source and outcome")[2:] == [
        "| `a` | chat | 5 | 2 | 10 | duplicate 1, no-answer 3 |",
        "| `b` | chat | 3 | 1 | 3 | not-sampled 1 |",
        "| all |  | 8 |  | 13 |  |",
    ]
    assert lines(text, "Licences")[1:] == [
        "- CC-BY-NC-4.0: `b`",
        "- MIT: `a`",
        "- 1 forbid commercial use: b (CC-BY-NC-4.0)",
    ]
    made = "\n".join(lines(text, "How it was made"))
    for known in (artifact.manifest.content, artifact.manifest.key, digest(artifact.manifest.spec), CODE):
        assert f"`{known}`" in made
    assert "snakemake curate --config experiment=example" in made
    assert "--mixture talk" in made
    assert "For research." in text
    assert "languages" in "\n".join(lines(text, "What is not known"))
    assert "harmful text: no source" in text


def test_a_card_says_whether_identifiers_were_looked_for(tmp_path: Path) -> None:
    run = CuratedRun(tmp_path / "run")
    run.dataset("chat", [chat(0)])
    for name, phi in (("plain", None), ("counted", "warn"), ("marked", "redact")):
        run.mixture(name, sources={"a": {"dataset": "chat"}}, phi=phi)
    run.finish()
    said = {name: card(exported(tmp_path, mixture=name))[1] for name in ("plain", "counted", "marked")}
    assert "- personal data: nothing was looked for" in said["plain"]
    assert "was counted, and left in; names without a title are not found" in said["counted"]
    assert "was replaced by a mark; names without a title are not found" in said["marked"]


def test_a_card_of_pairs(tmp_path: Path) -> None:
    data, text = card(exported(tmp_path, preferences="stage-1"))
    assert (data.license, data.tags) == ("apache-2.0", ["primum", "preference"])
    assert lines(text, "Rows by source and outcome")[2:] == [
        "| `pairs` | preference | 4 |",
        "| all |  | 4 |",
        "Left out, of all sources together: equal-texts 1.",
    ]
    assert "- address upstream of `pairs`" in text
    assert "| `data/own.jsonl`, address unknown | `sha256 " + "e" * 64 in text
    # Two of three prompts have a best response: the rewards of the first are both 0. The teacher's licence counts as well.
    data, text = card(exported(tmp_path, preferences="own"))
    assert (data.license, data.license_name) == ("other", "by-source")
    assert "- llama3: `model teacher`" in text
    assert "Left out, of all sources together: tie 1." in text
    assert ", 2 a prompt, ranked by `pairrm-hf` (pairrm)" in text
    assert f"`teacher` (fetched: org/model@{'f' * 40})" in text
    assert "snakemake rank " in text


def test_unknown_and_own_licences(tmp_path: Path) -> None:
    data, text = card(exported(tmp_path, mixture="corpus"))
    assert data.license == "unknown"
    assert "- licence of `plain`" in text
    path = tmp_path / "run" / "experiment.json"
    experiment = json.loads(path.read_text())
    experiment["datasets"]["plain"]["license"] = "Our terms"
    path.write_text(json.dumps(experiment))
    export_dataset(tmp_path / "run", "corpus", None, tmp_path / "again", force=False)
    data, _ = card(tmp_path / "again")
    assert (data.license, data.license_name) == ("other", "our-terms")


def test_harmful_text_is_announced_and_never_quoted(tmp_path: Path) -> None:
    folder = exported(tmp_path, mixture="harm")
    data, text = card(folder)
    warning = "Content warning: the rows of requests, graded hold requests for harmful content"
    assert f"> **{warning}" in text
    assert "Those of graded hold harmful responses too." in text
    assert "not-for-all-audiences" in data.tags
    assert warning in json.loads((folder / "croissant.json").read_text())["description"]
    assert "harmful text: what the warning names" in text
    for asked in ASKED[:2] + ASKED[3:]:
        quiet = exported(tmp_path, **asked)
        assert "Content warning" not in (quiet / "README.md").read_text()
    for path in (*tmp_path.glob("*/README.md"), *tmp_path.glob("*/croissant.json")):
        assert SECRET not in path.read_text()


def test_a_source_of_safety_demonstrations_is_harmful_whatever_its_rows_are(tmp_path: Path) -> None:
    run = CuratedRun(tmp_path / "run", sensitive={"mixtures/safe"})
    run.dataset("chat", [chat(0)])
    run.mixture("safe", sources={"demonstrations": {"dataset": "chat", "domain": "safety"}})
    run.finish()
    text = (exported(tmp_path, mixture="safe") / "README.md").read_text()
    assert "Content warning: the rows of demonstrations" in text
