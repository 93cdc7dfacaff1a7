"""Findings to problems: paths as text, each with the line where it stands."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from autoscale_aks.config.findings import quoted
from autoscale_aks.config.secrecy import secret_kind
from autoscale_aks.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.config.findings import Finding, Path

_PLAIN: Final = re.compile(r"[A-Za-z_][-A-Za-z0-9_]{0,79}\Z")
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]|[^\s\[\]{},:"]+', re.DOTALL)


def problems_of(findings: Iterable[Finding], text: str) -> list[Problem]:
    """Problems in the order of the file, each once, with its line where the file has more than one."""
    lines = line_numbers(text)
    several = max(lines.values()) > 1
    placed = sorted(
        {(_nearest(lines, finding.path), path_text(finding.path), finding.message): None for finding in findings},
        key=lambda item: item[0],
    )
    return [Problem(path, f"{message} (line {line})" if several else message) for line, path, message in placed]


def path_text(path: Path) -> str:
    """`nodearrays.htc.buckets[0].vcpu_count`; unusual keys are quoted, and a key that is a secret is hidden."""
    parts: list[str] = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        elif _PLAIN.match(part) and not secret_kind(part):
            parts.append(f".{part}" if parts else part)
        else:
            parts.append("[(hidden)]" if secret_kind(part) else f"[{quoted(part)}]")
    return "".join(parts)


def line_numbers(text: str) -> dict[Path, int]:
    """The line of every value in a JSON text, by path. The text has been read as JSON before."""
    lines: dict[Path, int] = {(): 1}
    frames: list[Path] = []
    here: list[str | int | None] = []
    line, at = 1, 0
    for token in _TOKEN.finditer(text):
        line += text.count("\n", at, token.start())
        at, word = token.start(), token.group()
        if word in ("]", "}"):
            frames.pop()
            here.pop()
        elif word == ",":
            last = here[-1]
            here[-1] = last + 1 if isinstance(last, int) else None
        elif here and here[-1] is None:
            here[-1] = json.loads(word)
            lines[_current(frames, here)] = line
        else:
            path = _current(frames, here)
            lines.setdefault(path, line)
            if word in ("[", "{"):
                frames.append(path)
                here.append(0 if word == "[" else None)
    return lines


def _current(frames: list[Path], here: list[str | int | None]) -> Path:
    if not frames:
        return ()
    last = here[-1]
    return frames[-1] if last is None else (*frames[-1], last)


def _nearest(lines: dict[Path, int], path: Path) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines[path]
