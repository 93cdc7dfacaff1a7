"""Is a plan's certificate true? Shares no code with the planner: cover, limits and prices are counted anew, and the
bound's dual values are proved bucket by bucket with a knapsack of its own.

For snapshots without existing nodes whose jobs ask for amounts of `ncpus`, `mem` and `ngpus` only.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product
from math import gcd, lcm
from typing import TYPE_CHECKING, Any

import numpy as np

from autoscale_aks.units import Size, parse_value

if TYPE_CHECKING:
    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.snapshot import Snapshot

Item = tuple[tuple[int, ...], int, int]
"""What a slot takes, what it is worth, and how many of it there are."""
DIMENSIONS = ("ncpus", "mem", "ngpus")
MOST_CELLS = 60_000_000
MOST_STEPS = 2_000_000


def verify(snapshot: Snapshot, plan: Plan) -> tuple[list[str], list[str]]:
    """What is wrong, and what could not be decided."""
    certificate = plan.certificate
    if certificate is None:
        return ["no certificate"], []
    wrong = [*_cover(plan), *_limits(snapshot, plan)]
    nodes = Counter(claim.bucket for claim in plan.claims)
    cost = sum((_price(bucket) * count for bucket, count in nodes.items()), Fraction(0))
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
    wrong += _demand(plan)
    failed, open_ = _duals(snapshot, plan)
    return wrong + failed, open_


def needs_of(constraints: Any) -> tuple[Fraction, ...]:
    """What one slot takes, by dimension."""
    found = dict.fromkeys(DIMENSIONS, Fraction(0))
    for constraint in constraints:
        for name, amount in constraint.items():
            value = parse_value(amount)
            found[name] += Fraction(value.bytes) if isinstance(value, Size) else Fraction(str(value))
    return tuple(found.values())


def holds_of(bucket: Bucket) -> tuple[Fraction, ...]:
    """What an empty node holds."""
    offering = bucket.offering
    return Fraction(offering.vcpu_count), Fraction(offering.memory.bytes), Fraction(offering.gpu_count)


def _price(bucket: Bucket) -> Fraction:
    return Fraction(bucket.offering.price or 0)


def _cover(plan: Plan) -> list[str]:
    """Every slot stands on a node, and no node holds more than it has."""
    needs = [needs_of(job.shape.constraints) for job in plan.jobs]
    scales = [lcm(*(need[d].denominator for need in needs)) for d in range(3)]
    whole = np.array([[int(amount * scale) for amount, scale in zip(need, scales, strict=True)] for need in needs])
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
            totals = zip(holds_of(claim.bucket), scales, strict=True)
            kinds[id(claim.bucket)] = tuple(int(total * scale) for total, scale in totals)
    most = np.array([kinds[id(claim.bucket)] for claim in plan.claims], np.int64).reshape(-1, 3)
    found = [
        f"{job.name}: {slots[index]} slots stand on nodes, {outcome.slots} are said to"
        for index, (job, outcome) in enumerate(zip(plan.jobs, plan.outcomes, strict=True))
        if slots[index] != outcome.slots
    ]
    over = [plan.claims[number] for number in np.flatnonzero((used > most).any(axis=1)).tolist()]
    return [*found, *(f"{claim.name} holds more than a {claim.bucket.vm_size} has" for claim in over)]


def charges_of(snapshot: Snapshot, bucket: Bucket) -> dict[tuple[str, str], tuple[int, int]]:
    """Limits of a bucket: kind and name → what a node takes, and how much there is."""
    array, offering, limits = bucket.array, bucket.offering, snapshot.limits
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


def _limits(snapshot: Snapshot, plan: Plan) -> list[str]:
    used: Counter[tuple[str, str]] = Counter()
    most: dict[tuple[str, str], int] = {}
    for bucket, nodes in Counter(claim.bucket for claim in plan.claims).items():
        for key, (cost, limit) in charges_of(snapshot, bucket).items():
            used[key] += cost * nodes
            most[key] = limit
    return [f"{key}: {used[key]} used of {most[key]}" for key in used if used[key] > most[key]]


def _demand(plan: Plan) -> list[str]:
    """The bound speaks of all slots that were placed."""
    asked = sum(outcome.slots for outcome in plan.outcomes)
    counted = sum(one.slots for one in plan.certificate.slots) if plan.certificate else 0
    kept = plan.certificate.kept if plan.certificate else 0
    return [] if counted == asked or kept else [f"{asked} slots placed, the bound counts {counted}"]


def _duals(snapshot: Snapshot, plan: Plan) -> tuple[list[str], list[str]]:
    """No node of any bucket holds more worth of slots than it and what it takes of limits cost.

    A node holds no more slots of a kind than there are: no plan needs another one.
    """
    certificate = plan.certificate
    assert certificate is not None
    limit_price = {(one.kind.value, one.name): one.price for one in certificate.limits}
    worth: dict[tuple[Fraction, ...], Fraction] = {}
    slots: Counter[tuple[Fraction, ...]] = Counter()
    for one in certificate.slots:
        needs = needs_of(plan.jobs[one.job].shape.constraints)
        worth[needs] = max(worth.get(needs, Fraction(0)), one.price)
        slots[needs] += one.slots
    scales = [lcm(*(needs[d].denominator for needs in worth)) for d in range(3)]
    unit = lcm(1, *(price.denominator for price in worth.values()))
    items = [
        (
            tuple(int(amount * scale) for amount, scale in zip(needs, scales, strict=True)),
            int(price * unit),
            slots[needs],
        )
        for needs, price in worth.items()
        if price
    ]
    failed, open_ = [], []
    seen: dict[Any, Fraction] = {}
    for bucket in {outcome.bucket for outcome in plan.buckets}:
        charges = charges_of(snapshot, bucket)
        if any(cost > most for cost, most in charges.values()):
            continue
        cost = _price(bucket) + sum(limit_price.get(key, Fraction(0)) * take for key, (take, _) in charges.items())
        total = tuple(int(amount * scale) for amount, scale in zip(holds_of(bucket), scales, strict=True))
        if total not in seen or cost < seen[total]:
            seen[total] = cost
    hard = {total: int(cost * unit) for total, cost in seen.items()}
    hard = {total: cost for total, cost in hard.items() if _relaxed(_fitting(items, total), total) > cost}
    table, units = _shared_table(items, list(hard))
    for total, cost in hard.items():
        cell = tuple(t // u for t, u in zip(_useful(items, total), units, strict=True))
        known = table is not None and all(at < extent for at, extent in zip(cell, table.shape, strict=True))
        verdict = bool(table[cell] > cost) if table is not None and known else exceeds(items, total, cost)
        if verdict is not False:
            (failed if verdict else open_).append(f"a node of {total} at {cost / unit:.4f} holds more than it costs")
    return failed, open_


def _fitting(items: list[Item], total: tuple[int, ...]) -> list[Item]:
    return [one for one in items if all(n <= t for n, t in zip(one[0], total, strict=True))]


def _useful(items: list[Item], total: tuple[int, ...]) -> tuple[int, ...]:
    """Of each dimension no more than items can take before the first one is used up; all where some ask none of it."""
    if any(not needs[0] for needs, _, _ in items):
        return total
    most = (max(-(-total[0] * needs[d] // needs[0]) for needs, _, _ in items) for d in range(3))
    return tuple(min(t, m) for t, m in zip(total, most, strict=True))


def _shared_table(items: list[Item], totals: list[tuple[int, ...]]) -> tuple[Any, list[int]]:
    """One table for all nodes that are small enough, and what a cell is in each dimension."""
    units = [gcd(*(needs[d] for needs, _, _ in items)) or 1 for d in range(3)]
    shape = [1, 1, 1]
    for total in sorted((_useful(items, one) for one in totals), key=lambda one: np.prod(one, dtype=float)):
        wider = [max(s, t // u + 1) for s, t, u in zip(shape, total, units, strict=True)]
        if np.prod(wider, dtype=float) * 8 <= MOST_CELLS:
            shape = wider
    return (_table(items, units, shape) if shape != [1, 1, 1] else None), units


def _table(items: list[Item], units: list[int], shape: list[int]) -> Any:
    """The most that a node of each amount can hold."""
    table = np.zeros(shape, np.int64)
    for needs, worth, there in items:
        step = [needs[d] // units[d] for d in range(3)]
        if any(s >= extent for s, extent in zip(step, shape, strict=True)):
            continue
        most = min((extent - 1) // s for s, extent in zip(step, shape, strict=True) if s)
        if there >= most:
            _add_any(table, step, worth)
        else:
            for count in _pieces(there):
                _add_once(table, [s * count for s in step], worth * count)
    return table


def _add_any(table: Any, step: list[int], worth: int) -> None:
    """As many as fit: a cell builds on those before it."""
    axis = next(d for d in range(3) if step[d])
    for at in range(step[axis], table.shape[axis]):
        to: list[Any] = [slice(s, None) for s in step]
        of: list[Any] = [slice(0, table.shape[d] - step[d]) for d in range(3)]
        to[axis], of[axis] = at, at - step[axis]
        np.maximum(table[tuple(to)], table[tuple(of)] + worth, out=table[tuple(to)])


def _add_once(table: Any, step: list[int], worth: int) -> None:
    """One, or none: a cell builds on what was before."""
    if any(s >= extent for s, extent in zip(step, table.shape, strict=True)):
        return
    with_it = table[tuple(slice(0, extent - s) for s, extent in zip(step, table.shape, strict=True))] + worth
    to = table[tuple(slice(s, None) for s in step)]
    np.maximum(to, with_it, out=to)


def _pieces(count: int) -> list[int]:
    """Numbers whose partial sums are all numbers up to `count`."""
    found, piece = [], 1
    while count > piece:
        found.append(piece)
        count, piece = count - piece, piece * 2
    return [*found, count] if count else found


def exceeds(items: list[Item], total: tuple[int, ...], cost: int) -> bool | None:
    """Whether some filling of a node is worth more than `cost`; None when that is too much to find out."""
    fit = _fitting(items, total)
    if not fit or _relaxed(fit, total) <= cost:
        return False
    units = [gcd(*(needs[d] for needs, _, _ in fit)) or 1 for d in range(3)]
    shape = [total[d] // units[d] + 1 if any(needs[d] for needs, _, _ in fit) else 1 for d in range(3)]
    if np.prod(shape, dtype=float) * 8 <= MOST_CELLS:
        table = _table(fit, units, shape)
        return bool(table.max() > cost)
    return _searched(fit, total, cost)


def _relaxed(items: list[Item], left: tuple[int, ...]) -> float:
    """More than any filling is worth: by the best of some mixes of the dimensions."""
    if not items:
        return 0.0
    share = np.array([[n / t if t else 0.0 for n, t in zip(needs, left, strict=True)] for needs, _, _ in items])
    worth = np.array([float(w) for _, w, _ in items])
    takes = share @ _MIXES.T
    return float((worth[:, None] / np.maximum(takes, 1e-12)).max(axis=0).min()) * (1 + 1e-9)


_MIXES = np.array([m for m in product(range(13), repeat=3) if sum(m) == 12]) / 12


def _searched(items: list[Item], total: tuple[int, ...], cost: int) -> bool | None:
    """Branch and bound, largest items first."""
    order = sorted(items, key=lambda one: -max(n / t if t else 0 for n, t in zip(one[0], total, strict=True)))
    stack = [(0, total, 0)]
    steps = 0
    while stack:
        index, left, worth = stack.pop()
        steps += 1
        if steps > MOST_STEPS // len(items):
            return None
        rest = [one for one in order[index:] if all(n <= t for n, t in zip(one[0], left, strict=True))]
        if worth > cost:
            return True
        if not rest or worth + _relaxed(rest, left) <= cost:
            continue
        needs, value, there = rest[0]
        index = order.index(rest[0])
        most = min(there, *(t // n for n, t in zip(needs, left, strict=True) if n))
        for count in range(most + 1):
            after = tuple(t - n * count for n, t in zip(needs, left, strict=True))
            stack.append((index + 1, after, worth + value * count))
    return False
