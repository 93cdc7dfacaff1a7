"""Pages of pods: what is left out while they are parsed is what nobody reads, and a malformed pod is itself."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kube_objects import CAPTURES, apart, container, node, owned, pod, read, spread, together
from test_kubernetes_fuzz import ODD, PODS, mutated

from autoscale_aks.schedulers.kubernetes.objects import Pod
from autoscale_aks.schedulers.kubernetes.pages import PodReader, read_objects
from autoscale_aks.schedulers.kubernetes.queue import Look, read_state
from autoscale_aks.schedulers.kubernetes.settings import read_settings

SOURCES = Path(__file__).parents[4] / "autoscale_aks" / "schedulers" / "kubernetes"
SCENES = sorted(path.name for path in CAPTURES.iterdir() if path.is_dir())
RICH = [
    pod("bound", node="n1", labels={"app": "a"}, **apart(app="a")),
    pod("near", labels={"app": "b"}, **together(app="a")),
    pod("even", labels={"app": "c"}, **spread("topology.kubernetes.io/zone", app="c")),
    pod("claims", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}, {"name": "w", "emptyDir": {}}]),
    pod("temporary", volumes=[{"name": "v", "ephemeral": {"volumeClaimTemplate": {}}}]),
    pod("started", initContainers=[{**container(cpu="2"), "restartPolicy": "Always"}, container(cpu="3")]),
    pod("whole", resources={"requests": {"cpu": "3"}}, overhead={"memory": "1Gi"}, priority=7),
    pod("gated", schedulingGates=[{"name": "g"}]),
    pod("foreign", schedulerName="other"),
    pod("referring", workloadRef={"name": "w", "podGroup": "g"}),
    pod("grouped", schedulingGroup={"podGroupName": "g"}),
    pod("daemon", node="n1", meta=owned("DaemonSet", "agent")),
    pod("leaving", node="n1", meta={"deletionTimestamp": "2026-11-22T00:00:00Z"}),
    pod("nominated", status={"phase": "Pending", "nominatedNodeName": "n1"}),
    pod("tolerant", tolerations=[{"operator": "Exists"}], nodeSelector={"disk": "ssd"}),
    pod("noted", meta={"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"}}),
    pod("over", node="n1", status={"phase": "Succeeded"}),
]


def page(items: list[Any], token: str = "") -> bytes:
    return json.dumps({"kind": "PodList", "metadata": {"continue": token}, "items": items}).encode()


def state_of(pods: list[Any], nodes: list[Any]) -> str:
    """All of it, written out: shapes of jobs are equal only to themselves."""
    return repr(read_state(Look(nodes=nodes, pods=pods), read_settings({"type": "kubernetes"})))


@pytest.mark.parametrize("scene", SCENES)
def test_captured_pods_read_small_say_what_they_say_whole(scene: str) -> None:
    pods, nodes = (json.loads((CAPTURES / scene / f"{kind}.json").read_text())["items"] for kind in ("pods", "nodes"))
    found, token = PodReader()(page(pods))
    assert token == ""
    assert all(isinstance(one, Pod) for one in found)
    assert state_of(found, nodes) == state_of(pods, nodes)


def test_every_word_of_a_pod_that_means_something_is_kept() -> None:
    nodes = [node("n1"), node("n2", labels={"topology.kubernetes.io/zone": "r-1"})]
    found, _ = PodReader()(page(RICH))
    assert all(isinstance(one, Pod) for one in found)
    assert state_of(found, nodes) == state_of(RICH, nodes)


def test_every_field_of_a_spec_that_some_module_reads_is_kept() -> None:
    sources = "\n".join(path.read_text() for path in SOURCES.glob("*.py") if path.name != "pages.py")
    asked = set(re.findall(r'(?:_at\((?:pod\.)?spec, |(?:pod\.)spec\.get\()"([a-zA-Z]+)"', sources))
    not_of_pods = {"minMember", "podSets", "active", "template", "taints", "unschedulable", "storageClassName"}
    filled = {key for one in RICH for key in one["spec"]}
    assert asked - not_of_pods - {"nodeName", "schedulingPolicy", "volumeName", "nodeAffinity"} <= filled
    kept = {key for one in PodReader()(page(RICH))[0] for key in one.spec}
    assert kept == filled - {"nodeName"}


def test_pods_of_one_template_share_what_they_have_alike() -> None:
    alike = [pod(f"p{number}", node=f"n{number}", labels={"app": "a"}) for number in range(3)]
    first, second, third = PodReader()(page(alike))[0]
    assert first.spec is second.spec is third.spec
    assert first.labels is second.labels is third.labels
    assert [one.node_name for one in (first, second, third)] == ["n0", "n1", "n2"]


def test_a_page_says_where_the_next_one_begins() -> None:
    assert PodReader()(page([], "500"))[1] == read_objects(page([], "500"))[1] == "500"


@settings(max_examples=max(200, settings().max_examples))
@given(st.lists(st.one_of(mutated(PODS), ODD), max_size=5))
def test_whatever_the_server_shows_small_pods_and_whole_ones_give_the_same_jobs(pods: list[Any]) -> None:
    pods = [*copy.deepcopy(pods), pod("good")]
    small, _ = PodReader()(page(pods))
    assert len(small) == len(pods)
    over_pages, whole = read(*small), read(*pods)
    assert [(job.name, job.runnable, job.problem is None) for job in over_pages.jobs] == [
        (job.name, job.runnable, job.problem is None) for job in whole.jobs
    ]
    assert over_pages.running == whole.running
    assert over_pages.complete == whole.complete


_LOOK = """
import json, resource, sys
from autoscale_aks.schedulers.kubernetes.pages import PodReader
from autoscale_aks.schedulers.kubernetes.queue import Look, read_state
from autoscale_aks.schedulers.kubernetes.settings import read_settings
reader, pods = PodReader(), []
for start in range(0, 100_000, 500):
    text = sys.stdin.readline()
    items = [text.replace("NUMBER", str(start + number)) for number in range(500)]
    pods += reader(('{"metadata": {}, "items": [' + ",".join(items) + "]}").encode())[0]
state = read_state(Look(nodes=[], pods=pods), read_settings({"type": "kubernetes"}))
print(sum(job.count for job in state.jobs), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.soak
def test_a_hundred_thousand_pods_of_eight_kilobytes_are_held_in_300_megabytes() -> None:
    """The official client, 27 MB, is in that bound: it is left out here, and 30 MB are taken off."""
    templates = []
    for number in range(200):
        mine = pod("p-NUMBER", labels={"app": f"a{number}"}, **apart(app=f"a{number % 5}"))
        mine["metadata"] |= {"uid": "uid-NUMBER", "managedFields": [{"fieldsV1": {"f:spec": {"x" * 5000: {}}}}]}
        mine["metadata"] |= owned("ReplicaSet", f"rs-{number}")
        mine["spec"]["containers"][0] |= {"env": [{"name": f"E{n}", "value": "v" * 60} for n in range(25)]}
        mine["spec"]["volumes"] = [{"name": "kube-api-access-NUMBER", "projected": {"sources": []}}]
        mine["status"]["conditions"][0]["lastTransitionTime"] = "NUMBER"
        templates.append(json.dumps(mine))
    done = subprocess.run(
        [sys.executable, "-c", _LOOK], input="\n".join(templates), capture_output=True, text=True, check=True
    )
    count, megabytes = map(int, done.stdout.split())
    assert count == 100_000
    assert megabytes <= 270
