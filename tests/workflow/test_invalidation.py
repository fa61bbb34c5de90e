"""What is not in the experiment file: code, locks, catalogs, data files, and what must plan nothing."""

from __future__ import annotations

import ast
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

import pytest
import yaml
from meaning import Document, Meaning, leaves
from project import DEMO, ROOT, Planner

# Stage -> its module, and the rules that run it. Written down here, not read from the package.
STAGES = {
    "fetch": ("primum.curate.fetch", "fetch_dataset"),
    "read": ("primum.curate.read", "read_dataset"),
    "mix": ("primum.curate.mix", "mix_sources"),
    "pairs": ("primum.curate.pairs", "join_pairs"),
    "overlap": ("primum.curate.contamination", "find_overlaps"),
    "pack": ("primum.curate.pack", "pack_chunks"),
    "pretrain": ("primum.train.pretrain", "pretrain_model"),
    "sft": ("primum.train.sft", "sft_model"),
    "reference": ("primum.train.reference", "reference_logprobs"),
    "dpo": ("primum.train.dpo", "dpo_model"),
    "sample": ("primum.prefer.sample", "sample_on-policy-2"),
    "rank": ("primum.prefer.rank", "rank_responses"),
    "rate": ("primum.prefer.rate", "rate_responses"),
    "rewards": ("primum.prefer.rewards", "read_rewards"),
    "pair": ("primum.curate.pairs", "pair_responses"),
    "respond": ("primum.generate.stage", "respond_medical"),
    "assess": ("primum.judge.stage", "assess_harm_medical"),
    "contrast": ("primum.curate.contrast", "contrast_responses"),
    "pair-overlap": ("primum.curate.contamination", "find_pair_overlaps"),
    "generate": ("primum.generate.stage", "generate_responses"),
    "judge": ("primum.judge.stage", "judge_"),
    "grade": ("primum.judge.criteria", "grade_criteria"),
    "agreement": ("primum.judge.stage", "agreement_harm"),
    "verdicts": ("primum.judge.verdicts", "read_verdicts"),
    "score": ("primum.score.stage", "score_benchmarks"),
    "questions": ("primum.score.questions", "write_questions"),
    "answer": ("primum.score.answers", "answer_"),
    "parse": ("primum.score.parse", "parse_answers"),
    "tables": ("primum.tables.stage", "aggregate_tables"),
    "report": ("primum.report.stage", "write_report"),
}
_ANSWERING = {
    "sample",
    "rank",
    "rate",
    "respond",
    "assess",
    "generate",
    "judge",
    "grade",
    "agreement",
    "score",
    "answer",
}
LIBRARIES = {
    "torch": {"pretrain", "sft", "reference", "dpo"} | _ANSWERING,
    "transformers": {"pack", "pretrain", "sft", "reference", "dpo"} | _ANSWERING,
    "trl": {"pack", "pretrain", "sft", "reference", "dpo"},
    "rensa": {"mix"},
    "python-stdnum": {"mix"},
    "jinja2": {"mix", "pack", "report", "questions", "parse"} | _ANSWERING,
    "scipy": {"tables", "report"},
    "numpy": {"tables", "report"},
    "pyarrow": set(STAGES) - {"fetch"},
}
# These run in no job, or only start one: a change in them plans nothing.
OUTSIDE = {
    "__main__",
    "artifact.code",
    "artifact.graph",
    "artifact.heard",
    "artifact.history",
    "artifact.invocation",
    "artifact.machine",
    "artifact.names",
    "artifact.results",
    "artifact.speech",
    "artifact.words",
    "audit",
    "cli",
    "cluster",
    "dag",
    "demo",
    "export",
    "progress",
    "terminal",
    "trace",
    "commands",
    "project",
    "reproduce",
    "run_stage",
    "tracebacks",
    "experiment.schema",
    "curate.snapshot",
    "hub.locked",
    "pins",
    "table4",
    "verify",
    "tables.csv",
    "upkeep",
    # How many processes work together is a resource.
    "parallel.worker",
    "writing",
}
DOCUMENT: Document = yaml.safe_load(DEMO)
MEANING = Meaning(DOCUMENT)
SOURCES = {
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "src" / "primum").rglob("*.py"))
}


def _jobs(stage: str) -> set[str]:
    """The demo's jobs of a stage."""
    rule = STAGES[stage][1]
    every = set(MEANING.readers())
    if stage == "answer":
        return MEANING.answering()
    if stage == "generate":
        return MEANING.generating()
    if stage == "judge":
        return {job for name in MEANING.judges if not MEANING.grades(name) for job in MEANING.judging(name)}
    return {job for job in every if job.split()[0] == rule}


def _closures() -> dict[str, set[str]]:
    """Stage -> the package's modules that it imports, found by the standard library's finder, which reads bytecode."""
    closures = {}
    for stage, (module, _) in STAGES.items():
        finder = ModuleFinder(path=[str(ROOT / "src")])
        finder.import_hook(module, None, ["run"])
        # What only speaks is left out of the digest of the code.
        closures[stage] = {n for n in finder.modules if n.split(".")[0] == "primum"} - {"primum.progress"}
    return closures


@pytest.fixture(scope="module")
def closures() -> dict[str, set[str]]:
    return _closures()


def _file(module: str) -> str:
    return str(SOURCES[module].relative_to(ROOT))


def _with_statement(source: str) -> str:
    return f"{source}\n_CHANGED_BY_A_TEST = 1\n"


def _reworded(source: str) -> str:
    """The same program: other comments, docstrings, quotes, blank lines and line breaks."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            body[0].value = ast.Constant("Said otherwise.")
    return f"# A new comment.\n\n\n{ast.unparse(tree)}\n# And one more.\n"


def _planned_for(planner: Planner, edits: dict[str, str | bytes]) -> tuple[set[str], set[str]]:
    """(jobs whose spec is new, jobs planned) with files replaced."""
    with ExitStack() as stack:
        for name, text in edits.items():
            stack.enter_context(planner.edited(name, text))
        answer = planner.plan()
    return set(answer["stale"]), set(answer["planned"])


def _plan(made: set[str]) -> tuple[set[str], set[str]]:
    """(jobs whose spec is new, jobs planned) where these are to be made anew."""
    return MEANING.jobs(made), MEANING.jobs(MEANING.closure(made))


def _source(planner: Planner, module: str) -> str:
    return (planner.project / _file(module)).read_text(encoding="utf-8")


def _specs(planner: Planner) -> dict[tuple[str, ...], str]:
    """The spec of each job by the manifests that it makes, as the package lists them."""
    return {tuple(paths): spec for _, _, spec, paths in planner.ask("jobs")["jobs"]}


def test_a_statement_in_a_module_plans_the_stages_that_import_it(
    planner: Planner, closures: dict[str, set[str]]
) -> None:
    """Of modules that the same stages import, Snakemake plans one; for the others the package has the same jobs made anew."""
    alike: dict[frozenset[str], list[str]] = {}
    for module in sorted(set().union(*closures.values()) & set(SOURCES)):
        stages = frozenset(stage for stage, modules in closures.items() if module in modules)
        alike.setdefault(stages, []).append(module)
    before, wrong = _specs(planner), []

    def made_anew(module: str) -> dict[tuple[str, ...], bool]:
        with planner.edited(_file(module), _with_statement(_source(planner, module))):
            return {job: spec != before[job] for job, spec in _specs(planner).items()}

    for stages, (first, *others) in alike.items():
        expected = set().union(*(_jobs(stage) for stage in stages))
        stale, planned = _planned_for(planner, {_file(first): _with_statement(_source(planner, first))})
        if (stale, planned) != _plan(expected):
            specs, _ = _plan(expected)
            wrong.append(f"{first}: missing {sorted(specs - stale)}, too many {sorted(stale - specs)}")
        made = made_anew(first)
        wrong += [f"{other}: not the jobs of {first}" for other in others if made_anew(other) != made]
    assert not wrong, "\n".join(wrong)[:4000]


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("primum.train.dpo", {"dpo"}),
        ("primum.train.reference", {"reference"}),
        # A parser that learns another shape asks no judge again.
        ("primum.text.verdict", {"verdicts", "contrast", "rewards"}),
        ("primum.prefer.rewards", {"rewards"}),
        ("primum.prefer.rate", {"rate"}),
        ("primum.prefer.candidates", {"rank", "rate", "rewards"}),
        ("primum.text.judgement", {"verdicts", "contrast"}),
        ("primum.judge.verdicts", {"verdicts"}),
        # The phrases are checked on labels where tables are made.
        ("primum.text.refusal", {"verdicts", "contrast", "tables", "report"}),
        ("primum.judge.stage", {"judge", "assess", "agreement"}),
        ("primum.text.answer_line", {"judge", "assess", "agreement", "rate"}),
        ("primum.text.met", {"tables", "report"}),  # verdicts are read for nothing
        ("primum.text.criteria", {"generate", "respond", "contrast", "grade"}),
        ("primum.judge.criteria", {"grade"}),
        ("primum.text.audit", {"pack", "reference"}),
        ("primum.score.loglikelihood", {"score"}),
        ("primum.score.contaminated", {"score", "parse"}),
        ("primum.score.answers", {"answer"}),
        # What reads an answer asks no model again, nor does what writes the questions.
        ("primum.score.flexible", {"parse"}),
        ("primum.score.strict", {"parse"}),
        ("primum.text.thinking", {"parse", "verdicts", "contrast", "rewards"}),
        ("primum.score.filters", {"questions", "parse"}),
        ("primum.score.documents", {"questions", "parse", "score"}),
        ("primum.engine.transformers_engine", _ANSWERING - {"score"}),
        ("primum.curate.contrast", {"contrast"}),
        ("primum.curate.overlap", {"mix", "overlap", "pair-overlap"}),
        ("primum.score.prefix", {"score"}),
        ("primum.curate.adapters.choice", {"read"}),
        ("primum.tables.statistics", {"tables", "report"}),
        ("primum.tables.averages", {"tables", "report"}),
        ("primum.tables.cells", {"report"}),
        ("primum.report.svg", {"report"}),
        ("primum.artifact.weights", {"sft", "reference", "dpo", "rank", "score"}),
        ("primum.parallel.logprobs", {"reference", "rank"}),
        ("primum.prefer.pairrm", {"rank"}),
        ("primum.text.prompts", {"sample", "generate", "respond", "contrast"}),
        ("primum.artifact.table", set(STAGES)),
        ("primum.errors", set(STAGES)),
    ],
)
def test_the_closures_of_known_modules(closures: dict[str, set[str]], module: str, stages: set[str]) -> None:
    assert {stage for stage, modules in closures.items() if module in modules} == stages


def test_modules_outside_every_stage_plan_nothing(planner: Planner, closures: dict[str, set[str]]) -> None:
    inside = set().union(*closures.values())
    outside = set(SOURCES) - inside
    tops = {name.removeprefix("primum.") for name in outside}
    assert {name for name in tops if name.split(".")[0] not in OUTSIDE} <= OUTSIDE
    edits: dict[str, str | bytes] = {_file(name): _with_statement(_source(planner, name)) for name in outside}
    assert _planned_for(planner, edits) == (set(), set())


def test_comments_docstrings_and_formatting_plan_nothing(planner: Planner) -> None:
    edits: dict[str, str | bytes] = {_file(name): _reworded(_source(planner, name)) for name in SOURCES}
    assert _planned_for(planner, edits) == (set(), set())


def test_the_pages_template_plans_the_report(planner: Planner) -> None:
    name = "src/primum/report/page.html.j2"
    text = (planner.project / name).read_text(encoding="utf-8")
    assert _planned_for(planner, {name: text + "\n<!-- new -->\n"}) == ({"write_report"}, {"write_report"})


# Locks --------------------------------------------------------------------------------------------------------------


def _bumped(planner: Planner, library: str) -> dict[str, str | bytes]:
    """Every lock with another version of ``library``."""
    edits: dict[str, str | bytes] = {}
    for path in sorted((planner.project / "envs").glob("*.lock")):
        lines = path.read_text(encoding="utf-8").splitlines()
        new = [f"{library}==999.0" if line.split("==")[0].lower() == library else line for line in lines]
        edits[str(path.relative_to(planner.project))] = "\n".join(new) + "\n"
    return edits


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_locked_version_plans_the_stages_that_use_it(planner: Planner, library: str) -> None:
    stages = LIBRARIES[library]
    expected = set().union(*(_jobs(stage) for stage in stages))
    stale, planned = _planned_for(planner, _bumped(planner, library))
    assert (stale, planned) == _plan(expected)


def test_libraries_that_change_no_result_plan_nothing(planner: Planner) -> None:
    for library in ("snakemake", "httpx", "pydantic"):
        assert _planned_for(planner, _bumped(planner, library)) == (set(), set())


def test_comments_in_a_lock_plan_nothing(planner: Planner) -> None:
    path = planner.project / "envs/cpu.lock"
    pins = [line for line in path.read_text(encoding="utf-8").splitlines() if "==" in line]
    text = "# Another comment.\n" + "\n".join(f"{pin}\n    # via somebody" for pin in reversed(pins)) + "\n"
    assert _planned_for(planner, {"envs/cpu.lock": text}) == (set(), set())


# Swapped values, order and spelling ---------------------------------------------------------------------------------


def _swapped(path: tuple[str, ...], one: str, other: str) -> Document:
    document: Any = yaml.safe_load(DEMO)
    place = document
    for key in path:
        place[key] = dict(place[key])  # no longer shared with other models by an anchor
        place = place[key]
    assert place[one] != place[other]
    place[one], place[other] = place[other], place[one]
    return document


@pytest.mark.parametrize(
    ("path", "one", "other", "expected"),
    [
        (("models", "sft", "optimization"), "learning_rate", "weight_decay", {"sft_model sft"}),
        (("models", "base", "architecture"), "hidden_size", "intermediate_size", {"pretrain_model base"}),
        (("models", "dpo-1", "optimization"), "learning_rate", "warmup_ratio", {"dpo_model dpo-1"}),
    ],
)
def test_two_values_that_change_places(
    planner: Planner, path: tuple[str, ...], one: str, other: str, expected: set[str]
) -> None:
    document = _swapped(path, one, other)
    with planner.experiment(document) as given:
        answer = planner.ask("plan", config={"experiment": given})
    assert (set(answer["stale"]), set(answer["planned"])) == _plan(expected)


def test_learning_rate_and_beta_change_places(planner: Planner) -> None:
    document: Any = yaml.safe_load(DEMO)
    model = document["models"]["dpo-2"]
    optimization = dict(model["optimization"])
    rate, optimization["learning_rate"] = optimization["learning_rate"], model["beta"]
    model.update(beta=rate, optimization=optimization)
    with planner.experiment(document) as given:
        answer = planner.ask("plan", config={"experiment": given})
    assert set(answer["stale"]) == {"dpo_model dpo-2", "rank_responses on-policy-2"}


def _backwards(value: Any, path: tuple[Any, ...] = ()) -> Any:
    """Every mapping's keys the other way round, but for a mixture's sources, whose order is that of the mixture."""
    if isinstance(value, dict):
        ordered = len(path) == 3 and path[0] == "mixtures" and path[2] == "sources"
        keys = list(value) if ordered else list(reversed(value))
        return {key: _backwards(value[key], (*path, key)) for key in keys}
    return (
        [_backwards(entry, (*path, index)) for index, entry in enumerate(value)] if isinstance(value, list) else value
    )


def test_the_order_of_keys_and_the_spelling_of_numbers_plan_nothing(planner: Planner) -> None:
    text = yaml.safe_dump(_backwards(DOCUMENT), sort_keys=False, default_flow_style=True, width=40)
    with planner.edited("config/experiments/demo.yaml", "# Written otherwise.\n" + text):
        answer = planner.ask("plan")
    assert (answer["planned"], answer["stale"]) == ([], [])
    document = yaml.safe_load(DEMO)
    for model in document["models"].values():
        rate = model["optimization"] = dict(model["optimization"])
        rate["learning_rate"] = str(float(rate["learning_rate"]))
    with planner.experiment(document) as given:
        assert planner.planned(config={"experiment": given}) == set()


def test_the_order_of_a_mixtures_sources_is_part_of_it(planner: Planner) -> None:
    document = yaml.safe_load(DEMO)
    sources = document["mixtures"]["safety"]["sources"]
    document["mixtures"]["safety"]["sources"] = dict(reversed(sources.items()))
    with planner.experiment(document) as given:
        answer = planner.ask("plan", config={"experiment": given})
    assert (set(answer["stale"]), set(answer["planned"])) == _plan({"mix_sources safety"})
    assert not {"pack_chunks sft", "sft_model medical", "dpo_model dpo-1"} & set(answer["planned"])


def test_a_comment_in_the_snakefile_and_the_rules_plans_nothing(planner: Planner) -> None:
    names = ["Snakefile", *(str(path.relative_to(planner.project)) for path in planner.project.glob("rules/*.smk"))]
    edits: dict[str, str | bytes] = {
        name: (planner.project / name).read_text(encoding="utf-8") + "\n# new\n" for name in names
    }
    assert _planned_for(planner, edits) == (set(), set())


# Catalogs and data files --------------------------------------------------------------------------------------------

CATALOG_NAME = "config/catalog/demo-datasets.yaml"
CATALOG: Document = yaml.safe_load((ROOT / CATALOG_NAME).read_text(encoding="utf-8"))
DATASETS = {job.split()[1] for job in MEANING.readers() if job.startswith("fetch_dataset ")}


def _catalog_changes() -> dict[str, tuple[Document, set[str]]]:
    """Every key of one used dataset of each adapter, changed alone: the file and the jobs that the key belongs to."""
    changes = {}
    chosen = {CATALOG["datasets"][name]["adapter"]: name for name in sorted(DATASETS, reverse=True)}
    chosen |= {str(entry["options"]): name for name, entry in CATALOG["datasets"].items() if entry.get("options")}
    for name in sorted(set(chosen.values()) & DATASETS):
        for path, value in leaves(CATALOG["datasets"][name]):
            if path[0] == "files" and path[1]:
                continue  # as the first one
            if value in ("healthbench", "xstest_completions"):
                continue  # no other adapter has criteria, or classes of refusal, so that one is refused
            document: Any = yaml.safe_load((ROOT / CATALOG_NAME).read_text(encoding="utf-8"))
            place = document["datasets"][name]
            for key in path[:-1]:
                place = place[key]
            shipped = "data/demo/corpus.jsonl" if value != "data/demo/corpus.jsonl" else "data/demo/xstest.csv"
            place[path[-1]] = shipped if path[0] == "files" else value + 1 if isinstance(value, int) else f"{value}2"
            own = {
                "files": {f"fetch_dataset {name}"},
                "adapter": {f"read_dataset {name}"},
                "options": {f"read_dataset {name}"},
                "license": MEANING.licensed(name),
            }
            changes[f"{name}.{'.'.join(map(str, path))}"] = (document, own.get(path[0], set()))
    return changes


def test_each_key_of_a_catalog(planner: Planner) -> None:
    wrong = []
    said_only = []
    for name, (document, expected) in _catalog_changes().items():
        if not expected:
            said_only.append(name)
            continue
        stale, planned = _planned_for(planner, {CATALOG_NAME: yaml.safe_dump(document, sort_keys=False)})
        if (stale, planned) != _plan(expected):
            wrong.append(f"{name}: specs {sorted(stale)}, plan of {len(planned)} jobs")
    assert not wrong, "\n".join(wrong)
    assert {name.rsplit(".")[-1] for name in said_only} == {"title", "license"}
    document = yaml.safe_load((ROOT / CATALOG_NAME).read_text(encoding="utf-8"))
    for name, entry in document["datasets"].items():
        entry.update(title="Another title", citation="Somebody", sensitive=True)
        if not MEANING.licensed(name):
            entry.update(license="Another licence")
    assert _planned_for(planner, {CATALOG_NAME: yaml.safe_dump(document)}) == (set(), set())


def test_an_edit_of_a_shipped_file_plans_the_datasets_that_are_made_of_it(planner: Planner) -> None:
    for name in ("data/demo/xstest.csv", "data/demo/corpus.jsonl"):
        made = {d for d in DATASETS if any(file["path"] == name for file in CATALOG["datasets"][d]["files"])}
        expected = {f"fetch_dataset {dataset}" for dataset in made}
        content = (planner.project / name).read_bytes()
        stale, planned = _planned_for(planner, {name: content + b"\n"})
        assert (stale, planned) == _plan(expected)


def test_a_word_in_a_canary_asks_about_the_canaries(planner: Planner) -> None:
    name = "data/canaries/responses.yaml"
    text = (planner.project / name).read_text(encoding="utf-8")
    stale, planned = _planned_for(planner, {name: text.replace("thanks a nurse", "thanks a doctor")})
    assert (stale, planned) == _plan(MEANING.agreeing("harm") | MEANING.reading())


def test_a_word_in_a_rubric_plans_what_it_asks(planner: Planner) -> None:
    name = DOCUMENT["judges"]["harm"]["template"]
    text = (planner.project / name).read_text(encoding="utf-8")
    expected = MEANING.owners(("judges", "harm", "template"))
    stale, planned = _planned_for(planner, {name: text + " Please."})
    assert (stale, planned) == _plan(expected)


# Times and metadata -------------------------------------------------------------------------------------------------


@contextmanager
def touched(path: Path) -> Iterator[None]:
    """``path`` as if it had been written now."""
    status = path.stat()
    os.utime(path)
    try:
        yield
    finally:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_touched_files_plan_nothing(planner: Planner) -> None:
    for path in planner.project.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts and "results" not in path.parts:
            os.utime(path)
    assert planner.planned() == set()
    with touched(planner.project / "results/demo/models/base/manifest.json"):
        assert planner.planned() == set()  # newer than what was made from it, but with the content that was recorded


def test_lost_metadata(planner: Planner, tmp_path: Path) -> None:
    """Without Snakemake's memory the manifests still tell: nothing is planned until a spec changes."""
    shutil.move(planner.project / ".snakemake/metadata", tmp_path / "metadata")
    try:
        assert planner.planned() == set()
        document = _swapped(("models", "sft", "optimization"), "learning_rate", "weight_decay")
        with planner.experiment(document) as given:
            assert planner.planned(config={"experiment": given}) == MEANING.jobs(MEANING.closure({"sft_model sft"}))
        # What was touched is still what it was.
        with touched(planner.project / "results/demo/models/base/manifest.json"):
            assert planner.planned() == set()
    finally:
        shutil.rmtree(planner.project / ".snakemake/metadata", ignore_errors=True)
        shutil.move(tmp_path / "metadata", planner.project / ".snakemake/metadata")
    assert planner.planned() == set()


def test_a_damaged_manifest_is_made_again(planner: Planner) -> None:
    name = "results/demo/scores/sft/medqa.json"
    text = (planner.project / name).read_text(encoding="utf-8")
    for damaged in (text[: len(text) // 2], text.replace('"stage": "score"', '"stage": "scorf"'), ""):
        with planner.edited(name, damaged):
            assert planner.planned() == MEANING.jobs(MEANING.closure({"score_benchmarks sft"}))


# What was asked for by hand -----------------------------------------------------------------------------------------


def test_refresh_plans_the_stage_and_its_readers(planner: Planner) -> None:
    dpo = _jobs("dpo") | _jobs("reference")
    assert planner.planned(config={"refresh": "dpo"}) == MEANING.jobs(MEANING.closure(dpo))
    one = {"dpo_model dpo-3", "reference_logprobs dpo-3"}
    assert planner.planned(config={"refresh": "dpo:dpo-3"}) == MEANING.jobs(MEANING.closure(one))
    both = {"generate_responses base", "conversations base", *_jobs("report")}
    assert planner.planned(config={"refresh": "generate:base,report"}) == MEANING.jobs(MEANING.closure(both))
    assert planner.planned(config={"refresh": "judge:refusal"}) == MEANING.jobs(MEANING.closure(MEANING.reading()))


def test_snakemakes_own_ways_to_force(planner: Planner) -> None:
    assert planner.planned(forcerun=["sft_model"]) == MEANING.jobs(MEANING.closure(_jobs("sft")))
    assert planner.planned(forceall=True) == set(MEANING.together())


def test_a_stage_is_a_target(planner: Planner) -> None:
    target = planner.ask("plan", targets=["sft"], forceall=True)["planned"]
    assert set(_jobs("sft")) <= set(target)
    assert not any(job.startswith(("dpo_model", "generate_", "aggregate_")) for job in target)
