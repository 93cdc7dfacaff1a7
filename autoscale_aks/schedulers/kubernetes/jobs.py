"""Waiting pods → jobs. Pods of one controller that ask for the same are one job; a gang is one job (A6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autoscale_aks.errors import Problem
from autoscale_aks.model.job import Chunk, Job, JobShape, PackingStrategy
from autoscale_aks.schedulers.kubernetes.between import NOTHING, read_between
from autoscale_aks.schedulers.kubernetes.gangs import group_of, stated_size
from autoscale_aks.schedulers.kubernetes.pending import NO_SHAPE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.schedulers.kubernetes.kueue import Workload
    from autoscale_aks.schedulers.kubernetes.needs import Needs, Translator
    from autoscale_aks.schedulers.kubernetes.objects import Pod
    from autoscale_aks.schedulers.kubernetes.pending import Reading, Waiting


@dataclass(slots=True)
class JobList:
    """Collects the jobs of one look."""

    reading: Reading
    translator: Translator
    sizes: dict[str, int]
    found: list[tuple[tuple[int, str, str], Job]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def all(self, workloads: Iterable[Workload]) -> tuple[Job, ...]:
        """Highest priority first, then the oldest (A1)."""
        groups: dict[Any, list[Waiting]] = {}
        needs: dict[Any, Needs] = {}
        gangs: dict[str, list[tuple[Waiting, Needs]]] = {}
        for item in sorted(self.reading.waiting, key=_order):
            try:
                wanted = self.translator.needs_of(item.pod, item.between)
                gang = group_of(item.pod)
            except ValueError as error:
                self._invalid(item, str(error))
                continue
            for note in wanted.notes:
                self.reading.note(note, item.pod.id)
            if gang:
                gangs.setdefault(gang, []).append((item, wanted))
                continue
            key = (item.pod.namespace, item.pod.owner.uid or item.pod.uid, wanted, item.why, _priority(item.pod))
            groups.setdefault(key, []).append(item)
            needs[key] = wanted
        for key, items in groups.items():
            self._group(items, needs[key])
        bound_members = self._bound_members() if gangs else {}
        for gang, members in gangs.items():
            self._gang(gang, members, bound_members.get(gang, 0))
        for workload in workloads:
            self._workload(workload)
        self.found.sort(key=lambda entry: entry[0])
        return (*(job for _, job in self.found), *self.reading.invalid)

    def _bound_members(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for pod, _ in self.reading.bound:
            gang = group_of(pod)
            if gang:
                found[gang] = found.get(gang, 0) + 1
        return found

    def _invalid(self, item: Waiting, message: str) -> None:
        problem = Problem(item.path, f"{item.pod.id}: {message}")
        self.reading.problems.append(problem)
        self.reading.invalid.append(Job(name=item.pod.id, shape=NO_SHAPE, count=0, path=item.path, problem=problem))

    def _group(self, items: list[Waiting], wanted: Needs) -> None:
        first = items[0]
        why = first.why or wanted.why
        if wanted.is_heap and not why:
            self._put(first, self._name(items), wanted.heap(len(items)))
            return
        self._put(first, self._name(items), wanted.shape, count=len(items), why=why)

    def _gang(self, gang: str, members: list[tuple[Waiting, Needs]], bound: int) -> None:
        """The least number that must start together, and the rest each on its own."""
        first = members[0][0]
        least = self.sizes.get(gang) or stated_size(first.pod) or len(members) + bound
        missing = least - bound
        why = next((text for item, wanted in members if (text := item.why or wanted.why)), "")
        if not why and missing > len(members):
            why = f"{len(members) + bound} of the {least} pods of its group exist"
        size = len(members) if why else max(0, missing)
        if size:
            parts: dict[Needs, int] = {}
            for _, wanted in members[:size]:
                parts[wanted] = parts.get(wanted, 0) + 1
            self._put(first, gang, _gang_shape(parts), why=why)
        for item, wanted in members[size:]:
            self._put(item, item.pod.id, wanted.shape, why=item.why or wanted.why)

    def _workload(self, workload: Workload) -> None:
        parts: dict[Needs, int] = {}
        why = workload.why
        try:
            for pod, count in workload.pod_sets:
                between = read_between(pod)
                wanted = self.translator.needs_of(pod, between if not between.rules else NOTHING)
                if between.rules:
                    self.reading.note("rules between pods of a Kueue workload: not looked at", workload.id)
                parts[wanted] = parts.get(wanted, 0) + count
                why = why or wanted.why
        except ValueError as error:
            self.reading.problems.append(Problem("workloads", f"{workload.id}: {error}"))
            return
        job = Job(
            name=self._unique(workload.id),
            shape=_gang_shape({wanted: count for wanted, count in parts.items() if count}),
            runnable=not why,
            not_runnable_reason=why,
            priority=float(workload.priority),
            queue=workload.id.partition("/")[0],
            path="workloads",
        )
        self.found.append(((-workload.priority, workload.created, workload.id), job))

    def _put(self, item: Waiting, name: str, shape: JobShape, *, count: int = 1, why: str = "") -> None:
        job = Job(
            name=self._unique(name),
            shape=shape,
            count=count,
            runnable=not why,
            not_runnable_reason=why,
            priority=float(_priority(item.pod)),
            queue=item.pod.namespace,
            path=item.path,
        )
        self.found.append((_order(item), job))

    def _name(self, items: list[Waiting]) -> str:
        """A single pod by its own name, several by their controller's."""
        pod = items[0].pod
        return pod.id if len(items) == 1 or not pod.owner.name else f"{pod.namespace}/{pod.owner.name}"

    def _unique(self, name: str) -> str:
        number, found = 1, name
        while found in self.names:
            number += 1
            found = f"{name}#{number}"
        self.names.add(found)
        return found


def _gang_shape(parts: dict[Needs, int]) -> JobShape:
    """Slots packed, all or none of them (A0); chunks where members differ (A6)."""
    if len(parts) == 1:
        wanted, count = next(iter(parts.items()))
        if count == 1:
            return wanted.shape
        return JobShape(constraints=wanted.shape.constraints, node_count=count, packing_strategy=PackingStrategy.PACK)
    return JobShape(
        chunks=tuple(Chunk(constraints=wanted.shape.constraints, iterations=count) for wanted, count in parts.items())
    )


def _priority(pod: Pod) -> int:
    found = pod.spec.get("priority", 0)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def _order(item: Waiting) -> tuple[int, str, str]:
    return (-_priority(item.pod), item.pod.created, item.pod.id)
