"""What may be launched and what its nodes will have: limits, resources, and whose word each value is. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import InputError, Problem
from autoscale_aks.matching.resources import parse_default_resources, unused_entries
from autoscale_aks.planning.inspect import bounded
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.ranking import find_back_off
from autoscale_aks.planning.space import build_space
from autoscale_aks.reports.answer import render_problems, render_value
from autoscale_aks.reports.explain import did_you_mean, render_binding
from autoscale_aks.reports.sentences import render_time
from autoscale_aks.units import exact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.plan import BucketOutcome
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import BackOff, Snapshot
    from autoscale_aks.units import Value

_ENTRY: Final = re.compile(r"default_resources\[(\d+)\]\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketRow:
    """One bucket as it stands before any job is placed."""

    bucket: Bucket
    outcome: BucketOutcome
    """`available_before` new nodes are allowed now; `binding` is the limit that says so."""
    back_off: BackOff | None
    resources: Mapping[str, Value]
    """What an empty node of it will have."""
    sources: Mapping[str, str]
    """Resource → whose word it is: `default_resources[2]`, `nodearray`, or `built-in`."""

    @property
    def retry_at(self) -> str:
        """When a back-off ends (RFC 3339); empty without one."""
        return "" if self.back_off is None else render_time(self.back_off.until) or "not known"

    def source_path(self, name: str) -> str | None:
        """Where a resource's value stands in the configuration; None when the bucket does not define it."""
        source = self.sources.get(name)
        return f"nodearrays.{self.bucket.array.name}.resources.{name}" if source == "nodearray" else source


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketListing:
    """All buckets in configuration order, and what is wrong with `default_resources` without being an error."""

    rows: tuple[BucketRow, ...]
    warnings: tuple[Problem, ...]
    entries: tuple[Mapping[str, Any], ...] = ()
    """`default_resources` as written."""

    @property
    def resource_names(self) -> tuple[str, ...]:
        """Every resource that any bucket defines, sorted."""
        return tuple(sorted({name for row in self.rows for name in row.resources}))

    def entry(self, source: str | None) -> Mapping[str, Any] | None:
        """The entry of `default_resources` that a source names."""
        match = _ENTRY.match(source or "")
        return self.entries[int(match.group(1))] if match else None


def list_buckets(snapshot: Snapshot, policy: Policy) -> BucketListing:
    """The buckets of a snapshot, with existing and in-flight machines charged on the limits (L1).

    Entries of `default_resources` that apply to no bucket and no node are warnings (D1). Raises ConstraintError when
    `default_resources` cannot be read.
    """
    rules = parse_default_resources(snapshot.default_resources, disable_defaults=snapshot.disable_default_resources)
    space = build_space(snapshot, rules)
    rows = []
    for outcome in (bounded(one, policy) for one in plan(replace(snapshot, jobs=()), policy).buckets):
        number = space.numbers_of(outcome.bucket)
        kind = space.empty[number].kind
        back_off = find_back_off(snapshot.blocked, space, number)
        rows.append(
            BucketRow(
                bucket=outcome.bucket,
                outcome=outcome,
                back_off=back_off,
                resources=kind.resources,
                sources=kind.sources,
            )
        )
    return BucketListing(
        rows=tuple(rows), warnings=unused_entries(rules, space.kinds), entries=tuple(snapshot.default_resources)
    )


def check_resource(listing: BucketListing, name: str) -> None:
    """Raises InputError, with the nearest name, when no bucket defines the resource."""
    known = listing.resource_names
    if listing.rows and name not in known:
        hint = did_you_mean(name, known) or f"; known are {', '.join(known)}"
        raise InputError([Problem("--resource", f'no bucket defines "{name}"{hint}')])


def render_buckets(listing: BucketListing, resource: str | None = None) -> dict[str, Any]:
    """The listing as JSON; with `resource`, only that one, and where each bucket has it from."""
    return {
        "buckets": [_bucket(listing, row, resource) for row in listing.rows],
        "warnings": render_problems(listing.warnings),
    }


def facts_of(row: BucketRow) -> dict[str, Any]:
    """What every face shows of a bucket, by column name; amounts as values."""
    array, offering = row.bucket.array, row.bucket.offering
    return {
        "bucket": row.bucket.id,
        "nodearray": array.name,
        "vm_size": offering.vm_size,
        "vm_family": offering.vm_family,
        "placement_group": row.bucket.placement_group,
        "location": array.location,
        "zone": offering.zone,
        "spot": array.spot,
        "enabled": array.enabled,
        "priority": array.priority,
        "vcpu_count": offering.vcpu_count,
        "pcpu_count": offering.pcpu_count,
        "gpu_count": offering.gpu_count,
        "memory": offering.memory,
        "price_per_hour": offering.price,
        "available": row.outcome.available_before,
        "binding_limit": render_binding(row.outcome) or None,
        "retry_at": row.retry_at or None,
    }


def _bucket(listing: BucketListing, row: BucketRow, resource: str | None) -> dict[str, Any]:
    facts = facts_of(row)
    price = facts["price_per_hour"]
    rendered: dict[str, Any] = {
        **facts,
        "memory": render_value(facts["memory"]),
        "price_per_hour": None if price is None else render_value(exact(price)),
    }
    names = sorted(row.resources) if resource is None else [resource]
    rendered["resources"] = {
        name: {"value": render_value(row.resources.get(name)), "from": row.source_path(name)} for name in names
    }
    if resource is not None:
        entry = listing.entry(row.sources.get(resource))
        rendered["entry"] = None if entry is None else _json(entry)
    return rendered


def _json(raw: Any) -> Any:
    """Configuration as plain JSON: frozen containers thawed, exact decimals as floats."""
    if hasattr(raw, "items"):
        return {name: _json(value) for name, value in raw.items()}
    if isinstance(raw, list | tuple):
        return [_json(value) for value in raw]
    return raw if raw is None or isinstance(raw, bool | int | float | str) else float(raw)
