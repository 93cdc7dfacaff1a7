"""From jobs, buckets and nodes to a plan, without scheduler, cloud or ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from frozendict import frozendict

from autoscale_aks.api.answer import Answer
from autoscale_aks.api.building import check_names
from autoscale_aks.collector import paused_collector
from autoscale_aks.errors import InputError
from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.model.job import Job
from autoscale_aks.model.limits import Limits
from autoscale_aks.model.policy import Policy
from autoscale_aks.model.snapshot import Snapshot
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import scenario_names
from autoscale_aks.planning.scenario_jobs import JobDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.matching.parse import Kinds
    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.limits import SharedResource
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.plan import Plan


@dataclass(slots=True, kw_only=True)
class DemandCalculator:
    """Collects jobs and plans them over given node arrays and nodes. The same input gives the same plan (P5).

    Raises InputError for names that stand twice and ConstraintError when `default_resources` cannot be read.
    """

    nodearrays: Sequence[NodeArray] = ()
    nodes: Sequence[Node] = ()
    """Nodes that exist or are in flight; those without a node array are on-premise (P1)."""
    default_resources: Sequence[Mapping[str, Any]] = ()
    """What nodes that do not exist yet will have (matching.md §4); the built-in ones stand after them (D6)."""
    disable_default_resources: bool = False
    shared_resources: Mapping[str, SharedResource] = field(default_factory=frozendict)
    """Licences and shared values by name (C5)."""
    limits: Limits = Limits()
    """Quotas and cluster limits (L1); what is absent does not bind (L4)."""
    policy: Policy = Policy()
    kinds: Kinds = field(default_factory=frozendict)
    """Constraint kinds of the site (C6), from `build_kinds`."""
    now: float | None = None
    """Seconds since the epoch; without it rules about age do not apply."""
    _jobs: list[Job] = field(init=False, default_factory=list)
    _decoder: JobDecoder = field(init=False, default_factory=JobDecoder)

    def __post_init__(self) -> None:
        problems = check_names("nodearray", [array.name for array in self.nodearrays])
        problems += check_names("node", [node.name for node in self.nodes])
        if problems:
            raise InputError(problems)
        parse_default_resources(self.default_resources, disable_defaults=self.disable_default_resources)

    def add_job(self, job: Job | Mapping[str, Any]) -> None:
        """One more job at the end of the queue (A1): a `Job`, or its JSON as it stands in a scenario.

        JSON that cannot be read makes an `INVALID` job and stops no other (C7).
        """
        if not isinstance(job, Job):
            job = self._decoder.decode(job, f"jobs[{len(self._jobs)}]")
        self._jobs.append(job)

    def add_jobs(self, jobs: Iterable[Job | Mapping[str, Any]]) -> None:
        """Several jobs, in the order in which they are to be taken (A1)."""
        for job in jobs:
            self.add_job(job)

    @property
    def snapshot(self) -> Snapshot:
        """Everything the plan is made from."""
        managed = tuple(node for node in self.nodes if node.nodearray is not None)
        names = {"existing_nodes": [{"name": node.name} for node in self.nodes]}
        return Snapshot(
            now=self.now,
            default_resources=tuple(self.default_resources),
            disable_default_resources=self.disable_default_resources,
            limits=self.limits,
            nodearrays=tuple(self.nodearrays),
            nodes=managed,
            unmanaged_nodes=tuple(node for node in self.nodes if node.nodearray is None),
            shared_resources=frozendict(self.shared_resources),
            jobs=tuple(self._jobs),
            naming=scenario_names((array.name for array in self.nodearrays), names),
        )

    def plan(self) -> Plan:
        """The whole decision for the jobs so far. Jobs stay; adding more and planning again starts afresh."""
        with paused_collector():
            return plan(self.snapshot, self.policy, self.kinds)

    def answer(self) -> Answer:
        """The plan with questions that may be asked of it."""
        snapshot = self.snapshot
        return Answer(plan(snapshot, self.policy, self.kinds), snapshot, self.policy, self.kinds)
