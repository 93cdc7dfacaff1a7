"""Waiting without polling: an interval, a message, a signal, and bursts of messages that make one wake."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit.reconcile.site_fixture import scratch

from autoscale_aks.errors import ConfigError
from autoscale_aks.loop import Signals, SocketWaiter, Wake, WakeSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = 60.0


@pytest.fixture
def place() -> Iterator[Path]:
    with scratch() as directory:
        yield directory / "wake.sock"


def send(path: Path, times: int = 1) -> int:
    """What a hook does: a byte, and no waiting; how many were taken."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        taken = 0
        for _ in range(times):
            try:
                client.sendto(b"x", str(path))
            except BlockingIOError:
                continue
            taken += 1
        return taken


def test_a_wait_ends_with_its_interval() -> None:
    with Signals(pytest.fail) as signals:
        assert SocketWaiter(signals, None, settle_s=0.0).wait(0.0) is Wake.INTERVAL


def test_a_message_ends_a_wait_also_one_that_came_before_it(place: Path) -> None:
    with Signals(pytest.fail) as signals, WakeSocket(place) as wake:
        waiter = SocketWaiter(signals, wake, settle_s=0.0)
        send(place)
        assert waiter.wait(LONG) is Wake.MESSAGE
        assert waiter.wait(0.0) is Wake.INTERVAL
        sender = threading.Thread(target=send, args=(place,))
        sender.start()
        assert waiter.wait(LONG) is Wake.MESSAGE
        sender.join()


def test_a_thousand_messages_are_at_most_two_wakes_and_no_sender_ever_waits(place: Path) -> None:
    with Signals(pytest.fail) as signals, WakeSocket(place) as wake:
        waiter = SocketWaiter(signals, wake, settle_s=0.05)
        sender = threading.Thread(target=send, args=(place, 1000))
        sender.start()
        assert waiter.wait(LONG) is Wake.MESSAGE
        sender.join()
        assert [waiter.wait(0.0), waiter.wait(0.0)].count(Wake.MESSAGE) <= 1


def test_a_signal_ends_a_wait_and_a_wait_for_a_burst_to_settle(place: Path) -> None:
    told: list[str] = []
    with Signals(told.append) as signals, WakeSocket(place) as wake:
        waiter = SocketWaiter(signals, wake, settle_s=LONG)
        os.kill(os.getpid(), signal.SIGHUP)
        assert waiter.wait(LONG) is Wake.SIGNAL
        assert (signals.take_reload(), signals.take_reload(), told) == (True, False, [])
        send(place)
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        assert waiter.wait(LONG) is Wake.SIGNAL
        timer.join()
    assert told == ["stopped by SIGTERM"]


def test_signals_are_as_before_afterwards() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    with Signals(pytest.fail):
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in before} == before


def test_the_socket_is_for_its_owner_and_gone_afterwards(place: Path) -> None:
    with WakeSocket(place):
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert not place.exists()


def test_what_a_killed_run_left_is_replaced_and_anything_else_is_left_alone(place: Path) -> None:
    left = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.bind(str(place))
    left.close()
    with WakeSocket(place):
        assert send(place) == 1
    place.write_text("a letter")
    with pytest.raises(ConfigError, match=r"loop\.wake_socket: .* cannot be listened on"), WakeSocket(place):
        pass
    assert place.read_text() == "a letter"


def test_a_path_too_long_for_a_socket_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="give another path, a short one"), WakeSocket(Path("/dev/shm") / ("x" * 120)):
        pass
