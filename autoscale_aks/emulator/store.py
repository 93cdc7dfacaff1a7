"""State: clusters → pools → machines (→ their nodes), and operations (§10).

One lock per pool guards its machines and timers; whoever reads or changes a pool holds it.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from autoscale_aks.emulator import problems
from autoscale_aks.emulator.catalog import Catalog
from autoscale_aks.emulator.draws import digits, guid
from autoscale_aks.emulator.faults import FaultBook
from autoscale_aks.emulator.quota import Quota

if TYPE_CHECKING:
    from autoscale_aks.emulator.catalog import Size
    from autoscale_aks.emulator.clock import EmulatedClock
    from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings


class State(str, Enum):
    """`provisioningState` (§2.4)."""

    CREATING = "Creating"
    UPDATING = "Updating"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"
    DELETING = "Deleting"
    GONE = "Gone"


class NodeStage(str, Enum):
    """How far the Kubernetes node of a machine is (§7.1)."""

    ABSENT = "absent"
    NOT_READY = "not_ready"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Fate:
    """What will become of a machine, decided when it is accepted."""

    error: dict[str, Any] | None = None
    holds_quota: bool = True
    stuck: bool = False
    canceled: bool = False
    registers: bool = True
    gets_ready: bool = True
    losses: tuple[tuple[str, float], ...] = ()


@dataclass(slots=True, eq=False)
class Step:
    """An event that waits for its resource to be read so many times more."""

    reads_left: int
    event: str


@dataclass(slots=True, eq=False)
class Machine:
    """One machine and its node. `template` is shared between the machines of a batch: never change it."""

    name: str
    pool: Pool
    size: Size
    spot: bool
    template: dict[str, Any]
    zones: tuple[str, ...]
    tags: dict[str, str] | None
    created_at: float
    ordinal: int
    generation: int
    node_name: str
    fate: Fate = Fate()
    state: State = State.CREATING
    node: NodeStage = NodeStage.ABSENT
    vm_state: str = ""
    error: dict[str, Any] | None = None
    holds_quota: bool = False
    revision: int = 0
    settled: State = State.SUCCEEDED
    registered_at: float = 0.0
    node_changed_at: float = 0.0
    waiting: list[Step] | None = None
    rendered: bytes | None = None
    rendered_node: tuple[dict[str, str], bytes] | None = None

    @property
    def key(self) -> str:
        """Names are compared without case, as everywhere in ARM."""
        return self.name.casefold()

    @property
    def id(self) -> str:
        """ARM resource id."""
        return f"{self.pool.id}/machines/{self.name}"

    @property
    def etag(self) -> str:
        """A new one on every write (§2.3)."""
        return guid(self.pool.cluster.seed, "etag", self.id, self.generation, self.revision)

    @property
    def vm_id(self) -> str:
        """ARM id of the VM (§7.2)."""
        spec = self.pool.cluster.spec
        return (
            f"/subscriptions/{spec.subscription}/resourceGroups/{spec.node_resource_group}"
            f"/providers/Microsoft.Compute/virtualMachines/{self.node_name}"
        )

    def touch(self) -> None:
        """Forget what was rendered: something visible changed."""
        self.rendered = None
        self.rendered_node = None


@dataclass(slots=True, eq=False)
class Pool:
    """An agent pool. `timers` is a heap of (due, number, event, target)."""

    name: str
    cluster: Cluster
    mode: str
    body: dict[str, Any]
    state: State = State.CREATING
    revision: int = 0
    machines: dict[str, Machine] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    timers: list[tuple[float, int, str, Machine | None]] = field(default_factory=list)
    waiting: list[Step] | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)
    _listed: tuple[Machine, ...] | None = None

    @property
    def id(self) -> str:
        """ARM resource id."""
        return f"{self.cluster.spec.id}/agentPools/{self.name}"

    @property
    def etag(self) -> str:
        """A new one on every write."""
        return guid(self.cluster.seed, "etag", self.id, self.revision)

    def find(self, name: str) -> Machine | None:
        """The machine of this name, in any case of letters."""
        return self.machines.get(name.casefold())

    def add(self, machine: Machine) -> None:
        """Put a machine in."""
        self.machines[machine.key] = machine
        self._listed = None

    def remove(self, machine: Machine) -> None:
        """Take a machine out, unless another of its name took its place."""
        if self.machines.get(machine.key) is machine:
            del self.machines[machine.key]
            self._listed = None

    def listed(self) -> tuple[Machine, ...]:
        """All machines in order of creation; built once between changes, so paging stays linear."""
        if self._listed is None:
            self._listed = tuple(self.machines.values())
        return self._listed

    def generation(self, name: str) -> int:
        """How often this name has been used here."""
        return self.generations.get(name.casefold(), 0)

    def next_generation(self, name: str) -> int:
        """Use the name once more."""
        number = self.generations[name.casefold()] = self.generation(name) + 1
        return number


@dataclass(slots=True, eq=False)
class Cluster:
    """One AKS cluster."""

    spec: ClusterSpec
    seed: int
    quota: Quota
    spot_taint: bool = True
    pools: dict[str, Pool] = field(default_factory=dict)
    ordinals: itertools.count[int] = field(default_factory=itertools.count)

    shared_number: str = ""

    def node_number(self, machine: str | None) -> str:
        """The 8 digits in node names: shared by the cluster, or one per machine (§12)."""
        if machine is not None:
            return digits(self.seed, 8, "node", self.spec.id, machine)
        if not self.shared_number:
            self.shared_number = digits(self.seed, 8, "node", self.spec.id)
        return self.shared_number

    def node_count(self) -> int:
        """Machines in all pools, for the cap of §2.7."""
        return sum(len(pool.machines) for pool in self.pools.values())

    def find_pool(self, name: str) -> Pool:
        """The pool; 404 when absent."""
        pool = self.pools.get(name.casefold())
        if pool is None:
            raise problems.no_pool(name)
        return pool


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """An asynchronous operation; its status is read off the resources it works on (§6.4)."""

    id: str
    started_at: float
    kind: str
    pool: Pool
    machines: tuple[Machine, ...] = ()


class Store:
    """Everything the emulator remembers."""

    def __init__(self, settings: EmulatorSettings, clock: EmulatedClock) -> None:
        self.settings = settings
        self.clock = clock
        self.catalog = Catalog(settings.sizes, settings.restrictions)
        self.faults = FaultBook(settings.faults, settings.seed)
        self.operations: dict[str, Operation] = {}
        self.quotas: dict[tuple[str, str], Quota] = {}
        self.clusters: dict[tuple[str, str, str], Cluster] = {}
        self.leases: dict[tuple[str, str, str], dict[str, Any]] = {}
        """Leases of the API servers, by cluster, namespace and name."""
        self._versions = itertools.count(1)
        self._numbers = itertools.count(1)
        for spec in settings.clusters:
            self._add_cluster(spec)

    def _add_cluster(self, spec: ClusterSpec) -> None:
        where = (spec.subscription.casefold(), spec.location.casefold())
        quota = self.quotas.setdefault(where, Quota(self.settings.quota, self.catalog))
        cluster = Cluster(spec, self.settings.seed, quota, self.settings.spot_taint)
        for name in spec.pools:
            cluster.pools[name] = Pool(name, cluster, "Machines", {"mode": "Machines"}, State.SUCCEEDED)
        key = (spec.subscription.casefold(), spec.resource_group.casefold(), spec.name.casefold())
        self.clusters[key] = cluster

    def next_version(self) -> int:
        """A `resourceVersion` that no object ever had."""
        return next(self._versions)

    def find_cluster(self, subscription: str, group: str, name: str, *, parent: bool = True) -> Cluster:
        """The cluster; 404 naming the outermost thing that is missing (§5.1)."""
        cluster = self.clusters.get((subscription.casefold(), group.casefold(), name.casefold()))
        if cluster is not None:
            return cluster
        self.check_subscription(subscription)
        if not any(key[:2] == (subscription.casefold(), group.casefold()) for key in self.clusters):
            raise problems.no_resource_group(group)
        raise problems.no_cluster(group, name, parent=parent)

    def check_subscription(self, subscription: str) -> None:
        """404 unless some cluster lives in it."""
        if not any(key[0] == subscription.casefold() for key in self.clusters):
            raise problems.no_subscription(subscription)

    def pools(self) -> list[Pool]:
        """Every pool of every cluster."""
        return [pool for cluster in self.clusters.values() for pool in list(cluster.pools.values())]

    def machine_keys(self) -> list[tuple[str, str]]:
        """(pool, machine) of every machine that exists, in order of creation within its pool."""
        return [(pool.name, machine.name) for pool in self.pools() for machine in self._listed(pool)]

    @staticmethod
    def _listed(pool: Pool) -> tuple[Machine, ...]:
        with pool.lock:
            return pool.listed()

    def open_operation(self, kind: str, pool: Pool, machines: tuple[Machine, ...] = ()) -> Operation:
        """Remember a new operation."""
        name = guid(self.settings.seed, "operation", next(self._numbers))
        operation = Operation(name, self.clock.now(), kind, pool, machines)
        self.operations[name] = operation
        return operation
