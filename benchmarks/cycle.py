"""A whole cycle over HTTP: `python -m benchmarks.cycle [--machines 5000] [--jobs 20000] [--profile] [--json]`.

The emulator runs in a process of its own, without latency and without throttling, so that what is measured is this
program: reading the scheduler, listing machines and nodes, joining, planning, asking for machines, releasing, and the
ledger on a real file. The client's own pacing, which keeps within ARM's 25 reads and 10 writes a second, is off unless
`--paced` is given: it is waiting by intention, and a list of 5,000 machines is 100 reads. Situations follow each other
at once unless `--rest` gives the pause that cycles have between them, in which the budget fills up again.

One warm-up makes the machines; then cycles are measured in four situations:

* `busy`: four fifths of the machines are there and work, the queue asks for more than the rest, and one of the five
  sizes is refused, so that its part is planned and asked for again in the same cycle (the longest of all);
* `steady`: the same look again, with what was asked for in flight: nothing is to do;
* `ready`: the new machines have become nodes;
* `idle`: the queue is empty and every machine is idle for longer than its timeout: all are released.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import multiprocessing
import os
import pstats
import resource
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from frozendict import frozendict

from autoscale_aks.cli import wiring
from autoscale_aks.cli.wiring import build_client, smallest_batch
from autoscale_aks.cloud.aks.budget import Rate
from autoscale_aks.cloud.aks.client import ClientSettings
from autoscale_aks.config import parse_config
from autoscale_aks.emulator.draws import Delay
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings, ThrottleSettings, Timing
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.model.launch import LaunchState
from autoscale_aks.reconcile import World, run_cycle
from autoscale_aks.schedulers.port import SchedulerNode, SchedulerState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection

    from autoscale_aks.reconcile import CycleReport
    from autoscale_aks.schedulers.port import NewNode, NodeRequest

START = 1_800_000_000.0
GOAL_S, GOAL_MB = 5.0, 300.0
SIZES = ("Standard_D4s_v5", "Standard_F4s_v2", "Standard_E4s_v5", "Standard_D4as_v5", "Standard_D4ds_v5")
SHAPES = 40
_PLENTY = Rate(1_000_000, 1_000_000)


def _serve(pipe: Connection) -> None:
    """An emulator whose time the other end of the pipe moves."""
    settings = EmulatorSettings(
        speed=0.0,
        start_time=START,
        timing=Timing(
            pool_create=Delay(0.0), machine_create=Delay(30.0), machine_fail=Delay(10.0), machine_delete=Delay(20.0),
            node_register=Delay(10.0), node_ready=Delay(10.0),
        ),
        throttle=ThrottleSettings(arm=False),
    )  # fmt: skip
    with EmulatorServer(settings) as emulator:
        pipe.send(emulator.base_url)
        while (seconds := pipe.recv()) is not None:
            emulator.clock.advance(seconds)
            emulator.catch_up()
            pipe.send(None)


@dataclass(slots=True)
class _Time:
    """The emulated clock, seen from here."""

    pipe: Connection
    at: float = START

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.pipe.send(seconds)
        self.pipe.recv()
        self.at += seconds


@dataclass(slots=True)
class _Queue:
    """A scheduler that knows what it is told to know."""

    jobs: tuple[Job, ...] = ()
    names: list[str] = field(default_factory=list)
    busy: bool = True

    def read(self) -> SchedulerState:
        nodes = tuple(
            SchedulerNode(
                name=name,
                machine=name,
                state="Ready",
                resources=frozendict({"ncpus": 4}),
                available=frozendict({"ncpus": 0 if self.busy else 4}),
                job_ids=(f"job-of-{name}",) if self.busy else (),
            )
            for name in self.names
        )
        return SchedulerState(jobs=self.jobs, nodes=nodes)

    def add_nodes(self, nodes: Sequence[NewNode]) -> None:
        """Known at once; shown when told so."""

    def settle_requests(self, requests: Sequence[NodeRequest]) -> None:
        """None are ever made."""

    def explain_jobs(self, reasons: Mapping[str, str]) -> tuple[str, ...]:  # noqa: ARG002
        """There is nowhere to write it."""
        return ()

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:  # noqa: ARG002
        return tuple(names)

    def reopen_nodes(self, names: Sequence[str]) -> None:
        """Nothing is ever closed for long."""

    def remove_nodes(self, names: Sequence[str]) -> None:
        gone = set(names)
        self.names = [name for name in self.names if name not in gone]


def _config(url: str, folder: str, most: int) -> Any:
    cluster = ClusterSpec()
    arrays = {
        f"array{number}": {
            "buckets": [{"vm_size": size, "vcpu_count": 4, "memory_gb": 16, "price": 0.2 + number / 100}]
        }
        for number, size in enumerate(SIZES, start=1)
    }
    document = {
        "aks": {
            "subscription": cluster.subscription, "resource_group": cluster.resource_group, "cluster": cluster.name,
            "location": cluster.location, "cloud": "custom", "arm_url": url, "kubernetes_url": url, "owner": "bench",
            "credential": ["emulator"],
        },
        "scheduler": {"type": "command", "jobs_file": "jobs.json"},
        "ledger": {"path": "ledger.sqlite"},
        "default_resources": [{"select": {}, "name": "ncpus", "value": "node.vcpu_count"}],
        "nodearrays": arrays,
        "limits": {"cluster_max_nodes": most},
        "policy": {"mass_delete": {"share": 1, "count": None}},
        "idle_timeout": 300,
    }  # fmt: skip
    return parse_config(json.dumps(document), f"{folder}/autoscale.json")


def _jobs(count: int) -> tuple[Job, ...]:
    shapes = [
        JobShape(constraints=({"ncpus": 1 + number % 4, "node.nodearray": f"array{1 + number % len(SIZES)}"},))
        for number in range(SHAPES)
    ]
    return tuple(Job(name=f"job-{number}", shape=shapes[number % SHAPES]) for number in range(count))


@contextmanager
def _emulator() -> Iterator[tuple[str, Connection]]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,))
    process.start()
    try:
        yield here.recv(), here
    finally:
        here.send(None)
        process.join(10)


@dataclass(slots=True)
class Bench:
    """One site with so many machines and so many jobs."""

    world: World
    queue: _Queue
    clock: _Time
    profile: str = ""
    rest_s: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def measure(self, name: str) -> CycleReport:
        """One cycle, with its time and the most memory so far."""
        time.sleep(self.rest_s)
        profiler = cProfile.Profile() if self.profile == name else None
        started, used = time.perf_counter(), time.process_time()
        if profiler is not None:
            profiler.enable()
        report = run_cycle(self.world)
        if profiler is not None:
            profiler.disable()
            pstats.Stats(profiler, stream=sys.stderr).sort_stats("cumulative").print_stats(45)
        self.rows.append(
            {
                "situation": name,
                "wall_s": time.perf_counter() - started,
                "cpu_s": time.process_time() - used,
                "nodes": len(report.observation.snapshot.nodes),
                "jobs": len(report.observation.snapshot.jobs),
                "asked": report.asked,
                "refused": len(report.names(LaunchState.REJECTED)),
                "deleted": len(report.releases.deleted),
                "rss_mb": peak_mb(),
            }
        )
        return report

    def boot(self) -> None:
        """Every machine becomes a node of the cluster and of the scheduler."""
        self.clock.sleep(60.0)
        self.queue.names = [record.name for record in self.world.ledger.machines()]


def run(
    machines: int, jobs: int, profile: str = "", *, paced: bool = False, rest_s: float = 0.0
) -> list[dict[str, Any]]:
    """All situations, in order."""
    settings = ClientSettings if paced else partial(ClientSettings, reads=_PLENTY, writes=_PLENTY)
    with mock.patch.object(wiring, "ClientSettings", settings):
        return _run(machines, jobs, profile, rest_s)


def _run(machines: int, jobs: int, profile: str, rest_s: float) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="azaks-bench-") as folder, _emulator() as (url, pipe):
        there = machines - machines // 5
        config = _config(url, folder, there)
        clock, queue = _Time(pipe), _Queue()
        with Ledger.open(config.ledger.path, now=clock.now()) as ledger, build_client(config, ledger) as client:
            world = World(
                config=config, scheduler=queue, cloud=client, ledger=ledger, clock=clock,
                machines_per_put=smallest_batch(config), reads_cluster_nodes=True, kinds=frozendict(),
                new_plan_id=iter(f"{number:012d}" for number in range(1000)).__next__,
            )  # fmt: skip
            bench = Bench(world, queue, clock, profile, rest_s)
            whole = JobShape(constraints=({"ncpus": 4},))
            queue.jobs = (Job(name="fill", shape=whole, count=there),)
            run_cycle(world)
            bench.boot()
            run_cycle(world)
            bench.world = replace(world, config=_config(url, folder, machines))
            queue.jobs = _jobs(jobs)
            reset_peak()
            bench.measure("busy")
            bench.measure("steady")
            bench.boot()
            bench.measure("ready")
            queue.jobs, queue.busy = (), False
            run_cycle(bench.world)
            clock.sleep(400.0)
            bench.measure("idle")
            return bench.rows


def reset_peak() -> None:
    """Forget the memory that the set-up took (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        print("the kernel's peak could not be reset; the set-up is in it", file=sys.stderr)


def peak_mb() -> float:
    """The most memory resident since then, in 10⁶ bytes."""
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--profile", default="", help="a situation to profile, such as busy")
    parser.add_argument("--paced", action="store_true", help="keep to ARM's rates, as in production")
    parser.add_argument("--rest", type=float, default=0.0, help="seconds between situations: the interval of cycles")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = run(options.machines, options.jobs, options.profile, paced=options.paced, rest_s=options.rest)
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{options.machines:,} machines, {options.jobs:,} jobs; goal: {GOAL_S:g} s and {GOAL_MB:g} MB a cycle")
    for row in rows:
        made = f"{row['asked']:>6,} asked {row['refused']:>4,} refused {row['deleted']:>6,} deleted"
        print(
            f"{row['situation']:<8} {row['wall_s']:6.2f} s wall {row['cpu_s']:6.2f} s cpu  {row['nodes']:>6,} nodes "
            f"{row['jobs']:>7,} jobs {made} {row['rss_mb']:6.0f} MB"
        )
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
