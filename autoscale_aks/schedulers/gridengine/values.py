"""Grid Engine's small values. Every reader raises ValueError.

Sizes: `K`, `M`, `G`, `T` are powers of 1024, `k`, `m`, `g`, `t` powers of 1000 (sge_types(1)); our own language has
it the other way round (matching.md V1), so what is read here is written out in bytes.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from autoscale_aks.units import Size, exact

if TYPE_CHECKING:
    from autoscale_aks.units import Number

_SIZE: Final = re.compile(r"([0-9]{1,25}(?:\.[0-9]{1,12})?)([KMGTkmgt]?)\Z")
_NUMBER: Final = re.compile(r"-?[0-9]{1,25}(?:\.[0-9]{1,12})?\Z")
_FACTORS: Final = {
    "": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4,
}  # fmt: skip
_INFINITE: Final = frozenset({"infinity", "inf"})
_RANGE: Final = re.compile(r"([0-9]{1,9})(?:-([0-9]{0,9}))?(?::[0-9]{1,9})?\Z")
_TRUE: Final = frozenset({"true", "yes", "on", "1"})


def parse_memory(text: str, name: str) -> Size:
    """`1G`, `512M`, `16.000G`, `23587.828125M` → bytes, rounded down. Raises ValueError naming the complex."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError(f"{name}={_cut(text)} is not an amount of memory")
    return Size(int(Decimal(match[1]) * _FACTORS[match[2]]))


def parse_number(text: str, name: str) -> Number:
    """`4`, `1.000000`, `2.5`. Raises ValueError naming the complex."""
    if not _NUMBER.match(text.strip()):
        raise ValueError(f"{name}={_cut(text)} is not a number")
    return exact(Decimal(text.strip()))


def parse_flag(text: str) -> bool:
    """`true`, `1`, `1.000000`: a BOOL complex."""
    return text.strip().lower().partition(".")[0] in _TRUE


def parse_seconds(text: str) -> float:
    """`3600`, `1:00:00`, `INFINITY` → seconds. Raises ValueError."""
    text = text.strip().lower()
    if text in _INFINITE:
        return float("inf")
    parts = text.split(":")
    if len(parts) > 3 or not all(re.fullmatch(r"[0-9]{0,12}(\.[0-9]{1,9})?", part) for part in parts) or not text:
        raise ValueError(f"{_cut(text)} is not a time")
    return float(sum(float(part or 0) * 60**power for power, part in enumerate(reversed(parts))))


def parse_slots(text: str) -> int:
    """The least number of slots of a range: `6-12` → 6, `-8` → 1, `4,8` → 4. Raises ValueError."""
    first = text.strip().split(",")[0].strip()
    if first.startswith("-"):
        return 1
    match = _RANGE.match(first)
    if match is None or int(match[1]) < 1:
        raise ValueError(f"slots {_cut(text)} are no range of numbers")
    return int(match[1])


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
