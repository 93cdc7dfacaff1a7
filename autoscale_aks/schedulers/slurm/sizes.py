"""How many slots or nodes a waiting job wants and how much on each: arithmetic on one record, no constraints yet.

Slurm prints totals and hints, so this is where they are taken apart:

- Nodes: `node=` of the TRES above 1 is the least number of nodes; else `--ntasks-per-node` gives it; else tasks are
  free and NumNodes is only Slurm's guess.
- CPUs: where Slurm gives out whole cores of several threads, a job takes all CPUs of each core it is on (`cores.py`).
- Memory: MinMemory does not say per CPU or per node, but the TRES hold the job's total, `MinMemory × cpu` or
  `MinMemory × node`. 0 is all memory of each node.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Final

from autoscale_aks.schedulers.slurm.cores import Cores, cores_of, parse_reserved, parse_sockets
from autoscale_aks.schedulers.slurm.records import is_blank
from autoscale_aks.schedulers.slurm.values import MEGABYTE, Gres, parse_count, parse_gres, parse_memory, parse_tres

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.schedulers.slurm.records import Asked

GPU: Final = "gpu"
MOST_SLOTS: Final = 10_000_000
"""More tasks, nodes or GPUs of one job than any cluster has are a misprint."""
_NO_SOCKETS: Final = "resources per socket (--gpus-per-socket) without --sockets-per-node: one socket is looked at"
_UNSEEN_SPEC: Final = "cores kept free (--core-spec) in a partition without nodes: not looked at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What one slot takes."""

    cpus: int
    memory_bytes: int = 0
    gres: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """`slots` of one kind: on as many different nodes when `is_scattered`, else packed on as few as they need."""

    slot: Slot
    slots: int = 1
    is_scattered: bool = False
    whole_memory: bool = False
    gpu_types: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _MemoryRule:
    """Exactly one of these is set, or none: no memory asked for."""

    per_cpu: Fraction | None = None
    per_node: Fraction | None = None
    per_gpu: int | None = None
    is_whole: bool = False


@dataclass(slots=True)
class _Request:
    """The numbers of one record."""

    tasks: int
    cpus_per_task: int
    min_cpus: int
    tasks_per_node: int
    nodes: int
    nodes_hint: int
    per_node: tuple[Gres, ...]
    per_job: tuple[Gres, ...]
    per_task: tuple[Gres, ...]
    cpus_per_gpu: int
    memory: _MemoryRule
    cores: Cores = Cores()
    reserved: int = 0
    """CPUs of each node that the job leaves alone."""
    is_by_hint: bool = False
    """Whether only Slurm itself can say on how many nodes its tasks fit, and has."""
    notes: list[str] = field(default_factory=list)

    @property
    def gpus(self) -> int:
        """GPUs of the whole job, where they are asked for as such."""
        return sum(gres.count for gres in self.per_job if gres.name == GPU)


def size_of(asked: Asked, *, memory_is_managed: bool, trust_hint: bool, threads: int = 1, apart: bool = False) -> Size:
    """Raises ValueError naming the field that cannot be read.

    `trust_hint` is False for partitions without nodes: Slurm then guesses one node a task. `threads` are the CPUs of
    a core, all of which go to one job. `apart`: on nodes of its own, so many as Slurm says where that is to be trusted.
    """
    request = _read(asked, memory_is_managed, trust_hint, threads)
    request.is_by_hint |= apart and trust_hint
    if request.nodes > 1:
        size = _on_nodes(request, request.nodes)
    elif request.tasks_per_node:
        size = _on_nodes(request, ceil(request.tasks / request.tasks_per_node))
    elif request.gpus:
        size = _by_gpu(request)
    elif request.tasks == 1 or _is_per_node(request):
        size = _on_nodes(request, 1 if request.tasks == 1 else request.nodes_hint)
    else:
        size = _by_task(request)
    if size.slots > MOST_SLOTS or size.slot.cpus > MOST_SLOTS:
        raise ValueError(f"it asks for {size.slots} × {size.slot.cpus} CPUs, which cannot be meant")
    return size


def _read(asked: Asked, memory_is_managed: bool, trust_hint: bool, threads: int) -> _Request:
    tres = parse_tres(asked.tres_alloc)
    per_task = parse_gres(asked.tres_per_task, "tres-per-task")
    tasks = max(1, parse_count(asked.num_tasks, "NumTasks"))
    cpus = parse_count(asked.num_cpus, "NumCPUs")
    cpus_per_task = max(
        parse_count(asked.cpus_per_task, "cpus-per-task") or ceil(cpus / tasks),
        sum(gres.count for gres in per_task if gres.name == "cpu"),
        1,
    )
    notes: list[str] = []
    if parse_count(asked.min_tmp_disk, "MinTmpDisk"):
        notes.append("temporary disk (--tmp) is not looked at")
    nodes_hint = max(1, parse_count(asked.num_nodes, "NumNodes")) if trust_hint else 1
    per_job = parse_gres(asked.tres_per_job, "tres-per-job")
    if 0 < cpus < tasks * cpus_per_task and not per_job:  # --overcommit: the CPUs count, not the tasks
        tasks, cpus_per_task = cpus, 1
    cores = cores_of(threads, asked.sockets_cores_threads, asked.tasks_per_core)
    reserved = parse_reserved(asked.core_spec, threads)
    by_hint = trust_hint and bool(reserved or parse_count(asked.tasks_per_socket, "NTPerSocket"))
    if reserved and not trust_hint:
        notes.append(_UNSEEN_SPEC)
    return _Request(
        tasks=tasks,
        cpus_per_task=cores.for_task(cpus_per_task),
        min_cpus=parse_count(asked.min_cpus, "MinCpus"),
        tasks_per_node=min(tasks, parse_count(asked.tasks_per_node, "NTPerNode")),
        nodes=parse_count(tres.get("node", ""), "tres-alloc node"),
        nodes_hint=nodes_hint,
        per_node=(*parse_gres(asked.tres_per_node, "tres-per-node"), *_of_sockets(asked, notes)),
        per_job=per_job,
        per_task=tuple(gres for gres in per_task if gres.name not in {"cpu", "mem", "node", "billing"}),
        cpus_per_gpu=_of_gpu(asked.cpus_per_tres, "cpus-per-tres"),
        memory=_memory_rule(asked, tres, memory_is_managed),
        cores=cores,
        reserved=reserved,
        is_by_hint=by_hint,
        notes=notes,
    )


def _of_sockets(asked: Asked, notes: list[str]) -> tuple[Gres, ...]:
    """What is asked for a socket, on the sockets that are asked for."""
    found = parse_gres(asked.tres_per_socket, "tres-per-socket")
    sockets = parse_sockets(asked.sockets_cores_threads)
    if found and not sockets:
        notes.append(_NO_SOCKETS)
    return tuple(Gres(one.name, one.type, one.count * max(1, sockets)) for one in found)


def _of_gpu(text: str, name: str) -> int:
    return sum(gres.count for gres in parse_gres(text, name) if gres.name == GPU)


def _memory_rule(asked: Asked, tres: dict[str, str], memory_is_managed: bool) -> _MemoryRule:
    per_gpu = _of_gpu(asked.mem_per_tres, "mem-per-tres")
    if per_gpu:
        return _MemoryRule(per_gpu=per_gpu * MEGABYTE)
    each = Fraction(0) if is_blank(asked.min_memory) else parse_memory(asked.min_memory, "MinMemory").bytes
    if not each:
        return _MemoryRule(is_whole=memory_is_managed)
    if "mem" not in tres:
        return _MemoryRule(per_node=each)
    total = parse_memory(tres["mem"], "tres-alloc mem")
    cpus = max(1, parse_count(tres.get("cpu", ""), "tres-alloc cpu"))
    nodes = max(1, parse_count(tres.get("node", ""), "tres-alloc node"))
    if total.is_about(each * cpus):
        return _MemoryRule(per_cpu=each)
    if total.is_about(each * nodes):
        return _MemoryRule(per_node=each)
    return _MemoryRule(per_cpu=total.bytes / cpus)


def _is_per_node(request: _Request) -> bool:
    """Whether free tasks ask for something on each node, so that what one task takes cannot be said."""
    if request.is_by_hint or request.per_node or request.min_cpus > request.cpus_per_task:
        return True
    return request.memory.per_node is not None and request.nodes_hint > 1


def _on_nodes(request: _Request, nodes: int) -> Size:
    """One slot a node: tasks spread evenly, resources per node as they are, the job's divided."""
    tasks = request.tasks_per_node or ceil(request.tasks / nodes)
    gres = _summed(
        *request.per_node,
        *(Gres(one.name, one.type, one.count * tasks) for one in request.per_task),
        *(Gres(one.name, one.type, ceil(one.count / nodes)) for one in request.per_job),
    )
    gpus = dict(gres).get(GPU, 0)
    cpus = max(tasks * request.cpus_per_task, request.min_cpus, request.cpus_per_gpu * gpus)
    cpus = request.cores.whole(cpus)
    memory = _memory_of(request.memory, cpus=request.cores.billed(cpus), gpus=gpus)
    cpus += request.reserved
    return _size(request, Slot(cpus=cpus, memory_bytes=memory, gres=gres), nodes, is_scattered=nodes > 1)


def _by_gpu(request: _Request) -> Size:
    """GPUs of the whole job on any nodes: one slot a GPU with its share of the rest."""
    slots = request.gpus
    cpus = max(request.cpus_per_gpu, ceil(request.tasks * request.cpus_per_task / slots))
    if slots == 1:
        cpus = request.cores.whole(cpus)
    others = (Gres(one.name, one.type, ceil(one.count / slots)) for one in request.per_job if one.name != GPU)
    gres = _summed(Gres(GPU, "", 1), *others)
    memory = _memory_of(request.memory, cpus=request.cores.billed(cpus), gpus=1, share=slots)
    return _size(request, Slot(cpus=cpus, memory_bytes=memory, gres=gres), slots)


def _by_task(request: _Request) -> Size:
    """Free tasks: one slot each, or one for those that share a core. Memory per node counts as if all shared one."""
    gres = _summed(*request.per_task)
    gpus = dict(gres).get(GPU, 0)
    cpus = max(request.cpus_per_task, request.cpus_per_gpu * gpus)
    together = 1 if gres else request.cores.tasks_on_one(cpus)
    slots, cpus = ceil(request.tasks / together), cpus * together
    memory = _memory_of(request.memory, cpus=request.cores.billed(cpus), gpus=gpus, share=slots)
    return _size(request, Slot(cpus=cpus, memory_bytes=memory, gres=gres), slots)


def _memory_of(rule: _MemoryRule, *, cpus: int, gpus: int, share: int = 1) -> int:
    """Bytes for one slot, rounded up; `share` slots are expected on one node."""
    if rule.per_gpu is not None:
        return rule.per_gpu * gpus
    if rule.per_cpu is not None:
        return ceil(rule.per_cpu * cpus)
    return 0 if rule.per_node is None else ceil(rule.per_node / share)


def _summed(*all_gres: Gres) -> tuple[tuple[str, int], ...]:
    found: dict[str, int] = {}
    for gres in all_gres:
        if gres.count:
            found[gres.name] = found.get(gres.name, 0) + gres.count
    return tuple(sorted(found.items()))


def _size(request: _Request, slot: Slot, slots: int, *, is_scattered: bool = False) -> Size:
    every: Iterable[Gres] = (*request.per_node, *request.per_job, *request.per_task)
    return Size(
        slot=slot,
        slots=slots,
        is_scattered=is_scattered,
        whole_memory=request.memory.is_whole,
        gpu_types=tuple(dict.fromkeys(gres.type for gres in every if gres.name == GPU and gres.type)),
        notes=tuple(request.notes),
    )
