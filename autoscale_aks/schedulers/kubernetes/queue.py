"""Everything one look brought → the scheduler's state: jobs in the scheduler's order, nodes, rules of fresh nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import Problem
from autoscale_aks.schedulers.kubernetes.counters import Counters, Rule, Tally
from autoscale_aks.schedulers.kubernetes.daemons import read_overheads
from autoscale_aks.schedulers.kubernetes.gangs import read_sizes
from autoscale_aks.schedulers.kubernetes.jobs import JobList
from autoscale_aks.schedulers.kubernetes.kueue import Workload, read_workload
from autoscale_aks.schedulers.kubernetes.labels import LabelWords
from autoscale_aks.schedulers.kubernetes.needs import PODS, Translator
from autoscale_aks.schedulers.kubernetes.nodes import NodeObject, Usage, read_nodes, scheduler_nodes
from autoscale_aks.schedulers.kubernetes.pending import Reading
from autoscale_aks.schedulers.kubernetes.volumes import Volumes, read_volumes
from autoscale_aks.schedulers.port import SchedulerState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autoscale_aks.schedulers.kubernetes.settings import KubernetesSettings
    from autoscale_aks.schedulers.port import NodeOverhead

_PODS_OF_NODE: Final = 250
"""Pods a fresh node takes where its node array does not say (aks-machine-api.md §2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The objects of one look, as the API server wrote them."""

    nodes: Sequence[Any]
    pods: Sequence[Any]
    daemon_sets: Sequence[Any] = ()
    claims: Sequence[Any] = ()
    volumes: Sequence[Any] = ()
    storage_classes: Sequence[Any] = ()
    pod_groups: Sequence[Any] = ()
    workloads: Sequence[Any] = ()
    problems: tuple[Problem, ...] = ()


def read_state(look: Look, settings: KubernetesSettings) -> SchedulerState:
    """Never raises for an object: what cannot be read is left out or answered INVALID, and reported."""
    reading = Reading(settings, list(look.problems))
    usage = Usage(settings)
    before = len(reading.problems)
    nodes = read_nodes(look.nodes, reading.problems)
    reading.complete = len(reading.problems) == before
    reading.take_pods(look.pods, usage)
    words = LabelWords(settings)
    counters = _counters(reading, nodes, words)
    taints = tuple(dict.fromkeys((*settings.known_taints, *(taint for node in nodes for taint in node.taints))))
    translator = Translator(
        settings,
        words,
        taints,
        counters,
        _volumes(look, reading),
        _company(reading, nodes),
    )
    jobs = JobList(reading, translator, read_sizes(look.pod_groups, reading.problems)).all(
        _workloads(look.workloads, reading)
    )
    overheads: tuple[NodeOverhead, ...] = ()
    if settings.daemon_overhead:
        overheads = read_overheads(look.daemon_sets, words, taints, reading.problems)
    for text, (count, first) in reading.notes.items():
        some = f"{count} pod{'s' if count > 1 else ''}, first {first}"
        reading.problems.append(Problem("pods", f"{text} ({some})"))
    fresh, _ = counters.node_amounts(None)
    return SchedulerState(
        jobs=jobs,
        nodes=scheduler_nodes(nodes, usage, counters, words.used),
        shared_resources=counters.shared(),
        running={node: tuple(names) for node, names in usage.work.items()},
        node_rules=tuple(
            {"select": {}, "name": name, "value": amount} for name, amount in {PODS: _PODS_OF_NODE, **fresh}.items()
        ),
        overheads=overheads,
        site_nodes_count=False,
        problems=tuple(reading.problems),
        complete=reading.complete,
    )


def _counters(reading: Reading, nodes: Sequence[NodeObject], words: LabelWords) -> Counters:
    rules: dict[Rule, Tally] = {}
    for between in (*(found for _, found in reading.bound), *(item.between for item in reading.waiting)):
        for rule in between.rules:
            rules.setdefault(rule, Tally())
    by_name = {node.name: node for node in nodes}
    counters = Counters(rules, by_name, reading.settings.known_zones, words)
    if rules:
        for pod, between in reading.bound:
            counters.count(pod, between.rules, runs_soon=False)
        for item in reading.waiting:
            counters.count(item.pod, item.between.rules, runs_soon=not item.why)
    return counters


def _company(reading: Reading, nodes: Sequence[NodeObject]) -> dict[Rule, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Where pods run that waiting pods want to be with."""
    rules = {rule for item in reading.waiting for rule in item.between.together}
    zones = {node.name: node.zone for node in nodes if node.zone is not None}
    found = {}
    for rule in rules:
        hosts = sorted({pod.node_name for pod, _ in reading.bound if rule.picks(pod)})
        found[rule] = (tuple(hosts), tuple(sorted({zones[host] for host in hosts if host in zones})))
    return found


def _volumes(look: Look, reading: Reading) -> Volumes:
    try:
        return read_volumes(look.claims, look.volumes, look.storage_classes)
    except ValueError as error:
        reading.problems.append(Problem("persistentvolumeclaims", str(error)))
        return Volumes()


def _workloads(raw: Iterable[Any], reading: Reading) -> list[Workload]:
    found = []
    for index, item in enumerate(raw):
        try:
            workload = read_workload(item)
        except ValueError as error:
            reading.problems.append(Problem(f"workloads[{index}]", f"left out: {error}"))
            continue
        if workload is not None:
            found.append(workload)
    return found
