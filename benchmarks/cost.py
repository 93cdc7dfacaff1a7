"""`make bench-cost`: what plans by price cost against a lower bound that is checked by code of its own.

    python -m benchmarks.cost [--mix NAME …] [--catalogue NAME …] [--jobs N …] [--quota off|binding] [--data DIR]

Real prices and real logs are read from the folder `--data` (or the variable AUTOSCALE_AKS_DATA) when it is given:
`azure/vm-skus.json`, `gpu/*pods*.csv`, `csv/*.csv`, `sacct/*.gz`. Without it a small built-in table of sizes is used
and the real mixes are left out, loudly. Times are processor seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale_aks.collector import paused_collector
from autoscale_aks.model.limits import CoreQuota, Limits
from autoscale_aks.model.policy import OPTIMIZE_SECONDS, Objective, Policy, work_of
from autoscale_aks.model.snapshot import Snapshot
from autoscale_aks.planning.planner import plan
from benchmarks.cost_checker import verify
from benchmarks.cost_inputs import CATALOGUES, MIXES, REAL, read_catalogue, read_mix
from benchmarks.generators import RESOURCES

if TYPE_CHECKING:
    from autoscale_aks.model.plan import Plan

_HEAD = ("mix", "catalogue", "quota", "J", "items", "cost/h", "bound/h", "gap %", "nodes over", "first s", "refined s",
         "check")  # fmt: skip
_WIDTH = (10, 9, 7, 9, 6, 12, 12, 9, 10, 8, 9, 8)
VARIABLE = "AUTOSCALE_AKS_DATA"


def main() -> int:
    """Entry point."""
    options = _options()
    data = Path(options.data) if options.data else None
    if data is None:
        print(f"!! no {VARIABLE} and no --data: built-in sizes only, and no real jobs ({', '.join(REAL)})", flush=True)
    print(_line(_HEAD), flush=True)
    rows: list[dict[str, Any]] = []
    for mix in options.mix or MIXES:
        if mix in REAL and data is None:
            continue
        for catalogue in options.catalogue or (("gpu",) if mix == "openb" else CATALOGUES):
            for jobs in options.jobs or (1_000, 10_000, 1_000_000):
                for quota in options.quota or ("off", "binding"):
                    rows.append(_measure(mix, catalogue, jobs, quota, data, options.seconds))
                    _print(rows[-1])
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    bad = [row for row in rows if row["wrong"] or row["gap"] < 0]
    missed = [row for row in rows if not met(row)]
    print(f"\n{len(rows)} plans, {len(bad)} wrong, {len(missed)} over their goal")
    return 1 if bad or (options.strict and missed) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", nargs="+", choices=list(MIXES))
    parser.add_argument("--catalogue", nargs="+", choices=list(CATALOGUES))
    parser.add_argument("--jobs", nargs="+", type=int)
    parser.add_argument("--quota", nargs="+", choices=["off", "binding"])
    parser.add_argument("--seconds", type=float, default=OPTIMIZE_SECONDS, help="policy.optimize_seconds (2)")
    parser.add_argument("--data", default=os.environ.get(VARIABLE))
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--strict", action="store_true", help="fail when a goal is missed")
    return parser.parse_args()


def measure(snapshot: Snapshot, seconds: float, *, check: bool = True) -> dict[str, Any]:
    """One row: the first plan, the refined plan, and whether the certificate is true."""
    policy = Policy(objective=Objective.COST, optimize_work=0)
    plan(replace(snapshot, jobs=snapshot.jobs[:1]), replace(policy, optimize_work=1))  # imports
    first, first_s = _timed(snapshot, policy)
    refined, refined_s = _timed(snapshot, replace(policy, optimize_work=work_of(seconds)))
    certificate = refined.certificate
    if certificate is None or first.certificate is None:
        raise SystemExit("no certificate")
    wrong, open_ = verify(snapshot, refined) if check else ([], [])
    sizes = [outcome.bucket.offering for outcome in refined.buckets if outcome.new_nodes]
    cheapest = min(sizes, key=lambda one: one.price / one.vcpu_count).price
    return {
        "jobs": sum(job.count for job in snapshot.jobs),
        "items": len(certificate.slots), "cost": float(certificate.cost), "bound": float(certificate.bound),
        "gap": float(certificate.gap), "nodes_over": float((certificate.cost - certificate.bound) / cheapest),
        "one_node": float(cheapest),
        "first_cost": float(first.certificate.cost), "first_s": first_s, "refined_s": refined_s,
        "rules": {name: None if paid is None else float(paid) for name, paid in certificate.rules.items()},
        "wrong": wrong, "open": open_, "placed": sum(o.slots for o in refined.outcomes),
    }  # fmt: skip


def _measure(mix: str, catalogue: str, jobs: int, quota: str, data: Path | None, seconds: float) -> dict[str, Any]:
    """The row of a mix over a catalogue."""
    arrays = (read_catalogue(catalogue, data),)
    snapshot = Snapshot(default_resources=RESOURCES, nodearrays=arrays, jobs=read_mix(mix, jobs, data))
    if quota == "binding":
        snapshot = replace(snapshot, limits=binding(snapshot, min(seconds, 0.5), Fraction(1, 2)))
    return {"mix": mix, "catalogue": catalogue, "quota": quota, **measure(snapshot, seconds)}


def _timed(snapshot: Snapshot, policy: Policy) -> tuple[Plan, float]:
    started = time.process_time()
    with paused_collector():
        found = plan(snapshot, policy)
    return found, time.process_time() - started


def binding(snapshot: Snapshot, seconds: float, part: Fraction) -> Limits:
    """Quotas of this part of what the unlimited plan uses of each family it uses, so that they bind."""
    free = plan(snapshot, Policy(objective=Objective.COST, optimize_work=work_of(seconds)))
    used: dict[str, int] = {}
    for outcome in free.buckets:
        family = outcome.bucket.offering.vm_family
        used[family] = used.get(family, 0) + outcome.new_nodes * outcome.bucket.offering.quota_vcpus
    location = snapshot.nodearrays[0].location
    return Limits(families={location: {name: CoreQuota(int(cores * part)) for name, cores in used.items() if cores}})


def met(row: dict[str, Any]) -> bool:
    """Goals: 0.1 % from 10,000 jobs on, 0.01 % at a million, 0.1 % and a node always."""
    if row["jobs"] >= 900_000:
        return bool(row["gap"] <= 1e-4)
    if row["jobs"] >= 9_000:
        return bool(row["gap"] <= 1e-3)
    return bool(row["cost"] <= row["bound"] * 1.001 + row["one_node"])


def _print(row: dict[str, Any]) -> None:
    check = "WRONG" if row["wrong"] else f"{len(row['open'])} open" if row["open"] else "ok"
    cells = (row["mix"], row["catalogue"], row["quota"], f"{row['jobs']:,}", row["items"], f"{row['cost']:,.2f}",
             f"{row['bound']:,.2f}", f"{row['gap'] * 100:.4f}", f"{row['nodes_over']:.2f}", f"{row['first_s']:.2f}",
             f"{row['refined_s']:.2f}", check)  # fmt: skip
    print(_line(cells) + ("" if met(row) else "  over goal"), flush=True)
    rules = {"first plan": row["first_cost"], **row["rules"]}
    over = {name: "–" if paid is None else f"{(paid / row['bound'] - 1) * 100:.1f} %" for name, paid in rules.items()}
    print("    " + " · ".join(f"{name} {more}" for name, more in over.items()), flush=True)
    for problem in row["wrong"][:5]:
        print(f"    {problem}", file=sys.stdout, flush=True)


def _line(cells: tuple[Any, ...]) -> str:
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTH, strict=True))


if __name__ == "__main__":
    sys.exit(main())
