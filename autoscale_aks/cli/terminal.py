"""Standard output as it is: how wide, whether coloured, and what characters it carries. Needs no library."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NO_BREAK: Final = "\u00a0"
"""A blank at which no line is broken: harmless, though Python does not call it printable."""
WIDTH: Final = 80
"""Where there is no terminal to ask."""


def is_coloured() -> bool:
    """Whether standard output takes escape codes: a terminal that is not told otherwise (`NO_COLOR`, `TERM=dumb`)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def screen_width() -> int:
    """The terminal's width in cells."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH


def heading(text: str) -> str:
    """A title, bold where escape codes are taken."""
    return f"\x1b[1m{text}\x1b[0m" if is_coloured() else text


def write_lines(lines: Iterable[str]) -> None:
    """Lines on standard output."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


@contextmanager
def busy(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Says on a terminal what is waited for, and takes it back; says nothing elsewhere."""
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    sys.stderr.write(f"{what} …")
    sys.stderr.flush()
    try:
        yield
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def print_json(document: Any, indent: int | None = 2) -> None:
    """One JSON document on standard output, whatever characters it can carry."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(document, indent=indent)
    sys.stdout.write(f"{text}\n")


def printable(text: str) -> str:
    """Text that cannot move a cursor or turn its line around: control and formatting characters are written out."""
    if text.isprintable():
        return text
    plain = (one.isprintable() or one == NO_BREAK for one in text)
    return "".join(
        one if ok else one.encode("unicode_escape").decode("ascii") for one, ok in zip(text, plain, strict=True)
    )
