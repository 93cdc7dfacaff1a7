"""Lists that break off, tokens that run out in the middle (user asks T13c, T12; aks-machine-api.md §7.4, §1.3)."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from faults.fault_rig import (
    POOL,
    PUTS,
    by_state,
    check_books,
    chunks,
    is_put,
    names_of,
    refusals,
    settle,
    template_of,
)
from unit.reconcile.fakes import FAST, IDLE_S, claimed

from autoscale_aks.cloud.aks.auth import AzureTokenSource
from autoscale_aks.cloud.aks.client import ClientSettings
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.scale import Watch
from autoscale_aks.cloud.aks.transport import HttpTransport
from autoscale_aks.emulator.settings import BucketSpec, ThrottleSettings
from autoscale_aks.errors import AuthError
from autoscale_aks.model.launch import FaultKind, LaunchState

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.fault_rig import Rig
    from unit.reconcile.fakes import Site

    from autoscale_aks.cloud.aks.transport import Request, Response, SendFailure

PAGE = 10
BROKEN_PAGES: dict[str, dict[str, Any]] = {
    "503": {"kind": "error_before", "status": 503},
    "500": {"kind": "error_after", "status": 500},
    "400": {"kind": "error_before", "status": 400},
    "404": {"kind": "error_before", "status": 404, "code": "NotFound"},
    "429": {"kind": "throttle", "after_s": 1.0},
    "429, long": {"kind": "throttle", "after_s": 3000.0},
    "401": {"kind": "error_before", "status": 401, "code": "AuthenticationFailed"},
    "reset": {"kind": "reset_before"},
    "HTML": {"kind": "error_before", "status": 200, "body": "<html>please log in</html>"},
    "no list": {"kind": "error_before", "status": 200, "body": "{}"},
    "another host": {"kind": "error_before", "status": 200, "body": '{"value":[],"nextLink":"http://other.example/"}'},
    "cut off": {"kind": "error_before", "status": 200, "body": '{"value":[{"name":"m-0-1"'},
}
PAGES = pytest.mark.parametrize("rule", BROKEN_PAGES.values(), ids=BROKEN_PAGES)


def paged(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig(page_size=PAGE, trailing_empty_page=False)


# Page 2 of 3


@PAGES
def test_a_list_that_breaks_off_says_so_and_keeps_what_it_saw(
    make_rig: Callable[..., Rig], rule: dict[str, Any]
) -> None:
    rig = paged(make_rig)
    client = rig.client(ClientSettings(workers=1))
    client.create_machines(chunks(3, PAGE))
    rig.fault(operations=("machine.list",), pages=(2,), **rule)
    listing = client.list_machines(POOL)
    assert (listing.complete, listing.detail != "") == (False, True)
    assert [machine.name for machine in listing.machines] == names_of(chunks(1, PAGE))
    rig.mend()
    rig.advance(4000)
    assert len(rig.client().list_machines(POOL).machines) == 3 * PAGE


@PAGES
def test_on_half_a_list_nothing_is_sent(make_rig: Callable[..., Rig], rule: dict[str, Any]) -> None:
    """A name that is not in sight may exist: a batch would fail on it."""
    rig = paged(make_rig)
    client = rig.client()
    client.create_machines(chunks(3, PAGE))
    sent = len(rig.requests(*PUTS))
    rig.fault(operations=("machine.list",), pages=(2,), **rule)
    wanted = chunks(4, PAGE)
    outcomes = client.create_machines(wanted)
    assert len(rig.requests(*PUTS)) == sent
    assert {each.code for each in refusals(outcomes).values()} == {"ListIncomplete"}
    assert set(refusals(outcomes)) == set(names_of(wanted))
    assert rig.doubled() == {}
    rig.mend()
    rig.advance(4000)
    settle(rig, wanted, rig.client().create_machines(wanted))


@PAGES
def test_half_a_list_as_proof_leaves_the_other_half_unknown(make_rig: Callable[..., Rig], rule: dict[str, Any]) -> None:
    rig = paged(make_rig)
    client = rig.client(ClientSettings(workers=1))
    wanted = chunks(3, PAGE)
    rig.fault(operations=("machine.list",), pages=(2,), **rule)
    outcomes = client.create_machines(wanted)
    assert len(rig.requests(*PUTS)) == 3
    assert by_state(outcomes, LaunchState.ACCEPTED) == set(names_of(wanted[:1]))
    assert by_state(outcomes, LaunchState.UNKNOWN) == set(names_of(wanted[1:]))
    rig.advance(4000)
    settle(rig, wanted, outcomes)


@PAGES
def test_a_cycle_that_sees_half_its_machines_deletes_none_and_asks_for_none_again(
    make_site: Callable[..., Site], rule: dict[str, Any]
) -> None:
    site = make_site({"page_size": PAGE, "trailing_empty_page": False})
    site.scheduler.submit("array", iterations=3 * PAGE)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.scheduler.submit("again", iterations=3 * PAGE)
    site.fault(operations=("machine.list",), pages=(2,), **rule)
    for _ in range(4):
        site.advance(IDLE_S)
        report = site.cycle()
        assert (claimed(report.plan), report.releases.deleted) == ([], [])
    site.mend()
    site.advance(4000)
    site.cycle()
    assert claimed(site.cycle().plan) == []
    assert (len(site.names()), len(site.created()), site.deletes()) == (3 * PAGE, 3 * PAGE, [])
    assert set(site.records()) == set(site.names())


# Tokens


class Issuer:
    """Credentials whose tokens claim to be good for an hour."""

    def __init__(self, rig: Rig) -> None:
        self._now = rig.server.clock.now
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.issued = 0
        self.closed = False

    def source(self) -> AzureTokenSource:
        return AzureTokenSource("scope", lambda: self, effects=Effects(now=self._now))  # type: ignore[arg-type, return-value]

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        with self._lock:
            if self.closed:
                raise ClientAuthenticationError("no identity any more")
            self.issued += 1
            return AccessToken(f"token-{next(self._numbers)}", int(self._now()) + 3600)


class Together(HttpTransport):
    """The first PUTs leave together, when each has its token; right before that, something happens."""

    def __init__(self, count: int, happen: Callable[[], object]) -> None:
        super().__init__(connections=count)
        self._gate = threading.Barrier(count, action=happen)
        self._waiting = itertools.count()
        self._count = count

    def send(self, request: Request) -> Response | SendFailure:
        if is_put(request) and next(self._waiting) < self._count:
            self._gate.wait(timeout=30)
        return super().send(request)


def slow_service(make_rig: Callable[..., Rig], **switches: Any) -> Rig:
    """Writes are few enough that a wave takes minutes of emulated time; no token is good for so long."""
    few = ThrottleSettings(arm=False, batch=BucketSpec(2, 0.1), rp=True, rp_other=BucketSpec(60, 1.0))
    return make_rig(throttle=few, token_lifetime_s=40.0, **switches)


def test_tokens_that_run_out_in_the_middle_of_a_wave_are_renewed_once_each_and_nothing_is_lost(
    make_rig: Callable[..., Rig],
) -> None:
    rig = slow_service(make_rig)
    issuer = Issuer(rig)
    wanted = chunks(12, 5)
    outcomes = rig.client(ClientSettings(workers=4), tokens=issuer.source()).create_machines(wanted)
    check_books(rig, wanted, outcomes)
    assert {each.kind for each in refusals(outcomes).values()} <= {FaultKind.THROTTLE, FaultKind.AUTH}
    assert rig.statuses(*PUTS)[401] > 0
    assert 2 <= issuer.issued <= 1 + sum(entry.status == 401 for entry in rig.server.journal.entries())
    for _ in range(12):  # the service gives two batches a minute away at once: runs of which each gets on
        rig.advance()
        outcomes = rig.client(tokens=issuer.source()).create_machines(wanted)
        check_books(rig, wanted, outcomes)
    assert (refusals(outcomes), rig.alive()) == ({}, set(names_of(wanted)))


def test_sixty_workers_that_meet_one_expired_token_ask_for_one_new_one(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(token_lifetime_s=40.0)
    issuer = Issuer(rig)
    together = Together(60, lambda: rig.advance(40))
    wanted = chunks(60, 2)
    outcomes = rig.client(ClientSettings(workers=60), tokens=issuer.source(), transport=together).create_machines(
        wanted
    )
    assert (refusals(outcomes), issuer.issued, rig.statuses(*PUTS)) == ({}, 2, {401: 60, 200: 60})
    settle(rig, wanted, outcomes)


def test_an_identity_that_is_withdrawn_in_the_middle_refuses_the_rest_and_the_books_agree(
    make_rig: Callable[..., Rig],
) -> None:
    rig = make_rig(token_lifetime_s=100.0)
    issuer = Issuer(rig)
    client = rig.client(ClientSettings(workers=1), tokens=issuer.source())
    wanted = chunks(4, 5)

    def withdraw(_: object) -> None:
        issuer.closed = True
        rig.advance(30)

    outcomes = client.create_machines(wanted, withdraw)
    check_books(rig, wanted, outcomes)
    assert {each.kind for each in refusals(outcomes).values()} <= {FaultKind.AUTH, FaultKind.TRANSIENT}
    assert by_state(outcomes, LaunchState.ACCEPTED) == set(), "no list could prove them"
    with pytest.raises(AuthError):
        client.list_machines(POOL)
    issuer.closed = False
    again = client.create_machines(wanted)
    assert refusals(again) == {}
    check_books(rig, wanted, again)


def test_a_token_that_runs_out_between_two_pages_is_renewed(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(page_size=PAGE, token_lifetime_s=40.0)
    issuer = Issuer(rig)
    client = rig.client(tokens=issuer.source())
    client.create_machines(chunks(3, PAGE))
    rig.fault(kind="throttle", operations=("machine.list",), pages=(2,), after_s=60.0, count=1)
    listing = client.list_machines(POOL)
    assert (listing.complete, len(listing.machines)) == (True, 3 * PAGE)
    assert rig.statuses("machine.list")[401] >= 1


def test_deletes_go_on_with_a_new_token(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(token_lifetime_s=40.0)
    issuer = Issuer(rig)
    client = rig.client(ClientSettings(workers=2), tokens=issuer.source())
    client.create_machines(chunks(4, 50))
    names = sorted(rig.alive())
    rig.fault(kind="throttle", operations=("machine.delete",), after_s=30.0, count=2)
    rig.advance(20)
    outcome = client.delete_machines(POOL, names[:150])
    assert (len(outcome.accepted), outcome.refused) == (150, ())
    assert rig.alive() == set(names[150:])
    assert rig.statuses("machine.delete")[401] >= 1


def test_scale_machine_outlives_its_tokens(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(token_lifetime_s=20.0, timing=FAST)
    issuer = Issuer(rig)
    names = [f"s-{index}" for index in range(20)]
    client = rig.client(tokens=issuer.source())
    record = client.scale_machine(template_of(), 20, 2, names=names, watch=Watch(poll_s=2.0))
    assert (record.successful_machines, record.success) == (20, True)
    assert (rig.alive(), rig.doubled()) == (set(names), {})
    assert issuer.issued >= 2


def test_a_service_that_refuses_every_token_is_asked_twice_and_then_left_alone(rig: Rig) -> None:
    rig.fault(kind="error_before", status=401, code="AuthenticationFailed", operations=PUTS)
    wanted = chunks(2, 5)
    issuer = Issuer(rig)
    outcomes = rig.client(tokens=issuer.source()).create_machines(wanted)
    assert {each.kind for each in refusals(outcomes).values()} == {FaultKind.AUTH}
    assert rig.statuses(*PUTS) == {401: 4}
    settle(rig, wanted, outcomes)


def test_a_cycle_without_access_changes_nothing_and_the_next_makes_what_is_needed(site: Site) -> None:
    site.scheduler.submit("array", iterations=12)
    site.fault(kind="error_before", status=401, code="ExpiredAuthenticationToken", operations=PUTS, count=3)
    site.cycle()
    site.mend()
    site.advance(150)
    site.cycles(3)
    assert claimed(site.cycle().plan) == []
    assert (len(site.names()), set(site.records())) == (12, set(site.names()))
    assert set(site.emulator.state.pools()[0].generations.values()) == {1}
