"""The retail price list: filter, and items to prices (aks-machine-api.md §9.3).

One item is one meter. Joined on `armSkuName`; Windows, Low Priority and what is not sold by the hour are left out;
`skuName` ending ` Spot` is the Spot price, the rest is on demand. Of several items the primary meter of the region
counts, then the dearest: a price that is too high starts fewer machines under a budget, never more.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from frozendict import frozendict

from autoscale_aks.model.sizes import SizePrices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

API_VERSION: Final = "2023-01-01-preview"
_MOST: Final = Decimal(1_000_000)


def prices_url(base_url: str, location: str) -> str:
    """The first page of all VM prices of a location, in USD."""
    clauses = (
        ("priceType", "Consumption"),
        ("currencyCode", "USD"),
        ("serviceFamily", "Compute"),
        ("serviceName", "Virtual Machines"),
        ("armRegionName", location),
    )
    chosen = " and ".join(f"{name} eq '{value}'" for name, value in clauses)
    return f"{base_url.rstrip('/')}/api/retail/prices?api-version={API_VERSION}&$filter={quote(chosen)}"


def decode_prices(items: Iterable[object]) -> Mapping[str, SizePrices]:
    """Prices by case-folded size."""
    best: dict[tuple[str, bool], tuple[bool, Fraction]] = {}
    for item in items:
        if not isinstance(item, dict) or not _counts(item):
            continue
        name, price = item.get("armSkuName"), _price(item.get("retailPrice"))
        if not isinstance(name, str) or not name or price is None:
            continue
        key = (name.casefold(), str(item.get("skuName", "")).endswith(" Spot"))
        best[key] = max(best.get(key, (False, Fraction(0))), (item.get("isPrimaryMeterRegion") is True, price))
    names = sorted({name for name, _ in best})
    return frozendict(
        {
            name: SizePrices(regular=best.get((name, False), (0, None))[1], spot=best.get((name, True), (0, None))[1])
            for name in names
        }
    )


def _counts(item: Mapping[str, Any]) -> bool:
    """Whether it is a Linux price by the hour, on demand or Spot."""
    words = {key: str(item.get(key, "")) for key in ("productName", "meterName", "skuName", "unitOfMeasure", "type")}
    return not (
        words["productName"].endswith(" Windows")
        or words["meterName"].endswith(" Low Priority")
        or words["skuName"].endswith(" Low Priority")
        or words["unitOfMeasure"] not in {"1 Hour", ""}
        or words["type"] not in {"Consumption", ""}
        or item.get("currencyCode", "USD") != "USD"
    )


def _price(value: object) -> Fraction | None:
    """An exact price above zero: a meter that costs nothing is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        return None
    return Fraction(price) if price.is_finite() and 0 < price <= _MOST else None
