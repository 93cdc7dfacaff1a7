"""Faults on demand: which rule hits which machine or request (§10.8).

=======================  ==========================================================================
kind                     what happens
=======================  ==========================================================================
size_not_supported       PUT answers 400 `VMSizeNotSupported`; of a batch, nothing is created
client_error             this machine is refused: 400, or one entry of a `BatchMachineClientError`
internal_error           this machine fails: 500, or one entry of a `BatchMachineInternalServerError`
provisioning_failure     accepted, later `Failed` with `code` (§5.3)
provisioning_canceled    accepted, later `Canceled` (§2.4)
stuck_creating           `Creating` for ever
node_never_registers     `Succeeded`, but no node appears
node_never_ready         the node appears and stays NotReady
node_lost                the node turns NotReady `after_s` after the VM came up
evict                    a Spot VM is evicted `after_s` after it came up (`vmState` Deleted, node gone)
vm_deleted               the same for any machine: somebody deleted the VM
reset_before/_after      the connection breaks before / after the work was done
error_before/_after      `status` (default 500) with `code` before / after the work
throttle                 429 with `Retry-After: after_s`, nothing done
slow                     the work and the answer come `after_s` wall seconds later
slow_after               the work is done at once, the answer comes `after_s` wall seconds later
=======================  ==========================================================================
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, get_args

from autoscale_aks.emulator.draws import draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Kind = Literal[
    "size_not_supported",
    "client_error",
    "internal_error",
    "provisioning_failure",
    "provisioning_canceled",
    "stuck_creating",
    "node_never_registers",
    "node_never_ready",
    "node_lost",
    "evict",
    "vm_deleted",
    "reset_before",
    "reset_after",
    "error_before",
    "error_after",
    "throttle",
    "slow",
    "slow_after",
]
KINDS: frozenset[str] = frozenset(get_args(Kind))
REQUEST_KINDS = frozenset(
    {"reset_before", "reset_after", "error_before", "error_after", "throttle", "slow", "slow_after"}
)
VM_LOSS_KINDS = frozenset({"evict", "vm_deleted", "node_lost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One rule. Empty selectors match everything; all given selectors must match.

    `names` are shell patterns of machine names, `operations` names as in `/_emulator/requests`
    (`machine.batch_put`, `machine.list` …), `pages` pages of `machine.list` (the first is 1).
    `probability` is drawn per name and generation (per method and path for request kinds), so it does
    not depend on the order of requests. `every=2` takes every
    second machine of one request (half a batch); `count` stops the rule after that many hits.
    """

    kind: Kind
    names: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    priority: Literal["", "Regular", "Spot"] = ""
    operations: tuple[str, ...] = ()
    pages: tuple[int, ...] = ()
    probability: float = 1.0
    every: int = 1
    count: int | None = None
    after_s: float = 0.0
    status: int = 500
    code: str = ""
    message: str = ""
    body: str | None = None

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> FaultRule:
        """From JSON; a single string stands for a list of one. Raises `ValueError` naming the field."""
        known = {item.name for item in fields(cls)}
        if unknown := set(data) - known:
            raise ValueError(f"unknown fault field(s): {', '.join(sorted(unknown))}")
        if data.get("kind") not in KINDS:
            raise ValueError(f"unknown fault kind {data.get('kind')!r}; one of {', '.join(sorted(KINDS))}")
        values = dict(data)
        for name in ("names", "sizes", "zones", "pools", "operations", "pages"):
            if name in values:
                values[name] = (values[name],) if isinstance(values[name], (str, int)) else tuple(values[name])
        rule = cls(**values)
        if rule.every < 1 or not 0 <= rule.probability <= 1 or rule.after_s < 0:
            raise ValueError("a fault needs every >= 1, 0 <= probability <= 1 and after_s >= 0")
        return rule


@dataclass(frozen=True, slots=True)
class Target:
    """What a rule looks at: one machine, or one request when `operation` is set."""

    names: tuple[str, ...] = ()
    pool: str = ""
    size: str = ""
    zone: str = ""
    spot: bool = False
    operation: str = ""
    page: int = 0
    position: int = 0
    chance_key: tuple[object, ...] = ()


class FaultBook:
    """The rules in force and how often each has hit."""

    def __init__(self, rules: Iterable[FaultRule], seed: int) -> None:
        self._seed = seed
        self._lock = threading.Lock()
        self._next_id = 1
        self._rules: dict[int, FaultRule] = {}
        self._hits: dict[int, int] = {}
        for rule in rules:
            self.add(rule)

    def __len__(self) -> int:
        return len(self._rules)

    def add(self, rule: FaultRule) -> int:
        """Put a rule in force; returns its id."""
        with self._lock:
            number = self._next_id
            self._next_id += 1
            self._rules[number] = rule
            self._hits[number] = 0
            return number

    def remove(self, number: int | None = None) -> int:
        """Drop one rule, or all; returns how many were dropped."""
        with self._lock:
            gone = list(self._rules) if number is None else [number] if number in self._rules else []
            for key in gone:
                del self._rules[key]
                del self._hits[key]
            return len(gone)

    def listed(self) -> list[dict[str, Any]]:
        """Every rule with its id and hits, as JSON."""
        with self._lock:
            return [{"id": key, "hits": self._hits[key], **asdict(rule)} for key, rule in self._rules.items()]

    def hit(self, kinds: Iterable[str], target: Target) -> FaultRule | None:
        """The first rule of one of `kinds` that hits, and count the hit."""
        if not self._rules:
            return None
        wanted = frozenset(kinds)
        with self._lock:
            for number, rule in self._rules.items():
                if rule.kind in wanted and self._applies(number, rule, target):
                    self._hits[number] += 1
                    return rule
        return None

    def find(self, number: int) -> FaultRule | None:
        """The rule of this id."""
        return self._rules.get(number)

    def hit_by(self, number: int, target: Target) -> FaultRule | None:
        """Whether one certain rule hits, and count the hit."""
        with self._lock:
            rule = self._rules.get(number)
            if rule is None or not self._applies(number, rule, target):
                return None
            self._hits[number] += 1
            return rule

    def _applies(self, number: int, rule: FaultRule, target: Target) -> bool:
        if rule.count is not None and self._hits[number] >= rule.count:
            return False
        if not _selects(rule, target) or target.position % rule.every != rule.every - 1:
            return False
        return rule.probability >= 1 or draw(self._seed, "fault", number, *target.chance_key) < rule.probability


def _selects(rule: FaultRule, target: Target) -> bool:
    if rule.names and not any(fnmatchcase(name, pattern) for name in target.names for pattern in rule.names):
        return False
    if rule.priority and (rule.priority == "Spot") != target.spot:
        return False
    if rule.pages and target.page not in rule.pages:
        return False
    return (
        _among(rule.operations, target.operation)
        and _among(rule.pools, target.pool)
        and _among(rule.sizes, target.size)
        and _among(rule.zones, target.zone)
    )


def _among(allowed: tuple[str, ...], value: str) -> bool:
    return not allowed or any(value.casefold() == item.casefold() for item in allowed)
