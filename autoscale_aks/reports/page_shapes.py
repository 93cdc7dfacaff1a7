"""Bars and the timeline as numbers of a drawing; what they show is said in words beside them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from autoscale_aks.reports.timeline import TimelinePoint, sum_up
from autoscale_aks.reports.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from fractions import Fraction

    from autoscale_aks.reports.figures import BucketRow
    from autoscale_aks.reports.fleet import Fill
    from autoscale_aks.reports.limits import LimitRow

_TABLE_ROWS: Final = 24
_EVENTS_HEIGHT: Final = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """Parts from left to right: kind, start and width in hundredths. `mark` is where the limit stands."""

    parts: tuple[tuple[str, str, str], ...]
    mark: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The timeline: areas as paths, events as bars, and rows of the table."""

    width: int
    most: int
    areas: tuple[tuple[str, str], ...]
    bars: tuple[tuple[str, str, str, str], ...]
    text: str
    rows: tuple[TimelinePoint, ...]


def bucket_bar(row: BucketRow) -> Bar:
    """Machines there, new, and wanted beyond the limit, whose place is marked."""
    limit = None if row.more is None else row.there + row.new + row.more
    text = f"{row.there:,} there, {row.new:,} would start, {row.beyond:,} wanted beyond the limit"
    room = "no limit" if limit is None else f"the limit allows {limit:,}"
    return _bar([("busy", row.there), ("new", row.new), ("miss", row.beyond)], limit, f"{text}; {room}")


def limit_bar(row: LimitRow) -> Bar:
    """What machines and the plan take of a limit, and what all that waits lacks of it."""
    used, added, missing, limit = map(row.amount_text, (row.used, row.added, row.missing, row.limit))
    text = f"{used} in use, {added} by this plan, {missing} missing, of {limit} {row.unit}"
    return _bar([("busy", row.used), ("new", row.added), ("miss", row.missing)], row.limit, text)


def fill_bar(fill: Fill) -> Bar:
    """What runs and what the plan places, of a resource's total."""
    parts = [("busy", fill.used), ("new", fill.planned)]
    return _bar(parts, None, f"{fill.name}: {float((fill.used + fill.planned) / fill.total):.0%} taken", fill.total)


def _bar(parts: Sequence[tuple[str, int | Fraction]], limit: int | None, text: str, whole: int | Fraction = 0) -> Bar:
    taken = sum((amount for _, amount in parts), start=0)
    scale = float(max(taken, limit or 0, whole)) or 1.0
    shapes, at = [], 0.0
    for kind, amount in parts:
        width = 100 * float(amount) / scale
        if amount > 0:
            shapes.append((kind, _short(at), _short(max(width, 0.6))))
            at += width
    is_marked = limit is not None and taken > limit
    return Bar(tuple(shapes), _short(100 * max(limit or 0, 0) / scale) if is_marked else None, text)


def draw_chart(points: Sequence[TimelinePoint]) -> Chart:
    """The timeline's drawing; stages stand on each other."""
    most = max(max((point.machines for point in points), default=0), 1)
    events = max(max((max(point.created, point.deleted + point.refused) for point in points), default=0), 1)
    created, deleted, refused = sum_up(points)
    last = points[-1]
    text = (
        f"{counted(last.machines, 'machine')} now, at most {most:,}; in this time {created:,} created, "
        f"{deleted:,} deleted, {refused:,} refused."
    )
    width = len(points) - 1
    return Chart(
        width=width,
        most=most,
        areas=tuple(_areas(points, most)),
        bars=tuple(_events(points, events)),
        text=text,
        rows=_thinned(points),
    )


def _areas(points: Sequence[TimelinePoint], most: int) -> Iterable[tuple[str, str]]:
    below = [0] * len(points)
    for stage in ("ready", "in_flight", "leaving"):
        above = [low + getattr(point, stage) for low, point in zip(below, points, strict=True)]
        if above != below:
            there = [f"{x},{_short(100 - 100 * y / most)}" for x, y in enumerate(above)]
            back = [f"{x},{_short(100 - 100 * y / most)}" for x, y in reversed(list(enumerate(below)))]
            yield stage, f"M{' L'.join([*there, *back])}Z"
        below = above


def _events(points: Sequence[TimelinePoint], most: int) -> Iterable[tuple[str, str, str, str]]:
    for x, point in enumerate(points):
        left = _short(max(0.0, x - 0.8))
        up = _EVENTS_HEIGHT * point.created / most
        down = _EVENTS_HEIGHT * (point.deleted + point.refused) / most
        if up:
            yield "created", left, _short(_EVENTS_HEIGHT - up), _short(up)
        if down:
            yield "deleted", left, str(_EVENTS_HEIGHT), _short(down)


def _thinned(points: Sequence[TimelinePoint]) -> tuple[TimelinePoint, ...]:
    """Few enough rows to read, the events of the left-out points added to the next."""
    each = -(-len(points) // _TABLE_ROWS)
    rows = []
    for end in range(len(points), 0, -each):
        part = points[max(0, end - each) : end]
        created, deleted, refused = sum_up(part)
        last = part[-1]
        rows.append(
            TimelinePoint(at=last.at, in_flight=last.in_flight, ready=last.ready, leaving=last.leaving,
                          created=created, deleted=deleted, refused=refused)
        )  # fmt: skip
    return tuple(reversed(rows))


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
