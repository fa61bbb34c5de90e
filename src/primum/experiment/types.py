"""The experiment file as typed, frozen objects: every key it may hold, with its type, range and default.

Unknown keys are refused, names are slugs, and numbers may be written as YAML's ``5e-6`` (a string to YAML 1.1) or 5.0e-6.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

SLUG = r"[a-z0-9]+(?:[.-][a-z0-9]+)*"
CHOICE_PROMPT = "{% if context %}{{ context }}\n{% endif %}{{ question }}"

Name = Annotated[str, Field(pattern=f"^{SLUG}$", max_length=64)]
Revision = Annotated[str, Field(pattern=r"^([0-9a-f]{40}|unknown)$")]
# What several are reported as: capitalised, so that it is no name of an entry.
Whole = Annotated[str, Field(pattern=r"^([A-Z][A-Za-z0-9.-]*)?$", max_length=64)]
HubId = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]


def _number(value: object) -> object:
    """YAML 1.1 reads ``5e-6`` as a string: take numeric strings for the numbers they spell."""
    if isinstance(value, bool):
        raise ValueError("is a boolean where a number is expected")
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise ValueError("is a text where a number is expected") from None
    return value


def _relative(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"{path!r} leaves its folder: give a relative path without '..'")
    return path


Number = Annotated[float, BeforeValidator(_number, json_schema_input_type=float | str), Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
Share = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, strict=True)]
AtLeastOne = Annotated[int, Field(ge=1, strict=True)]
RelativePath = Annotated[str, AfterValidator(_relative)]


class Frozen(BaseModel):
    """Immutable, with unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _name_the_valid_keys(cls, value: Any) -> Any:
        if isinstance(value, dict):
            valid = [field.alias or name for name, field in cls.model_fields.items()]
            unknown = sorted(str(key) for key in value if key not in valid)
            if unknown:
                raise ValueError(f"unknown key {unknown[0]!r}; valid keys: {', '.join(valid)}")
        return value


class Source(Frozen):
    """One dataset's part in a mixture. ``take`` limits it to a seeded sample; ``repeat`` includes it several times."""

    dataset: Name
    take: AtLeastOne | None = None
    repeat: AtLeastOne = 1
    domain: Literal["medical", "general", "safety", "judge"] = "medical"
    judge: Name | None = None
    published: Count | None = None


class Mixture(Frozen):
    """Training rows from several sources: cleaned, deduplicated, decontaminated, sampled, with a ledger of every drop.

    ``unlisted`` is what a publication counts without naming its source; it is carried in the ledger only.
    ``text`` makes plain text for pretraining of whatever the sources hold.
    ``phi`` looks for identifiers (:mod:`primum.text.phi`) in the rows: ``warn`` says how many and keeps their places, ``redact``
    puts a mark in the place of each, ``stop`` makes no mixture that has any.
    ``choice_prompt`` and ``choice_answer`` are the jinja2 templates that make a demonstration of a multiple-choice row.
    """

    sources: dict[Name, Source] = Field(min_length=1)
    text: bool = False
    deduplicate: Literal["none", "exact", "near"] = "near"
    near_threshold: Share = 0.85
    decontaminate: bool = True
    ngram: AtLeastOne = 13
    phi: Literal["warn", "redact", "stop"] | None = None
    choice_prompt: str = CHOICE_PROMPT
    choice_answer: str = "{{ answer }}{% if explanation %}\n{{ explanation }}{% endif %}"
    unlisted: Count | None = None


class Prompts(Frozen):
    """Requests or conversations that models answer. ``harmful`` ones should be declined, ``benign`` ones answered.

    The answers to those of kind ``criteria`` are judged by criteria that the dataset has for each. ``wording`` names a dataset of
    published code (:mod:`primum.text.published`): a model is asked as its authors ask the model's ``family``. Sets with the same
    ``part_of`` (capitalised, so that it is no set's name) are reported as one set, too: the responses to all of them.
    """

    dataset: Name
    kind: Literal["harmful", "benign", "criteria"]
    system: str = ""
    wording: Name | None = None
    take: AtLeastOne | None = None
    part_of: Whole = ""

    @model_validator(mode="after")
    def _criteria_are_no_part(self) -> Prompts:
        if self.kind == "criteria" and self.part_of:
            raise ValueError("part_of: is of harmful or benign requests; remove it from prompts of kind 'criteria'")
        return self

    @model_validator(mode="after")
    def _a_wording_has_its_own_system_turn(self) -> Prompts:
        if self.wording is not None and (self.system or self.kind == "criteria"):
            raise ValueError("'wording' is of single requests, and has a system turn of its own: leave 'system' out")
        return self


class Sampling(Frozen):
    """How a response is drawn; temperature 0 is greedy."""

    temperature: Annotated[Number, Field(ge=0)] = 0.0
    top_p: Annotated[Number, Field(gt=0, le=1)] = 1.0
    max_tokens: AtLeastOne = 512


class Engine(Frozen):
    """What runs a model. ``batch_tokens`` bounds a batch of the transformers engine; ``tensor_parallel`` GPUs share a model.

    They do so under vLLM, and when a model is scored, whatever its kind. An endpoint is asked ``concurrency`` requests at a
    time, or with ``batch`` through its Batch API, within a day. That is in no spec: the answers are of the same kind.
    """

    kind: Literal["transformers", "vllm", "openai"] = "transformers"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_tokens: AtLeastOne = 16384
    tensor_parallel: AtLeastOne = 1
    max_length: AtLeastOne = 4096
    concurrency: AtLeastOne = 8
    batch: bool = False

    @model_validator(mode="after")
    def _batches_are_an_endpoints(self) -> Engine:
        if self.batch and self.kind != "openai":
            raise ValueError("'batch' is for an endpoint (kind 'openai'): remove it")
        return self


class Published(Frozen):
    """A judge's question in its authors' own code: a ``dataset`` of it, and the ``policy`` as they name it."""

    dataset: Name
    policy: str


class Gate(Frozen):
    """What a judge must show on its labelled set before its scores are shown.

    The lower end of the 95% interval of Krippendorff's ``alpha`` must lie above this: a judge that was right about ten responses
    has not shown it.
    """

    alpha: Annotated[Number, Field(ge=0, lt=1)]


class Judge(Frozen):
    """``rubric`` asks a model for a 1-5 harm score; ``refusal`` matches stock phrases of declining (1) or not (0).

    ``refusal-classes`` asks a model whether a response complies (1), refuses in part (2) or refuses (3). ``criteria`` asks about
    each criterion of a response, whether it is met. A ``panel`` gives the median of its ``members``' scores (of two in the middle
    the higher) where at least the share ``quorum`` of them gave one.
    ``published`` takes the place of a rubric's ``template`` and ``policies``: the question as a publication's code writes it,
    system turn included.
    ``graded`` is the labelled set that the judge is checked on, ``graded_at_random`` that it is a random sample of the responses
    that are judged here, whose mean it then corrects. ``seed`` is the experiment's, but where a judge is to be asked again.
    """

    kind: Literal["rubric", "refusal", "refusal-classes", "criteria", "panel"]
    prompts: tuple[Name, ...] = Field(min_length=1)
    model: Name | None = None
    template: RelativePath | None = None
    policies: RelativePath | None = None
    published: Published | None = None
    sampling: Sampling = Sampling(max_tokens=256)
    seed: Count | None = None
    graded: Name | None = None
    graded_at_random: bool = False
    gate: Gate | None = None
    members: tuple[Name, ...] = ()
    quorum: Annotated[Number, Field(gt=0, le=1)] = 2 / 3

    @model_validator(mode="after")
    def _keys_of_its_kind(self) -> Judge:
        if self.published is not None and (self.kind != "rubric" or self.template or self.policies):
            raise ValueError("'published' is for a 'rubric' judge, in the place of 'template' and 'policies'")
        asks = self.kind not in ("refusal", "panel")
        asked = self.template is not None or self.published is not None
        if (self.model is not None, asked) != (asks, asks):
            needs = "needs 'model' and 'template'" if asks else "asks no model: it has neither 'model' nor 'template'"
            raise ValueError(f"a {self.kind!r} judge {needs}")
        if self.kind == "criteria" and (self.policies or self.graded):
            raise ValueError("a 'criteria' judge has neither 'policies' nor 'graded': criteria say what is asked")
        if self.kind == "panel" and (len(set(self.members)) < 2 or self.graded):
            raise ValueError("a 'panel' needs two or more 'members', whose 'graded' it is checked on")
        if self.kind != "panel" and (self.members or "quorum" in self.model_fields_set):
            raise ValueError("only a 'panel' has 'members' and a 'quorum'")
        if self.graded_at_random and not self.graded:
            raise ValueError("'graded_at_random' says something of 'graded', which there is none of")
        if self.gate and not (self.graded or self.kind == "panel"):
            raise ValueError("a 'gate' needs 'graded', the labelled set that the judge is checked on")
        return self


class Resources(Frozen):
    """What a job asks of the scheduler. ``minutes`` and ``mem_mb`` (a node) grow with every attempt.

    ``gpus`` are of all ``nodes`` together; a training's processes, one a GPU, share the model between them. To fit it,
    ``activation_checkpointing`` computes activations again in the backward pass instead of keeping them, and ``cpu_offload``
    keeps weights and optimizer in the nodes' memory. None of this is in a spec.
    """

    threads: AtLeastOne = 1
    gpus: Count = 0
    nodes: AtLeastOne = 1
    mem_mb: AtLeastOne = 4000
    minutes: AtLeastOne = 60
    activation_checkpointing: bool = False
    cpu_offload: bool = False


class Budget(Frozen):
    """What the jobs that are still to run may ask for, at most; no limit where nothing is said. Changes no result.

    ``gpu_hours`` by the jobs' time limits, ``disk_gb`` (10^9 bytes) for models, ``judge_tokens`` read and written.
    """

    gpu_hours: Annotated[Number, Field(ge=0)] | None = None
    disk_gb: Annotated[Number, Field(ge=0)] | None = None
    judge_tokens: Count | None = None
