"""`--filter`: rows as property sets, judged by the evaluator that judges nodes (contract matching.md §5).

A column is a resource of its row. `{"cores": 4}` asks for at least 4, as it does of a node; `{"node.cores": 4}` asks
for exactly 4; text may hold wildcards, a list means any of its entries, and `and`, `or`, `xor`, `not` nest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import ConstraintError, InputError, Problem
from autoscale_aks.matching.alternatives import compile_alternatives
from autoscale_aks.matching.constraint import (
    And,
    InPlacementGroup,
    MinResource,
    Never,
    Not,
    Or,
    ResourceList,
    ResourceValue,
    Xor,
    write_value,
)
from autoscale_aks.matching.evaluate import Untouched, first_equal, holds_alone
from autoscale_aks.matching.parse import parse_constraint
from autoscale_aks.matching.profile import Kind, Profile
from autoscale_aks.units import exact, number_of, parse_decimal, parse_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.matching.alternatives import Alternative
    from autoscale_aks.matching.constraint import Constraint
    from autoscale_aks.matching.parse import KindParser
    from autoscale_aks.units import Value

OPTION: Final = "--filter"
_WORDS: Final = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class _Exactly:
    """`node.COLUMN`: the column equals any of the values; for numbers too, where a resource asks for at least."""

    name: str
    values: tuple[Value, ...]
    kind: str = "a column's value"

    def holds_on(self, profile: Profile) -> bool:
        return first_equal(profile.resource(self.name), self.values) is not None

    def to_json(self) -> Any:
        return {f"node.{self.name}": [write_value(value) for value in self.values]}


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A compiled filter. Empty: every row passes."""

    parts: tuple[tuple[Alternative, ...], ...] = ()

    def passes(self, row: Mapping[str, Any]) -> bool:
        """Whether a row (column → value) satisfies every part."""
        if not self.parts:
            return True
        values = {name: exact(value) if isinstance(value, float) else value for name, value in row.items()}
        amounts = {name: number_of(value) for name, value in values.items()}
        profile = Profile(
            Kind(
                id=0,
                bucket=None,
                properties=values,
                resources=values,
                units=frozendict(),
                totals={name: amount for name, amount in amounts.items() if amount is not None},
                shared=frozendict(),
            )
        )
        return all(holds_alone(part, profile, Untouched(profile)) for part in self.parts)


def parse_filters(texts: Sequence[str], columns: Mapping[str, bool]) -> RowFilter:
    """The filter that several `--filter` make together: all must hold.

    `columns` holds the names that may be asked for, and whether each is a number. Raises InputError, with the
    nearest name, before anything is read.
    """
    kinds = {f"node.{name}": _exactly(name) for name in columns}
    parts = []
    for text in texts:
        try:
            constraint = parse_constraint(_read(text, columns), "", kinds)
            _check(constraint, columns)
            parts.append(compile_alternatives(constraint))
        except ConstraintError as error:
            raise InputError(_placed(problem) for problem in error.problems) from None
    return RowFilter(tuple(parts))


def _placed(problem: Problem) -> Problem:
    return Problem(f"{OPTION} {problem.path}".rstrip(), problem.message)


def _read(text: str, columns: Mapping[str, bool]) -> Any:
    """JSON, or the short form `NAME=VALUE[,VALUE…]`."""
    stripped = text.strip()
    if stripped.startswith(("{", "[")):
        try:
            found = json.loads(stripped, parse_float=parse_decimal)
        except ValueError as error:
            raise ConstraintError.at("", f'this is not JSON ({error}); example: \'{{"state": "ready"}}\'') from None
        return {"and": found} if isinstance(found, list) else found
    name, equals, value = stripped.partition("=")
    if not equals:
        example = next(iter(columns), "name")
        raise ConstraintError.at("", f'expected a constraint, as {example}=VALUE or {{"{example}": VALUE}}')
    values = [_value(one, is_number=columns.get(name.removeprefix("node."), False)) for one in value.split(",")]
    return {name.strip(): values[0] if len(values) == 1 else values}


def _value(text: str, *, is_number: bool) -> Any:
    text = text.strip()
    if text in _WORDS:
        return _WORDS[text]
    if is_number:
        try:
            return parse_decimal(text)
        except ValueError:
            return text
    return text


def _exactly(name: str) -> KindParser:
    def parse(raw: Any, path: str) -> Any:
        try:
            values = tuple(parse_value(one) for one in (raw if isinstance(raw, list | tuple) else [raw]))
        except ValueError as error:
            raise ConstraintError.at(path, str(error)) from None
        return _Exactly(name, values)

    return parse


def _check(constraint: Constraint, columns: Mapping[str, bool]) -> None:
    """Only what can be asked of a row: its columns, and logic over them."""
    if isinstance(constraint, And | Or | Xor):
        for child in constraint.children:
            _check(child, columns)
    elif isinstance(constraint, Not):
        _check(constraint.child, columns)
    elif isinstance(constraint, MinResource | ResourceValue | ResourceList):
        if constraint.name not in columns:
            raise ConstraintError.at(constraint.name, unknown_column(constraint.name, list(columns)))
    elif not isinstance(constraint, _Exactly | Never) and not (
        isinstance(constraint, InPlacementGroup) and "placement_group" in columns
    ):
        asked = next(iter(constraint.to_json()))
        raise ConstraintError.at(asked, f"cannot be asked of a row; columns are {', '.join(columns)}")


def unknown_column(name: str, known: Sequence[str]) -> str:
    """What to say of a column there is not: the nearest name, and all of them."""
    import difflib  # noqa: PLC0415  only mistakes need it

    close = difflib.get_close_matches(name, known, n=1)
    hint = f'did you mean "{close[0]}"? ' if close else ""
    return f"there is no such column; {hint}known are {', '.join(known)}"
