"""Captures of a real kube-apiserver and kube-scheduler: what each pod and node becomes, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kube_objects import CAPTURES, plain

from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from autoscale_aks.schedulers.port import SchedulerState

NO_GPU_TAINT = {"taint.sku=gpu:NoSchedule": None}
ALL_LEFT = 1_000_000
_WEB = "bb6b8282"
NOT_BESIDE_AFF = [
    {f"apart.{_WEB}.of": 1},
    {"not": {"not": {f"apart.{_WEB}.by": ALL_LEFT}}},
]
PENDING: list[tuple[str, dict[str, Any], list[Any], str]] = [
    ("aff", {"ncpus": 0.1, "pods": 1},
     [{"node.vm_size": ["d4", "d8"]}, NO_GPU_TAINT, {f"apart.{_WEB}.by": 1},
      {"not": {"not": {f"apart.{_WEB}.of": ALL_LEFT}}}],
     "instance types are the property vm_size; it takes its side of the rule and wants no web pod on the node"),
    ("big-1", {"ncpus": 64, "mem": "size::512g", "pods": 1}, [NO_GPU_TAINT], "whether any size is so big is planning"),
    ("gpu-1", {"ngpus": 1, "ncpus": 2, "pods": 1}, [],
     "it tolerates sku=gpu, so no taint is ruled out; its GPU was a limit only, which is a request of as many"),
    ("init", {"ncpus": 3, "pods": 1}, [NO_GPU_TAINT],
     "its init container asks for 3, its two containers for 1.5 together: the larger counts, not the sum"),
    ("nolimits", {"pods": 1}, [NO_GPU_TAINT], "it asks for nothing but takes one of the node's places"),
    ("web-1", {"ncpus": 0.5, "mem": "size::256m", "pods": 1}, [NO_GPU_TAINT, *NOT_BESIDE_AFF],
     "it says nothing of aff, but aff will not have it beside itself, and that holds both ways"),
    ("web-2", {"ncpus": 1, "mem": "size::1g", "pods": 1},
     [NO_GPU_TAINT, *NOT_BESIDE_AFF,
      {"or": [{"and": [{"node.zone": "1"}, {"shared-consumable": {"resources": ["spread.d380127a.1"], "amount": 1}}]},
              {"and": [{"node.zone": "2"}, {"shared-consumable": {"resources": ["spread.d380127a.2"], "amount": 1}}]}]},
      ],
     "one pod to spread over two empty zones: either will do"),
    ("zone2", {"ncpus": 0.25, "pods": 1}, [{"node.zone": "2"}, NO_GPU_TAINT], "a node selector on the zone"),
]  # fmt: skip
NOT_RUNNABLE = {
    "other-sched": ("it waits for the scheduler mine", "nobody of ours will ever place it"),
    "pvc": ("its volume claim missing does not exist", "the scheduler said only that there are no nodes"),
}


def capture(scene: str, **settings: Any) -> SchedulerState:
    """The scenes' zones are called 1 and 2, as on no AKS cluster; the GPU nodes' taint is known before they exist."""
    return build_scheduler(
        {"type": "kubernetes", "capture_dir": str(CAPTURES / scene), "zone_labels": "plain",
         "known_taints": ["sku=gpu:NoSchedule"], "known_zones": ["1", "2"], **settings}
    ).read()  # fmt: skip


@pytest.mark.parametrize(("name", "amounts", "constraints", "why"), PENDING, ids=[row[0] for row in PENDING])
def test_each_waiting_pod_becomes_what_it_asked_for(
    name: str, amounts: dict[str, Any], constraints: list[Any], why: str
) -> None:
    job = next(job for job in capture("10-pending").jobs if job.name == f"default/{name}")
    first, *rest = job.shape.constraints
    assert plain(first) == amounts, why
    assert [plain(constraint) for constraint in rest] == constraints, why
    assert (job.runnable, job.count, job.problem) == (True, 1, None)


def test_pods_that_no_machine_helps_say_why() -> None:
    waiting = {job.name.removeprefix("default/"): job for job in capture("10-pending").jobs if not job.runnable}
    assert waiting.keys() == NOT_RUNNABLE.keys()
    for name, (reason, why) in NOT_RUNNABLE.items():
        assert waiting[name].not_runnable_reason.startswith(reason), why


def test_an_empty_cluster_wants_nothing() -> None:
    state = capture("00-empty")
    assert (state.jobs, state.nodes, state.problems, state.complete) == ((), (), (), True)


@pytest.mark.parametrize(
    ("scene", "runnable"),
    [
        ("10-pending", {"aff", "big-1", "gpu-1", "init", "nolimits", "web-1", "web-2", "zone2"}),
        ("20-one-node", {"big-1", "gpu-1", "web-1", "web-2", "zone2"}),
        ("30-three-nodes", {"big-1", "web-2"}),
        ("40-cordoned-drained", {"big-1", "web-2"}),
        ("50-deleted", {"big-1", "web-2"}),
    ],
)
def test_bound_pods_are_no_demand_although_their_phase_is_pending(scene: str, runnable: set[str]) -> None:
    state = capture(scene)
    assert {job.name.removeprefix("default/") for job in state.jobs if job.runnable} == runnable
    assert not state.problems
    assert state.complete


def test_nodes_that_have_refused_every_waiting_pod_are_no_room_for_them() -> None:
    state = capture("30-three-nodes")
    assert len(state.nodes or ()) == 3
    assert not state.site_nodes_count, "kube-scheduler calls a pod unschedulable after it has tried them all"


def test_nodes_have_what_pods_left_of_them() -> None:
    nodes = {node.name: node for node in capture("30-three-nodes").nodes or ()}
    assert {name: node.state for name, node in nodes.items()} == {"g1": "Ready", "n1": "Ready", "n2": "Ready"}
    assert nodes["n1"].job_ids == ("default/aff", "default/init", "default/nolimits")
    assert float(nodes["n1"].resources["ncpus"]) == 3.86  # type: ignore[arg-type]
    assert float(nodes["n1"].available["ncpus"]) == 0.76, "0.1 of aff and 3 of init's init container"  # type: ignore[arg-type]
    assert (nodes["g1"].resources["ngpus"], nodes["g1"].available["ngpus"]) == (2, 1)
    assert nodes["g1"].resources["taint.sku=gpu:NoSchedule"] is True
    assert nodes["n1"].available[f"apart.{_WEB}.by"] == ALL_LEFT - 1, "aff runs there"
    assert nodes["n2"].available[f"apart.{_WEB}.of"] == ALL_LEFT - 1, "web-1 runs there"


def test_a_cordoned_node_is_closed_and_a_terminating_pod_still_work() -> None:
    nodes = {node.name: node for node in capture("40-cordoned-drained").nodes or ()}
    assert {name: node.state for name, node in nodes.items()} == {"g1": "Ready", "n1": "Closed", "n2": "Closed"}
    assert nodes["n2"].job_ids == ("default/web-1", "default/zone2"), "they are told to end and have not"


def test_with_azures_zone_names_a_zone_called_2_is_nowhere() -> None:
    jobs = {job.name: job for job in capture("10-pending", zone_labels="aks", known_zones=["westus2-1"]).jobs}
    (constraint, *_) = [plain(part) for part in jobs["default/zone2"].shape.constraints[1:]]
    assert constraint == {"never": "no AKS node is in a zone labelled '2': they are REGION-N"}
