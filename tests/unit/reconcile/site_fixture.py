"""The `site` fixture, for the directories that tell stories of whole cycles."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import Site, config_document, emulator_settings, patch_wiring

from autoscale_aks.emulator.server import EmulatorServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def make_site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Site]]:
    """Start an emulator with these switches and a site on it; other keywords go to the configuration."""
    with ExitStack() as stack:

        def make(switches: dict[str, Any] | None = None, **config: Any) -> Site:
            directory = stack.enter_context(
                scratch()
            )  # goes last: what is asked in the background may still write there
            emulator = stack.enter_context(EmulatorServer(emulator_settings(**(switches or {}))))
            site = Site(directory, emulator, config_document(emulator.base_url, **config))
            patch_wiring(monkeypatch, site)
            return site

        yield make


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """The site of most stories."""
    return make_site()


MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where files are in memory, on machines that have such a place: hundreds of cycles wait for the disk otherwise."""


_TRIES = 100


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory of one's own, which a late answer may still be written to while it is removed."""
    directory = Path(tempfile.mkdtemp(prefix="azaks-test-", dir=MEMORY))
    try:
        yield directory
    finally:
        for _ in range(_TRIES):
            shutil.rmtree(directory, ignore_errors=True)
            if not directory.exists():
                break
            time.sleep(0.02)
