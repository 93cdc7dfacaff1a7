"""`AzureReference`: the reference port on Azure, with a memory of its own and a cache directory behind it.

Every question is asked in the background (`inquiries`); what differs is how long its answer is waited for:

=================================  ===========================================================
who asks                           waits, counted from when the question was asked, for at most
=================================  ===========================================================
a cycle, after `prepare`           `first_s` where nothing is known, else `refresh_s`; and `most_s`
anybody else (`azaks sizes` …)     `deadline_s` where nothing is known, else `refresh_s`
=================================  ===========================================================

An answer that comes later is kept all the same. That it did not come in time is kept too, so that the next run of a
cron job does not wait for it again before `retry_s` is over.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.azure.cache import FileCache, Kept
from autoscale_aks.cloud.azure.inquiries import Inquiries
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

_GRACE_S: Final = 1.0
"""A question that ends at its deadline tells why; that is worth a moment."""
_AHEAD_S: Final = 60.0
"""Clocks of hosts that share a cache may differ by this; what is from later than that is not believed."""
_PRICE_KEYS: Final = (
    "armSkuName", "skuName", "meterName", "productName", "retailPrice", "unitOfMeasure", "type", "currencyCode",
    "isPrimaryMeterRegion", "effectiveStartDate", "effectiveEndDate",
)  # fmt: skip
_SKU_KEYS: Final = ("resourceType", "name", "family", "locations", "locationInfo", "capabilities", "restrictions")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRules:
    """How each source is asked."""

    sizes: SourceRule = SourceRule(max_age_s=6 * 3600.0, refresh_s=2.0, first_s=5.0)
    usages: SourceRule = SourceRule(max_age_s=60.0, deadline_s=10.0, refresh_s=3.0, retry_s=60.0)
    subnets: SourceRule = SourceRule(max_age_s=60.0, deadline_s=10.0, refresh_s=3.0, retry_s=60.0)
    prices: SourceRule = SourceRule(max_age_s=24 * 3600.0, deadline_s=60.0, refresh_s=2.0, first_s=5.0, retry_s=3600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question(Generic[T]):
    """One source's question: under which key it is kept, how it is asked, what is kept, and how that is read."""

    key: str
    source: str
    rule: SourceRule
    ask: Callable[[float], Iterable[object]]
    decode: Callable[[Iterable[object]], T]
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
    _inquiries: Inquiries = field(default_factory=Inquiries)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    """Held where an answer, or that there is none yet, is put down."""
    _most_s: float | None = None
    """The longest a cycle waits; None: no cycle is on."""
    _asked: set[str] = field(default_factory=set)
    """What was asked for in this cycle: an answer is good for all of it, however short its age may be."""
    _kept: dict[str, Kept] = field(default_factory=dict)
    _decoded: dict[str, tuple[float, Any]] = field(default_factory=dict)

    def prepare(self, locations: Iterable[str], subnets: Iterable[str] = (), *, most_s: float | None = None) -> None:
        """Begin to ask for all of this at once; see the port."""
        if most_s is not None:
            self._most_s = most_s
            self._asked.clear()
        for location in dict.fromkeys(locations):
            for question in (self._sizes(location), self._prices(location), self._usages(location)):
                if question is not None:
                    self._begin(question)
            self._begin(self._pools())
        for subnet in map(self._subnet, dict.fromkeys(subnets)):
            if subnet is not None:
                self._begin(subnet)

    def linger(self, seconds: float) -> bool:
        """Wait so long for answers that are under way, so that they are kept; whether all are there."""
        return self._inquiries.linger(seconds)

    def sizes(self, location: str) -> Reading[Mapping[str, LiveSize]]:
        """The resource-SKU API (§9.1)."""
        return self._read(self._sizes(location))

    def usages(self, location: str) -> Reading[Mapping[str, Usage]]:
        """The Compute usages (§9.2)."""
        return self._read(self._usages(location))

    def prices(self, location: str) -> Reading[Mapping[str, SizePrices]]:
        """The retail price list (§9.3); nothing where the cloud has none."""
        question = self._prices(location)
        return Reading(value=None) if question is None else self._read(question)

    def pools(self) -> Reading[tuple[PoolFacts, ...]]:
        """The agent pools, of any mode (§1.1)."""
        return self._read(self._pools())

    def subnet(self, subnet_id: str) -> Reading[SubnetView]:
        """A subnet (`Microsoft.Network/virtualNetworks/subnets`)."""
        question = self._subnet(subnet_id)
        if question is None:
            return Reading(value=None, detail=f"{subnet_id[:200]!r} is not the id of a subnet")
        return self._read(question)

    def _sizes(self, location: str) -> _Question[Mapping[str, LiveSize]]:
        return _Question(
            key=f"skus {location}",
            source="resource SKU API",
            rule=self.rules.sizes,
            ask=lambda until: filter(_is_machine, list_all(self.arm, self.endpoints.skus_url(location), "skus", until)),
            decode=lambda items: decode_skus(items, location),
            keys=_SKU_KEYS,
        )

    def _usages(self, location: str) -> _Question[Mapping[str, Usage]]:
        return _Question(
            key=f"usages {location}",
            source="usages API",
            rule=self.rules.usages,
            ask=lambda until: list_all(self.arm, self.endpoints.usages_url(location), "usages", until),
            decode=decode_usages,
        )

    def _prices(self, location: str) -> _Question[Mapping[str, SizePrices]] | None:
        caller, base = self.retail, self.endpoints.retail_url
        if caller is None or base is None:
            return None
        return _Question(
            key=f"prices {base} {location}",
            source="retail price API",
            rule=self.rules.prices,
            ask=lambda until: list_prices(caller, prices_url(base, location), until),
            decode=lambda items: decode_prices(items, self.effects.now()),
            keys=_PRICE_KEYS,
        )

    def _pools(self) -> _Question[tuple[PoolFacts, ...]]:
        return _Question(
            key=f"pools {self.pools_url.partition('?')[0]}",
            source="agent pools",
            rule=self.rules.subnets,
            ask=lambda until: list_all(self.arm, self.pools_url, "pools", until),
            decode=decode_pools,
        )

    def _subnet(self, subnet_id: str) -> _Question[SubnetView] | None:
        url = self.endpoints.subnet_url(subnet_id)
        if url is None:
            return None
        return _Question(
            key=f"subnet {subnet_id.casefold()}",
            source="subnet",
            rule=self.rules.subnets,
            ask=lambda until: [get_one(self.arm, url, "subnet", until)],
            decode=lambda items: decode_subnet(next(iter(items), None)),
        )

    def _begin(self, question: _Question[Any]) -> None:
        """Ask, unless the last answer is young, the last failure is, or the question is under way."""
        rule, now = question.rule, self.effects.now()
        if not rule.live or self._inquiries.is_open(question.key) or question.key in self._asked:
            return
        kept = self._known(question)
        if not _is_recent(kept.taken_at, now, rule.max_age_s) and not _is_recent(kept.failed_at, now, rule.retry_s):
            if self._most_s is not None:
                self._asked.add(question.key)
            self._inquiries.begin(question.key, lambda: self._ask(question, now))

    def _read(self, question: _Question[T]) -> Reading[T]:
        """A fresh answer, else the last one with the reason, else nothing."""
        if not question.rule.live:
            return Reading(value=None)
        self._begin(question)
        if self._inquiries.is_open(question.key):
            waited_s = self._patience_s(question)
            if not self._inquiries.wait(question.key, waited_s):
                self._note_silence(question, waited_s)
        return self._answer(question)

    def _patience_s(self, question: _Question[Any]) -> float:
        """Seconds after it was asked for which an answer is waited for."""
        rule = question.rule
        if self._known(question).items is not None:
            longest = min(rule.deadline_s, rule.refresh_s)
        elif self._most_s is None:
            longest = rule.deadline_s + _GRACE_S
        else:
            longest = min(rule.deadline_s, rule.first_s)
        return longest if self._most_s is None else min(longest, self._most_s)

    def _known(self, question: _Question[Any]) -> Kept:
        with self._lock:
            if question.key not in self._kept:
                self._kept[question.key] = self.cache.load(question.key)
            return self._kept[question.key]

    def _ask(self, question: _Question[T], now: float) -> None:
        """In a thread of its own: ask, and keep what came of it."""
        try:
            items = tuple(_slim(item, question.keys) for item in question.ask(now + question.rule.deadline_s))
            decoded = question.decode(items)
        except CloudError as error:
            with self._lock:
                self._keep(question, replace(self._kept[question.key], failed_at=now, detail=str(error)[:400]))
        else:
            with self._lock:
                self._decoded[question.key] = (now, decoded)
                self._keep(question, Kept(items=items, taken_at=now))

    def _note_silence(self, question: _Question[Any], waited_s: float) -> None:
        """There is no answer yet: the next run is told so, should none come at all."""
        with self._lock:
            if self._inquiries.is_open(question.key):
                detail = f"no answer within {waited_s:g} s; it is used when it comes"
                kept = self._kept[question.key]
                if kept.detail != detail:
                    self._keep(question, replace(kept, failed_at=self.effects.now(), detail=detail))

    def _keep(self, question: _Question[Any], kept: Kept) -> None:
        self._kept[question.key] = kept
        self.cache.store(question.key, kept)

    def _answer(self, question: _Question[T]) -> Reading[T]:
        kept, now = self._known(question), self.effects.now()
        if kept.items is None or kept.taken_at is None:
            return Reading(value=None, detail=kept.detail)
        held = self._decoded.get(question.key)
        if held is None or held[0] != kept.taken_at:
            try:
                held = self._decoded[question.key] = (kept.taken_at, question.decode(kept.items))
            except ProtocolError as error:
                return Reading(value=None, detail=str(error))
        return Reading(
            value=held[1],
            source=question.source,
            taken_at=kept.taken_at,
            is_stale=bool(kept.detail) and not _is_recent(kept.taken_at, now, question.rule.max_age_s),
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
