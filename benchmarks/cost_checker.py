"""Is a plan's certificate true? Shares no code with the planner: cover, limits and prices are counted anew, and the
bound's dual values are proved bucket by bucket with a knapsack of its own.

For snapshots without existing nodes whose jobs ask for amounts of `ncpus`, `mem` and `ngpus` only.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import gcd, lcm
from typing import TYPE_CHECKING, Any

import numpy as np

from autoscale_aks.units import Size, parse_value
from benchmarks.cost_knapsack import exceeds

if TYPE_CHECKING:
    from autoscale_aks.model.bucket import Bucket, NodeArray, Offering
    from autoscale_aks.model.plan import Certificate, Plan
    from autoscale_aks.model.snapshot import Snapshot
    from benchmarks.cost_knapsack import Item

Needs = tuple[Fraction, ...]
"""Amounts by dimension."""
DIMENSIONS = ("ncpus", "mem", "ngpus")


def verify(snapshot: Snapshot, plan: Plan) -> tuple[list[str], list[str]]:
    """What is wrong, and what could not be decided."""
    certificate = plan.certificate
    if certificate is None:
        return ["no certificate"], []
    needs = _needs_by_job(plan)
    bought = _bought(plan)
    wrong = [*_cover(plan, needs), *_limits(snapshot, bought)]
    cost = sum((_price(bucket.offering) * count for bucket, count in bought), Fraction(0))
    if cost != certificate.cost:
        wrong.append(f"claims cost {float(cost)}, certificate says {float(certificate.cost)}")
    total = certificate.kept + sum(one.slots * one.price for one in certificate.slots)
    total -= sum(one.left * one.price for one in certificate.limits)
    if max(total, certificate.kept) != certificate.bound:
        wrong.append("the dual values do not add up to the bound")
    if certificate.bound > certificate.cost:
        wrong.append(f"gap below zero: {float(certificate.gap)}")
    if any(one.price < 0 for one in (*certificate.slots, *certificate.limits)):
        wrong.append("a negative dual value")
    failed, open_ = _duals(snapshot, certificate, needs)
    wrong += [*_demand(plan, certificate, needs), *_room(snapshot, certificate), *failed]
    if certificate.kept:
        open_.append(f"nodes of {float(certificate.kept)} an hour stand as they were placed: nothing is counted anew")
    return wrong, open_


def needs_of(constraints: Any) -> Needs:
    """What one slot takes, by dimension."""
    found = dict.fromkeys(DIMENSIONS, Fraction(0))
    for constraint in constraints:
        for name, amount in constraint.items():
            value = parse_value(amount)
            found[name] += Fraction(value.bytes) if isinstance(value, Size) else Fraction(str(value))
    return tuple(found.values())


def _needs_by_job(plan: Plan) -> list[Needs]:
    """By job; a million jobs of few shapes are read a shape at a time."""
    by_shape: dict[int, Needs] = {}
    by_constraints: dict[Any, Needs] = {}
    found = []
    for job in plan.jobs:
        needs = by_shape.get(id(job.shape))
        if needs is None:
            asked = job.shape.constraints
            needs = by_constraints.get(asked)
            if needs is None:
                needs = by_constraints[asked] = needs_of(asked)
            by_shape[id(job.shape)] = needs
        found.append(needs)
    return found


def _bought(plan: Plan) -> list[tuple[Bucket, int]]:
    """Buckets that machines are claimed of, and how many; told apart by identity, for equal ones only add up."""
    counts = Counter(id(claim.bucket) for claim in plan.claims)
    buckets = {id(claim.bucket): claim.bucket for claim in plan.claims}
    return [(buckets[number], count) for number, count in counts.items()]


def holds_of(offering: Offering) -> Needs:
    """What an empty node holds."""
    return Fraction(offering.vcpu_count), Fraction(offering.memory.bytes), Fraction(offering.gpu_count)


def _price(offering: Offering) -> Fraction:
    return Fraction(offering.price or 0)


def _whole(amounts: Needs, scales: list[int]) -> tuple[int, ...]:
    """In units small enough for all needs; what a node holds beyond a whole unit nobody can use."""
    return tuple(int(amount * scale) for amount, scale in zip(amounts, scales, strict=True))


def _cover(plan: Plan, needs: list[Needs]) -> list[str]:
    """Every slot stands on a node, and no node holds more than it has."""
    scales = [lcm(*(need[d].denominator for need in set(needs))) for d in range(3)]
    by_needs = {need: _whole(need, scales) for need in set(needs)}
    whole = np.array([by_needs[need] for need in needs], np.int64).reshape(-1, 3)
    rows = np.array([(one.job, one.first_node, one.nodes, one.slots_each) for one in plan.placements], np.int64)
    rows = rows.reshape(-1, 4)
    slots = np.zeros(len(plan.jobs), np.int64)
    np.add.at(slots, rows[:, 0], rows[:, 2] * rows[:, 3])
    row = np.repeat(np.arange(len(rows)), rows[:, 2])
    node = rows[row, 1] + np.arange(len(row)) - np.repeat(np.cumsum(rows[:, 2]) - rows[:, 2], rows[:, 2])
    used = np.zeros((len(plan.claims), 3), np.int64)
    np.add.at(used, node, whole[rows[row, 0]] * rows[row, 3, None])
    kinds: dict[int, tuple[int, ...]] = {}
    for claim in plan.claims:
        if id(claim.bucket) not in kinds:
            kinds[id(claim.bucket)] = _whole(holds_of(claim.bucket.offering), scales)
    most = np.array([kinds[id(claim.bucket)] for claim in plan.claims], np.int64).reshape(-1, 3)
    found = [
        f"{job.name}: {placed} slots stand on nodes, {outcome.slots} are said to"
        for job, outcome, placed in zip(plan.jobs, plan.outcomes, slots.tolist(), strict=True)
        if placed != outcome.slots or placed > job.count
    ]
    over = [plan.claims[number] for number in np.flatnonzero((used > most).any(axis=1)).tolist()]
    return [*found, *(f"{claim.name} holds more than a {claim.bucket.vm_size} has" for claim in over)]


def charges_of(snapshot: Snapshot, array: NodeArray, offering: Offering) -> dict[tuple[str, str], tuple[int, int]]:
    """Limits of a bucket: kind and name → what a node takes, and how much there is."""
    limits = snapshot.limits
    found: dict[tuple[str, str], tuple[int, int]] = {}
    family = limits.families.get(array.location, {}).get(offering.vm_family)
    rows = (
        ("family quota", f"{offering.vm_family} in {array.location}", family, offering.quota_vcpus),
        ("regional quota", array.location, limits.regions.get(array.location), offering.quota_vcpus),
    )
    for kind, name, quota, cost in rows:
        if quota is not None:
            found[kind, name] = (cost, quota.quota_cores - quota.used_elsewhere_cores)
    for kind, name, most, cost in (
        ("cluster cores", "cluster", limits.cluster_max_cores, offering.vcpu_count),
        ("cluster nodes", "cluster", limits.cluster_max_nodes, 1),
        ("node array cores", array.name, array.max_core_count, offering.vcpu_count),
        ("node array nodes", array.name, array.max_count, 1),
        ("bucket nodes", f"{array.name}/{offering.vm_size}", offering.max_count, 1),
    ):
        if most is not None:
            found[kind, name] = (cost, most)
    return found


def _limits(snapshot: Snapshot, bought: list[tuple[Bucket, int]]) -> list[str]:
    used: Counter[tuple[str, str]] = Counter()
    most: dict[tuple[str, str], int] = {}
    for bucket, nodes in bought:
        for key, (cost, limit) in charges_of(snapshot, bucket.array, bucket.offering).items():
            used[key] += cost * nodes
            most[key] = limit
    return [f"{key}: {used[key]} used of {most[key]}" for key in used if used[key] > most[key]]


def _demand(plan: Plan, certificate: Certificate, needs: list[Needs]) -> list[str]:
    """The bound speaks of the slots that were placed, need by need: no more of any than there are."""
    placed: Counter[Needs] = Counter()
    for need, outcome in zip(needs, plan.outcomes, strict=True):
        placed[need] += outcome.slots
    counted: Counter[Needs] = Counter()
    for one in certificate.slots:
        counted[needs[one.job]] += one.slots
    return [
        f"{placed[need]} slots of {tuple(map(float, need))} were placed, the bound counts {count}"
        for need, count in counted.items()
        if count > placed[need] or (count < placed[need] and not certificate.kept)
    ]


def _room(snapshot: Snapshot, certificate: Certificate) -> list[str]:
    """A limit that lowers the bound lowers it by all there is of it, but for what no node can take the rest of."""
    units: dict[tuple[str, str], int] = {}
    most: dict[tuple[str, str], int] = {}
    for array in snapshot.nodearrays:
        for offering in array.offerings:
            for key, (cost, limit) in charges_of(snapshot, array, offering).items():
                units[key], most[key] = gcd(units.get(key, 0), cost), limit
    found = []
    for one in certificate.limits:
        key = (one.kind.value, one.name)
        if one.price and (key not in most or one.left < most[key] - most[key] % max(units[key], 1)):
            found.append(f"{key}: the bound counts with {one.left} of {most.get(key)}")
    return found


def _duals(snapshot: Snapshot, certificate: Certificate, needs_by_job: list[Needs]) -> tuple[list[str], list[str]]:
    """No node of any bucket holds more worth of slots than it and what it takes of limits cost.

    A node holds no more slots of a kind than there are: no plan needs another one.
    """
    limit_price = {(one.kind.value, one.name): one.price for one in certificate.limits}
    worth: dict[Needs, Fraction] = {}
    slots: Counter[Needs] = Counter()
    for one in certificate.slots:
        needs = needs_by_job[one.job]
        worth[needs] = max(worth.get(needs, Fraction(0)), one.price)
        slots[needs] += one.slots
    scales = [lcm(*(needs[d].denominator for needs in worth)) for d in range(3)]
    unit = lcm(1, *(price.denominator for price in worth.values()))
    items = [(_whole(needs, scales), int(price * unit), slots[needs]) for needs, price in worth.items() if price]
    seen: dict[tuple[int, ...], Fraction] = {}
    for array in snapshot.nodearrays:
        for offering in array.offerings:
            charges = charges_of(snapshot, array, offering)
            if any(cost > most for cost, most in charges.values()):
                continue
            cost = _price(offering) + sum(
                limit_price.get(key, Fraction(0)) * take for key, (take, _) in charges.items()
            )
            total = _whole(holds_of(offering), scales)
            seen[total] = min(cost, seen.get(total, cost))
    return _judged(items, {total: int(cost * unit) for total, cost in seen.items()}, unit)


def _judged(items: list[Item], hard: dict[tuple[int, ...], int], unit: int) -> tuple[list[str], list[str]]:
    """Which nodes hold more than they cost, and of which that could not be found out."""
    failed: list[str] = []
    open_: list[str] = []
    for total, limit in hard.items():
        verdict = exceeds(items, total, limit)
        if verdict is not False:
            words = f"a node of {total} at {limit / unit:.4f} holds more than it costs"
            (failed if verdict else open_).append(words)
    return failed, open_
