"""The demand report: one object with several faces (house.md §4, step 8). Built from the plan that will be applied."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from autoscale_aks.model.node import Stage
from autoscale_aks.model.plan import JobStatus
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.reports.answer import render_answer
from autoscale_aks.reports.sentences import render_message, render_next

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.model.plan import Plan, Release, Wave
    from autoscale_aks.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class StartRow:
    """New machines of one bucket."""

    bucket: str
    machines: int
    waves: str
    """`6×49 + 1×1`: workers × machines a PUT."""
    puts: int
    price_per_hour: Fraction | None


@dataclass(frozen=True, slots=True)
class StopRow:
    """Machines that are to leave for one cause."""

    bucket: str
    machines: int
    cause: str
    idle_s: float | None
    """The longest idle time among them."""


@dataclass(frozen=True, slots=True)
class WaitRow:
    """Waiting jobs that share a reason."""

    code: str
    jobs: int
    slots: int
    message: str
    next_action: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoomRow:
    """Room that is kept free for jobs to come; it stands in no scheduler."""

    name: str
    slots: int
    placed: int
    machines: int
    """New machines that are for this room alone."""
    price_per_hour: Fraction | None
    message: str
    """What stands in the way; empty when nothing does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandReport:
    """What would start, what would stop, what waits and why, what is in flight."""

    jobs: int
    """Job records looked at; an array is one."""
    slots: int
    """Slots (or nodes, where a job counts nodes) asked for in all."""
    placed_slots: int
    starts: tuple[StartRow, ...]
    stops: tuple[StopRow, ...]
    waits: tuple[WaitRow, ...]
    ready_nodes: int
    in_flight_nodes: int
    puts: int
    machines: int
    price_per_hour: Fraction | None
    notes: tuple[str, ...] = ()
    room: tuple[RoomRow, ...] = ()


def summarise(plan: Plan, snapshot: Snapshot, notices: tuple[str, ...] = ()) -> DemandReport:
    """The report of a plan. `notices` are what the look at the sources has to say beside it."""
    starts = tuple(_starts(plan.waves))
    real = [outcome for job, outcome in zip(plan.jobs, plan.outcomes, strict=True) if not job.is_headroom]
    room = tuple(_room(plan))
    return DemandReport(
        jobs=len(real),
        slots=sum(outcome.requested for outcome in real),
        placed_slots=sum(outcome.slots for outcome in real),
        starts=starts,
        stops=tuple(_stops(plan.releases)),
        waits=tuple(_waits(plan)),
        ready_nodes=sum(node.is_ready for node in snapshot.nodes),
        in_flight_nodes=sum(node.stage is Stage.IN_FLIGHT for node in snapshot.nodes),
        puts=plan.puts,
        machines=len(plan.claims),
        price_per_hour=plan.price_per_hour,
        notes=(*_notes(plan, snapshot), *notices),
        room=room,
    )


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


def _starts(waves: Iterable[Wave]) -> Iterable[StartRow]:
    by_bucket: dict[tuple[object, ...], list[Wave]] = {}
    for wave in waves:
        by_bucket.setdefault(wave.bucket.key, []).append(wave)
    for members in by_bucket.values():
        machines = sum(wave.workers * wave.per_worker for wave in members)
        price = members[0].bucket.offering.price
        yield StartRow(
            bucket=members[0].bucket.id,
            machines=machines,
            waves=" + ".join(f"{wave.workers}×{wave.per_worker}" for wave in members),
            puts=sum(wave.workers for wave in members),
            price_per_hour=None if price is None else price * machines,
        )


def _stops(releases: Iterable[Release]) -> Iterable[StopRow]:
    grouped: dict[tuple[str, str], list[Release]] = {}
    for release in releases:
        key = (f"{release.node.nodearray}/{release.node.vm_size}", release.cause.value)
        grouped.setdefault(key, []).append(release)
    for (bucket, cause), members in grouped.items():
        idle = [release.idle_s for release in members if release.idle_s is not None]
        yield StopRow(bucket, len(members), cause, max(idle, default=None))


def _waits(plan: Plan) -> Iterable[WaitRow]:
    grouped: dict[tuple[str, str], list[int]] = {}
    for index, outcome in enumerate(plan.outcomes):
        if outcome.status is not JobStatus.SUCCESS and not plan.jobs[index].is_headroom:
            key = (outcome.reason.code.value, render_message(outcome.reason))
            grouped.setdefault(key, []).append(index)
    order = [code.value for code in ReasonCode]
    for (code, message), members in sorted(grouped.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        outcomes = [plan.outcomes[index] for index in members]
        yield WaitRow(
            code=code,
            jobs=len(members),
            slots=sum(outcome.requested - outcome.slots for outcome in outcomes),
            message=message,
            next_action=render_next(outcomes[0].reason),
            examples=tuple(plan.jobs[index].name for index in members[:3]),
        )


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
        yield f"{len(guarded):,} machines are protected and stay: {', '.join(guarded[:3])}{more}"
    if plan.claims and plan.price_per_hour is None:
        yield "the price of some sizes is not known"
    for problem in plan.problems[:10]:
        yield str(problem)
    if len(plan.problems) > 10:
        yield f"… and {len(plan.problems) - 10} more records that could not be read"


def render_demand(report: DemandReport, plan: Plan) -> dict[str, Any]:
    """The report as JSON: its own figures, then the scenario answer without single placements."""
    return {
        "summary": {
            "jobs": report.jobs,
            "slots": report.slots,
            "placed_slots": report.placed_slots,
            "ready_nodes": report.ready_nodes,
            "in_flight_nodes": report.in_flight_nodes,
            "machines": report.machines,
            "puts": report.puts,
            "price_per_hour": None if report.price_per_hour is None else float(report.price_per_hour),
            "notes": list(report.notes),
        },
        "headroom": [
            {
                "name": row.name,
                "slots": row.slots,
                "placed": row.placed,
                "machines": row.machines,
                "price_per_hour": None if row.price_per_hour is None else float(row.price_per_hour),
                "message": row.message,
            }
            for row in report.room
        ],
        "waiting": [
            {"code": row.code, "jobs": row.jobs, "slots": row.slots, "message": row.message, "next": row.next_action}
            for row in report.waits
        ],
        **render_answer(plan),
    }
