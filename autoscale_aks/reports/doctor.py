"""What `azaks doctor` found, line by line (user asks T29b, T32b). Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class Health(enum.Enum):
    """How one check went, the better before the worse."""

    OK = "ok"
    SKIPPED = "skipped"
    """It could not be looked at, because something it needs is missing or switched off."""
    WARN = "warn"
    """It works, but not as well as it should, or not for long."""
    FAIL = "fail"
    """The autoscaler cannot do its work until this is mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: which check, how it went, what was seen, and what to do about it."""

    check: str
    health: Health
    says: str
    fix: str = ""


def ok(check: str, says: str) -> Finding:
    """All is well."""
    return Finding(check, Health.OK, says)


def warn(check: str, says: str, fix: str) -> Finding:
    """It should be looked at."""
    return Finding(check, Health.WARN, says, fix)


def fail(check: str, says: str, fix: str) -> Finding:
    """It must be mended."""
    return Finding(check, Health.FAIL, says, fix)


def skipped(check: str, says: str) -> Finding:
    """It was not looked at."""
    return Finding(check, Health.SKIPPED, says)


def count_by_health(findings: Iterable[Finding]) -> dict[Health, int]:
    """How many lines of each kind there are, all kinds named."""
    counts = dict.fromkeys(Health, 0)
    for finding in findings:
        counts[finding.health] += 1
    return counts


def render_findings(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """As JSON: `check`, `status`, `says`, `fix`."""
    return [
        {"check": one.check, "status": one.health.value, "says": one.says, "fix": one.fix}
        for one in findings
    ]  # fmt: skip
