"""Everything at once, by seed: many faults, many steps, and the books at every one of them.

A seed that fails says all that is needed to play it again; the long runs are `make soak`.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from faults.fault_rig import POOL, PUTS, by_state, chunks, names_of, refusals
from unit.reconcile.fakes import BOOT_S, IDLE_S, claimed

from autoscale_aks.cloud.aks.client import ClientSettings
from autoscale_aks.cloud.aks.wire import HeaderForm, HeaderLimits
from autoscale_aks.emulator.settings import BucketSpec, QuotaSettings, ThrottleSettings
from autoscale_aks.emulator.store import State
from autoscale_aks.errors import CloudError
from autoscale_aks.model.launch import LaunchRequest, LaunchState

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.fault_rig import Rig
    from unit.reconcile.fakes import Site

WRITES = (*PUTS, "machine.delete")
BACK_OFF_ENDS_S = 90_000.0
"""Longer than any bucket is left alone."""
READS = ("machine.list", "node.list", "pool.get")


def seeds(few: int, many: int) -> list[Any]:
    """A few for every run, the rest for the soak."""
    return [*range(few), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(few, many))]


def random_switches(dice: random.Random) -> dict[str, Any]:
    throttle = ThrottleSettings(
        arm=False,
        retry_after=dice.random() < 0.7,
        batch=dice.choice([None, None, BucketSpec(3, 0.5)]),
        rp=dice.random() < 0.2,
    )
    return {
        "seed": dice.randrange(10_000),
        "throttle": throttle,
        "batch_mode": dice.choice(["all", "all", "primary-from-body", "unsupported"]),
        "batch_existing": dice.choice(["error", "whole"]),
        "page_size": dice.choice([3, 7, 50]),
        "trailing_empty_page": dice.random() < 0.5,
        "delete_mixed": dice.choice(["proceed", "reject"]),
        "list_vm_state": dice.choice(["always", "expand"]),
        "quota": QuotaSettings(family=dice.choice([100_000, 100_000, 60])),
    }


def random_rule(dice: random.Random, *, whole_cycles: bool) -> dict[str, Any]:
    """A fault of any kind but for those that make a test wait; it passes after a few hits."""
    machine = ["client_error", "internal_error", "provisioning_failure", "provisioning_canceled", "vm_deleted"]
    machine += ["stuck_creating", "node_never_registers", "node_lost"] if whole_cycles else []
    request = ["throttle", "reset_before", "reset_after", "error_before", "error_after"]
    kind = dice.choice(machine + request * 2)
    rule: dict[str, Any] = {"kind": kind, "count": dice.randint(1, 9), "probability": dice.choice([1.0, 0.6, 0.3])}
    if kind in request:
        rule["operations"] = tuple(dice.sample([*WRITES, *READS], dice.randint(1, 3)))
        rule["after_s"] = float(dice.choice([0, 3, 20]))
        refusals_too = [409, 403, 401] if kind == "error_before" else []  # no service says so when the work is done
        rule["status"] = dice.choice([500, 502, 503, 408, *refusals_too])
        rule["body"] = dice.choice([None, None, "<html>oops</html>", '{"code":"BatchMachineClientError"}'])
        rule["pages"] = (2,) if rule["operations"] == ("machine.list",) and dice.random() < 0.5 else ()
    elif kind == "provisioning_failure":
        rule["code"] = dice.choice(["AllocationFailed", "FamilyQuota", "SkuNotAvailable", "Whatever"])
    return rule


class Books:
    """What was there before a step, and what may be there after it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.deleted: Counter[str] = Counter()

    def create(self, requests: list[LaunchRequest], settings: ClientSettings, *, batch: bool) -> None:
        before = self.rig.alive()
        outcomes = self.rig.client(settings).launch(requests, workers=settings.workers, batch=batch)
        there = self.rig.alive()
        assert [each.name for chunk in outcomes for each in chunk.outcomes] == names_of(requests)
        assert by_state(outcomes, LaunchState.ACCEPTED) - there == set(), "lost"
        assert by_state(outcomes, LaunchState.REJECTED) & (there - before) == set(), "refused, and made"
        assert there - before <= set(names_of(requests))
        assert before <= there
        self.check_doubled()

    def delete(self, names: list[str], settings: ClientSettings) -> None:
        before = self.rig.alive()
        outcome = self.rig.client(settings).delete_machines(POOL, names)
        there = self.rig.alive()
        assert there.isdisjoint(outcome.accepted)
        assert before - there <= set(names)
        rejected = {each.name for each in outcome.refused if each.state is LaunchState.REJECTED}
        assert rejected & before <= there, "refused, and deleted"
        assert sorted([*outcome.accepted, *(each.name for each in outcome.refused)]) == sorted(names)
        self.deleted.update(before - there)

    def check_doubled(self) -> None:
        made = self.rig.pool.generations
        assert {name: count for name, count in made.items() if count > 1 + self.deleted[name]} == {}
        assert [machine.name for machine in self.rig.machines().values() if machine.revision] == []


@pytest.mark.parametrize("seed", seeds(12, 400))
def test_no_storm_loses_or_doubles_a_machine(make_rig: Callable[..., Rig], seed: int) -> None:
    dice = random.Random(seed)
    rig = make_rig(**random_switches(dice))
    books = Books(rig)
    wanted = chunks(dice.randint(1, 6), dice.randint(1, 8))
    for _ in range(dice.randint(3, 7)):
        for _ in range(dice.randint(0, 3)):
            rig.fault(**random_rule(dice, whole_cycles=False))
        form = HeaderLimits(form=dice.choice(list(HeaderForm)), budget_bytes=dice.choice([400, 12_288]))
        settings = ClientSettings(workers=dice.randint(1, 5), header=form)
        if dice.random() < 0.3 and rig.alive():
            books.delete(dice.sample(names_of(wanted), dice.randint(1, len(names_of(wanted)))), settings)
        else:
            part = dice.sample(wanted, dice.randint(1, len(wanted)))
            books.create(part, settings, batch=dice.random() < 0.8)
        rig.advance(dice.choice([0.0, 30.0, 600.0]))
    rig.mend()
    settle_in(rig, books, wanted)


def settle_in(rig: Rig, books: Books, wanted: list[LaunchRequest]) -> None:
    """When the storm is over a few ordinary runs, with some time between them, get everything that was wanted."""
    for quota in rig.server.state.quotas.values():
        quota.set_limit("standardDSv5Family", 100_000)
    for _ in range(30):
        rig.advance()
        client = rig.client()
        try:
            failed = [machine.name for machine in client.list_machines(POOL).machines if machine.is_failed]
        except CloudError:
            continue
        if failed:
            books.delete(failed, ClientSettings())
            continue
        books.create(wanted, ClientSettings(), batch=True)
        if not refusals(rig.client().create_machines(wanted)):
            break
    assert rig.alive() == set(names_of(wanted))


@pytest.mark.parametrize("seed", seeds(6, 120))
def test_cycles_through_any_storm_end_with_what_is_needed_and_then_with_nothing(
    make_site: Callable[..., Site], seed: int
) -> None:
    dice = random.Random(seed)
    site = make_site(random_switches(dice))
    site.document["aks"]["batch_header"] = dice.choice(["all", "all", "additional", "off"])
    most = 0
    for step in range(dice.randint(6, 14)):
        if dice.random() < 0.5:
            site.scheduler.submit(f"job-{step}", iterations=dice.randint(1, 30))
        if dice.random() < 0.2:
            site.scheduler.finish()
        for _ in range(dice.randint(0, 2)):
            site.fault(**random_rule(dice, whole_cycles=True))
        most = max(most, sum(job.shape.iterations for job in site.scheduler.jobs.values()))
        site.cycle()
        assert len(useful(site)) <= most, "more than was ever asked for"
        site.advance(dice.choice([20.0, 90.0, 400.0]))
        check_names(site)
    site.mend()
    for quota in site.emulator.state.quotas.values():
        quota.set_limit("standardDSv5Family", 100_000)
    site.scheduler.finish()
    empty(site)
    site.advance(BACK_OFF_ENDS_S)
    count = dice.randint(1, 40)
    site.scheduler.submit("last", iterations=count)
    for _ in range(8):
        site.cycle()
        site.boot()
    assert claimed(site.cycle().plan) == []
    assert {machine.state for machine in site.machines()} == {State.SUCCEEDED}
    assert (len(site.names()), set(site.records())) == (count, set(site.names()))
    site.scheduler.finish()
    empty(site)


def useful(site: Site) -> list[str]:
    """Machines that are, or will be, nodes that can work."""
    return [
        machine.name
        for machine in site.machines()
        if machine.state in {State.CREATING, State.SUCCEEDED}
        and machine.vm_state != "Deleted"
        and machine.fate.error is None
        and machine.fate.losses == ()
        and machine.fate.registers
        and machine.fate.gets_ready
        and not machine.fate.stuck
    ]


def check_names(site: Site) -> None:
    """No name is ever used twice, and the ledger knows every machine that is there."""
    site.emulator.catch_up()
    generations = site.emulator.state.pools()[0].generations if site.emulator.state.pools() else {}
    assert {name: count for name, count in generations.items() if count > 1} == {}
    assert set(site.names()) <= set(site.records(gone=True))


def empty(site: Site) -> None:
    """Nobody needs anything: all machines leave, and the ledger forgets them."""
    site.advance(BOOT_S)
    for _ in range(40):
        site.cycle()
        site.advance(IDLE_S)
        check_names(site)
        if not site.names() and not site.records():
            return
    assert (site.names(), site.records()) == ([], {})
