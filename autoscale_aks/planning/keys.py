"""Keys by which equal needs are recognised: JSON values as tuples that tell every type apart (V2)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from frozendict import frozendict

from autoscale_aks.units import Size, exact

MAX_DEPTH: Final = 80
"""How deep a job's JSON may nest."""
_SURELY_EXACT: Final = 1 << 62
"""Whole numbers within need no further look."""


def json_key(value: Any, depth: int = 0) -> Any:
    """A hashable key; equal only for values that mean the same. Key order of objects means nothing.

    Raises ValueError for what nests too deeply or is no JSON.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return (kind.__name__, value)
    if kind is int and -_SURELY_EXACT < value < _SURELY_EXACT:
        return ("number", value)
    if kind is frozendict or kind is dict or isinstance(value, Mapping):
        return ("object", tuple([(str(name), json_key(value[name], depth + 1)) for name in sorted(value, key=str)]))
    if isinstance(value, list | tuple):
        return ("list", tuple([json_key(item, depth + 1) for item in value]))
    if isinstance(value, Size):
        return ("size", value.bytes)
    if isinstance(value, int | float | Decimal | Fraction):
        return ("number", exact(value))
    raise ValueError(f"{type(value).__name__} is not JSON")
