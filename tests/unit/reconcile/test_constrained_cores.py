"""A constrained-core size has the sockets of its parent and fewer cores on each (user ask T09d)."""

from __future__ import annotations

import pytest

from autoscale_aks.cloud.azure.catalog import know_size
from autoscale_aks.model.bucket import Offering
from autoscale_aks.model.sizes import Reading, SizePrices
from autoscale_aks.reconcile.catalogue import PricedSize, complete_offering
from autoscale_aks.units import Size


@pytest.mark.parametrize(
    ("name", "cores", "quota", "per_socket"),
    [
        ("Standard_HB120rs_v3", 120, 120, 60),
        ("Standard_HB120-16rs_v3", 16, 120, 8),
        ("Standard_HB368rs_v5", 368, 368, 92),
    ],
)
def test_cores_are_those_there_are_and_quota_is_the_parents(name: str, cores: int, quota: int, per_socket: int) -> None:
    size = PricedSize(known=know_size(name, Reading(value=None)), prices=SizePrices(), price_sources={})
    blank = Offering(vm_size=name, vm_family="", vcpu_count=1, pcpu_count=1, quota_vcpus=1, memory=Size(1))
    found = complete_offering(blank, frozenset(), size, spot=False)
    assert (found.vcpu_count, found.pcpu_count, found.quota_vcpus) == (cores, cores, quota)
    assert found.cores_per_socket == per_socket
    assert per_socket * found.vm_capabilities["sockets"] == cores
