"""What only looks leaves everything as it is, byte for byte, its cache directory included (user ask T25b)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from unit.cli.office import Office, work
from unit.reconcile.fakes import emulator_settings

from autoscale_aks.cli.main import main
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOKS = (
    ("demand",),
    ("demand", "--format", "html"),
    ("demand", "--format", "json"),
    ("explain", "big"),
    ("limits",),
    ("limits", "--missing"),
    ("buckets",),
    ("sizes", "list"),
    ("jobs",),
    ("nodes",),
    ("doctor",),
)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with EmulatorServer(emulator_settings(clusters=(ClusterSpec(pools=("htc",)),), start_time=None)) as emulator:
        office = Office(tmp_path, emulator)
        arrays = {"htc": {"buckets": [{"vm_size": "Standard_D4s_v5"}]}}
        office.configure(nodearrays=arrays, prices={"url": emulator.base_url}, quota={"max_age_s": 0})
        office.queue(work("one"), work("big", 99))
        yield office


def everything(directory: Path) -> dict[Path, tuple[bytes, int]]:
    """Every directory, and every file with its content and the time of its last change."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else (b"", 0)
        for path in directory.rglob("*")
    }


@pytest.mark.parametrize("look", LOOKS, ids=" ".join)
@pytest.mark.parametrize("ran_before", [False, True], ids=["first of all", "after a cycle"])
def test_what_looks_leaves_every_byte_as_it_was(
    office: Office, look: tuple[str, ...], ran_before: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if ran_before:
        assert main(["autoscale", "-c", office.config]) in {0, 1}
        assert (office.directory / "azaks-cache").is_dir()
    before, machines = everything(office.directory), office.machines()
    status = main([*look, "-c", office.config])
    capsys.readouterr()
    assert status in {0, 1}, look
    assert everything(office.directory) == before
    assert office.machines() == machines
