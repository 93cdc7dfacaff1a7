"""The first pass over all pods: what is bound, what waits and why, and what cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import Problem
from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.schedulers.kubernetes.between import Between, read_between
from autoscale_aks.schedulers.kubernetes.objects import Pod, read_pod
from autoscale_aks.schedulers.kubernetes.reasons import judge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.schedulers.kubernetes.nodes import Usage
    from autoscale_aks.schedulers.kubernetes.settings import KubernetesSettings

NO_SHAPE: Final = JobShape()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pod that waits; `why` is empty when a machine would help."""

    pod: Pod
    path: str
    between: Between
    why: str


@dataclass(slots=True)
class Reading:
    """Everything the first pass found."""

    settings: KubernetesSettings
    problems: list[Problem] = field(default_factory=list)
    notes: dict[str, tuple[int, str]] = field(default_factory=dict)
    bound: list[tuple[Pod, Between]] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    invalid: list[Job] = field(default_factory=list)
    complete: bool = True
    _known: dict[tuple[int, int, str], tuple[Pod, Between]] = field(default_factory=dict)

    def note(self, text: str, name: str) -> None:
        """Count something that could not be said of a pod."""
        count, first = self.notes.get(text, (0, name))
        self.notes[text] = (count + 1, first)

    def take_pods(self, raw: Iterable[Any], usage: Usage) -> None:
        """Sort every pod in; charge bound ones to their nodes."""
        for index, item in enumerate(raw):
            path = f"pods[{index}]"
            try:
                pod = read_pod(item)
            except ValueError as error:
                self.problems.append(Problem(path, f"left out: {error}"))
                self.complete = False  # it may be work on a node
                continue
            try:
                self._take(pod, path, usage)
            except ValueError as error:
                self._reject(pod, path, str(error), usage)

    def _take(self, pod: Pod, path: str, usage: Usage) -> None:
        if pod.is_over or (pod.terminating and not pod.node_name):
            return
        between = self._between_of(pod)
        if pod.node_name:
            usage.add(pod)
            self.bound.append((pod, between))
            return
        verdict = judge(pod, self.settings)
        if verdict.unknown:
            treated = "not runnable" if verdict.why else "runnable"
            self.note(f"unknown reason {verdict.unknown!r}, treated as {treated}", pod.id)
        self.waiting.append(Waiting(pod, path, between, verdict.why))

    def _between_of(self, pod: Pod) -> Between:
        """Its rules, read once for all pods that share their spec and labels (`pages`); both are kept alive here."""
        key = (id(pod.spec), id(pod.labels), pod.namespace)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = (pod, read_between(pod))
        return known[1]

    def _reject(self, pod: Pod, path: str, message: str, usage: Usage) -> None:
        problem = Problem(path, f"{pod.id}: {message}")
        self.problems.append(problem)
        if pod.node_name:
            usage.work.setdefault(pod.node_name, []).append(pod.id)
        else:
            self.invalid.append(Job(name=pod.id, shape=NO_SHAPE, count=0, path=path, problem=problem))
