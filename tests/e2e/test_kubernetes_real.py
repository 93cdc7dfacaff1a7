"""A real control plane and the emulator: pods → machines → nodes → bound → done → drained → gone."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

kube_rig = pytest.importorskip("kube_rig", reason="the rig needs pyyaml and cryptography")

from autoscale_aks.cli.demo import machine_names  # noqa: E402
from autoscale_aks.cli.wiring import with_emulator, writing_world  # noqa: E402
from autoscale_aks.config import LedgerConfig, load_config  # noqa: E402
from autoscale_aks.emulator.server import EmulatorServer  # noqa: E402
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings  # noqa: E402
from autoscale_aks.model.policy import Timeout  # noqa: E402
from autoscale_aks.reconcile import run_cycle  # noqa: E402
from autoscale_aks.schedulers.port import version_of  # noqa: E402
from autoscale_aks.schedulers.registry import build_scheduler  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from autoscale_aks.config import Config
    from autoscale_aks.reconcile import World
    from autoscale_aks.schedulers.port import SchedulerPort

PATIENCE_S = 60.0
CONF = kube_rig.RBAC.parent / "autoscale.json"
pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.slow,
    pytest.mark.skipif(bool(kube_rig.missing()), reason=f"NO REAL KUBERNETES HERE: {kube_rig.missing()}"),
]


@pytest.fixture(scope="module")
def control_plane() -> Iterator[Any]:
    with kube_rig.KubeRig() as running:
        yield running


@pytest.fixture
def rig(control_plane: Any) -> Iterator[Any]:
    """The control plane without pods and nodes."""
    yield control_plane
    for name in control_plane.pods():
        control_plane.end_pod(name)
    for item in control_plane.api("GET", "/api/v1/nodes")["items"]:
        control_plane.api("DELETE", f"/api/v1/nodes/{item['metadata']['name']}")


def settings_of(rig: Any, **more: Any) -> dict[str, Any]:
    return {"url": rig.url, "token_file": str(rig.token_file), "ca_file": str(rig.ca), **more}


def scheduler(rig: Any, **more: Any) -> SchedulerPort:
    return build_scheduler({"type": "kubernetes", **settings_of(rig, **more)})


def test_the_api_server_tells_its_version_to_whoever_may_read(rig: Any) -> None:
    assert version_of(scheduler(rig)).startswith("v1.")


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


def test_pods_get_machines_run_and_leave_no_machine_behind(rig: Any, tmp_path: Path) -> None:
    spread: dict[str, Any] = {
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
             "labelSelector": {"matchLabels": {"app": "web"}}}
        ]
    }  # fmt: skip
    for number in range(6):
        rig.add_pod(f"web-{number}", labels={"app": "web"}, nodeSelector={"agentpool": "general"}, **spread)
    gpu = {"name": "c", "image": "x", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    rig.add_pod(
        "train",
        containers=[gpu],
        tolerations=[{"key": "sku", "operator": "Exists"}],
        nodeSelector={"accelerator": "nvidia"},
    )
    rig.add_pod("picky", nodeSelector={"disktype": "ssd"})
    wait_judged(scheduler(rig))
    config = load_config(CONF)
    cluster = ClusterSpec(
        subscription=config.aks.subscription,
        resource_group=config.aks.resource_group,
        name=config.aks.cluster,
        location=config.aks.location or "",
    )
    with EmulatorServer(EmulatorSettings(clusters=(cluster,), speed=60.0, latency_s=0.0)) as emulator:
        config = emulated(config, emulator.base_url, rig, tmp_path)
        with writing_world(config) as world:
            first = run_cycle(world)
            claims = first.plan.claims
            by_array = sorted((claim.bucket.array.name, claim.bucket.offering.zone) for claim in claims)
            assert by_array == [("general", "1"), ("general", "2"), ("general", "3"), ("gpu", None)], "2 pods a zone"
            boot(world, rig, len(claims))
            wait_for("all pods bound", lambda: all(node for name, node in rig.pods().items() if name != "picky"))
            again = run_cycle(world)
            assert not again.plan.claims
            assert not again.releases.deleted
            for name in rig.pods():
                if name != "picky":
                    rig.end_pod(name)
            gone: list[str] = []
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline and machine_names(emulator):
                report = run_cycle(world)
                gone.extend(report.releases.deleted)
                assert not report.plan.claims
                time.sleep(0.1)
            assert sorted(gone) == sorted(claim.name for claim in claims)
            cordoned = rig.api("GET", "/api/v1/nodes")["items"]
            assert all(item["spec"].get("unschedulable") for item in cordoned), "they are closed until they are gone"


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


def boot(world: World, rig: Any, count: int) -> None:
    """Give the real API server the nodes that the emulated machines become."""

    def ready() -> list[Any]:
        return [node for node in world.cloud.list_nodes(world.config.agent_pools) if node.ready]

    wait_for("machines ready", lambda: len(ready()) >= count)
    for node in ready():
        is_gpu = node.pool == "gpu"
        capacity = {"cpu": "4", "memory": "14Gi", "pods": "250", **({"nvidia.com/gpu": "1"} if is_gpu else {})}
        taints = [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}] if is_gpu else []
        rig.add_node(node.name, {**node.labels}, capacity, taints=taints)


def test_a_node_with_work_is_not_closed_and_ours_alone_is_reopened(rig: Any) -> None:
    kube = scheduler(rig)
    capacity = {"cpu": "2", "memory": "4Gi", "pods": "10"}
    rig.add_node("n1", {}, capacity)
    rig.add_pod("work")
    wait_for("the pod bound", lambda: rig.pods()["work"] == "n1")
    rig.add_node("n2", {}, capacity)
    rig.add_node("n3", {}, capacity, unschedulable=True)
    assert kube.close_nodes(["n1", "n2", "n3"], "idle: released") == ("n2", "n3")
    assert {node.name: node.state for node in kube.read().nodes or ()} == dict.fromkeys(("n1", "n2", "n3"), "Closed")
    kube.reopen_nodes(["n1", "n2", "n3"])
    assert {node.name: node.state for node in kube.read().nodes or ()} == {"n1": "Ready", "n2": "Ready", "n3": "Closed"}


def test_a_silent_node_is_removed_and_a_living_one_is_not(rig: Any) -> None:
    kube = scheduler(rig)
    rig.add_node("alive", {}, {"cpu": "2", "pods": "10"})
    rig.add_node("dead", {}, {"cpu": "2", "pods": "10"})
    rig.set_ready("dead", "Unknown")
    kube.remove_nodes(["alive", "dead", "never"])
    assert [node.name for node in kube.read().nodes or ()] == ["alive"]


def test_what_the_real_scheduler_says_is_what_we_say(rig: Any) -> None:
    """Pods and one node: what we would leave unplaced on it is what the scheduler leaves unplaced."""
    anti = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}}]}}  # fmt: skip
    rig.add_node("n1", {"disk": "ssd", "cores": "8"}, {"cpu": "8", "memory": "16Gi", "pods": "110"})
    for number in range(2):
        rig.add_pod(f"db-{number}", labels={"app": "db"}, affinity=anti)
    more = {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["9"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [more]}}
    rig.add_pod("many-cores", affinity={"nodeAffinity": required})
    rig.add_pod("ssd", nodeSelector={"disk": "ssd"})
    kube = scheduler(rig)
    wait_for("one db and ssd bound", lambda: sum(bool(node) for node in rig.pods().values()) == 2)
    wait_judged(kube)
    state = kube.read()
    assert {job.name for job in state.jobs if job.runnable} <= {"default/db-0", "default/db-1", "default/many-cores"}
    (node,) = state.nodes or ()
    (apart,) = [name for name in node.available if name.startswith("apart.")]
    assert node.available[apart] == 0, "a db runs there"
    assert node.resources["label_number.cores"] == 8
