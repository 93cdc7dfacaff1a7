"""The retail price list, quota counters, subnets and pools as the wire has them (aks-machine-api.md §9.2, §9.3)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from autoscale_aks.cloud.azure.endpoints import AzureEndpoints
from autoscale_aks.cloud.azure.prices import decode_prices, prices_url
from autoscale_aks.cloud.azure.usages import decode_pools, decode_subnet, decode_usages
from autoscale_aks.errors import ProtocolError

NOW = 1_790_000_000.0
"""In September 2026."""
ID = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets/nodes"


def item(price: object = 0.192, meter: str = "", product: str = "", **more: Any) -> dict[str, Any]:
    return {"armSkuName": "Standard_D4s_v5", "retailPrice": price, "skuName": f"D4s v5{meter}",
            "meterName": f"D4s v5{meter}", "productName": f"Virtual Machines Dsv5 Series{product}",
            "unitOfMeasure": "1 Hour", "type": "Consumption", "currencyCode": "USD", **more}  # fmt: skip


def test_windows_and_low_priority_are_dropped_and_spot_is_told_by_its_sku_name() -> None:
    items = [item(0.4, "", " Windows"), item(0.04, " Low Priority"), item(0.2), item(0.06, " Spot"),
             item(0.09, " Spot", " Windows")]  # fmt: skip
    (found,) = decode_prices(items, NOW).values()
    assert (found.regular, found.spot) == (Fraction("0.2"), Fraction("0.06"))


@pytest.mark.parametrize(
    "other",
    [item(0), item(-1), item(True), item("0.1"), item(None), item(float("nan")), item(1e12),
     item(9, type="Reservation"), item(9, type="DevTestConsumption"), item(9, currencyCode="EUR"),
     item(9, unitOfMeasure="100 Hours"),
     item(9, armSkuName=""), item(9, armSkuName=None), None, 5, []],
)  # fmt: skip
def test_what_is_no_price_by_the_hour_is_left_out(other: object) -> None:
    (found,) = decode_prices([other, item()], NOW).values()
    assert found.regular == Fraction("0.192")


def test_the_primary_meter_counts_then_the_dearest() -> None:
    items = [item(0.9, isPrimaryMeterRegion=False), item(0.2, isPrimaryMeterRegion=True), item(0.3, isPrimaryMeterRegion=True)]  # noqa: E501  # fmt: skip
    assert decode_prices(items, NOW)["standard_d4s_v5"].regular == Fraction("0.3")


OLD, NEW, COMING = "2024-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2027-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("items", "price"),
    [
        ([item(0.3, effectiveStartDate=OLD), item(0.2, effectiveStartDate=NEW)], "0.2"),
        ([item(0.2, effectiveStartDate=OLD), item(0.3, effectiveStartDate=NEW)], "0.3"),
        ([item(0.2, effectiveStartDate=NEW), item(0.5, effectiveStartDate=COMING)], "0.2"),
        ([item(0.2, effectiveStartDate=OLD, effectiveEndDate=NEW), item(0.1, effectiveStartDate=OLD)], "0.1"),
        ([item(0.2, effectiveStartDate=OLD, effectiveEndDate=COMING)], "0.2"),
        ([item(0.2, effectiveStartDate=NEW), item(0.4, effectiveStartDate=NEW)], "0.4"),
        ([item(0.2, isPrimaryMeterRegion=True, effectiveStartDate=OLD), item(0.4, effectiveStartDate=NEW)], "0.2"),
        ([item(0.7, effectiveStartDate=COMING)], "0.7"),
        ([item(0.2, effectiveStartDate="soon"), item(0.1, effectiveStartDate=5)], "0.2"),
    ],
    ids=["cheaper since", "dearer since", "not yet", "ended", "ends later", "both since then", "primary before newer",
         "nothing in force", "dates that are none"],
)  # fmt: skip
def test_of_several_meters_the_latest_that_is_in_force_counts(items: list[dict[str, Any]], price: str) -> None:
    for given in (items, items[::-1]):
        assert decode_prices(given, NOW)["standard_d4s_v5"].regular == Fraction(price)


def test_the_filter_is_the_contracts() -> None:
    query = parse_qs(urlsplit(prices_url("https://prices.example/", "eastus2")).query)
    assert query["$filter"][0].split(" and ") == [
        "priceType eq 'Consumption'",
        "currencyCode eq 'USD'",
        "serviceFamily eq 'Compute'",
        "serviceName eq 'Virtual Machines'",
        "armRegionName eq 'eastus2'",
    ]


def test_counters_are_found_without_spaces_and_letter_case() -> None:
    raw = {"currentValue": 96, "limit": 500, "name": {"value": "Standard NCASv3_T4 Family"}}
    found = decode_usages([raw, {"name": {}}, {**raw, "limit": "500", "name": {"value": "x"}}, None])
    assert set(found) == {"standardncasv3_t4family"}
    assert found["standardncasv3_t4family"].current == 96


@pytest.mark.parametrize(
    ("properties", "usable", "used"),
    [({"addressPrefix": "10.0.0.0/24"}, 251, 0), ({"addressPrefix": "10.0.0.0/29", "ipConfigurations": [{}, {}]}, 3, 2),
     ({"addressPrefixes": ["10.0.0.0/28", "fd00::/64"]}, 11, 0), ({"addressPrefix": "10.0.0.0/30"}, 0, 0)],
)  # fmt: skip
def test_azure_keeps_five_addresses_of_every_prefix(properties: dict[str, Any], usable: int, used: int) -> None:
    view = decode_subnet({"id": ID, "properties": properties})
    assert (view.usable, view.used) == (usable, used)


@pytest.mark.parametrize("raw", [None, {}, {"properties": {"addressPrefix": "ten"}}, {"properties": 5}])
def test_a_subnet_without_a_range_is_an_error_and_not_an_empty_subnet(raw: object) -> None:
    with pytest.raises(ProtocolError):
        decode_subnet(raw)


def test_pools_say_their_subnet_and_scale_sets_their_count() -> None:
    raw = [{"name": "sys", "properties": {"mode": "System", "count": 3}},
           {"name": "htc", "properties": {"mode": "Machines", "vnetSubnetID": ID}}, {"name": 5}, None]  # fmt: skip
    sys, htc = decode_pools(raw)
    assert (sys.count, sys.takes_machines, sys.subnet_id) == (3, False, None)
    assert (htc.count, htc.takes_machines, htc.subnet_id) == (None, True, ID)


@pytest.mark.parametrize(
    "odd", ["", "/", f"{ID}/x", ID.replace("Network", "Compute"), f"{ID}?a=b", f"{ID}/../..", f"x{ID}"]
)
def test_only_the_id_of_a_subnet_becomes_a_url(odd: str) -> None:
    endpoints = AzureEndpoints(arm_url="https://arm.example", subscription="s")
    assert endpoints.subnet_url(odd) is None
    assert str(endpoints.subnet_url(ID)).startswith(f"https://arm.example{ID}?")
