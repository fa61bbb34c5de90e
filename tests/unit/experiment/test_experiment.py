"""The experiment file: what is refused, in which words, and what is read as what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.dag.scope import Scope
from primum.errors import PrimumError
from primum.experiment import Experiment, load_experiment
from primum.experiment.load import read_yaml

ROOT = Path(__file__).parents[3]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "config/experiments").glob("*.yaml"))

VALID = """
name: small
seed: 3
datasets:
  corpus: {adapter: text, files: [{path: data/corpus.jsonl}]}
  pairs: {adapter: ultrafeedback, files: [{path: data/pairs.jsonl}]}
  questions: {adapter: medqa, files: [{path: data/questions.jsonl}]}
  requests: {adapter: advbench, files: [{path: data/requests.csv}]}
mixtures:
  text: {sources: {corpus: {dataset: corpus}}}
preferences:
  stage-1: {datasets: [pairs]}
models:
  base: {train: pretrain, data: text, optimization: {learning_rate: 5e-6, batch: 2, steps: 3}}
  sft: {train: sft, from: base, data: text, optimization: {learning_rate: "5e-6", batch: 2, epochs: 1}}
  dpo: {train: dpo, from: sft, data: stage-1, beta: 0.1, optimization: {learning_rate: 1.0e-5, batch: 2, epochs: 1}}
  gpt: {endpoint: gpt-4, engine: {kind: openai}}
benchmarks:
  exam: {dataset: questions}
prompts:
  harmful: {dataset: requests, kind: harmful}
judges:
  harm: {kind: rubric, model: gpt, template: data/rubric.j2, prompts: [harmful]}
evaluate: {models: [sft, dpo], benchmarks: [exam], prompts: [harmful], judges: [harm]}
"""


def _load(folder: Path, text: str) -> Experiment:
    path = folder / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return load_experiment(str(path), folder)


def _refusal(folder: Path, text: str) -> str:
    """The error, without the file's name in front, which every one has."""
    with pytest.raises(PrimumError) as caught:
        _load(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{folder}/")
    return message.partition(".yaml:")[2]


def test_a_valid_file(tmp_path: Path) -> None:
    experiment = _load(tmp_path, VALID)
    assert experiment.lineage("dpo") == ("base", "sft", "dpo")
    assert experiment.needed_models() == ("base", "sft", "dpo", "gpt")
    assert experiment.parents("dpo") == ("sft",)
    assert {name: experiment.kind_of(name) for name in experiment.models} == {
        "base": "pretrain", "sft": "sft", "dpo": "dpo", "gpt": "endpoint",
    }  # fmt: skip


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_shipped_experiment_is_valid(name: str) -> None:
    assert load_experiment(name, ROOT).name == name


def test_numbers_may_be_written_as_yaml_reads_them(tmp_path: Path) -> None:
    """``5e-6`` is a string to YAML 1.1, as is ``"5e-6"``; both spell the number."""
    models = _load(tmp_path, VALID).models
    assert models["base"].optimization.learning_rate == 5e-6  # type: ignore[union-attr]
    assert models["sft"].optimization.learning_rate == 5e-6  # type: ignore[union-attr]
    assert models["dpo"].optimization.learning_rate == 1e-5  # type: ignore[union-attr]


@given(st.floats(min_value=1e-12, max_value=1e12))
@settings(max_examples=50, deadline=None)
def test_any_spelling_of_a_number_is_the_number(value: float) -> None:
    from primum.experiment.models import Optimization

    for spelled in (value, repr(value), f"{value:.17e}"):
        assert Optimization(learning_rate=spelled, batch=1).learning_rate == value  # type: ignore[arg-type]


# (what is replaced, with what, what the error must say)
REFUSED = [
    ("seed: 3", "sede: 3", "unknown key 'sede'; valid keys: name, title, description, disclaimer, seed, catalogs"),
    ("batch: 2, steps", "batchsize: 2, steps", "models.base.optimization: unknown key 'batchsize'; valid keys: learning_rate"),
    ("{train: sft, from: base", "{train: sft, start: base", "models.sft: unknown key 'start'; valid keys: title, size_class"),
    ("from: base, ", "from: base, lora: {rank: 4}, ", "models.sft.lora: unknown key 'rank'; valid keys: r, alpha, dropout"),
    ("seed: 3", "seed: 3.5", "seed: Input should be a valid integer"),
    ("seed: 3", "seed: -1", "seed: Input should be greater than or equal to 0"),
    ("seed: 3", "seed: true", "seed: Input should be a valid integer"),
    ("5e-6, batch: 2, steps", "fast, batch: 2, steps", "models.base.optimization.learning_rate: is a text where a number"),
    ("5e-6, batch: 2, steps", "true, batch: 2, steps", "models.base.optimization.learning_rate: is a boolean where a"),
    ("5e-6, batch: 2, steps", ".nan, batch: 2, steps", "models.base.optimization.learning_rate: Input should be"),
    ("5e-6, batch: 2, steps", "1e999, batch: 2, steps", "models.base.optimization.learning_rate: Input should be a finite"),
    ("5e-6, batch: 2, steps", "0, batch: 2, steps", "models.base.optimization.learning_rate: Input should be greater than 0"),
    ("train: pretrain", "train: pretraining", "models.base: a model needs 'hub', 'endpoint', or 'train' with one of: "),
    ("kind: harmful", "kind: harmfull", "prompts.harmful.kind: Input should be 'harmful', 'benign' or 'criteria'"),
    ("kind: harmful", "part_of: both, kind: harmful", "prompts.harmful.part_of: String should match pattern"),
    ("kind: harmful", "part_of: Both, kind: criteria", "prompts.harmful: part_of: is of harmful or benign requests; remove it"),
    ("kind: rubric", "kind: rubrik", "judges.harm.kind: Input should be 'rubric', 'refusal', 'refusal-classes'"),
    ("kind: rubric", "kind: criteria", "judges.harm.prompts: 'harmful' is of kind 'harmful', which a judge of kind 'criteria'"),
    ("kind: harmful", "kind: criteria", "judges.harm.prompts: 'harmful' is of kind 'criteria', which a judge of kind 'rubric'"),
    (
        *("kind: rubric, model: gpt,", "kind: criteria, graded: questions, model: gpt,"),
        "judges.harm: a 'criteria' judge has neither 'policies' nor 'graded'",
    ),
    ("model: gpt, ", "", "judges.harm: a 'rubric' judge needs 'model' and 'template'"),
    ("kind: rubric", "kind: refusal", "judges.harm: a 'refusal' judge asks no model: it has neither 'model' nor 'template'"),
    (
        *("template: data/rubric.j2,", "template: data/rubric.j2, published: {dataset: code, policy: x},"),
        "judges.harm: 'published' is for a 'rubric' judge, in the place of 'template' and 'policies'",
    ),
    (
        *("template: data/rubric.j2,", "published: {dataset: requests, policy: x},"),
        "judges.harm.published.dataset: 'requests' has an adapter, so it is no published code: name that",
    ),
    (
        *("template: data/rubric.j2,", "published: {dataset: none, policy: x},"),
        "judges.harm.published.dataset: no dataset 'none'",
    ),
    ("kind: harmful", "kind: harmful, wording: code", "prompts.harmful.wording: no dataset 'code'; there are: corpus, pairs"),
    ("kind: harmful", "kind: harmful, wording: pairs", "prompts.harmful.wording: 'pairs' has an adapter, so it is no"),
    ("kind: harmful", "kind: harmful, wording: code, system: S", "prompts.harmful: 'wording' is of single requests, and has"),
    (
        *("adapter: medqa, ", ""),
        "benchmarks.exam.dataset: 'questions' has no 'adapter' that reads rows of it: give it one",
    ),
    ("5e-6, batch: 2, steps", "5e-6, warmup_ratio: 0.1, warmup_steps: 3, batch: 2, steps", "'warmup_ratio' are two warm-ups"),
    ("name: small", "name: ../small", "name: String should match pattern"),
    ("name: small", "name: Small", "name: String should match pattern"),
    ("name: small", "name: 'a b; rm -rf c'", "name: String should match pattern"),
    ("  exam: {", "  ex/am: {", "benchmarks.ex/am.[key]: String should match pattern"),
    ("path: data/corpus.jsonl", "path: ../secret", "leaves its folder: give a relative path without '..'"),
    ("path: data/corpus.jsonl", "path: /etc/passwd", "leaves its folder: give a relative path without '..'"),
    ("path: data/corpus.jsonl", "path: a, url: 'https://x.org/a'", "file 'a' has a url but no sha256"),
    *(
        (
            "path: data/corpus.jsonl",
            f"path: a, revision: unknown, git: '{address}'",
            "datasets.corpus.files.0.git: expected the https address of a repository, without user and password",
        )
        for address in (
            *("git@github.com:org/name", "http://github.com/org/name", "https://me:secret@github.com/org/name", "-x"),
            *("https://github.com", "https://github.com/../name", "https://github.com/org/name?ref=main", "https://h/a b"),
        )
    ),
    ("path: data/corpus.jsonl", "path: a, git: 'https://h/a'", "file 'a': 'git' and 'revision' belong together"),
    (
        "path: data/corpus.jsonl",
        "path: a, git: 'https://h/a', hub: a/b, revision: unknown",
        "file 'a': 'hub' and 'git' are two repositories: give one",
    ),
    (
        "path: data/corpus.jsonl",
        f"path: a, git: 'https://h/a', revision: unknown, sha256: {'a' * 64}",
        "file 'a' is one of a repository, which has its own checksum",
    ),
    ("corpus: {adapter", "corpus: {git: 'https://h/a', adapter", "datasets.corpus: 'git' and 'revision' belong together"),
    (
        "corpus: {adapter: text, files: [{path: data/corpus.jsonl}]",
        "corpus: {adapter: text, git: 'https://h/a', revision: unknown, "
        f"files: [{{path: a, url: 'https://h/b', sha256: {'a' * 64}}}]",
        "file 'a' has a url, and its dataset a repository: name the repository with each of the others",
    ),
    ("dataset: questions", "dataset: question", "benchmarks.exam.dataset: no dataset 'question'; there are: corpus, pairs"),
    ("models: [sft, dpo]", "models: [sft, dpo-2]", "evaluate.models: no model 'dpo-2'; there are: base, dpo, gpt, sft"),
    ("data: stage-1", "data: stage-2", "models.dpo.data: no preference 'stage-2'; there are: stage-1"),
    ("data: text, optimization: {learning_rate: 5e-6", "data: txt, optimization: {learning_rate: 5e-6", "no mixture 'txt'"),
    ("model: gpt", "model: gtp", "judges.harm.model: no model 'gtp'; there are: base, dpo, gpt, sft"),
    ("train: sft, from: base", "train: sft, from: dpo", "lineage cycle: sft -> dpo -> sft"),
    ("train: sft, from: base", "train: sft, from: sft", "lineage cycle: sft -> sft"),
    ("train: sft, from: base", "train: sft, from: gpt", "models.sft: cannot be trained from 'gpt', a model behind an endpoint"),
    ("seed: 3", "engine: {kind: vllm, batch: true}", "engine: 'batch' is for an endpoint (kind 'openai'): remove it"),
    (", engine: {kind: openai}", "", "models.gpt: an endpoint model needs engine kind 'openai'"),
    ("prompts: [harmful], judges", "prompts: [], judges", "judges.harm.prompts: 'harmful' is not among evaluate.prompts"),
    ("evaluate: {models: [sft, dpo]", "evaluate: {models: []", "evaluate.models: Tuple should have at least 1 item"),
    ("seed: 3", "overrides: {nobody: {resources: {}}}", "overrides.nobody: no model 'nobody'; there are: base"),
    ("seed: 3", "resources: {sfft: {}}", "resources.sfft.[key]: String should match pattern '^(fetch|curate|pretrain"),
    ("seed: 3", "catalogs: shared", "catalogs: expected a list of names"),
    ("seed: 3", "catalogs: [none]", "no such file"),
    ("benchmarks:\n  exam: {dataset: questions}", "benchmarks: 3", "benchmarks: Input should be a valid dictionary"),
]  # fmt: skip


def test_harmful_and_benign_requests_are_no_parts_of_one_set(tmp_path: Path) -> None:
    mixed = VALID.replace(
        "kind: harmful}", "kind: harmful, part_of: Both}\n  ok: {dataset: requests, kind: benign, part_of: Both}"
    )
    assert _load(tmp_path, mixed).prompts["ok"].part_of == "Both", "one of them is not evaluated"
    both = mixed.replace("prompts: [harmful], judges", "prompts: [harmful, ok], judges")
    said = "prompts.ok.part_of: 'Both' would mix benign requests with the harmful ones of 'harmful'"
    assert said in _refusal(tmp_path, both)


@pytest.mark.parametrize(("old", "new", "said"), REFUSED, ids=[f"{new[:30]}" for _, new, _ in REFUSED])
def test_what_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert VALID.count(old) == 1, "the replacement is ambiguous"
    assert said in _refusal(tmp_path, VALID.replace(old, new))


def test_a_model_has_a_family_where_prompts_have_a_wording(tmp_path: Path) -> None:
    """Its own, or that of the model it is trained from."""
    code = VALID.replace("  requests:", "  code: {files: [{path: a.py}]}\n  requests:")
    asked = code.replace("kind: harmful", "kind: harmful, wording: code")
    said = "prompts.harmful.wording: the model 'sft' has no 'family' to be asked as: give it one"
    assert said in _refusal(tmp_path, asked)
    e = _load(tmp_path, asked.replace("base: {train: pretrain", "base: {family: llama2, train: pretrain"))
    assert [e.family_of(name) for name in ("base", "sft", "dpo", "gpt")] == ["llama2", "llama2", "llama2", ""]
    own = asked.replace("base: {train", "base: {family: llama2, train").replace(
        "dpo: {train", "dpo: {family: own, train"
    )
    assert _load(tmp_path, own).family_of("dpo") == "own"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (VALID + "seed: 4\n", "key 'seed' is given twice: remove one"),
        (VALID.replace("beta: 0.1", "beta: 0.1, beta: 0.2"), "line 16: key 'beta' is given twice: remove one"),
        (VALID.replace("  dpo: {train", "  sft: {train"), "line 16: key 'sft' is given twice"),
        ("name: [", "not valid YAML"),
        ("- a\n- b\n", "expected keys and values at the top level"),
        ("", "expected keys and values at the top level"),
        ("? [a, b]\n: c\n", "a key that is no plain value"),
        ("name: *nobody\n", "not valid YAML: found undefined alias"),
        ("when: 2024-99-99\n", "not valid YAML"),
        ("a: " + "[" * 5000, "not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "not valid YAML: could not determine a constructor"),
        ("name: \x00\n", "not valid YAML"),
    ],
    ids=range(12),
)
def test_yaml_that_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PrimumError) as caught:
        load_experiment(str(path), tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(PrimumError, match="UTF-8"):
        load_experiment(str(tmp_path / "small.yaml"), tmp_path)


def test_an_experiment_that_there_is_not(tmp_path: Path) -> None:
    (tmp_path / "config/experiments").mkdir(parents=True)
    (tmp_path / "config/experiments/one.yaml").write_text(VALID)
    with pytest.raises(PrimumError, match="'two': no such experiment; there are: one; or give the path"):
        load_experiment("two", tmp_path)


def test_catalogs_are_merged_and_may_not_clash(tmp_path: Path) -> None:
    catalog = tmp_path / "config/catalog/shared.yaml"
    catalog.parent.mkdir(parents=True)
    catalog.write_text("datasets: {other: {adapter: text, files: [{path: a}]}}\nbenchmarks:\n")
    text = VALID.replace("seed: 3", "catalogs: [shared]")
    assert "other" in _load(tmp_path, text).datasets
    catalog.write_text("datasets: {corpus: {adapter: text, files: [{path: a}]}}\n")
    assert "datasets.corpus is also in catalog 'shared': rename one" in _refusal(tmp_path, text)
    catalog.write_text("dataset: {}\n")
    assert "unknown section 'dataset'; valid: datasets, mixtures" in _refusal(tmp_path, text)
    catalog.write_text("datasets: [a, b]\n")
    assert "datasets: expected names with their entries" in _refusal(tmp_path, text)


def test_a_section_may_be_empty(tmp_path: Path) -> None:
    catalog = tmp_path / "config/catalog/shared.yaml"
    catalog.parent.mkdir(parents=True)
    datasets = yaml.safe_load(VALID)["datasets"]
    catalog.write_text(yaml.safe_dump({"datasets": datasets}))
    document = yaml.safe_load(VALID) | {"datasets": None, "catalogs": ["shared"]}
    assert set(_load(tmp_path, yaml.safe_dump(document)).datasets) == set(datasets)


def test_the_objects_are_frozen(tmp_path: Path) -> None:
    experiment = _load(tmp_path, VALID)
    for thing, name in ((experiment, "seed"), (experiment.models["sft"], "data"), (experiment.evaluate, "models")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(thing, name, "other")


PLAIN = st.none() | st.booleans() | st.floats() | st.text(max_size=8)
NESTED = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = ["models", "datasets", "judges", "evaluate", "overrides", "name"]


@given(st.dictionaries(st.text(max_size=8), NESTED, max_size=5), st.sampled_from(SECTIONS))
@settings(max_examples=150, deadline=None)
def test_no_document_makes_anything_but_one_line(
    tmp_path_factory: pytest.TempPathFactory, part: Any, section: str
) -> None:
    document = yaml.safe_load(VALID) | {section: part}
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8", errors="replace")
    try:
        load_experiment(str(path), path.parent)
    except PrimumError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said


def test_merged_keys_are_no_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("base: &base {a: 1, b: 2}\nother: {<<: *base, b: 3}\n")
    assert read_yaml(path)["other"] == {"a": 1, "b": 3}


def test_judges_of_criteria_need_a_dataset_that_has_some(tmp_path: Path) -> None:
    text = VALID.replace("kind: rubric", "kind: criteria").replace("kind: harmful", "kind: criteria")
    assert "prompts.harmful.dataset: 'requests' has no criteria: use one of the adapter healthbench" in _refusal(
        tmp_path, text
    )
    found = _load(tmp_path, text.replace("adapter: advbench", "adapter: healthbench"))
    scope = Scope(found, tmp_path, "results/small")
    assert (scope.judged(), scope.graders()) == ([], ["harm"])
    assert scope.graded() == [("harm", "sft", "harmful"), ("harm", "dpo", "harmful")]


def test_reading_an_experiment_loads_neither_torch_nor_pandas() -> None:
    code = (
        "import sys, primum.experiment, primum.text.rows, primum.dag.workflow, primum.dag.state, primum.cluster.resources\n"
        "loaded = {'torch', 'pandas', 'transformers', 'numpy.random'} & set(sys.modules)\n"
        "assert not loaded - {'numpy.random'}, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
