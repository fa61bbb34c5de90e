"""The engine of log-likelihoods against one choice at a time: architectures, shapes, prefixes, budgets."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive import naive, naive_greedy, together

from primum.score import loglikelihood
from primum.score.loglikelihood import loglikelihoods
from primum.score.prefix import shared_prefixes
from primum.score.reach import TOLERANCE, configured, difference, reach
from primum.score.rows import Asked, Packed, chains, tree


def _quiet(done: int, tokens: int) -> None:
    pass


def _flat(sums: list[list[float]]) -> list[float]:
    return [value for each in sums for value in each]


def _ragged(seed: int, number: int, prefix: int = 0) -> list[Packed]:
    """Questions whose contexts start with ``prefix`` tokens in common, and whose choices often start alike."""
    draw = random.Random(seed)

    def tokens(most: int, alphabet: int = 290) -> list[int]:
        return [draw.randrange(5, 5 + alphabet) for _ in range(draw.randint(1, most))]

    shared = [draw.randrange(5, 295) for _ in range(prefix)]
    return [(shared + tokens(20), [tokens(6, 3) for _ in range(draw.randint(1, 5))]) for _ in range(number)]


def _model(kind: str, **settings: Any) -> Any:
    """A random model with weights wide enough that a wrong token seen changes the numbers."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    common = {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
    }
    if kind not in ("gpt_neox", "mamba", "bloom", "gpt2", "opt"):
        common |= {"num_key_value_heads": 2, "head_dim": 8}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **common | settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)
    return model


@pytest.fixture(scope="module")
def llama() -> Any:
    return _model("llama")


# Rows and prefixes, by hand -----------------------------------------------------------------------------------------


def test_choices_are_a_tree_behind_the_context() -> None:
    """The drawing in the docstring, its context behind a prefix of two: c c | c c c, "a b x", "a d y", "e"."""
    row = tree(7, ([1, 1, 1, 1, 1], [[10, 11, 99], [10, 12, 98], [13]]), 2)
    assert row.tokens == [1, 1, 1, 10, 11, 12]
    assert row.positions == [2, 3, 4, 5, 6, 6]
    assert row.ends == [6, 6, 6, 6, 5, 6]
    assert row.needed == [2, 3, 4, 5]
    assert row.asked == [
        Asked(7, 0, [2, 3, 4], [10, 11, 99]),
        Asked(7, 1, [2, 3, 5], [10, 12, 98]),
        Asked(7, 2, [2], [13]),
    ]


def test_a_branch_ends_where_the_next_begins() -> None:
    """Read are "a b c", "a d", "e": places 1-3, 4, 5. Only "a" goes on to 4, and nothing but the context to 5."""
    row = tree(0, ([1], [[10, 11, 12, 0], [10, 13, 0], [14, 0]]), 0)
    assert row.tokens == [1, 10, 11, 12, 13, 14]
    assert row.ends == [6, 5, 4, 4, 5, 6]


def test_plain_rows_are_shared_by_choices_that_differ_in_their_last_token() -> None:
    rows = list(chains(0, ([1, 2], [[5], [6], [7, 5], [5]])))
    assert [row.tokens for row in rows] == [[1, 2], [1, 2, 7]]
    assert [[each.choice for each in row.asked] for row in rows] == [[0, 1, 3], [2]]
    assert [row.needed for row in rows] == [[1], [1, 2]]


def test_the_examples_of_all_and_those_of_each_subject_are_prefixes() -> None:
    """Two subjects of 40 questions with 501 and 500 tokens in common; the two of all are no prefix for the lone one."""
    first, second = [1, 1, 1, 1, *[2] * 496], [1, 1, 1, 1, *[3] * 496]
    contexts = [[*first, 10, i] for i in range(40)] + [[*second, 10 + i % 2, i] for i in range(40)] + [[1, 1, 9, 9]]
    found = dict(shared_prefixes(contexts, range(81)))
    assert found == {501: list(range(40)), 500: list(range(40, 80)), 0: [80]}


def test_a_prefix_leaves_a_token_to_each_question_and_has_to_be_worth_it() -> None:
    same = [[7] * 100] * 50  # 50 x 99 tokens saved, at the price of 99 and a pass
    assert shared_prefixes(same, range(50)) == [(99, list(range(50)))]
    assert shared_prefixes(same, range(5)) == [(0, list(range(5)))]
    assert shared_prefixes([[1, 2]] * 3, range(3)) == [(0, [0, 1, 2])]


# Numbers ------------------------------------------------------------------------------------------------------------

ROPE = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
# The windows are shorter than most questions here, and so is the length that the frequencies of phi3 were made for.
SLIDING = {"sliding_window": 12}
RECURRENT = {"lru_width": 32, "num_hidden_layers": 3}
MODELS: list[tuple[str, dict[str, Any], float]] = [
    ("llama", {}, math.inf),
    ("llama", {"attn_implementation": "eager"}, math.inf),
    ("qwen2", {}, math.inf),
    ("qwen3", {}, math.inf),
    ("gpt_neox", {}, math.inf),
    ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 4}, math.inf),
    ("opt", {"ffn_dim": 48, "word_embed_proj_dim": 32}, math.inf),
    ("cohere", {"logit_scale": 0.3}, math.inf),
    ("granite", {"logits_scaling": 3.0}, math.inf),
    ("mixtral", {"num_local_experts": 4}, math.inf),
    ("mistral", SLIDING, math.inf),
    ("mistral", {**SLIDING, "attn_implementation": "eager"}, math.inf),
    ("gemma2", {**SLIDING, "final_logit_softcapping": 3.0, "attn_logit_softcapping": 5.0}, math.inf),
    ("gemma2", {"sliding_window": 4096, "final_logit_softcapping": 3.0}, math.inf),
    ("gemma3_text", {**SLIDING, "layer_types": ["sliding_attention", "full_attention"]}, math.inf),
    ("olmo3", {**SLIDING, "num_hidden_layers": 4}, math.inf),
    ("cohere2", {**SLIDING, "num_hidden_layers": 4}, math.inf),
    ("gpt_oss", {**SLIDING, "num_local_experts": 4, "num_experts_per_tok": 2}, math.inf),
    ("qwen2", {**SLIDING, "use_sliding_window": True, "max_window_layers": 1}, math.inf),
    ("qwen3", {**SLIDING, "use_sliding_window": True, "max_window_layers": 0}, math.inf),
    ("starcoder2", SLIDING, math.inf),
    ("phi3", SLIDING, math.inf),
    # A key that Llama does not know.
    ("llama", SLIDING, math.inf),
    ("phi3", {**SLIDING, "rope_parameters": ROPE, "original_max_position_embeddings": 30}, 30),
    ("bloom", {"n_layer": 2, "n_head": 4}, 0),
    ("mamba", {"state_size": 4}, 0),
    # A window by another name.
    ("modernbert-decoder", {"layer_types": ["sliding_attention", "full_attention"]}, 0),
    # Has the configuration of others, and fails when tried.
    ("recurrent_gemma", RECURRENT, 0),
]


@pytest.mark.parametrize(("kind", "settings", "within"), MODELS)
def test_every_architecture_scores_as_one_choice_at_a_time(kind: str, settings: dict[str, Any], within: float) -> None:
    model = _model(kind, **settings)
    said: list[str] = []
    assert reach(model, 0, said.append) == within
    assert bool(said) is (within == 0)
    for questions in (_ragged(3, 16), _ragged(4, 30, prefix=60)):
        found = together(model, questions, within=within)
        assert _flat(found) == pytest.approx(_flat(naive(model, questions)), abs=1e-4)


def test_an_architecture_that_sees_other_choices_is_found_when_it_is_tried() -> None:
    """Nothing in its configuration says that a row of several choices is wrong: without the trial it would be used."""
    model = _model("recurrent_gemma", **RECURRENT)
    assert configured(model) == math.inf
    question = ([9] * 20, [[5, 6, 7], [8, 9, 11, 12], [40, 41]])
    wrong, right = together(model, [question])[0], naive(model, [question])[0]
    assert max(abs(one - other) for one, other in zip(wrong, right, strict=True)) > 0.01
    said: list[str] = []
    assert together(model, [question], within=reach(model, 0, said.append))[0] == pytest.approx(right, abs=1e-4)
    (line,) = said
    assert line.startswith(type(model).__name__)
    assert "every choice is a row of its own" in line


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_trial_tells_rounding_from_a_mask_that_is_not_heeded(dtype: str) -> None:
    import torch

    model = _model("gemma2", **SLIDING).to(getattr(torch, dtype))
    assert difference(model, 0) < TOLERANCE[getattr(torch, dtype)] / 4
    assert model.config.sliding_window == 12, "the trial's own window is gone"
    forward = type(model).forward

    class Deaf(type(model)):  # type: ignore[misc]
        def forward(self, input_ids: Any, position_ids: Any = None, past_key_values: Any = None, **given: Any) -> Any:
            given.pop("attention_mask", None)
            return forward(self, input_ids, position_ids=position_ids, past_key_values=past_key_values, **given)

    model.__class__ = Deaf
    assert difference(model, 0) > 2 * TOLERANCE[getattr(torch, dtype)]
    said: list[str] = []
    assert reach(model, 0, said.append) == 0
    assert "of a log-likelihood off when tried" in said[0]


def test_a_window_that_a_model_does_not_heed_is_found() -> None:
    """Its plain rows see all; in one row they would be cut."""
    model = _model("mistral", **SLIDING)
    for layer in model.modules():
        if hasattr(layer, "rotary_emb"):
            layer.config = type(model.config)(**{**model.config.to_dict(), "sliding_window": None})
    assert difference(model, 0) > 0.01


def test_the_trial_is_four_small_passes() -> None:
    model = _model("mistral", **SLIDING)
    with _Watched(model) as watched:
        reach(model, 0, pytest.fail)
    assert len(watched.shapes) == 4
    assert sum(rows * width for rows, width in watched.shapes) < 170


def test_a_choice_is_greedy_where_the_model_would_write_it(llama: Any) -> None:
    import torch

    questions = []
    for context, choices in _ragged(9, 12, prefix=30):
        with torch.inference_mode():
            ids = torch.tensor([context])
            for _ in range(4):
                ids = torch.cat([ids, llama(ids).logits[:, -1:].argmax(-1)], -1)
        own = ids[0, len(context) :].tolist()
        questions.append((context, [*choices, own, own[:1], [*own[:3], (own[3] + 1) % 300]]))
    found = [[value.greedy for value in each] for each in loglikelihoods(llama, questions, 0, 1000, _quiet, math.inf)]
    assert found == [[naive_greedy(llama, context, choice) for choice in choices] for context, choices in questions]
    assert [each[-3:] for each in found] == [[True, True, False]] * 12


_TOKENS = st.integers(5, 20)
_CONTEXTS = st.lists(st.lists(_TOKENS, min_size=1, max_size=12), min_size=1, max_size=6)
_CHOICES = st.lists(st.lists(_TOKENS, min_size=1, max_size=5), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.integers(0, 40), st.integers(1, 400))
def test_any_shape_in_any_batch(llama: Any, data: st.DataObject, prefix: int, batch_tokens: int) -> None:
    shared = [5 + i % 7 for i in range(prefix)]
    questions = [(shared + context, data.draw(_CHOICES)) for context in data.draw(_CONTEXTS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("primum.score.prefix.WORTHWHILE", 0)
        found = together(llama, questions, 0, batch_tokens, _quiet)
    assert _flat(found) == pytest.approx(_flat(naive(llama, questions)), abs=1e-4)


def test_bfloat16_is_near(llama: Any) -> None:
    import copy

    import torch

    questions = _ragged(5, 20, prefix=60)
    rough = together(copy.deepcopy(llama).to(torch.bfloat16), questions, 0, 1000, _quiet)
    exact = _flat(naive(llama, questions))
    errors = [abs(one - other) for one, other in zip(_flat(rough), exact, strict=True)]
    # Eight bits of mantissa: a few hundredths a token, against tens of nats.
    assert sum(errors) / len(errors) < 0.02 * sum(map(abs, exact)) / len(exact)


def test_flex_attention_computes_the_same_without_a_mask(llama: Any) -> None:
    import torch

    questions = _ragged(6, 20, prefix=60)
    expected = _flat(naive(llama, questions))
    model = _model("llama", attn_implementation="flex_attention")
    with torch.compiler.set_stance("force_eager"):
        found = together(model, questions, 0, 1000, _quiet)
    assert _flat(found) == pytest.approx(expected, abs=1e-4)
    plain, model = (_model("gemma2", **SLIDING, attn_implementation=each) for each in ("eager", "flex_attention"))
    with torch.compiler.set_stance("force_eager"):
        assert reach(model, 0, pytest.fail) == math.inf
        found = together(model, questions, 0, 1000, _quiet)
    assert _flat(found) == pytest.approx(_flat(naive(plain, questions)), abs=1e-4)


# What is computed ---------------------------------------------------------------------------------------------------


class _Watched:
    """What the model reads, and how many logits it computes, pass by pass."""

    def __init__(self, model: Any) -> None:
        self.shapes: list[tuple[int, int]] = []
        self.prefixes: list[int] = []
        self.logits: list[int] = []
        self._hooks = [
            model.register_forward_pre_hook(self._reads, with_kwargs=True),
            model.register_forward_hook(lambda module, args, out: self.logits.append(out.logits[..., 0].numel())),
        ]

    def _reads(self, module: Any, args: Any, inputs: dict[str, Any]) -> None:
        self.shapes.append(tuple(inputs["input_ids"].shape))
        cache = inputs.get("past_key_values")
        self.prefixes.append(cache.get_seq_length() if cache is not None else 0)

    def __enter__(self) -> _Watched:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()


def test_a_context_is_read_once_and_the_last_tokens_never(llama: Any) -> None:
    """20 questions, context 30, four choices of 5: 30 + 4 x 4 tokens a question, where one row a choice reads 4 x 34.

    Logits: one at the context's end and four in each choice. Letters add nothing to the context.
    """
    draw = random.Random(0)
    contexts = [[draw.randrange(5, 290) for _ in range(30)] for _ in range(20)]
    answers = [[[10 + n, 1, 2, 3, 4] for n in range(4)]] * 20
    reported: list[tuple[int, int]] = []
    with _Watched(llama) as watched:
        together(llama, list(zip(contexts, answers, strict=True)), 0, 10_000, lambda *got: reported.append(got))
    assert watched.shapes == [(20, 46)]
    assert watched.logits == [20 * 17]
    assert reported == [(20, 20 * 46)]
    with _Watched(llama) as watched:
        together(llama, [(context, [[1], [2], [3], [4]]) for context in contexts], 0, 10_000, _quiet)
    assert (watched.shapes, watched.logits) == ([(20, 30)], [20])


def test_examples_are_read_once_for_the_whole_task(llama: Any) -> None:
    """150 tokens of examples before 20 questions of 10 and four choices of 3: 150 + 20 x (10 + 4 x 2) = 510 tokens.

    One row a choice reads 20 x 4 x 162 = 12,960. The prefix is read 100 tokens at a time, within the budget.
    """
    questions = [([9] * 150 + [20 + i] * 10, [[30 + n, 1, 2] for n in range(4)]) for i in range(20)]
    reported: list[tuple[int, int]] = []
    with _Watched(llama) as watched:
        found = together(llama, questions, 0, 100, lambda *got: reported.append(got))
    assert watched.shapes[:2] == [(1, 100), (1, 50)]
    assert watched.prefixes == [0, 100, *[150] * 20]
    assert reported[-1] == (20, 510)
    assert _flat(found) == pytest.approx(_flat(naive(llama, questions)), abs=1e-4)


@pytest.mark.parametrize("budget", [50, 200, 1000])
def test_the_budget_bounds_rows_with_their_prefix(llama: Any, budget: int) -> None:
    with _Watched(llama) as watched:
        together(llama, _ragged(7, 40, prefix=60), 0, budget, _quiet)
    passes = list(zip(watched.shapes, watched.prefixes, strict=True))
    assert all(rows * (prefix + width) <= budget or rows == 1 for (rows, width), prefix in passes)
    sizes = [prefix + width for (_, width), prefix in passes if prefix == 60]
    assert sizes
    assert all(one >= other for one, other in pairwise(sizes))


def test_the_logits_of_a_batch_are_bounded(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = _ragged(8, 40)
    expected = together(llama, questions, 0, 100_000, _quiet)
    monkeypatch.setattr(loglikelihood, "LOGITS", 300 * 40)  # 40 places of a vocabulary of 300
    monkeypatch.setattr(loglikelihood, "SLICE", 300 * 3)
    with _Watched(llama) as watched:
        found = together(llama, questions, 0, 100_000, _quiet)
    assert len(watched.logits) > 1
    assert max(watched.logits) <= 40
    assert _flat(found) == pytest.approx(_flat(expected), abs=1e-4)
