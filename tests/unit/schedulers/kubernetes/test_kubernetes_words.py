"""What pods say of nodes, in our constraint language."""

from __future__ import annotations

from typing import Any

import pytest
from kube_objects import constraints_of, container, expression, job_of, node, node_affinity, plain, pod, read

from autoscale_aks.matching.parse import parse_constraints
from autoscale_aks.model.node_labels import SPOT_LABEL
from autoscale_aks.schedulers.kubernetes.quantities import parse_quantity
from autoscale_aks.units import Size, exact

OLD = "taint.old=:NoExecute"
SELECTORS: list[tuple[dict[str, Any], Any]] = [
    ({"nodeSelector": {"disk": "ssd"}}, [{"label.disk": ["ssd"]}]),
    ({"nodeSelector": {"node.kubernetes.io/instance-type": "Standard_F4"}}, [{"node.vm_size": ["Standard_F4"]}]),
    ({"nodeSelector": {"topology.kubernetes.io/region": "westus2"}}, [{"node.location": ["westus2"]}]),
    ({"nodeSelector": {"topology.kubernetes.io/zone": "westus2-1"}}, [{"node.location": "westus2", "node.zone": "1"}]),
    ({"nodeSelector": {"topology.kubernetes.io/zone": "0"}}, [{"node.zone": None}]),
    ({"nodeSelector": {"kubernetes.io/arch": "arm64"}}, [{"node.arch": ["arm64"]}]),
    ({"nodeSelector": {"kubernetes.io/hostname": "n1"}}, [{"node.hostname": ["n1"]}]),
    ({"nodeSelector": {"kubernetes.io/os": "linux"}}, []),
    ({"nodeSelector": {"kubernetes.io/os": "windows"}}, [{"never": "no node array has kubernetes.io/os=windows"}]),
    ({"nodeSelector": {"agentpool": "gpu"}}, [{"node.nodearray": ["gpu-a", "gpu-b"]}]),
    ({"nodeSelector": {"agentpool": "other"}}, [{"node.nodearray": ["other"]}]),
    ({"nodeSelector": {"sku": "gpu"}}, [{"node.gpu_count": 1}]),
    (node_affinity([expression("disk", "NotIn", "hdd")]), [{"not": {"label.disk": ["hdd"]}}]),
    (node_affinity([expression("disk", "Exists")]), [{"not": {"label.disk": None}}]),
    (node_affinity([expression("disk", "DoesNotExist")]), [{"not": {"not": {"label.disk": None}}}]),
    (node_affinity([expression("cores", "Gt", "5")]), [{"not": {"not": {"label_number.cores": 6}}}]),
    (node_affinity([expression("cores", "Lt", "5")]),
     [{"and": [{"not": {"label.cores": None}}, {"not": {"not": {"not": {"label_number.cores": 5}}}}]}]),
    (node_affinity([expression(SPOT_LABEL, "In", "spot")]), [{"node.spot": True}]),
    (node_affinity([expression(SPOT_LABEL, "DoesNotExist")]), [{"not": {"node.spot": True}}]),
    (node_affinity([expression(SPOT_LABEL, "In", "regular")]),
     [{"never": "AKS labels no node as regular"}]),
    (node_affinity([expression("a", "In", "1"), expression("b", "In", "2")], [expression("c", "Exists")]),
     [{"or": [{"and": [{"label.a": ["1"]}, {"label.b": ["2"]}]}, {"not": {"label.c": None}}]}]),
    (node_affinity([]), [{"never": "its node affinity picks no node"}]),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "wanted"), SELECTORS)
def test_node_selectors_and_affinity_become(spec: dict[str, Any], wanted: Any) -> None:
    settings = {"pools": {"gpu": ["gpu-a", "gpu-b"]}, "labels": {"sku": {"gpu": {"node.gpu_count": 1}}}}
    found = constraints_of(pod(**spec), **settings)
    assert found == wanted
    parse_constraints(found, "constraints")


def test_preferences_rule_nothing_out() -> None:
    preferred = [{"weight": 1, "preference": {"matchExpressions": [expression("disk", "In", "ssd")]}}]
    spec = {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}}
    assert constraints_of(pod(**spec)) == []


@pytest.mark.parametrize(
    ("tolerations", "ruled_out"),
    [
        ([], ["taint.gpu=yes:NoSchedule", "taint.old=:NoExecute"]),
        ([{"key": "gpu", "operator": "Equal", "value": "yes"}], ["taint.old=:NoExecute"]),
        ([{"key": "gpu", "value": "no"}], ["taint.gpu=yes:NoSchedule", "taint.old=:NoExecute"]),
        (
            [{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}],
            ["taint.gpu=yes:NoSchedule", "taint.old=:NoExecute"],
        ),
        ([{"operator": "Exists"}], []),
        ([{"key": "old", "operator": "Exists", "effect": "NoExecute"}], ["taint.gpu=yes:NoSchedule"]),
    ],
)
def test_every_known_hard_taint_that_is_not_tolerated_is_ruled_out(
    tolerations: list[Any], ruled_out: list[str]
) -> None:
    tainted = node("n1", taints=[{"key": "old", "effect": "NoExecute"}, {"key": "soft", "effect": "PreferNoSchedule"},
                                 {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])  # fmt: skip
    found = constraints_of(
        pod(tolerations=tolerations), nodes=(tainted,), lists={"known_taints": ["gpu=yes:NoSchedule"]}
    )
    assert found == [{name: None} for name in ruled_out]


@pytest.mark.parametrize(
    ("text", "amount"),
    [("500m", exact(0.5)), ("2", 2), ("1e3", 1000), ("1E", 10**18), ("16Gi", 16 * 2**30), ("1.5Gi", 3 * 2**29),
     ("1M", 10**6), ("100n", exact(0.0000001)), ("0", 0)],
)  # fmt: skip
def test_quantities_are_exact(text: str, amount: Any) -> None:
    assert parse_quantity(text) == amount


@pytest.mark.parametrize("text", ["", "-1", "1 Gi", "Gi", "1gi", "0x10", "1e999", "NaN", "٣", "1" * 50])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"quantity|negative"):
        parse_quantity(text)


def amounts(**spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = plain(job_of(pod(**spec)).shape.constraints[0])
    return {name: value for name, value in found.items() if name != "pods"}


def test_containers_add_up_and_init_containers_do_not() -> None:
    several = [container(cpu="1", memory="1Gi"), container(cpu="500m")]
    assert amounts(containers=several) == {"ncpus": 1.5, "mem": "size::1g"}
    assert amounts(containers=several, initContainers=[container(cpu="3"), container(memory="4Gi")]) == {
        "ncpus": 3, "mem": "size::4g",
    }  # fmt: skip


def test_sidecars_run_beside_what_starts_after_them() -> None:
    sidecar = {**container(cpu="1"), "restartPolicy": "Always"}
    assert amounts(initContainers=[sidecar]) == {"ncpus": 2}
    assert amounts(initContainers=[sidecar, container(cpu="4")]) == {"ncpus": 5}
    assert amounts(initContainers=[container(cpu="4"), sidecar]) == {"ncpus": 4}


def test_overhead_and_requests_of_the_pod_as_a_whole() -> None:
    assert amounts(overhead={"cpu": "250m"}) == {"ncpus": 1.25}
    assert amounts(resources={"requests": {"cpu": "2"}}, overhead={"cpu": "250m"}) == {"ncpus": 2.25}


def test_a_limit_alone_is_a_request_of_as_many() -> None:
    assert amounts(containers=[{"name": "c", "resources": {"limits": {"nvidia.com/gpu": "2"}}}]) == {"ngpus": 2}


def test_other_resources_keep_their_names_and_null_ones_are_reported() -> None:
    state = read(
        pod(
            containers=[container(**{"nvidia.com/mig-1g.5gb": "1", "hugepages-2Mi": "4Mi", "ephemeral-storage": "1Gi"})]
        )
    )
    assert plain(state.jobs[0].shape.constraints[0]) == {
        "nvidia.com/mig-1g.5gb": 1, "hugepages-2Mi": "size::4m", "pods": 1,
    }  # fmt: skip
    assert [str(problem) for problem in state.problems] == [
        "pods: ephemeral-storage: not counted (scheduler.resources says null) (1 pod, first default/p)"
    ]


def test_only_labels_that_pods_speak_of_are_shown_of_nodes() -> None:
    busy = node("n1", labels={"disk": "ssd", "cores": "8", "other": "x"})
    wants = [expression("cores", "Gt", "5"), expression("disk", "Exists")]
    (found,) = read(pod(**node_affinity(wants)), nodes=(busy,)).nodes or ()
    shown = {key: value for key, value in found.resources.items() if key.startswith("label")}
    assert shown == {"label.cores": "8", "label_number.cores": 8, "label.disk": "ssd"}


def test_nodes_count_all_pods_that_are_not_over_and_only_work_as_work() -> None:
    over = pod("done", node="n1", status={"phase": "Succeeded"})
    daemon = pod("ds", node="n1", meta=owned_by("DaemonSet"))
    mirror = pod("kube-proxy-n1", node="n1", meta={"annotations": {"kubernetes.io/config.mirror": "x"}})
    work = pod("work", node="n1", containers=[container(cpu="1", memory="1Gi")])
    (found,) = read(over, daemon, mirror, work, nodes=(node("n1"),)).nodes or ()
    assert found.job_ids == ("default/work",)
    assert (found.available["ncpus"], found.available["pods"]) == (1, 107)
    assert found.available["mem"] == Size(15 * 2**30)


def owned_by(kind: str) -> dict[str, Any]:
    return {"ownerReferences": [{"kind": kind, "name": "x", "uid": "u", "controller": True}]}


@pytest.mark.parametrize(
    ("spec", "state"),
    [
        ({}, "Ready"),
        ({"unschedulable": True}, "Closed"),
        ({"ready": "False"}, "Booting"),
        ({"ready": "Unknown"}, "Down"),
        ({"ready": "Unknown", "unschedulable": True}, "Down"),
        ({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}, "Booting"),
        ({"taints": [{"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}]}, "Closed"),
        (
            {"taints": [{"key": "kubernetes.azure.com/scalesetpriority", "value": "spot", "effect": "NoSchedule"}]},
            "Ready",
        ),
    ],
)
def test_a_nodes_state_in_our_words(spec: dict[str, Any], state: str) -> None:
    (found,) = read(nodes=(node("n1", **spec),)).nodes or ()
    assert found.state == state


@pytest.mark.parametrize(
    ("name", "labels", "machine"),
    [
        ("aks-htc-az1-htc-17-12345678-vm", {"agentpool": "htc"}, "az1-htc-17"),
        ("aks-htc-az1-htc-17-12345678-vm1", {"kubernetes.azure.com/agentpool": "htc"}, "az1-htc-17"),
        ("aks-system-12345678-vmss000000", {"agentpool": "system"}, None),
        ("n1", {}, None),
    ],
)
def test_the_machine_behind_a_node(name: str, labels: dict[str, str], machine: str | None) -> None:
    (found,) = read(nodes=(node(name, labels=labels),)).nodes or ()
    assert (found.name, found.machine) == (name, machine)
