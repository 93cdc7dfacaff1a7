"""Buckets that state little: the rest is looked up, and what nobody knows stops nothing (user ask T17)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import BOOTED_S, OTHER_SIZE, SIZE, bucket, claimed

from autoscale_aks.emulator.catalog import Catalog
from autoscale_aks.emulator.settings import QuotaSettings
from autoscale_aks.model.policy import Policy
from autoscale_aks.model.reason import LimitKind
from autoscale_aks.reports.limit_rows import missing_limits
from autoscale_aks.reports.sentences import render_message, render_next
from autoscale_aks.units import Size

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

    from autoscale_aks.model.bucket import Offering
    from autoscale_aks.model.plan import Plan

GIB = 1024**3
TINY = {"family": "tinyFamily", "vcpus": 2, "memory_gib": 3.5, "usd_per_hour": 0.05, "vcpus_per_core": 1}


def offered(site: Site, array: str = "htc") -> dict[str, Offering]:
    arrays = {one.name: one for one in site.demand()[0].snapshot.nodearrays}
    return {one.vm_size: one for one in arrays[array].offerings}


def bare(*sizes: str, **more: Any) -> dict[str, Any]:
    return {"htc": {"buckets": [{"vm_size": size} for size in sizes], **more}}


def binding(plan: Plan) -> set[str]:
    return {outcome.binding.kind.value for outcome in plan.buckets if outcome.binding is not None}


def test_t17a_a_bucket_needs_only_its_size(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=bare("Standard_NC24ads_A100_v4", "Standard_HB120-16rs_v3", SIZE))
    found = offered(site)
    gpu, constrained, plain = found["Standard_NC24ads_A100_v4"], found["Standard_HB120-16rs_v3"], found[SIZE]
    assert (gpu.gpu_count, gpu.gpu_model, gpu.memory) == (1, "A100-80GB", Size(220 * GIB))
    assert (constrained.vcpu_count, constrained.quota_vcpus, constrained.infiniband) == (16, 120, True)
    assert (plain.vcpu_count, plain.pcpu_count, plain.vm_family, plain.arch) == (4, 2, "standardDSv5Family", "amd64")


def test_what_the_file_states_wins_over_every_source(make_site: Callable[..., Site]) -> None:
    stated = {"vm_size": SIZE, "gpu_count": 3, "pcpu_count": 4, "memory_gb": 15.5, "price": 9, "vm_family": "mine"}
    site = make_site(nodearrays={"htc": {"buckets": [stated]}})
    one = offered(site)[SIZE]
    assert (one.gpu_count, one.pcpu_count, one.price, one.vm_family) == (3, 4, 9, "mine")
    assert one.memory == Size(Fraction(31, 2) * GIB)
    assert one.vcpu_count == 4


def test_t17c_further_facts_are_capabilities_that_constraints_can_read(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=bare("Standard_HB120-16rs_v3", SIZE))
    site.scheduler.submit("work", cpus=1)
    job = site.scheduler.jobs["work"]
    wanted = ({"ncpus": 1, "node.vm_capabilities.rdma_gbps": 200},)
    site.scheduler.jobs["work"] = job.__class__(name="work", shape=job.shape.__class__(constraints=wanted))
    (claim,) = site.demand()[1].claims
    assert claim.bucket.vm_size == "Standard_HB120-16rs_v3"
    capabilities = offered(site)["Standard_HB120-16rs_v3"].vm_capabilities
    assert capabilities["threads_per_core"] == 1
    assert (capabilities["sockets"], capabilities["numa_nodes"]) == (2, 4)
    assert isinstance(capabilities["local_disk"], Size)


def test_t17c_what_no_source_says_of_a_size_its_bucket_may_state(make_site: Callable[..., Site]) -> None:
    stated = {"vm_size": "Standard_HB120-16rs_v3", "vm_capabilities": {"numa_nodes": 2, "bios": "snc2"}}
    rules = [{"select": {}, "name": "numa", "value": "node.vm_capabilities.numa_nodes"}]
    site = make_site(nodearrays={"htc": {"buckets": [stated]}}, default_resources=rules)
    site.scheduler.submit("work", cpus=1)
    job = site.scheduler.jobs["work"]
    for numa, machines in ((2, 1), (3, 0)):
        wanted = ({"ncpus": 1, "numa": numa, "node.vm_capabilities.bios": "snc2"},)
        site.scheduler.jobs["work"] = job.__class__(name="work", shape=job.shape.__class__(constraints=wanted))
        assert len(site.demand()[1].claims) == machines


def test_t17b_a_size_that_only_the_api_knows_works_with_a_warning(make_site: Callable[..., Site]) -> None:
    site = make_site({"sizes": {"Standard_Tiny": TINY}}, nodearrays=bare("Standard_Tiny"))
    site.scheduler.submit("work", cpus=2)
    seen, plan = site.demand()
    assert len(plan.claims) == 1
    assert any("Standard_Tiny is not in the packaged table" in notice for notice in seen.notices)


def test_t17b_a_size_that_nobody_knows_is_reported_and_the_rest_goes_on(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=bare("Standard_Nonsense_v9", SIZE))
    site.scheduler.submit("work")
    report = site.cycle()
    assert [claim.bucket.vm_size for claim in report.plan.claims] == [SIZE]
    (problem,) = report.plan.problems
    assert "Standard_Nonsense_v9" in problem.path
    assert "state vcpu_count and memory_gb" in problem.message


def test_sizes_are_known_without_the_api(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=bare(SIZE))
    site.fault(kind="error_before", status=403, code="AuthorizationFailed", operations=("sku.list",))
    site.scheduler.submit("work")
    report = site.cycle()
    assert len(report.plan.claims) == 1
    (notice,) = [one for one in report.observation.notices if "VM sizes" in one]
    assert "AuthorizationFailed" in notice
    assert "packaged table" in notice


def test_old_facts_are_used_with_a_note_when_the_api_is_away(make_site: Callable[..., Site]) -> None:
    site = make_site({"sizes": {"Standard_Tiny": TINY}}, nodearrays=bare("Standard_Tiny"))
    site.cycle()
    site.advance(2 * 86_400)
    site.fault(kind="error_before", status=500, operations=("sku.list",))
    site.scheduler.submit("work", cpus=2)
    report = site.cycle()
    assert len(report.plan.claims) == 1
    assert any("those of 48.0 hours ago are used" in notice for notice in report.observation.notices)


def test_t17e_restricted_sizes_and_zones_are_not_asked_for(make_site: Callable[..., Site]) -> None:
    arrays = {
        "htc": {"zones": ["1", "2"], "buckets": [bucket(OTHER_SIZE)]},
        "hpc": {"buckets": [bucket(SIZE)]},
    }
    site = make_site({"restrictions": {SIZE: (), OTHER_SIZE: ("1",)}}, nodearrays=arrays)
    for number in range(3):
        site.scheduler.submit(f"work{number}")
    report = site.cycle()
    assert {(one.bucket.vm_size, one.bucket.offering.zone) for one in report.plan.claims} == {(OTHER_SIZE, "2")}
    assert len(site.names()) == 3
    notices = "\n".join(report.observation.notices)
    assert f"RESTRICTED: hpc/{SIZE} in eastus2: NotAvailableForSubscription for the whole size" in notices
    assert f"RESTRICTED: htc/{OTHER_SIZE} in eastus2: NotAvailableForSubscription in zone 1" in notices
    assert "restriction" in binding(report.plan)


def test_t17e_a_job_that_only_a_restricted_size_could_take_is_told_so_and_no_quota_is_asked_for_it(
    make_site: Callable[..., Site],
) -> None:
    full = QuotaSettings(limits={"standardDSv5Family": 8}, used_by_others={"standardDSv5Family": 8})
    site = make_site({"restrictions": {SIZE: ()}, "quota": full}, nodearrays={"htc": {"buckets": [bucket()]}})
    site.scheduler.submit("work")
    seen, plan = site.demand()
    (outcome,) = plan.outcomes
    assert outcome.reason.code.value == "LIMIT"
    assert render_message(outcome.reason) == (
        f"RESTRICTED: the subscription may make no machine of htc/{SIZE} "
        "(NotAvailableForSubscription for the whole size)"
    )
    assert render_next(outcome.reason) == "offer another size, zone or region, or ask Azure to lift the restriction"
    assert missing_limits(seen.snapshot, Policy(), {}) == ()


def test_t17e_beside_a_restricted_size_the_limit_that_can_be_raised_is_named(make_site: Callable[..., Site]) -> None:
    arrays = {"htc": {"buckets": [bucket(), bucket(OTHER_SIZE, max_count=0)]}}
    site = make_site({"restrictions": {SIZE: ()}}, nodearrays=arrays)
    site.scheduler.submit("work")
    (outcome,) = site.demand()[1].outcomes
    assert outcome.reason.binding is not None
    assert outcome.reason.binding.kind is LimitKind.BUCKET_NODES


@pytest.mark.parametrize("objective", ["order", "cost"])
def test_t17e_machines_that_ran_before_a_restriction_still_count_and_work(
    make_site: Callable[..., Site], objective: str
) -> None:
    site = make_site(nodearrays={"htc": {"max_count": 3, "buckets": [bucket(), bucket(OTHER_SIZE)]}})
    site.document["policy"] = {"objective": objective}
    site.scheduler.submit("work")
    assert [claim.bucket.vm_size for claim in site.cycle().plan.claims] == [SIZE]
    site.boot()
    site.emulator.state.catalog = Catalog(None, {SIZE: ()})
    site.advance(7 * 3600)
    for name in "abcd":
        site.scheduler.submit(name)
    plan = site.cycle().plan
    assert [claim.bucket.vm_size for claim in plan.claims] == [OTHER_SIZE] * 2
    assert sum(outcome.slots for outcome in plan.outcomes) == 3


def test_a_size_that_is_sold_in_no_zone_of_the_location_is_not_asked_for_in_one(
    make_site: Callable[..., Site],
) -> None:
    regional = {"family": "standardDSv5Family", "vcpus": 4, "memory_gib": 16, "zones": ()}
    arrays = {"htc": {"zones": ["1"], "buckets": [bucket()]}, "hpc": {"buckets": [bucket()]}}
    site = make_site({"sizes": {SIZE: regional}}, nodearrays=arrays)
    site.scheduler.submit("work")
    seen, plan = site.demand()
    assert claimed(plan) == ["site-hpc-1"]
    assert any("not sold in zone 1, nor in any other" in notice for notice in seen.notices)


def test_a_machine_belongs_to_its_size_in_whatever_letter_case_it_was_made(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays={"htc": {"buckets": [bucket(SIZE.lower(), max_count=2)]}})
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.document["nodearrays"] = {"htc": {"buckets": [bucket(SIZE, max_count=2)]}}
    for name in "abc":
        site.scheduler.submit(name)
    seen, plan = site.demand()
    assert [node.vm_size for node in seen.snapshot.nodes] == [SIZE]
    assert len(claimed(plan)) == 1


def test_spot_machines_of_a_size_that_is_not_sold_as_spot_are_not_asked_for(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=bare("Standard_B4ms", spot=True))
    site.scheduler.submit("work")
    seen, plan = site.demand()
    assert claimed(plan) == []
    assert any("not sold as spot" in notice for notice in seen.notices)


def test_spot_has_spot_prices_and_regular_has_regular_ones(make_site: Callable[..., Site]) -> None:
    arrays = {**bare(SIZE), "cheap": {"spot": True, "buckets": [{"vm_size": SIZE}]}}
    site = make_site(nodearrays=arrays)
    site.document["prices"] = {"url": site.emulator.base_url}
    assert offered(site)[SIZE].price == Fraction("0.192")
    assert offered(site, "cheap")[SIZE].price == Fraction("0.0576")


def test_an_unknown_price_is_flagged_and_never_zero(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=bare(SIZE, location="eastus2", spot=True))
    site.scheduler.submit("work")
    _, plan = site.demand()
    assert [outcome.bucket.offering.price for outcome in plan.buckets] == [None]
    assert plan.price_per_hour is None


def test_an_overridden_price_counts_for_its_kind(make_site: Callable[..., Site]) -> None:
    arrays = {**bare(SIZE), "cheap": {"spot": True, "buckets": [{"vm_size": SIZE}]}}
    site = make_site(nodearrays=arrays, prices={"overrides": {SIZE.upper(): {"regular": 0.3, "spot": 0.01}}})
    assert offered(site)[SIZE].price == Fraction("0.3")
    assert offered(site, "cheap")[SIZE].price == Fraction("0.01")


def test_a_resident_run_looks_sizes_up_once_in_six_hours(site: Site) -> None:
    for _ in range(5):
        site.cycle()
        site.advance(BOOTED_S)
    assert len(site.requests("sku.list")) == 1
    site.advance(6 * 3600)
    site.cycle()
    assert len(site.requests("sku.list")) == 2


def test_a_dry_run_leaves_no_file_behind(site: Site) -> None:
    site.cycle()
    before = sorted(path.name for path in site.directory.rglob("*"))
    site.advance(7 * 3600)
    site.demand()
    assert sorted(path.name for path in site.directory.rglob("*")) == before
