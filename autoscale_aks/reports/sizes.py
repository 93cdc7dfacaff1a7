"""VM sizes as rows, each fact with its source, and rules proposed from what machines have (T17a, T18a, T18c). Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.matching.constraint import write_value
from autoscale_aks.model.sizes import FACT_NAMES
from autoscale_aks.units import Size, format_value, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.model.sizes import KnownSize, SizeFacts, SizePrices
    from autoscale_aks.units import Value

COLUMNS: Final = (
    "size", "family", "cores", "physical", "memory_gib", "gpus", "gpu_model", "arch", "rdma", "zones", "price_per_hour",
    "spot_per_hour", "source", "restriction",
)  # fmt: skip
NOT_KNOWN: Final = "not known"
_RARELY_SAID: Final = frozenset({"gpu_share", "zones", "retired", "nvme_disk_mib"})
"""Facts that stand only where they are out of the ordinary, or where a live list says them."""
FACT_COLUMNS: Final = ("fact", "value", "source")
_UNITS: Final = {"memory_gib": " GiB", "local_disk_mib": " MiB", "nvme_disk_mib": " MiB", "rdma_gbps": " Gbit/s"}


@dataclass(frozen=True, slots=True)
class FactRow:
    """One fact of a size and whose word it is."""

    fact: str
    value: str
    source: str

    def as_dict(self) -> dict[str, str]:
        """By column name."""
        return {"fact": self.fact, "value": self.value, "source": self.source}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What machines of one size and image showed of one resource."""

    vm_size: str
    image: str
    resource: str
    promised: Value
    found: tuple[Value, ...]
    """One value a machine, smallest first."""


def size_rows(known: KnownSize, prices: SizePrices, price_sources: Mapping[str, str]) -> tuple[FactRow, ...]:
    """Every fact of a size; what nobody says is not known."""
    facts = known.facts
    rows = [
        FactRow(name, _shown(getattr(facts, name), _UNITS.get(name, "")), source)
        for name, source in known.sources.items()
    ]
    if facts.vcpus_available is not None and facts.vcpus_per_core:
        cores = -(-facts.vcpus_available // facts.vcpus_per_core)
        rows.append(FactRow("physical_cores", str(cores), "usable vCPUs / threads"))
    else:
        rows.append(FactRow("physical_cores", NOT_KNOWN, "vCPUs are counted as cores then"))
    rows += [
        FactRow(name, NOT_KNOWN, "") for name in FACT_NAMES if name not in known.sources and _is_wanted(name, facts)
    ]
    for kind, price in (("regular", prices.regular), ("spot", prices.spot)):
        value = NOT_KNOWN if price is None else f"{_shown(price, '')} an hour"
        rows.append(FactRow(f"price_{kind}", value, price_sources.get(kind, "")))
    if known.restriction is not None:
        rows.append(FactRow("restriction", known.restriction, "resource SKU API"))
    rows += [FactRow(f"zone {zone}", why, "resource SKU API") for zone, why in known.barred_zones.items()]
    return tuple(rows)


def _is_wanted(name: str, facts: SizeFacts) -> bool:
    """Whether a fact that nobody knows is missed: there is no model of no GPUs, and most GPUs are whole ones."""
    if name in _RARELY_SAID:
        return False
    if name == "gpu_model":
        return facts.gpus != 0
    return name != "rdma_gbps" or facts.rdma is not False


def list_row(known: KnownSize, prices: SizePrices) -> dict[str, Any]:
    """One line of `azaks sizes list`, by column name; None is not known."""
    facts = known.facts
    per_core = facts.vcpus_per_core
    cores = facts.vcpus_available
    return {
        "size": facts.name,
        "family": facts.family,
        "cores": cores,
        "physical": None if cores is None or per_core is None else -(-cores // per_core),
        "memory_gib": _number(facts.memory_gib),
        "gpus": facts.gpus,
        "gpu_model": facts.gpu_model,
        "arch": facts.arch,
        "rdma": facts.rdma,
        "zones": None if facts.zones is None else " ".join(facts.zones),
        "price_per_hour": _number(prices.regular),
        "spot_per_hour": _number(prices.spot),
        "source": known.sources.get("vcpus"),
        "restriction": known.restriction,
    }


def observed_rows(shown: Sequence[Shown]) -> tuple[FactRow, ...]:
    """Promised, observed and used, resource by resource (user ask T18a); two machines are needed to be used.

    Where a resource was seen on several images, the image stands in the fact's name: every fact has one of its own.
    """
    rows = []
    images = Counter(one.resource for one in shown)
    for one in shown:
        values = ", ".join(dict.fromkeys(format_value(value) for value in one.found))
        used = one.found[1] if len(one.found) > 1 else one.promised
        text = f"promised {format_value(one.promised)}, observed {values}, used {format_value(used)}"
        image = f", image {one.image}" if images[one.resource] > 1 else ""
        machines = "1 machine" if len(one.found) == 1 else f"{len(one.found)} machines"
        rows.append(FactRow(f"resource {one.resource}{image}", text, f"{machines}, image {one.image}"))
    return tuple(rows)


def propose_default_resources(shown: Sequence[Shown]) -> tuple[dict[str, Any], ...]:
    """`default_resources` entries, ready to paste before the site's own, where machines have another amount.

    One entry a size and resource, with the least that any machine showed, over all images: it fits everywhere. A
    resource that is as promised needs none (user ask T18c).
    """
    least: dict[tuple[str, str], Value] = {}
    differs: set[tuple[str, str]] = set()
    for one in shown:
        key = (one.vm_size, one.resource)
        for value in one.found:
            if key not in least or _amount(value) < _amount(least[key]):
                least[key] = value
            if _amount(value) != _amount(one.promised):
                differs.add(key)
    return tuple(
        rule_for({"node.vm_size": size}, resource, [least[size, resource]]) for size, resource in sorted(differs)
    )


def rule_for(select: Mapping[str, str], resource: str, found: Iterable[Value]) -> dict[str, Any]:
    """An entry of `default_resources` that gives the least of what was found."""
    return {"select": dict(select), "name": resource, "value": _literal(min(found, key=_amount))}


def _amount(value: Value) -> Fraction:
    return Fraction(number_of(value) or 0)


def _literal(value: Value) -> Any:
    if isinstance(value, Size):
        return write_value(Size(int(value.bytes)))
    return float(value) if isinstance(value, Fraction) else value


def _shown(value: Any, unit: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(value) or "none"
    if isinstance(value, Fraction):
        if unit or value.denominator == 1 or value.denominator % 2 == 0 or value.denominator % 5 == 0:
            return f"{float(value):.10g}{unit}"
        return str(value)
    return f"{value}{unit}"


def _number(value: Fraction | None) -> float | int | None:
    if value is None:
        return None
    return value.numerator if value.denominator == 1 else float(value)
