"""Who took the room, or the licences, that a waiting job would have needed (contract matching.md §9)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autoscale_aks.planning.outcomes import first_nodes
from autoscale_aks.planning.space import STRAYS, UNMANAGED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.model.job import Job
    from autoscale_aks.planning.demand import JobClass
    from autoscale_aks.planning.packing import State

NAMED_JOBS: Final = 3
"""How many of the jobs that took the room are named."""


@dataclass(slots=True)
class Takers:
    """Finds the first jobs that were placed somewhere. Placements are only added, so that first ones stay first."""

    jobs: Sequence[Job]
    class_of: Sequence[JobClass | None]
    state: State
    _found: dict[tuple[frozenset[int], frozenset[str]], tuple[str, ...]] = field(default_factory=dict)

    def names(self, places: Sequence[int], sources: frozenset[str]) -> tuple[str, ...]:
        """Names of the first few jobs in any of these places, or that take any of these shared resources."""
        key = frozenset(places), sources
        found = self._found.get(key)
        if found is None:
            found = self._find(*key)
            if len(found) == NAMED_JOBS:
                self._found[key] = found
        return found

    def _find(self, places: frozenset[int], sources: frozenset[str]) -> tuple[str, ...]:
        names: list[str] = []
        for job, node in first_nodes(self.state.spans):
            name = self.jobs[job].name
            if name in names:
                continue
            job_class = self.class_of[job]
            if sources:
                taken = job_class is not None and not sources.isdisjoint(_sources_of(job_class))
            else:
                taken = self._place_of(node) in places
            if taken:
                names.append(name)
            if len(names) == NAMED_JOBS:
                break
        return tuple(names)

    def _place_of(self, node: int) -> int:
        space = self.state.space
        if node < len(space.bucket_of):
            bucket = space.bucket_of[node]
            return STRAYS if bucket is None else bucket
        if node < len(space.profiles):
            return UNMANAGED
        made = self.state.new_nodes
        return made[bisect_right(made, node, key=lambda nodes: nodes.first) - 1].bucket


def _sources_of(job_class: JobClass) -> set[str]:
    return {
        source
        for part in job_class.parts
        for alternative in part.alternatives
        for shared in alternative.shared
        for source in shared.sources
    }
