"""What a job costs over Slurm that it does not cost locally: the tests' one-machine cluster, both in one run.

    PYTHONPATH=tests/support:tests/slurm python benchmarks/slurm_overhead.py    # root and Debian packages, as for the tests

The tests' tiny experiment, about a dozen jobs that compute for seconds, shows how long a job waits: from the moment its last
input was written until its own work begins. The demo's curation, some fifty small datasets, shows how many jobs that is and how
long it takes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from cluster import Cluster
from launch import Run, site
from project import copy_project, environment
from runs import manifests
from tiny import command, write


def waits(results: Path) -> dict[str, list[float]]:
    """Stage -> seconds from a job's last input to the begin of its work, one a job that reads something."""
    made = [(record, (results / name).stat().st_mtime) for name, record in manifests(results).items()]
    written = {record["content"]: moment for record, moment in made}
    jobs: dict[tuple[str, str], float] = {}
    for record, moment in made:
        inputs = [written[content] for contents in record["inputs"].values() for content in contents]
        if inputs:
            # Artifacts of the same inputs are one job's: its first one counts.
            wait = moment - record["run"]["seconds"] - max(inputs)
            job = (record["stage"], record["job"] + str(sorted(record["inputs"].items())))
            jobs[job] = min(wait, jobs.get(job, wait))
    found: dict[str, list[float]] = {}
    for (stage, _), wait in jobs.items():
        found.setdefault(stage, []).append(wait)
    return found


def over_slurm(run: Run) -> float:
    """Seconds until it is done."""
    begun = time.monotonic()
    with run.running() as process:
        run.finish(process, 1800)
    return time.monotonic() - begun


def main() -> None:
    """Bring the cluster up, measure, and take it down."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        cluster = Cluster(Path(folder) / "slurm")
        try:
            cluster.up()
            project = copy_project(Path(folder) / "project")
            site(project)
            measure_waits(cluster, project)
            measure_curation(cluster, project)
        finally:
            cluster.down()


def measure_waits(cluster: Cluster, project: Path) -> None:
    """Run the tiny experiment both ways, and print how long jobs wait."""
    write(project)
    begun = time.monotonic()
    silence = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command("results=local"), cwd=project, env=environment(project), check=True, **silence)  # noqa: S603
    local = time.monotonic() - begun
    tiny = Run(cluster, project, "slurm-results", "tiny")
    seconds = over_slurm(tiny)
    jobs = len(tiny.all_jobs())
    print(f"{'stage':<10} {'jobs':>4} {'local, s':>9} {'Slurm, s':>9}")
    locally, there = waits(project / "local/tiny"), waits(project / "slurm-results/tiny")
    for stage, each in there.items():
        print(f"{stage:<10} {len(each):>4} {statistics.median(locally[stage]):>9.1f} {statistics.median(each):>9.1f}")
    medians = [statistics.median(wait for each in all_ for wait in each) for all_ in (locally.values(), there.values())]
    print(f"{'median':<10} {sum(map(len, there.values())):>4} {medians[0]:>9.1f} {medians[1]:>9.1f}")
    print(f"the tiny experiment: {local:.0f} s locally, {seconds:.0f} s over Slurm ({jobs} jobs)")


def measure_curation(cluster: Cluster, project: Path) -> None:
    """Run the demo's curation over Slurm, with the trainings that packing waits for, and print how many jobs it was."""
    curation = Run(cluster, project, "curated", "demo", target="curate")
    seconds = over_slurm(curation)
    rules = [job["Comment"].removeprefix("rule_").partition("_wildcards_")[0] for job in curation.all_jobs()]
    training = sum(rule in ("pretrain_model", "sft_model") for rule in rules)
    print(f"the demo's curation: {len(rules) - training} jobs and {training} trainings in {seconds:.0f} s")


if __name__ == "__main__":
    main()
