"""What joined nodes have is what later ones are planned with, by size and image (user ask T18)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import OTHER_SIZE, SIZE, bucket, claimed, reasons
from unit.reconcile.test_smaller import join_with

from autoscale_aks.ledger.observations import ObservedSize
from autoscale_aks.reconcile.observed import ENOUGH, KEPT_S
from autoscale_aks.units import Size

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

GIB = 1024**3
MEMORY = [
    {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
    {"select": {}, "name": "mem", "value": "node.memory", "multiply": 0.9},
]


def two_sizes(**more: Any) -> dict[str, Any]:
    return {"htc": {"buckets": [bucket(), bucket(OTHER_SIZE)], **more}, "hpc": {"buckets": [bucket()], **more}}


def join_two(site: Site, **resources: Any) -> None:
    join_with(site, **resources)
    site.scheduler.submit("first", cpus=1, iterations=2, node_count=1)
    site.scheduler.submit("warm", cpus=4)
    site.scheduler.submit("warm2", cpus=4)
    site.cycle()
    site.boot()
    site.scheduler.finish()
    site.cycle()


def known(site: Site) -> set[tuple[str, str, str]]:
    with site.ledger() as ledger:
        return {(one.resource, one.promised, one.found) for one in ledger.observed_sizes(0.0)}


def test_t18a_memory_and_cpus_are_recorded_when_nodes_join(make_site: Callable[..., Site]) -> None:
    site = make_site(default_resources=MEMORY)
    join_two(site, ncpus=4, mem=Size(15 * GIB))
    assert ("ncpus", "4", "4") in known(site)
    (found,) = [one for one in known(site) if one[0] == "mem"]
    assert found[2].startswith("size::15")


def test_t18a_a_job_that_fits_what_was_observed_is_not_sent_to_a_larger_size(make_site: Callable[..., Site]) -> None:
    site = make_site(default_resources=MEMORY)
    join_two(site, ncpus=4, mem=Size(15 * GIB))
    offering = site.demand()[0].snapshot.nodearrays[0].offerings[0]
    assert offering.observed["mem"] == Size(15 * GIB)


def test_t18d_less_than_promised_holds_for_other_arrays_of_size_and_image(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=two_sizes())
    join_two(site, ncpus=3)
    site.scheduler.submit("big", cpus=4)
    plan = site.cycle().plan
    assert [claim.bucket.vm_size for claim in plan.claims] == [OTHER_SIZE]
    arrays = {array.name: array for array in site.demand()[0].snapshot.nodearrays}
    assert arrays["hpc"].offerings[0].observed == {"ncpus": 3}


def test_another_image_knows_nothing_of_it(make_site: Callable[..., Site]) -> None:
    arrays = two_sizes()
    arrays["hpc"]["os_sku"] = "AzureLinux"
    site = make_site(nodearrays=arrays)
    join_two(site, ncpus=3)
    found = {array.name: array.offerings[0].observed for array in site.demand()[0].snapshot.nodearrays}
    assert found == {"htc": {"ncpus": 3}, "hpc": {}}


@pytest.mark.parametrize(
    "other",
    [
        {"gpu_instance_profile": "MIG1g"},
        {"gpu_driver": "None"},
        {"max_pods": 110},
        {"node_image_version": "AKSUbuntu-2204gen2containerd-202508.20.0"},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_machines_that_are_set_up_otherwise_know_nothing_of_each_other(
    make_site: Callable[..., Site], other: dict[str, Any]
) -> None:
    arrays = two_sizes()
    arrays["hpc"] |= other
    site = make_site(nodearrays=arrays)
    join_two(site, ncpus=3)
    found = {array.name: array.offerings[0].observed for array in site.demand()[0].snapshot.nodearrays}
    assert found == {"htc": {"ncpus": 3}, "hpc": {}}


def test_a_size_is_one_size_in_any_letter_case(make_site: Callable[..., Site]) -> None:
    arrays = two_sizes()
    arrays["hpc"] = {"buckets": [bucket(SIZE.upper())]}
    site = make_site(nodearrays=arrays)
    join_two(site, ncpus=3)
    found = {array.name: array.offerings[0].observed for array in site.demand()[0].snapshot.nodearrays}
    assert found == {"htc": {"ncpus": 3}, "hpc": {"ncpus": 3}}


def test_one_machine_teaches_nothing(make_site: Callable[..., Site]) -> None:
    site = make_site()
    join_with(site, ncpus=5)
    site.scheduler.submit("one")
    site.cycle()
    site.boot()
    site.scheduler.finish()
    site.cycle()
    assert known(site) == {("ncpus", "4", "5")}
    assert site.demand()[0].snapshot.nodearrays[0].offerings[0].observed == {}


def test_what_a_node_array_states_is_never_overridden(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays={"htc": {"buckets": [bucket()], "resources": {"ncpus": 4}}})
    join_two(site, ncpus=5)
    assert site.demand()[0].snapshot.nodearrays[0].offerings[0].observed == {}


def test_a_thousand_machines_alike_are_remembered_as_two(make_site: Callable[..., Site]) -> None:
    site = make_site()
    join_with(site, ncpus=4)
    for number in range(60):
        site.scheduler.submit(f"job{number}")
    for _ in range(3):
        site.cycle()
        site.boot()
    with site.ledger() as ledger:
        assert len(ledger.observed_sizes(0.0)) == ENOUGH


def test_after_its_time_it_is_forgotten(site: Site) -> None:
    one = ObservedSize(vm_size=SIZE, image="i", resource="r", machine="m", promised="1", found="2")
    with site.world() as world:
        world.ledger.record_observed([one], 100.0, 0.0)
        assert world.ledger.observed_sizes(99.0) == (one,)
        assert world.ledger.observed_sizes(100.0) == ()
        world.ledger.record_observed([], 100.0 + KEPT_S, 100.0)
        assert world.ledger.observed_sizes(0.0) == ()


def test_a_job_over_the_observed_size_is_told_so_and_nothing_loops(make_site: Callable[..., Site]) -> None:
    site = make_site()
    join_two(site, ncpus=3)
    site.scheduler.submit("big", cpus=4)
    for _ in range(5):
        report = site.cycle()
        site.boot()
    assert claimed(report.plan) == []
    assert reasons(report.plan) == {"TOO_BIG_FOR_ANY_NODE"}
