"""Where every artifact of an experiment lies: one function a kind, each giving the path of its manifest.

A name may also be a Snakemake pattern such as ``{model}``, which is how the rules use this module.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths under ``results``, the experiment's folder (``results/demo``)."""

    results: str

    def raw(self, dataset: str) -> str:
        return f"{self.results}/data/raw/{dataset}/manifest.json"

    def rows(self, dataset: str) -> str:
        return f"{self.results}/data/rows/{dataset}.json"

    def drops(self, dataset: str) -> str:
        return f"{self.results}/data/drops/{dataset}.json"

    def mixture(self, mixture: str) -> str:
        return f"{self.results}/data/mixtures/{mixture}.json"

    def ledger(self, mixture: str) -> str:
        return f"{self.results}/data/ledgers/{mixture}.json"

    def pairs(self, preferences: str) -> str:
        return f"{self.results}/data/pairs/{preferences}.json"

    def packed(self, model: str) -> str:
        return f"{self.results}/data/packed/{model}.json"

    def overlap(self, kind: str, data: str) -> str:
        """``kind`` is ``mixtures`` or ``pairs``."""
        return f"{self.results}/data/overlaps/{kind}/{data}.json"

    def reference(self, model: str) -> str:
        return f"{self.results}/data/reference/{model}.json"

    def model(self, model: str) -> str:
        return f"{self.results}/models/{model}/manifest.json"

    def generation(self, model: str, prompts: str) -> str:
        return f"{self.results}/generations/{model}/{prompts}.json"

    def judgement(self, judge: str, model: str, prompts: str) -> str:
        return f"{self.results}/judgements/{judge}/{model}/{prompts}.json"

    def agreement(self, judge: str) -> str:
        return f"{self.results}/judgements/{judge}/agreement.json"

    def score(self, model: str, benchmark: str) -> str:
        return f"{self.results}/scores/{model}/{benchmark}.json"

    def table(self, table: str) -> str:
        return f"{self.results}/tables/{table}.json"

    def csv(self, table: str) -> str:
        return f"{self.results}/tables/{table}.csv"

    def table4(self, suffix: str) -> str:
        """Table 4 of Med42-v2 beside what was measured: no artifact, but a rendering of the table ``benchmarks``."""
        return f"{self.results}/tables/table4.{suffix}"

    def report(self) -> str:
        return f"{self.results}/report/manifest.json"

    def log(self, stage: str, name: str) -> str:
        return f"{self.results}/logs/{stage}/{name}.log"

    def benchmark(self, stage: str, name: str) -> str:
        return f"{self.results}/benchmarks/{stage}/{name}.tsv"


def parquet(manifest: str) -> str:
    """The Parquet file beside a table's manifest."""
    return manifest.removesuffix(".json") + ".parquet"
