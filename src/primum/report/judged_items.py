"""The responses behind the cells of safety, and the labelled ones behind those of judges, as the tables read them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from primum.artifact.manifest import Artifact
from primum.report.data import Study
from primum.report.items import ItemSet, listed, named, row_set
from primum.report.judged import GATED, LABELS
from primum.report.origins import Origins
from primum.report.packed import packed
from primum.tables.calibration import calibrations, part_of, read_judged, read_labels
from primum.tables.verdicts import Verdict, Verdicts, read_verdicts, with_panels

Inputs = Mapping[str, Sequence[Artifact]]


def judged_sets(study: Study, common: Mapping[str, Any], inputs: Inputs, origins: Origins) -> Iterator[ItemSet]:
    """A set a judge and prompts: of each response its score and statuses; then one of each two judges that are compared.

    Of a judge that did not pass, no score is shown.
    """
    kinds = {judge["name"]: judge["kind"] for judge in common["judges"]}
    responses = {tuple(names): a for names, a in listed(common, "generations", inputs.get("generations", ()))}
    artifacts = {tuple(names): a for names, a in listed(common, "judgements", inputs.get("judgements", ()))}
    verdicts = {key: read_verdicts(a, responses[key[1:]], kinds[key[0]], {}) for key, a in artifacts.items()}
    gated = {row.judge for row in study.safety if row.status == GATED}
    members = {judge["name"]: judge["members"] or [judge["name"]] for judge in common["judges"]}
    every = with_panels(verdicts, common["judges"])
    for judge, prompts in dict.fromkeys((judge, prompts) for judge, _, prompts in every):
        rows = {
            model: {
                id_: {
                    "category": each.category,
                    "score": None if judge in gated else each.score,
                    "status": GATED if judge in gated else each.status,
                    "response": each.response,
                }
                for id_, each in found.items()
            }
            for (j, model, p), found in every.items()
            if (j, p) == (judge, prompts)
        }
        contents = {
            model: {
                f"verdicts/{each}/{model}/{prompts}": artifacts[each, model, prompts].manifest.content
                for each in members[judge]
            }
            for model in rows
        }
        yield row_set(f"safety/{judge}/{prompts}", rows, ["category"], origins=origins, contents=contents)
    for row in study.agreements:
        if row.against != LABELS:
            yield _agreement_set(every, (row.judge, row.against), gated, origins)


def _agreement_set(
    every: Mapping[tuple[str, str, str], Verdicts], judges: tuple[str, str], gated: Collection[str], origins: Origins
) -> ItemSet:
    """The responses that both of two judges scored, whoever gave them: the judges are where other sets have models."""
    first, second = judges
    found: dict[tuple[str, str, str], tuple[Verdict, Verdict]] = {}
    for (judge, model, prompts), own in every.items():
        its = every.get((second, model, prompts), {}) if judge == first else {}
        for id_ in own.keys() & its.keys():
            if own[id_].score is not None and its[id_].score is not None:
                found[id_, model, prompts] = (own[id_], its[id_])
    keys = sorted(found)
    ids, models, prompt_sets = (pa.array([key[place] for key in keys], pa.string()) for place in range(3))
    shared = {
        **named(ids.to_pylist(), ids.to_pylist()),
        "model": packed(models),
        "prompts": packed(prompt_sets),
        "category": packed(pa.array([found[key][0].category for key in keys], pa.string())),
        **origins.of(ids),
    }
    scores = {
        judge: [None if judge in gated else found[key][place].score for key in keys]
        for place, judge in enumerate(judges)
    }
    own_of = {
        judge: {"score": packed(pa.array(given, pa.int8())), "status": GATED if judge in gated else "scored"}
        for judge, given in scores.items()
    }
    return ItemSet(f"agreements/{first}/{second}", shared, own_of, {judge: {} for judge in judges})


def label_sets(common: Mapping[str, Any], inputs: Inputs, origins: Origins) -> Iterator[ItemSet]:
    """A set a judge that was checked: what people gave to each labelled response, and what the judge gave. It is of no model."""
    sets = {name: (read_labels(a), a) for name, a in listed(common, "labels", inputs.get("labels", ()))}
    judged = dict(listed(common, "agreements", inputs.get("agreements", ())))
    labels = {judge: sets[dataset][0] for judge, dataset in common.get("labelled", ()) if dataset in sets}
    checked = calibrations(common["judges"], labels, {judge: read_judged(a) for judge, a in judged.items()})
    members = {judge["name"]: judge["members"] or [judge["name"]] for judge in common["judges"]}
    for judge, found in checked.items():
        rows = {
            label.id: {"label": label.score, "score": score, "part": part_of(label.id)}
            for label, score in zip(found.labels, found.scores, strict=True)
        }
        contents = {
            f"verdicts/{each}/graded": judged[each].manifest.content for each in members[judge] if each in judged
        }
        yield row_set(f"labels/{judge}", {"": rows}, ["label", "part"], origins=origins, contents={"": contents})
