"""The wire: `python -m benchmarks.wire [--case NAME …] [--repeat N] [--strict] [--accept]` (README.md, "The wire").

From the finished plan to the last PUT accepted, and on to the proof by LIST: through `reconcile.launch`, with a ledger
on the disk, against an emulator in a process of its own that answers after 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.planning.batching import MACHINES_PER_PUT
from autoscale_aks.reconcile import observe_and_plan
from autoscale_aks.reconcile.launch import launch
from benchmarks.wire_site import POOL, Emulator, Site, emulator, site

if TYPE_CHECKING:
    from autoscale_aks.model.launch import ChunkOutcome
    from autoscale_aks.model.plan import Plan

ACCEPTED: Final = Path(__file__).with_name("wire_accepted.json")
LATENCY_S: Final = 0.05
BURST: Final = 200
PER_S: Final = 10.0
_MARGINS: Final = {"put_ms_min": 0.5, "client_cpu_ms": 0.5, "emulator_cpu_ms": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Machines asked for at once, and how long the last PUT may take in milliseconds."""

    machines: int
    limit_ms: float
    goal_ms: float
    limited: bool = False
    """ARM's write bucket is on, on both sides; without it nothing is throttled."""

    @property
    def puts(self) -> int:
        """The fewest PUTs there can be (batching.md B3)."""
        return -(-self.machines // MACHINES_PER_PUT)

    @property
    def pages(self) -> int:
        """The most pages one sweep may take."""
        return int(1.05 * self.puts) + 1


def _optimum_ms(puts: int) -> float:
    """When the last of so many PUTs can leave a bucket of 200 that refills 10 a second, and is answered."""
    return max(0, puts - BURST) / PER_S * 1000 + LATENCY_S * 1000


CASES: Final[dict[str, Case]] = {
    "put-1k": Case(machines=1_000, limit_ms=150, goal_ms=120),
    "put-5k": Case(machines=5_000, limit_ms=350, goal_ms=200),
    "bucket-20k": Case(
        machines=20_000, limit_ms=1.05 * _optimum_ms(400), goal_ms=1.02 * _optimum_ms(400), limited=True
    ),
}


@dataclass(slots=True)
class Run:
    """One launch: times in milliseconds since the plan was finished."""

    first_ms: float
    put_ms: float
    proven_ms: float
    client_cpu_ms: float
    emulator_cpu_ms: float
    wrong: list[str] = field(default_factory=list)


class _Meter:
    """Processor time up to the last chunk that was told of for the first time; not the proof."""

    def __init__(self, running: Emulator) -> None:
        self._running = running
        self._seen: set[str] = set()
        self._client_s, self._emulator_s = time.process_time(), running.cpu_s()
        self.client_ms = self.emulator_ms = 0.0

    def __call__(self, outcome: ChunkOutcome) -> None:
        if outcome.chunk_id not in self._seen:
            self._seen.add(outcome.chunk_id)
            self.client_ms = (time.process_time() - self._client_s) * 1000
            self.emulator_ms = (self._running.cpu_s() - self._emulator_s) * 1000


def run_once(running: Emulator, on: Site, case: Case, number: int) -> Run:
    """Plan, launch, check what the emulator saw, and clear up."""
    on.ask_for(case.machines)
    _, plan = observe_and_plan(on.world)
    names = [claim.name for claim in plan.claims]
    _write_out(plan)
    running.forget()
    meter = _Meter(running)
    started_at, started = time.time(), time.perf_counter()
    chunks = launch(on.world, plan, f"run{number}", meter)
    done = Run(
        first_ms=(min(chunk.started_at for chunk in chunks) - started_at) * 1000,
        put_ms=(max(chunk.ended_at for chunk in chunks) - started_at) * 1000,
        proven_ms=(time.perf_counter() - started) * 1000,
        client_cpu_ms=meter.client_ms,
        emulator_cpu_ms=meter.emulator_ms,
        wrong=check(running, case, chunks, names),
    )
    on.clear(names)
    return done


def _write_out(plan: Plan) -> None:
    """A plan writes some parts out only when somebody looks: they belong to planning, not to the wire."""
    for wave in plan.waves:
        for batch in wave.batches:
            len(batch.names)


def check(running: Emulator, case: Case, chunks: tuple[ChunkOutcome, ...], names: list[str]) -> list[str]:
    """What is wrong with the calls, or with what exists now: nothing lost, nothing doubled."""
    counts = running.counts()
    (cluster,) = running.control("state")["clusters"]
    (pool,) = [pool for pool in cluster["pools"] if pool["name"] == POOL]
    there = sorted(name for found in pool["machines"].values() for name in found)
    states = {outcome.state.value for chunk in chunks for outcome in chunk.outcomes}
    facts = (
        (
            counts.get("machine.batch_put", 0) == case.puts,
            f"{counts.get('machine.batch_put', 0)} PUTs, not {case.puts}",
        ),
        (not counts.get("machine.put"), f"{counts.get('machine.put')} single PUTs"),
        (not counts.get("machine.get"), f"{counts.get('machine.get')} GETs of machines"),
        (counts.get("machine.list", 0) <= case.pages, f"{counts.get('machine.list')} LIST pages over {case.pages}"),
        (there == sorted(names), f"{len(there)} machines exist, {len(names)} were asked for"),
        (states == {"accepted"}, f"outcomes {sorted(states)}"),
    )
    return [text for right, text in facts if not right]


def run_case(name: str, repeat: int) -> dict[str, Any]:
    """All launches of a case on one client: the first is cold (no pool, no connection), the others are warm."""
    case = CASES[name]
    switches: dict[str, Any] = {"latency_s": LATENCY_S, "throttle": {"arm": case.limited}}
    with emulator(**switches) as running, site(running.url, limited=case.limited) as on:
        if case.limited:  # making the pool is a write too; the bucket shall be full
            on.client.ensure_pool(POOL)
            time.sleep(1.0)
        runs = [run_once(running, on, case, number) for number in range(1 if case.limited else repeat + 1)]
    warm = runs[1:] or runs
    return {
        "case": name,
        "cold_ms": runs[0].put_ms,
        "first_ms": statistics.median(run.first_ms for run in warm),
        # The bucket has no part in what comes before the first PUT.
        "put_ms_min": min(run.put_ms - (run.first_ms if case.limited else 0) for run in warm),
        "put_ms": statistics.median(run.put_ms for run in warm),
        "proven_ms": statistics.median(run.proven_ms for run in warm),
        "client_cpu_ms": statistics.median(run.client_cpu_ms for run in warm),
        "emulator_cpu_ms": statistics.median(run.emulator_cpu_ms for run in warm),
        "runs": [round(run.put_ms, 1) for run in runs],
        "wrong": sorted({text for run in runs for text in run.wrong}),
    }


_HEAD = ("case", "machines", "PUTs", "cold ms", "first ms", "min ms", "median ms", "limit", "goal", "proven ms",
         "client CPU", "emu. CPU", "calls")  # fmt: skip
_FORMAT = "{:<11}{:>9}{:>6}{:>9}{:>10}{:>9}{:>11}{:>8}{:>7}{:>11}{:>12}{:>10}  {}"


def print_row(row: dict[str, Any]) -> None:
    """One line of the table."""
    case = CASES[row["case"]]
    times = [f"{row[key]:,.0f}" for key in ("cold_ms", "first_ms", "put_ms_min", "put_ms")]
    rest = [f"{row[key]:,.0f}" for key in ("proven_ms", "client_cpu_ms", "emulator_cpu_ms")]
    limits = [f"{case.limit_ms:,.0f}", f"{case.goal_ms:,.0f}"]
    calls = "; ".join(row["wrong"]) or "exact"
    print(_FORMAT.format(row["case"], f"{case.machines:,}", case.puts, *times, *limits, *rest, calls), flush=True)


def judge(row: dict[str, Any]) -> list[str]:
    """What is broken: a call too many, a limit, an accepted range. Of times the best counts: machines are shared."""
    case, name = CASES[row["case"]], row["case"]
    found = [f"{name}: {text}" for text in row["wrong"]]
    if row["put_ms_min"] > case.limit_ms:
        found.append(f"{name}: {row['put_ms_min']:,.0f} ms at best, over the limit of {case.limit_ms:,.0f} ms")
    known = json.loads(ACCEPTED.read_text("utf-8"))["cases"].get(name, {}) if ACCEPTED.exists() else {}
    for key in _MARGINS:
        entry = known.get(key)
        if entry is not None and row[key] > entry["value"] * (1 + entry["margin"]):
            found.append(f"{name}: {key} {row[key]:,.0f} is worse than accepted, {entry['value']:,.0f}")
    return found


def accept(rows: list[dict[str, Any]], how: str) -> None:
    """Write what was measured as the accepted values; margins that stand there stay."""
    known = json.loads(ACCEPTED.read_text("utf-8")) if ACCEPTED.exists() else {"about": "", "cases": {}}
    for row in rows:
        old = known["cases"].get(row["case"], {})
        values = {
            key: {"value": round(row[key], 1), "margin": old.get(key, {}).get("margin", margin)}
            for key, margin in _MARGINS.items()
        }
        known["cases"][row["case"]] = {"how": how, **values}
    ACCEPTED.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs="+", choices=list(CASES), metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--repeat", type=int, default=20, help="warm launches a case (20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows there")
    parser.add_argument("--strict", action="store_true", help="fail when a limit, a count or a range is broken")
    parser.add_argument("--accept", action="store_true", help="write what was measured as the accepted values")
    options = parser.parse_args()
    print(_FORMAT.format(*_HEAD), flush=True)
    rows = []
    for name in options.case or CASES:
        rows.append(run_case(name, options.repeat))
        print_row(rows[-1])
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    if options.accept:
        accept(rows, f"--repeat {options.repeat}; CPython {platform.python_version()}, {os.cpu_count()} shared CPUs")
    broken = [text for row in rows for text in judge(row)]
    print("\n".join(["", "broken:", *broken]) if broken else "\nwithin all limits and ranges")
    return 1 if broken and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
