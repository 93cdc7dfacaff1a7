"""PBS's small values: sizes, numbers and booleans, whether the JSON says `4`, `"4"`, `false` or `"16gb"`.

Every reader raises ValueError. Sizes are powers of 1024 (matching.md V1); words are eight bytes.
"""

from __future__ import annotations

import enum
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from autoscale_aks.units import Size, exact

if TYPE_CHECKING:
    from autoscale_aks.units import Value

_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?\Z")
_SIZE: Final = re.compile(r"([0-9]{1,25})([kmgtp]?)([bw]?)\Z", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_TRUE: Final = frozenset({"true", "t", "yes", "y"})
_FALSE: Final = frozenset({"false", "f", "no", "n"})
_WORD_BYTES: Final = 8


class Kind(enum.Enum):
    """What PBS calls a resource's type."""

    NUMBER = "number"
    SIZE = "size"
    BOOLEAN = "boolean"
    TEXT = "text"
    UNKNOWN = "unknown"


KINDS: Final = {
    "long": Kind.NUMBER, "float": Kind.NUMBER, "size": Kind.SIZE, "boolean": Kind.BOOLEAN, "string": Kind.TEXT,
    "string_array": Kind.TEXT,
}  # fmt: skip
"""The types as `qmgr -c 'list resource'` writes them."""


def parse_value(text: str, kind: Kind, name: str) -> Value:
    """A resource's value. Raises ValueError naming the resource."""
    text = text.strip()
    if kind is Kind.UNKNOWN:
        return _guess(text)
    if kind is Kind.TEXT:
        return _word(text)
    if kind is Kind.BOOLEAN:
        found = _boolean(text)
        if found is None:
            raise ValueError(f"{name}={_cut(text)} is neither true nor false")
        return found
    if kind is Kind.SIZE:
        return parse_pbs_size(text, name)
    return parse_number(text, name)


def parse_number(text: str, name: str) -> Value:
    """A number, exactly as written."""
    if not _NUMBER.match(text):
        raise ValueError(f"{name}={_cut(text)} is not a number")
    return exact(Decimal(text))


def parse_pbs_size(text: str, name: str) -> Size:
    """`1gb`, `1048576kb`, `512mb`, `100` (bytes), `2kw` (words)."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError(f"{name}={_cut(text)} is not a size such as 4gb")
    digits, scale, unit = match.groups()
    factor = _WORD_BYTES if unit.lower() == "w" else 1
    return Size(int(digits) * factor * 1024 ** _POWERS[scale.lower()])


def _guess(text: str) -> Value:
    """A value of a resource whose type nobody told: what it looks like."""
    if _NUMBER.match(text):
        return exact(Decimal(text))
    match = _SIZE.match(text)
    if match is not None and match[2]:
        return parse_pbs_size(text, "")
    return _word(text)


def _word(text: str) -> Value:
    """A string. `true` and `false` become booleans on both sides: PBS's JSON prints such strings without quotes."""
    lowered = text.lower()
    return lowered == "true" if lowered in {"true", "false"} else text


def _boolean(text: str) -> bool | None:
    lowered = text.lower()
    if lowered in _TRUE or lowered == "1":
        return True
    return False if lowered in _FALSE or lowered == "0" else None


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
