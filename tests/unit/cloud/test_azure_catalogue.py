"""Facts about VM sizes: who wins, and what the wire says (user ask T17, aks-machine-api.md §9.1)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from autoscale_aks.cloud.azure.catalog import has_prices, know_prices, know_size
from autoscale_aks.cloud.azure.packaged import packaged_price, packaged_sizes, priced_locations, proxied_locations
from autoscale_aks.cloud.azure.skus import decode_skus
from autoscale_aks.model.sizes import FACT_NAMES, LiveSize, Reading, SizeFacts, SizePrices

NOTHING: Reading[Any] = Reading(value=None)


def sku(name: str = "Standard_D4s_v5", capabilities: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    given = {"vCPUs": "4", "MemoryGB": "16"} if capabilities is None else capabilities
    pairs = [{"name": key, "value": value} for key, value in given.items()]
    return {"resourceType": "virtualMachines", "name": name, "family": "standardDSv5Family",
            "locations": ["eastus2"], "capabilities": pairs, "restrictions": [], **more}  # fmt: skip


def live(**facts: Any) -> Reading[Any]:
    name = facts.pop("name", "Standard_D4s_v5")
    size = LiveSize(facts=SizeFacts(name=name, **facts))
    return Reading(value={name.casefold(): size}, source="resource SKU API", taken_at=0.0)


def test_the_live_list_wins_over_the_packaged_table_fact_by_fact() -> None:
    known = know_size("standard_d4S_v5", live(memory_gib=Fraction(15)))
    assert (known.facts.memory_gib, known.sources["memory_gib"]) == (15, "resource SKU API")
    assert (known.facts.vcpus, known.sources["vcpus"]) == (4, "packaged")
    assert known.facts.name == "Standard_D4s_v5"


def test_every_known_fact_has_a_source_and_no_other_has_one() -> None:
    for name in ("Standard_NC24ads_A100_v4", "Standard_HB120-16rs_v3", "Standard_D4s_v5"):
        known = know_size(name, live(name=name, vcpus=7, zones=("1",)))
        said = {fact for fact in FACT_NAMES if getattr(known.facts, fact) is not None}
        assert said == set(known.sources)


@pytest.mark.parametrize(
    ("reported", "gpus", "source"),
    [(0, 1, "packaged (the API says 0 GPUs)"), (None, 1, "packaged (the API says 0 GPUs)"),
     (1, 1, "resource SKU API"), (2, 2, "resource SKU API")],
)  # fmt: skip
def test_the_packaged_table_wins_where_it_knows_more_gpus(reported: int | None, gpus: int, source: str) -> None:
    known = know_size("Standard_NC24ads_A100_v4", live(name="Standard_NC24ads_A100_v4", gpus=reported))
    assert (known.facts.gpus, known.sources["gpus"]) == (gpus, source)
    assert known.facts.gpu_model == "A100-80GB"


def test_a_size_that_only_the_api_knows_is_known() -> None:
    known = know_size("Standard_Z9", live(name="Standard_Z9", vcpus=9, memory_gib=Fraction(90)))
    assert known.is_known
    assert (known.is_packaged, known.is_listed) == (False, True)


def test_a_size_that_nobody_knows_is_not_known_and_no_error() -> None:
    known = know_size("Standard_Z9", NOTHING)
    assert (known.is_known, known.sources, known.is_listed) == (False, {}, None)


def test_t09d_constrained_core_sizes_keep_the_parents_cores_for_quota() -> None:
    facts = packaged_sizes()["standard_hb120-16rs_v3"]
    assert (facts.vcpus, facts.vcpus_available) == (120, 16)


@pytest.mark.parametrize(
    ("name", "said", "usable", "source"),
    [
        ("Standard_E8-2s_v5", {"vCPUs": "8"}, 2, "packaged"),
        ("Standard_E8-2s_v5", {"vCPUs": "8", "vCPUsAvailable": "4"}, 4, "resource SKU API"),
        ("Standard_D4s_v5", {"vCPUs": "6"}, 6, "resource SKU API"),
        ("Standard_Z9", {"vCPUs": "9"}, 9, "resource SKU API"),
        ("Standard_E8-2s_v5", {}, 2, "packaged"),
    ],
)
def test_all_vcpus_can_be_used_unless_api_or_table_know_better(
    name: str, said: dict[str, str], usable: int, source: str
) -> None:
    listed = decode_skus([sku(name, {"MemoryGB": "64", **said})], "eastus2")
    known = know_size(name, Reading(value=listed, source="resource SKU API", taken_at=0.0))
    assert (known.facts.vcpus_available, known.sources["vcpus_available"]) == (usable, source)


def test_the_packaged_table_is_plausible() -> None:
    sizes = packaged_sizes()
    assert len(sizes) > 1400
    for facts in sizes.values():
        assert facts.vcpus is not None
        assert facts.vcpus_available is not None
        assert 1 <= facts.vcpus_available <= facts.vcpus, facts.name
        assert facts.memory_gib is not None
        assert facts.memory_gib > 0
        assert facts.vcpus_per_core in {None, 1, 2}
    prices = [packaged_price(location, name) for location in priced_locations() for name in sizes]
    assert len([price for price in prices if price is not None]) > 4000
    assert all(price is None or price > 0 for price in prices)


def test_the_values_of_a_sku_are_strings_and_what_cannot_be_read_is_not_said() -> None:
    said = {"vCPUs": "4", "vCPUsPerCore": "two", "MemoryGB": "0.75", "RdmaEnabled": "True", "PremiumIO": "perhaps",
            "CpuArchitectureType": "Arm64", "MaxDataDiskCount": "-1", "GPUs": "1"}  # fmt: skip
    facts = decode_skus([sku(capabilities=said)], "eastus2")["standard_d4s_v5"].facts
    assert (facts.vcpus, facts.vcpus_available, facts.memory_gib) == (4, None, Fraction(3, 4))
    assert (facts.vcpus_per_core, facts.premium_io, facts.max_data_disks) == (None, None, None)
    assert (facts.rdma, facts.arch, facts.gpus) == (True, "arm64", 1)


def test_a_sku_without_gpus_says_that_there_is_none() -> None:
    assert decode_skus([sku()], "eastus2")["standard_d4s_v5"].facts.gpus == 0


def test_no_zone_is_something_else_than_nothing_said_of_zones() -> None:
    sold = sku(locationInfo=[{"location": "EastUS2", "zones": []}])
    assert decode_skus([sold], "eastus2")["standard_d4s_v5"].facts.zones == ()
    assert decode_skus([sku()], "eastus2")["standard_d4s_v5"].facts.zones is None


def test_t17e_a_location_restriction_takes_the_size_and_a_zone_restriction_the_zone() -> None:
    zones = [{"location": "eastus2", "zones": ["1", "2", "3"]}]
    barred = {"type": "Zone", "restrictionInfo": {"locations": ["eastus2"], "zones": ["2"]}, "reasonCode": "QuotaId"}
    whole = {"type": "Location", "values": ["EastUS2"], "reasonCode": "NotAvailableForSubscription"}
    elsewhere = {"type": "Location", "values": ["mars"], "reasonCode": "NotAvailableForSubscription"}
    one = decode_skus([sku(locationInfo=zones, restrictions=[barred, elsewhere])], "eastus2")["standard_d4s_v5"]
    assert (one.facts.zones, one.barred_zones, one.restriction) == (("1", "3"), {"2": "QuotaId"}, None)
    gone = decode_skus([sku(locationInfo=zones, restrictions=[whole])], "eastus2")["standard_d4s_v5"]
    assert gone.restriction == "NotAvailableForSubscription"


@pytest.mark.parametrize(
    "junk",
    [None, 7, [], {}, {"resourceType": "disks", "name": "x"}, {"resourceType": "virtualMachines"},
     {"resourceType": 5, "name": "x"}, sku(name=""), sku(locations=["mars"])],
)  # fmt: skip
def test_what_is_no_size_of_the_location_is_left_out(junk: object) -> None:
    assert set(decode_skus([junk, sku()], "eastus2")) == {"standard_d4s_v5"}


@pytest.mark.parametrize("broken", [{"capabilities": 5}, {"restrictions": [None, {"restrictionInfo": []}]},
                                    {"locationInfo": ["x", {"location": 5}]}, {"family": None}])  # fmt: skip
def test_a_damaged_sku_is_still_a_size(broken: dict[str, Any]) -> None:
    assert decode_skus([{**sku(), **broken}], "eastus2")["standard_d4s_v5"].facts.name == "Standard_D4s_v5"


def price(location: str = "southcentralus", live_prices: Any = None, override: Any = None, proxies: Any = None) -> Any:
    size = "standard_d4s_v5"
    reading = NOTHING if live_prices is None else Reading(value={size: live_prices}, source="list", taken_at=0.0)
    return know_prices("Standard_D4s_v5", location, reading, {size: override} if override else {}, proxies or {})


def test_a_price_is_the_sites_else_the_lists_else_the_packaged_one() -> None:
    half, third = SizePrices(regular=Fraction(1, 2)), SizePrices(regular=Fraction(1, 3), spot=Fraction(1, 9))
    assert price()[1] == {"regular": "packaged (2026-06)"}
    assert price(live_prices=third) == (third, {"regular": "list", "spot": "list"})
    found, sources = price(live_prices=third, override=half)
    assert (found.regular, found.spot) == (Fraction(1, 2), Fraction(1, 9))
    assert sources == {"regular": "prices.overrides", "spot": "list"}


def test_an_unknown_price_is_none_and_never_zero() -> None:
    assert price("mars") == (SizePrices(), {})
    assert price()[0].spot is None


def test_a_location_without_prices_borrows_and_the_source_says_from_where() -> None:
    found, sources = price("usgovvirginia")
    assert found == price("southcentralus")[0]
    assert sources["regular"] == "packaged (2026-06, borrowed from southcentralus)"
    assert set(proxied_locations()) >= {"usgovvirginia", "usgovarizona", "usgovtexas", "usdodcentral", "usdodeast"}


def test_the_site_changes_what_is_borrowed_from_where() -> None:
    assert price("mars", proxies={"mars": "eastus"})[1]["regular"].endswith("borrowed from eastus)")
    assert price("usgovvirginia", proxies={"usgovvirginia": None}) == (SizePrices(), {})


def test_a_location_may_borrow_of_one_that_borrows_and_in_a_circle_there_is_nothing() -> None:
    chain: dict[str, str | None] = {"mars": "moon", "moon": "usgovvirginia", "a": "b", "b": "a"}
    assert price("mars", proxies=chain)[1]["regular"].endswith("borrowed from southcentralus)")
    assert price("a", proxies=chain) == (SizePrices(), {})
    assert [has_prices(place, chain) for place in ("mars", "eastus", "a", "nowhere")] == [True, True, False, False]
