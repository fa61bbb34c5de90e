"""A dataset card (README.md) of a mixture or a preference set: its sources, what became of their rows, and what nobody knows.

No row is quoted. What the hub shows beside a card is known of all sources, or left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import DatasetInfo, Features, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard, DatasetCardData

from primum.artifact.canonical import digest
from primum.export.lineage import Step
from primum.export.markdown import plain, table
from primum.export.shards import SPLIT, Shards
from primum.export.sources import DataSet, Place, Source
from primum.licences import told

_CONFIG = "default"
# https://huggingface.co/docs/hub/repositories-licenses: any other is `other` there, with a name of its own.
_LICENCES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m afl-3.0
artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0
cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0
cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0
epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0
odc-by odbl openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr llama2 gemma
""".split()  # noqa: SIM905 - one a line would be a page
_SIZES = {
    10**3: "n<1K",
    10**4: "1K<n<10K",
    10**5: "10K<n<100K",
    10**6: "100K<n<1M",
    10**7: "1M<n<10M",
    10**8: "10M<n<100M",
}
_COLUMNS = {
    "id": "unique; begins with the dataset's name",
    "source": "the source, as it is called below",
    "text": "plain text",
    "messages": "a conversation: turns of `system`, `user` and `assistant`",
    "prompt": "a conversation up to the response",
    "chosen": "the preferred response",
    "rejected": "the other response",
}
_ROWS = {"text": "plain text", "messages": "conversations", "prompt": "preference pairs"}
_USES = {"text": "pretraining", "messages": "sft", "prompt": "preference"}


def tags(data: DataSet, shards: Shards) -> list[str]:
    """What the dataset is found by; among them the hub's own mark of content that is not for all."""
    domains = dict.fromkeys(source.domain for source in data.sources if source.domain)
    return ["primum", _of(_USES, shards), *domains, *(["not-for-all-audiences"] if data.harmful else [])]


def description(data: DataSet, shards: Shards) -> str:
    """A sentence or two, with the content warning where there is one."""
    kind = "mixture" if data.kind == "mixture" else "preference set"
    said = (
        f"{shards.rows:,} rows of {_of(_ROWS, shards)}: the {kind} {data.name} of the experiment {data.experiment}, made by "
        f"primum from {len(data.sources)} {'source' if len(data.sources) == 1 else 'sources'}."
    )
    return f"{said} {warning(data)}" if data.harmful else said


def warning(data: DataSet) -> str:
    """What a reader must know first of rows that hold harmful text; empty where no source is of that kind."""
    if not data.harmful:
        return ""
    graded = [source.name for source in data.sources if source.kind == "graded"]
    also = f" Those of {', '.join(graded)} hold harmful responses too." if graded else ""
    return (
        f"Content warning: the rows of {', '.join(data.harmful)} hold requests for harmful content, written to train or to test "
        f"the safety of models.{also}"
    )


def dataset_card(data: DataSet, shards: Shards) -> DatasetCard:
    """The card, with the metadata by which the hub and the library datasets find the files."""
    metadata = DatasetCardData(
        pretty_name=f"{data.title}: {data.name}",
        tags=tags(data, shards),
        task_categories=["text-generation"],
        size_categories=[next((size for most, size in _SIZES.items() if shards.rows < most), "100M<n<1B")],
        source_datasets=sorted({hub for source in data.sources for hub in source.hubs}) or None,
        **_licence(list(data.licences.values())),
    )
    files = sum(file.size for file in shards.files)
    info = DatasetInfo(
        features=Features.from_arrow_schema(shards.schema),
        splits=SplitDict({SPLIT: SplitInfo(SPLIT, shards.size, shards.rows)}),
        download_size=files,
        dataset_size=shards.size,
    )
    DatasetInfosDict({_CONFIG: info}).to_dataset_card_data(metadata)
    patterns = {"data_files": [{"split": SPLIT, "path": f"data/{SPLIT}-*"}]}
    MetadataConfigs({_CONFIG: patterns}).to_dataset_card_data(metadata)
    said = warning(data)
    lines = [
        f"# {plain(data.title)}: {data.name}",
        "",
        *([f"> **{said}**", ""] if said else []),
        *([plain(data.disclaimer), ""] if data.disclaimer else []),
        plain(description(data, shards).removesuffix(said).strip()),
        "",
        "## Columns",
        "",
        *table(["column", "what it holds"], [(f"`{name}`", _COLUMNS[name]) for name in shards.schema.names]),
        "",
        f"One configuration, `{_CONFIG}`, with one split, `{SPLIT}`: {shards.rows:,} rows in {len(shards.files)} "
        f"{'file' if len(shards.files) == 1 else 'files'}, {files:,} bytes. `croissant.json` has the checksums.",
        "",
        *_sources(data),
        *_rows(data, shards),
        *_licences(data),
        *_making(data),
        *_unknown(data),
    ]
    return DatasetCard(f"---\n{metadata.to_yaml()}\n---\n\n" + "\n".join(lines) + "\n")


def _of(words: Mapping[str, str], shards: Shards) -> str:
    return next(said for column, said in words.items() if column in shards.schema.names)


def _licence(licences: Sequence[str]) -> dict[str, str]:
    """The one that all have, under the hub's name for it."""
    if not any(licences):
        return {"license": "unknown"}
    if len(set(licences)) > 1:
        return {"license": "other", "license_name": "by-source"}
    name = licences[0].strip().lower()
    return (
        {"license": name}
        if name in _LICENCES
        else {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", name)}
    )


def _sources(data: DataSet) -> list[str]:
    rows = [
        (
            f"`{source.name}`",
            plain(source.title),
            "<br>".join(map(_address, source.places)),
            "<br>".join(f"`{place.revision or 'unknown'}`" for place in source.places),
            plain(source.license) or "unknown",
            plain(source.citation) or "unknown",
        )
        for source in data.sources
    ]
    return ["## Sources", "", *table(["source", "title", "from", "revision", "licence", "cited as"], rows), ""]


def _address(place: Place) -> str:
    files = f" ({place.files} files)" if place.files > 1 else ""
    return f"{place.address or f'`{place.path}`, address unknown'}{files}"


def _rows(data: DataSet, shards: Shards) -> list[str]:
    """What became of the rows of each source. Preference sets count what they leave out over all of theirs."""
    lines = ["## Rows by source and outcome", ""]
    if data.kind == "mixture":
        heads = ["source", "kind of rows", "kept:", "repeat:", "here:", "left out"]
        rows = [
            (
                f"`{source.name}`",
                source.kind,
                (source.outcomes or {}).get("kept", 0),
                source.repeat,
                shards.by_source.get(source.name, 0),
                _counts(source.outcomes or {}),
            )
            for source in data.sources
        ]
        return [*lines, *table(heads, [*rows, ("all", "", sum(row[2] for row in rows), "", shards.rows, "")]), ""]
    kinds = {source.dataset: source.kind for source in data.sources}
    rows_ = [(f"`{name}`", kinds.get(name, "unknown"), count) for name, count in sorted(shards.by_source.items())]
    lines += [*table(["source", "kind of rows", "here:"], [*rows_, ("all", "", shards.rows)]), ""]
    return [
        *lines,
        f"Left out, of all sources together: {_counts(left_out(data.artifact.manifest.counts)) or 'none'}.",
        "",
    ]


def left_out(counts: Mapping[str, Any]) -> dict[str, int]:
    """What became of rows that gave no pair, by outcome: of all steps together, where a set counts each of them."""
    found: Counter[str] = Counter()
    for outcome, count in counts.items():
        found.update(count if isinstance(count, Mapping) else {outcome: count})
    # These went on to the next step.
    return {outcome: count for outcome, count in found.items() if outcome not in ("asked", "harmful")}


def _counts(outcomes: Mapping[str, int]) -> str:
    return ", ".join(
        f"{outcome} {count:,}" for outcome, count in sorted(outcomes.items()) if outcome != "kept" and count
    )


def _licences(data: DataSet) -> list[str]:
    """What the licences ask. They are what the experiment says of its sources."""
    found = data.licences
    lines = ["## Licences", "", "As the experiment states them; each source's own text is what counts.", ""]
    for name in sorted(set(found.values())):
        lines.append(
            f"- {plain(name) or 'unknown'}: {', '.join(f'`{key}`' for key, own in found.items() if own == name)}"
        )
    conditions = told(found.items())
    return [*lines, "", *(f"- {plain(line)}" for line in conditions), *([""] if conditions else [])]


def _making(data: DataSet) -> list[str]:
    manifest = data.artifact.manifest
    item: Mapping[str, Any] = manifest.spec["item"]
    lines = ["## How it was made", "", f"- seed {item['seed']}"]
    if data.kind == "mixture":
        near = f", at a similarity of {item['near_threshold']}" if item["deduplicate"] == "near" else ""
        lines.append(f"- duplicates left out: {item['deduplicate']}{near}")
        names = ", ".join(f"`{name}`" for name in item["benchmarks"])
        found = f"- rows that overlap a question of these ({item['ngram']}-grams of words) were left out: {names}"
        lines.append(found if names else "- compared with no benchmark")
    if data.responses:
        steps = [f"`{step.name}` ({_how(step)})" for step in data.responses]
        last = data.responses[-1]
        lines.append(f"- responses: by `{last.name}` (content `{last.content}`), {data.ranking}")
        lines.append(f"- that model was made by: {' -> '.join(steps)}")
    target = "curate" if not data.responses else "rank"
    option = f"--{data.kind} {data.name}"
    return [
        *lines,
        f"- content hash of the rows: `{manifest.content}`",
        f"- key: `{manifest.key}`",
        f"- spec hash: `{digest(manifest.spec)}`",
        f"- code digest: `{manifest.spec['code']}`; libraries: {_versions(manifest.spec['libraries'])}",
        "",
        "To make it again, in a clone of primum with that code and these libraries:",
        "",
        "```sh",
        f"snakemake {target} --config experiment={data.experiment}",
        f"primum export results/{data.experiment} --format dataset {option} --output FOLDER",
        "```",
        "",
        "Equal content hashes say that the rows are the same.",
        "",
    ]


def _how(step: Step) -> str:
    return step.train or (f"fetched: {step.hub}@{step.revision}" if step.hub else "behind an endpoint")


def _versions(libraries: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(libraries.items())) or "none"


_PHI = {
    None: "nothing was looked for",
    "warn": "what has the form of an identifier was counted, and left in; names without a title are not found",
    "redact": "what has the form of an identifier was replaced by a mark; names without a title are not found",
    "stop": "nothing that has the form of an identifier was found; names without a title are not found",
}


def _unknown(data: DataSet) -> list[str]:
    """What is not known is said, source by source where it is theirs."""

    def names(sources: Sequence[Source]) -> str:
        return ", ".join(f"`{source.name}`" for source in sources)

    licence = [name for name, own in data.licences.items() if not own]
    place = [source for source in data.sources if not all(each.address for each in source.places)]
    lines = [
        "- languages: no source states them in the experiment",
        f"- personal data: {_PHI[data.artifact.manifest.spec['item'].get('phi')]}",
        f"- harmful text: {'what the warning names' if data.harmful else 'no source is made of harmful requests'}; nothing "
        "else was looked for",
        *([f"- licence of {', '.join(f'`{name}`' for name in licence)}"] if licence else []),
        *([f"- address upstream of {names(place)}"] if place else []),
        "- how this dataset is to be cited, who publishes it, and when",
    ]
    return ["## What is not known", "", *lines]
