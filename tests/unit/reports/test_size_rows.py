"""Sizes as rows, and rules proposed from what machines have (user ask T18c)."""

from __future__ import annotations

from fractions import Fraction

from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.model.sizes import KnownSize, SizeFacts, SizePrices
from autoscale_aks.reports.sizes import COLUMNS, Shown, list_row, observed_rows, propose_default_resources, size_rows
from autoscale_aks.units import Size, Value

GIB = 1024**3


def shown(resource: str, promised: Value, *found: Value, image: str = "Ubuntu") -> Shown:
    return Shown(vm_size="Standard_D4s_v5", image=image, resource=resource, promised=promised, found=found)


def test_a_proposed_rule_gives_the_least_that_any_machine_showed_over_all_images() -> None:
    seen = [
        shown("mem", Size(16 * GIB), Size(15 * GIB), Size(15 * GIB + 1)),
        shown("mem", Size(16 * GIB), Size(14 * GIB), image="AzureLinux"),
        shown("ncpus", 4, 4, 4),
    ]
    (rule,) = propose_default_resources(seen)
    assert rule == {
        "select": {"node.vm_size": "Standard_D4s_v5"},
        "name": "mem",
        "value": "size::14g",
    }


def test_a_proposed_rule_can_be_pasted() -> None:
    rules = propose_default_resources([shown("mem", Size(2), Size(1)), shown("ncpus", 4, 3)])
    assert len(rules) == 2
    parse_default_resources(rules, disable_defaults=False)


def test_nothing_is_proposed_where_all_is_as_promised() -> None:
    assert propose_default_resources([shown("ncpus", 4, 4, 4)]) == ()
    assert propose_default_resources([]) == ()


def test_promised_observed_and_used_stand_side_by_side() -> None:
    two, one = observed_rows([shown("ncpus", 4, 3, 5), shown("ngpus", 1, 0)])
    assert two.value == "promised 4, observed 3, 5, used 5"
    assert one.value == "promised 1, observed 0, used 1"


def test_what_two_images_showed_of_one_resource_are_two_facts() -> None:
    rows = observed_rows([shown("ncpus", 4, 3, 3), shown("ncpus", 4, 4, image="AzureLinux"), shown("ngpus", 1, 1)])
    assert [row.fact for row in rows] == [
        "resource ncpus, image Ubuntu", "resource ncpus, image AzureLinux", "resource ngpus",
    ]  # fmt: skip
    assert rows[1].source == "1 machine, image AzureLinux"


def test_every_fact_is_a_row_with_its_source_and_an_unknown_price_says_so() -> None:
    facts = SizeFacts(name="S", vcpus=4, vcpus_available=4, vcpus_per_core=2, memory_gib=Fraction(7, 2))
    known = KnownSize(facts=facts, sources={"vcpus": "packaged", "memory_gib": "resource SKU API"})
    rows = {
        row.fact: (row.value, row.source)
        for row in size_rows(known, SizePrices(regular=Fraction("0.2")), {"regular": "list"})
    }
    assert rows["memory_gib"] == ("3.5 GiB", "resource SKU API")
    assert rows["physical_cores"][0] == "2"
    assert rows["price_regular"] == ("0.2 an hour", "list")
    assert rows["price_spot"] == ("not known", "")
    assert tuple(list_row(known, SizePrices())) == COLUMNS


def test_what_nobody_knows_of_a_size_is_said_and_never_guessed() -> None:
    facts = SizeFacts(name="S", vcpus=8, vcpus_available=8, gpus=0, rdma=False)
    known = KnownSize(facts=facts, sources={"vcpus": "packaged", "gpus": "packaged", "rdma": "packaged"})
    rows = {row.fact: (row.value, row.source) for row in size_rows(known, SizePrices(), {})}
    assert {name for name, (value, _) in rows.items() if value == "not known"} >= {
        "vcpus_per_core", "physical_cores", "sockets", "memory_gib", "local_disk_mib", "arch", "price_spot",
    }  # fmt: skip
    assert not {"gpu_model", "rdma_gbps"} & set(rows)  # of no GPUs, over no InfiniBand
    unsure = {row.fact for row in size_rows(KnownSize(facts=SizeFacts(name="S")), SizePrices(), {})}
    assert {"gpus", "gpu_model", "rdma", "rdma_gbps"} <= unsure
