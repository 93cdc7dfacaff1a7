"""The reconcile table: code and documentation say the same in every cell, and laws hold in all of them."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from autoscale_aks.model.node import Stage
from autoscale_aks.reconcile.table import (
    TABLE,
    Action,
    Age,
    Cell,
    CloudSays,
    ClusterSays,
    LedgerSays,
    SchedulerSays,
    decide,
)

DOCUMENT = (Path(__file__).parents[3] / "docs" / "calculations.md").read_text(encoding="utf-8")
COLUMNS = ("cloud", "cluster", "scheduler", "ledger", "age")
WORDS = {
    "keeps it": Action.KEEP,
    "forgets it": Action.FORGET,
    "removes it": Action.REMOVE,
    "finishes the delete": Action.FINISH,
    "adopts it": Action.ADOPT,
    "watches it": Action.LOSE,
}
CELLS = [Cell(*facts) for facts in itertools.product(CloudSays, ClusterSays, SchedulerSays, LedgerSays, Age)]


def documented_rows() -> list[dict[str, str]]:
    found = re.search(r"^\| cloud \| cluster .*?\n\n", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[0].strip().splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


ROWS = documented_rows()


def facts(cell: Cell) -> dict[str, str]:
    return {column: getattr(cell, column).value for column in COLUMNS}


def row_of(cell: Cell) -> int:
    said = facts(cell)
    return next(
        number
        for number, row in enumerate(ROWS)
        if all(row[column] == "–" or said[column] in row[column].split(", ") for column in COLUMNS)
    )


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "/".join(facts(cell).values()))
def test_t13b_the_code_does_in_this_cell_what_the_documentation_says(cell: Cell) -> None:
    row, ruling = ROWS[row_of(cell)], decide(cell)
    stage = "gone" if ruling.stage is None else f"{ruling.stage.value}, {ruling.state}"
    assert (stage, ruling.action) == (row["the machine is"], WORDS[row["the cycle"]])


def test_every_row_of_the_documentation_and_of_the_code_decides_some_cell() -> None:
    assert {row_of(cell) for cell in CELLS} == set(range(len(ROWS)))
    deciding = {next(number for number, row in enumerate(TABLE) if row.holds(cell)) for cell in CELLS}
    assert deciding == set(range(len(TABLE)))


def test_law_only_absence_from_a_whole_list_makes_a_machine_gone() -> None:
    for cell in CELLS:
        if decide(cell).stage is None:
            assert cell.cloud is CloudSays.ABSENT
        assert (decide(cell).stage is None) == (decide(cell).action is Action.FORGET)


def test_law_a_machine_that_was_just_asked_for_is_never_gone() -> None:
    young = [cell for cell in CELLS if cell.ledger is LedgerSays.ASKED and cell.age is Age.YOUNG]
    assert [cell for cell in young if decide(cell).stage is None] == []


def test_law_where_work_runs_nothing_is_thrown_away_on_the_word_of_cluster_or_ledger() -> None:
    over = {CloudSays.DELETING, CloudSays.FAILED}
    leaving = {LedgerSays.CLOSING, LedgerSays.DELETING}
    for cell in CELLS:
        if cell.scheduler is SchedulerSays.BUSY and cell.cloud not in over and cell.ledger not in leaving:
            ruling = decide(cell)
            if cell.ledger is LedgerSays.REFUSED and cell.cloud is CloudSays.ABSENT:
                continue
            assert ruling.stage is not None
            assert ruling.action in {Action.KEEP, Action.LOSE}


def test_law_no_silence_of_a_source_loses_a_machine_that_was_ready() -> None:
    for cell in CELLS:
        silent = (
            cell.cluster not in {ClusterSays.NOT_READY, ClusterSays.CORDONED} and cell.scheduler is SchedulerSays.SILENT
        )
        if cell.ledger is LedgerSays.READY and silent and cell.cloud in {CloudSays.UNSEEN, CloudSays.MADE}:
            assert (decide(cell).stage, decide(cell).state) == (Stage.EXISTING, "Ready")


THERE = {CloudSays.MAKING, CloudSays.MADE, CloudSays.UNSEEN}


def test_t20_law_what_was_in_use_and_an_administrator_cordoned_is_neither_capacity_nor_lost_nor_on_its_way_up() -> None:
    used = {LedgerSays.READY, LedgerSays.FOUND}
    leaving = {LedgerSays.CLOSING, LedgerSays.DELETING}
    for cell in CELLS:
        if cell.cluster is not ClusterSays.CORDONED or cell.cloud not in THERE or cell.ledger in leaving:
            continue
        if cell.ledger in used or cell.scheduler in {SchedulerSays.BUSY, SchedulerSays.HIDDEN}:
            assert (decide(cell).stage, decide(cell).state) == (Stage.EXISTING, "Closed")
            assert decide(cell).action is Action.KEEP


def test_t12_law_what_was_never_ready_and_runs_no_work_has_a_boot_deadline_whoever_keeps_work_off_it() -> None:
    """A node that is cordoned, closed or down from its first moment on bills for nothing, and so may all after it."""
    for cell in CELLS:
        never_ready = cell.ledger in {LedgerSays.ASKED, LedgerSays.LISTED} and cell.cloud in THERE
        is_held = cell.scheduler in {SchedulerSays.CLOSED, SchedulerSays.DOWN} or (
            cell.cluster is ClusterSays.CORDONED and cell.scheduler not in {SchedulerSays.BUSY, SchedulerSays.HIDDEN}
        )
        if never_ready and is_held:
            assert decide(cell).stage is Stage.IN_FLIGHT


def test_law_a_machine_that_is_leaving_is_never_capacity_again_by_being_seen() -> None:
    for cell in CELLS:
        if cell.ledger in {LedgerSays.CLOSING, LedgerSays.DELETING}:
            ruling = decide(cell)
            assert ruling.stage in {None, Stage.DRAINING} or ruling.state in {"Failed", "Down"}
