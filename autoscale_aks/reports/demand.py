"""The demand report: one object with several faces (house.md §4, step 8). Built from the plan that will be applied."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.model.node import Stage
from autoscale_aks.model.plan import JobStatus
from autoscale_aks.model.reason import LimitKind
from autoscale_aks.planning.space import build_space
from autoscale_aks.reports.cost import certificate_text, unpriced_text
from autoscale_aks.reports.costs import PriceBook, dearest_jobs, price_plan
from autoscale_aks.reports.document import render_demand
from autoscale_aks.reports.figures import BucketRow, DemandReport, RoomRow, SourceRow, StartRow, StopRow
from autoscale_aks.reports.fleet import CellState, survey
from autoscale_aks.reports.flights import list_flights
from autoscale_aks.reports.limits import find_limits, limit_title
from autoscale_aks.reports.sentences import render_message
from autoscale_aks.reports.waiting import group_waits, list_actions
from autoscale_aks.reports.words import price_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.matching.parse import Kinds
    from autoscale_aks.model.plan import BucketOutcome, Plan, Release, Wave
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot, Source
    from autoscale_aks.reports.fleet import FleetRow

__all__ = ["DemandReport", "render_demand", "summarise"]

_NO_KINDS: Final[Kinds] = frozendict()
_NOT_THERE: Final = frozenset({CellState.NEW, CellState.LEAVING})
_NOTHING: Final[Mapping[str, int]] = frozendict()
_NO_TIMES: Final[Mapping[tuple[str, str], float]] = frozendict()


def summarise(
    plan: Plan,
    snapshot: Snapshot,
    notices: tuple[str, ...] = (),
    *,
    policy: Policy | None = None,
    kinds: Kinds = _NO_KINDS,
    boot_s: Mapping[tuple[str, str], float] = _NO_TIMES,
    references: Sequence[Source] = (),
) -> DemandReport:
    """The report of a plan. `notices` are what the look at the sources has to say beside it, `references` what sizes,
    prices and quota were read from (user ask T27a).

    With the `policy` (and the constraint `kinds`) of the plan it has every limit, with what all that waits lacks of
    it; that is planned once more (`reports/limits.py`). `boot_s` is how long machines took to be ready lately, in
    seconds, by node array and VM size.
    """
    rules = parse_default_resources(snapshot.default_resources, disable_defaults=snapshot.disable_default_resources)
    space = build_space(snapshot, rules)
    limits, beyond = ((), _NOTHING) if policy is None else find_limits(snapshot, policy, plan, space, kinds)
    fleet = survey(snapshot, plan, space)
    real = [outcome for job, outcome in zip(plan.jobs, plan.outcomes, strict=True) if not job.is_headroom]
    waits = group_waits(plan, limits)
    book = PriceBook(snapshot)
    costs = price_plan(plan, snapshot, book)
    return DemandReport(
        jobs=len(real),
        slots=sum(outcome.requested for outcome in real),
        placed_slots=sum(outcome.slots for outcome in real),
        starts=tuple(_starts(plan.waves, plan.buckets)),
        stops=tuple(_stops(plan.releases, book)),
        waits=waits,
        ready_nodes=sum(node.is_ready for node in snapshot.nodes),
        in_flight_nodes=sum(node.stage is Stage.IN_FLIGHT for node in snapshot.nodes),
        puts=plan.puts,
        machines=len(plan.claims),
        price_per_hour=plan.price_per_hour,
        notes=(*_notes(plan, snapshot), *notices),
        room=tuple(_room(plan)),
        flights=list_flights(snapshot, policy, boot_s),
        limits=limits,
        actions=list_actions(waits, limits),
        fleet=fleet,
        buckets=tuple(_buckets(plan, fleet, beyond)),
        costs=costs,
        dearest=dearest_jobs(plan, costs.jobs),
        waiting_jobs=sum(row.jobs for row in waits),
        waiting_slots=sum(row.slots for row in waits),
        at=snapshot.now,
        sources=tuple(SourceRow(name=one.name, complete=one.complete, age_s=one.age_s, detail=one.detail)
                      for one in (*snapshot.sources, *references)),
        cost_certificate="" if plan.certificate is None else certificate_text(plan.certificate),
    )  # fmt: skip


def _room(plan: Plan) -> Iterable[RoomRow]:
    """Headroom with the machines that are claimed for nothing else (user ask T21d)."""
    kept = [number for number, job in enumerate(plan.jobs) if job.is_headroom]
    if not kept:
        return
    first_claim = len(plan.nodes) + len(plan.unmanaged_nodes)
    users: dict[int, set[int]] = {}
    for placement in plan.placements:
        for node in range(max(placement.first_node, first_claim), placement.first_node + placement.nodes):
            users.setdefault(node, set()).add(placement.job)
    for number in kept:
        mine = [node - first_claim for node, jobs in users.items() if min(jobs) == number]
        prices = [plan.claims[index].bucket.offering.price for index in mine]
        outcome = plan.outcomes[number]
        yield RoomRow(
            name=plan.jobs[number].name,
            slots=outcome.requested,
            placed=outcome.slots,
            machines=len(mine),
            price_per_hour=None if None in prices else sum((price for price in prices if price), Fraction(0)),
            message="" if outcome.status is JobStatus.SUCCESS else render_message(outcome.reason),
        )


def _starts(waves: Iterable[Wave], buckets: Iterable[BucketOutcome]) -> Iterable[StartRow]:
    outcomes = {outcome.bucket.key: outcome for outcome in buckets}
    by_bucket: dict[tuple[object, ...], list[Wave]] = {}
    for wave in waves:
        by_bucket.setdefault(wave.bucket.key, []).append(wave)
    for members in by_bucket.values():
        machines = sum(wave.workers * wave.per_worker for wave in members)
        price = members[0].bucket.offering.price
        outcome = outcomes.get(members[0].bucket.key)
        binding = None if outcome is None else outcome.binding
        yield StartRow(
            bucket=members[0].bucket.id,
            machines=machines,
            waves=" + ".join(f"{wave.workers}×{wave.per_worker}" for wave in members),
            puts=sum(wave.workers for wave in members),
            price_per_hour=None if price is None else price * machines,
            more=None if outcome is None else outcome.available_after,
            binding="" if binding is None else limit_title(binding.kind, binding.name),
        )


def _buckets(plan: Plan, fleet: Iterable[FleetRow], beyond: Mapping[str, int]) -> Iterable[BucketRow]:
    outcomes = {outcome.bucket.id: outcome for outcome in plan.buckets}
    there = {row.bucket: sum(count for state, count in row.states.items() if state not in _NOT_THERE) for row in fleet}
    for name in dict.fromkeys((*outcomes, *beyond)):
        outcome = outcomes.get(name)
        new = outcome.new_nodes if outcome else 0
        if there.get(name) or new or beyond.get(name):
            binding = outcome.binding if outcome else None
            yield BucketRow(
                bucket=name,
                there=there.get(name, 0),
                new=new,
                beyond=beyond.get(name, 0),
                more=outcome.available_after if outcome else None,
                binding="" if binding is None else limit_title(binding.kind, binding.name),
            )


def _stops(releases: Iterable[Release], book: PriceBook) -> Iterable[StopRow]:
    grouped: dict[tuple[str, str], list[Release]] = {}
    for release in releases:
        key = (f"{release.node.nodearray}/{release.node.vm_size}", release.cause.value)
        grouped.setdefault(key, []).append(release)
    for (bucket, cause), members in grouped.items():
        idle = [release.idle_s for release in members if release.idle_s is not None]
        price = book.total(release.node for release in members).per_hour
        yield StopRow(bucket, len(members), cause, max(idle, default=None), price)


def _is_barred(outcome: BucketOutcome) -> bool:
    return outcome.binding is not None and outcome.binding.kind is LimitKind.UNPRICED


def _notes(plan: Plan, snapshot: Snapshot) -> Iterable[str]:
    for source in snapshot.sources:
        if not source.complete:
            detail = f": {source.detail}" if source.detail else ""
            yield f"{source.name} could not be read whole{detail}; nothing is deleted in this cycle"
    if plan.withheld:
        yield (
            f"{len(plan.withheld):,} of {len(plan.nodes):,} machines are to go at once; they stay until the next cycle "
            "agrees (policy.mass_delete)"
        )
    guarded = [node.name for node in snapshot.nodes if node.keep_alive]
    if guarded:
        more = " …" if len(guarded) > 3 else ""
        stay = "machine is protected and stays" if len(guarded) == 1 else "machines are protected and stay"
        yield f"{len(guarded):,} {stay}: {', '.join(guarded[:3])}{more}"
    if plan.claims and plan.price_per_hour is None:
        known = sum((one.bucket.offering.price or 0) * one.new_nodes for one in plan.buckets)
        yield f"the price of {unpriced_text(plan)} is not known; all the rest is {price_text(Fraction(known))} an hour"
    if barred := sorted({one.bucket.id for one in plan.buckets if _is_barred(one)}):
        yield (
            f"under a budget {', '.join(barred[:3])}{' …' if len(barred) > 3 else ''} is not asked for: its price is "
            "not known; state it in the bucket or in prices.overrides"
        )
    for problem in plan.problems[:10]:
        yield str(problem)
    if len(plan.problems) > 10:
        yield f"… and {len(plan.problems) - 10} more records that could not be read"
