"""Limits as rows, and the increase that serves the queue (user ask T09f)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from builders import array, f2, f4, job, node, scenario
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.model.limits import CoreQuota
from autoscale_aks.model.node import Stage
from autoscale_aks.model.reason import LimitKind
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.limit_rows import COLUMNS, MISSING_COLUMNS, list_limits, missing_limits

if TYPE_CHECKING:
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot

FAMILY = "Standard_F4"


def wide(iterations: int = 20, **more: Any) -> dict[str, Any]:
    return job("a", {"ncpus": 4}, iterations=iterations, **more)


def families(**quotas: int) -> dict[str, Any]:
    return {"families": {"westus2": {name: {"quota_cores": cores} for name, cores in quotas.items()}}}


def missing(raw: dict[str, Any]) -> dict[str, int]:
    return {one.limit: one.increase for one in missing_limits(*decode_scenario(raw), {})}


def test_a_row_counts_others_ours_and_what_is_on_its_way() -> None:
    nodes = [node("htc-1"), node("htc-2", state="Creating", stage="in-flight")]
    raw = scenario(nodes=nodes, arrays=[array("htc", f4(price=0.2))])
    snapshot, policy = decode_scenario(raw)
    quota = CoreQuota(72, 10, "usages API", 7.0)
    limits = replace(snapshot.limits, families={"westus2": {FAMILY: quota}}, budget_per_hour=Fraction(3))
    rows = {row.kind: row for row in list_limits(replace(snapshot, limits=limits), policy)}
    family, budget = rows["family quota"], rows["budget"]
    assert (family.limit_value, family.used, family.left, family.unit) == (72, 18, 54, "cores")
    assert (family.source, family.age_s) == ("usages API", 7.0)
    assert (budget.limit_value, budget.used, budget.left, budget.unit) == (3, 0.4, 2.6, "an hour")
    assert (rows["bucket nodes"].source, rows["bucket nodes"].used) == ("configuration", 2)
    assert all(tuple(row.as_dict()) == COLUMNS for row in rows.values())


def test_in_flight_is_told_apart() -> None:
    snapshot, policy = decode_scenario(scenario(nodes=[node("htc-1"), node("htc-2")], limits=families(standard_f4=99)))
    ready, other = snapshot.nodes
    booting = replace(other, stage=Stage.IN_FLIGHT, state="Creating")
    (row,) = [
        one for one in list_limits(replace(snapshot, nodes=(ready, booting)), policy) if one.kind == "family quota"
    ]
    assert (row.used, row.in_flight, row.left) == (8, 4, 91)


def test_nothing_is_missing_where_nothing_waits_for_azure() -> None:
    assert missing(scenario(wide(3), limits=families(standard_f4=12))) == {}
    assert missing(scenario(wide(30))) == {}  # the site's own max_count binds


def test_the_increase_is_exact() -> None:
    raw = scenario(wide(9), limits=families(standard_f4=12))
    assert missing(raw) == {FAMILY: 24}
    assert missing(scenario(wide(9), limits=families(standard_f4=35))) == {FAMILY: 1}
    assert missing(scenario(wide(9), limits=families(standard_f4=36))) == {}


def test_a_limit_that_is_exceeded_already_is_raised_past_what_is_used() -> None:
    lowered = {"families": {"westus2": {"standard_f4": {"quota_cores": 40, "used_elsewhere_cores": 1000}}}}
    assert missing(scenario(wide(4), limits=lowered)) == {FAMILY: 976}
    ours = [node(f"htc-{number}") for number in range(1, 6)]
    assert missing(scenario(wide(9), nodes=ours, limits=families(standard_f4=8))) == {FAMILY: 28}
    assert missing(scenario(wide(5), nodes=ours, limits=families(standard_f4=8))) == {}


def test_every_limit_that_would_bind_next_is_raised_too() -> None:
    limits = {**families(standard_f4=12), "regions": {"westus2": {"quota_cores": 20, "used_elsewhere_cores": 4}}}
    assert missing(scenario(wide(9), limits=limits)) == {FAMILY: 24, "westus2": 20}


def test_what_spills_over_to_another_size_is_not_asked_for() -> None:
    arrays = [array("htc", f4(), {**f4(vm_size="Standard_E4")})]
    assert missing(scenario(wide(9), arrays=arrays, limits=families(standard_f4=12))) == {}
    assert missing(scenario(wide(9), arrays=arrays, limits=families(standard_f4=12, standard_e4=8))) == {FAMILY: 16}


def test_the_sites_own_caps_stay() -> None:
    arrays = [array("htc", f4(max_count=5))]
    assert missing(scenario(wide(9), arrays=arrays, limits=families(standard_f4=12))) == {FAMILY: 8}


def test_a_gang_that_does_not_fit_asks_for_all_it_needs() -> None:
    raw = scenario(job("a", {"ncpus": 4}, node_count=7), limits=families(standard_f4=12))
    assert missing(raw) == {FAMILY: 16}


def test_constrained_cores_ask_for_the_parents(  # T09d
) -> None:
    arrays = [array("htc", f4(quota_vcpus=120))]
    assert missing(scenario(wide(2), arrays=arrays, limits=families(standard_f4=120))) == {FAMILY: 120}


def test_a_cycles_cap_and_a_back_off_are_no_reason_to_ask_for_less() -> None:
    raw = scenario(wide(9), limits=families(standard_f4=12), policy={"max_creates_per_cycle": 1})
    assert missing(raw) == {FAMILY: 24}


def test_a_request_is_a_sentence_for_whoever_grants_it() -> None:
    (one,) = missing_limits(*decode_scenario(scenario(wide(9), limits=families(standard_f4=12))), {})
    assert one.request == "raise Standard_F4 in westus2 from 12 to 36 vCPUs"
    assert tuple(one.as_dict()) == MISSING_COLUMNS


def raised(snapshot: Snapshot, policy: Policy) -> Snapshot:
    limits = snapshot.limits
    for one in missing_limits(snapshot, policy, {}):
        if one.kind is LimitKind.FAMILY_QUOTA:
            known = limits.families[one.location]
            names = {name: replace(quota, quota_cores=one.needed) if name.casefold() == one.limit.casefold() else quota
                     for name, quota in known.items()}  # fmt: skip
            limits = replace(limits, families={**limits.families, one.location: names})
        else:
            quota = replace(limits.regions[one.location], quota_cores=one.needed)
            limits = replace(limits, regions={**limits.regions, one.location: quota})
    return replace(snapshot, limits=limits)


@st.composite
def queues(draw: Any) -> dict[str, Any]:
    jobs = [
        job(f"j{number}", {"ncpus": draw(st.integers(1, 4))}, **draw(st.sampled_from(
            [{"iterations": 1}, {"iterations": 7}, {"node_count": 2}, {"node_count": 5}])))
        for number in range(draw(st.integers(1, 6)))
    ]  # fmt: skip
    cores = st.integers(0, 40)
    limits = {**families(standard_f4=draw(cores), standard_f2=draw(cores)),
              "regions": {"westus2": {"quota_cores": draw(cores)}}}  # fmt: skip
    nodes = [node()] if draw(st.booleans()) else []
    return scenario(*jobs, arrays=[array("htc", f4(), f2())], nodes=nodes, limits=limits)


@given(queues())
def test_with_the_increases_granted_as_much_is_placed_as_without_azures_limits(raw: dict[str, Any]) -> None:
    snapshot, policy = decode_scenario(raw)
    granted = raised(snapshot, policy)
    assert missing_limits(granted, policy, {}) == ()
    free = replace(granted, limits=replace(granted.limits, families={}, regions={}))
    placed = sum(outcome.slots for outcome in plan(granted, policy).outcomes)
    assert placed == sum(outcome.slots for outcome in plan(free, policy).outcomes)
