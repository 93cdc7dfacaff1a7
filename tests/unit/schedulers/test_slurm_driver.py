"""SlurmScheduler: what it asks, and that it believes what it sees afterwards rather than exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from new_nodes import new_nodes
from slurm_lines import SAMPLE, FakeSlurm, line

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.process import Answer
from autoscale_aks.schedulers.slurm.commands import CaptureRunner
from autoscale_aks.schedulers.slurm.driver import SlurmScheduler
from autoscale_aks.schedulers.slurm.settings import SlurmSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

IDLE, DYNAMIC = "IDLE+CLOUD", "IDLE+CLOUD+DYNAMIC_NORM"
CREATE = {"create_nodes": {"h*": ["cpus=4", "feature=hpc"]}}


def scheduler(slurm: FakeSlurm, **settings: Any) -> SlurmScheduler:
    return SlurmScheduler(read_settings({"type": "slurm", **settings}), slurm)


def test_reading_asks_for_nodes_before_jobs() -> None:
    slurm = FakeSlurm({"htc-1": "MIXED", "htc-2": IDLE}, queue=line(State="RUNNING", NodeList="htc-2") + "\n")
    state = scheduler(slurm, squeue="/opt/slurm/bin/squeue", slurm_conf="/etc/slurm.conf").read()
    assert [call[0] for call in slurm.calls][0::4] == ["scontrol", "/opt/slurm/bin/squeue"]
    assert slurm.calls[-1][:6] == (
        "/opt/slurm/bin/squeue", "--noheader", "--all", "--local", "--noconvert", "--sort=i",
    )  # fmt: skip
    assert slurm.calls[-1][6].startswith("--Format=JobArrayID:\t,JobID:\t,")
    assert slurm.calls[-1][6].endswith(":\t,NTPerSocket:")
    assert slurm.envs[-1] == {
        "SLURM_BITSTR_LEN": "0", "SLURM_TIME_FORMAT": "standard", "TZ": "UTC", "SLURM_CONF": "/etc/slurm.conf",
    }  # fmt: skip
    assert state.nodes is not None
    assert [(node.name, bool(node.job_ids)) for node in state.nodes] == [("htc-1", True), ("htc-2", True)]
    assert state.complete


def test_a_node_that_cannot_be_read_makes_the_answer_incomplete_and_a_bad_job_does_not() -> None:
    slurm = FakeSlurm({"htc-1": IDLE}, queue="nonsense\n")
    state = scheduler(slurm).read()
    assert (state.complete, len(state.problems)) == (True, 1)
    slurm.nodes["broken node"] = IDLE
    assert not scheduler(slurm).read().complete


def test_complaints_of_squeue_are_passed_on() -> None:
    class Complaining(FakeSlurm):
        def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
            return Answer(super().run(args, env).text, ("squeue: error: Invalid job format specification: Xy",))

    problems = scheduler(Complaining()).read().problems
    assert problems[0].message.endswith("Invalid job format specification: Xy")


def test_closing_returns_the_drained_nodes_and_not_those_on_which_a_job_landed() -> None:
    slurm = FakeSlurm({"a": IDLE, "b": IDLE, "c": "IDLE+DRAIN", "d": "MIXED"}, land_on="b")
    assert scheduler(slurm).close_nodes(["a", "b", "c", "unknown"], "scale in\nnow") == ("a", "c")
    assert slurm.changes() == [("update", "nodename=a,b", "state=drain", "reason=autoscale: scale in now")]
    assert "DRAIN" in slurm.nodes["b"]


def test_closing_twice_is_a_success() -> None:
    slurm = FakeSlurm({"a": IDLE})
    assert scheduler(slurm).close_nodes(["a"], "x") == scheduler(slurm).close_nodes(["a"], "x") == ("a",)
    assert len(slurm.changes()) == 1


def test_one_refused_node_does_not_keep_the_others_open() -> None:
    class Refusing(FakeSlurm):
        def _update(self, names: list[str], changes: list[tuple[str, str]]) -> None:
            if "b" in names:
                raise SchedulerError("scontrol update: exit code 1: no")
            super()._update(names, changes)

    slurm = Refusing({"a": IDLE, "b": IDLE, "c": IDLE})
    assert scheduler(slurm).close_nodes(["a", "b", "c"], "x") == ("a", "c")
    with pytest.raises(SchedulerError, match="exit code 1: no"):
        scheduler(slurm).close_nodes(["b"], "x")


@pytest.mark.parametrize("name", ["a,b", "ALL", "all", "-x", "a[1-9]", "", "a b", "x=y", "a\n"])
def test_a_name_that_scontrol_takes_for_something_else_is_refused(name: str) -> None:
    slurm = FakeSlurm({"a": IDLE})
    for method in ("reopen_nodes", "remove_nodes"):
        with pytest.raises(SchedulerError, match="no node name"):
            getattr(scheduler(slurm), method)([name])
    with pytest.raises(SchedulerError, match="no node name"):
        scheduler(slurm).close_nodes([name], "x")
    assert not slurm.changes()


def test_many_nodes_go_in_several_commands() -> None:
    slurm = FakeSlurm({f"n{number}": IDLE for number in range(450)})
    assert len(scheduler(slurm).close_nodes(list(slurm.nodes), "x")) == 450
    assert len(slurm.changes()) == 3


def test_reopening_takes_the_drain_away_and_nothing_else() -> None:
    absent = "DOWN+CLOUD+DRAIN+POWERED_DOWN"
    reasons = {"a": "autoscale: idle", "gone": "autoscale: idle", "theirs": "broken fan"}
    slurm = FakeSlurm({"a": "IDLE+DRAIN", "b": IDLE, "gone": absent, "theirs": "IDLE+DRAIN"}, reasons=reasons)
    scheduler(slurm).reopen_nodes(["a", "b", "gone", "theirs", "unknown"])
    assert slurm.changes() == [("update", "nodename=a,gone", "state=undrain")]
    without = "DOWN+CLOUD+POWERED_DOWN"
    assert (slurm.nodes["a"], slurm.nodes["b"]) == ("IDLE", IDLE)
    assert slurm.nodes["gone"] == without, "a node without a machine stays down"
    assert slurm.nodes["theirs"] == "IDLE+DRAIN", "an administrator's drain stays"


def test_new_nodes_are_made_as_the_site_says_and_known_ones_left_alone() -> None:
    slurm = FakeSlurm({"h1": DYNAMIC})
    scheduler(slurm, **CREATE).add_nodes(new_nodes(["h1", "h2"]))
    assert slurm.changes() == [("create", "nodename=h2", "state=cloud", "cpus=4", "feature=hpc")]
    with pytest.raises(SchedulerError, match="no pattern"):
        scheduler(slurm, **CREATE).add_nodes(new_nodes(["x1"]))


def test_a_full_node_table_is_noticed_although_scontrol_says_nothing() -> None:
    slurm = FakeSlurm({"h1": DYNAMIC}, table_size=2)
    with pytest.raises(SchedulerError, match=r"1 nodes were not made, first h3.*MaxNodeCount"):
        scheduler(slurm, **CREATE).add_nodes(new_nodes(["h2", "h3"]))


def test_without_create_nodes_nodes_are_slurms_own_affair() -> None:
    slurm = FakeSlurm()
    scheduler(slurm).add_nodes(new_nodes(["h1"]))
    assert not slurm.changes()


def test_a_node_that_comes_back_is_opened_only_if_it_was_closed_by_us() -> None:
    slurm = FakeSlurm({"ours": "IDLE+CLOUD", "theirs": "DOWN+CLOUD+DRAIN"}, reasons={"theirs": "ECC errors"})
    scheduler(slurm).close_nodes(["ours"], "scale in")
    scheduler(slurm).remove_nodes(["ours"])
    assert slurm.nodes["ours"] == "DOWN+CLOUD+DRAIN", "it must not come back while its machine dies"
    scheduler(slurm).add_nodes(new_nodes(["ours", "theirs"]))
    assert slurm.nodes == {"ours": "DOWN+CLOUD", "theirs": "DOWN+CLOUD+DRAIN"}


def test_removed_dynamic_nodes_are_deleted_and_others_set_down() -> None:
    slurm = FakeSlurm({"dyn": DYNAMIC + "+DRAIN", "static": "IDLE+CLOUD+DRAIN", "off": "DOWN+CLOUD"})
    scheduler(slurm).remove_nodes(["dyn", "static", "off", "unknown"])
    assert slurm.nodes == {"static": "DOWN+CLOUD+DRAIN", "off": "DOWN+CLOUD"}
    before = len(slurm.changes())
    scheduler(slurm).remove_nodes(["dyn", "static", "off"])
    assert len(slurm.changes()) == before, "removing again changes nothing"


def test_a_node_that_stays_is_an_error() -> None:
    class Busy(FakeSlurm):
        def _delete(self, names: list[str], changes: list[tuple[str, str]]) -> None:
            raise SchedulerError("scontrol delete: exit code 1: Requested nodes are busy")

    with pytest.raises(SchedulerError, match="busy"):
        scheduler(Busy({"dyn": DYNAMIC})).remove_nodes(["dyn"])


def test_a_capture_is_never_changed_and_its_writes_are_recorded() -> None:
    runner = CaptureRunner(SAMPLE)
    captured = SlurmScheduler(SlurmSettings(create_nodes={"htc*": ("cpus=4",)}), runner)
    assert captured.close_nodes(["htc-001"], "x") == (), "it is busy in the capture, and stays so"
    captured.add_nodes(new_nodes(["htc-900"]))
    captured.remove_nodes(["htc-001"])
    assert [command[1] for command in runner.recorded] == ["update", "create", "update"]


def test_a_capture_without_its_files_says_which(tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match=r"scontrol-show-nodes\.txt: no such captured file"):
        SlurmScheduler(SlurmSettings(capture_nodes=True), CaptureRunner(tmp_path)).read()
    captured = SlurmScheduler(SlurmSettings(), CaptureRunner(tmp_path))
    with pytest.raises(SchedulerError, match=r"squeue\.txt"):
        captured.read()
    (tmp_path / "squeue.txt").write_text(line(Licenses="matlab:1") + "\n")
    state = captured.read()
    assert (len(state.jobs), dict(state.shared_resources)) == (1, {})
    (tmp_path / "scontrol-show-config.txt").write_text("SelectTypeParameters    = CR_CORE\n")
    (tmp_path / "squeue.txt").write_text(line(MinMemory="0") + "\n")
    assert len(captured.read().jobs[0].shape.constraints) == 1
