"""When headroom is kept: windows of weekdays and hours in a time zone (user ask T21a)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from autoscale_aks.config.findings import Finding, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from autoscale_aks.config.findings import Path

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MIN: Final = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Some hours of some days. One that ends before it begins goes on into the next day."""

    days: frozenset[int]
    """0 is Monday: the days on which it begins."""
    begin_min: int
    """Minutes after midnight."""
    end_min: int
    time_zone: str = "UTC"

    def holds(self, now: float) -> bool:
        """Whether it is open at a moment, in seconds since the epoch."""
        there = datetime.fromtimestamp(now, timezone.utc).astimezone(ZoneInfo(self.time_zone))
        minute = there.hour * 60 + there.minute
        if self.begin_min < self.end_min:
            return there.weekday() in self.days and self.begin_min <= minute < self.end_min
        is_evening = there.weekday() in self.days and minute >= self.begin_min
        yesterday = (there - timedelta(days=1)).weekday()
        return is_evening or (yesterday in self.days and minute < self.end_min)


def is_open(windows: Iterable[Window], now: float) -> bool:
    """Whether any of them is open; without any it always is."""
    found = tuple(windows)
    return not found or any(window.holds(now) for window in found)


def build_window(raw: Mapping[str, Any]) -> Window:
    """A window of a checked document: all days, whole days and UTC where it does not say."""
    return Window(
        days=frozenset(DAYS.index(day) for day in raw.get("days", DAYS)),
        begin_min=_minutes(raw.get("from", "00:00")),
        end_min=_minutes(raw.get("to", "24:00")),
        time_zone=raw.get("time_zone", "UTC"),
    )


def check_windows(windows: Iterable[Mapping[str, Any]], path: Path) -> Iterator[Finding]:
    """What the schema cannot say of them."""
    for index, window in enumerate(windows):
        zone = window.get("time_zone", "UTC")
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            text = f'{quoted(zone)} is no time zone of this host; names are such as "Europe/Berlin"'
            yield Finding((*path, index, "time_zone"), text)
        if window.get("from", "00:00") == window.get("to", "24:00"):
            yield Finding(
                (*path, index, "to"), "the same as from: such a window is never open; leave both out for all day"
            )


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return min(int(hours) * 60 + int(minutes), _DAY_MIN)
