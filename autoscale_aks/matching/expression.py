"""The arithmetic of `default_resources` values (contract matching.md D3): a small parser, never `eval`.

Grammar::

    choice     := condition [ "if" condition "else" choice ]
    condition  := sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
    sum        := product { ("+" | "-") product }
    product    := unary { ("*" | "/" | "//") unary }
    unary      := "-" unary | atom
    atom       := NUMBER | SIZE | 'TEXT' | node.PROPERTY | extreme | "(" choice ")"
    extreme    := ("min" | "max") "(" choice { "," choice } ")"
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, TypeAlias

from autoscale_aks.matching.properties import check_property
from autoscale_aks.units import Number, Size, Value, exact, number_of, parse_size

MAX_LENGTH: Final = 1_000
MAX_DEPTH: Final = 30

Lookup: TypeAlias = Callable[[str], Any]
"""Property name → value; None when the node has no such data."""
Evaluator: TypeAlias = Callable[[Lookup], Value]

_TOKEN = re.compile(
    r"\s*(?:(?P<size>(?:size|memory)::[0-9.]+[A-Za-z]*)|(?P<number>\d+(?:\.\d+)?)|'(?P<text>[^']*)'|"
    r"(?P<name>[A-Za-z_][A-Za-z0-9_.\-]*(?<![.\-]))|(?P<op>//|<=|>=|==|!=|[-+*/()<>,]))",
    re.ASCII,
)
_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: what it reads, and how to compute it."""

    text: str
    properties: frozenset[str]
    evaluate: Evaluator
    """Raises ValueError where the data does not allow the operation; None when a property it needs is absent."""


class _Absent(Exception):  # noqa: N818
    """A property that is null: the whole expression has no value (D7)."""


def parse_expression(text: str) -> Expression:
    """Parse the text between the back-quotes. Raises ValueError saying what was expected and where."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the expression is longer than {MAX_LENGTH} characters")
    parser = _Parser(_tokenize(text), set())
    evaluate = parser.choice(0)
    if parser.peek() is not None:
        raise ValueError(f"unexpected {parser.peek()!r} in {text!r}")

    def guarded(lookup: Lookup) -> Value:
        try:
            return evaluate(lookup)
        except _Absent:
            return None

    return Expression(text, frozenset(parser.properties), guarded)


def _tokenize(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise ValueError(f"cannot read {text[position:].strip()[:20]!r} in {text!r}")
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        position = match.end()
    return tokens


@dataclass(slots=True)
class _Parser:
    tokens: list[tuple[str, str]]
    properties: set[str]
    position: int = 0

    def peek(self) -> str | None:
        return self.tokens[self.position][1] if self.position < len(self.tokens) else None

    def accept(self, *texts: str) -> str | None:
        if self.position < len(self.tokens):
            kind, text = self.tokens[self.position]
            if text in texts and kind != "text":
                self.position += 1
                return text
        return None

    def expect(self, text: str) -> None:
        if self.accept(text) is None:
            raise ValueError(f"expected {text!r}, found {self.peek() or 'the end'}")

    def choice(self, depth: int) -> Evaluator:
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        value = self.condition(depth)
        if self.accept("if") is None:
            return value
        test = self.condition(depth)
        self.expect("else")
        other = self.choice(depth + 1)
        return lambda lookup: value(lookup) if test(lookup) else other(lookup)

    def condition(self, depth: int) -> Evaluator:
        left = self.sum(depth)
        operator = self.accept("<", "<=", ">", ">=", "==", "!=")
        if operator is None:
            return left
        right = self.sum(depth)
        return lambda lookup: _compare(operator, left(lookup), right(lookup))

    def sum(self, depth: int) -> Evaluator:
        return self._chain(lambda: self.product(depth), "+", "-")

    def product(self, depth: int) -> Evaluator:
        return self._chain(lambda: self.unary(depth), "*", "/", "//")

    def _chain(self, part: Callable[[], Evaluator], *operators: str) -> Evaluator:
        result = part()
        while True:
            operator = self.accept(*operators)
            if operator is None:
                return result
            result = _operation(operator, result, part())

    def unary(self, depth: int) -> Evaluator:
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        if self.accept("-"):
            inner = self.unary(depth + 1)
            return lambda lookup: arithmetic("-", 0, inner(lookup))
        return self.atom(depth)

    def atom(self, depth: int) -> Evaluator:
        if self.accept("("):
            inner = self.choice(depth + 1)
            self.expect(")")
            return inner
        if self.position >= len(self.tokens):
            raise ValueError("expected a number or a property, found the end")
        kind, text = self.tokens[self.position]
        self.position += 1
        if kind == "number":
            return _constant(exact(Decimal(text)))
        if kind == "size":
            return _constant(parse_size(text))
        if kind == "text":
            return _constant(text)
        if kind == "name" and text in {"min", "max"}:
            return self._extreme(min if text == "min" else max, depth)
        if kind == "name":
            return self._property(text)
        raise ValueError(f"expected a number or a property, found {text!r}")

    def _extreme(self, pick: Callable[..., Any], depth: int) -> Evaluator:
        self.expect("(")
        parts = [self.choice(depth + 1)]
        while self.accept(","):
            parts.append(self.choice(depth + 1))
        self.expect(")")
        return lambda lookup: pick((part(lookup) for part in parts), key=_amount)

    def _property(self, text: str) -> Evaluator:
        name = text.removeprefix("node.")
        wrong = check_property(name)
        if wrong:
            raise ValueError(wrong)
        self.properties.add(name)

        def read(lookup: Lookup) -> Value:
            found = lookup(name)
            if found is None:
                raise _Absent
            return found  # type: ignore[no-any-return]

        return read


def _constant(value: Value) -> Evaluator:
    return lambda _lookup: value


def _operation(operator: str, left: Evaluator, right: Evaluator) -> Evaluator:
    return lambda lookup: arithmetic(operator, left(lookup), right(lookup))


def _amount(value: Value) -> Number:
    amount = number_of(value)
    if amount is None:
        raise ValueError(f"{value!r} is not a number")
    return amount


def _compare(operator: str, left: Value, right: Value) -> bool:
    if operator in {"==", "!="}:
        amounts = number_of(left), number_of(right)
        same = amounts[0] == amounts[1] if None not in amounts else type(left) is type(right) and left == right
        return same == (operator == "==")
    return _COMPARISONS[operator](_amount(left), _amount(right))


def arithmetic(operator: str, left: Value, right: Value) -> Value:
    """`left operator right`, exact. A size stays a size, except size ÷ size, which is a number.

    Raises ValueError for non-numbers and for a division by zero.
    """
    first, second = Fraction(_amount(left)), Fraction(_amount(right))
    if operator in {"/", "//"} and second == 0:
        raise ValueError("division by zero")
    if operator == "+":
        result = first + second
    elif operator == "-":
        result = first - second
    elif operator == "*":
        result = first * second
    else:
        result = first / second if operator == "/" else Fraction(first // second)
    both = isinstance(left, Size) and isinstance(right, Size)
    is_size = (isinstance(left, Size) or isinstance(right, Size)) and not (both and operator in {"/", "//"})
    if max(abs(result.numerator), result.denominator) > 10**120:
        raise ValueError("the result is out of range")
    return Size(exact(result)) if is_size else exact(result)
