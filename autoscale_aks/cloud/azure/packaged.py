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
        ("vcpus", "vcpus_available", "vcpus_per_core", "sockets", "numa_nodes", "gpus", "rdma_gbps",
         "local_disk_mib", "nvme_disk_mib", "max_data_disks"), int,
    ),
    **dict.fromkeys(
        ("rdma", "ephemeral_os_disk", "premium_io", "accelerated_networking", "spot_capable", "retired"),
        lambda text: text == "1",
    ),
}  # fmt: skip


def packaged_sizes() -> Mapping[str, SizeFacts]:
    """Every size, by case-folded name."""
    return frozendict({name: _facts(row) for name, row in _rows("sizes.csv").items()})


def packaged_size(name: str) -> SizeFacts | None:
    """One size, by its name in any letter case; only its own line is read."""
    row = _rows("sizes.csv").get(name.casefold())
    return None if row is None else _facts(row)


def packaged_price(location: str, name: str) -> Fraction | None:
    """USD an hour on demand; None where the table has none."""
    text = _rows("prices.csv").get(name.casefold(), {}).get(location)
    return Fraction(text) if text else None


@cache
def priced_locations() -> frozenset[str]:
    """Locations that the table has prices of."""
    return frozenset(next(iter(_rows("prices.csv").values()))) - {"name"}


@cache
def proxied_locations() -> Mapping[str, str]:
    """Location without data of its own → the location whose data stand in for it, as delivered."""
    return frozendict(json.loads(_text("proxied-locations.json")))


def _facts(row: Mapping[str, str]) -> SizeFacts:
    said = {name: read(row[name]) for name, read in _READERS.items() if row[name]}
    return SizeFacts(name=row["name"], **{"vcpus_available": said["vcpus"], **said})


@cache
def _rows(name: str) -> Mapping[str, Mapping[str, str]]:
    """The lines of a table by case-folded size, their cells as text."""
    head, *lines = csv.reader(_text(name).splitlines())
    return {line[0].casefold(): dict(zip(head, line, strict=True)) for line in lines}


def _text(name: str) -> str:
    return files(__package__).joinpath("data").joinpath(name).read_text(encoding="utf-8")
