"""Placement groups on AKS: a label and a tag always; an agent pool or a zone of their own as the node array says."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.reconcile.fakes import IDLE_S, accepted, bucket

from autoscale_aks.cloud.aks.endpoints import check_pool_name
from autoscale_aks.model.bucket import expand_buckets
from autoscale_aks.model.launch import GROUP_TAG, FaultKind
from autoscale_aks.reconcile.group_pools import name_clash
from autoscale_aks.reconcile.names import group_pool, pool_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site


def hpc(scope: str, **more: Any) -> dict[str, Any]:
    return {"hpc": {"placement_groups": ["pg0", "pg1"], "placement_group_scope": scope, "buckets": [bucket()], **more}}


def pools(site: Site) -> dict[str, int]:
    """Machines in each agent pool."""
    site.emulator.catch_up()
    return {pool.name: len(pool.machines) for pool in site.emulator.state.pools()}


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)


@given(names, names, names)
def test_every_group_has_a_usable_pool_name_that_follows_from_its_names_alone(
    owner: str, array: str, group: str
) -> None:
    name = group_pool(owner, array, group)
    check_pool_name(name)
    assert name == group_pool(owner, array, group)


def test_no_two_groups_of_any_size_of_site_share_a_pool_name() -> None:
    made = {group_pool("az1", f"hpc{array}", f"pg{group}") for array in range(20) for group in range(500)}
    made |= {group_pool("az2", f"hpc{array}", f"pg{group}") for array in range(20) for group in range(500)}
    made |= {group_pool("az1", "a", "b-c"), group_pool("az1", "a-b", "c")}
    assert len(made) == 20_002


@pytest.mark.parametrize("scope", ["label", "pool"])
def test_a_group_is_a_label_and_a_tag_of_its_machines(make_site: Callable[..., Site], scope: str) -> None:
    site = make_site(nodearrays=hpc(scope))
    site.scheduler.submit("mpi", node_count=3, colocated=True)
    site.scheduler.submit("single")
    report = site.cycle()
    grouped = {claim.name for claim in report.plan.claims if claim.bucket.placement_group == "pg0"}
    assert len(grouped) == 3
    for machine in site.machines():
        expected = "pg0" if machine.name in grouped else None
        assert (machine.tags or {}).get(GROUP_TAG) == expected
        assert machine.template["kubernetes"]["nodeLabels"].get(GROUP_TAG) == expected


def test_where_groups_are_labels_they_share_the_node_arrays_pool(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=hpc("label"))
    site.scheduler.submit("mpi", node_count=3, colocated=True)
    site.cycle()
    assert pools(site) == {"hpc": 3}


def test_a_group_that_is_a_pool_gets_it_on_demand_and_its_machines_live_through_a_whole_life(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(nodearrays=hpc("pool"))
    pg0, pg1 = (group_pool("site", "hpc", group) for group in ("pg0", "pg1"))
    site.scheduler.submit("single")
    site.cycle()
    assert pools(site) == {"hpc": 1}
    site.scheduler.submit("mpi", node_count=3, colocated=True)
    assert len(accepted(site.cycle())) == 3
    assert pools(site) == {"hpc": 1, pg0: 3}
    assert {record.pool for record in site.records().values() if record.placement_group} == {pg0}
    site.boot()
    seen, plan = site.demand()
    assert not plan.claims
    assert sum(node.is_ready and node.placement_group == "pg0" for node in seen.snapshot.nodes) == 3
    site.scheduler.finish()
    site.cycles(2)
    site.advance(IDLE_S)
    site.cycles(2)
    assert pools(site) == {"hpc": 0, pg0: 0}
    assert pg1 not in pools(site)


def test_an_empty_group_pool_is_deleted_after_the_idle_timeout_and_made_again_when_wanted(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(nodearrays=hpc("pool"))
    site.scheduler.submit("mpi", node_count=2, colocated=True)
    site.cycle()
    site.boot()
    site.scheduler.finish()
    site.cycles(1)
    site.advance(IDLE_S)
    site.cycles(3)
    pg0 = group_pool("site", "hpc", "pg0")
    assert pools(site)[pg0] == 0, "the machines are gone and the pool waits"
    site.advance(IDLE_S)
    site.cycles(2)
    assert pools(site) == {}
    site.scheduler.submit("again", node_count=2, colocated=True)
    assert len(accepted(site.cycle())) == 2
    assert pools(site) == {pg0: 2}
    site.advance(3 * IDLE_S)
    site.cycles(2)
    assert pools(site) == {pg0: 2}, "a pool with machines stays"


def test_an_empty_group_pool_with_a_strangers_machine_is_never_deleted(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=hpc("pool"))
    pg0 = group_pool("site", "hpc", "pg0")
    with site.world() as world:
        world.cloud.ensure_pool(pg0)
    site.advance(60.0)
    put = f"{site.emulator.base_url}{site.emulator.state.pools()[0].id}/machines/theirs?api-version=2025-06-02-preview"
    _put(put)
    for _ in range(4):
        site.cycles(1, every_s=IDLE_S)
    assert pools(site) == {pg0: 1}


def _put(url: str) -> None:
    body = b'{"properties":{"hardware":{"vmSize":"Standard_D4s_v5"}}}'
    request = urllib.request.Request(url, data=body, method="PUT", headers={"Authorization": "Bearer x"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("new", [False, True], ids=["named groups", "new groups"])
def test_a_lost_ledger_loses_no_machine_of_a_group_pool(make_site: Callable[..., Site], new: bool) -> None:
    more: dict[str, Any] = {"placement_groups": [], "new_placement_groups": True} if new else {}
    site = make_site(nodearrays=hpc("pool", **more))
    site.scheduler.submit("mpi", node_count=3, colocated=True)
    made = accepted(site.cycle())
    site.boot()
    before = {name: record.placement_group for name, record in site.records().items()}
    site.ledger_path.unlink()
    site.cycle()
    assert {name: record.placement_group for name, record in site.records().items()} == before
    assert sorted(before) == sorted(made) == site.names()
    site.scheduler.finish()
    site.cycles(1)
    site.advance(IDLE_S)
    site.cycles(3)
    assert site.names() == []


def test_a_full_cluster_refuses_the_group_with_a_reason_and_other_buckets_go_on(make_site: Callable[..., Site]) -> None:
    site = make_site({"pools_per_cluster": 1}, nodearrays=hpc("pool"))
    site.scheduler.submit("single")
    site.cycle()
    site.scheduler.submit("mpi", node_count=2, colocated=True)
    site.scheduler.submit("another")
    report = site.cycle()
    refused = [each for chunk in report.chunks for each in chunk.outcomes if each.code == "PoolLimit"]
    assert len(refused) == 2
    assert {each.kind for each in refused} == {FaultKind.QUOTA}
    assert "1 agent pools, the most it can have" in refused[0].message
    assert "placement_group_scope" in refused[0].message
    assert pools(site) == {"hpc": 2}
    site.advance(60.0)
    site.scheduler.submit("third")
    report = site.cycle()
    assert len(accepted(report)) == 1, "no back-off: a full cluster says nothing of the size"


def test_pools_that_cannot_be_read_stop_releases_and_lose_nothing(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=hpc("pool"))
    site.scheduler.submit("mpi", node_count=2, colocated=True)
    site.cycle()
    site.boot()
    site.scheduler.finish()
    site.cycles(1)
    site.advance(IDLE_S)
    site.fault(kind="error_before", operations=("pool.list",), status=500)
    report = site.cycle()
    assert [source.name for source in report.observation.snapshot.sources if not source.complete] == ["pools"]
    assert not report.releases.deleted
    assert len(site.names()) == 2


def test_a_group_s_machines_that_only_the_scheduler_shows_are_counted_while_the_pools_cannot_be_read(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(nodearrays=hpc("pool"))
    site.scheduler.submit("mpi", node_count=2, colocated=True)
    site.cycle()
    site.boot()
    site.ledger_path.unlink()
    site.fault(kind="error_before", operations=("pool.list",), status=500)
    seen, _ = site.demand()
    assert sorted(node.name for node in seen.snapshot.nodes) == site.names()
    report = site.cycle()
    assert not report.releases.deleted
    assert site.scheduler.told("remove") == []
    assert len(site.names()) == len({*site.names(), *accepted(report)})


def test_a_group_that_moved_to_its_pool_in_a_later_round_keeps_it(make_site: Callable[..., Site]) -> None:
    """The pool has long been empty when the cycle's first round fills it and a second round asks elsewhere."""
    site = make_site(
        nodearrays={**hpc("pool"), "htc": {"buckets": [bucket("Standard_F4s_v2"), bucket("Standard_D4s_v5")]}}
    )
    pg0 = group_pool("site", "hpc", "pg0")
    with site.world() as world:
        world.cloud.ensure_pool(pg0)
    site.advance(60.0)
    site.cycle()
    site.advance(2 * IDLE_S)
    site.fault(kind="client_error", code="SkuNotAvailable", sizes=("Standard_F4s_v2",))
    site.scheduler.submit("mpi", node_count=2, colocated=True)
    site.scheduler.submit("other")
    object.__setattr__(site.scheduler.jobs["other"].shape, "constraints", ({"ncpus": 4, "node.nodearray": "htc"},))
    report = site.cycle()
    assert len(report.rounds) == 2
    assert pools(site)[pg0] == 2
    assert "pool.delete" not in {entry.operation for entry in site.requests()}
    with site.ledger() as ledger:
        assert ledger.flag(f"empty group pool:{pg0}") is None, "it is not empty any more"


def test_where_groups_are_zones_all_machines_of_a_group_stand_in_one(make_site: Callable[..., Site]) -> None:
    groups = [f"pg{number}" for number in range(8)]
    site = make_site(nodearrays=hpc("zone", zones=["1", "2", "3"], placement_groups=groups, max_placement_group_size=2))
    for number in range(8):
        site.scheduler.submit(f"mpi{number}", node_count=2, colocated=True)
    assert len(accepted(site.cycle())) == 16
    zones: dict[str, set[str]] = {}
    for machine in site.machines():
        zones.setdefault((machine.tags or {})[GROUP_TAG], set()).update(machine.zones)
    assert set(zones) == set(groups)
    assert all(len(found) == 1 for found in zones.values())
    assert len(set.union(*zones.values())) > 1, "the groups are spread"
    assert pools(site) == {"hpc": 16}
    offered = {
        group: offering.zone for array in site.config.arrays for offering in array.offerings
        for group in offering.placement_groups
    }  # fmt: skip
    assert {group: {zone} for group, zone in offered.items()} == zones


def test_a_group_pool_that_is_another_node_arrays_pool_is_refused_with_a_next_step(
    make_site: Callable[..., Site],
) -> None:
    taken = group_pool("site", "hpc", "pg0")
    site = make_site(nodearrays={**hpc("pool"), "htc": {"agent_pool": taken, "buckets": [bucket()]}})
    config = site.config
    (array,) = [array for array in config.arrays if array.name == "hpc"]
    by_group = {made.placement_group: made for made in expand_buckets(array)}
    assert pool_of(config, by_group[None]) == "hpc"
    assert name_clash(config, by_group[None]) is None
    assert name_clash(config, by_group["pg1"]) is None
    assert "give placement group pg0 another name" in (name_clash(config, by_group["pg0"]) or "")


def test_the_pools_of_many_groups_are_made_in_one_cycle(make_site: Callable[..., Site]) -> None:
    groups = [f"pg{number}" for number in range(6)]
    arrays = {"hpc": {**hpc("pool")["hpc"], "placement_groups": groups, "max_placement_group_size": 2}}
    site = make_site(nodearrays=arrays)
    for number in range(6):
        site.scheduler.submit(f"mpi-{number}", node_count=2, colocated=True)
    assert len(accepted(site.cycle())) == 12
    assert len(site.requests("pool.put")) == 6
