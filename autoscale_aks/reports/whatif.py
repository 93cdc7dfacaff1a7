"""A recorded decision with something changed: policy, limits, node arrays (user ask T26c).

::

    {"policy": {"idle_timeout": 600, "max_creates_per_cycle": null},
     "limits": {"cluster_max_nodes": 500, "families": {"westus2": {"standardDSv5Family": {"quota_cores": 2000}}}},
     "nodearrays": [{"name": "htc", "max_count": 300, "buckets": [{"vm_size": …, "vcpu_count": 8, "memory_gb": 32}]}],
     "forget_back_offs": true}

Keys are those of a scenario (contract scenario.md). What is not named stays; buckets are added, or replaced where size
and zone are there already; a node array that is not there is added.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import ScenarioError
from autoscale_aks.planning.reading import Reader
from autoscale_aks.planning.scenario import decode_limits, decode_policy
from autoscale_aks.planning.scenario_arrays import decode_nodearrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.limits import Limits
    from autoscale_aks.reports.record import Record

_KEYS: Final = ("policy", "limits", "nodearrays", "forget_back_offs")
_BESIDE: Final = frozenset({"name", "buckets"})


def changed(record: Record, raw: Any) -> Record:
    """The record as it would be. Raises ScenarioError with every problem of the change."""
    reader = Reader()
    raw = reader.keys(raw, "--policy", _KEYS)
    policy, limits, snapshot = record.policy, record.snapshot.limits, record.snapshot
    if "policy" in raw:
        found = decode_policy(raw["policy"], reader)
        given = raw["policy"] if isinstance(raw["policy"], dict) else {}
        policy = replace(policy, **{name: getattr(found, name) for name in given if hasattr(found, name)})
    if "limits" in raw:
        limits = _limits(limits, decode_limits(raw["limits"], reader), raw["limits"])
    arrays = snapshot.nodearrays
    if "nodearrays" in raw:
        written = [
            {"buckets": [], **one} if isinstance(one, dict) else one for one in reader.items(raw, "nodearrays", "")
        ]
        arrays = _arrays(arrays, decode_nodearrays(written, reader, reader), written)
    forget = reader.flag(raw, "forget_back_offs", "", default=False)
    if reader.problems:
        raise ScenarioError(reader.problems)
    blocked = replace(snapshot.blocked, back_offs=()) if forget else snapshot.blocked
    return replace(
        record,
        snapshot=replace(snapshot, limits=limits, nodearrays=arrays, blocked=blocked),
        policy=policy,
        plan_digest="",
    )


def _limits(before: Limits, found: Limits, raw: Mapping[str, Any]) -> Limits:
    given = {name: getattr(found, name) for name in raw if hasattr(found, name)}
    for name in ("regions", "spot_regions"):
        if name in given:
            given[name] = frozendict({**getattr(before, name), **given[name]})
    if "families" in given:
        regions = {**before.families}
        for region, families in given["families"].items():
            regions[region] = frozendict({**regions.get(region, {}), **families})
        given["families"] = frozendict(regions)
    return replace(before, **given)


def _arrays(before: tuple[NodeArray, ...], found: tuple[NodeArray, ...], raw: list[Any]) -> tuple[NodeArray, ...]:
    arrays = {array.name: array for array in before}
    for new, written in zip(found, raw, strict=True):
        old = arrays.get(new.name)
        if old is None:
            arrays[new.name] = new
            continue
        offerings = {(one.vm_size, one.zone): one for one in (*old.offerings, *new.offerings)}
        given = {name: getattr(new, name) for name in written if name not in _BESIDE and hasattr(new, name)}
        arrays[new.name] = replace(old, **given, offerings=tuple(offerings.values()))
    return tuple(arrays.values())
