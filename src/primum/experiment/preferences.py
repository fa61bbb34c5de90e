"""Preference pairs: read from datasets, drawn from a model here and ranked, or of safety demonstrations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from primum.experiment.types import AtLeastOne, Count, Frozen, Name, RelativePath, Sampling


class ReadPreferences(Frozen):
    """Preference pairs of one DPO stage, as datasets have them.

    Of a multiple-choice dataset each question becomes a pair: its right answer, and a wrong one drawn with the seed.
    """

    datasets: tuple[Name, ...] = Field(min_length=1)


class SampledPreferences(Frozen):
    """On-policy pairs, after Snorkel-Mistral-PairRM-DPO: a prompt's best response against its worst.

    The model ``from`` answers each prompt of the datasets ``prompts`` (or of a seeded sample of ``take``) ``n`` times, and
    ``ranker`` orders the answers. Without ``sampling`` answers are drawn from the model's own distribution.
    """

    start: Name = Field(alias="from")
    prompts: tuple[Name, ...] = Field(min_length=1)
    take: AtLeastOne | None = None
    n: Annotated[int, Field(ge=2, strict=True)] = 5
    sampling: Sampling = Sampling(temperature=1.0)
    ranker: Name

    @model_validator(mode="after")
    def _answers_differ(self) -> SampledPreferences:
        if self.sampling.temperature == 0:
            raise ValueError(f"sampling.temperature 0 gives the same answer {self.n} times: raise it")
        return self


class BenignPairs(Frozen):
    """Benign conversations of ``datasets``, or a seeded sample of ``take`` of them: their answers are preferred to a refusal."""

    datasets: tuple[Name, ...] = Field(min_length=1)
    take: AtLeastOne | None = None


class DemonstratedPreferences(Frozen):
    """A safe answer against the model's own, where a judge finds that one harmful.

    The model ``from`` answers the requests of ``demonstrations`` (datasets of requests with a safe answer), or of a seeded
    sample of ``take``, as it answers those of the evaluation. Where the rubric ``judge`` gives ``at_least`` or more, the
    demonstration is chosen and the model's answer is rejected. ``asked`` are datasets with the same requests that are answered
    and judged in the place of ``demonstrations``: once, for several sets of different sizes. Of ``benign`` conversations the
    answer is chosen, and a demonstration that belongs to another request is rejected.
    """

    start: Name = Field(alias="from")
    demonstrations: tuple[Name, ...] = Field(min_length=1)
    asked: tuple[Name, ...] = ()
    judge: Name
    at_least: Annotated[int, Field(ge=2, le=5, strict=True)] = 4
    take: AtLeastOne | None = None
    benign: BenignPairs | None = None

    @property
    def answered(self) -> tuple[str, ...]:
        """The datasets whose requests the model answers."""
        return self.asked or self.demonstrations

    @property
    def read(self) -> tuple[str, ...]:
        """Every dataset that the pairs are made of."""
        ordinary = self.benign.datasets if self.benign else ()
        return tuple(dict.fromkeys((*self.demonstrations, *self.answered, *ordinary)))

    @model_validator(mode="after")
    def _no_dataset_is_both(self) -> DemonstratedPreferences:
        if self.benign and (both := {*self.demonstrations, *self.asked} & set(self.benign.datasets)):
            raise ValueError(f"{min(both)!r} has demonstrations and is benign: name it once")
        return self


class Ranker(Frozen):
    """What orders the responses to a prompt.

    ``pairrm`` compares any two in both orders (Jiang et al. 2023); its model is one of the kind of ``llm-blender/PairRM-hf``.
    ``reward`` is a sequence classifier, whose one logit counts, or of several the log-probability of ``label``. ``implicit``
    is beta times the log-ratio of a DPO model of this experiment to its reference (Rafailov et al. 2023). ``judge`` asks a
    model with the rubric ``template`` for a score from 1 to 5, of which ``best`` says which end is wanted.
    """

    kind: Literal["pairrm", "reward", "implicit", "judge"]
    model: Name
    label: Count | None = None
    template: RelativePath | None = None
    sampling: Sampling | None = None
    best: Literal["highest", "lowest"] = "highest"

    @model_validator(mode="after")
    def _keys_of_its_kind(self) -> Ranker:
        if (self.kind == "judge") != (self.template is not None):
            raise ValueError("a 'judge' needs 'template', other kinds of ranker do not")
        for key, kind in {"label": "reward", "sampling": "judge", "best": "judge"}.items():
            if key in self.model_fields_set and self.kind != kind:
                raise ValueError(f"{key!r} is for rankers of kind {kind!r}")
        return self


def _kind(value: Any) -> str:
    """Which class an entry belongs to, so that an error speaks of that class's keys alone."""
    keys = value if isinstance(value, dict) else value.model_fields_set if isinstance(value, Frozen) else ()
    if {"demonstrations", "judge"} & set(keys):
        return "demonstrated"
    return "sampled" if {"from", "start", "ranker"} & set(keys) else "read"


Preferences = Annotated[
    Annotated[ReadPreferences, Tag("read")]
    | Annotated[SampledPreferences, Tag("sampled")]
    | Annotated[DemonstratedPreferences, Tag("demonstrated")],
    Discriminator(_kind),
]
