"""`--constraint` expressions: `spot|regular`, `a&b`, `(a|b)&c`, `[a|b]`, `a*2` → our constraint language.

Slurm evaluates `&` and `|` from left to right, without precedence: `a|b&c` is `(a|b)&c`. A comma is `&`.
`[a|b]` also wants all nodes to have the same of the choices, which cannot be said of one node, so such a job is
matched more loosely and a note says so. `[a*2&b*1]` counts nodes: `parse_counted` takes it apart where the job says how
many nodes it wants; other counts are matched loosely, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.schedulers.slurm.records import is_blank

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Named = Callable[[str], Mapping[str, Any]]

_TOKEN = re.compile(r"\s*(?:([&|,()\[\]!])|([^&|,()\[\]!*\s]+)(?:\*(\d{1,9}))?)")
_AND = re.compile("[&,]")
_WORD = r"[^&|,()\[\]!*\s]+"
_COUNTED = re.compile(
    rf"\[((?:{_WORD}(?:\*\d{{1,6}})?[&,])*{_WORD}\*\d{{1,6}}(?:[&,]{_WORD}(?:\*\d{{1,6}})?)*)\]((?:[&,]{_WORD})*)\Z"
)
NAME: Final = "name"
_MOST_TOKENS: Final = 400
_MOST_DEPTH: Final = 20
SAME_FEATURE: Final = "all nodes must have the same one of the features in [...]; any of them is looked at"
COUNTED: Final = "features with node counts (NAME*2); any of them is looked at"


@dataclass(slots=True)
class _Parser:
    tokens: list[tuple[str, str]]
    named: Named
    notes: list[str] = field(default_factory=list)
    depth: int = 0
    counted: bool = False

    def expression(self, end: str) -> Mapping[str, Any]:
        """Everything up to the closing token, from left to right."""
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            raise ValueError("features are nested too deeply")
        found = self.operand()
        while self.tokens and self.tokens[0][0] != end:
            operator = self.tokens.pop(0)[0]
            if operator not in {"&", "|", ","}:
                raise ValueError(f"features: expected & or | before {operator!r}")
            found = _joined("or" if operator == "|" else "and", found, self.operand())
        if end and not self.tokens:
            raise ValueError(f"features: {end!r} is missing")
        if end:
            self.tokens.pop(0)
        self.depth -= 1
        return found

    def operand(self) -> Mapping[str, Any]:
        """One feature, or something in brackets."""
        if not self.tokens:
            raise ValueError("features end with an operator")
        kind, name = self.tokens.pop(0)
        if kind == NAME:
            return self.named(name)
        if kind == "!":
            return {"not": self.operand()}
        if kind in {"(", "["}:
            if kind == "[" and SAME_FEATURE not in self.notes:
                self.notes.append(SAME_FEATURE)
            return self.expression(")" if kind == "(" else "]")
        raise ValueError(f"features: {kind!r} stands in the wrong place")


def _joined(operator: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> Mapping[str, Any]:
    """`and`/`or` of two, flat where the left one is of the same kind."""
    if set(left) == {operator}:
        return {operator: (*left[operator], right)}
    return {operator: (left, right)}


def parse_features(text: str, named: Named) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
    """The constraint (None: any node) and what could not be said. Raises ValueError when it cannot be read.

    `named` gives the constraint of one feature.
    """
    if is_blank(text):
        return None, ()
    tokens: list[tuple[str, str]] = []
    position, is_counted = 0, False
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None or len(tokens) >= _MOST_TOKENS:
            raise ValueError(f"features {text[:40]!r} cannot be read")
        position = match.end()
        is_counted |= match[3] is not None
        tokens.append((match[1], "") if match[1] else (NAME, match[2]))
    parser = _Parser(tokens, named)
    if is_counted:
        return _any_of(tokens, named), (COUNTED,)
    found = parser.expression("")
    return found, tuple(parser.notes)


def parse_counted(text: str, named: Named, nodes: int) -> tuple[tuple[Mapping[str, Any], int], ...]:
    """`[a*2&b*1]` and `[a*2&b*1]&c` of a job of so many nodes → constraints, each with its number of nodes.

    `c` holds for all of them. Nodes beyond the counts have any of the counted features, as Slurm chooses them; so that
    none of them is a node of the counts, all are asked for alone. Empty for everything else: no brackets, a choice,
    anything nested, and counts that are more than the nodes.
    """
    match = _COUNTED.match(text.strip())
    if match is None:
        return ()
    everywhere = tuple(named(word.strip()) for word in _AND.split(match[2]) if word.strip())
    counts: list[tuple[Mapping[str, Any], int]] = []
    for word in _AND.split(match[1]):
        name, _, count = word.strip().partition("*")
        counts.append((named(name), int(count or 1)))
    left = nodes - sum(count for _, count in counts)
    if left < 0 or not all(count for _, count in counts):
        return ()
    if left:
        counts.append((counts[0][0] if len(counts) == 1 else {"or": tuple(feature for feature, _ in counts)}, left))
        everywhere = (*everywhere, {"exclusive": True})
    return tuple(({"and": (feature, *everywhere)} if everywhere else feature, count) for feature, count in counts)


def _any_of(tokens: list[tuple[str, str]], named: Named) -> Mapping[str, Any] | None:
    """Counted features are of different nodes: one that has any of them is of use."""
    names = dict.fromkeys(name for kind, name in tokens if kind == NAME)
    choices = tuple(named(name) for name in names)
    return {"or": choices} if len(choices) > 1 else choices[0]
