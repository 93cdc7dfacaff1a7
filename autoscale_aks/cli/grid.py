"""Rows of text in columns, within a width: no colour, no escape, whatever the cells hold. Quick for 100,000 rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from autoscale_aks.cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GAP: Final = 2
_LEAST: Final = 6
"""A column is never made narrower than this while another one is wider."""
_SEAM: Final = re.compile(r"(?<=[-_/.,:=])(?=[^\W\d])|(?<=[^\W\d][-_/])(?=\d)|(?<=[a-z0-9])(?=[A-Z])")
"""Where a word may be broken when it has to be: htc-|0017, standard|DSv5|Family; a date never is."""


def lay_out(header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int], width: int) -> Iterator[str]:
    """Lines of at most `width` cells: the header, then the rows; what is too long goes on below itself.

    `right` holds the indices of columns of numbers. Lines are broken between words while every column's longest word
    has room, then also at the seams of words, and inside of them only where nothing else fits.
    """
    cells = [[printable(cell) for cell in row] for row in (header, *rows)]
    columns = list(zip(*cells, strict=True))
    widths = [max(map(_length, column)) for column in columns]
    room = width - GAP * (len(widths) - 1)
    if sum(widths) > room:
        for least in _least_widths(columns, right):
            widths = _fitted(widths, least, room)
    for row in cells:
        yield from _lines(row, widths, right)


def _least_widths(columns: Sequence[Sequence[str]], right: frozenset[int]) -> Iterator[list[int]]:
    """How narrow columns may be made: of whole words, of their parts, numbers whole, and anything broken at last."""
    words = [max(_longest(cell.split(" ")) for cell in column) for column in columns]
    yield words
    parts = [max(_longest(_SEAM.sub(" ", cell).split(" ")) for cell in column) for column in columns]
    yield parts
    yield [
        word if index in right else min(part, _LEAST)
        for index, (word, part) in enumerate(zip(words, parts, strict=True))
    ]
    yield [_LEAST] * len(columns)


def _longest(pieces: Sequence[str]) -> int:
    return max(map(_length, pieces), default=0)


def _fitted(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths that fit, taken from the widest columns first, none below its least; wider where that cannot be."""
    found = list(widths)
    while sum(found) > room:
        open_ones = [index for index, one in enumerate(found) if one > least[index]]
        if not open_ones:
            break
        widest = max(found[index] for index in open_ones)
        rivals = [index for index in open_ones if found[index] == widest]
        second = max((found[index] for index in open_ones if found[index] < widest), default=0)
        share = widest - -(-(sum(found) - room) // len(rivals))
        for index in rivals:
            found[index] = max(second, least[index], share)
    return found


def _lines(row: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> Iterator[str]:
    parts = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
    for number in range(max(map(len, parts))):
        line = (
            _padded(part[number] if number < len(part) else "", widths[index], is_right=index in right)
            for index, part in enumerate(parts)
        )
        yield (" " * GAP).join(line).rstrip()


def _padded(text: str, width: int, *, is_right: bool) -> str:
    blank = " " * (width - _length(text))
    return blank + text if is_right else text + blank


def _folded(text: str, width: int) -> list[str]:
    """The text in pieces of at most `width`, cut at blanks or seams where that wastes less than most of a line."""
    if _length(text) <= width:
        return [text]
    pieces = []
    while _length(text) > width:
        cut = _fitting(text, width)
        blank = text.rfind(" ", 0, cut + 1)
        if blank > cut // 4 or (blank > 0 and _longest(text[blank:].split(maxsplit=1)[:1]) <= width):
            cut = blank
        else:
            cut = max((seam.start() for seam in _SEAM.finditer(text) if cut // 4 < seam.start() <= cut), default=cut)
        pieces.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return [*pieces, text] if text else pieces


def _fitting(text: str, width: int) -> int:
    """How many characters fit; at least one."""
    taken = 0
    for index, character in enumerate(text):
        taken += _length(character)
        if taken > width:
            return max(index, 1)
    return len(text)


def _length(text: str) -> int:
    """Cells on a terminal: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415  ASCII needs no table of widths

    return cell_len(text)
