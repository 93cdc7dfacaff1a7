"""Which machines are meant: by name, or by a constraint on them (contract matching.md §5)."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.matching.alternatives import compile_alternatives
from autoscale_aks.matching.evaluate import Untouched, holds_alone
from autoscale_aks.matching.parse import parse_constraints
from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.planning.space import build_space

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.matching.parse import Kinds
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The machines that are meant, in the order asked for, and the names that mean none."""

    nodes: tuple[Node, ...]
    unknown: Mapping[str, str] = field(default_factory=frozendict)
    """Name → what is wrong with it."""


def choose(snapshot: Snapshot, names: Sequence[str], filters: Sequence[Mapping[str, object]], kinds: Kinds) -> Choice:
    """Machines of these names (their own, or their node's); of those, or of all, the ones that every filter holds on.

    Amounts in a filter are compared with what the empty machine has. Raises ConstraintError for a filter that cannot
    be read.
    """
    unknown: dict[str, str] = {}
    chosen: list[Node] = list(snapshot.nodes)
    if names:
        known = _by_name(snapshot.nodes)
        chosen = []
        for name in dict.fromkeys(names):
            node = known.get(name)
            if node is None:
                unknown[name] = _unknown(name, known)
            elif node not in chosen:
                chosen.append(node)
    if filters:
        wanted = {node.name for node in _filtered(snapshot, filters, kinds)}
        chosen = [node for node in chosen if node.name in wanted]
    return Choice(nodes=tuple(chosen), unknown=frozendict(unknown))


def _by_name(nodes: Iterable[Node]) -> dict[str, Node]:
    found = {node.hostname: node for node in nodes if node.hostname}
    return {**found, **{node.name: node for node in nodes}}


def _unknown(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return "there is no such machine" + (f'; did you mean "{close[0]}"?' if close else "")


def _filtered(snapshot: Snapshot, filters: Sequence[Mapping[str, object]], kinds: Kinds) -> list[Node]:
    constraint = parse_constraints(list(filters), "--filter", kinds)
    alternatives = compile_alternatives(constraint, "--filter")
    rules = parse_default_resources(snapshot.default_resources, disable_defaults=snapshot.disable_default_resources)
    profiles = build_space(snapshot, rules).profiles
    return [
        node
        for node, profile in zip(snapshot.nodes, profiles, strict=False)
        if holds_alone(alternatives, profile, Untouched(profile))
    ]
