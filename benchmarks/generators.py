"""The inputs: every case of the issue, from fixed seeds. The same name gives an equal snapshot, always.

A case is built apart from the run, so that neither its time nor its memory counts. Cases that start from text write
it to a file; reading that file is timed apart from planning.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from frozendict import deepfreeze, frozendict

from autoscale_aks.model.bucket import NodeArray
from autoscale_aks.model.job import Job, JobShape, PackingStrategy
from autoscale_aks.model.limits import CoreQuota, Limits
from autoscale_aks.model.node import Node
from autoscale_aks.model.policy import Objective, Policy
from autoscale_aks.model.snapshot import NameSeries, Snapshot
from autoscale_aks.units import Size
from benchmarks.catalogue import MIB, SIZES, make_arrays, offering
from benchmarks.lines import read_jobs, write_jobs
from benchmarks.squeue import read_squeue, write_squeue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


RESOURCES: Final[tuple[Any, ...]] = deepfreeze(
    [
        {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
        {"select": {}, "name": "mem", "value": "node.memory"},
        {"select": {}, "name": "ngpus", "value": "node.gpu_count"},
    ]
)
"""What most sites write as `default_resources`."""

CHEAPEST: Final = Policy(objective=Objective.COST)
SEED: Final = 20261122


@dataclass(frozen=True, slots=True)
class Needs:
    """What one slot of a plain shape takes."""

    cpus: int
    mem_mib: int
    gpus: int = 0

    def constraint(self) -> dict[str, Any]:
        """As a job writes it."""
        found: dict[str, Any] = {"ncpus": self.cpus, "mem": f"memory::{self.mem_mib}m"}
        return {**found, "ngpus": self.gpus} if self.gpus else found


@dataclass(frozen=True, slots=True)
class Case:
    """One input. Cases from text have a reader instead of jobs."""

    snapshot: Snapshot
    policy: Policy
    read: Callable[[Path], tuple[Job, ...]] | None = None
    """Reads the file that `write` wrote; what it returns are the snapshot's jobs."""
    write: Callable[[Path], None] | None = None

    def with_jobs(self, jobs: tuple[Job, ...]) -> Case:
        """The case once its text is read."""
        return replace(self, snapshot=replace(self.snapshot, jobs=jobs))


# --- shapes and jobs -----------------------------------------------------------------------------------------------


def small_needs(rng: random.Random, shapes: int, gpu_shapes: int = 0) -> list[Needs]:
    """Distinct high-throughput needs: mostly one vCPU, 0.5 to 4 GiB a vCPU."""
    return _distinct_needs(rng, shapes, gpu_shapes, (1, 1, 1, 1, 1, 1, 1, 1, 1, 2))


def mixed_needs(rng: random.Random, shapes: int, gpu_shapes: int = 0) -> list[Needs]:
    """Distinct needs from 1 to 64 vCPUs, small ones more often."""
    return _distinct_needs(rng, shapes, gpu_shapes, (1, 1, 2, 2, 3, 4, 4, 6, 8, 12, 16, 24, 32, 64))


def _distinct_needs(rng: random.Random, shapes: int, gpu_shapes: int, cpus: Sequence[int]) -> list[Needs]:
    found: dict[Needs, None] = {}
    while len(found) < shapes:
        asked = rng.choice(cpus)
        mem = asked * rng.randrange(512, 4096, 1 if shapes > 5000 else 2)
        gpus = rng.choice((1, 1, 2, 4)) if len(found) < gpu_shapes else 0
        found[Needs(asked, min(mem, 480 * 1024), gpus)] = None
    needs = list(found)
    rng.shuffle(needs)
    return needs


def counts_for(rng: random.Random, needs: Sequence[Needs], total: int) -> list[int]:
    """How many jobs of each shape: uneven as in real queues, exactly `total` in all; GPU jobs are ten times rarer."""
    weights = [(0.1 if need.gpus else 1.0) / rng.uniform(0.2, 2.0) for need in needs]
    spare = total - len(needs)
    scale = spare / sum(weights)
    counts = [1 + int(weight * scale) for weight in weights]
    for index in range(total - sum(counts)):
        counts[index % len(counts)] += 1
    return counts


def plain_shape(needs: Needs) -> JobShape:
    """A job of one slot."""
    return JobShape(constraints=(frozendict(needs.constraint()),))


def grouped_jobs(needs: Sequence[Needs], counts: Sequence[int]) -> tuple[Job, ...]:
    """One record a shape."""
    return tuple(
        Job(name=f"s{index}", shape=plain_shape(need), count=count)
        for index, (need, count) in enumerate(zip(needs, counts, strict=True))
    )


def single_jobs(rng: random.Random, shapes: Sequence[JobShape], total: int) -> tuple[Job, ...]:
    """Single jobs, their shapes interleaved at random."""
    return tuple(Job(name=f"j{index}", shape=rng.choice(shapes)) for index in range(total))


# --- nodes ---------------------------------------------------------------------------------------------------------


def live_nodes(rng: random.Random, arrays: Sequence[NodeArray], total: int, least_vcpus: int = 0) -> tuple[Node, ...]:
    """Ready, partly used nodes of random buckets, every free vector different from all others."""
    choices = [
        (array, found)
        for array in arrays
        for found in array.offerings
        if found.vcpu_count >= least_vcpus
    ]  # fmt: skip
    seen: set[tuple[int, int, int]] = set()
    numbers = {array.name: 0 for array in arrays}
    nodes: list[Node] = []
    while len(nodes) < total:
        array, found = rng.choice(choices)
        cpus = rng.randint(found.vcpu_count // 2, found.vcpu_count)
        mem = rng.randint(int(found.memory.bytes) // MIB // 2, int(found.memory.bytes) // MIB)
        gpus = rng.randint(0, found.gpu_count)
        if (cpus, mem, gpus) in seen:
            continue
        seen.add((cpus, mem, gpus))
        numbers[array.name] += 1
        name = f"{array.name}-{numbers[array.name]}"
        nodes.append(
            Node(
                name=name,
                hostname=name,
                nodearray=array.name,
                vm_size=found.vm_size,
                zone=found.zone,
                available=frozendict({"ncpus": cpus, "mem": Size(mem * MIB), "ngpus": gpus}),
                job_ids=(f"r{len(nodes)}",),
            )
        )
    return tuple(nodes)


def next_names(arrays: Sequence[NodeArray], nodes: Sequence[Node]) -> frozendict[str, NameSeries]:
    """Names as the ledger gives them: numbers never come back, new ones start after the last."""
    used = dict.fromkeys((array.name for array in arrays), 0)
    for node in nodes:
        used[str(node.nodearray)] += 1
    return frozendict({name: NameSeries(prefix=f"{name}-", start=count + 1) for name, count in used.items()})


def world(
    arrays: tuple[NodeArray, ...],
    nodes: tuple[Node, ...] = (),
    jobs: tuple[Job, ...] = (),
    limits: Limits | None = None,
) -> Snapshot:
    """A snapshot."""
    return Snapshot(
        name="bench",
        default_resources=RESOURCES,
        limits=limits or Limits(),
        nodearrays=arrays,
        nodes=nodes,
        jobs=jobs,
        naming=next_names(arrays, nodes),
    )


# --- a million jobs ------------------------------------------------------------------------------------------------


def million(
    total: int = 1_000_000, shapes: int = 1000, nodes: int = 10_000, buckets: int = 500, *, heavy: bool = False
) -> Case:
    """Grouped jobs over existing nodes and buckets. As in the prototype of the design, about 3 shapes in 10 are left
    once the existing nodes are full; with `heavy` nearly all are."""
    rng = random.Random(SEED)
    arrays = make_arrays(buckets)
    needs = (mixed_needs if heavy else small_needs)(rng, shapes, gpu_shapes=shapes // 50)
    jobs = grouped_jobs(needs, counts_for(rng, needs, total))
    return Case(world(arrays, live_nodes(rng, arrays, nodes, least_vcpus=64), jobs), CHEAPEST)


def million_text(total: int = 1_000_000, shapes: int = 1000, nodes: int = 10_000, buckets: int = 500) -> Case:
    """The same from text: one line a job, in random order."""
    grouped = million(total, shapes, nodes, buckets)

    def write(path: Path) -> None:
        rows = [(*_row(job.shape), job.count) for job in grouped.snapshot.jobs]
        write_jobs(path, random.Random(SEED), rows)

    return Case(replace(grouped.snapshot, jobs=()), CHEAPEST, read_jobs, write)


def _row(shape: JobShape) -> tuple[int, int, int]:
    (asked,) = shape.constraints
    return asked["ncpus"], int(asked["mem"].removeprefix("memory::").removesuffix("m")), asked.get("ngpus", 0)


def million_limits(total: int = 1_000_000, shapes: int = 1000, nodes: int = 10_000, buckets: int = 500) -> Case:
    """The same with limits that bind: few nodes a bucket, family and regional quotas, so that much is refused."""
    free = million(total, shapes, nodes, buckets, heavy=True)
    arrays = tuple(
        replace(array, offerings=tuple(replace(found, max_count=40, available_count=25) for found in array.offerings))
        for array in free.snapshot.nodearrays
    )
    regions = {array.location for array in arrays}
    families = {found.vm_family for array in arrays for found in array.offerings}
    limits = Limits(
        cluster_max_nodes=nodes + 2000,
        regions=frozendict({region: CoreQuota(400_000) for region in regions}),
        spot_regions=frozendict({region: CoreQuota(400_000) for region in regions}),
        families=frozendict(
            {region: frozendict({family: CoreQuota(120_000) for family in families}) for region in regions}
        ),
    )
    return Case(replace(free.snapshot, nodearrays=arrays, limits=limits), CHEAPEST)


def growing(total: int) -> Case:
    """The same 1,000 shapes and 500 buckets, no nodes yet; only the number of jobs grows."""
    return million(total, nodes=0)


# --- shapes --------------------------------------------------------------------------------------------------------


def all_distinct(shapes: int = 20_000, buckets: int = 36) -> Case:
    """Every job has a shape of its own."""
    rng = random.Random(SEED)
    jobs = grouped_jobs(mixed_needs(rng, shapes), [1] * shapes)
    return Case(world(make_arrays(buckets), jobs=jobs), CHEAPEST)


def few_shapes(total: int, buckets: int, shapes: int = 20) -> Case:
    """Interleaved single jobs of few shapes: scalelib's everyday case."""
    rng = random.Random(SEED)
    needs = [Needs(1 + index % 5, (1 + index % 5) * (1024 + 128 * index)) for index in range(shapes)]
    jobs = single_jobs(rng, [plain_shape(need) for need in needs], total)
    cpu_rows = sorted((row for row in SIZES if not row[4]), key=lambda row: -row[2])
    rows = [row for row in cpu_rows if row[0] in _THREE] if buckets == 3 else cpu_rows[:buckets]
    array = NodeArray(
        name="htc", agent_pool="htc", location="southcentralus", offerings=tuple(offering(row) for row in rows)
    )
    return Case(world((array,), jobs=jobs), CHEAPEST)


_THREE: Final = ("Standard_D64s_v5", "Standard_E64s_v5", "Standard_F64s_v2")


def arrays_of_tasks(arrays: int = 10_000, tasks: int = 1000, shapes: int = 200, most_nodes: int | None = 5000) -> Case:
    """Array jobs, one record each; the cluster may have as many nodes as an AKS cluster may (5,000)."""
    rng = random.Random(SEED)
    made = [plain_shape(need) for need in small_needs(rng, shapes)]
    jobs = tuple(Job(name=f"{index}_[1-{tasks}]", shape=rng.choice(made), count=tasks) for index in range(arrays))
    return Case(world(make_arrays(36), jobs=jobs, limits=Limits(cluster_max_nodes=most_nodes)), CHEAPEST)


# --- constraint trees ----------------------------------------------------------------------------------------------


def trees(*, plain: bool, total: int = 100_000, shapes: int = 999, nodes: int = 1000, buckets: int = 500) -> Case:
    """A third of the shapes has a constraint tree, or none has (`plain`): otherwise the same jobs and nodes."""
    rng = random.Random(SEED)
    arrays = _with_groups(make_arrays(buckets - 4 * len(_GROUPED)))
    needs = [
        need if index % 3 else replace(need, gpus=0)
        for index, need in enumerate(small_needs(rng, shapes, gpu_shapes=shapes // 50))
    ]
    counts = counts_for(rng, needs, total)
    jobs = []
    for index, (need, count) in enumerate(zip(needs, counts, strict=True)):
        kind = index % 3 or plain
        shape = plain_shape(need) if kind else _TREES[index // 3 % len(_TREES)](need, rng)
        size = 1 if kind else max(1, shape.node_count or shape.iterations)
        jobs.append(Job(name=f"s{index}", shape=shape, count=-(-count // size)))
    return Case(world(arrays, live_nodes(rng, arrays, nodes, least_vcpus=64), tuple(jobs)), CHEAPEST)


_GROUPED: Final = ("Standard_HB120rs_v3", "Standard_HB176rs_v4", "Standard_HC44rs")


def _with_groups(arrays: tuple[NodeArray, ...]) -> tuple[NodeArray, ...]:
    """The first array's InfiniBand sizes get four placement groups each: twelve more buckets."""
    first = arrays[0]
    seen: set[str] = set()
    offerings = []
    for found in first.offerings:
        grouped = found.vm_size in _GROUPED and found.vm_size not in seen
        seen.add(found.vm_size)
        offerings.append(replace(found, placement_groups=("pg0", "pg1", "pg2", "pg3")) if grouped else found)
    return (replace(first, offerings=tuple(offerings)), *arrays[1:])


def _tree(need: Needs, *more: dict[str, Any], **fields: Any) -> JobShape:
    return JobShape(constraints=deepfreeze((need.constraint(), *more)), **fields)


_TREES: Final[tuple[Callable[[Needs, random.Random], JobShape], ...]] = (
    lambda need, rng: _tree(need, {"or": [{"node.vm_size": rng.choice(["Standard_D*", "Standard_E*"])},
                                          {"node.zone": ["1", "2"]}]}),
    lambda need, _: JobShape(constraints=deepfreeze(({"or": [
        {"ncpus": need.cpus, "mem": f"memory::{need.mem_mib * 2}m", "node.vm_family": "standardE*"},
        need.constraint()]},))),
    lambda need, rng: _tree(need, {"xor": [{"node.vm_size": "Standard_D*"}, {"node.zone": rng.choice("123")}]}),
    lambda need, _: _tree(need, {"not": {"node.vm_size": ["Standard_M*", "Standard_N*"]}}, {"not": {"ngpus": 1}}),
    lambda need, _: _tree(need, {"exclusive": True}),
    lambda need, _: _tree(need, {"in-a-placement-group": False}, {"node.spot": False}),
    lambda need, _: _tree(need, {"in-a-placement-group": True}),
    lambda need, rng: _tree(need, node_count=rng.choice((2, 4, 8, 16))),
    lambda need, rng: _tree(need, {"node.location": ["westus2", "southcentralus"]}, node_count=rng.choice((2, 4)),
                            packing_strategy=PackingStrategy.SCATTER),
    lambda need, rng: _tree(need, iterations=rng.choice((4, 8, 16)), colocated=True),
)  # fmt: skip


# --- other people's benchmarks -------------------------------------------------------------------------------------


def binpacking_estimate() -> Case:
    """cluster-autoscaler's BenchmarkBinpackingEstimate: template of 1,000 millicores, 5,000 of memory and 100 pods;
    1,000 pods of 95 m / 190 and 50,000 of 50 m / 100, the larger first as its own orderer takes them."""
    array = NodeArray(
        name="template",
        agent_pool="template",
        location="westus2",
        max_count=3000,
        resources=frozendict({"pods": 100}),
        offerings=(offering(("template", "template", 1, 1, 0, "0.1"), memory=Size(5000)),),
    )
    groups = ((Decimal("0.095"), 190, 1000), (Decimal("0.05"), 100, 50_000))
    jobs = tuple(
        Job(name=f"estimatee-{cpu}", count=count,
            shape=JobShape(constraints=(frozendict({"ncpus": cpu, "mem": f"memory::{mem}b", "pods": 1}),)))
        for cpu, mem, count in groups
    )  # fmt: skip
    return Case(world((array,), jobs=jobs), Policy())


def ray_reconcile(nodes: int = 1337, demands: int = 13_315) -> Case:
    """Ray's slow reconcile: that many active nodes, that many demands of 2 CPUs, each a record of its own. The report
    does not say what the nodes are; here they have 32 vCPUs, of which 0 to 15 are free."""
    rng = random.Random(SEED)
    row = next(row for row in SIZES if row[0] == "Standard_D32s_v5")
    array = NodeArray(name="worker", agent_pool="worker", location="westus2", offerings=(offering(row),))
    active = tuple(
        Node(
            name=f"worker-{number}",
            nodearray="worker",
            vm_size="Standard_D32s_v5",
            available=frozendict({"ncpus": rng.randint(0, 15)}),
            job_ids=(f"r{number}",),
        )
        for number in range(1, nodes + 1)
    )
    shape = JobShape(constraints=(frozendict({"ncpus": 2}),))
    jobs = tuple(Job(name=f"d{index}", shape=shape) for index in range(demands))
    return Case(world((array,), active, jobs), Policy())


def slurm_queue(total: int = 100_000, shapes: int = 200) -> Case:
    """A real `squeue` capture (48 fields a line) through the Slurm driver's own reader."""
    rng = random.Random(SEED)
    needs = small_needs(rng, shapes)
    counts = counts_for(rng, needs, total)

    def write(path: Path) -> None:
        write_squeue(path, rng, [(need.cpus, need.mem_mib, count) for need, count in zip(needs, counts, strict=True)])

    return Case(world(make_arrays(36)), CHEAPEST, read_squeue, write)
