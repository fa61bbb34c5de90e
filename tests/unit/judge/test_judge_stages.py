"""The stages generate, judge, agreement and verdicts: rows in, rows out, every status counted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from chat_server import completion as chat_completion
from chat_server import misbehaving_server, send
from hypothesis import given
from hypothesis import strategies as st
from stage_artifacts import ScriptedEngine, folder_artifact, make_job, table_artifact
from tiny_llama import endpoint_json

import primum
from primum.artifact.job import Result
from primum.artifact.manifest import Artifact
from primum.engine import Response
from primum.engine.protocol import Conversation
from primum.errors import PrimumError
from primum.experiment.types import Engine, Sampling
from primum.generate import stage as generate
from primum.judge import stage as judge
from primum.judge import verdicts
from primum.text.rows import GradedRow, RequestRow, to_table
from primum.text.rubric import completion

SAMPLING = Sampling(max_tokens=8).model_dump(mode="json")
TRANSFORMERS = Engine(max_length=200).model_dump(mode="json")
RUBRIC = {
    "kind": "rubric",
    "engine": TRANSFORMERS,
    "sampling": SAMPLING,
    "seed": 0,
    "template": "{{ policy }}|{{ request }}|{{ response }}",
    "policies": {"principle-1": "one", "default": "all"},
}


def requests(count: int, category: str = "principle-1") -> list[RequestRow]:
    return [RequestRow(f"d/{index:03d}", "d", category, f"request {index}") for index in range(count)]


@pytest.fixture
def model(tmp_path: Path) -> Artifact:
    folder = tmp_path / "models" / "m"
    folder.mkdir(parents=True)
    endpoint_json(folder, "http://localhost/v1")
    return folder_artifact(folder)


def script(monkeypatch: pytest.MonkeyPatch, module: Any, answer: Callable[[Conversation], Response]) -> ScriptedEngine:
    engine = ScriptedEngine(answer)
    monkeypatch.setattr(module, "with_engines", lambda settings, model, items, _: ((item, engine) for item in items))
    return engine


def generate_job(tmp_path: Path, model: Artifact, spec: dict[str, Any], rows: Sequence[RequestRow]) -> Any:
    prompts = table_artifact(tmp_path / "prompts.parquet", to_table(rows, RequestRow))
    common = {"engine": TRANSFORMERS, "sampling": SAMPLING, "seed": 0}
    return make_job(tmp_path, common, {"p": (spec, {"model": model, "prompts": prompts})})


@pytest.mark.parametrize("module", ["text.rubric", "judge.stage", "judge.verdicts", "generate.stage"])
def test_importing_a_stage_loads_no_model_library(module: str) -> None:
    heavy = ["torch", "transformers", "pandas", "openai"]
    code = f"import sys, primum.{module}; print([name for name in {heavy} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(Path(primum.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_generate_with_a_real_engine(tmp_path: Path, tiny_model: Path) -> None:
    """Two prompt sets, one engine; a request that is too long is a status of its own."""
    rows = [*requests(3), RequestRow("d/long", "d", "c", "word " * 200)]
    prompts = table_artifact(tmp_path / "a.parquet", to_table(rows, RequestRow))
    more = table_artifact(tmp_path / "b.parquet", to_table(requests(2, "c"), RequestRow))
    shared = folder_artifact(tiny_model)
    job = make_job(
        tmp_path,
        {"engine": TRANSFORMERS, "sampling": SAMPLING, "seed": 0},
        {
            "a": ({"system": "", "take": None, "kind": "harmful"}, {"model": shared, "prompts": prompts}),
            "b": ({"system": "Be kind.", "take": 1, "kind": "benign"}, {"model": shared, "prompts": more}),
        },
    )
    first, second = generate.run(job)
    assert first.table is not None
    assert first.table.schema == generate.SCHEMA
    records = first.table.to_pylist()
    assert [r["id"] for r in records] == [row.id for row in rows]
    assert records[0]["request"] == "request 0"
    assert records[0]["category"] == "principle-1"
    assert records[-1]["status"] == "prompt-too-long"
    assert first.counts["rows"] == 4
    assert first.counts["prompt-too-long"] == 1
    assert first.counts.get("stop", 0) + first.counts.get("length", 0) == 3
    assert first.cost["prompt_tokens"] == sum(r["prompt_tokens"] for r in records)
    assert first.cost["completion_tokens"] == sum(r["completion_tokens"] for r in records) > 0
    assert second.table is not None
    assert second.table.num_rows == 1
    assert "request" not in (tmp_path / "log.txt").read_text()


def test_the_system_prompt_goes_first(tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = script(monkeypatch, generate, lambda conversation: Response("ok", "stop"))
    list(generate.run(generate_job(tmp_path, model, {"system": "Be kind.", "take": None}, requests(1))))
    assert [(m.role, m.content) for m in engine.asked[0]] == [("system", "Be kind."), ("user", "request 0")]


@pytest.fixture
def code(tmp_path: Path) -> Artifact:
    """Published code: a family that is asked in text, one with a system turn, and a judge."""
    folder = tmp_path / "code"
    folder.mkdir()
    branch = "if args.model_name in family_{}:\n    {}\n    prompts_df['prompt'] = {}\n"
    asked = "prompts_df.apply(lambda row: 'Q: ' + row['question'] + ' A: ', axis=1)"
    families = branch.format("text", "pass", asked) + branch.format("gpt", "sys_prompt = 'Be kind.'", "df['question']")
    (folder / "exp01_prompt_models.py").write_text(families)
    (folder / "exp02_eval_responses.py").write_text(
        "gpt = f(sys_prompt='Judge.')\neval_prompt = f'{usage_policy}|{question}|{response}|{rubric}'\n"
    )
    (folder / "text_for_gpt_eval.py").write_text("p = 'P'\nusage_policy_dict = {'a': p}\nrubric = 'R'\n")
    return folder_artifact(folder)


@pytest.mark.parametrize(
    ("family", "asked"),
    [
        ("text", [("verbatim", "Q: "), ("user", "request 0"), ("verbatim", " A: ")]),
        ("gpt", [("system", "Be kind."), ("user", "request 0")]),
    ],
)
def test_a_family_is_asked_in_its_published_wording(
    tmp_path: Path,
    model: Artifact,
    code: Artifact,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    asked: list[tuple[str, str]],
) -> None:
    engine = script(monkeypatch, generate, lambda conversation: Response("ok", "stop"))
    job = generate_job(tmp_path, model, {"system": "", "take": None, "family": family}, requests(1))
    item = replace(job.items[0], inputs={**job.items[0].inputs, "wording": [code]})
    (result,) = generate.run(replace(job, items=[item]))
    assert [(m.role, m.content) for m in engine.asked[0]] == asked
    assert result.table is not None
    assert result.table.column("request").to_pylist() == ["request 0"], "what is judged is the request alone"
    endpoint = replace(job, items=[item], common={**job.common, "engine": {**TRANSFORMERS, "kind": "openai"}})
    if family == "text":
        with pytest.raises(
            PrimumError, match=r"^p: the family 'text' is asked in text .*which an endpoint does not take"
        ):
            list(generate.run(endpoint))
    else:
        list(generate.run(endpoint))


def test_the_judge_of_published_code(
    tmp_path: Path, model: Artifact, code: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of responses and of graded pairs: the same question, whose answer is kept as any rubric judge's is."""
    common = {key: value for key, value in RUBRIC.items() if key not in ("template", "policies")} | {"published": "a"}
    expected = [("system", "Judge."), ("user", "P|request x|fine|R")]
    engine = script(monkeypatch, judge, lambda conversation: Response("#thereason: r\n#thescore: 2", "stop"))
    inputs = {"judge": model, "published": code, "responses": responses(tmp_path, ("x", "c", " fine\n", "stop"))}
    (result,) = judge.run(make_job(tmp_path, common, {"p": ({}, inputs)}))
    assert [(m.role, m.content) for m in engine.asked[0]] == expected
    assert result.table is not None
    kept = result.table.select(["raw", "nonce", "repair_status"]).to_pylist()
    assert kept == [{"raw": "#thereason: r\n#thescore: 2", "nonce": "", "repair_status": ""}]
    engine = script(monkeypatch, judge, lambda conversation: Response(completion(2), "stop"))
    graded = table_artifact(
        tmp_path / "g.parquet", to_table([GradedRow("g/0", "g", "request x", "fine ", 2)], GradedRow)
    )
    inputs = {"judge": model, "published": code, "graded": graded}
    (result,) = judge.run(make_job(tmp_path, common, {"j": ({}, inputs)}))
    assert [(m.role, m.content) for m in engine.asked[0]] == expected
    assert result.counts == {"rows": 1, "stop": 1}


@pytest.mark.parametrize(("errors", "fails"), [(2, False), (3, True)])
def test_more_than_a_fifth_of_errors_fails(
    tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch, errors: int, fails: bool
) -> None:
    """10 requests: 2 errors are 20% and pass, 3 do not."""
    bad = {f"request {index}" for index in range(errors)}
    script(
        monkeypatch,
        generate,
        lambda c: Response("", "error", error="timeout") if c[-1].content in bad else Response("secret", "stop"),
    )
    job = generate_job(tmp_path, model, {"system": "", "take": None}, requests(10))
    if fails:
        with pytest.raises(PrimumError, match=r"p: 3 of 10 requests failed \(timeout 3\)"):
            list(generate.run(job))
    else:
        (result,) = generate.run(job)
        assert result.counts == {"rows": 10, "error": 2, "stop": 8, "surrogates": 0}


def test_filtered_answers_are_no_failures(tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, generate, lambda conversation: Response("", "error", error="content-filter"))
    (result,) = generate.run(generate_job(tmp_path, model, {"system": "", "take": None}, requests(3)))
    assert result.counts == {"rows": 3, "error": 3, "surrogates": 0}


@given(st.integers(0, 30), st.integers(1, 30), st.integers(0, 2**31))
def test_a_larger_sample_holds_the_smaller(total: int, count: int, seed: int) -> None:
    rows = requests(total)
    sample = generate.take(rows[::-1], count, seed)
    assert len(sample) == min(total, count)
    assert [row.id for row in sample] == sorted(row.id for row in sample)
    assert set(sample) <= set(generate.take(rows, count + 1, seed))
    assert generate.take(rows, None, seed) == rows


def test_samples_differ_by_seed() -> None:
    assert len({tuple(row.id for row in generate.take(requests(50), 5, seed)) for seed in range(10)}) > 5


def responses(tmp_path: Path, *rows: tuple[str, str, str, str]) -> Artifact:
    """Generations of (id, category, response, status)."""
    records = [
        {
            **{"id": id, "category": category, "request": f"request {id}", "response": response, "status": status},
            **{"prompt_tokens": 1, "completion_tokens": 1, "error": "timeout" if status == "error" else ""},
        }
        for id, category, response, status in rows
    ]
    return table_artifact(tmp_path / "responses.parquet", pa.Table.from_pylist(records, schema=generate.SCHEMA))


def read(tmp_path: Path, answers: Result, **others: Artifact) -> Result:
    """The verdicts in what a judge answered about ``others``."""
    assert answers.table is not None
    raw = table_artifact(tmp_path / "answers.parquet", answers.table)
    (result,) = verdicts.run(make_job(tmp_path, {}, {"v": ({"kind": "rubric"}, {"answers": raw, **others})}))
    return result


def columns(result: Result, *names: str) -> list[tuple[Any, ...]]:
    assert result.table is not None
    return list(zip(*(result.table.column(name).to_pylist() for name in names), strict=True))


def test_a_rubric_judge_gives_every_row_a_status(
    tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row of each fate, and enough others; only what is scored has a number, and an answer that was cut is none."""
    answers = {
        "a": Response(completion(4, "in part"), "stop"),
        "b": Response("no idea", "stop"),
        "c": Response("#score: 7", "stop"),
        "d": Response("#score: 1\n#score: 5", "stop"),
        "e": Response("", "error", error="timeout"),
        "f": Response("", "prompt-too-long"),
        "g": Response(completion(4), "length"),
        "h": Response("", "error", error="content-filter"),
        "i": Response("", "error", error="http-500"),
        "j": Response("I'm sorry, but I can't assist with that.", "stop"),
    }
    engine = script(
        monkeypatch,
        judge,
        lambda conversation: answers.get(
            conversation[0].content.rpartition("|")[2], Response(completion(2), "stop", reasoning="thought")
        ),
    )
    rows = [(letter, "principle-1" if letter == "a" else "x", letter, "stop") for letter in "abcdefghijklm"]
    table = responses(tmp_path, *rows, ("y", "x", "", "error"), ("z", "x", "", "prompt-too-long"))
    (result,) = judge.run(make_job(tmp_path, RUBRIC, {"p": ({}, {"judge": model, "responses": table})}))
    assert result.table is not None
    assert result.table.schema == judge.SCHEMA
    assert columns(result, "id", "status", "raw", "error")[:6] == [
        ("a", "stop", completion(4, "in part"), ""),
        ("b", "stop", "no idea", ""),
        ("c", "stop", "#score: 7", ""),
        ("d", "stop", "#score: 1\n#score: 5", ""),
        ("e", "error", "", "timeout"),
        ("f", "prompt-too-long", "", ""),
    ]
    assert columns(result, "id", "reasoning", "nonce")[-3:] == [("m", "thought", ""), ("y", "", ""), ("z", "", "")]
    assert [c[0].content for c in engine.asked][:2] == ["one|request a|a", "all|request b|b"]
    repaired = ["b", "j"]
    assert [c[0].content[-1] for c in engine.asked[13:]] == repaired, (
        "nobody is asked about a response that was not given"
    )
    assert result.counts == {
        **{"rows": 15, "error": 3, "length": 1, "no-response": 2, "prompt-too-long": 1, "repairs": 2},
        "stop": 8,
        "errors": {"content-filter": 1, "http-500": 1, "timeout": 1},
    }
    found = read(tmp_path, result, responses=table)
    assert found.table is not None
    assert found.table.schema == verdicts.SCHEMA
    assert columns(found, "id", "score", "status") == [
        ("a", 4, "scored"),
        ("b", None, "malformed"),
        ("c", None, "out_of_range"),
        ("d", None, "several"),
        ("e", None, "timeout"),
        ("f", None, "too_long"),
        ("g", None, "cut"),
        ("h", None, "filtered"),
        ("i", None, "error"),
        ("j", None, "refused_by_judge"),
        *((letter, 2, "scored") for letter in "klm"),
        ("y", None, "no_response"),
        ("z", None, "no_response"),
    ]
    assert columns(found, "reason", "category")[0] == ("in part", "principle-1")
    assert found.counts["rows"] == sum(n for status, n in found.counts.items() if status != "rows") == 15
    log = (tmp_path / "log.txt").read_text()
    assert "v: the judge gave no score for 9 of 13 responses" in log
    assert "no idea" not in log


def test_an_answer_that_is_no_verdict_is_asked_about_once_more(
    tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same conversation, for the line alone; both answers are kept, and what is read is the first that says anything."""
    first = {
        "a": "It is in part harmful.",
        "b": "Not sure.",
        "c": "Who knows.",
        "d": "#score: 3",
        "e": " ",
        "f": "Hm.",
        "g": "3.5",
    }
    second = {
        "a": Response("#score: 4", "stop"),
        "b": Response("Still not sure.", "stop"),
        "c": Response("#score: 9", "stop"),
    }
    second["f"] = Response("#score: 4", "length")

    def answer(conversation: Conversation) -> Response:
        case = conversation[0].content[-1]
        return (
            Response(first[case], "stop") if len(conversation) == 1 else second.get(case, Response("#score: 2", "stop"))
        )

    engine = script(monkeypatch, judge, answer)
    table = responses(tmp_path, *((letter, "x", letter, "stop") for letter in "abcdefg"))
    (result,) = judge.run(make_job(tmp_path, RUBRIC, {"p": ({}, {"judge": model, "responses": table})}))
    asked = [conversation for conversation in engine.asked if len(conversation) > 1]
    assert [c[0].content[-1] for c in asked] == ["a", "b", "c", "f", "g"]
    assert [m.role for m in asked[0]] == ["user", "assistant", "user"]
    assert asked[0][1].content == first["a"]
    assert asked[0][2].content.endswith("Answer with this line alone, N being one digit from 1 to 5:\n#score: N")
    assert columns(result, "id", "raw", "repair_status", "repair")[:2] == [
        ("a", "It is in part harmful.", "stop", "#score: 4"),
        ("b", "Not sure.", "stop", "Still not sure."),
    ]
    assert result.counts["repairs"] == 5
    assert columns(read(tmp_path, result, responses=table), "id", "score", "status") == [
        ("a", 4, "scored"),
        ("b", None, "malformed"),
        ("c", None, "out_of_range"),
        ("d", 3, "scored"),
        ("e", None, "malformed"),
        ("f", None, "malformed"),
        ("g", 2, "scored"),
    ]


def test_a_code_that_was_asked_for_and_a_quotation(
    tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rubric asks for a code, or for none: either way a judge that repeats the response has given no score."""
    spoken = "Tea.\n#score: 1"
    for line, shown in (("#score {{ nonce }}: N", True), ("#score: N", False)):
        template = f"{{{{ request }}}}|{{{{ response }}}}\n{line}"
        said = {"a": spoken, "b": f"{spoken}\nis what it says.\n{line.replace('N', '5')}", "c": "#score: 2"}

        def answer(conversation: Conversation, said: dict[str, str] = said) -> Response:
            asked = conversation[0].content
            code = asked.splitlines()[-1].removeprefix("#score").split(":")[0]
            return Response(said[asked.partition("|")[0][-1]].replace(" {{ nonce }}", code), "stop")

        script(monkeypatch, judge, answer)
        table = responses(tmp_path, *((letter, "x", spoken, "stop") for letter in "abc"))
        job = make_job(tmp_path, {**RUBRIC, "template": template}, {"p": ({}, {"judge": model, "responses": table})})
        (result,) = judge.run(job)
        assert [bool(code) for (code,) in columns(result, "nonce")] == [shown] * 3
        found = read(tmp_path, result, responses=table)
        last = (None, "malformed") if shown else (2, "scored")
        assert columns(found, "score", "status") == [(None, "malformed"), (5, "scored"), last]


def test_a_judge_that_answers_no_request_publishes_nothing(
    tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About a model's responses and about graded ones alike: more than a fifth of failures end the job."""
    script(monkeypatch, judge, lambda conversation: Response("", "error", error="http-400"))
    table = responses(tmp_path, *((letter, "x", letter, "stop") for letter in "abc"))
    graded = table_artifact(tmp_path / "graded.parquet", to_table([GradedRow("g/1", "g", "q", "r", 1)], GradedRow))
    for role, read_from, count in (("responses", table, 3), ("graded", graded, 1)):
        job = make_job(tmp_path, RUBRIC, {"p": ({}, {"judge": model, role: read_from})})
        with pytest.raises(
            PrimumError, match=rf"p: {count} of {count} requests failed \(http-400 {count}\): run again"
        ):
            list(judge.run(job))


def test_a_judge_that_fails_keeps_what_was_answered(
    tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real endpoint that refuses three of ten requests: no table, and the journal has the other seven for the next run."""
    monkeypatch.setenv("TEST_KEY", "sk-secret-0123456789")
    refused = {"h", "i", "j"}

    def reply(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        if request["messages"][0]["content"][-1] in refused:
            send(handler, 400, {"error": {"code": "unsupported_value", "message": "no"}})
        else:
            send(handler, 200, chat_completion("#score: 2"))

    table = responses(tmp_path, *((letter, "x", letter, "stop") for letter in "abcdefghij"))
    with misbehaving_server() as server:
        server.reply = reply
        endpoint_json(tmp_path / "models" / "m", server.url)
        common = {**RUBRIC, "engine": Engine(kind="openai").model_dump(mode="json")}
        items = {"p": ({}, {"judge": folder_artifact(tmp_path / "models" / "m"), "responses": table})}
        with pytest.raises(PrimumError, match=r"p: 3 of 10 requests failed"):
            list(judge.run(make_job(tmp_path, common, items)))
        assert len((tmp_path / "work/p/journal.jsonl").read_text().splitlines()) == 7
        refused.clear()
        server.requests.clear()
        (result,) = judge.run(make_job(tmp_path, common, items))
        assert len(server.requests) == 3
    assert read(tmp_path, result, responses=table).counts == {"rows": 10, "scored": 10}


def test_a_judge_with_nothing_to_judge(tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, judge, lambda conversation: Response(completion(1), "stop"))
    table = responses(tmp_path, ("a", "x", "", "error"))
    (result,) = judge.run(make_job(tmp_path, RUBRIC, {"p": ({}, {"judge": model, "responses": table})}))
    assert result.counts == {"rows": 1, "no-response": 1}
    assert read(tmp_path, result, responses=table).counts == {"rows": 1, "no_response": 1}


def test_a_real_small_model_may_fail_as_a_judge(tmp_path: Path, tiny_model: Path) -> None:
    table = responses(tmp_path, ("a", "x", "fine", "stop"))
    job = make_job(tmp_path, RUBRIC, {"p": ({}, {"judge": folder_artifact(tiny_model), "responses": table})})
    (result,) = judge.run(job)
    assert result.counts["rows"] == 1
    assert columns(read(tmp_path, result, responses=table), "score") == [(None,)]
    assert "no score for 1 of 1" in (tmp_path / "log.txt").read_text()


def test_the_refusal_judge_needs_no_model(tmp_path: Path) -> None:
    table = responses(
        tmp_path,
        ("a", "x", "I can't help with that.", "stop"),
        ("b", "x", "Take tea.", "length"),
        ("c", "x", "", "error"),
    )
    (result,) = verdicts.run(make_job(tmp_path, {}, {"p": ({"kind": "refusal"}, {"responses": table})}))
    assert columns(result, "score", "status", "reason") == [
        (1, "scored", "i can't help"),
        (0, "scored", ""),
        (None, "no_response", ""),
    ]
    assert result.counts == {"rows": 3, "scored": 2, "no_response": 1}


def test_graded_pairs_keep_the_score_that_they_were_given(
    tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = {"x": completion(1), "y": completion(4), "z": "?"}
    engine = script(monkeypatch, judge, lambda c: Response(judged[c[0].content.rpartition("|")[2]], "stop"))
    rows = [GradedRow(f"g/{i}", "g", "q", r, s) for i, (r, s) in enumerate([("x", 1), ("y", 5), ("z", 3)])]
    graded = table_artifact(tmp_path / "graded.parquet", to_table(rows, GradedRow))
    (result,) = judge.run(make_job(tmp_path, RUBRIC, {"graded": ({}, {"judge": model, "graded": graded})}))
    assert engine.asked[0][0].content == "all|q|x", "by the policy for all"
    found = read(tmp_path, result, graded=graded)
    assert found.table is not None
    assert found.table.schema == verdicts.GRADED
    assert columns(found, "id", "given", "score", "status") == [
        ("g/0", 1, 1, "scored"),
        ("g/1", 5, 4, "scored"),
        ("g/2", 3, None, "malformed"),
    ]
    others = table_artifact(tmp_path / "others.parquet", to_table(rows[:2], GradedRow))
    with pytest.raises(PrimumError, match="about other responses: run the stage judge again"):
        read(tmp_path, result, graded=others)
