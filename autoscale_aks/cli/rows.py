"""The one place where rows are printed: `--format table|json|csv|markdown`, `--columns`, `--filter` (user ask T35a).

A verb that lists something declares a `Listing` (its columns with their meaning), takes `@row_options(LISTING)`, and
hands its rows to `print_rows`. A row is a mapping of column names to JSON-like values: numbers, sizes, texts,
booleans, null, or tuples of these. docs/rows.md tells the user's side.
"""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from autoscale_aks.cli.terminal import heading, print_json, printable, screen_width, write_lines
from autoscale_aks.errors import InputError, Problem
from autoscale_aks.units import Size, format_value, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from autoscale_aks.cli.filters import RowFilter

Row: TypeAlias = "Mapping[str, Any]"

FORMATS: Final = ("table", "json", "csv", "markdown")
EVERY: Final = "all"
"""`--columns all`: every column there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its name is the JSON key, the CSV heading, and what `--columns` and `--filter` call it."""

    name: str
    meaning: str
    """One line for help and documentation, with the unit."""
    title: str = ""
    """Heading in a table; by default the name with blanks."""
    is_number: bool = False
    is_default: bool = True
    """Whether a table shows it when no columns were chosen."""
    show: Callable[[Any], str] | None = None
    """How people see a value; null and absent ones are never handed to it."""
    absent: str = ""
    """What people see for null."""

    def shown(self, value: Any) -> str:
        """A value for people."""
        if value is None:
            return self.absent
        if self.show is not None:
            return self.show(value)
        if isinstance(value, tuple | list):
            return " ".join(format_value(one) for one in value)
        if isinstance(value, float):
            return f"{value:g}"
        return f"{value:,}" if type(value) is int and self.is_number else format_value(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a verb lists: its columns in order, and how the table is headed."""

    verb: str
    """The verb's name: default columns of the configuration are looked up by it."""
    title: str
    nothing: str
    """What a table of no rows says."""
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """One column. Raises KeyError for a name there is not."""
        return {column.name: column for column in self.columns}[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChoice:
    """What the arguments ask for; made by `row_options`, before the verb does anything."""

    form: str
    columns: tuple[str, ...] | None
    """None: the configuration's, else the listing's own."""
    row_filter: RowFilter | None = None

    @property
    def is_for_people(self) -> bool:
        """Whether sentences may stand beside the rows."""
        return self.form == "table"


def row_options(
    listing: Listing, *, filters: bool = True, instead: tuple[str, Listing] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a verb `--format`, `--columns` and `--filter`, and hands it a checked `choice`.

    Without `filters` for a verb whose own `--filter` says what it acts on. `instead` is a flag of the verb, by its
    parameter's name, and what is listed when it is given.
    """
    has_filters = filters

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def checked(*args: Any, form: str, columns: tuple[str, ...], **kwargs: Any) -> Any:
            chosen = kwargs.pop("filters") if has_filters else ()
            listed = instead[1] if instead is not None and kwargs.get(instead[0]) else listing
            return command(*args, choice=read_choice(listed, form, columns, chosen), **kwargs)

        others = [name for name in (instead[1].names if instead else ()) if name not in listing.names]
        known = ", ".join(listing.names) + (f"; {', '.join(others)}" if others else "")
        return _options(known, checked, has_filters=has_filters)

    return decorate


def _options(known: str, command: Callable[..., Any], *, has_filters: bool) -> Callable[..., Any]:
    help_of_filter = "Only rows that satisfy it, as state=ready or '{\"or\": […]}'; may be given again."
    filters = click.option("--filter", "filters", multiple=True, metavar="CONSTRAINT", help=help_of_filter)
    for option in (
        *([filters] if has_filters else ()),
        click.option("--columns", "columns", multiple=True, metavar="NAME,…",
                     help=f"Columns in this order, or all. Known: {known}."),
        click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True,
                     help="For people, or for programs."),
    ):  # fmt: skip
        command = option(command)
    return command


def read_choice(listing: Listing, form: str, columns: Sequence[str], filters: Sequence[str]) -> RowChoice:
    """What was asked for. Raises InputError for a column there is not, naming those there are."""
    names = [name.strip() for one in columns for name in one.split(",") if name.strip()]
    row_filter = None
    if filters:
        from autoscale_aks.cli.filters import parse_filters  # noqa: PLC0415  most runs filter nothing

        row_filter = parse_filters(filters, {column.name: column.is_number for column in listing.columns})
    chosen = _checked(listing, names, ["--columns"] * len(names)) if names else None
    return RowChoice(form=form, columns=chosen, row_filter=row_filter)


def _checked(listing: Listing, names: Sequence[str], paths: Sequence[str]) -> tuple[str, ...]:
    if list(names) == [EVERY]:
        return listing.names
    from autoscale_aks.cli.filters import unknown_column  # noqa: PLC0415

    wrong = [
        Problem(path, f'"{name}": {unknown_column(name, listing.names)}')
        for name, path in zip(names, paths, strict=True)
        if name not in listing.names
    ]
    if wrong:
        raise InputError(wrong)
    return tuple(dict.fromkeys(names))


def chosen_columns(
    listing: Listing, choice: RowChoice, defaults: Mapping[str, Sequence[str]] | None = None
) -> tuple[Column, ...]:
    """The columns to print: those asked for, else the configuration's `default_columns`, else the listing's own.

    Programs that ask for none get all in JSON and CSV, whatever a configuration prefers: their shape is stable.
    Raises InputError for a column of the configuration that there is not.
    """
    names = choice.columns
    if names is None and choice.form in {"json", "csv"}:
        names = listing.names
    if names is None and defaults and listing.verb in defaults:
        wanted = defaults[listing.verb]
        names = _checked(listing, wanted, [f"default_columns.{listing.verb}[{at}]" for at in range(len(wanted))])
    if names is None:
        names = tuple(column.name for column in listing.columns if column.is_default)
    return tuple(listing.column(name) for name in names)


def selected(rows: Sequence[Row], choice: RowChoice) -> list[Row]:
    """The rows that pass `--filter`."""
    return list(rows) if choice.row_filter is None else [row for row in rows if choice.row_filter.passes(row)]


def print_rows(
    listing: Listing,
    rows: Sequence[Row],
    choice: RowChoice,
    defaults: Mapping[str, Sequence[str]] | None = None,
    *,
    within: Callable[[list[dict[str, Any]]], Any] = list,
) -> None:
    """Print the rows that pass the filter, in the form and with the columns asked for.

    `within` puts more around the rows of JSON, for a verb that has more to say than them.
    """
    columns = chosen_columns(listing, choice, defaults)
    kept = selected(rows, choice)
    if choice.form == "json":
        print_json(within([plain(row, columns) for row in kept]))
    elif choice.form == "csv":
        _print_csv(kept, columns)
    elif choice.form == "markdown":
        write_lines(_markdown(kept, columns))
    elif kept:
        write_lines(_table(listing.title, kept, columns))
    else:
        write_lines([listing.nothing if not rows else f"None of {len(rows):,} rows passes the filter."])


def plain(row: Row, columns: Sequence[Column]) -> dict[str, Any]:
    """A row as a JSON object of the chosen columns: sizes in our own language, decimals as floats."""
    return {column.name: _plain(row.get(column.name)) for column in columns}


def _plain(value: Any) -> Any:
    if isinstance(value, Size):
        return size_text(value) if Fraction(value.bytes).denominator == 1 else f"size::{value}"
    if isinstance(value, Fraction | Decimal):
        return float(value)
    if hasattr(value, "items"):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


def _print_csv(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    import csv  # noqa: PLC0415

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    writer.writerows([_field(_plain(row.get(column.name))) for column in columns] for row in rows)


def _field(value: Any) -> str:
    """A value in one field: lists of words with blanks between them, objects as JSON."""
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value)):
        return json.dumps(value, ensure_ascii=False)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(map(_field, value)) if isinstance(value, list) else str(value)


def _markdown(rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[str]:
    def line(cells: Sequence[str]) -> str:
        escaped = (printable(cell).replace("\\", "\\\\").replace("|", "\\|") for cell in cells)
        return f"| {' | '.join(escaped)} |"

    yield line([_title(column) for column in columns])
    yield f"| {' | '.join('---:' if column.is_number else '---' for column in columns)} |"
    for row in rows:
        cells = [(column.shown(row.get(column.name)), column.is_number) for column in columns]
        yield line([cell.replace(",", "") if is_number else cell for cell, is_number in cells])


def _table(title: str, rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[str]:
    from autoscale_aks.cli.grid import lay_out  # noqa: PLC0415

    yield heading(title)
    header = [_title(column) for column in columns]
    cells = [[column.shown(row.get(column.name)) for column in columns] for row in rows]
    right = frozenset(index for index, column in enumerate(columns) if column.is_number)
    yield from lay_out(header, cells, right, screen_width())


def _title(column: Column) -> str:
    return column.title or column.name.replace("_", " ")


def print_notes(notes: Sequence[str], choice: RowChoice, kind: str = "note") -> None:
    """Sentences beside the rows: below a table, on standard error where a program reads."""
    for note in notes:
        click.echo(f"{kind}: {printable(note)}", err=not choice.is_for_people)
