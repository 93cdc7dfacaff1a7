"""A part of a job class as vectors see it: which kinds of node can take it, with which options, how many slots."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.masks import is_steady, moving_mask
from autoscale_aks.planning.nodestate import EMPTY, OPEN

if TYPE_CHECKING:
    from autoscale_aks.matching.alternatives import Alternative, Picks, Rejects
    from autoscale_aks.planning.demand import Part
    from autoscale_aks.planning.places import Column
    from autoscale_aks.planning.space import Option, Space
    from autoscale_aks.planning.table import NodeTable

PLENTY: Final = 1 << 40
"""Slots of a part that takes nothing: as many as anybody asks for (A10)."""


@dataclass(frozen=True, slots=True, eq=False)
class OptionGroup:
    """Kinds on which a part has the same options."""

    options: tuple[Option, ...]
    kinds: Column | None
    """Truth by kind; None: every kind."""

    @property
    def moving(self) -> tuple[Rejects | Picks, ...]:
        """Criteria on what is left; a group with any has one option."""
        return self.options[0].alternative.moving

    @property
    def takes_node(self) -> bool:
        """Whether one slot takes a node that must be empty (exclusive, or a lone exclusive task)."""
        return any(option.alternative.exclusive or option.alternative.exclusive_task for option in self.options)


@dataclass(slots=True, eq=False)
class PartView:
    """Vector view of a part. Parts whose criteria look at single nodes or at what is left have none (`is_vector`)."""

    part: Part
    space: Space
    groups: list[OptionGroup] = field(default_factory=list)
    is_vector: bool = True
    shared: tuple[Alternative, ...] = ()
    """Set when slots take shared resources: the one alternative there is."""
    is_plain: bool = False
    """Whether one set of amounts decides on every kind that may take it, and nothing else does."""
    needs: tuple[tuple[int, int], ...] = ()
    """What a slot of a plain part takes."""
    _options: dict[int, tuple[Option, ...]] = field(default_factory=dict)

    def plain_capacity(self, table: NodeTable, rows: Column, limit: int) -> Column:
        """`capacity` of some rows, of a plain part."""
        limit = min(limit, PLENTY)
        slots: Column = None
        for dimension, amount in self.needs:
            fits = table.free[dimension][rows] // amount
            slots = fits if slots is None else np.minimum(slots, fits)
        allowed = table.hold[rows] == OPEN
        kinds = self.groups[0].kinds
        if kinds is not None:
            allowed &= kinds[table.kind[rows]]
        if slots is None:
            return allowed * np.int64(limit)
        return np.maximum(np.minimum(slots, limit), 0) * allowed

    @property
    def has_cursor(self) -> bool:
        """Whether single slots may be placed where a cursor stands: rows that were refused stay refused."""
        return self.is_vector and not (self.shared or self.part.one_a_node or self.part.has_moving_criteria)

    def capacity(self, table: NodeTable, limit: int) -> Column:
        """Slots that one node of each row takes, at most `limit`; 0 where the part cannot be."""
        found: Column = np.zeros(table.size, np.int64)
        free = [column[: table.size] for column in table.free]
        is_open = table.hold[: table.size] == OPEN
        is_empty = table.tenant[: table.size] == EMPTY
        for group in self.groups:
            slots = _slots(group, free, limit)
            allowed = is_open & is_empty if group.takes_node else is_open
            if group.kinds is not None:
                allowed = allowed & group.kinds[table.kind[: table.size]]
            if group.moving:
                allowed = allowed & moving_mask(group.moving, self.space, table.kind[: table.size], free)
            found = np.where(allowed, slots, found)
        return found

    def capacity_of(self, table: NodeTable, row: int) -> int:
        """`capacity` of one row."""
        group = next(group for group in self.groups if group.kinds is None or group.kinds[table.kind[row]])
        if table.hold[row] != OPEN or (group.takes_node and table.tenant[row] != EMPTY):
            return 0
        return int(np.max(_slots(group, [column[row : row + 1] for column in table.free], 1 << 30)))

    def fresh(self, kinds: Column, totals: list[Column], limit: int) -> Column:
        """Slots that an empty node of each bucket takes; `kinds` and `totals` are per bucket."""
        found: Column = np.zeros(len(kinds), np.int64)
        for group in self.groups:
            slots = _slots(group, totals, limit)
            allowed = np.ones(len(kinds), bool) if group.kinds is None else group.kinds[kinds]
            if group.moving:
                allowed = allowed & moving_mask(group.moving, self.space, kinds, totals)
            found = np.where(allowed, slots, found)
        return found

    def scores(self, kinds: Column, totals: list[Column]) -> Column:
        """The preference score of the option that an empty node of each bucket takes first (P2); 0 where none fits."""
        found: Column = np.zeros(len(kinds), np.int64)
        for group in self.groups:
            here = np.ones(len(kinds), bool) if group.kinds is None else group.kinds[kinds]
            if group.moving:
                here = here & moving_mask(group.moving, self.space, kinds, totals)
            for option in group.options:
                fits = here & (_by_amounts(option, totals, 1) > 0)
                alternative = option.alternative
                score = sum((self.space.list_scores(one) for one in alternative.criteria), np.int64(alternative.score))
                found = np.where(fits, np.broadcast_to(score, self.space.kind_count)[kinds], found)
                here = here & ~fits
        return found

    def options_of(self, kind: int) -> tuple[Option, ...]:
        """The options on a kind of node."""
        if kind not in self._options:
            found = (group.options for group in self.groups if group.kinds is None or group.kinds[kind])
            self._options[kind] = next(found, ())
        return self._options[kind]


def _slots(group: OptionGroup, free: list[Column], limit: int) -> Column:
    """Slots by amounts: each option in turn as often as it fits on what the ones before it left (C2)."""
    if group.takes_node:
        limit = 1
    if len(group.options) == 1:
        return _by_amounts(group.options[0], free, limit)
    left = list(free)
    found: Column = np.int64(0)
    for option in group.options:
        slots = np.minimum(_by_amounts(option, left, limit), limit - found)
        found = found + slots
        for dimension, amount in option.needs:
            left[dimension] = left[dimension] - slots * amount
    return found


def _by_amounts(option: Option, free: list[Column], limit: int) -> Column:
    size = len(free[0]) if free else None
    slots: Column = None
    for dimension, amount in option.needs:
        fits = free[dimension] // amount
        slots = fits if slots is None else np.minimum(slots, fits)
    if slots is None:
        return np.int64(limit) if size is None else np.full(size, limit, np.int64)
    return np.clip(slots, 0, limit).astype(np.int64, copy=False)


def make_view(part: Part, space: Space) -> PartView:
    """The view of a part over every kind there is now."""
    view = PartView(part, is_vector=_is_vector(part, space), space=space)
    if not view.is_vector:
        return view
    view.shared = tuple(alternative for alternative in part.alternatives if alternative.shared)
    bound = [(option, mask) for alternative in part.alternatives for option, mask in space.bind(alternative)]
    if len(bound) > _MOST_OPTIONS:
        view.is_vector = False
        return view
    if len(bound) == 1:
        option, mask = bound[0]
        view.groups = [OptionGroup((option,), None if mask is space.every_kind else mask)]
        alternative = option.alternative
        takes_node = alternative.exclusive or alternative.exclusive_task
        view.is_plain = not (view.shared or takes_node or alternative.moving)
        view.needs = option.needs
        return view
    codes = np.zeros(space.kind_count, np.int64)
    for number, (_, mask) in enumerate(bound):
        codes |= mask.astype(np.int64) << number
    for code in sorted(set(codes[codes > 0].tolist())):
        options = tuple(option for number, (option, _) in enumerate(bound) if code >> number & 1)
        group = OptionGroup(options, codes == code)
        is_plain = not group.takes_node and not any(option.alternative.moving for option in options)
        view.is_vector = view.is_vector and (len(options) == 1 or is_plain)
        view.groups.append(group)
    return view


_MOST_OPTIONS: Final = 60


def _is_vector(part: Part, space: Space) -> bool:
    """Whether slots can be counted by amounts alone, node by node and independent of the job."""
    takes_shared = [alternative for alternative in part.alternatives if alternative.shared]
    if part.is_live or (takes_shared and len(part.alternatives) > 1):
        return False
    if part.has_moving_criteria and not is_steady(part, space):
        return False
    if any(alternative.exclusive_task for alternative in part.alternatives) and part.slots != 1:
        return False
    return not any(shared.once for alternative in takes_shared for shared in alternative.shared)
