"""Each option of sbatch against a real slurmctld: read, planned, given exactly the planned machines, and started.

The rows and the sentence to each stand in `slurm_option_rows.py`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from slurm_option_rows import COLOURS, GPU, KINDS, ROWS, THREADS, Row
from slurm_rig import FAKE_GPU_DEVICES, NodeLine, SlurmRig, is_installed
from slurm_site import until

from autoscale_aks.model.job import PackingStrategy
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoscale_aks.model.job import Chunk, Job, JobShape

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_installed(),
        reason="NO REAL SLURM HERE: apt-get install --no-install-recommends slurmctld slurmd slurm-client "
        "slurm-wlm-basic-plugins",
    ),
]

EACH: Final = 4
"""Nodes a row can have; of each colour where they differ."""
STATIC: Final = ROWS
MADE: Final = tuple(row for row in ROWS if not row.static)
EXTRA: Final = (
    "GresTypes=gpu,fpga",
    "Licenses=matlab:4",
    "MaxNodeCount=2000",
    "AllowSpecResourcesUsage=YES",
    "SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0",
)
GRES: Final = f"Name=gpu Type=t4 File={','.join(FAKE_GPU_DEVICES[:2])}\nName=fpga Count=1\n"
RULES: Final = [
    {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
    {"select": {}, "name": "mem", "value": "node.memory"},
    {"select": {}, "name": "ngpus", "value": "node.gpu_count"},
    {"select": {}, "name": "gpu_type", "value": "t4"},
    {"select": {}, "name": "gres_fpga", "value": 1},
]


def arrays_of(row: Row) -> dict[str, tuple[str, ...]]:
    """Node arrays of a row's partition, and the features of their nodes."""
    if row.kind == COLOURS:
        return {f"{row.name}r": ("red",), f"{row.name}b": ("blue",)}
    return {row.name: ("red", "blue")}


def said(shape: JobShape) -> str:
    """A shape in the words of the rows."""
    if shape.chunks:
        return " + ".join(part(chunk, packed=chunk.iterations > 1) for chunk in shape.chunks)
    packed = shape.packing_strategy is PackingStrategy.PACK
    return f"{part(shape, packed=packed)}{'; colocated' if shape.colocated else ''}"


def part(shape: JobShape | Chunk, *, packed: bool) -> str:
    slots = shape.node_count or shape.iterations
    number = f"{slots} packed" if packed else f"{slots} nodes" if shape.node_count else "1"
    return f"{number} × {told(shape.constraints)}"


def told(constraints: Sequence[Any]) -> str:
    first, *more = json.loads(json.dumps(constraints, default=dict))
    del first["nodearray"]
    order = ["ncpus", "mem", *sorted(set(first) - {"ncpus", "mem"})]
    words = " ".join(f"{name}={str(first[name]).removeprefix('memory::')}" for name in order if name in first)
    return "; ".join([words, *(json.dumps(one) for one in more)])


@dataclass
class Site:
    """A running Slurm with every row's job in its queue."""

    rig: SlurmRig
    rows: tuple[Row, ...]
    ids: dict[str, Row]

    def read(self, **settings: Any) -> dict[str, list[Job]]:
        """Row → what our driver makes of its job; an array with a limit is two."""
        partitions = {row.name: list(arrays_of(row)) for row in self.rows}
        document = {"type": "slurm", "slurm_conf": self.rig.env["SLURM_CONF"], "partitions": partitions, **settings}
        found: dict[str, list[Job]] = {row.name: [] for row in self.rows}
        for job in build_scheduler(document, environment=self.rig.env).read().jobs:
            found[self.ids[job.name.partition("_")[0]].name].append(job)
        return found

    def plan(self, jobs: dict[str, list[Job]]) -> list[str]:
        """The names of the machines for all of them."""
        arrays, rules = [], list(RULES)
        for row in self.rows:
            machine = KINDS[row.kind]
            size = {"vm_size": "Standard_X", "vcpu_count": machine.cpus, "memory_gb": machine.memory_mb / 1024,
                    "gpu_count": machine.gpus, "max_count": EACH}  # fmt: skip
            for name, features in arrays_of(row).items():
                group = {"placement_groups": ["pg"]} if "switches" in row.options else {}
                arrays.append({"name": name, "buckets": [{**size, **group}]})
                rules += [
                    {"select": {"node.nodearray": name}, "name": f"feature_{one}", "value": True} for one in features
                ]
        raw = {"nodearrays": arrays, "default_resources": rules, "jobs": [],
               "shared_resources": {"matlab": {"initial": 4}}}  # fmt: skip
        snapshot, policy = decode_scenario(raw)
        every = tuple(job for some in jobs.values() for job in some)
        return [claim.name for claim in plan(replace(snapshot, jobs=every), policy).claims]

    def started(self) -> dict[str, tuple[int, int]]:
        """Row → tasks that have nodes, and how many nodes these are."""
        tasks: Counter[str] = Counter()
        hosts: dict[str, set[str]] = {}
        lines = self.rig.output("squeue", "-h", "-a", "-r", "-t", "R,CF", "-o", "%P %N").split("\n")
        for partition, nodes in (line.split() for line in lines if len(line.split()) == 2):
            tasks[partition] += 1
            hosts.setdefault(partition, set()).update(self.rig.expand(nodes) if "[" in nodes else [nodes])
        return {row.name: (tasks[row.name], len(hosts.get(row.name, ()))) for row in self.rows}

    def check_starts(self) -> None:
        """Every row's tasks run on as many machines as the row says, in the end."""
        wanted = {row.name: (row.tasks, row.machines) for row in self.rows}
        until(lambda: self.started() == wanted or None, lambda: (differing(wanted, self.started()), self.waiting()))

    def waiting(self) -> str:
        """Who waits, and why Slurm says so."""
        return self.rig.output("squeue", "-h", "-a", "-t", "PD", "-o", "%P %Q %r")


def differing(wanted: dict[str, Any], found: dict[str, Any]) -> dict[str, str]:
    return {name: f"{found.get(name)} instead of {wanted[name]}" for name in wanted if found.get(name) != wanted[name]}


def submit_all(rig: SlurmRig, rows: tuple[Row, ...]) -> Site:
    def submit(row: Row) -> str:
        options = row.options.replace("PART", next(iter(arrays_of(row)))).replace(" : ", f" : -p {row.name} ")
        return rig.submit("-p", row.name, "--wrap", "sleep 300", *options.split())

    site = Site(rig, rows, {submit(row): row for row in rows})
    until(lambda: not waiting_for_a_look(rig), "Slurm has looked at every job")
    return site


def waiting_for_a_look(rig: SlurmRig) -> bool:
    return "None" in rig.output("squeue", "-h", "-a", "-t", "PD", "-o", "%r").split()


@pytest.fixture(scope="module")
def static() -> Iterator[Site]:
    """All rows, with nodes that stand in slurm.conf and are down: no machine yet."""
    lines = [
        NodeLine(f"{name}-[1-{EACH}]", machine.cpus, machine.memory_mb, features, machine.gres,
                 topology=f"{machine.topology} TmpDisk=1000")
        for row in STATIC for machine in [KINDS[row.kind]] for name, features in arrays_of(row).items()
    ]  # fmt: skip
    lines.append(NodeLine("gray-1", 4, 8000, ("gray",)))
    parts = [
        f"PartitionName={row.name} DefMemPerCPU=500 OverSubscribe=YES:4 "
        f"Nodes={','.join(f'{name}-[1-{EACH}]' for name in arrays_of(row))}"
        for row in STATIC
    ]
    gpus = ",".join(f"{row.name}-[1-{EACH}]" for row in STATIC if row.kind == GPU)
    gres = "".join(f"NodeName={gpus} {line}\n" for line in GRES.splitlines())
    with SlurmRig(lines, parts, gres_conf=gres, extra=EXTRA) as rig:
        rig.mark_absent(",".join(line.names for line in lines))
        yield submit_all(rig, STATIC)


@pytest.fixture(scope="module")
def empty() -> Iterator[Site]:
    """Rows in partitions without any node; one elsewhere, so that Slurm knows the words."""
    seed = NodeLine("seed-1", 8, 16000, ("red", "blue", "gray"), KINDS[GPU].gres)
    parts = [f"NodeSet=set{row.name} Feature=of{row.name}" for row in MADE]
    parts += [f"PartitionName={row.name} Nodes=set{row.name} DefMemPerCPU=500 OverSubscribe=YES:4" for row in MADE]
    with SlurmRig([seed], parts, gres_conf=GRES, extra=EXTRA) as rig:
        rig.mark_absent("seed-1")
        yield submit_all(rig, MADE)


def test_jobs_for_nodes_of_the_configuration_are_read_as_the_rows_say(static: Site) -> None:
    found = {name: said(jobs[0].shape) for name, jobs in static.read().items()}
    assert differing({row.name: row.want for row in STATIC}, found) == {}
    assert [name for name, jobs in static.read().items() if not jobs[0].runnable] == []


def test_they_start_on_exactly_the_machines_that_were_planned(static: Site) -> None:
    names = static.plan(static.read())
    made = Counter(name.rpartition("-")[0] for name in names)
    planned = {row.name: sum(made[array] for array in arrays_of(row)) for row in STATIC}
    assert differing({row.name: row.machines for row in STATIC}, planned) == {}
    static.rig.boot(*names)
    static.check_starts()


def test_jobs_for_partitions_without_nodes_are_read_as_the_rows_say(empty: Site) -> None:
    found = {name: said(jobs[0].shape) for name, jobs in read_by_kind(empty).items()}
    assert differing({row.name: row.empty or row.want for row in MADE}, found) == {}


def test_they_start_on_nodes_that_are_made_as_planned(empty: Site) -> None:
    names = empty.plan(read_by_kind(empty))
    rows = {array: row for row in MADE for array in arrays_of(row)}
    for number, name in enumerate(names):
        array = name.rpartition("-")[0]
        row = rows[array]
        machine = KINDS[row.kind]
        features = ",".join((f"of{row.name}", *arrays_of(row)[array]))
        size = machine.topology.lower().split() or [f"cpus={machine.cpus}"]
        gres = [f"gres={machine.gres}"] if machine.gres else []
        empty.rig.run(["scontrol", "create", f"nodename={name}", *size, f"realmemory={machine.memory_mb}", *gres,
                       f"feature={features}", "state=cloud",
                       f"nodeaddr=127.0.{1 + number // 200}.{1 + number % 200}"])  # fmt: skip
    empty.check_starts()


def read_by_kind(site: Site) -> dict[str, list[Job]]:
    """Where no node is there yet, `create_nodes` says whether cores have threads."""
    threads = site.read(create_nodes={"*": ["threadspercore=2"]})
    plain = site.read()
    return {row.name: (threads if row.kind == THREADS else plain)[row.name] for row in site.rows}
