"""Whatever workers and brokers answer, reading never raises and never loses a good one beside a bad one."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from celery_objects import CAPTURES, NOW
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.schedulers.celery.records import INSPECTED, CeleryLook, QueueLook, read_messages, read_workers
from autoscale_aks.schedulers.celery.settings import read_settings
from autoscale_aks.schedulers.celery.state import read_state

if TYPE_CHECKING:
    from autoscale_aks.errors import Problem

SETTINGS = read_settings({"type": "celery", "queues": {"celery": {"nodearrays": ["htc"]}}})
BUSY = CAPTURES / "redis" / "10-busy"
ANSWERS = {what: json.loads((BUSY / f"inspect-{what}.json").read_text()) for what in INSPECTED}
GOOD_WORKER = "good@az1-htc-1"
GOOD_MESSAGE = json.dumps({"headers": {"task": "app.good", "id": "good"}})


def _messages(found: Any) -> list[str]:
    """Every text in the captured keys that is a message."""
    if isinstance(found, dict):
        return [json.dumps(found)] if "headers" in found else [one for it in found.values() for one in _messages(it)]
    if isinstance(found, list):
        return [one for it in found for one in _messages(it)]
    if isinstance(found, str) and found.startswith("{"):
        return _messages(json.loads(found))
    return []


MESSAGES = _messages(json.loads((BUSY / "redis-keys.json").read_text()))
ODD = st.one_of(
    st.sampled_from([None, True, 0, -1, 10**30, 1.5, "", "N/A", "2026-13-45", "9999-12-31T23:59:59+99:99", "٣", [], {},
                     "0001-01-01T00:00:00+23:59", [[]], {"": {}}, "\x00"]),
    st.text(max_size=20),
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda it: st.lists(it, max_size=3), max_leaves=5),
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every member of a document, with what it stands in."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [*((value, key) for key in keys), *(place for key in keys for place in places(value[key]))]


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 4))):
        every = places(found)
        if not every:
            break
        parent, key = draw(st.sampled_from(every))
        if draw(st.booleans()):
            parent[key] = draw(ODD)
        else:
            del parent[key]
    return found


@given(mutated(ANSWERS))
def test_any_answer_of_workers_can_be_read_and_the_good_worker_in_it_is_found(answers: Any) -> None:
    for what, good in (("active_queues", [{"name": "celery"}]), ("stats", {"pool": {"max-concurrency": 4}}),
                       ("active", []), ("reserved", []), ("scheduled", [])):  # fmt: skip
        if not isinstance(answers.get(what), dict):
            answers[what] = {}
        answers[what][GOOD_WORKER] = good
    problems: list[Problem] = []
    workers = read_workers(answers, problems)
    assert workers[GOOD_WORKER].queues == ("celery",)
    state = read_state(CeleryLook(workers=workers, queues={}, problems=tuple(problems)), SETTINGS, NOW)
    assert "az1-htc-1" in [node.name for node in state.nodes or ()]


@given(
    st.lists(
        st.one_of(
            st.sampled_from(MESSAGES).flatmap(lambda text: mutated(json.loads(text)).map(json.dumps)),
            st.sampled_from(MESSAGES).flatmap(lambda text: st.integers(0, len(text)).map(lambda end: text[:end])),
            st.binary(max_size=40),
            ODD,
        ),
        max_size=6,
    )
)
def test_any_message_can_be_read_and_the_good_one_among_them_is_found(raw: list[Any]) -> None:
    problems: list[Problem] = []
    found = read_messages([*raw, GOOD_MESSAGE], "celery", problems)
    assert found[-1].id == "good"
    assert len(problems) <= 1, "many bad messages are one line of the report"
    look = CeleryLook(workers={}, queues={"celery": QueueLook(waiting=len(raw) + 1, messages=found)})
    jobs = read_state(look, SETTINGS, NOW).jobs
    assert "celery:app.good" in [job.name for job in jobs] or any(job.name == "celery" and job.count for job in jobs)


def test_the_captures_hold_messages() -> None:
    assert len(MESSAGES) > 10
