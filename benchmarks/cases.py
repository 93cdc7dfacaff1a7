"""The list of cases: name, input, and what the issue asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks import generators as make

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.generators import Case


@dataclass(frozen=True, slots=True)
class Goal:
    """What is asked of a case, or of one case over another."""

    plan_s: float | None = None
    total_s: float | None = None
    """Reading and planning together."""
    rss_mb: float | None = None
    new_nodes: int | None = None
    over: str | None = None
    """The case that `ratio` is taken over, by plan time."""
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table."""

    build: Callable[[], Case]
    goal: Goal = Goal()
    note: str = ""


CASES: Final[dict[str, Entry]] = {
    "1m-grouped": Entry(make.million, Goal(plan_s=0.1, rss_mb=300), "1 M jobs of 1,000 shapes, one record a shape"),
    "1m-text": Entry(make.million_text, Goal(total_s=1.5, rss_mb=300), "the same from one line a job"),
    "1m-heavy": Entry(
        partial(make.million, heavy=True), note="the same with jobs of 1 to 64 vCPUs: ten times the cores"
    ),
    "1m-limits": Entry(make.million_limits, note="1m-heavy with limits and quotas that bind"),
    "j-1e4": Entry(partial(make.growing, 10_000), note="1,000 shapes, 500 buckets, no nodes yet"),
    "j-1e5": Entry(partial(make.growing, 100_000)),
    "j-1e6": Entry(partial(make.growing, 1_000_000), Goal(over="j-1e4", ratio=1.3)),
    "distinct-20k": Entry(make.all_distinct, Goal(plan_s=2.0), "20,000 jobs, 20,000 shapes, 36 buckets"),
    "distinct-20k-500": Entry(partial(make.all_distinct, buckets=500), note="the same over 500 buckets"),
    "plain": Entry(partial(make.trees, plain=True), note="100,000 jobs of 999 plain shapes"),
    "trees": Entry(partial(make.trees, plain=False), Goal(over="plain", ratio=3.0), "a third of them with trees"),
    "singles-30k": Entry(partial(make.few_shapes, 30_000, 28), Goal(plan_s=0.06), "interleaved singles of 20 shapes"),
    "arrays-10k": Entry(make.arrays_of_tasks, Goal(plan_s=0.06), "10,000 arrays of 1,000 tasks, 5,000 nodes at most"),
    "arrays-10k-free": Entry(partial(make.arrays_of_tasks, most_nodes=None), note="the same without a limit"),
    "ca-51k": Entry(make.binpacking_estimate, Goal(plan_s=0.01, new_nodes=2595), "cluster-autoscaler's benchmark"),
    "ray-1337": Entry(make.ray_reconcile, Goal(plan_s=0.02), "Ray's bad case"),
    "slurm-100k": Entry(make.slurm_queue, note="100,000 lines of squeue through the Slurm driver"),
    "scalelib-1k-3b": Entry(partial(make.few_shapes, 1_000, 3), note="scalelib: 0.85 s"),
    "scalelib-1k-28b": Entry(partial(make.few_shapes, 1_000, 28), note="scalelib: 1.59 s"),
    "scalelib-3k-3b": Entry(partial(make.few_shapes, 3_000, 3), note="scalelib: 5.6 s"),
    "scalelib-3k-28b": Entry(partial(make.few_shapes, 3_000, 28), note="scalelib: 7.5 s"),
    "scalelib-10k-3b": Entry(partial(make.few_shapes, 10_000, 3), note="scalelib: 54.1 s"),
    "scalelib-10k-28b": Entry(partial(make.few_shapes, 10_000, 28), note="scalelib: 62.2 s"),
    "scalelib-30k-3b": Entry(partial(make.few_shapes, 30_000, 3), note="scalelib: 615 s"),
}
"""In the order in which they are run."""
