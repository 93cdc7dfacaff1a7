"""A verb that looks says soon what cannot be reached; a cycle goes on trying."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from unit.cli.office import Office, run
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cloud.aks.auth import NoTokens
from autoscale_aks.cloud.aks.budget import RateBudget
from autoscale_aks.cloud.aks.caller import MAX_ATTEMPTS, Call, Caller
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.transport import Request, Response, SendFailure, Sent
from autoscale_aks.cloud.reach import OUT_OF_REACH_S, PAUSE_S, ImpatientTransport

if TYPE_CHECKING:
    from autoscale_aks.cloud.aks.transport import Transport

REFUSED = SendFailure(Sent.NOT_SENT, "Connection refused")
HERE, THERE = "http://arm.example/p", "http://kubernetes.example/n"
FINE = Response(status=200, headers={}, body=b"{}")


class Network:
    """Answers as told, by host; otherwise the connection is refused. Time is what was slept."""

    def __init__(self, answers: dict[str, list[Response | SendFailure]] | None = None) -> None:
        self.answers = answers or {}
        self.tried: list[str] = []
        self.time = 0.0

    def send(self, request: Request) -> Response | SendFailure:
        self.tried.append(request.url)
        waiting = self.answers.get(request.url, [])
        return waiting.pop(0) if waiting else REFUSED

    def close(self) -> None:
        self.tried.append("closed")

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    @property
    def effects(self) -> Effects:
        return Effects(now=lambda: self.time, sleep=self.sleep, random=lambda: 0.0)

    def ask(self, transport: Transport, url: str = HERE) -> Response | SendFailure:
        caller = Caller(transport, NoTokens(), RateBudget(effects=self.effects), effects=self.effects)
        return caller.call(Call(method="GET", url=url)).result


def test_the_first_call_is_tried_twice_and_those_behind_it_not_at_all() -> None:
    network = Network()
    transport = ImpatientTransport(network, network.effects)
    found = [network.ask(transport) for _ in range(5)]
    assert {one.detail for one in found if isinstance(one, SendFailure)} == {"Connection refused"}
    assert (len(network.tried), network.time) == (2, PAUSE_S)


def test_a_cycle_goes_on_trying() -> None:
    network = Network()
    network.ask(network)
    assert (len(network.tried), network.time) == (MAX_ATTEMPTS, 15.0)


def test_a_host_that_was_starting_is_reached_by_the_second_try() -> None:
    network = Network({HERE: [REFUSED, FINE, FINE]})
    transport = ImpatientTransport(network, network.effects)
    assert [network.ask(transport), network.ask(transport)] == [FINE, FINE]


def test_one_host_out_of_reach_keeps_nobody_from_another() -> None:
    network = Network({THERE: [FINE]})
    transport = ImpatientTransport(network, network.effects)
    assert network.ask(transport) != FINE
    assert network.ask(transport, THERE) == FINE


def test_after_a_while_the_host_is_tried_again() -> None:
    network = Network()
    transport = ImpatientTransport(network, network.effects)
    network.ask(transport)
    network.sleep(OUT_OF_REACH_S)
    network.answers[HERE] = [FINE]
    assert network.ask(transport) == FINE


def test_what_was_sent_and_not_answered_is_still_asked_again() -> None:
    network = Network({HERE: [SendFailure(Sent.UNKNOWN, "reset"), FINE]})
    assert network.ask(ImpatientTransport(network, network.effects)) == FINE


def test_a_looking_verb_says_that_nobody_listens_before_a_cycle_would_have_tried_three_times() -> None:
    with socket.socket() as closed, scratch() as directory:
        closed.bind(("127.0.0.1", 0))
        office = Office(directory, _At(f"http://127.0.0.1:{closed.getsockname()[1]}"))  # type: ignore[arg-type]
        office.configure(logging={"level": "INFO"})
        office.queue()
        done = run("demand", "-c", office.config)
        assert "Connection refused" in done.stdout
        tries = [line for line in done.stderr.splitlines() if "attempt" in line]
        assert tries
        assert all("attempt 1," in line for line in tries)


class _At:
    """Where an emulator would be."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
