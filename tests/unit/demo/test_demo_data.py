"""The demo's generator: reproduces the shipped files, writes exact counts, keeps benchmark questions apart."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from primum.demo import SOURCES, TABLE5, rubrics, table5_scale, write
from primum.demo.phrasing import HELD_OUT, STATEMENTS, TRAINING
from primum.demo.planted import CONTAMINATED, NEAR, NEAR_ROW, REPEATED_ROW, SHARED, SHARED_ROW
from primum.demo.preferences import candidates
from primum.demo.vocabulary import ATTRIBUTES, CONDITIONS, FACTS, answers
from primum.errors import PrimumError
from primum.text.criteria import criterion_question
from primum.text.met import parse_met
from primum.text.rows import Criterion

SHIPPED = Path(__file__).parents[3] / "data" / "demo"
BENCHMARKS = ("_test.", "_dev.csv", "usmle", "medmcqa_dev", "xstest", "advbench", "toxigen", "test_ground_truth")


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def jsonl(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_the_shipped_files_are_the_generators_output(tmp_path: Path) -> None:
    write(tmp_path)
    assert files(tmp_path) == files(SHIPPED)


def test_another_seed_gives_other_text_and_the_same_files(tmp_path: Path) -> None:
    write(tmp_path, seed=1)
    other, shipped = files(tmp_path), files(SHIPPED)
    assert other.keys() == shipped.keys()
    assert other["medmcqa_train.jsonl"] != shipped["medmcqa_train.jsonl"]


def test_the_shipped_files_are_small() -> None:
    sizes = {name: len(data) for name, data in files(SHIPPED).items()}
    assert sum(sizes.values()) < 1_850_000
    assert max(sizes.values()) < 900_000


def test_the_vocabulary_is_distinct_and_short() -> None:
    assert len({condition.name for condition in CONDITIONS}) == len(CONDITIONS) >= 40
    for attribute in ("cause", "symptom", "treatment"):
        assert len(answers(attribute)) == len(CONDITIONS), attribute
    assert all(len(fact.answer.split()) <= 4 for fact in FACTS)


def test_every_attribute_has_enough_phrasings() -> None:
    for attribute in ATTRIBUTES:
        asked = {template for phrases in TRAINING.values() for template in phrases[attribute]}
        assert len(STATEMENTS[attribute]) >= 6
        assert len(asked) >= 4


def normal(text: str) -> str:
    """Lower-case words; numbers, tags and HTML do not count."""
    return " ".join(re.findall(r"[a-z]+", re.sub(r"<[^>]+>|\\[nrt]", " ", text).lower()))


def training_text(folder: Path) -> str:
    """All text of the files that a model is trained on, the planted leaks left out."""
    texts = []
    for name, data in files(folder).items():
        benchmark = any(mark in name for mark in BENCHMARKS) and not name.startswith("mmlu/dev")
        if not benchmark and not name.startswith(("med_safety_bench/test", "README", "pubmedqa")):
            texts.append(normal(data.decode()))
    text = " \n ".join(texts)
    for leak in CONTAMINATED:
        assert text.count(normal(leak.question)) == 1
        text = text.replace(normal(leak.question), "")
    return text


def benchmark_questions(folder: Path) -> Iterator[str]:
    for name in ("medmcqa_dev", "medqa_test", "mmlu_pro_test"):
        yield from (str(row["question"]) for row in jsonl(folder / f"{name}.jsonl"))
    for name in ("usmle_self_assessment", "usmle_sample_exam"):
        yield from (row["question"] for row in json.loads((folder / f"{name}.json").read_text()))
    for path in sorted((folder / "mmlu" / "test").glob("*.csv")):
        with path.open(newline="") as file:
            yield from (row[0] for row in csv.reader(file))


@pytest.mark.parametrize("seed", [0, 1])
def test_no_benchmark_question_occurs_in_training_but_the_planted_ones(tmp_path: Path, seed: int) -> None:
    write(tmp_path, seed=seed)
    text = training_text(tmp_path)
    questions = list(benchmark_questions(tmp_path))
    # 80 MedMCQA + 80 MedQA + 60 MMLU-Pro + 2 x 40 USMLE + 6 x 20 MMLU
    assert len(questions) == 420
    assert [question for question in questions if f" {normal(question)} " in text] == []


def test_no_held_out_phrasing_is_a_training_phrasing(tmp_path: Path) -> None:
    text = training_text(SHIPPED)
    for name, phrases in HELD_OUT.items():
        for templates in phrases.values():
            for template in templates:
                # The part after the condition carries the question in most phrasings, else the part before it.
                parts = [normal(part) for part in re.split(r"\{[cC]\}", re.sub(r"\{(age|sex)\}", "", template))]
                longest = max(parts, key=len)
                assert len(longest.split()) >= 2, (name, template)
                assert f" {longest} " not in text, (name, template)


def test_pubmedqa_names_sixty_official_test_questions_that_training_lacks() -> None:
    rows = json.loads((SHIPPED / "pubmedqa" / "ori_pqal.json").read_text())
    truth = json.loads((SHIPPED / "pubmedqa" / "test_ground_truth.json").read_text())
    assert len(truth) == 60
    assert all(rows[key]["final_decision"] == verdict for key, verdict in truth.items())
    assert Counter(truth.values()) == {"yes": 24, "no": 24, "maybe": 12}
    training = {row["QUESTION"] for key, row in rows.items() if key not in truth}
    assert not training & {rows[key]["QUESTION"] for key in truth}
    niv2 = (SHIPPED / "niv2" / "task1005_demo_verdict.json").read_text()
    assert not [key for key in truth if rows[key]["QUESTION"] in niv2]


def test_requests_of_the_test_are_not_in_training() -> None:
    train = [row for path in (SHIPPED / "med_safety_bench" / "train").iterdir() for row in table(path)]
    test = [row for path in (SHIPPED / "med_safety_bench" / "test").iterdir() for row in table(path)]
    column = "harmful_medical_request"
    assert (len(train), len(test)) == (9 * 24, 9 * 6)
    assert list(train[0]) == ["", column, "safe_response"]
    assert not {row[column] for row in train} & {row[column] for row in test}
    assert all(row["safe_response"].startswith("I can't help with that. ") for row in train + test)
    assert len({row[column] for row in train}) == len(train)


def test_the_judge_of_criteria_learns_what_it_is_asked() -> None:
    """Each line is the demo's template, filled in, and the verdict that it ends with is true of its response."""
    template = (SHIPPED.parent / "rubrics/demo-criteria.j2").read_text()
    rows = jsonl(SHIPPED / "criteria_graded_train.jsonl")
    verdicts: Counter[tuple[str, bool]] = Counter()
    for row in rows:
        said = re.fullmatch(r"Response: (.*)\nCriterion: (.*)\nIs it met\?", str(row["instruction"]), re.DOTALL)
        assert said is not None
        response, criterion = said.groups()
        (turn,) = criterion_question(template, "what nobody shows it", response, Criterion(criterion, 1.0))
        assert turn.content == row["instruction"]
        verdict = parse_met(str(row["output"])).met
        assert verdict is rubrics.met(response, criterion)
        verdicts[criterion.split()[0], verdict] += 1
    assert len(rows) == rubrics.GRADED
    assert min(verdicts.values()) >= 10, "each criterion is met and not met"


def test_conversations_have_three_themes_and_a_fault() -> None:
    rows = jsonl(SHIPPED / "healthbench.jsonl")
    themes = Counter(row["example_tags"][0] for row in rows)  # type: ignore[index]
    assert themes == dict.fromkeys(("theme:single_question", "theme:follow_up", "theme:small_talk"), 4)
    assert {len(row["prompt"]) for row in rows} == {1, 3}  # type: ignore[arg-type]
    assert {tuple(item["points"] for item in row["rubrics"]) for row in rows} == {(5, 3, 2, -4)}  # type: ignore[attr-defined]


def test_preferences_agree_with_their_scores() -> None:
    for stage in (1, 2, 3):
        for part, number in (("train", 140), ("test", 40)):
            rows = jsonl(SHIPPED / f"snorkel_iteration_{stage}_{part}.jsonl")
            assert len(rows) == number
            for row in rows:
                ranked = sorted(zip(row["all_rm_scores"], row["all_generated_responses"], strict=True))  # type: ignore[call-overload]
                assert len({text for _, text in ranked}) == 5
                assert row["chosen"][1]["content"] == ranked[-1][1]  # type: ignore[index]
                assert row["rejected"][1]["content"] == ranked[0][1]  # type: ignore[index]
    rows = jsonl(SHIPPED / "ultrafeedback_train_prefs.jsonl")
    assert sum(row["score_chosen"] == row["score_rejected"] for row in rows) == 1
    assert sum(row["chosen"] == row["rejected"] for row in rows) == 1


def test_candidates_of_a_stage_rank_what_it_prefers_first() -> None:
    import random

    fact = next(fact for fact in FACTS if fact.condition.name == "gout" and fact.attribute == "treatment")
    first, last = candidates(2, fact, random.Random(0))[0], candidates(2, fact, random.Random(0))[-1]
    assert first == "Gout is treated with colchicine. Please visit the rheumatology clinic."
    assert last == "Gout is treated with colchicine."


def test_the_planted_rows_are_where_the_constants_say() -> None:
    flashcards = json.loads((SHIPPED / "medical_flashcards.json").read_text())
    mediqa = json.loads((SHIPPED / "mediqa.json").read_text())
    assert flashcards[REPEATED_ROW] == flashcards[REPEATED_ROW + 1]
    assert (flashcards[NEAR_ROW]["input"], flashcards[NEAR_ROW]["output"]) == NEAR[0]
    assert (mediqa[NEAR_ROW]["input"], mediqa[NEAR_ROW]["output"]) == NEAR[1]
    assert NEAR[0] != NEAR[1]
    opengpt = table(SHIPPED / "opengpt.csv")[SHARED_ROW]["text"]
    instruction = jsonl(SHIPPED / "medical_instruction_120k.jsonl")[SHARED_ROW]["text"]
    assert all(text in opengpt and text in str(instruction) for text in SHARED)
    for leak in CONTAMINATED:
        lines = (SHIPPED / leak.training).read_text().splitlines()
        assert leak.question in lines[leak.row + leak.training.endswith(".csv")]
        assert leak.question == next(q for q in benchmark_questions(SHIPPED) if q == leak.question)


def test_upstream_quirks_are_present() -> None:
    medmcqa = jsonl(SHIPPED / "medmcqa_train.jsonl")
    assert {row["cop"] for row in medmcqa} == {-1, 1, 2, 3, 4}
    assert None in {row["exp"] for row in medmcqa}
    assert [row["image"] for row in jsonl(SHIPPED / "headqa_train.jsonl")].count("image_1.png") == 1
    assert {row["label"] for row in table(SHIPPED / "pubhealth_train.tsv", "\t")} == {"-1", "", "0", "2", "3"}
    assert (SHIPPED / "mmlu/dev/anatomy_dev.csv").read_text().startswith("question,choice0,")
    assert re.match(r".*,[ABCD]\n", (SHIPPED / "mmlu/test/anatomy_test.csv").read_text())
    weights = {turn["weight"] for row in jsonl(SHIPPED / "slim_orca_flan.jsonl") for turn in row["conversations"]}  # type: ignore[attr-defined]
    assert weights == {None, 0, 1}


def rows_written(folder: Path) -> dict[str, int]:
    """Usable rows of every source, counted here without the adapters."""
    lines = {
        "MedMCQA": sum(row["cop"] != -1 for row in jsonl(folder / "medmcqa_train.jsonl")),
        "StackExchange": sum("cooking" not in str(row["metadata"]) for row in jsonl(folder / "stack_exchange.jsonl")),
        "MedQA": len(jsonl(folder / "medqa_train.jsonl")) + len(jsonl(folder / "medqa_dev.jsonl")),
        "HeadQA": sum(not row["image"] for row in jsonl(folder / "headqa_train.jsonl")),
        "SciQ": len(jsonl(folder / "sciq_train.jsonl")),
        "OpenGPT": len(table(folder / "opengpt.csv")),
        "Medical-Instruction": len(jsonl(folder / "medical_instruction_120k.jsonl")),
        "SlimOrca T0": len(jsonl(folder / "slim_orca_t0.jsonl")),
        "SlimOrca Flan": len(jsonl(folder / "slim_orca_flan.jsonl")),
        "SlimOrca CoT": len(jsonl(folder / "slim_orca_cot.jsonl")),
        "Ultrachat": len(jsonl(folder / "ultrachat.jsonl")),
        "Pubhealth": sum(row["label"] not in ("", "-1") for row in table(folder / "pubhealth_train.tsv", "\t")),
        "MMLU": sum(len(table(path)) for path in (folder / "mmlu" / "dev").iterdir()),
        "ACI-Bench": sum(len(table(folder / "aci_bench" / f"{part}.csv")) for part in ("train", "valid")),
        "MTS-Dialog": 2 * sum(len(table(folder / f"mts_dialog_{part}.csv")) for part in ("train", "valid")),
    }
    for name, file in (
        ("Medical Flashcards", "medical_flashcards"),
        ("CORD-19", "cord19"),
        ("MediQA", "mediqa"),
        ("PubMed Causal", "pubmed_causal"),
    ):
        lines[name] = len(json.loads((folder / f"{file}.json").read_text()))
    lines["PubMedQA"] = len(json.loads((folder / "pubmedqa" / "ori_pqal.json").read_text())) - 60
    tasks = [json.loads(path.read_text()) for path in (folder / "niv2").iterdir()]
    lines["Niv2"] = sum(len(task["Instances"]) for task in tasks)
    documents = [ElementTree.parse(path) for path in (folder / "medquad").rglob("*.xml")]
    lines["MedQUAD"] = sum(bool(answer.text) for document in documents for answer in document.iter("Answer"))
    return lines


def test_the_shipped_sources_have_the_stated_rows() -> None:
    assert rows_written(SHIPPED) == {name: rows for name, (rows, _) in SOURCES.items()}


def test_scale_writes_exact_counts_of_distinct_rows(tmp_path: Path) -> None:
    scale = {name: 2 * (500 + place) for place, name in enumerate(SOURCES)}
    write(tmp_path, scale=scale)
    assert rows_written(tmp_path) == scale
    flashcards = [
        row["input"] + row["output"] for row in json.loads((tmp_path / "medical_flashcards.json").read_text())
    ]
    assert len(set(flashcards)) == len(flashcards) - 1  # one planted repeat
    ultrachat = [row["prompt"] for row in jsonl(tmp_path / "ultrachat.jsonl")]
    assert len(set(ultrachat)) == len(ultrachat)
    identities = [row["id"] for row in jsonl(tmp_path / "medmcqa_train.jsonl")]
    assert len(set(identities)) == len(identities)


def test_one_row_of_every_source_can_be_written(tmp_path: Path) -> None:
    scale = dict.fromkeys(SOURCES, 1) | {"MTS-Dialog": 2}
    write(tmp_path, scale=scale)
    assert rows_written(tmp_path) == scale


@pytest.mark.parametrize(
    ("scale", "words"),
    [({"MedMCQ": 5}, "MedMCQA"), ({"MedQA": 0}, "at least 1"), ({"MTS-Dialog": 3}, "even number")],
)
def test_a_bad_scale_is_one_line_that_says_what_to_do(tmp_path: Path, scale: dict[str, int], words: str) -> None:
    with pytest.raises(PrimumError, match=words) as error:
        write(tmp_path, scale=scale)
    assert "\n" not in str(error.value)


def test_table5_scale_is_a_share_of_the_published_counts() -> None:
    assert table5_scale(1.0) == dict(TABLE5)
    # The 18 medical rows sum to 547,542 and the four general ones to 343,529.
    assert sum(TABLE5.values()) == 547_542 + 343_529
    assert TABLE5.keys() == SOURCES.keys()
    small = table5_scale(0.001)
    # 180,462, 87 and 2,602 samples: 180.462, 0.087 and 2.602 (three, so four)
    assert (small["MedMCQA"], small["ACI-Bench"], small["MTS-Dialog"]) == (180, 1, 4)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(PrimumError, match="above 0 and at most 1"):
        table5_scale(share)
