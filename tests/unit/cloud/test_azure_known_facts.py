"""The packaged table says of well-known sizes what Microsoft publishes of them (user asks T17b, T17d, T18c)."""

from __future__ import annotations

from fractions import Fraction
from importlib.resources import files

import pytest

from autoscale_aks.cloud.azure.packaged import packaged_size, packaged_sizes

PUBLISHED = {
    # size: vCPUs for quota, vCPUs to use, threads a core, GiB
    "Standard_D4s_v3": (4, 4, 2, 16),
    "Standard_D96s_v5": (96, 96, 2, 384),
    "Standard_E16s_v6": (16, 16, 2, 128),
    "Standard_F72s_v2": (72, 72, 2, 144),
    "Standard_D8as_v4": (8, 8, 2, 32),
    "Standard_E64as_v5": (64, 64, 2, 512),
    "Standard_D3_v2": (4, 4, 1, 14),
    "Standard_F16s": (16, 16, 1, 32),
    "Standard_F8as_v6": (8, 8, 1, 32),
    "Standard_D16ps_v5": (16, 16, 1, 64),
    "Standard_E32ps_v6": (32, 32, 1, 256),
    "Standard_HB120rs_v3": (120, 120, 1, 456),
    "Standard_HB176rs_v4": (176, 176, 1, 768),
    "Standard_HC44rs": (44, 44, 1, 352),
    "Standard_E16-4s_v5": (16, 4, 2, 128),
    "Standard_HB120-16rs_v3": (120, 16, 1, 456),
    "Standard_NC24ads_A100_v4": (24, 24, 1, 220),
    "Standard_ND96asr_v4": (96, 96, 1, 900),
    "Standard_ND40rs_v2": (40, 40, 1, 672),
    "Standard_M128s": (128, 128, 2, 2048),
    "Standard_M64-16ms": (64, 16, 2, 1792),
    "Standard_FX48mds": (48, 48, 2, 1008),
    "Standard_NV32as_v4": (32, 32, 2, 112),
    "Standard_L80s_v2": (80, 80, 2, 640),
}
NETWORKS = {
    # size: InfiniBand, Gbit/s
    "Standard_HC44rs": (True, 100),
    "Standard_HB120rs_v2": (True, 200),
    "Standard_HB120rs_v3": (True, 200),
    "Standard_HB176rs_v4": (True, 400),
    "Standard_HX176rs": (True, 400),
    "Standard_NC24ads_A100_v4": (False, None),
    "Standard_D4s_v6": (None, None),
}
DISKS = {
    # size: temporary disk, NVMe disks, in GiB
    "Standard_D4s_v3": (32, None),
    "Standard_HC44rs": (700, None),
    "Standard_L8s_v2": (80, 1788),
    "Standard_L80s_v2": (800, 17880),
    "Standard_D4s_v6": (None, None),
}
GPUS = {
    "Standard_NC24ads_A100_v4": (1, "A100-80GB", None),
    "Standard_NC96ads_A100_v4": (4, "A100-80GB", None),
    "Standard_ND96asr_v4": (8, "A100", None),
    "Standard_ND40rs_v2": (8, "V100-32GB", None),
    "Standard_NC64as_T4_v3": (4, "T4", None),
    "Standard_NV6ads_A10_v5": (1, "A10", Fraction(1, 6)),
    "Standard_NV12ads_A10_v5": (1, "A10", Fraction(1, 3)),
    "Standard_NV18ads_A10_v5": (1, "A10", Fraction(1, 2)),
    "Standard_NV36ads_A10_v5": (1, "A10", None),
    "Standard_NV72ads_A10_v5": (2, "A10", None),
    "Standard_NV4as_v4": (1, "MI25", Fraction(1, 8)),
    "Standard_D4s_v5": (0, None, None),
}
NUMA_NODES = {
    "Standard_HB120-16rs_v2": 4, "Standard_HB120-96rs_v3": 4, "Standard_HB176rs_v4": 4,
    "Standard_HX176-24rs": 4, "Standard_HC44rs": 2, "Standard_D4s_v5": None,
}  # fmt: skip
SOCKETS = {"Standard_HB120rs_v2": 2, "Standard_HB120rs_v3": 2, "Standard_HB368rs_v5": 4, "Standard_HC44rs": 2}


@pytest.mark.parametrize("name", PUBLISHED)
def test_cores_threads_and_memory_of_a_size_are_the_published_ones(name: str) -> None:
    facts = packaged_size(name)
    assert facts is not None
    found = facts.vcpus, facts.vcpus_available, facts.vcpus_per_core, facts.memory_gib
    assert found == PUBLISHED[name]


@pytest.mark.parametrize("name", GPUS)
def test_gpus_of_a_size_are_the_published_ones(name: str) -> None:
    facts = packaged_size(name)
    assert facts is not None
    assert (facts.gpus, facts.gpu_model, facts.gpu_share) == GPUS[name]


@pytest.mark.parametrize("name", SOCKETS)
def test_sockets_are_those_of_the_server(name: str) -> None:
    facts = packaged_size(name)
    assert facts is not None
    assert facts.sockets == SOCKETS[name]


@pytest.mark.parametrize("name", NUMA_NODES)
def test_numa_nodes_are_those_that_the_machine_sees(name: str) -> None:
    facts = packaged_size(name)
    assert facts is not None
    assert facts.numa_nodes == NUMA_NODES[name]


def test_what_the_lists_do_not_count_rightly_is_not_passed_on() -> None:
    for name in ("Standard_NV4ads_V710_v5", "Standard_NG8ads_V620_v1"):
        facts = packaged_size(name)
        assert facts is not None
        assert facts.gpus is None
    fpga = packaged_size("Standard_NP10s")
    assert fpga is not None
    assert fpga.gpus == 0


def test_the_facts_of_a_size_do_not_contradict_each_other() -> None:
    for facts in packaged_sizes().values():
        vcpus, usable = facts.vcpus or 0, facts.vcpus_available or 0
        assert 0 < usable <= vcpus, facts
        assert facts.memory_gib, facts
        assert facts.vcpus_per_core in {None, 1, 2}, facts
        assert facts.arch != "arm64" or facts.vcpus_per_core in {None, 1}, facts
        assert not facts.gpu_share or (facts.gpus == 1 and 0 < facts.gpu_share < 1), facts
        assert not facts.gpu_model or facts.gpus, facts
        assert not facts.rdma_gbps or facts.rdma, facts


def test_the_package_stays_small() -> None:
    folder = files("autoscale_aks.cloud.azure").joinpath("data")
    assert sum(len(one.read_bytes()) for one in folder.iterdir()) < 256 * 1024


@pytest.mark.parametrize("name", NETWORKS)
def test_infiniband_is_as_published_and_else_unknown(name: str) -> None:
    facts = packaged_size(name)
    assert facts is not None
    assert (facts.rdma, facts.rdma_gbps) == NETWORKS[name]


@pytest.mark.parametrize("name", DISKS)
def test_the_temporary_disk_is_not_the_nvme_disks(name: str) -> None:
    facts = packaged_size(name)
    assert facts is not None
    assert (_gib(facts.local_disk_mib), _gib(facts.nvme_disk_mib)) == DISKS[name]


def _gib(mib: int | None) -> int | None:
    return None if mib is None else mib // 1024
