"""429 from every side, with and without `Retry-After` (aks-machine-api.md §6, batching.md B8, user ask T10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.fault_rig import POOL, PUTS, SIZE, check_books, chunks, names_of, refusals, settle, template_of
from unit.reconcile.fakes import claimed

from autoscale_aks.cloud.aks.caller import MAX_ATTEMPTS
from autoscale_aks.cloud.aks.client import ClientSettings, Remembered
from autoscale_aks.cloud.aks.scale import Watch
from autoscale_aks.emulator.settings import BucketSpec, ThrottleSettings
from autoscale_aks.errors import ThrottledError
from autoscale_aks.model.launch import FaultKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.fault_rig import Rig
    from unit.reconcile.fakes import Site

TOLD = pytest.mark.parametrize("retry_after", [True, False], ids=["Retry-After", "no Retry-After"])


def told(retry_after: bool, **buckets: BucketSpec | None) -> ThrottleSettings:
    return ThrottleSettings(**{"arm": False, "retry_after": retry_after, **buckets})  # type: ignore[arg-type]


@TOLD
@pytest.mark.parametrize("batch", [True, False], ids=["batch", "single"])
def test_a_passing_storm_is_sat_out_and_every_machine_is_made_once(
    make_rig: Callable[..., Rig], retry_after: bool, batch: bool
) -> None:
    rig = make_rig(throttle=told(retry_after))
    for worker in range(8):  # by name, so that it does not matter whose request comes first
        rig.fault(kind="throttle", operations=PUTS, names=(f"m-{worker}-0",), after_s=5.0, count=worker % MAX_ATTEMPTS)
    requests = chunks(8, 5)
    outcomes = rig.client().launch(requests, workers=4, batch=batch)
    assert refusals(outcomes) == {}
    assert rig.statuses(*PUTS)[429] == 0 + 1 + 2 + 3 + 4 + 0 + 1 + 2
    settle(rig, requests, outcomes)


@TOLD
def test_a_storm_that_does_not_pass_refuses_machines_that_are_then_not_there(
    make_rig: Callable[..., Rig], retry_after: bool
) -> None:
    rig = make_rig(throttle=told(retry_after))
    rig.fault(kind="throttle", operations=PUTS, names=("m-1-*", "m-3-*"), after_s=2.0)
    requests = chunks(4, 5)
    outcomes = rig.client(ClientSettings(workers=2)).create_machines(requests)
    assert {name[:3] for name in refusals(outcomes)} == {"m-1", "m-3"}
    assert {each.kind for each in refusals(outcomes).values()} == {FaultKind.THROTTLE}
    assert all(outcome.attempts <= MAX_ATTEMPTS for outcome in outcomes)
    settle(rig, requests, outcomes)


@TOLD
def test_buckets_smaller_than_the_wave_slow_it_and_lose_nothing(
    make_rig: Callable[..., Rig], retry_after: bool
) -> None:
    """ARM's and the provider's at once; what comes back each second is all that can be had."""
    rig = make_rig(throttle=told(retry_after, batch=BucketSpec(2, 0.5), rp=True, rp_other=BucketSpec(5, 1.0)))
    requests = chunks(10, 4)
    outcomes = rig.client(ClientSettings(workers=4)).create_machines(requests)
    assert rig.statuses("machine.batch_put")[429] > 0
    settle(rig, requests, outcomes)


@TOLD
def test_a_storm_on_lists_before_the_first_put_sends_nothing(make_rig: Callable[..., Rig], retry_after: bool) -> None:
    rig = make_rig(throttle=told(retry_after))
    rig.fault(kind="throttle", operations=("machine.list",), after_s=30.0)
    requests = chunks(2, 3)
    outcomes = rig.client().create_machines(requests)
    assert {each.kind for each in refusals(outcomes).values()} == {FaultKind.THROTTLE}
    assert (set(refusals(outcomes)), rig.requests(*PUTS)) == (set(names_of(requests)), [])
    settle(rig, requests, outcomes)


@TOLD
def test_a_storm_on_lists_after_the_puts_leaves_machines_unproven_and_not_lost(
    make_rig: Callable[..., Rig], retry_after: bool
) -> None:
    rig = make_rig(throttle=told(retry_after))
    client = rig.client()
    requests = chunks(2, 3)
    begun = False

    def storm(_: object) -> None:
        nonlocal begun
        if not begun:
            rig.fault(kind="throttle", operations=("machine.list",), after_s=30.0)
        begun = True

    outcomes = client.create_machines(requests, storm)
    assert {each.code for each in refusals(outcomes).values()} == {"NoProof"}
    settle(rig, requests, outcomes)


@TOLD
def test_deletes_in_a_storm_are_done_or_refused_and_nothing_else_goes(
    make_rig: Callable[..., Rig], retry_after: bool
) -> None:
    rig = make_rig(throttle=told(retry_after))
    client = rig.client(ClientSettings(workers=1))
    client.create_machines(chunks(3, 50))
    names = sorted(rig.alive())[:120]
    rig.fault(kind="throttle", operations=("machine.delete",), after_s=1.0, count=MAX_ATTEMPTS + 1)
    outcome = client.delete_machines(POOL, names)
    refused = {each.name for each in outcome.refused}
    assert (len(outcome.accepted), len(refused)) == (70, 50)
    assert rig.alive().isdisjoint(outcome.accepted)
    assert len(rig.alive()) == 150 - 70
    rig.mend()
    assert client.delete_machines(POOL, names).refused == ()
    assert len(rig.alive()) == 30


@TOLD
def test_scale_machine_in_a_storm_counts_what_is_there(make_rig: Callable[..., Rig], retry_after: bool) -> None:
    rig = make_rig(throttle=told(retry_after))
    for first, storm in (("s-0", 4), ("s-10", 3)):
        rig.fault(kind="throttle", operations=PUTS, names=(first,), after_s=2.0, count=storm)
    names = [f"s-{index}" for index in range(40)]
    record = rig.client().scale_machine(template_of(), 40, 4, names=names, watch=Watch(timeout_s=0))
    assert (record.successful_machines, record.failed_machines) == (40, ())
    assert rig.alive() == set(names)
    assert rig.doubled() == {}
    attempts = [timing.attempts for timing in record.batch_command_execution_times.values()]
    assert sum(attempts) == 4 + 7


def test_what_a_storm_asked_for_binds_the_next_run_too(rig: Rig) -> None:
    """User ask T10b: "not before" goes to the next process, which asks nothing until then."""
    rig.fault(kind="throttle", operations=PUTS, after_s=600.0)
    requests = chunks(2, 3)
    first = rig.client()
    check_books(rig, requests, first.create_machines(requests))
    rig.mend()
    sent = len(rig.requests(*PUTS))
    second = rig.client(remembered=Remembered(not_before=first.remembered.not_before))
    outcomes = second.create_machines(requests)
    assert {each.kind for each in refusals(outcomes).values()} == {FaultKind.THROTTLE}
    assert len(rig.requests(*PUTS)) == sent
    settle(rig, requests, outcomes)


def test_lists_that_are_throttled_to_the_end_raise_and_say_until_when(rig: Rig) -> None:
    rig.fault(kind="throttle", operations=("machine.list",), after_s=300.0)
    with pytest.raises(ThrottledError) as caught:
        rig.client().list_machines(POOL)
    assert caught.value.retry_at == pytest.approx(rig.server.clock.now() + 300, abs=1)


@TOLD
def test_cycles_in_a_storm_end_with_exactly_the_machines_needed(
    make_site: Callable[..., Site], retry_after: bool
) -> None:
    site = make_site({"throttle": told(retry_after)})
    site.scheduler.submit("array", iterations=120)
    for operation in (*PUTS, "machine.list", "pool.put", "pool.get", "node.list"):
        site.fault(kind="throttle", operations=(operation,), after_s=9.0, count=9)
    site.cycles(8, every_s=90.0)
    site.boot()
    assert claimed(site.cycle().plan) == []
    assert len(site.names()) == 120
    assert set(site.records()) == set(site.names())
    generations = site.emulator.state.pools()[0].generations
    assert set(generations.values()) == {1}
    assert {machine.size.name for machine in site.machines()} == {SIZE}
