"""Who closed a node: we, whose work goes on when the ledger is lost, or an administrator, whose word stands (T13)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from autoscale_aks.schedulers.command.parse import parse_state
from autoscale_aks.schedulers.slurm.nodes import read_nodes
from autoscale_aks.schedulers.slurm.settings import SlurmSettings

if TYPE_CHECKING:
    from autoscale_aks.errors import Problem


@pytest.mark.parametrize(
    ("state", "reason", "ours"),
    [
        ("IDLE+DRAIN", "autoscale: idle: released [root@2026-11-22T10:42:43]", True),
        ("IDLE+DRAIN", "autoscale: no machine [root@2026-11-22T10:42:43]", False),
        ("IDLE+DRAIN", "bad disk [ops@2026-11-22T10:42:43]", False),
        ("IDLE+DRAIN", "", False),
        ("IDLE", "autoscale: idle: released [root@2026-11-22T10:42:43]", False),
    ],
)
def test_slurm_tells_by_the_reason_of_the_drain(state: str, reason: str, ours: bool) -> None:
    problems: list[Problem] = []
    line = f"NodeName=n1 CPUAlloc=0 CPUTot=4 RealMemory=8000 AllocMem=0 State={state} Reason={reason}\n\n"
    (node,) = read_nodes(line, SlurmSettings(), {}, problems)
    assert (node.closed_by_us, problems) == (ours, [])


@pytest.mark.parametrize(("written", "ours"), [({}, False), ({"closed_by_us": True}, True)])
def test_a_program_says_so_itself(written: dict[str, bool], ours: bool) -> None:
    text = json.dumps({"jobs": [], "nodes": [{"name": "n1", "state": "Closed", **written}]})
    state = parse_state(text, "jobs.json")
    assert state.nodes is not None
    assert [node.closed_by_us for node in state.nodes] == [ours]
    assert state.complete


def test_a_word_that_is_no_flag_is_reported_and_nothing_is_deleted_on_it() -> None:
    text = json.dumps({"jobs": [], "nodes": [{"name": "n1", "state": "Closed", "closed_by_us": "yes"}]})
    state = parse_state(text, "jobs.json")
    assert (state.nodes, state.complete) == ((), False)
    assert "closed_by_us" in state.problems[0].path
