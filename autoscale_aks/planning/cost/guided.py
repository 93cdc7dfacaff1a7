"""Whole nodes by prices: the fillings worth most for what they cost are bought, a part of what is left at a time.

With slots at the prices of the part nodes nearly all of what is left is bought as well as part nodes are; what is left
at the end is not. Items that ended on nodes that lost much are dearer in the next try, and are bought earlier.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.cost.pricing import ask, quick_fillings
from autoscale_aks.planning.cost.problem import Filled

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import CostProblem, Meter, Packing
    from autoscale_aks.planning.places import Column

_AT_ONCE: Final = 0.1
"""Share of what is left that is bought before fillings are looked for anew."""
_MOST_AT_ONCE: Final = 0.5
_ROUNDS: Final = 3
"""At most, where little work is left: the share such that some rounds more, divided by it, are made with it."""
_NEAR: Final = 1e-3
"""How much less than the best a filling may be worth for its cost to be bought with it."""
_WIDE: Final = 0.03
_LEARNT: Final = 0.2
"""How much of what an item's nodes lost is added to its price, try by try."""
_MOST_LOST: Final = 2.0
_COLUMN_UNITS: Final = 60
"""How many slots of columns are looked at in a unit."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Prices of slots and limits at the part nodes, and columns: sizes, and slots (columns × items)."""

    slot_prices: Column
    limit_prices: Column
    sizes: Column
    slots: Column


def buy(problem: CostProblem, marks: Marks, meter: Meter, turn: int) -> Packing | None:
    """A packing; None where no size is left for some slot, or limits do not reach."""
    left, room, found = problem.demand, problem.room, list[Filled]()
    costs = problem.price + marks.limit_prices @ problem.charges
    share = _AT_ONCE
    while left.any():
        before = meter.left
        held = (problem.charges <= room[:, None]).all(axis=0)
        rest = replace(problem, demand=left, room=room, allowed=problem.allowed & held)
        if not rest.allowed[left > 0].any(axis=1).all():
            return None
        sizes, slots = _candidates(rest, marks, costs, meter, turn + len(found))
        worth = slots @ marks.slot_prices / costs[sizes]
        order = np.argsort(-worth, kind="stable")
        near = _NEAR * (share / _AT_ONCE) ** 2
        order = order[worth[order] >= worth[order[0]] - near] if len(order) else order
        value = share * float(left @ marks.slot_prices)
        bought = _bought(rest, costs, value, sizes[order], slots[order])
        if not bought:
            return None
        share = max(share, min(_ROUNDS * (before - meter.left) / max(meter.left, 1), _MOST_AT_ONCE))
        found += bought
        left = left - sum(one.slots * one.nodes for one in bought)
        room = room - sum((problem.charges[:, one.size] * one.nodes for one in bought), np.zeros_like(room))
    return tuple(found)


def _candidates(rest: CostProblem, marks: Marks, costs: Column, meter: Meter, turn: int) -> tuple[Column, Column]:
    """Fillings with no more than what is left: quick ones, and the columns, cut."""
    asked = ask(rest, marks.slot_prices, costs, fine=False)
    least = float((asked.upper / costs).max())
    quick = quick_fillings(asked, max(1 - least + _WIDE, _WIDE), turn)
    meter.spend(asked.work + quick.work + marks.slots.size // _COLUMN_UNITS)
    sizes = np.concatenate([quick.sizes, marks.sizes])
    slots = np.concatenate([quick.slots, np.minimum(marks.slots, rest.demand)])
    useful = rest.allowed.any(axis=0)[sizes] & slots.any(axis=1) & (slots <= rest.demand).all(axis=1)
    return sizes[useful], slots[useful]


def _bought(rest: CostProblem, costs: Column, share: float, sizes: Column, slots: Column) -> list[Filled]:
    """Of these fillings, best first, as many nodes as what is left allows, until they cost this share of it."""
    left, room, found = rest.demand.copy(), rest.room.copy(), list[Filled]()
    spent = 0.0
    for size, row in zip(sizes.tolist(), slots, strict=True):
        here = row > 0
        charged = rest.charges[:, size]
        nodes = int((left[here] // row[here]).min()) if here.any() else 0
        if charged.any():
            nodes = min(nodes, int((room[charged > 0] // charged[charged > 0]).min()))
        nodes = min(nodes, max(int(share / costs[size]), 1))
        if nodes <= 0:
            continue
        found.append(Filled(size, nodes, row))
        left -= row * nodes
        room -= charged * nodes
        spent += nodes * float(costs[size])
        if spent > share:
            break
    return found


def learnt(problem: CostProblem, marks: Marks, prices: Column, packing: Packing) -> Marks:
    """Marks with items dearer that stand on nodes which lost much at these prices."""
    costs = problem.price + marks.limit_prices @ problem.charges
    lost, slots = np.zeros(len(prices)), np.zeros(len(prices))
    for one in packing:
        ratio = min(float(costs[one.size]) / max(float(one.slots @ prices), 1e-9), _MOST_LOST)
        lost += one.slots * (one.nodes * ratio)
        slots += one.slots * one.nodes
    wanted = prices * np.where(slots > 0, lost / np.maximum(slots, 1), 1.0)
    return replace(marks, slot_prices=(1 - _LEARNT) * marks.slot_prices + _LEARNT * wanted)
