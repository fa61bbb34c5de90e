"""Reference log-probabilities and DPO, against TRL's own computation and by hand."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stage_artifacts import folder_artifact, make_job, table_artifact

from primum.artifact.job import Result
from primum.errors import PrimumError
from primum.experiment.models import Optimization
from primum.text.rows import Message, PreferenceRow, to_table
from primum.train import common, dpo, pairs, reference

PAIRS = [
    PreferenceRow(
        f"p/{i}",
        "p",
        (Message("system", "Be kind."), Message("user", "cough " * (1 + i % 4)))
        if i % 2
        else (Message("user", f"tea {i}"),),
        "rest " * (1 + i % 5) + "and water",
        "A doctor" + " and tea" * (i % 3),
    )
    for i in range(16)
]


def _reference(work: Path, model: Path, pairs: list[PreferenceRow], limit: int = 128) -> Result:
    rows = table_artifact(work / "pairs.parquet", to_table(pairs, PreferenceRow))
    spec = {"max_length": limit, "dtype": "float32", "output": "pairs"}
    return next(
        iter(reference.run(make_job(work, {}, {"m": (spec, {"model": folder_artifact(model), "pairs": rows})})))
    )


def _dpo(work: Path, model: Path, table: pa.Table, beta: float = 0.1, **changes: Any) -> Path:
    held_out, nll = changes.pop("held_out", None), changes.pop("nll", 0.0)
    settings = {"learning_rate": 1e-3, "batch": 8, "steps": 4, "optimizer": "rmsprop", **changes}
    spec = {
        "held_out": held_out,
        "optimization": Optimization.model_validate(settings).model_dump(mode="json"),
        "beta": beta,
        **({"nll": nll} if nll else {}),
        "threads": 1,
        "seed": 3,
    }
    pairs = table_artifact(work / "reference.parquet", table)
    job = make_job(work, {}, {"m": (spec, {"model": folder_artifact(model), "pairs": pairs})})
    folder = next(iter(dpo.run(job))).folder
    assert folder is not None
    return folder


@pytest.fixture(scope="module")
def referenced(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> pa.Table:
    table = _reference(tmp_path_factory.mktemp("reference"), tiny_model, PAIRS).table
    assert table is not None
    return table


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, referenced: pa.Table) -> Path:
    return _dpo(tmp_path_factory.mktemp("dpo"), tiny_model, referenced)


def test_pairs_are_tokens_with_one_bos_and_the_template_is_the_conversations_own(
    referenced: pa.Table, tiny_model: Path
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    rows = {row.id: row for row in PAIRS}
    assert referenced.column("id").to_pylist() == sorted(rows)
    for record in referenced.to_pylist():
        row = rows[record["id"]]
        turns = [{"role": m.role, "content": m.content} for m in row.prompt]
        for side, response in (("chosen", row.chosen), ("rejected", row.rejected)):
            both = [*turns, {"role": "assistant", "content": response}]
            text = tokenizer.apply_chat_template(both, tokenize=False)
            ids = record["prompt_ids"] + record[f"{side}_ids"]
            assert tokenizer.decode(ids) == text
            assert ids.count(tokenizer.bos_token_id) == 1
            assert ids[-1] == tokenizer.convert_tokens_to_ids("<|eot_id|>")


TEMPLATES = {
    "llama2": "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% else %} {{ m['content'] }} {{ eos_token }}{% endif %}{% endfor %}",
    "headers": "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
}


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("response", ["A joint disease.", "$46 no idea.", " and so on", "gout"])
def test_a_response_has_the_tokens_that_it_has_in_its_conversation(template: str, response: str) -> None:
    """With a tokenizer like that of Llama 2 and Mistral, which marks the start of a text: none before a response."""
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    replaced = decoders.Replace("▁", " ")
    bpe.decoder = decoders.Sequence([replaced, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    text = "What is gout? A joint disease. 46 no idea. the joint disease is and so on"
    bpe.train_from_iterator([text] * 50, trainers.BpeTrainer(vocab_size=600, special_tokens=special))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer.chat_template = TEMPLATES[template]
    row = PreferenceRow("a", "s", (Message("user", "What is gout?"),), response, "Ask your doctor.")
    record, outcome = pairs.tokenize_pair(tokenizer, row, 512)
    assert outcome == ["kept"]
    assert record is not None
    for side, said in (("chosen", response), ("rejected", "Ask your doctor.")):
        turns = [{"role": "user", "content": "What is gout?"}, {"role": "assistant", "content": said}]
        whole = tokenizer(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False)["input_ids"]
        assert record["prompt_ids"] + record[f"{side}_ids"] == whole
        if said != " and so on":  # whose blank may be one token with the prompt's last
            assert said.strip() in tokenizer.decode(record[f"{side}_ids"])
    assert "gout?" in tokenizer.decode(record["prompt_ids"])


def test_log_probabilities_are_those_of_one_sequence_at_a_time(
    referenced: pa.Table, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    for record in referenced.to_pylist():
        for side in ("chosen", "rejected"):
            ids = record["prompt_ids"] + record[f"{side}_ids"]
            with torch.inference_mode():
                logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            start = len(record["prompt_ids"])
            expected = sum(logprobs[place - 1, ids[place]].item() for place in range(start, len(ids)))
            assert record[f"ref_{side}_logps"] == pytest.approx(expected, abs=1e-3)
    monkeypatch.setattr(reference, "_BATCH_TOKENS", 1)
    alone = _reference(tmp_path, tiny_model, PAIRS).table
    assert alone is not None
    for column in ("ref_chosen_logps", "ref_rejected_logps"):
        assert alone.column(column).to_pylist() == pytest.approx(referenced.column(column).to_pylist(), abs=1e-3)


def test_log_probabilities_are_those_of_trl(referenced: pa.Table, tiny_model: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    tokenizer = AutoTokenizer.from_pretrained(tiny_model, pad_token="<|end_of_text|>")
    columns = ["prompt_ids", "chosen_ids", "rejected_ids"]
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_model),
        args=DPOConfig(output_dir=str(tmp_path), report_to="none", use_cpu=True, bf16=False, max_length=None),
        train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]),
        processing_class=tokenizer,
    )
    batch = DataCollatorForPreference(pad_token_id=1)(referenced.select(columns).to_pylist())
    chosen, rejected = trainer.compute_ref_log_probs(trainer.model.eval(), batch)
    assert referenced.column("ref_chosen_logps").to_pylist() == pytest.approx(chosen.tolist(), abs=1e-3)
    assert referenced.column("ref_rejected_logps").to_pylist() == pytest.approx(rejected.tolist(), abs=1e-3)


def test_too_long_pairs_are_cut_or_left_out_and_counted(tmp_path: Path, tiny_model: Path) -> None:
    full = _reference(tmp_path / "0", tiny_model, PAIRS[:1]).table
    assert full is not None
    prompt = len(full.column("prompt_ids")[0])
    pairs = [
        PreferenceRow("p/0", "p", PAIRS[0].prompt, "rest", "tea"),
        PreferenceRow("p/1", "p", PAIRS[0].prompt, "rest " * 40, "tea"),  # its chosen response is cut
        PreferenceRow("p/2", "p", (Message("user", "cough " * 90),), "rest", "tea"),  # no room for any response
        PreferenceRow("p/3", "p", PAIRS[0].prompt, "tea " * 60 + "a", "tea " * 60 + "b"),  # cut where they differ
    ]
    limit = prompt + 20
    result = _reference(tmp_path / "1", tiny_model, pairs, limit)
    assert result.counts == {"kept": 2, "truncated": 1, "prompt-too-long": 1, "equal-texts": 1}
    assert result.table is not None
    chosen, rejected = (result.table.column(f"{side}_ids").to_pylist() for side in ("chosen", "rejected"))
    assert len(chosen[1]) == 20
    assert all(len(ids) < 20 for ids in [chosen[0], *rejected])
    with pytest.raises(PrimumError, match=r"m: no pair is left .*max_length"):
        _reference(tmp_path / "2", tiny_model, pairs, 5)


def test_a_template_that_rewrites_the_prompt_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    import shutil

    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    template = "{% for m in messages %}{{ m.role }}{{ loop.length }}{{ m.content }};{% endfor %}"
    for path in model.glob("chat_template.jinja"):
        path.write_text(template)
    config = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": template}))
    with pytest.raises(PrimumError, match=r"^m: .*rewrites what was asked"):
        _reference(tmp_path, model, PAIRS)


def test_the_first_loss_is_ln_2_and_then_it_falls(aligned: Path) -> None:
    history = pq.read_table(aligned / "history.parquet")
    losses = history.column("loss").to_pylist()
    assert history.column("step").to_pylist() == [1, 2, 3, 4]
    # The policy is its own reference, and the first step's learning rate is 0: steps 1 and 2 see the same weights.
    assert losses[:2] == [pytest.approx(math.log(2), abs=1e-4)] * 2
    assert losses[3] < losses[1] - 0.01
    assert history.column("reward_margin").to_pylist()[0] == pytest.approx(0, abs=1e-3)
    assert history.column("reward_accuracy").null_count == 0


def test_a_later_loss_is_dpos_by_hand(tmp_path: Path, tiny_model: Path, referenced: pa.Table) -> None:
    """-log sigmoid(beta * ((chosen - reference) - (rejected - reference))) of an imagined reference."""
    margins = [0.5 * i for i in range(referenced.num_rows)]
    shifted = [
        value - margin for value, margin in zip(referenced.column("ref_chosen_logps").to_pylist(), margins, strict=True)
    ]
    place = referenced.schema.get_field_index("ref_chosen_logps")
    table = referenced.set_column(place, referenced.schema.field(place), pa.array(shifted, type=pa.float32()))
    expected = sum(math.log(1 + math.exp(-0.3 * margin)) for margin in margins) / len(margins)
    folder = _dpo(tmp_path, tiny_model, table, beta=0.3, batch=16, steps=1, micro_batch=4)
    history = pq.read_table(folder / "history.parquet").to_pylist()
    assert history[0]["loss"] == pytest.approx(expected, abs=1e-3)
    assert history[0]["reward_margin"] == pytest.approx(0.3 * sum(margins) / len(margins), abs=1e-3)


def test_the_likelihood_of_chosen_tokens_is_added_by_its_weight(
    tmp_path: Path, tiny_model: Path, referenced: pa.Table
) -> None:
    """At the first step, where DPO's own loss is ln 2: the mean over tokens, or of one pair at a time over the pairs' means."""
    records = referenced.select(["chosen_ids", "ref_chosen_logps"]).to_pylist()
    tokens = [len(record["chosen_ids"]) for record in records]
    nll = [-record["ref_chosen_logps"] for record in records]
    means = [each / count for each, count in zip(nll, tokens, strict=True)]
    for micro_batch, expected in ((16, sum(nll) / sum(tokens)), (1, sum(means) / len(means))):
        work = tmp_path / str(micro_batch)
        folder = _dpo(work, tiny_model, referenced, nll=0.5, batch=16, steps=1, micro_batch=micro_batch)
        (step,) = pq.read_table(folder / "history.parquet").to_pylist()
        assert step["loss"] == pytest.approx(math.log(2) + 0.5 * expected, abs=2e-3)
    assert abs(sum(nll) / sum(tokens) - sum(means) / len(means)) > 0.02


def _bytes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_the_same_seed_gives_the_same_bytes_resumed_or_not(
    tmp_path: Path, tiny_model: Path, referenced: pa.Table, aligned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(common.Watch, "on_step_begin", stop)
        with pytest.raises(KeyboardInterrupt):
            _dpo(tmp_path, tiny_model, referenced, checkpoint_steps=1)
    resumed = _dpo(tmp_path, tiny_model, referenced, checkpoint_steps=1)
    assert "resuming from checkpoint-2" in (tmp_path / "log.txt").read_text()
    assert _bytes(resumed) == _bytes(aligned)


def test_a_batch_is_the_same_at_once_and_accumulated(
    tmp_path: Path, tiny_model: Path, referenced: pa.Table, aligned: Path
) -> None:
    accumulated = _dpo(tmp_path, tiny_model, referenced, micro_batch=1)
    expected, found = (pq.read_table(folder / "history.parquet").to_pylist() for folder in (aligned, accumulated))
    for one, other in zip(expected, found, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], abs=2e-3)
        assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=2e-2)


def test_what_is_saved_names_no_place(aligned: Path, tiny_model: Path) -> None:
    for path in aligned.iterdir():
        for word in (str(aligned.parents[2]), str(tiny_model), "/tmp", "/root", "/home"):
            assert word.encode() not in path.read_bytes(), (path.name, word)
