"""A slow source of limits does not hold up the loop: what was read lately stands in for it (user asks T09e, T11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from test_reference_on_emulator import PLACE, asked, client, world

from autoscale_aks.cloud.azure.reference import ReferenceRules
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.model.sizes import SourceRule

if TYPE_CHECKING:
    from pathlib import Path


SLOW_S = 1.5
"""Wall seconds of an answer; longer than anybody waits here."""


@pytest.mark.parametrize(("source", "operation"), [("usages", "usage.list"), ("pools", "pool.list")])
def test_a_slow_answer_is_not_waited_for_where_an_older_one_is_at_hand(
    tmp_path: Path, source: str, operation: str
) -> None:
    quick = SourceRule(max_age_s=60.0, deadline_s=30.0, refresh_s=0.2, retry_s=60.0)

    def ask(azure: Any) -> Any:
        return azure.pools() if source == "pools" else azure.usages(PLACE)

    with world(tmp_path, ReferenceRules(usages=quick, subnets=quick)) as (server, azure):
        first = ask(azure)
        server.state.faults.add(FaultRule(kind="slow", operations=(operation,), after_s=SLOW_S))
        server.clock.advance(61)
        late = ask(azure)
        assert late.value == first.value
        assert (late.is_stale, late.age_s(server.clock.now())) == (True, pytest.approx(61, abs=5))
        assert late.detail
        before = asked(server, operation)
        server.clock.advance(15)
        assert ask(client(server, tmp_path, ReferenceRules(usages=quick, subnets=quick))).value == first.value
        assert asked(server, operation) == before  # nor is it asked in every cycle


def test_the_first_answer_of_all_is_waited_for(tmp_path: Path) -> None:
    rule = SourceRule(max_age_s=60.0, deadline_s=30.0, refresh_s=0.05)
    with world(tmp_path, ReferenceRules(usages=rule)) as (server, azure):
        server.state.faults.add(FaultRule(kind="slow", operations=("usage.list",), after_s=0.3))
        assert azure.usages(PLACE).value


def test_limits_that_are_asked_for_in_every_cycle_have_a_short_refresh() -> None:
    rules = ReferenceRules()
    assert max(rules.usages.refresh_s, rules.subnets.refresh_s) <= 3.0
