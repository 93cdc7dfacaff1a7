"""A simulated run as JSON and as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from autoscale_aks.model.simulation import Simulation

SHARES: Final = (0.5, 0.9, 0.99, 1.0)
"""Of the jobs that started: how long they waited at most."""
_NAMED: Final = 5


def render_simulation(run: Simulation) -> dict[str, Any]:
    """Everything, for programs. Times in seconds since the run began, `cost` in the price list's currency."""
    return {
        "jobs": len(run.jobs),
        "unfinished": [job.name for job in run.unfinished],
        "restarts": sum(job.restarts for job in run.jobs),
        "waited_s": {f"P{share * 100:g}": run.waited(share) for share in SHARES},
        "ended_s": run.ended_s,
        "cycles": run.cycles,
        "failed_cycles": run.failed_cycles,
        "machines": len(run.machines),
        "peak_machines": run.peak,
        "peak_vcpus": dict(run.peak_cores),
        "machine_hours": run.machine_hours,
        "busy_hours": run.busy_hours,
        "waste": run.waste,
        "cost": run.cost,
        "machines_over_time": [list(step) for step in run.count],
        "by_bucket": rows_by_bucket(run),
    }


def rows_by_bucket(run: Simulation) -> list[dict[str, Any]]:
    """One row for each node array and VM size: machines, machine-hours, busy hours, cost (None: no price)."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    nothing = {"machines": 0, "machine_hours": 0.0, "busy_hours": 0.0, "cost": 0.0}
    for one in run.machines:
        key = (one.nodearray, one.vm_size)
        row = rows.setdefault(key, {"nodearray": key[0], "vm_size": key[1], **nothing})
        row["machines"] += 1
        row["machine_hours"] += one.hours
        row["busy_hours"] += one.busy_s / 3600.0
        priced = None if one.price is None or row["cost"] is None else row["cost"] + float(one.price) * one.hours
        row["cost"] = priced
    return [rows[key] for key in sorted(rows)]


def sentences(run: Simulation) -> tuple[str, ...]:
    """What people ask first."""
    waits = ", ".join(
        f"{share * 100:g} % within {run.waited(share):,.0f} s" for share in SHARES if run.waited(share) is not None
    )
    cost = "unknown: a price is missing" if run.cost is None else f"${run.cost:,.2f}"
    left = run.unfinished
    names = ", ".join(job.name for job in left[:_NAMED]) + (" …" if len(left) > _NAMED else "")
    jobs = f"{len(run.jobs):,} jobs in {run.ended_s / 3600:,.1f} hours and {run.cycles:,} cycles"
    machines = (
        f"{len(run.machines):,} machines, at most {run.peak:,} at once; {run.machine_hours:,.1f} machine-hours, "
        f"{run.waste:.0%} of them without a job; cost {cost}"
    )
    return (
        f"{jobs}; started: {waits or 'none'}",
        machines,
        *((f"{len(left):,} jobs had not ended: {names}",) if left else ()),
    )
