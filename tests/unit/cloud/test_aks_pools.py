"""Agent pools listed and deleted, and one machine read (aks-machine-api.md §1.1, §2.1, §5.1)."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from aks_fakes import FakeClock, ScriptedTransport, answer, client_of, error

from autoscale_aks.cloud.aks.pool import ensure_all
from autoscale_aks.cloud.aks.transport import Request, Response, SendFailure, Sent
from autoscale_aks.errors import AuthError, CloudError, ProtocolError, ThrottledError

ABSENT = error(404, "NotFound", subcode="GetAgentPool_NotFound")
LOST = SendFailure(Sent.UNKNOWN, "reset")


def pool(name: str = "pool1", mode: str = "Machines", state: str = "Succeeded") -> dict[str, Any]:
    properties = {"mode": mode, "provisioningState": state, "powerState": {"code": "Running"}, "eTag": "e"}
    return {"name": name, "properties": properties}


class Service:
    """One pool that a DELETE takes away after `looks` more looks; `replies` come before."""

    def __init__(self, *replies: Response | SendFailure, mode: str = "Machines", looks: int = 2) -> None:
        self.replies = list(replies)
        self.mode, self.looks = mode, looks
        self.state = "Succeeded"
        self.deletes = 0

    def close(self) -> None: ...

    def send(self, request: Request) -> Response | SendFailure:
        if request.method == "DELETE":
            self.deletes += 1
            if self.replies:
                return self.replies.pop(0)
            self.state = "Deleting"
            return answer(202)
        if self.state == "Deleting":
            self.looks -= 1
        return ABSENT if self.looks < 0 else answer(200, pool(mode=self.mode, state=self.state))


def test_every_pool_of_every_page_is_listed_in_any_mode() -> None:
    link = "https://arm.example/page?t=1"
    transport = ScriptedTransport(
        [
            answer(200, {"value": [pool("sys", "System"), pool("np1")], "nextLink": link}),
            answer(200, {"value": [pool("np2")]}),
        ]
    )
    pools = client_of(transport).list_pool_views()
    assert [(view.name, view.mode, view.takes_machines, view.power_state) for view in pools] == [
        ("sys", "System", False, "Running"),
        ("np1", "Machines", True, "Running"),
        ("np2", "Machines", True, "Running"),
    ]
    assert transport.requests[0].url.endswith("/managedClusters/cl/agentPools?api-version=2024-06-02-preview")


@pytest.mark.parametrize(
    ("script", "raised"),
    [
        ([error(403, "AuthorizationFailed")], AuthError),
        ([answer(429, {}, Retry_After="900")], ThrottledError),
        ([answer(404, {"error": {"code": "ResourceNotFound"}})], CloudError),
        ([answer(200, {"value": [pool()], "nextLink": "https://evil.example/"})], CloudError),
        ([answer(200, {"value": [pool("")]})], ProtocolError),
        ([answer(200, {"value": [{"name": "x"}]})], ProtocolError),
        ([LOST], CloudError),
    ],
    ids=repr,
)
def test_pools_that_cannot_be_listed_whole_raise(script: list[Any], raised: type[Exception]) -> None:
    with pytest.raises(raised):
        client_of(ScriptedTransport(script)).list_pool_views()


def test_a_deleted_pool_is_waited_for_until_it_is_gone() -> None:
    service = Service()
    assert client_of(service).delete_pool_to_the_end("pool1") is True
    assert service.deletes == 1


def test_a_pool_that_stays_is_not_called_gone() -> None:
    clock = FakeClock()
    assert client_of(Service(looks=10**6), clock).delete_pool_to_the_end("pool1", wait_s=30) is False
    assert client_of(Service(looks=10**6)).delete_pool_to_the_end("pool1", wait_s=0) is False


def test_an_absent_pool_is_deleted_without_a_request_for_it() -> None:
    transport = ScriptedTransport([ABSENT])
    assert client_of(transport).delete_pool_to_the_end("pool1") is True
    assert [request.method for request in transport.requests] == ["GET"]


@pytest.mark.parametrize("mode", ["System", "User", ""])
def test_a_pool_in_another_mode_is_never_deleted(mode: str) -> None:
    service = Service(mode=mode)
    with pytest.raises(CloudError, match="only pools in Machines mode are deleted here"):
        client_of(service).delete_pool_to_the_end("pool1")
    assert service.deletes == 0


def test_a_delete_waits_for_another_operation_on_the_cluster() -> None:
    clock, service = FakeClock(), Service(*[error(409, "OperationNotAllowed", "busy")] * 2)
    assert client_of(service, clock).delete_pool_to_the_end("pool1")
    assert service.deletes == 3
    assert clock.slept[:2] == [10.0, 10.0]


@pytest.mark.parametrize("lost", [LOST, error(500, "InternalServerError"), answer(408)], ids=repr)
def test_a_delete_without_an_answer_is_looked_after(lost: Response | SendFailure) -> None:
    class Late(Service):
        def send(self, request: Request) -> Response | SendFailure:
            if request.method == "DELETE":
                self.state = "Deleting"
                return lost
            return super().send(request)

    assert client_of(Late()).delete_pool_to_the_end("pool1")
    with pytest.raises(CloudError):
        client_of(Service(*[lost] * 9)).delete_pool_to_the_end("pool1")


@pytest.mark.parametrize("lost", [LOST, error(503, "ServiceUnavailable")], ids=repr)
def test_a_pool_put_without_an_answer_is_looked_after(lost: Response | SendFailure) -> None:
    made = {"it": False}

    def service(request: Request) -> Response | SendFailure:
        if request.method == "PUT":
            made["it"] = True
            return lost
        return answer(200, pool()) if made["it"] else ABSENT

    transport = ScriptedTransport(service)
    client_of(transport).ensure_pool("pool1")
    assert [request.method for request in transport.requests].count("PUT") == 1


MACHINE = {"name": "m1", "properties": {"provisioningState": "Succeeded", "kubernetes": {"nodeName": "aks-x-vm"}}}


def test_one_machine_is_read_and_an_absent_one_is_none() -> None:
    transport = ScriptedTransport([answer(200, MACHINE)])
    machine = client_of(transport).get_machine("pool1", "m1")
    assert machine is not None
    assert (machine.name, machine.pool, machine.node_name) == ("m1", "pool1", "aks-x-vm")
    assert "/agentPools/pool1/machines/m1?" in transport.requests[0].url
    absent = error(404, "NotFound", details=[{"code": "Unspecified"}], subcode="GetMachine_NotFound_HCPServerError")
    assert client_of(ScriptedTransport([absent])).get_machine("pool1", "m1") is None


@pytest.mark.parametrize(
    ("reply", "raised"),
    [
        (error(403, "AuthorizationFailed"), AuthError),
        (error(429, "Throttled"), ThrottledError),
        (answer(404, {"error": {"code": "ResourceNotFound"}}), CloudError),
        (error(500, "x"), CloudError),
        (answer(200, b"<html>"), ProtocolError),
        (LOST, CloudError),
    ],
    ids=repr,
)
def test_a_machine_that_cannot_be_read_raises(reply: Response | SendFailure, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        client_of(ScriptedTransport([reply])).get_machine("pool1", "m1")


def test_what_the_service_refused_can_be_found_again_by_its_correlation_id() -> None:
    reply = error(400, "BadRequest", "no")
    marked = Response(status=400, headers={"x-ms-correlation-request-id": "corr-7"}, body=reply.body)
    with pytest.raises(CloudError, match=r"HTTP 400 BadRequest: no \(correlation corr-7\)"):
        client_of(ScriptedTransport([marked])).get_pool("pool1")


def test_pools_are_made_at_once_and_one_that_fails_hinders_no_other() -> None:
    """Each waits until all have begun, which one after another never would."""
    together = threading.Barrier(5)

    def ensure(name: str) -> None:
        together.wait(timeout=30)
        if name == "bad":
            raise CloudError("no room")

    failed = ensure_all(ensure, ["a", "b", "bad", "c", "d"])
    assert {pool: str(error) for pool, error in failed.items()} == {"bad": "no room"}
    assert ensure_all(ensure, []) == {}


def test_pools_that_were_just_seen_usable_are_not_asked_for_again() -> None:
    transport = ScriptedTransport(lambda _: answer(200, pool()))
    client = client_of(transport)
    assert client.ensure_pools(["np1", "np2"]) == {}
    sent = len(transport.requests)
    assert client.ensure_pools(["np1", "np2"]) == {}
    assert len(transport.requests) == sent
