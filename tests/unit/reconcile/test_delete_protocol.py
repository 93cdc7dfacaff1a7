"""A job may land at every step of the delete protocol, and is never lost (user ask T14a): a model against the cycle.

The scheduler of the model is honest: it starts work on nodes that are open and that it knows, and on no others. The
steps at which a job tries to land are those of the table in docs/calculations.md.
"""

from __future__ import annotations

import functools
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from unit.reconcile.fakes import BOOTED_S, IDLE_S, Site, config_document, emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cli import wiring
from autoscale_aks.cloud.aks.client import AksClient
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.store import NodeStage
from autoscale_aks.errors import SchedulerError

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = ("read", "close", "closed", "reopen", "delete", "deleted", "remove", "removed")
WRITES = ("close", "reopen", "remove", "read")


class DeleteProtocol(RuleBasedStateMachine):
    """Machines come and go while jobs land at any step, and scheduler and cloud fail at any."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        emulator = self.stack.enter_context(EmulatorServer(emulator_settings()))
        directory = self.stack.enter_context(scratch())
        self.site = Site(directory, emulator, config_document(emulator.base_url))
        effects = Effects(now=self.site.clock.now, sleep=self.site.clock.sleep, random=lambda: 0.0)
        self.stack.enter_context(mock.patch.object(wiring, "Effects", return_value=effects))
        self.stack.enter_context(mock.patch.object(wiring, "build_scheduler", return_value=self.site.scheduler))
        self.landings: list[tuple[str, int]] = []
        self.jobs = 0
        self.forgotten: set[str] = set()
        self.lost: list[str] = []
        self._hook()
        self.site.scheduler.submit("first", iterations=4)
        self.site.cycle()
        self.site.advance(BOOTED_S)
        self.site.cycle()
        self.site.scheduler.finish()
        self.site.cycle()

    def teardown(self) -> None:
        self.stack.close()

    # The steps

    def _hook(self) -> None:
        scheduler = self.site.scheduler
        scheduler.before_read = lambda _: self._at("read")
        for method, before, after in (("close_nodes", "close", "closed"), ("reopen_nodes", "reopen", "reopen"),
                                      ("remove_nodes", "remove", "removed")):  # fmt: skip
            setattr(scheduler, method, self._around(getattr(scheduler, method), before, after))
        real = AksClient.delete_machines
        protocol = self

        @functools.wraps(real)
        def delete(client: AksClient, pool: str, names: Any) -> Any:
            protocol._at("delete")
            protocol.lost += [name for name in names if scheduler.running.get(name)]
            done = real(client, pool, names)
            protocol._at("deleted")
            return done

        self.stack.enter_context(mock.patch.object(AksClient, "delete_machines", delete))

    def _around(self, real: Callable[..., Any], before: str, after: str) -> Callable[..., Any]:
        def call(names: Any, *more: Any) -> Any:
            self._at(before)
            done = real(names, *more)
            if before == "remove":
                self.forgotten.update(names)
            self._at(after)
            return done

        return call

    def _at(self, step: str) -> None:
        """Everything that was to happen at this step happens now."""
        due = [which for at, which in self.landings if at == step]
        self.landings = [landing for landing in self.landings if landing[0] != step]
        for which in due:
            self._land(which)

    def _land(self, which: int) -> None:
        scheduler = self.site.scheduler
        takers = [
            machine.name
            for machine in self.site.machines()
            if machine.node is NodeStage.READY
            and machine.node_name not in scheduler.closed
            and machine.node_name not in self.forgotten
            and not scheduler.running.get(machine.name)
        ]
        if takers:
            self.jobs += 1
            scheduler.start(f"landed-{self.jobs}", sorted(takers)[which % len(takers)])

    # What may happen

    @rule()
    def a_job_lands_now(self) -> None:
        self._land(0)

    @rule()
    def jobs_end(self) -> None:
        self.site.scheduler.finish()

    @rule(tasks=st.integers(1, 3))
    def work_is_submitted(self, tasks: int) -> None:
        self.site.scheduler.submit("queued", iterations=tasks)

    @rule(method=st.sampled_from(WRITES))
    def the_scheduler_will_fail(self, method: str) -> None:
        if method == "read":
            self._fail_second_read()
        else:
            self.site.scheduler.failing[method] = "slurmctld is away"

    def _fail_second_read(self) -> None:
        scheduler, first = self.site.scheduler, self.site.scheduler.reads + 2

        def read(number: int) -> None:
            self._at("read")
            if number == first:
                scheduler.failing["read"] = "slurmctld is away"

        scheduler.before_read = read

    @rule()
    def the_cloud_will_refuse_deletes(self) -> None:
        self.site.fault(kind="error_before", operations=("machine.delete",), status=409, code="OperationNotAllowed")

    @rule()
    def all_is_mended(self) -> None:
        self._mend()

    def _mend(self) -> None:
        self.site.scheduler.failing.clear()
        self.site.scheduler.before_read = lambda _: self._at("read")
        self.site.mend()

    @rule(
        idle_s=st.sampled_from([1.0, BOOTED_S, IDLE_S, IDLE_S + 1]),
        landings=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3)), max_size=3),
    )
    def a_cycle_runs(self, idle_s: float, landings: list[tuple[str, int]]) -> None:
        self.site.advance(idle_s)
        self.landings = list(landings)
        with suppress(SchedulerError):  # the queue could not be read: nothing was decided
            self.site.cycle()
        if "read" in self.site.scheduler.failing:
            self._mend()

    @rule()
    def all_settles(self) -> None:
        """Whatever was begun is finished or taken back: no node with work stays closed, none is closed for ever."""
        self._mend()
        self.landings.clear()
        for _ in range(3):
            self.site.cycle()
            self.site.advance(BOOTED_S)
        scheduler = self.site.scheduler
        for machine in self.site.machines():
            if machine.node is NodeStage.READY:
                assert machine.node_name not in scheduler.closed, f"{machine.name} is closed for ever"

    # What never happens

    @invariant()
    def no_machine_with_a_job_was_deleted(self) -> None:
        assert self.lost == []
        names = {machine.name for machine in self.site.machines() if machine.state.value != "Deleting"}
        for machine, jobs in self.site.scheduler.running.items():
            assert not jobs or machine in names, f"{jobs} ran on {machine}"


DeleteProtocol.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    phases=(Phase.generate,),  # a story told over HTTP takes minutes to shorten
    suppress_health_check=list(HealthCheck),
)
test_t14a_a_job_that_lands_at_any_step_of_the_delete_protocol_is_never_lost = DeleteProtocol.TestCase
