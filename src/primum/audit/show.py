"""``primum show`` and ``primum check``: an artifact's manifest and rows, and what an experiment file runs."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path

import pyarrow as pa

from primum.artifact.folder import MANIFEST
from primum.artifact.manifest import Artifact
from primum.audit.history import told_of_run
from primum.audit.learned import learned_text, tokenizer_of
from primum.audit.licences import trained_on
from primum.audit.tasks import tried
from primum.dag.scope import Scope
from primum.errors import PrimumError
from primum.experiment.load import read_experiment, validate
from primum.hub.lock import UNKNOWN_REVISION
from primum.licences import told

# The columns of text that hold names and slugs only. Any other text may be harmful or a model's own, and a column added
# tomorrow is hidden until it is named here.
SHOWN = frozenset(
    {"id", "source", "subject", "category", "status", "model", "judge", "prompts", "benchmark", "start", "note"}
    | {"item", "method"}
    | {"mixture", "dataset", "licence", "domain", "outcome", "twin", "twin_id", "tokens_of", "check"}
    | {"preferences", "step", "prompt_id", "row", "kind"}
    | {"file", "unit"}
)
_WIDTH = 60


def is_hidden(field: pa.Field) -> bool:
    """Whether a column may hold harmful text: all but numbers and the columns ``SHOWN``; token ids spell text too."""
    kind = field.type.value_type if pa.types.is_list(field.type) else field.type
    number = pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(field.type)
    return not number and field.name not in SHOWN


def find_manifest(path: Path) -> Path:
    """The manifest that ``path`` (a table, a folder or a manifest) belongs to."""
    if path.is_dir():
        return path / MANIFEST
    return path.with_suffix(".json") if path.suffix == ".parquet" else path


def show(path: Path, rows: int, harmful: bool) -> None:
    """Print the manifest, then ``rows`` rows; columns that may hold harmful text only when ``harmful`` says so.

    Of tokens that a model trains on the text is printed then, with what it learns marked. PrimumError when nothing is there.
    """
    found = find_manifest(path)
    if not found.is_file():
        raise PrimumError(f"{path}: no such artifact: give its path, such as results/demo/scores/sft/medqa.parquet")
    artifact = Artifact.open(found)
    manifest = artifact.manifest
    print(f"{artifact.path}\n  stage    {manifest.stage}\n  content  {manifest.content}\n  key      {manifest.key}")
    if manifest.sensitive:
        print("  marked   sensitive: it is its owner's alone, and no export takes it unless it is asked for twice")
    for role, hashes in manifest.inputs.items():
        _print_folded("input", f"{role}: {', '.join(content[:12] for content in hashes)}")
    _print_folded("spec", json.dumps(manifest.spec.get("common"))[:400])
    _print_folded("", json.dumps(manifest.spec.get("item"))[:400])
    _print_folded("counts", json.dumps(manifest.counts))
    for name, text in told_of_run(manifest.run):
        _print_folded(name, text)
    if manifest.kind == "folder":
        for name, sha256 in manifest.files.items():
            print(f"  file     {sha256[:12]}  {name}")
        return
    table = artifact.table()
    hidden = [field.name for field in table.schema if is_hidden(field) and not harmful]
    print(f"  rows     {table.num_rows:,}")
    tokens = {"input_ids", "prompt_ids"} & set(table.column_names)
    tokenizer = tokenizer_of(artifact) if harmful and tokens else None
    if tokenizer is not None:
        print("  learned  [[green]], rejected {{red}}, all else is given")
        for row in table.slice(0, rows).to_pylist():
            print(f"  - {row['id']}", *learned_text(row, tokenizer), sep="\n")
        return
    for row in table.slice(0, rows).to_pylist():
        print("  -")
        for name, value in row.items():
            # Escaped: what a model wrote must not steer the terminal.
            shown = value if isinstance(value, str) and value.isprintable() else repr(value)
            text = f"({len(str(value))} characters, hidden)" if name in hidden else shown
            print(f"    {name}: {text if harmful or len(text) <= _WIDTH else text[:_WIDTH] + '...'}")
    if hidden:
        print(f"  hidden   {', '.join(hidden)}: may hold harmful text; --show-harmful-text prints it")


def _print_folded(name: str, text: str) -> None:
    """Print a line, folded where the terminal has no room for it. In a file or a pipe it is as wide as most terminals."""
    width = max(shutil.get_terminal_size((98, 24)).columns, 40)
    fold = textwrap.TextWrapper(width, subsequent_indent=" " * 11, break_long_words=False, break_on_hyphens=False)
    print(fold.fill(f"  {name:8} {text}"))


def check(name: str, root: Path) -> None:
    """Validate an experiment and print what it runs, with what cannot run yet. PrimumError if it is not valid."""
    document = read_experiment(name, root)
    experiment = validate(document)
    print(f"{experiment.name}: valid. {experiment.title}")
    for section, grids in document.grids.items():
        for key, names in grids.items():
            print(f"  grid   {section}.{key}: {len(names)}: {', '.join(names)}")
    for model in experiment.needed_models():
        print(f"  model  {' -> '.join(experiment.lineage(model))}  ({experiment.kind_of(model)})")
    for kind in ("benchmarks", "prompts", "judges"):
        print(f"  {kind}  {', '.join(getattr(experiment.evaluate, kind)) or 'none'}")
    scope = Scope(experiment, root, str(root / "results" / experiment.name))
    for line in told(trained_on(experiment, scope)):
        print(f"  licences  {line}")
    for line in tried(scope):
        print(f"  tasks  {line}")
    datasets = scope.fetched()
    unknown = [
        *(
            f"models.{n}"
            for n in experiment.needed_models()
            if getattr(experiment.models[n], "revision", "") == UNKNOWN_REVISION
        ),
        *(
            f"datasets.{n}"
            for n in datasets
            if UNKNOWN_REVISION
            in (experiment.datasets[n].revision, *(f.revision for f in experiment.datasets[n].files))
        ),
    ]
    if unknown:
        print(
            f"  {len(unknown)} entries have no pinned revision and are refused when fetched; `primum pin {name}` resolves them: "
            f"{', '.join(unknown)}"
        )
    missing = [
        file.path
        for dataset in (experiment.datasets[n] for n in datasets)
        for file in dataset.files
        if not (dataset.in_repository or file.in_repository or file.url) and not (root / file.path).is_file()
    ]
    if missing:
        print(f"  {len(missing)} files have no address and are not here, put them in place: {', '.join(missing)}")


__all__ = ["SHOWN", "check", "find_manifest", "is_hidden", "show"]
