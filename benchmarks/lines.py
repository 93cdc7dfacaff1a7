"""One-line-a-job text: `JOBID|PARTITION|CPUS|MEM|GPUS|TIMELIMIT`, 29 to 42 bytes a job, and its reader.

The package's own readers take `squeue`'s 48 fields or our job JSON; neither is meant for a million lines. This one
is what a driver for such a text would be: equal tails are folded while they are read, so that a million jobs become
as many records as there are shapes, and no line is ever kept. Jobs of equal tail are taken to be of equal priority.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.model.job import Job, JobShape

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

_CHUNK: Final = 1 << 20
_FIRST_ID: Final = 10_000_000


def write_jobs(path: Path, rng: random.Random, rows: Sequence[tuple[int, int, int, int]]) -> None:
    """Write `(cpus, mem_mib, gpus, count)` as that many lines in random order."""
    order = [index for index, row in enumerate(rows) for _ in range(row[3])]
    rng.shuffle(order)
    tails = [f"|htc|{cpus}|{mem}M|{gpus}|1-00:00:00\n" for cpus, mem, gpus, _ in rows]
    with path.open("w", encoding="ascii") as file:
        file.writelines(f"{_FIRST_ID + number}{tails[index]}" for number, index in enumerate(order))


def read_jobs(path: Path) -> tuple[Job, ...]:
    """The jobs, folded by tail, in order of first appearance."""
    return tuple(
        Job(name=tail.decode("ascii"), shape=_shape(tail), count=count)
        for tail, count in count_tails(path).items()
    )  # fmt: skip


def count_tails(path: Path) -> Counter[bytes]:
    """How many lines end in the same words after the job's id."""
    counts: Counter[bytes] = Counter()
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            counts.update([line.partition(b"|")[2] for line in lines])
    if rest:
        counts[rest.partition(b"|")[2]] += 1
    return counts


def _shape(tail: bytes) -> JobShape:
    _, cpus, mem, gpus, _ = tail.decode("ascii").split("|")
    asked: dict[str, int | str] = {"ncpus": int(cpus), "mem": f"memory::{mem.removesuffix('M')}m"}
    if gpus != "0":
        asked["ngpus"] = int(gpus)
    return JobShape(constraints=(frozendict(asked),))
