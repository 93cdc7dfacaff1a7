"""What is read beside AKS and the scheduler: VM sizes, quota, prices (`catalogue`, `quota`, `prices`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.config.addresses import fault_of_url
from autoscale_aks.config.findings import Finding
from autoscale_aks.model.sizes import SizePrices, SourceRule
from autoscale_aks.units import exact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

RETAIL_URL: Final = "https://prices.azure.com"
"""The public cloud's price list; the others have none (aks-machine-api.md §9.3)."""
CACHE_DIR: Final = "azaks-cache"
"""Beside the ledger, where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueConfig:
    """Where facts about VM sizes come from."""

    rule: SourceRule = SourceRule(max_age_s=21_600.0, refresh_s=2.0, first_s=5.0)
    cache_dir: Path | None = None
    """None: `CACHE_DIR` beside the ledger, wherever that is."""
    proxied_locations: Mapping[str, str | None] = field(default_factory=frozendict)
    """Changes to the delivered table; None takes a location out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaConfig:
    """How far Azure's limits are known before machines are asked for."""

    rule: SourceRule = SourceRule(max_age_s=60.0, deadline_s=10.0, refresh_s=3.0, retry_s=60.0)
    stale_s: float = 900.0
    """A number that is older does not bind any more (matching.md L4)."""
    settle_s: float = 600.0
    """How long after its request a machine may be missing in the source's numbers (user ask T09c)."""
    nodes_per_cluster: int | None = 5000
    nodes_per_pool: int | None = None
    addresses_per_node: int = 1
    """Of its subnet: 1 with overlay networks, 1 + max_pods where pods have addresses of the subnet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesConfig:
    """Where prices come from."""

    rule: SourceRule = SourceRule(max_age_s=86_400.0, deadline_s=60.0, refresh_s=2.0, first_s=5.0, retry_s=3600.0)
    url: str | None = None
    """The price list; None: there is none."""
    overrides: Mapping[str, SizePrices] = field(default_factory=frozendict)
    """By case-folded VM size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceConfig:
    """All three."""

    catalogue: CatalogueConfig = CatalogueConfig()
    quota: QuotaConfig = QuotaConfig()
    prices: PricesConfig = PricesConfig()


def build_references(document: Mapping[str, Any], base: Path) -> ReferenceConfig:
    """The three sections of a checked document; relative paths start at `base`."""
    catalogue, quota, prices = (document.get(key, {}) for key in ("catalogue", "quota", "prices"))
    is_public = document["aks"].get("cloud", "public") == "public"
    return ReferenceConfig(
        catalogue=CatalogueConfig(
            rule=_rule(catalogue, CatalogueConfig().rule),
            cache_dir=base / catalogue["cache_dir"] if "cache_dir" in catalogue else None,
            proxied_locations=frozendict(catalogue.get("proxied_locations", {})),
        ),
        quota=_quota(quota),
        prices=PricesConfig(
            rule=_rule(prices, PricesConfig().rule),
            url=str(prices["url"]).rstrip("/") if "url" in prices else RETAIL_URL if is_public else None,
            overrides=frozendict(
                {name.casefold(): _prices(said) for name, said in prices.get("overrides", {}).items()}
            ),
        ),
    )


def check_references(document: Mapping[str, Any]) -> Iterator[Finding]:
    """What the schema cannot say about the three sections."""
    url = document.get("prices", {}).get("url")
    if url is not None and (fault := fault_of_url(url)):
        yield Finding(("prices", "url"), fault)
    quota = document.get("quota", {})
    age, stale = quota.get("max_age_s", QuotaConfig().rule.max_age_s), quota.get("stale_s", QuotaConfig().stale_s)
    if age > stale:
        yield Finding(
            ("quota", "stale_s"),
            f"less than max_age_s ({age}): numbers would be given up before they are asked for again; raise it",
            about=(("quota", "max_age_s"),),
        )
    proxies = document.get("catalogue", {}).get("proxied_locations", {})
    for location, proxy in proxies.items():
        if proxy == location:
            yield Finding(("catalogue", "proxied_locations", location), "borrows from itself; name another location")


def _quota(raw: Mapping[str, Any]) -> QuotaConfig:
    seconds = {key: float(raw[key]) for key in ("stale_s", "settle_s") if key in raw}
    caps = [key for key in ("nodes_per_cluster", "nodes_per_pool") if key in raw]
    counts = {key: None if raw[key] is None else int(raw[key]) for key in caps}
    if "addresses_per_node" in raw:
        counts["addresses_per_node"] = int(raw["addresses_per_node"])
    return QuotaConfig(rule=_rule(raw, QuotaConfig().rule), **seconds, **counts)  # type: ignore[arg-type]


def _rule(raw: Mapping[str, Any], default: SourceRule) -> SourceRule:
    return SourceRule(
        live=raw.get("live", default.live),
        max_age_s=float(raw.get("max_age_s", default.max_age_s)),
        deadline_s=float(raw.get("deadline_s", default.deadline_s)),
        refresh_s=default.refresh_s,
        first_s=default.first_s,
        retry_s=float(raw.get("retry_s", default.retry_s)),
    )


def _prices(said: Any) -> SizePrices:
    if not hasattr(said, "items"):
        return SizePrices(regular=Fraction(exact(said)))
    found = {key: Fraction(exact(price)) for key, price in said.items() if price is not None}
    return SizePrices(**found)
