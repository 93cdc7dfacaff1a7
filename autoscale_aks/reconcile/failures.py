"""Machines that failed: why, whom it concerns beside them, and what is to be remembered of it (T08, T12, T19)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.model.launch import FaultKind, LaunchOutcome, LaunchState
from autoscale_aks.model.node import Stage
from autoscale_aks.reconcile.back_offs import SCARCE, back_off_for, family_of, is_regional, larger_back_offs
from autoscale_aks.reconcile.circuits import circuit_of, image_of, turned
from autoscale_aks.reconcile.stages import stage_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.config import Config
    from autoscale_aks.ledger.guards import Circuit
    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.launch import Machine
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.snapshot import BackOff
    from autoscale_aks.reconcile.observation import Observation
    from autoscale_aks.reconcile.world import World

EVICTED: Final = "MachineLost"
"""Code of machines whose VM is gone without an error of its own."""
_OVERDUE: Final = "BootTimeout"


def failed_machines(machines: Iterable[Machine]) -> tuple[LaunchOutcome, ...]:
    """Failed machines as outcomes; one without an error of its own lost its VM: evicted, or deleted by somebody."""
    return tuple(
        LaunchOutcome(
            name=machine.name,
            state=LaunchState.REJECTED,
            kind=machine.error_kind,
            code=machine.error_code or ("" if machine.error_kind else EVICTED),
            message=machine.error_message or ("" if machine.error_kind else f"its VM is {machine.vm_state}"),
            mark=machine.mark,
        )
        for machine in machines
        if machine.is_failed
    )


def refusals_of(
    failed: Iterable[LaunchOutcome], records: Mapping[str, MachineRecord], config: Config, now: float
) -> Mapping[BackOff, str]:
    """Accepted machines whose creation failed later refuse their bucket as well: each back-off with its reason."""
    found: dict[BackOff, str] = {}
    for one in failed:
        if records[one.name].error_kind is not None or (one.mark is None and one.kind not in SCARCE):
            continue  # what is known already is in the ledger, and its time runs
        record = records[one.name]
        back_off = back_off_for(record, one, config.policy.back_off, now)
        if back_off is not None:
            for each in (back_off, *larger_back_offs(config.arrays, record, one, back_off)):
                found.setdefault(each, f"{one.code}: {one.message}")
    return frozendict(found)


def full_regions(
    failed: Iterable[LaunchOutcome], records: Mapping[str, MachineRecord], config: Config
) -> frozenset[str]:
    """Regions whose cores were used up by the word of machines that are found failed now."""
    places = {array.name: array.location for array in config.arrays}
    new = [one for one in failed if is_regional(one) and records[one.name].error_kind is None]
    return frozenset(places[records[one.name].nodearray] for one in new if records[one.name].nodearray in places)


def overdue_machines(
    nodes: Iterable[Node], records: Mapping[str, MachineRecord], held: Mapping[str, str], now: float
) -> tuple[LaunchOutcome, ...]:
    """Machines that had their time to boot and did not, with how far they got (user ask T12e).

    `held`: machine → what keeps work off its node (`held.held_by`), where something does.
    """
    return tuple(
        LaunchOutcome(
            name=node.name,
            state=LaunchState.REJECTED,
            kind=FaultKind.UNKNOWN,
            code=_OVERDUE,
            message="; ".join(
                part
                for part in (
                    f"not ready in time; it got as far as {stage_of(records[node.name])}",
                    held.get(node.name),
                )
                if part
            ),
        )
        for node in nodes
        if node.stage is Stage.IN_FLIGHT
        and node.lost_since is None
        and node.boot_deadline is not None
        and now > node.boot_deadline
    )


def turned_circuits(
    known: Iterable[Circuit],
    failed: Iterable[LaunchOutcome],
    ready: Iterable[str],
    records: Mapping[str, MachineRecord],
    config: Config,
    now: float,
) -> tuple[Circuit, ...]:
    """The boot circuits that change with this look. A machine counts once: when its fate is seen first (T12c, T12d)."""

    def circuit(name: str) -> Circuit:
        record = records[name]
        return circuit_of(record, image_of(config.nodearrays, record.nodearray))

    unjoined = [
        (circuit(one.name), f"{one.name}: {one.code}: {one.message}")
        for one in failed
        if _speaks_of_boot(one.kind) and records[one.name].error_kind is None and records[one.name].ready_at is None
    ]
    joined = [circuit(name) for name in ready if records[name].ready_at is None]
    return turned(known, unjoined, joined, config.policy.boot_circuit, now)


def _speaks_of_boot(kind: FaultKind | None) -> bool:
    """Whether a failure is the machine's own: neither scarcity nor the loss of its VM."""
    return kind is not None and kind not in SCARCE


def record_failures(world: World, seen: Observation) -> None:
    """Evidence, back-offs, weak marks and circuits of machines that were found failed or overdue."""
    now, times = world.clock.now(), world.config.policy.back_off
    new = world.ledger.record_failures(seen.failed) if seen.failed else frozenset()
    for back_off, why in seen.back_offs.items():
        world.ledger.add_back_off(back_off, why, now)
    for one in seen.failed:
        record = seen.records[one.name]
        was_evicted = one.kind is None and record.ready_at is not None and record.spot
        if one.name in new and (one.kind in SCARCE or was_evicted):
            mark_family(world, record, f"{one.code}: {one.message}", now + times.family_s)
    if seen.turned:
        world.ledger.set_circuits(seen.turned, now)


def mark_family(world: World, record: MachineRecord, why: str, until: float) -> None:
    """Let the record's VM family come last among equals."""
    family = family_of(world.config.arrays, record)
    if family is not None:
        world.ledger.mark_family(family, until, why)
