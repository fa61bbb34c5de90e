"""The cluster profile and the site file: the settings without which runs were seen to hang, and what reaches sbatch."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from primum.cluster.orphans import name_prefix
from primum.cluster.resources import rule_resources
from primum.cluster.site import Site, load_site, shell_prefix
from primum.dag.dag import STAGES
from primum.errors import PrimumError
from primum.experiment import load_experiment
from primum.experiment.experiment import Override

ROOT = Path(__file__).parents[3]
PROFILE: dict[str, Any] = yaml.safe_load((ROOT / "slurm/config.v9+.yaml").read_text())


def test_the_profile_polls_squeue() -> None:
    """sacct polling never ends for jobs that were cancelled or preempted, and reports a failure after NODE_FAIL."""
    assert PROFILE["executor"] == "slurm"
    assert PROFILE["slurm-status-command"] == "squeue"
    # The plugin goes back to sacct where MinJobAge (300 s by default) is below three times this.
    assert PROFILE["slurm-init-seconds-before-status-checks"] * 3 < 300


def test_the_profile_retries_requeues_and_waits() -> None:
    assert PROFILE["slurm-requeue"] is True
    assert PROFILE["retries"] == 2
    assert PROFILE["latency-wait"] >= 60
    # As a directive of a rule, retries would repeat within the same allocation.
    assert not [path.name for path in (ROOT / "rules").glob("*.smk") if "retries:" in path.read_text()]


def test_the_profile_has_no_arrays_groups_or_cache() -> None:
    assert not {"slurm-array-jobs", "groups", "group-components", "cache"} & set(PROFILE)
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert "group:" not in rules
    assert "cache:" not in rules


def test_tasks_are_no_tasks_per_gpu() -> None:
    assert PROFILE["default-resources"]["tasks_per_gpu"] == 0


def test_one_profile_file_and_no_default_that_replaces_its_keys() -> None:
    """Snakemake merges profiles/default over it, whole key by whole key."""
    assert [path.name for path in (ROOT / "slurm").glob("config*")] == ["config.v9+.yaml"]
    default = yaml.safe_load((ROOT / "profiles/default/config.v9+.yaml").read_text())
    assert not {"jobs", "default-resources", "resources", "retries", "executor"} & set(default)
    assert all(PROFILE[key] == default[key] for key in set(PROFILE) & set(default))


# The site's file -----------------------------------------------------------------------------------------------------


def test_the_shipped_site_file_leaves_all_to_slurm() -> None:
    assert load_site(ROOT / "slurm/site.yaml") == Site()
    assert load_site(ROOT / "slurm/no-such.yaml") == Site()


def test_the_example_in_it_is_valid(tmp_path: Path) -> None:
    lines = (ROOT / "slurm/site.yaml").read_text().splitlines()
    (tmp_path / "site.yaml").write_text("\n".join(line[4:] for line in lines if line.startswith("#   ")))
    site = load_site(tmp_path / "site.yaml")
    assert set(site.model_fields_set) == set(Site.model_fields)
    assert site.partitions.gpu == "h100"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acount: a", "unknown key 'acount'; valid keys: account, qos, partitions"),
        ("account: 'a b'", "account: String should match pattern"),
        ("modules: ['cuda; rm -rf x']", "modules: 0: String should match pattern"),
        ("partitions: gpu", "partitions: "),
        ("account: a\naccount: b", "line 2: key 'account' is given twice"),
        ("warning_seconds: 1", "warning_seconds: Input should be greater than or equal to 10"),
    ],
)
def test_what_a_site_file_must_not_say(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "site.yaml").write_text(text)
    with pytest.raises(PrimumError) as error:
        load_site(tmp_path / "site.yaml")
    assert str(error.value).startswith(f"{tmp_path / 'site.yaml'}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def asked(experiment: str, stage: str, site: Site, attempt: int = 1, **wildcards: str) -> dict[str, Any]:
    """The resources of one job, those that it does not have left out."""
    loaded = load_experiment(experiment, ROOT)
    names = {name: wildcards.pop(name) for name in ("judge", "preferences") if name in wildcards}
    found = {}
    for name, evaluate in rule_resources(loaded, site, {}, stage, **names).items():
        more = {"attempt": attempt} if name in ("mem_mb", "runtime") else {}
        value = evaluate(SimpleNamespace(**wildcards), **more)
        if value is not None:
            found[name] = value
    return found


H100 = Site.model_validate({"account": "a", "partitions": {"cpu": "c", "gpu": "g"}, "gpu_type": "h100"})


@pytest.mark.parametrize(
    ("experiment", "stage", "model", "nodes", "each"),
    [
        ("med42-v2-8b", "sft", "sft", 2, 8),
        ("med42-v2-8b", "dpo", "dpo-2", 2, 8),
        ("med42-v2-70b", "sft", "sft", 6, 8),
        ("med42-v2-70b", "dpo", "dpo-3", 4, 8),
    ],
)
def test_training_asks_for_the_papers_nodes_and_gpus(
    experiment: str, stage: str, model: str, nodes: int, each: int
) -> None:
    found = asked(experiment, stage, H100, model=model)
    assert (found["nodes"], found["tasks"], found["mpi"]) == (nodes, nodes, "srun")
    assert (found["gres"], found["gpu"]) == (f"gpu:h100:{each}", 0)
    assert found["launch"] == f"--nodes {nodes} --processes {nodes * each} --activation-checkpointing"
    assert "gpu_model" not in found
    assert (found["slurm_partition"], found["slurm_account"]) == ("g", "a")
    assert found["slurm_extra"] == "--signal=TERM@120"
    assert asked(experiment, stage, Site(), model=model)["gres"] == f"gpu:{each}"


def test_reference_log_probabilities_are_computed_by_as_many_processes() -> None:
    found = asked("med42-v2-8b", "reference", H100, model="dpo-1")
    assert (found["nodes"], found["gpu"], found["gres"], found["mpi"]) == (2, 0, "gpu:h100:8", "srun")
    assert found["launch"].startswith("--nodes 2 --processes 16")
    assert found["slurm_extra"] == ""


def test_generation_asks_for_the_gpus_of_its_model() -> None:
    small = asked("med42-v2-8b", "generate", H100, model="sft")
    large = asked("med42-v2-8b", "generate", H100, model="llama3.1-405b-instruct")
    assert (small["gpu"], small["gpu_model"]) == (1, "h100")
    assert large["gpu"] == 8


def test_judging_runs_on_cpus_and_few_jobs_call_an_endpoint_at_once() -> None:
    found = asked("med-safety", "judge", H100, model="med42-llama3-8b", judge="medical-harm-gpt-3.5")
    assert (found["gpu"], found["slurm_partition"], found["api"]) == (0, "c", 1)
    assert "gpu_model" not in found
    assert PROFILE["resources"]["api"] == 4
    assert asked("demo", "judge", H100, model="sft", judge="harm")["api"] == 0


def test_memory_and_time_grow_with_every_attempt() -> None:
    first, second = (asked("demo", "sft", Site(), attempt, model="sft") for attempt in (1, 2))
    assert second["mem_mb"] == 2 * first["mem_mb"]
    assert second["runtime"] == 2 * first["runtime"]


def test_one_process_on_a_machine_without_gpus() -> None:
    found = asked("demo", "sft", Site(), model="sft")
    assert (found["nodes"], found["gpu"], found["launch"]) == (1, 0, "--nodes 1 --processes 1")
    assert not {"mpi", "tasks", "gpu_model", "slurm_account", "slurm_partition", "qos", "constraint"} & set(found)


def test_a_job_waits_for_the_one_that_a_killed_run_left_running() -> None:
    loaded = load_experiment("demo", ROOT)
    running = {"rule_sft_model_wildcards_sft": "7", "rule_judge_harm_wildcards_sft": "8"}

    def extra(stage: str, model: str, judge: str | None = None) -> str:
        names = {"judge": judge} if judge else {}
        found: str = rule_resources(loaded, Site(), running, stage, **names)["slurm_extra"](
            SimpleNamespace(model=model)
        )
        return found

    assert extra("sft", "sft") == "--signal=TERM@120 --dependency=afterany:7"
    assert extra("sft", "medical") == "--signal=TERM@120"
    assert extra("judge", "sft", "harm") == "--dependency=afterany:8"
    assert extra("judge", "sft", "refusal") == ""
    assert extra("score", "sft") == ""


def test_a_job_without_wildcards_waits_for_its_twin_too() -> None:
    loaded = load_experiment("demo", ROOT)
    running = {"rule_sample_on-policy-2": "7", "rule_rank_responses_wildcards_on-policy-2": "8"}
    drawing = rule_resources(loaded, Site(), running, "sample", preferences="on-policy-2")
    assert drawing["slurm_extra"](SimpleNamespace()) == "--dependency=afterany:7"
    ranking = rule_resources(loaded, Site(), running, "rank")
    assert ranking["slurm_extra"](SimpleNamespace(preferences="on-policy-2")) == "--dependency=afterany:8"


def test_drawing_and_ranking_ask_for_the_gpus_of_the_model_that_they_run() -> None:
    found = asked("med42-v2-8b-on-policy", "sample", H100, preferences="on-policy-2")
    assert (found["gpu"], found["slurm_partition"], found["runtime"]) == (1, "g", 480)
    # To put the best against the worst takes no GPU.
    assert asked("med42-v2-8b-on-policy", "pair", H100, preferences="on-policy-2")["gpu"] == 0
    loaded = load_experiment("med42-v2-8b-on-policy", ROOT)
    override = loaded.overrides["llama3-70b-instruct"].resources["generate"]
    larger = loaded.model_copy(
        update={
            "overrides": {
                "dpo-1": Override(resources={"sample": override}),
                "pairrm-hf": Override(resources={"rank": override}),
            }
        }
    )
    for stage in ("sample", "rank"):
        resources = rule_resources(larger, H100, {}, stage)
        assert resources["gpu"](SimpleNamespace(preferences="on-policy-2")) == override.gpus


def test_every_stage_names_its_rule() -> None:
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    for stage in STAGES.values():
        rule = f'f"{stage.rule}"' if "{" in stage.rule else f"rule {stage.rule}:"
        assert rules.count(rule) == 1, stage.name
        assert f"exec primum stage {stage.name} --request" in rules


def test_jobs_are_named_after_experiment_and_folder() -> None:
    prefix = name_prefix("med42-v2.8b", "results/med42-v2.8b")
    assert prefix.startswith("primum-med42-v2-8b-")
    # What Snakemake's plugin takes.
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,50}", name_prefix("x" * 64, "results/x"))
    assert name_prefix("demo", "results/demo") != name_prefix("demo", "other/demo")


def test_modules_are_loaded_on_the_cluster_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(modules=("cuda/12.8", "gcc/13"))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert "module" not in shell_prefix(site)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert shell_prefix(site).startswith("module load cuda/12.8 gcc/13; set -euo pipefail; ")
    assert "module" not in shell_prefix(Site())
