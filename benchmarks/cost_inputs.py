"""Mixes of jobs and catalogues of sizes for `benchmarks.cost`, from fixed seeds or from a folder of real data."""

from __future__ import annotations

import csv
import gzip
import json
import random
import re
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.model.bucket import NodeArray, Offering
from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.units import Size
from benchmarks.catalogue import GIB, SIZES

if TYPE_CHECKING:
    from pathlib import Path

CATALOGUES: Final = ("all", "def", "gpu")
MIXES: Final = ("pow2", "random", "primes", "lognormal", "openb", "eagle", "sacct")
REAL: Final = ("openb", "eagle", "sacct")
SEEDED: Final = ("lognormal",)
"""Mixes that nobody can have tuned for: their shapes are of a seed that is given, or new."""
REGION: Final = "southcentralus"
_DEF: Final = re.compile(r"Standard_[DEF]\d+a?s_v[256]$")

Shape = tuple[Any, int, Any]
"""CPUs, MiB, GPUs."""


def read_catalogue(name: str, data: Path | None) -> NodeArray:
    """One node array with the sizes of a catalogue."""
    offerings = _real_sizes(data) if data else _built_in_sizes()
    chosen = [
        one for one in offerings if (name == "gpu" or not one.gpu_count) and (name != "def" or _DEF.match(one.vm_size))
    ]
    return NodeArray(name="pool", agent_pool="pool", location=REGION, offerings=tuple(chosen))


def _offering(name: str, family: str, numbers: tuple[int, Any, int, int], price: Any) -> Offering:
    vcpus, gib, gpus, quota = numbers
    return Offering(
        vm_size=name, vcpu_count=vcpus, memory=Size(int(Fraction(str(gib)) * GIB)), pcpu_count=vcpus,
        quota_vcpus=quota, vm_family=family, gpu_count=gpus, price=Fraction(str(price)),
    )  # fmt: skip


def _built_in_sizes() -> list[Offering]:
    return [_offering(name, family, (cpus, gib, gpus, cpus), price) for name, family, cpus, gib, gpus, price in SIZES]


def _real_sizes(data: Path) -> list[Offering]:
    document = json.loads((data / "azure" / "vm-skus.json").read_text(encoding="utf-8"))
    return [
        _offering(
            one["name"],
            one["family"],
            (one.get("vcpus_available") or one["vcpus"], one["memory_gib"], one.get("gpus") or 0, one["vcpus"]),
            one["price_usd_per_hour"][REGION],
        )
        for one in document["skus"]
        if one.get("price_usd_per_hour", {}).get(REGION) and one.get("vcpus") and one.get("memory_gib")
    ]


def read_mix(name: str, jobs: int, data: Path | None, seed: int = 0) -> tuple[Job, ...]:
    """About so many jobs; real mixes are repeated to that many, and never cut. `seed` is for SEEDED mixes."""
    rng = random.Random(20261122)
    if name in SEEDED:
        counts = _lognormal(jobs, random.Random(seed))
    elif name in REAL:
        found = _READERS[name](data)
        times = max(1, round(jobs / sum(found.values())))
        counts = {shape: count * times for shape, count in found.items()}
    else:
        shapes = _made(name, rng)
        weights = [rng.uniform(0.2, 2) for _ in shapes]
        counts = {
            shape: max(1, round(jobs * weight / sum(weights))) for shape, weight in zip(shapes, weights, strict=True)
        }
    return tuple(
        Job(name=f"j{index}", shape=JobShape(constraints=(_constraint(shape),)), count=count)
        for index, (shape, count) in enumerate(counts.items())
    )


def _constraint(shape: Shape) -> Any:
    cpus, mib, gpus = shape
    found: dict[str, Any] = {"ncpus": cpus}
    if mib:
        found["mem"] = f"memory::{mib}m"
    if gpus:
        found["ngpus"] = gpus
    return frozendict(found)


def _made(name: str, rng: random.Random) -> list[Shape]:
    if name == "pow2":
        return [(cpus, cpus * gib * 1024, 0) for cpus in (1, 2, 4, 8, 16, 32, 64) for gib in (1, 2, 4, 8)]
    if name == "random":
        return list({(rng.randint(1, 32), rng.randint(1, 128) * 1024, 0): None for _ in range(50)})
    cpus, gib = (1, 2, 3, 5, 7, 11, 13, 17, 19, 23), (3, 5, 7, 11, 13, 17, 29, 37, 53, 71)
    return list({(rng.choice(cpus), rng.choice(gib) * 1024, 0): None for _ in range(22)})


def _lognormal(jobs: int, rng: random.Random) -> dict[Shape, int]:
    """Up to 60 shapes of mostly few CPUs and some memory a CPU, with long tails, as queues have; counts likewise."""
    weights: dict[Shape, float] = {}
    for _ in range(max(4, min(60, jobs // 20))):
        cpus = min(max(round(rng.lognormvariate(1.2, 1.0)), 1), 96)
        mib = min(max(round(cpus * 1024 * rng.lognormvariate(1.3, 0.7)), 256), 600 * 1024)
        weights[cpus, mib, 0] = rng.lognormvariate(0.0, 1.0)
    whole = sum(weights.values())
    return {shape: max(1, round(jobs * weight / whole)) for shape, weight in weights.items()}


def _openb(data: Path) -> Counter[Shape]:
    found: Counter[Shape] = Counter()
    for path in sorted((data / "gpu").glob("*pods*.csv")):
        with path.open(encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                gpus = Fraction(int(row["num_gpu"]) * int(row["gpu_milli"]), 1000)
                found[_number(Fraction(int(row["cpu_milli"]), 1000)), int(row["memory_mib"]), _number(gpus)] += 1
    return found


def _eagle(data: Path) -> Counter[Shape]:
    """Processors a node; jobs of several nodes count as that many jobs."""
    found: Counter[Shape] = Counter()
    for path in sorted((data / "csv").glob("*.csv")):
        with path.open(encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                nodes = max(int(float(row["nodes_req"])), 1)
                cpus = min(max(int(float(row["processors_req"])) // nodes, 1), 104)
                found[cpus, int(float(row["mem_req"])), 0] += nodes
    return found


def _sacct(data: Path) -> Counter[Shape]:
    found: Counter[Shape] = Counter()
    for path in sorted((data / "sacct").glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                fields = line.rstrip("\n").split("|")
                asked = dict(part.split("=", 1) for part in fields[21].split(",") if "=" in part)
                nodes = max(int(fields[17]), 1)
                cpus = max(int(asked.get("cpu", fields[18])) // nodes, 1)
                found[cpus, _mib(asked.get("mem", "0M")) // nodes, 0] += nodes
    return found


_READERS: Final[dict[str, Any]] = {"openb": _openb, "eagle": _eagle, "sacct": _sacct}


def _mib(text: str) -> int:
    return int(Fraction(text[:-1]) * {"K": Fraction(1, 1024), "M": 1, "G": 1024, "T": 1024**2}[text[-1]])


def _number(amount: Fraction) -> Any:
    return int(amount) if amount.denominator == 1 else float(amount)
