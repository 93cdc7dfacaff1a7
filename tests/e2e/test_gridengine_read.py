"""GridEngineScheduler against a real qmaster: jobs come from qsub; hosts join, close, reopen, are lost and leave."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from gridengine_rig import PACKAGES, GridEngineRig, is_installed, may_make_machines
from new_nodes import new_nodes

from autoscale_aks.errors import SchedulerError
from autoscale_aks.model.job import PackingStrategy
from autoscale_aks.schedulers.port import version_of
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.schedulers.port import SchedulerNode, SchedulerPort, SchedulerState

pytestmark = [
    pytest.mark.gridengine,
    pytest.mark.slow,
    pytest.mark.skipif(not is_installed(), reason=f"NO REAL GRID ENGINE HERE: apt-get install {PACKAGES} iproute2"),
    pytest.mark.skipif(not may_make_machines(), reason="NO REAL GRID ENGINE HERE: network namespaces need root"),
]

JOIN = {"n*": {"hostgroups": ["@htc"], "slots": 4, "complex_values": {"mem_free": "8G", "gpu": 2}}}
HTC = {"nodearray": ("htc",)}


@pytest.fixture(scope="module")
def rig() -> Iterator[GridEngineRig]:
    with GridEngineRig() as running:
        running.define_complex(
            "matlab matlab INT <= YES YES 0 0",
            "gpu gpu INT <= YES JOB 0 0",
            "mem_free mf MEMORY <= YES YES 0 0",
            "exclusive excl BOOL EXCL YES YES 0 1000",
            "slot_type slot_type RESTRING == YES NO NONE 0",
        )
        for group in ("@htc", "@big"):
            running.define_group(group)
        for name, rule in (("mpi", "$fill_up"), ("smp", "$pe_slots"), ("four", "4")):
            running.define_environment(name, rule)
        running.define_queue("all.q", "@htc", slots=8, pe_list="mpi smp four")
        running.define_queue("big.q", "@big", slots=8, pe_list="mpi", seq_no=9)
        running.run(["qconf", "-rattr", "exechost", "complex_values", "matlab=3", "global"])
        running.define_quota("limits", "users {*} to gpu=3")
        yield running


@pytest.fixture
def scheduler(rig: GridEngineRig) -> Iterator[SchedulerPort]:
    commands = {name: rig.wrapper(name) for name in ("qstat", "qhost", "qconf", "qmod")}
    groups = {"@htc": ["htc"], "@big": ["big"]}
    settings = {"type": "gridengine", **commands, "timeout_s": 20, "hostgroups": groups, "join": JOIN}
    yield build_scheduler(settings, environment=rig.env)
    rig.run(["qdel", "-u", "*"], check=False)
    rig.wait_until(lambda: not rig.output("qstat", "-u", "*").strip(), "the queue is empty")


def nodes(state: SchedulerState) -> dict[str, SchedulerNode]:
    assert state.nodes is not None
    return {node.name: node for node in state.nodes}


def shown(state: SchedulerState) -> dict[str, list[dict[str, Any]]]:
    return {job.name: [dict(part) for part in job.shape.constraints] for job in state.jobs}


def test_an_empty_cluster_is_read(scheduler: SchedulerPort) -> None:
    state = scheduler.read()
    assert (state.jobs, state.nodes, state.problems, state.complete) == ((), (), (), True)
    assert state.shared_resources["matlab"].current == 3
    assert re.fullmatch(r"\S*GE \d+\.\d+\S*", version_of(scheduler))


def test_every_kind_of_waiting_job_becomes_what_it_asked_for(rig: GridEngineRig, scheduler: SchedulerPort) -> None:
    rig.announce("n9")
    scheduler.add_nodes(new_nodes(["n9"]))  # qsub refuses -q for a queue that has no host at all
    plain = rig.submit("-b", "y", "-l", "mem_free=2G", "sleep", "5")
    packed = rig.submit("-b", "y", "-pe", "mpi", "6-12", "-q", "all.q", "sleep", "5")
    threads = rig.submit("-b", "y", "-pe", "smp", "3", "-l", "mem_free=1G,gpu=1", "sleep", "5")
    spread = rig.submit("-b", "y", "-pe", "four", "8", "-l", "exclusive=true", "sleep", "5")
    sweep = rig.submit("-b", "y", "-t", "2-20:2", "-tc", "3", "sleep", "5")
    licence = rig.submit("-b", "y", "-l", "matlab=2", "sleep", "5")
    held = rig.submit("-b", "y", "-h", "sleep", "5")
    after = rig.submit("-b", "y", "-hold_jid", plain, "sleep", "5")
    later = rig.submit("-b", "y", "-a", "203001010000", "sleep", "5")
    due = rig.submit("-b", "y", "-a", "202001010000", "-N", "a<b&c", "sleep", "5")
    rig.wait_until(lambda: "0.00000 a<b&c" not in rig.output("qstat"), "the scheduler has weighed the jobs")
    state = scheduler.read()
    assert state.problems == ()
    assert {job.name: (job.count, job.not_runnable_reason.partition(":")[0]) for job in state.jobs} == {
        plain: (1, ""),
        packed: (1, ""),
        threads: (1, ""),
        spread: (1, ""),
        f"{sweep}.2-6:2": (3, ""),
        f"{sweep}.8-20:2": (7, "as many tasks of its array run as -tc allows"),
        licence: (1, ""),
        held: (1, "Hold"),
        after: (1, "Dependency"),
        later: (1, "BeginTime"),
        due: (1, ""),
    }
    found = shown(state)
    both = {"nodearray": ("htc", "big")}
    assert found[plain] == [{"slots": 1, "mem_free": "size::2g"}, both]
    assert found[packed] == [{"slots": 1}, HTC], "-q leaves only the node arrays of its queue"
    assert found[threads] == [
        {"slots": 3, "mem_free": "size::3g", "gpu": 1},
        HTC,
        {"shared-consumable": {"resources": ("limits/1 root gpu",), "amount": 1, "decrement_once": True}},
    ], "memory counts for each slot, a JOB consumable once; the quota counts it too"
    assert found[spread] == [{"slots": 4}, HTC, {"exclusive": True}]
    assert found[licence][-1]["shared-consumable"]["resources"] == ("matlab",)
    shapes = {job.name: job.shape for job in state.jobs}
    assert (shapes[packed].node_count, shapes[packed].packing_strategy) == (6, PackingStrategy.PACK)
    assert (shapes[spread].node_count, shapes[spread].packing_strategy) == (2, None)
    scheduler.remove_nodes(["n9"])
    assert [job.priority for job in state.jobs] == sorted((job.priority for job in state.jobs), reverse=True)


def test_a_host_joins_works_is_closed_reopened_lost_and_removed(rig: GridEngineRig, scheduler: SchedulerPort) -> None:
    rig.announce("n1", "n2")
    scheduler.add_nodes(new_nodes(["n1"]))
    scheduler.add_nodes(new_nodes(["n1"]))
    assert nodes(scheduler.read())["n1"].state == "Booting", "known, and its machine is not there yet"
    rig.run(["qconf", "-ah", "n2"])
    rig.boot("n1")
    rig.boot("n2")
    rig.wait_until(lambda: nodes(scheduler.read())["n1"].state == "Ready", "n1 is ready")
    rig.wait_until(lambda: "n2" in nodes(scheduler.read()), "the execd of n2 has made itself known")
    assert nodes(scheduler.read())["n2"].state == "Booting", "no queue has it yet"
    scheduler.add_nodes(new_nodes(["n1", "n2"]))
    rig.wait_until(lambda: nodes(scheduler.read())["n2"].state == "Ready", "n2 is ready")

    job = rig.submit("-b", "y", "-r", "y", "-pe", "mpi", "6", "-l", "mem_free=1G", "sleep", "600")
    rig.wait_until(lambda: len(scheduler.read().running) == 2, "the job runs on both hosts")
    waiting = rig.submit("-b", "y", "-l", "mem_free=7G", "sleep", "1")
    state = scheduler.read()
    assert {name: node.job_ids for name, node in nodes(state).items()} == {"n1": (job,), "n2": (job,)}
    left = {name: node.available["slots"] for name, node in nodes(state).items()}
    assert sorted(left.values()) == [0, 2]
    assert [found.name for found in state.jobs] == [waiting]

    assert scheduler.close_nodes(["n1", "no-such-host"], "scale in") == (), "a job runs there"
    assert nodes(scheduler.read())["n1"].state == "Closed"
    scheduler.reopen_nodes(["n1"])
    assert nodes(scheduler.read())["n1"].state == "Ready"
    rig.run(["qdel", waiting, job])
    rig.wait_until(lambda: not scheduler.read().running, "the job is gone")
    assert scheduler.close_nodes(["n2"], "scale in") == ("n2",)
    assert scheduler.close_nodes(["n2"], "scale in") == ("n2",)

    rig.crash("n2")
    scheduler.remove_nodes(["n2", "no-such-host"])
    assert set(nodes(scheduler.read())) == {"n1"}
    assert "n2" not in rig.output("qconf", "-sel")
    scheduler.remove_nodes(["n2"])

    evicted = rig.submit("-b", "y", "-r", "y", "sleep", "600")
    rig.wait_until(lambda: bool(scheduler.read().running), "the job runs")
    rig.crash("n1")
    rig.wait_until(lambda: nodes(scheduler.read())["n1"].state == "Down", "the loss is seen")
    scheduler.remove_nodes(["n1"])
    rig.wait_until(lambda: [found.name for found in scheduler.read().jobs] == [evicted], "the job waits again")
    assert scheduler.read().nodes == ()


def test_a_name_that_does_not_resolve_is_reported_and_the_others_join(
    rig: GridEngineRig, scheduler: SchedulerPort
) -> None:
    rig.announce("n7")
    with pytest.raises(SchedulerError, match="resolve"):
        scheduler.add_nodes(new_nodes(["n6-unknown", "n7"]))
    assert nodes(scheduler.read())["n7"].state == "Booting"
    scheduler.remove_nodes(["n7"])
    assert scheduler.read().nodes == ()


def test_a_master_that_does_not_answer_is_an_error_with_its_own_words(
    rig: GridEngineRig, scheduler: SchedulerPort
) -> None:
    rig.stop_controller()
    try:
        with pytest.raises(SchedulerError, match=r"qhost .*(exit code 1: .*|no answer after)"):
            scheduler.read()
    finally:
        rig.start_controller()
    assert scheduler.read().complete


def test_a_waiting_jobs_reason_is_seen_by_its_user_and_taken_away_again(rig: GridEngineRig) -> None:
    commands = {name: rig.wrapper(name) for name in ("qstat", "qhost", "qconf", "qmod", "qalter")}
    chosen: Any = build_scheduler(
        {"type": "gridengine", **commands, "timeout_s": 20, "job_reasons": True}, environment=rig.env
    )
    job = rig.submit("-b", "y", "-l", "mem_free=500G", "sleep", "1")
    before = chosen.read()
    assert chosen.explain_jobs({job: "NO_BUCKET_MATCH: no size has 500 GB, not one", "999999": "gone"}) == (job,)
    rig.wait_until(lambda: "azaks=NO_BUCKET_MATCH" in rig.output("qstat", "-j", job), "the reason is shown")
    assert "not one" in rig.output("qstat", "-j", job)
    assert [one.runnable for one in chosen.read().jobs] == [one.runnable for one in before.jobs], "it changes nothing"
    assert chosen.explain_jobs({job: ""}) == (job,)
    assert "azaks" not in rig.output("qstat", "-j", job)
    rig.run(["qdel", job], check=False)
