"""Tasks, workers, minimums: the laws of what becomes demand."""

from __future__ import annotations

from typing import Any

import pytest
from celery_objects import NOW, FakeCell, message, read, scheduler, task, worker
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.errors import ConfigError, SchedulerError
from autoscale_aks.schedulers.celery.driver import PATIENCE_S
from autoscale_aks.schedulers.celery.records import INSPECTED, read_messages, read_workers
from autoscale_aks.schedulers.celery.settings import read_settings
from autoscale_aks.schedulers.celery.state import LOWEST, UNSEEN


def test_a_task_asks_for_a_slot_of_its_node_arrays_and_its_own_needs() -> None:
    queue = {"nodearrays": ["htc", "mem"], "constraints": {"ncpus": 2}, "tasks": {"app.big": {"mem": "memory::64g"}}}
    waiting = (message("1"), message("2", "app.big"), message("3"))
    jobs = {job.name: job for job in read(waiting={"celery": waiting}, queue=queue).jobs}
    assert {name: job.count for name, job in jobs.items()} == {"celery": 2, "celery:app.big": 1}
    place, consumed, own = jobs["celery:app.big"].shape.constraints
    assert dict(place) == {"nodearray": ("htc", "mem"), "slots": 1}
    assert consumed["not"] == {"queue.celery": False}
    assert dict(own) == {"mem": "memory::64g"}


def test_messages_beyond_those_looked_into_count_too() -> None:
    settings = {"peek": 1}
    state = read(waiting={"celery": 5}, settings=settings)
    assert [(job.name, job.count) for job in state.jobs] == [("celery", 5)]


def test_a_task_that_was_fetched_between_the_looks_is_not_counted_twice() -> None:
    state = read(worker("w@m1", active=(task("1"),)), waiting={"celery": (message("1"), message("2"))})
    assert [(job.name, job.count) for job in state.jobs] == [("celery", 1)]


def test_tasks_for_later_and_expired_ones_buy_nothing() -> None:
    waiting = (message("1", eta=NOW + 60), message("2", eta=NOW - 60), message("3", expires=NOW - 1))
    state = read(waiting={"celery": waiting})
    assert [(job.name, job.count, job.runnable) for job in state.jobs] == [
        ("celery", 1, True), ("celery (later)", 1, False),
    ]  # fmt: skip
    assert "expired tasks" in state.problems[0].message


@pytest.mark.parametrize(
    ("queue", "busy", "waiting", "kept"),
    [
        ({"min_slots": 8}, 0, 0, 8),
        ({"min_slots": 8}, 3, 2, 3),
        ({"min_slots": 8}, 6, 6, 0),
        ({"min_cores": 8, "constraints": {"ncpus": 4}}, 0, 0, 2),
        ({"min_cores": 9, "constraints": {"ncpus": 4}}, 0, 0, 3),
        ({"min_cores": 4, "min_slots": 6}, 0, 0, 6),
        ({"warm_slots": 2}, 5, 7, 2),
        ({"warm_slots": 2, "min_slots": 10}, 3, 0, 7),
    ],
)
def test_what_is_kept_is_the_least_less_what_is_used_or_the_warm_slots(
    queue: dict[str, Any], busy: int, waiting: int, kept: int
) -> None:
    active = tuple(task(str(number)) for number in range(busy))
    jobs = read(worker("w@m1", active=active), waiting={"celery": waiting}, queue={"nodearrays": ["htc"], **queue}).jobs
    found = {job.name: job for job in jobs}
    assert found["celery (kept)"].count == kept if kept else "celery (kept)" not in found
    assert jobs == () or jobs[-1].priority in {LOWEST, 0.0}


def test_workers_of_one_host_are_one_node() -> None:
    state = read(worker("a@m1.internal", concurrency=2), worker("b@m1", "gpu", concurrency=1), worker("a@m2"))
    assert [(node.name, node.resources["slots"]) for node in state.nodes or ()] == [("m1", 3), ("m2", 4)]
    assert "queue gpu has a worker but is not served" in state.problems[0].message


def test_a_worker_without_queues_is_closed() -> None:
    from autoscale_aks.schedulers.celery.records import Worker  # noqa: PLC0415

    (node,) = read(Worker(name="w@m1")).nodes or ()
    assert (node.state, node.job_ids) == ("Closed", ())


def test_a_worker_that_does_not_answer_keeps_its_machine() -> None:
    state = read(worker("a@m1"), silent=("b@m1", "c@m2"))
    nodes = {node.name: node for node in state.nodes or ()}
    assert (nodes["m2"].state, nodes["m2"].job_ids) == ("Down", (UNSEEN,))
    assert nodes["m1"].job_ids == (UNSEEN,), "the machine has another worker, which may work"
    assert state.complete


def test_a_worker_is_late_for_a_minute_before_its_machine_is_no_capacity() -> None:
    """A worker that starts on a busy host is known to the broker before it answers: no machine is bought meanwhile."""
    cell, clock = FakeCell({}), [NOW]
    celery = scheduler(cell, lambda: clock[0])
    assert celery.read().nodes == ()
    cell.silent = ("w@m1",)
    seen = []
    for clock[0] in (NOW, NOW + PATIENCE_S, NOW + PATIENCE_S + 1):
        (node,) = celery.read().nodes or ()
        seen.append((node.state, node.job_ids))
    assert seen == [("Ready", (UNSEEN,)), ("Ready", (UNSEEN,)), ("Down", (UNSEEN,))], "nobody knows what it does"
    (node,) = scheduler(cell, lambda: clock[0]).read().nodes or ()
    assert node.state == "Down", "a run that has just begun cannot know for how long"


def test_closing_takes_the_queues_and_returns_only_what_holds_nothing() -> None:
    cell = FakeCell(
        {"w@m1": worker("w@m1", "celery", "gpu"), "w@m2": worker("w@m2"), "w@m3": worker("w@m3", active=(task("1"),))},
        land_on="w@m2",
    )
    assert scheduler(cell).close_nodes(["m1", "m2", "m3", "m4"], "idle") == ("m1",)
    assert cell.told == [
        ("cancel", "w@m1", "celery", "gpu"),
        ("cancel", "w@m2", "celery"),
        ("cancel", "w@m3", "celery"),
    ]


def test_closing_twice_is_closing_once_and_a_silent_worker_is_never_closed() -> None:
    cell = FakeCell({"w@m1": worker("w@m1"), "w@m2": worker("w@m2")}, silent=("x@m2",))
    celery = scheduler(cell)
    assert celery.close_nodes(["m1", "m2"], "idle") == ("m1",)
    assert celery.close_nodes(["m1"], "idle") == ("m1",)
    assert cell.told == [("cancel", "w@m1", "celery"), ("cancel", "w@m2", "celery")]


def test_reopening_gives_back_what_was_taken_in_this_run_or_in_an_earlier_one() -> None:
    cell = FakeCell({"w@m1": worker("w@m1", "celery", "gpu")})
    scheduler(cell).close_nodes(["m1"], "idle")
    scheduler(cell).reopen_nodes(["m1"])
    assert cell.workers["w@m1"].queues == ("celery", "gpu")


def test_where_nobody_remembers_the_queues_reopening_says_so() -> None:
    cell = FakeCell({"w@m1": worker("w@m1")}, remembers=False)
    first = scheduler(cell)
    first.close_nodes(["m1"], "idle")
    with pytest.raises(SchedulerError, match="workers stay closed, first w@m1"):
        scheduler(cell).reopen_nodes(["m1"])
    first.reopen_nodes(["m1"])
    assert cell.workers["w@m1"].queues == ("celery",)


def test_removing_ends_workers_that_answer_and_forgets_the_others() -> None:
    cell = FakeCell({"w@m1": worker("w@m1"), "w@m2": worker("w@m2")}, silent=("w@m3",))
    scheduler(cell).remove_nodes(["m1", "m3", "m9"])
    assert cell.told == [("stop", "w@m1"), ("forget", "w@m3")]


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({}, "scheduler.queues"),
        ({"broker_url": "redis://:hunter2@h/0"}, "scheduler.broker_url"),
        ({"queues": {"a": {"warm": 1}}}, "scheduler.queues.a.warm"),
        ({"queues": {"a": {"constraints": {"node.nope": 1}}}}, "scheduler.queues.a.constraints.node.nope"),
        ({"queues": {"a": {}}, "machine_is": "x"}, "scheduler.machine_is"),
        ({"queues": {"a": {}}, "reply_s": 0}, "scheduler.reply_s"),
    ],
)
def test_mistakes_in_the_settings_have_their_path(raw: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings({"type": "celery", **raw})
    assert path in [problem.path for problem in caught.value.problems]


def test_without_a_broker_or_the_extra_the_message_says_what_to_do() -> None:
    from autoscale_aks.schedulers.registry import build_scheduler  # noqa: PLC0415

    with pytest.raises(ConfigError, match="CELERY_BROKER_URL"):
        build_scheduler({"type": "celery", "queues": {"a": {}}}, environment={})


KEYS = ["id", "name", "pool", "max-concurrency", "request", "headers", "task", "eta", "expires", "w@h"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(KEYS),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(INSPECTED), st.dictionaries(st.text(max_size=5), JSON, max_size=3)))
def test_whatever_workers_answer_good_ones_are_read(answers: dict[str, Any]) -> None:
    answers = {what: {**answers.get(what, {}), "good@h": [] if what != "stats" else {}} for what in INSPECTED}
    found = read_workers(answers, [])
    assert found["good@h"].concurrency == 1
    assert all(one.concurrency > 0 for one in found.values())


@given(st.lists(st.one_of(JSON, st.text(max_size=20), st.binary(max_size=20)), max_size=5))
def test_whatever_lies_in_a_queue_good_messages_are_read(raw: list[Any]) -> None:
    good = '{"headers": {"id": "g", "task": "t", "eta": "2026-11-22T10:00:00+00:00"}}'
    assert read_messages([*raw, good], "q", [])[-1].id == "g"
