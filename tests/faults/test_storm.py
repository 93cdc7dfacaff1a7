"""200 seeds of bad weather: the limits hold, nobody loses a machine under a job, and it all ends at zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.storm import storm_site

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

STEPS = 40
SHORT = (0, 1, 2, 3, 4, 63)
"""Seed 63 loses the ledger while a pool's list fails."""


def weather(make_site: Callable[..., Site], seed: int) -> dict[str, int]:
    storm = storm_site(make_site, seed)
    for _ in range(STEPS):
        storm.step()
    storm.calm()
    return storm.outcomes


@pytest.mark.parametrize("seed", SHORT)
def test_whatever_goes_wrong_the_invariants_hold_after_every_cycle(make_site: Callable[..., Site], seed: int) -> None:
    outcomes = weather(make_site, seed)
    assert sum(outcomes.get(ended, 0) for ended in ("clean", "in part")) > STEPS / 4, "most of the time it works"


@pytest.mark.soak
@pytest.mark.parametrize("seed", [seed for seed in range(200) if seed not in SHORT])
def test_two_hundred_storms(make_site: Callable[..., Site], seed: int) -> None:
    weather(make_site, seed)
