"""Resource quota sets, `maxujobs` and global consumables → shared resources (matching.md C5, T06b, T07a).

`limit users {*} to slots=4` is a stock of four slots for each user; what runs has taken its part of it already, and
each waiting job takes its own. Of a set the first rule that names a job counts, as in Grid Engine. Rules for hosts or
projects cannot be told from outside and are reported instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.errors import Problem
from autoscale_aks.model.limits import SharedResource
from autoscale_aks.schedulers.gridengine.values import parse_memory, parse_number
from autoscale_aks.units import number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from autoscale_aks.schedulers.gridengine.objects import Complex
    from autoscale_aks.units import Number

_SET: Final = re.compile(r"\{\s*\n(.*?)\n\}", re.DOTALL)
_LIMIT: Final = re.compile(r"^\s*limit\s+(.*?)\bto\s+(\S+)\s*$")
_FILTER: Final = re.compile(r"\b(users|projects|pes|queues|hosts)\s+(\{[^}]*\}|\S+)")

Takings = tuple[tuple[str, "Number"], ...]
"""Names of shared resources and how much one job takes of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What decides which stocks a job draws on, and how much it takes."""

    user: str
    environment: str
    queues: tuple[str, ...]
    """The queues that may take it."""
    amounts: Mapping[str, Number]
    """Amounts of the whole job: slots, and every consumable it asks for."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One `limit` line."""

    name: str
    filters: Mapping[str, str]
    amounts: Mapping[str, Number]

    def entity(self, claim: Claim) -> str | None:
        """Whose stock a job draws on; None when the rule is not about it."""
        parts: list[str] = []
        queue = claim.queues[0] if len(claim.queues) == 1 else ""
        for kind, value in (("users", claim.user), ("pes", claim.environment or "NONE"), ("queues", queue)):
            if kind not in self.filters:
                continue
            pattern = self.filters[kind]
            if kind == "queues" and not all(_is_named(pattern, name) for name in claim.queues):
                return None
            if kind != "queues" and not _is_named(pattern, value):
                return None
            if pattern.startswith("{"):
                parts.append(value)
        return " ".join([self.name, *parts])


@dataclass(slots=True)
class Stocks:
    """Every quota and global consumable, and what running jobs hold of them."""

    complexes: Mapping[str, Complex]
    problems: list[Problem]
    global_left: Mapping[str, Number] = field(default_factory=frozendict)
    global_total: Mapping[str, Number] = field(default_factory=frozendict)
    jobs_of_a_user: int = 0
    _sets: tuple[tuple[_Rule, ...], ...] = ()
    _initial: dict[str, Number] = field(default_factory=dict)
    _used: dict[str, Number] = field(default_factory=dict)

    def read_rules(self, text: str) -> None:
        """Take the rules of `qconf -srqs`."""
        self._sets = tuple(tuple(self._rules(match[1])) for match in _SET.finditer(text))

    def count_running(self, claim: Claim) -> None:
        """Note what a running job holds of quotas. (Of global consumables Grid Engine says what is left.)"""
        for name, amount in self._takings(claim):
            self._used[name] = self._used.get(name, 0) + amount

    def takings(self, claim: Claim) -> Takings:
        """What a waiting job takes, and of which shared resources."""
        quotas = list(self._takings(claim))
        stocks = [(name, amount) for name, amount in claim.amounts.items() if name in self.global_left]
        return tuple((name, amount) for name, amount in (*quotas, *stocks) if amount)

    def shared(self) -> Mapping[str, SharedResource]:
        """All of them, with what is left."""
        found = {
            name: SharedResource(initial=most, current=max(0, most - self._used.get(name, 0)))
            for name, most in self._initial.items()
        }
        for name, left in self.global_left.items():
            found[name] = SharedResource(initial=max(left, self.global_total.get(name, left)), current=max(0, left))
        return frozendict(found)

    def _takings(self, claim: Claim) -> Iterator[tuple[str, Number]]:
        if self.jobs_of_a_user:
            name = f"maxujobs {claim.user}"
            self._initial.setdefault(name, self.jobs_of_a_user)
            yield name, 1
        for rules in self._sets:
            found = next(((rule, entity) for rule in rules if (entity := rule.entity(claim)) is not None), None)
            if found is None:
                continue
            rule, entity = found
            for resource, most in rule.amounts.items():
                name = f"{entity} {resource}"
                self._initial.setdefault(name, most)
                yield name, claim.amounts.get(resource, 0)

    def _rules(self, text: str) -> Iterator[_Rule]:
        lines = [line.strip() for line in text.replace("\\\n", " ").split("\n")]
        pairs = dict(line.partition(" ")[::2] for line in lines if not line.startswith("limit"))
        if pairs.get("enabled", "").strip().upper() == "FALSE":
            return
        name = pairs.get("name", "").strip()
        for number, line in enumerate((line for line in lines if line.startswith("limit")), start=1):
            shown = f"{name}/{number}"
            match = _LIMIT.match(line)
            filters = dict(_FILTER.findall(match[1])) if match else {}
            if match is None or any(filters.get(kind, "*") != "*" for kind in ("hosts", "projects")):
                self.problems.append(Problem(f"quota {shown}", f"{line[:80]!r} is not looked at"))
                continue
            amounts = dict(self._amounts(match[2], shown))
            known = {kind: value for kind, value in filters.items() if kind in {"users", "pes", "queues"}}
            yield _Rule(shown, frozendict(known), frozendict(amounts))

    def _amounts(self, text: str, shown: str) -> Iterator[tuple[str, Number]]:
        for part in text.split(","):
            name, _, value = part.partition("=")
            try:
                known = self.complexes.get(name)
                is_memory = known is not None and known.type == "MEMORY"
                amount = number_of(parse_memory(value, name)) if is_memory else parse_number(value, name)
                yield (known.name if known else name), amount or 0
            except ValueError as error:
                self.problems.append(Problem(f"quota {shown}", f"not looked at: {error}"))


def _is_named(pattern: str, name: str) -> bool:
    """Whether a filter's list (`{*}`, `dave,eve`, `!bob`) names this. Groups of users (`@staff`) cannot be told."""
    words = [word.strip() for word in pattern.strip("{}").split(",") if word.strip()]
    wanted = [word for word in words if not word.startswith("!")]
    if any(fnmatchcase(name, word[1:]) for word in words if word.startswith("!")):
        return False
    return not wanted or any(fnmatchcase(name, word) for word in wanted)
