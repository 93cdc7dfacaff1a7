"""Windows of weekdays and hours: whose clock, over midnight, and when clocks are changed (user ask T21a)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from autoscale_aks.config.calendars import build_window, is_open

WORK = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "07:30", "to": "18:00", "time_zone": "Europe/Berlin"}
NIGHT = {"days": ["fri"], "from": "22:00", "to": "06:00"}


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("window", "moment", "zone", "open_"),
    [
        (WORK, "2026-11-23T07:30", "Europe/Berlin", True),
        (WORK, "2026-11-23T07:29", "Europe/Berlin", False),
        (WORK, "2026-11-23T17:59", "Europe/Berlin", True),
        (WORK, "2026-11-23T18:00", "Europe/Berlin", False),
        (WORK, "2026-11-22T12:00", "Europe/Berlin", False),
        (WORK, "2026-11-23T17:30", "UTC", False),
        (WORK, "2026-07-20T05:30", "UTC", True),
        (WORK, "2026-01-19T05:45", "UTC", False),
        (NIGHT, "2026-11-20T23:00", "UTC", True),
        (NIGHT, "2026-11-21T05:59", "UTC", True),
        (NIGHT, "2026-11-21T06:00", "UTC", False),
        (NIGHT, "2026-11-20T05:00", "UTC", False),
        (NIGHT, "2026-11-21T23:00", "UTC", False),
        ({}, "2026-11-21T23:59", "UTC", True),
        ({"to": "24:00", "from": "12:00"}, "2026-11-21T23:59", "UTC", True),
    ],
)
def test_a_window_is_open_by_the_clock_of_its_time_zone(window: object, moment: str, zone: str, open_: bool) -> None:
    assert is_open([build_window(window)], at(moment, zone)) is open_  # type: ignore[arg-type]


def test_without_a_window_it_is_always_open_and_with_several_when_any_is() -> None:
    assert is_open([], 0.0)
    both = [build_window(WORK), build_window(NIGHT)]
    assert is_open(both, at("2026-11-20T23:00"))
    assert is_open(both, at("2026-11-23T10:00"))
    assert not is_open(both, at("2026-11-22T10:00"))
