"""Judging criteria: on fixed facts, and on what is left of a node (contract matching.md §5, V3–V5, C2, C3)."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeGuard

from autoscale_aks.matching.alternatives import Alternative, Criterion, Picks, Rejects
from autoscale_aks.matching.constraint import (
    CapacityFailureBackoff,
    InPlacementGroup,
    Never,
    NodeProperty,
    ResourceList,
    ResourceValue,
    SharedNonConsumable,
)
from autoscale_aks.matching.profile import MEMORY
from autoscale_aks.model.reason import Miss
from autoscale_aks.units import Number, Size, Value, format_value, number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.matching.profile import Profile


class Remaining(Protocol):
    """What is left of one node just before a slot is placed."""

    @property
    def busy(self) -> bool:
        """Whether any work is on it."""
        ...

    @property
    def foreign(self) -> bool:
        """Whether another job's work is on it."""
        ...

    def left(self, dimension: str) -> Number | None:
        """What is left of a dimension; None when the node defines no such amount."""
        ...

    def shared_left(self, source: str) -> Number | None:
        """What is left of a shared resource; None when there is none of that name."""
        ...


@dataclass(frozen=True, slots=True)
class Untouched:
    """An empty node of a kind: everything is left, nothing runs there."""

    profile: Profile
    busy: bool = False
    foreign: bool = False

    def left(self, dimension: str) -> Number | None:
        """Its total."""
        return self.profile.total(dimension)

    def shared_left(self, source: str) -> Number | None:
        """What is left of it at the start."""
        shared = self.profile.kind.shared.get(source)
        return None if shared is None else number_of(shared.current)


_MAGIC: Final = frozenset("*?[")


def equal(actual: Any, wanted: Value) -> bool:
    """Whether a node's value is the wanted one: wildcards in strings (C3), sizes by their bytes (V4), never a
    boolean with a number (V2) or a number with a string (V5)."""
    if isinstance(actual, list | tuple):
        return any(equal(one, wanted) for one in actual)
    if isinstance(wanted, str):
        return isinstance(actual, str) and (actual == wanted or (_is_pattern(wanted) and fnmatchcase(actual, wanted)))
    if wanted is None or isinstance(wanted, bool) or actual is None or isinstance(actual, bool | str):
        return actual is wanted
    amount = number_of(actual)
    return amount is not None and amount == number_of(wanted)


def _is_pattern(text: str) -> bool:
    return not _MAGIC.isdisjoint(text)


def first_equal(actual: Any, values: Sequence[Value]) -> int | None:
    """Index of the first wanted value that the actual one equals."""
    for index, wanted in enumerate(values):
        if equal(actual, wanted):
            return index
    return None


def criterion_holds(
    criterion: Criterion | Rejects | Picks, profile: Profile, node: Remaining, known: Known | None = None
) -> bool:
    """Whether one criterion holds on a node. Fixed criteria never look at `node`."""
    if isinstance(criterion, NodeProperty):
        return first_equal(profile.property(criterion.name), criterion.values) is not None
    if isinstance(criterion, ResourceValue):
        return equal(profile.resource(criterion.name), criterion.value)
    if isinstance(criterion, ResourceList):
        return first_equal(profile.resource(criterion.name), criterion.values) is not None
    if isinstance(criterion, Rejects):
        return not holds_alone(criterion.alternatives, profile, node, known)
    if isinstance(criterion, Picks):
        return all(
            holds_alone(child, profile, node, known) == (index == criterion.index)
            for index, child in enumerate(criterion.children)
        )
    if isinstance(criterion, Never):
        return False
    return _bucket_criterion_holds(criterion, profile)


def _bucket_criterion_holds(criterion: Any, profile: Profile) -> bool:
    if isinstance(criterion, InPlacementGroup):
        return (profile.property("placement_group") is not None) == criterion.wanted
    if isinstance(criterion, CapacityFailureBackoff):
        bucket = profile.kind.bucket
        age = bucket.offering.last_capacity_failure if bucket else None
        return age is None or age > criterion.seconds
    if isinstance(criterion, SharedNonConsumable):
        shared = profile.kind.shared.get(criterion.resource)
        return shared is not None and equal(
            shared.value if shared.value is not None else shared.current, criterion.value
        )
    return bool(criterion.holds_on(profile))


Known: TypeAlias = dict[int, bool]
"""Verdicts on nested constraints by their identity: each is judged once a node, however often it is mentioned."""


def holds_alone(
    alternatives: tuple[Alternative, ...], profile: Profile, node: Remaining, known: Known | None = None
) -> bool:
    """Whether a constraint holds on a node as it is, judged alone: any of its alternatives does (C2)."""
    known = {} if known is None else known
    verdict = known.get(id(alternatives))
    if verdict is None:
        verdict = any(alternative_holds(alternative, profile, node, known) for alternative in alternatives)
        known[id(alternatives)] = verdict
    return verdict


def alternative_holds(alternative: Alternative, profile: Profile, node: Remaining, known: Known | None = None) -> bool:
    """Whether a conjunction holds on a node as it is."""
    if alternative.exclusive and node.busy:
        return False
    if alternative.exclusive_task and node.foreign:
        return False
    for criterion in (*alternative.criteria, *alternative.moving):
        if not criterion_holds(criterion, profile, node, known):
            return False
    return _needs_fit(alternative, profile, node) and _shared_fits(alternative, node)


def _needs_fit(alternative: Alternative, profile: Profile, node: Remaining) -> bool:
    asked: dict[str, Number] = {}
    for need in alternative.needs:
        dimension, amount = profile.amount(need)
        if amount == 0 and profile.resource(need.name) is None:
            return False
        if amount:
            asked[dimension] = asked.get(dimension, 0) + amount
    for dimension, amount in asked.items():
        left = node.left(dimension)
        if left is None or left < amount:
            return False
    return True


def _shared_fits(alternative: Alternative, node: Remaining) -> bool:
    asked: dict[str, Number] = {}
    for shared in alternative.shared:
        for source in shared.sources:
            asked[source] = asked.get(source, 0) + shared.amount
    for source, amount in asked.items():
        left = node.shared_left(source)
        if left is None or left < amount:
            return False
    return True


def preference_score(alternative: Alternative, profile: Profile) -> int:
    """P2: `or` choices made, plus (options − index of the first that holds) of every list."""
    return alternative.score + sum(list_score(criterion, profile) for criterion in alternative.criteria)


def is_preference(criterion: Criterion) -> TypeGuard[NodeProperty | ResourceList]:
    """Whether a criterion lists values of which earlier ones are preferred."""
    return isinstance(criterion, ResourceList) or (isinstance(criterion, NodeProperty) and criterion.is_list)


def list_score(criterion: Criterion, profile: Profile) -> int:
    """P2 of one criterion: options − index of the first that holds; 0 where it is no list or none holds."""
    if isinstance(criterion, NodeProperty) and criterion.is_list:
        index = first_equal(profile.property(criterion.name), criterion.values)
    elif isinstance(criterion, ResourceList):
        index = first_equal(profile.resource(criterion.name), criterion.values)
    else:
        return 0
    return 0 if index is None else len(criterion.values) - index


def first_miss(alternative: Alternative, profile: Profile) -> Miss | None:
    """The first criterion that fails on an empty node, with what was wanted and what is offered; None: it holds."""
    empty = Untouched(profile)
    for criterion in (*alternative.criteria, *alternative.moving):
        if not criterion_holds(criterion, profile, empty):
            return _describe(criterion, profile)
    return next(iter(amount_misses(alternative, profile)), None)


TOO_LITTLE: Final = "too little"
"""Note of a miss whose amount is there, but smaller than what is asked."""


def amount_misses(alternative: Alternative, profile: Profile) -> tuple[Miss, ...]:
    """Every amount that an empty node of this kind does not hold."""
    asked: dict[str, Number] = {}
    misses: dict[str, Miss] = {}
    for need in alternative.needs:
        dimension, amount = profile.amount(need)
        asked[dimension] = asked.get(dimension, 0) + amount
        total, offered = profile.total(dimension), profile.resource(need.name)
        if total is None:
            if amount or offered is None:
                note = "not an amount" if offered is not None else "not defined here"
                misses[need.name] = Miss(need.name, need.amount, offered, note)
        elif total < asked[dimension]:
            is_size = dimension == MEMORY or isinstance(offered, Size)  # a site's own sizes are read as sizes, too
            wanted, largest = (Size(amount) if is_size else amount for amount in (asked[dimension], total))
            misses[need.name] = Miss(need.name, wanted, largest, TOO_LITTLE)
    return tuple(misses.values())


def _describe(criterion: Any, profile: Profile) -> Miss:
    if isinstance(criterion, NodeProperty):
        wanted = " or ".join(format_value(value) for value in criterion.values)
        return Miss(f"node.{criterion.name}", wanted, _scalar(profile.property(criterion.name)))
    if isinstance(criterion, ResourceValue):
        return Miss(criterion.name, criterion.value, profile.resource(criterion.name))
    if isinstance(criterion, ResourceList):
        wanted = " or ".join(format_value(value) for value in criterion.values)
        return Miss(criterion.name, wanted, profile.resource(criterion.name))
    if isinstance(criterion, Never):
        return Miss("never", None, None, criterion.why)
    if isinstance(criterion, InPlacementGroup):
        return Miss("in-a-placement-group", criterion.wanted, not criterion.wanted)
    if isinstance(criterion, CapacityFailureBackoff):
        bucket = profile.kind.bucket
        age = bucket.offering.last_capacity_failure if bucket else None
        return Miss(
            "capacity-failure-backoff", criterion.seconds, None if age is None else int(age), "failed too recently"
        )
    if isinstance(criterion, SharedNonConsumable):
        shared = profile.kind.shared.get(criterion.resource)
        return Miss(criterion.resource, criterion.value, None if shared is None else shared.value, "shared value")
    if isinstance(criterion, Rejects):
        return Miss("not", None, None, "the node satisfies what the job rules out")
    if isinstance(criterion, Picks):
        return Miss("xor", None, None, "not exactly one of the choices holds")
    return Miss(str(criterion.kind), None, None, "site constraint")


def _scalar(value: Any) -> Value:
    return value if value is None or isinstance(value, bool | int | str) or number_of(value) is not None else str(value)
