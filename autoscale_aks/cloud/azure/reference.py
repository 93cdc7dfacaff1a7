"""`AzureReference`: the reference port on Azure, with a memory of its own and a cache directory behind it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.azure.cache import FileCache, Kept
from autoscale_aks.cloud.azure.listing import get_one, list_all, list_prices
from autoscale_aks.cloud.azure.prices import decode_prices, prices_url
from autoscale_aks.cloud.azure.skus import decode_skus
from autoscale_aks.cloud.azure.usages import decode_pools, decode_subnet, decode_usages
from autoscale_aks.errors import CloudError, ProtocolError
from autoscale_aks.model.sizes import Reading, SourceRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from autoscale_aks.cloud.aks.caller import Caller
    from autoscale_aks.cloud.azure.endpoints import AzureEndpoints
    from autoscale_aks.model.sizes import LiveSize, PoolFacts, SizePrices, SubnetView, Usage

T = TypeVar("T")

_AHEAD_S: Final = 60.0
"""Clocks of hosts that share a cache may differ by this; what is from later than that is not believed."""
_PRICE_KEYS: Final = (
    "armSkuName", "skuName", "meterName", "productName", "retailPrice", "unitOfMeasure", "type", "currencyCode",
    "isPrimaryMeterRegion",
)  # fmt: skip
_SKU_KEYS: Final = ("resourceType", "name", "family", "locations", "locationInfo", "capabilities", "restrictions")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRules:
    """How each source is asked."""

    sizes: SourceRule = SourceRule(max_age_s=6 * 3600.0)
    usages: SourceRule = SourceRule(max_age_s=60.0, deadline_s=10.0, refresh_s=3.0, retry_s=60.0)
    subnets: SourceRule = SourceRule(max_age_s=60.0, deadline_s=10.0, refresh_s=3.0, retry_s=60.0)
    prices: SourceRule = SourceRule(max_age_s=24 * 3600.0, deadline_s=60.0, retry_s=3600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One source's question: under which key it is kept, how it is asked, what is kept of the answer."""

    key: str
    source: str
    rule: SourceRule
    ask: Callable[[float], Iterable[object]]
    keys: tuple[str, ...] = ()
    """Fields worth keeping; () keeps all."""


@dataclass(slots=True, kw_only=True)
class AzureReference:
    """Implements `ReferencePort`. One thread at a time."""

    endpoints: AzureEndpoints
    pools_url: str
    arm: Caller
    retail: Caller | None = None
    rules: ReferenceRules = ReferenceRules()
    cache: FileCache = field(default_factory=lambda: FileCache(None, scope=""))
    effects: Effects = field(default_factory=Effects)
    _kept: dict[str, Kept] = field(default_factory=dict)
    _decoded: dict[str, tuple[float, Any]] = field(default_factory=dict)

    def sizes(self, location: str) -> Reading[Mapping[str, LiveSize]]:
        """The resource-SKU API (§9.1)."""
        question = _Question(
            key=f"skus {location}",
            source="resource SKU API",
            rule=self.rules.sizes,
            ask=lambda until: filter(_is_machine, list_all(self.arm, self.endpoints.skus_url(location), "skus", until)),
            keys=_SKU_KEYS,
        )
        return self._read(question, lambda items: decode_skus(items, location))

    def usages(self, location: str) -> Reading[Mapping[str, Usage]]:
        """The Compute usages (§9.2)."""
        question = _Question(
            key=f"usages {location}",
            source="usages API",
            rule=self.rules.usages,
            ask=lambda until: list_all(self.arm, self.endpoints.usages_url(location), "usages", until),
        )
        return self._read(question, decode_usages)

    def prices(self, location: str) -> Reading[Mapping[str, SizePrices]]:
        """The retail price list (§9.3); nothing where the cloud has none."""
        caller, base = self.retail, self.endpoints.retail_url
        if caller is None or base is None:
            return Reading(value=None)
        question = _Question(
            key=f"prices {base} {location}",
            source="retail price API",
            rule=self.rules.prices,
            ask=lambda until: list_prices(caller, prices_url(base, location), until),
            keys=_PRICE_KEYS,
        )
        return self._read(question, decode_prices)

    def pools(self) -> Reading[tuple[PoolFacts, ...]]:
        """The agent pools, of any mode (§1.1)."""
        question = _Question(
            key=f"pools {self.pools_url.partition('?')[0]}",
            source="agent pools",
            rule=self.rules.subnets,
            ask=lambda until: list_all(self.arm, self.pools_url, "pools", until),
        )
        return self._read(question, decode_pools)

    def subnet(self, subnet_id: str) -> Reading[SubnetView]:
        """A subnet (`Microsoft.Network/virtualNetworks/subnets`)."""
        url = self.endpoints.subnet_url(subnet_id)
        if url is None:
            return Reading(value=None, detail=f"{subnet_id[:200]!r} is not the id of a subnet")
        question = _Question(
            key=f"subnet {subnet_id.casefold()}",
            source="subnet",
            rule=self.rules.subnets,
            ask=lambda until: [get_one(self.arm, url, "subnet", until)],
        )
        return self._read(question, lambda items: decode_subnet(next(iter(items), None)))

    def _read(self, question: _Question, decode: Callable[[Iterable[object]], T]) -> Reading[T]:
        """A fresh answer, else the last one with the reason, else nothing."""
        rule, now = question.rule, self.effects.now()
        if not rule.live:
            return Reading(value=None)
        kept = self._kept.get(question.key) or self.cache.load(question.key)
        if not _is_recent(kept.taken_at, now, rule.max_age_s) and not _is_recent(kept.failed_at, now, rule.retry_s):
            kept = self._ask(question, kept, now, decode)
        self._kept[question.key] = kept
        return self._answer(question, kept, now, decode)

    def _ask(self, question: _Question, kept: Kept, now: float, decode: Callable[[Iterable[object]], T]) -> Kept:
        rule = question.rule
        patience_s = rule.deadline_s if kept.items is None else min(rule.deadline_s, rule.refresh_s)
        try:
            items = tuple(_slim(item, question.keys) for item in question.ask(now + patience_s))
            decode(items)
        except CloudError as error:
            found = replace(kept, failed_at=now, detail=str(error)[:400])
        else:
            found = Kept(items=items, taken_at=now)
        self.cache.store(question.key, found)
        return found

    def _answer(
        self, question: _Question, kept: Kept, now: float, decode: Callable[[Iterable[object]], T]
    ) -> Reading[T]:
        if kept.items is None or kept.taken_at is None:
            return Reading(value=None, detail=kept.detail)
        held = self._decoded.get(question.key)
        if held is None or held[0] != kept.taken_at:
            try:
                held = self._decoded[question.key] = (kept.taken_at, decode(kept.items))
            except ProtocolError as error:
                return Reading(value=None, detail=str(error))
        return Reading(
            value=held[1],
            source=question.source,
            taken_at=kept.taken_at,
            is_stale=not _is_recent(kept.taken_at, now, question.rule.max_age_s),
            detail=kept.detail,
        )


def _is_recent(moment: float | None, now: float, within_s: float) -> bool:
    return moment is not None and now - within_s <= moment <= now + _AHEAD_S


def _is_machine(item: object) -> bool:
    return isinstance(item, dict) and str(item.get("resourceType", "")).casefold() == "virtualmachines"


def _slim(item: object, keys: tuple[str, ...]) -> object:
    if not keys or not isinstance(item, dict):
        return item
    return {key: item[key] for key in keys if key in item}
