"""What a first configuration promises of a machine's memory before any was seen (user ask T18b)."""

from __future__ import annotations

from fractions import Fraction

import pytest

from autoscale_aks.cloud.azure.packaged import packaged_sizes
from autoscale_aks.config.comments import without_comments
from autoscale_aks.config.starting import STARTED, Start, start_document
from autoscale_aks.matching.resources import parse_default_resources, resolve_kind
from autoscale_aks.model.bucket import Bucket, NodeArray, Offering
from autoscale_aks.planning.space import bucket_facts
from autoscale_aks.units import Size

GIB = 1024**3
START = {"subscription": "s", "resource_group": "g", "cluster": "c", "location": "eastus2"}
HB_SHOWS = Fraction(435_161, 1024)
"""GiB that Slurm found on a machine of 456 GiB, where 95 % were promised and it was drained for hours (T18)."""
LINUX_SHOWS = Fraction("0.947")
"""The least share of a node's memory that a fleet of pods measured (T18)."""


def promised(scheduler: str, gib: Fraction) -> Fraction:
    document = start_document(Start(**START, scheduler=scheduler))
    rules = parse_default_resources(without_comments(document)["default_resources"], disable_defaults=True)
    offering = Offering(
        vm_size="S", vcpu_count=4, pcpu_count=2, quota_vcpus=4, vm_family="F", memory=Size(gib * GIB),
    )  # fmt: skip
    array = NodeArray(name="htc", agent_pool="htc", location="eastus2", offerings=(offering,))
    bucket = Bucket(array, offering)
    kind = resolve_kind(0, rules, bucket_facts(bucket, None), {}, {}, bucket=bucket)
    found = kind.resources["mem"]
    assert isinstance(found, Size)
    return Fraction(found.bytes) / GIB


@pytest.mark.parametrize("scheduler", STARTED)
def test_t18b_every_size_is_promised_less_than_it_has_and_never_nothing(scheduler: str) -> None:
    for gib in sorted({facts.memory_gib or Fraction(1) for facts in packaged_sizes().values()}):
        assert gib / 2 <= promised(scheduler, gib) <= gib * Fraction("0.93")


def test_t18b_the_machine_that_had_seven_per_cent_less_than_azure_says_is_promised_no_more_than_that() -> None:
    assert promised("slurm", Fraction(456)) <= HB_SHOWS


@pytest.mark.parametrize("gib", [4, 8, 16, 32, 64, 128, 672])
def test_t18b_pods_are_promised_no_more_than_the_kubelet_leaves(gib: int) -> None:
    shown = Fraction(gib) * LINUX_SHOWS
    kept = min(Fraction(250 * 20 + 50) * 10**6 / GIB, shown / 4) + Fraction(100, 1024)
    assert promised("kubernetes", Fraction(gib)) <= shown - kept
