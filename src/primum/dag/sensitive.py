"""What is sensitive: requests for harm, graded and safe responses to them, and every artifact that holds their words or tokens.

A stage whose artifacts hold what models or judges said is ``sensitive`` as a whole: it says so in its declaration. What is made
of datasets is where one of them is. Numbers alone (tables, audits, ledgers, overlaps, log-likelihoods, weights) are not.

Sensitive artifacts are their owner's alone in results and store, are marked in their manifests, and are left out of all that
leaves unless somebody asks twice (docs/safety.md). None of this is in a spec: it changes no key, and makes nothing again.
"""

from __future__ import annotations

from collections.abc import Iterable

from primum.dag.scope import Scope
from primum.experiment.preferences import ReadPreferences

# The readers of requests for harm and of what was answered to some, and that of hateful statements.
ADAPTERS = frozenset({"med_safety_bench", "advbench", "hex_phi", "xstest", "xstest_completions", "graded", "toxigen"})
_DOMAINS = ("safety", "judge")


def is_sensitive(scope: Scope, datasets: Iterable[str]) -> bool:
    """Whether one of ``datasets`` is: by its own word, its adapter, or what the experiment uses it for.

    That is prompts of the kind ``harmful``, pairs that a judge is checked with, or a mixture's domain ``safety`` or ``judge``.
    """
    e = scope.experiment
    used = {entry.dataset for entry in e.prompts.values() if entry.kind == "harmful"}
    used |= {judge.graded for judge in e.judges.values() if judge.graded}
    used |= {
        source.dataset
        for mixture in e.mixtures.values()
        for source in mixture.sources.values()
        if source.domain in _DOMAINS
    }
    entries = {name: e.datasets[name] for name in datasets}
    return any(name in used or entry.sensitive or entry.adapter in ADAPTERS for name, entry in entries.items())


def is_sensitive_mixture(scope: Scope, name: str) -> bool:
    """Whether a source of the mixture is."""
    return is_sensitive(scope, (source.dataset for source in scope.experiment.mixtures[name].sources.values()))


def are_sensitive_pairs(scope: Scope, name: str) -> bool:
    """Whether a dataset of the preference set is. Pairs that models wrote or judges chose here are."""
    pairs = scope.experiment.preferences[name]
    return not isinstance(pairs, ReadPreferences) or is_sensitive(scope, pairs.datasets)
