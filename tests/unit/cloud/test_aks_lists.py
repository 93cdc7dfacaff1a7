"""Lists, pools, deletes and nodes (aks-machine-api.md §2.1, §7)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aks_fakes import ENDPOINTS, EPOCH, FakeArm, FakeClock, ScriptedTransport, answer, chunk, client_of, error, query

from autoscale_aks.cloud.aks.client import AksClient, ClientSettings
from autoscale_aks.cloud.aks.kubernetes import NOT_READY_TAINTS, is_cordoned, is_ready
from autoscale_aks.cloud.aks.transport import Request, Response, SendFailure, Sent
from autoscale_aks.errors import AuthError, CloudError, ProtocolError, ThrottledError
from autoscale_aks.model.launch import FaultKind, LaunchState

if TYPE_CHECKING:
    from collections.abc import Sequence

BASE = "https://arm.example/page"


def machines(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "properties": {"provisioningState": "Succeeded"}} for name in names]


def page(*names: str, link: str | None = None) -> Response:
    return answer(200, {"value": machines(*names), **({"nextLink": link} if link else {})})


def listing_of(*script: Response | SendFailure) -> tuple[Any, ScriptedTransport]:
    transport = ScriptedTransport(script)
    return client_of(transport).list_machines("pool1"), transport


def test_pages_are_followed_until_the_link_is_absent_and_empty_ones_count() -> None:
    listing, transport = listing_of(page("a", link=f"{BASE}?%24skipToken=1&skipToken=1"), page())
    assert (listing.complete, listing.pages, [machine.name for machine in listing.machines]) == (True, 2, ["a"])
    assert transport.requests[1].url == f"{BASE}?%24skipToken=1&skipToken=1"


def test_there_is_no_limit_of_fifty_pages() -> None:
    pages = [page(f"m{n}", link=f"{BASE}?t={n}") for n in range(120)]
    listing, _ = listing_of(*pages, page("last"))
    assert (listing.complete, listing.pages, len(listing.machines)) == (True, 121, 121)


def test_a_machine_that_moved_between_pages_is_listed_once() -> None:
    listing, _ = listing_of(page("a", "b", link=f"{BASE}?t=1"), page("b", "c"))
    assert [machine.name for machine in listing.machines] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/page",
        "http://arm.example/page",
        "https://arm.example:8443/page",
        "https://arm.example@evil.example/page",
        "https://evil.example\\@arm.example/page",
        "https://user:pass@arm.example/page",
        "https://arm.example\\@evil.example/page",
        "//evil.example/page",
        "https://[broken",
        "file:///etc/passwd",
    ],
)
def test_a_link_to_another_host_is_never_followed(link: str) -> None:
    listing, transport = listing_of(page("a", link=link), page("b"))
    assert (listing.complete, [machine.name for machine in listing.machines]) == (False, ["a"])
    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    "link", ["https://arm.example:443/page?t=1", "https://ARM.example/page?t=1", "/page?t=1", "?t=1", "page?t=1"]
)
def test_a_link_to_the_same_host_is_followed_however_it_is_written(link: str) -> None:
    listing, transport = listing_of(page("a", link=link), page("b"))
    assert (listing.complete, len(listing.machines)) == (True, 2)
    assert transport.requests[1].url.startswith("https://arm.example/")
    assert transport.requests[1].url.endswith("?t=1")


def test_links_that_go_round_end_the_walk() -> None:
    listing, transport = listing_of(
        page("a", link=f"{BASE}?t=1"), page("b", link=f"{BASE}?t=2"), page("c", link=f"{BASE}?t=1")
    )
    assert not listing.complete
    assert len(transport.requests) == 3


def test_empty_pages_for_ever_end_the_walk() -> None:
    counter = iter(range(10_000))
    transport = ScriptedTransport(lambda _: page(link=f"{BASE}?t={next(counter)}"))
    assert not client_of(transport).list_machines("pool1").complete


@pytest.mark.parametrize(
    "second",
    [
        error(500, "InternalServerError"),
        error(404, "NotFound"),
        error(403, "AuthorizationFailed"),
        answer(429, {}, Retry_After="900"),
        answer(200, b"<html>"),
        answer(200, {"value": "none"}),
        SendFailure(Sent.UNKNOWN, "reset"),
        SendFailure(Sent.NOT_SENT, "refused"),
    ],
    ids=repr,
)
def test_a_page_that_fails_leaves_the_listing_incomplete_with_what_was_seen(second: Response | SendFailure) -> None:
    listing, _ = listing_of(page("a", "b", link=f"{BASE}?t=1"), second)
    assert (listing.complete, len(listing.machines), listing.pages) == (False, 2, 1)
    assert "page 2" in listing.detail


def test_a_throttled_page_is_waited_for() -> None:
    clock = FakeClock()
    transport = ScriptedTransport([page("a", link=f"{BASE}?t=1"), answer(429, {}, Retry_After="29"), page("b")])
    listing = client_of(transport, clock).list_machines("pool1")
    assert (listing.complete, len(listing.machines)) == (True, 2)
    assert clock.time == EPOCH + 29


@pytest.mark.parametrize(
    "first",
    [error(500, "x"), error(503, "x"), SendFailure(Sent.UNKNOWN, "reset"), answer(200, b"<html>"), answer(302, b"")],
    ids=repr,
)
def test_passing_trouble_on_the_first_page_is_an_incomplete_listing(first: Response | SendFailure) -> None:
    listing, _ = listing_of(first)
    assert (listing.complete, listing.machines) == (False, ())


def test_a_truncated_page_is_no_page() -> None:
    whole = page("a")
    listing, _ = listing_of(Response(status=200, body=whole.body, truncated=True))
    assert not listing.complete


def test_one_unreadable_machine_does_not_hide_the_others() -> None:
    listing, _ = listing_of(answer(200, {"value": [None, *machines("a"), {"name": 5}]}))
    assert (listing.complete, [machine.name for machine in listing.machines]) == (False, ["a"])


def test_an_absent_pool_is_an_empty_complete_listing() -> None:
    listing, _ = listing_of(error(404, "NotFound", subcode="GetAgentPool_NotFound"))
    assert (listing.complete, listing.machines) == (True, ())


@pytest.mark.parametrize(
    ("first", "raised"),
    [
        (answer(404, {"error": {"code": "ResourceNotFound"}}), CloudError),
        (answer(404, {"error": {"code": "ResourceGroupNotFound"}}), CloudError),
        (answer(404, b"<html>"), CloudError),
        (error(400, "BadRequest"), CloudError),
        (error(401, "AuthenticationFailed"), AuthError),
        (error(403, "AuthorizationFailed"), AuthError),
        (error(429, "Throttled"), ThrottledError),
    ],
    ids=repr,
)
def test_a_list_refused_as_a_whole_raises(first: Response, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        listing_of(first)


def test_vm_states_are_asked_for_and_a_service_that_refuses_is_asked_without() -> None:
    def service(request: Request) -> Response:
        return error(400, "InvalidParameter") if "$expand" in query(request) else page("a")

    transport = ScriptedTransport(service)
    client = client_of(transport)
    assert client.list_machines("pool1").complete
    assert client.list_machines("pool1").complete
    assert [query(request).get("$expand") for request in transport.requests] == [
        "properties.status.vmState",
        None,
        None,
    ]


class FakePool:
    """A pool whose states come from a list; PUT makes it."""

    def __init__(self, *states: str | None, mode: str = "Machines", put: Sequence[Response] = ()) -> None:
        self.states, self.mode, self.put = list(states), mode, list(put)
        self.puts: list[bytes | None] = []

    def close(self) -> None: ...

    def send(self, request: Request) -> Response:
        if request.method == "PUT":
            self.puts.append(request.body)
            return self.put.pop(0) if self.put else answer(201, {})
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state is None:
            return error(404, "NotFound", subcode="GetAgentPool_NotFound")
        return answer(200, {"properties": {"mode": self.mode, "provisioningState": state}})


@pytest.mark.parametrize(
    ("states", "puts"),
    [
        (["Succeeded"], 0),
        (["Updating"], 0),
        (["Scaling"], 0),
        (["Creating", "Creating", "Succeeded"], 0),
        ([None, "Creating", "Succeeded"], 1),
        ([None, None, "Succeeded"], 1),
        (["Failed", "Updating"], 1),
        (["", "Succeeded"], 0),
    ],
)
def test_a_pool_is_made_once_and_waited_for(states: list[str | None], puts: int) -> None:
    pool = FakePool(*states)
    client_of(pool).ensure_pool("pool1")
    assert pool.puts == [b'{"properties":{"mode":"Machines"}}'] * puts


@pytest.mark.parametrize(
    ("pool", "says"),
    [
        (FakePool("Succeeded", mode="User"), "exists in mode 'User', not 'Machines'"),
        (FakePool("Succeeded", mode=""), "mode 'unknown'"),
        (FakePool("Deleting"), "Deleting"),
        (FakePool("Failed"), "Failed"),
        (FakePool("Creating"), "not there after"),
        (FakePool(None, put=[error(400, "InvalidParameter", "bad")]), "InvalidParameter: bad"),
        (FakePool(None, put=[error(409, "OperationNotAllowed", "busy")] * 9), "OperationNotAllowed: busy"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pool_that_cannot_be_had_is_a_clear_error(pool: FakePool, says: str) -> None:
    with pytest.raises(CloudError, match=says):
        client_of(pool).ensure_pool("pool1")


def test_a_pool_waits_for_another_operation_on_the_cluster() -> None:
    clock, pool = FakeClock(), FakePool(None, "Succeeded", put=[error(409, "OperationNotAllowed")] * 2)
    client_of(pool, clock).ensure_pool("pool1")
    assert len(pool.puts) == 3
    assert clock.slept == [10.0, 10.0]


def test_a_pool_name_that_cannot_be_is_refused_before_any_request() -> None:
    pool = FakePool("Succeeded")
    with pytest.raises(CloudError, match="pool name"):
        client_of(pool).ensure_pool("Not-A-Pool")


@pytest.mark.parametrize(
    ("reply", "raised"),
    [
        (error(403, "AuthorizationFailed"), AuthError),
        (answer(429, {}, Retry_After="900"), ThrottledError),
        (error(500, "x"), CloudError),
        (answer(404, {"error": {"code": "ResourceNotFound"}}), CloudError),
        (answer(200, b"<html>"), ProtocolError),
    ],
    ids=repr,
)
def test_a_pool_that_cannot_be_asked_for_raises(reply: Response, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        client_of(ScriptedTransport([reply])).ensure_pool("pool1")


GONE = error(400, "InvalidParameter", "Cannot find any valid machines; valid machines are: x")


class FakeDelete(FakeArm):
    """Deletes machines; refuses a request with an unknown name when told to."""

    def __init__(self, *, mixed: str = "proceed") -> None:
        super().__init__()
        self.mixed = mixed
        self.asked: list[list[str]] = []

    def send(self, request: Request) -> Response | SendFailure:
        if request.method != "POST":
            return super().send(request)
        assert request.body is not None
        names = json.loads(request.body)["machineNames"]
        with self._lock:
            self.asked.append(names)
            known = [name for name in names if name in self.machines]
            if not known or (self.mixed == "reject" and len(known) < len(names)):
                return GONE
            for name in known:
                del self.machines[name]
        return answer(202)


def test_deletes_go_out_at_most_fifty_at_a_time() -> None:
    arm = FakeDelete()
    names = [f"m{n}" for n in range(120)]
    arm.add(*names)
    outcome = client_of(arm).delete_machines("pool1", [*names, "m0"])
    assert sorted(map(len, arm.asked)) == [20, 50, 50]
    assert (sorted(outcome.accepted), outcome.refused) == (sorted(names), ())
    assert arm.machines == {}


@pytest.mark.parametrize("mixed", ["proceed", "reject"])
def test_absent_is_success_and_never_keeps_a_known_machine_alive(mixed: str) -> None:
    arm = FakeDelete(mixed=mixed)
    arm.add("a", "b", "other")
    outcome = client_of(arm).delete_machines("pool1", ["a", "gone", "b"])
    assert sorted(outcome.accepted) == ["a", "b", "gone"]
    assert sorted(arm.machines) == ["other"]


@pytest.mark.parametrize("reply", [GONE, answer(404, b""), error(404, "NotFound"), answer(204), answer(202)], ids=repr)
def test_gone_machines_are_deleted_machines(reply: Response) -> None:
    outcome = client_of(ScriptedTransport([reply])).delete_machines("pool1", ["a"])
    assert (outcome.accepted, outcome.refused) == (("a",), ())


@pytest.mark.parametrize(
    ("reply", "state", "kind"),
    [
        (error(400, "BadRequest", "no"), LaunchState.REJECTED, FaultKind.VALIDATION),
        (error(403, "AuthorizationFailed"), LaunchState.REJECTED, FaultKind.AUTH),
        (answer(429, {}, Retry_After="900"), LaunchState.REJECTED, FaultKind.THROTTLE),
        (error(500, "InternalServerError"), LaunchState.UNKNOWN, FaultKind.TRANSIENT),
        (SendFailure(Sent.UNKNOWN, "reset"), LaunchState.UNKNOWN, FaultKind.TRANSIENT),
        (SendFailure(Sent.NOT_SENT, "refused"), LaunchState.REJECTED, FaultKind.TRANSIENT),
    ],
    ids=repr,
)
def test_a_refused_delete_is_a_value(reply: Response | SendFailure, state: LaunchState, kind: FaultKind) -> None:
    outcome = client_of(ScriptedTransport([reply])).delete_machines("pool1", ["a", "b"])
    assert outcome.accepted == ()
    assert {(each.state, each.kind) for each in outcome.refused} == {(state, kind)}


class Refusing:
    """Hands out `good` tokens, then none."""

    def __init__(self, good: int) -> None:
        self.good = good

    def token(self) -> str:
        self.good -= 1
        if self.good < 0:
            raise AuthError("not logged in")
        return "token"

    def invalidate(self, refused: str) -> None: ...


def test_a_token_that_is_lost_between_pages_leaves_the_listing_incomplete() -> None:
    transport = ScriptedTransport([page("a", link=f"{BASE}?t=1"), page("b")])
    listing = AksClient(ENDPOINTS, Refusing(1), transport=transport).list_machines("pool1")
    assert (listing.complete, len(listing.machines)) == (False, 1)
    with pytest.raises(AuthError):
        AksClient(ENDPOINTS, Refusing(0), transport=transport).list_machines("pool1")


def test_without_a_token_nothing_is_deleted_or_created_and_every_machine_says_so() -> None:
    client = AksClient(ENDPOINTS, Refusing(0), transport=ScriptedTransport([]))
    assert {each.kind for each in client.delete_machines("pool1", ["a", "b"]).refused} == {FaultKind.AUTH}
    (outcome,) = client.create_machines([chunk(0, "a", "b")])
    assert {each.kind for each in outcome.outcomes} == {FaultKind.AUTH}


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (error(500, "x"), {"a": "unknown", "b": "unknown"}),
        (error(403, "x"), {"a": "rejected", "b": "rejected"}),
        (page("a"), {"a": "accepted", "b": "accepted"}),
    ],
    ids=repr,
)
def test_a_mixed_delete_is_decided_by_a_list_or_not_at_all(listing: Response, expected: dict[str, str]) -> None:
    transport = ScriptedTransport(lambda request: GONE if request.method == "POST" else listing)
    outcome = client_of(transport).delete_machines("pool1", ["a", "b"])
    found = {each.name: each.state.value for each in outcome.refused} | dict.fromkeys(outcome.accepted, "accepted")
    assert found == expected


def test_no_kubernetes_no_nodes() -> None:
    with pytest.raises(CloudError, match="no Kubernetes API"):
        AksClient(ENDPOINTS, Refusing(1), transport=ScriptedTransport([])).list_nodes(["pool1"])


def test_nothing_to_delete_is_no_request() -> None:
    arm = FakeDelete()
    assert client_of(arm).delete_machines("pool1", []).accepted == ()
    assert arm.asked == []


def node(name: str = "n", pool: str = "pool1", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"agentpool": pool}},
        "spec": {"providerID": "azure:///vm"},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": "10.0.0.4"}],
            **status,
        },
    }


def with_spec(**spec: Any) -> dict[str, Any]:
    return {**node(), "spec": spec}


SPOT = {"key": "kubernetes.azure.com/scalesetpriority", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("value", "ready"),
    [
        (node(), True),
        (node(conditions=[]), False),
        (node(conditions=[{"type": "Ready", "status": "Unknown"}]), False),
        (node(conditions=[{"type": "Ready", "status": True}]), False),
        (
            node(conditions=[{"type": "Ready", "status": "True"}, {"type": "NetworkUnavailable", "status": "True"}]),
            False,
        ),
        (
            node(conditions=[{"type": "Ready", "status": "True"}, {"type": "NetworkUnavailable", "status": "False"}]),
            True,
        ),
        (with_spec(unschedulable=True), False),
        (with_spec(unschedulable=False), True),
        (with_spec(taints=[SPOT]), True),
        (with_spec(taints=[{"key": "node.kubernetes.io/not-ready", "effect": "PreferNoSchedule"}]), True),
        ({}, False),
        (None, False),
        ({"status": {"conditions": "Ready"}, "spec": {"taints": {}}}, False),
    ],
)
def test_the_ready_rule(value: object, ready: bool) -> None:
    assert is_ready(value) is ready


CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("value", "cordoned"),
    [
        (node(), False),
        (with_spec(unschedulable=True), True),
        (with_spec(unschedulable=True, taints=[SPOT, CORDON]), True),
        (with_spec(taints=[CORDON]), False),
        (with_spec(unschedulable=True, taints=[CORDON, {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]),
         False),
        ({**node(conditions=[{"type": "Ready", "status": "Unknown"}]), "spec": {"unschedulable": True}}, False),
        (None, False),
    ],
)  # fmt: skip
def test_t20_a_node_is_cordoned_when_nothing_else_keeps_it_from_being_ready(value: object, cordoned: bool) -> None:
    assert is_cordoned(value) is cordoned


@pytest.mark.parametrize("key", sorted(NOT_READY_TAINTS))
@pytest.mark.parametrize("effect", ["NoSchedule", "NoExecute"])
def test_ten_built_in_taints_keep_a_node_from_being_ready(key: str, effect: str) -> None:
    assert len(NOT_READY_TAINTS) == 10
    assert not is_ready(with_spec(taints=[SPOT, {"key": key, "effect": effect}]))


def nodes_page(*items: object, token: str = "") -> Response:
    return answer(200, {"items": list(items), "metadata": {"continue": token} if token else {}})


def test_nodes_are_read_page_by_page_and_by_pool() -> None:
    transport = ScriptedTransport(
        [nodes_page(node("a"), node("b", "other"), token="t/1"), nodes_page(node("c", "pool2"))]
    )
    nodes = client_of(transport).list_nodes(["pool1", "pool2"])
    assert [(each.name, each.pool, each.ready, each.private_ip) for each in nodes] == [
        ("a", "pool1", True, "10.0.0.4"),
        ("c", "pool2", True, "10.0.0.4"),
    ]
    assert query(transport.requests[0]) == {"labelSelector": "agentpool in (pool1,pool2)", "limit": "250"}
    assert query(transport.requests[1])["continue"] == "t/1"
    assert transport.requests[0].url.startswith("https://k8s.example/api/v1/nodes?")


def test_an_expired_continue_token_begins_the_node_list_again() -> None:
    transport = ScriptedTransport(
        [nodes_page(node("old"), token="t"), answer(410, {"reason": "Expired"}), nodes_page(node("new"))]
    )
    assert [each.name for each in client_of(transport).list_nodes(["pool1"])] == ["new"]


@pytest.mark.parametrize(
    ("script", "raised"),
    [
        ([nodes_page(node("a"), token="t"), error(500, "x")], CloudError),
        ([nodes_page(token="t")], ProtocolError),
        ([answer(410, {})], CloudError),
        ([answer(200, b"<html>")], ProtocolError),
        ([nodes_page({"metadata": {}})], ProtocolError),
        ([answer(401, {})], AuthError),
        ([answer(429, {}, Retry_After="900")], ThrottledError),
        ([SendFailure(Sent.NOT_SENT, "refused")], CloudError),
    ],
    ids=repr,
)
def test_nodes_that_cannot_be_read_whole_raise(script: list[Any], raised: type[Exception]) -> None:
    with pytest.raises(raised):
        client_of(ScriptedTransport(script)).list_nodes(["pool1"])


def test_no_pools_no_request() -> None:
    transport = ScriptedTransport([])
    assert client_of(transport, settings=ClientSettings(workers=1)).list_nodes([]) == ()
