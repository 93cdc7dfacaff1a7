"""VM sizes, resource SKUs and retail prices as Azure would list them (§9.1, §9.3).

Facts come from the packaged table or from `EmulatorSettings.sizes` (name -> the same fields). Spot
prices are made up: `SPOT_SHARE` of the on-demand price unless a size brings `spot_usd_per_hour`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from autoscale_aks.emulator.draws import guid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SPOT_SHARE = 0.3
WINDOWS_SHARE = 1.9
LOW_PRIORITY_SHARE = 0.2
ALL_ZONES = ("1", "2", "3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What the emulator knows of one VM size; names of fields are those of `data/sizes.json`."""

    name: str
    family: str
    vcpus: int
    memory_gib: float
    vcpus_available: int | None = None
    vcpus_per_core: int = 2
    gpus: int = 0
    arch: str = "x64"
    rdma: bool = False
    spot: bool = True
    zones: tuple[str, ...] = ALL_ZONES
    ephemeral_os_disk: bool = True
    premium_io: bool = True
    accelerated_networking: bool = True
    hyperv: str = "V1,V2"
    data_disks: int = 8
    resource_disk_mib: int = 0
    usd_per_hour: float | None = None
    spot_usd_per_hour: float | None = None

    def capabilities(self) -> list[dict[str, str]]:
        """The SKU capabilities; every value is a string, `GPUs` is absent on CPU sizes (§9.1)."""
        pairs: list[tuple[str, object]] = [
            ("MaxResourceVolumeMB", self.resource_disk_mib),
            ("vCPUs", self.vcpus),
            ("vCPUsAvailable", self.vcpus if self.vcpus_available is None else self.vcpus_available),
            ("vCPUsPerCore", self.vcpus_per_core),
            ("MemoryGB", f"{self.memory_gib:g}"),
            ("CpuArchitectureType", self.arch),
            ("HyperVGenerations", self.hyperv),
            ("MaxDataDiskCount", self.data_disks),
            ("LowPriorityCapable", self.spot),
            ("PremiumIO", self.premium_io),
            ("EphemeralOSDiskSupported", self.ephemeral_os_disk),
            ("AcceleratedNetworkingEnabled", self.accelerated_networking),
            ("RdmaEnabled", self.rdma),
        ]
        if self.gpus:
            pairs.append(("GPUs", self.gpus))
        return [{"name": name, "value": str(value)} for name, value in pairs]


def read_size(name: str, facts: Mapping[str, Any]) -> Size:
    """One size from a mapping; unknown fields raise `TypeError`."""
    values = {**facts, "name": name, "zones": tuple(facts.get("zones", ALL_ZONES))}
    return Size(**values)


def _packaged() -> dict[str, Mapping[str, Any]]:
    text = files("autoscale_aks.emulator").joinpath("data/sizes.json").read_text(encoding="utf-8")
    return {row["name"]: row for row in json.loads(text)["sizes"]}


class Catalog:
    """The sizes of one emulator and what each location may use of them."""

    def __init__(
        self, sizes: Mapping[str, Mapping[str, Any]] | None, restrictions: Mapping[str, tuple[str, ...]]
    ) -> None:
        table = _packaged() if sizes is None else sizes
        self._sizes = {name.casefold(): read_size(name, facts) for name, facts in table.items()}
        self._restrictions = {name.casefold(): tuple(zones) for name, zones in restrictions.items()}

    def __iter__(self) -> Iterator[Size]:
        return iter(self._sizes.values())

    def find(self, name: str) -> Size | None:
        """The size, or None when it is unknown or wholly restricted here."""
        size = self._sizes.get(name.casefold())
        if size is not None and self._restrictions.get(name.casefold()) == ():
            return None
        return size

    def zones(self, size: Size) -> tuple[str, ...]:
        """Zones a machine of this size may ask for."""
        barred = self._restrictions.get(size.name.casefold(), ())
        return tuple(zone for zone in size.zones if zone not in barred)

    def skus(self, location: str) -> list[dict[str, Any]]:
        """`Microsoft.Compute/skus` of one location; not only virtual machines (§9.1)."""
        rows = [self._sku(size, location) for size in self._sizes.values()]
        rows += [
            {"resourceType": kind, "name": name, "locations": [location], "capabilities": [], "restrictions": []}
            for kind, name in (("availabilitySets", "Aligned"), ("disks", "Premium_LRS"))
        ]
        return rows

    def _sku(self, size: Size, location: str) -> dict[str, Any]:
        return {
            "resourceType": "virtualMachines",
            "name": size.name,
            "tier": "Standard",
            "size": size.name.removeprefix("Standard_"),
            "family": size.family,
            "locations": [location],
            "locationInfo": [{"location": location, "zones": list(size.zones), "zoneDetails": []}],
            "capabilities": size.capabilities(),
            "restrictions": self._sku_restrictions(size, location),
        }

    def _sku_restrictions(self, size: Size, location: str) -> list[dict[str, Any]]:
        barred = self._restrictions.get(size.name.casefold())
        if barred is None:
            return []
        info: dict[str, Any] = {"locations": [location]}
        if barred:
            info["zones"] = list(barred)
        return [
            {
                "type": "Zone" if barred else "Location",
                "values": [location],
                "restrictionInfo": info,
                "reasonCode": "NotAvailableForSubscription",
            }
        ]

    def prices(self, location: str, seed: int) -> list[dict[str, Any]]:
        """Retail price items: on demand, Spot, Low Priority and Windows of each priced size (§9.3)."""
        return [item for size in self._sizes.values() for item in _price_items(size, location, seed)]


def _price_items(size: Size, location: str, seed: int) -> list[dict[str, Any]]:
    if size.usd_per_hour is None:
        return []
    usd = size.usd_per_hour
    spot = usd * SPOT_SHARE if size.spot_usd_per_hour is None else size.spot_usd_per_hour
    variants = [("", "", usd), ("", " Windows", usd * WINDOWS_SHARE)]
    if size.spot:
        variants += [(" Spot", "", spot), (" Low Priority", "", usd * LOW_PRIORITY_SHARE)]
        variants += [(" Spot", " Windows", spot * WINDOWS_SHARE)]
    return [_price_item(size, location, seed, *variant) for variant in variants]


def _price_item(size: Size, location: str, seed: int, meter: str, product: str, price: float) -> dict[str, Any]:
    short = size.name.removeprefix("Standard_").replace("_", " ")
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": round(price, 6),
        "unitPrice": round(price, 6),
        "armRegionName": location,
        "location": location,
        "effectiveStartDate": "2024-01-01T00:00:00Z",
        "meterId": guid(seed, "meter", size.name, meter, product),
        "meterName": short + meter,
        "productId": f"DZH-{size.family}",
        "skuId": f"DZH-{size.family}/{short}{meter}",
        "productName": f"Virtual Machines {size.family}{product}",
        "skuName": short + meter,
        "serviceName": "Virtual Machines",
        "serviceId": "DZH313Z7MMC8",
        "serviceFamily": "Compute",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": size.name,
    }
