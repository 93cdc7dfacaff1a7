"""A part's way over the places: where it may be, best first (contract matching.md P1–P3, A3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.space import STRAYS, UNMANAGED
from autoscale_aks.planning.table import NOT_A_PLACE, place_index

if TYPE_CHECKING:
    from autoscale_aks.planning.places import Column

_ON_PREMISE: Final = np.array([place_index(UNMANAGED)])
_STRAYED: Final = np.array([place_index(STRAYS)])


@dataclass(slots=True)
class Route:
    """A part's candidates in order. What few parts need of it is worked out when it is asked for."""

    fresh: Column
    """Per bucket, slots that an empty node takes; 0 where it cannot satisfy the part."""
    order: Column
    """Buckets, best first."""
    reachable: Column | None = None
    """Per bucket, whether the part may be there; None: everywhere."""
    is_bound: bool = False
    """Whether it must be in one of the buckets: not on-premise, nor on a node whose bucket left the configuration."""
    enabled: Column | None = None
    """Per bucket, whether it may ever get new nodes; None: every one."""
    held: Column | None = None
    """Per bucket, whether it may not be asked for new nodes now (back-off, throttle); None: none is held."""
    bucket_by_bucket: bool = False
    """Whether each bucket's new nodes come before the next bucket's nodes (A3, `placement_order: bucket`)."""
    _ranks: Column | None = None
    _sequence: Column | None = None
    _grows: Column | None = None
    _matching: list[int] | None = None
    _launchable: list[int] | None = None

    @property
    def place_count(self) -> int:
        """Length of columns over places (`place_index`)."""
        return len(self.fresh) + 2

    @property
    def sequence(self) -> Column:
        """Where existing nodes may be used (`place_index`), best first, on-premise ones at the head."""
        if self._sequence is None:
            order = self.order if self.reachable is None else self.order[self.reachable[self.order]]
            self._sequence = order + 2 if self.is_bound else np.concatenate([_ON_PREMISE, order + 2, _STRAYED])
        return self._sequence

    @property
    def ranks(self) -> Column:
        """Per place (`place_index`), its rank on the part's way; NOT_A_PLACE where the part cannot be."""
        if self._ranks is None:
            self._ranks = np.full(self.place_count, NOT_A_PLACE, np.int64)
            self._ranks[self.sequence] = np.arange(len(self.sequence))
        return self._ranks

    @property
    def matching(self) -> list[int]:
        """Buckets whose empty node satisfies the part, launchable or not (back-off, throttle), best first."""
        if self._matching is None:
            usable = self.fresh > 0
            for mask in (self.reachable, self.enabled):
                usable = usable if mask is None else usable & mask
            self._matching = self.order[usable[self.order]].tolist()
        return self._matching

    @property
    def launchable(self) -> list[int]:
        """Buckets whose empty node satisfies the part and which may get new nodes, best first (P1, P2, P3)."""
        if self._launchable is None:
            held = self.held
            self._launchable = self.matching if held is None else [one for one in self.matching if not held[one]]
        return self._launchable

    @property
    def grows(self) -> Column:
        """Truth by place (`place_index`): whether it may get new nodes."""
        if self._grows is None:
            self._grows = np.zeros(self.place_count, bool)
            self._grows[[place_index(bucket) for bucket in self.launchable]] = True
        return self._grows

    @property
    def places(self) -> list[int]:
        """`sequence` as numbers of places."""
        return (self.sequence - 2).tolist()  # type: ignore[no-any-return]

    def slots_of(self, bucket: int) -> int:
        """Slots that an empty node of a bucket takes."""
        return int(self.fresh[bucket])
