"""PairRM, reward models, and the implicit reward, each against the same sums done by hand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from stage_artifacts import folder_artifact, make_job
from tiny_rankers import MARKS, bert_tokenizer, deberta_config, write_classifier, write_pairrm
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Model

from primum.errors import PrimumError
from primum.prefer import pairrm
from primum.prefer.candidates import Candidates
from primum.prefer.implicit import ImplicitReward
from primum.prefer.pairrm import PairRanker
from primum.prefer.reward import RewardModel
from primum.text.chat import LLAMA3_TEMPLATE
from primum.text.rows import Message

ASKED = [
    Candidates("p/1", (Message("user", "a cough"),), ("rest", "drink tea and water", "see a doctor")),
    Candidates("p/2", (Message("system", "be kind"), Message("user", "advice")), ("sleep", "tea " * 9)),
]
LOCAL = {"dtype": "float32", "batch_tokens": 200, "max_length": 100}


def opened(kind: Any, work: Path, roles: dict[str, Path], **common: Any) -> Any:
    job = make_job(
        work, {**LOCAL, **common}, {"own": ({}, {role: folder_artifact(path) for role, path in roles.items()})}
    )
    return kind(job, job.items[0])


@pytest.fixture(scope="module")
def pair_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairrm") / "m"
    write_pairrm(folder)
    return folder


def compared(folder: Path, source: str, first: str, second: str) -> float:
    """The logit that ``first`` is better, after the model's page: one text alone, no padding."""
    tokenizer = bert_tokenizer()
    ids = [
        token
        for mark, text in zip(MARKS, (source, first, second), strict=True)
        for token in tokenizer.encode(mark + text)
    ]
    weights = load_file(folder / "model.safetensors")
    encoder = DebertaV2Model(deberta_config(tokenizer)).eval()
    encoder.load_state_dict(
        {name.removeprefix("pretrained_model."): value for name, value in weights.items() if "pretrained" in name}
    )
    head = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 1))
    names = {"0": "head_layer.1", "2": "head_layer.4"}
    head.load_state_dict(
        {f"{own}.{part}": weights[f"{name}.{part}"] for own, name in names.items() for part in ("weight", "bias")}
    )
    with torch.no_grad():
        encoded = encoder(torch.tensor([ids])).last_hidden_state[0]
        at = [encoded[ids.index(tokenizer.convert_tokens_to_ids(mark))] for mark in MARKS]
        return float(head(torch.cat([at[0], at[1]])) - head(torch.cat([at[0], at[2]])))


def test_pairrm_compares_any_two_in_both_orders(tmp_path: Path, pair_folder: Path) -> None:
    ranker = opened(PairRanker, tmp_path, {"ranker": pair_folder})
    found = ranker.rewards(ASKED)
    expected, decided = [], 0
    for source, each in zip(("a cough", "SYSTEM: be kind\nUSER: advice"), ASKED, strict=True):
        n = len(each.responses)
        logits = {
            (i, j): compared(pair_folder, source, each.responses[i], each.responses[j])
            for i in range(n)
            for j in range(n)
            if i != j
        }
        decided += sum((logits[i, j] > 0) == (logits[j, i] > 0) for i, j in logits if i < j)
        expected.append(
            [sum((logits[i, j] - logits[j, i]) / 2 for j in range(n) if j != i) / (n - 1) for i in range(n)]
        )
    for own, wanted in zip(found, expected, strict=True):
        assert own == pytest.approx(wanted, abs=1e-4)
        assert sum(own) == pytest.approx(0, abs=1e-5)  # each margin is won by one and lost by the other
        assert len(set(own)) == len(own)
    # 3 x 2 and 2 x 1 comparisons.
    assert ranker.counts == {"cut-prompts": 0, "cut-responses": 0, "comparisons": 8, "order-decided": decided}


def test_pairrm_cuts_as_published(tmp_path: Path, pair_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt at 1,224 tokens, and the responses at a half each of what is left of 2,048: here 12 and (40 - 12) / 2 = 14."""
    monkeypatch.setattr(pairrm, "SOURCE_TOKENS", 12)
    monkeypatch.setattr(pairrm, "ALL_TOKENS", 40)
    ranker = opened(PairRanker, tmp_path, {"ranker": pair_folder})
    asked = [Candidates("p/1", (Message("user", "xyz" * 30),), ("rest", "qwz" * 30))]
    seen: list[int] = []
    original = ranker._compare

    def compare(rows: Any) -> Any:
        seen.extend(sum(map(len, parts)) for parts in rows)
        return original(rows)

    monkeypatch.setattr(ranker, "_compare", compare)
    ranker.rewards(asked)
    tokenizer = bert_tokenizer()
    short = len(tokenizer.encode(MARKS[1] + "rest"))
    assert seen == [12 + short + 14] * 2
    assert (ranker.counts["cut-prompts"], ranker.counts["cut-responses"]) == (1, 1)


def test_a_response_that_spells_out_a_mark_is_only_text(tmp_path: Path, pair_folder: Path) -> None:
    ranker = opened(PairRanker, tmp_path, {"ranker": pair_folder})
    texts = ranker._encoded(Candidates("p", (Message("user", "ask"),), ("a <|candidate2|> b", "c <|source|>")))
    seen = []
    ranker._model.forward = lambda ids, attention, marks: seen.append((ids, marks)) or torch.zeros(len(ids))
    ranker._compare([texts.parts(0, 1), texts.parts(1, 0)])
    ((ids, marks),) = seen
    tokenizer = bert_tokenizer()
    for row, places in zip(ids.tolist(), marks.tolist(), strict=True):
        assert [row[place] for place in places] == tokenizer.convert_tokens_to_ids(list(MARKS))
        starts = [0, *(i + 1 for i, token in enumerate(row[:-1]) if token == tokenizer.sep_token_id)]
        assert places == [start + 1 for start in starts[:3]]  # each right behind the [CLS] of its part


def test_what_was_compared_before_a_kill_is_not_compared_again(
    tmp_path: Path, pair_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = opened(PairRanker, tmp_path / "whole", {"ranker": pair_folder}, batch_tokens=1).rewards(ASKED)
    calls: list[int] = []

    def killing(ranker: Any, after: int) -> None:
        original = ranker._compare

        def compare(rows: Any) -> list[float]:
            if len(calls) == after:
                raise KeyboardInterrupt
            calls.append(len(rows))
            found: list[float] = original(rows)
            return found

        monkeypatch.setattr(ranker, "_compare", compare)

    ranker = opened(PairRanker, tmp_path / "cut", {"ranker": pair_folder}, batch_tokens=1)
    killing(ranker, 3)
    with pytest.raises(KeyboardInterrupt):
        ranker.rewards(ASKED)
    ranker = opened(PairRanker, tmp_path / "cut", {"ranker": pair_folder}, batch_tokens=1)
    killing(ranker, 99)
    assert ranker.rewards(ASKED) == whole
    assert calls == [1] * 8
    assert "own: 3 of 8 batches are done already" in (tmp_path / "cut/log.txt").read_text()


def test_what_is_no_pairrm_is_refused(tmp_path: Path, pair_folder: Path, tiny_model: Path) -> None:
    with pytest.raises(PrimumError, match="has not 40 weights of a PairRM"):
        opened(PairRanker, tmp_path, {"ranker": tiny_model})
    part = tmp_path / "part"
    shutil.copytree(pair_folder, part)
    weights = load_file(part / "model.safetensors")
    del weights["head_layer.4.weight"]
    save_file(weights, part / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PrimumError, match="has not 1 weights of a PairRM"):
        opened(PairRanker, tmp_path, {"ranker": part})
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.json").write_text("{}")
    with pytest.raises(PrimumError, match="no PairRM that can be loaded"):
        opened(PairRanker, tmp_path, {"ranker": empty})
    unmarked = tmp_path / "unmarked"
    shutil.copytree(pair_folder, unmarked)
    tokens = (unmarked / "tokenizer.json").read_text().replace("<|candidate2|>", "<|candidate9|>")
    (unmarked / "tokenizer.json").write_text(tokens)
    config = (unmarked / "tokenizer_config.json").read_text().replace("<|candidate2|>", "<|candidate9|>")
    (unmarked / "tokenizer_config.json").write_text(config)
    with pytest.raises(PrimumError, match="has not the marks"):
        opened(PairRanker, tmp_path, {"ranker": unmarked})


def alone(folder: Path, texts: list[tuple[str, ...]], special: bool) -> list[torch.Tensor]:
    """The logits of each text, or pair of texts, by itself."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return [model(**tokenizer(*text, add_special_tokens=special, return_tensors="pt")).logits[0] for text in texts]


def test_a_reward_model_without_a_template_reads_two_texts(tmp_path: Path) -> None:
    write_classifier(tmp_path / "m")
    found = opened(RewardModel, tmp_path, {"ranker": tmp_path / "m"}, label=None).rewards(ASKED)
    sources = ("a cough", "SYSTEM: be kind\nUSER: advice")
    texts = [(source, text) for source, each in zip(sources, ASKED, strict=True) for text in each.responses]
    expected = [float(logits[0]) for logits in alone(tmp_path / "m", texts, special=True)]
    assert [reward for group in found for reward in group] == pytest.approx(expected, abs=1e-4)
    assert len(set(expected)) == 5


@pytest.mark.parametrize("labels", [1, 3])
def test_a_reward_model_with_a_template_reads_the_conversation(tmp_path: Path, tiny_model: Path, labels: int) -> None:
    write_classifier(tmp_path / "m", tiny_model, labels)
    label = None if labels == 1 else 2
    found = opened(RewardModel, tmp_path, {"ranker": tmp_path / "m"}, label=label).rewards(ASKED)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    texts = [
        (
            tokenizer.apply_chat_template(
                [{"role": m.role, "content": m.content} for m in (*each.prompt, Message("assistant", text))],
                tokenize=False,
            ),
        )
        for each in ASKED
        for text in each.responses
    ]
    logits = alone(tmp_path / "m", texts, special=False)
    expected = [float(each[0] if label is None else each.log_softmax(-1)[label]) for each in logits]
    # In batches, with padding, as each by itself.
    assert [reward for group in found for reward in group] == pytest.approx(expected, abs=1e-4)
    assert len(set(expected)) == 5


def test_what_is_too_long_for_a_ranker_gets_no_reward(tmp_path: Path, tiny_model: Path) -> None:
    write_classifier(tmp_path / "m", tiny_model)
    long = [Candidates("p/1", (Message("user", "a cough"),), ("rest", "xyz " * 200, "tea"))]
    found = opened(RewardModel, tmp_path, {"ranker": tmp_path / "m"}, label=None).rewards(long)
    assert [type(reward) for reward in found[0]] == [float, str, float]
    assert found[0][1] == "too-long"
    roles = {"ranker": tiny_model, "reference": tiny_model}
    assert opened(ImplicitReward, tmp_path, roles, beta=1.0).rewards(long) == [[0.0, "too-long", 0.0]]


def test_what_a_rankers_template_refuses_gets_no_reward(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}" + LLAMA3_TEMPLATE
    folder = shutil.copytree(tiny_model, tmp_path / "strict")
    (folder / "chat_template.jinja").write_text(strict)
    write_classifier(tmp_path / "m", folder)
    (tmp_path / "m" / "chat_template.jinja").write_text(strict)
    asked = Message("user", "a cough")
    groups = [
        Candidates("p/1", (asked,), ("rest", "tea", "a", "b", "c", "d", "e", "f")),
        Candidates("p/2", (Message("system", "be brief"), asked), ("rest", "tea")),
    ]
    ranker = {"ranker": tmp_path / "m"}
    alone = opened(RewardModel, tmp_path, ranker, label=None).rewards(groups[:1])
    capsys.readouterr()
    found = opened(RewardModel, tmp_path / "2", ranker, label=None).rewards(groups)
    assert found == [*alone, ["refused", "refused"]]
    assert "2 of 10 responses are refused by the ranker's chat template" in capsys.readouterr().err
    roles = {"ranker": folder, "reference": folder}
    assert opened(ImplicitReward, tmp_path, roles, beta=1.0).rewards(groups) == [[0.0] * 8, ["refused", "refused"]]
    remedy = "set 'fold_system: true' for its model, or name another 'template'"
    for kind, given, common in ((RewardModel, ranker, {"label": None}), (ImplicitReward, roles, {"beta": 1.0})):
        with pytest.raises(
            PrimumError, match=f"^own: 2 of 2 responses are refused by the ranker's chat template: {remedy}$"
        ):
            opened(kind, tmp_path / "3", given, **common).rewards(groups[1:])


@pytest.mark.parametrize(
    ("labels", "label", "said"),
    [(3, None, "has 3 labels: say which counts"), (3, 3, "has no label 3"), (1, 0, "has no label 0")],
)
def test_which_label_counts_must_be_said(tmp_path: Path, labels: int, label: int | None, said: str) -> None:
    write_classifier(tmp_path / "m", labels=labels)
    with pytest.raises(PrimumError, match=said):
        opened(RewardModel, tmp_path, {"ranker": tmp_path / "m"}, label=label)


def test_a_language_model_is_no_reward_model(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(PrimumError, match="it is no reward model"):
        opened(RewardModel, tmp_path, {"ranker": tiny_model}, label=None)


def test_the_implicit_reward_is_the_scaled_log_ratio(tmp_path: Path, tiny_model: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    weights = load_file(other / "model.safetensors")
    save_file({name: 1.1 * value for name, value in weights.items()}, other / "model.safetensors", {"format": "pt"})
    roles = {"ranker": other, "reference": tiny_model}
    found = opened(ImplicitReward, tmp_path, roles, beta=0.5).rewards(ASKED)

    def logprob(folder: Path, each: Candidates, response: str) -> float:
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
        turns = [{"role": m.role, "content": m.content} for m in (*each.prompt, Message("assistant", response))]
        ids = tokenizer.apply_chat_template(turns, return_dict=False)
        start = len(tokenizer.apply_chat_template(turns[:-1], add_generation_prompt=True, return_dict=False))
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        return sum(float(logits[place - 1, ids[place]]) for place in range(start, len(ids)))

    for each, rewards in zip(ASKED, found, strict=True):
        expected = [0.5 * (logprob(other, each, text) - logprob(tiny_model, each, text)) for text in each.responses]
        assert rewards == pytest.approx(expected, abs=1e-3)
