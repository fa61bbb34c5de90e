"""Chat templates: every file that TRL ships is right or refused with its reason; those shipped here; a system turn folded."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from tokenised import tokenize_conversation

from primum.errors import PrimumError
from primum.text.chat import EOT, answered, assistant_spans, check_spans, render
from primum.text.packing import IGNORED
from primum.text.rows import Message
from primum.text.templates import SHIPPED, folded, shipped, template_text, trained_by
from primum.text.tokenizer import train_tokenizer

FILES = {
    file.name: file.read_text()
    for file in (resources.files("trl") / "chat_templates").iterdir()
    if ".jinja" in file.name
}
ONE = (Message("user", "What is gout?"), Message("assistant", "A joint disease."))
TWO = (*ONE, Message("user", "What helps?"), Message("assistant", "Rest, says the doctor."))
SYSTEM = Message("system", "Be brief.")
# What ends a turn of the assistant, by what the template's own text calls it.
ENDS = re.compile(
    r"<\|eot_id\|>|<\|im_end\|>|<\|end\|>|<\|return\|>|<\|eot\|>|<end_of_turn>|<turn\|>|<end_of_utterance>|<\|user\|>"
    r"|(?:<\|END_RESPONSE\|>)?<\|END_OF_TURN_TOKEN\|>|</s>|<\uff5cend\u2581of\u2581sentence\uff5c>"
)
_SPECIAL = re.compile(
    r"</?s>|<[|\uff5c][^<>{}'\n]{1,40}[|\uff5c]>|<(?:start|end)_of_\w+>|<end_of_utterance>|<turn\|>|<\|turn>|\[gMASK\]|<sop>"
)


@cache
def tokenizer_of(template: str) -> Any:
    """A tokenizer that has as tokens what a template spells out as such, as its model's would."""
    made = train_tokenizer(["A patient asks for advice. What is gout? It is a joint disease."] * 3, 400)
    made.add_special_tokens({"additional_special_tokens": sorted({*_SPECIAL.findall(template)})})
    made.chat_template = template
    return made


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_template_that_trl_ships_learns_each_answer_and_its_end_and_nothing_else(name: str) -> None:
    tokenizer = tokenizer_of(FILES[name])
    text, _ = assistant_spans(tokenizer, TWO)
    sample = tokenize_conversation(tokenizer, TWO, train_on_inputs=False)
    assert tokenizer.decode(sample.input_ids) == text
    learned = tokenizer.decode([label for label in sample.labels.tolist() if label != IGNORED])
    first, between, rest = re.fullmatch(
        r"(.*)A joint disease\.(.*)Rest, says the doctor\.(.*)", learned, re.DOTALL
    ).groups()  # type: ignore[union-attr]
    # Before an answer stands at most the place for thoughts, a channel, or a header that this model is not given.
    headers = r"<\|start\|>assistant|<\uff5cAssistant\uff5c>|<\|channel\|>final| to=user|<\|message\|>"
    scaffold = rf"({headers}|</?think>|\s)*"
    assert re.fullmatch(scaffold, first)
    end = ENDS.match(between)
    assert end
    assert re.fullmatch(scaffold, between[end.end() :])
    assert ENDS.match(rest)
    assert "gout" not in learned
    assert "What helps" not in learned


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_preference_pairs_response_begins_with_its_words_and_ends_its_turn(name: str) -> None:
    tokenizer = tokenizer_of(FILES[name])
    for before in (ONE[:1], TWO[:3]):
        text, start = answered(tokenizer, before, "Plenty of rest.")
        assert before[-1].content in text[:start]
        assert "Plenty of rest." not in text[:start]
        assert ENDS.search(text[start:].partition("Plenty of rest.")[2])


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_system_turn_is_said_or_refused_and_folded_it_is_said(name: str) -> None:
    tokenizer = tokenizer_of(FILES[name])
    if name not in ("gemma.jinja", "gemma_training.jinja"):
        assert "Be brief." in render(tokenizer, (SYSTEM, *ONE), generation_prompt=False)
    else:
        with pytest.raises(PrimumError, match="refuses the roles system, user, assistant: set 'fold_system: true'"):
            render(tokenizer, (SYSTEM, *ONE), generation_prompt=False)
        folding = tokenizer_of(folded(FILES[name]))
        turn = (Message("user", "Be brief.\n\nWhat is gout?"), ONE[1])
        assert render(folding, (SYSTEM, *ONE), False) == render(tokenizer, turn, False)
        assert assistant_spans(folding, (SYSTEM, *ONE)) == assistant_spans(tokenizer, turn)
        assert render(folding, TWO, generation_prompt=True) == render(tokenizer, TWO, generation_prompt=True)


def test_trained_by_is_what_trl_says() -> None:
    from trl.chat_template_utils import get_training_chat_template

    found = {}
    for name, text in FILES.items():
        try:
            found[name] = get_training_chat_template(tokenizer_of(text))
        except ValueError:
            found[name] = None
    ours = {name: trained_by(text) for name, text in FILES.items()}
    assert ours == found
    assert sum(text is not None for text in ours.values()) > 25


def test_the_ends_that_glm_forgets_are_learned() -> None:
    """GLM ends a turn by the next one's header, which its template leaves to the next turn."""
    text, spans = assistant_spans(tokenizer_of(FILES["glm4moe.jinja"]), ONE)
    assert [text[start:end] for start, end in spans] == ["\n<think></think>\nA joint disease.<|user|>"]
    changed = FILES["glm4moe.jinja"] + " "  # a template that TRL does not know
    with pytest.raises(PrimumError, match="leaves an answer or the end of a turn out"):
        assistant_spans(tokenizer_of(changed), ONE)


def test_a_system_turn_is_folded_into_a_user_turn_alone() -> None:
    template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|eot_id|>{% endfor %}"
    folding = tokenizer_of(folded(template))
    assert render(folding, (SYSTEM, *ONE), False).startswith("[user]Be brief.\n\nWhat is gout?<|eot_id|>")
    for others in ((SYSTEM,), (SYSTEM, ONE[1]), (SYSTEM, SYSTEM, ONE[0])):
        assert render(folding, others, False) == render(tokenizer_of(template), others, False)
    # Where texts are lists of parts, so is what is made of two.
    text = render(tokenizer_of(folded(FILES["idefics3.jinja"])), (SYSTEM, *ONE), False)
    assert "User: Be brief.\n\nWhat is gout?<end_of_utterance>" in text


@pytest.mark.parametrize("name", ["alpaca", "plain", "med42"])
def test_no_turn_is_lost(name: str) -> None:
    """What a template has no place for is refused; thoughts that it leaves out may be asked with, and not be trained on."""
    path = Path(__file__).parents[3] / "config/templates/med42-v1.j2"
    tokenizer = tokenizer_of(shipped(name) if name in SHIPPED else path.read_text())
    late = (ONE[0], ONE[1], SYSTEM, TWO[2])
    if name == "plain":
        assert "Be brief." in render(tokenizer, late, True)
    else:
        with pytest.raises(PrimumError, match="refuses the roles user, assistant, system, user"):
            render(tokenizer, late, generation_prompt=True)
    thinking = (ONE[0], Message("assistant", "<think>Hm.</think>A joint disease."), *TWO[2:])
    forgetful = tokenizer_of(FILES["deepseekv3.jinja"])
    assert "Hm." not in render(forgetful, thinking[:3], generation_prompt=True)
    with pytest.raises(PrimumError, match=r"leaves out some of turn 2 \(assistant\)"):
        tokenize_conversation(forgetful, thinking, train_on_inputs=False)
    assert "Hm." in assistant_spans(tokenizer, thinking)[0]


def test_a_template_with_a_leading_line_is_folded_as_it_is() -> None:
    template = "\n x{% for m in messages %}[{{ m.role }}]{{ m.content }}<|eot_id|>{% endfor %}"
    plain, folding = tokenizer_of(template), tokenizer_of(folded(template))
    assert render(folding, ONE, False) == render(plain, ONE, False)
    assert folded(folded(template)) == folded(template)


ALPACA = (
    "<|begin_of_text|>Below is an instruction that describes a task. Write a response that appropriately completes the request."
    "\n\n### Instruction:\nWhat is gout?\n\n### Response:\n"
)


def test_alpaca() -> None:
    tokenizer = tokenizer_of(shipped("alpaca"))
    assert render(tokenizer, ONE[:1], generation_prompt=True) == ALPACA
    text, spans = assistant_spans(tokenizer, TWO)
    assert text == (
        f"{ALPACA}A joint disease.{EOT}\n\n### Instruction:\nWhat helps?\n\n### Response:\nRest, says the doctor.{EOT}"
    )
    assert [text[start:end] for start, end in spans] == [f"A joint disease.{EOT}", f"Rest, says the doctor.{EOT}"]
    assert render(tokenizer, (SYSTEM, *ONE[:1]), True).startswith("<|begin_of_text|>Be brief.\n\n### Instruction:\n")


def test_plain() -> None:
    tokenizer = tokenizer_of(shipped("plain"))
    assert render(tokenizer, ONE[:1], generation_prompt=True) == "<|begin_of_text|>What is gout?\n\n"
    text, spans = assistant_spans(tokenizer, (SYSTEM, *TWO))
    assert text == (
        f"<|begin_of_text|>Be brief.\n\nWhat is gout?\n\nA joint disease.{EOT}What helps?\n\nRest, says the doctor.{EOT}"
    )
    assert [text[start:end] for start, end in spans] == [f"A joint disease.{EOT}", f"Rest, says the doctor.{EOT}"]


def test_bare_is_for_asking_alone() -> None:
    tokenizer = tokenizer_of(shipped("bare"))
    assert render(tokenizer, (SYSTEM, ONE[0]), generation_prompt=True) == "<|begin_of_text|>Be brief.\n\nWhat is gout?"
    with pytest.raises(PrimumError, match="leaves an answer or the end of a turn out of what is learned"):
        check_spans(tokenizer)


def test_a_template_is_a_shipped_one_or_a_file(tmp_path: Path) -> None:
    for name in SHIPPED:
        assert template_text(name, tmp_path) == shipped(name)
    (tmp_path / "own.j2").write_text("{% generation %}{{ messages }}{% endgeneration %}")
    assert template_text("own.j2", tmp_path) == "{% generation %}{{ messages }}{% endgeneration %}"
    with pytest.raises(
        PrimumError, match=r"^template: other\.j2: no such file in the project; shipped are alpaca, bare, plain$"
    ):
        template_text("other.j2", tmp_path)
    (tmp_path / "broken.j2").write_text("{{ a }}\n{% if %}")
    with pytest.raises(PrimumError, match=r"^template: broken\.j2: line 2: is no jinja2 template: correct it$"):
        template_text("broken.j2", tmp_path)


def test_what_a_model_is_fetched_with(tmp_path: Path) -> None:
    """The file that primum puts there is the one that transformers reads, whichever way the model brought its own."""
    from transformers import AutoTokenizer

    from primum.artifact.job import Item
    from primum.curate.snapshot import _set_template

    own = "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|eot_id|>{% endfor %}"
    for way in ("file", "settings", "list", "none"):
        folder = tmp_path / way
        tokenizer = tokenizer_of(own)
        tokenizer.save_pretrained(folder)
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        if way != "file":
            (folder / "chat_template.jinja").unlink()
        if way in ("settings", "list"):
            named = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": own}]
            settings["chat_template"] = own if way == "settings" else named
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        for template, fold in ((None, True), (shipped("plain"), False)):
            item = Item("m", {"hub": "a/b", "template": template, "fold_system": fold}, {}, "k", tmp_path)
            if way == "none" and fold:
                with pytest.raises(PrimumError, match=r"^models\.m: a/b has no chat template to fold"):
                    _set_template(item, folder)
                continue
            _set_template(item, folder)
            loaded = AutoTokenizer.from_pretrained(folder)
            assert loaded.get_chat_template() == (template or folded(own))
