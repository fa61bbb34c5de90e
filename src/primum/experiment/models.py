"""The three kinds of model an experiment may name: fetched from a hub, behind an endpoint, or trained here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from primum.experiment.types import (
    AtLeastOne,
    Count,
    Engine,
    Frozen,
    HubId,
    Name,
    Number,
    Positive,
    RelativePath,
    Revision,
    Share,
)


class _Model(Frozen):
    """``axes`` are the values of the grid that made the entry, by axis: for tables and figures, in no spec.

    ``family`` is the one whose published wording the model is asked in, where prompts have a ``wording``; a model that is trained
    here has that of the model it starts from.
    """

    title: str = ""
    size_class: Literal["small", "medium", "large"] = "small"
    engine: Engine | None = None
    family: str = ""
    axes: dict[str, bool | int | float | str] = {}


class _Templated(_Model):
    """``template`` takes the place of the model's chat template: ``alpaca``, ``plain``, ``bare``, or a file of the project.

    ``fold_system`` puts a system turn at the beginning of the first user turn, for templates that refuse one. Both become part
    of the model's own files, so that data, generation and scoring all follow them.
    """

    template: RelativePath | None = None
    fold_system: bool = False


class Shape(Frozen):
    """The sizes in a published decoder's config.json, of Llama's kind: what its training takes is told by them."""

    hidden_size: AtLeastOne
    intermediate_size: AtLeastOne
    layers: AtLeastOne
    heads: AtLeastOne
    kv_heads: AtLeastOne
    vocab_size: AtLeastOne
    tied: bool = False


class HubModel(_Templated):
    """A published model at a pinned revision (40 hex digits). ``unknown`` is the lock's, and refused where that has none.

    ``shape`` is for ``primum plan`` and in no spec.
    """

    hub: HubId
    revision: Revision
    license: str = ""
    shape: Shape | None = None


class Price(Frozen):
    """Dollars a million tokens, those that are sent (``prompt``) and those that come back. For `primum plan`, in no spec."""

    prompt: Annotated[Number, Field(ge=0)]
    completion: Annotated[Number, Field(ge=0)]


class EndpointModel(_Model):
    """A model behind an OpenAI-compatible endpoint; the key comes from the environment variable ``key_env``.

    ``phi`` looks for identifiers in what it is asked: ``warn`` (if nothing is said, unless the endpoint is on this machine) says
    and records how many are sent, ``redact`` sends a mark in the place of each, ``stop`` sends nothing if there is any.
    """

    endpoint: str
    base_url: str = "https://api.openai.com/v1"
    key_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] = "OPENAI_API_KEY"
    phi: Literal["warn", "redact", "stop"] | None = None
    price: Price | None = None


class Optimization(Frozen):
    """The optimizer's settings: ``epochs`` or ``steps``, with a linear warm-up and then a cosine (or linear) decay.

    ``batch`` counts packed chunks (pretrain, sft) or pairs (dpo) an optimizer step, over all devices;
    ``micro_batch`` how many of them a device holds at once. ``drop_last`` leaves out what does not fill an epoch's last batch.
    The warm-up is a share of all steps, or ``warmup_steps``, however many steps there are.
    ``float16`` is for one GPU: weights are float32, computed with in float16, and the loss is scaled.
    """

    learning_rate: Positive
    batch: AtLeastOne
    micro_batch: AtLeastOne | None = None
    epochs: Positive | None = None
    steps: AtLeastOne | None = None
    drop_last: bool = False
    warmup_ratio: Share = 0.03
    warmup_steps: Count | None = None
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    optimizer: Literal["adamw", "rmsprop"] = "adamw"
    betas: tuple[Number, Number] = (0.9, 0.999)
    weight_decay: Annotated[Number, Field(ge=0)] = 0.0
    max_grad_norm: Positive = 1.0
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    checkpoint_steps: Count = 0

    @model_validator(mode="after")
    def _one_warm_up(self) -> Optimization:
        if self.warmup_steps is not None and "warmup_ratio" in self.model_fields_set:
            raise ValueError("'warmup_steps' and 'warmup_ratio' are two warm-ups: give one")
        return self


class Architecture(Frozen):
    """A Llama trained from scratch with its own byte-level BPE tokenizer and Llama-3's special tokens."""

    vocab_size: AtLeastOne = 1024
    hidden_size: AtLeastOne = 128
    intermediate_size: AtLeastOne = 384
    layers: AtLeastOne = 4
    heads: AtLeastOne = 4
    kv_heads: AtLeastOne = 4
    max_length: AtLeastOne = 1024


class LoRA(Frozen):
    """Low-rank adapters (Hu et al. 2021), merged into the weights when training ends."""

    r: AtLeastOne = 8
    alpha: AtLeastOne = 16
    dropout: Share = 0.0
    modules: tuple[str, ...] = ("q_proj", "v_proj")


class HeldOut(Frozen):
    """``take`` packed chunks (pretrain, sft) or pairs (dpo), drawn with the seed, that a training does not learn from.

    Their loss is computed before the first step, after every ``eval_steps`` steps, and after the last one.
    """

    take: AtLeastOne
    eval_steps: AtLeastOne


class _Trained(_Model):
    """``published_steps`` are those of the paper, for `primum plan` to set beside its own; in no spec."""

    data: Name
    held_out: HeldOut | None = None
    published_steps: AtLeastOne | None = None
    optimization: Optimization
    threads: AtLeastOne = 1
    seed: Count | None = None


class PretrainedModel(_Trained):
    """A tokenizer and a Llama from scratch on a mixture of text."""

    train: Literal["pretrain"]
    architecture: Architecture = Architecture()
    chunk_tokens: AtLeastOne = 256


class _Limits(Frozen):
    """Shares of what a training is about to learn from, in 0-1, above which it does not begin (``primum.text.audit``)."""

    refused: Share = 0.01
    two_bos: Share = 0.0
    end_unlearned: Share = 0.0
    truncated: Share = 0.5


class SFTLimits(_Limits):
    """Limits of packed samples; ``unfilled`` is of the chunks' token places, which only a last chunk leaves mostly empty."""

    no_loss_tokens: Share = 0.25
    labels_across_samples: Share = 0.0
    unfilled: Share = 0.9


class DPOLimits(_Limits):
    """Limits of tokenised pairs."""

    prompt_too_long: Share = 0.25
    equal_texts: Share = 0.25


class SFTModel(_Templated, _Trained):
    """Supervised fine-tuning of ``from`` on a mixture; samples are packed into chunks of ``chunk_tokens``.

    With ``packing: false`` each sample is a chunk of its own, so that a batch has as many samples as it says.
    ``limits`` are those of the packed samples' audit, in its spec alone.
    ``attention_reset`` keeps packed samples from attending to one another; ``train_on_inputs`` puts the loss on prompts too.
    ``attention`` is the kernel: ``varlen`` is flash attention, on GPUs several times as fast on packed chunks as ``sdpa``,
    whose mask is tokens x tokens.
    """

    train: Literal["sft"]
    start: Name = Field(alias="from")
    chunk_tokens: AtLeastOne = 8192
    packing: bool = True
    limits: SFTLimits = SFTLimits()
    attention: Literal["sdpa", "flex_attention", "varlen"] = "sdpa"
    attention_reset: bool = True
    train_on_inputs: bool = False
    lora: LoRA | None = None


class DPOModel(_Trained):
    """Direct preference optimization (Rafailov et al. 2023) of ``from`` against ``reference`` (``from`` if left out).

    ``nll`` is the weight of the mean negative log-likelihood of the chosen tokens beside it (Pang et al. 2024), for what the
    model would hardly say by itself: DPO alone makes the rejected response less likely, and may make both.
    ``limits`` are those of the pairs' audit, in its spec alone.
    """

    train: Literal["dpo"]
    start: Name = Field(alias="from")
    reference: Name | None = None
    beta: Positive
    nll: Annotated[Number, Field(ge=0)] = 0.0
    max_length: AtLeastOne = 4096
    limits: DPOLimits = DPOLimits()


TrainedModel = PretrainedModel | SFTModel | DPOModel


def _kind(value: Any) -> str | None:
    """Which class a model entry belongs to, so that an error speaks of that class's keys alone."""

    def get(key: str) -> Any:
        return value.get(key) if isinstance(value, dict) else getattr(value, key, None)

    if get("hub") or get("endpoint"):
        return "hub" if get("hub") else "endpoint"
    return get("train") if get("train") in ("pretrain", "sft", "dpo") else None


Model = Annotated[
    Annotated[HubModel, Tag("hub")]
    | Annotated[EndpointModel, Tag("endpoint")]
    | Annotated[PretrainedModel, Tag("pretrain")]
    | Annotated[SFTModel, Tag("sft")]
    | Annotated[DPOModel, Tag("dpo")],
    Discriminator(
        _kind,
        custom_error_type="model_kind",
        custom_error_message="a model needs 'hub', 'endpoint', or 'train' with one of: pretrain, sft, dpo",
    ),
]
