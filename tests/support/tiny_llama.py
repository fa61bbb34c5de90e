"""A random Llama, small enough for a test, in the files that a published model comes in."""

from __future__ import annotations

import json
from pathlib import Path

SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
# Llama 3's template, in short: BOS belongs to the template.
TEMPLATE = (
    "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def write_tiny_llama(folder: Path, max_length: int = 256) -> None:
    """Write config, weights, tokenizer and a generation configuration whose defaults an engine must not follow."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=list(SPECIAL), initial_alphabet=alphabet)
    bpe.train_from_iterator(["A patient with a cough asks a doctor for advice about rest, tea and water."] * 4, trainer)
    begin = SPECIAL[0]
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", special_tokens=[(begin, bpe.token_to_id(begin))]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=begin, eos_token=SPECIAL[1], extra_special_tokens=list(SPECIAL[2:])
    )
    tokenizer.chat_template = TEMPLATE
    folder.mkdir(parents=True)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=max_length,
        initializer_range=0.4,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        # Some answers should end before they are cut.
        model.lm_head.weight[tokenizer.convert_tokens_to_ids("<|eot_id|>")] *= 2
    model.save_pretrained(folder)
    generation = {"eos_token_id": 1, "do_sample": True, "temperature": 1.7, "repetition_penalty": 5.0}
    (folder / "generation_config.json").write_text(json.dumps(generation))


def endpoint_json(folder: Path, base_url: str, model: str = "tiny", key_env: str = "TEST_KEY") -> Path:
    """``endpoint.json`` of an endpoint model."""
    path = folder / "endpoint.json"
    path.write_text(json.dumps({"endpoint": model, "base_url": base_url, "key_env": key_env}))
    return path
