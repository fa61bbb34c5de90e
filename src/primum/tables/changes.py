"""What training changed in the scores of a judge: the paired difference to the model's start, by one test and one rule.

The test is that of the table ``comparisons`` (:mod:`primum.tables.paired`). Beside it are what needs no distances between
scores: how many responses got a lower and a higher score, the effect size of the signed ranks, and their test
(:mod:`primum.tables.ranks`), with the same correction over the same family. It decides nothing: where the two disagree,
``tied`` and the interval are those of the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from primum.tables.paired import Difference, decided, holm, paired
from primum.tables.ranks import SignedRanks, signed_ranks
from primum.tables.sampling import sampled_mean

# The columns of a change, by what they are in the table of comparisons.
_DECIDED = {
    "difference": "change",
    "stderr": "change_stderr",
    "level": "level",
    "ci_low": "change_low",
    "ci_high": "change_high",
    "p_value": "p_value",
    "p_holm": "p_holm",
    "tied": "tied",
}
_RANKED = ("lower", "higher", "rank_biserial", "ranks_p_value", "ranks_p_holm")
NO_CHANGE: Mapping[str, Any] = dict.fromkeys((*_DECIDED.values(), *_RANKED))


@dataclass(frozen=True, slots=True)
class Change:
    """The mean change, and the signed ranks of the changes."""

    mean: Difference
    ranks: SignedRanks


def change_of(differences: Sequence[float], span: float) -> Change | None:
    """The change of responses that were scored before and after, None without any; ``span`` is the largest that one can have."""
    if not differences:
        return None
    mean = paired(sampled_mean(np.array(differences, dtype=float)[:, None]), span)
    return Change(mean, signed_ranks(differences))


def decide(rows: Sequence[dict[str, Any]], changes: Mapping[str, Change]) -> None:
    """Fill in the columns of a change in a family of ``rows``, where ``changes`` has one by the row's id.

    Holm's correction is over all of them: every model of the experiment, not one model at a time.
    """
    family = [row for row in rows if row["id"] in changes]
    found = [changes[row["id"]] for row in family]
    corrected = holm([each.ranks.p_value for each in found])
    for row, each, told, p_holm in zip(family, found, decided([c.mean for c in found]), corrected, strict=True):
        ranks = each.ranks
        row |= {name: told[key] for key, name in _DECIDED.items()}
        row |= dict(zip(_RANKED, (ranks.lower, ranks.higher, ranks.rank_biserial, ranks.p_value, p_holm), strict=True))
