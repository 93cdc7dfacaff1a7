"""The captured queue through the real planner: the machines that its README counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from slurm_lines import SAMPLE

from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.schedulers.registry import build_scheduler


def test_the_planner_finds_the_machines_that_the_capture_was_made_for() -> None:
    state = build_scheduler({"type": "slurm", "capture_dir": str(SAMPLE)}).read()

    def array(name: str, size: str, cpus: int, gb: int, mb: int, gpus: int, **resources: Any) -> dict[str, Any]:
        bucket = {"vm_size": size, "vcpu_count": cpus, "memory_gb": gb, "gpu_count": gpus, "placement_groups": ["pg"]}
        return {"name": name, "resources": {"mem": f"memory::{mb}m", **resources}, "buckets": [bucket]}

    features = {"feature_spot": True, "feature_regular": True, "feature_standard_d4s_v5": True}
    arrays = [
        array("htc", "Standard_D4s_v5", 4, 16, 15564, 0, **features),
        array("hpc", "Standard_F16s_v2", 16, 32, 31129, 0),
        array("gpu", "Standard_NC4as_T4_v3", 4, 28, 27238, 1, gpu_type="t4"),
        array("mem", "Standard_E16s_v5", 16, 128, 124518, 0),
    ]
    snapshot, policy = decode_scenario({"nodearrays": arrays, "jobs": []})
    made = plan(replace(snapshot, jobs=state.jobs, shared_resources=state.shared_resources), policy)
    new = Counter(claim.bucket.array.name for claim in made.claims)
    # 295 htc by the capture's README; the machine that job 24 names cannot be made.
    assert new == {"htc": 294, "hpc": 34, "gpu": 49, "mem": 22}
