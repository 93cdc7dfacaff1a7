"""SIGKILL at every named step of a cycle, and at random moments under load (user ask T33c).

After each death the program runs twice more, and then the emulator's store is held against the demand: no machine
lost, doubled or orphaned, and every intent settled.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from faults.mortal_site import IDLE_S, MOST, MortalSite, mortal_site

from autoscale_aks.ledger.records import MachineState
from autoscale_aks.reconcile.join import VISIBILITY_GRACE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from faults.mortal_site import Run

WORK = 12
BOOT_S = 60.0
OPEN = {MachineState.INTENDED, MachineState.UNKNOWN, MachineState.CLOSING, MachineState.REJECTED}


@pytest.fixture
def site() -> Iterator[MortalSite]:
    with mortal_site() as made:
        yield made


def settle(site: MortalSite) -> None:
    """Two runs, the second of them after all that was asked for must show."""
    site.whole()
    site.advance(VISIBILITY_GRACE_S + 1)
    site.whole()


def check_settled(site: MortalSite, where: object, but: AbstractSet[str] = frozenset()) -> None:
    """Every intent has come to an end, `but` for these, and ledger and store agree on every machine."""
    states = site.states()
    assert not OPEN & {state for name, state in states.items() if name not in but}, (where, states)
    assert set(site.machines()) <= site.known(), f"{where}: a machine that nobody knows of"
    assert {name for name, state in states.items() if state is not MachineState.DELETING} == site.alive(), where


def live_and_die(site: MortalSite, out: dict[str, float], back: dict[str, float], lead: int = 0) -> tuple[Run, Run]:
    """Work comes, a run dies making machines; the work ends, a run dies letting them go.

    `lead` runs go before the one that lets idle machines go: a brake on mass deletes may want them.
    """
    site.jobs = {f"job-{number}": None for number in range(WORK)}
    first = site.run(**out)
    settle(site)
    check_settled(site, out)
    assert len(site.alive()) == WORK, f"{out}: {sorted(site.alive())}"
    site.advance(BOOT_S)
    site.schedule()
    assert None not in site.jobs.values()
    site.whole()
    site.jobs.clear()
    site.whole()
    site.advance(IDLE_S + 1)
    for _ in range(lead):
        site.whole()
    second = site.run(**back)
    settle(site)
    check_settled(site, back)
    assert site.alive() == set(), back
    site.advance(BOOT_S)
    site.whole()
    assert (site.machines(), site.states(), site.closed(), site.joined()) == ({}, {}, set(), set()), back
    return first, second


def chosen(steps: list[str], *, every: bool) -> list[int]:
    """The first and the last time of each named step, or every time of it."""
    if every:
        return list(range(len(steps)))
    firsts = {name: number for number, name in reversed(list(enumerate(steps)))}
    lasts = {name: number for number, name in enumerate(steps)}
    return sorted({*firsts.values(), *lasts.values()})


def kill_at_named_steps(site: MortalSite, *, every: bool) -> int:
    """Learn the steps of a life that nobody disturbs, then die at each; how many deaths there were."""
    lead, (out, back) = 0, live_and_die(site, {}, {})
    while "scheduler.close_nodes:after" not in back.steps and lead < 3:
        lead += 1
        out, back = live_and_die(site, {}, {}, lead)
    assert {"ledger.record_intents:after", "PUT machines:before", "scheduler.add_nodes:after"} <= set(out.steps)
    assert {"scheduler.close_nodes:after", "POST htc:before", "scheduler.remove_nodes:after"} <= set(back.steps)
    outs, backs = chosen(out.steps, every=every), chosen(back.steps, every=every)
    deaths = 0
    for number in range(max(len(outs), len(backs))):
        orders = [{"step": steps[number % len(steps)]} for steps in (outs, backs)]
        for run in live_and_die(site, *orders, lead):
            deaths += run.was_killed
    return deaths


def test_t33c_killed_at_every_named_step_the_next_two_runs_leave_exactly_what_is_needed(site: MortalSite) -> None:
    assert kill_at_named_steps(site, every=False) >= 60


@pytest.mark.soak
def test_t33c_killed_at_every_step_however_often_it_comes(site: MortalSite) -> None:
    assert kill_at_named_steps(site, every=True) >= 100


class Load:
    """Work that comes and goes between runs, by a seed."""

    def __init__(self, site: MortalSite, seed: int) -> None:
        self.site = site
        self.dice = random.Random(seed)
        self.submitted = 0

    def move(self) -> None:
        """Jobs end, arrive and start; time passes."""
        site, dice = self.site, self.dice
        for job in [job for job, machine in site.jobs.items() if machine and dice.random() < 0.35]:
            del site.jobs[job]
        for _ in range(dice.choice([0, 0, 1, 3, 8])):
            if len(site.jobs) < MOST:
                site.jobs[f"job-{self.submitted}"] = None
                self.submitted += 1
        site.advance(dice.choice([0.0, 5.0, 30.0, 70.0, 150.0]))
        site.schedule()


class Deaths:
    """Which step a run dies at, by a seed: the same spread over the steps however fast or loaded the host is.

    A run dies at a step, or some milliseconds after it, in the middle of whatever it does then.
    """

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.most = 40
        """Steps of the longest run so far."""
        self.steps: list[str] = []
        """Where each death began."""

    def of(self, site: MortalSite) -> Run:
        """One run, which dies unless it has fewer steps than were drawn."""
        step = self.dice.randrange(self.most)
        run = site.run(step=step, delay_s=self.dice.choice([0.0, 0.001, 0.003, 0.01]))
        if run.was_killed:
            self.steps.append(run.steps[step])
        self.most = max(self.most, len(run.steps))
        return run


def kill_at_random(site: MortalSite, seed: int, deaths: int) -> set[str]:
    """Deaths under load, each followed by two runs and a look at everything; at which steps they were."""
    load, death = Load(site, seed), Deaths(seed)
    last = 0
    site.whole()
    while len(death.steps) < deaths:
        load.move()
        before, needed = len(site.alive()), len(site.jobs)
        run = death.of(site)
        settle(site)
        where = f"seed {seed}, death {len(death.steps)}, after {run.steps[-1:]}"
        check_settled(site, where)
        busy = {machine for machine in site.jobs.values() if machine}
        assert busy <= site.alive(), f"{where}: a machine was deleted under its job"
        assert needed <= len(site.alive()) <= max(before, needed), f"{where}: {before} before, {needed} needed"
        requests = site.requests("machine.batch_put", since=last) + site.requests("machine.put", since=last)
        last = max([last, *(entry["number"] for entry in requests)])
        made = [name for entry in requests for name in entry["names"] if entry["status"] and entry["status"] < 300]
        assert set(made) <= site.known(), f"{where}: a create that the ledger does not know"
    site.jobs.clear()
    for _ in range(6):
        site.whole()
        site.advance(IDLE_S + 1)
    assert (site.machines(), site.states(), site.closed(), site.joined()) == ({}, {}, set(), set())
    print(f"seed {seed}: {deaths} deaths at {len(set(death.steps))} steps of runs of up to {death.most}")
    return set(death.steps)


def test_t33c_killed_at_random_moments_under_load_nothing_is_lost_doubled_or_orphaned(site: MortalSite) -> None:
    assert len(kill_at_random(site, seed=1, deaths=25)) >= 14, "the deaths fell on many different steps"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_t33c_killed_at_five_hundred_random_moments_under_load(site: MortalSite, seed: int) -> None:
    assert len(kill_at_random(site, seed=100 + seed, deaths=100)) >= 35, "the deaths fell on many different steps"
