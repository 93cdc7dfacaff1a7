"""`Microsoft.Compute/skus` to facts about VM sizes (aks-machine-api.md §9.1).

===========================  =====================================================================
On the wire                  Here
===========================  =====================================================================
capability values            strings (`"True"`, `"0.75"`); one that cannot be read is not said
`MemoryGB`                   GiB
`GPUs` absent                0 GPUs: the API leaves it out on CPU sizes
`restrictions` `Location`    the whole size is unusable in the location
`restrictions` `Zone`        those zones are
===========================  =====================================================================
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypeVar

from frozendict import frozendict

from autoscale_aks.model.sizes import LiveSize, SizeFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_T = TypeVar("_T")
_ARCHITECTURES: Final = {"x64": "amd64", "arm64": "arm64"}
_MOST: Final = 10**9


def decode_skus(items: Iterable[object], location: str) -> Mapping[str, LiveSize]:
    """The virtual machine sizes of a location among `items`, by case-folded name; what else there is is left out."""
    found: dict[str, LiveSize] = {}
    for item in items:
        if isinstance(item, dict) and _text(item, "resourceType").casefold() == "virtualmachines":
            name = _text(item, "name")
            if name and _is_here(item, location):
                found[name.casefold()] = _size(item, name, location)
    return frozendict(found)


def _is_here(item: Mapping[str, Any], location: str) -> bool:
    places = item.get("locations")
    return not isinstance(places, list) or any(str(place).casefold() == location.casefold() for place in places)


def _size(item: Mapping[str, Any], name: str, location: str) -> LiveSize:
    restriction: str | None = None
    barred: dict[str, str] = {}
    for kind, zones, why in _restrictions(item, location):
        if kind == "location":
            restriction = restriction or why
        elif kind == "zone":
            barred |= dict.fromkeys(zones, why)
    facts = _facts(item, name, _zones(item, location, barred))
    return LiveSize(facts=facts, restriction=restriction, barred_zones=frozendict(barred))


def _facts(item: Mapping[str, Any], name: str, zones: tuple[str, ...] | None) -> SizeFacts:
    said = {_text(pair, "name"): _text(pair, "value") for pair in _list(item, "capabilities") if isinstance(pair, dict)}
    return SizeFacts(
        name=name,
        family=_text(item, "family") or None,
        arch=_ARCHITECTURES.get(said.get("CpuArchitectureType", "").casefold()),
        vcpus=_read(said, "vCPUs", _whole),
        vcpus_available=_read(said, "vCPUsAvailable", _whole) or None,
        vcpus_per_core=_read(said, "vCPUsPerCore", _whole) or None,
        memory_gib=_read(said, "MemoryGB", _amount) or None,
        gpus=_read(said, "GPUs", _whole) if "GPUs" in said else 0,
        rdma=_read(said, "RdmaEnabled", _truth),
        local_disk_mib=_read(said, "MaxResourceVolumeMB", _whole),
        nvme_disk_mib=_read(said, "NvmeDiskSizeInMiB", _whole),
        ephemeral_os_disk=_read(said, "EphemeralOSDiskSupported", _truth),
        premium_io=_read(said, "PremiumIO", _truth),
        accelerated_networking=_read(said, "AcceleratedNetworkingEnabled", _truth),
        spot_capable=_read(said, "LowPriorityCapable", _truth),
        max_data_disks=_read(said, "MaxDataDiskCount", _whole),
        zones=zones,
    )


def _zones(item: Mapping[str, Any], location: str, barred: Mapping[str, str]) -> tuple[str, ...] | None:
    """Zones that may be asked for; None where nothing is said of the location."""
    infos = [
        info
        for info in _list(item, "locationInfo")
        if isinstance(info, dict) and _text(info, "location").casefold() == location.casefold()
    ]
    if not infos:
        return None
    return tuple(sorted({str(zone) for info in infos for zone in _list(info, "zones")} - set(barred)))


def _restrictions(item: Mapping[str, Any], location: str) -> Iterator[tuple[str, list[str], str]]:
    for one in _list(item, "restrictions"):
        if not isinstance(one, dict):
            continue
        info = one.get("restrictionInfo")
        info = info if isinstance(info, dict) else {}
        places = _list(info, "locations") or _list(one, "values") or [location]
        if any(str(place).casefold() == location.casefold() for place in places):
            zones = [str(zone) for zone in _list(info, "zones")]
            yield _text(one, "type").casefold(), zones, _text(one, "reasonCode") or "restricted"


def _read(said: Mapping[str, str], name: str, reader: Callable[[str], _T]) -> _T | None:
    try:
        return reader(said[name])
    except (KeyError, ValueError, ZeroDivisionError):
        return None


def _whole(text: str) -> int:
    number = int(text)
    if not 0 <= number <= _MOST:
        raise ValueError(text)
    return number


def _amount(text: str) -> Fraction:
    number = Fraction(text[:40])
    if not 0 <= number <= _MOST:
        raise ValueError(text)
    return number


def _truth(text: str) -> bool:
    folded = text.casefold()
    if folded not in {"true", "false"}:
        raise ValueError(text)
    return folded == "true"


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""


def _list(item: Mapping[str, Any], key: str) -> list[Any]:
    value = item.get(key)
    return value if isinstance(value, list) else []
