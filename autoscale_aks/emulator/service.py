"""What the provider does for each call, above the store and below HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscale_aks.emulator import problems
from autoscale_aks.emulator.creation import Creator
from autoscale_aks.emulator.faults import VM_LOSS_KINDS, Target
from autoscale_aks.emulator.lifecycle import Lifecycle
from autoscale_aks.emulator.problems import RefusalError, invalid
from autoscale_aks.emulator.store import NodeStage, Pool, State
from autoscale_aks.emulator.wire import POOL_NAME, read_json

if TYPE_CHECKING:
    from typing import Any

    from autoscale_aks.emulator.faults import FaultRule
    from autoscale_aks.emulator.store import Cluster, Machine, Operation, Store
    from autoscale_aks.emulator.wire import Batch, Conditions, MachineRequest


class Service:
    """The AKS resource provider of one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lifecycle = Lifecycle(store.settings)
        self._creator = Creator(store, self.lifecycle)

    def put_pool(self, cluster: Cluster, name: str, body: bytes, now: float) -> tuple[Pool, bool, Operation]:
        """Create or update a pool; True when created (§2.1)."""
        properties = self._pool_properties(name, body)
        pool = cluster.pools.get(name.casefold())
        created = pool is None
        if pool is None:
            if len(cluster.pools) >= self.store.settings.pools_per_cluster:
                raise invalid(f"the cluster has {len(cluster.pools)} agent pools, the most it can have")
            pool = Pool(name, cluster, properties["mode"], properties)
            cluster.pools[name.casefold()] = pool
            self.lifecycle.start_pool(pool, now)
        else:
            self._update_pool(pool, properties)
        return pool, created, self.store.open_operation("pool.put", pool)

    def _pool_properties(self, name: str, body: bytes) -> dict[str, Any]:
        code = self.store.settings.bad_body_code
        if not POOL_NAME.match(name):
            raise invalid(f"agent pool name '{name}' does not match {POOL_NAME.pattern}")
        properties = read_json(body).get("properties")
        if not isinstance(properties, dict):
            raise invalid("an agent pool needs 'properties'", code)
        mode = properties.setdefault("mode", "User")
        if mode not in ("Machines", "System", "User"):
            raise invalid(f"agent pool mode '{mode}' is not known", code)
        extra = sorted(set(properties) - {"mode"})
        if mode == "Machines" and extra and self.store.settings.strict_pool_body:
            raise invalid(f"property '{extra[0]}' is not supported for an agent pool in Machines mode", code)
        return properties

    @staticmethod
    def _update_pool(pool: Pool, properties: dict[str, Any]) -> None:
        if pool.state is State.DELETING:
            raise problems.conflict(f"agent pool '{pool.name}' is being deleted")
        if ("Machines" in (pool.mode, properties["mode"])) and pool.mode != properties["mode"]:
            raise invalid("Changing property 'mode' from or to Machines is not allowed.", "OperationNotAllowed")
        pool.revision += 1
        pool.mode, pool.body = properties["mode"], properties

    def delete_pool(self, cluster: Cluster, name: str, now: float) -> Operation | None:
        """Start deleting a pool and its machines; None when there is none (absent is success)."""
        pool = cluster.pools.get(name.casefold())
        if pool is None:
            return None
        with pool.lock:
            if pool.state is not State.DELETING:
                self.lifecycle.start_pool_delete(pool, now)
        return self.store.open_operation("pool.delete", pool)

    def put_machine(
        self,
        pool: Pool,
        name: str,
        request: MachineRequest,
        batch: Batch | None,
        conditions: Conditions,
        now: float,
    ) -> tuple[Machine, bool, Operation]:
        """Single or batch PUT (§3, §4); True when the URL machine was created."""
        if pool.mode != "Machines":
            raise problems.not_machines_mode(pool.name)
        if pool.state is State.DELETING:
            raise problems.conflict(f"agent pool '{pool.name}' is being deleted")
        with pool.lock:
            if batch is None:
                machine, created = self._creator.put_one(pool, name, request, conditions, now)
            else:
                machine, created = self._creator.put_batch(pool, name, request, batch, now), True
        return machine, created, self.store.open_operation("machine.put", pool, (machine,))

    def delete_machines(self, pool: Pool, names: tuple[str, ...], now: float) -> Operation:
        """Start deleting the named machines; 400 when none is there (§7.5)."""
        if pool.mode != "Machines":
            raise problems.not_machines_mode(pool.name)
        most = self.store.settings.delete_max
        if most is not None and len(names) > most:
            raise invalid(f"{len(names)} machines in one request; at most {most} can be deleted")
        with pool.lock:
            found = [machine for name in names if (machine := pool.find(name)) is not None]
            mixed = len(found) < len(names) and self.store.settings.delete_mixed == "reject"
            if not found or mixed:
                raise self._none_valid(pool)
            for machine in found:
                self.lifecycle.start_delete(machine, now)
        return self.store.open_operation("machine.delete", pool, tuple(found))

    def _none_valid(self, pool: Pool) -> RefusalError:
        names = ", ".join(machine.name for machine in pool.listed())
        message = f"Cannot find any valid machines to delete. Valid machines in agent pool '{pool.name}' are: [{names}]"
        return RefusalError(400, "InvalidParameter", message, wrapped=self.store.settings.delete_error_wrapped)

    def nodes(self, cluster: Cluster, now: float) -> list[Machine]:
        """Machines with a node, by node name; counts as one read of each waiting node."""
        found = []
        for pool in list(cluster.pools.values()):
            with pool.lock:
                for machine in pool.listed():
                    if machine.waiting:
                        self.lifecycle.observe_node(machine, now)
                found += [machine for machine in pool.listed() if machine.node is not NodeStage.ABSENT]
        return sorted(found, key=lambda machine: machine.node_name)

    def apply_fault_now(self, number: int, now: float) -> int:
        """Let a rule of kind `evict`, `vm_deleted` or `node_lost` hit machines that run already."""
        rule = self.store.faults.find(number)
        if rule is None or rule.kind not in VM_LOSS_KINDS:
            return 0
        hits = 0
        for pool in self.store.pools():
            with pool.lock:
                for position, machine in enumerate(pool.listed()):
                    if _can_lose(machine, rule) and self.store.faults.hit_by(number, _target(machine, position)):
                        self.lifecycle.schedule_loss(rule.kind, machine, now, rule.after_s)
                        hits += 1
        return hits


def _can_lose(machine: Machine, rule: FaultRule) -> bool:
    running = machine.vm_state == "Running" and machine.state is not State.DELETING
    return running and (machine.spot or rule.kind != "evict")


def _target(machine: Machine, position: int) -> Target:
    return Target(
        names=(machine.name,),
        pool=machine.pool.name,
        size=machine.size.name,
        zone=machine.zones[0] if machine.zones else "",
        spot=machine.spot,
        position=position,
        chance_key=(machine.pool.id, machine.name, machine.generation),
    )
