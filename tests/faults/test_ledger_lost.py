"""The ledger is deleted or garbled in the middle of a machine's life: no machine lost, doubled or orphaned (T33d)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.storm import StormScheduler
from faults.test_recovery import killed_cycle
from unit.reconcile.fakes import BOOTED_S, IDLE_S

from autoscale_aks.ledger.records import MachineState
from autoscale_aks.reconcile import run_cycle
from autoscale_aks.reconcile.join import VISIBILITY_GRACE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

MACHINES = 7
STAGES = ("asked for", "booting", "at work", "idle", "closed", "leaving")


def delete(site: Site) -> None:
    site.ledger_path.unlink()


def garble(site: Site) -> None:
    content = bytearray(site.ledger_path.read_bytes())
    content[100:] = b"\xa5" * (len(content) - 100)
    site.ledger_path.write_bytes(bytes(content))


def cut(site: Site) -> None:
    site.ledger_path.write_bytes(site.ledger_path.read_bytes()[:1000])


def empty(site: Site) -> None:
    site.ledger_path.write_bytes(b"")


def bring_to(site: Site, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site whose machines have come so far."""
    site.scheduler.submit("work", iterations=MACHINES)
    site.cycle()
    if stage == "asked for":
        return
    site.advance(35.0 if stage == "booting" else BOOTED_S)
    site.cycle()
    if stage == "booting":
        return
    site.scheduler.finish("work")
    for name in site.names():
        site.scheduler.start(f"job of {name}", name)
    site.cycle()
    if stage == "at work":
        return
    site.scheduler.finish()
    site.cycle()
    if stage == "idle":
        return
    site.advance(IDLE_S)
    if stage == "closed":
        killed_cycle(site, monkeypatch, "cloud.delete_machines")
        assert {record.state for record in site.records().values()} == {MachineState.CLOSING}
    else:
        killed_cycle(site, monkeypatch, "scheduler.remove_nodes")
        assert set(site.states().values()) == {"Deleting"}


@pytest.mark.parametrize("lose", [delete, garble, cut, empty])
@pytest.mark.parametrize("stage", STAGES)
def test_t33d_whenever_the_ledger_is_lost_nothing_is_lost_doubled_or_orphaned(
    site: Site, stage: str, lose: Callable[[Site], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.scheduler = StormScheduler(site.machines)
    bring_to(site, stage, monkeypatch)
    made, busy = set(site.names()), set(site.scheduler.running)
    assert len(made) == MACHINES
    lose(site)
    with site.world() as world:
        assert len(world.ledger.notices) == (lose is not delete), "what was found damaged is told of"
        report = run_cycle(world)
    assert report.plan.claims == (), "nothing is made twice"
    assert set(site.records()) == made, "every machine is known again by its marks"
    assert any(f"{MACHINES} machines" in notice for notice in report.notices), "and that is told of as well"
    assert busy <= {name for name, state in site.states().items() if state == "Succeeded"}
    site.scheduler.finish()
    for _ in range(4):
        site.advance(max(IDLE_S, VISIBILITY_GRACE_S) + 1)
        site.cycle()
    assert (site.names(), site.records()) == ([], {})
    assert set(site.created()) == made


def test_a_node_that_an_administrator_closed_is_left_alone_when_the_ledger_is_lost(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    (machine,) = site.machines()
    site.scheduler.closed.add(machine.node_name)
    site.ledger_path.unlink()
    for _ in range(4):
        site.advance(IDLE_S + 1)
        site.cycle()
    assert site.names() == [machine.name]
    assert site.deletes() == []
