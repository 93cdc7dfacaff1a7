"""Quota counters, subnets and agent pools from the wire (aks-machine-api.md §2.1, §9.2)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.cloud.aks.wire import at
from autoscale_aks.errors import ProtocolError
from autoscale_aks.model.sizes import PoolFacts, SubnetView, Usage
from autoscale_aks.planning.limit_tree import family_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RESERVED: Final = 5
"""Addresses that Azure keeps of every subnet prefix: the first four and the last."""


def decode_usages(items: Iterable[object]) -> Mapping[str, Usage]:
    """Counters by their names without spaces and letter case; an entry without whole numbers is left out."""
    found: dict[str, Usage] = {}
    for item in items:
        name, current, limit = at(item, "name", "value"), at(item, "currentValue"), at(item, "limit")
        if isinstance(name, str) and isinstance(current, int) and isinstance(limit, int) and min(current, limit) >= 0:
            found[family_key(name)] = Usage(name=name, current=current, limit=limit)
    return frozendict(found)


def decode_subnet(item: object) -> SubnetView:
    """A subnet's addresses. Raises ProtocolError when its address range cannot be read."""
    properties = at(item, "properties")
    prefixes = at(properties, "addressPrefixes") or [at(properties, "addressPrefix")]
    usable = 0
    for prefix in prefixes if isinstance(prefixes, list) else ():
        try:
            network = ipaddress.ip_network(str(prefix), strict=False)
        except ValueError as error:
            raise ProtocolError(f"a subnet with the address range {str(prefix)[:60]!r}") from error
        if network.version == 4:
            usable += max(0, network.num_addresses - RESERVED)
    used = at(properties, "ipConfigurations")
    return SubnetView(id=str(at(item, "id") or ""), usable=usable, used=len(used) if isinstance(used, list) else 0)


def decode_pools(items: Iterable[object]) -> tuple[PoolFacts, ...]:
    """What agent pools say of their subnets and sizes; one without a name is left out."""
    found: list[PoolFacts] = []
    for item in items:
        name, properties = at(item, "name"), at(item, "properties")
        if isinstance(name, str) and isinstance(properties, dict):
            count, subnet = properties.get("count"), properties.get("vnetSubnetID")
            found.append(
                PoolFacts(
                    name=name.rpartition("/")[2],
                    takes_machines=str(properties.get("mode", "")).casefold() == "machines",
                    count=count if _is_count(count) else None,
                    subnet_id=subnet if isinstance(subnet, str) and subnet else None,
                )
            )
    return tuple(found)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
