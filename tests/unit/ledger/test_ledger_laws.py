"""The ledger against a dictionary: any order of calls, with a crash or a clean end between any two."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from ledger_cases import NOW, machine

from autoscale_aks.ledger.records import MachineRecord, MachineState
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.model.launch import LaunchOutcome, LaunchState

ASKED = {MachineState.INTENDED, MachineState.ACCEPTED, MachineState.UNKNOWN, MachineState.REJECTED}
BACK: dict[MachineState, set[MachineState]] = {
    MachineState.INTENDED: set(MachineState) - {MachineState.INTENDED},
    MachineState.ACCEPTED: set(MachineState) - ASKED | {MachineState.REJECTED},
    MachineState.UNKNOWN: set(MachineState) - ASKED | {MachineState.REJECTED},
    MachineState.REJECTED: {MachineState.READY, MachineState.CLOSING, MachineState.DELETING, MachineState.GONE},
    MachineState.LISTED: {MachineState.READY, MachineState.DELETING, MachineState.GONE},
    MachineState.READY: {MachineState.GONE},
    MachineState.CLOSING: {MachineState.DELETING, MachineState.GONE},
    MachineState.DELETING: {MachineState.GONE},
    MachineState.GONE: set(),
}
"""State → where no machine comes from to it: backwards in its life."""
picks = st.sets(st.integers(min_value=0, max_value=30), max_size=6)


class LedgerLaws(RuleBasedStateMachine):
    """Names never come back, states are the last ones told, and the history has every one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.path = self.directory / "ledger.db"
        self.now = NOW
        self.model: dict[str, MachineRecord] = {}
        self.moves: dict[str, int] = {}
        self.ever: set[str] = set()
        self.ledger = Ledger.open(self.path, now=self.now)

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.directory)

    def tick(self) -> float:
        self.now += 1
        return self.now

    def chosen(self, pick: set[int]) -> list[str]:
        names = sorted(self.model)
        return [names[index] for index in sorted(pick) if index < len(names)]

    def move(self, name: str, state: MachineState, now: float) -> None:
        old = self.model[name]
        if old.state is not state:
            self.moves[name] += 1
            self.model[name] = replace(old, state=state, updated_at=now)

    def born(self, record: MachineRecord) -> None:
        assert record.name not in self.ever
        self.ever.add(record.name)
        self.model[record.name] = record
        self.moves[record.name] = 1

    @rule(count=st.integers(min_value=0, max_value=5))
    def ask(self, count: int) -> None:
        now, first = self.tick(), self.ledger.next_number("htc")
        records = [machine(number, asked_at=now, updated_at=now) for number in range(first, first + count)]
        self.ledger.record_intents(records, {"htc": first + count}, now)
        for record in records:
            self.born(record)

    @rule(pick=picks, state=st.sampled_from(LaunchState))
    def hear(self, pick: set[int], state: LaunchState) -> None:
        now, names = self.tick(), self.chosen(pick)
        self.ledger.record_outcomes([LaunchOutcome(name=name, state=state) for name in names], now)
        for name in names:
            listed_and_failed = (self.model[name].state, state) == (MachineState.LISTED, LaunchState.REJECTED)
            if self.model[name].state in ASKED or listed_and_failed:
                self.move(name, MachineState(state.value), now)

    @rule(pick=picks, state=st.sampled_from(MachineState))
    def see(self, pick: set[int], state: MachineState) -> None:
        now, names = self.tick(), self.chosen(pick)
        self.ledger.record_seen(dict.fromkeys(names, state), now)
        for name in names:
            if self.model[name].state in BACK[state]:
                continue
            self.move(name, state, now)
            if state is MachineState.READY and self.model[name].ready_at is None:
                self.model[name] = replace(self.model[name], ready_at=now)

    @rule(ahead=st.integers(min_value=0, max_value=3), again=picks)
    def find(self, ahead: int, again: set[int]) -> None:
        now, number = self.tick(), self.ledger.next_number("htc") + ahead
        found = machine(number, state=MachineState.LISTED, asked_at=now, updated_at=now)
        known = self.chosen(again)
        self.ledger.adopt([found, *(machine(name, state=MachineState.LISTED) for name in known)], now)
        self.born(found)
        for name in known:
            if self.model[name].state is MachineState.GONE:
                self.move(name, MachineState.LISTED, now)
                self.model[name] = replace(self.model[name], idle_since=None)

    @rule(pick=picks, idle=st.booleans())
    def rest(self, pick: set[int], idle: bool) -> None:
        since = self.tick() if idle else None
        self.ledger.set_idle(dict.fromkeys(self.chosen(pick), since))
        for name in self.chosen(pick):
            self.model[name] = replace(self.model[name], idle_since=since)

    @rule(age=st.integers(min_value=0, max_value=5))
    def forget(self, age: int) -> None:
        over = {MachineState.GONE, MachineState.REJECTED}
        old = [
            name for name, record in self.model.items() if record.state in over and record.updated_at < self.now - age
        ]
        assert self.ledger.forget_gone(self.now - age) == len(old)
        for name in old:
            del self.model[name]

    @rule()
    def die_inside_a_transaction(self) -> None:
        self.ledger._connection.execute("BEGIN IMMEDIATE")
        self.ledger._connection.execute("DELETE FROM machines")
        self.reopen()

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.path, now=self.now)
        assert self.ledger.notices == ()

    @invariant()
    def the_ledger_is_the_model(self) -> None:
        with Ledger.open(self.path, now=self.now, read_only=True) as reader:
            assert reader.machines(include_gone=True) == self.ledger.machines(include_gone=True)
        assert {record.name: record for record in self.ledger.machines(include_gone=True)} == self.model

    @invariant()
    def the_history_has_every_move(self) -> None:
        for name in sorted(self.model)[:3]:
            assert len(self.ledger.history(name)) == self.moves[name]


LedgerLaws.TestCase.settings = settings(stateful_step_count=20)
test_the_ledger_is_a_dictionary_that_survives = LedgerLaws.TestCase
