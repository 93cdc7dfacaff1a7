"""The table: `python -m benchmarks.run [--case NAME …] [--repeat N] [--json FILE] [--strict] [--accept]`.

Each case runs in a process of its own, so that its memory is its own and cases do not warm each other up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.accepted import ACCEPTED, goals_of, judge, with_measured
from benchmarks.cases import CASES

_HEAD = ("case", "J", "records", "classes", "nodes", "buckets", "read s", "plan s", "cpu s", "out s", "jobs/s",
         "placed", "new nodes", "PUTs", "price/h", "RSS MB", "audit")  # fmt: skip
_WIDTH = (18, 10, 8, 7, 6, 7, 8, 9, 9, 9, 10, 10, 9, 6, 11, 7, 9)

Row = dict[str, Any]


def run_case(name: str, options: argparse.Namespace) -> Row:
    """One case in a fresh process; a row with `error` when it did not finish."""
    command = [sys.executable, "-m", "benchmarks.measure", name, "--repeat", str(options.repeat)]
    if options.no_audit:
        command.append("--no-audit")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.timeout, check=False)
    except subprocess.TimeoutExpired:
        return {"case": name, "error": f"not finished in {options.timeout:g} s"}
    if done.returncode:
        return {"case": name, "error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    row: Row = json.loads(done.stdout.splitlines()[-1])
    for key in ("read_s", "plan_s", "cpu_s", "out_s"):
        times = row[key]
        row[f"{key}_all"] = times
        row[f"{key}_min"] = min(times, default=None)
        row[key] = statistics.median(times) if times else None
    total = row["plan_s"] + (row["read_s"] or 0)
    row["total_s"] = total
    row["jobs_per_s"] = row["jobs"] / total
    return row


def print_row(row: Row) -> None:
    """One line of the table."""
    if "error" in row:
        print(f"{row['case']:<{_WIDTH[0]}} {row['error']}", flush=True)
        return
    audit = "–" if not row["audited"] else "ok" if not row["violations"] else f"{row['violations']} WRONG"
    cells = (
        row["case"], f"{row['jobs']:,}", f"{row['records']:,}", f"{row['shapes']:,}", f"{row['nodes']:,}",
        row["buckets"], _seconds(row["read_s"]), _seconds(row["plan_s"]), _seconds(row["cpu_s"]),
        _seconds(row["out_s"]),
        f"{row['jobs_per_s']:,.0f}", f"{row['placed']:,}", f"{row['new_nodes']:,}", row["puts"],
        "?" if row["price"] is None else f"{row['price']:,.2f}", f"{row['rss_mb']:.0f}", audit,
    )  # fmt: skip
    print(_line(cells), flush=True)
    for problem in row["audit"][:5]:
        print(f"    {problem}", flush=True)


def _line(cells: tuple[object, ...]) -> str:
    first, *rest = cells
    return f"{first:<{_WIDTH[0]}}" + "".join(f" {cell:>{width}}" for cell, width in zip(rest, _WIDTH[1:], strict=True))


def _seconds(found: float | None) -> str:
    return "–" if found is None else f"{found:.4f}" if found < 1 else f"{found:.2f}"


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs="+", action="extend", choices=list(CASES), metavar="NAME",
                        help=f"one or more of: {', '.join(CASES)}")  # fmt: skip
    parser.add_argument("--repeat", type=int, default=5, help="plans per case; the median counts (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows there")
    parser.add_argument("--before", type=Path, metavar="FILE", help="compare with rows written by --json")
    parser.add_argument("--timeout", type=float, default=300, help="seconds a case may take in all (300)")
    parser.add_argument("--no-audit", action="store_true", help="do not verify the plans")
    parser.add_argument("--strict", action="store_true", help="fail when a range, an audit or a goal is broken")
    parser.add_argument("--accept", action="store_true", help="write what was measured as the accepted values")
    parser.add_argument("--how", help="with --accept: how these values were obtained")
    options = parser.parse_args()
    print(_line(_HEAD), flush=True)
    rows: list[Row] = []
    for name in options.case or CASES:
        rows.append(run_case(name, options))
        print_row(rows[-1])
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.before:
        compare(json.loads(options.before.read_text(encoding="utf-8")), rows)
    if options.accept:
        ACCEPTED.write_text(with_measured(ACCEPTED, rows, options.how or _how(options)), encoding="utf-8")
        print(f"\nwritten to {ACCEPTED.name}; review the difference before it is committed")
    return 1 if report(rows) and options.strict else 0


def report(rows: list[Row]) -> bool:
    """Print goals and ranges; whether anything is out of range or missed."""
    goals = goals_of(rows)
    if goals:
        print("\ngoals")
    for name, goal, measured, met in goals:
        print(f"  {name:<18} {goal:<24} {measured:<42} {'met' if met else 'MISSED'}")
    out_of_range = judge(ACCEPTED, rows)
    print("\nworse than accepted:" if out_of_range else "\nall within the accepted ranges")
    for text in out_of_range:
        print(f"  {text}")
    return bool(out_of_range) or not all(met for *_, met in goals)


def _how(options: argparse.Namespace) -> str:
    return (
        f"python -m benchmarks.run --accept --repeat {options.repeat}; CPython "
        f"{platform.python_version()}, {os.cpu_count()} CPUs ({platform.machine()})"
    )


def compare(before: list[Row], after: list[Row]) -> None:
    """What became faster, and what the plans cost now."""
    known = {row["case"]: row for row in before if "error" not in row}
    print("\ncase                 plan s before    after   times   nodes before    after    price before        after")
    for row in after:
        old = known.get(row["case"])
        if old is None or "error" in row:
            continue
        times = old["plan_s"] / row["plan_s"]
        print(f"{row['case']:<20} {old['plan_s']:>13.4f} {row['plan_s']:>8.4f} {times:>7.2f} {old['new_nodes']:>14,}"
              f" {row['new_nodes']:>8,} {old['price'] or 0:>15,.2f} {row['price'] or 0:>12,.2f}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
