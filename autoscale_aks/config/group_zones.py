"""The zone of each placement group of a node array whose groups are zones (`placement_group_scope: zone`).

The zone is chosen by the names of node array, group and zone alone (highest random weight): the same in every run and
on every host, whatever the order of the file, and a zone that is added takes over no more than its share of groups.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from autoscale_aks.config.nodearray_checks import groups_of, zones_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def groups_in_zone(name: str, array: Mapping[str, Any], bucket: Mapping[str, Any], zone: str | None) -> tuple[str, ...]:
    """The groups of a bucket that stand in this zone of it: all of them, unless groups are zones."""
    groups = groups_of(array, bucket)
    if array.get("placement_group_scope", "label") != "zone":
        return tuple(groups)
    return tuple(group for group in groups if zone_of_group(name, array, group) == zone)


def zone_of_group(name: str, array: Mapping[str, Any], group: str) -> str | None:
    """A group's zone: of those that all buckets with the group stand in, else of those that any does."""
    places = [set(zones_of(array, bucket)) for bucket in array["buckets"] if group in groups_of(array, bucket)]
    shared = set.intersection(*places) if places else set()
    zones = sorted(zone for zone in (shared or set().union(*places)) if zone is not None)
    return max(zones, key=lambda zone: sha256(f"{name}\0{group}\0{zone}".encode()).digest(), default=None)
