"""Protections, circuits, marks, small sizes, proposals, stages and failures: kept, in force, and ended in time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from ledger_cases import NOW, machine

from autoscale_aks.errors import LedgerError
from autoscale_aks.ledger import schema
from autoscale_aks.ledger.guards import Circuit, SmallSize
from autoscale_aks.ledger.records import MOVES, MachineState
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.model.launch import FaultKind, LaunchOutcome, LaunchState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CIRCUIT = Circuit(nodearray="htc", vm_size="D4", zone=None, spot=False, image="default", failures=2, last_error="DNS")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", now=NOW) as opened:
        opened.record_intents([machine(1), machine(2)], {"htc": 3}, NOW)
        yield opened


def test_t20_a_protection_is_in_force_until_its_time_and_the_last_word_counts(ledger: Ledger) -> None:
    ledger.protect("htc-m1-1", owner="ann", reason="look", until=NOW + 10, now=NOW)
    assert set(ledger.protections(NOW + 9)) == {"htc-m1-1"}
    assert dict(ledger.protections(NOW + 10)) == {}
    ledger.protect("htc-m1-1", owner="bob", reason="longer", until=None, now=NOW + 1)
    one = ledger.protections(NOW + 1e9)["htc-m1-1"]
    assert (one.owner, one.reason, one.until, one.added_at) == ("bob", "longer", None, NOW + 1)
    assert (ledger.unprotect("htc-m1-1"), ledger.unprotect("htc-m1-1")) == (True, False)


def test_protections_survive_the_program_and_readers_see_them(ledger: Ledger) -> None:
    ledger.protect("htc-m1-1", owner="ann", reason="look", until=None, now=NOW)
    with Ledger.open(ledger.path, now=NOW, read_only=True) as reader:
        assert set(reader.protections(NOW)) == {"htc-m1-1"}
        with pytest.raises(LedgerError, match="reading only"):
            reader.unprotect("htc-m1-1")


def test_t12c_circuits_are_kept_as_they_are_and_dropped_without_failures(ledger: Ledger) -> None:
    zoned = Circuit(nodearray="htc", vm_size="D4", zone="1", spot=True, image="x", failures=3, opened_at=NOW)
    ledger.set_circuits([CIRCUIT, zoned], NOW)
    assert set(ledger.circuits()) == {CIRCUIT, zoned}
    ledger.set_circuits([Circuit(**{**_values(zoned), "failures": 0})], NOW)
    assert ledger.circuits() == (CIRCUIT,)
    assert (ledger.reset_circuits("hpc"), ledger.reset_circuits(vm_size="D4")) == (0, 1)
    assert ledger.circuits() == ()


def _values(circuit: Circuit) -> dict[str, object]:
    names = ("nodearray", "vm_size", "zone", "spot", "image", "failures", "last_error", "opened_at")
    return {name: getattr(circuit, name) for name in names}


def test_t08b_a_mark_on_a_family_ends_and_the_later_moment_wins(ledger: Ledger) -> None:
    ledger.mark_family("d in x", NOW + 100, "sold out")
    ledger.mark_family("d in x", NOW + 50, "later news of an earlier end")
    assert dict(ledger.family_marks(NOW + 99)) == {"d in x": "sold out"}
    assert dict(ledger.family_marks(NOW + 100)) == {}


def test_t03c_small_sizes_are_kept_once_a_machine_and_forgotten_by_hand_or_by_age(ledger: Ledger) -> None:
    one = SmallSize(nodearray="htc", vm_size="D4", resource="mem", machine="m", promised="16", found="15")
    two = SmallSize(nodearray="htc", vm_size="D8", resource="mem", machine="n", promised="32", found="30")
    ledger.record_small([one, two], NOW)
    ledger.record_small([one], NOW + 5)
    assert ledger.small_sizes(NOW - 1) == (one, two)
    assert ledger.small_sizes(NOW) == (one,)
    assert (ledger.forget_small("htc", "D8"), ledger.forget_small("htc"), ledger.forget_small("htc")) == (1, 1, 0)


def test_t13d_proposals_are_those_of_the_last_cycle_only(ledger: Ledger) -> None:
    ledger.set_proposals(["a", "b"], NOW)
    ledger.set_proposals(["b", "c"], NOW + 1)
    assert ledger.proposals(NOW) == {"b", "c"}
    assert ledger.proposals(NOW + 1) == frozenset()


def test_t12a_stages_keep_their_first_moment_and_t04_moments_can_be_taken_back(ledger: Ledger) -> None:
    name = "htc-m1-1"
    ledger.record_stages([name], [], NOW + 1)
    ledger.record_stages([name], [name], NOW + 2)
    ledger.set_lost({name: NOW + 3})
    ledger.set_surplus({name: NOW + 4})
    (record, _) = ledger.machines()
    assert (record.provisioned_at, record.registered_at) == (NOW + 1, NOW + 2)
    assert (record.lost_since, record.surplus_since) == (NOW + 3, NOW + 4)
    ledger.set_lost({name: None})
    ledger.set_surplus({name: None, "nobody": NOW})
    (record, _) = ledger.machines()
    assert (record.lost_since, record.surplus_since) == (None, None)


def test_t12e_the_first_evidence_of_a_failure_stays_and_is_told_once(ledger: Ledger) -> None:
    def failure(code: str) -> LaunchOutcome:
        return LaunchOutcome(
            name="htc-m1-1", state=LaunchState.REJECTED, kind=FaultKind.CAPACITY, code=code, message="no"
        )

    assert ledger.record_failures([failure("First")]) == {"htc-m1-1"}
    assert ledger.record_failures([failure("Second")]) == frozenset()
    (record, _) = ledger.machines()
    assert (record.error_kind, record.error_code) == ("capacity", "First")


def test_machines_believed_gone_are_known_by_name(ledger: Ledger) -> None:
    ledger.record_seen({"htc-m1-1": MachineState.GONE}, NOW)
    assert ledger.believed_gone(["htc-m1-1", "htc-m1-2", "nobody"]) == {"htc-m1-1"}


def test_flags_are_found_by_what_they_begin_with(ledger: Ledger) -> None:
    for name in ("shrunk: a", "shrunk: b%", "other"):
        ledger.set_flag(name, name[-1])
    assert dict(ledger.flags("shrunk: ")) == {"a": "a", "b%": "%"}


@pytest.mark.parametrize("into", list(MachineState))
@pytest.mark.parametrize("before", list(MachineState))
def test_every_move_that_is_not_legal_is_not_made(tmp_path: Path, before: MachineState, into: MachineState) -> None:
    with Ledger.open(tmp_path / "ledger.db", now=NOW) as ledger:
        ledger.record_intents([machine(1)], {"htc": 2}, NOW)
        ledger._connection.execute("UPDATE machines SET state = ?", (before.value,))
        ledger.record_seen({"htc-m1-1": into}, NOW + 1)
        (record,) = ledger.machines(include_gone=True)
    assert record.state is (into if before in MOVES[into] else before)


def test_law_no_machine_becomes_unborn_and_the_dead_stay_dead() -> None:
    assert MOVES[MachineState.INTENDED] == frozenset()
    assert [into for into in MachineState if MachineState.GONE in MOVES[into] and into is not MachineState.GONE] == []
    assert MachineState.DELETING not in MOVES[MachineState.CLOSING]


def test_a_ledger_of_the_first_version_is_brought_to_this_one_with_all_it_knew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        for statement in schema.MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        columns = "name, nodearray, pool, vm_size, spot, plan_id, chunk_id, state, asked_at, updated_at"
        query = f"INSERT INTO machines ({columns}) VALUES ('htc-1', 'htc', 'htc', 'D4', 0, 'p', 'c', 'ready', 1, 2)"
        connection.execute(query)
        connection.commit()
    path.chmod(0o600)
    with Ledger.open(path, now=NOW) as ledger:
        (record,) = ledger.machines()
        assert (record.name, record.state, record.provisioned_at) == ("htc-1", MachineState.READY, None)
        ledger.protect("htc-1", owner="ann", reason="r", until=None, now=NOW)
    assert path.with_name("ledger.db.bak-v1").exists()
