"""Slurm's small values: counts, megabytes, TRES lists, generic resources. Every reader raises ValueError."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

from autoscale_aks.schedulers.slurm.records import is_blank

_COUNT = re.compile(r"([0-9]{1,18})([KMGTP]?)\Z")
_MEMORY = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?([KMGTP]?)[cn]?\Z")
_PARENTHESES = re.compile(r"\([^()]*\)")
_POWERS: Final = {"K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
MEGABYTE: Final = 1024**2
_MOST_BYTES: Final = 2**70


def parse_count(text: str, name: str, *, blank: int = 0) -> int:
    """A count; `2-4` is its first number. Raises ValueError naming the field."""
    if is_blank(text) or text == "UNLIMITED":
        return blank
    match = _COUNT.match(text.partition("-")[0].strip())
    if match is None:
        raise ValueError(f"{name} {_cut(text)} is not a number")
    digits, suffix = match.groups()
    scale: int = 1024 ** _POWERS.get(suffix, 0)
    return int(digits) * scale


class Memory(NamedTuple):
    """An amount of memory as printed: bytes, and how far off the rounded print may be."""

    bytes: Fraction
    precision: Fraction

    def is_about(self, other: Fraction | int) -> bool:
        """Whether the printed amount can stand for `other` bytes."""
        return abs(self.bytes - other) <= self.precision


def parse_memory(text: str, name: str) -> Memory:
    """`3500M`, `112.50G`, `0`: powers of 1024, megabytes when nothing is said. Raises ValueError."""
    match = _MEMORY.match(text.strip())
    if match is None:
        raise ValueError(f"{name} {_cut(text)} is not an amount of memory")
    whole, decimals, suffix = match.groups()
    unit = 1024 ** _POWERS[suffix or "M"]
    amount = Fraction(f"{whole}.{decimals or 0}")
    if amount * unit > _MOST_BYTES:
        raise ValueError(f"{name} {_cut(text)} cannot be meant")
    precision = Fraction(unit, 10 ** len(decimals)) / 2 if decimals else Fraction(0)
    return Memory(amount * unit, precision)


def parse_tres(text: str) -> dict[str, str]:
    """`cpu=64,mem=112.50G,node=4` → its parts. Parts without `=` are left out."""
    if is_blank(text):
        return {}
    parts = (part.partition("=") for part in text.split(","))
    return {name.strip(): value.strip() for name, equals, value in parts if equals}


@dataclass(frozen=True, slots=True)
class Gres:
    """A generic resource: `gpu` of a type (or any) and how many."""

    name: str
    type: str
    count: int


def parse_gres(text: str, field: str) -> tuple[Gres, ...]:
    """`gres:gpu:1`, `gres:gpu:t4:1`, `gres/gpu:h200=2`, `gpu:a100:2(IDX:0-1)`, `cpu=8` (as name `cpu`), in order."""
    if is_blank(text):
        return ()
    bare = _PARENTHESES.sub("", text)
    return tuple(_one_gres(part.strip(), field) for part in bare.split(",") if part.strip())


def _one_gres(part: str, field: str) -> Gres:
    words = re.split(r"[:=]", part.removeprefix("gres:").removeprefix("gres/"))
    count = 1
    if len(words) > 1 and words[-1][:1].isdigit() and _COUNT.match(words[-1]):
        count = parse_count(words.pop(), field)
    name, kind = words[0], ":".join(words[1:])
    if not name or name[0].isdigit():
        raise ValueError(f"{field} {_cut(part)} names no resource")
    return Gres(name, kind, count)


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
