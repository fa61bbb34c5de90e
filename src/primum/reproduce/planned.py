"""What the workflow of the current folder plans, for ``primum replay``, which runs this with the package of a crate.

``python -m primum.reproduce.planned EXPERIMENT RECORDED`` prints JSON: each artifact's path with its job's spec and its key. A
key needs the content of what is read: that is taken from the manifests under RECORDED, as if the jobs had made the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from primum.artifact.job import item_spec
from primum.artifact.manifest import Manifest, artifact_key, load_manifest
from primum.artifact.results import EXPERIMENT
from primum.dag.curation import RAW
from primum.dag.dag import Dag
from primum.errors import PrimumError
from primum.experiment import Experiment, load_experiment


def planned(experiment: str, recorded: Path, root: Path) -> list[dict[str, Any]]:
    """The artifacts of ``experiment`` in the project at ``root``, in the order of the DAG.

    A raw file of the project that is not here counts as what was recorded. ``key`` is "" where what is read was not recorded.
    """
    loaded = load_experiment(experiment, root)
    results = f"results/{loaded.name}"
    expanded = recorded / results / EXPERIMENT
    if expanded.read_text(encoding="utf-8") != loaded.model_dump_json(indent=1, by_alias=True) + "\n":
        raise PrimumError(f"{expanded}: is not the experiment of the workflow: it was changed: ask for the crate again")
    dag = Dag(_with_checksums(loaded, recorded / results, root), root, results)
    found = []
    for job in dag.jobs:
        spec = json.loads(job.spec)
        for output, (_, item) in zip(job.plan.outputs, spec["items"], strict=True):
            inputs = job.plan.inputs_of(output)
            contents = {role: [_recorded(recorded / path) for path in paths] for role, paths in inputs.items()}
            known = {role: [each.content for each in read if each] for role, read in contents.items()}
            whole = all(all(read) for read in contents.values())
            key = artifact_key(item_spec(spec, item), known) if whole else ""
            found.append({"path": output.path, "stage": job.stage.name, "job": job.name, "spec": job.spec, "key": key})
    return found


def _recorded(path: Path) -> Manifest | None:
    return load_manifest(path) if path.exists() else None


def _with_checksums(experiment: Experiment, recorded: Path, root: Path) -> Experiment:
    """The experiment with the recorded checksum of each raw file of the project that is not here."""
    datasets = dict(experiment.datasets)
    for name, dataset in datasets.items():
        manifest = _recorded(recorded / RAW.format(dataset=name))
        if manifest is None or dataset.in_repository:
            continue
        files = tuple(
            file.model_copy(update={"sha256": manifest.files.get(file.path)})
            if file.url is None and file.sha256 is None and not file.in_repository and not (root / file.path).is_file()
            else file
            for file in dataset.files
        )
        datasets[name] = dataset.model_copy(update={"files": files})
    return experiment.model_copy(update={"datasets": datasets})


if __name__ == "__main__":
    try:
        print(json.dumps(planned(sys.argv[1], Path(sys.argv[2]), Path.cwd())))
    except PrimumError as problem:
        raise SystemExit(f"primum: error: {problem}") from None
