"""One waiting pod → what it asks of a node, in our constraint language.

| Kubernetes | becomes |
| --- | --- |
| requests | `{"ncpus": 0.5, "mem": "size::256m", "ngpus": 1, "pods": 1}` (see scheduler.resources) |
| nodeSelector, required node affinity | see `selectors` |
| taints it does not tolerate | `{"taint.KEY=VALUE:EFFECT": null}` |
| anti-affinity, topology spread | see `counters` |
| required affinity | the host names or zones where such pods run |
| volumes | the zone of bound ones |
| preferences, `ScheduleAnyway` | nothing: the scheduler weighs them, they rule nothing out |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from frozendict import deepfreeze

from autoscale_aks.matching.constraint import write_value
from autoscale_aks.model.job import JobShape
from autoscale_aks.schedulers.kubernetes.objects import list_at, mapping_at, requests_of
from autoscale_aks.schedulers.kubernetes.selectors import Unsaid, node_constraints
from autoscale_aks.schedulers.kubernetes.taints import taint_constraints
from autoscale_aks.schedulers.kubernetes.volumes import Volumes, claim_names
from autoscale_aks.units import Number, Size, size_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.node_labels import Taint
    from autoscale_aks.schedulers.kubernetes.between import Between
    from autoscale_aks.schedulers.kubernetes.counters import Counters, Rule
    from autoscale_aks.schedulers.kubernetes.labels import LabelWords
    from autoscale_aks.schedulers.kubernetes.objects import Pod
    from autoscale_aks.schedulers.kubernetes.settings import KubernetesSettings

PODS: Final = "pods"
_SIZES: Final = ("memory", "ephemeral-storage", "hugepages-", "storage")
_SHAPING: Final = (
    "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "containers", "initContainers", "overhead",
    "resources",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Needs:
    """What a pod asks. Pods that ask the same share one object."""

    amounts: Mapping[str, Number | Size] = field(default_factory=dict)
    constraints: tuple[Mapping[str, Any], ...] = ()
    shape: JobShape = field(default_factory=JobShape)
    why: str = ""
    """Why no machine would help, found while reading; empty when one would."""
    is_heap: bool = False
    """Whether such pods want one node together (affinity to their own kind)."""
    notes: tuple[str, ...] = ()

    def heap(self, pods: int) -> JobShape:
        """One slot that holds so many of them."""
        amounts = {
            name: Size(amount.bytes * pods) if isinstance(amount, Size) else amount * pods
            for name, amount in self.amounts.items()
        }
        return JobShape(constraints=(_written(amounts), *self.constraints))


@dataclass(slots=True)
class Translator:
    """Turns waiting pods into needs; equal ones are translated once."""

    settings: KubernetesSettings
    words: LabelWords
    taints: tuple[Taint, ...]
    counters: Counters
    volumes: Volumes
    company: Mapping[Rule, tuple[tuple[str, ...], tuple[str, ...]]]
    """Rules of required affinity → host names and zones where a pod runs that they pick."""
    _seen: dict[Any, Needs] = field(default_factory=dict)

    def needs_of(self, pod: Pod, between: Between) -> Needs:
        """Raises ValueError when a field cannot be read."""
        claims = claim_names(pod)
        key = (
            repr([pod.spec.get(name) if name != "containers" else _resources(pod.spec) for name in _SHAPING]),
            between,
            self.counters.picking(pod),
            (pod.namespace, *claims) if claims else (),
            tuple(rule.picks(pod) for rule in between.together),
        )
        found = self._seen.get(key)
        if found is None:
            found = self._seen[key] = self._needs(pod, between)
        return found

    def _needs(self, pod: Pod, between: Between) -> Needs:
        amounts, notes = amounts_of(requests_of(pod.spec), self.settings)
        amounts[PODS] = 1
        notes += list(between.unsaid)
        why = self.volumes.why_waiting(pod)
        try:
            constraints = [
                *node_constraints(pod.spec, self.words),
                *taint_constraints(list_at(pod.spec, "tolerations"), self.taints),
                *self.volumes.constraints(pod, self.words),
                *self.counters.constraints(pod, between.rules),
            ]
        except Unsaid as error:
            constraints = []
            why = why or f"{error}: this program has no words for it"
        is_heap = False
        for rule in between.together:
            constraint, alone = self._together(rule, pod)
            constraints.extend(constraint)
            is_heap |= alone and rule.topology == "host"
            if alone and rule.topology == "zone":
                notes.append("affinity to its own kind over zones, none of which runs yet: not looked at")
            if not constraint and not alone:
                why = why or "no pod runs that it wants to be with (pod affinity)"
        frozen = tuple(deepfreeze(constraint) for constraint in constraints)
        return Needs(
            amounts=amounts,
            constraints=frozen,
            shape=JobShape(constraints=(_written(amounts), *frozen)),
            why=why,
            is_heap=is_heap,
            notes=tuple(dict.fromkeys(notes)),
        )

    def _together(self, rule: Rule, pod: Pod) -> tuple[list[dict[str, Any]], bool]:
        """Where such pods run; or whether there are none and it is the first of its own kind."""
        hosts, zones = self.company.get(rule, ((), ()))
        if rule.topology == "host" and hosts:
            return [{"node.hostname": list(hosts)}], False
        if rule.topology == "zone" and zones:
            places = [self.words.zone(zone) for zone in zones]
            return [places[0] if len(places) == 1 else {"or": places}], False
        return [], rule.picks(pod)


def amounts_of(
    requests: Mapping[str, Number], settings: KubernetesSettings
) -> tuple[dict[str, Number | Size], list[str]]:
    """Requests on our resources, and what is not counted."""
    found: dict[str, Number | Size] = {}
    notes: list[str] = []
    for name, amount in requests.items():
        resource = settings.resource(name)
        if not amount:
            continue
        if resource is None:
            notes.append(f"{name[:60]}: not counted (scheduler.resources says null)")
            continue
        before = found.get(resource, 0)
        total = amount + (before.bytes if isinstance(before, Size) else before)
        found[resource] = Size(total) if name.startswith(_SIZES) else total
    return found, notes


def _written(amounts: Mapping[str, Number | Size]) -> Mapping[str, Any]:
    written: Mapping[str, Any] = deepfreeze(
        {name: size_text(value) if isinstance(value, Size) else write_value(value) for name, value in amounts.items()}
    )
    return written


def _resources(spec: Mapping[str, Any]) -> list[Any]:
    """Of the containers only what they ask for: images and commands differ without changing that."""
    return [mapping_at(container, "resources") for container in list_at(spec, "containers")]
