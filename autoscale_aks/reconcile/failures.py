"""Machines that failed: why, whom it concerns beside them, and what is to be remembered of it (T08, T12, T19)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.model.launch import FaultKind, LaunchOutcome, LaunchState
from autoscale_aks.model.plan import ReleaseCause
from autoscale_aks.reconcile.back_offs import back_off_for, family_of
from autoscale_aks.reconcile.circuits import circuit_of, image_of, turned
from autoscale_aks.reconcile.stages import stage_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.launch import Machine
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.policy import BackOffTimes
    from autoscale_aks.model.snapshot import BackOff
    from autoscale_aks.reconcile.observe import Observation
    from autoscale_aks.reconcile.world import World

SCARCE: Final = frozenset({FaultKind.CAPACITY, FaultKind.QUOTA})
"""Kinds that speak of the size and not of how the machine boots."""
_EVICTED: Final = "MachineLost"


def failed_machines(machines: Iterable[Machine]) -> tuple[LaunchOutcome, ...]:
    """Failed machines as outcomes; one without an error of its own lost its VM: evicted, or deleted by somebody."""
    return tuple(
        LaunchOutcome(
            name=machine.name,
            state=LaunchState.REJECTED,
            kind=machine.error_kind,
            code=machine.error_code or ("" if machine.error_kind else _EVICTED),
            message=machine.error_message or ("" if machine.error_kind else f"its VM is {machine.vm_state}"),
        )
        for machine in machines
        if machine.is_failed
    )


def refusals_of(
    failed: Iterable[LaunchOutcome], records: Mapping[str, MachineRecord], times: BackOffTimes, now: float
) -> Mapping[BackOff, str]:
    """Accepted machines whose creation failed later refuse their bucket as well: each back-off with its reason."""
    found: dict[BackOff, str] = {}
    for one in failed:
        if one.kind not in SCARCE or records[one.name].error_kind is not None:
            continue  # what is known already is in the ledger, and its time runs
        back_off = back_off_for(records[one.name], one.kind, times, now)
        if back_off is not None:
            found.setdefault(back_off, f"{one.code}: {one.message}")
    return frozendict(found)


def record_failures(world: World, seen: Observation) -> None:
    """Evidence, back-offs and weak marks of machines that were found failed."""
    now, times = world.clock.now(), world.config.policy.back_off
    new = world.ledger.record_failures(seen.failed) if seen.failed else frozenset()
    for back_off, why in seen.back_offs.items():
        world.ledger.add_back_off(back_off, why, now)
    for one in seen.failed:
        record = seen.records[one.name]
        was_evicted = one.kind is None and record.ready_at is not None and record.spot
        if one.name in new and (one.kind in SCARCE or was_evicted):
            mark_family(world, record, f"{one.code}: {one.message}", now + times.family_s)
    unjoined = [
        (seen.records[one.name], f"{one.code}: {one.message}")
        for one in seen.failed
        if one.name in new
        and one.kind is not None
        and one.kind not in SCARCE
        and seen.records[one.name].ready_at is None
    ]
    _turn(world, seen, unjoined)


def record_overdue(world: World, seen: Observation, decided: Plan) -> None:
    """Evidence of machines that had their time to boot and did not; each counts once (user ask T12c, T12e)."""
    overdue = [
        release.node.name
        for release in (*decided.releases, *decided.withheld)
        if release.cause is ReleaseCause.BOOT_TIMEOUT
    ]
    if not overdue:
        return
    evidence = {
        name: LaunchOutcome(
            name=name,
            state=LaunchState.REJECTED,
            kind=FaultKind.UNKNOWN,
            code="BootTimeout",
            message=f"not ready in time; it got as far as {stage_of(seen.records[name])}",
        )
        for name in overdue
    }
    new = world.ledger.record_failures(evidence.values())
    unjoined = [(seen.records[name], f"{name}: {evidence[name].message}") for name in overdue if name in new]
    _turn(world, seen, unjoined, with_joined=False)


def mark_family(world: World, record: MachineRecord, why: str, until: float) -> None:
    """Let the record's VM family come last among equals."""
    family = family_of(world.config.arrays, record)
    if family is not None:
        world.ledger.mark_family(family, until, why)


def _turn(
    world: World, seen: Observation, unjoined: list[tuple[MachineRecord, str]], *, with_joined: bool = True
) -> None:
    arrays = world.config.nodearrays
    joined = [seen.records[name] for name in seen.ready if seen.records[name].ready_at is None] if with_joined else []
    if not unjoined and not (joined and seen.circuits):
        return
    now = world.clock.now()
    changed = turned(
        world.ledger.circuits(),
        [(circuit_of(record, image_of(arrays, record.nodearray)), why) for record, why in unjoined],
        [circuit_of(record, image_of(arrays, record.nodearray)) for record in joined],
        world.config.policy.boot_circuit,
        now,
    )
    if changed:
        world.ledger.set_circuits(changed, now)
