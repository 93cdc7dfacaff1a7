"""The demand report's tables as rows, for Markdown and CSV. Pure."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.reports.words import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TABLES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "starts": ("Would start", ("bucket", "machines", "waves", "puts", "price_per_hour", "more", "binding_limit")),
    "stops": ("Would stop", ("bucket", "machines", "cause", "idle_s", "price_per_hour")),
    "waiting": ("Waiting", ("code", "jobs", "slots", "message", "next", "examples")),
    "limits": ("Limits", ("kind", "name", "unit", "limit", "used", "added", "left", "missing")),
    "demand": ("Demand against limits", ("bucket", "there", "new", "beyond", "more", "binding_limit")),
    "in_flight": (
        "Under way", ("bucket", "stage", "state", "machines", "oldest_s", "expected_s", "given_up_s"),
    ),
    "headroom": ("Headroom", ("name", "slots", "placed", "machines", "price_per_hour", "message")),
    "sources": ("Sources", ("name", "complete", "age_s", "detail")),
}  # fmt: skip
"""Table of the JSON document → its title and its columns, in order."""

_FORMULA: Final = frozenset("=+-@\t\r")
_MARKDOWN: Final = str.maketrans(
    {**{mark: f"\\{mark}" for mark in "\\`*_{}[]|~#"}, "<": "&lt;", ">": "&gt;", "&": "&amp;"}
)


@dataclass(frozen=True, slots=True)
class ReportTable:
    """One table: the rows are objects as in the JSON document."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]


def report_tables(document: Mapping[str, Any], wanted: Iterable[str] = ()) -> tuple[ReportTable, ...]:
    """The tables of a rendered report (`render_demand`), all or the wanted ones."""
    return tuple(
        ReportTable(name, *TABLES[name], rows=tuple(document[name])) for name in (tuple(wanted) or tuple(TABLES))
    )


def markdown_text(tables: Sequence[ReportTable], lead: str = "") -> str:
    """Every table that has rows, under its title; a sentence where none has."""
    parts = [f"# Demand report\n\n{lead}\n"] if lead else ["# Demand report\n"]
    for table in tables:
        if table.rows:
            lines = [_line(column.replace("_", " ") for column in table.columns)]
            lines.append(f"|{'|'.join(' ---: ' if _is_number(table, name) else ' --- ' for name in table.columns)}|")
            lines += [_line(_escaped(row.get(column)) for column in table.columns) for row in table.rows]
            body = "\n".join(lines)
            parts.append(f"## {table.title}\n\n{body}\n")
    return "\n".join(parts)


def csv_text(table: ReportTable) -> str:
    """One table as RFC 4180; a text that a spreadsheet would take for a formula is quoted with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([_cell(row.get(column)) for column in table.columns])
    return out.getvalue()


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _is_number(table: ReportTable, column: str) -> bool:
    values = [row.get(column) for row in table.rows]
    return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)


def _escaped(value: object) -> str:
    return _text(value).translate(_MARKDOWN) if isinstance(value, str | list) else _text(value)


def _cell(value: object) -> str:
    text = _text(value)
    return f"'{text}" if isinstance(value, str | list) and text[:1] in _FORMULA else text


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    if isinstance(value, list):
        return ", ".join(printable(str(one)) for one in value)
    return printable(str(value))
