"""Chance that does not depend on the order of requests: every draw is a hash of a seed and a name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from statistics import NormalDist
from typing import Literal

_NORMAL = NormalDist()
_STEPS = 1 << 53


def _digest(seed: int, parts: tuple[object, ...], size: int) -> bytes:
    return blake2b("\x1f".join((str(seed), *map(str, parts))).encode(), digest_size=size).digest()


def draw(seed: int, *parts: object) -> float:
    """A number in (0, 1), always the same for the same seed and parts."""
    whole = int.from_bytes(_digest(seed, parts, 8), "big") >> 11
    return (whole + 0.5) / _STEPS


def guid(seed: int, *parts: object) -> str:
    """A GUID in version-4 form, always the same for the same seed and parts (eTags, operation ids)."""
    text = _digest(seed, parts, 16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"


def digits(seed: int, count: int, *parts: object) -> str:
    """`count` decimal digits (the number in node names, §7.2)."""
    return str(int.from_bytes(_digest(seed, parts, 8), "big") % 10**count).zfill(count)


@dataclass(frozen=True, slots=True)
class Delay:
    """How long a step takes, in emulated seconds.

    `typical_s` is the constant, the middle, the mean or the median, `spread_s` the half width or the
    standard deviation, as `shape` says; nothing is shorter than `least_s`.
    """

    typical_s: float
    spread_s: float = 0.0
    shape: Literal["fixed", "uniform", "normal", "lognormal"] = "normal"
    least_s: float = 0.0

    @property
    def is_fixed(self) -> bool:
        """Whether chance has no part in it."""
        return self.spread_s == 0 or self.shape == "fixed"

    def at(self, chance: float) -> float:
        """The delay at a point of the distribution; `chance` in (0, 1)."""
        if self.is_fixed:
            return max(self.least_s, self.typical_s)
        if self.shape == "uniform":
            value = self.typical_s + self.spread_s * (2 * chance - 1)
        elif self.shape == "normal":
            value = self.typical_s + self.spread_s * _NORMAL.inv_cdf(chance)
        else:
            value = self.typical_s * math.exp(math.log1p(self.spread_s / self.typical_s) * _NORMAL.inv_cdf(chance))
        return max(self.least_s, value)
