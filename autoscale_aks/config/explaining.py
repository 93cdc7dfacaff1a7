"""Schema errors in a person's words: what was expected, what was found, what to do next.

The schema helps with annotations of its own: `x-expected` says what a text or a value should be, `x-next` what to
do, and `x-elsewhere` where keys of other programs, or of another object, have gone.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.config.findings import Finding, listed, quoted, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from jsonschema.exceptions import ValidationError

    from autoscale_aks.config.findings import Path

_KINDS: Final = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a string",
    "boolean": "true or false",
    "object": "an object { … }",
    "array": "a list [ … ]",
    "null": "null",
}
_NUMERIC: Final = re.compile(r"-?\d{1,20}(\.\d{1,20})?\Z")
_MOST_GUESSES: Final = 20
"""Unknown keys in one object for which a known one is guessed; more than that are no typing mistakes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """A schema error: which rule, what the rule wanted, what it found, and the schema the rule stands in."""

    path: Path
    rule: str
    wanted: Any
    found: Any
    schema: Mapping[str, Any]


def explain(error: ValidationError) -> Iterator[Finding]:
    """One schema error as findings, each at its own path."""
    fault = _Fault(
        path=tuple(error.absolute_path),
        rule=str(error.validator),
        wanted=error.validator_value,
        found=error.instance,
        schema=error.schema if isinstance(error.schema, dict) else {},
    )
    if "propertyNames" in error.absolute_schema_path:
        message = f"the name should be {_expectation(fault)}{_next(fault)}"
        yield Finding((*fault.path, str(fault.found)), message, on_name=True)
    else:
        for tail, message in _EXPLAINERS.get(fault.rule, _other)(fault):
            yield Finding((*fault.path, *tail), message)


def did_you_mean(word: str, known: Sequence[str]) -> str | None:
    """The known word that was most likely meant: the same but for case, hyphens and underscores, or a close one."""
    folded = {_folded(candidate): candidate for candidate in reversed(known)}
    if len(word) > 64:
        return None
    if _folded(word) in folded:
        return folded[_folded(word)]
    close = difflib.get_close_matches(_folded(word), folded, n=1, cutoff=0.65)
    return folded[close[0]] if close else None


def _folded(word: str) -> str:
    return re.sub(r"[-_\s]", "", word).lower()


_Said = tuple[tuple[str, ...], str]


def _unknown_keys(fault: _Fault) -> Iterator[_Said]:
    schema = fault.schema
    known = list(schema.get("properties", {}))
    elsewhere: Mapping[str, str] = schema.get("x-elsewhere", {})
    extras = [key for key in fault.found if key not in known]
    for count, key in enumerate(extras):
        if key in elsewhere:
            yield (key,), f"there is no such key here; {elsewhere[key]}"
            continue
        guess = did_you_mean(key, known) if count < _MOST_GUESSES else None
        hint = f'; did you mean "{guess}"?' if guess else f"; known are {', '.join(known)}" if not count else ""
        yield (key,), f"there is no such key{hint}"


def _missing(fault: _Fault) -> Iterator[_Said]:
    properties = fault.schema.get("properties", {})
    for key in fault.wanted:
        if key not in fault.found:
            meaning = properties.get(key, {}).get("description", "")
            first = re.split(r"[.;] ", meaning)[0].rstrip(".")
            yield (key,), f"is missing; it must be given: {first}" if first else "is missing; it must be given"


def _wrong_type(fault: _Fault) -> Iterator[_Said]:
    yield (), f"expected {_expectation(fault)}, found {shown(fault.found)}{_retype(fault)}{_next(fault)}"


def _wrong_text(fault: _Fault) -> Iterator[_Said]:
    yield (), f"expected {_expectation(fault)}, found {shown(fault.found)}{_next(fault)}"


def _wrong_choice(fault: _Fault) -> Iterator[_Said]:
    words = [str(choice) for choice in fault.wanted if choice is not None]
    choices = listed([f'"{word}"' for word in words])
    if None in fault.wanted:
        choices += " (or null)"
    guess = did_you_mean(fault.found, words) if isinstance(fault.found, str) else None
    hint = f'; did you mean "{guess}"?' if guess else ""
    yield (), f"expected {choices}, found {shown(fault.found)}{hint}"


def _out_of_range(fault: _Fault) -> Iterator[_Said]:
    schema = fault.schema
    low, above, high = schema.get("minimum"), schema.get("exclusiveMinimum"), schema.get("maximum")
    bounds = [f"of at least {low}"] if low is not None else []
    bounds += [f"above {above}"] if above is not None else []
    bounds += [f"of at most {high}"] if high is not None else []
    both = f"from {low} to {high}" if low is not None and high is not None else " and ".join(bounds)
    yield (), f"expected a number {both}, found {shown(fault.found).removeprefix('the number ')}"


def _wrong_length(fault: _Fault) -> Iterator[_Said]:
    bound = fault.wanted
    unit = {"L": "characters", "I": "entries", "P": "keys"}[fault.rule[3]]
    if fault.rule.startswith("max"):
        yield (), f"expected at most {bound} {unit}, found {len(fault.found)}"
    else:
        yield (), f"is empty; at least {bound} {unit if bound > 1 else _ONE[unit]} must stand here"


_ONE: Final = {"characters": "character", "entries": "entry", "keys": "key"}


def _repeated(fault: _Fault) -> Iterator[_Said]:
    yield (), f"{quoted(str(fault.found[fault.path[-1]]))} stands in this list already; keep one of them"


def _other(fault: _Fault) -> Iterator[_Said]:
    yield (), f"is not as the schema's rule {fault.rule!r} wants it, found {shown(fault.found)}"


_EXPLAINERS: Final[Mapping[str, Callable[[_Fault], Iterator[_Said]]]] = {
    "additionalProperties": _unknown_keys,
    "required": _missing,
    "type": _wrong_type,
    "pattern": _wrong_text,
    "enum": _wrong_choice,
    "minimum": _out_of_range,
    "maximum": _out_of_range,
    "exclusiveMinimum": _out_of_range,
    "minLength": _wrong_length,
    "maxLength": _wrong_length,
    "minItems": _wrong_length,
    "maxItems": _wrong_length,
    "minProperties": _wrong_length,
    "maxProperties": _wrong_length,
    "uniqueItems": _repeated,
}


def _expectation(fault: _Fault) -> str:
    if "x-expected" in fault.schema:
        return str(fault.schema["x-expected"])
    kinds = fault.schema.get("type", "string")
    return listed([_KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)])


def _next(fault: _Fault) -> str:
    hint = fault.schema.get("x-next")
    return f"; {hint}" if hint else ""


def _retype(fault: _Fault) -> str:
    """The next step where a value of another type can be told to mean the right one."""
    wanted, found = fault.schema.get("type", ()), fault.found
    if isinstance(found, str):
        if ("number" in wanted or "integer" in wanted) and _NUMERIC.match(found):
            return "; write it without quotes"
        if "boolean" in wanted and found.lower() in {"true", "false"}:
            return "; write it in lower case without quotes"
    if "array" in wanted and not isinstance(found, list | dict) and found is not None:
        return "; write it in square brackets"
    if "string" in wanted and isinstance(found, int) and not isinstance(found, bool):
        return f'; write "{found}"' if abs(found) < 10**6 else "; write it in quotes"
    return ""
