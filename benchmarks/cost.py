"""`make bench-cost`: what plans by price cost against a lower bound that is checked by code of its own.

    python -m benchmarks.cost [--mix NAME …] [--catalogue NAME …] [--jobs N …] [--quota off|binding] [--data DIR]

Real prices and real logs are read from the folder `--data` (or the variable AUTOSCALE_AKS_DATA) when it is given:
`azure/vm-skus.json`, `gpu/*pods*.csv`, `csv/*.csv`, `sacct/*.gz`. Without it a small built-in table of sizes is used
and the real mixes are left out, loudly. Each row runs in a process of its own, with a limit of memory and time; one
that fails is told of and the next one goes on. Rows are written to `--output` as JSON Lines as they come.

Exit status 1 when a plan or a certificate is wrong, a row failed, or a goal is missed; the summary at the end says
which. Goals: no gap below zero, every size decided by the checker; gap at most 0.1 % from 10,000 jobs on and 0.01 % at
1,000,000; at any number of jobs the cost at most bound × 1.001 and one node, of the dearest size the plan uses (the
mildest reading; the strictest, a node of the size it uses that is cheapest a core, is printed beside it and no goal
here: often that is a node of one core); the refined plan at most `--seconds` later than the first.
Seconds are the processor's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale_aks.model.policy import OPTIMIZE_SECONDS
from benchmarks.cost_inputs import CATALOGUES, MIXES, REAL, SEEDED

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = ("mix", "catalogue", "quota", "J", "items", "cost/h", "bound/h", "gap %", "beyond/h", "(lean)", "order s",
         "first s", "refined s", "wall s", "MB", "check")  # fmt: skip
_WIDTH = (16, 9, 7, 9, 5, 12, 12, 8, 9, 7, 7, 7, 9, 7, 5, 8)
VARIABLE = "AUTOSCALE_AKS_DATA"
_ALWAYS_S = 0.25
"""What of the time of a refined plan is not counted against its goal: two timings of the same thing differ by it."""

Row = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    options = _options(arguments)
    if options.data is None:
        print(f"!! no {VARIABLE} and no --data: built-in sizes only, and no real jobs ({', '.join(REAL)})", flush=True)
    print(_line(_HEAD), flush=True)
    rows: list[Row] = []
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("w", encoding="utf-8") as output:
        for wanted in _wanted(options):
            row = {**wanted, "asked": wanted["jobs"], **_run(wanted, options)}
            row["misses"] = misses(row, options.seconds)
            rows.append(row)
            output.write(json.dumps(row) + "\n")
            output.flush()
            _print(row)
    return _summary(rows, options.output)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", nargs="+", choices=list(MIXES), default=list(MIXES))
    parser.add_argument("--catalogue", nargs="+", choices=list(CATALOGUES), default=list(CATALOGUES))
    parser.add_argument("--jobs", nargs="+", type=int, default=[1_000, 10_000, 1_000_000])
    parser.add_argument("--quota", nargs="+", choices=["off", "binding"], default=["off", "binding"])
    parser.add_argument("--seed", nargs="+", type=int, help="of the lognormal mixes; by default two new ones")
    parser.add_argument("--seconds", type=float, default=OPTIMIZE_SECONDS, help="policy.optimize_seconds (2)")
    parser.add_argument("--data", default=os.environ.get(VARIABLE))
    parser.add_argument("--output", type=Path, default=Path("build/bench-cost.jsonl"), metavar="FILE")
    parser.add_argument("--row-seconds", type=float, default=300.0, help="the longest a row may take (300)")
    parser.add_argument("--row-gib", type=float, default=8.0, help="the most address space a row may have (8)")
    return parser.parse_args(arguments)


def _wanted(options: argparse.Namespace) -> Iterator[Row]:
    fresh = options.seed or [random.SystemRandom().randrange(10**6) for _ in range(2)]
    for mix, catalogue, jobs, quota in product(options.mix, options.catalogue, options.jobs, options.quota):
        if (mix in REAL and options.data is None) or (mix == "openb" and catalogue != "gpu"):
            continue  # nothing to read; no GPUs to be had
        for seed in fresh if mix in SEEDED else (0,):
            yield {"mix": mix, "catalogue": catalogue, "quota": quota, "jobs": jobs, "seed": seed}


def _run(wanted: Row, options: argparse.Namespace) -> Row:
    return run_alone("benchmarks.cost_row", {**wanted, "data": options.data, "seconds": options.seconds}, options)


def run_alone(module: str, asked: Row, options: argparse.Namespace) -> Row:
    """What a row's process says (`python -m module JSON`); `failed` where it says nothing."""
    asked = {**asked, "memory_bytes": int(options.row_gib * 1024**3)}
    command = [sys.executable, "-m", module, json.dumps(asked)]
    started = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.row_seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {options.row_seconds:g} s"}
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing was said"]
        return {"failed": f"exit status {done.returncode}: {said[-1][:300]}"}
    return {**json.loads(done.stdout.splitlines()[-1]), "row_wall_s": time.perf_counter() - started}


def misses(row: Row, seconds: float) -> list[str]:
    """What a row falls short of, in words."""
    if "failed" in row:
        return [f"no plan: {row['failed']}"]
    found = [f"WRONG: {text}" for text in row["wrong"]]
    found += [f"not decided: {text}" for text in row["open"]]
    most = 1e-4 if row["asked"] >= 1_000_000 else 1e-3 if row["asked"] >= 10_000 else None
    if row["gap"] < 0:
        found.append(f"WRONG: gap {row['gap']}")
    if most is not None and row["gap"] > most:
        found.append(f"gap {row['gap'] * 100:.4f} % of {most * 100:g} %")
    if row["beyond_dearest"] > 0:
        found.append(f"{row['beyond_dearest']:.2f} an hour beyond bound × 1.001 + a node of {row['dearest_node']:.2f}")
    longer = row["refined_s"] - row["first_s"]
    if longer > seconds + _ALWAYS_S:
        found.append(f"refined {longer:.2f} s after the first plan, of {seconds:g} s")
    return found


def _print(row: Row) -> None:
    name = f"{row['mix']}-{row['seed']}" if row["mix"] in SEEDED else row["mix"]
    if "failed" in row:
        cells = (name, row["catalogue"], row["quota"], f"{row['jobs']:,}", *[""] * (len(_HEAD) - 5), "FAILED")
        print(f"{_line(cells)}  {row['failed']}", flush=True)
        return
    check = "WRONG" if row["wrong"] else f"{len(row['open'])} open" if row["open"] else "ok"
    wall = f"{row['refined_wall_s']:.2f}"
    cells = (name, row["catalogue"], row["quota"], f"{row['jobs']:,}", row["items"], f"{row['cost']:,.2f}",
             f"{row['bound']:,.2f}", f"{row['gap'] * 100:.4f}", f"{row['beyond_dearest']:,.2f}",
             f"{row['beyond_lean']:,.2f}", f"{row['order_s']:.2f}", f"{row['first_s']:.2f}",
             f"{row['refined_s']:.2f}", wall, row["memory_mb"], check)  # fmt: skip
    print(_line(cells) + ("  misses" if row["misses"] else ""), flush=True)
    rules = {"first plan": row["first_cost"], **row["rules"]}
    over = {name: _over(paid, row["bound"]) for name, paid in rules.items()}
    print("    over the bound: " + " · ".join(f"{name} {more}" for name, more in over.items()), flush=True)


def _over(paid: float | None, bound: float) -> str:
    return "–" if paid is None or not bound else f"{(paid / bound - 1) * 100:.1f} %"


def _summary(rows: list[Row], output: Path) -> int:
    bad = [row for row in rows if row["misses"]]
    print("\nbeyond/h: cost - bound × 1.001 - a node of the dearest size used; not above 0 meets the goal.")
    print("(lean): the same with a node of the size used that is cheapest a core.")
    print(f"{len(rows)} rows, {len(bad)} short of a goal; all in {output}")
    for row in bad:
        seed = f" seed {row['seed']}" if row["mix"] in SEEDED else ""
        print(f"  {row['mix']}{seed}, {row['catalogue']}, quota {row['quota']}, {row['jobs']:,} jobs:")
        for text in row["misses"][:5]:
            print(f"    {text}")
    return 1 if bad or not rows else 0


def _line(cells: tuple[Any, ...]) -> str:
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTH, strict=True))


if __name__ == "__main__":
    sys.exit(main())
