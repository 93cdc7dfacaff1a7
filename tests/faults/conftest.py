"""Stories of whole cycles need a site, stories of one client a rig."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from faults.fault_rig import Rig
from unit.reconcile.site_fixture import make_site, site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["make_site", "site"]


@pytest.fixture
def make_rig() -> Iterator[Callable[..., Rig]]:
    """Start an emulator with these switches."""
    with ExitStack() as stack:

        def make(**switches: Any) -> Rig:
            return Rig(stack, switches)

        yield make


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """The rig of most stories."""
    return make_rig()
