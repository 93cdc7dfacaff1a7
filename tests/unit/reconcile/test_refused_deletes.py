"""A delete that the cloud refuses again and again is told of, and holds nothing else up (user asks T14b, T14c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unit.reconcile.fakes import IDLE_S, accepted

from autoscale_aks.reconcile import refused_deletes
from autoscale_aks.reconcile.refused_deletes import ALONE, PATIENCE_S, requests

if TYPE_CHECKING:
    from unit.reconcile.fakes import Site

    from autoscale_aks.reconcile import CycleReport

STUCK = "site-htc-2"


def told(report: CycleReport) -> list[str]:
    return [text for text in report.notices if "refused to delete" in text]


def refuse(site: Site) -> None:
    """Every request that names the machine is refused as a whole, as the service may do."""
    site.fault(kind="error_before", operations=("machine.delete",), names=(STUCK,), status=409, code="Conflict")


def idle_site(site: Site) -> None:
    site.scheduler.submit("work", iterations=4)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S)


def test_one_machine_that_cannot_go_holds_up_no_other_once_it_was_refused_for_long(site: Site) -> None:
    idle_site(site)
    refuse(site)
    first = site.cycle()
    assert (told(first), site.states()[STUCK]) == ([], "Succeeded")
    site.advance(PATIENCE_S)
    report = site.cycle()
    assert sorted(report.releases.deleted) == ["site-htc-1", "site-htc-3", "site-htc-4"]
    (text,) = told(report)
    assert STUCK in text
    assert "azaks machines delete --pool htc site-htc-2 --wait" in text
    site.scheduler.submit("more", iterations=2)
    assert len(accepted(site.cycle())) == 2, "and nothing new is kept from starting"
    assert site.states()[STUCK] == "Succeeded"


def test_when_it_goes_at_last_nothing_is_said_any_more(site: Site) -> None:
    idle_site(site)
    refuse(site)
    site.cycle()
    site.advance(PATIENCE_S)
    assert told(site.cycle())
    site.mend()
    assert told(site.cycle()) == []
    site.advance(300)
    site.cycle()
    with site.ledger() as ledger:
        assert ledger.flags(refused_deletes.FLAG) == {}
    assert site.names() == []


def test_a_machine_that_was_deleted_by_hand_is_forgotten(site: Site) -> None:
    idle_site(site)
    refuse(site)
    site.cycle()
    site.mend()
    for pool in site.emulator.state.pools():
        pool.machines.pop(STUCK, None)
    site.cycle()
    site.cycle()
    with site.ledger() as ledger:
        assert STUCK not in ledger.flags(refused_deletes.FLAG)


def test_those_that_were_long_refused_are_asked_for_alone_each_in_its_turn() -> None:
    names = [f"m-{number}" for number in range(45)]
    since = dict.fromkeys(names[5:], "0.0")
    seen: set[str] = set()
    for minute in range(30, 33):
        together, *alone = requests(names, since, minute * 60.0)
        assert together == names[:5]
        assert all(len(one) == 1 for one in alone)
        assert len(alone) == ALONE
        seen.update(one[0] for one in alone)
    assert seen == set(names[5:])
    assert requests(names, {}, 1e6) == [names]
    assert requests([], since, 1e6) == []
