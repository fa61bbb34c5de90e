"""Random rankers, small enough for a test, in the files that published ones come in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MARKS = ("<|source|>", "<|candidate1|>", "<|candidate2|>")
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def bert_tokenizer() -> Any:
    """A tokenizer that puts a text between [CLS] and [SEP], and knows PairRM's marks."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *MARKS]
    bpe = Tokenizer(models.BPE(unk_token="[UNK]"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        ["A patient asks for advice about rest, tea and water."] * 4,
        trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet),
    )
    bpe.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", bpe.token_to_id("[CLS]")), ("[SEP]", bpe.token_to_id("[SEP]"))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        unk_token="[UNK]",
        extra_special_tokens=list(MARKS),
    )


def deberta_config(tokenizer: Any, **more: Any) -> Any:
    """DeBERTa-v3's own settings, in small."""
    from transformers import DebertaV2Config

    return DebertaV2Config(
        vocab_size=len(tokenizer),
        **SIZES,
        pad_token_id=tokenizer.pad_token_id,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        position_buckets=32,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        type_vocab_size=0,
        initializer_range=0.5,
        **more,
    )


def write_pairrm(folder: Path) -> None:
    """A PairRM with random weights, under the names of the published file."""
    import torch
    from safetensors.torch import save_file
    from torch import nn
    from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Model

    torch.manual_seed(1)
    tokenizer = bert_tokenizer()
    config = deberta_config(tokenizer, n_tasks=1, drop_out=0.05, architectures=["DebertaV2PairRM"])
    encoder, size = DebertaV2Model(config), config.hidden_size
    head = nn.Sequential(nn.Dropout(), nn.Linear(2 * size, size), nn.Tanh(), nn.Dropout(), nn.Linear(size, 1))
    tokenizer.save_pretrained(folder)
    config.save_pretrained(folder)
    weights = {
        **{f"pretrained_model.{name}": value.contiguous() for name, value in encoder.state_dict().items()},
        **{f"head_layer.{name}": value for name, value in head.state_dict().items()},
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def write_classifier(folder: Path, llama: Path | None = None, labels: int = 1) -> None:
    """A sequence classifier: a DeBERTa without a chat template, or a Llama with the tokenizer of the folder ``llama``."""
    import torch
    from transformers import (
        AutoTokenizer,
        DebertaV2ForSequenceClassification,
        LlamaConfig,
        LlamaForSequenceClassification,
    )

    torch.manual_seed(2)
    tokenizer = bert_tokenizer() if llama is None else AutoTokenizer.from_pretrained(llama)
    model: Any
    if llama is None:
        model = DebertaV2ForSequenceClassification(
            deberta_config(tokenizer, num_labels=labels, max_position_embeddings=128)
        )
    else:
        config = LlamaConfig(
            vocab_size=len(tokenizer) + 1,
            **SIZES,
            num_labels=labels,
            initializer_range=0.4,
            max_position_embeddings=128,
        )
        model = LlamaForSequenceClassification(config)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
