"""Machines over time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from report_scenes import AT, lives

from autoscale_aks.reports.page_shapes import draw_chart
from autoscale_aks.reports.timeline import Life, draw_timeline, sum_up

MOMENTS = st.floats(0, 1000)


@st.composite
def any_life(draw: st.DrawFn) -> Life:
    asked, *rest = sorted(draw(st.lists(MOMENTS, min_size=4, max_size=4)))
    known = draw(st.integers(0, 3))
    ready, leaving, gone = (at if number < known else None for number, at in enumerate(rest))
    return Life(asked_at=asked, ready_at=ready, leaving_at=leaving, gone_at=gone)


def stage_at(life: Life, at: float) -> str | None:
    """Said of one moment alone, without any counting."""
    if at < life.asked_at or (life.gone_at is not None and at >= life.gone_at):
        return None
    if life.leaving_at is not None and at >= life.leaving_at:
        return "leaving"
    return "ready" if life.ready_at is not None and at >= life.ready_at else "in_flight"


@given(st.lists(any_life(), max_size=12), st.integers(1, 20))
def test_every_point_counts_each_machine_in_the_stage_it_is_in(found: list[Life], points: int) -> None:
    drawn = draw_timeline(found, 200.0, 900.0, points)
    assert len(drawn) in {0, points + 1}
    for point in drawn:
        for stage in ("in_flight", "ready", "leaving"):
            exact = [life for life in found if stage_at(life, point.at) == stage]
            assert getattr(point, stage) == len(exact), (point.at, stage)


@given(st.lists(any_life(), max_size=12))
def test_what_came_and_went_is_counted_once(found: list[Life]) -> None:
    created, deleted, refused = sum_up(draw_timeline(found, 200.0, 1000.0, 7))
    if any(life.gone_at is None or life.gone_at >= 200.0 for life in found):
        assert created == sum(200.0 < life.asked_at <= 1000.0 for life in found)
        assert deleted == sum(life.gone_at is not None and 200.0 < life.gone_at <= 1000.0 for life in found)
    assert refused == 0


def test_a_refused_machine_never_was_one() -> None:
    drawn = draw_timeline([Life(asked_at=50.0, gone_at=50.0, refused=True)], 0.0, 100.0, 10)
    assert sum_up(drawn) == (0, 0, 1)
    assert {point.machines for point in drawn} == {0}


def test_where_nothing_lived_there_is_nothing_to_draw() -> None:
    assert draw_timeline([], 0.0, 100.0) == ()
    assert draw_timeline([Life(asked_at=1.0, ready_at=2.0, gone_at=3.0)], 50.0, 100.0) == ()
    assert draw_timeline([Life(asked_at=1.0)], 100.0, 100.0) == ()


def test_the_drawing_stands_stage_on_stage_within_its_frame_and_the_table_adds_up() -> None:
    drawn = draw_timeline(lives(), AT - 86_400, AT)
    chart = draw_chart(drawn)
    assert chart.most == max(point.machines for point in drawn)
    for _, path in chart.areas:
        pairs = [pair.split(",") for pair in path.removeprefix("M").removesuffix("Z").split(" L")]
        assert all(0 <= float(x) <= chart.width and 0 <= float(y) <= 100 for x, y in pairs)
    assert sum_up(chart.rows) == sum_up(drawn)
    assert chart.rows[-1].at == AT
