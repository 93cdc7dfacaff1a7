"""`select` and `place` as PBS writes them → parts, nothing translated yet.

`select=2:ncpus=4:mem=8gb+1:ngpus=1` is two chunks of one kind and one of another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MOST_CHUNKS: Final = 10_000_000
"""More chunks of one job than any cluster has nodes are a misprint."""

_PART: Final = re.compile(r"""((?:[^+:"']|"[^"]*"|'[^']*')+)([+:]|\Z)""")
_COUNT: Final = re.compile(r"[0-9]{1,10}\Z")
_ARRANGEMENTS: Final = frozenset({"free", "pack", "scatter", "vscatter"})
_SHARING: Final = frozenset({"excl", "exclhost", "shared"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """One kind of chunk: how many, and the resources of each, as text."""

    count: int
    resources: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """How chunks lie on nodes."""

    arrangement: str = "free"
    """`free`, `pack`, `scatter` or `vscatter`."""
    is_exclusive: bool = False
    """`excl` or `exclhost`: our machines have one vnode each, so both mean the machine."""
    group: str = ""
    """Resource that has to be equal on all nodes of the job."""


@lru_cache(maxsize=4096)
def parse_select(text: str) -> tuple[Wanted, ...]:
    """Raises ValueError for what is no select statement."""
    chunks: list[Wanted] = []
    count, resources, is_first = 1, [], True
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise ValueError(f"select {text[:60]!r} cannot be read at {text[position : position + 20]!r}")
        part, separator = match[1].strip(), match[2]
        name, equals, value = part.partition("=")
        if equals and name.strip():
            resources.append((name.strip(), value.strip().strip("\"'")))
        elif is_first and _COUNT.match(part):
            count = int(part)
        else:
            raise ValueError(f"select {text[:60]!r} has {part[:20]!r} where a resource was expected")
        is_first = separator == "+"
        if separator != ":":
            chunks.append(_wanted(count, resources))
            count, resources = 1, []
        position = match.end()
    if not chunks or text.endswith(("+", ":")):
        raise ValueError(f"select {text[:60]!r} is not complete")
    return tuple(chunks)


def _wanted(count: int, resources: list[tuple[str, str]]) -> Wanted:
    if not 0 < count <= MOST_CHUNKS:
        raise ValueError(f"{count} chunks cannot be meant")
    return Wanted(count, tuple(sorted(dict(resources).items())))


@lru_cache(maxsize=1024)
def parse_place(text: str) -> Place:
    """`free`, `scatter:excl`, `pack:group=host`. Raises ValueError."""
    arrangement, is_exclusive, group = "free", False, ""
    for part in text.split(":") if text.strip() else ():
        word, equals, value = part.strip().partition("=")
        word = word.lower()
        if word == "group" and equals and value:
            group = value.strip()
        elif word in _ARRANGEMENTS and not equals:
            arrangement = word
        elif word in _SHARING and not equals:
            is_exclusive = word != "shared"
        else:
            raise ValueError(f"place {text[:60]!r} has {part[:20]!r}, which is no placement")
    return Place(arrangement, is_exclusive, group)
