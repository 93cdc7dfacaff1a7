"""While a pool was never listed whole since the ledger was begun, nothing is made that it might be too much for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import accepted, bucket, claimed

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

TWO = {"htc": {"buckets": [bucket(price=0.2)], "max_count": 5}, "big": {"buckets": [bucket(price=0.2)], "priority": 2}}


def hide(site: Site, pool: str) -> None:
    """The list of a pool is never answered."""
    site.fault(kind="error_before", operations=("machine.list",), pools=(pool,), status=500, code="InternalServerError")


def lose(site: Site) -> None:
    site.ledger_path.unlink()


@pytest.mark.parametrize("cap", [{"cluster_max_nodes": 4}, {"cluster_max_cores": 16}, {"budget_per_hour": 0.8}])
def test_a_cap_over_all_arrays_is_kept_when_the_ledger_is_lost_and_a_list_fails(
    make_site: Callable[..., Site], cap: dict[str, Any]
) -> None:
    site = make_site(nodearrays=TWO, limits=cap)
    site.scheduler.submit("work", iterations=3)
    site.cycle()
    lose(site)
    hide(site, "big")
    site.scheduler.submit("more", iterations=3)
    report = site.cycle()
    assert accepted(report) == []
    assert len(site.machines()) == 3
    (note,) = [text for text in report.observation.notices if "never listed whole" in text]
    assert "big" in note
    assert "nothing is made at all" in note
    site.mend()
    site.cycle()
    assert len(site.machines()) == 4


def test_without_such_a_cap_only_the_unseen_pools_own_array_waits(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=TWO)
    site.scheduler.submit("work", iterations=3)
    site.cycle()
    assert all(name.startswith("site-big-") for name in site.names())
    lose(site)
    hide(site, "big")
    report = site.cycle()
    assert accepted(report) == ["site-htc-1", "site-htc-2", "site-htc-3"]
    assert any("of big:" in text for text in report.observation.notices)


def test_a_pool_that_was_once_listed_whole_hinders_nothing_when_its_list_fails_later(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(nodearrays=TWO, limits={"cluster_max_nodes": 9})
    site.cycle()
    hide(site, "big")
    site.scheduler.submit("work", iterations=3)
    observed, plan = site.demand()
    assert len(claimed(plan)) == 3
    assert not any("never listed whole" in text for text in observed.notices)


def test_a_site_that_begins_with_no_pools_yet_makes_machines_at_once(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=TWO, limits={"cluster_max_nodes": 9})
    assert site.emulator.state.pools() == []
    site.scheduler.submit("work", iterations=3)
    assert len(accepted(site.cycle())) == 3


def test_group_pools_are_not_made_while_nobody_knows_which_there_are(make_site: Callable[..., Site]) -> None:
    arrays = {"mpi": {"buckets": [bucket(placement_groups=["g1", "g2"])], "placement_group_scope": "pool"}}
    site = make_site(nodearrays=arrays)
    site.scheduler.submit("solver", node_count=2, colocated=True)
    assert len(accepted(site.cycle())) == 2
    lose(site)
    site.fault(kind="error_before", operations=("pool.list",), status=500, code="InternalServerError")
    report = site.cycle()
    assert accepted(report) == []
    assert any("the list of pools was never listed whole" in text for text in report.observation.notices)
    assert len(site.machines()) == 2
