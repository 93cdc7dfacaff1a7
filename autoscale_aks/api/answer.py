"""Questions to a plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from frozendict import frozendict

from autoscale_aks.planning.inspect import Inspector
from autoscale_aks.reports.answer import render_answer
from autoscale_aks.reports.explain import did_you_mean, why_not
from autoscale_aks.reports.sentences import render_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.matching.parse import Kinds
    from autoscale_aks.model.plan import JobOutcome, NodeClaim, Placement, Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.reason import Reason
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.planning.inspect import JobInspection
    from autoscale_aks.reports.explain import WhyNot


@dataclass(frozen=True)
class Answer:
    """A plan and what it was made from. Jobs are asked for by name (the first of that name); an unknown name is a
    KeyError with the nearest one."""

    plan: Plan
    snapshot: Snapshot
    policy: Policy
    kinds: Kinds = field(default_factory=frozendict)

    @property
    def new_nodes(self) -> Sequence[NodeClaim]:
        """Machines to be made: name and bucket."""
        return self.plan.claims

    @cached_property
    def matched(self) -> tuple[str, ...]:
        """Names of the nodes that got work, existing ones first, then new ones."""
        return tuple(self._names[number] for number in sorted(self._work))

    @cached_property
    def unmatched(self) -> tuple[str, ...]:
        """Names of the nodes that exist (or are in flight), have not failed and got no work."""
        known = (*self.plan.nodes, *self.plan.unmanaged_nodes)
        return tuple(node.name for number, node in enumerate(known) if number not in self._work and not node.is_failed)

    def outcome(self, job: str) -> JobOutcome:
        """Status, slots asked for and placed, and the one primary reason (matching.md §9)."""
        return self.plan.outcomes[self._index(job)]

    def reason(self, job: str) -> Reason:
        """The one primary reason, as data."""
        return self.outcome(job).reason

    def message(self, job: str) -> str:
        """The reason as a sentence."""
        return render_message(self.reason(job))

    def nodes_of(self, job: str) -> dict[str, int]:
        """Node name → slots of the job there."""
        index = self._index(job)
        found: dict[str, int] = {}
        for placement in self.plan.placements:
            if placement.job == index:
                for number in _numbers(placement):
                    name = self._names[number]
                    found[name] = found.get(name, 0) + placement.slots_each
        return found

    def explain(self, job: str) -> JobInspection:
        """Every bucket's verdict on the job: whether it fits, slots a node, the limit that binds, or what fails."""
        return self._inspector.inspect(self._index(job))

    def why_not(self, job: str, vm_size: str) -> tuple[WhyNot, ...]:
        """Why the job does not go on a VM size, for each bucket of that size."""
        return why_not(self.explain(job), vm_size)

    def to_json(self) -> dict[str, Any]:
        """The whole answer as `azaks plan` prints it (contract scenario.md, Out)."""
        return render_answer(self.plan)

    @cached_property
    def _inspector(self) -> Inspector:
        return Inspector(snapshot=self.snapshot, policy=self.policy, decided=self.plan, kinds=self.kinds)

    @cached_property
    def _names(self) -> list[str]:
        known = [node.name for node in (*self.plan.nodes, *self.plan.unmanaged_nodes)]
        return [*known, *(claim.name for claim in self.plan.claims)]

    @cached_property
    def _work(self) -> set[int]:
        return {number for placement in self.plan.placements for number in _numbers(placement)}

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {job.name: index for index, job in reversed(list(enumerate(self.plan.jobs)))}

    def _index(self, job: str) -> int:
        if job not in self._indices:
            raise KeyError(f'there is no job "{job}"{did_you_mean(job, list(self._indices))}')
        return self._indices[job]


def _numbers(placement: Placement) -> range:
    return range(placement.first_node, placement.first_node + placement.nodes)
