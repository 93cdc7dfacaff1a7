"""Kubernetes quantities: `500m`, `16Gi`, `1e3`, `2` → exact numbers."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from autoscale_aks.units import Number

_QUANTITY: Final = re.compile(
    r"([+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}))(?:[eE]([+-]?[0-9]{1,2})|(n|u|m|k|M|G|T|P|E|[KMGTPE]i))?\Z"
)
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


@lru_cache(maxsize=4096)
def parse_quantity(text: str) -> Number:
    """The amount, exact. Raises ValueError for anything that is no quantity, and for negative ones."""
    match = _QUANTITY.match(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no quantity such as 500m or 16Gi")
    digits, exponent, suffix = match.groups()
    amount = Fraction(digits)
    if exponent:
        amount *= Fraction(10) ** int(exponent)
    elif suffix:
        amount *= Fraction(10) ** _DECIMAL[suffix] if suffix in _DECIMAL else Fraction(2) ** _BINARY[suffix]
    if amount < 0:
        raise ValueError(f"{text[:40]!r} is negative")
    return amount.numerator if amount.denominator == 1 else amount


def quantity_of(raw: object) -> Number:
    """A quantity as JSON holds it: text, or a plain number. Raises ValueError."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise ValueError(f"{raw!r:.40} is no quantity")
    return parse_quantity(str(raw))
