"""A real control plane and the emulator: pods → machines → nodes → bound → done → drained → gone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

kube_rig = pytest.importorskip("kube_rig", reason="the rig needs pyyaml and cryptography")

from kube_site import boot, scheduler, site, wait_for, wait_judged  # noqa: E402

from autoscale_aks.cli.demo import machine_names  # noqa: E402
from autoscale_aks.config import load_config  # noqa: E402
from autoscale_aks.reconcile import run_cycle  # noqa: E402
from autoscale_aks.schedulers.port import version_of  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = kube_rig.PATIENCE_S
pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.slow,
    pytest.mark.skipif(bool(kube_rig.missing()), reason=f"NO REAL KUBERNETES HERE: {kube_rig.missing()}"),
]


def test_the_api_server_tells_its_version_to_whoever_may_read(rig: Any) -> None:
    assert version_of(scheduler(rig)).startswith("v1.")


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
    config = load_config(kube_rig.CONF / "autoscale.json")
    with site(config, rig, tmp_path) as (world, emulator):
        first = run_cycle(world)
        claims = first.plan.claims
        by_array = sorted((claim.bucket.array.name, claim.bucket.offering.zone) for claim in claims)
        assert by_array == [("general", "1"), ("general", "2"), ("general", "3"), ("gpu", None)], "2 pods a zone"
        boot(world, emulator, rig, len(claims))
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
