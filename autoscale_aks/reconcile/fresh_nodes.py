"""What the scheduler says of nodes that do not exist yet, joined with the site's `default_resources`.

The site's entries come first, so that they win (D1); the scheduler's follow. An overhead is taken off whatever the
site gives: its entries define the resource under another name, and each overhead makes the next name of it:

    ncpus ← site   becomes   ncpus (0) ← site;  ncpus (1) ← ncpus (0) − 0.2 where the overhead applies, else the same;
                             ncpus ← ncpus (1)

A node array's own `resources` and what a live node reports stay as they are (D2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.matching.constraint import write_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.config import Config
    from autoscale_aks.schedulers.port import NodeOverhead, SchedulerState

_Rule = dict[str, Any]
_BUILT_IN: Final = {"ncpus": "node.vcpu_count", "pcpus": "node.pcpu_count", "ngpus": "node.gpu_count"}
"""Built-ins stand after the list (D6); an overhead on one needs it before its end."""


def rules_of_cycle(config: Config, queue: SchedulerState) -> tuple[Mapping[str, Any], ...]:
    """The `default_resources` that this cycle decides with."""
    rules = [*config.default_resources, *queue.node_rules]
    names = dict.fromkeys(name for overhead in queue.overheads for name in overhead.amounts)
    for name in names:
        if not config.disable_default_resources and name in _BUILT_IN:
            rules.append({"select": {}, "name": name, "value": _BUILT_IN[name]})
        rules = _with_overheads(rules, name, queue.overheads)
    return tuple(rules)


def _with_overheads(rules: Sequence[Mapping[str, Any]], name: str, overheads: Sequence[NodeOverhead]) -> list[Any]:
    found: list[Any] = [{**rule, "name": _stage(name, 0)} if rule.get("name") == name else rule for rule in rules]
    stage = 0
    for overhead in overheads:
        if name not in overhead.amounts:
            continue
        before, after = _stage(name, stage), _stage(name, stage + 1)
        # Never below nothing: an amount is 0 or more (V1).
        enough = {"not": {"not": {before: write_value(overhead.amounts[name])}}}
        less: _Rule = {"select": {"and": [overhead.select, enough]}, "name": after, "value": f"node.resources.{before}"}
        found.append({**less, "subtract": write_value(overhead.amounts[name])})
        found.append({"select": {"and": [overhead.select, {"not": {before: None}}]}, "name": after, "value": 0})
        found.append({"select": {}, "name": after, "value": f"node.resources.{before}"})
        stage += 1
    found.append({"select": {}, "name": name, "value": f"node.resources.{_stage(name, stage)}"})
    return found


def _stage(name: str, number: int) -> str:
    return f"{name} ({number})"
