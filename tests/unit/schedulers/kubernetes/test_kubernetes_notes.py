"""Why a pod waits is said by an event beside it: once, never by a change of the pod, and what is sent is an Event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
from kube_objects import owned, pod
from kube_server import KubeServer

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.schedulers.kubernetes.driver import KubernetesScheduler


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer() as running:
        running.token = ""
        yield running


def scheduler(server: KubeServer) -> KubernetesScheduler:
    found: Any = build_scheduler({"type": "kubernetes", "url": server.url, "timeout_s": 10, "job_reasons": True})
    return found  # type: ignore[no-any-return]


def events(server: KubeServer) -> list[dict[str, Any]]:
    return list(server.objects.get("events", {}).values())


@pytest.mark.parametrize("version", ["1.28", "1.32", "1.35"])
def test_a_pods_reason_is_an_event_beside_it_as_kubernetes_wants_one(server: KubeServer, version: str) -> None:
    server.put("pods", pod("p"))
    kube = scheduler(server)
    kube.read()
    kube.explain_jobs({"default/p": "no bucket has\n4 GPUs"})
    (event,) = events(server)
    kubernetes_validate.validate(event, version, strict=True)
    assert event["note"] == "no bucket has 4 GPUs"
    assert event["regarding"] == {
        "apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "p", "uid": "uid-p",
    }  # fmt: skip
    assert server.sent("PATCH") == []


def test_what_was_said_is_not_said_again_and_something_new_is(server: KubeServer) -> None:
    server.put("pods", pod("p"))
    kube = scheduler(server)
    kube.read()
    for reason in ("quota", "quota", "capacity", "quota"):
        kube.explain_jobs({"default/p": reason})
    assert sorted(event["note"] for event in events(server)) == ["capacity", "quota"]


def test_pods_alike_are_told_of_at_their_controller(server: KubeServer) -> None:
    server.put("pods", *(pod(f"web-{n}", meta=owned("ReplicaSet", "web")) for n in range(3)))
    kube = scheduler(server)
    (job,) = kube.read().jobs
    kube.explain_jobs({job.name: "quota"})
    (event,) = events(server)
    assert (event["regarding"]["apiVersion"], event["regarding"]["kind"], event["regarding"]["name"]) == (
        "apps/v1", "ReplicaSet", "web",
    )  # fmt: skip


def test_jobs_that_the_last_look_did_not_show_and_namespaces_that_are_gone_are_left_out(server: KubeServer) -> None:
    server.put("pods", pod("p"))
    kube = scheduler(server)
    kube.explain_jobs({"default/p": "not looked yet"})
    kube.read()
    kube.explain_jobs({"default/gone": "x"})
    assert server.sent("POST") == []
    server.faults.append(("/events", 404, {"message": "namespaces not found"}))
    kube.explain_jobs({"default/p": "x"})
    assert events(server) == []


def test_one_refusal_keeps_no_other_job_from_being_told(server: KubeServer) -> None:
    server.put("pods", pod("a"), pod("b"))
    kube = scheduler(server)
    kube.read()
    server.faults.append(("/events", 403, {"message": "events is forbidden"}))
    assert kube.explain_jobs({"default/a": "x", "default/b": "x"}) == ("default/b",)
    assert [event["regarding"]["name"] for event in events(server)] == ["b"]


def test_only_refusals_are_an_error(server: KubeServer) -> None:
    server.put("pods", pod("a"))
    kube = scheduler(server)
    kube.read()
    server.faults.append(("/events", 403, {"message": "events is forbidden"}))
    with pytest.raises(SchedulerError, match="403: events is forbidden"):
        kube.explain_jobs({"default/a": "x"})


def test_a_site_that_did_not_ask_for_it_sees_no_event(server: KubeServer) -> None:
    server.put("pods", pod("p"))
    kube: Any = build_scheduler({"type": "kubernetes", "url": server.url, "timeout_s": 10})
    assert kube.read().takes_reasons == 0
    assert kube.explain_jobs({"default/p": "quota"}) == ()
    assert events(server) == []


def test_a_capture_is_told_nothing(tmp_path: Any) -> None:
    for name in ("nodes", "pods"):
        (tmp_path / f"{name}.json").write_text('{"items": []}')
    kube: Any = build_scheduler({"type": "kubernetes", "capture_dir": str(tmp_path), "job_reasons": True})
    kube.read()
    kube.explain_jobs({"default/p": "x"})
