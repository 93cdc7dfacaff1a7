"""How things move on: at once, after being read, or with time (§7.1).

A step is an event due on a pool or a machine. By time it waits in the pool's heap, by reads on the
resource itself; at once means due now. Whoever calls holds the pool's lock.
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

from autoscale_aks.emulator.draws import draw
from autoscale_aks.emulator.store import NodeStage, State, Step

if TYPE_CHECKING:
    from autoscale_aks.emulator.draws import Delay
    from autoscale_aks.emulator.settings import EmulatorSettings
    from autoscale_aks.emulator.store import Machine, Pool, Store

POOL_READY = "pool_ready"
POOL_GONE = "pool_gone"
CREATED = "machine_created"
UPDATED = "machine_updated"
GONE = "machine_gone"
REGISTERED = "node_registered"
READY = "node_ready"
NODE_LOST = "node_lost"
VM_LOST = "vm_lost"


class Lifecycle:
    """The timers of one emulator."""

    def __init__(self, settings: EmulatorSettings) -> None:
        self._settings = settings
        self._timing = settings.timing
        self._numbers = itertools.count()

    def advance(self, store: Store, now: float) -> None:
        """Fire everything that is due in any pool."""
        for pool in store.pools():
            if pool.timers and pool.timers[0][0] <= now:
                with pool.lock:
                    self._advance_pool(pool, now)

    def _advance_pool(self, pool: Pool, now: float) -> None:
        while pool.timers and pool.timers[0][0] <= now:
            due, _, event, machine = heapq.heappop(pool.timers)
            self._fire(event, pool, machine, due)

    def observe_machine(self, machine: Machine, now: float) -> None:
        """A machine (or, for node events, its node) was read."""
        if machine.waiting:
            self._observe(machine.waiting, machine.pool, machine, now, node=False)

    def observe_node(self, machine: Machine, now: float) -> None:
        """The node list was read."""
        if machine.waiting:
            self._observe(machine.waiting, machine.pool, machine, now, node=True)

    def observe_pool(self, pool: Pool, now: float) -> None:
        """A pool was read."""
        if pool.waiting:
            self._observe(pool.waiting, pool, None, now, node=False)

    def _observe(self, waiting: list[Step], pool: Pool, machine: Machine | None, now: float, *, node: bool) -> None:
        due = []
        for step in waiting:
            if (step.event in (REGISTERED, READY)) == node:
                step.reads_left -= 1
                if step.reads_left < 0:
                    due.append(step)
        for step in due:
            waiting.remove(step)
            self._fire(step.event, pool, machine, now)

    def schedule(self, event: str, pool: Pool, machine: Machine | None, at: float, delay: Delay) -> None:
        """Let `event` happen `delay` after `at`; the draw is keyed by names, not by order."""
        progress = self._settings.progress
        if progress == "at_once":
            self._push(event, pool, machine, at)
        elif progress == "by_reads":
            target: Pool | Machine = pool if machine is None else machine
            if target.waiting is None:
                target.waiting = []
            target.waiting.append(Step(self._settings.reads_per_step, event))
        else:
            self._push(event, pool, machine, at + self._lasts_s(event, pool, machine, delay))

    def _lasts_s(self, event: str, pool: Pool, machine: Machine | None, delay: Delay) -> float:
        if delay.is_fixed:  # nothing to draw: a hash less for each of thousands of machines
            return delay.at(0.5)
        keys = (pool.id,) if machine is None else (machine.id, machine.generation, machine.revision)
        return delay.at(draw(self._settings.seed, event, *keys))

    def schedule_loss(self, kind: str, machine: Machine, at: float, after_s: float) -> None:
        """Let the VM or the node of a running machine go away `after_s` after `at`."""
        event = NODE_LOST if kind == "node_lost" else VM_LOST
        self._push(event, machine.pool, machine, at + after_s)

    def _push(self, event: str, pool: Pool, machine: Machine | None, due: float) -> None:
        heapq.heappush(pool.timers, (due, next(self._numbers), event, machine))

    def start_pool(self, pool: Pool, now: float) -> None:
        """A pool was PUT."""
        self.schedule(POOL_READY, pool, None, now, self._timing.pool_create)

    def start_pool_delete(self, pool: Pool, now: float) -> None:
        """A pool and all its machines go (§7.5)."""
        pool.state = State.DELETING
        for machine in pool.listed():
            self.start_delete(machine, now)
        self.schedule(POOL_GONE, pool, None, now, self._timing.pool_delete)

    def start_machine(self, machine: Machine, now: float) -> None:
        """A machine was accepted; a stuck one never gets an event."""
        if machine.fate.stuck:
            return
        failing = machine.fate.error is not None
        delay = self._timing.machine_fail if failing else self._timing.machine_create
        self.schedule(CREATED, machine.pool, machine, now, delay)

    def start_update(self, machine: Machine, now: float) -> None:
        """A machine was updated; it returns to what it was before (§3)."""
        if machine.state is State.CREATING:
            return
        if machine.state is not State.UPDATING:
            machine.settled = machine.state
        machine.state = State.UPDATING
        self.schedule(UPDATED, machine.pool, machine, now, self._timing.machine_update)

    def start_delete(self, machine: Machine, now: float) -> None:
        """A machine was named in deleteMachines; a second time changes nothing."""
        if machine.state is State.DELETING:
            return
        machine.state = State.DELETING
        machine.waiting = None
        machine.touch()
        self.schedule(GONE, machine.pool, machine, now, self._timing.machine_delete)

    def _fire(self, event: str, pool: Pool, machine: Machine | None, at: float) -> None:
        if machine is None:
            self._fire_pool(event, pool)
        elif machine.state is not State.GONE:
            self._fire_machine(event, machine, at)
            machine.touch()

    def _fire_pool(self, event: str, pool: Pool) -> None:
        if event == POOL_READY and pool.state is not State.DELETING:
            pool.state = State.SUCCEEDED
        elif event == POOL_GONE:
            for machine in pool.listed():
                self._gone(machine)
            pool.state = State.GONE
            pool.cluster.pools.pop(pool.name.casefold(), None)

    def _fire_machine(self, event: str, machine: Machine, at: float) -> None:
        if event == GONE:
            self._gone(machine)
        elif event == CREATED and machine.state is State.CREATING:
            self._created(machine, at)
        elif event == UPDATED and machine.state is State.UPDATING:
            machine.state = machine.settled
        elif event == REGISTERED and machine.vm_state == "Running":
            machine.node, machine.registered_at, machine.node_changed_at = NodeStage.NOT_READY, at, at
            if machine.fate.gets_ready:
                self.schedule(READY, machine.pool, machine, at, self._timing.node_ready)
        elif event == READY and machine.node is NodeStage.NOT_READY:
            machine.node, machine.node_changed_at = NodeStage.READY, at
        elif event == NODE_LOST and machine.node is not NodeStage.ABSENT:
            machine.node, machine.node_changed_at = NodeStage.NOT_READY, at
        elif event == VM_LOST and machine.vm_state == "Running":
            machine.vm_state, machine.node = "Deleted", NodeStage.ABSENT
            self.release_quota(machine)

    def _created(self, machine: Machine, at: float) -> None:
        fate = machine.fate
        if fate.error is not None:
            machine.state, machine.error = State.CANCELED if fate.canceled else State.FAILED, fate.error
            self.release_quota(machine)
            return
        machine.state, machine.vm_state = State.SUCCEEDED, "Running"
        if fate.registers:
            self.schedule(REGISTERED, machine.pool, machine, at, self._timing.node_register)
        for kind, after_s in fate.losses:
            self.schedule_loss(kind, machine, at, after_s)

    def _gone(self, machine: Machine) -> None:
        machine.state, machine.node, machine.vm_state = State.GONE, NodeStage.ABSENT, ""
        machine.pool.remove(machine)
        self.release_quota(machine)

    @staticmethod
    def release_quota(machine: Machine) -> None:
        """Give back what the machine holds, once."""
        if machine.holds_quota:
            machine.holds_quota = False
            machine.pool.cluster.quota.release(machine.size, spot=machine.spot)
