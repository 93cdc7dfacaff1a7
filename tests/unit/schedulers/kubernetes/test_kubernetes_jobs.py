"""Waiting pods as jobs: who is demand, in which order, what belongs together."""

from __future__ import annotations

from typing import Any

import pytest
from kube_objects import (
    HOST,
    UNSCHEDULABLE,
    ZONE,
    apart,
    constraints_of,
    container,
    job_of,
    node,
    owned,
    plain,
    pod,
    read,
    spread,
    together,
)

from autoscale_aks.model.job import PackingStrategy

NEVER_LOOKED_AT: dict[str, Any] = {"phase": "Pending"}


def condition(reason: str) -> dict[str, Any]:
    return {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": reason}]}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({}, ""),
        ({"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}, "SchedulingGated: kueue.x-k8s.io/admission"),
        ({"status": condition("SchedulingGated")}, "SchedulingGated"),
        ({"schedulerName": "volcano"}, "it waits for the scheduler volcano"),
        ({"status": NEVER_LOOKED_AT}, "the scheduler has not looked at it yet"),
        ({"status": {**UNSCHEDULABLE, "nominatedNodeName": "n1"}}, "it takes the place of others on n1"),
        ({"meta": owned("DaemonSet", "agent")}, "DaemonSet: it belongs to one node"),
        (
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]},
            "its volume claim data does not exist",
        ),
    ],
)
def test_only_what_a_machine_would_help_is_demand(spec: dict[str, Any], why: str) -> None:
    job = job_of(pod(**spec))
    assert job.runnable == (not why)
    assert job.not_runnable_reason.startswith(why)


@pytest.mark.parametrize(("policy", "runnable"), [("runnable", True), ("waiting", False)])
def test_unknown_reasons_are_counted_and_treated_by_policy(policy: str, runnable: bool) -> None:
    state = read(
        *(pod(f"p{number}", status=condition("SchedulerError")) for number in range(3)), unknown_reasons=policy
    )
    assert {job.runnable for job in state.jobs} == {runnable}
    (problem,) = state.problems
    assert "unknown reason 'SchedulerError', treated as" in problem.message
    assert "(3 pods, first default/p0)" in problem.message


def test_pods_of_one_controller_that_ask_for_the_same_are_one_job() -> None:
    several = [pod(f"web-{number}", meta=owned("ReplicaSet", "web-7d9f")) for number in range(5)]
    other = pod("web-x", meta=owned("ReplicaSet", "web-7d9f"), containers=[container(cpu="2")])
    jobs = read(*several, other, pod("alone")).jobs
    assert sorted((job.name, job.count) for job in jobs) == [
        ("default/alone", 1), ("default/web-7d9f", 5), ("default/web-x", 1),
    ]  # fmt: skip
    assert jobs[0].shape is jobs[1].shape, "what asks for the same shares one shape"


def test_higher_priority_comes_first_and_then_the_older() -> None:
    def at(name: str, created: str, priority: int) -> dict[str, Any]:
        return pod(name, priority=priority, meta={"creationTimestamp": created})

    jobs = read(
        at("b", "2026-11-22T10:00:01Z", 0), at("c", "2026-11-22T10:00:00Z", 0), at("a", "2026-11-22T11:00:00Z", 9)
    ).jobs
    assert [job.name for job in jobs] == ["default/a", "default/c", "default/b"]


def test_equal_pods_that_stay_apart_take_one_place_a_node() -> None:
    waiting = [pod(f"db-{number}", labels={"app": "db"}, **apart(app="db")) for number in range(2)]
    state = read(
        *waiting, pod("db-0", labels={"app": "db"}, node="n1", **apart(app="db")), nodes=(node("n1"), node("n2"))
    )
    (constraint,) = [plain(part) for part in state.jobs[0].shape.constraints[1:]]
    (name,) = constraint
    assert constraint == {name: 1}
    assert [one.available[name] for one in state.nodes or ()] == [0, 1]
    assert {"select": {}, "name": name, "value": 1} in state.node_rules


def test_a_rule_between_unlike_pods_binds_both_sides() -> None:
    quiet = pod("quiet", **apart(app="noisy"))
    state = read(quiet, pod("noisy", labels={"app": "noisy"}), pod("other"))
    jobs = {job.name: [plain(part) for part in job.shape.constraints[1:]] for job in state.jobs}
    (by,) = jobs["default/quiet"][0]
    of = by.removesuffix("by") + "of"
    assert jobs["default/quiet"] == [{by: 1}, {"not": {"not": {of: 1_000_000}}}]
    assert jobs["default/noisy"] == [{of: 1}, {"not": {"not": {by: 1_000_000}}}]
    assert jobs["default/other"] == []


def test_rules_count_pods_of_their_namespace_only() -> None:
    elsewhere = pod("noisy", labels={"app": "noisy"}, meta={"namespace": "other"})
    jobs = {job.name: job for job in read(pod("quiet", **apart(app="noisy")), elsewhere).jobs}
    assert len(jobs["default/quiet"].shape.constraints) == 3
    assert len(jobs["other/noisy"].shape.constraints) == 1, "the rule is not about it"


def test_spreading_over_hosts_is_so_many_a_node() -> None:
    waiting = pod("w", labels={"app": "w"}, **spread(HOST, skew=2, app="w"))
    there = pod("v", labels={"app": "w"}, node="n1", **spread(HOST, skew=2, app="w"))
    state = read(waiting, there, nodes=(node("n1"), node("n2")))
    ((name, taken),) = state.jobs[0].shape.constraints[1].items()
    assert taken == 1
    assert [one.available[name] for one in state.nodes or ()] == [1, 2]


def test_spreading_over_zones_levels_what_runs_and_what_waits() -> None:
    nodes = tuple(node(f"n{zone}", labels={ZONE: f"westus2-{zone}"}) for zone in (1, 2))
    running = [pod(f"r{number}", labels={"app": "w"}, node="n1", **spread(ZONE, app="w")) for number in range(2)]
    waiting = [pod(f"w{number}", labels={"app": "w"}, **spread(ZONE, app="w")) for number in range(5)]
    state = read(*running, *waiting, nodes=nodes, lists={"known_zones": ["westus2-3"]})
    shares = {name.rpartition(".")[2]: shared.initial for name, shared in state.shared_resources.items()}
    assert shares == {"westus2-1": 0, "westus2-2": 3, "westus2-3": 2}, "7 pods in 3 zones: 2, 3 and 2 in any order"
    (constraint,) = [plain(part) for part in state.jobs[0].shape.constraints[1:]]
    assert [list(part["and"][0].values()) for part in constraint["or"]] == [
        ["westus2", "2"], ["westus2", "3"], ["westus2", "1"],
    ]  # fmt: skip


def test_a_zone_that_counts_and_is_barred_holds_the_others_down() -> None:
    """As kube-scheduler does: a tainted node's zone is a domain unless the pod's selector leaves it out."""
    tainted = node("g1", labels={ZONE: "0"}, taints=[{"key": "sku", "value": "gpu", "effect": "NoSchedule"}])
    free = {"known_zones": ["westus2-1", "westus2-2"]}

    def shares(**spec: Any) -> dict[str, Any]:
        waiting = [pod(f"w{n}", labels={"app": "w"}, **spread(ZONE, app="w"), **spec) for n in range(6)]
        found = read(*waiting, nodes=(tainted,), lists=free).shared_resources
        return {name.rpartition(".")[2]: shared.initial for name, shared in found.items()}

    assert shares() == {"westus2-1": 1, "westus2-2": 1}
    assert shares(nodeSelector={"disk": "ssd"}) == {"westus2-1": 3, "westus2-2": 3}
    assert shares(tolerations=[{"operator": "Exists"}]) == {"0": 2, "westus2-1": 2, "westus2-2": 2}


def test_one_zone_only_and_soft_spreading_ask_for_nothing() -> None:
    waiting = pod("w", labels={"app": "w"}, **spread(ZONE, app="w"))
    assert constraints_of(waiting, lists={"known_zones": ["0"]}) == []
    assert constraints_of(pod("w", labels={"app": "w"}, **spread(HOST, when="ScheduleAnyway", app="w"))) == []


def test_pods_that_stay_apart_over_zones_take_one_a_zone() -> None:
    waiting = pod("db", labels={"app": "db"}, **apart(ZONE, app="db"))
    there = pod("db-0", labels={"app": "db"}, node="n1", **apart(ZONE, app="db"))
    nodes = (node("n1", labels={ZONE: "westus2-1"}), node("n2", labels={ZONE: "westus2-2"}))
    state = read(waiting, there, nodes=nodes)
    assert {name[-1]: shared.initial for name, shared in state.shared_resources.items()} == {"1": 0, "2": 1}


def test_company_is_where_such_pods_run() -> None:
    cache = pod("cache", labels={"app": "cache"}, node="n2")
    assert constraints_of(pod(**together(app="cache")), cache) == [{"node.hostname": ["n2"]}]
    zoned = node("n2", labels={ZONE: "westus2-2"})
    assert constraints_of(pod(**together(ZONE, app="cache")), cache, nodes=(zoned,)) == [
        {"node.location": "westus2", "node.zone": "2"}
    ]
    assert job_of(pod(**together(app="cache"))).not_runnable_reason.startswith("no pod runs that it wants to be with")


def test_the_first_of_a_kind_that_wants_one_node_together_is_one_slot() -> None:
    meta = owned("Job", "mpi")
    job = job_of(*(pod(f"m{number}", labels={"app": "m"}, meta=meta, **together(app="m")) for number in range(3)))
    assert (job.name, job.count) == ("default/mpi", 1)
    assert plain(job.shape.constraints[0]) == {"ncpus": 3, "pods": 3}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (spread("rack", app="w"), "topology spread over rack: not looked at"),
        (apart("rack", app="w"), "pod affinity over rack: not looked at"),
        (spread(HOST, app="other"), "topology spread over other pods than its own: not looked at"),
    ],
)
def test_what_has_no_words_is_counted_and_not_dropped(spec: dict[str, Any], said: str) -> None:
    state = read(*(pod(f"w{number}", labels={"app": "w"}, **spec) for number in range(2)))
    assert [problem.message for problem in state.problems] == [f"{said} (2 pods, first default/w0)"]
    assert all(job.runnable for job in state.jobs)


def test_a_required_thing_of_nodes_without_words_makes_no_demand() -> None:
    fields = {"matchFields": [{"key": "metadata.uid", "operator": "In", "values": ["x"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [fields]}}
    job = job_of(pod(affinity={"nodeAffinity": required}))
    assert job.not_runnable_reason == "matchFields on metadata.uid: this program has no words for it"


GROUP = "scheduling.x-k8s.io/pod-group"


def test_a_pod_group_is_a_gang_of_its_least_size_and_the_rest_are_on_their_own() -> None:
    members = [pod(f"m{number}", labels={GROUP: "train"}) for number in range(5)]
    sizes = [{"metadata": {"namespace": "default", "name": "train"}, "spec": {"minMember": 3}}]
    gang, *rest = read(*members, pod_groups=sizes).jobs
    assert (gang.name, gang.count, gang.shape.node_count) == ("default/train", 1, 3)
    assert gang.shape.packing_strategy is PackingStrategy.PACK
    assert [(job.name, job.count) for job in rest] == [("default/m3", 1), ("default/m4", 1)]


@pytest.mark.parametrize(
    ("policy", "gang"),
    [({"gang": {"minCount": 3}}, [("default/train", 3), ("default/m3", 0)]), ({"basic": {}}, None)],
)
def test_a_pod_group_of_kubernetes_itself_is_a_gang_where_its_policy_says_so(policy: Any, gang: Any) -> None:
    members = [pod(f"m{number}", schedulingGroup={"podGroupName": "train"}) for number in range(4)]
    group = {"metadata": {"namespace": "default", "name": "train"}, "spec": {"schedulingPolicy": policy}}
    jobs = [(job.name, job.shape.node_count) for job in read(*members, pod_groups=[group]).jobs]
    if gang is None:
        assert [nodes for _, nodes in jobs] == [0] * 4, "each on its own"
    else:
        assert jobs == gang


@pytest.mark.parametrize("odd", [7, {"metadata": 7}, {"metadata": {}, "spec": {"schedulingPolicy": []}}])
def test_a_pod_group_that_cannot_be_read_takes_no_other_with_it(odd: Any) -> None:
    sizes = [odd, {"metadata": {"namespace": "default", "name": "train"}, "spec": {"minMember": 2}}]
    state = read(*(pod(f"m{number}", labels={GROUP: "train"}) for number in range(2)), pod_groups=sizes)
    assert [job.shape.node_count for job in state.jobs] == [2]
    assert [problem.path for problem in state.problems] == ["podgroups[0]"]


def test_members_that_differ_are_chunks() -> None:
    meta = {"annotations": {"kueue.x-k8s.io/pod-group-total-count": "3"}}
    labels = {"kueue.x-k8s.io/pod-group-name": "g"}
    head = pod("head", labels=labels, meta=meta, containers=[container(cpu="4")])
    job = job_of(head, *(pod(f"w{number}", labels=labels, meta=meta) for number in range(2)))
    assert sorted((chunk.constraints[0]["ncpus"], chunk.iterations) for chunk in job.shape.chunks) == [(1, 2), (4, 1)]


def test_a_gang_whose_pods_do_not_all_exist_waits_for_them() -> None:
    meta = {"annotations": {"kueue.x-k8s.io/pod-group-total-count": "4"}}
    job = job_of(*(pod(f"w{n}", labels={"kueue.x-k8s.io/pod-group-name": "g"}, meta=meta) for n in range(3)))
    assert job.not_runnable_reason == "3 of the 4 pods of its group exist"


def test_members_that_run_already_are_not_asked_for_again() -> None:
    sizes = [{"metadata": {"namespace": "default", "name": "train"}, "spec": {"minMember": 2}}]
    members = [pod(f"m{number}", labels={GROUP: "train"}) for number in range(2)]
    (job, _) = read(*members, pod("r", labels={GROUP: "train"}, node="n1"), pod_groups=sizes).jobs
    assert (job.name, job.shape.node_count) == ("default/train", 0), "one more makes two"


def workload(**conditions: str) -> dict[str, Any]:
    template = {"spec": {"containers": [container(cpu="2")]}}
    return {
        "metadata": {"name": "job-train", "namespace": "team", "creationTimestamp": "2026-11-22T10:00:00Z"},
        "spec": {"priority": 5, "podSets": [{"name": "main", "count": 4, "template": template}]},
        "status": {"conditions": [{"type": kind, "status": status} for kind, status in conditions.items()]},
    }


def test_a_kueue_workload_with_quota_is_a_gang_before_its_pods_exist() -> None:
    (job,) = read(workloads=[workload(QuotaReserved="True")]).jobs
    assert (job.name, job.priority, job.shape.node_count, job.runnable) == ("team/job-train", 5.0, 4, True)
    (job,) = read(workloads=[workload()]).jobs
    assert job.not_runnable_reason == "Kueue: it has no quota yet"
    assert read(workloads=[workload(QuotaReserved="True", Admitted="True")]).jobs == (), "its pods speak for themselves"


def claim(phase: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "default", "name": "data"}, "spec": spec, "status": {"phase": phase}}


def test_a_bound_volume_says_where_its_pod_may_run_and_a_late_one_nothing() -> None:
    wants = pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
    terms = [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["westus2-2"]}]}]
    volume = {"metadata": {"name": "pv-1"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}}
    found = constraints_of(wants, claims=[claim("Bound", volumeName="pv-1")], volumes=[volume])
    assert found == [{"node.location": "westus2", "node.zone": "2"}]
    late = {"metadata": {"name": "managed-csi"}, "volumeBindingMode": "WaitForFirstConsumer"}
    pending = claim("Pending", storageClassName="managed-csi")
    assert job_of(wants, claims=[pending], storage_classes=[late]).runnable
    assert job_of(wants, claims=[pending]).not_runnable_reason == "its volume claim data is not bound"


def daemon(name: str, **spec: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [container(cpu="100m", memory="64Mi")], **spec}}
    return {"metadata": {"name": name, "namespace": "kube-system"}, "spec": {"template": template}}


def test_daemon_sets_on_the_same_nodes_are_one_overhead() -> None:
    gpu = daemon("device-plugin", nodeSelector={"accelerator": "nvidia"}, tolerations=[{"operator": "Exists"}])
    sets = [daemon("a", tolerations=[{"operator": "Exists"}]), daemon("b", tolerations=[{"operator": "Exists"}]), gpu]
    overheads = read(daemon_sets=sets, lists={"known_taints": ["sku=gpu:NoSchedule"]}).overheads
    assert [(plain(one.select), float(one.amounts["ncpus"]), one.amounts["pods"]) for one in overheads] == [  # type: ignore[arg-type]
        ({"and": []}, 0.2, 2),
        ({"label.accelerator": ["nvidia"]}, 0.1, 1),
    ]


def test_one_faulty_object_spoils_nothing_else() -> None:
    bad = pod("bad", containers=[container(cpu="lots")])
    state = read(pod("good"), bad, 7, {"metadata": {"name": "x"}}, nodes=(node("n1"), {"metadata": {}}))
    jobs = {job.name: job for job in state.jobs}
    assert jobs["default/good"].runnable
    assert jobs["default/bad"].problem is not None
    assert [problem.path for problem in state.problems] == ["nodes[1]", "pods[2]", "pods[3]", "pods[1]"]
    assert not state.complete, "what could not be read may be work on a node"


def test_a_bound_pod_that_cannot_be_read_still_holds_its_node() -> None:
    (found,) = read(pod("bad", node="n1", containers=[container(cpu="lots")]), nodes=(node("n1"),)).nodes or ()
    assert found.job_ids == ("default/bad",)
