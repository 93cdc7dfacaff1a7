"""A direct scale-out: exact multiples, no planner (batching.md B1, B2, B6, B11; aks-machine-api.md §7.3)."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.cloud.aks.endpoints import check_machine_name, check_pool_name
from autoscale_aks.cloud.aks.readiness import compatible_percentiles, new_node_percentiles
from autoscale_aks.cloud.aks.record import (
    FailedMachine,
    OperationRecord,
    chunk_timings,
    command_seconds,
    failed_machine,
    failed_outcome,
)
from autoscale_aks.cloud.aks.wire import MAX_PER_PUT
from autoscale_aks.errors import CloudError
from autoscale_aks.model.launch import LaunchRequest, MachineSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from autoscale_aks.cloud.aks.client import AksClient
    from autoscale_aks.cloud.aks.readiness import Reached
    from autoscale_aks.model.launch import ChunkOutcome, ClusterNode, Machine, MachineTemplate

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How long to wait for nodes, how often to look (§7.3), and who is told. `timeout_s` 0: do not wait at all."""

    timeout_s: float = 1200.0
    poll_s: float = 2.0
    pool_timeout_s: float = 600.0
    pool_poll_s: float = 10.0
    failure_poll_s: float = 30.0
    on_chunk: Callable[[ChunkOutcome], None] | None = None
    """Called as each chunk is answered, and again when the proof changed it."""
    on_ready: Callable[[int], None] | None = None
    """Called after each look, with the number of new nodes that were seen ready so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleOrder:
    """Machines of one template for a number of workers, each with the same share of them."""

    template: MachineTemplate
    machines: tuple[MachineSpec, ...]
    machine_workers: int
    use_batch_api: bool = True

    def requests(self) -> tuple[LaunchRequest, ...]:
        """One wave: contiguous equal slices in order, `chunk_0`, `chunk_1`, … (B1, B6)."""
        per_worker = len(self.machines) // self.machine_workers
        if not per_worker:
            return ()
        return tuple(
            LaunchRequest(
                chunk_id=f"chunk_{worker}",
                template=self.template,
                machines=self.machines[worker * per_worker : (worker + 1) * per_worker],
            )
            for worker in range(self.machine_workers)
        )


def check_split(count: int, machine_workers: int) -> None:
    """Raise ValueError unless every worker gets the same number of machines, at most 50 (B2)."""
    for name, value in (("count", count), ("machine_workers", machine_workers)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{name} must be a whole number, not {value!r}")
    if machine_workers <= 0:
        raise ValueError(f"machine_workers must be above 0, not {machine_workers}")
    if count < 0:
        raise ValueError(f"count must not be below 0, not {count}")
    if count % machine_workers:
        raise ValueError(
            f"{count} machines cannot be split evenly over {machine_workers} workers; the nearest counts are "
            f"{count - count % machine_workers} and {count - count % machine_workers + machine_workers}"
        )
    if count // machine_workers > MAX_PER_PUT:
        raise ValueError(
            f"{count // machine_workers} machines a worker are more than {MAX_PER_PUT}; "
            f"{count} machines need at least {-(-count // MAX_PER_PUT)} workers"
        )


def scale_names(count: int, moment: float, owner: str | None = None) -> tuple[str, ...]:
    """Names for a run that starts at `moment`: no two runs, a second apart, share any (§2.6, §11).

    With an `owner` they begin with it, so that no header form can lose whose the machines are (B7), and runs are told
    apart by milliseconds: at most 26 characters for the longest owner.
    """
    if owner is not None:
        return tuple(f"{owner}-{int(moment * 1000):x}-{index}" for index in range(1, count + 1))
    size = f"{count // 1000}k" if count >= 1000 and count % 1000 == 0 else str(count)
    return tuple(f"scale{size}-{int(moment):x}-{index}" for index in range(1, count + 1))


def spread(names: Sequence[str], zones: Sequence[str], tags: Mapping[str, str]) -> tuple[MachineSpec, ...]:
    """Machines of these names, in turn over the zones (§11); without zones, in none."""
    return tuple(
        MachineSpec(name=name, zone=zones[index % len(zones)] if zones else None, tags=frozendict(tags))
        for index, name in enumerate(names)
    )


def check_names(pool: str, names: Sequence[str], count: int) -> None:
    """Raise ValueError unless there are `count` distinct usable names for a usable pool."""
    check_pool_name(pool)
    if len(names) != count:
        raise ValueError(f"{len(names)} names for {count} machines")
    if len(set(names)) != len(names):
        raise ValueError("a machine name is given twice")
    for name in names:
        check_machine_name(name)


@dataclass(slots=True)
class _Seen:
    """What the waiting has seen so far."""

    ready_at: dict[str, float] = field(default_factory=dict)
    """When each node was first seen ready."""
    pool_ready_at: float | None = None
    failed: tuple[FailedMachine, ...] = ()


def scale(client: AksClient, order: ScaleOrder, watch: Watch) -> OperationRecord:
    """Create the order's machines and, when all were accepted, wait for their nodes."""
    before = _baseline(client, order) if watch.timeout_s > 0 and order.machines else None
    chunks = client.launch(
        order.requests(),
        watch.on_chunk,
        workers=order.machine_workers,
        batch=order.use_batch_api,
        deadline=math.inf,  # thousands of single requests take as long as the service lets them
    )
    outcomes = [outcome for chunk in chunks for outcome in chunk.outcomes]
    refused = tuple(found for outcome in outcomes if (found := failed_outcome(outcome)) is not None)
    waited = before is not None and not refused
    seen = _wait(client, order, before, watch) if before is not None and not refused else _Seen()
    first_put = min((chunk.started_at for chunk in chunks if chunk.puts), default=0.0)
    readiness, new_nodes = _measure(before or (), len(order.machines), seen, first_put) if waited else ({}, {})
    return OperationRecord(
        cluster=client.endpoints.cluster,
        agent_pool=order.template.pool,
        vm_size=order.template.vm_size,
        count=len(order.machines),
        workers=order.machine_workers,
        use_batch_api=order.use_batch_api,
        started_at=first_put,
        puts=sum(chunk.puts for chunk in chunks),
        command_execution_time=command_seconds(chunks),
        batch_command_execution_times=chunk_timings(chunks),
        successful_machines=len(outcomes) - len(refused) - len(seen.failed),
        failed_machines=refused + seen.failed,
        readiness=frozendict(readiness),
        new_node_readiness=frozendict(new_nodes),
        node_readiness_time=readiness["P100"].elapsed_s if waited else None,
    )


def _measure(
    before: Sequence[ClusterNode], count: int, seen: _Seen, first_put: float
) -> tuple[Mapping[str, Reached], Mapping[str, Reached]]:
    """Both forms of readiness. The compatible one never starts its clock when the pool is never `Succeeded`."""
    ready_before = {node.name for node in before if node.ready}
    existing = {node.name for node in before}
    started_at = seen.pool_ready_at
    beyond = [moment for name, moment in seen.ready_at.items() if name not in ready_before]
    new = [moment for name, moment in seen.ready_at.items() if name not in existing]
    return (
        compatible_percentiles(len(ready_before), count, beyond if started_at is not None else (), started_at or 0.0),
        new_node_percentiles(len(ready_before), count, new, first_put),
    )


def _baseline(client: AksClient, order: ScaleOrder) -> tuple[ClusterNode, ...] | None:
    try:
        return client.list_nodes([order.template.pool])
    except CloudError as error:
        log.warning("readiness will not be measured: %s", error)
        return None


def _wait(client: AksClient, order: ScaleOrder, before: Sequence[ClusterNode], watch: Watch) -> _Seen:
    """Poll nodes, pool and machines until all new nodes are ready, all is decided, or the time is up."""
    seen = _Seen()
    now, pool = client.effects.now, order.template.pool
    existing = {node.name for node in before}
    started_at = now()
    until = started_at + watch.pool_timeout_s + watch.timeout_s
    pool_due = failure_due = started_at
    while True:
        for name in _ready_nodes(client, pool, until):
            seen.ready_at.setdefault(name, now())
        if seen.pool_ready_at is None and now() >= pool_due:
            pool_due = now() + watch.pool_poll_s
            state = _pool_state(client, pool, until)
            if state == "Failed":
                return seen
            seen.pool_ready_at = now() if state == "Succeeded" else None
        new = sum(name not in existing for name in seen.ready_at)
        if watch.on_ready is not None:
            watch.on_ready(min(new, len(order.machines)))
        done = new >= len(order.machines)
        if done and seen.pool_ready_at is not None:
            return seen
        if now() >= failure_due:
            failure_due = now() + watch.failure_poll_s
            seen.failed = _failures(client, order, until)
        limit_s = watch.pool_timeout_s if seen.pool_ready_at is None else watch.timeout_s
        if seen.failed or now() - (seen.pool_ready_at or started_at) >= limit_s:
            return seen
        client.effects.sleep(watch.poll_s)


def _ready_nodes(client: AksClient, pool: str, until: float) -> list[str]:
    try:
        return [node.name for node in client.list_nodes([pool], until) if node.ready]
    except CloudError as error:
        log.info("no nodes this time: %s", error)
        return []


def _pool_state(client: AksClient, pool: str, until: float) -> str:
    try:
        view = client.get_pool(pool, until)
    except CloudError as error:
        log.info("no pool state this time: %s", error)
        return ""
    return view.provisioning_state if view is not None else "Failed"


def _failures(client: AksClient, order: ScaleOrder, until: float) -> tuple[FailedMachine, ...]:
    """The failed machines, once every machine of the order is listed and in a final state; none before."""
    try:
        listing = client.list_machines(order.template.pool, until)
    except CloudError as error:
        log.info("no machine states this time: %s", error)
        return ()
    listed = {machine.name: machine for machine in listing.machines}
    ours = [listed[machine.name] for machine in order.machines if machine.name in listed]
    if len(ours) < len(order.machines) or not all(_is_final(machine) for machine in ours):
        return ()
    return tuple(found for machine in ours if (found := failed_machine(machine)) is not None)


def _is_final(machine: Machine) -> bool:
    """Terminal for whoever waits for its creation (§2.4)."""
    return machine.is_failed or machine.is_deleting or machine.provisioning_state == "Succeeded"
