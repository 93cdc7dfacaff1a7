"""How rows show values that are more than a word: amounts by name, durations, prices."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from autoscale_aks.units import format_value, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def amounts(values: Mapping[str, Any]) -> str:
    """`ncpus=4 mem=16g`."""
    return " ".join(f"{name}={_one(value)}" for name, value in values.items())


def constraints(values: Sequence[Mapping[str, Any]]) -> str:
    """Constraints in short: `ncpus=4 node.vm_size=Standard_F4|Standard_F8`."""
    return " ".join(amounts(one) for one in values)


def duration(seconds: float) -> str:
    """`45s`, `12m`, `3h05m`, `2d04h`."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole}s"
    minutes, hours = whole // 60, whole // 3600
    if minutes < 100:
        return f"{minutes}m"
    return f"{hours}h{minutes % 60:02}m" if hours < 48 else f"{hours // 24}d{hours % 24:02}h"


def price(value: Any) -> str:
    """A price an hour."""
    return f"{float(value):,.2f}"


def _one(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "|".join(_one(one) for one in value)
    if hasattr(value, "items"):
        return "{" + ", ".join(f"{name}={_one(one)}" for name, one in value.items()) + "}"
    if isinstance(value, float | Decimal):
        return f"{value:g}"
    if isinstance(value, str):
        return value.removeprefix("memory::").removeprefix("size::")
    return (
        format_value(value) if value is None or isinstance(value, bool) or number_of(value) is not None else str(value)
    )
