"""Typed getters over JSON that collect every problem with its path instead of stopping at the first."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import Problem
from autoscale_aks.units import Number, Size, Value, number_of, parse_value

if TYPE_CHECKING:
    from collections.abc import Iterable


_LAST_MOMENT: Final = 253_402_300_799
"""The last second of the year 9999."""


@dataclass(slots=True)
class Reader:
    """Collects problems while a JSON document is read."""

    problems: list[Problem] = field(default_factory=list)

    def wrong(self, path: str, message: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(path, message))

    def keys(self, raw: Any, path: str, known: Iterable[str]) -> Mapping[str, Any]:
        """The object itself, with a problem for every unknown key; an empty one when it is no object."""
        if not isinstance(raw, Mapping):
            self.wrong(path, f"expected an object, found {kind_of(raw)}")
            return {}
        names = set(known)
        for key in raw:
            if key not in names:
                close = difflib.get_close_matches(str(key), sorted(names), n=1)
                hint = f'; did you mean "{close[0]}"?' if close else f"; known are {', '.join(sorted(names))}"
                self.wrong(joined(path, str(key)), f"unknown key{hint}")
        return raw

    def items(self, raw: Mapping[str, Any], key: str, path: str, *, required: bool = False) -> list[Any]:
        """A list; empty when absent."""
        found = raw.get(key)
        if found is None and key not in raw:
            if required:
                self.wrong(joined(path, key), "is required (it may be an empty list)")
            return []
        if not isinstance(found, list | tuple):
            self.wrong(joined(path, key), f"expected a list, found {kind_of(found)}")
            return []
        return list(found)

    def text(self, raw: Mapping[str, Any], key: str, path: str, default: str | None = None) -> str:
        """A string; required when there is no default."""
        found = raw.get(key, default)
        if isinstance(found, str) and (found or default is not None):
            return found
        self.wrong(joined(path, key), "is required" if found is None else f"expected a text, found {kind_of(found)}")
        return default or ""

    def optional_text(self, raw: Mapping[str, Any], key: str, path: str) -> str | None:
        """A string, or None for null and absent."""
        found = raw.get(key)
        if found is None or isinstance(found, str):
            return found
        self.wrong(joined(path, key), f"expected a text or null, found {kind_of(found)}")
        return None

    def texts(self, raw: Mapping[str, Any], key: str, path: str) -> tuple[str, ...]:
        """A list of strings; empty when absent."""
        found = self.items(raw, key, path)
        for index, item in enumerate(found):
            if not isinstance(item, str):
                self.wrong(f"{joined(path, key)}[{index}]", f"expected a text, found {kind_of(item)}")
        return tuple(item for item in found if isinstance(item, str))

    def flag(self, raw: Mapping[str, Any], key: str, path: str, *, default: bool) -> bool:
        """A boolean."""
        found = raw.get(key, default)
        if isinstance(found, bool):
            return found
        self.wrong(joined(path, key), f"expected true or false, found {kind_of(found)}")
        return default

    def count(
        self, raw: Mapping[str, Any], key: str, path: str, default: int | None = None, *, most: int | None = None
    ) -> int:
        """A whole number, 0 or more; required when there is no default."""
        found = raw.get(key, default)
        if found is None:
            self.wrong(joined(path, key), "is required")
            return 0
        whole = _whole(found)
        if whole is None or whole < 0:
            shown = found if isinstance(found, int | float) else kind_of(found)
            self.wrong(joined(path, key), f"expected a whole number, 0 or more, found {shown}")
            return default or 0
        if most is not None and whole > most:
            self.wrong(joined(path, key), f"expected at most {most:,}, found {whole}")
            return default or 0
        return whole

    def optional_count(self, raw: Mapping[str, Any], key: str, path: str) -> int | None:
        """A whole number, 0 or more, or None for null and absent."""
        return None if raw.get(key) is None else self.count(raw, key, path)

    def number(self, raw: Mapping[str, Any], key: str, path: str, default: Number | None = None) -> Number | None:
        """An exact number, 0 or more; the default for null and absent."""
        found = raw.get(key)
        if found is None:
            return default
        before = len(self.problems)
        value = self.value(found, joined(path, key))
        if len(self.problems) > before:
            return default
        amount = None if isinstance(value, Size) else number_of(value)
        if amount is None or amount < 0:
            self.wrong(joined(path, key), f"expected a number, 0 or more, found {found!r:.40}")
            return default
        return amount

    def value(self, raw: Any, path: str) -> Value:
        """A resource value; None with a problem when it is none."""
        try:
            return parse_value(raw)
        except ValueError as error:
            self.wrong(path, str(error))
            return None

    def values(self, raw: Mapping[str, Any], key: str, path: str) -> Mapping[str, Value]:
        """An object of resource values; empty when absent."""
        found = raw.get(key)
        if found is None:
            return frozendict()
        if not isinstance(found, Mapping):
            self.wrong(joined(path, key), f"expected an object, found {kind_of(found)}")
            return frozendict()
        where = joined(path, key)
        return frozendict({str(name): self.value(value, f"{where}.{name}") for name, value in found.items()})

    def time(self, raw: Mapping[str, Any], key: str, path: str) -> float | None:
        """Seconds since the epoch, from RFC 3339 text or a number; None for null and absent."""
        found = raw.get(key)
        if found is None:
            return None
        if isinstance(found, str):
            try:
                moment = datetime.fromisoformat(found.replace("Z", "+00:00"))
            except (ValueError, OverflowError):
                self.wrong(joined(path, key), f"expected a time such as 2026-11-22T08:00:00Z, found {found!r:.40}")
                return None
            return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
        amount = self.number(raw, key, path)
        if amount is not None and amount > _LAST_MOMENT:
            self.wrong(joined(path, key), "expected seconds since 1970, before the year 10000")
            return None
        return None if amount is None else float(amount)


def _whole(found: Any) -> int | None:
    if isinstance(found, bool):
        return None
    if isinstance(found, int):
        return found
    try:
        amount = number_of(parse_value(found)) if not isinstance(found, str) else None
    except ValueError:
        return None
    return amount if isinstance(amount, int) else None


def joined(path: str, key: str) -> str:
    """`path.key`, or the key alone at the top."""
    return f"{path}.{key}" if path else key


def kind_of(raw: object) -> str:
    """A JSON value's kind as a person says it."""
    if raw is None:
        return "null"
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "a boolean"), (str, "a text"), (Mapping, "an object"), (list, "a list"), (tuple, "a list"),
    )  # fmt: skip
    return next((name for kind, name in kinds if isinstance(raw, kind)), "a number")
