"""The report on a terminal: whatever things are called, it stays within the terminal and steers nothing."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from builders import array, f4, job, node, scenario
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from autoscale_aks.cli.demand_face import print_changes, print_demand
from autoscale_aks.model.reason import LimitKind, ReasonCode
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.changes import Change, Changes, FigureChange
from autoscale_aks.reports.costs import Cost, CostReport
from autoscale_aks.reports.demand import DemandReport, summarise
from autoscale_aks.reports.figures import FlightRow, RoomRow, StartRow, StopRow, WaitRow
from autoscale_aks.reports.limits import LimitRow

NAMES = st.one_of(
    st.text(min_size=1, max_size=200),
    st.text("abcdefghij-_/", min_size=100, max_size=300),
    st.text("日本語テスト👩🚀é", min_size=1, max_size=120),
    st.sampled_from(["[bold]x[/bold]", "\x1b[31mred", "a\tb", "a\nb", "\r", "\u202e", "{x}"]),
)


def report_of(raw: dict[str, Any]) -> DemandReport:
    snapshot, policy = decode_scenario(raw)
    return summarise(plan(snapshot, policy), snapshot, ("a note",), policy=policy)


def printed(report: DemandReport, width: int = 80, **how: Any) -> str:
    stream = io.StringIO()
    print_demand(report, Console(file=stream, width=width, highlight=False, **how))
    return stream.getvalue()


NUMBERS = st.sampled_from([0, 1, 999, 1_000_000, 10**9])
PRICES = st.sampled_from([None, Fraction(1, 3), Fraction(10**9)])
SECONDS = st.sampled_from([None, 0.0, 59.0, 10_000.0, 10**7])


def rows_of(*rows: st.SearchStrategy[Any]) -> Any:
    return tuple(st.lists(row, max_size=3).map(tuple) for row in rows)


@st.composite
def any_report(draw: st.DrawFn) -> DemandReport:
    """Any report at all, not only those that some plan leads to."""
    starts, stops, waits, room, flights, limits = rows_of(
        st.builds(StartRow, bucket=NAMES, machines=NUMBERS, waves=NAMES, puts=NUMBERS, price_per_hour=PRICES,
                  more=NUMBERS, binding=NAMES),
        st.builds(StopRow, NAMES, NUMBERS, NAMES, SECONDS, PRICES),
        st.builds(WaitRow, st.sampled_from([code.value for code in ReasonCode]), NUMBERS, NUMBERS, NAMES, NAMES,
                  st.lists(NAMES, max_size=3).map(tuple), NAMES),
        st.builds(RoomRow, NAMES, NUMBERS, NUMBERS, NUMBERS, PRICES, NAMES),
        st.builds(FlightRow, bucket=NAMES, stage=NAMES, state=NAMES, machines=NUMBERS, oldest_s=SECONDS,
                  expected_s=SECONDS, given_up_s=SECONDS),
        st.builds(LimitRow, kind=st.sampled_from(LimitKind), name=NAMES, limit=NUMBERS, used=NUMBERS, added=NUMBERS,
                  missing=NUMBERS),
    )  # fmt: skip
    costs = st.builds(Cost, NUMBERS, st.fractions(0, 10**6), st.sampled_from([0, 0, 7]))
    return DemandReport(
        jobs=draw(NUMBERS), slots=draw(NUMBERS), placed_slots=draw(NUMBERS), ready_nodes=draw(NUMBERS),
        in_flight_nodes=draw(NUMBERS), puts=draw(NUMBERS), machines=draw(NUMBERS), price_per_hour=draw(PRICES),
        starts=draw(starts), stops=draw(stops), waits=draw(waits), room=draw(room), flights=draw(flights),
        limits=draw(limits), notes=draw(st.lists(NAMES, max_size=2).map(tuple)), cost_certificate=draw(NAMES),
        costs=CostReport(running=draw(costs), idle=draw(costs), protected=draw(costs)),
    )  # fmt: skip


CHANGES = st.builds(
    Changes,
    since=st.none() | NAMES,
    **{part: st.lists(st.builds(Change, NAMES, NUMBERS, NUMBERS), max_size=2).map(tuple)
       for part in ("starts", "stops", "waits", "in_flight")},
    figures=st.lists(st.builds(FigureChange, NAMES, SECONDS, SECONDS), max_size=2).map(tuple),
    now_waiting=st.lists(NAMES, max_size=7).map(tuple),
    no_longer_waiting=st.lists(NAMES, max_size=7).map(tuple),
)  # fmt: skip


@settings(max_examples=60)
@given(any_report(), st.integers(60, 120))
def test_every_line_fits_and_steers_nothing_whatever_things_are_called(report: DemandReport, width: int) -> None:
    text = printed(report, width)
    assert [line for line in text.split("\n") if cell_len(line) > width] == []
    assert not any(ord(one) < 32 and one != "\n" for one in text)


@settings(max_examples=60)
@given(CHANGES)
def test_a_comparison_fits_too(changes: Changes) -> None:
    stream = io.StringIO()
    print_changes(changes, Console(file=stream, width=80, highlight=False))
    assert [line for line in stream.getvalue().split("\n") if cell_len(line) > 80] == []
    assert not any(ord(one) < 32 and one != "\n" for one in stream.getvalue())


def everything() -> DemandReport:
    nodes = [node("htc-1", keep_alive=True, last_match_time=0.0), node("htc-2", last_match_time=0.0),
             node("htc-3", stage="in-flight", state="Creating", create_time=1_795_334_300.0)]  # fmt: skip
    raw = scenario(
        job("a", {"ncpus": 4, "node.nodearray": "big"}, count=9), job("b", {"ncpus": 99}),
        arrays=[array("htc", f4(price=0.2)), array("big", f4(price=0.2, max_count=2))], nodes=nodes,
        now="2026-11-22T08:00:00Z", policy={"idle_timeout": 60},
    )  # fmt: skip
    return replace(report_of(raw), cost_certificate="at most 0.1 % above the cheapest")


@pytest.mark.parametrize(
    "words",
    [
        "Would start", "big/Standard_F4", "Room after that", "bucket nodes big/Standard_F4", "Would stop", "idle",
        "Under way", "in-flight", "Too low for the queue", "at most 0.1 % above the cheapest",
        "next: raise max_count of big/Standard_F4 by 7 nodes", "1 protected: $0.20", "note: a note",
    ],
)  # fmt: skip
def test_every_part_of_the_report_is_printed(words: str) -> None:
    assert words in printed(everything())


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = {"force_terminal": True, "color_system": "standard"}
    assert "\x1b[" in printed(everything(), **terminal)
    assert "\x1b" not in printed(everything())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[33m" not in printed(everything(), **terminal)
