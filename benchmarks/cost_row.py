"""One row of `benchmarks.cost`, in a process of its own: `python -m benchmarks.cost_row '{"mix": …}'` prints one JSON
object: what the plans cost, the bound, seconds, and what the checker says. Whatever goes wrong ends this row only.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale_aks.collector import paused_collector
from autoscale_aks.model.limits import CoreQuota, Limits
from autoscale_aks.model.policy import Objective, Policy, work_of
from autoscale_aks.model.snapshot import Snapshot
from autoscale_aks.planning.planner import plan
from benchmarks.cost_checker import verify
from benchmarks.cost_inputs import read_catalogue, read_mix
from benchmarks.generators import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.model.plan import Plan


def main() -> int:
    """Entry point."""
    return print_row(sys.argv[1], lambda asked: measure(**asked))


def print_row(asked: str, measure_it: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
    """The row that is asked for in JSON, with no more memory than it may have."""
    wanted = json.loads(asked)
    most_bytes = int(wanted.pop("memory_bytes", 0))
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    print(json.dumps(measure_it(wanted)))
    return 0


def measure(
    mix: str, catalogue: str, jobs: int, quota: str, data: str | None, seconds: float, seed: int
) -> dict[str, Any]:
    """The row of a mix over a catalogue."""
    folder = Path(data) if data else None
    arrays = (read_catalogue(catalogue, folder),)
    snapshot = Snapshot(default_resources=RESOURCES, nodearrays=arrays, jobs=read_mix(mix, jobs, folder, seed))
    if quota == "binding":
        snapshot = replace(snapshot, limits=binding(snapshot, min(seconds, 0.5), Fraction(1, 2)))
    return compare(snapshot, seconds)


def compare(snapshot: Snapshot, seconds: float, *, check: bool = True) -> dict[str, Any]:
    """The first plan, the refined plan, and whether the certificate is true."""
    by_cost, in_order = Policy(objective=Objective.COST, optimize_work=0), Policy(objective=Objective.ORDER)
    plan(replace(snapshot, jobs=snapshot.jobs[:1]), replace(by_cost, optimize_work=1))  # imports
    _, order_s = _timed(snapshot, in_order)
    first, first_s = _timed(snapshot, by_cost)
    refined, refined_s = _timed(snapshot, replace(by_cost, optimize_work=work_of(seconds)))
    started = time.process_time()
    wrong, open_ = verify(snapshot, refined) if check else ([], [])
    found = refined.certificate
    if found is None or first.certificate is None:
        raise SystemExit("there is no certificate")
    used = {outcome.bucket.vm_size: outcome.bucket.offering for outcome in refined.buckets if outcome.new_nodes}
    prices = sorted(one.price or 0 for one in used.values()) or [0]
    per_core = min(used.values(), key=lambda one: (one.price or 0) / one.vcpu_count, default=None)
    lean = 0 if per_core is None else per_core.price or 0
    rules = {name: None if paid is None else float(paid) for name, paid in found.rules.items()}
    return {
        "jobs": sum(job.count for job in snapshot.jobs), "placed": sum(one.slots for one in refined.outcomes),
        "items": len(found.slots), "nodes": len(refined.claims), "method": found.method,
        "cost": float(found.cost), "bound": float(found.bound), "gap": float(found.gap),
        "dearest_node": float(prices[-1]), "lean_node": float(lean),
        "beyond_dearest": float(found.cost - found.bound * 1001 / 1000 - prices[-1]),
        "beyond_lean": float(found.cost - found.bound * 1001 / 1000 - lean),
        "first_cost": float(first.certificate.cost), "rules": rules,
        "order_s": order_s[0], "first_s": first_s[0], "refined_s": refined_s[0],
        "first_wall_s": first_s[1], "refined_wall_s": refined_s[1], "check_s": time.process_time() - started,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "wrong": wrong, "open": open_,
    }  # fmt: skip


def _timed(snapshot: Snapshot, policy: Policy) -> tuple[Plan, tuple[float, float]]:
    """A plan, with the seconds of the processor and of the wall that it took."""
    started, wall = time.process_time(), time.perf_counter()
    with paused_collector():
        found = plan(snapshot, policy)
    return found, (time.process_time() - started, time.perf_counter() - wall)


def binding(snapshot: Snapshot, seconds: float, part: Fraction) -> Limits:
    """Quotas of this part of what the unlimited plan uses of each family it uses, so that they bind."""
    free = plan(snapshot, Policy(objective=Objective.COST, optimize_work=work_of(seconds)))
    used: dict[str, int] = {}
    for outcome in free.buckets:
        family = outcome.bucket.offering.vm_family
        used[family] = used.get(family, 0) + outcome.new_nodes * outcome.bucket.offering.quota_vcpus
    location = snapshot.nodearrays[0].location
    return Limits(families={location: {name: CoreQuota(int(cores * part)) for name, cores in used.items() if cores}})


if __name__ == "__main__":
    sys.exit(main())
