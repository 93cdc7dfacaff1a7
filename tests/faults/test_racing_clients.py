"""A second client at the same machines: before our list, between list and PUT, at the very same moment (T13, T33)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from faults.fault_rig import (
    LONG_S,
    POOL,
    PUTS,
    Interrupted,
    by_state,
    check_books,
    chunks,
    is_delete,
    is_put,
    names_of,
    refusals,
    settle,
    states,
    template_of,
)
from unit.reconcile.fakes import FakeScheduler, claimed, patch_wiring

from autoscale_aks.cloud.aks.client import ClientSettings
from autoscale_aks.cloud.aks.wire import HeaderForm, HeaderLimits
from autoscale_aks.errors import LockHeldError
from autoscale_aks.model.launch import LaunchState
from autoscale_aks.reconcile import failover as failover_module

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.fault_rig import Rig
    from unit.reconcile.fakes import Site

BATCH = pytest.mark.parametrize("batch", [True, False], ids=["batch", "single"])
OTHER_SIZE = "Standard_D8s_v5"


# Between our list and our PUT


@BATCH
@pytest.mark.parametrize("count", [1, 5, 10])
def test_a_rival_of_our_own_that_was_quicker_is_no_second_machine(rig: Rig, batch: bool, count: int) -> None:
    """A second process with our mark: its machines are ours, and each is made once."""
    wanted = chunks(1, 10)
    rival = Interrupted(is_put, lambda: rig.client().create_machines(chunks(1, count)))
    outcomes = rig.client(transport=rival).launch(wanted, workers=2, batch=batch)
    assert rival.happened
    assert by_state(outcomes, LaunchState.ACCEPTED) >= set(names_of(chunks(1, count)))
    settle(rig, wanted, outcomes)


@BATCH
@pytest.mark.parametrize("form", HeaderForm)
def test_a_strangers_machine_is_never_taken_for_ours(rig: Rig, batch: bool, form: HeaderForm) -> None:
    wanted = chunks(1, 10)
    theirs = chunks(1, 4, template_of("site-b"))
    rival = Interrupted(is_put, lambda: rig.client().create_machines(theirs))
    client = rig.client(ClientSettings(header=HeaderLimits(form=form)), transport=rival)
    outcomes = client.launch(wanted, workers=1, batch=batch)
    refused = refusals(outcomes)
    assert set(refused) == set(names_of(theirs))
    assert {each.code for each in refused.values()} == {"NameTaken"}
    assert {rig.owners()[name] for name in refused} == {"site-b"}
    assert rig.alive() == set(names_of(wanted))
    assert rig.doubled() == {}


@BATCH
def test_a_machine_of_ours_with_another_size_is_not_what_was_asked_for(rig: Rig, batch: bool) -> None:
    wanted = chunks(1, 6)
    larger = chunks(1, 2, template_of(vm_size=OTHER_SIZE))
    rival = Interrupted(is_put, lambda: rig.client().create_machines(larger))
    outcomes = rig.client(transport=rival).launch(wanted, workers=1, batch=batch)
    assert {name: each.code for name, each in refusals(outcomes).items()} == {
        "m-0-0": "NameTaken",
        "m-0-1": "NameTaken",
    }
    assert {rig.machines()[name].size.name for name in ("m-0-0", "m-0-1")} == {OTHER_SIZE}
    assert rig.doubled() == {}


def test_machines_that_a_rival_deletes_before_the_proof_are_not_made_again_behind_its_back(rig: Rig) -> None:
    wanted = chunks(1, 6)
    rival = Interrupted(is_put, lambda: rig.client().delete_machines(POOL, ["m-0-1", "m-0-2"]), after=True)
    outcomes = rig.client(transport=rival).create_machines(wanted)
    assert rig.alive() == set(names_of(wanted)) - {"m-0-1", "m-0-2"}
    assert states(outcomes)["m-0-0"] is LaunchState.ACCEPTED
    assert rig.doubled() == {}
    rig.advance()
    again = rig.client().create_machines(wanted)
    assert (refusals(again), rig.alive()) == ({}, set(names_of(wanted)))


def test_a_service_that_ignores_create_only_may_change_machines_and_makes_none_twice(
    make_rig: Callable[..., Rig],
) -> None:
    """§3: nobody has tried `If-None-Match: *` on the real service. Without it a late single PUT is an update."""
    rig = make_rig(if_none_match="ignored")
    wanted = chunks(1, 6)
    rival = Interrupted(is_put, lambda: rig.client().create_machines(wanted))
    outcomes = rig.client(transport=rival).launch(wanted, workers=2, batch=False)
    assert (refusals(outcomes), rig.alive()) == ({}, set(names_of(wanted)))
    assert set(rig.pool.generations.values()) == {1}
    assert set(rig.owners().values()) == {"site-a"}


# At the same moment


@BATCH
@pytest.mark.parametrize("latency_s", [0.0, 0.01])
def test_four_clients_that_want_the_same_machines_make_each_once(
    make_rig: Callable[..., Rig], batch: bool, latency_s: float
) -> None:
    rig = make_rig(latency_s=latency_s, latency_spread_s=latency_s)
    wanted = chunks(5, 8)
    clients = [rig.client(ClientSettings(workers=3)) for _ in range(4)]
    with ThreadPoolExecutor(4) as executor:
        runs = list(executor.map(lambda client: client.launch(wanted, None, workers=3, batch=batch), clients))
    assert rig.alive() == set(names_of(wanted))
    assert rig.doubled() == {}
    for outcomes in runs:
        check_books(rig, wanted, outcomes)
        assert refusals(outcomes) == {}, "the list shows every machine with our mark"


@BATCH
def test_two_owners_that_want_the_same_names_share_them_out(make_rig: Callable[..., Rig], batch: bool) -> None:
    """Every machine has one owner, and only that one was told that it has it."""
    rig = make_rig(latency_s=0.005, latency_spread_s=0.005)
    owners = ("site-a", "site-b")
    wanted = {owner: chunks(4, 6, template_of(owner)) for owner in owners}
    clients = {owner: rig.client(ClientSettings(workers=4)) for owner in owners}
    with ThreadPoolExecutor(2) as executor:
        runs = dict(
            zip(
                owners,
                executor.map(
                    lambda owner: clients[owner].launch(wanted[owner], None, workers=4, batch=batch), owners
                ),
                strict=True,
            )
        )  # fmt: skip
    has = {owner: {name for name, whose in rig.owners().items() if whose == owner} for owner in owners}
    told = {owner: by_state(runs[owner], LaunchState.ACCEPTED) for owner in owners}
    assert told == has
    assert has["site-a"] | has["site-b"] == set(names_of(wanted["site-a"]))
    assert rig.doubled() == {}


def test_halves_that_overlap_are_made_once(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(latency_s=0.005, latency_spread_s=0.005)
    wanted = chunks(6, 5)
    parts = [wanted[:4], wanted[2:]]
    with ThreadPoolExecutor(2) as executor:
        runs = list(executor.map(lambda part: rig.client().create_machines(part), parts))
    assert [refusals(outcomes) for outcomes in runs] == [{}, {}]
    assert (rig.alive(), rig.doubled()) == (set(names_of(wanted)), {})


# Deleting


def test_two_that_delete_the_same_machines_both_succeed_and_the_others_stay(rig: Rig) -> None:
    client = rig.client()
    client.create_machines(chunks(4, 40))
    names = sorted(rig.alive())[:100]
    rival = Interrupted(is_delete, lambda: rig.client().delete_machines(POOL, names[:60]))
    outcome = rig.client(ClientSettings(workers=1), transport=rival).delete_machines(POOL, names)
    assert (len(outcome.accepted), outcome.refused) == (100, ())
    rig.advance()
    assert len(rig.machines()) == 60


@pytest.mark.parametrize("mixed", ["proceed", "reject"])
def test_machines_that_are_gone_before_our_delete_arrives_count_as_deleted(
    make_rig: Callable[..., Rig], mixed: str
) -> None:
    rig = make_rig(delete_mixed=mixed)
    client = rig.client()
    client.create_machines(chunks(2, 20))
    names = sorted(rig.alive())[:30]

    def gone() -> None:
        rig.client().delete_machines(POOL, names[:10])
        rig.advance()

    rival = Interrupted(is_delete, gone)
    in_time = rig.server.clock.now() + 2 * LONG_S
    outcome = rig.client(transport=rival).delete_machines(POOL, names, deadline=in_time)
    assert (set(outcome.accepted), outcome.refused) == (set(names), ())
    rig.advance()
    assert len(rig.machines()) == 10


def test_deleting_and_creating_at_once_leaves_what_the_other_machines_are(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(latency_s=0.003, latency_spread_s=0.003)
    rig.client().create_machines(chunks(2, 20))
    old = sorted(rig.alive())
    wanted = chunks(4, 10)[2:]
    with ThreadPoolExecutor(2) as executor:
        made = executor.submit(rig.client().create_machines, wanted)
        left = executor.submit(rig.client().delete_machines, POOL, old)
    assert (refusals(made.result()), left.result().refused) == ({}, ())
    rig.advance()
    assert set(rig.machines()) == set(names_of(wanted))


# Whole cycles


def test_a_second_run_on_one_ledger_waits_for_nothing_and_sends_nothing(site: Site) -> None:
    site.scheduler.submit("array", iterations=5)
    with site.world(), pytest.raises(LockHeldError):
        site.cycle()
    assert site.requests() == []


def twin_of(site: Site, make_site: Callable[..., Site]) -> Site:
    """The same site on another host: same owner, same queue, a ledger of its own."""
    other = make_site()
    other.emulator = site.emulator
    other.document = site.document
    other.clock = site.clock
    other.scheduler = FakeScheduler(site.machines)
    return other


def test_two_hosts_with_one_owner_and_two_ledgers_make_every_machine_once(
    site: Site, make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set-up that nobody should have: the twin's whole cycle falls between the other's plan and its requests."""
    twin = twin_of(site, make_site)
    plain: Any = failover_module.launch
    turns: list[str] = []

    def launch(*args: Any, **options: Any) -> Any:
        if not turns:
            turns.append("twin")
            patch_wiring(monkeypatch, twin)
            twin.cycle()
            patch_wiring(monkeypatch, site)
        return plain(*args, **options)

    for each in (site, twin):
        each.scheduler.submit("array", iterations=20)
    monkeypatch.setattr(failover_module, "launch", launch)
    patch_wiring(monkeypatch, site)
    report = site.cycle()
    assert (report.is_clean, turns) == (True, ["twin"])
    assert len(site.names()) == 20
    assert set(site.records()) == set(twin.records()) == set(site.names())
    assert set(site.emulator.state.pools()[0].generations.values()) == {1}
    site.boot()
    for each in (site, twin):
        patch_wiring(monkeypatch, each)
        assert claimed(each.cycle().plan) == []
    statuses = [entry.status for entry in site.requests(*PUTS)]
    assert statuses == [200, 400], "what is there already is refused, looked for and found"
