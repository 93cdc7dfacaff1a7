"""Buckets made complete: what the file does not state of a VM size is looked up (user ask T17a–T17c, T17e).

`autoscale.json` states what it wants to (`NodeArrayConfig.stated`); the catalogue and the price list fill in the rest.
A size of which nobody knows cores and memory is left out of this cycle and reported; everything else goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, inf
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.cloud.azure.catalog import know_prices, know_size
from autoscale_aks.errors import Problem
from autoscale_aks.model.sizes import Reading
from autoscale_aks.model.snapshot import Source
from autoscale_aks.units import Size, exact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.config.values import Config, NodeArrayConfig
    from autoscale_aks.model.bucket import NodeArray, Offering
    from autoscale_aks.model.sizes import KnownSize, LiveSize, SizePrices
    from autoscale_aks.reconcile.world import World
    from autoscale_aks.units import Value

GIB: Final = 1024**3
_CAPABILITIES: Final = (
    "sockets", "numa_nodes", "gpu_share", "rdma_gbps", "ephemeral_os_disk", "premium_io", "accelerated_networking",
    "spot_capable", "max_data_disks",
)  # fmt: skip
"""Facts that nodes have as `node.vm_capabilities.NAME`, under their own names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedSize:
    """A size in one location with its prices and the source of each."""

    known: KnownSize
    prices: SizePrices
    price_sources: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """What was looked up for one cycle."""

    sizes: Mapping[tuple[str, str], PricedSize]
    """(location, case-folded size) → what is known of it."""
    sources: tuple[Source, ...] = ()
    """What was read, and how old it is (user ask T27a)."""
    notices: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class Lookup:
    """Sizes and prices by location, each source asked once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sizes: dict[str, Reading[Mapping[str, LiveSize]]] = {}
        self._prices: dict[str, Reading[Mapping[str, SizePrices]]] = {}
        self.found: dict[tuple[str, str], PricedSize] = {}

    def size(self, location: str, name: str) -> PricedSize:
        """One size in one location."""
        key = (location, name.casefold())
        if key not in self.found:
            references = self._world.config.references
            prices, sources = know_prices(
                name,
                location,
                self.prices(location),
                references.prices.overrides,
                references.catalogue.proxied_locations,
            )
            known = know_size(name, self.sizes(location))
            self.found[key] = PricedSize(known=known, prices=prices, price_sources=sources)
        return self.found[key]

    def sizes(self, location: str) -> Reading[Mapping[str, LiveSize]]:
        """The live list of a location; an empty reading where there is none."""
        if location not in self._sizes:
            port = self._world.reference
            self._sizes[location] = Reading(value=None) if port is None else port.sizes(location)
        return self._sizes[location]

    def prices(self, location: str) -> Reading[Mapping[str, SizePrices]]:
        """The live prices of a location; an empty reading where there are none."""
        if location not in self._prices:
            port = self._world.reference
            self._prices[location] = Reading(value=None) if port is None else port.prices(location)
        return self._prices[location]

    def sources(self, now: float) -> Iterable[Source]:
        """Every live source that said something, with its age."""
        for what, readings in (("VM sizes", self._sizes), ("prices", self._prices)):
            for location, reading in readings.items():
                age = reading.age_s(now)
                if reading.value is not None and age is not None:
                    yield Source(name=f"{what} of {location}", age_s=age, detail=reading.source)

    def notices(self, now: float) -> Iterable[str]:
        """What could not be read, or is old."""
        for what, readings, else_ in (
            ("VM sizes", self._sizes, "the packaged table is used"),
            ("prices", self._prices, "the packaged table is used where it has a price"),
        ):
            for location, reading in readings.items():
                if reading.detail:
                    age = reading.age_s(now)
                    used = else_ if age is None else f"those of {age / 3600:.1f} hours ago are used"
                    yield f"{what} of {location} could not be read: {reading.detail}; {used}"


def equip(world: World, *, until: float | None = None) -> World:
    """The world with every bucket complete. Does nothing to one that is equipped already. Never raises for a source.

    Everything that the cycle will read of Azure beside AKS is asked for here, all at once; a slow source is given at
    most a quarter of what is left until `until` (seconds since the epoch; None: no deadline).
    """
    if world.equipment is not None:
        return world
    _ask_for_all(world, until)
    lookup = Lookup(world)
    notices: list[str] = []
    problems: list[Problem] = []
    arrays: dict[str, NodeArrayConfig] = {}
    for name, nodearray in world.config.nodearrays.items():
        arrays[name] = _complete(nodearray, lookup, notices, problems)
    found = Equipment(
        sizes=frozendict(lookup.found),
        sources=tuple(lookup.sources(world.clock.now())),
        notices=(*lookup.notices(world.clock.now()), *dict.fromkeys(notices)),
        problems=tuple(dict.fromkeys(problems)),
    )
    return replace(world, config=_with_arrays(world.config, arrays), equipment=found)


def known_offline(config: Config) -> Config:
    """The configuration with what the packaged table and the site's prices say, for those who ask nobody.

    A size that the table does not have stays as it is.
    """
    nothing: Reading[Any] = Reading(value=None)
    references = config.references

    def known(array: NodeArray, offering: Offering, stated: frozenset[str]) -> Offering:
        name = offering.vm_size
        prices, sources = know_prices(
            name, array.location, nothing, references.prices.overrides, references.catalogue.proxied_locations
        )
        size = PricedSize(known=know_size(name, nothing), prices=prices, price_sources=sources)
        return complete_offering(offering, stated, size, spot=array.spot)

    arrays: dict[str, NodeArrayConfig] = {}
    for name, one in config.nodearrays.items():
        offerings = tuple(known(one.array, *pair) for pair in zip(one.array.offerings, one.stated, strict=True))
        arrays[name] = replace(one, array=replace(one.array, offerings=offerings))
    return _with_arrays(config, arrays)


def _ask_for_all(world: World, until: float | None) -> None:
    if world.reference is not None:
        arrays = [one for one in world.config.nodearrays.values() if one.array.enabled]
        most_s = inf if until is None else max(0.0, until - world.clock.now()) / 4
        subnets = [one.vnet_subnet_id for one in arrays if one.vnet_subnet_id is not None]
        world.reference.prepare([one.array.location for one in arrays], subnets, most_s=most_s)


def _with_arrays(config: Config, arrays: Mapping[str, NodeArrayConfig]) -> Config:
    return replace(config, nodearrays=frozendict(arrays))


def _complete(
    nodearray: NodeArrayConfig, lookup: Lookup, notices: list[str], problems: list[Problem]
) -> NodeArrayConfig:
    array = nodearray.array
    kept: list[tuple[Offering, frozenset[str]]] = []
    for offering, stated in zip(array.offerings, nodearray.stated, strict=True):
        size = lookup.size(array.location, offering.vm_size)
        missing = [key for key, fact in _NEEDED if key not in stated and getattr(size.known.facts, fact) is None]
        if missing:
            path = f"nodearrays.{array.name}.buckets ({offering.vm_size})"
            text = f"nothing is known of this size in {array.location}: state {' and '.join(missing)}, or mend its name"
            problems.append(Problem(path, text))
            continue
        kept.append((complete_offering(offering, stated, size, spot=array.spot), stated))
        notices += _warnings(array, offering, size)
    return replace(
        nodearray,
        array=replace(array, offerings=tuple(offering for offering, _ in kept)),
        stated=tuple(stated for _, stated in kept),
    )


_NEEDED: Final = (("vcpu_count", "vcpus"), ("memory_gb", "memory_gib"))


def complete_offering(offering: Offering, stated: frozenset[str], size: PricedSize, *, spot: bool) -> Offering:
    """An offering with the catalogue's word wherever the file says nothing."""
    facts, prices = size.known.facts, size.prices
    vcpus = offering.vcpu_count if "vcpu_count" in stated else facts.vcpus_available or facts.vcpus or 1
    per_core = facts.vcpus_per_core
    cores = vcpus if per_core is None else ceil(vcpus / per_core)
    said: dict[str, Any] = {
        "vcpu_count": vcpus,
        "memory": None if facts.memory_gib is None else Size(exact(facts.memory_gib * GIB)),
        "pcpu_count": cores,
        "quota_vcpus": max(vcpus, facts.vcpus or 0),
        "vm_family": facts.family,
        "gpu_count": facts.gpus,
        "gpu_model": facts.gpu_model,
        "cores_per_socket": _cores_per_socket(size.known),
        "infiniband": facts.rdma,
        "arch": facts.arch,
        "price": prices.spot if spot else prices.regular,
    }
    names = {"memory": "memory_gb"}
    chosen = {key: value for key, value in said.items() if value is not None and names.get(key, key) not in stated}
    capabilities = {**capabilities_of(size.known), **offering.vm_capabilities}
    return replace(
        offering,
        **chosen,
        vm_capabilities=frozendict(capabilities),
        restriction=why_barred(offering, size.known, spot=spot),
    )


def capabilities_of(known: KnownSize) -> Mapping[str, Value]:
    """Further facts of a size as `node.vm_capabilities.NAME` shows them; disks are sizes."""
    facts = known.facts
    found: dict[str, Value] = {
        name: _value(getattr(facts, name)) for name in _CAPABILITIES if getattr(facts, name) is not None
    }
    if facts.vcpus_per_core is not None:
        found["threads_per_core"] = facts.vcpus_per_core
    for name, mib in (("local_disk", facts.local_disk_mib), ("nvme_disk", facts.nvme_disk_mib)):
        if mib is not None:
            found[name] = Size(mib * 1024**2)
    return frozendict(found)


def _value(raw: Any) -> Value:
    return exact(raw) if isinstance(raw, Fraction) else raw


def _cores_per_socket(known: KnownSize) -> int | None:
    """Of the cores that are there to be used: constrained sizes spread theirs evenly over the parent's sockets."""
    facts = known.facts
    vcpus = facts.vcpus_available or facts.vcpus
    if facts.sockets is None or vcpus is None:
        return None
    return max(1, vcpus // (facts.vcpus_per_core or 1) // facts.sockets)


def why_barred(offering: Offering, known: KnownSize, *, spot: bool) -> str | None:
    """Why the subscription may not make machines of an offering (user ask T17e); None: it may."""
    if known.restriction is not None:
        return f"{known.restriction} for the whole size"
    if offering.zone is not None:
        if offering.zone in known.barred_zones:
            return f"{known.barred_zones[offering.zone]} in zone {offering.zone}"
        zones = known.facts.zones
        if zones is not None and offering.zone not in zones:
            others = f"only in {', '.join(zones)}" if zones else "nor in any other"
            return f"not sold in zone {offering.zone}, {others}"
    if spot and known.facts.spot_capable is False:
        return "not sold as spot"
    return None


def _warnings(array: NodeArray, offering: Offering, size: PricedSize) -> Iterable[str]:
    known, name = size.known, offering.vm_size
    barred = why_barred(offering, known, spot=array.spot)
    if barred is not None:
        yield f"RESTRICTED: {array.name}/{name} in {array.location}: {barred}; no machine of it is asked for"
    yield from listing_notes(known, name, array.location)


def listing_notes(known: KnownSize, name: str, location: str) -> Iterable[str]:
    """Which of the two lists does not have a size (user ask T17b)."""
    if known.is_listed is False:
        yield f"{name} is not in the live list of {location}; its creation may be refused"
    if known.is_listed and not known.is_packaged:
        yield f"{name} is not in the packaged table; its facts are what the resource SKU API says"
