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
    from collections.abc import Iterator, Mapping

_SHOWN_PROBLEMS: Final = 20
_FRAME: Final = '"timestamp"'
_LINE: Final = re.compile(r'[ \t]*"([^"]+)":[ \t]*(.*?),?[ \t\r]*\Z')


def cut_objects(text: str, section: str, source: str) -> Iterator[tuple[str, str]]:
    """Name and text of every object in `"section": {…}`; the text begins behind the brace that opens it.

    Raises SchedulerError when this is no listing at all. One printed in a single line is read whole.
    """
    start = text.find(f'"{section}":')
    if start < 0:
        if _FRAME in text or not text.strip():
            return
        raise SchedulerError(f"{source}: printed no listing; it begins {text.strip()[:60]!r}")
    section_at = text.rfind("\n", 0, start) + 1
    # The section stands one step in, its objects two, whatever a malformed one looks like.
    indent = text[section_at:start] * 2 if not text[section_at:start].strip() else ""
    # Begins with a line break, not with ^: that is searched for many times as fast.
    opening = re.compile(rf'\n{indent}"([^"\n]+)":[ \t]*\{{[ \t\r]*(?=\n)')
    if not indent or opening.search(text, start) is None:
        yield from _whole(text, section, source)
        return
    name, begin = "", -1
    for match in opening.finditer(text, start):
        if begin >= 0:
            yield name, text[begin : match.start()]
        name, begin = match[1], match.end()
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
