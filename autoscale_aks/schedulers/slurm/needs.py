"""One waiting record → the shape of its jobs, in our constraint language.

| Slurm | becomes |
| --- | --- |
| one task | one slot: `{"nodearray": […], "ncpus": c, "mem": "memory::…"}` |
| tasks without a node count | that many slots packed, all or none of them (Slurm starts a job whole) |
| nodes given | that many different nodes, one slot each with its tasks' CPUs and memory |
| `--exclusive`, `--mem=0` | `exclusive`; `exclusive-task` where several slots may share a node |
| GPUs | `{"ngpus": n}` and `gpu_types`; other generic resources `{"gres_NAME": n}` |
| `-C` | `features`; default `{"feature_NAME": true}` |
| `-C '[a*2&b*1]'` with nodes given | one chunk a counted feature, and one for the nodes that are left |
| `-L matlab:2` | shared consumable, once a job |
| `-w host` | `{"node.hostname": […]}`: no new machine can be it |
| `-x host` | `{"not": {"node.hostname": […]}}` |
| `--switches=1` on several nodes | `colocated` |
| heterogeneous job | one chunk a component, each alone where two could meet on a node: Slurm keeps them apart |
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from frozendict import deepfreeze

from autoscale_aks.model.job import Chunk, JobShape, PackingStrategy
from autoscale_aks.schedulers.slurm.features import parse_counted, parse_features
from autoscale_aks.schedulers.slurm.hostlists import expand_hosts
from autoscale_aks.schedulers.slurm.records import is_blank
from autoscale_aks.schedulers.slurm.sizes import GPU, size_of
from autoscale_aks.schedulers.slurm.values import parse_gres
from autoscale_aks.units import format_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.schedulers.slurm.facts import ClusterFacts
    from autoscale_aks.schedulers.slurm.records import Asked, QueueRecord
    from autoscale_aks.schedulers.slurm.settings import SlurmSettings
    from autoscale_aks.schedulers.slurm.sizes import Size, Slot

_SHARED: Final = frozenset({"OK", "YES"})
_OF_A_USER: Final = "--exclusive=user: taken as exclusive, although jobs of the same user may share the node"
_SOME_HOSTS: Final = "a named machine among others (-w): the name is not looked at"
_UNKNOWN_LICENSE: Final = "a licence that scontrol does not show: not counted here"
_HET_SWITCH: Final = "--switches in a heterogeneous job: not looked at"


@dataclass(frozen=True, slots=True)
class Needs:
    """What one component of a job asks for."""

    constraints: tuple[Mapping[str, Any], ...]
    size: Size
    colocated: bool = False
    counted: tuple[tuple[Mapping[str, Any], int], ...] = ()
    """Features of so many of its nodes each."""
    licenses: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()


class Translator:
    """Turns records into shapes. Equal needs give one and the same shape object."""

    def __init__(self, settings: SlurmSettings, facts: ClusterFacts) -> None:
        self._settings = settings
        self._facts = facts
        managed = settings.memory_is_managed
        managed = facts.memory_is_managed if managed is None else managed
        self._memory_is_managed = True if managed is None else managed
        self._seen: dict[Any, tuple[JobShape, tuple[str, ...]]] = {}
        self._shapes: dict[Any, JobShape] = {}

    def shape_of(self, *records: QueueRecord) -> tuple[JobShape, tuple[str, ...]]:
        """The shape of a job (several records: a heterogeneous one), and what could not be said of it.

        Raises ValueError when a field cannot be read.
        """
        if len(records) == 1:
            key: Any = (records[0].partition, records[0].rest)
        else:
            key = tuple((record.partition, record.rest) for record in records)
        if self._facts.excluded:
            key = (key, *(self._facts.excluded.get(record.job_id, "") for record in records))
        found = self._seen.get(key)
        if found is None:
            apart = self._may_meet(records)
            parts = [self._needs(record, apart=apart) for record in records]
            is_plain = len(parts) == 1 and not parts[0].counted
            found = self._seen[key] = self._single(parts[0]) if is_plain else self._several(parts)
        return found

    def _may_meet(self, records: Sequence[QueueRecord]) -> bool:
        """Whether two components could be placed on one node, which Slurm never does."""
        arrays = [set(self._settings.nodearrays_of(partitions_of(record))) for record in records]
        return len(set().union(*arrays)) < sum(map(len, arrays))

    def _single(self, needs: Needs) -> tuple[JobShape, tuple[str, ...]]:
        size = needs.size
        strategy = PackingStrategy.PACK if size.slots > 1 and not size.is_scattered else None
        constraints = (*needs.constraints, *_license_constraints(needs.licenses))
        node_count = size.slots if size.slots > 1 else 0
        key = (constraints, node_count, strategy, needs.colocated)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = JobShape(
                constraints=constraints, node_count=node_count, colocated=needs.colocated, packing_strategy=strategy
            )
        return shape, needs.notes

    def _several(self, parts: Sequence[Needs]) -> tuple[JobShape, tuple[str, ...]]:
        """A heterogeneous job, or one of counted features: its chunks, licences of all of them once a job (A6)."""
        licenses: dict[str, int] = {}
        for name, amount in (license_ for needs in parts for license_ in needs.licenses):
            licenses[name] = licenses.get(name, 0) + amount
        chunks = tuple(chunk for needs in parts for chunk in _chunks(needs))
        constraints = _license_constraints(tuple(sorted(licenses.items())))
        key = (constraints, tuple((chunk.constraints, chunk.iterations, chunk.node_count) for chunk in chunks))
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = JobShape(constraints=constraints, chunks=chunks)
        notes = dict.fromkeys(note for needs in parts for note in needs.notes)
        if any(needs.colocated for needs in parts):
            notes[_HET_SWITCH] = None
        return shape, tuple(notes)

    def _needs(self, record: QueueRecord, *, apart: bool) -> Needs:
        """What a record asks for; `apart`: it is a component, and no other component may be on its nodes."""
        partitions, asked = partitions_of(record), record.asked
        size = size_of(
            asked,
            memory_is_managed=self._memory_is_managed,
            trust_hint=self._facts.nodes_of(partitions) != 0,
            threads=self._facts.threads_of(partitions),
            apart=apart,
        )
        notes = list(size.notes)
        colocated = size.slots > 1 and asked.req_switch.partition("@")[0].strip() == "1"
        counted = () if colocated else self._counted(asked, size)
        more = [
            *(() if counted else self._feature_constraints(asked, notes)),
            *(self._settings.gpu_type(name) for name in size.gpu_types),
            *_host_constraints(asked, size, notes),
            *_excluded_constraints(self._facts.excluded.get(record.job_id, "")),
            *_exclusive_constraints(asked, size, notes, alone=apart or self._facts.allocation.by_node),
        ]
        arrays = self._settings.nodearrays_of(partitions)
        amounts = {"nodearray": arrays, **self._amounts(size.slot)}
        return Needs(
            constraints=deepfreeze((amounts, *more)),
            size=size,
            colocated=colocated,
            counted=counted,
            licenses=self._licenses(asked, notes),
            notes=tuple(dict.fromkeys(notes)),
        )

    def _amounts(self, slot: Slot) -> dict[str, Any]:
        settings = self._settings
        found: dict[str, Any] = {settings.cpu_resource: slot.cpus}
        if slot.memory_bytes:
            found[settings.memory_resource] = f"memory::{format_size(slot.memory_bytes)}"
        for name, count in slot.gres:
            found[settings.gpu_resource if name == GPU else gres_resource(name)] = count
        return found

    def _feature_constraints(self, asked: Asked, notes: list[str]) -> tuple[Mapping[str, Any], ...]:
        constraint, unsaid = parse_features(asked.feature, self._settings.feature)
        notes.extend(unsaid)
        return () if constraint is None else (constraint,)

    def _counted(self, asked: Asked, size: Size) -> tuple[tuple[Mapping[str, Any], int], ...]:
        """Features of so many of its nodes each; empty: it cannot be said so."""
        if not size.is_scattered or "*" not in asked.feature:
            return ()
        found = parse_counted(asked.feature, self._settings.feature, size.slots)
        frozen: tuple[tuple[Mapping[str, Any], int], ...] = deepfreeze(found)
        return frozen

    def _licenses(self, asked: Asked, notes: list[str]) -> tuple[tuple[str, int], ...]:
        """Licences by name; only those that Slurm counts itself."""
        wanted: dict[str, int] = {}
        if is_blank(asked.licenses):
            return ()
        for part in parse_gres(asked.licenses.replace("|", ","), "Licenses"):
            name = part.name if not part.type else f"{part.name}:{part.type}"
            if name in self._facts.licenses and "|" not in asked.licenses:
                wanted[name] = wanted.get(name, 0) + part.count
            else:
                notes.append(_UNKNOWN_LICENSE)
        return tuple(sorted(wanted.items()))


def partitions_of(record: QueueRecord) -> tuple[str, ...]:
    """The partitions a job may run in, as it named them."""
    return _names(record.partition)


@lru_cache(maxsize=4096)
def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def gres_resource(name: str) -> str:
    """The resource that a generic resource other than `gpu` is charged on."""
    return f"gres_{name}"


def _license_constraints(licenses: tuple[tuple[str, int], ...]) -> tuple[Mapping[str, Any], ...]:
    found = tuple(
        {"shared-consumable": {"resources": (name,), "amount": amount, "decrement_once": True}}
        for name, amount in licenses
        if amount
    )
    frozen: tuple[Mapping[str, Any], ...] = deepfreeze(found)
    return frozen


def _chunks(needs: Needs) -> tuple[Chunk, ...]:
    """One chunk, or one for each counted feature."""
    size = needs.size
    if needs.counted:
        return tuple(
            Chunk(constraints=(*needs.constraints, feature), node_count=count) for feature, count in needs.counted
        )
    if size.is_scattered:
        return (Chunk(constraints=needs.constraints, node_count=size.slots),)
    return (Chunk(constraints=needs.constraints, iterations=size.slots),)


def _excluded_constraints(hosts: str) -> tuple[Mapping[str, Any], ...]:
    names = expand_hosts(hosts)
    return ({"not": {"node.hostname": names}},) if names else ()


def _host_constraints(asked: Asked, size: Size, notes: list[str]) -> tuple[Mapping[str, Any], ...]:
    hosts = expand_hosts(asked.req_nodes)
    if not hosts:
        return ()
    if size.is_scattered and len(hosts) < size.slots:
        notes.append(_SOME_HOSTS)
        return ()
    return ({"node.hostname": hosts},)


def _exclusive_constraints(asked: Asked, size: Size, notes: list[str], *, alone: bool) -> tuple[Mapping[str, Any], ...]:
    sharing = asked.oversubscribe.upper()
    if alone and sharing != "YES":
        sharing = "NO"
    if sharing == "USER":
        notes.append(_OF_A_USER)
    if not size.whole_memory and (sharing in _SHARED or is_blank(asked.oversubscribe)):
        return ()
    return ({"exclusive-task" if size.slots > 1 and not size.is_scattered else "exclusive": True},)
