"""How many machines there were over time, and how many came and went: points for a picture. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

POINTS: Final = 96
"""Points of a timeline: every quarter of an hour of a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One machine's moments, in seconds since the epoch; None: that has not come."""

    asked_at: float
    ready_at: float | None = None
    leaving_at: float | None = None
    gone_at: float | None = None
    refused: bool = False
    """It was asked for and never made; `gone_at` says when that was known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelinePoint:
    """The machines at one moment, and what happened since the point before."""

    at: float
    """Seconds since the epoch."""
    in_flight: int
    ready: int
    leaving: int
    created: int
    deleted: int
    refused: int

    @property
    def machines(self) -> int:
        """Machines in any stage."""
        return self.in_flight + self.ready + self.leaving


def draw_timeline(lives: Sequence[Life], since: float, now: float, points: int = POINTS) -> tuple[TimelinePoint, ...]:
    """The counts at equal steps after `since`, the last of them at `now`. Empty when nothing lived in that time."""
    if now <= since or not any(life.gone_at is None or life.gone_at >= since for life in lives):
        return ()
    step = (now - since) / points
    made = _Steps(since, step, points)
    for life in lives:
        made.add(life)
    return made.points()


class _Steps:
    """Sums of what changed in each step; what was before the first step is its start."""

    def __init__(self, since: float, step: float, points: int) -> None:
        self._since, self._step, self._count = since, step, points
        names = ("in_flight", "ready", "leaving", "created", "deleted", "refused")
        self._changes = {name: [0] * (points + 1) for name in names}

    def add(self, life: Life) -> None:
        """Count one machine's life."""
        if life.refused:
            self._once("refused", life.asked_at)
            return
        self._once("created", life.asked_at)
        moments = [("in_flight", life.asked_at), ("ready", life.ready_at), ("leaving", life.leaving_at)]
        known = [(stage, at) for stage, at in moments if at is not None]
        ends = [at for _, at in known[1:]] + [life.gone_at]
        for (stage, start), end in zip(known, ends, strict=True):
            self._between(stage, start, end)
        if life.gone_at is not None:
            self._once("deleted", life.gone_at)

    def _index(self, at: float) -> int:
        """The first point at or after a moment."""
        return max(0, -int(-(at - self._since) // self._step)) if at > self._since else 0

    def _once(self, name: str, at: float) -> None:
        index = self._index(at)
        if at > self._since and index <= self._count:
            self._changes[name][index] += 1

    def _between(self, stage: str, start: float, end: float | None) -> None:
        first, last = self._index(start), self._count + 1 if end is None else self._index(end)
        if first < last and first <= self._count:
            self._changes[stage][first] += 1
            if last <= self._count:
                self._changes[stage][last] -= 1

    def points(self) -> tuple[TimelinePoint, ...]:
        """The finished counts."""
        found: list[TimelinePoint] = []
        stock = {"in_flight": 0, "ready": 0, "leaving": 0}
        for number in range(self._count + 1):
            for stage in stock:
                stock[stage] += self._changes[stage][number]
            found.append(
                TimelinePoint(
                    at=self._since + number * self._step,
                    **stock,
                    created=self._changes["created"][number],
                    deleted=self._changes["deleted"][number],
                    refused=self._changes["refused"][number],
                )
            )
        return tuple(found)


def sum_up(points: Iterable[TimelinePoint]) -> tuple[int, int, int]:
    """Machines created, deleted and refused in all."""
    known = tuple(points)
    return (
        sum(one.created for one in known),
        sum(one.deleted for one in known),
        sum(one.refused for one in known),
    )
