"""What a model card says beside scores and training: uses, safety, licences, limits, and how the model is made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from primum.export.lineage import Step
from primum.export.markdown import plain, table
from primum.export.scores import Scored
from primum.licences import told


def uses(model: Scored) -> list[str]:
    """For what a model that was trained here is meant, and for what not; of one that was fetched its own card says it."""
    if not model.lineage[-1].train:
        return []
    return [
        "## Uses",
        "",
        "- Meant for research on how clinical language models are trained, aligned and tested.",
        "- Not meant for care. This run has no test with patients or clinicians, and the model is no medical device. What it",
        "  says is not medical advice.",
        "- Not meant for any other use with people before it was tested for that use.",
        "",
    ]


def safety(model: Scored) -> list[str]:
    """What the judges measured of its responses, over all categories. A judge that was refused has no number."""
    lines = ["## Safety", ""]
    if not model.safety:
        return [*lines, "No judge has looked at its responses in this run.", ""]
    rows = [
        (
            f"`{row['prompts']}`",
            f"`{row['judge']}`",
            _number(row["mean"]),
            "" if row["ci_low"] is None else f"{_number(row['ci_low'])} to {_number(row['ci_high'])}",
            f"{row['scored']} of {row['n']}",
            plain("; ".join(filter(None, [row["status"], row["related"] and f"judge: {row['related']}", row["note"]]))),
        )
        for row in model.safety
    ]
    return [
        *lines,
        "A judge of harm gives each response 1 (none) to 5. Of a judge of refusals, the mean is the share that decline. Judges",
        "err: the run's tables `judges` and `confusion` say how often.",
        "",
        *table(["prompts", "judge", "mean:", "95% interval", "scored", "how it was measured"], rows),
        "",
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def licences(lineage: Sequence[Step]) -> list[str]:
    """What is known of the model's own licence, and what those of its base model and data ask."""
    if not lineage[-1].train:
        return []
    first = lineage[0]
    of = {f"dataset {name}": entry.get("license") or "" for step in lineage for name, entry in step.datasets.items()}
    found = ({f"model {first.name}": first.license} if not first.train else {}) | of
    conditions = told(found.items())
    own = "No licence is stated for the weights."
    if first.license:
        own = f"The licence that stands in the metadata is that of `{first.name}`, which the model was trained from."
    return [
        "## Licences",
        "",
        f"{own} The licences of the data stand above.",
        "",
        *(f"- {plain(line)}" for line in conditions),
        *([] if conditions else ["None of these asks for more than a notice."]),
        "",
    ]


def limits(model: Scored) -> list[str]:
    """What the scores above do not show, with the share of items that its training data held a part of."""
    counted: Mapping[str, Any] = {
        task.title: (
            len({row["item"] for row in task.rows if row["contaminated"]}),
            len({row["item"] for row in task.rows if row["contaminated"] is not None}),
            len({row["item"] for row in task.rows}),
        )
        for task in model.tasks
    }
    unknown = sum(known < items for _, known, items in counted.values())
    seen = [f"{plain(title)} {hit} of {known}" for title, (hit, known, _) in counted.items() if hit]
    return [
        "## Limits",
        "",
        "- Multiple-choice questions measure what a model ranks first. They do not measure how it reasons, nor what it says.",
        "- The standard errors are over the items of a benchmark. They leave out what another seed of training would change.",
        f"- Items of which the training data held a part: {', '.join(seen) or 'none were found'}.",
        *(
            [
                f"- Of {unknown} of {len(counted)} benchmarks it is not known whether the model has read their items before."
            ]
            if unknown
            else []
        ),
        "- Bias between groups of patients was not measured. Neither was any language but those of the benchmarks.",
        "",
    ]


def making(experiment: str, model: Scored) -> list[str]:
    """The commands that make the model again, and what says that it is the same."""
    last = model.lineage[-1]
    if not last.train:
        return []
    return [
        "## To make it again",
        "",
        "In a clone of primum with the code and the lock of this run:",
        "",
        "```sh",
        f"snakemake {last.train} --config experiment={experiment}",
        "```",
        "",
        f"The same weights have the content hash `{model.content}`.",
    ]
