"""PBS's JSON listings, object by object: one that is malformed is left out and spoils no other.

PBS prints one attribute a line, and some versions print users' environments without escaping what has to be escaped.
So a listing is cut at the lines that open an object, and each object is read alone; of jobs only the lines that are
wanted are looked at, and those of the environment, nested deeper, never.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import Problem, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SHOWN_PROBLEMS: Final = 20
_FRAME: Final = '"timestamp"'
_LONGEST_FRAME: Final = 1 << 22
"""Characters in which the first object has to open; a listing where it does not is read whole."""
_LONGEST_OPENING: Final = 1 << 10
"""A line that opens an object may lie across two pieces."""
_LINE: Final = re.compile(r'[ \t]*"([^"]+)":[ \t]*(.*?),?[ \t\r]*\Z')


def cut_objects(text: str | Iterable[str], section: str, source: str) -> Iterator[tuple[str, str]]:
    """Name and text of every object in `"section": {…}`; the text begins behind the brace that opens it.

    `text` may come in pieces, cut anywhere; of those no more than one object and one piece are kept. Raises
    SchedulerError when this is no listing at all. One printed in a single line is read whole.
    """
    pieces = iter((text,) if isinstance(text, str) else text)
    head = ""
    for piece in pieces:
        head += piece
        opening = _opening(head, section)
        if opening is not None:
            yield from _cut(head, pieces, opening)
            return
        if len(head) > _LONGEST_FRAME:
            break
    head += "".join(pieces)
    opening = _opening(head, section)
    if opening is not None:
        yield from _cut(head, iter(()), opening)
    elif f'"{section}":' in head:
        yield from _whole(head, section, source)
    elif _FRAME not in head and head.strip():
        raise SchedulerError(f"{source}: printed no listing; it begins {head.strip()[:60]!r}")


def _opening(head: str, section: str) -> re.Pattern[str] | None:
    """How the lines that open an object look, once the first of them is there; None before, and in other forms."""
    start = head.find(f'"{section}":')
    if start < 0:
        return None
    section_at = head.rfind("\n", 0, start) + 1
    # The section stands one step in, its objects two, whatever a malformed one looks like.
    indent = head[section_at:start] * 2 if not head[section_at:start].strip() else ""
    # Begins with a line break, not with ^: that is searched for many times as fast.
    opening = re.compile(rf'\n{indent}"([^"\n]+)":[ \t]*\{{[ \t\r]*(?=\n)')
    return opening if indent and opening.search(head, start) is not None else None


def _cut(text: str, pieces: Iterator[str], opening: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    name, begin, seen = "", -1, 0
    while True:
        for match in opening.finditer(text, seen):
            if begin >= 0:
                yield name, text[begin : match.start()]
            name, begin = match[1], match.end()
        piece = next(pieces, None)
        if piece is None:
            break
        kept = max(begin, 0)
        seen = max(len(text) - kept - _LONGEST_OPENING, 0)
        text, begin = text[kept:] + piece, begin - kept
    if begin >= 0:
        yield name, text[begin:]


def _whole(text: str, section: str, source: str) -> Iterator[tuple[str, str]]:
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise SchedulerError(f"{source}: is no JSON: {error}") from error
    objects = found.get(section) if isinstance(found, dict) else None
    for name, item in objects.items() if isinstance(objects, dict) else ():
        if isinstance(item, dict):
            yield str(name), "\n" + json.dumps(item, indent=1).removeprefix("{")


def read_objects(text: str, section: str, source: str, problems: list[Problem]) -> dict[str, Mapping[str, Any]]:
    """Every object with all its attributes: nodes, queues, servers. Attributes that cannot be read are left out."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, body in cut_objects(text, section, source):
        attributes = _decode(body)
        if attributes is None:
            attributes = _line_by_line(body)
            note(problems, f"{source} {name[:60]}", "is malformed; what could be read of it was")
        found[name] = attributes
    return found


def note(problems: list[Problem], path: str, message: str) -> None:
    """Report something left out, the first few of a kind."""
    if sum(1 for problem in problems if problem.message == message) < _SHOWN_PROBLEMS:
        problems.append(Problem(path, message))


def _decode(body: str) -> Mapping[str, Any] | None:
    try:
        found, _ = json.JSONDecoder(strict=False).raw_decode("{" + body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _line_by_line(body: str) -> Mapping[str, Any]:
    """What single lines say; a nested object is one attribute whose own lines are inside it."""
    top: dict[str, Any] = {}
    inner: dict[str, Any] | None = None
    for line in body.split("\n"):
        if line.strip().startswith("}"):
            inner = None
            continue
        match = _LINE.match(line)
        if match is None:
            continue
        if match[2] == "{":
            inner = top.setdefault(match[1], {})
            inner = inner if isinstance(inner, dict) else None
            continue
        (top if inner is None else inner)[match[1]] = _scalar(match[2])
    return top


def _scalar(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return text.strip('"')
