"""Frozen values of the model as JSON and back, exactly: the same value comes back, so the same plan is made of it.

==================  ====================================================================
value               in JSON
==================  ====================================================================
text, whole number, as they are; a float always has a point or an exponent
true, false, null
tuple               a list
frozendict          an object
dataclass           `{"$": "Node", …}` with the fields that are not at their default
enum                `{"$enum": ["Stage", "EXISTING"]}`
all else            `{"$fraction": "1/3"}`, `$decimal`, `$float` (inf, nan), `$list`, `$dict`, `$set`
JobShape            `{"$shape": 7}`: many jobs share one, and share it again when read
==================  ====================================================================
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from frozendict import frozendict

from autoscale_aks import errors, units
from autoscale_aks.model import bucket, job, limits, node, policy, snapshot

Json = Any

_MODULES: Final = (bucket, job, limits, node, policy, snapshot, errors, units)
_CLASSES: Final[Mapping[str, Any]] = frozendict(
    {
        name: found
        for module in _MODULES
        for name, found in vars(module).items()
        if isinstance(found, type) and (is_dataclass(found) or issubclass(found, enum.Enum))
    }
)
"""Every class of the model that a snapshot or a policy may hold, also ones to come."""


@dataclass(slots=True)
class Encoder:
    """Values to JSON; `shapes` are what jobs share."""

    shapes: list[Json] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)
    """Shapes stay alive, so that no other gets the identity of one that was seen."""

    def encode(self, value: Any) -> Json:
        """The value as JSON. Raises TypeError for one that no snapshot holds."""
        if value is None or isinstance(value, bool | str) or type(value) is int:
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"$float": repr(value)}
        if isinstance(value, tuple):
            return [self.encode(one) for one in value]
        if isinstance(value, job.JobShape):
            return {"$shape": self._shape(value)}
        if is_dataclass(value) and not isinstance(value, type):
            return {"$": type(value).__name__, **self._fields(value)}
        if isinstance(value, enum.Enum):
            return {"$enum": [type(value).__name__, value.name]}
        if isinstance(value, Mapping):
            return self._mapping(value)
        return self._rare(value)

    def _rare(self, value: Any) -> Json:
        if isinstance(value, Fraction):
            return {"$fraction": str(value)}
        if isinstance(value, Decimal):
            return {"$decimal": str(value)}
        if isinstance(value, list):
            return {"$list": [self.encode(one) for one in value]}
        if isinstance(value, frozenset | set):
            return {"$set": [self.encode(one) for one in sorted(value)]}
        raise TypeError(f"a {type(value).__name__} cannot be recorded")

    def _fields(self, value: Any) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for one in fields(value):
            if not one.init:
                continue
            held = getattr(value, one.name)
            default = one.default_factory() if one.default_factory is not MISSING else one.default
            if held != default or type(held) is not type(default):
                found[one.name] = self.encode(held)
        return found

    def _mapping(self, value: Mapping[Any, Any]) -> Json:
        is_plain = all(isinstance(key, str) and not key.startswith("$") for key in value)
        if is_plain and isinstance(value, frozendict):
            return {key: self.encode(one) for key, one in value.items()}
        pairs = [[self.encode(key), self.encode(one)] for key, one in value.items()]
        return {"$map" if isinstance(value, frozendict) else "$dict": pairs}

    def _shape(self, shape: job.JobShape) -> int:
        number = self._numbers.get(id(shape))
        if number is None:
            made = self._fields(shape)
            number = self._numbers[id(shape)] = len(self.shapes)
            self.shapes.append(made)
            self._kept.append(shape)
        return number


@dataclass(slots=True)
class Decoder:
    """JSON to values. Raises ValueError, TypeError or KeyError for what `Encoder` did not write."""

    shapes: list[Json]
    _made: dict[int, job.JobShape] = field(default_factory=dict)

    def decode(self, raw: Json) -> Any:
        """The value."""
        if isinstance(raw, list):
            return tuple(self.decode(one) for one in raw)
        if not isinstance(raw, dict):
            return raw
        tag = next(iter(raw), "")
        if tag == "$":
            return self._object(raw)
        if tag.startswith("$"):
            return self._tagged(tag, raw[tag])
        return frozendict({key: self.decode(one) for key, one in raw.items()})

    def _object(self, raw: dict[str, Json]) -> Any:
        made: Any = _CLASSES[raw["$"]]
        if not hasattr(made, "__dataclass_fields__"):
            raise ValueError(f"{raw['$']} is no record")
        return made(**{name: self.decode(one) for name, one in raw.items() if name != "$"})

    def _tagged(self, tag: str, raw: Json) -> Any:
        if tag == "$shape":
            return self._shape(raw)
        if tag == "$enum":
            name, member = raw
            return _CLASSES[name][member]
        if tag in {"$map", "$dict"}:
            pairs = {self.decode(key): self.decode(one) for key, one in raw}
            return frozendict(pairs) if tag == "$map" else pairs
        if tag == "$list":
            return [self.decode(one) for one in raw]
        if tag == "$set":
            return frozenset(self.decode(one) for one in raw)
        made = {"$fraction": Fraction, "$decimal": Decimal, "$float": float}[tag]
        return made(raw)

    def _shape(self, number: int) -> job.JobShape:
        found = self._made.get(number)
        if found is None:
            raw = self.shapes[number]
            found = self._made[number] = job.JobShape(**{name: self.decode(one) for name, one in raw.items()})
        return found
