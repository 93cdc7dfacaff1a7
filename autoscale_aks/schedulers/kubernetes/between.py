"""Reading the rules between pods from a pod: required (anti-)affinity and hard topology spread."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.schedulers.kubernetes.counters import Rule
from autoscale_aks.schedulers.kubernetes.labels import HOSTNAME, ZONE_LABELS
from autoscale_aks.schedulers.kubernetes.objects import list_at, mapping, mapping_at, text_at
from autoscale_aks.schedulers.kubernetes.selectors import Unsaid, check_selector, namespaces_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.schedulers.kubernetes.objects import Pod

_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True)
class Between:
    """What one pod asks of its neighbours."""

    rules: tuple[Rule, ...] = ()
    together: tuple[Rule, ...] = ()
    """Required affinity: it wants to be where a pod picked by each of these is."""
    unsaid: tuple[str, ...] = ()


NOTHING: Final = Between()


def read_between(pod: Pod) -> Between:
    """The rules a pod carries; what has no words here is named, not dropped. Raises ValueError."""
    affinity = mapping_at(pod.spec, "affinity")
    spreads = list_at(pod.spec, "topologySpreadConstraints")
    if not affinity and not spreads:
        return NOTHING
    rules: list[Rule] = []
    together: list[Rule] = []
    unsaid: list[str] = []
    sources: list[tuple[list[Rule], str, list[Any]]] = [
        (rules, "apart", list_at(mapping_at(affinity, "podAntiAffinity"), _REQUIRED)),
        (together, "together", list_at(mapping_at(affinity, "podAffinity"), _REQUIRED)),
        (rules, "spread", spreads),
    ]
    for target, kind, items in sources:
        for item in items:
            try:
                rule = _rule(pod, kind, mapping(item))
            except Unsaid as error:
                unsaid.append(f"{error}: not looked at")
                continue
            if rule is not None:
                target.append(rule)
    return Between(tuple(dict.fromkeys(rules)), tuple(dict.fromkeys(together)), tuple(dict.fromkeys(unsaid)))


def _rule(pod: Pod, kind: str, item: Mapping[str, Any]) -> Rule | None:
    if kind == "spread" and text_at(item, "whenUnsatisfiable") == "ScheduleAnyway":
        return None
    topology = _topology(text_at(item, "topologyKey"), kind)
    skew = item.get("maxSkew", 1) if kind == "spread" else 1
    if not isinstance(skew, int) or isinstance(skew, bool) or skew < 1:
        raise ValueError(f"maxSkew {skew!r:.20}")
    namespaces = frozenset({pod.namespace}) if kind == "spread" else namespaces_of(item, pod.namespace)
    honours_taints = kind == "spread" and text_at(item, "nodeTaintsPolicy") == "Honor"
    found = _selector(pod, item)
    check_selector(found)
    selector = json.dumps(found, sort_keys=True)
    rule = Rule(kind, topology, namespaces, selector, skew, honours_taints)
    if kind == "spread" and not rule.picks(pod):
        raise Unsaid("topology spread over other pods than its own")
    return rule


def _topology(key: str, kind: str) -> str:
    if key == HOSTNAME:
        return "host"
    if key in ZONE_LABELS:
        return "zone"
    raise Unsaid(f"{'topology spread' if kind == 'spread' else 'pod affinity'} over {key[:60]}")


def _selector(pod: Pod, item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The selector with `matchLabelKeys` filled in from the pod; none picks nothing in Kubernetes."""
    selector = item.get("labelSelector")
    keys = [key for key in list_at(item, "matchLabelKeys") if isinstance(key, str) and key in pod.labels]
    if selector is None:
        return {"matchExpressions": [{"key": "kubernetes.io/none", "operator": "In", "values": []}]}
    more = [{"key": key, "operator": "In", "values": [pod.labels[key]]} for key in keys]
    found = dict(mapping(selector))
    return {**found, "matchExpressions": [*list_at(found, "matchExpressions"), *more]} if more else found
