"""docs/sizes.md and docs/quota-and-prices.md are true: keys, sources, the worked table, what the verbs print."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.cli.main import main
from autoscale_aks.cloud.azure.packaged import packaged_sizes
from autoscale_aks.config.schema import schema_text
from autoscale_aks.matching.properties import STATIC_PROPERTIES
from autoscale_aks.model.sizes import KnownSize, SizeFacts
from autoscale_aks.reconcile.catalogue import capabilities_of
from autoscale_aks.reconcile.quota import others_now

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"
SIZES = (DOCS / "sizes.md").read_text(encoding="utf-8")
QUOTA = (DOCS / "quota-and-prices.md").read_text(encoding="utf-8")
SECTIONS = ("catalogue", "quota", "prices")


def keys() -> Iterator[str]:
    definitions = json.loads(schema_text())["$defs"]
    for section in SECTIONS:
        yield from (f"{section}.{key}" for key in definitions[section]["properties"])


@pytest.mark.parametrize("named", sorted(set(re.findall(rf"`((?:{'|'.join(SECTIONS)})\.\w+)`", SIZES + QUOTA))))
def test_a_key_that_the_pages_name_exists(named: str) -> None:
    assert named in set(keys())


def test_the_pages_name_every_key_of_the_three_sections() -> None:
    words = set(re.findall(r"\w+", SIZES + QUOTA))
    assert [key for key in keys() if key.partition(".")[2] not in words] == []


def test_the_number_of_packaged_sizes_is_the_pages() -> None:
    assert f"{len(packaged_sizes()):,} sizes" in SIZES


def test_every_property_and_capability_that_the_page_names_is_one() -> None:
    for name in re.findall(r"`node\.(\w+)`", SIZES):
        assert name in STATIC_PROPERTIES
    facts = SizeFacts(
        name="x", vcpus_per_core=1, sockets=2, numa_nodes=4, gpu_share=None, rdma_gbps=1, local_disk_mib=1,
        nvme_disk_mib=1, ephemeral_os_disk=True, premium_io=True, accelerated_networking=True, spot_capable=True,
        max_data_disks=1,
    )  # fmt: skip
    section = SIZES.split("## What a node has of it")[1].split("\n## ")[0]
    named = set(re.findall(r"`(?:node\.vm_capabilities)?\.(\w+)`", section))
    assert named == {*capabilities_of(KnownSize(facts=facts)), "gpu_share"}


def worked() -> list[list[str]]:
    table = QUOTA.split("| reading |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


@pytest.mark.parametrize("row", worked(), ids=lambda row: row[0])
def test_the_worked_table_is_computed_as_it_says(row: list[str]) -> None:
    current, settled, recent = (int(cell) for cell in row[1:4])
    others = others_now(current, settled, recent, None if row[4] == "–" else int(row[4]))
    assert others == int(row[5])
    assert others + settled + recent == int(row[6])


amounts = st.integers(0, 1000)


@given(amounts, amounts, amounts, st.none() | amounts)
def test_others_are_never_below_what_the_numbers_prove_nor_above_what_they_allow(
    current: int, settled: int, recent: int, before: int | None
) -> None:
    found = others_now(current, settled, recent, before)
    assert max(0, current - settled - recent) <= found <= max(0, current - settled)


@given(amounts, amounts, st.data())
def test_while_others_do_not_change_they_are_found_exactly_whatever_part_of_ours_is_counted(
    others: int, settled: int, data: st.DataObject
) -> None:
    recent = data.draw(amounts)
    counted = data.draw(st.integers(0, recent))
    assert others_now(others + settled + counted, settled, recent, others) == others


def test_the_example_of_the_page_is_what_the_verb_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sizes", "show", "Standard_HB120-16rs_v3"]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    example = SIZES.split("$ azaks sizes show Standard_HB120-16rs_v3\n")[1].split("…")[0].splitlines()
    assert printed[: len(example)] == example
