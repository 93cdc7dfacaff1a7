"""PbsScheduler: what it asks, and that it believes what it sees afterwards rather than exit codes."""

from __future__ import annotations

import json
import os
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from new_nodes import new_nodes
from pbs_site import BUSY, FakePbs, job, listing, node

from autoscale_aks.errors import ConfigError, SchedulerError
from autoscale_aks.schedulers.openpbs.commands import CaptureRunner
from autoscale_aks.schedulers.openpbs.driver import PbsScheduler
from autoscale_aks.schedulers.openpbs.listing import cut_objects
from autoscale_aks.schedulers.openpbs.nodes import MARK
from autoscale_aks.schedulers.openpbs.settings import read_settings
from autoscale_aks.schedulers.process import Answer
from autoscale_aks.schedulers.registry import build_scheduler, known_types
from autoscale_aks.units import Size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

CREATE = {"az1-htc-*": {"ncpus": 4, "mem": "15gb", "ungrouped": True}}


def scheduler(pbs: Any, **settings: Any) -> PbsScheduler:
    return PbsScheduler(read_settings({"type": "openpbs", **settings}), pbs)


def states(pbs: FakePbs) -> dict[str, str]:
    found = scheduler(pbs).read().nodes
    assert found is not None
    return {one.name: one.state for one in found}


def test_reading_asks_for_nodes_before_jobs_and_believes_either_of_what_runs() -> None:
    text = listing(j1=job(job_state="R", exec_host="n2/0"), j2=job())
    pbs = FakePbs({"n1": node(jobs=["7[3].server/0", "7[3].server/1"]), "n2": node(), "n3": node()}, jobs=text)
    state = scheduler(pbs, pbs_conf="/etc/pbs.conf").read()
    asked = [" ".join(call) for call in pbs.calls]
    assert asked.index("pbsnodes -a -F json") < asked.index("qstat -f -F json")
    assert state.running == {"n1": ("7[3].server",), "n2": ("1.server",)}
    assert state.complete


def test_subjobs_are_asked_for_where_the_site_wants_them() -> None:
    pbs = FakePbs({})
    scheduler(pbs, subjobs=True).read()
    assert ("qstat", "-t", "-f", "-F", "json") in pbs.calls


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        ({"state": "free"}, "Ready"),
        ({"state": "job-busy", "jobs": ["1.s"]}, "Ready"),
        ({"state": "job-exclusive", "jobs": ["1.s"]}, "Ready"),
        ({"state": "offline,job-busy", "jobs": ["1.s"]}, "Closed"),
        ({"state": "maintenance"}, "Closed"),
        ({"state": "down,offline"}, "Down"),
        ({"state": "state-unknown,down"}, "Down"),
        ({"state": "state-unknown,down", "pcpus": None}, "Booting"),
        ({"state": "offline,state-unknown,down", "pcpus": None}, "Closed"),
        ({"state": "stale"}, "Down"),
        ({"state": "provisioning"}, "Booting"),
    ],
)
def test_a_nodes_state_in_our_words(attributes: dict[str, Any], state: str) -> None:
    body = {key: value for key, value in node(**attributes).items() if value is not None}
    assert states(FakePbs({"n1": body})) == {"n1": state}


def test_what_is_left_of_a_node() -> None:
    given = {"ncpus": "4", "mem": "16gb", "ngpus": 2, "slot_type": "htc", "ungrouped": "true", "ccnodeid": "az1-htc-7",
             "vnode": "n1"}  # fmt: skip
    used = {"ncpus": 3, "mem": "1048576kb"}
    alone = node(state="job-exclusive", jobs=["1.s"])
    pbs = FakePbs({"n1": node(resources_available=given, resources_assigned=used), "n2": alone})
    found = {one.name: one for one in scheduler(pbs).read().nodes or ()}
    assert found["n1"].machine == "az1-htc-7"
    assert found["n1"].resources == {
        "ncpus": 4, "mem": Size(16 * 1024**3), "ngpus": 2, "slot_type": "htc", "ungrouped": True,
        "ccnodeid": "az1-htc-7",
    }  # fmt: skip
    assert found["n1"].available == {"ncpus": 1, "mem": Size(15 * 1024**3), "ngpus": 2}
    assert found["n2"].available == {"ncpus": 0, "mem": Size(0)}, "a job has the node alone"


def test_a_node_that_cannot_be_read_makes_the_answer_incomplete_and_a_bad_job_does_not() -> None:
    assert scheduler(FakePbs({"n1": node()}, jobs=listing(j1={"x": 1}))).read().complete
    state = scheduler(FakePbs({"n1": node(), "n2": node(resources_available={"mem": "lots"}), "n3": {}})).read()
    assert not state.complete
    assert [one.name for one in state.nodes or ()] == ["n1"]


def test_closing_returns_the_offline_nodes_and_not_those_on_which_a_job_landed() -> None:
    pbs = FakePbs({name: node() for name in "abc"}, land_on="b")
    pbs.nodes["c"]["state"] = "offline"
    assert scheduler(pbs).close_nodes(["a", "b", "c", "unknown"], "scale in\nnow") == ("a", "c")
    assert pbs.changes() == [("pbsnodes", "-C", "autoscale: scale in now", "-o", "a", "b")]
    assert scheduler(pbs).close_nodes(["a"], "x") == ("a",)
    assert scheduler(pbs).close_nodes([], "x") == ()


def test_one_refused_node_does_not_keep_the_others_open() -> None:
    pbs = FakePbs({name: node() for name in "abc"}, refuses=frozenset("b"))
    assert scheduler(pbs).close_nodes(["a", "b", "c"], "x") == ("a", "c")
    with pytest.raises(SchedulerError, match="b: no"):
        scheduler(pbs).close_nodes(["b"], "x")


def test_reopening_takes_the_mark_and_the_comment_away() -> None:
    ours, theirs = node(state="offline", comment=f"{MARK}: idle"), node(state="offline", comment="broken fan")
    pbs = FakePbs({"a": ours, "b": node(), "theirs": theirs})
    scheduler(pbs).reopen_nodes(["a", "b", "theirs", "unknown"])
    assert pbs.changes() == [("pbsnodes", "-C", "", "-r", "a")]
    assert states(pbs) == {"a": "Ready", "b": "Ready", "theirs": "Closed"}, "an administrator's mark stays"


def test_a_node_is_made_closed_given_its_resources_and_opened() -> None:
    pbs = FakePbs({})
    scheduler(pbs, create_nodes=CREATE).add_nodes(new_nodes(["az1-htc-7", "az1-hpc-1"]))
    assert [call[-1] for call in pbs.changes()] == [
        "create node az1-htc-7",
        "set node az1-htc-7 state = offline",
        "set node az1-htc-7 resources_available.ncpus = 4",
        "set node az1-htc-7 resources_available.mem = 15gb",
        "set node az1-htc-7 resources_available.ungrouped = true",
        "set node az1-htc-7 resources_available.ccnodeid = az1-htc-7",
        "set node az1-htc-7 state -= offline",
    ]
    assert states(pbs) == {"az1-htc-7": "Booting"}
    before = len(pbs.changes())
    scheduler(pbs, create_nodes=CREATE).add_nodes(new_nodes(["az1-htc-7"]))
    assert len(pbs.changes()) == before, "a known node is left alone"


def test_a_name_that_does_not_resolve_is_reported_and_the_others_are_made() -> None:
    pbs = FakePbs({}, unresolved=frozenset({"az1-htc-1"}))
    with pytest.raises(SchedulerError, match="Unknown node"):
        scheduler(pbs, create_nodes=CREATE).add_nodes(new_nodes(["az1-htc-1", "az1-htc-2"]))
    assert set(pbs.nodes) == {"az1-htc-2"}


def test_a_node_that_was_left_half_made_is_finished() -> None:
    class Stumbling(FakePbs):
        def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
            if args[-1].endswith("mem = 15gb") and len(self.calls) < 10:
                self.calls.append(tuple(args))
                raise SchedulerError("qmgr: exit code 1: cannot connect to server")
            return FakePbs.run(self, args, env)

    pbs = Stumbling({})
    with pytest.raises(SchedulerError, match="cannot connect"):
        scheduler(pbs, create_nodes=CREATE).add_nodes(new_nodes(["az1-htc-7"]))
    assert states(pbs) == {"az1-htc-7": "Closed"}, "no job lands on a node without its memory"
    pbs.calls.extend([("",)] * 10)
    scheduler(pbs, create_nodes=CREATE).add_nodes(new_nodes(["az1-htc-7"]))
    assert states(pbs) == {"az1-htc-7": "Booting"}
    assert pbs.nodes["az1-htc-7"]["resources_available"]["ccnodeid"] == "az1-htc-7"


def test_who_closed_a_node_is_told_by_its_comment() -> None:
    ours, theirs = (node(state="offline", comment=why) for why in ("autoscale: idle", "disk is broken"))
    open_again = node(state="free", comment="autoscale: idle")
    pbs = FakePbs({"ours": ours, "theirs": theirs, "silent": node(state="offline"), "open": open_again})
    found = {one.name: one.closed_by_us for one in scheduler(pbs).read().nodes or ()}
    assert found == {"ours": True, "theirs": False, "silent": False, "open": False}


def test_only_nodes_that_we_closed_are_opened_when_they_come_again() -> None:
    ours, theirs = (node(state="offline", comment=why) for why in ("autoscale: idle", "disk is broken"))
    pbs = FakePbs({"az1-htc-1": ours, "az1-htc-2": theirs})
    scheduler(pbs, create_nodes=CREATE).add_nodes(new_nodes(["az1-htc-1", "az1-htc-2"]))
    assert states(pbs) == {"az1-htc-1": "Ready", "az1-htc-2": "Closed"}


def test_removing_deletes_what_is_there_and_says_what_pbs_keeps() -> None:
    pbs = FakePbs({"a": node(), "b": node(jobs=["1.server"]), "c": node()})
    with pytest.raises(SchedulerError, match="15027"):
        scheduler(pbs).remove_nodes(["a", "b", "c", "unknown"])
    assert set(pbs.nodes) == {"b"}


@pytest.mark.parametrize("name", ["-o", "a b", "a,b", "@default", "", "a\nb"])
def test_names_that_are_no_single_node_are_refused(name: str) -> None:
    with pytest.raises(SchedulerError, match="is no node name"):
        scheduler(FakePbs({})).remove_nodes([name])


def test_server_dynamic_resources_are_asked_for_where_the_site_wants_it(tmp_path: Path) -> None:
    path = tmp_path / "sched_config"
    path.write_text('resources: "ncpus, mem, foam"\nserver_dyn_res: "foam !/opt/bin/foam --left \'a b\'"\n')

    class Dynamic(FakePbs):
        def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
            return Answer("5\n") if args[0] == "/opt/bin/foam" else FakePbs.run(self, args, env)

    pbs = Dynamic({}, jobs=listing(j1=job(resources={"foam": 2})))
    asked = scheduler(pbs, sched_config=str(path), run_server_dyn_res=True).read()
    assert asked.shared_resources["foam"].current == 5
    assert dict(asked.jobs[0].shape.constraints[1])["shared-consumable"]["amount"] == 2
    before = len(pbs.calls)
    silent = scheduler(pbs, sched_config=str(path)).read()
    assert "foam" not in silent.shared_resources
    assert "server dynamic resource foam: not asked" in silent.problems[0].message
    assert not any(call[0] == "/opt/bin/foam" for call in pbs.calls[before:])


def test_a_sched_config_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match=r"scheduler\.sched_config"):
        scheduler(FakePbs({}), sched_config=str(tmp_path / "none")).read()


def test_a_server_without_any_node_is_an_empty_cluster() -> None:
    class Empty(FakePbs):
        def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
            if args[0] == "pbsnodes":
                raise SchedulerError(f"pbsnodes -a -F json: exit code 1: pbsnodes: {said}; run it by hand to see more")
            return FakePbs.run(self, args, env)

    said = "Server has no node list"
    state = scheduler(Empty({}, jobs=listing(j1=job()))).read()
    assert (len(state.jobs), state.nodes, state.complete) == (1, (), True)
    said = "cannot connect to server"
    with pytest.raises(SchedulerError, match="cannot connect"):
        scheduler(Empty({})).read()


def test_qmgr_that_may_not_be_asked_is_reported_and_the_queue_is_read_all_the_same() -> None:
    class Refusing(FakePbs):
        def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
            if args[0] == "qmgr":
                raise SchedulerError("qmgr: exit code 1: Unauthorized Request")
            return FakePbs.run(self, args, env)

    state = scheduler(Refusing({"n1": node()}, jobs=listing(j1=job()))).read()
    assert [found.name for found in state.jobs] == ["1.server"]
    assert {problem.path for problem in state.problems} == {"qmgr list resource", "qmgr list sched"}


def test_a_capture_answers_reads_and_keeps_writes() -> None:
    runner = CaptureRunner(BUSY)
    pbs = scheduler(runner, capture_nodes=True, create_nodes=CREATE)
    assert len(pbs.read().nodes or ()) == 3
    pbs.close_nodes(["n01"], "x")
    pbs.add_nodes(new_nodes(["az1-htc-1"]))
    assert [call[0] for call in runner.recorded] == ["pbsnodes", *["qmgr"] * 7]
    with pytest.raises(SchedulerError, match="no such captured file"):
        scheduler(CaptureRunner(BUSY / "none")).read()


def test_settings_report_every_mistake_at_once() -> None:
    wrong = {
        "qstat": "", "timeout_s": 0, "queues": {"workq": 3}, "unknown_reasons": "maybe", "create_nodes":
        {"a*": {"1x": 1, "mem": "1; rm"}, "b*": {"ncpus": None}}, "sched_confg": "x",
    }  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        read_settings({"type": "openpbs", **wrong})
    assert {problem.path for problem in caught.value.problems} == {
        "scheduler.sched_confg", "scheduler.qstat", "scheduler.timeout_s", "scheduler.queues.workq",
        "scheduler.unknown_reasons", "scheduler.create_nodes.a*.1x", "scheduler.create_nodes.a*.mem",
        "scheduler.create_nodes.b*.ncpus",
    }  # fmt: skip


def test_real_programs_are_run_with_the_sites_configuration_and_without_the_users(tmp_path: Path) -> None:
    script = f"""#!/bin/sh
echo "$(basename $0) $* conf=$PBS_CONF_FILE dprefix=$PBS_DPREFIX" >> {tmp_path}/log
case "$*" in
  *-Qf*) cat {BUSY}/qstat-Qf.json;; *-Bf*) cat {BUSY}/qstat-Bf.json;; *-a*) cat {BUSY}/pbsnodes-a.json;;
  *-f*) cat {BUSY}/qstat-f.json;; *"list resource") cat {BUSY}/qmgr-list-resource.txt;;
esac
"""
    commands = {}
    for name in ("qstat", "pbsnodes", "qmgr"):
        path = tmp_path / name
        path.write_text(script)
        path.chmod(0o755)
        commands[name] = str(path)
    environment = {**os.environ, "PBS_DPREFIX": "--"}
    real = build_scheduler({"type": "openpbs", **commands, "pbs_conf": "/etc/pbs.conf"}, environment=environment)
    captured = scheduler(CaptureRunner(BUSY), capture_nodes=True).read()
    found = real.read()
    assert [(one.name, one.shape.constraints) for one in found.jobs] == [
        (one.name, one.shape.constraints) for one in captured.jobs
    ]
    assert (found.nodes, found.shared_resources, found.problems) == (captured.nodes, captured.shared_resources, ())
    log = (tmp_path / "log").read_text().splitlines()
    assert log[0] == "pbsnodes -a -F json conf=/etc/pbs.conf dprefix="
    assert log[-1] == "qstat -f -F json conf=/etc/pbs.conf dprefix="


def test_both_are_chosen_by_their_type() -> None:
    assert {"openpbs", "gridengine"} <= set(known_types())
    settings = {"type": "openpbs", "capture_dir": str(BUSY)}
    assert build_scheduler(settings, environment={}).read().jobs


def test_a_jobs_reason_stands_behind_the_schedulers_own_words_which_are_still_read() -> None:
    jobs = listing(
        j1=job(comment="Not Running: Queue express job limit has been reached."),
        a2=job(array_indices_remaining="1-3", job_state="B"),
        j3=job(comment="Not Running: licence of the moon | azaks: QUOTA: none left"),
    )
    pbs = FakePbs({}, jobs=jobs)
    kube = scheduler(pbs, job_reasons=True)
    state = kube.read()
    assert state.takes_reasons > 0
    assert [job.name for job in state.jobs if not job.runnable] == ["1.server"]
    assert any("licence of the moon'" in problem.message for problem in state.problems), "ours is no part of it"
    reasons = {"1.server": "QUOTA: no\ncores", "2[1-3].server": "LIMIT: full", "3.server": "", "9.server": "gone"}
    assert kube.explain_jobs(reasons) == ("1.server", "2[1-3].server", "3.server")
    assert [call for call in pbs.calls if call[0] == "qalter"] == [
        ("qalter", "-W", "comment=Not Running: Queue express job limit has been reached. | azaks: QUOTA: no cores",
         "1.server"),
        ("qalter", "-W", "comment= | azaks: LIMIT: full", "2[].server"),
        ("qalter", "-W", "comment=Not Running: licence of the moon", "3.server"),
    ]  # fmt: skip


def test_no_comment_is_written_where_the_site_did_not_ask_for_it() -> None:
    pbs = FakePbs({}, jobs=listing(j1=job()))
    quiet = scheduler(pbs)
    assert quiet.read().takes_reasons == 0
    assert quiet.explain_jobs({"1.server": "QUOTA"}) == ()
    assert not [call for call in pbs.calls if call[0] == "qalter"]


class Strict(FakePbs):
    """A server on which we are no operator."""

    def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
        if args[0] == "qalter":
            raise SchedulerError("qalter: Unauthorized Request")
        return super().run(args, env)


def test_a_server_that_refuses_every_reason_is_an_error() -> None:
    strict = scheduler(Strict({}, jobs=listing(j1=job())), job_reasons=True)
    strict.read()
    with pytest.raises(SchedulerError, match="Unauthorized"):
        strict.explain_jobs({"1.server": "QUOTA"})


@pytest.mark.parametrize("size", [1, 7, 100, 4096])
def test_a_listing_that_comes_in_pieces_is_the_listing(size: int) -> None:
    text = (BUSY / "qstat-f.json").read_text()

    def pieces(program: str) -> list[tuple[str, str]]:
        return list(cut_objects((program[at : at + size] for at in range(0, len(program), size)), "Jobs", "qstat"))

    whole = list(cut_objects(text, "Jobs", "qstat"))
    assert pieces(text) == whole
    assert len(whole) > 20
    in_one_line = json.dumps(json.loads(text))
    assert [name for name, _ in pieces(in_one_line)] == [name for name, _ in whole]
    assert pieces('{"timestamp": 1}') == []
    with pytest.raises(SchedulerError, match="printed no listing; it begins 'Connection refused"):
        pieces("Connection refused, qstat: cannot connect to server")


def test_of_a_long_listing_only_a_piece_and_a_job_are_kept() -> None:
    """An endless value in one job's environment is no reason to keep all others."""
    head, body = '{\n\t"Jobs":{\n', '\t\t"%d.s":{\n\t\t\t"job_state":"Q",\n\t\t\t"x":"' + "y" * 2000 + '"\n\t\t},\n'

    def endless() -> Iterator[str]:
        yield head
        for number in range(20_000):
            yield body % number

    tracemalloc.start()
    try:
        assert sum(1 for _ in cut_objects(endless(), "Jobs", "qstat")) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 4_000_000, "of 40 MB"
    finally:
        tracemalloc.stop()
