"""An office for every test of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from unit.cli.office import Office, work
from unit.reconcile.fakes import emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def office() -> Iterator[Office]:
    """A cluster whose pool exists already, and one job that wants three machines."""
    settings = emulator_settings(clusters=(ClusterSpec(pools=("htc",)),), start_time=None)
    with EmulatorServer(settings) as emulator, scratch() as directory:
        made = Office(directory, emulator)
        made.configure()
        made.queue(work("a", iterations=3))
        yield made
