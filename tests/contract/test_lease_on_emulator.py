"""The lease of two head nodes, over real HTTP: one holder at a time, whatever is lost on the way (user ask T33b)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from autoscale_aks.cloud.aks.auth import StaticTokenSource
from autoscale_aks.cloud.aks.budget import RateBudget
from autoscale_aks.cloud.aks.caller import Caller
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.lease import SKEW_S, KubernetesLease, LeaseOrder
from autoscale_aks.cloud.aks.transport import HttpTransport
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import EmulatorSettings
from autoscale_aks.errors import CloudError, LockHeldError, LockLostError

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_790_000_000.0
DURATION_S = 60.0
Heads = "Callable[..., KubernetesLease]"


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    with EmulatorServer(EmulatorSettings(speed=0.0, start_time=NOW)) as running:
        yield running


@pytest.fixture
def head(server: EmulatorServer) -> Iterator[Heads]:
    """A run on a head node that starts at a time."""
    with ExitStack() as stack:

        def start(name: str, now: float = NOW) -> KubernetesLease:
            effects = Effects(sleep=lambda _: None)
            transport = HttpTransport()
            stack.callback(transport.close)
            caller = Caller(
                transport,
                StaticTokenSource("emulated", endpoint=server.base_url),
                RateBudget(effects=effects),
                effects=effects,
            )
            order = LeaseOrder(
                base_url=server.base_url,
                namespace="kube-system",
                name="azaks-site",
                duration_s=DURATION_S,
                holder=name,
                now=now,
            )
            return KubernetesLease(caller, order)

        yield start


def stored(server: EmulatorServer) -> dict[str, Any]:
    (lease,) = server.state.leases.values()
    return lease["spec"]


def fault(server: EmulatorServer, **rule: Any) -> None:
    server.state.faults.add(FaultRule(**rule))


def test_the_first_head_makes_the_lease_and_the_second_is_told_who_has_it(server: EmulatorServer, head: Heads) -> None:
    one, two = head("head-1"), head("head-2", NOW + 1)
    one.acquire()
    told = r"another run \(head-1\) is the writer since 2026-09-21T14:13:20Z.*lease kube-system/azaks-site is free"
    with pytest.raises(LockHeldError, match=told):
        two.acquire()
    assert stored(server) == {
        "holderIdentity": "head-1",
        "leaseDurationSeconds": 60,
        "acquireTime": "2026-09-21T14:13:20.000000Z",
        "renewTime": "2026-09-21T14:13:20.000000Z",
        "leaseTransitions": 0,
    }
    one.release()
    one.release()
    assert stored(server)["holderIdentity"] == ""
    two.acquire()
    assert (stored(server)["holderIdentity"], stored(server)["leaseTransitions"]) == ("head-2", 1)


def test_an_expired_lease_is_taken_over_and_its_holder_learns_it(server: EmulatorServer, head: Heads) -> None:
    one = head("head-1")
    one.acquire()
    one.renew(NOW + 30)
    fresh_until = NOW + 30 + DURATION_S + SKEW_S
    with pytest.raises(LockHeldError):
        head("head-2", fresh_until).acquire()
    two = head("head-2", fresh_until + 1)
    two.acquire()
    with pytest.raises(LockLostError, match="was lost: head-2 holds it"):
        one.renew(fresh_until + 2)
    two.renew(fresh_until + 3)


@pytest.mark.parametrize("start", ["absent", "free", "expired"])
def test_of_heads_that_come_at_once_exactly_one_wins(server: EmulatorServer, head: Heads, start: str) -> None:
    if start != "absent":
        before = head("head-0", NOW - 3600)
        before.acquire()
        if start == "free":
            before.release()

    def race(lease: KubernetesLease) -> bool:
        try:
            lease.acquire()
        except LockHeldError:
            return False
        return True

    heads = [head(f"head-{number}") for number in range(1, 9)]
    with ThreadPoolExecutor(len(heads)) as pool:
        won = list(pool.map(race, heads))
    assert won.count(True) == 1
    assert stored(server)["holderIdentity"] == f"head-{won.index(True) + 1}"


def test_between_reading_and_writing_another_may_be_quicker(server: EmulatorServer, head: Heads) -> None:
    """The 409 itself, without luck: the lease that the second head read is no longer the present one."""
    one, two = head("head-1"), head("head-2")
    read = two._get
    two._get = lambda: (read(), one.acquire())[0]  # type: ignore[method-assign]
    with pytest.raises(LockHeldError, match="at this moment"):
        two.acquire()
    assert stored(server)["holderIdentity"] == "head-1"


def test_an_answer_that_was_lost_does_not_lose_the_lease(server: EmulatorServer, head: Heads) -> None:
    lease = head("head-1")
    lease.acquire()
    fault(server, kind="reset_after", operations=("lease.put",), count=1)
    with pytest.raises(CloudError, match="cannot be used"):
        lease.renew(NOW + 10)
    lease.renew(NOW + 20)
    assert stored(server)["renewTime"] == "2026-09-21T14:13:40.000000Z"


def test_a_holder_that_cannot_renew_gives_up_before_another_may_take_it(server: EmulatorServer, head: Heads) -> None:
    lease = head("head-1")
    lease.acquire()
    fault(server, kind="error_before", operations=("lease.put", "lease.get"), status=503)
    for after in (10.0, 40.0):
        with pytest.raises(CloudError) as caught:
            lease.renew(NOW + after)
        assert not isinstance(caught.value, LockHeldError)
    with pytest.raises(LockLostError, match="could not be renewed for 60 s"):
        lease.renew(NOW + DURATION_S)
    lease.release()
    assert stored(server)["holderIdentity"] == "head-1", "it expires by itself"


def test_a_lease_that_somebody_deleted_is_lost(server: EmulatorServer, head: Heads) -> None:
    lease = head("head-1")
    lease.acquire()
    server.state.leases.clear()
    with pytest.raises(CloudError, match="404"):
        lease.renew(NOW + 1)


def test_a_lease_that_may_not_be_read_says_what_the_identity_needs(server: EmulatorServer, head: Heads) -> None:
    fault(server, kind="error_before", operations=("lease.get",), status=403, code="Forbidden")
    with pytest.raises(CloudError, match="needs get, create and update on leases"):
        head("head-1").acquire()
    assert server.state.leases == {}
