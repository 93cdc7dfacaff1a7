"""`not` and `xor` over amounts, judged on all rows at once (contract matching.md C2).

Only for criteria that a part's own slots cannot change: amounts of dimensions it takes nothing of, and no word of
exclusivity or shared resources. Then one look holds for all slots that are placed on a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autoscale_aks.matching.alternatives import Picks, Rejects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autoscale_aks.matching.alternatives import Alternative
    from autoscale_aks.planning.demand import Part
    from autoscale_aks.planning.places import Column
    from autoscale_aks.planning.space import Space


def is_steady(part: Part, space: Space) -> bool:
    """Whether the part's moving criteria stay as they are while its own slots are placed."""
    spoken: set[str] = set()
    for alternative in part.alternatives:
        for inner in _nested(alternative.moving, set()):
            if inner.exclusive or inner.exclusive_task or inner.shared:
                return False
            spoken.update(need.name for need in inner.needs)
    taken = {need.name for alternative in part.alternatives for need in alternative.needs}
    return all(
        _dimensions(spoken, profile.kind.units).isdisjoint(_dimensions(taken, profile.kind.units))
        for profile, _ in space.schemas()
    )


def _dimensions(names: set[str], units: Any) -> set[str]:
    return {"memory" if name in units else name for name in names}


def _nested(criteria: Iterable[Any], seen: set[int]) -> Iterable[Alternative]:
    for criterion in criteria:
        if not isinstance(criterion, Rejects | Picks):
            continue
        for group in (criterion.alternatives,) if isinstance(criterion, Rejects) else criterion.children:
            if id(group) in seen:
                continue
            seen.add(id(group))
            for alternative in group:
                yield alternative
                yield from _nested((*alternative.moving, *alternative.criteria), seen)


def moving_mask(criteria: Sequence[Rejects | Picks], space: Space, kinds: Column, free: list[Column]) -> Column:
    """Truth by row: whether all these criteria hold. `kinds` and `free` are per row."""
    found = np.ones(len(kinds), bool)
    for criterion in criteria:
        if isinstance(criterion, Rejects):
            found &= ~_holds(criterion.alternatives, space, kinds, free)
            continue
        for index, child in enumerate(criterion.children):
            held = _holds(child, space, kinds, free)
            found &= held if index == criterion.index else ~held
    return found


def _holds(alternatives: Iterable[Alternative], space: Space, kinds: Column, free: list[Column]) -> Column:
    found = np.zeros(len(kinds), bool)
    for alternative in alternatives:
        for option, mask in space.bind(alternative):
            here = mask[kinds]
            for dimension, amount in option.needs:
                here = here & (free[dimension] >= amount)
            if alternative.moving:
                here = here & moving_mask(alternative.moving, space, kinds, free)
            found |= here
    return found
