"""Retries, tokens and the rate budget (batching.md B4, B8; aks-machine-api.md §6)."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timezone
from email.utils import format_datetime

import pytest
from aks_fakes import EPOCH, FakeClock, FakeTokens, ScriptedTransport, answer, error
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.cloud.aks.budget import LONGEST_RETRY_AFTER_S, Lane, Rate, RateBudget, parse_retry_after
from autoscale_aks.cloud.aks.caller import Call, Caller, Patience
from autoscale_aks.cloud.aks.transport import Response, SendFailure, Sent
from autoscale_aks.errors import ThrottledError

READ = Call(method="GET", url="https://arm.example/x?secret=no")
WRITE = Call(method="PUT", url="https://arm.example/x", lane=Lane.WRITE, body={"a": 1}, label="chunk_3")
OK = answer(200, {})
THROTTLED = error(429, "Throttled")
NOT_SENT = SendFailure(Sent.NOT_SENT, "refused")
LOST = SendFailure(Sent.UNKNOWN, "reset")


def caller_of(
    transport: ScriptedTransport, clock: FakeClock, *, jitter: float = 0.0, patience: Patience | None = None
) -> tuple[Caller, FakeTokens]:
    tokens = FakeTokens()
    effects = clock.effects(jitter)
    return Caller(transport, tokens, RateBudget(effects=effects), patience=patience, effects=effects), tokens


def test_b8_429_is_tried_5_times_in_total_after_1_2_4_8_seconds() -> None:
    clock, transport = FakeClock(), ScriptedTransport([THROTTLED])
    caller, _ = caller_of(transport, clock)
    result = caller.call(WRITE)
    assert (result.attempts, len(transport.requests)) == (5, 5)
    assert clock.slept == [1.0, 2.0, 4.0, 8.0]
    assert result.is_throttled


def test_b8_jitter_adds_at_most_a_tenth() -> None:
    clock = FakeClock()
    caller, _ = caller_of(ScriptedTransport([THROTTLED]), clock, jitter=0.999)
    caller.call(WRITE)
    assert clock.slept == pytest.approx([1.0999, 2.1998, 4.3996, 8.7992])


def test_b8_a_longer_retry_after_wins_and_a_shorter_one_does_not() -> None:
    clock = FakeClock()
    script = [answer(429, {}, Retry_After="17"), answer(429, {}, Retry_After="1"), OK]
    caller, _ = caller_of(ScriptedTransport(script), clock)
    assert caller.call(WRITE).attempts == 3
    assert clock.slept == [17.0, 2.0]


def test_b8_a_retry_after_beyond_patience_ends_the_call_and_is_remembered() -> None:
    clock, transport = FakeClock(), ScriptedTransport([answer(429, {}, Retry_After="600")])
    caller, _ = caller_of(transport, clock)
    assert caller.call(WRITE).attempts == 1
    assert clock.slept == []
    assert caller.budget.not_before == {"write": EPOCH + 600}
    with pytest.raises(ThrottledError) as refused:
        caller.call(WRITE)
    assert refused.value.retry_at == EPOCH + 600
    assert len(transport.requests) == 1
    assert caller.call(READ).attempts == 1, "the other lane is free"


def test_b8_patience_covers_all_waits_of_a_call_together() -> None:
    clock = FakeClock()
    script = [answer(429, {}, Retry_After="50")]
    caller, _ = caller_of(ScriptedTransport(script), clock, patience=Patience(throttle_s=120))
    assert caller.call(WRITE).attempts == 3
    assert clock.slept == [50.0, 50.0]


def test_b8_every_attempt_asks_for_the_token_anew() -> None:
    caller, tokens = caller_of(ScriptedTransport([THROTTLED, THROTTLED, OK]), FakeClock())
    caller.call(WRITE)
    assert tokens.asked == 3


def test_b8_one_token_refresh_after_a_401() -> None:
    clock = FakeClock()
    transport = ScriptedTransport([error(401, "ExpiredAuthenticationToken"), OK])
    caller, tokens = caller_of(transport, clock)
    result = caller.call(WRITE)
    assert isinstance(result.result, Response)
    assert result.result.status == 200
    assert tokens.refused == ["token-1"]
    assert [request.token for request in transport.requests] == ["token-1", "token-2"]


def test_b8_a_second_401_is_final() -> None:
    transport = ScriptedTransport([error(401, "AuthenticationFailed")])
    caller, tokens = caller_of(transport, FakeClock())
    assert caller.call(WRITE).attempts == 2
    assert tokens.refused == ["token-1"]


def test_b8_a_connection_that_sent_nothing_is_tried_again() -> None:
    clock = FakeClock()
    caller, _ = caller_of(ScriptedTransport([NOT_SENT, NOT_SENT, OK]), clock)
    assert caller.call(WRITE).attempts == 3
    assert clock.slept == [1.0, 2.0]


@pytest.mark.parametrize(
    "final",
    [LOST, error(400, "BadRequest"), error(403, "AuthorizationFailed"), error(408, "x"), error(409, "x")]
    + [error(status, "x") for status in (500, 502, 503, 504)]
    + [answer(302, None, Location="https://elsewhere.example")],
    ids=repr,
)
def test_b8_anything_else_is_final_for_a_write(final: Response | SendFailure) -> None:
    clock, transport = FakeClock(), ScriptedTransport([final])
    caller, _ = caller_of(transport, clock)
    assert caller.call(WRITE).attempts == 1
    assert clock.slept == []


@pytest.mark.parametrize("passing", [LOST, error(408, "x"), error(500, "x"), answer(503, b"<html>")], ids=repr)
def test_reads_are_repeated_when_trouble_passes(passing: Response | SendFailure) -> None:
    caller, _ = caller_of(ScriptedTransport([passing, passing, OK]), FakeClock())
    assert caller.call(READ).attempts == 3


def test_reads_give_up_after_5_attempts() -> None:
    caller, _ = caller_of(ScriptedTransport([LOST]), FakeClock())
    assert caller.call(READ).attempts == 5


def test_b8_no_attempt_may_take_longer_than_60_seconds() -> None:
    transport = ScriptedTransport([OK])
    caller, _ = caller_of(transport, FakeClock(), patience=Patience(timeout_s=600))
    caller.call(WRITE)
    caller, _ = caller_of(transport, FakeClock(), patience=Patience(timeout_s=5))
    caller.call(WRITE)
    assert [request.timeout_s for request in transport.requests] == [60, 5]


def test_b6_log_lines_carry_chunk_and_request_ids_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    transport = ScriptedTransport([answer(200, {}, x_ms_correlation_request_id="corr-7")])
    caller, _ = caller_of(transport, FakeClock())
    caller.call(WRITE)
    caller.call(READ)
    assert "chunk_3 PUT /x -> 200" in caplog.text
    assert "request request-id, correlation corr-7" in caplog.text
    assert "token-1" not in caplog.text
    assert "secret" not in caplog.text
    assert "token-1" not in repr(transport.requests)
    assert all(request.headers["x-ms-client-request-id"] == "request-id" for request in transport.requests)


def budget_of(clock: FakeClock, **rates: Rate) -> RateBudget:
    return RateBudget(effects=clock.effects(), **rates)


def test_b4_the_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    clock = FakeClock()
    budget = budget_of(clock, writes=Rate(5, 2))
    for _ in range(5):
        budget.wait(Lane.WRITE, 0)
    assert clock.slept == []
    for _ in range(4):
        budget.wait(Lane.WRITE, 0)
    assert clock.time - EPOCH == pytest.approx(2.0)


@given(st.integers(1, 10), st.floats(0.5, 50), st.lists(st.floats(0, 3), max_size=30))
def test_b4_no_window_ever_sees_more_than_burst_plus_rate(burst: int, per_s: float, gaps: list[float]) -> None:
    clock = FakeClock()
    budget = budget_of(clock, reads=Rate(burst, per_s))
    sent = []
    for gap in gaps:
        clock.time += gap
        budget.wait(Lane.READ, 0)
        sent.append(clock.time)
    for first, start in enumerate(sent):
        for last in range(first, len(sent)):
            assert last - first + 1 <= burst + (sent[last] - start) * per_s + 0.01 + per_s * 0.002 * len(gaps)


def test_b4_workers_share_one_budget() -> None:
    clock = FakeClock()
    budget = budget_of(clock, writes=Rate(10, 1))
    threads = [threading.Thread(target=budget.wait, args=(Lane.WRITE, 0)) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.time - EPOCH >= 29.9


def test_a_hold_stops_everybody_and_survives_in_a_new_budget() -> None:
    clock = FakeClock()
    budget = budget_of(clock)
    budget.hold(Lane.READ, EPOCH + 30)
    budget.hold(Lane.READ, EPOCH + 10)
    assert budget.not_before == {"read": EPOCH + 30}
    later = RateBudget(not_before=budget.not_before, effects=clock.effects())
    later.wait(Lane.READ, 60)
    assert clock.time == pytest.approx(EPOCH + 30)
    assert later.not_before == {}


def test_a_hold_from_a_broken_store_is_cut_to_an_hour() -> None:
    clock = FakeClock()
    budget = RateBudget(not_before={"write": 1e18, "elsewhere": 5.0}, effects=clock.effects())
    assert budget.not_before == {"write": EPOCH + LONGEST_RETRY_AFTER_S}


def test_remaining_headers_shrink_the_bucket_of_their_lane() -> None:
    clock = FakeClock()
    budget = budget_of(clock, writes=Rate(200, 1))
    budget.observe(
        Lane.WRITE,
        {
            "x-ms-ratelimit-remaining-subscription-writes": "2",
            "x-ms-ratelimit-remaining-subscription-global-writes": "900",
            "x-ms-ratelimit-remaining-subscription-reads": "0",
            "x-ms-ratelimit-remaining-tenant-writes": "lots",
        },
    )
    for _ in range(3):
        budget.wait(Lane.WRITE, 0)
    assert clock.time - EPOCH == pytest.approx(1.0)
    budget.wait(Lane.READ, 0)
    assert clock.time - EPOCH == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 17 ", 17.0),
        ("1.5", 1.5),
        (format_datetime(datetime.fromtimestamp(EPOCH + 25, timezone.utc), usegmt=True), 25.0),
        (format_datetime(datetime.fromtimestamp(EPOCH - 25, timezone.utc), usegmt=True), 0.0),
        ("999999999", LONGEST_RETRY_AFTER_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER_S),
        ("-5", None),
        ("nan", None),
        ("1e9", None),
        ("inf", None),
        ("soon", None),
        ("Fri, 31 Dec 99999999 23:59:59 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, EPOCH) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_makes_the_parser_raise(value: str) -> None:
    seconds = parse_retry_after(value, EPOCH)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER_S
