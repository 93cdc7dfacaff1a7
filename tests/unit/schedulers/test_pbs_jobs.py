"""OpenPBS jobs: select and place, values, limits and stocks, reasons, order, and what malformed output costs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pbs_site import BUSY, constraints, facts, job, listing, read

from autoscale_aks.errors import SchedulerError
from autoscale_aks.model.job import PackingStrategy
from autoscale_aks.schedulers.openpbs.select import Place, parse_place, parse_select


@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("4", [(4, {})]),
        ("ncpus=2", [(1, {"ncpus": "2"})]),
        ("2:ncpus=4:mem=8gb+ngpus=1", [(2, {"ncpus": "4", "mem": "8gb"}), (1, {"ngpus": "1"})]),
        ('1:slot_type="a:b+c":ncpus=1', [(1, {"slot_type": "a:b+c", "ncpus": "1"})]),
    ],
)
def test_a_select_statement_is_taken_apart(text: str, chunks: list[tuple[int, dict[str, str]]]) -> None:
    assert [(wanted.count, dict(wanted.resources)) for wanted in parse_select(text)] == chunks


@pytest.mark.parametrize("text", ["", "2:", "0:ncpus=1", "ncpus=1+", "2:ncpus", "99999999999:ncpus=1", ":ncpus=1"])
def test_what_is_no_select_statement_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"select|chunks"):
        parse_select(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", Place()),
        ("free:shared", Place()),
        ("scatter:excl:group=Rack_1", Place("scatter", is_exclusive=True, group="Rack_1")),
        ("exclhost", Place(is_exclusive=True)),
        ("vscatter:group=group_id", Place("vscatter", group="group_id")),
    ],
)
def test_a_place_statement_is_taken_apart(text: str, place: Place) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize(
    ("select", "place", "expected", "nodes", "packing", "colocated"),
    [
        ("1:ncpus=4", "free", [{"ncpus": 4}], 0, None, False),
        ("3:ncpus=4", "free", [{"ncpus": 4}], 3, "pack", False),
        ("3:ncpus=4", "free:excl", [{"ncpus": 4}, {"exclusive-task": True}], 3, "pack", False),
        ("3:ncpus=4", "scatter:exclhost", [{"ncpus": 4}, {"exclusive": True}], 3, None, False),
        ("3:ncpus=4", "vscatter", [{"ncpus": 4}], 3, None, False),
        ("3:ncpus=4:mem=1gb", "pack", [{"ncpus": 12, "mem": "size::3g"}], 0, None, False),
        ("2:ncpus=1+1:ncpus=2", "pack:excl", [{"ncpus": 4}, {"exclusive": True}], 0, None, False),
        ("3:ncpus=4", "free:group=host", [{"ncpus": 12}], 0, None, False),
        ("3:ncpus=4", "scatter:group=group_id", [{"ncpus": 4}], 3, None, True),
        ("1:ncpus=4", "scatter:group=group_id", [{"ncpus": 4}], 0, None, False),
        ("1:ncpus=4:mpiprocs=1+3:ncpus=4:mpiprocs=4", "scatter", [{"ncpus": 4}], 4, None, False),
        ("1:ncpus=4", "excl", [{"ncpus": 4}, {"exclusive": True}], 0, None, False),
        ("1:mpiprocs=8:ompthreads=2:ncpus=2", "free", [{"ncpus": 2}], 0, None, False),
        ("1:vnode=n7:ncpus=1", "free", [{"ncpus": 1}, {"node.hostname": ["n7"]}], 0, None, False),
        ("1:ncpus=1:memory_class=8gb", "free",
         [{"ncpus": 1}, {"not": {"not": {"memory_class": "size::8g"}}}], 0, None, False),
        ("1:slot_type=true", "free", [{"slot_type": True}], 0, None, False),
    ],
)  # fmt: skip
def test_select_and_place_become_slots_or_nodes(
    select: str, place: str, expected: list[Any], nodes: int, packing: str | None, colocated: bool
) -> None:
    queue = read(listing(j1=job(select, place)))
    shape = queue.jobs[0].shape
    assert constraints(queue) == expected
    assert (shape.node_count, shape.colocated) == (nodes, colocated)
    assert shape.packing_strategy is (PackingStrategy.PACK if packing else None)


def test_free_chunks_of_one_placement_group_are_packed_in_it() -> None:
    shape = read(listing(j1=job("6:ncpus=2", "free:group=group_id"))).jobs[0].shape
    assert (shape.iterations, shape.node_count, shape.colocated) == (6, 0, True)


def test_chunks_of_several_kinds_are_one_gang() -> None:
    queue = read(listing(j1=job("2:ncpus=4+1:ngpus=1:ncpus=1", "scatter:group=group_id")))
    shape = queue.jobs[0].shape
    assert [(chunk.iterations, chunk.node_count) for chunk in shape.chunks] == [(1, 2), (1, 1)]
    assert shape.colocated
    assert "two of different kinds may be planned on one machine" in queue.problems[0].message


def test_equal_requests_share_one_shape() -> None:
    queue = read(listing(**{f"j{number}": job("2:ncpus=2") for number in range(50)}))
    assert len({id(found.shape) for found in queue.jobs}) == 1


def test_a_group_of_another_resource_is_reported_once_for_all_jobs() -> None:
    queue = read(listing(**{f"j{number}": job("2:ncpus=2", "scatter:group=rack") for number in range(3)}))
    assert [str(problem) for problem in queue.problems] == [
        (
            "qstat: place=group=rack: only the group resource makes a placement group, not looked at "
            "(3 jobs, first 0.server)"
        )
    ]


def test_resources_that_the_scheduler_does_not_look_at_make_no_demand() -> None:
    known = facts(sched='resources: "ncpus, mem, arch"\n')
    queue = read(listing(j1=job("1:ncpus=1:ngpus=4:host=n1:mem=1gb")), known)
    assert constraints(queue) == [{"mem": "size::1g", "ncpus": 1}, {"node.hostname": ["n1"]}]


QUEUES: dict[str, Any] = {
    "workq": {"resources_available": {"ncpus": 16, "mem": "64gb"}, "resources_assigned": {"ncpus": 6}},
    "limited": {"max_run": "[u:PBS_GENERIC=2],[u:bob=5],[o:PBS_ALL=9]", "max_run_res": {"ncpus": "[g:PBS_GENERIC=12]"}},
    "old": {"max_user_run": 1, "max_user_res": {"mem": "8gb"}, "max_running": 3},
    "stopped": {"started": "False"},
    "route": {"queue_type": "Route"},
}


def taken(queue: Any, name: str = "1.server") -> dict[str, Any]:
    parts = [part["shared-consumable"] for part in constraints(queue, name) if "shared-consumable" in part]
    return {source: part["amount"] for part in parts for source in part["resources"]}


def test_stocks_of_queues_and_server_are_taken_once_a_job() -> None:
    server = {"resources_available": {"matlab": 3}, "resources_assigned": {"matlab": 2}}
    text = listing(j1=job("4:ncpus=2:mem=1gb", resources={"ncpus": 8, "mem": "4gb", "matlab": 2}))
    queue = read(text, facts(queues=QUEUES, server=server))
    assert taken(queue) == {"queue workq mem": 4 * 1024**3, "queue workq ncpus": 8, "matlab": 2}
    left = {name: (shared.initial, shared.current) for name, shared in queue.shared.items()}
    assert left["matlab"] == (3, 1)
    assert left["queue workq ncpus"] == (16, 10)


def test_a_users_own_limit_stands_above_the_generic_one_and_running_jobs_have_taken_their_part() -> None:
    running = {"queue": "limited", "job_state": "R", "exec_host": "n1/0*2+n2/1", "resources": {"ncpus": 4}}
    array = {"queue": "limited", "array": "True", "array_indices_remaining": "3-9", "euser": "bob", "job_state": "B",
             "array_state_count": "Queued:7 Running:2 Exiting:1 Expired:0", "resources": {"ncpus": 1}}  # fmt: skip
    text = listing(j1=job(queue="limited"), j2=job(queue="limited", euser="bob"), j3=job(**running), a4=job(**array))
    queue = read(text, facts(queues=QUEUES))
    assert taken(queue) == {
        "queue limited max_run o:PBS_ALL": 1,
        "queue limited max_run u:alice": 1,
        "queue limited max_run_res.ncpus g:staff": 1,
    }
    left = {name: (shared.initial, shared.current) for name, shared in queue.shared.items() if "limited" in name}
    assert left == {
        "queue limited max_run o:PBS_ALL": (9, 5),
        "queue limited max_run u:alice": (2, 1),
        "queue limited max_run u:bob": (5, 2),
        "queue limited max_run_res.ncpus g:staff": (12, 5),
    }
    assert queue.running == {"n1": ("3.server",), "n2": ("3.server",)}


def test_limits_in_the_old_form_count_too() -> None:
    queue = read(listing(j1=job(queue="old", resources={"mem": "2gb"})), facts(queues=QUEUES))
    assert taken(queue) == {
        "queue old max_running o:PBS_ALL": 1, "queue old max_user_run u:alice": 1,
        "queue old max_user_res.mem u:alice": 2 * 1024**3,
    }  # fmt: skip


def test_a_limit_that_cannot_be_read_is_reported_and_limits_nothing() -> None:
    queue = read(listing(j1=job()), facts(queues={"workq": {"max_run": "many"}}))
    assert taken(queue) == {}
    assert queue.problems[0].path == "queue workq max_run"


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"job_state": "H", "Hold_Types": "u"}, "Hold: held by its user"),
        ({"job_state": "H", "Hold_Types": "so", "depend": ""}, "Hold: held by the system, held by an operator"),
        ({"job_state": "H", "Hold_Types": "s", "depend": "afterany:1.s"}, "Dependency: it waits for other jobs"),
        ({"job_state": "W"}, "BeginTime: its execution time is not reached"),
        ({"job_state": "T"}, "Transit: it is on its way between queues"),
        ({"queue": "stopped"}, "queue stopped is not started"),
        ({"queue": "route"}, "queue route only routes jobs"),
        ({"comment": ""}, ""),
        ({"comment": "Can Never Run: Not enough total nodes available"}, ""),
        ({"comment": "Can Never Run: Insufficient amount of resource: ncpus (R: 64 A: 12 T: 12)"}, ""),
        ({"comment": "Job run at Sun Nov 22 at 08:54 on (n03:ncpus=2)"}, ""),
    ],
)
def test_a_jobs_state_and_comment_say_whether_a_machine_helps(attributes: dict[str, Any], why: str) -> None:
    queue = read(listing(j1=job(**attributes)), facts(queues=QUEUES))
    found = queue.jobs[0]
    assert (found.runnable, why in found.not_runnable_reason, queue.problems) == (not why, True, ())


WORTH_A_MACHINE = (
    "Not enough free nodes available", "Not enough total nodes available",
    "Not enough of the right type of nodes are available", "No available resources on nodes", "Nodes not available",
    "Insufficient amount of resource: fpga (R: 1 A: 0 T: 1)", "Placement set switch=core has too few free resources",
    "can't fit in the largest placement set, and can't span psets", "Node is in an ineligible state: offline",
    "Node has reached job run limit", "Node has reached user run limit", "Node can't satisfy a multi-node job",
    "Node ineligible because job requested pack placement and won't fit on node", "Load is above max limit",
    "Job 7 is requesting an exclusive node and node is in use", "Specified host does not exist: n9",
    "Job would conflict with reservation or top job", "Job would interfere with a top job",
    "Job would interfere with a confirmed reservation", "Job would break strict sorted order",
    "Can't preempt enough work to run job", "Internal Scheduling Error", "PBS Error: Job could not be started",
)  # fmt: skip
NOT_WORTH_ONE = (
    "Queue workq job limit has been reached.", "Server job limit has been reached.",
    "User has reached server running job limit.", "User has reached queue limited running job limit.",
    "Group has reached queue workq running limit.", "Project has reached queue workq's running limit.",
    "Queue workq per-user limit reached on resource ncpus", "Server per-project limit reached on resource mem",
    "Queue workq job limit reached for group staff", "Server job limit reached for user bob",
    "would exceed user heidi's limit on resource ncpus in complex",
    "would exceed overall limit on resource mem in queue q",
    "Insufficient amount of server resource: matlab (R: 2 A: 1 T: 3)", "Insufficient amount of queue resource: ncpus",
    "Queue not started.", "Queue not an execution queue.", "Dedicated time conflict",
    "Job would cross dedicated time boundary", "Job will run in primetime only", "Job will cross into nonprimetime",
    "Job has zero shares for fairshare", "Job is under job_sort_formula threshold value", "Job not in queued state",
    "Cannot provision, requested AOE rhel not available on vnode", "Invalid Job/Resv invalid chunk in select",
)  # fmt: skip


@pytest.mark.parametrize("words", [*WORTH_A_MACHINE, *NOT_WORTH_ONE])
@pytest.mark.parametrize("prefix", ["Not Running: ", "Can Never Run: "])
def test_every_reason_of_the_scheduler_is_known(prefix: str, words: str) -> None:
    queue = read(listing(j1=job(comment=prefix + words)))
    assert (queue.jobs[0].runnable, queue.problems) == (words in WORTH_A_MACHINE, ())


def test_an_unknown_reason_is_counted_and_treated_as_the_site_wants() -> None:
    text = listing(j1=job(comment="Not Running: the moon is full"), j2=job(comment="Not Running: the moon is full"))
    lenient, strict = read(text), read(text, unknown_reasons="waiting")
    assert [found.runnable for found in (*lenient.jobs, *strict.jobs)] == [True, True, False, False]
    assert "the moon is full', treated as runnable (2 jobs, first 1.server)" in lenient.problems[0].message


def test_an_array_with_a_limit_is_what_may_start_and_the_rest() -> None:
    array = {"job_state": "B", "array": "True", "array_indices_remaining": "3-9", "max_run_subjobs": 4,
             "array_state_count": "Queued:7 Running:2 Exiting:0 Expired:0"}  # fmt: skip
    queue = read(listing(a6=job(**array)))
    assert [(found.name, found.count, found.runnable) for found in queue.jobs] == [
        ("6[3-4].server", 2, True),
        ("6[5-9].server", 5, False),
    ]


def test_subjobs_are_not_counted_twice_beside_their_array() -> None:
    text = (BUSY / "qstat-ft.json").read_text()
    with_subjobs, without = read(text), read((BUSY / "qstat-f.json").read_text())
    assert [found.name for found in with_subjobs.jobs] == [found.name for found in without.jobs]
    assert with_subjobs.running["n03"] == ("0.pbshead", "6[1].pbshead", "6[2].pbshead")


def test_an_array_none_of_whose_subjobs_wait_is_no_demand() -> None:
    assert read(listing(a6=job(job_state="B", array="True", array_indices_remaining="-"))).jobs == ()


def test_queue_priority_comes_first_then_sort_keys_then_rank() -> None:
    text = listing(
        j1=job(queue_rank=5, resources={"walltime": "01:00:00"}),
        j2=job(queue_rank=1.79533769318196e15, queue="limited", resources={"walltime": "00:10:00"}),
        j3=job(queue_rank=2, resources={"walltime": "00:10:00"}),
        j4=job(queue_rank=1, resources={"walltime": "00:10:00"}, Priority=500),
    )
    queues = {"workq": {"Priority": 10}, "limited": {"Priority": "150"}}

    def order(sched: str = "", **server: Any) -> list[str]:
        return [one.name[0] for one in read(text, facts(queues=queues, sched=sched, server=server)).jobs]

    assert order() == ["2", "4", "3", "1"]
    assert order('job_sort_key: "walltime HIGH"\n') == ["2", "1", "4", "3"]
    assert order("by_queue: False ALL\n") == ["4", "3", "1", "2"]
    assert order(job_sort_formula="eligible_time + Priority") == ["2", "4", "3", "1"]


def test_queues_can_belong_to_node_arrays() -> None:
    text = listing(j1=job(), j2=job(queue="other"), j3=job(queue="closed"))
    queue = read(text, queues={"workq": ["htc", "hpc"], "closed": []})
    assert constraints(queue) == [{"ncpus": 1}, {"nodearray": ["htc", "hpc"]}]
    assert constraints(queue, "2.server") == [{"ncpus": 1}]
    assert "not served" in queue.jobs[2].not_runnable_reason


def test_a_request_that_cannot_be_read_makes_its_own_job_invalid() -> None:
    text = listing(j1=job("1:ncpus=lots"), j2=job("2:ncpus=1:slot_type=a+1:slot_type=b", "pack"), j3=job())
    queue = read(text)
    assert [(found.name, found.count) for found in queue.jobs] == [("1.server", 0), ("2.server", 0), ("3.server", 1)]
    assert "ncpus='lots' is not a number" in str(queue.jobs[0].problem)
    assert "two values of slot_type" in str(queue.jobs[1].problem)


@pytest.mark.parametrize(
    "trap",
    [
        '\t\t\t"comment":\t"it said "no" \\ to me",\n',
        '\t\t\t"Variable_List":\t{\n\t\t\t\t"A":\t"x"y\\z",\n\t\t\t\t"job_state":\t"H",\n\t\t\t\t"N":\t-nan\n\t\t\t},\n',
        '\t\t\t"Submit_arguments":\t"-v A="b,c:d\\q" -l x",\n',
        '\t\t\t"Job_Name":\t007,\n\t\t\t"project":\t1e999,\n',
        '\t\t\t"Error_Path":\t"a\x01\x02b",\n',
        "\t\t\t}}}],,,\n",
    ],
)
def test_output_that_is_no_json_costs_nothing(trap: str) -> None:
    text = listing(j1=job(), j2=job(), j3=job())
    broken = text.replace('"2.server": {\n', '"2.server": {\n' + trap)
    assert broken != text
    assert [found.name for found in read(broken).jobs if found.runnable] == ["1.server", "2.server", "3.server"]


def test_output_that_ends_in_the_middle_still_gives_the_jobs_before() -> None:
    text = (BUSY / "qstat-f.json").read_text()
    cut = text[: text.index('"schedselect"', text.index('"8.pbshead"'))]
    names = [found.name for found in read(cut).jobs]
    assert names[:7] == ["2.pbshead", "3.pbshead", "4.pbshead", "5.pbshead", "6[3-10].pbshead", "7[0-20:5].pbshead",
                         "8.pbshead"]  # fmt: skip


def test_json_in_one_line_is_read_too() -> None:
    pretty = (BUSY / "qstat-f.json").read_text()
    one, many = read(json.dumps(json.loads(pretty))), read(pretty)
    assert [(found.name, found.shape.constraints) for found in one.jobs] == [
        (found.name, found.shape.constraints) for found in many.jobs
    ]


def test_what_is_no_listing_at_all_is_an_error() -> None:
    with pytest.raises(SchedulerError, match="printed no listing"):
        read("Connection refused\nqstat: cannot connect to server pbshead (errno=15010)")
    assert read("").jobs == ()


def test_a_record_without_a_state_is_left_out_and_reported() -> None:
    queue = read(listing(j1=job(), j2={"Job_Name": "x"}))
    assert [found.name for found in queue.jobs] == ["1.server"]
    assert queue.problems[0].path == "qstat 2.server"
