"""Constraint kinds of a site's own (matching.md C6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from frozendict import frozendict

from autoscale_aks.errors import ConstraintError, InputError, Problem
from autoscale_aks.matching.constraint import ResourceValue
from autoscale_aks.matching.parse import parse_constraint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autoscale_aks.matching.constraint import Constraint
    from autoscale_aks.matching.parse import KindParser, Kinds

SiteParser: TypeAlias = "Callable[[Any], Constraint]"
"""From the JSON value that stands beside the kind's name to the constraint. Raises ValueError for what it refuses."""


def build_kinds(parsers: Mapping[str, SiteParser]) -> Kinds:
    """Kinds by the name that stands in JSON, for `DemandCalculator(kinds=…)` and `planner.plan(…, kinds)`.

    A parser's ValueError becomes a ConstraintError with the path to the key (C7), and so an `INVALID` job. Raises
    InputError when a name is taken by the language itself.
    """
    problems = [
        Problem(f'kind "{name}"', "this name belongs to the language; choose another")
        for name in parsers
        if _is_taken(name)
    ]
    if problems:
        raise InputError(problems)
    return frozendict({name: _with_path(name, parser) for name, parser in parsers.items()})


def _is_taken(name: str) -> bool:
    """A name is free when the language reads it as the name of a resource."""
    try:
        return not isinstance(parse_constraint({name: "any text"}), ResourceValue)
    except ConstraintError:
        return True


def _with_path(name: str, parser: SiteParser) -> KindParser:
    def parse(raw: Any, path: str) -> Constraint:
        try:
            found = parser(raw)
        except ConstraintError:
            raise
        except ValueError as error:
            raise ConstraintError.at(path, str(error)) from error
        if not hasattr(found, "to_json"):
            raise TypeError(f'the parser of "{name}" must return a constraint, not {type(found).__name__}')
        return found

    return parse
