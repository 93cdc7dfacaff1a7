"""The manifests of conf/kubernetes before a real API server: it takes them, and their rights are enough and no more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

kube_rig = pytest.importorskip("kube_rig", reason="the rig needs pyyaml and cryptography")

from kube_site import scheduler, wait_for, wait_judged  # noqa: E402

from autoscale_aks.access.connections import Route  # noqa: E402
from autoscale_aks.cloud.aks.auth import StaticTokenSource  # noqa: E402
from autoscale_aks.cloud.aks.budget import RateBudget  # noqa: E402
from autoscale_aks.cloud.aks.caller import Caller  # noqa: E402
from autoscale_aks.cloud.aks.effects import Effects  # noqa: E402
from autoscale_aks.cloud.aks.lease import KubernetesLease, LeaseOrder  # noqa: E402
from autoscale_aks.cloud.aks.transport import HttpTransport  # noqa: E402
from autoscale_aks.errors import LockHeldError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.slow,
    pytest.mark.skipif(bool(kube_rig.missing()), reason=f"NO REAL KUBERNETES HERE: {kube_rig.missing()}"),
]
MANIFESTS = sorted(kube_rig.CONF.glob("*.yaml"))
CAPACITY = {"cpu": "2", "memory": "4Gi", "pods": "10"}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_the_server_takes_every_document_of_a_manifest(rig: Any, path: Any) -> None:
    known = {item["metadata"]["name"] for item in rig.api("GET", "/api/v1/namespaces")["items"]}
    for document in yaml.safe_load_all(path.read_text()):
        is_there = path.name == "rbac.yaml"
        if document["kind"] == "Namespace" and document["metadata"]["name"] not in known:
            rig.apply(document)
        elif document["kind"] == "Namespace" or is_there:
            continue  # the rig itself has applied it
        else:
            taken = rig.apply(document, dry=True)
            assert taken["metadata"]["name"] == document["metadata"]["name"]


def granted() -> set[tuple[str, str, str]]:
    """Group, resource and verb of every rule in rbac.yaml."""
    return {
        (group, resource, verb)
        for role in yaml.safe_load_all(kube_rig.RBAC.read_text())
        for rule in role.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def lease(rig: Any, holder: str) -> KubernetesLease:
    effects = Effects(sleep=lambda _: None)
    tokens = StaticTokenSource(rig.token_file.read_text(), endpoint=rig.url)
    caller = Caller(HttpTransport(), tokens, RateBudget(effects=effects), effects=effects, route=Route(ca=str(rig.ca)))
    order = LeaseOrder(
        base_url=rig.url, namespace="azaks", name="azaks-kub", duration_s=60.0, holder=holder, now=time.time()
    )
    return KubernetesLease(caller, order)


def test_one_tour_of_everything_uses_every_right_and_is_refused_nothing(rig: Any) -> None:
    before = len(rig.audited())
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}  # fmt: skip
    rig.api("POST", "/api/v1/namespaces/default/persistentvolumeclaims", claim)
    rig.add_pod("waits")
    rig.add_pod("stores", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
    rig.add_pod("gang", labels={"scheduling.x-k8s.io/pod-group": "g"})
    kube = scheduler(rig, kueue=True, job_reasons=True)
    wait_judged(kube)
    assert kube.read().problems == ()
    assert kube.explain_jobs({"default/waits": "no quota"}) == ("default/waits",)
    events = rig.api("GET", "/apis/events.k8s.io/v1/namespaces/default/events")["items"]
    assert [item["note"] for item in events if item["reason"] == "WaitsForMachines"] == ["no quota"]
    rig.add_node("idle", {}, CAPACITY, unschedulable=False, taints=[{"key": "keep", "effect": "NoSchedule"}])
    kube.close_nodes(["idle"], "idle")
    kube.reopen_nodes(["idle"])
    rig.set_ready("idle", "Unknown")
    kube.remove_nodes(["idle"])
    first, second = lease(rig, "one"), lease(rig, "two")
    first.acquire()
    first.renew(time.time())
    with pytest.raises(LockHeldError):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
    rig.api("DELETE", "/api/v1/namespaces/default/persistentvolumeclaims/data")
    events = rig.audited()[before:]
    refused = [event for event in events if event["responseStatus"]["code"] in (401, 403)]
    assert refused == []
    used = {
        (ref.get("apiGroup", ""), ref["resource"], event["verb"])
        for event in events
        if (ref := event.get("objectRef")) and event["annotations"]["authorization.k8s.io/decision"] == "allow"
    }
    assert used == granted()


def may(rig: Any, group: str, resource: str, verb: str, namespace: str = "default") -> bool:
    """What the API server would answer our service account."""
    body = {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": kube_rig.OURS, "groups": ["system:serviceaccounts", "system:authenticated"],
                 "resourceAttributes": {"group": group, "resource": resource.partition("/")[0], "verb": verb,
                                        "subresource": resource.partition("/")[2], "namespace": namespace}},
    }  # fmt: skip
    answer = rig.api("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    return bool(answer["status"]["allowed"])


@pytest.mark.parametrize(
    ("group", "resource", "verb"),
    [
        ("", "secrets", "get"), ("", "secrets", "list"), ("", "configmaps", "list"), ("", "pods", "patch"),
        ("", "pods", "create"), ("", "pods", "delete"), ("", "pods", "get"), ("", "pods/exec", "create"),
        ("", "pods/eviction", "create"), ("", "pods/binding", "create"), ("", "nodes", "create"),
        ("", "nodes", "update"), ("", "nodes/status", "patch"), ("", "nodes/proxy", "get"),
        ("", "serviceaccounts/token", "create"), ("apps", "daemonsets", "patch"), ("apps", "deployments", "list"),
        ("coordination.k8s.io", "leases", "get"), ("coordination.k8s.io", "leases", "create"),
        ("events.k8s.io", "events", "list"), ("rbac.authorization.k8s.io", "clusterroles", "bind"),
    ],
)  # fmt: skip
def test_what_it_does_not_need_it_may_not(rig: Any, group: str, resource: str, verb: str) -> None:
    assert not may(rig, group, resource, verb)


def test_of_leases_it_may_change_its_own_alone(rig: Any) -> None:
    assert may(rig, "coordination.k8s.io", "leases", "create", "azaks")
    assert not may(rig, "coordination.k8s.io", "leases", "update", "azaks"), "only the one of its name"
    assert not may(rig, "coordination.k8s.io", "leases", "delete", "azaks")


@pytest.fixture
def idle(rig: Any) -> Iterator[Any]:
    rig.add_node("n1", {"disk": "ssd"}, CAPACITY, taints=[{"key": "keep", "value": "me", "effect": "PreferNoSchedule"}])
    return rig


def node_of(rig: Any) -> dict[str, Any]:
    """The node without what every write changes."""
    found: dict[str, Any] = rig.api("GET", "/api/v1/nodes/n1")
    for key in ("resourceVersion", "managedFields"):
        found["metadata"].pop(key, None)
    return found


def test_a_cordon_changes_two_fields_of_the_node_and_undoing_it_leaves_no_trace(idle: Any) -> None:
    before = node_of(idle)
    kube = scheduler(idle)
    assert kube.close_nodes(["n1"], "idle: released") == ("n1",)
    closed = node_of(idle)
    assert closed["spec"].pop("unschedulable") is True
    assert closed["metadata"].pop("annotations") == {"azaks.io/closed": "idle: released"}
    assert closed == before
    kube.reopen_nodes(["n1"])
    assert node_of(idle) == before


def test_a_closed_node_takes_no_new_pod(idle: Any) -> None:
    kube = scheduler(idle)
    kube.close_nodes(["n1"], "idle")
    idle.add_pod("late")
    wait_judged(kube)
    assert idle.pods() == {"late": ""}
    kube.reopen_nodes(["n1"])
    wait_for("the pod bound once it is open", lambda: idle.pods() == {"late": "n1"})


def test_a_node_that_somebody_drains_is_work_until_its_evicted_pod_is_gone(idle: Any) -> None:
    idle.add_pod("work")
    wait_for("the pod bound", lambda: idle.pods() == {"work": "n1"})
    kube = scheduler(idle)
    eviction = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": "work"}}
    idle.api("PATCH", "/api/v1/nodes/n1", {"spec": {"unschedulable": True}}, "application/merge-patch+json")
    idle.api("POST", "/api/v1/namespaces/default/pods/work/eviction", eviction)
    assert kube.close_nodes(["n1"], "idle") == (), "its kubelet still ends the pod"
    assert "n1" in kube.read().running
    if "work" in idle.pods():
        idle.end_pod("work")
    assert kube.close_nodes(["n1"], "idle") == ("n1",)
