"""What the scheduler says of our machines: their nodes, the work on them, and how far it is to be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoscale_aks.ledger.records import MachineState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.launch import ClusterNode
    from autoscale_aks.reconcile.cloud_view import CloudView
    from autoscale_aks.reconcile.shrinking import Doubts
    from autoscale_aks.schedulers.port import SchedulerNode, SchedulerState


@dataclass(slots=True)
class QueueView:
    """One read of the scheduler, by machine."""

    state: SchedulerState
    nodes: Mapping[str, SchedulerNode]
    """By our name where the driver can tell, else by the scheduler's."""
    doubt: str = ""
    """Why its list of nodes is not believed; empty when it is."""

    @classmethod
    def of(cls, state: SchedulerState) -> QueueView:
        """The view of a read."""
        return cls(state, {node.machine or node.name: node for node in state.nodes or ()})

    def judge(self, records: Mapping[str, MachineRecord], cloud: CloudView, doubts: Doubts) -> None:
        """Compare the nodes it shows with the machines that were ready."""
        if self.state.nodes is None:
            return
        sent_away = {request.name for request in self.state.requests if not request.is_up}
        ready = [
            record for record in records.values() if record.state is MachineState.READY and record.name not in sent_away
        ]
        shown = [record.name for record in ready if self.node_of(record, cloud.node_of(record.name)) is not None]
        self.doubt = doubts.doubt("scheduler", [record.name for record in ready], shown)

    @property
    def is_complete(self) -> bool:
        """Whether what it says may end a machine."""
        return self.state.complete and not self.doubt

    @property
    def working(self) -> frozenset[str]:
        """Names, the scheduler's and ours, of nodes with work on them."""
        busy = [node for node in self.state.nodes or () if node.job_ids]
        return frozenset(name for node in busy for name in (node.name, node.machine) if name)

    def node_of(self, record: MachineRecord, cluster: ClusterNode | None) -> SchedulerNode | None:
        """The scheduler's node of a machine: by our name, by its node's, or by the one it was last known by."""
        names = (record.name, cluster.name if cluster else None, record.node_name)
        return next((self.nodes[name] for name in names if name is not None and name in self.nodes), None)

    def jobs_on(
        self, record: MachineRecord, scheduler: SchedulerNode | None, cluster: ClusterNode | None
    ) -> tuple[str, ...]:
        """Ids of the jobs that are on a machine, under any of its names."""
        running = self.state.running
        jobs = list(scheduler.job_ids) if scheduler else []
        names = {record.name, *((scheduler.name,) if scheduler else ()), *((cluster.name,) if cluster else ())}
        if record.node_name is not None:
            names.add(record.node_name)
        for name in sorted(names):
            jobs.extend(job for job in running.get(name, ()) if job not in jobs)
        return tuple(jobs)
