"""What the cloud and the cluster show of our machines, and how far it is to be believed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from autoscale_aks.errors import AuthError, CloudError, ThrottledError
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.model.node_names import machine_of_kubernetes_node
from autoscale_aks.model.snapshot import Blocked, Source
from autoscale_aks.reconcile.group_pools import find_pools
from autoscale_aks.reconcile.names import is_ours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.launch import ClusterNode, Machine, MachineListing
    from autoscale_aks.reconcile.shrinking import Doubts
    from autoscale_aks.reconcile.world import World

MACHINES: Final = "machines"
"""What the names of sources that list machines begin with."""
_SEEN_BEFORE: Final = frozenset({MachineState.LISTED, MachineState.READY, MachineState.CLOSING})


@dataclass(slots=True)
class CloudView:
    """Everything of ours that the cloud and the cluster show."""

    machines: dict[str, Machine] = field(default_factory=dict)
    strangers: dict[str, int] = field(default_factory=dict)
    """Pool → machines in it without our mark: nothing is done to them, but they take their place in it."""
    complete_pools: set[str] = field(default_factory=set)
    """Pools in whose list absence means something."""
    pools: tuple[str, ...] = ()
    """The agent pools that may hold machines of ours."""
    pools_read: bool = True
    """False when the pools of placement groups could not be read: `pools` may lack some."""
    nodes: dict[str, ClusterNode] = field(default_factory=dict)
    nodes_by_machine: dict[str, ClusterNode] = field(default_factory=dict)
    """The same, by the machine that the node's own name tells."""
    nodes_read: bool = False
    blocked: Blocked = field(default_factory=Blocked)
    sources: list[Source] = field(default_factory=list)

    @property
    def provisioned(self) -> frozenset[str]:
        """Machines whose VM is made."""
        return frozenset(name for name, machine in self.machines.items() if machine.provisioning_state == "Succeeded")

    def node_of(self, name: str) -> ClusterNode | None:
        """The Kubernetes node of a machine: by the name the machine itself tells, else by the node's own (§7.2)."""
        machine = self.machines.get(name)
        if machine is None:
            return None
        return self.nodes.get(machine.node_name) if machine.node_name else self.nodes_by_machine.get(name)


def ask_cloud(world: World, records: Mapping[str, MachineRecord], doubts: Doubts) -> CloudView:
    """Every pool listed and the cluster's nodes read, or why not. Never raises for what the cloud does."""
    view = CloudView()
    not_before = world.ledger.not_before()
    if not_before is not None and not_before > doubts.now:
        view.blocked = Blocked(throttled_until=not_before)
        view.sources.append(Source(name=MACHINES, complete=False, detail="throttled"))
        return view
    known: dict[str, list[str]] = {}
    for record in records.values():
        if record.state in _SEEN_BEFORE:
            known.setdefault(record.pool, []).append(record.name)
    view.pools, source = find_pools(world)
    if source is not None:
        view.pools_read = source.complete
        view.sources.append(source)
    for pool in view.pools:
        if not _list_pool(world, pool, view, known.get(pool, []), doubts):
            return view
    if world.reads_cluster_nodes:
        _read_nodes(world, records, view, doubts)
    return view


def _list_pool(world: World, pool: str, view: CloudView, known: list[str], doubts: Doubts) -> bool:
    """Whether the cloud answered; where it does not, asking for the next pool would only wait as long again."""
    name = f"{MACHINES} of pool {pool}"
    try:
        listing = world.cloud.list_machines(pool)
    except AuthError as error:
        view.blocked = replace(view.blocked, auth=str(error))
        view.sources.append(Source(name=name, complete=False, detail=str(error)))
    except ThrottledError as error:
        view.blocked = replace(view.blocked, throttled_until=error.retry_at)
        view.sources.append(Source(name=name, complete=False, detail=str(error)))
    except CloudError as error:
        view.sources.append(Source(name=name, complete=False, detail=str(error)))
    else:
        shown = _note_machines(world, listing, view)
        doubt = doubts.doubt(name, known, shown) if listing.complete else ""
        if listing.complete and not doubt:
            view.complete_pools.add(listing.pool)
        view.sources.append(Source(name=name, complete=listing.complete and not doubt, detail=doubt or listing.detail))
        return listing.answered
    return True


def _note_machines(world: World, listing: MachineListing, view: CloudView) -> set[str]:
    """Keep what is ours; only that is ever touched (user ask T13a)."""
    owner = world.config.aks.owner
    ours = {machine.name: machine for machine in listing.machines if is_ours(machine, owner)}
    view.machines |= ours
    view.strangers[listing.pool] = len(listing.machines) - len(ours)
    return set(ours)


def _read_nodes(world: World, records: Mapping[str, MachineRecord], view: CloudView, doubts: Doubts) -> None:
    try:
        view.nodes = {node.name: node for node in world.cloud.list_nodes(view.pools)}
    except CloudError as error:
        view.sources.append(Source(name="nodes", complete=False, detail=str(error)))
        return
    named = ((machine_of_kubernetes_node(node.name, node.pool), node) for node in view.nodes.values())
    view.nodes_by_machine = {name: node for name, node in named if name is not None}
    known = [
        machine.node_name
        for name, machine in view.machines.items()
        if machine.node_name and name in records and records[name].state is MachineState.READY
    ]
    doubt = doubts.doubt("nodes", known, view.nodes.keys())
    view.nodes_read = not doubt
    view.sources.append(Source(name="nodes", complete=not doubt, detail=doubt))
