"""Grid Engine jobs: slots and environments, complexes, queues, quotas, arrays, reasons, and malformed output."""

from __future__ import annotations

from typing import Any

import pytest
from ge_site import GROUPS, QUEUES, constraints, details, host, job, listing, qhost, read

from autoscale_aks.errors import SchedulerError
from autoscale_aks.model.job import PackingStrategy
from autoscale_aks.schedulers.gridengine.objects import parse_queues
from autoscale_aks.schedulers.gridengine.values import parse_memory, parse_seconds, parse_slots

ANY = {"nodearray": ["htc", "hpc", "big"]}
CLUSTER = {"nodearray": ["htc", "hpc"]}


@pytest.mark.parametrize(
    ("text", "size"), [("1G", 1024**3), ("1g", 1000**3), ("16.000G", 16 * 1024**3), ("512", 512), ("1.5K", 1536)]
)
def test_sizes_are_grid_engines_own(text: str, size: int) -> None:
    assert parse_memory(text, "mem").bytes == size


@pytest.mark.parametrize("text", ["", "1GB", "-1G", "G", "infinity", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount of memory"):
        parse_memory(text, "mem")


@pytest.mark.parametrize(("text", "slots"), [("6", 6), ("6-12", 6), ("-8", 1), ("4,8", 4), ("2-10:2", 2), ("6-", 6)])
def test_a_range_of_slots_asks_for_its_least(text: str, slots: int) -> None:
    assert parse_slots(text) == slots


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1:30", 90), ("24:00:00", 86400), ("::5", 5)])
def test_times_are_seconds(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("made", "expected", "nodes", "packing"),
    [
        ({}, [{"slots": 1}, ANY], 0, None),
        ({"pe": ("smp", "3")}, [{"slots": 3}, CLUSTER], 0, None),
        ({"pe": ("mpi", "6-12")}, [{"slots": 1}, CLUSTER], 6, "pack"),
        ({"pe": ("rr", "5")}, [{"slots": 1}, CLUSTER], 5, "pack"),
        ({"pe": ("four", "12")}, [{"slots": 4}, CLUSTER], 3, None),
        ({"pe": ("four", "4")}, [{"slots": 4}, CLUSTER], 0, None),
        ({"pe": ("mpi", "1")}, [{"slots": 1}, CLUSTER], 0, None),
        ({"requests": {"mem_free": "2G"}, "pe": ("smp", "3")}, [{"slots": 3, "mem_free": "size::6g"}, CLUSTER], 0,
         None),
        ({"requests": {"mem_free": "2G"}, "pe": ("four", "8")}, [{"slots": 4, "mem_free": "size::8g"}, CLUSTER], 2,
         None),
        ({"requests": {"mem_free": "2G"}, "pe": ("mpi", "8")}, [{"slots": 1, "mem_free": "size::2g"}, CLUSTER], 8,
         "pack"),
        ({"requests": {"gpu": "2"}, "pe": ("smp", "4")}, [{"slots": 4, "gpu": 2}, CLUSTER], 0, None),
        ({"requests": {"scratch": "9"}, "pe": ("four", "8")}, [{"slots": 4, "scratch": 9}, CLUSTER], 2, None),
        ({"requests": {"mem_total": "8G"}}, [{"slots": 1}, ANY, {"not": {"not": {"mem_total": "size::8g"}}}], 0, None),
        ({"requests": {"p": "4"}}, [{"slots": 1}, ANY, {"num_proc": [4]}], 0, None),
        ({"requests": {"exclusive": "true"}, "pe": ("smp", "2")}, [{"slots": 2}, CLUSTER, {"exclusive": True}], 0,
         None),
        ({"requests": {"exclusive": "1"}, "pe": ("mpi", "2")}, [{"slots": 1}, CLUSTER, {"exclusive-task": True}], 2,
         "pack"),
        ({"requests": {"exclusive": "true"}, "pe": ("four", "8")}, [{"slots": 4}, CLUSTER, {"exclusive": True}], 2,
         None),
        ({"requests": {"exclusive": "false"}}, [{"slots": 1}, ANY], 0, None),
        ({"requests": {"ib": "true"}}, [{"slots": 1}, ANY, {"ib": True}], 0, None),
        ({"requests": {"slot_type": "hpc|ht*"}}, [{"slots": 1}, ANY, {"slot_type": ["hpc", "ht*"]}], 0, None),
        ({"requests": {"slot_type": "!gpu"}}, [{"slots": 1}, ANY, {"not": {"slot_type": ["gpu"]}}], 0, None),
        ({"requests": {"h": "n7"}}, [{"slots": 1}, ANY, {"node.hostname": ["n7"]}], 0, None),
        ({"requests": {"q": "long.q"}}, [{"slots": 1}, {"nodearray": ["big"]}], 0, None),
        ({"queues": ["all.q"]}, [{"slots": 1}, CLUSTER], 0, None),
        ({"queues": ["long.q", "all.q"]}, [{"slots": 1}, ANY], 0, None),
        ({"queues": ["*@@hpc"]}, [{"slots": 1}, {"nodearray": ["hpc"]}], 0, None),
        ({"queues": ["all.q@n2"]}, [{"slots": 1}, CLUSTER, {"node.hostname": ["n2"]}], 0, None),
        ({"requests": {"h_rt": "48:00:00"}}, [{"slots": 1}, {"nodearray": ["big"]}], 0, None),
        ({"requests": {"h_vmem": "4G"}}, [{"slots": 1}, ANY], 0, None),
    ],
)  # fmt: skip
def test_requests_become_constraints(
    made: dict[str, Any], expected: list[Any], nodes: int, packing: str | None
) -> None:
    state = read(job(1, **made))
    shape = state.jobs[0].shape
    assert state.problems == ()
    assert constraints(state) == expected
    assert shape.node_count == nodes
    assert shape.packing_strategy is (PackingStrategy.PACK if packing else None)
    assert state.jobs[0].runnable


def test_what_counts_once_a_job_stands_with_the_first_of_its_slots() -> None:
    shape = read(job(1, pe=("mpi", "6"), requests={"gpu": "1"})).jobs[0].shape
    assert [(chunk.iterations, dict(chunk.constraints[0])) for chunk in shape.chunks] == [
        (1, {"slots": 1, "gpu": 1}),
        (5, {"slots": 1}),
    ]


def test_environments_that_the_site_names_lie_in_one_placement_group() -> None:
    packed = read(job(1, pe=("mpi-ib", "8")), settings={"colocated": ["mpi-*"]}).jobs[0].shape
    assert (packed.iterations, packed.node_count, packed.colocated) == (8, 0, True)
    fixed = read(job(1, pe=("four", "8")), settings={"colocated": ["four"]}).jobs[0].shape
    assert (fixed.node_count, fixed.colocated) == (2, True)


def test_a_pattern_of_environments_is_any_of_them_and_different_rules_are_reported() -> None:
    state = read(job(1, pe=("mpi*", "4")), job(2, pe=("*", "4")))
    assert state.jobs[0].shape.node_count == 4
    assert [problem.message for problem in state.problems] == [
        "parallel environments * have different allocation rules: that of the first is taken (1 job, first 2)"
    ]


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"pe": ("nosuch", "4")}, "no queue may take it"),
        ({"queues": ["gone.q"]}, "no queue may take it"),
        ({"queues": ["long.q"], "pe": ("smp", "2")}, "no queue may take it"),
        ({"queues": ["all.q"], "requests": {"h_rt": "25:00:00"}}, "no queue may take it"),
    ],
)
def test_a_job_that_no_queue_may_take_is_worth_no_machine(made: dict[str, Any], why: str) -> None:
    found = read(job(1, **made)).jobs[0]
    assert not found.runnable
    assert why in found.not_runnable_reason


def test_queues_without_node_arrays_are_not_served_and_without_settings_all_are() -> None:
    assert "not served" in read(job(1), settings={"hostgroups": {"@other": ["x"]}}).jobs[0].not_runnable_reason
    assert constraints(read(job(1), settings={"hostgroups": {}})) == [{"slots": 1}]
    own = {"hostgroups": {}, "queues": {"all.q": ["htc"], "long.q": []}}
    assert constraints(read(job(1), settings=own)) == [{"slots": 1}, {"nodearray": ["htc"]}]


def test_what_cannot_be_said_is_reported_once_for_all_jobs() -> None:
    odd = {"load_avg": "2", "slot_type": "(a|b)&!c", "nosuch": "1"}
    state = read(*(job(number, requests=odd) for number in range(3)))
    assert sorted(problem.message for problem in state.problems) == [
        "load_avg: a load that may not be above a value is not looked at (3 jobs, first 0)",
        "nosuch: qconf -sc does not list it, not looked at (3 jobs, first 0)",
        "slot_type: an expression with & or brackets is not looked at (3 jobs, first 0)",
    ]
    assert len({id(found.shape) for found in state.jobs}) == 1


@pytest.mark.parametrize(
    "made", [{"pe": ("four", "6")}, {"requests": {"mem_free": "lots"}}, {"slots": "many"}, {"tasks": "9-1"}]
)
def test_a_request_that_cannot_be_read_makes_its_own_job_invalid(made: dict[str, Any]) -> None:
    state = read(job(1, **made), job(2))
    assert [(found.name.partition(".")[0], found.count) for found in state.jobs] == [("1", 0), ("2", 1)]
    assert state.jobs[0].problem is not None


def taken(state: Any, number: int = 0) -> dict[str, Any]:
    parts = [part["shared-consumable"] for part in constraints(state, number) if "shared-consumable" in part]
    return {source: part["amount"] for part in parts for source in part["resources"]}


def left(state: Any) -> dict[str, tuple[Any, Any]]:
    return {name: (shared.initial, shared.current) for name, shared in state.shared_resources.items()}


def test_consumables_of_the_global_host_are_shared_by_all() -> None:
    everywhere = qhost(host("global", resources={"matlab": "gc:2.000000"}))
    asked = job(1, pe=("mpi", "3"), requests={"matlab": "1"})
    state = read(asked, hosts=everywhere, global_values="matlab=5,slots=99")
    assert taken(state) == {"matlab": 3}, "YES counts for each slot"
    assert left(state) == {"matlab": (5, 2)}
    assert constraints(state)[0] == {"slots": 1}, "and is nothing of the node's"


QUOTAS = """\
{
   name         perhead
   description  NONE
   enabled      TRUE
   limit        users dave to slots=1
   limit        users {*} to slots=8,mem_free=32G
}
{
   name         parallel
   enabled      TRUE
   limit        name wide pes mpi,rr to slots=100
}
{
   name         off
   enabled      FALSE
   limit        to slots=1
}
{
   name         places
   enabled      TRUE
   limit        users * hosts {@htc} to slots=4
   limit        queues long.q to slots=6
   limit        nonsense
}
"""


def test_quotas_are_stocks_of_which_running_jobs_have_taken_their_part() -> None:
    running = job(5, state="r", slots=4, at="all.q@n1", pe=("mpi", "4"), requests={"mem_free": "1G"})
    state = read(
        job(1, pe=("mpi", "3")), job(2, owner="dave"), job(3, queues=["long.q"], owner="eve"), running, quotas=QUOTAS
    )
    assert taken(state) == {"perhead/2 alice slots": 3, "parallel/1 slots": 3}
    assert taken(state, 1) == {"perhead/1 slots": 1}, "of a set the first rule that names the job counts"
    assert taken(state, 2) == {"perhead/2 eve slots": 1, "places/2 slots": 1}
    assert left(state)["perhead/2 alice slots"] == (8, 4)
    assert left(state)["perhead/2 alice mem_free"] == (32 * 1024**3, 28 * 1024**3)
    assert [problem.path for problem in state.problems] == ["quota places/1", "quota places/3"]


def test_maxujobs_is_a_stock_of_each_user() -> None:
    state = read(job(1), job(5, state="r", at="all.q@n1"), maxujobs=3)
    assert taken(state) == {"maxujobs alice": 1}
    assert left(state) == {"maxujobs alice": (3, 2)}


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"state": "hqw"}, "Hold: it is held"),
        ({"state": "hqw", "lines": ["<predecessor_jobs>1</predecessor_jobs>"]}, "Dependency"),
        ({"state": "hqw", "lines": ["<ad_predecessor_jobs>1</ad_predecessor_jobs>"]}, "Dependency"),
        ({"state": "qw", "lines": ["<predecessor_jobs_req>one</predecessor_jobs_req>"]}, ""),
        ({"state": "Eqw"}, "Error: its last start failed"),
        ({"state": "dqw"}, "it is being deleted"),
        ({"state": "Rq"}, ""),
        ({"state": "qw", "priority": "0.00000"}, "BeginTime"),
        ({"state": "qw", "priority": "0.50000"}, ""),
    ],
)
def test_a_jobs_state_says_whether_a_machine_helps(made: dict[str, Any], why: str) -> None:
    found = read(job(1, **made), future=listing(job(1))).jobs[0]
    assert found.runnable == (not why)
    assert why in found.not_runnable_reason


@pytest.mark.parametrize(
    ("words", "is_runnable"),
    [
        ('cannot run in PE "mpi" because it only offers 0 slots', True),
        ('queue instance "all.q@gn2" dropped because it is full', True),
        ('(-l gpu=4) cannot run at host "gn1" because it offers only hc:gpu=0', True),
        ('cannot run in queue "long.q" because it is not contained in its hard queue list (-q)', True),
        ("All queues dropped because of overload or full", True),
        ("not all array tasks may be started due to 'max_aj_instances'", True),
        ('cannot run because it exceeds limit "////n1/" in rule "hosts/1"', True),
        ('cannot run because it exceeds limit "dave/////" in rule "limits/1"', False),
        ("execution time not reached", False),
        ("job dropped because of job dependencies", False),
        ("Job is in error state", False),
        ("job dropped because of user limitations", False),
    ],
)
def test_the_schedulers_words_say_whether_a_machine_helps(words: str, is_runnable: bool) -> None:
    state = read(job(1), details=details(messages={1: ["queue is full, offers only none", words]}))
    assert (state.jobs[0].runnable, state.problems) == (is_runnable, ())


def test_an_unknown_reason_is_counted_and_treated_as_the_site_wants() -> None:
    said = details(messages={1: ["the moon is full"], 2: ["the moon is full"]})
    lenient = read(job(1), job(2), details=said)
    strict = read(job(1), job(2), details=said, settings={"unknown_reasons": "waiting"})
    assert [found.runnable for found in (*lenient.jobs, *strict.jobs)] == [True, True, False, False]
    assert "the moon is full', treated as runnable (2 jobs, first 1)" in lenient.problems[0].message


def test_an_array_with_a_limit_is_what_may_start_and_the_rest() -> None:
    jobs = [
        job(7, state="r", at="all.q@n1", tasks="1"),
        job(7, state="Rq", tasks="2"),
        job(7, tasks="3-20:1"),
        job(8, tasks="2-10:4"),
    ]
    state = read(*jobs, details=details({7: 4}))
    assert [(found.name, found.count, found.runnable) for found in state.jobs] == [
        ("7.2", 1, True),
        ("7.3-4", 2, True),
        ("7.5-20", 16, False),
        ("8.2-10:4", 3, True),
    ]
    assert state.running == {"n1": ("7.1",)}


def test_the_order_is_grid_engines_own() -> None:
    state = read(job(3, priority="0.75"), job(1, priority="0.30556"), job(2, priority="0.25"))
    assert [found.name for found in state.jobs] == ["3", "1", "2"]


@pytest.mark.parametrize(
    "trap",
    [
        "<job_list><JB_job_number>2<",
        '    <job_list state="pending">\n      <JB_job_number>x</JB_job_number>\n    </job_list>\n',
        '    <job_list state="pending">\n      <JB_job_number>2</JB_job_number>\n',
        '    <job_list state="pending">\n      <JB_name>a & b < c</JB_name>\n    </job_list>\n',
        "\x00\x01]]>",
    ],
)
def test_output_that_is_no_xml_costs_nothing_but_itself(trap: str) -> None:
    state = read(job(1), trap, job(3))
    assert [found.name for found in state.jobs] == ["1", "3"]
    assert state.complete


def test_a_name_with_brackets_is_the_users_own_affair() -> None:
    odd = job(2).replace("<JB_name>x</JB_name>", "<JB_name>a&amp;b%lt;c&gt;</JB_name>")
    assert [found.name for found in read(job(1), odd).jobs] == ["1", "2"]


def test_what_is_no_answer_of_qstat_is_an_error() -> None:
    from ge_site import FakeGridEngine, scheduler  # noqa: PLC0415

    with pytest.raises(SchedulerError, match="printed no XML"):
        scheduler(FakeGridEngine(jobs="error: commlib error")).read()


def test_a_queue_is_what_it_is_on_any_of_its_hosts() -> None:
    queue = parse_queues(QUEUES)["all.q"]
    assert queue.environments == {"smp", "mpi", "rr", "four", "mpi-ib"}
    assert queue.limits["h_rt"] == "24:00:00"
    assert parse_queues(QUEUES)["long.q"].hostlist == ("@big", "oldhost")
    assert set(GROUPS) >= {"@cluster"}


def test_xml_in_one_line_is_read_too() -> None:
    assert [found.name for found in read(job(1).replace("\n", ""), job(2)).jobs] == ["1", "2"]
