"""How many slots one node takes, in closed form (contract matching.md C2, A2, A10)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from autoscale_aks.matching.alternatives import Picks, Rejects
from autoscale_aks.matching.evaluate import criterion_holds
from autoscale_aks.planning.nodestate import EMPTY, HELD, MIXED, OPEN, SEALED, NodeState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autoscale_aks.matching.alternatives import Alternative
    from autoscale_aks.matching.profile import Profile
    from autoscale_aks.planning.space import Option, Space
    from autoscale_aks.units import Number


@dataclass(slots=True)
class SharedPool:
    """Licences and other shared consumables: what is left (C5)."""

    left: dict[str, Number] = field(default_factory=dict)

    def fork(self) -> SharedPool:
        """A copy on which placements can be tried."""
        return SharedPool(dict(self.left))

    def slots(self, alternative: Alternative, paid: frozenset[str]) -> int | None:
        """How many slots its shared needs allow; None: any number. `paid` sources were taken once already."""
        allowed: int | None = None
        for source, per_slot, once in shared_needs(alternative):
            left = self.left.get(source)
            if left is None:
                return 0
            rest = left - (0 if source in paid else once)
            if rest < per_slot:
                return 0
            if per_slot:
                count = int(rest // per_slot)
                allowed = count if allowed is None else min(allowed, count)
        return allowed

    def take(self, alternative: Alternative, slots: int, paid: frozenset[str]) -> frozenset[str]:
        """Charge that many slots; returns the sources that this job has now paid once."""
        for source, per_slot, once in shared_needs(alternative):
            self.left[source] -= per_slot * slots + (0 if source in paid else once)
            if once:
                paid |= {source}
        return paid


def shared_needs(alternative: Alternative) -> tuple[tuple[str, Number, Number], ...]:
    """Per source, what all requirements together take a slot and once a job."""
    needs: dict[str, tuple[Number, Number]] = {}
    for shared in alternative.shared:
        for source in shared.sources:
            per_slot, once = needs.get(source, (0, 0))
            needs[source] = (per_slot, once + shared.amount) if shared.once else (per_slot + shared.amount, once)
    return tuple((source, per_slot, once) for source, (per_slot, once) in needs.items())


@dataclass(slots=True)
class _View:
    """A node state as criteria look at it."""

    state: NodeState
    job: int
    space: Space
    shared: SharedPool

    @property
    def busy(self) -> bool:
        return self.state.tenant != EMPTY

    @property
    def foreign(self) -> bool:
        return self.state.tenant not in {EMPTY, self.job}

    def left(self, dimension: str) -> Number | None:
        number = self.space.dimensions.get(dimension)
        left = None if number is None else self.state.free[number]
        return None if number is None or left is None else self.space.unscaled(number, left)

    def shared_left(self, source: str) -> Number | None:
        return self.shared.left.get(source)


@dataclass(frozen=True, slots=True)
class Filling:
    """Slots that go on one node one after the other, the node afterwards, and how often each option counted."""

    slots: int
    state: NodeState
    used: tuple[tuple[Option, int], ...] = ()
    paid: frozenset[str] = frozenset()


def fill(
    options: Sequence[Option], state: NodeState, limit: int, job: int, shared: SharedPool, context: FillContext
) -> Filling:
    """Place up to `limit` slots of one job on one node; changes nothing.

    Before each slot the first option that fits counts (C2). Equal steps are taken at once: an option is used
    until it no longer fits, or until a `not`/`xor` over amounts may change its mind.
    """
    pool = shared.fork() if context.uses_shared else shared
    paid = context.paid
    used: list[tuple[Option, int]] = []
    slots = 0
    while slots < limit:
        option, count = _first_fit(options, state, limit - slots, job, pool, context, paid)
        if option is None:
            break
        if context.uses_shared:
            paid = pool.take(option.alternative, count, paid)
        state = _after(option, state, count, job)
        slots += count
        used.append((option, count))
    return Filling(slots, state, tuple(used), paid)


@dataclass(frozen=True, slots=True)
class FillContext:
    """What filling needs to know of the part and the job beside the node."""

    profile: Profile
    space: Space
    uses_shared: bool
    has_moving: bool
    paid: frozenset[str] = frozenset()


def _first_fit(
    options: Sequence[Option],
    state: NodeState,
    limit: int,
    job: int,
    shared: SharedPool,
    context: FillContext,
    paid: frozenset[str],
) -> tuple[Option | None, int]:
    for option in options:
        count = _slots_of(option, state, limit, job)
        if count and context.uses_shared:
            allowed = shared.slots(option.alternative, paid)
            count = count if allowed is None else min(count, allowed)
        if count and context.has_moving:
            view = _View(state, job, context.space, shared)
            moving = option.alternative.moving
            if not all(criterion_holds(criterion, context.profile, view) for criterion in moving):
                continue
            count = min(count, _until_change(options, option, state, replace(context, paid=paid), shared))
        if count:
            return option, count
    return None, 0


def _slots_of(option: Option, state: NodeState, limit: int, job: int) -> int:
    """How many slots of an option fit by amounts and exclusivity."""
    if state.hold != OPEN and not (state.hold == HELD and state.tenant == job):
        return 0
    alternative = option.alternative
    if alternative.exclusive:
        if state.tenant != EMPTY:
            return 0
        limit = min(limit, 1)
    elif alternative.exclusive_task and state.tenant not in {EMPTY, job}:
        return 0
    for dimension, amount in option.needs:
        left = state.free[dimension]
        if left is None:
            return 0
        limit = min(limit, left // amount)
    return limit


def _until_change(
    options: Sequence[Option], chosen: Option, state: NodeState, context: FillContext, shared: SharedPool
) -> int:
    """Slots before any `not`/`xor` of any option may judge the node differently."""
    if state.tenant == EMPTY:
        return 1
    steps = 1 << 60
    needs = dict(chosen.needs)
    for dimension, amount in _thresholds(options, context):
        left, step = state.free[dimension], needs.get(dimension)
        if step and left is not None and left >= amount:
            steps = min(steps, (left - amount) // step + 1)
    if not context.uses_shared:
        return steps
    taken = {source: (per_slot, once) for source, per_slot, once in shared_needs(chosen.alternative)}
    for source, threshold in _shared_thresholds(options):
        per_slot, once = taken.get(source, (0, 0))
        left_of_it = shared.left.get(source)
        if once and source not in context.paid:
            return 1
        if per_slot and left_of_it is not None and left_of_it >= threshold:
            steps = min(steps, int((left_of_it - threshold) // per_slot) + 1)
    return steps


def _shared_thresholds(options: Sequence[Option]) -> Iterable[tuple[str, Number]]:
    for option in options:
        for criterion in option.alternative.moving:
            for alternative in _inner(criterion):
                for source, per_slot, once in shared_needs(alternative):
                    yield source, per_slot + once


def _thresholds(options: Sequence[Option], context: FillContext) -> Iterable[tuple[int, int]]:
    for option in options:
        for criterion in option.alternative.moving:
            for alternative in _inner(criterion):
                asked: dict[str, Number] = {}
                for need in alternative.needs:
                    dimension, amount = context.profile.amount(need)
                    asked[dimension] = asked.get(dimension, 0) + amount
                for dimension, amount in asked.items():
                    number = context.space.dimensions.get(dimension)
                    if number is not None:
                        yield number, context.space.scaled(number, amount)


def _inner(criterion: Any, seen: set[int] | None = None) -> Iterable[Alternative]:
    """Every alternative inside a `not` or `xor`, each nested one once."""
    seen = set() if seen is None else seen
    groups = (criterion.alternatives,) if isinstance(criterion, Rejects) else criterion.children
    for group in groups:
        if id(group) in seen:
            continue
        seen.add(id(group))
        for alternative in group:
            yield alternative
            for nested in (*alternative.moving, *alternative.criteria):
                if isinstance(nested, Rejects | Picks):
                    yield from _inner(nested, seen)


def _after(option: Option, state: NodeState, slots: int, job: int) -> NodeState:
    """The node once `slots` of an option are on it."""
    free = state.free
    if option.needs:
        left = list(free)
        for dimension, amount in option.needs:
            left[dimension] -= amount * slots  # type: ignore[operator]
        free = tuple(left)
    tenant = job if state.tenant in {EMPTY, job} else MIXED
    hold = state.hold
    if option.alternative.exclusive:
        hold = SEALED
    elif option.alternative.exclusive_task:
        hold = HELD
    return NodeState(free, tenant, hold)
