"""36 real-ish Azure VM sizes and the buckets made of them.

vCPUs, memory and GPUs are those of the public size tables; prices are rounded on-demand prices per hour, linear in
vCPUs within the D, E and F families and not linear elsewhere, which is what makes a packing good or bad.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Final

from autoscale_aks.model.bucket import NodeArray, Offering
from autoscale_aks.units import Size

if TYPE_CHECKING:
    from collections.abc import Iterator

GIB: Final = 1024**3
MIB: Final = 1024**2

_Row = tuple[str, str, int, int, int, str]


def _family(letter: str, suffix: str, gib_per_vcpu: int, per_vcpu: str, vcpus: tuple[int, ...]) -> list[_Row]:
    return [
        (f"Standard_{letter}{n}{suffix}", f"standard{letter}{suffix}Family", n, n * gib_per_vcpu, 0,
         str(Fraction(per_vcpu) * n))
        for n in vcpus
    ]  # fmt: skip


SIZES: Final[tuple[_Row, ...]] = (
    *_family("D", "s_v5", 4, "0.0575", (2, 4, 8, 16, 32, 48, 64, 96)),
    *_family("E", "s_v5", 8, "0.0755", (2, 4, 8, 16, 32, 48, 64, 96)),
    *_family("F", "s_v2", 2, "0.0508", (2, 4, 8, 16, 32, 48, 64, 72)),
    ("Standard_HB120rs_v3", "standardHBrsv3Family", 120, 448, 0, "3.96"),
    ("Standard_HB176rs_v4", "standardHBrsv4Family", 176, 704, 0, "8.64"),
    ("Standard_HC44rs", "standardHCSFamily", 44, 352, 0, "3.48"),
    ("Standard_M64s", "standardMSFamily", 64, 1024, 0, "6.67"),
    ("Standard_M128s", "standardMSFamily", 128, 2048, 0, "13.34"),
    ("Standard_NC6s_v3", "standardNCSv3Family", 6, 112, 1, "3.06"),
    ("Standard_NC12s_v3", "standardNCSv3Family", 12, 224, 2, "6.12"),
    ("Standard_NC24s_v3", "standardNCSv3Family", 24, 448, 4, "12.24"),
    ("Standard_NC24ads_A100_v4", "standardNCADSA100v4Family", 24, 220, 1, "3.67"),
    ("Standard_NC48ads_A100_v4", "standardNCADSA100v4Family", 48, 440, 2, "7.35"),
    ("Standard_NC96ads_A100_v4", "standardNCADSA100v4Family", 96, 880, 4, "14.69"),
    ("Standard_ND96asr_v4", "standardNDASv4Family", 96, 900, 8, "27.20"),
)
"""Name, family, vCPUs, GiB, GPUs, price per hour."""

_REGIONS: Final = (
    ("southcentralus", "1", False), ("southcentralus", "0.35", True), ("westus2", "1.04", False),
    ("westus2", "0.31", True), ("northeurope", "1.11", False),
)  # fmt: skip
_ZONES: Final = (("1", "1"), ("2", "1.002"), ("3", "1.005"))


def offering(row: _Row, *, zone: str | None = None, factor: Fraction = Fraction(1), **extra: object) -> Offering:
    """One size as a node array offers it; its price is the list price times `factor`."""
    name, family, vcpus, gib, gpus, price = row
    fields = {
        "vm_size": name, "vm_family": family, "vcpu_count": vcpus, "pcpu_count": vcpus, "quota_vcpus": vcpus,
        "memory": Size(gib * GIB), "gpu_count": gpus, "zone": zone, "price": Fraction(price) * factor,
        "infiniband": name.startswith(("Standard_H", "Standard_ND")),
    }  # fmt: skip
    return Offering(**{**fields, **extra})  # type: ignore[arg-type]


def make_arrays(buckets: int, **extra: object) -> tuple[NodeArray, ...]:
    """Node arrays with `buckets` buckets in all: regions and regular/spot × zones × the 36 sizes, all priced apart."""
    per_array = -(-buckets // len(_REGIONS)) if buckets > len(SIZES) else buckets
    arrays: list[NodeArray] = []
    missing = buckets
    for number, (location, region_factor, spot) in enumerate(_REGIONS):
        wanted = min(per_array, missing)
        if not wanted:
            break
        name = f"htc{number}"
        arrays.append(
            NodeArray(
                name=name,
                agent_pool=name,
                location=location,
                spot=spot,
                offerings=tuple(islice(_offerings(Fraction(region_factor), extra), wanted)),
            )
        )
        missing -= wanted
    if missing:
        raise ValueError(f"{buckets} buckets are more than the catalogue makes")
    return tuple(arrays)


def _offerings(region_factor: Fraction, extra: dict[str, object]) -> Iterator[Offering]:
    for zone, zone_factor in _ZONES:
        for row in SIZES:
            yield offering(row, zone=zone, factor=region_factor * Fraction(zone_factor), **extra)
