"""Host lists: `htc-[001-004,7],gpu-1` → names."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final

from autoscale_aks.schedulers.slurm.records import is_blank

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_HOSTS: Final = 200_000
_PIECE = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?\Z")


def expand_hosts(text: str) -> tuple[str, ...]:
    """The single names in order. Raises ValueError when it is no host list or names more than MOST_HOSTS."""
    if is_blank(text):
        return ()
    names: list[str] = []
    for item in _split(text.strip()):
        names.extend(itertools.islice(_expand_item(item.strip()), MOST_HOSTS + 1 - len(names)))
        if len(names) > MOST_HOSTS:
            raise ValueError(f"host list {text[:40]!r} names more than {MOST_HOSTS} hosts")
    return tuple(names)


def _split(text: str) -> Iterator[str]:
    """The items between commas that stand outside brackets."""
    start, depth = 0, 0
    for position, char in enumerate(text):
        depth += (char == "[") - (char == "]")
        if char == "," and depth == 0:
            yield text[start:position]
            start = position + 1
    yield text[start:]


def _expand_item(item: str) -> Iterator[str]:
    choices: list[list[str]] = []
    position = 0
    for piece in _PIECE.finditer(item):
        if piece.start() != position:
            break
        position = piece.end()
        choices.append([piece[2]] if piece[2] is not None else _expand_ranges(piece[1], item))
    if position != len(item) or not item:
        raise ValueError(f"{item[:40]!r} is no host list")
    return ("".join(parts) for parts in itertools.product(*choices))


def _expand_ranges(body: str, item: str) -> list[str]:
    found: list[str] = []
    for part in body.split(","):
        match = _RANGE.match(part)
        if match is None:
            raise ValueError(f"{item[:40]!r} is no host list")
        first, last = match[1], match[2] or match[1]
        if int(last) < int(first) or len(found) + int(last) - int(first) >= MOST_HOSTS:
            raise ValueError(f"host list {item[:40]!r} has a range that is backwards or too long")
        found.extend(str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
    return found
