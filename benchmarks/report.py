"""What a demand report costs beside its plan: `python -m benchmarks.report [--jobs N] [--nodes N] [--repeat 5]`.

A queue of 100,000 jobs on 10,000 nodes, once with three of four jobs waiting for limits (so that the exact raises are
planned, and the list of jobs is long) and once with all of them placed. Times are of the processor, the least of the
repeats; each face is measured with the making of the report, without reading and planning. Goal: 2 s a face, 5 MB a
page. Where Chromium is installed, so is how long the page takes to open.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from frozendict import frozendict
from rich.console import Console

from autoscale_aks.cli.demand_face import print_demand
from autoscale_aks.cli.demand_output import page_assets
from autoscale_aks.collector import paused_collector
from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.model.node import Node
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.demand import DemandReport, render_demand, summarise
from autoscale_aks.reports.document import demand_text
from autoscale_aks.reports.page import render_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot

GOAL_S, GOAL_BYTES = 2.0, 5_000_000
POOLS = 8


def build(jobs: int, nodes: int, *, short: bool) -> tuple[Snapshot, Policy]:
    """The queue and its cluster; `short` is with limits that three of four jobs wait for."""
    arrays = [
        {
            "name": f"pool{number}",
            "location": "westus2",
            "max_count": nodes // POOLS + 1350 if short else None,
            "buckets": [
                {
                    "vm_size": f"Standard_D{4 << number % 4}s_v5",
                    "vcpu_count": 4 << number % 4,
                    "memory_gb": 16 << number % 4,
                    "price": 0.23 * (1 << number % 4),
                }
            ],
        }
        for number in range(POOLS)
    ]
    rules = [
        {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
        {"select": {}, "name": "mem", "value": "node.memory"},
    ]
    snapshot, policy = decode_scenario(
        {"nodearrays": arrays, "default_resources": rules, "jobs": [], "now": "2026-11-22T08:00:00Z"}
    )
    random = Random(3)
    shapes = [
        JobShape(constraints=(frozendict({"ncpus": cpus, "node.nodearray": f"pool{pool}"}),), iterations=iterations)
        for cpus in (1, 2, 4)
        for pool in range(POOLS)
        for iterations in (1, 1, 8)
    ]
    there = tuple(
        Node(
            name=f"site-pool{number % POOLS}-{number}",
            nodearray=f"pool{number % POOLS}",
            vm_size=f"Standard_D{4 << number % 4}s_v5",
            available=frozendict({"ncpus": random.randrange(0, 5)}),
            job_ids=(f"run-{number}",),
        )
        for number in range(nodes)
    )
    queue = tuple(
        Job(
            name=f"array-{number // 40}_{number}",
            shape=shapes[number % len(shapes)],
            path=f"jobs[{number}]",
            queue=f"queue{number % 12}",
            user=f"user{number % 300}",
        )
        for number in range(jobs)
    )
    return replace(snapshot, nodes=there, jobs=queue), policy


def measure(jobs: int, nodes: int, repeat: int, *, short: bool) -> list[tuple[str, float, int]]:
    """Face, processor seconds and bytes, each with the making of the report."""
    snapshot, policy = build(jobs, nodes, short=short)
    assets = page_assets()
    found: dict[str, tuple[float, int]] = {}
    for _ in range(repeat):
        for name, face in _faces(assets).items():
            decided = plan(snapshot, policy)
            with paused_collector():
                started = time.process_time()
                text = face(summarise(decided, snapshot, policy=policy), decided)
                took = time.process_time() - started
            found[name] = (min(took, found.get(name, (took, 0))[0]), len(text.encode()))
            if name == "html" and short:
                _PAGE[:] = [text]
    return [(name, took, size) for name, (took, size) in found.items()]


_PAGE: list[str] = []


def _faces(assets: object) -> dict[str, Callable[..., str]]:
    def table(report: DemandReport, _: object) -> str:
        stream = io.StringIO()
        print_demand(report, Console(file=stream, width=80))
        return stream.getvalue()

    return {
        "table": table,
        "json": lambda report, decided: demand_text(render_demand(report, decided)),
        "html": lambda report, decided: render_page(report, decided, assets),
    }


def opening_ms() -> float | None:
    """How long Chromium takes from the navigation to the load event, least of three; None: it is not installed."""
    if not (_PAGE and shutil.which("chromium") and shutil.which("chromedriver")):
        return None
    from selenium import webdriver  # noqa: PLC0415  only where there is a browser
    from selenium.webdriver.chrome.service import Service  # noqa: PLC0415

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for switch in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(switch)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "page.html"
            path.write_text(_PAGE[0], encoding="utf-8")
            times = []
            for _ in range(3):
                driver.get(path.as_uri())
                times.append(
                    driver.execute_script("return performance.timing.loadEventEnd - performance.timing.navigationStart")
                )
            return float(min(times))
    finally:
        driver.quit()


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args(arguments)
    missed = 0
    print(f"{options.jobs:,} jobs, {options.nodes:,} nodes; goal {GOAL_S} s a face, {GOAL_BYTES:,} bytes a page")
    for short in (True, False):
        for name, took, size in measure(options.jobs, options.nodes, options.repeat, short=short):
            ok = took <= GOAL_S and (name != "html" or size <= GOAL_BYTES)
            missed += not ok
            what = "waiting" if short else "placed"
            print(f"{what:8} {name:6} {took:7.2f} s cpu {size:12,} bytes  {'ok' if ok else 'MISSED'}")
    opened = opening_ms()
    if opened is not None:
        print(f"the page opens in {opened:.0f} ms")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
