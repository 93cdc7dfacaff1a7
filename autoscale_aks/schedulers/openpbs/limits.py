"""Limits on running jobs and stocks of queues and of the server → shared resources (matching.md C5, T06b, T07a).

`max_run = [u:PBS_GENERIC=2]` is a stock of two for each user; what runs has taken its part of it already, and each
waiting job takes one. `resources_available.matlab = 3` of the server or of a queue is a stock too. Soft limits only
say whose jobs are preempted first, so they are not looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import Problem
from autoscale_aks.model.limits import SharedResource
from autoscale_aks.units import number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from autoscale_aks.schedulers.openpbs.facts import PbsFacts
    from autoscale_aks.schedulers.openpbs.records import JobFacts
    from autoscale_aks.units import Number

_RULE: Final = re.compile(r"\[\s*([ougp]):\s*\"?([^\]=\"]+?)\"?\s*=\s*([^\]]+?)\s*\]")
_EVERYBODY: Final = "PBS_ALL"
_EACH: Final = "PBS_GENERIC"
_OLD_COUNTS: Final = {"max_running": "o:PBS_ALL", "max_user_run": "u:PBS_GENERIC", "max_group_run": "g:PBS_GENERIC"}
_OLD_AMOUNTS: Final = {"max_user_res": "u:PBS_GENERIC", "max_group_res": "g:PBS_GENERIC"}

Takings = tuple[tuple[str, "Number"], ...]
"""Names of shared resources and how much one job takes of each."""


@dataclass(frozen=True, slots=True)
class _Limit:
    """One limit attribute of a queue or of the server."""

    scope: str
    queue: str | None
    attribute: str
    resource: str | None
    """None: jobs are counted."""
    rules: Mapping[str, Number]

    def entities(self, job: JobFacts) -> Iterator[tuple[str, Number]]:
        """Whose stocks a job draws on, with the limit: somebody's own limit stands above the generic one."""
        if f"o:{_EVERYBODY}" in self.rules:
            yield f"o:{_EVERYBODY}", self.rules[f"o:{_EVERYBODY}"]
        for letter, name in (("u", job.user), ("g", job.group), ("p", job.project)):
            limit = self.rules.get(f"{letter}:{name}", self.rules.get(f"{letter}:{_EACH}"))
            if limit is not None and name:
                yield f"{letter}:{name}", limit

    def name(self, entity: str) -> str:
        """What the shared resource is called."""
        return f"{self.scope} {self.attribute} {entity}"


@dataclass(slots=True)
class Stocks:
    """Every limit and stock of the complex, and what running jobs hold of them."""

    facts: PbsFacts
    problems: list[Problem]
    _limits: tuple[_Limit, ...] = ()
    _initial: dict[str, Number] = field(default_factory=dict)
    _used: dict[str, Number] = field(default_factory=dict)
    _pools: dict[tuple[str | None, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scopes: list[tuple[str | None, Mapping[str, Any]]] = [(None, self.facts.server)]
        scopes.extend(self.facts.queues.items())
        self._limits = tuple(limit for queue, attributes in scopes for limit in self._limits_of(queue, attributes))
        for queue, attributes in scopes:
            self._add_pools(queue, attributes)
        for name, left in self.facts.dynamic.items():
            self._pools[None, name] = name
            self._initial[name] = number_of(left) or 0
            self._used[name] = 0

    def count_running(self, job: JobFacts, tasks: int) -> None:
        """Note what running work holds: `tasks` of one array, or a job. (Pools say themselves what is assigned.)"""
        for limit in self._limits_on(job):
            amount = self._amount(limit, job)
            for entity, most in limit.entities(job):
                name = limit.name(entity)
                self._initial.setdefault(name, most)
                self._used[name] = self._used.get(name, 0) + amount * tasks

    def takings(self, job: JobFacts) -> Takings:
        """What one waiting job takes, and of which shared resources. Raises ValueError for an unreadable amount."""
        taken: list[tuple[str, Number]] = []
        for limit in self._limits_on(job):
            amount = self._amount(limit, job)
            for entity, most in limit.entities(job):
                name = limit.name(entity)
                self._initial.setdefault(name, most)
                taken.append((name, amount))
        for name, text in job.resources:
            for scope in (None, job.queue):
                pool = self._pools.get((scope, name))
                if pool is not None:
                    taken.append((pool, number_of(self.facts.value(name, text)) or 0))
        return tuple((name, amount) for name, amount in taken if amount)

    def shared(self) -> Mapping[str, SharedResource]:
        """All of them, with what is left."""
        return frozendict(
            {
                name: SharedResource(initial=most, current=max(0, most - self._used.get(name, 0)))
                for name, most in self._initial.items()
            }
        )

    def _limits_on(self, job: JobFacts) -> Iterator[_Limit]:
        return (limit for limit in self._limits if limit.queue in {None, job.queue})

    def _amount(self, limit: _Limit, job: JobFacts) -> Number:
        if limit.resource is None:
            return 1
        text = next((value for name, value in job.resources if name == limit.resource), None)
        if text is None:
            return 0
        try:
            return number_of(self.facts.value(limit.resource, text)) or 0
        except ValueError:
            return 0

    def _limits_of(self, queue: str | None, attributes: Mapping[str, Any]) -> Iterator[_Limit]:
        scope = "server" if queue is None else f"queue {queue}"
        counts = {"max_run": attributes.get("max_run")}
        counts |= {old: f"[{who}={attributes[old]}]" for old, who in _OLD_COUNTS.items() if old in attributes}
        for attribute, text in counts.items():
            if text:
                yield _Limit(scope, queue, attribute, None, self._rules(str(text), None, f"{scope} {attribute}"))
        for attribute in ("max_run_res", *_OLD_AMOUNTS):
            found = attributes.get(attribute)
            for resource, value in found.items() if isinstance(found, dict) else ():
                text = str(value) if attribute == "max_run_res" else f"[{_OLD_AMOUNTS[attribute]}={value}]"
                named = f"{attribute}.{resource}"
                rules = self._rules(text, resource, f"{scope} {named}")
                yield _Limit(scope, queue, named, resource, rules)

    def _rules(self, text: str, resource: str | None, path: str) -> Mapping[str, Number]:
        found: dict[str, Number] = {}
        try:
            for letter, name, value in _parse_rules(text):
                amount = self.facts.value(resource, value) if resource else int(value)
                found[f"{letter}:{name}"] = number_of(amount) or 0
        except ValueError as error:
            self.problems.append(Problem(path, f"not looked at: {error}"))
        return frozendict(found)

    def _add_pools(self, queue: str | None, attributes: Mapping[str, Any]) -> None:
        available, assigned = attributes.get("resources_available"), attributes.get("resources_assigned")
        used = assigned if isinstance(assigned, dict) else {}
        for resource, value in available.items() if isinstance(available, dict) else ():
            name = resource if queue is None else f"queue {queue} {resource}"
            try:
                total = number_of(self.facts.value(resource, _text(value)))
                taken = number_of(self.facts.value(resource, _text(used.get(resource, 0)))) or 0
            except ValueError as error:
                self.problems.append(Problem(name, f"not looked at: {error}"))
                continue
            if total is not None:
                self._pools[queue, resource] = name
                self._initial[name] = total
                self._used[name] = taken


@lru_cache(maxsize=256)
def _parse_rules(text: str) -> tuple[tuple[str, str, str], ...]:
    found = tuple((match[1], match[2], match[3]) for match in _RULE.finditer(text))
    if not found:
        raise ValueError(f"{text[:60]!r} is no limit such as [u:PBS_GENERIC=2]")
    return found


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
