"""What failures, boots and sizes teach, by this look and by earlier ones: which buckets are offered, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.model.node import Stage
from autoscale_aks.reconcile import sizes
from autoscale_aks.reconcile.back_offs import demote, family_mark, region_holds, spot_holds
from autoscale_aks.reconcile.circuits import gates, image_of, with_probes
from autoscale_aks.reconcile.failures import (
    EVICTED,
    failed_machines,
    full_regions,
    overdue_machines,
    refusals_of,
    turned_circuits,
)
from autoscale_aks.reconcile.fresh_nodes import rules_of_cycle
from autoscale_aks.reconcile.observed import KEPT_S, find_observed, with_observed
from autoscale_aks.reports.sentences import render_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.ledger.guards import Circuit, Protection, SmallSize
    from autoscale_aks.ledger.observations import ObservedSize
    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.launch import LaunchOutcome
    from autoscale_aks.model.snapshot import BackOff
    from autoscale_aks.reconcile.circuits import Gates
    from autoscale_aks.reconcile.joining import Joiner
    from autoscale_aks.reconcile.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What is new with this look, and what follows for the plan."""

    arrays: tuple[NodeArray, ...]
    """As they are offered: real sizes, marked families last, one machine where a circuit is half open."""
    back_offs: tuple[BackOff, ...]
    """In force beside those of the ledger."""
    failed: tuple[LaunchOutcome, ...]
    refused: Mapping[BackOff, str]
    turned: tuple[Circuit, ...]
    small: tuple[SmallSize, ...]
    shown: tuple[ObservedSize, ...]
    """What machines of a size and image show that was not known yet."""
    notices: tuple[str, ...]


def learn(world: World, joined: Joiner) -> Lessons:
    """Put this look beside what the ledger keeps of earlier ones. Writes nothing."""
    now, config, ledger, records = joined.now, world.config, world.ledger, joined.records
    made = failed_machines(joined.cloud.machines.values())
    refused = refusals_of(made, records, config, now)
    holds = region_holds(config.arrays, full_regions(made, records, config))
    rule = config.policy.spot_evictions
    evicted = spot_holds(config.arrays, ledger.evictions(EVICTED, now - rule.window_s), rule) if rule.count else {}
    failed = (*made, *overdue_machines(joined.nodes, records, joined.held, now))
    known = ledger.circuits()
    turned = turned_circuits(known, failed, joined.ready, records, config, now)
    gate = _gates(world, joined, {one.key: one for one in (*known, *turned)}.values())
    small_before = ledger.small_sizes(now - sizes.KEPT_S)
    rules = parse_default_resources(
        rules_of_cycle(config, joined.queue.state), disable_defaults=config.disable_default_resources
    )
    small = sizes.find_small(joined.nodes, config.arrays, rules, config.shared_resources, small_before)
    shown_before = ledger.observed_sizes(now - KEPT_S)
    shown = find_observed(joined.nodes, config.nodearrays, rules, config.shared_resources, shown_before)
    marks = ledger.family_marks(now)
    families = {
        family_mark(array, one): f"{one.vm_family} in {array.location}"
        for array in config.arrays
        for one in array.offerings
    }
    real = sizes.observed(config.arrays, (*small_before, *small))
    real = with_observed(real, config.nodearrays, (*shown_before, *shown))
    return Lessons(
        arrays=with_probes(demote(real, marks.keys()), gate.probes),
        back_offs=(*gate.back_offs, *refused, *holds, *evicted),
        failed=failed,
        refused=refused,
        turned=turned,
        small=small,
        shown=shown,
        notices=(
            *(_protection_text(one) for one in joined.protections.values() if one.name in records),
            *sizes.describe_small((*small_before, *small)),
            *(f"{families.get(mark, mark)} comes last among equals: {why}" for mark, why in marks.items()),
            *(f"{back_off.nodearray} is left alone for regular machines: {why}" for back_off, why in evicted.items()),
            *(f"{_gate_text(back_off)}: {why}" for back_off, why in gate.back_offs.items()),
        ),
    )


def _gates(world: World, joined: Joiner, circuits: Iterable[Circuit]) -> Gates:
    config = world.config
    images = {array.name: image_of(config.nodearrays, array.name) for array in config.arrays}
    asked = ((joined.records[node.name], node.stage is Stage.IN_FLIGHT) for node in joined.nodes)
    return gates(circuits, images, asked, config.policy.boot_circuit, joined.now)


def _protection_text(protection: Protection) -> str:
    until = "" if protection.until is None else f" until {render_time(protection.until)}"
    return f"{protection.name} is protected by {protection.owner}{until}: {protection.reason}"


def _gate_text(back_off: BackOff) -> str:
    where = f"{back_off.nodearray}/{back_off.vm_size}" + (f":{back_off.zone}" if back_off.zone else "")
    return f"BOOT_CIRCUIT_OPEN: machines of {where} do not join"
