"""Figures as people read them: sizes, times, prices, and names from outside that cannot do harm. Pure."""

from __future__ import annotations

import unicodedata
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from autoscale_aks.units import format_number

if TYPE_CHECKING:
    from autoscale_aks.units import Number

_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
_HARMLESS: Final = frozenset("\u200c\u200d")
"""Joiners that scripts and emoji are written with."""


def amount_text(amount: Number, *, is_size: bool) -> str:
    """`1,176`, `0.5` or `4.6 TiB`."""
    if not is_size:
        return f"{int(amount):,}" if amount == int(amount) else format_number(amount)
    scaled, unit = Fraction(amount), 0
    while abs(scaled) >= 1024 and unit + 1 < len(_UNITS):
        scaled, unit = scaled / 1024, unit + 1
    text = f"{float(scaled):,.1f}".removesuffix(".0")
    return f"{text} {_UNITS[unit]}"


def quantity_text(amount: float) -> str:
    """`1,176`, `2.5` or `0.192`: whole, or as many as four places."""
    return f"{amount:,}" if isinstance(amount, int) else f"{amount:,.4f}".rstrip("0").rstrip(".")


def price_text(price: Fraction | None) -> str:
    """A price an hour; `?` when it is not known."""
    return "?" if price is None else f"{float(price):,.2f}"


def duration_text(seconds: float | None) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`; empty when it is not known."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes, hours = divmod(whole // 60, 60)[::-1]
    if not hours:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def counted(number: int, noun: str) -> str:
    """`1 slot`, `2 slots`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def printable(text: str) -> str:
    """Text from outside without what would steer a terminal or turn the reading direction: such are spelled out."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if _is_plain(one) else one.encode("unicode_escape").decode() for one in text)


def _is_plain(character: str) -> bool:
    return character in _HARMLESS or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
