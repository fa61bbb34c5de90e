"""Which judges judge a relative: a model tends to prefer its own answers (Panickssery et al. 2024, arXiv 2404.13076)."""

from __future__ import annotations

import re

from primum.experiment import Experiment
from primum.experiment.models import EndpointModel, HubModel

SAME_MODEL, SAME_LINEAGE, SAME_FAMILY = "same model", "same lineage", "same family"
_WORD = re.compile(r"[a-z]{3,}")


def related(experiment: Experiment, judge: str) -> dict[str, str]:
    """How each evaluated model is related to the model that judges it, those that are not left out.

    ``same model`` is the same entry or the same published weights; ``same lineage`` has an ancestor in common; ``same family`` a
    name: the first word of the one's published name is among the other's. What names do not tell is not found. A panel has the
    closest relation that one of its members has.
    """
    entry = experiment.judges[judge]
    if entry.kind == "panel":
        found = [related(experiment, member) for member in entry.members]
        order = (SAME_MODEL, SAME_LINEAGE, SAME_FAMILY)
        closest = {m: {each[m] for each in found if m in each} for m in experiment.evaluate.models}
        return {model: min(kinds, key=order.index) for model, kinds in closest.items() if kinds}
    if entry.model is None:
        return {}
    relations = {model: _relation(experiment, entry.model, model) for model in experiment.evaluate.models}
    return {model: relation for model, relation in relations.items() if relation}


def _relation(experiment: Experiment, judge: str, model: str) -> str:
    published = _published(experiment, judge)
    if judge == model or (published and published == _published(experiment, model)):
        return SAME_MODEL
    ours, theirs = experiment.lineage(judge), experiment.lineage(model)
    if set(ours) & set(theirs):
        return SAME_LINEAGE
    # The name of what a model was first made from.
    first, second = (_words(_published(experiment, each[0])) for each in (ours, theirs))
    return SAME_FAMILY if first and second and (first[0] in second or second[0] in first) else ""


def _published(experiment: Experiment, model: str) -> str:
    """What the world calls a model, with its revision; nothing for one that was trained here."""
    entry = experiment.models[model]
    if isinstance(entry, HubModel):
        return f"{entry.hub}@{entry.revision}"
    return f"{entry.base_url} {entry.endpoint}" if isinstance(entry, EndpointModel) else ""


def _words(published: str) -> list[str]:
    name = published.partition("@")[0].rpartition(" ")[2].rpartition("/")[2]
    return _WORD.findall(name.lower())
