"""The keys of a benchmark: a task in lm-evaluation-harness' own terms, its examples, and how answers in words are read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from primum.experiment.types import CHOICE_PROMPT, AtLeastOne, Count, Frozen, Name, Number, Whole


class Function(Frozen):
    """A function of a Python file beside a task file, lm-eval's ``!function module.name``: its source is part of the spec.

    ``files`` are those that the source reads by ``__file__``: what they hold, by their place seen from its folder.
    """

    function: str
    source: str
    files: dict[str, str] = {}


class Fewshot(Frozen):
    """Answered questions before each question: ``k`` rows of ``dataset``, the same for all questions of a seed.

    ``sampler``: the dataset's first rows (in id order), or random ones for each of ``seeds``; ``lm-eval`` draws anew for every
    question, as lm-eval does by default, with its seed 1234 where none is given. ``own_split`` says that the questions are
    among the rows: lm-eval then draws one more, and leaves the question out. ``samples`` are documents that stand in the task
    file itself. ``same_subject`` takes examples from the question's own subject, as MMLU does. Under a chat template they are
    turns of their own, as in lm-eval today, or without ``multiturn`` stand before the question in its turn, as in 2024.
    """

    k: Count = 0
    dataset: Name | None = None
    samples: tuple[dict[str, Any], ...] = ()
    sampler: Literal["first_n", "random", "lm-eval"] = "first_n"
    seeds: Annotated[tuple[Count, ...], Field(min_length=1)] = (0,)
    same_subject: bool = False
    own_split: bool | None = None
    multiturn: bool = True

    @model_validator(mode="before")
    @classmethod
    def _seeded_as_in_lm_eval(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("sampler") == "lm-eval":
            return {"seeds": (1234,), **value}
        return value

    @model_validator(mode="after")
    def _examples_come_from_somewhere(self) -> Fewshot:
        if self.k and self.dataset is None and not self.samples:
            raise ValueError("examples need 'dataset', the dataset that they are taken from")
        if self.sampler == "lm-eval" and self.same_subject:
            raise ValueError("'same_subject' needs another sampler: that of lm-eval draws from all rows")
        if len(set(self.seeds)) != len(self.seeds) or (self.sampler == "first_n" and len(self.seeds) > 1):
            raise ValueError("'seeds' are different from each other, and several of them need 'sampler: random'")
        return self


class Pipeline(Frozen):
    """How an answer is read: lm-eval's filters one after another, each with ``function`` and what else it takes."""

    name: str
    filter: tuple[dict[str, Any], ...] = Field(min_length=1)


class ExactMatch(Frozen):
    """What of an answer and of its targets is left out before they are compared."""

    ignore_case: bool = False
    ignore_punctuation: bool = False
    ignore_numbers: bool = False
    regexes_to_ignore: tuple[str, ...] = ()


class Shown(Frozen):
    """How examples are written where it is not as questions are; ``samples`` are their records, given in the task itself."""

    doc_to_text: str | Function | None = None
    doc_to_target: Annotated[int, Field(strict=True)] | str | Function | None = None
    samples: tuple[dict[str, Any], ...] = ()


class GenerateUntil(Frozen):
    """A task that is answered by a text: lm-eval's ``output_type: generate_until``.

    An answer ends before the first of ``until``, and is drawn ``repeats`` times. The first of ``filters`` reads it strictly, the
    last flexibly. ``max_gen_toks`` is the experiment's ``sampling.max_tokens`` where nothing is said. With ``target_is_choice``
    the target is the place of one of ``doc_to_choice``, and its text is what is right.
    """

    until: tuple[str, ...] = ()
    max_gen_toks: AtLeastOne | None = None
    temperature: Annotated[Number, Field(ge=0)] = 0.0
    top_p: Annotated[Number, Field(gt=0, le=1)] = 1.0
    repeats: AtLeastOne = 1
    target_is_choice: bool = False
    filters: tuple[Pipeline, ...] = ()
    exact_match: ExactMatch = ExactMatch()
    examples: Shown = Shown()


_LATER = ("process_results", "gen_prefix", "cluster")


class Benchmark(Frozen):
    """A task in lm-evaluation-harness' own terms: multiple choice, held-out preferences, or ``generate_until`` a text.

    Choices are scored by log-likelihood, or with ``method: generation`` asked for in words, as always of an endpoint.

    ``task`` names a file (see ``primum.experiment.tasks``) whose keys hold where this entry says nothing. Templates are
    jinja2 over the fields of a row: ``subject, context, question, choices, letters, target``, or the columns of a raw
    document. ``scoring`` replaces ``doc_to_choice``. ``target_delimiter`` stands between question and answer, but under a
    chat template not before the answers that are scored; a ``delimiter`` stands everywhere, as it did in lm-eval of 2024.
    ``gen_prefix`` (a template) begins every answer. ``process_results`` is given a document and its log-likelihoods, and says
    what the answer is worth, from 0 to 1, under the name of the accuracy that ``normalize`` is.
    ``cluster``, ours, is a column or a template like the others: items for which it gives the same text were drawn together
    (questions about one passage, vignette or patient), and intervals and tests take them as one draw.
    ``macro`` reports the unweighted mean over subjects, as for MMLU, instead of the mean over items. Benchmarks with the same
    ``part_of`` (capitalised, so that it is no benchmark's name) get a column for their unweighted mean, which counts once in
    the table's average.
    """

    dataset: Name = ""
    task: str = ""
    doc_to_text: str | Function = CHOICE_PROMPT
    doc_to_choice: str | tuple[str, ...] | Function = "choices"
    doc_to_target: Annotated[int, Field(strict=True)] | str | Function = "target"
    process_docs: Function | None = None
    process_results: Function | None = None
    cluster: str | Function = ""
    description: str = ""
    target_delimiter: str = " "
    fewshot_delimiter: str = "\n\n"
    gen_prefix: str = ""
    scoring: Literal["letter", "full_answer", "letter_and_answer"] | None = None
    normalize: Literal["none", "tokens", "characters", "bytes"] = "none"
    delimiter: str | None = None
    chat_template: bool = True
    fewshot: Fewshot = Fewshot()
    macro: bool = False
    part_of: Whole = ""
    group: Literal["benchmark", "preference"] = "benchmark"
    method: Literal["generation"] | None = None
    generate_until: GenerateUntil | None = None
    title: str = ""
    version: AtLeastOne = 1

    @model_validator(mode="after")
    def _has_a_dataset(self) -> Benchmark:
        if not self.dataset:
            raise ValueError("needs 'dataset', or a 'task' whose file names one")
        if self.in_words and self.group == "preference":
            raise ValueError("which of two responses is preferred is a matter of log-likelihoods: leave out 'method'")
        if self.in_words and self.process_results is not None:
            raise ValueError(
                "'process_results' is given log-likelihoods, which no answer in words has: leave out 'method'"
            )
        if self.process_results is not None and self.normalize == "tokens":
            raise ValueError("'normalize: tokens' is no accuracy of lm-eval's, which process_results could give")
        if self.cluster and self.group == "preference":
            raise ValueError("'cluster' is for questions: preference pairs have no columns to name")
        return self

    @property
    def in_words(self) -> bool:
        """Whether every model answers in words, those that give log-likelihoods too."""
        return self.method == "generation" or self.generate_until is not None

    def asked(self) -> dict[str, Any]:
        """What decides a score: all but the dataset, who answers how, and what only the tables read."""
        left = {"dataset", "task", "macro", "part_of", "title", "method"}
        left |= {"generate_until"} if self.generate_until is None else set()
        dumped = self.model_dump(mode="json", exclude=left)
        for key, function in self.functions().items():
            if not function.files:
                del dumped[key]["files"]
        if not self.fewshot.k:
            dumped["fewshot"] = None
        else:
            dumped["fewshot"] = self._examples(dumped["fewshot"])
        # A task that says nothing of these is scored as if there were no such keys.
        return {key: value for key, value in dumped.items() if value or key not in _LATER}

    def datasets(self) -> tuple[str, str]:
        """The dataset of the questions and that of the examples, which without any is the same."""
        return self.dataset, (self.fewshot.dataset if self.fewshot.k else None) or self.dataset

    def functions(self) -> dict[str, Function]:
        """The task's own functions, by the keys that name them."""
        return {key: value for key, value in self if isinstance(value, Function)}

    def _examples(self, dumped: dict[str, Any]) -> dict[str, Any]:
        """What decides which examples stand before a question: their dataset is an input, and not every key says something."""
        own = dumped.pop("own_split")
        same = dumped.pop("dataset") == self.dataset
        if not dumped["samples"]:
            del dumped["samples"]
        if self.fewshot.sampler == "lm-eval":
            dumped["own_split"] = same if own is None else own
        return dumped


class BenchmarkGroup(Frozen):
    """Benchmarks that have a row together: their mean, over all of their items or (not ``weight_by_size``) over benchmarks.

    What lm-eval's group files say becomes entries of this kind. In the table's average the largest group that a benchmark is
    in counts once.
    """

    benchmarks: Annotated[tuple[Name, ...], Field(min_length=1)]
    weight_by_size: bool = True
    title: str = ""
