"""Scenes for the demand report: one with something of everything, and one as large as they come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any

from builders import STANDARD, array, job, scenario
from frozendict import frozendict

from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.model.node import Node
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.demand import summarise
from autoscale_aks.reports.timeline import Life

if TYPE_CHECKING:
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.reports.figures import DemandReport

NOW = "2026-11-22T08:00:00Z"
AT = 1_795_334_400.0
HOSTILE = (
    "</script><script>window.broken=1</script>",
    "<img src=x onerror='window.broken=1'>",
    '"><svg onload=window.broken=1>',
    "{{ 7 * 7 }}",
    "\u202egnp.exe",
    "\x1b[31mred\x1b[0m",
)
"""What jobs are called by those who want to run something of theirs where the report is read."""


@dataclass(frozen=True)
class Scene:
    snapshot: Snapshot
    policy: Policy
    plan: Plan

    def report(self, **more: Any) -> DemandReport:
        return summarise(self.plan, self.snapshot, policy=self.policy, **more)


def size(vm_size: str, vcpus: int, memory_gb: float, price: float | None, **more: Any) -> dict[str, Any]:
    return {"vm_size": vm_size, "vcpu_count": vcpus, "memory_gb": memory_gb, "price": price, **more}


def full_scene() -> Scene:
    """A morning with something of everything, written as a scenario."""
    made = scenario(
        *_jobs(),
        arrays=[
            array(
                "htc",
                size("Standard_D4s_v5", 4, 16, 0.23, vm_family="standardDSv5Family"),
                size("Standard_D8s_v5", 8, 32, 0.46, vm_family="standardDSv5Family"),
                max_count=400,
            ),
            array("hpc", size("Standard_HB120rs_v3", 120, 448, 3.6, vm_family="standardHBrsv3Family",
                              infiniband=True, placement_groups=["pg0"], max_placement_group_size=6)),
            array("gpu", size("Standard_NC24ads_A100_v4", 24, 220, 3.67, gpu_count=1,
                              vm_family="StandardNCADSA100v4Family"), max_count=6),
            array("spot", size("Standard_E16s_v5", 16, 128, 0.31, vm_family="standardESv5Family"), spot=True),
        ],
        nodes=_nodes(),
        limits={
            "cluster_max_nodes": 1000,
            "families": {"westus2": {"standardDSv5Family": {"quota_cores": 700, "used_elsewhere_cores": 40},
                                     "standardHBrsv3Family": {"quota_cores": 960, "used_elsewhere_cores": 0}}},
            "regions": {"westus2": {"quota_cores": 4000, "used_elsewhere_cores": 200}},
        },
        shared_resources={"lic": {"initial": 10, "current": 2}},
        policy={"idle_timeout": 300},
        now=NOW,
    )  # fmt: skip
    snapshot, policy = decode_scenario(made)
    return Scene(snapshot, policy, plan(snapshot, policy))


def _jobs() -> list[dict[str, Any]]:
    lic = {"shared-consumable": {"resources": ["lic"], "amount": 1}}
    htc, spot = {"node.nodearray": "htc"}, {"node.nodearray": "spot"}
    return [
        job("render", {"ncpus": 4, **htc}, count=90, queue="film", user="ada"),
        job("blast", {"ncpus": 2, "mem": "memory::7g", **htc}, count=130, queue="bio", user="grace"),
        job("weather-mpi", {"ncpus": 120, "exclusive": True, "node.nodearray": "hpc"}, node_count=4, colocated=True,
            queue="climate", user="katherine"),
        job("weather-ensemble", {"ncpus": 120, "exclusive": True, "node.nodearray": "hpc"}, node_count=6,
            colocated=True, queue="climate", user="katherine"),
        job("train-llm", {"ngpus": 1}, count=14, queue="ml", user="geoff"),
        job("solver", {"ncpus": 4, **spot}, lic, count=12, queue="cae", user="emmy"),
        job("huge-memory", {"mem": "memory::900g"}, queue="bio", user="grace"),
        job("held-by-user", {"ncpus": 1}, runnable=False, not_runnable_reason="JobHeldUser", queue="film", user="ada"),
        *[job(f"sweep-{number}", {"ncpus": 4, **htc}, queue="ml", user=f"user{number % 7}") for number in range(60)],
        *[job(name, {"ncpus": 10_000}, queue="x") for name in HOSTILE],
    ]  # fmt: skip


def _nodes() -> list[dict[str, Any]]:
    def node(name: str, nodearray: str, vm_size: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "nodearray": nodearray, "vm_size": vm_size, "create_time": AT - 7200, **more}

    busy = {"job_ids": ["running"], "available": {"ncpus": 0}}
    return [
        *[node(f"site-htc-{n}", "htc", "Standard_D4s_v5", **busy) for n in range(1, 31)],
        *[node(f"site-htc-{n}", "htc", "Standard_D4s_v5", job_ids=["half"], available={"ncpus": 1})
          for n in range(31, 37)],
        *[node(f"site-htc-{n}", "htc", "Standard_D4s_v5", stage="in-flight", state="Creating",
               create_time=AT - 95) for n in range(40, 52)],
        *[node(f"site-spot-{n}", "spot", "Standard_E16s_v5", last_match_time=AT - 900) for n in range(1, 6)],
        node("site-spot-9", "spot", "Standard_E16s_v5", keep_alive=True, last_match_time=AT - 9000),
        node("site-gpu-1", "gpu", "Standard_NC24ads_A100_v4", job_ids=["train-llm-0"], available={"ngpus": 0}),
        node("site-gpu-2", "gpu", "Standard_NC24ads_A100_v4", state="Failed"),
        node("site-gpu-3", "gpu", "Standard_NC24ads_A100_v4", stage="draining", state="Draining"),
    ]  # fmt: skip


def lives() -> list[Life]:
    """A day of machines that come and go."""
    random = Random(7)
    found = []
    for _ in range(900):
        asked = AT - random.random() * 100_000
        ready = asked + 90 + random.random() * 60
        gone = ready + random.random() ** 2 * 30_000
        found.append(
            Life(
                asked_at=asked,
                ready_at=ready if ready < AT else None,
                leaving_at=gone if gone < AT else None,
                gone_at=gone + 120 if gone + 120 < AT else None,
                refused=random.random() < 0.03,
            )
        )
    return found


@cache
def big_scene(nodes: int = 10_000, jobs: int = 100_000, waiting: bool = True) -> Scene:
    """Ten thousand nodes and a hundred thousand jobs; three of four jobs find no place where `waiting`."""
    arrays = [
        array(
            f"pool{number}",
            size(f"Standard_D{4 << number % 4}s_v5", 4 << number % 4, 16 << number % 4, 0.23 * (1 << number % 4),
                 vm_family=f"family{number % 5}"),
            max_count=2600 if waiting else None,
        )
        for number in range(8)
    ]  # fmt: skip
    made = scenario(arrays=arrays, default_resources=STANDARD, now=NOW)
    snapshot, policy = decode_scenario(made)
    random = Random(3)
    shapes = [
        JobShape(constraints=(frozendict({"ncpus": cpus, "node.nodearray": f"pool{pool}"}),), iterations=iterations)
        for cpus in (1, 2, 4)
        for pool in range(8)
        for iterations in (1, 1, 8)
    ]
    there = tuple(
        Node(
            name=f"site-pool{number % 8}-{number}",
            nodearray=f"pool{number % 8}",
            vm_size=f"Standard_D{4 << number % 4}s_v5",
            available=frozendict({"ncpus": random.randrange(0, 5)}),
            job_ids=(f"run-{number}",),
            create_time=AT - random.random() * 90_000,
        )
        for number in range(nodes)
    )
    queue = tuple(
        Job(
            name=f"array-{number // 40}_{number}",
            shape=shapes[number % len(shapes)],
            path=f"jobs[{number}]",
            queue=f"queue{number % 12}",
            user=f"user{number % 300}",
        )
        for number in range(jobs)
    )
    whole = replace(snapshot, nodes=there, jobs=queue)
    return Scene(whole, policy, plan(whole, policy))
