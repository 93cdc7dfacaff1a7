"""`nodearrays` of a scenario → NodeArray values (contract scenario.md, defaults)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.model.bucket import DEFAULT_GROUP_SIZE, NodeArray, Offering
from autoscale_aks.units import Size, exact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.planning.reading import Reader

DEFAULT_LOCATION: Final = "westus2"
"""Where a node array is when it does not say (scenario.md, defaults)."""

_SHARED_KEYS: Final = ("cores_per_socket", "gpu_model", "arch", "vm_capabilities", "software_configuration")
_ARRAY_KEYS: Final = (
    "name", "agent_pool", "location", "spot", "priority", "enabled", "max_count", "max_core_count", "resources",
    "buckets", "new_placement_groups", *_SHARED_KEYS,
)  # fmt: skip
_BUCKET_KEYS: Final = (
    "vm_size", "vm_family", "vcpu_count", "pcpu_count", "quota_vcpus", "memory_gb", "gpu_count", "infiniband", "zone",
    "price", "max_count", "available_count", "placement_groups", "max_placement_group_size",
    "last_capacity_failure", *_SHARED_KEYS,
)  # fmt: skip


def decode_nodearrays(raw: Sequence[Any], frame: Reader, parts: Reader) -> tuple[NodeArray, ...]:
    """All node arrays. Faults of an array go to `frame`; a faulty bucket is left out and goes to `parts`."""
    named = any(isinstance(item, Mapping) and item.get("location") is not None for item in raw)
    seen: set[str] = set()
    found: list[NodeArray] = []
    for index, item in enumerate(raw):
        path = f"nodearrays[{index}]"
        if named and isinstance(item, Mapping) and item.get("location") is None:
            parts.wrong(f"{path}.location", f'not given while others name one; "{DEFAULT_LOCATION}" is taken')
        array = _decode_array(item, path, frame, parts)
        if array.name in seen:
            frame.wrong(f"{path}.name", f'a node array "{array.name}" stands in the file already')
        seen.add(array.name)
        found.append(array)
    return tuple(found)


def _decode_array(raw: Any, path: str, frame: Reader, parts: Reader) -> NodeArray:
    if not isinstance(raw, Mapping):
        frame.keys(raw, path, ())
        return NodeArray(name="", agent_pool="", location="")
    frame.keys(raw, path, _ARRAY_KEYS)
    name = frame.text(raw, "name", path)
    if "buckets" not in raw:
        frame.wrong(f"{path}.buckets", "is required (it may be an empty list)")
    offerings = (
        decode_offering(item, f"{path}.buckets[{index}]", raw, parts)
        for index, item in enumerate(frame.items(raw, "buckets", path))
    )
    return NodeArray(
        name=name,
        agent_pool=frame.text(raw, "agent_pool", path, name),
        location=frame.text(raw, "location", path, DEFAULT_LOCATION),
        spot=frame.flag(raw, "spot", path, default=False),
        priority=_priority(raw, path, frame),
        enabled=frame.flag(raw, "enabled", path, default=True),
        max_count=frame.optional_count(raw, "max_count", path),
        max_core_count=frame.optional_count(raw, "max_core_count", path),
        new_placement_groups=frame.flag(raw, "new_placement_groups", path, default=False),
        resources=frame.values(raw, "resources", path),
        software_configuration=_object(raw, "software_configuration", path, frame),
        offerings=_distinct(tuple(offerings), path, parts),
    )


def _distinct(found: Sequence[Offering | None], path: str, parts: Reader) -> tuple[Offering, ...]:
    """Offerings that could be read; one that says a size and zone again is left out."""
    kept: dict[tuple[str, str | None], Offering] = {}
    for index, offering in enumerate(found):
        if offering is None:
            continue
        key = (offering.vm_size, offering.zone)
        if key in kept:
            where = f" in zone {offering.zone}" if offering.zone else ""
            parts.wrong(f"{path}.buckets[{index}]", f"{offering.vm_size}{where} stands in the array already; left out")
        kept.setdefault(key, offering)
    return tuple(kept.values())


def _priority(raw: Mapping[str, Any], path: str, reader: Reader) -> int:
    """Any whole number; a higher one goes first (P2)."""
    found = raw.get("priority", 1)
    if isinstance(found, bool) or not isinstance(found, int):
        reader.wrong(f"{path}.priority", "expected a whole number")
        return 1
    return found


def _object(raw: Mapping[str, Any], key: str, path: str, reader: Reader) -> Mapping[str, Any]:
    found = raw.get(key)
    if found is None:
        return frozendict()
    if not isinstance(found, Mapping):
        reader.wrong(f"{path}.{key}", "expected an object")
        return frozendict()
    return frozendict(found)


def decode_offering(raw: Any, path: str, array: Mapping[str, Any], reader: Reader) -> Offering | None:
    """One entry of `buckets`; None, with every problem noted, when it cannot be read."""
    before = len(reader.problems)
    raw = reader.keys(raw, path, _BUCKET_KEYS)
    if not raw and len(reader.problems) > before:
        return None
    merged = {**{key: array[key] for key in _SHARED_KEYS if key in array}, **raw}
    vm_size = reader.text(raw, "vm_size", path)
    vcpus = reader.count(raw, "vcpu_count", path)
    memory = reader.number(raw, "memory_gb", path)
    if raw.get("memory_gb") is None:
        reader.wrong(f"{path}.memory_gb", "is required")
    price = reader.number(raw, "price", path)
    age = reader.number(raw, "last_capacity_failure", path)
    offering = Offering(
        vm_size=vm_size,
        vcpu_count=vcpus,
        memory=Size(exact(Fraction(memory or 0) * 1024**3)),
        pcpu_count=vcpus if raw.get("pcpu_count") is None else reader.count(raw, "pcpu_count", path),
        quota_vcpus=vcpus if raw.get("quota_vcpus") is None else reader.count(raw, "quota_vcpus", path),
        vm_family=reader.text(raw, "vm_family", path, vm_size),
        gpu_count=reader.count(raw, "gpu_count", path, 0),
        gpu_model=reader.optional_text(merged, "gpu_model", path),
        cores_per_socket=reader.optional_count(merged, "cores_per_socket", path),
        infiniband=reader.flag(raw, "infiniband", path, default=False),
        arch=reader.optional_text(merged, "arch", path),
        zone=reader.optional_text(raw, "zone", path),
        price=None if price is None else Fraction(price),
        max_count=reader.optional_count(raw, "max_count", path),
        available_count=reader.optional_count(raw, "available_count", path),
        placement_groups=reader.texts(raw, "placement_groups", path),
        max_placement_group_size=reader.count(raw, "max_placement_group_size", path, DEFAULT_GROUP_SIZE),
        last_capacity_failure=None if age is None else float(age),
        vm_capabilities=reader.values(merged, "vm_capabilities", path),
    )
    return offering if len(reader.problems) == before else None
