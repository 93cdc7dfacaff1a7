"""Exact amounts, sizes in bytes, and natural name order (contract matching.md V1, V2, V4, A2).

Amounts are `int` or `fractions.Fraction`, never floats: `0.1g + 0.2g == 0.3g` and forty slots of 0.1 fit on 4.
Rounding happens on output only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Number: TypeAlias = int | Fraction

_POWERS: Final = {"b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_FACTORS: Final[dict[str, int]] = {
    "": 1,
    **{letter: 1024**power for letter, power in _POWERS.items()},
    **{f"{letter}b": 1024**power for letter, power in _POWERS.items() if power},
    **{letter.upper(): 1000**power for letter, power in _POWERS.items() if power},
}
_SIZE = re.compile(r"\s*(-?\d{1,60}(?:\.\d{1,60})?)\s*([A-Za-z]*)\s*\Z", re.ASCII)
_SIZE_PREFIXES: Final = ("size::", "memory::")
_MAX_EXPONENT: Final = 60
_LARGEST: Final = 10**_MAX_EXPONENT
_MAX_BYTES: Final = 10**30
_ASCII_DIGITS: Final = "0123456789"
_DIGITS = re.compile(r"(\d+)", re.ASCII)

MEMORY_UNITS: Final[dict[str, int]] = {f"mem{suffix}": _FACTORS[suffix] for suffix in ("b", "kb", "mb", "gb", "tb")}
"""The built-in memory names and the bytes one unit of each stands for: views of one quantity (V1, V4)."""


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """A number of bytes, exact (V1). Comparable with a size and, by its bytes, with a plain number (V4)."""

    bytes: Number

    def __str__(self) -> str:
        return format_size(self.bytes)


Value: TypeAlias = Number | Size | str | bool | None
"""What a resource or a property may be. Numbers and sizes are consumable; strings, booleans and null never are."""


def exact(number: float | Decimal | Fraction) -> Number:
    """A number without rounding: the decimal that was written, not the nearest binary float (V1).

    Raises ValueError for booleans, infinities, NaN and numbers beyond 10^60.
    """
    if isinstance(number, bool):
        raise ValueError(f"{number!r} is not a number")
    if isinstance(number, int):
        if abs(number) > _LARGEST:
            raise ValueError("the number is out of range")
        return number
    if isinstance(number, Fraction):
        return _whole(number)
    decimal = number if isinstance(number, Decimal) else Decimal(repr(number))
    if not decimal.is_finite() or abs(decimal.adjusted()) > _MAX_EXPONENT:
        raise ValueError(f"{number} is out of range")
    return _whole(Fraction(decimal))


def _whole(number: Fraction) -> Number:
    return number.numerator if number.denominator == 1 else number


def parse_size(text: str) -> Size:
    """`20g`, `size::20g`, `memory::4g`, `4gb`, `1.5T` → bytes (V1).

    Lower-case suffixes are powers of 1024, upper-case powers of 1000; `kb mb gb tb pb` are powers of 1024.
    Raises ValueError naming the text for an unknown suffix, a blank or a negative amount.
    """
    body = text
    for prefix in _SIZE_PREFIXES:
        body = body.removeprefix(prefix)
    match = _SIZE.match(body)
    if match is None:
        raise ValueError(f"{_shown(text)} is not a size; write a number and one of b k m g t p, as in memory::4g")
    digits, suffix = match.groups()
    if suffix not in _FACTORS:
        known = "b k m g t p (1024), kb mb gb tb pb (1024), K M G T P (1000)"
        raise ValueError(f"{_shown(text)} has the unknown suffix {suffix!r}; known are {known}")
    if digits.isdigit():
        amount: Number = int(digits) * _FACTORS[suffix]
    else:
        amount = _whole(Fraction(digits) * _FACTORS[suffix])
    if amount < 0:
        raise ValueError(f"{_shown(text)} is negative")
    if amount > _MAX_BYTES:
        raise ValueError(f"{_shown(text)} is out of range")
    return Size(amount)


def is_size_text(text: str) -> bool:
    """Whether a string is written as a size in our language (`size::…`, `memory::…`)."""
    return text.startswith(_SIZE_PREFIXES)


def parse_value(raw: object) -> Value:
    """A JSON scalar as a value: `memory::4g` becomes a size, numbers become exact, the rest stays.

    Raises ValueError for anything that is not a scalar, and for malformed sizes.
    """
    if isinstance(raw, str):
        return parse_size(raw) if raw.startswith(_SIZE_PREFIXES) else raw
    if raw is None or isinstance(raw, bool | Size):
        return raw
    if isinstance(raw, int | float | Decimal | Fraction):
        return exact(raw)
    raise ValueError(f"expected a number, string, boolean or null, not {type(raw).__name__}")


def number_of(value: object) -> Number | None:
    """The amount of a consumable value (bytes of a size), None for strings, booleans, null and all else (V2)."""
    if isinstance(value, Size):
        return value.bytes
    if isinstance(value, str | bool) or value is None:
        return None
    return value if isinstance(value, int | Fraction) else None


def format_number(number: Number) -> str:
    """Shortest decimal text; at most six places, which is the only rounding there is."""
    if isinstance(number, int):
        return str(number)
    if number.denominator == 1:
        return str(number.numerator)
    return f"{float(number):.6f}".rstrip("0").rstrip(".")


def exact_text(number: Number) -> str:
    """A terminating decimal with every digit, for writing back what was read (C4)."""
    fraction = Fraction(number)
    places = 0
    scaled = fraction
    while scaled.denominator != 1 and places < 4 * _MAX_EXPONENT:
        scaled *= 10
        places += 1
    if scaled.denominator != 1:
        raise ValueError(f"{number} has no finite decimal form")
    if not places:
        return str(scaled.numerator)
    digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
    return f"{'-' if scaled < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def format_size(amount: Number) -> str:
    """Bytes as `memory::…` without its prefix: the largest unit that keeps at most three decimals exact."""
    for suffix in ("p", "t", "g", "m", "k"):
        scaled = Fraction(amount) / _FACTORS[suffix]
        if abs(scaled) >= 1 and (scaled * 1000).denominator == 1:
            return f"{exact_text(scaled)}{suffix}"
    return f"{format_number(amount)}b"


def size_text(size: Size) -> str:
    """A size as our language writes it, exactly: parses back to an equal size (C4)."""
    short = format_size(size.bytes)
    return f"size::{short if parse_size(short) == size else exact_text(size.bytes) + 'b'}"


def format_value(value: Value) -> str:
    """A value as a person would write it in a constraint."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Fraction):
        return format_number(value)
    return str(value)


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts `htc-2` before `htc-10` (A2); digit runs of any length, none converted to a number."""
    key = []
    for index, part in enumerate(_DIGITS.split(name)):
        digits = part.lstrip("0") if index % 2 else ""
        if part:
            key.append((1, len(digits), digits) if index % 2 else (0, 0, part))
    return tuple(key)


def natural_order(names: Sequence[str]) -> list[int]:
    """Indices of the names in natural order, ties in the order given. Quick where names differ only in a number at
    the end, as those of one bucket mostly do."""
    stems = [name.rstrip(_ASCII_DIGITS) for name in names]
    if len(set(stems)) == 1:
        ends = [name[len(stems[0]) :] for name in names]
        if all(end and end[0] != "0" and len(end) < 18 for end in ends):
            numbers = list(map(int, ends))
            return sorted(range(len(names)), key=numbers.__getitem__)
    keys = [natural_key(name) for name in names]
    return sorted(range(len(names)), key=keys.__getitem__)


def parse_decimal(text: str) -> Decimal:
    """`parse_float` for JSON readers: keeps the digits as written. Raises ValueError when it cannot."""
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{_shown(text)} is not a number") from error


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
