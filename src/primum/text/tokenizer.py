"""Tokenizers of model artifacts: loading them, and training one for a model from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.text.chat import BOS, EOS, EOT, LLAMA3_TEMPLATE, SPECIAL_TOKENS
from primum.text.templates import folded


def load_tokenizer(model: Artifact, template: str | None = None, fold_system: bool = False) -> Any:
    """The fast tokenizer of a model artifact, from its files alone, with another chat template where one is given.

    A tokenizer without a padding token, as Llama-3's, pads with its end token: padding carries no label anywhere. PrimumError
    where a system turn is to be folded and there is no template.
    """
    from transformers import AutoTokenizer

    model.verify(weights=False)
    tokenizer = AutoTokenizer.from_pretrained(model.data, local_files_only=True, trust_remote_code=False, use_fast=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if template is not None:
        tokenizer.chat_template = template
    if fold_system:
        if tokenizer.chat_template is None:
            raise PrimumError("fold_system: the model has no chat template: name one with the key 'template'")
        tokenizer.chat_template = folded(tokenizer.get_chat_template())
    return tokenizer


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """A byte-level BPE tokenizer of ``vocab_size`` tokens with Llama-3's special tokens and chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=BOS, eos_token=EOT, pad_token=EOS, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = LLAMA3_TEMPLATE
    return tokenizer
