"""Resource SKUs and retail prices (§9.1, §9.3)."""

from __future__ import annotations

import pytest
import requests

SKUS = "/subscriptions/{}/providers/Microsoft.Compute/skus"
PRICE_FILTER = (
    "priceType eq 'Consumption' and currencyCode eq 'USD' and serviceFamily eq 'Compute' "
    "and serviceName eq 'Virtual Machines' and armRegionName eq 'eastus2'"
)


def skus(aks, **params):
    rows = aks.call("GET", SKUS.format(aks.spec.subscription), params={"api-version": "2021-07-01", **params}).json()
    return rows["value"]


def test_all_values_are_strings_and_gpus_only_on_gpu_sizes(aks):
    """§9.1."""
    rows = {row["name"]: row for row in skus(aks) if row["resourceType"] == "virtualMachines"}
    assert len(rows) >= 24
    gpu = {item["name"]: item["value"] for item in rows["Standard_NC24ads_A100_v4"]["capabilities"]}
    cpu = {item["name"]: item["value"] for item in rows["Standard_D4s_v5"]["capabilities"]}
    assert (gpu["vCPUs"], gpu["MemoryGB"], gpu["GPUs"], gpu["LowPriorityCapable"]) == ("24", "220", "1", "True")
    assert "GPUs" not in cpu
    assert all(isinstance(item["value"], str) for row in rows.values() for item in row["capabilities"])
    constrained = {item["name"]: item["value"] for item in rows["Standard_HB120-16rs_v3"]["capabilities"]}
    assert (constrained["vCPUs"], constrained["vCPUsAvailable"], constrained["vCPUsPerCore"]) == ("120", "16", "1")


def test_other_resource_types_come_back_too(aks):
    """§9.1: keep virtualMachines."""
    assert {row["resourceType"] for row in skus(aks)} > {"virtualMachines"}


def test_the_location_filter(aks):
    """§9.1."""
    assert skus(aks, **{"$filter": "location eq 'eastus2'"})
    assert skus(aks, **{"$filter": "location eq 'mars'"}) == []
    url = SKUS.format(aks.spec.subscription)
    assert aks.call("GET", url, params={"$filter": "location ne 'x'"}).status_code == 400


def test_restrictions_are_shown_and_enforced(emulate):
    """§9.1: Location = whole size, Zone = those zones; reasonCode."""
    aks = emulate(restrictions={"Standard_D2s_v5": ("2",), "Standard_D4s_v5": ()})
    rows = {row["name"]: row["restrictions"] for row in skus(aks)}
    assert rows["Standard_D2s_v5"] == [
        {
            "type": "Zone",
            "values": ["eastus2"],
            "restrictionInfo": {"locations": ["eastus2"], "zones": ["2"]},
            "reasonCode": "NotAvailableForSubscription",
        }
    ]
    assert rows["Standard_D4s_v5"][0]["type"] == "Location"
    assert rows["Standard_D8s_v5"] == []
    assert aks.put("a", zones=["2"]).status_code == 400
    assert aks.put("a", zones=["1"]).status_code == 200
    assert aks.put("b", size="Standard_D4s_v5").json()["code"] == "VMSizeNotSupported"


def test_sizes_can_come_from_settings(emulate):
    """§10.12."""
    aks = emulate(sizes={"Standard_Tiny": {"family": "tinyFamily", "vcpus": 1, "memory_gib": 0.75, "zones": ["1"]}})
    assert [row["name"] for row in skus(aks) if row["resourceType"] == "virtualMachines"] == ["Standard_Tiny"]
    assert aks.put("a", size="Standard_Tiny").status_code == 200
    assert aks.put("b").json()["code"] == "VMSizeNotSupported"
    assert aks.usage("tinyFamily") == 1


def prices(aks, text=PRICE_FILTER):
    url = f"{aks.server.base_url}/api/retail/prices"
    params = {"api-version": "2023-01-01-preview", "$filter": text}
    answer = requests.get(url, params=params, timeout=5).json()
    yield from answer["Items"]
    while answer["NextPageLink"]:
        answer = requests.get(answer["NextPageLink"], timeout=5).json()
        yield from answer["Items"]


def test_prices_need_no_token_and_page_by_next_page_link(emulate):
    """§9.3."""
    aks = emulate(price_page_size=7)
    items = list(prices(aks))
    keys = [(item["armSkuName"], item["skuName"], item["productName"]) for item in items]
    assert len(keys) == len(set(keys)) > 50


def test_variants_are_told_apart_as_documented(aks):
    """§9.3: Windows by product, Low Priority by meter, Spot by SKU name."""
    mine = [item for item in prices(aks) if item["armSkuName"] == "Standard_D4s_v5"]
    plain = [
        item
        for item in mine
        if not item["productName"].endswith(" Windows") and not item["meterName"].endswith(" Low Priority")
    ]
    spot = [item["retailPrice"] for item in plain if item["skuName"].endswith(" Spot")]
    on_demand = [item["retailPrice"] for item in plain if not item["skuName"].endswith(" Spot")]
    assert on_demand == [0.192]
    assert len(spot) == 1
    assert spot[0] < on_demand[0]
    assert len(mine) == 5


@pytest.mark.parametrize("text", ["armRegionName eq 'mars'", "armSkuName eq 'Standard_None'"])
def test_a_filter_that_matches_nothing(aks, text):
    """§9.3."""
    assert list(prices(aks, text)) == []
