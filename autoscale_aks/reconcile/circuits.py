"""Boot circuits: machines of one bucket and image that do not join are not asked for again and again (T12c).

Closed until `failures` machines in a row did not join; then open for `retry_s`; then half open: one machine at a time.
One that joins closes the circuit, one that does not opens it anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from autoscale_aks.ledger.guards import Circuit
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.model.snapshot import BackOff

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.config.values import NodeArrayConfig
    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.policy import BootCircuit


def image_of(nodearrays: Mapping[str, NodeArrayConfig], nodearray: str) -> str:
    """What the machines of a node array boot from, as far as the configuration says.

    Beside the image itself: the settings by which a machine of the same size and image comes up with other amounts
    (GPUs cut into instances or without a driver, memory that AKS keeps for so many pods). Those not stated are left
    out.
    """
    found = nodearrays.get(nodearray)
    if found is None:
        return ""
    image = [part or "default" for part in (found.os_sku, found.orchestrator_version)]
    pods = None if found.max_pods is None else f"{found.max_pods} pods"
    driver = None if found.gpu_driver in (None, "Install") else f"GPU driver {found.gpu_driver}"
    image += [part for part in (found.node_image_version, found.gpu_instance_profile, driver, pods) if part]
    return "/".join(image)


def circuit_of(record: MachineRecord, image: str) -> Circuit:
    """The circuit of a machine, without failures."""
    return Circuit(
        nodearray=record.nodearray, vm_size=record.vm_size, zone=record.zone, spot=record.spot, image=image, failures=0
    )


def turned(
    known: Iterable[Circuit],
    failed: Iterable[tuple[Circuit, str]],
    joined: Iterable[Circuit],
    rule: BootCircuit,
    now: float,
) -> tuple[Circuit, ...]:
    """The circuits that changed: machines that did not join (each with its error), and some that did.

    A machine that joined counts after those that did not: something of the bucket works.
    """
    before = {one.key: one for one in known}
    after = dict(before)
    for circuit, error in failed:
        one = after.get(circuit.key, circuit)
        failures = one.failures + 1
        after[one.key] = replace(
            one, failures=failures, last_error=error, opened_at=now if failures >= rule.failures else one.opened_at
        )
    for circuit in joined:
        if circuit.key in after:
            after[circuit.key] = replace(after[circuit.key], failures=0, opened_at=None)
    return tuple(one for key, one in after.items() if before.get(key) != one)


@dataclass(frozen=True, slots=True)
class Gates:
    """What circuits let through now."""

    back_offs: Mapping[BackOff, str]
    """Buckets that may not be asked for, each with its last error."""
    probes: frozenset[tuple[str, str, str | None]]
    """(node array, VM size, zone) of which one machine may be tried."""


def gates(
    circuits: Iterable[Circuit],
    images: Mapping[str, str],
    asked: Iterable[tuple[MachineRecord, bool]],
    rule: BootCircuit,
    now: float,
) -> Gates:
    """Which buckets are shut, and which may try one machine. `asked` are the machines, each with whether it boots.

    A circuit of another image than the configured one says nothing.
    """
    back_offs: dict[BackOff, str] = {}
    probes: set[tuple[str, str, str | None]] = set()
    booting = [record for record, boots in asked if boots]
    for one in circuits:
        if one.opened_at is None or images.get(one.nodearray) != one.image:
            continue
        until = one.opened_at + rule.retry_s
        is_probed = any(
            (record.nodearray, record.vm_size, record.zone) == (one.nodearray, one.vm_size, one.zone)
            and record.asked_at >= until
            for record in booting
        )
        if now >= until and not is_probed:
            probes.add((one.nodearray, one.vm_size, one.zone))
            continue
        shut = BackOff(
            code=ReasonCode.BOOT_CIRCUIT_OPEN.value,
            until=until if now < until else None,
            nodearray=one.nodearray,
            vm_size=one.vm_size,
            zone=one.zone,
            spot=one.spot,
        )
        back_offs[shut] = one.last_error
    return Gates(back_offs, frozenset(probes))


def with_probes(arrays: Iterable[NodeArray], probes: frozenset[tuple[str, str, str | None]]) -> tuple[NodeArray, ...]:
    """The node arrays with one machine to be had of each size that is tried again."""
    if not probes:
        return tuple(arrays)
    return tuple(
        replace(
            array,
            offerings=tuple(
                replace(one, available_count=min(1, 1 if one.available_count is None else one.available_count))
                if (array.name, one.vm_size, one.zone) in probes
                else one
                for one in array.offerings
            ),
        )
        for array in arrays
    )
