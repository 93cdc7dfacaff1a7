"""One case, measured in a process of its own (`python -m benchmarks.measure NAME`): prints one JSON object."""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale_aks.collector import paused_collector
from autoscale_aks.planning.planner import plan
from benchmarks.audit import audit
from benchmarks.cases import CASES

if TYPE_CHECKING:
    from types import FrameType

    from autoscale_aks.model.plan import Plan
    from benchmarks.generators import Case

ENOUGH_S = 20.0
"""No further repeat is started after this much measuring."""


def measure(name: str, repeat: int, *, audited: bool = True) -> dict[str, Any]:
    """Build, read and plan `repeat` times, then audit the first plan.

    Every repeat builds its input anew, as every cycle of the program does: nothing that is remembered of one
    snapshot's objects helps the next. The collector of cycles is held back while planning, as in the program.
    """
    read_times: list[float] = []
    plan_times: list[float] = []
    cpu_times: list[float] = []
    out_times: list[float] = []
    first: tuple[Case, Plan] | None = None
    same = True
    rss = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs"
        while len(plan_times) < repeat and sum(plan_times) + sum(out_times) + sum(read_times) < ENOUGH_S:
            case = CASES[name].build()
            if case.write is not None and first is None:
                case.write(path)
            gc.collect()
            if first is None:
                _reset_peak()
            if case.read is not None:
                started = time.perf_counter()
                jobs = case.read(path)
                read_times.append(time.perf_counter() - started)
                case = case.with_jobs(jobs)
                del jobs
                gc.collect()
            started, worked = time.perf_counter(), time.process_time()
            with paused_collector():
                found = plan(case.snapshot, case.policy)
            plan_times.append(time.perf_counter() - started)
            cpu_times.append(time.process_time() - worked)
            started = time.perf_counter()
            walk(found)
            out_times.append(time.perf_counter() - started)
            if first is None:
                first, rss = (case, found), _peak_mb()
            else:
                same = same and _decided(found) == _decided(first[1])
            del case, found
    assert first is not None
    case, found = first
    problems = audit(case.snapshot, case.policy, found) if audited else []
    if not same:
        problems.append("two runs over equal snapshots gave two plans (P5)")
    return {"case": name, **_facts(case.snapshot.jobs, found), "buckets": len(found.buckets),
            "read_s": read_times, "plan_s": plan_times, "cpu_s": cpu_times, "out_s": out_times, "rss_mb": rss,
            "audit": problems[:20],
            "violations": len(problems), "audited": audited}  # fmt: skip


def walk(found: Plan) -> int:
    """Look at every part of a plan: what it only promised is made now, and timed apart."""
    parts = (found.outcomes, found.placements, found.claims, found.left)
    return sum(1 for part in parts for _ in part) + sum(
        len(batch.names) for wave in found.waves for batch in wave.batches
    )


def _decided(found: Plan) -> tuple[Any, ...]:
    """What must be the same in every run; jobs and buckets by number and name, so that comparing is cheap."""
    outcomes = [(outcome.slots, outcome.reason.code) for outcome in found.outcomes]
    return tuple(found.placements), outcomes, [(claim.name, claim.bucket.id) for claim in found.claims]


def _facts(jobs: Any, found: Plan) -> dict[str, Any]:
    price = found.price_per_hour
    return {
        "jobs": sum(job.count for job in jobs),
        "records": len(jobs),
        "shapes": len({id(job.shape) for job in jobs}),
        "nodes": len(found.nodes),
        "placed": sum(outcome.slots for outcome in found.outcomes),
        "asked": sum(outcome.requested for outcome in found.outcomes),
        "new_nodes": len(found.claims),
        "puts": found.puts,
        "price": None if price is None else round(float(price), 4),
    }


def _reset_peak() -> None:
    """Forget the memory that making the input took (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        print("the peak of memory includes the making of the input", file=sys.stderr)


def _peak_mb() -> float:
    """Most resident memory so far, in MB of 10^6 bytes; of this program, not of the one that started it."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def profile(name: str, lines: int = 25, limit_s: int = 60) -> None:
    """cProfile of one plan, by own time and by cumulative time; of its beginning, where it takes too long."""
    case = CASES[name].build()
    if case.read is not None and case.write is not None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "jobs"
            case.write(path)
            case = case.with_jobs(case.read(path))
    profiler = cProfile.Profile()
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(limit_s)
    profiler.enable()
    try:
        plan(case.snapshot, case.policy)
    except TimeoutError:
        print(f"stopped after {limit_s} s; what follows is the part until then")
    profiler.disable()
    signal.alarm(0)
    for order in ("tottime", "cumulative"):
        pstats.Stats(profiler, stream=sys.stdout).strip_dirs().sort_stats(order).print_stats(lines)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=list(CASES))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--no-audit", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.profile:
        profile(options.case)
    else:
        print(json.dumps(measure(options.case, options.repeat, audited=not options.no_audit)))


if __name__ == "__main__":
    main()
