"""KubernetesScheduler over HTTP: what it asks, what it sends, and that what it sends is what Kubernetes takes."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
from kube_objects import CAPTURES, UNSCHEDULABLE, node, owned, pod
from kube_server import KubeServer

from autoscale_aks.errors import ConfigError, SchedulerError
from autoscale_aks.schedulers.kubernetes.driver import CLOSED_BY_US
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from autoscale_aks.schedulers.port import SchedulerPort

VERSIONS = ("1.28", "1.32", "1.35")


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer() as running:
        yield running


@pytest.fixture
def token_file(tmp_path: Path, server: KubeServer) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{server.token}\n")
    return path


def scheduler(server: KubeServer, token_file: Path, **settings: Any) -> SchedulerPort:
    return build_scheduler(
        {"type": "kubernetes", "url": server.url, "token_file": str(token_file), "timeout_s": 10, **settings}
    )


def capture(server: KubeServer, scene: str) -> None:
    for kind in ("nodes", "pods", "persistentvolumeclaims"):
        server.put(kind, *json.loads((CAPTURES / scene / f"{kind}.json").read_text())["items"])


def test_a_look_over_http_is_the_look_at_the_captured_files(server: KubeServer, token_file: Path) -> None:
    capture(server, "30-three-nodes")
    files = build_scheduler({"type": "kubernetes", "capture_dir": str(CAPTURES / "30-three-nodes")}).read()
    over_http = scheduler(server, token_file).read()
    assert [(job.name, job.runnable, [dict(one) for one in job.shape.constraints]) for job in over_http.jobs] == [
        (job.name, job.runnable, [dict(one) for one in job.shape.constraints]) for job in files.jobs
    ]
    assert over_http.nodes == files.nodes
    assert over_http.complete


def test_nodes_are_asked_for_before_pods_and_the_rest_only_when_it_is_needed(
    server: KubeServer, token_file: Path
) -> None:
    server.put("pods", pod("p"))
    scheduler(server, token_file).read()
    assert [path.partition("?")[0] for path, _ in server.sent("GET")] == [
        "/api/v1/nodes", "/api/v1/pods", "/apis/apps/v1/daemonsets",
    ]  # fmt: skip
    server.requests.clear()
    server.put("pods", pod("q", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]))
    scheduler(server, token_file, daemon_overhead=False).read()
    assert [path.partition("?")[0] for path, _ in server.sent("GET")][2:] == ["/api/v1/persistentvolumeclaims"]


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ({"major": "1", "gitVersion": "v1.31.2"}, "v1.31.2"),
        ({"gitVersion": "v1\n2"}, "v1"),
        ({"gitVersion": 3}, ""),
        ({}, ""),
    ],
)
def test_the_servers_version_is_what_it_calls_itself(
    server: KubeServer, token_file: Path, body: dict[str, Any], version: str
) -> None:
    server.faults.append(("/version", 200, body))
    assert scheduler(server, token_file).version() == version
    assert scheduler(server, token_file).version() == "", "nothing is there: 404"


def test_lists_come_in_pages_and_finished_pods_not_at_all(server: KubeServer, token_file: Path) -> None:
    server.put("pods", *(pod(f"p{number}") for number in range(25)), pod("over", status={"phase": "Succeeded"}))
    state = scheduler(server, token_file, page_size=10).read()
    assert len(state.jobs) == 25
    asked = [path for path, _ in server.sent("GET") if path.startswith("/api/v1/pods")]
    assert ["continue=" in path for path in asked] == [False, True, True]
    assert all("limit=10" in path and "fieldSelector=status.phase%21%3DSucceeded" in path for path in asked)


def test_a_list_that_has_grown_too_old_begins_again_once(server: KubeServer, token_file: Path) -> None:
    server.put("pods", *(pod(f"p{number}") for number in range(15)))
    server.faults.append(("continue=10", 410, {"message": "The provided continue parameter is too old"}))
    assert len(scheduler(server, token_file, page_size=10).read().jobs) == 15
    server.faults += [("continue=10", 410, {"message": "too old"})] * 2
    with pytest.raises(SchedulerError, match="410: too old"):
        scheduler(server, token_file, page_size=10).read()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_read_is_sent_again_and_a_write_is_not(server: KubeServer, token_file: Path, status: int) -> None:
    server.put("nodes", node("n1"))
    server.faults.append(("/nodes", status, {"message": "busy"}))
    assert scheduler(server, token_file).read().nodes
    server.requests.clear()
    server.faults += [("/none", 0, None)]
    original = server.answer

    def refuse_patches(method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        found = original(method, path, body, headers)
        return (status, {"message": "busy"}) if method == "PATCH" else found

    server.answer = refuse_patches  # type: ignore[method-assign]
    with pytest.raises(SchedulerError, match=f"{status}: busy"):
        scheduler(server, token_file).close_nodes(["n1"], "idle")
    assert len(server.sent("PATCH")) == 1


def test_a_token_that_was_changed_is_read_again(server: KubeServer, token_file: Path) -> None:
    kube = scheduler(server, token_file)
    kube.read()
    server.token = "another"
    token_file.write_text("another")
    assert kube.read().complete


@pytest.mark.parametrize(
    ("part", "status", "said"),
    [("/nodes", 403, "see the role in conf/kubernetes"), ("/pods", 403, "403: no"), ("/nodes", 404, "404: no")],
)
def test_without_nodes_or_pods_there_is_no_look(
    server: KubeServer, token_file: Path, part: str, status: int, said: str
) -> None:
    server.faults.append((part, status, {"message": "no"}))
    with pytest.raises(SchedulerError, match=said):
        scheduler(server, token_file).read()


def test_without_a_list_that_only_some_need_the_rest_is_read_and_the_report_says_so(
    server: KubeServer, token_file: Path
) -> None:
    server.put("pods", pod("m", labels={"scheduling.x-k8s.io/pod-group": "g"}))
    server.faults.append(("daemonsets", 403, {"message": "daemonsets is forbidden"}))
    server.missing = ("podgroups",)
    state = scheduler(server, token_file).read()
    assert [job.name for job in state.jobs] == ["default/g"]
    assert [problem.path for problem in state.problems] == ["/apis/apps/v1/daemonsets"]


def test_kueue_workloads_are_asked_for_by_the_newest_version_and_then_by_the_one_before(
    server: KubeServer, token_file: Path
) -> None:
    scheduler(server, token_file, kueue=True).read()
    asked = [path.partition("?")[0] for path, _ in server.sent("GET") if "kueue" in path]
    assert asked == ["/apis/kueue.x-k8s.io/v1beta2/workloads", "/apis/kueue.x-k8s.io/v1beta1/workloads"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"items": 7}', b'{"items": [' + b"[" * 5000])
def test_an_answer_that_is_none_is_an_error(server: KubeServer, token_file: Path, body: bytes) -> None:
    server.faults.append(("/nodes", 200, body))
    with pytest.raises(SchedulerError, match="the answer is no"):
        scheduler(server, token_file).read()


def test_an_answer_that_is_too_large_or_too_late_is_an_error(server: KubeServer, token_file: Path) -> None:
    server.put("nodes", *(node(f"n{number}") for number in range(50)))
    with pytest.raises(SchedulerError, match=r"larger than scheduler\.max_output_bytes"):
        scheduler(server, token_file, max_output_bytes=1000).read()
    with pytest.raises(SchedulerError, match="timeout_s"):
        scheduler(server, token_file, timeout_s=0.000001).read()


def check_node(raw: dict[str, Any]) -> None:
    """A node as Kubernetes' published schemas want it."""
    for version in VERSIONS:
        kubernetes_validate.validate({"apiVersion": "v1", "kind": "Node", **raw}, version, strict=True)


def test_closing_cordons_with_a_mark_and_returns_only_nodes_without_work(server: KubeServer, token_file: Path) -> None:
    server.put("nodes", *(node(name) for name in ("idle", "busy", "daemons")))
    server.put("pods", pod("work", node="busy"), pod("ds", node="daemons", meta=owned("DaemonSet", "agent")))
    closed = scheduler(server, token_file).close_nodes(["idle", "busy", "daemons", "gone"], "idle: released")
    assert closed == ("idle", "daemons")
    for name in ("idle", "busy", "daemons"):
        found = server.node(name)
        assert found["spec"]["unschedulable"] is True
        assert found["metadata"]["annotations"] == {CLOSED_BY_US: "idle: released"}
        check_node(found)
    assert not server.sent("DELETE"), "nothing is evicted"


def test_many_nodes_are_closed_with_one_list_of_pods(server: KubeServer, token_file: Path) -> None:
    names = [f"n{number}" for number in range(40)]
    server.put("nodes", *(node(name) for name in names))
    server.put("pods", pod("work", node="n7"), pod("ds", node="n8", meta=owned("DaemonSet", "agent")), pod("waits"))
    closed = scheduler(server, token_file).close_nodes(names, "idle")
    assert closed == tuple(name for name in names if name != "n7")
    assert len([path for path, _ in server.sent("GET") if path.startswith("/api/v1/pods")]) == 1


def test_a_pod_that_cannot_be_read_keeps_its_node(server: KubeServer, token_file: Path) -> None:
    server.put("nodes", node("n1"), node("n2"))
    odd = pod("odd", node="n1")
    odd["metadata"]["labels"] = {"a": 7}
    server.put("pods", odd)
    assert scheduler(server, token_file).close_nodes(["n1", "n2"], "idle") == ("n2",)


def test_closing_twice_is_closing_once(server: KubeServer, token_file: Path) -> None:
    server.put("nodes", node("n1"))
    kube = scheduler(server, token_file)
    assert kube.close_nodes(["n1", "n1"], "idle") == kube.close_nodes(["n1"], "idle") == ("n1",)
    assert len(server.sent("PATCH")) == 1


def test_reopening_undoes_our_own_cordon_only(server: KubeServer, token_file: Path) -> None:
    server.put("nodes", node("ours"), node("theirs", unschedulable=True), node("open"))
    before = copy.deepcopy(server.node("ours"))
    kube = scheduler(server, token_file)
    kube.close_nodes(["ours", "theirs"], "idle")
    kube.reopen_nodes(["ours", "theirs", "open", "gone"])
    assert server.node("ours") == {**before, "metadata": {**before["metadata"], "annotations": {}}}
    assert server.node("theirs")["spec"]["unschedulable"] is True
    check_node(server.node("ours"))


def test_only_nodes_whose_kubelet_is_silent_are_removed(server: KubeServer, token_file: Path) -> None:
    server.put("nodes", node("alive"), node("dead", ready="Unknown"), node("reborn", ready="Unknown"))
    server.faults.append(("none", 0, None))
    scheduler(server, token_file).remove_nodes(["alive", "dead", "gone"])
    assert sorted(server.objects["nodes"]) == ["/alive", "/reborn"]
    ((path, options),) = server.sent("DELETE")
    assert (path, options["preconditions"]) == ("/api/v1/nodes/dead", {"uid": "uid-dead"})
    for version in VERSIONS:
        schema_of_options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "uid-dead"}}
        assert options == schema_of_options, version


def test_a_cordoned_node_is_seen_closed_in_the_next_look(server: KubeServer, token_file: Path) -> None:
    server.put("nodes", node("n1"))
    server.put("pods", pod("p", status=UNSCHEDULABLE))
    kube = scheduler(server, token_file)
    kube.close_nodes(["n1"], "idle")
    assert [(one.name, one.state) for one in kube.read().nodes or ()] == [("n1", "Closed")]


def test_who_cordoned_a_node_is_told_by_our_mark(server: KubeServer, token_file: Path) -> None:
    theirs = node("theirs")
    theirs["spec"]["unschedulable"] = True
    server.put("nodes", node("ours"), theirs, node("open"))
    server.put("pods", pod("p", status=UNSCHEDULABLE))
    kube = scheduler(server, token_file)
    kube.close_nodes(["ours"], "idle")
    found = {one.name: one.closed_by_us for one in kube.read().nodes or ()}
    assert found == {"ours": True, "theirs": False, "open": False}
    kube.reopen_nodes(["ours"])
    assert not any(one.closed_by_us for one in kube.read().nodes or ())


@pytest.mark.parametrize("name", ["", "../pods", "N1", "a b", "n1?x=1", "-n"])
def test_what_is_no_node_name_is_never_sent(server: KubeServer, token_file: Path, name: str) -> None:
    kube = scheduler(server, token_file)
    for call in (
        lambda: kube.close_nodes([name], "x"),
        lambda: kube.reopen_nodes([name]),
        lambda: kube.remove_nodes([name]),
    ):
        with pytest.raises(SchedulerError, match="no node name"):
            call()
    assert not server.requests


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"url": "http://10.0.0.1"}, "scheduler.url"),
        ({"url": "https://u:p@h"}, "scheduler.url"),
        ({"kubeconfg": "x"}, "scheduler.kubeconfg"),
        ({"url": "https://h", "kubeconfig": "k"}, "scheduler"),
        ({"resources": {"cpu": 7}}, "scheduler.resources.cpu"),
        ({"known_taints": ["gpu"]}, "scheduler.known_taints[0]"),
        ({"zone_labels": "x"}, "scheduler.zone_labels"),
        ({"page_size": 0}, "scheduler.page_size"),
        ({}, "scheduler"),
    ],
)
def test_mistakes_in_the_settings_have_their_path(raw: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_scheduler({"type": "kubernetes", **raw}, environment={})
    assert path in [problem.path for problem in caught.value.problems]
