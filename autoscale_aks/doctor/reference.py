"""Checks of what Azure says beside AKS: sizes, restrictions, prices, quota, subnet addresses (user asks T09, T17)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.model.reason import LimitKind
from autoscale_aks.planning.limit_tree import family_key
from autoscale_aks.reconcile.catalogue import why_barred
from autoscale_aks.reports.doctor import fail, ok, skipped, warn
from autoscale_aks.reports.limit_rows import list_limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.doctor.site import Site
    from autoscale_aks.model.bucket import NodeArray, Offering
    from autoscale_aks.model.sizes import Reading
    from autoscale_aks.reports.doctor import Finding
    from autoscale_aks.reports.limit_rows import LimitRow

QUOTA_ACTIONS: Final = (
    "Microsoft.Compute/skus/read",
    "Microsoft.Compute/locations/usages/read",
    "Microsoft.Network/virtualNetworks/subnets/read",
)
"""What these sources need (conf/azure/role-quota.json)."""
_ROLE_FIX: Final = "give the identity conf/azure/role-quota.json too (docs/azure-rights.md)"
_REACH_FIX: Final = "mend what the message names; until then a cycle goes on without it, which is told"
_REFUSED: Final = ("HTTP 401", "HTTP 403", "AuthorizationFailed")
_MINUTE_S: Final = 60.0
_HOUR_S: Final = 3600.0
_QUOTAS: Final = frozenset(kind.value for kind in LimitKind if kind.is_quota)


def check_sources(site: Site) -> Iterator[Finding]:
    """Each source is asked as a cycle asks it; one that does not answer costs only itself."""
    port = site.look.world.reference
    if port is None:
        yield skipped("Azure's lists", "none is configured")
        return
    references = site.config.references
    for location in dict.fromkeys(array.location for array in site.config.arrays):
        if references.catalogue.rule.live:
            yield _source(site, f"VM sizes of {location}", port.sizes(location))
        if references.quota.rule.live:
            stale_s = references.quota.stale_s
            yield _source(site, f"quota of {location}", port.usages(location), believed_s=stale_s)
        if references.prices.rule.live:
            fix = "see prices in docs/quota-and-prices.md"
            yield _source(site, f"prices of {location}", port.prices(location), fix)


def _source(
    site: Site, what: str, reading: Reading[Any], fix: str | None = None, *, believed_s: float = math.inf
) -> Finding:
    """One source; `fix` is what mends it where the rights are not what is wrong, `believed_s` how old it may be."""
    age = reading.age_s(site.now)
    if reading.detail:
        if age is None:
            kept = "nothing is known"
        elif age > believed_s:
            kept = f"those of {_ago(age)} are too old to bind"
        else:
            kept = f"those of {_ago(age)} are used"
        is_refused = any(word in reading.detail for word in _REFUSED)
        mend = fix or (_ROLE_FIX if is_refused else _REACH_FIX)
        return warn("Azure's lists", f"{what} could not be read: {reading.detail}; {kept}", mend)
    if reading.value is None:
        return skipped("Azure's lists", f"{what}: there is no live list")
    return ok("Azure's lists", f"{what}: read {_ago(age or 0.0)}, {reading.source}")


def _ago(age_s: float) -> str:
    """`12 s ago`, `5 min ago`, `7.0 hours ago`."""
    if age_s < _MINUTE_S:
        return f"{age_s:.0f} s ago"
    return f"{age_s / _MINUTE_S:.0f} min ago" if age_s < _HOUR_S else f"{age_s / _HOUR_S:.1f} hours ago"


def check_sizes(site: Site) -> Iterator[Finding]:
    """Every size of the file is known, sold and allowed where its node array is."""
    world = site.look.world
    equipment = world.equipment
    count = 0
    for array, offering in _offerings(site):
        found = None if equipment is None else equipment.sizes.get((array.location, offering.vm_size.casefold()))
        if found is None:
            continue
        count += 1
        where = f"{array.name}/{offering.vm_size} in {array.location}"
        barred = why_barred(offering, found.known, spot=array.spot)
        if barred is not None:
            fix = "offer another size, zone or region, or ask Azure to lift the restriction"
            yield warn("sizes", f"{where}: {barred}; no machine of it is asked for", fix)
        elif found.known.is_listed is False:
            yield warn("sizes", f"{where} is not in the live list", "mend its name, or offer a size that is sold there")
    for problem in () if equipment is None else equipment.problems:
        yield fail("sizes", str(problem), "state the size's facts beside it, or mend its name")
    if count:
        yield ok("sizes", f"{count} looked up")


def check_prices(site: Site) -> Iterator[Finding]:
    """Every bucket has a price; a budget asks for no machine without one."""
    unknown = [
        f"{array.name}/{offering.vm_size}"
        for array in site.look.world.config.arrays
        for offering in array.offerings
        if offering.price is None
    ]
    if not unknown:
        yield ok("prices", "every bucket has one")
        return
    has_budget = site.config.limits.budget_per_hour is not None or any(
        array.budget_per_hour is not None for array in site.config.arrays
    )
    then = "under the budget no machine of these is asked for" if has_budget else "sums with them are unknown"
    fix = "state the bucket's price, or prices.overrides (docs/quota-and-prices.md)"
    yield warn("prices", f"not known for {', '.join(unknown[:5])}{' …' if unknown[5:] else ''}; {then}", fix)


def check_quota(site: Site) -> Iterator[Finding]:
    """Azure's counters against what the node arrays may grow to."""
    rows = [row for row in _limits(site) if row.kind in _QUOTAS]
    for row in rows:
        says = f"{row.kind} {row.limit}: {row.used:,} of {row.limit_value:,} cores used"
        wanted = _most_cores(site, row)
        if row.left <= 0:
            fix = f"ask Azure for more: azaks limits -c {site.config.source} --missing says how much the queue needs"
            yield warn("quota", f"{says}; nothing is left", fix)
        elif wanted is not None and wanted > row.limit_value:
            fix = "ask Azure for as much, or lower max_count or max_core_count to what there is"
            yield warn("quota", f"{says}; the node arrays may grow to {wanted:,} cores", fix)
        else:
            yield ok("quota", says)
    if not rows:
        yield skipped("quota", "no counter of Azure's is known: the site's own limits alone bind")


def check_subnets(site: Site) -> Iterator[Finding]:
    """Each pool's subnet has an address for every machine that may come."""
    rows = [row for row in _limits(site) if row.kind == LimitKind.SUBNET_ADDRESSES.value]
    for row in rows:
        says = f"{row.limit}: {row.left:,} of {row.limit_value:,} addresses are free"
        if row.left <= 0:
            yield warn("subnet addresses", says, "enlarge the subnet, or name a pool in another one")
        else:
            yield ok("subnet addresses", says)
    if not rows:
        yield skipped("subnet addresses", "no subnet is known: neither vnet_subnet_id nor a pool names one")


def _limits(site: Site) -> tuple[LimitRow, ...]:
    look = site.look
    return list_limits(look.seen.snapshot, look.policy)


def _offerings(site: Site) -> Iterator[tuple[NodeArray, Offering]]:
    for array in site.config.arrays:
        for offering in array.offerings:
            yield array, offering


def _most_cores(site: Site, row: LimitRow) -> int | None:
    """Cores that the node arrays under a counter may grow to; None: one of them has no maximum."""
    most = 0
    for array in site.look.world.config.arrays:
        charged = [one for one in array.offerings if _is_on(row, array, one)]
        if not charged or not array.enabled:
            continue
        grown = _growth(array, charged)
        if grown is None:
            return None
        most += grown
    return most


def _is_on(row: LimitRow, array: NodeArray, offering: Offering) -> bool:
    """Whether machines of an offering are charged on a counter."""
    if row.kind == LimitKind.FAMILY_QUOTA.value:
        family, _, location = row.limit.rpartition(" in ")
        is_family = family_key(offering.vm_family or "") == family_key(family)
        return not array.spot and array.location == location and is_family
    return array.location == row.limit and array.spot == (row.kind == LimitKind.SPOT_QUOTA.value)


def _growth(array: NodeArray, charged: list[Offering]) -> int | None:
    """The most cores of some offerings that one node array may have; None: nothing bounds it."""
    widest = max(one.quota_vcpus or one.vcpu_count for one in charged)
    bounds = [] if array.max_count is None else [array.max_count * widest]
    if array.max_core_count is not None:
        bounds.append(array.max_core_count)
    if all(one.max_count is not None for one in charged):
        bounds.append(sum((one.max_count or 0) * (one.quota_vcpus or one.vcpu_count) for one in charged))
    return min(bounds) if bounds else None
