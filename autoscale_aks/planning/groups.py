"""Placing jobs by the rules of A0: heaps of slots, and gangs that are placed whole or not at all (A4–A6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autoscale_aks.model.bucket import Bucket
from autoscale_aks.model.policy import PlacementOrder
from autoscale_aks.planning.demand import Rule
from autoscale_aks.planning.limit_tree import add_bucket
from autoscale_aks.planning.ranking import Route, may_launch
from autoscale_aks.planning.records import Order
from autoscale_aks.planning.table import NOT_A_PLACE, place_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.planning.demand import Part
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.table import Column


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
    wanted = order.part.slots
    there = _slots_by_place(state, order, route)
    places = route.places
    may_grow = set(route.launchable)
    needed: list[tuple[int, int, int]] = []
    for rank, place in enumerate(places):
        missing = wanted - there.get(place, 0)
        if missing > 0 and place not in may_grow:
            continue
        new = -(-missing // min(route.slots_of(place), missing)) if missing > 0 else 0
        first = new if policy.placement_order is PlacementOrder.EXISTING_FIRST else 0
        needed.append((first, rank, new))
    needed.sort()
    for _, rank, new in needed:
        if not new or new <= state.limits.available(places[rank]):
            yield places[rank]


def _slots_by_place(state: State, order: Order, route: Route) -> dict[int, int]:
    """Slots that the nodes of each place would take of the gang; changes nothing."""
    wanted = order.part.slots
    table = state.table
    found: dict[int, int] = {}
    if state.view(order.part).is_vector:
        each, rows = state.capacities(order, route.ranks, wanted, None)
        slots = np.minimum(each * table.count[rows], wanted)
        for index, total in zip(*_sums(table.place[rows], slots), strict=True):
            found[int(index) - 2] = int(total)
        return found
    for row in state.candidates(order, route.ranks, None).tolist():
        limit = 1 if order.part.one_a_node else wanted
        filling = state.try_fill(order, table.profiles[row], table.state(row), limit)
        if filling is not None:
            place = int(table.place[row]) - 2
            found[place] = found.get(place, 0) + filling.slots * int(table.count[row])
    return found


def _sums(places: Column, slots: Column) -> tuple[Column, Column]:
    """Distinct places and the sum of slots in each."""
    distinct, inverse = np.unique(places, return_inverse=True)
    return distinct, np.bincount(inverse, weights=slots, minlength=len(distinct)).astype(np.int64)


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
    ranks = np.full(len(fresh) + 2, NOT_A_PLACE, np.int64)
    for rank, place in enumerate(places):
        ranks[place_index(place)] = rank
    return Route(ranks, fresh, np.array(places, np.int64), _matching=launchable, _launchable=launchable)


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
