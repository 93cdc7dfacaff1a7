"""Constraints compiled once a class: an ordered list of alternatives without `or` (contract matching.md C2).

A job's constraints hold on a node when one of its alternatives does; the first that fits is the one that counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from autoscale_aks.errors import ConstraintError
from autoscale_aks.matching.constraint import (
    And,
    CapacityFailureBackoff,
    Constraint,
    CustomConstraint,
    Exclusive,
    ExclusiveTask,
    InPlacementGroup,
    MinResource,
    Never,
    NodeProperty,
    Not,
    Or,
    ResourceList,
    ResourceValue,
    SharedConsumable,
    SharedNonConsumable,
    Xor,
)
from autoscale_aks.matching.properties import is_live

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_ALTERNATIVES: Final = 1_024
"""Most combinations of `or` and `xor` choices one job may have."""


@dataclass(frozen=True, slots=True, eq=False)
class Rejects:
    """`not`, compiled: none of these alternatives holds on the node as it is."""

    alternatives: tuple[Alternative, ...]
    source: Not


@dataclass(frozen=True, slots=True, eq=False)
class Picks:
    """One choice of a `xor`, compiled: child `index` holds alone and no other child does."""

    children: tuple[tuple[Alternative, ...], ...]
    index: int
    source: Xor


Criterion: TypeAlias = (
    ResourceValue
    | ResourceList
    | NodeProperty
    | Never
    | InPlacementGroup
    | CapacityFailureBackoff
    | SharedNonConsumable
    | CustomConstraint
    | Rejects
    | Picks
)


@dataclass(frozen=True, slots=True, eq=False)
class Alternative:
    """A conjunction: fixed criteria, criteria on what is left, and what one slot takes."""

    criteria: tuple[Criterion, ...] = ()
    """Judged on facts that do not change while the plan is made; in document order."""
    moving: tuple[Rejects | Picks, ...] = ()
    """`not` and `xor` over amounts or exclusivity: judged on the node just before a slot is placed (C2)."""
    needs: tuple[MinResource, ...] = ()
    shared: tuple[SharedConsumable, ...] = ()
    exclusive: bool = False
    exclusive_task: bool = False
    score: int = 0
    """Preference of the `or` choices made: sum of (number of options − index) (P2)."""


def compile_alternatives(constraint: Constraint, path: str = "") -> tuple[Alternative, ...]:
    """All alternatives in document order. Raises ConstraintError when there are more than MAX_ALTERNATIVES."""
    return tuple(_expand(constraint, path))


def plain_needs(constraint: And) -> tuple[MinResource, ...] | None:
    """The amounts of a constraint that asks amounts and nothing else, in document order; None for any other."""
    found: list[MinResource] = []
    for child in constraint.children:
        if type(child) is MinResource:
            found.append(child)
            continue
        inner = plain_needs(child) if type(child) is And else None
        if inner is None:
            return None
        found += inner
    return tuple(found)


def speaks_of_tasks(criteria: Iterable[object]) -> bool:
    """Whether a `not` or `xor` rules on exclusive tasks, so that it matters whose work is on a node."""
    sources = (criterion.source for criterion in criteria if isinstance(criterion, Rejects | Picks))
    return any(_names_task(source) for source in sources)


def _names_task(constraint: Constraint) -> bool:
    if isinstance(constraint, And | Or | Xor):
        return any(_names_task(child) for child in constraint.children)
    if isinstance(constraint, Not):
        return _names_task(constraint.child)
    return isinstance(constraint, ExclusiveTask)


def amounts_in(constraint: Constraint) -> Iterator[MinResource]:
    """Every amount the constraint speaks of, asked for or ruled out."""
    if isinstance(constraint, MinResource):
        yield constraint
    elif isinstance(constraint, And | Or | Xor):
        for child in constraint.children:
            yield from amounts_in(child)
    elif isinstance(constraint, Not):
        yield from amounts_in(constraint.child)


def mentions_live(constraint: Constraint) -> bool:
    """Whether the constraint must be judged node by node rather than once a kind (P4)."""
    if isinstance(constraint, NodeProperty):
        return is_live(constraint.name) or constraint.name == "resources.ccnodeid"
    if isinstance(constraint, ResourceValue | ResourceList):
        return constraint.name == "ccnodeid"
    if isinstance(constraint, And | Or | Xor):
        return any(mentions_live(child) for child in constraint.children)
    if isinstance(constraint, Not):
        return mentions_live(constraint.child)
    return not isinstance(constraint, _FIXED)


def mentions_groups(constraint: Constraint) -> bool:
    """Whether the job speaks of placement groups (P3)."""
    if isinstance(constraint, InPlacementGroup):
        return True
    if isinstance(constraint, NodeProperty):
        return constraint.name in {"placement_group", "colocated"}
    if isinstance(constraint, And | Or | Xor):
        return any(mentions_groups(child) for child in constraint.children)
    return isinstance(constraint, Not) and mentions_groups(constraint.child)


_FIXED = (
    MinResource,
    Never,
    Exclusive,
    ExclusiveTask,
    InPlacementGroup,
    CapacityFailureBackoff,
    SharedConsumable,
    SharedNonConsumable,
)


def _expand(constraint: Constraint, path: str) -> list[Alternative]:
    if isinstance(constraint, And):
        return _product((_expand(child, path) for child in constraint.children), path)
    if isinstance(constraint, Or):
        options = len(constraint.children)
        found = [
            _with_score(choice, options - index)
            for index, child in enumerate(constraint.children)
            for choice in _expand(child, path)
        ]
        return _bounded(found, path)
    if isinstance(constraint, Xor):
        return _expand_xor(constraint, path)
    return [_single(constraint, path)]


def _single(constraint: Constraint, path: str) -> Alternative:
    if isinstance(constraint, MinResource):
        return Alternative(needs=(constraint,))
    if isinstance(constraint, SharedConsumable):
        return Alternative(shared=(constraint,))
    if isinstance(constraint, Exclusive):
        return Alternative(exclusive=constraint.wanted)
    if isinstance(constraint, ExclusiveTask):
        return Alternative(exclusive_task=constraint.wanted)
    if isinstance(constraint, Not):
        rejects = Rejects(tuple(_expand(constraint.child, path)), constraint)
        return _judged(rejects, rejects.alternatives)
    if isinstance(constraint, And | Or | Xor):
        raise ConstraintError.at(path, "expected a single criterion")
    return Alternative(criteria=(constraint,))


def _expand_xor(xor: Xor, path: str) -> list[Alternative]:
    children = tuple(tuple(_expand(child, path)) for child in xor.children)
    every = [alternative for child in children for alternative in child]
    found = [
        _joined(_judged(Picks(children, index, xor), every), alternative)
        for index, child in enumerate(children)
        for alternative in child
    ]
    return _bounded(found, path)


def _judged(criterion: Rejects | Picks, parts: Iterable[Alternative]) -> Alternative:
    """A criterion is fixed when nothing it speaks of changes as slots are placed."""
    if all(_is_fixed(part) for part in parts):
        return Alternative(criteria=(criterion,))
    return Alternative(moving=(criterion,))


def _is_fixed(part: Alternative) -> bool:
    takes = part.exclusive or part.exclusive_task or part.shared or part.moving
    return not takes and all(_is_zero(need) for need in part.needs)


def _is_zero(need: MinResource) -> bool:
    return need.amount == 0 or getattr(need.amount, "bytes", None) == 0


def _product(parts: Iterable[list[Alternative]], path: str) -> list[Alternative]:
    combined = [Alternative()]
    for part in parts:
        combined = _bounded(
            [_joined(left, right) for left in combined for right in part],
            path,
            too_many=len(combined) * len(part),
        )
    return combined


def _bounded(found: list[Alternative], path: str, too_many: int = 0) -> list[Alternative]:
    if max(len(found), too_many) > MAX_ALTERNATIVES:
        raise ConstraintError.at(path, f"more than {MAX_ALTERNATIVES} combinations of alternatives; use fewer `or`s")
    return found


def _joined(left: Alternative, right: Alternative) -> Alternative:
    return Alternative(
        criteria=left.criteria + right.criteria,
        moving=left.moving + right.moving,
        needs=left.needs + right.needs,
        shared=left.shared + right.shared,
        exclusive=left.exclusive or right.exclusive,
        exclusive_task=left.exclusive_task or right.exclusive_task,
        score=left.score + right.score,
    )


def _with_score(choice: Alternative, score: int) -> Alternative:
    return _joined(Alternative(score=score), choice)
