"""Placing jobs by the rules of A0: heaps of slots, and gangs that are placed whole or not at all (A4–A6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.model.bucket import Bucket
from autoscale_aks.model.policy import PlacementOrder
from autoscale_aks.planning.demand import Rule
from autoscale_aks.planning.limit_tree import add_bucket
from autoscale_aks.planning.ranking import may_launch
from autoscale_aks.planning.records import Order
from autoscale_aks.planning.routes import Route
from autoscale_aks.planning.table import place_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.planning.demand import Part
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.places import Column


@dataclass(frozen=True, slots=True)
class Gang:
    """One job that is only useful whole: its parts, its record, and whose work it is."""

    parts: tuple[Part, ...]
    job: int
    tenant: int

    def order(self, part: Part) -> Order:
        """The slots of one part."""
        return Order(part, self.job, self.tenant)


def place_heap(state: State, order: Order, route: Route, wanted: int) -> int:
    """Slots of a job, or of many alike, along the route: as many as fit (A2, A3). Returns slots placed."""
    if route.bucket_by_bucket:
        placed = 0
        for place in route.places:
            placed += state.place_on_existing(order, route, wanted - placed, place)
            if place in route.launchable:
                placed += state.place_on_new(order, place, wanted - placed)
        return placed
    placed = state.place_on_existing(order, route, wanted)
    closed = state.limits.closed
    for bucket in route.launchable if placed < wanted else ():
        if bucket in closed:
            continue
        placed += state.place_on_new(order, bucket, wanted - placed)
        if placed >= wanted:
            break
    return placed


def place_gang(state: State, gang: Gang, route_of: Callable[[Part], Route], policy: Policy) -> bool:
    """All parts of a job or none (A4, A5, A6). Tries on a fork; a failed try leaves nothing behind (A7)."""
    tried = state.fork()
    if gang.parts[0].is_colocated:
        done = _place_colocated(tried, gang, route_of, policy)
    else:
        done = all(_place_part(tried, gang.order(part), route_of(part), policy) for part in gang.parts)
    if done:
        state.adopt(tried)
    return done


def _place_part(state: State, order: Order, route: Route, policy: Policy) -> bool:
    """One part whole: in one place where one can take it, else spread unless it must be colocated (A4)."""
    for place in _whole_choices(state, order, route, policy):
        tried = state.fork()
        if _place_in(tried, order, place, route):
            state.adopt(tried)
            return True
    return not order.part.is_colocated and _spread(state, order, route)


def _spread(state: State, order: Order, route: Route) -> bool:
    """Over the candidates in order, whole or not at all (A4)."""
    tried = state.fork()
    if place_heap(tried, order, route, order.part.slots) < order.part.slots:
        return False
    state.adopt(tried)
    return True


def _whole_choices(state: State, order: Order, route: Route, policy: Policy) -> Iterator[int]:
    """Places that can take the gang whole: fewest new nodes first, ties in route order (A4). Found as they are asked
    for: mostly the first one is taken."""
    sequence = route.sequence
    missing = np.maximum(order.part.slots - _slots_by_place(state, order, route)[sequence], 0)
    usable = (missing == 0) | route.grows[sequence]
    sequence, missing = sequence[usable], missing[usable]
    fresh = np.maximum(np.concatenate([_NO_BUCKETS, route.fresh])[sequence], 1)
    new = -(-missing // fresh)
    best = (
        np.argsort(new, kind="stable") if policy.placement_order is PlacementOrder.EXISTING_FIRST else range(len(new))
    )
    for index in best:
        place = int(sequence[index]) - 2
        if not new[index] or new[index] <= state.limits.available(place):
            yield place


_NO_BUCKETS: Final = np.ones(2, np.int64)


def _slots_by_place(state: State, order: Order, route: Route) -> Column:
    """By place (`place_index`), slots that its nodes would take of the gang; changes nothing."""
    wanted = order.part.slots
    table = state.table
    if state.view(order.part).is_vector:
        each, rows = state.capacities(order, route.ranks, wanted, None)
        slots = np.minimum(each * table.count[rows], wanted)
        return np.bincount(table.place[rows], weights=slots, minlength=route.place_count).astype(np.int64)
    found = np.zeros(route.place_count, np.int64)
    for row in state.candidates(order, route.ranks, None).tolist():
        limit = 1 if order.part.one_a_node else wanted
        filling = state.try_fill(order, table.profiles[row], table.state(row), limit)
        if filling is not None:
            found[table.place[row]] += filling.slots * int(table.count[row])
    return found


def place_alike(state: State, order: Order, route: Route, policy: Policy, most: int) -> int:
    """Up to `most` equal gangs where the next one goes, when they all go there; returns how many were placed.

    A gang that needs no new node takes the same nodes as the one before it, as long as each of them has room: the
    place that was best stays best, and nodes that were passed over stay too full. 0: the next gang needs more thought.
    """
    part, view = order.part, state.view(order.part)
    if not view.is_plain or part.rule is Rule.PACK_GANG:
        return 0
    place = next(_whole_choices(state, order, route, policy), None)
    if place is None:
        return 0
    table = state.table
    rows = table.index.rows_of(place_index(place), table.key)
    slots = view.plain_capacity(table, rows, part.slots * most)
    usable = slots.nonzero()[0]
    rows, slots = rows[usable], slots[usable]
    if part.one_a_node:
        reached = np.cumsum(table.count[rows])
        last = int(np.searchsorted(reached, part.slots))
        if last >= len(rows):
            return 0
        gangs = min(most, int(slots[: last + 1].min()))
        before = int(reached[last - 1]) if last else 0
        if last:
            state.charge_rows(order, view, rows[:last], np.full(last, gangs, np.int64))
        state.take_row(order, view, int(rows[last]), part.slots - before, gangs)
        return gangs
    if not len(rows) or slots[0] < part.slots:
        return 0
    gangs = min(most, int(slots[0]) // part.slots)
    state.take_row(order, view, int(rows[0]), 1, gangs * part.slots)
    return gangs


def _place_in(state: State, order: Order, place: int, route: Route) -> bool:
    """The whole gang in one place: its nodes, then new ones."""
    wanted = order.part.slots
    if order.part.rule is Rule.PACK_GANG:
        placed = _place_on_roomiest(state, order, route, place)
    else:
        placed = state.place_on_existing(order, route, wanted, place)
    if placed < wanted and place in route.launchable:
        placed += state.place_on_new(order, place, wanted - placed)
    return placed == wanted


def _place_on_roomiest(state: State, order: Order, route: Route, place: int) -> int:
    """Existing nodes with the most room first, so that as few nodes as possible are used."""
    wanted, placed = order.part.slots, 0
    while placed < wanted:
        best, most = None, 0
        for row in state.candidates(order, route.ranks, place).tolist():
            filling = state.try_fill(order, state.table.profiles[row], state.table.state(row), wanted - placed)
            if filling is not None and filling.slots > most:
                best, most = row, filling.slots
        if best is None:
            break
        placed += state.fill_one_row(order, best, wanted - placed)
    return placed


def _place_colocated(state: State, gang: Gang, route_of: Callable[[Part], Route], policy: Policy) -> bool:
    """All parts in one placement group: a known one, or a new one where the node array allows it (A5)."""
    route = route_of(gang.parts[0])
    buckets = state.space.buckets
    for place in _whole_choices(state, gang.order(gang.parts[0]), route, policy):
        group = buckets[place].array.name, buckets[place].placement_group
        tried = state.fork()
        if not _place_in(tried, gang.order(gang.parts[0]), place, route):
            continue
        others = (_within(route_of(part), buckets, group) for part in gang.parts[1:])
        if all(
            _place_part(tried, gang.order(part), way, policy) for part, way in zip(gang.parts[1:], others, strict=True)
        ):
            state.adopt(tried)
            return True
    return any(_place_in_new_group(state, gang, array, route_of, policy) for array in state.space.snapshot.nodearrays)


def _within(route: Route, buckets: Sequence[Bucket], group: tuple[str, str | None]) -> Route:
    """The part of a route that lies in one placement group."""

    def inside(place: int) -> bool:
        return place >= 0 and (buckets[place].array.name, buckets[place].placement_group) == group

    places = [place for place in route.places if inside(place)]
    return _route_over(route.fresh, places, [place for place in route.launchable if inside(place)])


def _route_over(fresh: Column, places: list[int], launchable: list[int]) -> Route:
    """A route over few places, in this order."""
    order = np.array(places, np.int64)
    return Route(fresh, order, is_bound=True, _matching=launchable, _launchable=launchable)


def _place_in_new_group(
    state: State, gang: Gang, array: NodeArray, route_of: Callable[[Part], Route], policy: Policy
) -> bool:
    """All parts in a group that does not exist yet. Its buckets stay hidden from others until nodes are in it."""
    if not (array.new_placement_groups and array.enabled):
        return False
    space = state.space
    blocked = space.snapshot.blocked
    numbers = [number for number in open_group(state, array, policy) if may_launch(blocked, space, number)]
    tried = state.fork()
    for part in gang.parts:
        fresh = route_of(part).fresh
        usable = [number for number in numbers if fresh[number]]
        if not _place_part(tried, gang.order(part), _route_over(fresh, usable, usable), policy):
            return False
    tried.revealed |= {made.bucket for made in tried.new_nodes} & space.hidden
    state.adopt(tried)
    return True


def open_group(state: State, array: NodeArray, policy: Policy) -> list[int]:
    """Numbers of the buckets of an array's next new group, `NODEARRAY_pgN` with the lowest N not in use (A5)."""
    space, limits = state.space, state.limits
    used = {
        bucket.placement_group
        for number, bucket in enumerate(space.buckets)
        if bucket.array.name == array.name and (number not in space.hidden or number in state.revealed)
    }
    index = next(index for index in range(len(used) + 1) if f"{array.name}_pg{index}" not in used)
    numbers: list[int] = []
    for offering in array.offerings:
        number = space.add_bucket(Bucket(array, offering, f"{array.name}_pg{index}"))
        if number == len(limits.charges):
            add_bucket(limits, space.snapshot, policy, space.buckets[number])
            space.hidden.add(number)
        numbers.append(number)
    return numbers
