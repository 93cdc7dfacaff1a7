"""Single and batch PUT: who is created, updated or refused, and what will become of each (§3, §4.3, §5.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from autoscale_aks.emulator import failures, fields, problems
from autoscale_aks.emulator.faults import VM_LOSS_KINDS, Target
from autoscale_aks.emulator.problems import RefusalError, invalid
from autoscale_aks.emulator.store import Fate, Machine, State
from autoscale_aks.emulator.wire import machine_name_problem, tags_problem

if TYPE_CHECKING:
    from autoscale_aks.emulator.catalog import Size
    from autoscale_aks.emulator.faults import FaultRule
    from autoscale_aks.emulator.lifecycle import Lifecycle
    from autoscale_aks.emulator.store import Pool, Store
    from autoscale_aks.emulator.wire import Batch, BatchEntry, Conditions, MachineRequest

_FATAL_KINDS = ("provisioning_failure", "provisioning_canceled", "stuck_creating")
_REFUSAL_KINDS = ("client_error", "internal_error")
_NODE_KINDS = ("node_never_registers", "node_never_ready")
_NO_FAULTS = Fate()


@dataclass(frozen=True, slots=True)
class Shape:
    """What all machines of one request share; `zones` are those its size may use here."""

    size: Size
    spot: bool
    template: dict[str, Any]
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One machine that is asked for; `position` is its place in the batch."""

    name: str
    zones: tuple[str, ...]
    tags: dict[str, str] | None
    shape: Shape
    position: int = 0

    @property
    def zone(self) -> str:
        """Its zone, or empty for a regional machine."""
        return self.zones[0] if self.zones else ""


@dataclass(frozen=True, slots=True)
class Failure:
    """One machine of a batch that was not created (§5.2)."""

    name: str
    code: str
    message: str

    @property
    def internal(self) -> bool:
        """Internal errors are told by their code."""
        return self.code.startswith("Internal")

    def detail(self) -> dict[str, str]:
        """As it stands in `details`."""
        return {"code": self.code, "message": self.message, "target": self.name}


class Creator:
    """Creates machines in a store."""

    def __init__(self, store: Store, lifecycle: Lifecycle) -> None:
        self._store = store
        self._settings = store.settings
        self._lifecycle = lifecycle
        self._tags_seen: tuple[dict[str, str] | None, str] = (None, "")

    def put_one(
        self, pool: Pool, name: str, request: MachineRequest, conditions: Conditions, now: float
    ) -> tuple[Machine, bool]:
        """Create or update one machine; True when created. The pool's lock is held."""
        machine = pool.find(name)
        conditions.check(None if machine is None else machine.etag, self._settings.precondition_code)
        if machine is not None:
            self._update(machine, request, now)
            return machine, False
        order = Order(name, request.zones, request.tags, self._shape(pool, request))
        failure = self._failure(pool, order)
        if failure is not None:
            raise RefusalError(500 if failure.internal else 400, failure.code, failure.message)
        return self._create(pool, order, now), True

    def put_batch(self, pool: Pool, name: str, request: MachineRequest, batch: Batch, now: float) -> Machine:
        """Create every machine that can be created; raises the §5.2 error when some cannot."""
        names = batch.names(name)
        if len(names) > self._settings.batch_max:
            raise invalid(f"{len(names)} machines in one batch; at most {self._settings.batch_max} are allowed")
        orders = self._orders(self._shape(pool, request), name, request, batch)
        failures_found = self._precheck(pool, orders)
        for order in orders if not failures_found else ():
            existing = pool.find(order.name)
            failure = self._failure(pool, order) if existing is None else self._existing(existing, request, now)
            if failure is not None:
                failures_found.append(failure)
            elif existing is None:
                self._create(pool, order, now)
        if failures_found:
            raise batch_error(failures_found)
        machine = pool.find(name)
        if machine is None:
            raise RefusalError(500, "InternalOperationError", f"machine {name} was not created")
        return machine

    def _precheck(self, pool: Pool, orders: list[Order]) -> list[Failure]:
        if self._settings.batch_existing != "whole":
            return []
        return [_exists(order.name) for order in orders if pool.find(order.name) is not None]

    def _existing(self, machine: Machine, request: MachineRequest, now: float) -> Failure | None:
        if self._settings.batch_existing != "update":
            return _exists(machine.name)
        try:
            self._update(machine, replace(request, zones=machine.zones, tags=machine.tags), now)
        except RefusalError as refusal:
            return Failure(machine.name, refusal.code, refusal.message)
        return None

    def _orders(self, shape: Shape, name: str, request: MachineRequest, batch: Batch) -> list[Order]:
        """URL machine ∪ header; where zones and tags come from depends on the era (§4.3)."""
        listed: dict[str, BatchEntry] = {entry.name.casefold(): entry for entry in batch.entries}
        orders = []
        from_body = name.casefold() if self._settings.batch_mode == "primary-from-body" else None
        for position, each in enumerate(batch.names(name)):
            entry = listed.get(each.casefold())
            if each.casefold() == from_body:
                orders.append(Order(name, request.zones, request.tags, shape, position))
            elif entry is None:
                orders.append(Order(each, (), None, shape, position))
            else:
                orders.append(Order(each, entry.zones, entry.tags, shape, position))
        return orders

    def _shape(self, pool: Pool, request: MachineRequest) -> Shape:
        """What all machines of the request have in common, or the refusal of the whole request."""
        spec = pool.cluster.spec
        size = self._store.catalog.find(request.size) if request.size else None
        if not request.size:
            raise invalid("'hardware.vmSize' is required", self._settings.bad_body_code)
        target = Target(pool=pool.name, size=request.size, spot=request.spot, chance_key=(pool.id, request.size))
        rule = self._store.faults.hit(("size_not_supported",), target)
        if size is None or rule is not None:
            raise problems.size_not_supported(request.size, spec.subscription, spec.location)
        if request.spot and not size.spot:
            raise invalid(f"VM size '{size.name}' does not support priority Spot", self._settings.bad_body_code)
        template = fill_defaults(request.properties, spec.kubernetes_version)
        return Shape(size, request.spot, template, self._store.catalog.zones(size))

    def _failure(self, pool: Pool, order: Order) -> Failure | None:
        message = machine_name_problem(order.name, self._settings.machine_name_cap) or self._tags_problem(order.tags)
        message = message or _zone_problem(order) or self._room_problem(pool)
        if message:
            return Failure(order.name, "InvalidParameter", message)
        if not len(self._store.faults):
            return None
        rule = self._store.faults.hit(_REFUSAL_KINDS, _target(pool, order, pool.generation(order.name) + 1))
        if rule is None:
            return None
        internal = rule.kind == "internal_error"
        code = rule.code or ("InternalOperationError" if internal else "InvalidParameter")
        return Failure(order.name, code, rule.message or ("could not be prepared" if internal else "is not valid here"))

    def _tags_problem(self, tags: dict[str, str] | None) -> str:
        """As `tags_problem`; machines of a batch mostly share one mapping, which is looked at once."""
        if tags is not self._tags_seen[0]:
            self._tags_seen = (tags, tags_problem(tags))
        return self._tags_seen[1]

    def _room_problem(self, pool: Pool) -> str:
        cap = self._settings.machines_per_pool
        if cap is not None and len(pool.machines) >= cap:
            return f"agent pool '{pool.name}' has {cap} machines, the most it can have"
        if pool.cluster.node_count() >= self._settings.nodes_per_cluster:
            return f"the cluster has {self._settings.nodes_per_cluster} nodes, the most it can have"
        return ""

    def _create(self, pool: Pool, order: Order, now: float) -> Machine:
        generation = pool.next_generation(order.name)
        shape = order.shape
        number = pool.cluster.node_number(order.name if self._settings.node_number == "machine" else None)
        machine = Machine(
            name=order.name,
            pool=pool,
            size=shape.size,
            spot=shape.spot,
            template=shape.template,
            zones=order.zones,
            tags=order.tags,
            created_at=now,
            ordinal=next(pool.cluster.ordinals),
            generation=generation,
            node_name=f"aks-{pool.name}-{order.name}-{number}{self._settings.node_suffix}".lower(),
        )
        machine.fate = self._fate(pool, order, generation)
        machine.holds_quota = machine.fate.holds_quota
        pool.add(machine)
        self._lifecycle.start_machine(machine, now)
        return machine

    def _fate(self, pool: Pool, order: Order, generation: int) -> Fate:
        location = pool.cluster.spec.location
        shortage = pool.cluster.quota.reserve(order.shape.size, spot=order.shape.spot)
        if shortage is not None:
            return Fate(error=failures.quota_error(shortage, location), holds_quota=False)
        faults = self._store.faults
        if not len(faults):
            return _NO_FAULTS
        target = _target(pool, order, generation)
        fatal = faults.hit(_FATAL_KINDS, target)
        if fatal is not None and fatal.kind == "stuck_creating":
            return Fate(stuck=True)
        if fatal is not None:
            canceled = fatal.kind == "provisioning_canceled"
            return Fate(error=self._fault_error(fatal, pool, order, canceled=canceled), canceled=canceled)
        node = faults.hit(_NODE_KINDS, target)
        kinds = VM_LOSS_KINDS if order.shape.spot else VM_LOSS_KINDS - {"evict"}
        loss = faults.hit(kinds, target)
        return Fate(
            registers=node is None or node.kind != "node_never_registers",
            gets_ready=node is None,
            losses=() if loss is None else ((loss.kind, loss.after_s),),
        )

    @staticmethod
    def _fault_error(rule: FaultRule, pool: Pool, order: Order, *, canceled: bool) -> dict[str, Any]:
        location = pool.cluster.spec.location
        if canceled:
            return {"code": rule.code or "OperationCanceled", "message": rule.message or "The operation was canceled."}
        code = rule.code or ("ZonalAllocationFailed" if order.zone else "AllocationFailed")
        if code in failures.QUOTA_FAULTS:
            name = failures.QUOTA_FAULTS[code] or order.shape.size.family
            return failures.quota_error(pool.cluster.quota.shortage(order.shape.size, name), location)
        return failures.compute_error(code, rule.message, order.shape.size.name, order.zone, location)

    def _update(self, machine: Machine, request: MachineRequest, now: float) -> None:
        settings = self._settings
        if machine.state is State.DELETING:
            raise problems.conflict(f"machine '{machine.name}' is being deleted")
        if machine.state is State.CREATING and settings.update_while_creating == "conflict":
            raise problems.conflict(f"machine '{machine.name}' is being created")
        changed = self._immutable_changes(machine, request)
        if changed:
            message = f"Changing property '{changed[0]}' is not allowed."
            raise invalid(message, settings.immutable_code)
        machine.template = updated_template(machine.template, request.properties)
        machine.tags = request.tags
        machine.revision += 1
        machine.touch()
        self._lifecycle.start_update(machine, now)

    def _immutable_changes(self, machine: Machine, request: MachineRequest) -> list[str]:
        changed = (
            ["hardware.vmSize"] if request.size and request.size.casefold() != machine.size.name.casefold() else []
        )
        if "priority" in request.properties and request.spot != machine.spot:
            changed.append("priority")
        if request.zones and request.zones != machine.zones:
            changed.append("zones")
        if self._settings.immutable_fields == "all":
            others = {key: value for key, value in request.properties.items() if key != "priority"}
            changed += fields.fixed_changes(machine.template, others)
        return changed


def _zone_problem(order: Order) -> str:
    if len(order.zones) > 1:
        return "a machine can be in one zone only"
    if order.zones and order.zone not in order.shape.zones:
        return f"zone {order.zone} is not valid here"
    return ""


def _target(pool: Pool, order: Order, generation: int) -> Target:
    return Target(
        names=(order.name,),
        pool=pool.name,
        size=order.shape.size.name,
        zone=order.zone,
        spot=order.shape.spot,
        position=order.position,
        chance_key=(pool.id, order.name, generation),
    )


def _exists(name: str) -> Failure:
    return Failure(name, "InvalidParameter", f"machine '{name}' already exists; a batch cannot update it")


def batch_error(found: list[Failure]) -> RefusalError:
    """Either of the two shapes of §5.2."""
    client = [failure for failure in found if not failure.internal]
    internal = [failure for failure in found if failure.internal]
    details: list[dict[str, Any]] = [dict(failure.detail()) for failure in found]
    if not client:
        message = json.dumps({"details": details}, separators=(",", ":"))
        code = "BatchMachineInternalServerError"
        raw = json.dumps({"code": code, "message": message}, separators=(",", ":"))
        return RefusalError(500, code, message, raw=raw)
    parts = [f"the following machines failed with ClientError: {', '.join(each.name for each in client)}"]
    if internal:
        parts.append(f"the following machines failed with InternalError: {', '.join(each.name for each in internal)}")
    return RefusalError(400, "BatchMachineClientError", "; ".join(parts), details=details)


def fill_defaults(properties: dict[str, Any], kubernetes_version: str) -> dict[str, Any]:
    """What the service adds to a create (§3); `priority` stays only when Spot (§2.5)."""
    minor = ".".join(kubernetes_version.split(".")[:2])
    given = {key: value for key, value in properties.items() if key not in ("priority", "mode")}
    filled = {
        **given,
        "network": {"enableNodePublicIP": False, **given.get("network", {})},
        "hardware": {"gpuInstanceProfile": "", **given["hardware"]},
        "operatingSystem": {
            "osType": "Linux",
            "osSKU": "Ubuntu",
            "osDiskType": "Managed",
            "enableFIPS": False,
            **given.get("operatingSystem", {}),
        },
        "kubernetes": {
            "orchestratorVersion": minor,
            "currentOrchestratorVersion": kubernetes_version,
            "kubeletDiskType": "OS",
            "nodeInitializationTaints": None,
            "maxPods": 250,
            "workloadRuntime": "",
            **given.get("kubernetes", {}),
        },
        "mode": properties.get("mode", "User"),
        "security": {
            "sshAccess": "LocalUser",
            "enableVTPM": False,
            "enableSecureBoot": False,
            **given.get("security", {}),
        },
    }
    filled["operatingSystem"]["osDiskSizeGB"] = filled["operatingSystem"].get("osDiskSizeGB") or 128
    filled.setdefault("nodeImageVersion", "AKSUbuntu-2204gen2containerd-202508.20.0")
    if properties.get("priority") == "Spot":
        filled["priority"] = "Spot"
    return filled


def updated_template(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A copy of `old` whose updatable fields are those of `new`; an absent one is gone (PUT replaces)."""
    kubernetes = {key: value for key, value in old["kubernetes"].items() if key not in ("nodeLabels", "nodeTaints")}
    given = new.get("kubernetes", {})
    kubernetes |= {key: given[key] for key in ("nodeLabels", "nodeTaints", "orchestratorVersion") if key in given}
    return {**old, "kubernetes": kubernetes, "mode": new.get("mode", old["mode"])}
