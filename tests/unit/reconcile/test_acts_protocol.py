"""Drains, deletes by hand and the loop's own cycles in any order, with jobs that land at any step (T14a, T20c)."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from unit.reconcile.test_delete_protocol import STEPS, DeleteProtocol

from autoscale_aks.errors import SchedulerError
from autoscale_aks.reconcile.acts import acting, choose, leave, plan_leaving

LANDINGS = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3)), max_size=3)


class ActsProtocol(DeleteProtocol):
    """The same promises, with people beside the loop."""

    def _names(self) -> list[str]:
        return self.site.names()

    @rule(which=st.integers(0, 5))
    def a_machine_is_drained(self, which: int) -> None:
        names = self._names()
        if names:
            with self.site.world() as world:
                world.ledger.drain([names[which % len(names)]], owner="ann", reason="", now=self.site.clock.now())

    @rule()
    def drains_are_taken_back(self) -> None:
        with self.site.world() as world:
            world.ledger.undrain(world.ledger.drains())

    @rule(which=st.integers(0, 5), landings=LANDINGS)
    def a_machine_is_deleted_by_hand(self, which: int, landings: list[tuple[str, int]]) -> None:
        names = self._names()
        if not names:
            return
        self.landings = list(landings)
        with suppress(SchedulerError), self.site.world() as world, acting(world, "delete") as act:
            chosen = choose(act.seen.snapshot, [names[which % len(names)]], (), {})
            leave(world, act, plan_leaving(act.seen, chosen.nodes, force=False), {}, "by hand")
        if "read" in self.site.scheduler.failing:
            self._mend()

    @rule()
    def all_settles(self) -> None:
        self._mend()
        self.drains_are_taken_back()
        super().all_settles()


ActsProtocol.TestCase.settings = settings(
    max_examples=6,
    stateful_step_count=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
test_acts_by_hand_lose_no_job_and_leave_nothing_closed = ActsProtocol.TestCase
del DeleteProtocol
