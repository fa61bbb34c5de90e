"""Two tiny random models of different kinds, as their published relatives come: one tokenizer adds BOS, the other has none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tiny_llama import SPECIAL, TEMPLATE

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIZES: dict[str, Any] = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 3}


def write_llama(folder: Path, texts: Sequence[str], max_length: int = 4096) -> None:
    """A Llama whose tokenizer adds BOS, and whose chat template writes it."""
    from tokenizers import processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = _bpe(texts, list(SPECIAL))
    begin = SPECIAL[0]
    bpe.post_processor = processors.TemplateProcessing(single=f"{begin} $A", special_tokens=[(begin, 0)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=begin, eos_token=SPECIAL[1], extra_special_tokens=list(SPECIAL[2:])
    )
    config = LlamaConfig(
        **SIZES, vocab_size=len(tokenizer), max_position_embeddings=max_length, initializer_range=0.15, bos_token_id=0
    )
    _save(folder, tokenizer, TEMPLATE, LlamaForCausalLM, config)


def write_neox(folder: Path, texts: Sequence[str], max_length: int = 4096) -> None:
    """A GPT-NeoX as Pythia's: parallel residual, rotary on a quarter of each head, no BOS; with a ChatML template."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_bpe(texts, special),
        eos_token=special[0],
        pad_token=special[0],
        extra_special_tokens=special[1:],
    )
    config = GPTNeoXConfig(
        **SIZES, vocab_size=len(tokenizer), max_position_embeddings=max_length, initializer_range=0.15, bos_token_id=0
    )
    _save(folder, tokenizer, CHATML, GPTNeoXForCausalLM, config)


def _bpe(texts: Sequence[str], special: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=2000, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    return bpe


def _save(folder: Path, tokenizer: Any, template: str, model: Any, config: Any) -> None:
    import torch

    tokenizer.chat_template = template
    folder.mkdir(parents=True)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    model(config).save_pretrained(folder)
