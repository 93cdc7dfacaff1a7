"""Two runs at once, as real processes: cron and a hook, or cron and an operator (user ask T33b)."""

from __future__ import annotations

import pytest
from faults.doomed import HELD
from faults.mortal_site import IDLE_S, mortal_site
from faults.test_killed_anywhere import Load, check_settled, settle


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 12))])
def test_t33b_two_runs_at_once_make_no_machine_twice_and_the_one_that_comes_second_is_kept_out(seed: int) -> None:
    with mortal_site(runners=2) as site:
        load = Load(site, seed)
        kept_out = 0
        for _ in range(12):
            load.move()
            before, needed = len(site.alive()), len(site.jobs)
            doomed = {"after_s": load.dice.uniform(0.0, 0.1)} if load.dice.random() < 0.3 else {}
            site.order(0, **doomed)
            site.order(1)
            runs = [site.answer(0), site.answer(1)]
            statuses = [run.exit_status for run in runs if not run.was_killed]
            assert set(statuses) <= {0, HELD}
            assert 0 in statuses or any(run.was_killed for run in runs), "one of them is the writer"
            kept_out += statuses.count(HELD)
            settle(site)
            check_settled(site, seed)
            assert needed <= len(site.alive()) <= max(before, needed)
        assert kept_out, "they did meet"
        site.jobs.clear()
        for _ in range(5):
            site.whole()
            site.advance(IDLE_S + 1)
        assert (site.machines(), site.states()) == ({}, {})
