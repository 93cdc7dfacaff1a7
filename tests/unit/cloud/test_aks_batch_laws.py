"""Creating machines, law by law (batching.md B1 – B11), against a small AKS behind the transport seam."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aks_fakes import (
    ENDPOINTS,
    MARK,
    TEMPLATE,
    FakeArm,
    FakeClock,
    ScriptedTransport,
    answer,
    chunk,
    client_of,
    error,
    put_names,
    query,
    specs,
    states,
    url_name,
    wave,
)

from autoscale_aks.cloud.aks.client import ClientSettings, Remembered
from autoscale_aks.cloud.aks.endpoints import check_machine_name
from autoscale_aks.cloud.aks.scale import scale_names
from autoscale_aks.cloud.aks.transport import Request, Response, SendFailure, Sent
from autoscale_aks.cloud.aks.wire import HeaderForm, HeaderLimits
from autoscale_aks.errors import AuthError, ThrottledError
from autoscale_aks.model.launch import OWNER_TAG, ChunkOutcome, FaultKind, LaunchRequest, MachineSpec, MachineTemplate

if TYPE_CHECKING:
    from collections.abc import Callable

LOST = SendFailure(Sent.UNKNOWN, "time-out")


def client_error(**details: str) -> Response:
    return error(
        400,
        "BatchMachineClientError",
        "some failed",
        details=[{"code": code, "message": "no", "target": name} for name, code in details.items()],
    )


def once(reply: Response | SendFailure) -> Callable[[list[str], Request], Response | SendFailure | None]:
    replies = [reply]
    return lambda names, request: replies.pop() if replies else None


def test_b1_b2_one_wave_is_equal_contiguous_slices_in_order() -> None:
    arm = FakeArm()
    names = [f"m-{index:03d}" for index in range(96)]
    client_of(arm).scale_machine(TEMPLATE, 96, 2, names=names, watch=None)
    sent = sorted((put_names(request) for request in arm.batch_puts), key=lambda part: part[0])
    assert sent == [names[:48], names[48:]]


@pytest.mark.parametrize(
    ("count", "workers"),
    [(10, 3), (10, 0), (10, -2), (-4, 2), (51, 1), (1000, 10), (7, 2), (True, 1), (10, True), (10.0, 2), ("10", 2)],
)
@pytest.mark.parametrize("use_batch_api", [True, False])
def test_b2_anything_but_an_exact_multiple_is_a_value_error_before_any_request(
    count: Any, workers: Any, use_batch_api: bool
) -> None:
    arm = FakeArm()
    with pytest.raises(ValueError, match=r"machine|count"):
        client_of(arm).scale_machine(TEMPLATE, count, workers, use_batch_api)
    assert arm.requests == []


@pytest.mark.parametrize(
    "names",
    [
        ["a", "a"],
        ["a"],
        ["a", "b", "c"],
        ["a", "B"],
        ["a", "x" * 35],
        ["a", "1b"],
        ["a", "b-"],
        ["a", "b\n"],
        ["a", ""],
    ],
)
def test_b2_unusable_names_are_a_value_error_before_any_request(names: list[str]) -> None:
    arm = FakeArm()
    with pytest.raises(ValueError, match=r"name"):
        client_of(arm).scale_machine(TEMPLATE, 2, 1, names=names)
    assert arm.requests == []


def test_b2_a_pool_name_that_cannot_be_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="pool name"):
        client_of(FakeArm()).scale_machine(MachineTemplate(pool="x" * 13, vm_size="s"), 2, 1)


def test_b2_nothing_asked_is_nothing_sent() -> None:
    arm = FakeArm()
    record = client_of(arm).scale_machine(TEMPLATE, 0, 4)
    assert record.success
    assert arm.requests == []


def test_b3_a_thousand_machines_are_twenty_puts() -> None:
    arm = FakeArm()
    outcomes = client_of(arm).create_machines(wave(20, 50))
    assert len(arm.puts) == 20
    assert len(arm.machines) == 1000
    assert set(states(outcomes).values()) == {"accepted"}


def test_b4_chunks_are_in_flight_together_up_to_the_workers() -> None:
    barrier = threading.Barrier(4, timeout=5)

    class Together(FakeArm):
        def send(self, request: Request) -> Response | SendFailure:
            if request.method == "PUT":
                barrier.wait()
            return super().send(request)

    arm = Together()
    client_of(arm, settings=ClientSettings(workers=4)).create_machines(wave(4, 2))
    assert len(arm.machines) == 8


def test_b5_a_chunk_whose_header_is_too_long_goes_out_in_more_puts() -> None:
    arm = FakeArm()
    machines = tuple(MachineSpec(name=f"m-{n:02d}", tags={"t": "x" * 600}) for n in range(50))
    request = LaunchRequest(chunk_id="chunk_0", template=TEMPLATE, machines=machines)
    (outcome,) = client_of(arm).create_machines([request])
    assert outcome.puts == len(arm.batch_puts) == 3
    assert all(len(request.headers["BatchPutMachine"]) < 12 * 1024 for request in arm.batch_puts)
    assert len(arm.machines) == 50


def test_b6_outcomes_come_back_in_order_with_their_chunk_ids() -> None:
    outcomes = client_of(FakeArm()).create_machines(wave(7, 3))
    assert [outcome.chunk_id for outcome in outcomes] == [f"chunk_{index}" for index in range(7)]
    assert [each.name for each in outcomes[2].outcomes] == ["m-0006", "m-0007", "m-0008"]


def test_b6_each_chunk_is_told_from_the_calling_thread_as_it_is_known() -> None:
    told: list[tuple[str, int]] = []
    client_of(FakeArm()).create_machines(
        wave(3, 2), lambda outcome: told.append((outcome.chunk_id, threading.get_ident()))
    )
    assert sorted(told) == [(f"chunk_{index}", threading.get_ident()) for index in range(3)]


def test_b6_a_listener_that_raises_stops_the_call_and_nothing_hangs() -> None:
    def broken(_: ChunkOutcome) -> None:
        raise KeyError("ledger")

    with pytest.raises(KeyError):
        client_of(FakeArm()).create_machines(wave(3, 2), broken)


@pytest.mark.parametrize("form", HeaderForm)
def test_b7_both_forms_make_all_machines(form: HeaderForm) -> None:
    arm = FakeArm()
    settings = ClientSettings(header=HeaderLimits(form=form))
    outcomes = client_of(arm, settings=settings).create_machines([chunk(0, "a", "b", "c")])
    entries = json.loads(arm.batch_puts[0].headers["BatchPutMachine"])["batchMachines"]
    assert [entry["machineName"] for entry in entries] == (["a", "b", "c"] if form is HeaderForm.ALL else ["b", "c"])
    assert url_name(arm.puts[0]) == "a"
    assert states(outcomes) == {"a": "accepted", "b": "accepted", "c": "accepted"}


def test_b7_a_chunk_of_one_has_no_batch_header() -> None:
    arm = FakeArm()
    client_of(arm).create_machines([chunk(0, "a")])
    assert arm.single_puts == ["a"]
    assert arm.puts[0].headers["If-None-Match"] == "*"
    assert query(arm.puts[0]) == {"api-version": "2025-06-02-preview"}


def test_b8_a_throttled_chunk_is_rejected_and_the_moment_is_kept() -> None:
    arm, clock = FakeArm(), FakeClock()
    arm.on_put = lambda names, request: answer(429, {"code": "Throttled"}, Retry_After="300")
    client = client_of(arm, clock)
    (outcome,) = client.create_machines([chunk(0, "a", "b")])
    assert {each.kind for each in outcome.outcomes} == {FaultKind.THROTTLE}
    assert states([outcome]) == {"a": "rejected", "b": "rejected"}
    assert len(arm.puts) == 1
    assert client.remembered.not_before == {"write": clock.time + 300}
    again = client_of(arm, clock, remembered=client.remembered)
    (outcome,) = again.create_machines([chunk(0, "a", "b")])
    assert len(arm.puts) == 1, "nothing is sent before the moment"
    assert {each.kind for each in outcome.outcomes} == {FaultKind.THROTTLE}


def test_b8_429_then_success_counts_its_attempts() -> None:
    arm, clock = FakeArm(), FakeClock()
    replies = [error(429, "Throttled"), error(429, "Throttled")]
    arm.on_put = lambda names, request: replies.pop() if replies else None
    (outcome,) = client_of(arm, clock).create_machines([chunk(0, "a", "b")])
    assert (outcome.attempts, outcome.puts) == (3, 1)
    assert outcome.ended_at - outcome.started_at == pytest.approx(3.0)


def test_b9_one_chunks_failure_never_hides_anothers_success() -> None:
    arm = FakeArm()
    arm.on_put = lambda names, request: error(400, "VMSizeNotSupported") if names[0] == "m-0002" else None
    outcomes = client_of(arm).create_machines(wave(3, 2))
    assert [set(states([outcome]).values()) for outcome in outcomes] == [{"accepted"}, {"rejected"}, {"accepted"}]
    assert {each.code for each in outcomes[1].outcomes} == {"VMSizeNotSupported"}


def test_b9_the_named_machines_failed_and_the_unnamed_were_created() -> None:
    arm = FakeArm()

    def partial(names: list[str], request: Request) -> Response:
        arm.add("a", "c")
        return client_error(b="SkuNotAvailable")

    arm.on_put = partial
    (outcome,) = client_of(arm).create_machines([chunk(0, "a", "b", "c")])
    assert states([outcome]) == {"a": "accepted", "b": "rejected", "c": "accepted"}
    assert outcome.outcomes[1].kind is FaultKind.CAPACITY
    assert len(arm.puts) == 1


def test_b9_an_internal_server_error_names_its_machines_inside_the_message() -> None:
    arm = FakeArm()

    def partial(names: list[str], request: Request) -> Response:
        arm.add("a")
        details = [{"code": "InternalOperationError", "message": "m", "target": "b"}]
        return error(500, "BatchMachineInternalServerError", json.dumps({"details": details}))

    arm.on_put = partial
    (outcome,) = client_of(arm).create_machines([chunk(0, "a", "b")])
    assert states([outcome]) == {"a": "accepted", "b": "rejected"}
    assert outcome.outcomes[1].kind is FaultKind.TRANSIENT


@pytest.mark.parametrize(
    "reply",
    [
        LOST,
        error(500, "InternalServerError", "no details"),
        error(500, "BatchMachineInternalServerError", "no JSON"),
        error(400, "BatchMachineClientError", "m", details=[]),
        client_error(stranger="X"),
        answer(502, b"<html>bad gateway</html>"),
        answer(400, b"<html>Request Header Or Cookie Too Large</html>"),
        answer(431, b""),
        answer(400, b'{"code": "BatchMachineCli'),
        answer(302, b""),
    ],
    ids=repr,
)
def test_b9_an_unknown_outcome_is_listed_adopted_and_only_the_missing_is_sent_again(
    reply: Response | SendFailure,
) -> None:
    arm = FakeArm()

    def half(names: list[str], request: Request) -> Response | SendFailure | None:
        if "BatchPutMachine" not in request.headers:
            return None
        arm.add("a", "c")
        return reply

    arm.on_put = half
    (outcome,) = client_of(arm).create_machines([chunk(0, "a", "b", "c")])
    assert states([outcome]) == {"a": "accepted", "b": "accepted", "c": "accepted"}
    assert arm.single_puts == ["b"]
    assert arm.puts[-1].headers["If-None-Match"] == "*"
    assert outcome.puts == 2


def test_b9_what_stays_unanswered_stays_unknown() -> None:
    arm = FakeArm()
    arm.on_put = lambda names, request: LOST
    (outcome,) = client_of(arm).create_machines([chunk(0, "a", "b")])
    assert states([outcome]) == {"a": "unknown", "b": "unknown"}
    assert len(arm.puts) == 3


def test_b9_a_machine_that_lands_late_is_adopted_by_the_last_list() -> None:
    arm = FakeArm()

    def late(names: list[str], request: Request) -> SendFailure:
        if "BatchPutMachine" not in request.headers:
            arm.add(*names)
        return LOST

    arm.on_put = late
    (outcome,) = client_of(arm).create_machines([chunk(0, "a", "b")])
    assert states([outcome]) == {"a": "accepted", "b": "accepted"}


def test_b9_a_rejected_machine_that_is_listed_alive_is_adopted() -> None:
    arm = FakeArm()

    def landed_before(names: list[str], request: Request) -> Response:
        arm.add("a", "b")
        return client_error(a="OperationNotAllowed", b="OperationNotAllowed")

    arm.on_put = landed_before
    assert states(client_of(arm).create_machines([chunk(0, "a", "b")])) == {"a": "accepted", "b": "accepted"}


def test_b9_a_rejected_machine_that_is_listed_failed_stays_rejected() -> None:
    arm = FakeArm()

    def failed(names: list[str], request: Request) -> Response:
        arm.add("a")
        arm.add("b", state="Failed")
        return client_error(b="SkuNotAvailable")

    arm.on_put = failed
    assert states(client_of(arm).create_machines([chunk(0, "a", "b")])) == {"a": "accepted", "b": "rejected"}


def test_b9_a_connection_that_never_stood_is_a_rejection() -> None:
    arm = FakeArm()
    arm.on_put = lambda names, request: SendFailure(Sent.NOT_SENT, "refused")
    (outcome,) = client_of(arm).create_machines([chunk(0, "a", "b")])
    assert {(each.state.value, each.kind) for each in outcome.outcomes} == {("rejected", FaultKind.TRANSIENT)}
    assert outcome.attempts == 5


def test_b9_a_refused_token_rejects_without_raising() -> None:
    arm = FakeArm()
    arm.on_put = lambda names, request: error(403, "AuthorizationFailed")
    (outcome,) = client_of(arm).create_machines([chunk(0, "a", "b")])
    assert {each.kind for each in outcome.outcomes} == {FaultKind.AUTH}


def test_b10_two_hundred_is_not_proof_where_the_header_is_ignored() -> None:
    arm = FakeArm()
    arm.honours_batch = False
    client = client_of(arm)
    outcomes = client.create_machines([chunk(0, "a", "b", "c"), chunk(1, "d", "e")])
    assert set(states(outcomes).values()) == {"accepted"}
    assert sorted(arm.machines) == ["a", "b", "c", "d", "e"]
    assert sorted(arm.single_puts) == ["b", "c", "e"]
    assert client.batch_honoured is False
    assert client.remembered.batch_honoured is False


def test_b10_where_the_batch_is_not_honoured_machines_go_out_one_by_one() -> None:
    arm = FakeArm()
    arm.honours_batch = False
    client = client_of(arm, remembered=Remembered(batch_honoured=False))
    (outcome,) = client.create_machines([chunk(0, "a", "b", "c")])
    assert arm.batch_puts == []
    assert sorted(arm.single_puts) == ["a", "b", "c"]
    assert (outcome.puts, outcome.attempts) == (3, 3)
    assert states([outcome]) == {"a": "accepted", "b": "accepted", "c": "accepted"}


def test_b10_a_proven_batch_is_remembered_as_honoured() -> None:
    client = client_of(FakeArm())
    client.create_machines([chunk(0, "a")])
    assert client.batch_honoured is None, "one machine alone proves nothing"
    client.create_machines([chunk(0, "b", "c")])
    assert client.batch_honoured is True


def test_b10_one_lost_machine_is_sent_again_and_the_batch_is_not_blamed() -> None:
    arm = FakeArm()

    def loses_one(names: list[str], request: Request) -> Response | None:
        if len(names) == 1:
            return None
        arm.add("a", "b")
        return answer(200, arm.machines["a"])

    arm.on_put = loses_one
    client = client_of(arm)
    assert states(client.create_machines([chunk(0, "a", "b", "c")])) == {
        "a": "accepted",
        "b": "accepted",
        "c": "accepted",
    }
    assert arm.single_puts == ["c"]
    assert client.batch_honoured is True


def test_b10_a_list_that_lags_neither_doubles_machines_nor_blames_the_batch() -> None:
    arm = FakeArm()
    arm.hidden = {"b", "c"}
    client = client_of(arm)
    (outcome,) = client.create_machines([chunk(0, "a", "b", "c")])
    assert states([outcome]) == {"a": "accepted", "b": "accepted", "c": "accepted"}
    assert client.batch_honoured is None
    assert len(arm.machines) == 3


def test_b10_a_batch_of_which_not_even_the_url_machine_came_is_no_proof_against_the_header() -> None:
    arm = FakeArm()
    arm.on_put = lambda names, request: answer(200, {}) if len(names) > 1 else None
    client = client_of(arm)
    assert states(client.create_machines([chunk(0, "a", "b")])) == {"a": "accepted", "b": "accepted"}
    assert client.batch_honoured is None


def test_b10_without_a_whole_list_an_accepted_machine_is_unknown_and_nothing_is_sent_again() -> None:
    arm = FakeArm()
    arm.on_list = lambda: error(500, "InternalServerError") if arm.puts else None
    (outcome,) = client_of(arm).create_machines([chunk(0, "a", "b")])
    assert states([outcome]) == {"a": "unknown", "b": "unknown"}
    assert len(arm.puts) == 1


def test_b10_a_2xx_that_is_not_the_machine_proves_nothing() -> None:
    arm = FakeArm()
    arm.on_put = lambda names, request: answer(200, b"<html>log in to the hotel</html>")
    assert states(client_of(arm).create_machines([chunk(0, "a")])) == {"a": "unknown"}


def test_b10_one_list_before_and_one_after_when_all_goes_well() -> None:
    arm = FakeArm()
    client_of(arm).create_machines(wave(20, 50))
    assert arm.lists == 2


def test_b10_a_changed_outcome_is_told_again() -> None:
    arm, told = FakeArm(), []
    arm.hidden = {"b"}
    arm.on_put = lambda names, request: error(400, "VMSizeNotSupported") if names == ["b"] else None
    arm.honours_batch = False
    client_of(arm).create_machines([chunk(0, "a", "b")], told.append)
    assert [states([outcome]) for outcome in told] == [
        {"a": "accepted", "b": "accepted"},
        {"a": "accepted", "b": "rejected"},
    ]


@pytest.mark.parametrize(
    ("tags", "state", "expected", "code"),
    [
        (MARK, "Creating", "accepted", ""),
        (MARK, "Succeeded", "accepted", ""),
        (MARK, "Deleting", "rejected", "StillDeleting"),
        (MARK, "Failed", "rejected", "StillFailed"),
        ({}, "Succeeded", "rejected", "NameTaken"),
        ({OWNER_TAG: "site-b"}, "Succeeded", "rejected", "NameTaken"),
    ],
)
def test_an_existing_name_is_never_sent(tags: dict[str, str], state: str, expected: str, code: str) -> None:
    arm = FakeArm()
    arm.add("b", tags=tags, state=state)
    (outcome,) = client_of(arm).create_machines([chunk(0, "a", "b", "c")])
    assert states([outcome]) == {"a": "accepted", "b": expected, "c": "accepted"}
    assert outcome.outcomes[1].code == code
    assert all("b" not in put_names(request) for request in arm.puts)


def test_an_existing_name_of_another_size_is_a_conflict() -> None:
    arm = FakeArm()
    arm.add("a")
    arm.machines["a"]["properties"]["hardware"]["vmSize"] = "Standard_D96s_v5"
    (outcome,) = client_of(arm).create_machines([chunk(0, "a")])
    assert outcome.outcomes[0].code == "NameTaken"


def test_without_a_mark_of_our_own_no_existing_machine_is_ours() -> None:
    arm = FakeArm()
    arm.add("a", tags={})
    bare = MachineTemplate(pool="pool1", vm_size="Standard_D4s_v5")
    (outcome,) = client_of(arm).create_machines([chunk(0, "a", "b", template=bare)])
    assert states([outcome]) == {"a": "rejected", "b": "accepted"}


def test_a_machine_made_by_somebody_else_meanwhile_is_a_conflict() -> None:
    arm = FakeArm()

    def stolen(names: list[str], request: Request) -> SendFailure:
        arm.add("a", tags={OWNER_TAG: "site-b"})
        return LOST

    arm.on_put = stolen
    (outcome,) = client_of(arm).create_machines([chunk(0, "a")])
    assert outcome.outcomes[0].code == "NameTaken"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(401, "AuthenticationFailed"), FaultKind.AUTH),
        (answer(429, {}, Retry_After="900"), FaultKind.THROTTLE),
        (error(500, "InternalServerError"), FaultKind.TRANSIENT),
        (answer(404, {"error": {"code": "ResourceNotFound"}}), FaultKind.VALIDATION),
        (SendFailure(Sent.NOT_SENT, "no name"), FaultKind.TRANSIENT),
    ],
    ids=repr,
)
def test_without_a_list_nothing_is_sent_and_nothing_is_raised(reply: Response | SendFailure, kind: FaultKind) -> None:
    arm = FakeArm()
    arm.on_list = lambda: reply
    (outcome,) = client_of(arm).create_machines([chunk(0, "a", "b")])
    assert {(each.state.value, each.kind) for each in outcome.outcomes} == {("rejected", kind)}
    assert (outcome.puts, outcome.attempts, arm.puts) == (0, 0, [])


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (chunk(0, "a", "a"), "DuplicateName"),
        (chunk(0, "Bad_Name"), "InvalidName"),
        (chunk(0, *(f"m{n}" for n in range(51))), "ChunkTooLarge"),
        (chunk(0, "a", template=MachineTemplate(pool="Pool", vm_size="s")), "InvalidName"),
    ],
)
def test_an_impossible_chunk_is_rejected_and_the_others_go_out(request_: LaunchRequest, code: str) -> None:
    arm = FakeArm()
    bad, good = client_of(arm).create_machines([request_, chunk(1, "good")])
    assert {each.code for each in bad.outcomes} == {code}
    assert states([good]) == {"good": "accepted"}
    assert sorted(arm.machines) == ["good"]


def test_a_name_in_two_chunks_is_sent_once() -> None:
    arm = FakeArm()
    first, second = client_of(arm).create_machines([chunk(0, "a", "b"), chunk(1, "b", "c")])
    assert states([first]) == {"a": "accepted", "b": "accepted"}
    assert states([second]) == {"b": "rejected", "c": "accepted"}


def test_no_chunks_no_requests() -> None:
    arm = FakeArm()
    assert client_of(arm).create_machines([]) == ()
    assert arm.requests == []


def test_scale_without_batch_sends_every_machine_alone() -> None:
    arm = FakeArm()
    record = client_of(arm).scale_machine(TEMPLATE, 6, 3, False, names=[f"m{n}" for n in range(6)])
    assert sorted(arm.single_puts) == [f"m{n}" for n in range(6)]
    assert arm.batch_puts == []
    assert not record.use_batch_api


def test_two_runs_of_the_same_count_share_no_name() -> None:
    arm, clock = FakeArm(), FakeClock()
    client = client_of(arm, clock)
    client.scale_machine(TEMPLATE, 1000, 20)
    clock.sleep(1)
    client.scale_machine(TEMPLATE, 1000, 20)
    assert len(arm.machines) == 2000
    assert max(map(len, arm.machines)) <= 34


def test_names_of_an_owner_are_usable_begin_with_it_and_differ_by_the_millisecond() -> None:
    first, later = (scale_names(5000, moment, "a2345678") for moment in (4e9, 4e9 + 0.001))
    assert len({*first, *later}) == 10_000
    for name in (*first, *later):
        check_machine_name(name)
        assert name.startswith("a2345678-")
    assert max(map(len, first)) <= 26


def test_a_client_needs_a_worker() -> None:
    with pytest.raises(ValueError, match="workers"):
        client_of(FakeArm(), settings=ClientSettings(workers=0))


def test_lists_raise_what_the_port_promises() -> None:
    with pytest.raises(AuthError):
        client_of(ScriptedTransport([error(403, "AuthorizationFailed")])).list_machines("pool1")
    with pytest.raises(ThrottledError):
        client_of(ScriptedTransport([answer(429, {}, Retry_After="900")])).list_machines("pool1")
    assert ENDPOINTS.cluster == "cl"
    assert specs("a")[0].name == "a"
