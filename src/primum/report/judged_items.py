"""The responses behind the cells of safety, and the labelled ones behind those of judges, as the tables read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from primum.artifact.manifest import Artifact
from primum.report.data import Study
from primum.report.items import ItemSet, listed, row_set
from primum.report.judged import GATED
from primum.report.origins import Origins
from primum.tables.calibration import calibrations, read_judged, read_labels
from primum.tables.verdicts import read_verdicts, with_panels

Inputs = Mapping[str, Sequence[Artifact]]


def safety_sets(study: Study, common: Mapping[str, Any], inputs: Inputs, origins: Origins) -> Iterator[ItemSet]:
    """A set a judge and prompts: of each response its score and statuses. Of a judge that did not pass, no score is shown."""
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


def label_sets(common: Mapping[str, Any], inputs: Inputs, origins: Origins) -> Iterator[ItemSet]:
    """A set a judge that was checked: what people gave to each labelled response, and what the judge gave. It is of no model."""
    sets = {name: (read_labels(a), a) for name, a in listed(common, "labels", inputs.get("labels", ()))}
    judged = dict(listed(common, "agreements", inputs.get("agreements", ())))
    labels = {judge: sets[dataset][0] for judge, dataset in common.get("labelled", ()) if dataset in sets}
    checked = calibrations(common["judges"], labels, {judge: read_judged(a) for judge, a in judged.items()})
    named = {judge["name"]: judge["members"] or [judge["name"]] for judge in common["judges"]}
    for judge, found in checked.items():
        rows = {
            label.id: {"label": label.score, "score": score}
            for label, score in zip(found.labels, found.scores, strict=True)
        }
        contents = {f"verdicts/{each}/graded": judged[each].manifest.content for each in named[judge] if each in judged}
        yield row_set(f"labels/{judge}", {"": rows}, ["label"], origins=origins, contents={"": contents})
