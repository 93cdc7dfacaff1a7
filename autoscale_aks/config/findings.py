"""One thing wrong with a document, before it is put into words with a line: a path of keys and indexes, a message."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list indexes from the top of the document."""

Document: TypeAlias = Any
"""What JSON can hold; numbers with a point are `decimal.Decimal`."""

_LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong where."""

    path: Path
    message: str
    on_name: bool = False
    """It is the key that is wrong, so that its value is still worth looking at."""
    about: tuple[Path, ...] = ()
    """Other places this was concluded from: where something is wrong with them already, it is not worth saying."""


def shown(value: Document) -> str:
    """A value as messages quote it: what kind it is, and the value itself where it is short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return f"the number {cut(str(value))}"
    if isinstance(value, str):
        return f"the string {quoted(value)}" if value else "an empty string"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "an object" if value else "an empty object"


def quoted(text: str) -> str:
    """Text in double quotes, printable on any terminal and cut when long."""
    return '"' + cut(text).encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'


def cut(text: str) -> str:
    """At most forty characters of a text."""
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def listed(words: list[str]) -> str:
    """`a, b or c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
