"""GridEngineScheduler: what it asks, what it tells, and that it believes what it sees afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from ge_site import BUSY, CAPTURES, FakeGridEngine, details, host, job, listing, qhost, scheduler
from new_nodes import new_nodes

from autoscale_aks.errors import ConfigError, SchedulerError
from autoscale_aks.schedulers.gridengine.commands import CaptureRunner
from autoscale_aks.schedulers.gridengine.settings import read_settings
from autoscale_aks.units import Size

OPEN = {"all.q": "4/0/"}
JOIN = {"az1-htc-*": {"hostgroups": ["@htc"], "slots": 4, "complex_values": {"mem_free": "15G", "exclusive": True}}}


def states(*hosts: str) -> dict[str, str]:
    nodes = scheduler(FakeGridEngine(hosts=qhost(*hosts))).read().nodes
    assert nodes is not None
    return {node.name: node.state for node in nodes}


@pytest.mark.parametrize(
    ("made", "state"),
    [
        ({"queues": OPEN}, "Ready"),
        ({"queues": OPEN, "jobs": ["1"]}, "Ready"),
        ({"queues": {"all.q": "4/0/d", "b.q": "2/0/d"}}, "Closed"),
        ({"queues": {"all.q": "4/0/d", "b.q": "2/0/"}}, "Ready"),
        ({"queues": {"all.q": "4/2/du"}, "load": "-"}, "Closed"),
        ({"queues": {"all.q": "4/0/au"}, "load": "-"}, "Down"),
        ({"queues": {"all.q": "4/0/E"}}, "Closed"),
        ({"queues": {"all.q": "4/0/au"}, "arch": "-", "load": "-"}, "Booting"),
        ({"queues": {"all.q": "4/0/adu"}, "arch": "-", "load": "-"}, "Closed"),
        ({"queues": {}}, "Booting"),
        ({"queues": {}, "load": "-"}, "Down"),
    ],
)
def test_a_hosts_state_in_our_words(made: dict[str, Any], state: str) -> None:
    assert states(host("n1", **made)) == {"n1": state}


def test_what_is_left_of_a_host() -> None:
    resources = {"slots": "hc:3.000000", "mem_free": "hc:6.000G", "gpu": "hc:1.000000", "slot_type": "hf:htc",
                 "load_avg": "hl:0.3", "mem_total": "hl:15.6G", "matlab": "gc:2.0", "exclusive": "hc:1.0"}  # fmt: skip
    own = host("n1", queues={"all.q": "8/4/", "b.q": "8/1/"}, jobs=["5"], resources=resources)
    plain = host("n2", queues={"all.q": "4/1/", "b.q": "2/0/"}, jobs=["5"])
    asked = job(1, requests={"mf": "1G", "slot_type": "htc", "exclusive": "true", "matlab": "1"})
    nodes = scheduler(FakeGridEngine(jobs=listing(asked), hosts=qhost(own, plain))).read().nodes
    found = {node.name: node for node in nodes or ()}
    assert found["n1"].resources == {"slots": 8, "mem_free": Size(6 * 1024**3), "slot_type": "htc"}
    assert found["n1"].available == {"slots": 3}
    assert (found["n2"].resources, found["n2"].available) == ({"slots": 4}, {"slots": 3})
    assert found["n2"].job_ids == ("5",)


def test_a_value_that_cannot_be_read_is_reported_and_the_answer_is_complete() -> None:
    odd = host("n1", queues=OPEN, resources={"mem_total": "hl:lots"})
    cluster = FakeGridEngine(jobs=listing(job(1, requests={"mem_total": "1G"})), hosts=qhost(odd))
    state = scheduler(cluster).read()
    assert (state.complete, [problem.path for problem in state.problems]) == (True, ["qhost n1"])
    assert [node.name for node in state.nodes or ()] == ["n1"]


def test_a_host_that_a_job_has_alone_has_nothing_left() -> None:
    alone = host("n1", queues={"all.q": "8/2/"}, jobs=["5"], resources={"exclusive": "hc:-1.000000"})
    (node,) = scheduler(FakeGridEngine(hosts=qhost(alone))).read().nodes or ()
    assert (node.resources, node.available) == ({"slots": 8}, {"slots": 0})


def test_reading_asks_for_hosts_before_jobs_and_for_details_of_arrays_and_of_the_first_jobs() -> None:
    jobs = listing(job(1), job(2), job(3), job(4, tasks="1-3:1"), job(9, state="r", at="all.q@n1", tasks="1"))
    cluster = FakeGridEngine(jobs=jobs, details=details({4: 1}))
    state = scheduler(cluster, reasons=2, sge_root="/opt/sge", sge_cell="east").read()
    lines = [" ".join(call) for call in cluster.calls]
    assert lines[0] == "qhost -xml -F -q -j"
    assert lines.index("qstat -xml -r -u *") > 0
    assert lines[-1] == "qstat -xml -j 4,1,2"
    assert not any("ha" in call for call in cluster.calls), "start times are asked for only where it matters"
    assert [found.count for found in state.jobs] == [1, 1, 1, 1, 2]


def test_a_host_that_cannot_be_read_makes_the_answer_incomplete() -> None:
    odd = host("n3", queues=OPEN, resources={"slots": "hc:many"})
    state = scheduler(
        FakeGridEngine(hosts=qhost(host("n1", queues={"all.q": "x/0/"}), odd, host("n2", queues=OPEN)))
    ).read()
    assert not state.complete
    assert [node.name for node in state.nodes or ()] == ["n2"]


class Disabling(FakeGridEngine):
    """`qmod -d` closes what it names; a job lands on n2 just before."""

    def run(self, args: Any, env: Any) -> Any:
        if args[0] == "qmod" and args[1] == "-d":
            name = args[2].removeprefix("*@")
            now = host(name, queues={"all.q": "4/0/d"}, jobs=["7"] if name == "n2" else [])
            self.hosts = self.hosts.replace(host(name, queues=OPEN), now)
        return FakeGridEngine.run(self, args, env)


def test_closing_returns_the_disabled_hosts_and_not_those_on_which_a_job_landed() -> None:
    cluster = Disabling(hosts=qhost(*(host(f"n{number}", queues=OPEN) for number in (1, 2, 3))))
    assert scheduler(cluster).close_nodes(["n1", "n2", "unknown"], "scale in") == ("n1",)
    assert cluster.changes() == ["qmod -d *@n1", "qmod -d *@n2"]
    assert scheduler(cluster).close_nodes(["n1"], "again") == ("n1",)
    assert len(cluster.changes()) == 2
    scheduler(cluster).reopen_nodes(["n1", "unknown"])
    assert cluster.changes()[2:] == ["qmod -e *@n1"]


def test_a_host_joins_with_its_values_before_a_queue_may_use_it() -> None:
    cluster = FakeGridEngine()
    scheduler(cluster, join=JOIN).add_nodes(new_nodes(["az1-htc-1", "az1-hpc-1"]))
    ah, made, group = cluster.changes()
    assert ah == "qconf -ah az1-htc-1"
    assert made.startswith("qconf -Ae ")
    assert group == "qconf -aattr hostgroup hostlist az1-htc-1 @htc"


def test_a_host_that_made_itself_known_is_given_its_values() -> None:
    cluster = FakeGridEngine(refuse={"-ah": 'adminhost "x" already exists', "-Ae": 'exechost "x" already exists'})
    scheduler(cluster, join=JOIN).add_nodes(new_nodes(["az1-htc-1"]))
    values = "mem_free=15G,exclusive=true,slots=4"
    assert f"qconf -mattr exechost complex_values {values} az1-htc-1" in cluster.changes()


def test_a_name_that_does_not_resolve_is_reported() -> None:
    cluster = FakeGridEngine(refuse={"-ah az1-htc-1": 'can\'t resolve hostname "az1-htc-1"'})
    with pytest.raises(SchedulerError, match="resolve"):
        scheduler(cluster, join=JOIN).add_nodes(new_nodes(["az1-htc-1", "az1-htc-2"]))
    assert cluster.changes()[-1].endswith("az1-htc-2 @htc")


def test_a_disabled_host_is_opened_when_it_comes_again() -> None:
    cluster = FakeGridEngine(hosts=qhost(host("n1", queues={"all.q": "4/0/d"})))
    scheduler(cluster).add_nodes(new_nodes(["n1"]))
    assert cluster.changes() == ["qmod -e *@n1"]


def test_removing_takes_the_host_out_of_groups_and_queues_first() -> None:
    cluster = FakeGridEngine(hosts=qhost(host("n1", queues=OPEN), host("oldhost", queues=OPEN)))
    scheduler(cluster).remove_nodes(["n1", "unknown"])
    assert cluster.changes() == [
        "qmod -f -rq *@n1",
        "qconf -dattr hostgroup hostlist n1 @htc",
        "qconf -purge queue * all.q@n1",
        "qconf -purge queue * long.q@n1",
        "qconf -de n1",
        "qconf -dh n1",
    ]
    scheduler(cluster).remove_nodes(["oldhost"])
    assert "qconf -dattr queue hostlist oldhost long.q" in cluster.changes()


def test_a_host_that_is_still_named_is_told_of_and_one_that_is_gone_is_fine() -> None:
    hosts = qhost(host("n1", queues=OPEN))
    gone = {"-de": 'denied: execution host "n1" does not exist', "-dh": 'denied: "n1" is not an administrative host'}
    scheduler(FakeGridEngine(hosts=hosts, refuse=gone)).remove_nodes(["n1"])
    named = {"-de": 'Host object "n1" is still referenced in cluster queue "b.q".'}
    with pytest.raises(SchedulerError, match="still referenced"):
        scheduler(FakeGridEngine(hosts=hosts, refuse=named)).remove_nodes(["n1"])


@pytest.mark.parametrize("name", ["-x", "a b", "a,b", "@htc", "", "global", "template", "all"])
def test_names_that_are_no_single_host_are_refused(name: str) -> None:
    with pytest.raises(SchedulerError, match="is no node name"):
        scheduler(FakeGridEngine()).remove_nodes([name])


def test_a_cluster_without_queues_groups_or_quotas_is_read() -> None:
    nothing = {
        "-sq": "No cluster queue or queue instance matches the phrase \"*\"", "-spl": "no parallel environment defined",
        "-shgrpl": "no host group list defined", "-srqs": "No resource quota set found",
    }  # fmt: skip
    state = scheduler(FakeGridEngine(jobs=listing(job(1)), refuse=nothing)).read()
    assert [found.runnable for found in state.jobs] == [True]
    with pytest.raises(SchedulerError, match="commlib"):
        scheduler(FakeGridEngine(refuse={"-sq": "error: commlib error"})).read()


def test_a_capture_answers_reads_and_keeps_writes() -> None:
    runner = CaptureRunner(BUSY)
    cluster = scheduler(runner, capture_nodes=True)
    assert {node.name for node in cluster.read().nodes or ()} == {"gn1", "gn2"}
    cluster.close_nodes(["gn1"], "x")
    cluster.remove_nodes(["gn1"])
    assert [call[1] for call in runner.recorded] == [
        "-d", "-f", "-dattr", "-purge", "-purge", "-dattr", "-purge", "-de", "-dh",
    ]  # fmt: skip
    with pytest.raises(SchedulerError, match=r"a capture holds"):
        scheduler(CaptureRunner(CAPTURES / "none")).read()


def test_an_empty_capture_is_an_empty_queue() -> None:
    state = scheduler(CaptureRunner(CAPTURES / "00-empty"), capture_nodes=True).read()
    assert (state.jobs, state.problems, state.complete) == ((), (), True)
    assert {node.name: node.state for node in state.nodes or ()} == {"gn1": "Ready", "gn2": "Ready"}


def test_settings_report_every_mistake_at_once() -> None:
    wrong = {
        "qstat": "", "hostgroups": {"htc": ["htc"]}, "reasons": -1, "unknown_reasons": "maybe", "que": {},
        "join": {"a*": {"hostgroups": ["htc"], "slots": "x", "complex_values": {"mem free": "1 G"}}},
    }  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        read_settings({"type": "gridengine", **wrong})
    assert {problem.path for problem in caught.value.problems} == {
        "scheduler.que", "scheduler.qstat", "scheduler.hostgroups.htc", "scheduler.reasons",
        "scheduler.unknown_reasons",
        "scheduler.join.a*.hostgroups", "scheduler.join.a*.slots", "scheduler.join.a*.complex_values.mem free",
    }  # fmt: skip


def test_a_jobs_reason_goes_into_its_context_where_the_site_asks_for_it() -> None:
    cell = FakeGridEngine(jobs=listing(job(1), job(7)), hosts=qhost())
    chosen = scheduler(cell, job_reasons=True)
    assert chosen.read().takes_reasons > 0
    assert chosen.explain_jobs({"1": "QUOTA: a, b\nc", "7.1-3": "LIMIT", "12": ""}) == ("1", "7.1-3", "12")
    assert [call for call in cell.calls if call[0] == "qalter"] == [
        ("qalter", "-ac", "azaks=QUOTA: a; b c", "1"), ("qalter", "-ac", "azaks=LIMIT", "7"),
        ("qalter", "-dc", "azaks", "12"),
    ]  # fmt: skip
    quiet = scheduler(FakeGridEngine(jobs=listing(job(1)), hosts=qhost()))
    assert (quiet.read().takes_reasons, quiet.explain_jobs({"1": "QUOTA"})) == (0, ())
