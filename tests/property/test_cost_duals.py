"""The certificate of any plan by price is true: with nodes that exist, gangs, preferences and limits beside.

What is proved here is counted anew from the scenario, with code of its own: no node of any size holds slots that are
worth more than the node and what it takes of limits, nothing is said to be left of a limit that is not, and the parts
add up (docs/calculations.md, *The bound*).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from property.choosy_strategies import choosy_queues

from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario

if TYPE_CHECKING:
    from autoscale_aks.model.plan import Certificate, LimitPrice, SlotPrice

Raw = dict[str, Any]


def needs_of(job: Raw) -> tuple[int, int]:
    asked = job["constraints"][0]
    return asked["ncpus"], int(asked["mem"].removeprefix("memory::").removesuffix("g"))


def may_be_on(job: Raw, array: Raw, bucket: Raw) -> bool:
    facts = {"node.vm_size": bucket["vm_size"], "node.nodearray": array["name"]}
    return all(facts[key] in wanted for part in job["constraints"] for key, wanted in part.items() if key in facts)


def worth_of_node(raw: Raw, slots: tuple[SlotPrice, ...], array: Raw, bucket: Raw) -> Fraction:
    """The most that slots on one node can be worth, of each class no more than are wanted."""
    alone, packed = Fraction(0), []
    for one in slots:
        job, name = raw["jobs"][one.job], f"{array['name']}/{bucket['vm_size']}"
        liked = one.buckets is None or any(place.id == name for place in one.buckets)
        cpus, memory = needs_of(job)
        if liked and may_be_on(job, array, bucket) and cpus <= bucket["vcpu_count"] and memory <= bucket["memory_gb"]:
            if {"exclusive-task": True} in job["constraints"]:
                alone = max(alone, one.price)
            else:
                packed.append((cpus, memory, one.slots, one.price))

    @cache
    def most(index: int, cpus: int, memory: int) -> Fraction:
        if index == len(packed):
            return Fraction(0)
        needs, gigabytes, wanted, price = packed[index]
        up_to = min(wanted, cpus // needs, memory // gigabytes)
        return max(
            count * price + most(index + 1, cpus - count * needs, memory - count * gigabytes)
            for count in range(up_to + 1)
        )

    return max(alone, most(0, bucket["vcpu_count"], bucket["memory_gb"]))


def charge_of(limit: LimitPrice, array: Raw, bucket: Raw) -> int:
    """What a node takes of a limit."""
    mine = {
        ("cluster cores", "cluster"): bucket["vcpu_count"],
        ("cluster nodes", "cluster"): 1,
        ("bucket nodes", f"{array['name']}/{bucket['vm_size']}"): 1,
    }
    return mine.get((limit.kind.value, limit.name), 0)


def left_at_first(limit: LimitPrice, raw: Raw) -> int:
    """What there is of a limit before anything is bought."""
    of = {one["name"]: {bucket["vm_size"]: bucket for bucket in one["buckets"]} for one in raw["nodearrays"]}
    there = [of[one["nodearray"]][one["vm_size"]] for one in raw["existing_nodes"]]
    if limit.kind.value == "cluster cores":
        return int(raw["limits"]["cluster_max_cores"]) - sum(bucket["vcpu_count"] for bucket in there)
    if limit.kind.value == "cluster nodes":
        return int(raw["limits"]["cluster_max_nodes"]) - len(there)
    array, size = limit.name.split("/")
    mine = [one for one in raw["existing_nodes"] if (one["nodearray"], one["vm_size"]) == (array, size)]
    return int(of[array][size]["max_count"]) - len(mine)


def what_is_wrong(raw: Raw, certificate: Certificate) -> list[str]:
    found = []
    for array in raw["nodearrays"]:
        for bucket in array["buckets"]:
            charges = [(one, charge_of(one, array, bucket)) for one in certificate.limits]
            allows = all(charge <= one.left for one, charge in charges)
            price = Fraction(str(bucket["price"])) + sum(one.price * charge for one, charge in charges)
            if allows and worth_of_node(raw, certificate.slots, array, bucket) > price:
                found.append(f"{array['name']}/{bucket['vm_size']} holds more than it costs")
    most = max(bucket["vcpu_count"] for array in raw["nodearrays"] for bucket in array["buckets"])
    for one in certificate.limits:
        first = max(left_at_first(one, raw), 0)
        if one.left > first or (
            not certificate.kept and one.left <= first - most
        ):  # less than a node's may be left out
            found.append(f"{one.left} are left of {one.kind.value} {one.name}, at first {first}")
    worth = sum((one.price * one.slots for one in certificate.slots), Fraction(0))
    worth -= sum((one.price * one.left for one in certificate.limits), Fraction(0))
    if certificate.bound != certificate.kept + max(worth, 0):
        found.append("the parts do not add up")
    return found


@given(choosy_queues(), st.sampled_from([0, 0.05]))
def test_the_certificate_of_any_plan_by_price_is_true(raw: Raw, seconds: float) -> None:
    decided = plan(*decode_scenario({**raw, "policy": {"objective": "cost", "optimize_seconds": seconds}}))
    certificate = decided.certificate
    assert certificate is not None
    assert what_is_wrong(raw, certificate) == []
    assert certificate.bound <= certificate.cost == decided.price_per_hour
    assert all(paid is None or certificate.cost <= paid for paid in certificate.rules.values())
