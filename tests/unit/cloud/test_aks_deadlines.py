"""Deadlines at the cloud port (its assumption 5), and what a client need not ask twice (aks-machine-api.md §11)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from unit.cloud.aks_fakes import (
    EPOCH,
    TEMPLATE,
    FakeArm,
    FakeClock,
    ScriptedTransport,
    answer,
    chunk,
    client_of,
    error,
    states,
    wave,
)

from autoscale_aks.cloud.aks.budget import Rate
from autoscale_aks.cloud.aks.client import ClientSettings
from autoscale_aks.cloud.aks.memory import LIST_S, USABLE_S
from autoscale_aks.cloud.aks.transport import SendFailure, Sent
from autoscale_aks.errors import CloudError, DeadlineError
from autoscale_aks.model.launch import CallDeadlines, FaultKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.cloud.aks.client import AksClient
    from autoscale_aks.cloud.aks.transport import Request, Response

UNREACHABLE = SendFailure(Sent.NOT_SENT, "no route")
NO_ANSWER = SendFailure(Sent.UNKNOWN, "late")

CALLS: dict[str, Callable[[AksClient, float | None], Any]] = {
    "list": lambda client, until: client.list_machines("pool1", until),
    "create": lambda client, until: client.create_machines(wave(3, 2), None, until),
    "delete": lambda client, until: client.delete_machines("pool1", ["a", "b"], until),
    "pool": lambda client, until: client.ensure_pool("pool1", until),
    "nodes": lambda client, until: client.list_nodes(["pool1"], until),
    "pools": lambda client, until: client.list_pools(until),
    "delete pool": lambda client, until: client.delete_pool("pool1", until),
}


def outcome_of(call: str, client: AksClient, until: float | None) -> Any:
    """What a call returned, or the error that it raised."""
    try:
        return CALLS[call](client, until)
    except CloudError as failure:
        return failure


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("reply", [UNREACHABLE, error(429, "Throttled"), error(503, "Busy"), error(409, "Busy")],
                         ids=["unreachable", "429", "503", "409"])  # fmt: skip
@pytest.mark.parametrize("seconds", [0.5, 2.5, 7.0])
def test_no_call_waits_past_its_deadline(call: str, reply: Response | SendFailure, seconds: float) -> None:
    clock = FakeClock()
    outcome_of(call, client_of(ScriptedTransport([reply]), clock), EPOCH + seconds)
    assert clock.time <= EPOCH + seconds


@pytest.mark.parametrize("call", CALLS)
def test_a_deadline_that_has_passed_sends_nothing(call: str) -> None:
    transport = ScriptedTransport([answer(200, {"value": []})])
    outcome = outcome_of(call, client_of(transport), EPOCH - 1)
    assert transport.requests == []
    if call == "list":
        assert (outcome.complete, outcome.answered) == (False, False)
    elif call == "create":
        assert set(states(outcome).values()) == {"rejected"}
    elif call == "delete":
        assert [(each.name, each.code) for each in outcome.refused] == [
            ("a", "DeadlineExceeded"),
            ("b", "DeadlineExceeded"),
        ]
    else:
        assert isinstance(outcome, CloudError)


@pytest.mark.parametrize("call", CALLS)
def test_without_a_deadline_the_clients_own_limit_holds(call: str) -> None:
    clock = FakeClock()
    limits = CallDeadlines(list_s=6, create_s=6, delete_s=6, pool_s=6)
    client = client_of(ScriptedTransport([UNREACHABLE]), clock, settings=ClientSettings(deadlines=limits))
    outcome_of(call, client, None)
    assert EPOCH < clock.time <= EPOCH + 6


def test_an_attempt_may_take_what_is_left_and_no_longer() -> None:
    seen: list[float] = []

    def reply(request: Request) -> Response:
        seen.append(request.timeout_s)
        return error(503, "Busy")

    client_of(ScriptedTransport(reply)).list_machines("pool1", EPOCH + 6.0)
    assert seen == pytest.approx([6.0, 5.0, 3.0])


def test_a_list_keeps_the_pages_it_had_time_for() -> None:
    clock = FakeClock()

    def reply(request: Request) -> Response:
        clock.sleep(4.0)
        items = [{"name": f"m{len(clock.slept)}", "properties": {}}]
        return answer(200, {"value": items, "nextLink": f"https://arm.example/next?{len(clock.slept)}"})

    listing = client_of(ScriptedTransport(reply), clock).list_machines("pool1", EPOCH + 10)
    assert (len(listing.machines), listing.complete, listing.answered) == (3, False, True)
    assert "page 4" in listing.detail


class SlowPuts(FakeArm):
    """Every PUT takes some seconds of the clock."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        super().__init__()
        self.on_put = lambda *_: clock.sleep(seconds)


def test_chunks_that_had_not_left_were_never_sent_and_say_so() -> None:
    clock = FakeClock()
    arm = SlowPuts(clock, 4.0)
    outcomes = client_of(arm, clock, settings=ClientSettings(workers=1)).create_machines(wave(5, 2), None, EPOCH + 10)
    sent = {name for put in arm.batch_puts for name in _names(put)}
    rejected = {each.name: each for outcome in outcomes for each in outcome.outcomes if each.state.value == "rejected"}
    assert len(sent) == 6
    assert set(rejected) == {f"m-{index:04d}" for index in range(6, 10)}
    assert {(each.kind, each.code) for each in rejected.values()} == {(FaultKind.TRANSIENT, "DeadlineExceeded")}
    assert [outcome.puts for outcome in outcomes] == [1, 1, 1, 0, 0]


def test_what_was_accepted_but_not_proven_in_time_is_unknown() -> None:
    clock = FakeClock()
    outcomes = client_of(SlowPuts(clock, 4.0), clock).create_machines([chunk(0, "a", "b")], None, EPOCH + 4)
    assert states(outcomes) == {"a": "unknown", "b": "unknown"}
    assert {each.code for each in outcomes[0].outcomes} == {"NoProof"}


def test_what_was_under_way_is_unknown_and_is_not_sent_again_without_time() -> None:
    clock, arm = FakeClock(), FakeArm()

    def lost(*_: object) -> SendFailure:
        clock.sleep(5.0)
        return NO_ANSWER

    arm.on_put = lost
    outcomes = client_of(arm, clock).create_machines([chunk(0, "a", "b")], None, EPOCH + 5)
    assert states(outcomes) == {"a": "unknown", "b": "unknown"}
    assert len(arm.puts) == 1


def test_a_write_the_rate_budget_has_no_room_for_in_time_is_not_sent_and_not_waited_for() -> None:
    clock, arm = FakeClock(), FakeArm()
    settings = ClientSettings(writes=Rate(2, 0.1), workers=1)
    outcomes = client_of(arm, clock, settings=settings).create_machines(wave(4, 2), None, EPOCH + 15)
    assert len(arm.puts) == 3
    assert clock.time <= EPOCH + 10.1, "the fourth would leave after 20 s: nobody waits for it"
    assert [outcome.puts for outcome in outcomes] == [1, 1, 1, 0]


def test_a_pool_that_is_not_there_in_time_is_a_deadline_error() -> None:
    clock = FakeClock()
    creating = answer(200, {"properties": {"mode": "Machines", "provisioningState": "Creating"}})
    with pytest.raises(DeadlineError, match="not there after"):
        client_of(ScriptedTransport([creating]), clock).ensure_pool("pool1", EPOCH + 20)
    assert clock.time <= EPOCH + 20


def _names(put: Request) -> list[str]:
    return [entry["machineName"] for entry in json.loads(put.headers["BatchPutMachine"])["batchMachines"]]


# What need not be asked twice


def test_a_pool_just_listed_is_not_listed_again_before_the_writes() -> None:
    arm = FakeArm()
    client = client_of(arm)
    client.list_machines("pool1")
    client.create_machines(wave(2, 3))
    methods = [request.method for request in arm.requests]
    assert methods == ["GET", "PUT", "PUT", "GET"]


def test_a_list_that_shows_one_of_the_names_or_is_old_is_asked_for_again() -> None:
    clock, arm = FakeClock(), FakeArm()
    arm.add("a")
    client = client_of(arm, clock)
    client.list_machines("pool1")
    client.create_machines([chunk(0, "a", "b", template=TEMPLATE)])
    assert [request.method for request in arm.requests] == ["GET", "GET", "PUT", "GET"]
    arm.requests.clear()
    clock.sleep(LIST_S + 1)
    client.create_machines([chunk(0, "c", "d")])
    assert [request.method for request in arm.requests] == ["GET", "PUT", "GET"]


def test_a_list_from_before_a_delete_says_nothing() -> None:
    arm = FakeArm()
    client = client_of(arm)
    client.list_machines("pool1")
    client.delete_machines("pool1", ["x"])
    arm.requests.clear()
    client.create_machines([chunk(0, "a", "b")])
    assert [request.method for request in arm.requests] == ["GET", "PUT", "GET"]


def test_a_machine_that_somebody_else_made_since_the_list_is_not_ours_and_is_not_changed() -> None:
    arm = FakeArm()
    client = client_of(arm)
    client.list_machines("pool1")
    arm.add("a", tags={"azaks-owner": "somebody"})
    arm.on_put = lambda names, _: error(
        400,
        "BatchMachineClientError",
        details=[{"code": "InvalidParameter", "message": "exists", "target": "a"}],
    )
    outcomes = client.create_machines([chunk(0, "a")])
    assert states(outcomes) == {"a": "rejected"}


class CountingPool(FakeArm):
    """Counts questions for the pool itself."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.absent = False

    def send(self, request: Request) -> Response | SendFailure:
        if "/machines" in request.url or request.method != "GET":
            if self.absent and request.method == "GET":
                return error(404, "NotFound", subcode="GetAgentPool_NotFound")
            return super().send(request)
        self.asked += 1
        return answer(200, {"properties": {"mode": "Machines", "provisioningState": "Succeeded"}})


def test_a_usable_pool_is_asked_for_once_while_lists_show_it() -> None:
    clock, pool = FakeClock(), CountingPool()
    client = client_of(pool, clock)
    for _ in range(5):
        client.ensure_pool("pool1")
        clock.sleep(USABLE_S - 1)
        client.list_machines("pool1")
    assert pool.asked == 1
    clock.sleep(USABLE_S + 1)
    client.ensure_pool("pool1")
    assert pool.asked == 2


def test_a_pool_found_absent_or_with_a_machine_that_was_not_accepted_is_asked_for_again() -> None:
    pool = CountingPool()
    client = client_of(pool)
    client.ensure_pool("pool1")
    pool.absent = True
    client.list_machines("pool1")
    pool.absent = False
    client.ensure_pool("pool1")
    assert pool.asked == 2
    pool.on_put = lambda *_: error(400, "BadRequest", "Agent pool 'pool1' is not in 'Machines' mode.")
    assert states(client.create_machines([chunk(0, "a", "b")])) == {"a": "rejected", "b": "rejected"}
    client.ensure_pool("pool1")
    assert pool.asked == 3
