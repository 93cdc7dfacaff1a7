"""The retail price list: filter, and items to prices (aks-machine-api.md §9.3).

One item is one meter. Joined on `armSkuName`; Windows, Low Priority and what is not sold by the hour are left out;
`skuName` ending ` Spot` is the Spot price, the rest is on demand. Of several items one that is in force counts before
one that has ended or is yet to come, the primary meter of the region before others, the latest start, then the dearest:
a price that is too high starts fewer machines under a budget, never more.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote

from frozendict import frozendict

from autoscale_aks.cloud.aks.wire import parse_timestamp
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


def decode_prices(items: Iterable[object], now: float) -> Mapping[str, SizePrices]:
    """Prices by case-folded size, as they are at `now` (seconds since the epoch)."""
    best: dict[tuple[str, bool], _Ranked] = {}
    for item in items:
        if not isinstance(item, dict) or not _counts(item):
            continue
        name, price = item.get("armSkuName"), _price(item.get("retailPrice"))
        if not isinstance(name, str) or not name or price is None:
            continue
        key = (name.casefold(), str(item.get("skuName", "")).endswith(" Spot"))
        ranked = (*_standing(item, now), price)
        best[key] = max(best.get(key, ranked), ranked)
    names = sorted({name for name, _ in best})
    return frozendict(
        {name: SizePrices(regular=_price_of(best, name, False), spot=_price_of(best, name, True)) for name in names}
    )


_Ranked: TypeAlias = "tuple[bool, bool, float, Fraction]"


def _price_of(best: Mapping[tuple[str, bool], _Ranked], name: str, is_spot: bool) -> Fraction | None:
    found = best.get((name, is_spot))
    return None if found is None else found[-1]


def _standing(item: Mapping[str, Any], now: float) -> tuple[bool, bool, float]:
    """What ranks an item before its price: in force, primary, since when. An item without dates is in force."""
    start, end = (_moment(item.get(key)) for key in ("effectiveStartDate", "effectiveEndDate"))
    in_force = (start is None or start <= now) and (end is None or end > now)
    return in_force, item.get("isPrimaryMeterRegion") is True, start or 0.0


def _moment(value: object) -> float | None:
    return parse_timestamp(value) if isinstance(value, str) else None


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
