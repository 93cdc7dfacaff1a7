"""What we say fits, the real kube-scheduler binds onto the Node we make; what we say does not, it leaves alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

kube_rig = pytest.importorskip("kube_rig", reason="the rig needs pyyaml and cryptography")

from kube_site import boot, capacity_of, scheduler, site, wait_for, wait_judged  # noqa: E402

from autoscale_aks.config import load_config  # noqa: E402
from autoscale_aks.reconcile import run_cycle  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from autoscale_aks.config import Config

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.slow,
    pytest.mark.skipif(bool(kube_rig.missing()), reason=f"NO REAL KUBERNETES HERE: {kube_rig.missing()}"),
]
CONFIG: dict[str, Any] = {
    "aks": {"subscription": "00000000-0000-4000-8000-000000000001", "resource_group": "rg", "cluster": "c",
            "location": "westus2", "owner": "kub", "credential": ["workload_identity"], "kubernetes_in_cluster": True},
    "scheduler": {"type": "kubernetes", "kueue": True},
    "ledger": {"path": "ledger"},
    "default_resources": [
        {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
        {"select": {}, "name": "mem", "value": "node.memory"},
        {"select": {}, "name": "ngpus", "value": "node.gpu_count"},
    ],
    "nodearrays": {
        "general": {"zones": ["1", "2", "3"], "max_count": 12, "max_pods": 30, "node_labels": {"disk": "ssd"},
                    "buckets": [{"vm_size": "Standard_D4s_v5", "vcpu_count": 4, "memory_gb": 16, "arch": "amd64"}]},
        "large": {"node_taints": ["dedicated=large:NoSchedule"], "node_labels": {"cores": "16"}, "max_count": 4,
                  "buckets": [{"vm_size": "Standard_D16s_v5", "vcpu_count": 16, "memory_gb": 64, "arch": "amd64"}]},
        "gpu": {"node_taints": ["sku=gpu:NoSchedule"], "node_labels": {"accelerator": "nvidia"}, "max_count": 4,
                "buckets": [{"vm_size": "Standard_NC4as_T4_v3", "vcpu_count": 4, "memory_gb": 28, "gpu_count": 1,
                             "arch": "amd64"}]},
    },
}  # fmt: skip
SHORT = {"Standard_D4s_v5": "d4", "Standard_D16s_v5": "d16", "Standard_NC4as_T4_v3": "nc4"}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
LARGE = {"tolerations": [{"key": "dedicated", "operator": "Equal", "value": "large", "effect": "NoSchedule"}]}
GPU = {"tolerations": [{"key": "sku", "operator": "Exists"}]}
APP = {"app": "web"}
SAME = {"labelSelector": {"matchLabels": APP}}


def asks(cpu: str = "1", memory: str = "1Gi", **limits: str) -> dict[str, Any]:
    more = {name.replace("gpu", "nvidia.com/gpu"): amount for name, amount in limits.items()}
    found = {"requests": {"cpu": cpu, "memory": memory}, "limits": more}
    return {"containers": [{"name": "c", "image": "x", "resources": found}]}


def affinity(kind: str, *terms: Any) -> dict[str, Any]:
    return {"affinity": {kind: {REQUIRED: list(terms)}}}


def on_nodes(*terms: list[tuple[str, str, list[str]]]) -> dict[str, Any]:
    found = [
        {"matchExpressions": [{"key": key, "operator": operator, "values": values} for key, operator, values in term]}
        for term in terms
    ]
    return {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": found}}}}


def spread(topology: str) -> dict[str, Any]:
    return {
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": topology, "whenUnsatisfiable": "DoNotSchedule", **SAME}
        ]
    }


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "autoscale.json"
    path.write_text(json.dumps(CONFIG))
    path.chmod(0o600)
    return load_config(path)


INIT = {
    "initContainers": [{"name": "i", "image": "x", "resources": {"requests": {"cpu": "4"}}}], **asks("1")
}  # fmt: skip

FITS: dict[str, tuple[int, dict[str, Any], list[str]]] = {
    "requests: one CPU more than half a machine": (3, asks("3"), ["d4"] * 3),
    "requests: memory decides": (2, asks("1", "9Gi"), ["d4"] * 2),
    "an init container's request counts alone, not beside the others": (1, INIT, ["d4"]),
    "as many pods as a node takes": (31, asks("100m", "100Mi"), ["d4"] * 2),
    "a label of the pool": (1, {"nodeSelector": {"disk": "ssd"}, **asks()}, ["d4"]),
    "a zone": (2, {"nodeSelector": {ZONE: "westus2-2"}, **asks("3")}, ["d4:2"] * 2),
    "an instance type that is tainted, tolerated": (
        1, {"nodeSelector": {"node.kubernetes.io/instance-type": "Standard_D16s_v5"}, **asks(), **LARGE}, ["d16"],
    ),
    "too much memory for the small machines": (1, {**asks("1", "20Gi"), **LARGE}, ["d16"]),
    "node affinity: In and NotIn": (
        1, {**asks(), **on_nodes([("disk", "In", ["ssd", "nvme"]), (ZONE, "NotIn", ["westus2-1", "westus2-3"])])},
        ["d4:2"],
    ),
    "node affinity: Exists and DoesNotExist": (
        1, {**asks(), **LARGE, **on_nodes([("cores", "Exists", []), ("disk", "DoesNotExist", [])])}, ["d16"],
    ),
    "node affinity: Gt and Lt": (
        1, {**asks(), **LARGE, **on_nodes([("cores", "Gt", ["8"]), ("cores", "Lt", ["17"])])}, ["d16"],
    ),
    "node affinity: one of two terms is enough": (
        1, {**asks(), **LARGE, **on_nodes([("disk", "In", ["tape"])], [("cores", "In", ["16"])])}, ["d16"],
    ),
    "GPUs, one a machine": (2, {**asks("1", "1Gi", gpu="1"), **GPU}, ["nc4"] * 2),
    "anti-affinity on the host name": (
        3, {**asks(), **affinity("podAntiAffinity", {"topologyKey": HOST, **SAME})}, ["d4"] * 3,
    ),
    "affinity on the host name to its own kind: all on one": (
        3, {**asks(), **affinity("podAffinity", {"topologyKey": HOST, **SAME})}, ["d4"],
    ),
    "anti-affinity on the zone": (
        3, {**asks(), **affinity("podAntiAffinity", {"topologyKey": ZONE, **SAME})}, ["d4:1", "d4:2", "d4:3"],
    ),
    "spread over zones": (
        6, {"nodeSelector": {"disk": "ssd"}, **asks("3"), **spread(ZONE)},
        ["d4:1", "d4:1", "d4:2", "d4:2", "d4:3", "d4:3"],
    ),
    "spread over host names": (3, {"nodeSelector": {"disk": "ssd"}, **asks(), **spread(HOST)}, ["d4"] * 3),
}  # fmt: skip


def add_pods(rig: Any, count: int, spec: dict[str, Any], labels: dict[str, str]) -> None:
    for number in range(count):
        rig.add_pod(f"p{number}", labels=labels, **spec)
    wait_judged(scheduler(rig))


def sizes(claims: Any, wanted: list[str]) -> list[str]:
    """Sizes of claims, with their zones where a wish names one."""
    zoned = any(":" in one for one in wanted)
    found = ((SHORT[one.bucket.vm_size], one.bucket.offering.zone) for one in claims)
    return sorted(f"{size}:{zone}" if zoned else size for size, zone in found)


@pytest.mark.parametrize("story", FITS)
def test_pods_that_fit_are_bound_to_the_machines_made_for_them(
    rig: Any, config: Config, tmp_path: Path, story: str
) -> None:
    count, spec, wanted = FITS[story]
    add_pods(rig, count, spec, APP)
    with site(config, rig, tmp_path) as (world, emulator):
        claims = run_cycle(world).plan.claims
        assert sizes(claims, wanted) == wanted
        # kube-scheduler spreads over host names that exist: what comes first and alone would take them all
        boot(world, emulator, rig, len(claims), at_once=story == "spread over host names")
        wait_for("every pod is bound", lambda: all(rig.pods().values()))
        assert len(set(rig.pods().values())) == len(claims), "no machine stands idle"
        assert not run_cycle(world).plan.claims


PLUGIN_GROUP, KUEUE_GROUP = "scheduling.x-k8s.io/pod-group", "kueue.x-k8s.io/pod-group-name"
KUEUE_COUNT = "kueue.x-k8s.io/pod-group-total-count"


@pytest.mark.parametrize("label", [PLUGIN_GROUP, KUEUE_GROUP])
def test_a_group_of_pods_gets_machines_for_all_of_it_or_none(
    rig: Any, config: Config, tmp_path: Path, label: str
) -> None:
    """Their objects cannot be had here: a kube-apiserver 1.20 built with Go 1.19 ends at any custom resource."""
    for name, count in (("small", 4), ("huge", 13)):
        marks = {KUEUE_COUNT: str(count)} if label == KUEUE_GROUP else {}
        for number in range(count):
            rig.add_pod(f"{name}-{number}", labels={label: name}, annotations=marks, **asks("3"))
    wait_judged(scheduler(rig))
    with site(config, rig, tmp_path) as (world, emulator):
        claims = run_cycle(world).plan.claims
        assert sizes(claims, []) == ["d4"] * 4, "thirteen do not fit under max_count 12"
        for number in range(13):
            rig.end_pod(f"huge-{number}")
        boot(world, emulator, rig, len(claims))
        wait_for("the whole gang is bound", lambda: all(rig.pods().values()))


FITS_NOWHERE: dict[str, tuple[dict[str, Any], str]] = {
    "more CPUs than any machine has": (asks("17"), ""),
    "more memory than any machine it tolerates has": (asks("1", "20Gi"), ""),
    "two GPUs": ({**asks("1", "1Gi", gpu="2"), **GPU}, ""),
    "a GPU whose taint it does not tolerate": (asks("1", "1Gi", gpu="1"), ""),
    "a toleration for another value": (
        {**asks("8"), "tolerations": [{"key": "dedicated", "value": "small", "effect": "NoSchedule"}]}, "",
    ),
    "a label that no pool has": ({"nodeSelector": {"disk": "tape"}, **asks()}, ""),
    "a zone that no pool has": ({"nodeSelector": {ZONE: "westus2-4"}, **asks()}, ""),
    "node affinity: two expressions of one term on unlike pools": (
        {**asks(), **LARGE, **on_nodes([("disk", "Exists", []), ("cores", "Exists", [])])}, "",
    ),
    "node affinity: Gt": ({**asks(), **LARGE, **on_nodes([("cores", "Gt", ["16"])])}, ""),
    "affinity to pods of which none runs": (
        {**asks(), **affinity("podAffinity", {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": "db"}}})},
        "no pod runs that it wants to be with",
    ),
}  # fmt: skip


@pytest.mark.parametrize("story", FITS_NOWHERE)
def test_pods_that_fit_nowhere_get_no_machine_and_would_stay_waiting_with_one_of_each(
    rig: Any, config: Config, tmp_path: Path, story: str
) -> None:
    spec, why = FITS_NOWHERE[story]
    add_pods(rig, 1, spec, APP)
    with site(config, rig, tmp_path) as (world, _):
        made = run_cycle(world).plan
    assert not made.claims
    kube = scheduler(rig)
    assert [why in job.not_runnable_reason for job in kube.read().jobs if job.not_runnable_reason] in ([], [True])
    nodes = every_kind(rig, config)

    def verdict() -> str:
        (item,) = rig.api("GET", "/api/v1/namespaces/default/pods")["items"]
        assert not item["spec"].get("nodeName"), "kube-scheduler found a place that we denied"
        return " ".join(one.get("message", "") for one in item["status"]["conditions"])

    wait_for("kube-scheduler has tried them all", lambda: f"0/{nodes} nodes" in verdict())


def every_kind(rig: Any, config: Config) -> int:
    """Register one node of every kind that could be made; how many."""
    number = 0
    for one in config.nodearrays.values():
        for offering in one.array.offerings:
            labels = {
                "agentpool": one.array.agent_pool,
                "node.kubernetes.io/instance-type": offering.vm_size,
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                ZONE: f"westus2-{offering.zone}" if offering.zone else "0",
                **one.template_for(offering.vm_size).node_labels,
            }
            taints = [
                {"key": text.partition("=")[0], "value": text.partition("=")[2].partition(":")[0],
                 "effect": text.rpartition(":")[2]}
                for text in one.template_for(offering.vm_size).node_taints
            ]  # fmt: skip
            rig.add_node(f"kind-{number}", labels, capacity_of(config, labels), taints=taints)
            number += 1
    return number
