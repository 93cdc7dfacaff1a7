"""Bytes and text to a JSON document, within bounds; numbers stay exactly as they were written."""

from __future__ import annotations

import json
import re
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.config.findings import Finding
from autoscale_aks.errors import ConfigError, Problem
from autoscale_aks.units import exact, parse_decimal

if TYPE_CHECKING:
    import os
    from decimal import Decimal

    from autoscale_aks.config.findings import Document, Path

MAX_BYTES: Final = 1024 * 1024
"""Largest configuration that is read; a thousand VM sizes take a third of it."""
MAX_DEPTH: Final = 32
"""Deepest nesting that is read; a plain configuration needs six."""
_MAX_DIGITS: Final = 60
_TOO_LONG: Final = f"is longer than {MAX_BYTES // 1024} KiB; this is not an autoscale.json"

_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_SYNTAX: Final = (
    ("Expecting property name", "expected a key in double quotes (after the last entry there is no comma)"),
    ("Illegal trailing comma", "there is a comma after the last entry; take it out"),
    ("Expecting ',' delimiter", "expected a comma or the closing bracket before this"),
    ("Expecting ':' delimiter", "expected a colon after the key"),
    ("Expecting value", "expected a value (a string in double quotes, a number, true, false, null, { or [)"),
    ("Unterminated string", "the string that begins here is not closed; its closing double quote is missing"),
    ("Invalid control character", "a string goes over the end of its line or holds a tab; write \\n or \\t instead"),
    ("Invalid \\", "this backslash means nothing here; write \\\\ for a backslash"),
    ("Extra data", "the object ends before this; what follows does not belong to it"),
)


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A number that cannot be taken, kept until its path is known."""

    message: str


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys were written more than once."""

    repeated: tuple[str, ...] = ()


def read_file(path: str | os.PathLike[str]) -> str:
    """The text of a configuration file. Raises ConfigError when it cannot be read, is too big, or is not UTF-8."""
    source = str(path)
    try:
        with FilePath(path).open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        mode = FilePath(path).stat().st_mode
    except IsADirectoryError:
        raise _unusable(source, "is a directory; name the file in it") from None
    except FileNotFoundError:
        raise _unusable(source, "there is no such file; conf/autoscale.example.json is a start") from None
    except PermissionError:
        raise _unusable(source, "may not be read by this user; its group needs read permission (0640)") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a file name"
        raise _unusable(source, f"cannot be read: {reason.lower()}") from None
    if stat.S_ISREG(mode) and mode & stat.S_IWOTH:
        raise _unusable(source, "anyone on this host may change it, and it names commands that are run; chmod o-w")
    return _decoded(content, source)


def _decoded(content: bytes, source: str) -> str:
    if len(content) > MAX_BYTES:
        raise _unusable(source, _TOO_LONG)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _unusable(source, "is not UTF-8 but UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unusable(source, f"line {line} is not UTF-8; save the file as UTF-8") from None


def read_document(text: str, source: str) -> tuple[Document, list[Finding]]:
    """The JSON document and what is wrong with its keys and numbers.

    Raises ConfigError for what is not JSON at all, with line and column.
    """
    _check_frame(text, source)
    try:
        raw = json.loads(
            text,
            object_pairs_hook=_object,
            parse_float=_number,
            parse_int=_number,
            parse_constant=lambda name: _Unreadable(f"{name} is not a number that can be used; write one with digits"),
        )
    except json.JSONDecodeError as error:
        raise _unusable(source, _syntax_message(error, text)) from None
    findings: list[Finding] = []
    return _settled(raw, (), findings), findings


def _check_frame(text: str, source: str) -> None:
    if len(text) > MAX_BYTES:
        raise _unusable(source, _TOO_LONG)
    if text.startswith("\ufeff"):
        raise _unusable(source, "begins with a byte order mark; save it as UTF-8 without one")
    if not text.strip():
        raise _unusable(source, "is empty; conf/autoscale.example.json is a start")
    depth = 0
    for token in _BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token.group(), 0)
        if depth > MAX_DEPTH:
            line = text.count("\n", 0, token.start()) + 1
            raise _unusable(source, f"line {line}: brackets are nested more than {MAX_DEPTH} deep")


def _syntax_message(error: json.JSONDecodeError, text: str) -> str:
    said = next((ours for theirs, ours in _SYNTAX if error.msg.startswith(theirs)), "this is not JSON")
    rest = text[error.pos : error.pos + 2]
    if rest.startswith(("#", "//", "/*")):
        said = "JSON has no comments; take it out"
    elif rest.startswith("'"):
        said = "JSON strings and keys stand in double quotes"
    elif not text[error.pos :].strip() and not error.msg.startswith("Unterminated"):
        said = "the file ends too early; a closing bracket or a value is missing"
    return f"line {error.lineno}, column {error.colno}: {said}"


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) < len(pairs):
        made.repeated = tuple(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
    return made


def _number(text: str) -> int | Decimal | _Unreadable:
    too_big = _Unreadable(f"the number is out of range; at most {_MAX_DIGITS} digits are read")
    if len(text) > _MAX_DIGITS + 6:
        return too_big
    try:
        number = parse_decimal(text)
        exact(number)
    except ValueError:
        return too_big
    return number if any(letter in text for letter in ".eE") else int(text)


def _settled(value: Any, path: Path, findings: list[Finding]) -> Document:
    if isinstance(value, _Object):
        said = "stands here more than once; keep one of them"
        findings.extend(Finding((*path, key), said) for key in value.repeated)
        return {_checked(key, (*path, key), findings): _settled(child, (*path, key), findings)
                for key, child in value.items()}  # fmt: skip
    if isinstance(value, list):
        return [_settled(child, (*path, index), findings) for index, child in enumerate(value)]
    if isinstance(value, _Unreadable):
        findings.append(Finding(path, value.message))
        return None
    return _checked(value, path, findings) if isinstance(value, str) else value


def _checked(text: str, path: Path, findings: list[Finding]) -> str:
    if _SURROGATE.search(text):
        findings.append(Finding(path, "holds half a character (a lone \\ud800 to \\udfff); write the whole one"))
    return text


def _unusable(source: str, message: str) -> ConfigError:
    return ConfigError([Problem(source, message)])
