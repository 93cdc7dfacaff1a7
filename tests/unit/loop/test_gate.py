"""The gate: once it is closed no write goes out and no wait goes on, while reads still prove what was made."""

from __future__ import annotations

import pytest

from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.transport import Request, Response, SendFailure, Sent
from autoscale_aks.cloud.gate import Gate, GatedTransport
from autoscale_aks.errors import ThrottledError


class Wire:
    """A transport that answers everything with 200."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, request: Request) -> Response | SendFailure:
        self.sent.append(request.method)
        return Response(status=200)

    def close(self) -> None:
        self.sent.append("closed")


class Time:
    def __init__(self) -> None:
        self.at = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


def request(method: str) -> Request:
    return Request(method=method, url="http://127.0.0.1/x", token="t")


def test_a_closed_gate_keeps_writes_back_unsent_and_lets_reads_pass() -> None:
    gate, wire = Gate(Time().now), Wire()
    transport = GatedTransport(wire, gate)
    assert isinstance(transport.send(request("PUT")), Response)
    gate.close("stopped by SIGTERM")
    gate.close("another reason")
    for method in ("PUT", "POST", "DELETE"):
        assert transport.send(request(method)) == SendFailure(Sent.NOT_SENT, "stopped by SIGTERM")
    assert isinstance(transport.send(request("GET")), Response)
    transport.close()
    assert wire.sent == ["PUT", "GET", "closed"]


def test_a_gate_closes_at_the_deadline_of_a_cycle_and_opens_for_the_next() -> None:
    time = Time()
    gate = Gate(time.now)
    gate.begin(60.0)
    time.at += 59
    assert (gate.reason, gate.closed) == (None, None)
    time.at += 1
    assert (gate.reason, gate.closed) == ("the cycle is over its deadline of 60 s", None)
    gate.begin(60.0)
    assert gate.reason is None
    gate.begin(None)
    time.at += 1e6
    assert gate.reason is None


def test_what_somebody_closed_stays_closed() -> None:
    gate = Gate(Time().now)
    gate.close("stopped by SIGTERM")
    gate.begin(60.0)
    assert (gate.reason, gate.closed) == ("stopped by SIGTERM", "stopped by SIGTERM")


def test_waits_are_whole_while_the_gate_is_open_and_end_when_it_closes() -> None:
    time = Time()
    gate = Gate(time.now)
    sleep = gate.effects(Effects(now=time.now, sleep=time.sleep)).sleep
    sleep(1.1)
    assert sum(time.slept) == pytest.approx(1.1)
    sleep(-1.0)
    gate.begin(5.0)
    with pytest.raises(ThrottledError, match="over its deadline of 5 s"):
        sleep(120.0)
    assert time.at == pytest.approx(1006.1, abs=0.3)
    gate.close("stopped by SIGTERM")
    slept = len(time.slept)
    with pytest.raises(ThrottledError, match="stopped by SIGTERM"):
        sleep(1.0)
    assert len(time.slept) == slept
