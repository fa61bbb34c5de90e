"""Stage pretrain: a tokenizer and a Llama from scratch, on a mixture of plain text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from transformers import LlamaConfig, LlamaForCausalLM

from primum.artifact.job import Job, Result
from primum.errors import PrimumError
from primum.text.chat import BOS, EOS, EOT, harmless
from primum.text.packing import Sample, pack
from primum.text.rows import TextRow
from primum.text.tokenizer import train_tokenizer
from primum.train.chunks import train_on_chunks
from primum.train.common import check_dtype, start
from primum.train.saving import save


def run(job: Job) -> Iterator[Result]:
    """One model folder: safetensors, tokenizer, history.parquet."""
    for item in job.items:
        table = item.one("mixture").table()
        if not table.schema.equals(TextRow.SCHEMA):
            raise PrimumError(f"{item.name}: pretraining needs a mixture of text datasets")
        size = item.spec["architecture"]
        start(item.spec["threads"], item.spec["seed"])
        check_dtype(item.name, item.spec["optimization"]["dtype"])
        texts = table.column("text").to_pylist()
        tokenizer = train_tokenizer(texts, size["vocab_size"])
        bos, eos = tokenizer.convert_tokens_to_ids([BOS, EOS])
        limit = item.spec["chunk_tokens"]
        samples = []
        for text in texts:
            ids = [bos, *tokenizer(harmless(tokenizer, text), add_special_tokens=False)["input_ids"], eos]
            # A text longer than a chunk goes on in the next one: nothing of it is lost.
            samples += [np.array(ids[at : at + limit], dtype=np.int32) for at in range(0, len(ids), limit)]
        chunks = pack([Sample(ids, ids) for ids in samples], limit, item.spec["seed"])
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=size["hidden_size"],
            intermediate_size=size["intermediate_size"],
            num_hidden_layers=size["layers"],
            num_attention_heads=size["heads"],
            num_key_value_heads=size["kv_heads"],
            max_position_embeddings=size["max_length"],
            tie_word_embeddings=True,
            bos_token_id=bos,
            eos_token_id=tokenizer.convert_tokens_to_ids(EOT),
            pad_token_id=tokenizer.pad_token_id,
        )
        model = LlamaForCausalLM(config)
        job.progress.say(
            f"{item.name}: {model.num_parameters():,} parameters, {chunks.num_rows:,} chunks of {limit} tokens"
        )
        log = train_on_chunks(
            model, tokenizer, chunks, item.spec, item.name, item.work, job.progress, True, job.devices
        )
        folder = save(model, tokenizer, log, item.work / "model", "float32")
        yield Result(item, folder=folder, counts={"parameters": model.num_parameters(), "steps": log[-1]["step"]})
