"""Lines that repeat themselves are written once and counted (user ask T28c)."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from autoscale_aks.cli.collapse import MOST_KEPT, Collapse

if TYPE_CHECKING:
    from collections.abc import Iterator

WITHIN_S = 600.0
AWAY = "scheduler is away: connection refused"


class Desk(logging.Handler):
    """A handler with a clock that these tests move."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.moment = 1000.0
        self.lines: list[str] = []
        self.collapse = Collapse(self, WITHIN_S, lambda: self.moment)
        self.addFilter(self.collapse)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname[0]} {record.getMessage()}")

    def wait(self, seconds: float) -> None:
        self.moment += seconds


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    log = logging.getLogger("autoscale_aks.test_collapse")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    yield log
    log.handlers.clear()


@pytest.fixture
def desk(log: logging.Logger) -> Desk:
    desk = Desk()
    log.addHandler(desk)
    return desk


def test_a_trouble_of_every_cycle_is_a_line_and_then_a_count(desk: Desk, log: logging.Logger) -> None:
    for cycle in range(41):
        log.info("cycle %d", cycle)
        log.warning("scheduler is away: %s", "connection refused")
        desk.wait(30.0)
    told = [line for line in desk.lines if AWAY in line]
    assert told == [
        f"W {AWAY}", f"W {AWAY} [19 times more within 600 s]",
        f"W {AWAY}", f"W {AWAY} [19 times more within 600 s]",
        f"W {AWAY}",
    ]  # fmt: skip
    assert len(desk.lines) - len(told) == 41, "what differs is written each time"


def test_nothing_that_was_held_back_is_lost_at_the_end(desk: Desk, log: logging.Logger) -> None:
    for _ in range(3):
        log.error(AWAY)
        desk.wait(10.0)
    desk.collapse.flush()
    desk.collapse.flush()
    assert desk.lines == [f"E {AWAY}", f"E {AWAY} [2 times more within 30 s]"]


def test_a_line_said_twice_is_counted_once(desk: Desk, log: logging.Logger) -> None:
    log.warning(AWAY)
    log.warning(AWAY)
    desk.wait(WITHIN_S)
    log.info("something else")
    assert desk.lines == [f"W {AWAY}", f"W {AWAY} [once more within 600 s]", "I something else"]


def test_other_levels_and_other_figures_are_other_lines(desk: Desk, log: logging.Logger) -> None:
    log.warning("%d machines lost", 1)
    log.warning("%d machines lost", 2)
    log.error("%d machines lost", 1)
    assert len(desk.lines) == 3


def test_whoever_looks_for_a_defect_gets_every_line(desk: Desk, log: logging.Logger) -> None:
    for _ in range(2):
        log.debug("GET machines")
        log.error("a defect", exc_info=ValueError("x"))
    assert desk.lines == ["D GET machines", "E a defect"] * 2


def test_each_handler_counts_for_itself(desk: Desk, log: logging.Logger) -> None:
    other = Desk()
    log.warning(AWAY)
    log.addHandler(other)
    log.warning(AWAY)
    assert (len(desk.lines), len(other.lines)) == (1, 1)


def test_a_flood_of_different_lines_is_written_and_only_so_many_are_remembered(desk: Desk, log: logging.Logger) -> None:
    log.warning(AWAY)
    log.warning(AWAY)
    for number in range(MOST_KEPT):
        log.warning("line %d", number)
    assert desk.lines[-2:] == [f"W {AWAY} [once more within 0 s]", f"W line {MOST_KEPT - 1}"]
    assert len(desk.lines) == MOST_KEPT + 2


def test_threads_that_say_the_same_are_one_line(desk: Desk, log: logging.Logger) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        workers = [threading.Thread(target=lambda: [log.warning(AWAY) for _ in range(200)]) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(before)
    desk.collapse.flush()
    assert desk.lines == [f"W {AWAY}", f"W {AWAY} [1,599 times more within 0 s]"]
