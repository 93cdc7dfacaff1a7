"""Rules between pods as amounts: "none beside these", "at most so many a node", "so many a zone".

Our language has no pods, only what is left of a node. So a rule becomes an amount that every node has:

| rule | amounts | a pod |
| --- | --- | --- |
| anti-affinity among equals on the host name | `apart.ID` = 1 | takes 1 |
| anti-affinity between unlike pods | `apart.ID.by`, `apart.ID.of` = many | takes 1 of its side, wants the other whole |
| spread over host names with skew k | `spread.ID` = k | takes 1: a machine to come is always the emptiest |
| spread or anti-affinity over zones | shared `spread.ID.ZONE` = its share | takes 1 of its zone's |

Live nodes have what pods there have left of it. Zone shares level what runs and what waits, so that any order of
starting keeps the skew. `ID` is made from the rule itself, so that it is the same in every cycle.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.model.limits import SharedResource
from autoscale_aks.schedulers.kubernetes.objects import list_at
from autoscale_aks.schedulers.kubernetes.selectors import picks_node, selects
from autoscale_aks.schedulers.kubernetes.taints import tolerates_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.schedulers.kubernetes.labels import LabelWords
    from autoscale_aks.schedulers.kubernetes.nodes import NodeObject
    from autoscale_aks.schedulers.kubernetes.objects import Pod

MANY: Final = 1_000_000
"""More pods than any node holds."""
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """One distinct rule between pods."""

    kind: str
    """`apart` or `spread`."""
    topology: str
    namespaces: frozenset[str] | None
    selector: str
    """As canonical JSON."""
    skew: int = 1
    honours_taints: bool = False
    """`nodeTaintsPolicy: Honor`: nodes it does not tolerate are no domains."""

    @property
    def id(self) -> str:
        """Short and stable."""
        names = sorted(self.namespaces) if self.namespaces is not None else "*"
        taints = ["Honor"] if self.honours_taints else []
        text = json.dumps([self.kind, self.topology, names, self.selector, self.skew, *taints])
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def picks(self, pod: Pod) -> bool:
        """Whether it counts this pod. Raises ValueError."""
        if self.namespaces is not None and pod.namespace not in self.namespaces:
            return False
        return selects(json.loads(self.selector), pod.labels)


@dataclass(slots=True)
class Tally:
    """Who carries a rule and who is counted by it, waiting and on each node."""

    carriers: Counter[str] = field(default_factory=Counter)
    """Bound pods that carry the rule, by node."""
    picked: Counter[str] = field(default_factory=Counter)
    """Bound pods that it counts, by node."""
    waiting: int = 0
    """Waiting pods that carry it and would run."""
    is_mixed: bool = False
    """Whether some pod carries it and is not counted by it, or the reverse."""


@dataclass(slots=True)
class Counters:
    """All rules of one look. First everything is counted (`count`), then constraints are made."""

    rules: Mapping[Rule, Tally]
    nodes: Mapping[str, NodeObject]
    """Live nodes by name."""
    known_zones: tuple[str, ...]
    words: LabelWords
    _matches: dict[Any, tuple[Rule, ...]] = field(default_factory=dict)
    _shares: dict[str, SharedResource] = field(default_factory=dict)

    def picking(self, pod: Pod) -> tuple[Rule, ...]:
        """The anti-affinity rules that count this pod; equal labels are judged once. Raises ValueError."""
        if not self.rules:
            return ()
        key = (pod.namespace, tuple(sorted(pod.labels.items())))
        found = self._matches.get(key)
        if found is None:
            found = self._matches[key] = tuple(rule for rule in self.rules if rule.picks(pod))
        return found

    def count(self, pod: Pod, carried: Iterable[Rule], *, runs_soon: bool) -> None:
        """Count a pod: on its node, or as waiting."""
        mine, picked = set(carried), set(self.picking(pod))
        for rule in mine | picked:
            tally = self.rules[rule]
            tally.is_mixed |= (rule in mine) != (rule in picked)
            if pod.node_name:
                tally.carriers[pod.node_name] += rule in mine
                tally.picked[pod.node_name] += rule in picked
            else:
                tally.waiting += rule in mine and runs_soon

    def constraints(self, pod: Pod, carried: Sequence[Rule]) -> list[Json]:
        """What a waiting pod asks because of these rules and of other pods' anti-affinity."""
        picked = set(self.picking(pod))
        found: list[Json] = []
        for rule in self.rules:
            if rule.topology == "zone":
                if rule in carried:
                    found.extend(self._zone_constraints(rule, pod))
            elif rule.kind == "spread":
                if rule in carried:
                    found.append({f"spread.{rule.id}": 1})
            else:
                found.extend(self._apart(rule, carries=rule in carried, is_picked=rule in picked))
        return found

    def _apart(self, rule: Rule, *, carries: bool, is_picked: bool) -> list[Json]:
        if not self.rules[rule].is_mixed:
            return [{f"apart.{rule.id}": 1}] if carries else []
        by, of = f"apart.{rule.id}.by", f"apart.{rule.id}.of"
        found: list[Json] = []
        if carries:
            found += [{by: 1}, {"not": {"not": {of: MANY}}}]
        if is_picked:
            found += [{of: 1}, {"not": {"not": {by: MANY}}}]
        return found

    def _zone_constraints(self, rule: Rule, pod: Pod) -> list[Json]:
        shares = self._level(rule, pod)
        if len(shares) < 2 and rule.kind == "spread":
            return []
        alternatives: list[Json] = []
        for zone, share in shares.items():
            name = f"{rule.kind}.{rule.id}.{zone}"
            self._shares[name] = SharedResource(initial=share, current=share)
            taken = {"shared-consumable": {"resources": [name], "amount": 1}}
            alternatives.append({"and": [self.words.zone(zone), taken]})
        return [{"or": alternatives}]

    def _level(self, rule: Rule, pod: Pod) -> Mapping[str, int]:
        """Zone → how many more pods it takes, emptiest first.

        A zone whose nodes count and that the pod does not tolerate (`nodeTaintsPolicy: Ignore`, the default) stays as
        it is, and holds all others down to its own number and the skew.
        """
        tally = self.rules[rule]
        reachable, barred = self._domains(rule, pod)
        running: Counter[str] = Counter(dict.fromkeys((*reachable, *barred), 0))
        for name, count in tally.picked.items():
            zone = self._zone(name)
            if zone is not None and zone in running:
                running[zone] += count
        open_zones = {zone: running[zone] for zone in reachable}
        if rule.kind == "apart":
            return {zone: max(0, 1 - count) for zone, count in sorted(open_zones.items())}
        shares = level(open_zones, tally.waiting, rule.skew)
        if not barred:
            return shares
        most = min(running[zone] for zone in barred) + rule.skew
        return {zone: max(0, min(share, most - running[zone])) for zone, share in shares.items()}

    def _domains(self, rule: Rule, pod: Pod) -> tuple[list[str], list[str]]:
        """Zones the pod can reach, and zones that only count: of nodes that its selector picks (Honor, the default)."""
        tolerations = list_at(pod.spec, "tolerations")
        reachable = dict.fromkeys(self.known_zones)
        barred: dict[str, None] = {}
        for node in sorted(self.nodes.values(), key=lambda node: node.zone or ""):
            if node.zone is None or not picks_node(pod.spec, node.name, node.labels):
                continue
            if tolerates_all(tolerations, node.taints):
                reachable[node.zone] = None
            elif not rule.honours_taints:
                barred[node.zone] = None
        return list(reachable), [zone for zone in barred if zone not in reachable]

    def _zone(self, node: str) -> str | None:
        return self.nodes[node].zone if node in self.nodes else None

    def node_amounts(self, node: str | None) -> tuple[dict[str, int], dict[str, int]]:
        """What a node has of every rule's amounts, and what is left; None: a node to come."""
        total: dict[str, int] = {}
        left: dict[str, int] = {}
        for rule, tally in self.rules.items():
            if rule.topology == "zone":
                continue
            carriers, picked = (tally.carriers[node], tally.picked[node]) if node is not None else (0, 0)
            if rule.kind == "spread":
                rows = {f"spread.{rule.id}": (rule.skew, picked)}
            elif tally.is_mixed:
                rows = {f"apart.{rule.id}.by": (MANY, carriers), f"apart.{rule.id}.of": (MANY, picked)}
            else:
                rows = {f"apart.{rule.id}": (1, picked)}
            for name, (amount, used) in rows.items():
                total[name], left[name] = amount, max(0, amount - used)
        return total, left

    def shared(self) -> Mapping[str, SharedResource]:
        """The zone shares that constraints were made for."""
        return frozendict(self._shares)


def level(running: Mapping[str, int], waiting: int, skew: int = 1) -> dict[str, int]:
    """How many of `waiting` pods each zone takes, emptiest first, ties by name.

    Layers are filled from the lowest zone up; the pods of the last, incomplete layer go to any of its zones where no
    order of filling them can break the skew, else to the first ones by name.
    """
    order = sorted(running, key=lambda zone: (running[zone], zone))
    if not order:
        return {}
    height, members, left = running[order[0]], 0, waiting
    while members < len(order):
        members += 1
        step = left // members
        if members < len(order):
            step = min(step, running[order[members]] - height)
        height, left = height + step, left - step * members
        if members < len(order) and height < running[order[members]]:
            break
    shares = {zone: max(0, height - running[zone]) for zone in order}
    open_zones = order[:members] if left else []
    caps = {zone: height + 1 - running[zone] for zone in open_zones}
    worst = min((running[zone] + max(0, waiting - sum(caps.values()) + caps[zone]) for zone in open_zones), default=0)
    free = not open_zones or height + 1 - worst <= skew
    for zone in open_zones if free else open_zones[:left]:
        shares[zone] += 1
    return shares
