"""The life of a machine or a job as rows (user ask T28b)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.reports.sentences import render_time

if TYPE_CHECKING:
    from collections.abc import Sequence

HISTORY_COLUMNS: Final = ("at", "after_s", "event", "detail", "plan")
_SAID: Final = {
    "intended": "asked for",
    "rejected": "refused",
    "unknown": "outcome unknown",
    "listed": "listed",
    "closing": "closed",
    "deleting": "delete accepted",
    "idle": "without work since",
    "waiting": "waiting",
    "reason": "other reason",
    "bought": "machines made",
    "left": "left the queue",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One thing that happened. `after_s` is how long after the row before it, in seconds."""

    at: float
    after_s: float
    event: str
    detail: str
    plan: str

    @property
    def words(self) -> str:
        """The event as people say it."""
        return _SAID.get(self.event, self.event)

    def to_json(self) -> dict[str, Any]:
        """The row with its time in UTC and as seconds since the epoch."""
        return {
            "at": render_time(self.at),
            "at_s": self.at,
            "after_s": round(self.after_s, 3),
            "event": self.event,
            "detail": self.detail,
            "plan": self.plan,
        }


def history_rows(happenings: Sequence[tuple[float, str, str, str]]) -> tuple[HistoryRow, ...]:
    """Rows of happenings (when, event, detail, plan id), which are in the order of time."""
    befores = [happenings[0][0] if happenings else 0.0, *(one[0] for one in happenings)]
    return tuple(
        HistoryRow(at=at, after_s=at - before, event=event, detail=detail.removeprefix(f"plan {plan}, "), plan=plan)
        for (at, event, detail, plan), before in zip(happenings, befores, strict=False)
    )
