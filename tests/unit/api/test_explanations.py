"""Verdicts of buckets on jobs, and why not another size: what stands behind `azaks explain` and `Answer.explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builders import array, f2, f4, job, licence, node, scenario

from autoscale_aks.planning.inspect import Inspector
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.explain import WhyNotCode, why_not

if TYPE_CHECKING:
    from autoscale_aks.planning.inspect import BucketVerdict, JobInspection

Json = dict[str, Any]


def inspected(raw: Json, index: int = 0) -> JobInspection:
    snapshot, policy = decode_scenario(raw)
    return Inspector(snapshot=snapshot, policy=policy, decided=plan(snapshot, policy)).inspect(index)


def verdicts(raw: Json, index: int = 0, part: int = 0) -> dict[str, BucketVerdict]:
    return {verdict.bucket.id: verdict for verdict in inspected(raw, index).parts[part].verdicts}


def answers(raw: Json, size: str, index: int = 0) -> list[WhyNotCode]:
    return [answer.code for answer in why_not(inspected(raw, index), size)]


def message(raw: Json, size: str) -> str:
    return why_not(inspected(raw), size)[0].message


def test_misses_name_the_first_failing_criterion_the_nearest_first() -> None:
    arrays = [
        array("s", f2()),
        array("m", f4()),
        array("odd", f4(vm_size="Standard_X"), resources={"mem": "some"}),
        array("off", f4(vm_size="Standard_F64", vcpu_count=64, memory_gb=999), enabled=False),
    ]
    raw = scenario(job("a", {"ncpus": 8, "mem": "memory::4g"}), arrays=arrays)
    (part,) = inspected(raw).parts
    misses = [
        (verdict.bucket.id, verdict.miss.criterion, verdict.miss.offered) for verdict in part.verdicts if verdict.miss
    ]
    assert misses[0] == ("m/Standard_F4", "ncpus", 4)
    assert misses[1] == ("s/Standard_F2", "ncpus", 2)
    assert misses[2] == ("off/Standard_F64", "enabled", False)
    assert misses[3] == ("odd/Standard_X", "mem", "some")
    assert part.closest is not None
    assert part.closest.bucket.id == "m/Standard_F4"


def test_the_first_miss_of_an_or_is_that_of_the_nearest_alternative() -> None:
    either = {"or": [{"node.vm_size": "Standard_NC6"}, {"ncpus": 5}]}
    miss = verdicts(scenario(job("a", either)))["htc/Standard_F4"].miss
    assert miss is not None
    assert (miss.criterion, miss.wanted, miss.offered) == ("ncpus", 5, 4)


def test_slots_a_node_are_what_the_planner_packs_there() -> None:
    cases: list[tuple[Json, Json, int]] = [
        ({"ncpus": 1}, {}, 4),
        ({"ncpus": 1, "mem": "memory::3g"}, {}, 2),
        ({"ncpus": 1, "exclusive": True}, {}, 1),
        ({"ncpus": 2, "exclusive-task": True}, {}, 2),
        ({"ncpus": 1}, {"packing_strategy": "scatter"}, 1),
        ({"ncpus": 1}, {"node_count": 3}, 1),
        ({"ncpus": 1}, {"node_count": 3, "packing_strategy": "pack"}, 4),
    ]
    for constraint, extra, expected in cases:
        found = verdicts(scenario(job("a", constraint, **extra)))
        assert found["htc/Standard_F4"].slots_per_node == expected, (constraint, extra)


def test_licences_say_nothing_of_a_bucket() -> None:
    raw = scenario(job("a", {"ncpus": 1}, licence(2)), shared_resources={"lic": {"initial": 1, "current": 1}})
    found = inspected(raw)
    assert found.outcome.reason.code.value == "SHARED_RESOURCE"
    assert found.parts[0].verdicts[0].slots_per_node == 4
    assert answers(raw, "Standard_F4") == [WhyNotCode.JOB]


def test_without_a_limit_any_number_of_nodes_is_allowed() -> None:
    raw = scenario(job("a"), arrays=[array("htc", f4(max_count=None))])
    outcome = verdicts(raw)["htc/Standard_F4"].outcome
    assert (outcome.available_after, outcome.binding) == (None, None)
    capped = verdicts({**raw, "policy": {"max_creates_per_cycle": 3}})["htc/Standard_F4"].outcome
    assert capped.available_before == 3


def test_each_chunk_of_a_job_has_its_own_verdicts() -> None:
    chunks = [{"constraints": [{"ncpus": 4}]}, {"constraints": [{"ncpus": 1}], "iterations": 2}]
    raw = scenario({"name": "a", "chunks": chunks}, arrays=[array("htc", f4(), f2())])
    first, second = inspected(raw).parts
    assert (first.chunk, second.chunk, second.slots) == (0, 1, 2)
    assert [verdict.slots_per_node for verdict in first.verdicts] == [1, 0]
    assert [verdict.slots_per_node for verdict in second.verdicts] == [4, 2]


def test_a_colocated_job_sees_the_group_that_may_be_opened() -> None:
    arrays = [array("htc", f4(max_placement_group_size=5), new_placement_groups=True)]
    raw = scenario(job("a", node_count=6, colocated=True), arrays=arrays)
    found = verdicts(raw)
    assert found["htc/Standard_F4"].miss is not None
    group = found["htc/Standard_F4/htc_pg0"]
    assert (group.is_new_group, group.outcome.available_after, group.rank) == (True, 5, 1)
    assert answers(raw, "Standard_F4") == [WhyNotCode.JOB, WhyNotCode.CRITERION]


def test_a_plan_of_many_jobs_of_one_shape_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, policy = decode_scenario(scenario(*(job(f"j{number}") for number in range(50))))
    inspector = Inspector(snapshot=snapshot, policy=policy, decided=plan(snapshot, policy))
    seen: list[object] = []
    look = Inspector._verdicts
    monkeypatch.setattr(Inspector, "_verdicts", lambda *given: (seen.append(given), look(*given))[1])
    assert len({id(inspector.inspect(index).parts) for index in range(50)}) == 1
    assert len(seen) == 1


RANKED: list[tuple[str, Json, Json]] = [
    ("order", {"ncpus": 1}, {}),
    ("preference list", {"ncpus": 1, "node.vm_size": ["C", "*"]}, {}),
    ("or", {"ncpus": 1, "or": [{"node.vm_size": "D"}, {"node.vm_size": "*"}]}, {}),
    ("cost", {"ncpus": 1}, {"policy": {"objective": "cost", "optimize_seconds": None}}),
    ("cost of two slots", {"ncpus": 2}, {"policy": {"objective": "cost", "optimize_seconds": None}}),
    (
        "cost with a preference",
        {"ncpus": 1, "node.spot": [False, True]},
        {"policy": {"objective": "cost", "optimize_seconds": None}},
    ),
    ("groups asked for", {"ncpus": 1, "in-a-placement-group": True}, {}),
]


@pytest.mark.parametrize(("constraint", "extra"), [case[1:] for case in RANKED], ids=[case[0] for case in RANKED])
def test_the_rank_is_the_order_in_which_the_planner_opens_buckets(constraint: Json, extra: Json) -> None:
    def one(name: str, cores: int, **more: Any) -> Json:
        return {"vm_size": name, "vcpu_count": cores, "memory_gb": 8, "max_placement_group_size": 1, **more}

    arrays = [
        array("x", one("A", 2, price=0.5, max_count=1), one("B", 4, price=0.6, max_count=1), priority=1),
        array("y", one("C", 8, price=0.4, max_count=1), one("D", 3, max_count=1), priority=7),
        array("z", one("E", 4, price=0.01, max_count=2, placement_groups=["p"]), priority=7, spot=True),
    ]
    raw = scenario(job("a", constraint, iterations=100), arrays=arrays, **extra)
    snapshot, policy = decode_scenario(raw)
    opened = [claim.bucket.id for claim in plan(snapshot, policy).claims]
    (part,) = inspected(raw).parts
    ranked = [verdict.bucket.id for verdict in part.verdicts if verdict.rank]
    assert list(dict.fromkeys(opened)) == [bucket for bucket in ranked if bucket in opened]
    assert len(ranked) >= 1
    assert [verdict.rank for verdict in part.verdicts if verdict.rank] == list(range(1, len(ranked) + 1))


TWO = [array("htc", f4(), f2())]


def test_why_not_says_which_criterion_fails() -> None:
    raw = scenario(job("a", {"ncpus": 4}), arrays=TWO)
    assert answers(raw, "Standard_F2") == [WhyNotCode.CRITERION]
    assert message(raw, "Standard_F2") == "asks ncpus 4, offers 2"


def test_why_not_of_the_chosen_size_says_that_it_is_chosen() -> None:
    assert answers(scenario(job(), arrays=TWO), "standard_f4") == [WhyNotCode.CHOSEN]


def test_why_not_names_what_decides_between_buckets() -> None:
    def asked(size: str, constraint: Json | None = None, arrays: list[Json] | None = None, **extra: Any) -> WhyNotCode:
        return answers(scenario(job("a", constraint or {"ncpus": 1}), arrays=arrays or TWO, **extra), size)[0]

    assert asked("Standard_F2") is WhyNotCode.ORDER
    assert asked("Standard_F4", {"node.vm_size": ["Standard_F2", "*"]}) is WhyNotCode.PREFERENCE
    low, high = array("low", f4()), array("high", f2(), priority=9)
    assert asked("Standard_F4", arrays=[low, high]) is WhyNotCode.PRIORITY
    dear = [array("htc", f4(price=4), f2(price=0.1))]
    assert asked("Standard_F4", arrays=dear, policy={"objective": "cost"}) is WhyNotCode.PRICE
    unpriced = [array("htc", f4(), f2(price=0.1))]
    assert asked("Standard_F4", arrays=unpriced, policy={"objective": "cost"}) is WhyNotCode.PRICE
    grouped = [array("htc", f4(placement_groups=["p"]))]
    assert asked("htc/Standard_F4/p", arrays=grouped) is WhyNotCode.GROUP


def test_why_not_names_the_limit_or_the_back_off() -> None:
    full = scenario(job("a", {"ncpus": 1}), arrays=[array("htc", f4(max_count=0), f2())])
    assert answers(full, "Standard_F4") == [WhyNotCode.LIMIT]
    assert message(full, "Standard_F4") == "no new node is allowed: bucket nodes htc/Standard_F4 (0 nodes left)"
    until = {"back_offs": [{"vm_size": "Standard_F4", "until": "2026-11-22T09:00:00Z"}]}
    held = scenario(job(), arrays=TWO, blocked=until)
    assert answers(held, "Standard_F4") == [WhyNotCode.BACK_OFF]
    assert message(held, "Standard_F4") == "in back-off until 2026-11-22T09:00:00Z"


def test_why_not_says_that_existing_nodes_come_first() -> None:
    raw = scenario(job(), arrays=TWO, nodes=[node("htc-1", vm_size="Standard_F2")])
    assert answers(raw, "Standard_F4") == [WhyNotCode.EXISTING_FIRST]
    assert "htc-1" in message(raw, "Standard_F4")


def test_why_not_of_a_gang_says_how_many_nodes_are_missing_or_that_another_needs_fewer() -> None:
    raw = scenario(job("a", {"ncpus": 4}, node_count=3), arrays=[array("htc", f4(max_count=2))])
    assert answers(raw, "Standard_F4") == [WhyNotCode.LIMIT]
    assert message(raw, "Standard_F4").startswith("the job needs 3 new nodes there and 2 are allowed")
    fewer = scenario(job("a", {"ncpus": 2}, node_count=2), arrays=TWO, nodes=[node("htc-1", vm_size="Standard_F2")])
    assert answers(fewer, "Standard_F4") == [WhyNotCode.FEWER_NEW_NODES]


def test_why_not_of_a_size_nobody_offers_names_the_nearest() -> None:
    raw = scenario(job(), arrays=TWO)
    assert answers(raw, "Standard_F3") == [WhyNotCode.NOT_OFFERED]
    assert message(raw, "Standard_F_2").endswith('did you mean "Standard_F2"?')
    assert answers(raw, "nothing like it") == [WhyNotCode.NOT_OFFERED]


def test_why_not_of_a_job_that_waits_for_itself_gives_its_reason() -> None:
    held = scenario(job("a", runnable=False, not_runnable_reason="JobHeldUser"))
    assert answers(held, "Standard_F4") == [WhyNotCode.JOB]
    assert "JobHeldUser" in message(held, "Standard_F4")
    broken = scenario(job("a", {"ncpus": -1}))
    assert answers(broken, "Standard_F4") == [WhyNotCode.JOB]
    nothing = scenario(job("a", iterations=0))
    assert answers(nothing, "Standard_F4") == [WhyNotCode.EXISTING_FIRST]
