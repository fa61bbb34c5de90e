"""Task files that lm-eval ships, loaded as they are: each document's prompt, choices and target against lm-eval's own."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from primum.errors import PrimumError
from primum.experiment import load_experiment
from primum.experiment.benchmarks import Benchmark
from primum.experiment.tasks import load_task
from primum.score.documents import Document, choices, description, documents, question, several_inputs, target
from primum.score.tried import try_task
from primum.score.worth import worth
from primum.text.rows import DocumentRow

SPEC = importlib.util.find_spec("lm_eval")
assert SPEC is not None
assert SPEC.submodule_search_locations is not None
SHIPPED = Path(SPEC.submodule_search_locations[0]) / "tasks"
ARC = {"text": ["ice", "steam", "fog", "dew"], "label": ["A", "B", "C", "D"]}
# Two documents of each in its upstream columns, and the positions of the right answers, by hand.
TASKS: dict[str, tuple[list[dict[str, Any]], list[int]]] = {
    "medmcqa/medmcqa.yaml": (
        [{"question": "Gout?", "opa": "a", "opb": "b {{x}}", "opc": "c", "opd": "d\n", "cop": cop} for cop in (3, 0)],
        [3, 0],
    ),
    "medqa/medqa.yaml": (
        [
            {"sent1": " A man. ", "ending0": "x", "ending1": "y", "ending2": "z", "ending3": "w", "label": label}
            for label in (1, 2)
        ],
        [1, 2],
    ),
    "pubmedqa/pubmedqa.yaml": (
        [{"CONTEXTS": ["One.", "Two."], "QUESTION": "Does it?", "final_decision": say} for say in ("maybe", "yes")],
        [2, 0],
    ),
    "mmlu/default/mmlu_anatomy.yaml": (
        [{"question": " Which bone? ", "choices": ["a", "b", "c", "d"], "answer": answer} for answer in (0, 3)],
        [0, 3],
    ),
    "headqa/headqa_en.yaml": (
        [{"qtext": "What?", "ra": ra, "answers": [{"aid": i, "atext": f"t{i}"} for i in range(1, 5)]} for ra in (4, 1)],
        [3, 0],
    ),
    "arc/arc_easy.yaml": ([{"question": "Cold?", "choices": ARC, "answerKey": key} for key in "AD"], [0, 3]),
    "openbookqa/openbookqa.yaml": (
        [{"question_stem": "The sun", "choices": ARC, "answerKey": key} for key in (" B", "C")],
        [1, 2],
    ),
    "sciq/sciq.yaml": (
        [
            {"support": support, "question": "Why?", "correct_answer": "r"}
            | {f"distractor{i}": f"d{i}" for i in (1, 2, 3)}
            for support in ("  Because. ", "")
        ],
        [3, 3],
    ),
    "piqa/piqa.yaml": ([{"goal": "Open it", "sol1": 'it\'s "so"', "sol2": "no", "label": i} for i in (1, 0)], [1, 0]),
    "hellaswag/hellaswag.yaml": (
        [
            {"ctx_a": "A man", "ctx_b": "he [title] runs", "activity_label": "Sport"}
            | {"endings": ["one [x] two", "three", "four  five", "six"], "label": label}
            for label in ("2", "0")
        ],
        [2, 0],
    ),
    "toxigen/toxigen.yaml": (
        [{"text": "They are kind.", "toxicity_ai": 1.0, "toxicity_human": human} for human in (5.0, 1.3)],
        [1, 0],
    ),
}


def _rows(records: list[dict[str, Any]]) -> list[DocumentRow]:
    return [DocumentRow(f"d/{number:07d}", "d", json.dumps(record)) for number, record in enumerate(records)]


@pytest.mark.parametrize("name", TASKS)
def test_a_shipped_task_says_what_lm_eval_says(name: str, tmp_path: Path) -> None:
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    records, right = TASKS[name]
    lines = tmp_path / "docs.jsonl"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    config = load_yaml(SHIPPED / name)
    split = config.get("test_split") or config["validation_split"]
    for key in ("training_split", "validation_split", "fewshot_split", "dataset_name", "tag"):
        config.pop(key, None)
    files = {"data_files": {split: str(lines)}, "cache_dir": str(tmp_path / "cache")}
    theirs = ConfigurableTask(
        config={**config, "test_split": split, "dataset_path": "json", "dataset_kwargs": files, "fewshot_config": None}
    )
    benchmark = Benchmark.model_validate({**load_task(SHIPPED / name), "dataset": "d", "fewshot": {}})
    task = benchmark.asked()
    ours = documents(_rows(records), task)
    assert len(ours) == len(theirs.eval_docs)
    for document, doc, position in zip(ours, theirs.eval_docs, right, strict=True):
        offered = choices(document, task)
        assert description(document, task) + question(document, task) == theirs.fewshot_context(doc, 0)
        assert offered == theirs.doc_to_choice(doc)
        gold = theirs.doc_to_target(doc)
        assert target(document, task, offered) == position
        assert position == (offered.index(gold) if isinstance(gold, str) else gold)
    assert benchmark.target_delimiter == theirs.config.target_delimiter
    assert benchmark.fewshot_delimiter == theirs.config.fewshot_delimiter


def test_a_shipped_task_in_an_experiment(tmp_path: Path) -> None:
    """Its file and the Python beside it are copied into the project; the dataset is a catalog entry of raw documents."""
    folder = tmp_path / "config/tasks/medmcqa"
    shutil.copytree(SHIPPED / "medmcqa", folder)
    experiment = {
        "name": "own",
        "datasets": {
            "medmcqa-raw": {"adapter": "documents", "files": [{"path": "docs.jsonl"}]},
            "text": {"adapter": "text", "files": [{"path": "t.jsonl"}]},
        },
        "mixtures": {"text": {"sources": {"text": {"dataset": "text"}}}},
        "models": {
            "m": {"train": "pretrain", "data": "text", "optimization": {"learning_rate": 1, "batch": 1, "steps": 1}}
        },
        "benchmarks": {"own": {"task": "config/tasks/medmcqa/medmcqa.yaml", "dataset": "medmcqa-raw"}},
        "evaluate": {"models": ["m"], "benchmarks": ["own"]},
    }
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(experiment))
    benchmark = load_experiment(str(path), tmp_path).benchmarks["own"]
    assert (benchmark.dataset, benchmark.title, benchmark.doc_to_choice) == (
        "medmcqa-raw",
        "medmcqa",
        ("A", "B", "C", "D"),
    )
    # The function's source is in what decides a score, so that an edit of the Python file scores again.
    source = (folder / "utils_medmcqa.py").read_text()
    assert benchmark.asked()["doc_to_text"] == {"function": "utils_medmcqa.doc_to_text", "source": source}
    del experiment["benchmarks"]["own"]["dataset"]  # type: ignore[attr-defined]
    path.write_text(yaml.safe_dump(experiment))
    with pytest.raises(PrimumError, match=r"benchmarks.own.dataset: no dataset 'openlifescienceai-medmcqa-validation'"):
        load_experiment(str(path), tmp_path)


BASE = "task: own\ndataset_path: d\ntest_split: test\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("output_type: loglikelihood", "output_type: only multiple_choice and generate_until are supported"),
        ("use_prompt: all", "use_prompt: is not supported"),
        ("task: [medqa, medmcqa]", "task: is a group of tasks: it is no benchmark"),
        ("metadata: {version: Yaml}", "metadata.version: must begin with a number"),
        ("doc_to_txt: a", "doc_to_txt: is not supported; supported keys: include, task"),
        ("doc_to_target: [0, 1]", "doc_to_target: a list of targets is not supported"),
        (
            "metric_list: [{metric: f1}, {metric: !function own.f}]",
            "metric_list: f1, own.f: not supported; one of acc,",
        ),
        ("metric_list: [{metric: acc, aggregation: median}]", "metric_list: acc: aggregation median is not supported"),
        ("metric_list: [{metric: acc, aggregation: !function own.f}]", "metric_list: acc: aggregation own.f is not"),
        ("fewshot_config: {sampler: balanced}", "fewshot_config.sampler: 'balanced' is none of first_n, default"),
        ("fewshot_config: {samples: !function own.f}", "fewshot_config.samples: is no list of documents"),
        ("fewshot_config: {fewshot_indices: [1]}", "fewshot_config.fewshot_indices: is not supported"),
        ("doc_to_text: 0", "doc_to_text: a number, the same input for every question, is not supported"),
        ("doc_to_text: !function missing.f", "!function missing.f: no file missing.py"),
        ("include: own.yaml", "include: includes itself"),
        ("include: other", "cannot be read as UTF-8 text: check the file, or the 'include'"),
        ("repeats: 2", "repeats: log-likelihoods do not vary"),
        ("doc_to_text: [", "not valid YAML"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "own.py").write_text("def f(doc, results): return {}\n")
    path = tmp_path / "own.yaml"
    path.write_text(f"{BASE}{text}\n")
    with pytest.raises(PrimumError) as caught:
        load_task(path)
    assert said in str(caught.value)
    assert str(path.parent) in str(caught.value)
    assert "\n" not in str(caught.value)


def _read(document: Document, task: dict[str, Any]) -> None:
    question(document, task)
    target(document, task, choices(document, task))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"doc_to_text": "{{ label }}", "doc_to_target": "{{ text }}"}, "doc_to_target: is none of its choices"),
        (
            {"doc_to_choice": {"function": "a.f", "source": "import lm_evil"}},
            "a.f imports lm_evil, which is not installed",
        ),
        (
            {"doc_to_choice": {"function": "a.f", "source": "def f(doc): raise SystemExit(doc)"}},
            "a.f fails (SystemExit)",
        ),
        ({"doc_to_text": "label"}, "doc_to_text: gives no text: of a task with several inputs"),
        ({"doc_to_target": "gold"}, "doc_to_target: gives several targets"),
        ({"doc_to_target": "{{ gold }}"}, "doc_to_target: gives several targets"),
        ({"doc_to_target": 7}, "doc_to_target: is none of its choices"),
        ({"doc_to_choice": "text"}, "doc_to_choice: is no list of two or more texts"),
        ({"scoring": "letter"}, "scoring: needs multiple-choice rows"),
        ({"doc_to_text": "{{ secrt }}"}, "(UndefinedError): it may use text, label, gold"),
        ({"doc_to_text": {"function": "a.f", "source": "def f(doc): raise ValueError(doc)"}}, "a.f fails (ValueError)"),
    ],
)
def test_documents_that_do_not_fit_are_named_and_not_quoted(keys: dict[str, Any], said: str) -> None:
    usual = {"dataset": "d", "doc_to_text": "text", "doc_to_choice": ["no", "yes"], "doc_to_target": "label"}
    task = Benchmark.model_validate({**usual, **keys}).asked()
    (document,) = documents(_rows([{"text": "SECRET", "label": 1, "gold": [0, 1]}]), task)
    with pytest.raises(PrimumError) as caught:
        _read(document, task)
    assert said in str(caught.value)
    assert str(caught.value).startswith("d/0000000: ")
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "position"),
    [
        ({"function": "a.f", "source": "def f(doc): return doc['name']"}, 1),  # a text is looked up, digits too
        ({"function": "a.f", "source": "import numpy as np\ndef f(doc): return np.int32(doc['label'])"}, 0),
        ("name", 1),
        ("{{ name }}", 0),  # as in lm-eval, a template's digits are a position
        ("{{ label }}", 0),
        ("label", 0),
        (1, 1),
    ],
)
def test_targets_by_column_template_and_function(source: Any, position: int) -> None:
    keys = {"dataset": "d", "doc_to_text": "name", "doc_to_choice": ["7", "0"], "doc_to_target": source}
    task = Benchmark.model_validate(keys).asked()
    (document,) = documents(_rows([{"name": "0", "label": 0}]), task)
    assert target(document, task, choices(document, task)) == position


def test_process_docs_may_leave_documents_out() -> None:
    """As mmlu_pro's filters by category do; the others keep their ids."""
    source = "def keep(docs):\n    return docs.filter(lambda doc: doc['kind'] == 'health')\n"
    task = Benchmark.model_validate({"dataset": "d", "process_docs": {"function": "u.keep", "source": source}}).asked()
    records = [{"kind": kind} for kind in ("law", "health", "law", "health")]
    assert [(each.id, each.fields) for each in documents(_rows(records), task)] == [
        ("d/0000001", {"kind": "health"}),
        ("d/0000003", {"kind": "health"}),
    ]


def test_a_function_that_needs_lm_eval_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)  # as where it is not installed
    code = {"function": "a.choices", "source": "import lm_eval.utils\ndef choices(doc): return ['a', 'b']"}
    task = Benchmark.model_validate({"dataset": "d", "doc_to_text": "text", "doc_to_choice": code}).asked()
    with pytest.raises(PrimumError) as caught:
        try_task(_rows([{"text": "SECRET"}]), task)
    assert str(caught.value) == (
        "d/0000000: doc_to_choice: the task's a.choices imports lm_eval, which is not installed: pip install 'primum[lm-eval]'"
    )


def test_a_function_reads_the_files_beside_it_from_the_spec(tmp_path: Path) -> None:
    """They are named in its source: what they hold is kept with it, so that an edit scores again and no folder is needed."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "names.json").write_text('["no", "yes"]')
    path = tmp_path / "tasks" / "own.yaml"
    path.write_text(f"{BASE}doc_to_text: text\ndoc_to_choice: !function own.choices\ndoc_to_target: 1\n")
    source = (
        "import json\nfrom pathlib import Path\n"
        "NAMES = json.loads((Path(__file__).parent.parent / 'names.json').read_text())\n"
        "def choices(doc):\n    print(doc)\n    return NAMES\n"
    )
    (tmp_path / "tasks" / "own.py").write_text(source)
    benchmark = Benchmark.model_validate(load_task(path))
    shutil.rmtree(tmp_path / "tasks")
    (tmp_path / "names.json").unlink()
    task = benchmark.asked()
    assert task["doc_to_choice"] == {
        "function": "own.choices",
        "source": source,
        "files": {"../names.json": '["no", "yes"]'},
    }
    (document,) = documents(_rows([{"text": "SECRET"}]), task)
    assert choices(document, task) == ["no", "yes"]


def test_what_a_function_prints_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    code = {
        "function": "a.f",
        "source": "import sys\ndef f(doc):\n print(doc)\n print(doc, file=sys.stderr)\n return 'x'",
    }
    task = Benchmark.model_validate({"dataset": "d", "doc_to_text": code}).asked()
    (document,) = documents(_rows([{"text": "SECRET"}]), task)
    assert question(document, task) == "x"
    assert capsys.readouterr() == ("", "")


def test_what_a_function_draws_is_the_same_in_every_run() -> None:
    source = "import random\ndef f(doc): return str(random.random())"
    task = Benchmark.model_validate({"dataset": "d", "doc_to_text": {"function": "a.f", "source": source}}).asked()
    one, other = documents(_rows([{"text": "a"}, {"text": "b"}]), task)
    random.seed(5)
    expected = random.random()
    random.seed(5)
    drawn = question(one, task)
    assert question(other, task) == drawn == str(random.Random(0).random())
    assert random.random() == expected  # and whoever draws besides goes on undisturbed


@pytest.mark.parametrize(("version", "major"), [("1.0.2", 1), ("'2.1'", 2), ("0.0", 1), ("3", 3)])
def test_a_version_is_its_major_number(tmp_path: Path, version: str, major: int) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"{BASE}metadata: {{version: {version}}}\n")
    assert load_task(path)["version"] == major


def test_long_names_of_datasets_stay_apart(tmp_path: Path) -> None:
    names = set()
    for end in ("soqal", "xglue-mlqa"):
        path = tmp_path / f"{end}.yaml"
        path.write_text(f"dataset_path: OALL/{'Long-' * 12}\ndataset_name: task_{end}\ntest_split: test\n")
        name = load_task(path)["dataset"]
        assert Benchmark.model_validate({"dataset": name}).dataset == name  # a slug of at most 64 characters
        names.add(name)
    assert len(names) == 2


def test_a_number_as_a_question_is_no_task_with_several_inputs() -> None:
    keys = {"dataset": "d", "doc_to_text": "{{ text }}", "doc_to_choice": ["no", "yes"], "doc_to_target": "label"}
    task = Benchmark.model_validate(keys).asked()
    (document,) = documents(_rows([{"text": "42", "label": 1}]), task)
    assert not several_inputs(document, task)
    assert question(document, task) == "42"
    assert several_inputs(document, {**task, "doc_to_target": "{{ text }} of all"})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(doc, results): return {'acc': results[2][0]}", "a.f fails (IndexError)"),
        ("def f(doc, results): return {'acc_norm': 1.0}", "gives no acc"),
        ("def f(doc, results): return {'acc': 1.5}", "its acc is no number from 0 to 1"),
        ("def f(doc, results): return {'acc': float('nan')}", "its acc is no number from 0 to 1"),
        ("def f(doc, results): return None", "gives no acc"),
    ],
)
def test_results_that_cannot_be_taken_are_refused(source: str, said: str) -> None:
    keys = {"dataset": "d", "process_results": {"function": "a.f", "source": source}}
    with pytest.raises(PrimumError, match=re.escape(said)) as caught:
        worth("d/0", {"text": "SECRET"}, [(-1.0, True), (-2.0, False)], Benchmark.model_validate(keys).asked())
    assert str(caught.value).startswith("d/0: process_results: ")
    assert "SECRET" not in str(caught.value)


def test_results_say_which_choices_are_greedy() -> None:
    source = "def f(doc, results): return {'acc': float([greedy for _, greedy in results] == [False, True])}"
    task = Benchmark.model_validate({"dataset": "d", "process_results": {"function": "a.f", "source": source}}).asked()
    assert worth("d/0", {}, [(-1.0, False), (-2.0, True)], task) == 1.0
    assert worth("d/0", {}, [(-1.0, True), (-2.0, True)], task) == 0.0


@pytest.mark.parametrize("kind", ["", "output_type: generate_until\nmetric_list: [{metric: exact_match}]\n"])
def test_an_example_count_that_the_file_does_not_say_is_open(tmp_path: Path, kind: str) -> None:
    (tmp_path / "own.yaml").write_text(f"{BASE}{kind}")
    path = tmp_path / "e.yaml"
    (tmp_path / "rows.jsonl").write_text("")
    dataset = {"adapter": "documents", "license": "MIT", "files": [{"path": "rows.jsonl"}]}
    entry = {"task": "own.yaml", "dataset": "rows", "fewshot": {"k": 5, "dataset": "rows"}}
    whole = {
        "models": {"m": {"hub": "a/b", "revision": "unknown"}},
        "evaluate": {"models": ["m"], "benchmarks": ["own"]},
    }
    given = {"name": "e", "seed": 1, "datasets": {"rows": dataset}, "benchmarks": {"own": entry}, **whole}
    path.write_text(yaml.safe_dump(given))
    assert load_experiment(str(path), tmp_path).benchmarks["own"].fewshot.k == 5


def test_an_example_count_that_the_file_pins(tmp_path: Path) -> None:
    """``num_fewshot: 0`` holds in lm-eval whatever the command line says, and here it is said so."""
    (tmp_path / "own.yaml").write_text(f"{BASE}num_fewshot: 0\n")
    path = tmp_path / "e.yaml"
    document = {"name": "e", "benchmarks": {"own": {"task": "own.yaml", "fewshot": {"k": 5}}}}
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(
        PrimumError, match=r"e.yaml: benchmarks.own.fewshot.k: the task's num_fewshot is 0, which pins it"
    ):
        load_experiment(str(path), tmp_path)
