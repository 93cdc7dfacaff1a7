"""A captured queue through the driver and the planner, with the node arrays of `conf/SCHEDULER/autoscale.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale_aks.config import load_config
from autoscale_aks.model.snapshot import Snapshot
from autoscale_aks.planning.planner import plan
from autoscale_aks.reconcile.fresh_nodes import rules_of_cycle
from autoscale_aks.schedulers.celery.driver import CaptureCell, CeleryScheduler
from autoscale_aks.schedulers.celery.settings import read_settings as read_celery
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from autoscale_aks.config import Config
    from autoscale_aks.model.job import Chunk, Job
    from autoscale_aks.schedulers.port import SchedulerState

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
SAMPLES = {"sample": ROOT / "conf" / "sample" / "slurm"}
"""The queue that `azaks demo` runs is a scene, too."""
CAPTURES = ROOT / "tests" / "captures"
CONFIGURED = {
    "slurm": "conf/autoscale.example.json",
    "kubernetes": "tests/golden/kubernetes.json",
    "celery": "tests/golden/celery.json",
}
"""Where a scene's node arrays are not those of `conf/SCHEDULER/autoscale.json`."""
SERVED: dict[str, dict[str, Any]] = {
    "slurm": {},
    "openpbs": {},
    "gridengine": {"hostgroups": {"@allhosts": ["htc", "hpc"], "@gpuhosts": ["gpu"]}, "queues": {"long.q": ["htc"]}},
}
"""What the captured cluster calls its queues and groups."""
NOW = 1_795_338_500.0
"""When Celery was captured (2026-11-22 09:08 UTC): tasks with a time to come are counted from here."""


@dataclass(frozen=True)
class Scene:
    """What was read, and each job's answer: the reason's code and where its machines come from."""

    state: SchedulerState
    answers: dict[str, str]
    machines: dict[str, int]


def read_scene(scheduler: str, scene: str) -> Scene:
    config = load_config(ROOT / CONFIGURED.get(scheduler, f"conf/{scheduler}/autoscale.json"))
    seen = _read(scheduler, scene, config)
    snapshot = Snapshot(
        now=0.0,
        default_resources=rules_of_cycle(config, seen),
        limits=config.limits,
        nodearrays=config.arrays,
        shared_resources=seen.shared_resources,
        jobs=seen.jobs,
    )
    made = plan(snapshot, config.policy)
    places: dict[int, set[str]] = {}
    first_new = len(made.nodes) + len(made.unmanaged_nodes)
    for placement in made.placements:
        for number in range(placement.first_node, placement.first_node + placement.nodes):
            bucket = made.claims[number - first_new].bucket
            group = bucket.placement_group
            places.setdefault(placement.job, set()).add(bucket.array.name + (f"/{group}" if group else ""))
    answers: dict[str, str] = {}
    for index, (job, outcome) in enumerate(zip(made.jobs, made.outcomes, strict=True)):
        where = "+".join(sorted(places.get(index, ())))
        answers[job.name] = outcome.reason.code.name + (f" {where}" if where else "")
    machines: dict[str, int] = {}
    for claim in made.claims:
        machines[claim.bucket.array.name] = machines.get(claim.bucket.array.name, 0) + 1
    return Scene(seen, answers, machines)


def _read(scheduler: str, scene: str, config: Config) -> SchedulerState:
    """The captured look of one scene."""
    if scheduler == "celery":
        settings = read_celery({"type": "celery", **config.scheduler.settings})
        return CeleryScheduler(settings, CaptureCell(CAPTURES / "celery" / scene, settings), now=lambda: NOW).read()
    if scheduler == "kubernetes":
        given = config.scheduler.settings.items()
        known = {key: list(value) if isinstance(value, tuple) else value for key, value in given if key != "url"}
        capture = CAPTURES / "kubernetes" / scene
        return build_scheduler({"type": "kubernetes", **known, "capture_dir": str(capture)}, environment={}).read()
    capture = SAMPLES.get(scene, FIXTURES / scheduler / scene)
    settings = {"type": scheduler, "capture_dir": str(capture), "capture_nodes": True, **SERVED[scheduler]}
    return build_scheduler(settings, environment={}).read()


def shown(job: Job) -> dict[str, Any]:
    """A job as the golden file writes it: what is usual is left out."""
    shape = job.shape
    usual = {
        "count": 1,
        "iterations": 1,
        "node_count": 0,
        "colocated": False,
        "packing": None,
        "chunks": [],
        "waits": "",
    }
    found = {
        "count": job.count,
        "constraints": _plain(shape.constraints),
        "iterations": shape.iterations,
        "node_count": shape.node_count,
        "colocated": shape.colocated,
        "packing": shape.packing_strategy.value if shape.packing_strategy else None,
        "chunks": [_chunk(chunk) for chunk in shape.chunks],
        "waits": job.not_runnable_reason,
    }
    return {key: value for key, value in found.items() if usual.get(key, ...) != value}


def _chunk(chunk: Chunk) -> list[Any]:
    return [chunk.iterations, chunk.node_count, _plain(chunk.constraints)]


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=lambda it: dict(it) if hasattr(it, "items") else list(it)))
