"""What people name: an artifact, by its name, path, content or key."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from primum.artifact.folder import MANIFEST
from primum.artifact.graph import Graph, read_graph
from primum.artifact.manifest import Artifact
from primum.artifact.results import was_run
from primum.errors import PrimumError
from primum.project import project_root, results_folder

_LISTED = 4
# A shorter beginning of a hash is rather a name that is wrong.
_HASH = re.compile(r"[0-9a-f]{6,64}")


def nearest(word: str, words: Sequence[str]) -> str:
    """The words most like ``word``, or the first few, as a list for an error."""
    near = difflib.get_close_matches(word, words, n=3, cutoff=0.5)
    more = f" and {len(words) - _LISTED} more" if not near and len(words) > _LISTED else ""
    return ("nearest: " if near else "there are: ") + ", ".join(near or words[:_LISTED]) + more


def located(given: str) -> tuple[Path, str] | None:
    """The results folder that a path lies in, and the name in it: ``results/demo``, ``scores/sft/medqa``.

    The path is that of an artifact's file, folder, manifest or CSV, or ends in its name; it begins here, or in the project's
    results (``demo/scores/sft/medqa``). None where it lies in no results folder.
    """
    # A single word that is no file here is a name: of an experiment, or of a table.
    if not given.isprintable() or (len(Path(given).parts) < 2 and not Path(given).is_file()):
        return None
    tops = [Path()]
    with suppress(PrimumError):
        tops.append(Path(os.path.relpath(project_root() / "results")))
    for top in tops:
        # Without its links resolved, and yet as absolute, so that a path from inside a results folder has parents.
        path = Path(os.path.abspath(top / given))  # noqa: PTH100
        for folder in path.parents:
            if was_run(folder):
                name = _plain(path.relative_to(folder).as_posix())
                return (folder if Path(given).is_absolute() else Path(os.path.relpath(folder))), name
    return None


def placed(given: str) -> tuple[Path, str] | None:
    """As :func:`located`, also of a name alone that the results of the demo have."""
    place = located(given)
    if place is not None or "/" not in given:  # a single word is an experiment
        return place
    with suppress(PrimumError, OSError, ValueError):
        folder, name = results_folder("demo"), _plain(given)
        if (folder / f"{name}.json").is_file() or (folder / name / MANIFEST).is_file():
            return folder, name
    return None


def named_in(results: Path, given: str) -> str:
    """What ``given`` is called in ``results`` if it is a path into them; else ``given`` as it is."""
    place = located(given)
    return place[1] if place is not None and place[0].resolve() == results.resolve() else given


def find_artifacts(graph: Graph, given: str) -> list[Artifact]:
    """The artifacts that ``given`` names: a name (``scores/sft/medqa``), a path, a raw file, or the beginning of a hash.

    They are several only where several hold the raw file, or have the content or key. PrimumError naming the nearest names.
    """
    names = {graph.name(artifact): artifact for artifact in graph.artifacts}
    if not given.isprintable():
        raise PrimumError(f"{given!r}: no such artifact in {graph.results}")
    for path in _in_results(graph, given):
        if path in names:
            return [names[path]]
        folders = [str(parent) for parent in Path(path).parents if str(parent) in names]
        if folders and names[folders[0]].manifest.kind == "folder":
            return [names[folders[0]]]
        for damaged, why in graph.unreadable.items():
            if _plain(damaged.relative_to(graph.results).as_posix()) == path:
                raise PrimumError(why)
    held = [each for each in graph.artifacts if _source(given) in each.manifest.files]
    if held:
        return held
    if _HASH.fullmatch(given):
        return _by_hash(graph, given)
    raise PrimumError(f"{given}: no such artifact in {graph.results}; {nearest(given, list(names))}")


def find_path(given: str) -> Path:
    """The manifest of the one artifact that a path, or a name in the results of the demo or of another experiment, means.

    PrimumError naming the nearest names.
    """
    place = located(given)
    try:
        folder, name = place if place is not None else (results_folder("demo"), given)
    except PrimumError:
        text = f"{given}: no such artifact: give its path, such as results/demo/scores/sft/medqa.parquet"
        raise PrimumError(text) from None
    return find_artifact(read_graph(folder), name).path


def find_artifact(graph: Graph, given: str) -> Artifact:
    """The one artifact that ``given`` names, the first by path of those with one key. PrimumError where they are several."""
    found = find_artifacts(graph, given)
    if len({artifact.manifest.key for artifact in found}) > 1:
        names = [graph.name(artifact) for artifact in found]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        raise PrimumError(f"{given}: is in {len(names)} artifacts: name one of {', '.join(names[:_LISTED])}{more}")
    return found[0]


def _plain(path: str) -> str:
    """A path in a results folder as an artifact's name: without the suffix of its manifest, data or CSV."""
    for suffix in (f"/{MANIFEST}", ".json", ".parquet", ".csv"):
        path = path.removesuffix(suffix)
    return path.strip("/")


def _in_results(graph: Graph, given: str) -> list[str]:
    """What ``given`` may be in the results folder, as names of artifacts: from there, or from the current folder."""
    absolute = Path(given).resolve()
    inside = graph.results.resolve()
    paths = [given] + ([absolute.relative_to(inside).as_posix()] if absolute.is_relative_to(inside) else [])
    return list(dict.fromkeys(each for path in paths for each in (path.strip("/"), _plain(path))))


def _source(given: str) -> str:
    """The path of a file of the project as its entry has it: from the project's root."""
    path = Path(given)
    if path.exists():
        try:
            root = project_root(given)
        except PrimumError:
            return given
        if path.resolve().is_relative_to(root.resolve()):
            return path.resolve().relative_to(root.resolve()).as_posix()
    return given


def _by_hash(graph: Graph, given: str) -> list[Artifact]:
    def means(artifact: Artifact) -> bool:
        manifest = artifact.manifest
        return any(each.startswith(given) for each in (manifest.key, manifest.content, *manifest.files.values()))

    found = [artifact for artifact in graph.artifacts if means(artifact)]
    if not found:
        raise PrimumError(f"{given}: no artifact in {graph.results} has a key, a content or a file of this hash")
    return found
