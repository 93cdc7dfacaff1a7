"""Mixes of jobs that nobody tuned for: seeds, not names, make the shapes, the catalogue and the quotas.

    python -m benchmarks.cost_fuzz [--seeds FIRST LAST] [--jobs N …] [--kind NAME …] [--quota NAME …]

One line a plan: gap, what it costs over `bound × 1.001 + one node` (a node of the dearest size used, as a share of the
bound; *lean*: an hour, with the size that is cheapest a core), processor seconds of the first plan, and how many more
the refined one took. Quotas: off, or half (binding) or a fifth (tight) of what the unlimited plan uses. `--check`
verifies every certificate with the code of `benchmarks.cost_checker`. Each row runs in a process of its own, as in
`benchmarks.cost`: one that fails is told of and the next one goes on. Exit status 1 when a row failed, or a plan or a
certificate is wrong.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.model.policy import OPTIMIZE_SECONDS
from autoscale_aks.model.snapshot import Snapshot
from benchmarks.cost import VARIABLE, misses, run_alone
from benchmarks.cost_inputs import Shape, read_catalogue
from benchmarks.cost_row import binding, compare, print_row
from benchmarks.generators import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.model.bucket import NodeArray

_SHAPES: Final = {100: (5, 40), 1_000: (10, 120), 10_000: (10, 200), 100_000: (20, 300), 1_000_000: (20, 500)}
_HEAD = ("seed", "kind", "catalogue", "quota", "J", "shapes", "gap %", "over goal %", "lean", "first s", "more s",
         "check")  # fmt: skip
_WIDTH = (5, 10, 9, 7, 9, 6, 9, 11, 10, 8, 8, 8)


def _lognormal(rng: random.Random) -> Shape:
    cpus = min(max(int(rng.lognormvariate(1.3, 1.1)), 1), 96)
    return cpus, min(max(int(cpus * rng.lognormvariate(1.2, 0.9) * 1024), 128), 900 * 1024), 0


def _round(rng: random.Random) -> Shape:
    cpus = rng.choice((1, 2, 4, 8, 12, 16, 24, 32, 48, 64))
    return cpus, max(int(cpus * rng.choice((0.5, 1, 2, 4, 6, 8, 16)) * 1024), 512), 0


def _uniform(rng: random.Random) -> Shape:
    return rng.randint(1, 48), rng.randint(1, 256) * 1024, 0


def _cores(rng: random.Random) -> Shape:
    return rng.randint(1, 60), rng.randint(1, 8) * 256, 0


def _memory(rng: random.Random) -> Shape:
    return rng.randint(1, 4), rng.randint(8, 500) * 1024, 0


def _large(rng: random.Random) -> Shape:
    """More than half of most nodes: matching, not filling."""
    return rng.randint(17, 100), rng.randint(60, 400) * 1024, 0


def _gpus(rng: random.Random) -> Shape:
    gpus = rng.choice((0, 0.25, 0.5, 1, 1, 1, 2, 4, 8))
    cpus = max(1, round((gpus or 1) * rng.lognormvariate(1.8, 0.5)))
    return min(cpus, 90), min(int(cpus * rng.lognormvariate(1.3, 0.6) * 1024), 800 * 1024), gpus


KINDS: Final[dict[str, Callable[[random.Random], Shape]]] = {
    "lognormal": _lognormal, "round": _round, "uniform": _uniform, "cores": _cores, "memory": _memory,
    "large": _large, "gpus": _gpus,
}  # fmt: skip


def make(seed: int, kind: str, jobs: int) -> tuple[Job, ...]:
    """A queue of about so many jobs, of at most 500 shapes, in about log-uniform shares."""
    rng = random.Random(f"{kind}-{jobs}-{seed}")
    least, most = _SHAPES.get(jobs, (10, 100))
    count = 1 if seed % 10 == 9 else 500 if seed % 10 == 8 and jobs >= 10_000 else rng.randint(least, most)
    shapes = list(dict.fromkeys(KINDS[kind](rng) for _ in range(count)))
    weights = [rng.lognormvariate(0, 1) for _ in shapes]
    return tuple(
        Job(name=f"j{index}", shape=JobShape(constraints=(_asks(shape),)), count=max(1, round(jobs * w / sum(weights))))
        for index, (shape, w) in enumerate(zip(shapes, weights, strict=True))
    )


def _asks(shape: Shape) -> Any:
    cpus, mib, gpus = shape
    found: dict[str, Any] = {"ncpus": cpus, "mem": f"memory::{mib}m"}
    return frozendict({**found, "ngpus": gpus} if gpus else found)


def alike(array: NodeArray) -> NodeArray:
    """The same sizes at one price a core and a GPU."""
    offerings = (replace(one, price=Fraction(one.vcpu_count, 20) + one.gpu_count) for one in array.offerings)
    return replace(array, offerings=tuple(offerings))


def case(seed: int, kind: str, jobs: int, quota: str, data: Path | None) -> tuple[str, Snapshot]:
    """Catalogue and snapshot of a seed."""
    name = "gpu" if kind == "gpus" else ("all", "def", "alike")[seed % 3]
    array = read_catalogue("all" if name == "alike" else name, data)
    array = alike(array) if name == "alike" else array
    found = Snapshot(default_resources=RESOURCES, nodearrays=(array,), jobs=make(seed, kind, jobs))
    if quota == "off":
        return name, found
    part = Fraction(1, 2) if quota == "binding" else Fraction(1, 5)
    return name, replace(found, limits=binding(found, 0.5, part))


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    options = _options(arguments)
    print(_line(_HEAD), flush=True)
    rows = []
    for seed in range(options.seeds[0], options.seeds[1] + 1):
        for jobs in options.jobs:
            for kind in options.kind:
                quota = options.quota[(seed + len(rows)) % len(options.quota)]
                rows.append(_row({"seed": seed, "kind": kind, "jobs": jobs, "quota": quota}, options))
    return _summary(rows)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 2), metavar=("FIRST", "LAST"))
    parser.add_argument("--jobs", nargs="+", type=int, default=list(_SHAPES))
    parser.add_argument("--kind", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--quota", nargs="+", choices=["off", "binding", "tight"], default=["off", "binding"])
    parser.add_argument("--seconds", type=float, default=OPTIMIZE_SECONDS)
    parser.add_argument("--data", default=os.environ.get(VARIABLE))
    parser.add_argument("--check", action="store_true", help="verify every certificate (slow)")
    parser.add_argument("--row-seconds", type=float, default=300.0, help="the longest a row may take (300)")
    parser.add_argument("--row-gib", type=float, default=8.0, help="the most address space a row may have (8)")
    return parser.parse_args(arguments)


def measured(asked: dict[str, Any]) -> dict[str, Any]:
    """The row of a seed, in this process."""
    data = Path(asked["data"]) if asked["data"] else None
    name, snapshot = case(asked["seed"], asked["kind"], asked["jobs"], asked["quota"], data)
    return {"catalogue": name, **compare(snapshot, asked["seconds"], check=asked["check"])}


def _row(wanted: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """The row of a seed, in a process of its own: one that fails is told of and ends no other."""
    asked = {**wanted, "data": options.data, "seconds": options.seconds, "check": options.check}
    row = {**wanted, "asked": wanted["jobs"], **run_alone("benchmarks.cost_fuzz", asked, options)}
    row["misses"] = misses(row, options.seconds)
    _print(row, is_checked=options.check)
    return row


def _print(row: dict[str, Any], *, is_checked: bool) -> None:
    if "failed" in row:
        cells = (row["seed"], row["kind"], "", row["quota"], f"{row['jobs']:,}", *[""] * (len(_HEAD) - 6), "FAILED")
        print(f"{_line(cells)}  {row['failed']}", flush=True)
        return
    verdict = "WRONG" if row["wrong"] else f"{len(row['open'])} open" if row["open"] else "ok"
    cells = (row["seed"], row["kind"], row["catalogue"], row["quota"], f"{row['jobs']:,}", row["items"],
             f"{row['gap'] * 100:.4f}", f"{_over(row) * 100:.4f}", f"{row['beyond_lean']:.2f}",
             f"{row['first_s']:.2f}", f"{row['refined_s'] - row['first_s']:.2f}",
             verdict if is_checked else "–")  # fmt: skip
    print(_line(cells) + ("" if not row["misses"] else "  over goal"), flush=True)
    for problem in row["misses"][:5]:
        print(f"    {problem}", flush=True)


def _over(row: dict[str, Any]) -> float:
    return float(row["beyond_dearest"] / row["bound"])


def _summary(rows: list[dict[str, Any]]) -> int:
    done = [row for row in rows if "failed" not in row]
    worst = max(map(_over, done), default=0.0)
    late = max((row["refined_s"] - row["first_s"] for row in done), default=0.0)
    over = f"{sum(bool(row['misses']) for row in done)} over their goal, worst {worst * 100:.4f} %"
    print(f"\n{len(done)} plans, {over}, {late:.2f} s more; {len(rows) - len(done)} failed")
    return 1 if len(done) < len(rows) or any(row["wrong"] or row["gap"] < 0 for row in done) else 0


def _line(cells: tuple[Any, ...]) -> str:
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTH, strict=True))


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        sys.exit(print_row(sys.argv[1], measured))
    sys.exit(main())
