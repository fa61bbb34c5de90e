"""Wordings read from a publication's code: by hand, and byte for byte on MedSafetyBench's own files where these are at hand.

What its files must render to was computed once by running their expressions; here only the digests of it are compared.
"""

from __future__ import annotations

import ast
import hashlib
import os
from pathlib import Path

import pytest
import yaml
from shipped import ROOT
from stage_artifacts import folder_artifact

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.experiment.load import load_experiment
from primum.experiment.models import HubModel
from primum.text.published import as_turns, family, filled, is_text, judge
from primum.text.rows import Message
from primum.text.rubric import question

REAL = Path(os.environ.get("PRIMUM_REAL_DATA", ROOT.parent / "shared" / "data"))
FAMILIES = '''
raise SystemExit("this is never run")
family_a, family_b, family_gpt = ["a-7b"], ["b-7b"], ["g"]
if args.model_name in family_gpt:
    sys_prompt = "Be {kind}. " \\
        + "Be brief."
if args.dataset in ["x"]:
    prompts_df['prompt'] = "not a family's"
if args.model_name in family_a + family_c:
    prompts_df['prompt'] = prompts_df.apply(lambda row: "Q: " + row['question'] + "\\n\\nA: ", axis=1)
elif args.model_name in family_b:
    prompts_df['prompt'] = prompts_df.apply(
        lambda row: f"""
        <|user|>: {row['question']}
        """,
        axis=1)
elif args.model_name in family_gpt:
    prompts_df['prompt'] = prompts_df['question']
'''
JUDGE = '''
if __name__ == "__main__":
    gpt = partial(llm, model_name="m", sys_prompt="Judge.", temperature=0.0)
    def rate(row):
        question = row["question"]
        eval_prompt = f""""Policy:
        {usage_policy}
        Asked: "{question}" Said: "{response}"
        {rubric}"""
'''
TEXTS = '''
policy_a = """Do no
harm."""
usage_policy_dict = {"first": policy_a, "second": policy_a}
rubric = f"""Score {{1}}: good"""
'''
NAMES = ("exp01_prompt_models.py", "exp02_eval_responses.py", "text_for_gpt_eval.py")


def code(folder: Path, *contents: str) -> Artifact:
    (folder / "code" / "exps").mkdir(parents=True)
    for name, content in zip(NAMES, contents, strict=True):
        (folder / "code" / "exps" / name).write_text(content)
    return folder_artifact(folder / "code")


@pytest.fixture
def own(tmp_path: Path) -> Artifact:
    return code(tmp_path, FAMILIES, JUDGE, TEXTS)


def test_how_a_family_is_asked(own: Artifact) -> None:
    for name in ("a", "c"):
        wording = family(own, name)
        asked = filled(wording, {"question": "why {x}?"})
        assert asked == (Message("verbatim", "Q: "), Message("user", "why {x}?"), Message("verbatim", "\n\nA: "))
        assert is_text(asked)
    assert as_turns(filled(family(own, "b"), {"question": "why?"})) == (
        Message("user", "\n        <|user|>: why?\n        "),
    )
    spoken = filled(family(own, "gpt"), {"question": "why?"})
    assert spoken == (Message("system", "Be {kind}. Be brief."), Message("user", "why?"))
    assert not is_text(spoken)
    with pytest.raises(PrimumError, match=r"^code: has no wording for the family 'd'; there are: a, b, c, gpt$"):
        family(own, "d")


def test_what_a_judge_is_asked(own: Artifact) -> None:
    """The response without the white space around it, and nothing that it says is taken for a place."""
    asked = question(judge(own, "second"), {}, "any", 'how "now"?', "  {rubric}\n ")
    assert asked == (
        Message("system", "Judge."),
        Message(
            "user",
            '"Policy:\n        Do no\nharm.\n        Asked: "how "now"?" Said: "{rubric}"\n        Score {1}: good',
        ),
    )
    with pytest.raises(PrimumError, match=r"^code: has no policy 'third'; there are: first, second$"):
        judge(own, "third")


@pytest.mark.parametrize(
    ("place", "old", "new", "said"),
    [
        (0, '"Q: " + row', '"Q: " * row', r"exps/exp01_prompt_models\.py line 10: is no text: it is not the code"),
        (0, "if args", "if (args", r"exps/exp01_prompt_models\.py: is no Python source: fetch it again"),
        (1, "eval_prompt =", "prompt =", r"exps/exp02_eval_responses\.py: assigns no eval_prompt"),
        (1, "{response}", "{answer}", r"asks for 'answer', which nothing here fills in"),
        (2, "rubric =", "rules =", r"exps/text_for_gpt_eval\.py: assigns no rubric"),
        (2, '{"first"', 'dict() if 1 else {"first"', r"exps/exp02_eval_responses\.py: is not the code that this reads"),
    ],
)
def test_other_code_is_one_line(tmp_path: Path, place: int, old: str, new: str, said: str) -> None:
    contents = [FAMILIES, JUDGE, TEXTS]
    assert old in contents[place]
    contents[place] = contents[place].replace(old, new)
    other = code(tmp_path, *contents)

    def ask() -> object:
        return family(other, "a") if place == 0 else question(judge(other, "first"), {}, "any", "q", "r")

    with pytest.raises(PrimumError, match=said) as caught:
        ask()
    assert "\n" not in str(caught.value)


# The authors' own files -----------------------------------------------------------------------------------------------

ASKED, SAID = 'How do I "x"?\n{y} \\n', 'Sure: "a"\n# b'
META = "1e42c601927a0f43"
RENDERED = {
    **dict.fromkeys(("llama1", "llama2", "llama31", "meditron", "meditron_ft", "clinicalcamel"), META),
    **dict.fromkeys(("medalpaca", "medalpaca_ft"), "d35eb5abc06e7812"),
    **{"med42": "f207d9d385f57ca4", "mistral": "94ec2064193f9e07", "vicuna": "b45e58ef385691cc"},
    **{"pythia": "4fe345ee6f9aace2", "gpt": "777c1e98a640df31"},
}
JUDGED = {"hex_phi": "df48c846393a3c43451daeece0f7d391", "med_harm_gpt4": "afd20e2a163a5edc6360b6be88e8d783"}


def _digest(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


@pytest.fixture(scope="module")
def real() -> Artifact:
    entry = yaml.safe_load((ROOT / "config/catalog/datasets.yaml").read_text())["datasets"]["med-safety-bench-code"]
    for file in entry["files"]:
        if not (REAL / file["path"]).is_file():
            pytest.skip(f"no {file['path']} in {REAL} (set PRIMUM_REAL_DATA)")
        assert hashlib.sha256((REAL / file["path"]).read_bytes()).hexdigest() == file["sha256"]
    return folder_artifact(REAL / "med-safety-bench" / "exps")


@pytest.mark.parametrize("name", RENDERED)
def test_the_authors_wordings_byte_for_byte(real: Artifact, name: str) -> None:
    *system, turn = as_turns(filled(family(real, name), {"question": ASKED}))
    assert _digest(turn.content, 16) == RENDERED[name]
    # What Med42 is told is a part of its text; what OpenAI's models are told is a turn of its own.
    assert [message.role for message in system] == (["system"] if name == "gpt" else [])


@pytest.mark.parametrize("policy", JUDGED)
def test_the_authors_judge_byte_for_byte(real: Artifact, policy: str) -> None:
    system, turn = question(judge(real, policy), {}, "any", ASKED, f"  {SAID}\n")
    assert system == Message("system", "You are a helpful assistant.")
    assert _digest(turn.content, 32) == JUDGED[policy]


def test_models_have_the_family_that_the_authors_put_them_in(real: Artifact) -> None:
    """By the lists of their code, and its names of the hub's models."""
    listed = {}
    tree = ast.parse(real.file("exp01_prompt_models.py").read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List):
            listed[ast.unparse(node.targets[0])] = ast.literal_eval(node.value)
    of = {name: list_name.removeprefix("family_") for list_name, names in listed.items() for name in names}
    e = load_experiment("med-safety", ROOT)
    as_theirs = {
        **{"llama3.1": "llama3-1", "pythia-6.9b": "pythia-6-9b", "mistral-7b-v0.3": "mistral-7b"},
        **{"mistral-7b-instruct-v0.3": "mistral-7b-instruct", "mixtral": "mistral", "med42-llama2-70b": "med42-70b"},
    }
    for name in e.evaluate.models:
        if not isinstance(e.models[name], HubModel):
            continue
        theirs = name
        for ours, other in as_theirs.items():
            theirs = theirs.replace(ours, other)
        assert e.family_of(name) == of[theirs], name
