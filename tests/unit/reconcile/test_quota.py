"""Azure's limits known before they are hit, and nothing of ours counted twice (user ask T09)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import BOOTED_S, OTHER_SIZE, SIZE, accepted, bucket, claimed, reasons

from autoscale_aks.emulator.settings import ClusterSpec, QuotaSettings, subnet_id
from autoscale_aks.model.reason import LimitKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

    from autoscale_aks.model.plan import Plan

FAMILY = "standardDSv5Family"
LAG_S = 300.0


def quota(limit: int, others: int = 0, lag_s: float = 0.0, **more: Any) -> dict[str, Any]:
    settings = QuotaSettings(limits={FAMILY: limit}, used_by_others={FAMILY: others}, lag_s=lag_s, **more)
    return {"quota": settings}


def used(site: Site) -> int:
    """vCPUs of machines that hold quota, whatever the usages say."""
    return sum(machine.size.vcpus for machine in site.machines() if machine.holds_quota)


def submit(site: Site, count: int, prefix: str = "job") -> None:
    for number in range(count):
        site.scheduler.submit(f"{prefix}{number}")


def bindings(plan: Plan) -> dict[str, LimitKind]:
    return {one.bucket.id: one.binding.kind for one in plan.buckets if one.binding is not None}


def refusals(site: Site) -> int:
    return sum(machine.error is not None for machine in site.machines())


def test_t09b_what_fits_is_asked_for_and_the_rest_waits(make_site: Callable[..., Site]) -> None:
    site = make_site(quota(72, others=58))
    submit(site, 18)
    report = site.cycle()
    assert len(accepted(report)) == 3  # 14 of 72 cores are left
    assert refusals(site) == 0
    assert bindings(report.plan) == {f"htc/{SIZE}": LimitKind.FAMILY_QUOTA}


def test_a_job_that_finds_no_quota_at_all_is_told_so(make_site: Callable[..., Site]) -> None:
    site = make_site(quota(72, others=72))
    site.scheduler.submit("one")
    _, plan = site.demand()
    assert reasons(plan) == {"QUOTA"}
    (outcome,) = plan.outcomes
    assert outcome.reason.binding is not None
    assert (outcome.reason.binding.left, outcome.reason.binding.missing) == (0, 4)


@pytest.mark.parametrize("lag_s", [0.0, 90.0, LAG_S])
def test_t09c_two_arrays_of_a_family_never_exceed_it_whatever_the_lag(
    make_site: Callable[..., Site], lag_s: float
) -> None:
    arrays = {"htc": {"buckets": [bucket()]}, "hpc": {"buckets": [bucket("Standard_D8s_v5", vcpu_count=8)]}}
    site = make_site(quota(100, others=20, lag_s=lag_s), nodearrays=arrays)
    for number in range(8):
        submit(site, 8, prefix=f"round{number}-")
        site.cycle()
        assert used(site) <= 80
        assert refusals(site) == 0
        site.advance(45)
    assert used(site) == 80


@pytest.mark.parametrize("lag_s", [0.0, 90.0, LAG_S])
def test_t09c_a_machine_is_not_deducted_twice_once_the_source_counts_it(
    make_site: Callable[..., Site], lag_s: float
) -> None:
    site = make_site(quota(40, others=8, lag_s=lag_s))
    site.cycle()
    submit(site, 4)
    assert len(accepted(site.cycle())) == 4
    site.advance(61)
    submit(site, 4, prefix="more")
    for _ in range(int(lag_s // 60) + 2):
        site.cycle()
        site.advance(61)
    assert used(site) == 32  # 8 machines: all that the family has left


def test_others_that_take_more_are_seen(make_site: Callable[..., Site]) -> None:
    site = make_site(quota(40))
    site.cycle()
    size = site.emulator.state.catalog.find(SIZE)
    assert size is not None
    (counters,) = site.emulator.state.quotas.values()
    for _ in range(6):
        counters.reserve(size, spot=False)
    site.advance(61)
    submit(site, 10)
    assert len(accepted(site.cycle())) == 4
    assert refusals(site) == 0


def test_what_others_give_back_can_be_used(make_site: Callable[..., Site]) -> None:
    taken = QuotaSettings(limits={FAMILY: 40}, used_by_others={FAMILY: 40, "cores": 40})
    site = make_site({"quota": taken})
    submit(site, 5)
    assert accepted(site.cycle()) == []
    size = site.emulator.state.catalog.find(SIZE)
    assert size is not None
    (counters,) = site.emulator.state.quotas.values()
    for _ in range(3):
        counters.release(size, spot=False)
    site.advance(61)
    assert len(accepted(site.cycle())) == 3


def test_t09d_constrained_cores_take_the_parents_cores(make_site: Callable[..., Site]) -> None:
    arrays = {"htc": {"buckets": [{"vm_size": "Standard_HB120-16rs_v3"}]}}
    settings = QuotaSettings(limits={"standardHBv3Family": 250})
    site = make_site({"quota": settings}, nodearrays=arrays)
    for number in range(5):
        site.scheduler.submit(f"job{number}", cpus=16)
    assert len(accepted(site.cycle())) == 2
    assert refusals(site) == 0


def test_spot_needs_only_the_spot_counter(make_site: Callable[..., Site]) -> None:
    arrays = {"htc": {"spot": True, "buckets": [bucket()]}}
    site = make_site({"quota": QuotaSettings(regional=0, spot=8, limits={FAMILY: 0})}, nodearrays=arrays)
    submit(site, 5)
    report = site.cycle()
    assert len(accepted(report)) == 2
    assert bindings(report.plan) == {f"htc/{SIZE}": LimitKind.SPOT_QUOTA}


def test_the_regional_quota_holds_over_all_families(make_site: Callable[..., Site]) -> None:
    arrays = {"htc": {"buckets": [bucket(max_count=2), bucket(OTHER_SIZE)]}}
    site = make_site({"quota": QuotaSettings(regional=20)}, nodearrays=arrays)
    submit(site, 9)
    report = site.cycle()
    assert len(accepted(report)) == 5
    assert bindings(report.plan)[f"htc/{OTHER_SIZE}"] is LimitKind.REGION_QUOTA


@pytest.mark.parametrize("status", [403, 500, 404])
def test_t09e_a_quota_that_cannot_be_read_does_not_bind_and_is_flagged(
    make_site: Callable[..., Site], status: int
) -> None:
    site = make_site(quota(4))
    site.fault(kind="error_before", status=status, operations=("usage.list",))
    submit(site, 3)
    seen, plan = site.demand()
    assert len(claimed(plan)) == 3
    assert any("quota of eastus2 could not be read" in notice for notice in seen.notices)
    assert len(site.cycle().plan.claims) == 3


def test_t09e_an_old_quota_binds_for_a_quarter_of_an_hour_and_then_no_more(make_site: Callable[..., Site]) -> None:
    site = make_site(quota(8))
    site.cycle()
    site.fault(kind="error_before", status=500, operations=("usage.list",))
    submit(site, 5)
    site.advance(600)
    seen, plan = site.demand()
    assert len(claimed(plan)) == 2
    told = re.compile(r"quota of eastus2 is 60[0-5] s old")  # retries in the background take emulated seconds, too
    assert any(told.match(notice) for notice in seen.notices), seen.notices
    site.advance(301)
    seen, plan = site.demand()
    assert len(claimed(plan)) == 5
    assert any("does not bind now" in notice for notice in seen.notices)


def test_releases_go_on_while_the_quota_cannot_be_read(make_site: Callable[..., Site]) -> None:
    site = make_site(quota(40))
    submit(site, 2)
    site.cycle()
    site.boot()
    site.scheduler.finish()
    site.fault(kind="error_before", status=500, operations=("usage.list", "sku.list", "pool.list"))
    site.cycle()
    site.advance(400)
    assert len(site.cycle().releases.deleted) == 2


def test_of_the_sites_own_number_and_azures_the_tighter_binds(make_site: Callable[..., Site]) -> None:
    limits = {"families": {"eastus2": {"standarddsv5family": {"quota_cores": 12}}}}
    site = make_site(quota(40), limits=limits)
    submit(site, 20)
    assert len(claimed(site.demand()[1])) == 3
    site = make_site(quota(8), limits=limits)
    submit(site, 20)
    assert len(claimed(site.demand()[1])) == 2


def test_t09a_subnet_addresses_bind(make_site: Callable[..., Site]) -> None:
    subnets = {"nodes": {"prefix": "10.1.0.0/28", "used_by_others": 4, "pools": []}}
    site = make_site({"subnets": subnets})
    cluster = site.emulator.settings.clusters[0]
    array = {"buckets": [bucket()], "vnet_subnet_id": subnet_id(cluster, "nodes")}
    site.document["nodearrays"] = {"htc": array}
    submit(site, 30)
    report = site.cycle()
    assert len(accepted(report)) == 7  # 16 addresses, 5 of them Azure's, 4 in use
    assert bindings(report.plan) == {f"htc/{SIZE}": LimitKind.SUBNET_ADDRESSES}
    for _ in range(3):
        site.advance(4 * BOOTED_S)
        assert accepted(site.cycle()) == []
    assert len(site.names()) == 7


def test_a_subnet_that_the_configuration_names_binds_while_the_pools_cannot_be_read(
    make_site: Callable[..., Site],
) -> None:
    site = make_site({"subnets": {"nodes": {"prefix": "10.1.0.0/28", "used_by_others": 4, "pools": []}}})
    stated = subnet_id(site.emulator.settings.clusters[0], "nodes")
    site.document["nodearrays"] = {"htc": {"buckets": [bucket()], "vnet_subnet_id": stated}}
    site.cycle()
    site.advance(61)
    site.fault(kind="error_before", status=403, code="AuthorizationFailed", operations=("pool.list",))
    site.advance(901)
    submit(site, 30)
    assert len(claimed(site.demand()[1])) == 7


def test_two_pools_of_one_subnet_share_its_addresses(make_site: Callable[..., Site]) -> None:
    subnets = {"nodes": {"prefix": "10.1.0.0/28", "pools": ["htc", "hpc"]}}
    arrays = {"htc": {"buckets": [bucket(max_count=6)]}, "hpc": {"buckets": [bucket()]}}
    site = make_site({"subnets": subnets}, nodearrays=arrays)
    with site.world() as world:
        for pool in ("htc", "hpc"):
            world.cloud.ensure_pool(pool)
    submit(site, 30)
    assert len(accepted(site.cycle())) == 11


def test_a_subnets_addresses_are_deducted_once_whichever_pool_of_it_holds_them(make_site: Callable[..., Site]) -> None:
    subnets = {"nodes": {"prefix": "10.1.0.0/28", "pools": ["htc", "hpc"]}}
    arrays = {"htc": {"buckets": [bucket(max_count=3)]}, "hpc": {"buckets": [bucket()]}}
    site = make_site({"subnets": subnets, "clusters": (ClusterSpec(pools=("htc", "hpc")),)}, nodearrays=arrays)
    submit(site, 6)
    assert len(accepted(site.cycle())) == 6  # 3 in each pool, and the subnet counts all of them from now on
    for number in range(3):
        site.advance(400)
        submit(site, 15, prefix=f"more{number}-")
        site.cycle()
    assert len(site.names()) == 11


def test_a_subnet_is_one_subnet_in_any_letter_case(make_site: Callable[..., Site]) -> None:
    subnets = {"nodes": {"prefix": "10.1.0.0/28", "pools": ["hpc"]}}
    site = make_site({"subnets": subnets, "clusters": (ClusterSpec(pools=("htc", "hpc")),)})
    stated = subnet_id(site.emulator.settings.clusters[0], "Nodes")
    array = {"buckets": [bucket(max_count=8)], "vnet_subnet_id": stated}
    site.document["nodearrays"] = {"htc": array, "hpc": {"buckets": [bucket()]}}
    submit(site, 30)
    assert len(accepted(site.cycle())) == 11


def test_machines_without_our_mark_take_their_place_in_the_pool_and_in_the_cluster(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    ours = site.document
    theirs = {**ours, "aks": {**ours["aks"], "owner": "other"}, "ledger": {"path": "other.sqlite"}}
    site.document = theirs
    submit(site, 3)
    site.cycle()
    site.scheduler.finish()
    submit(site, 20)
    site.document = {**ours, "quota": {"nodes_per_pool": 5}}
    assert len(claimed(site.demand()[1])) == 2
    site.document = {**ours, "quota": {"nodes_per_cluster": 7}}
    assert len(claimed(site.demand()[1])) == 4


def test_a_family_that_the_usages_do_not_know_is_named_as_azure_names_it(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays={"htc": {"buckets": [bucket(vm_family="standardNewFamily")]}})
    submit(site, 1)
    seen, plan = site.demand()
    assert len(claimed(plan)) == 1
    assert "usages API of eastus2 says nothing of standardNewFamily; it does not bind now" in seen.notices


def test_nodes_of_the_cluster_and_of_a_pool_bind(make_site: Callable[..., Site]) -> None:
    site = make_site(quota={"nodes_per_pool": 3})
    submit(site, 9)
    seen, plan = site.demand()
    assert (len(claimed(plan)), seen.snapshot.limits.cluster_max_nodes) == (3, 5000)
    site = make_site(quota={"nodes_per_cluster": 2}, limits={"cluster_max_nodes": 7})
    submit(site, 9)
    assert len(claimed(site.demand()[1])) == 2


def test_a_quota_that_is_switched_off_is_not_asked_for(make_site: Callable[..., Site]) -> None:
    site = make_site(quota(4), quota={"live": False})
    submit(site, 3)
    assert len(claimed(site.demand()[1])) == 3
    assert site.requests("usage.list", "pool.list", "subnet.get") == []


def test_t27a_what_was_read_is_told_with_its_age(make_site: Callable[..., Site]) -> None:
    site = make_site(quota(40))
    site.document["prices"] = {"url": site.emulator.base_url}
    site.cycle()
    site.advance(45)
    ages = {one.name: (one.detail, one.age_s) for one in site.demand()[0].references}
    assert ages["prices of eastus2"][0] == "retail price API"
    assert ages["quota of eastus2"][0] == "usages API"
    assert 45 <= ages["quota of eastus2"][1] < 60
    assert set(ages) == {"VM sizes of eastus2", "prices of eastus2", "quota of eastus2", "the list of agent pools"}


@pytest.mark.parametrize("lag_s", [0.0, LAG_S])
def test_cores_that_a_release_freed_are_used_again(make_site: Callable[..., Site], lag_s: float) -> None:
    site = make_site(quota(40, lag_s=lag_s))
    submit(site, 10)
    site.cycle()
    site.boot()
    site.scheduler.finish()
    site.cycle()
    site.advance(400)
    site.cycle()
    site.advance(BOOTED_S)
    assert (site.cycle(), site.names())[1] == []
    site.advance(2 * lag_s)
    submit(site, 20)
    site.cycle()
    site.advance(lag_s + 61)
    site.cycle()
    assert used(site) == 40
    assert refusals(site) == 0


def test_a_lost_ledger_asks_for_too_little_for_a_while_and_never_for_too_much(make_site: Callable[..., Site]) -> None:
    site = make_site(quota(40, others=8))
    submit(site, 4)
    site.cycle()
    site.ledger_path.unlink()
    submit(site, 9, prefix="more")
    site.advance(61)
    site.cycle()
    assert 16 <= used(site) <= 32
    site.advance(601)
    site.cycle()
    assert used(site) == 32
    assert refusals(site) == 0
