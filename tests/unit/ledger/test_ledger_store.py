from __future__ import annotations

import time
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from ledger_cases import NOW, machine, machines

from autoscale_aks.errors import LedgerError
from autoscale_aks.ledger import store
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.model.launch import FaultKind, LaunchOutcome, LaunchState
from autoscale_aks.model.snapshot import BackOff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", now=NOW) as opened:
        yield opened


def rejected(name: str, message: str = "no capacity") -> LaunchOutcome:
    return LaunchOutcome(
        name=name,
        state=LaunchState.REJECTED,
        kind=FaultKind.CAPACITY,
        code="AllocationFailed",
        message=message,
    )


def states(ledger: Ledger) -> dict[str, MachineState]:
    return {record.name: record.state for record in ledger.machines(include_gone=True)}


def test_a_machine_comes_back_as_it_was_recorded(ledger: Ledger) -> None:
    asked = machine(7, zone=None, spot=True, placement_group="pg-1")
    ledger.record_intents([asked], {"htc": 8}, NOW)
    assert ledger.machines() == (asked,)


def test_numbers_start_at_one_and_only_rise(ledger: Ledger) -> None:
    assert ledger.next_number("htc") == 1
    ledger.record_intents(machines(1, 3), {"htc": 4}, NOW)
    ledger.record_intents([machine(9)], {"htc": 2}, NOW)
    assert ledger.next_number("htc") == 4
    assert ledger.next_number("hpc") == 1


def test_a_name_known_already_records_nothing_of_the_batch(ledger: Ledger) -> None:
    ledger.record_intents(machines(1, 2), {"htc": 3}, NOW)
    with pytest.raises(LedgerError, match=r"htc-m1-2 already recorded.*plan again"):
        ledger.record_intents(machines(2, 4), {"htc": 5}, NOW)
    assert len(ledger.machines()) == 2
    assert ledger.next_number("htc") == 3


def test_a_name_twice_in_one_batch_records_nothing(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="htc-m1-1 already recorded"):
        ledger.record_intents([machine(1), machine(1)], {"htc": 2}, NOW)
    assert ledger.machines() == ()


def test_an_intent_is_an_intent_whatever_the_record_says(ledger: Ledger) -> None:
    ledger.record_intents([machine(1, state=MachineState.READY, updated_at=0.0)], {}, NOW)
    assert ledger.machines() == (machine(1),)


def test_outcomes_keep_the_service_s_own_words(ledger: Ledger) -> None:
    ledger.record_intents(machines(1, 3), {"htc": 4}, NOW)
    ledger.record_outcomes(
        [
            LaunchOutcome(name="htc-m1-1", state=LaunchState.ACCEPTED),
            rejected("htc-m1-2"),
            LaunchOutcome(name="htc-m1-3", state=LaunchState.UNKNOWN, kind=FaultKind.TRANSIENT),
            rejected("never-heard-of"),
        ],
        NOW + 5,
    )
    first, second, third = ledger.machines()
    assert (first.state, first.updated_at) == (MachineState.ACCEPTED, NOW + 5)
    assert (second.state, second.error_kind) == (MachineState.REJECTED, "capacity")
    assert (second.error_code, second.error_message) == ("AllocationFailed", "no capacity")
    assert (third.state, third.error_kind) == (MachineState.UNKNOWN, "transient")


@pytest.mark.parametrize("seen", [MachineState.READY, MachineState.CLOSING, MachineState.DELETING, MachineState.GONE])
def test_a_late_outcome_never_moves_a_machine_back(ledger: Ledger, seen: MachineState) -> None:
    ledger.record_intents([machine(1)], {"htc": 2}, NOW)
    ledger.record_seen({"htc-m1-1": seen}, NOW + 1)
    for outcome in (LaunchOutcome(name="htc-m1-1", state=LaunchState.ACCEPTED), rejected("htc-m1-1")):
        ledger.record_outcomes([outcome], NOW + 2)
    assert states(ledger) == {"htc-m1-1": seen}


def test_a_listed_machine_may_still_fail_but_not_become_merely_accepted(ledger: Ledger) -> None:
    ledger.record_intents([machine(1)], {"htc": 2}, NOW)
    ledger.record_seen({"htc-m1-1": MachineState.LISTED}, NOW + 1)
    ledger.record_outcomes([LaunchOutcome(name="htc-m1-1", state=LaunchState.ACCEPTED)], NOW + 2)
    assert states(ledger) == {"htc-m1-1": MachineState.LISTED}
    ledger.record_outcomes([rejected("htc-m1-1")], NOW + 3)
    assert states(ledger) == {"htc-m1-1": MachineState.REJECTED}


def test_a_late_success_after_a_refusal_is_seen_and_keeps_the_evidence(ledger: Ledger) -> None:
    ledger.record_intents([machine(1)], {"htc": 2}, NOW)
    ledger.record_outcomes([rejected("htc-m1-1")], NOW + 1)
    ledger.record_seen({"htc-m1-1": MachineState.LISTED}, NOW + 2)
    (record,) = ledger.machines()
    assert (record.state, record.error_code) == (MachineState.LISTED, "AllocationFailed")


def test_seeing_the_same_again_moves_no_stage_timer(ledger: Ledger) -> None:
    ledger.record_intents([machine(1)], {"htc": 2}, NOW)
    ledger.record_seen({"htc-m1-1": MachineState.LISTED}, NOW + 10)
    ledger.record_seen({"htc-m1-1": MachineState.LISTED}, NOW + 20, {"htc-m1-1": "aks-htc-1"})
    (record,) = ledger.machines()
    assert (record.updated_at, record.node_name) == (NOW + 10, "aks-htc-1")


def test_ready_at_is_the_first_time_and_the_node_name_stays(ledger: Ledger) -> None:
    ledger.record_intents([machine(1)], {"htc": 2}, NOW)
    ledger.record_seen({"htc-m1-1": MachineState.READY}, NOW + 10, {"htc-m1-1": "aks-htc-1"})
    ledger.record_seen({"htc-m1-1": MachineState.CLOSING}, NOW + 20)
    ledger.record_seen({"htc-m1-1": MachineState.READY, "stranger": MachineState.READY}, NOW + 30)
    (record,) = ledger.machines()
    assert (record.ready_at, record.updated_at, record.node_name) == (NOW + 10, NOW + 30, "aks-htc-1")


def test_machines_are_in_natural_order_and_gone_ones_only_on_request(ledger: Ledger) -> None:
    ledger.record_intents([machine(10), machine(9), machine(2)], {"htc": 11}, NOW)
    ledger.record_seen({"htc-m1-9": MachineState.GONE}, NOW)
    assert [record.name for record in ledger.machines()] == ["htc-m1-2", "htc-m1-10"]
    assert [record.name for record in ledger.machines(include_gone=True)] == ["htc-m1-2", "htc-m1-9", "htc-m1-10"]


def test_adopting_keeps_what_is_known_and_uses_the_numbers_up(ledger: Ledger) -> None:
    ledger.record_intents([machine(1)], {"htc": 2}, NOW)
    found = [machine(number, state=MachineState.LISTED, plan_id="lost") for number in (1, 41, 7)]
    ledger.adopt([*found, machine("hpc-x", nodearray="hpc", state=MachineState.LISTED)], NOW + 1)
    assert {record.name: record.plan_id for record in ledger.machines()} == {
        "hpc-x": "plan-1",
        "htc-m1-1": "plan-1",
        "htc-m1-7": "lost",
        "htc-m1-41": "lost",
    }
    assert ledger.next_number("htc") == 42
    assert ledger.next_number("hpc") == 1


def test_a_machine_believed_gone_and_found_again_is_looked_after_again(ledger: Ledger) -> None:
    ledger.record_intents([machine(1)], {"htc": 2}, NOW)
    ledger.set_idle({"htc-m1-1": NOW})
    ledger.record_seen({"htc-m1-1": MachineState.GONE}, NOW + 1)
    ledger.adopt([machine(1, state=MachineState.LISTED, plan_id="")], NOW + 2)
    assert ledger.machines() == (machine(1, state=MachineState.LISTED, updated_at=NOW + 2),)
    assert [event for _, event, _ in ledger.history("htc-m1-1")] == ["intended", "gone", "listed"]


def test_names_never_come_back_after_they_are_forgotten(ledger: Ledger) -> None:
    ledger.record_intents(machines(1, 3), {"htc": 4}, NOW)
    ledger.record_seen({"htc-m1-1": MachineState.GONE}, NOW + 1)
    ledger.record_seen({"htc-m1-2": MachineState.GONE}, NOW + 9)
    assert ledger.forget_gone(older_than=NOW + 5) == 1
    assert sorted(states(ledger)) == ["htc-m1-2", "htc-m1-3"]
    assert ledger.history("htc-m1-1") == ()
    assert ledger.next_number("htc") == 4


def test_machines_refused_long_ago_are_forgotten_too(ledger: Ledger) -> None:
    ledger.record_intents(machines(1, 2), {"htc": 3}, NOW)
    ledger.record_outcomes([rejected("htc-m1-1")], NOW)
    assert ledger.forget_gone(older_than=NOW + 1) == 1
    assert states(ledger) == {"htc-m1-2": MachineState.INTENDED}


def test_the_history_tells_every_move_once(ledger: Ledger) -> None:
    ledger.record_intents([machine(1)], {"htc": 2}, NOW)
    ledger.record_outcomes([rejected("htc-m1-1", "sold out")], NOW + 1)
    ledger.record_seen({"htc-m1-1": MachineState.LISTED}, NOW + 2)
    ledger.record_seen({"htc-m1-1": MachineState.LISTED}, NOW + 3)
    ledger.record_seen({"htc-m1-1": MachineState.READY}, NOW + 4, {"htc-m1-1": "aks-1"})
    ledger.adopt([machine(2, state=MachineState.LISTED)], NOW + 5)
    assert ledger.history("htc-m1-1") == (
        (NOW, "intended", "plan plan-1, chunk plan-1/0"),
        (NOW + 1, "rejected", "capacity AllocationFailed: sold out"),
        (NOW + 2, "listed", ""),
        (NOW + 4, "ready", "aks-1"),
    )
    assert ledger.history("htc-m1-2") == ((NOW + 5, "adopted", "listed"),)


def test_idle_times_are_set_and_cleared(ledger: Ledger) -> None:
    ledger.record_intents(machines(1, 2), {"htc": 3}, NOW)
    ledger.set_idle({"htc-m1-1": NOW + 1, "htc-m1-2": NOW + 2, "stranger": NOW})
    ledger.set_idle({"htc-m1-1": None})
    assert [record.idle_since for record in ledger.machines()] == [None, NOW + 2]


def test_a_back_off_holds_until_its_moment(ledger: Ledger) -> None:
    sold_out = BackOff(code="CAPACITY_BACKOFF", until=NOW + 60, vm_size="Standard_D4s_v5", zone="1", spot=False)
    broken = BackOff(code="BOOT_CIRCUIT_OPEN", nodearray="htc")
    ledger.add_back_off(sold_out, "AllocationFailed", NOW)
    ledger.add_back_off(broken, "3 of 3 never joined", NOW)
    assert set(ledger.back_offs(NOW + 59)) == {sold_out, broken}
    assert ledger.back_offs(NOW + 60) == (broken,)
    assert ledger.back_off_reasons(NOW + 59)[broken] == "3 of 3 never joined"


def test_the_later_moment_of_a_back_off_wins_and_for_ever_is_latest(ledger: Ledger) -> None:
    def back_off(until: float | None) -> BackOff:
        return BackOff(code="CAPACITY_BACKOFF", until=until, zone="1")

    for until, kept in ((60.0, 60.0), (30.0, 60.0), (90.0, 90.0), (None, None), (120.0, None)):
        ledger.add_back_off(back_off(until), "again", 0.0)
        assert ledger.back_offs(0.0) == (back_off(kept),)


def test_any_and_a_value_are_different_back_offs(ledger: Ledger) -> None:
    for spot in (None, False, True):
        ledger.add_back_off(BackOff(code="CAPACITY_BACKOFF", until=NOW + 1, spot=spot), "", NOW)
    assert {back_off.spot for back_off in ledger.back_offs(NOW)} == {None, False, True}


def test_clearing_back_offs_takes_only_those_named(ledger: Ledger) -> None:
    for nodearray in ("htc", "hpc"):
        ledger.add_back_off(BackOff(code="BOOT_CIRCUIT_OPEN", nodearray=nodearray), "", NOW)
    assert ledger.clear_back_offs(code="CAPACITY_BACKOFF") == 0
    assert ledger.clear_back_offs(nodearray="htc") == 1
    assert [back_off.nodearray for back_off in ledger.back_offs(NOW)] == ["hpc"]
    assert ledger.clear_back_offs() == 1


def test_throttling_and_flags_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path, now=NOW) as ledger:
        assert ledger.not_before() is None
        assert ledger.flag("batch_honoured:c1", "yes") == "yes"
        ledger.set_not_before(NOW + 17.25)
        ledger.set_flag("batch_honoured:c1", "no")
        ledger.set_flag("other", "x")
        ledger.set_flag("other", None)
    with Ledger.open(path, now=NOW) as ledger:
        assert ledger.not_before() == NOW + 17.25
        assert (ledger.flag("batch_honoured:c1"), ledger.flag("other")) == ("no", None)
        ledger.set_not_before(None)
        assert ledger.not_before() is None


def test_a_cycle_that_never_ended_reads_as_interrupted(ledger: Ledger) -> None:
    ledger.begin_cycle("plan-1", NOW)
    assert [cycle.status for cycle in ledger.cycles()] == ["running"]
    ledger.begin_cycle("plan-2", NOW + 60)
    ledger.end_cycle("plan-2", NOW + 70, "done", {"created": 3, "price": Fraction(1, 3), "by": {"htc": 3}})
    second, first = ledger.cycles()
    assert (first.plan_id, first.status, first.ended_at) == ("plan-1", "interrupted", None)
    assert (second.started_at, second.ended_at, second.status) == (NOW + 60, NOW + 70, "done")
    assert second.summary == {"created": 3, "price": "1/3", "by": {"htc": 3}}
    assert ledger.cycles(limit=1) == (second,)


def test_the_same_plan_may_run_again_but_ends_only_once_a_run(ledger: Ledger) -> None:
    for start in (NOW, NOW + 60):
        ledger.begin_cycle("plan-1", start)
        ledger.end_cycle("plan-1", start + 1, "done", {})
    assert [cycle.ended_at for cycle in ledger.cycles()] == [NOW + 61, NOW + 1]
    with pytest.raises(LedgerError, match="never begun, or has ended"):
        ledger.end_cycle("plan-1", NOW + 99, "done", {})


def test_only_the_last_cycles_are_kept(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_KEPT_CYCLES", 10)
    for number in range(13):
        ledger.begin_cycle(f"plan-{number}", NOW)
    assert [cycle.plan_id for cycle in ledger.cycles()] == [f"plan-{number}" for number in range(12, 2, -1)]


def test_what_the_service_says_is_stored_even_when_it_is_not_text(ledger: Ledger) -> None:
    ledger.record_intents([machine(1)], {"htc": 2}, NOW)
    ledger.record_outcomes([rejected("htc-m1-1", "bad \ud800 " + "x" * 9000 + "'; DROP TABLE machines; --")], NOW)
    (record,) = ledger.machines()
    assert record.error_message.startswith("bad ? x")
    assert len(record.error_message) == 2000


@pytest.mark.parametrize("value", [machine("bad-\ud800"), machine(1, asked_at=float("nan"))])
def test_a_value_that_cannot_be_stored_records_nothing(ledger: Ledger, value: object) -> None:
    with pytest.raises(LedgerError, match="nothing was recorded"):
        ledger.record_intents([machine(5), value], {"htc": 6}, NOW)  # type: ignore[list-item]
    assert (ledger.machines(), ledger.next_number("htc")) == ((), 1)


def test_a_name_ending_in_a_number_beyond_reason_uses_up_nothing(ledger: Ledger) -> None:
    ledger.adopt([machine("htc-" + "9" * 18)], NOW)
    assert ledger.next_number("htc") == 1


def test_ten_thousand_machines_are_one_quick_transaction(ledger: Ledger) -> None:
    many = machines(1, 10_000)
    started = time.process_time()
    ledger.record_intents(many, {"htc": 10_001}, NOW)
    assert time.process_time() - started < 0.3
    assert len(ledger.machines()) == 10_000
