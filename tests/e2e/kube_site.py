"""A real control plane and the emulator as one site: what every test against them needs."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import requests
from kube_rig import PATIENCE_S

from autoscale_aks.cli.wiring import with_emulator, writing_world
from autoscale_aks.config import LedgerConfig
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings
from autoscale_aks.model.policy import Timeout
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from autoscale_aks.config import Config
    from autoscale_aks.reconcile import World
    from autoscale_aks.schedulers.port import SchedulerPort


def settings_of(rig: Any, **more: Any) -> dict[str, Any]:
    return {"url": rig.url, "token_file": str(rig.token_file), "ca_file": str(rig.ca), **more}


def scheduler(rig: Any, **more: Any) -> SchedulerPort:
    return build_scheduler({"type": "kubernetes", **settings_of(rig, **more)})


def wait_for(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def wait_judged(kube: SchedulerPort) -> None:
    """Wait until the scheduler has looked at every pod."""
    wait_for(
        "a verdict on every pod", lambda: all("not looked" not in job.not_runnable_reason for job in kube.read().jobs)
    )


@contextmanager
def site(config: Config, rig: Any, directory: Path) -> Iterator[tuple[World, EmulatorServer]]:
    """The configuration's cluster, emulated, with the real control plane as its scheduler."""
    cluster = ClusterSpec(
        subscription=config.aks.subscription,
        resource_group=config.aks.resource_group,
        name=config.aks.cluster,
        location=config.aks.location or "",
    )
    with (
        EmulatorServer(EmulatorSettings(clusters=(cluster,), speed=60.0, latency_s=0.0)) as emulator,
        writing_world(emulated(config, emulator.base_url, rig, directory)) as world,
    ):
        yield world, emulator


def emulated(config: Config, url: str, rig: Any, directory: Path) -> Config:
    scheduler_settings = {**config.scheduler.settings, **settings_of(rig)}
    config = with_emulator(config, url)
    return replace(
        config,
        aks=replace(config.aks, credential=("emulator",)),
        ledger=LedgerConfig(path=directory / "ledger.sqlite"),
        scheduler=replace(config.scheduler, settings=scheduler_settings),
        policy=replace(config.policy, idle_timeout=Timeout(default_s=1.0)),
    )


def boot(world: World, emulator: EmulatorServer, rig: Any, count: int, *, at_once: bool = False) -> None:
    """Give the real API server the nodes that the emulated machines become, as their kubelets would register them.

    Labels and taints are those of the emulator's own Node objects, amounts those of the VM sizes. `at_once`: none takes
    a pod before all are there.
    """

    def ready() -> set[str]:
        return {node.name for node in world.cloud.list_nodes(world.config.agent_pools) if node.ready}

    wait_for("machines ready", lambda: len(ready()) >= count)
    names, known = ready(), {item["metadata"]["name"] for item in rig.api("GET", "/api/v1/nodes")["items"]}
    answer = requests.get(f"{emulator.base_url}/api/v1/nodes", headers={"Authorization": "Bearer emulated"}, timeout=30)
    for raw in answer.json()["items"]:
        name, labels = raw["metadata"]["name"], raw["metadata"]["labels"]
        if name in names - known:
            taints = [taint for taint in raw["spec"].get("taints", ()) if "not-ready" not in taint["key"]]
            rig.add_node(name, labels, capacity_of(world.config, labels), taints=taints, unschedulable=at_once)
    for name in names - known if at_once else ():
        change = {"spec": {"unschedulable": False}}
        rig.api("PATCH", f"/api/v1/nodes/{name}", change, "application/merge-patch+json")


def capacity_of(config: Config, labels: dict[str, str]) -> dict[str, str]:
    """What a machine with these labels has: the amounts of its VM size in its agent pool."""
    array, offering = next(
        (one.array, offering)
        for one in config.nodearrays.values()
        for offering in one.array.offerings
        if (one.array.agent_pool, offering.vm_size) == (labels["agentpool"], labels["node.kubernetes.io/instance-type"])
    )
    gpus = {"nvidia.com/gpu": str(offering.gpu_count)} if offering.gpu_count else {}
    pods = str(array.resources["pods"])
    return {"cpu": str(offering.vcpu_count), "memory": str(offering.memory.bytes), "pods": pods, **gpus}
