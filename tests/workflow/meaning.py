"""What an experiment file means, written down by hand and read from its YAML alone: which jobs there are, which job reads
which, and which jobs a key belongs to. The tests hold Snakemake's plans against this.

What is made is named like a job: the rule and its wildcards (``mix_sources clinical``). Some rules make several of these in
one job: :meth:`Meaning.jobs` says which jobs make what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

Document = dict[str, Any]
Path = tuple[Any, ...]
TABLES = (
    *("benchmarks", "preferences", "comparisons", "safety", "rubrics", "judges", "confusion"),
    *("training", "curation", "audits", "pairs", "axes"),
)
_LOCAL = {"dtype", "batch_tokens", "max_length"}
TRAINING = {"pretrain": "pretrain_model", "sft": "sft_model", "dpo": "dpo_model"}


class Meaning:
    """``document`` is an experiment file as plain YAML, its datasets (of a catalog) left out."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.models: Document = document["models"]
        self.evaluated: list[str] = document["evaluate"]["models"]
        self.benchmarks: list[str] = document["evaluate"].get("benchmarks", [])
        self.prompts: list[str] = document["evaluate"].get("prompts", [])
        self.judges: list[str] = document["evaluate"].get("judges", [])
        self.mixtures: Document = document.get("mixtures", {})

    @cached_property
    def _needed(self) -> list[str]:
        """The models that are made: the evaluated ones, the judges, and all their ancestors, who come first."""
        listed: list[str] = []

        def visit(model: str) -> None:
            if model in listed:
                return
            for before in (*self.parents(model), *self.teachers(model)):
                visit(before)
            if model not in listed:
                listed.append(model)

        for model in (*self.evaluated, *(self._judge(name)["model"] for name in self.judges if self._asks(name))):
            visit(model)
        return listed

    def needed(self) -> list[str]:
        return self._needed

    def parents(self, model: str) -> list[str]:
        entry = self.models[model]
        return [entry[key] for key in ("from", "reference") if key in entry]

    def teachers(self, model: str) -> list[str]:
        """The models that gave and ranked the responses that a model is aligned with."""
        pairs = self.document.get("preferences", {}).get(self.models[model].get("data"), {})
        if "demonstrations" in pairs:
            return [pairs["from"], self._judge(pairs["judge"])["model"]]
        return [pairs["from"], self._ranker(pairs["ranker"])["model"]] if "ranker" in pairs else []

    def _ranker(self, name: str) -> Document:
        return self.document["rankers"][name]

    def sampled(self) -> dict[str, Document]:
        return self._sampled

    @cached_property
    def _sampled(self) -> dict[str, Document]:
        """The preference sets that are drawn from a model, of those that training reads."""
        used = {self.models[model]["data"] for model in self.needed()}
        sets = self.document.get("preferences", {})
        return {name: entry for name, entry in sets.items() if name in used and "ranker" in entry}

    @cached_property
    def demonstrated(self) -> Document:
        """The preference sets of safety demonstrations, of those that training reads."""
        used = {self.models[model]["data"] for model in self.needed()}
        sets = self.document.get("preferences", {})
        return {name: entry for name, entry in sets.items() if name in used and "demonstrations" in entry}

    def responding(self, model: str | None = None) -> set[str]:
        """The jobs in which models (or one) answer the requests of safety demonstrations."""
        return {f"respond_{each['from']}" for each in self.demonstrated.values() if model in (None, each["from"])}

    def assessing(self, judge: str | None = None) -> set[str]:
        """Those in which judges (or one) score these answers."""
        sets = self.demonstrated.values()
        return {f"assess_{each['judge']}_{each['from']}" for each in sets if judge in (None, each["judge"])}

    def _judge(self, name: str) -> Document:
        return self.document["judges"][name]

    def _asks(self, name: str) -> bool:
        """Whether a judge asks a model."""
        return self._judge(name)["kind"] != "refusal"

    def grades(self, name: str) -> bool:
        """Whether a judge is asked about criteria: about all models' responses in one job."""
        return self._judge(name)["kind"] == "criteria"

    def used_mixtures(self) -> set[str]:
        return {self.models[m]["data"] for m in self.needed() if self.models[m]["train"] != "dpo"}

    def benchmark_datasets(self) -> list[str]:
        """What mixtures are decontaminated against: the benchmarks that test knowledge, not preferences."""
        benchmarks = [self.document["benchmarks"][name] for name in self.benchmarks]
        asking = [entry["dataset"] for entry in benchmarks if entry.get("group", "benchmark") == "benchmark"]
        return list(dict.fromkeys(asking))

    def placed(self) -> tuple[set[str], set[str]]:
        """The datasets of whose rows the report says where they are in the raw files, and those of its mixtures."""
        asked = [self.document["benchmarks"][name]["dataset"] for name in self.benchmarks]
        asked += [self.document["prompts"][name]["dataset"] for name in self.prompts]
        asked += [graded for name in self.judges if (graded := self._judge(name).get("graded"))]
        sources = [self.mixtures[name]["sources"].values() for name in self.used_mixtures()]
        mixed = {source["dataset"] for each in sources for source in each}
        sets = self.document.get("preferences", {})
        for entry in (sets[self.models[name]["data"]] for name in self.needed() if self.models[name]["train"] == "dpo"):
            asked += [each for key in ("datasets", "prompts", "demonstrations", "asked") for each in entry.get(key, ())]
            asked += entry.get("benign", {}).get("datasets", ())
        return {*asked, *mixed}, mixed

    # Sets of jobs -------------------------------------------------------------------------------------------------

    def trained(self, model: str) -> set[str]:
        return {f"{TRAINING[self.models[model]['train']]} {model}"} if model in self.needed() else set()

    def audited(self, model: str) -> set[str]:
        """What a model learns from is audited where it is packed, or where its pairs are tokenised."""
        return {f"audit {model}"} if self.models[model]["train"] in ("sft", "dpo") and self.trained(model) else set()

    def generating(self, names: Iterable[str] | None = None) -> set[str]:
        """A model's responses to requests, and those to conversations with criteria, which other judges read: one job."""
        kinds = {self.document["prompts"][name]["kind"] for name in (self.prompts if names is None else names)}
        made = {"conversations" if kind == "criteria" else "generate_responses" for kind in kinds}
        return {f"{each} {model}" for each in made for model in self.evaluated}

    def worded(self) -> list[str]:
        """The benchmarks that are answered in words."""
        entries = self.document["benchmarks"]
        asked = ("generate_until", "method")
        return [name for name in self.benchmarks if any(entries[name].get(key) for key in asked)]

    def scoring(self) -> set[str]:
        return {f"score_benchmarks {model}" for model in self.evaluated} if self.ranked() else set()

    def ranked(self) -> list[str]:
        """The benchmarks that are scored by log-likelihood."""
        return [name for name in self.benchmarks if name not in self.worded()]

    def answering(self) -> set[str]:
        """The jobs that are paid for: a model is asked what the questions say."""
        return {f"answer_{model}" for model in self.evaluated} if self.worded() else set()

    def wording(self) -> set[str]:
        """The two jobs before and behind them, which ask nobody."""
        return {"write_questions", "parse_answers"} if self.worded() else set()

    def asked(self, benchmark: str) -> set[str]:
        """The jobs that a benchmark's own keys belong to."""
        return self.wording() if benchmark in self.worded() else self.scoring()

    def judging(self, judge: str) -> set[str]:
        """The jobs in which a judge is asked about responses."""
        if judge not in self.judges or not self._asks(judge):
            return set()
        return {f"grade_{judge}"} if self.grades(judge) else {f"judge_{judge} {model}" for model in self.evaluated}

    def reading(self) -> set[str]:
        """The one job that reads verdicts, of rubric judges and from stock phrases, and asks nobody."""
        return {"read_verdicts"} if any(not self.grades(name) for name in self.judges) else set()

    def agreeing(self, judge: str) -> set[str]:
        """The job that asks a judge about graded pairs, where there are some, and about responses that speak to it."""
        kind = self._judge(judge)["kind"] if judge in self.judges else ""
        asked = kind == "rubric" or (kind == "refusal-classes" and "graded" in self._judge(judge))
        return {f"agreement_{judge}"} if asked else set()

    def asking(self, judge: str) -> set[str]:
        """All jobs in which a judge is asked."""
        return self.judging(judge) | self.agreeing(judge) | self.assessing(judge)

    def model_judging(self) -> set[str]:
        return {job for name in self.judges if self._asks(name) for job in self.asking(name)}

    def mixing(self, names: list[str] | None = None) -> set[str]:
        return {f"mix_sources {name}" for name in self.used_mixtures() if names is None or name in names}

    def licensed(self, dataset: str) -> set[str]:
        """The ledgers that say what licence a dataset has."""
        sources = {name: self.mixtures[name]["sources"].values() for name in self.used_mixtures()}
        return {f"ledger {name}" for name, each in sources.items() if any(s["dataset"] == dataset for s in each)}

    def decontaminating(self) -> set[str]:
        return self.mixing([name for name, entry in self.mixtures.items() if entry.get("decontaminate", True)])

    def lineage_data(self, model: str) -> set[str]:
        """What a model and its ancestors are trained on, as a job that looks for benchmark items in it is named."""
        entry = self.models[model]
        own = f"find_overlaps {'pairs' if entry['train'] == 'dpo' else 'mixtures'} {entry['data']}"
        if entry["data"] in (*self.sampled(), *self.demonstrated):
            own = f"find_pair_overlaps {entry['data']}"
        return {own}.union(*(self.lineage_data(parent) for parent in self.parents(model)))

    def overlapping(self) -> set[str]:
        """Judges are not scored, so nobody looks through what they alone are trained on."""
        if not self.benchmark_datasets():
            return set()
        return set().union(*(self.lineage_data(model) for model in self.evaluated))

    # Who reads what -----------------------------------------------------------------------------------------------

    def readers(self) -> dict[str, set[str]]:
        """What is made -> what is made of it."""
        return self._readers

    @cached_property
    def _readers(self) -> dict[str, set[str]]:
        readers: dict[str, set[str]] = {}

        def edge(maker: str, *jobs: str) -> None:
            readers.setdefault(maker, set()).update(jobs)
            for job in jobs:
                readers.setdefault(job, set())

        def dataset(name: str, *jobs: str) -> None:
            edge(f"fetch_dataset {name}", f"read_dataset {name}")
            edge(f"read_dataset {name}", *jobs)

        for mixture in self.used_mixtures():
            # Whatever changes a mixture changes its ledger. Licences change the ledger alone.
            edge(f"mix_sources {mixture}", f"ledger {mixture}")
            edge(f"ledger {mixture}", "aggregate_tables")
            for source in self.mixtures[mixture]["sources"].values():
                dataset(source["dataset"], f"mix_sources {mixture}")
        for name in self.benchmark_datasets():
            dataset(name, *self.decontaminating(), *self.overlapping())
        for job in self.overlapping():
            kind, data = job.split()[-2:]
            edge(f"mix_sources {data}" if kind == "mixtures" else self._paired(data), job)
            edge(job, *(f"score_benchmarks {model}" for model in self.evaluated if job in self.lineage_data(model)))
            edge(job, *(self.wording() - {"write_questions"}))
        for name in self.prompts:
            dataset(self.document["prompts"][name]["dataset"], *self.generating([name]))
        for name in self.benchmarks:
            dataset(self.document["benchmarks"][name]["dataset"], *self.asked(name))
            if (fewshot := self.document["benchmarks"][name].get("fewshot")) and fewshot["k"]:
                dataset(fewshot["dataset"], *self.scoring())
        for name in self.judges:
            if "graded" in self._judge(name):
                asked = {*self.agreeing(name), *self.reading()} if self._asks(name) else set()
                dataset(self._judge(name)["graded"], *asked, "aggregate_tables")
            read = {"aggregate_tables"} if self.grades(name) else self.reading()
            for model in self.evaluated:
                if not self.grades(name):
                    edge(f"generate_responses {model}", *self.reading())
                if self._asks(name):
                    job = f"grade_{name}" if self.grades(name) else f"judge_{name} {model}"
                    edge(f"{'conversations' if self.grades(name) else 'generate_responses'} {model}", job)
                    edge(job, *read)
            if self.grades(name):
                for prompts in self._judge(name)["prompts"]:
                    dataset(self.document["prompts"][prompts]["dataset"], f"grade_{name}")
            for job in self.agreeing(name):
                edge(job, *read)
        for job in self.reading():
            edge(job, "aggregate_tables")
        for model in self.needed():
            entry = self.models[model]
            (job,) = self.trained(model)
            audit = self.audited(model)
            edge(job, "aggregate_tables")
            for each in audit:
                edge(each, "aggregate_tables")
            if entry["train"] == "pretrain":
                edge(f"mix_sources {entry['data']}", job)
            elif entry["train"] == "sft":
                edge(f"mix_sources {entry['data']}", f"pack_chunks {model}", *audit)
                edge(f"pack_chunks {model}", job)
                edge(*self.trained(entry["from"]), job, f"pack_chunks {model}", *audit)
            else:
                pairs = self.document["preferences"][entry["data"]]
                if entry["data"] in self.sampled():
                    self._sampling_edges(entry["data"], dataset, edge)
                    edge(f"pair_responses {entry['data']}", f"reference_logprobs {model}", *audit, "aggregate_tables")
                elif entry["data"] in self.demonstrated:
                    self._demonstrated_edges(entry["data"], dataset, edge)
                    edge(
                        f"contrast_responses {entry['data']}", f"reference_logprobs {model}", *audit, "aggregate_tables"
                    )
                else:
                    for name in pairs["datasets"]:
                        dataset(name, f"join_pairs {entry['data']}")
                    edge(f"join_pairs {entry['data']}", f"reference_logprobs {model}", *audit, "aggregate_tables")
                edge(f"reference_logprobs {model}", job)
                edge(*self.trained(entry["from"]), job)
                edge(*self.trained(entry.get("reference", entry["from"])), f"reference_logprobs {model}", *audit)
            for name in self.judges:
                if self._judge(name).get("model") == model:
                    edge(job, *self.asking(name))
        for job in self.answering():
            edge("write_questions", job)
            edge(*self.trained(job.removeprefix("answer_")), job)
            edge(job, "parse_answers")
            edge("parse_answers", "aggregate_tables")
        for model in self.evaluated:
            for jobs in (self.generating(), self.scoring()):
                for job in (each for each in jobs if each.endswith(f" {model}")):
                    edge(*self.trained(model), job)
                    edge(job, "aggregate_tables")
        edge("aggregate_tables", "write_report", "export_csv")
        return readers

    def _sampling_edges(self, name: str, dataset: Callable[..., None], edge: Callable[..., None]) -> None:
        pairs = self.document["preferences"][name]
        for each in pairs["prompts"]:
            dataset(each, f"sample_{name}")
        edge(*self.trained(pairs["from"]), f"sample_{name}")
        edge(f"sample_{name}", f"rank_responses {name}")
        ranker = self.models[self._ranker(pairs["ranker"])["model"]]
        for model in (self._ranker(pairs["ranker"])["model"], ranker.get("reference", ranker["from"])):
            edge(*self.trained(model), f"rank_responses {name}")
        for made in ("sample_" + name, f"rank_responses {name}"):
            edge(made, "aggregate_tables")
        edge(f"rank_responses {name}", f"pair_responses {name}")

    def _demonstrated_edges(self, name: str, dataset: Callable[..., None], edge: Callable[..., None]) -> None:
        pairs, contrast = self.document["preferences"][name], f"contrast_responses {name}"
        respond, assess = f"respond_{pairs['from']}", f"assess_{pairs['judge']}_{pairs['from']}"
        for each in pairs.get("asked", pairs["demonstrations"]):
            dataset(each, respond)
        tests = [self.document["prompts"][each]["dataset"] for each in self.prompts]
        for each in (*pairs["demonstrations"], *pairs["benign"]["datasets"], *tests):
            dataset(each, contrast)
        edge(*self.trained(pairs["from"]), respond)
        edge(respond, assess, contrast)
        edge(*self.trained(self._judge(pairs["judge"])["model"]), assess)
        edge(assess, contrast)

    def closure(self, jobs: Iterable[str]) -> set[str]:
        """``jobs`` and everything that reads, however indirectly, what they make."""
        readers = self.readers()
        found, waiting = set(), list(jobs)
        while waiting:
            job = waiting.pop()
            if job not in found:
                found.add(job)
                waiting += readers[job]
        return found

    # Which jobs make what -----------------------------------------------------------------------------------------

    def _group(self, dataset: str) -> str:
        """Datasets are read with others of the same use, the first of: training, benchmarks, safety."""
        read = self.readers()[f"read_dataset {dataset}"]
        sets = self.demonstrated.values()
        paired = [(*each["demonstrations"], *each.get("asked", ()), *each["benign"]["datasets"]) for each in sets]
        if any(job.startswith(("join_pairs ", "sample_")) or dataset in sum(paired, ()) for job in read) or any(
            dataset == source["dataset"]
            for name in self.used_mixtures()
            for source in self.mixtures[name]["sources"].values()
        ):
            return "read_training"
        return "read_benchmarks" if read & (self.scoring() | self.wording()) else "read_safety"

    def job(self, made: str) -> str:
        """The job that makes it."""
        rule, *names = made.split()
        if rule == "read_dataset":
            return self._group(*names)
        if rule == "ledger":
            return "mix_sources"
        if rule == "conversations":
            return f"generate_responses {names[0]}"
        if rule == "audit":
            packed = self.models[names[0]]["train"] == "sft"
            return f"{'pack_chunks' if packed else 'reference_logprobs'} {names[0]}"
        return rule if rule in ("mix_sources", "join_pairs", "find_overlaps") else made

    def jobs(self, made: Iterable[str]) -> set[str]:
        return {self.job(each) for each in made}

    def together(self) -> dict[str, set[str]]:
        """Job -> all that it makes."""
        groups: dict[str, set[str]] = {}
        for made in self.readers():
            groups.setdefault(self.job(made), set()).add(made)
        return groups

    def regrouped(self, before: Meaning) -> set[str]:
        """The jobs that made something else before: their specs list what they make, so that they are asked anew."""
        new, old = self.together(), before.together()
        return {job for job, made in new.items() if job in old and made != old[job]}

    def within(self, jobs: set[str], others: set[str]) -> set[str]:
        """Those of ``jobs`` that ``others`` read from, directly or through one another: no others are in the graph."""
        readers, together = self.readers(), self.together()
        found: set[str] = set()
        while True:
            more = {
                job
                for job in jobs - found
                if any(self.job(reader) in others | found for made in together[job] for reader in readers[made])
            }
            if not more:
                return found
            found |= more

    # Which jobs a key belongs to ----------------------------------------------------------------------------------

    def owners(self, path: Path) -> set[str]:
        """The jobs whose own question changes with the value at ``path``; what reads them comes on top."""
        section, *rest = path
        presented = {"aggregate_tables", "write_report"}
        sampling = {f"sample_{name}" for name in self.sampled()}
        # What a ranker that runs here is told of its engine.
        ranking = {f"rank_responses {name}" for name in self.sampled()} if _LOCAL & set(rest) else set()
        engine = self.generating() | self.scoring() | self.answering() | self.model_judging() | sampling | ranking
        engine |= self.responding() | self.assessing()
        contrasting = {f"contrast_responses {name}" for name in self.demonstrated}
        match section, *rest:
            case ["title" | "description" | "disclaimer"]:
                return {"write_report"}
            case ["seed"]:
                packs = {f"pack_chunks {m}" for m in self.needed() if self.models[m]["train"] == "sft"}
                pairs = {
                    self._paired(self.models[m]["data"]) for m in self.needed() if self.models[m]["train"] == "dpo"
                }
                training = {job for model in self.needed() for job in self.trained(model)}
                return self.mixing() | packs | pairs | training | engine
            case ["mixtures", mixture, "ngram"]:
                return self.mixing([mixture]) | (self.overlapping() & {f"find_overlaps mixtures {mixture}"})
            case ["mixtures", mixture, *_]:
                return self.mixing([mixture])
            case ["preferences", name, "n"]:
                return {f"sample_{name}", f"rank_responses {name}"}
            case ["preferences", name, "at_least" | "benign", *_] if name in self.demonstrated:
                return {f"contrast_responses {name}"}
            case ["preferences", name, "take"] if name in self.demonstrated:
                return {f"contrast_responses {name}", *self.responding()}
            case ["preferences", name, *_] if name in self.demonstrated:
                return {f"contrast_responses {name}", *self.responding(), *self.assessing()}
            case ["preferences", name, *_]:
                return {f"sample_{name}" if name in self.sampled() else f"join_pairs {name}"}
            case ["rankers", name, *_]:
                return {f"rank_responses {each}" for each, entry in self.sampled().items() if entry["ranker"] == name}
            case ["models", model, "title" | "size_class"] | ["models", model, "axes", *_]:
                return presented
            case ["models", _, "family", *_]:
                return set()  # no prompts of the demo have a published wording
            case ["models", model, "engine", *_]:
                judging = {
                    job for name in self.judges if self._judge(name).get("model") == model for job in self.asking(name)
                }
                own = {job for job in self.generating() | self.scoring() if job.endswith(f" {model}")}
                own |= self.answering() & {f"answer_{model}"}
                drawn = {f"sample_{name}" for name, entry in self.sampled().items() if entry["from"] == model}
                drawn |= self.responding(model)
                return judging | own | drawn | (self._ranked_by(model) if _LOCAL & set(rest) else set())
            case ["models", model, key, *more]:
                return self._trained_with(model, key, more, presented)
            case ["prompts", _, "kind" | "part_of"]:
                return presented
            case ["prompts", name, "dataset"]:
                return self.generating([name]) | contrasting
            case ["prompts", name, *_]:
                return self.generating([name])
            case ["benchmarks", _, "title" | "macro" | "part_of"]:
                return presented
            case ["groups", *_]:
                return presented
            case ["benchmarks", name, "normalize"]:
                return self.asked(name) | presented
            case ["benchmarks", name, "group"]:
                return self.asked(name) | presented | self.decontaminating() | self.overlapping()
            case ["benchmarks", name, "dataset"]:
                knowledge = self.document["benchmarks"][name].get("group", "benchmark") == "benchmark"
                return self.asked(name) | (self.decontaminating() | self.overlapping() if knowledge else set())
            case ["benchmarks", _, "generate_until", "max_gen_toks" | "temperature" | "top_p" | "repeats"]:
                return self.answering()
            case ["benchmarks", _, "generate_until", "until" | "filters" | "exact_match", *_]:
                return {"parse_answers"}
            case ["benchmarks", _, "generate_until", "examples", *_]:
                return {"write_questions"}
            case ["benchmarks", name, "method"]:
                # It is no longer scored by log-likelihood, but asked in words.
                return self.scoring() | self.wording() | self.answering()
            case ["benchmarks", name, *_]:
                return self.asked(name)
            case ["judges", name, "prompts", *_]:
                read = set() if self.grades(name) else self.reading()
                return self.judging(name) | read | presented
            case ["judges", name, "template" | "policies"]:
                sources = {mixture: entry["sources"].values() for mixture, entry in self.mixtures.items()}
                rendered = [mixture for mixture, each in sources.items() if any(s.get("judge") == name for s in each)]
                return self.asking(name) | self.mixing(rendered)
            case ["judges", name, "graded"]:
                asked = self.agreeing(name) | self.reading() if self._asks(name) else set()
                return asked | {"aggregate_tables"}
            case ["judges", _, "gate" | "graded_at_random", *_]:
                return presented
            case ["judges", name, "seed"]:
                return self.asking(name)
            case ["judges", name, "sampling", *_]:
                return self.asking(name)
            case ["judges", name, "model"]:
                return self.asking(name) | presented  # another model is trained, and listed
            case ["evaluate", "margin"]:
                return {"aggregate_tables"}
            case ["evaluate", "models", *_]:
                # And the report, when they are listed in another order.
                return {"aggregate_tables"} | (self.wording() - {"write_questions"})
            case ["evaluate", "judges", *_]:
                return presented
            case ["evaluate", "benchmarks", *_]:
                return self.scoring() | presented
            case ["evaluate", "prompts", *_]:
                return self.generating() | presented
            case ["engine", *_]:
                return engine
            case ["sampling", *_]:
                return self.generating() | self.responding()
            case ["resources" | "overrides" | "budget", *_]:
                return set()
        raise AssertionError(f"nobody has said which jobs {'.'.join(map(str, path))} belongs to")

    def _paired(self, preferences: str) -> str:
        if preferences in self.demonstrated:
            return f"contrast_responses {preferences}"
        return f"{'pair_responses' if preferences in self.sampled() else 'join_pairs'} {preferences}"

    def _ranked_by(self, model: str) -> set[str]:
        sets = self.sampled().items()
        return {f"rank_responses {name}" for name, entry in sets if self._ranker(entry["ranker"])["model"] == model}

    def _trained_with(self, model: str, key: str, more: list[Any], presented: set[str]) -> set[str]:
        train = self.models[model]["train"]
        packed, referred, trained = {f"pack_chunks {model}"}, {f"reference_logprobs {model}"}, self.trained(model)
        match train, key, *more:
            case [_, "published_steps"]:
                return set()
            case ["sft" | "dpo", "limits"]:
                return self.audited(model)
            case ["pretrain", "data"]:
                return trained | presented
            case ["sft", "data"]:
                return packed | presented
            case ["dpo", "data"]:
                return referred | presented
            case ["sft", "from"]:
                return packed | trained | presented
            case ["dpo", "from"]:
                own = trained if "reference" in self.models[model] else trained | referred | self._ranked_by(model)
                return own | presented
            case ["dpo", "beta"]:
                return trained | self._ranked_by(model)
            case ["sft", "chunk_tokens" | "train_on_inputs" | "packing"]:
                return packed
            case ["sft", "seed" | "template" | "fold_system"]:
                return packed | trained
            case ["dpo", "max_length"]:
                return referred
            case ["dpo", "reference"]:
                return referred | self._ranked_by(model)
            case ["dpo", "optimization", "dtype"]:
                return trained | referred
        return trained


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, value) of everything in a YAML document that is neither a mapping nor a sequence."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from leaves(entry, (*path, key))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from leaves(entry, (*path, index))
    else:
        yield path, value
