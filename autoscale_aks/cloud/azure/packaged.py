"""The facts and prices that come with the program (`data/README.md` says where they are from)."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.model.sizes import SizeFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("family", "arch", "gpu_model"), str),
    **dict.fromkeys(("memory_gib", "gpu_share"), Fraction),
    **dict.fromkeys(
        ("vcpus", "vcpus_available", "vcpus_per_core", "sockets", "gpus", "rdma_gbps", "local_disk_mib",
         "nvme_disk_mib", "max_data_disks"), int,
    ),
    **dict.fromkeys(
        ("rdma", "ephemeral_os_disk", "premium_io", "accelerated_networking", "spot_capable", "retired"),
        lambda text: text == "1",
    ),
}  # fmt: skip


@cache
def packaged_sizes() -> Mapping[str, SizeFacts]:
    """By case-folded name; read once, when first asked for."""
    return frozendict({row["name"].casefold(): _facts(row) for row in _rows("sizes.csv")})


@cache
def packaged_prices() -> Mapping[str, Mapping[str, Fraction]]:
    """Location → case-folded size → USD an hour on demand."""
    found: dict[str, dict[str, Fraction]] = {}
    for row in _rows("prices.csv"):
        for location, text in row.items():
            if location != "name" and text:
                found.setdefault(location, {})[row["name"].casefold()] = Fraction(text)
    return frozendict({location: frozendict(prices) for location, prices in found.items()})


@cache
def proxied_locations() -> Mapping[str, str]:
    """Location without data of its own → the location whose data stand in for it, as delivered."""
    return frozendict(json.loads(_text("proxied-locations.json")))


def _facts(row: Mapping[str, str]) -> SizeFacts:
    said = {name: read(row[name]) for name, read in _READERS.items() if row[name]}
    return SizeFacts(name=row["name"], **{"vcpus_available": said["vcpus"], **said})


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(_text(name).splitlines()))


def _text(name: str) -> str:
    return files(__package__).joinpath("data").joinpath(name).read_text(encoding="utf-8")
