"""What `reconcile` may ask of Azure beside AKS.

Assumptions behind every method (user asks T09e, T17b):

1. **Nothing is raised.** A source that cannot be asked gives its last answer with `is_stale` and the reason, or no
   value at all. What is missing never stops a cycle and never blocks a machine (matching.md L4).
2. **Every question ends** at the deadline of its `SourceRule`.
3. **A cycle does not wait for a slow source.** After `prepare` an answer is waited for as long as its rule says a cycle
   does, all of them together; one that comes later is used when it is next asked for.
4. **Only GETs are sent.**
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.model.sizes import LiveSize, PoolFacts, Reading, SizePrices, SubnetView, Usage


class ReferencePort(Protocol):
    """Sizes, quota, prices, addresses."""

    def prepare(self, locations: Iterable[str], subnets: Iterable[str] = (), *, most_s: float | None = None) -> None:
        """A cycle will want the sizes, prices and quota of these locations, the pools, and these subnets: begin to ask
        for all of it at once. From here on no answer is waited for longer than `most_s` seconds after it was asked
        (None: as it was said before).
        """
        ...

    def sizes(self, location: str) -> Reading[Mapping[str, LiveSize]]:
        """The sizes of a location, by case-folded name."""
        ...

    def prices(self, location: str) -> Reading[Mapping[str, SizePrices]]:
        """The retail prices of a location, by case-folded size."""
        ...

    def usages(self, location: str) -> Reading[Mapping[str, Usage]]:
        """The quota counters of a location, by name without spaces and letter case."""
        ...

    def pools(self) -> Reading[tuple[PoolFacts, ...]]:
        """The cluster's agent pools."""
        ...

    def subnet(self, subnet_id: str) -> Reading[SubnetView]:
        """The addresses of one subnet, by its resource id."""
        ...
