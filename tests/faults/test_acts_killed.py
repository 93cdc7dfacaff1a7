"""SIGKILL at every named step of what people do by hand: create, delete, drain, remove (user asks T20c, T33c).

After each death the loop runs twice, and then store, ledger and scheduler are held against each other: nothing is lost,
doubled, left half done, or deleted under a job, a job that came the moment the act died included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.mortal_site import IDLE_S, MortalSite, mortal_site
from faults.test_killed_anywhere import BOOT_S, check_settled, settle

from autoscale_aks.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from faults.mortal_site import Run

COUNT = 7
BUSY = 3


@pytest.fixture(scope="module")
def site() -> Iterator[MortalSite]:
    """One for all stories: each ends as it began, with nothing there."""
    with mortal_site() as made:
        yield made


def staff(site: MortalSite) -> tuple[list[str], list[str]]:
    """Machines that are ready: those without work, and those with it."""
    site.jobs = {f"job-{number}": None for number in range(COUNT)}
    site.whole()
    site.advance(BOOT_S)
    site.schedule()
    site.whole()
    busy = sorted(machine for machine in site.jobs.values() if machine)[:BUSY]
    site.jobs = {job: machine for job, machine in site.jobs.items() if machine in busy}
    site.whole()
    assert len(site.alive()) == COUNT
    return sorted(site.alive() - set(busy)), busy


def land(site: MortalSite) -> None:
    """A job comes the moment the act is dead, and starts where the scheduler has room."""
    site.jobs["late"] = None
    site.schedule()


def check_work(site: MortalSite, where: object) -> None:
    busy = {machine for machine in site.jobs.values() if machine}
    assert busy <= site.alive(), f"{where}: a machine was deleted under its job"
    assert len(site.jobs) <= len(site.alive()) <= COUNT + 1, where


def drained(site: MortalSite) -> set[str]:
    with Ledger.open(site.directory / "ledger.sqlite", now=0.0, read_only=True) as ledger:
        return set(ledger.drains())


def empty(site: MortalSite, where: object) -> None:
    """The work ends, and everything goes."""
    site.advance(BOOT_S)
    site.schedule()
    site.whole()
    assert None not in site.jobs.values(), where
    site.jobs.clear()
    for _ in range(6):
        site.whole()
        site.advance(IDLE_S + 1)
        if not site.states():
            break
    left = (site.machines(), site.states(), site.closed(), site.joined(), drained(site))
    assert left == ({}, {}, set(), set(), set()), where


def kill_at_each(story: Callable[..., Run], site: MortalSite, names: Iterable[str]) -> set[str]:
    """Die the first time each of these steps comes; at which steps the deaths were."""
    runs = [story(site, at=name) for name in names]
    return {run.steps[-1] for run in runs if run.was_killed}


def create(site: MortalSite, **how: str) -> Run:
    run = site.act("create", "--nodearray", "htc", "--count", str(COUNT), **how)
    asked = set(site.machines())
    assert asked <= site.known(), f"{how}: asked for without an intent"
    land(site)
    settle(site)
    check_settled(site, how)
    assert len(site.alive()) in ({COUNT} if run.exit_status == 0 else range(1, COUNT + 1)), how
    assert asked <= site.alive(), f"{how}: a machine that was made is lost"
    empty(site, how)
    return run


def delete(site: MortalSite, **how: str) -> Run:
    idle, busy = staff(site)
    run = site.act("delete", *idle, *busy, **how)
    assert site.closed() <= set(idle), how
    land(site)
    settle(site)
    check_settled(site, how)
    check_work(site, how)
    assert set(busy) <= site.alive(), how
    assert site.closed() == set(), f"{how}: closed, and neither deleted nor open again"
    if not run.was_killed:
        assert not set(idle) & site.alive(), how
    empty(site, how)
    return run


def drain(site: MortalSite, **how: str) -> Run:
    idle, busy = staff(site)
    run = site.act("drain", *idle, *busy, "--reason", "bad DIMM", **how)
    marked = drained(site)
    assert site.closed() <= marked, f"{how}: closed without a word in the ledger"
    assert marked in (set(), {*busy, *idle}, set(busy)), f"{how}: half a drain"
    land(site)
    settle(site)
    check_settled(site, how, but=drained(site) & {machine for machine in site.jobs.values() if machine})
    check_work(site, how)
    assert set(busy) <= site.alive(), how
    assert site.closed() == drained(site) & site.alive(), how
    assert not marked or drained(site) & site.alive() >= set(busy), f"{how}: a drain was forgotten"
    empty(site, how)
    return run


def remove(site: MortalSite, **how: str) -> Run:
    idle, busy = staff(site)
    run = site.act("remove", *idle[:2], busy[0], **how)
    assert site.closed() <= set(idle[:2]), how
    land(site)
    settle(site)
    check_settled(site, how)
    check_work(site, how)
    assert set(busy) <= site.joined(), how
    assert site.closed() == set(), f"{how}: closed, and neither forgotten nor open again"
    if "scheduler.close_nodes:after" in run.steps:
        assert set(idle[:2]) <= site.alive(), f"{how}: removed from the scheduler is not deleted"
        assert not set(idle[:2]) & site.joined(), f"{how}: what was begun is finished"
    for name in site.alive() - site.joined():  # what was removed is lost to the loop unless somebody joins it again
        (site.directory / "joined" / name).touch()
    empty(site, how)
    return run


STORIES = [
    (create, {"ledger.record_intents:after", "PUT machines:before", "PUT machines:after", "scheduler.add_nodes:after"}),
    (delete, {"ledger.record_seen:after", "scheduler.close_nodes:after", "POST htc:before", "POST htc:after"}),
    (drain, {"ledger.drain:after", "scheduler.close_nodes:after", "POST htc:after"}),
    (remove, {"ledger.set_flags:after", "scheduler.close_nodes:after", "scheduler.read:after",
              "scheduler.remove_nodes:after"}),
]  # fmt: skip
every_story = pytest.mark.parametrize(("story", "steps"), STORIES, ids=[story.__name__ for story, _ in STORIES])


@every_story
def test_an_act_by_hand_killed_between_its_writes_loses_doubles_and_harms_nothing(
    site: MortalSite, story: Callable[..., Run], steps: set[str]
) -> None:
    assert kill_at_each(story, site, sorted(steps)) == steps


@pytest.mark.soak
@every_story
def test_an_act_by_hand_killed_at_every_named_step_loses_doubles_and_harms_nothing(
    site: MortalSite, story: Callable[..., Run], steps: set[str]
) -> None:
    passed = set(story(site).steps)
    assert steps <= kill_at_each(story, site, sorted(passed))
