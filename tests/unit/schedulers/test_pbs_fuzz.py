"""Whatever PBS prints, reading never raises for a record and never loses a good one beside a bad one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from pbs_site import BUSY, CAPTURES, facts, job, listing, read

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.openpbs.facts import parse_queues, parse_sched_config, parse_server, parse_types
from autoscale_aks.schedulers.openpbs.limits import Stocks
from autoscale_aks.schedulers.openpbs.listing import read_objects
from autoscale_aks.schedulers.openpbs.nodes import read_nodes
from autoscale_aks.schedulers.openpbs.settings import PbsSettings

if TYPE_CHECKING:
    from autoscale_aks.errors import Problem

QUEUE = (BUSY / "qstat-ft.json").read_text()
OBJECTS = [f'\n\t\t"{part}' for part in QUEUE.split('\n\t\t"')[1:]]
NODES = (CAPTURES / "40-node-lost" / "pbsnodes-a.json").read_text()
FACTS = facts()
ODD = st.sampled_from(
    ["", "null", "-1", "9" * 30, "9" * 5000, "1e999", "NaN", '"', '"a"b"', "\\", '"\\u12"', "{", "}", "[", "٣", '"1gb',
     '"gb"', '"-"', '"3-"', '"9-1"', '"1-99999999"', '"select"', '"2:ncpus=x"', '"free:group="', '"scatter:pack"',
     '"[u:=1]"', "true"]
)  # fmt: skip
VALUE = st.one_of(ODD, st.text(max_size=30))


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    lines = text.split("\n")
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(lines) - 1)))
        kind = draw(st.integers(0, 3))
        if kind == 0 and len(lines) > 1:
            del lines[at]
        elif kind == 1:
            lines.insert(at, draw(VALUE))
        else:
            name, colon, _ = lines[at].partition(":")
            lines[at] = f"{name}{colon}\t{draw(VALUE)}," if colon else draw(VALUE)
    return "\n".join(lines)


@given(st.lists(st.sampled_from(OBJECTS), min_size=1, max_size=4).flatmap(lambda some: mutated("".join(some))))
def test_any_queue_can_be_read_and_the_good_job_after_it_is_found(text: str) -> None:
    good = listing(j987654=job(queue_rank=77))
    start = good.index("{", good.index('"Jobs"')) + 1
    queue = read(f"{good[:start]}{text}\n{good[start:]}")
    assert "987654.server" in [found.name for found in queue.jobs]
    for found in queue.jobs:
        assert (found.problem is not None) == (found.count == 0)
        assert found.runnable == (not found.not_runnable_reason)
        assert len(found.name) < 400


@given(mutated(NODES))
def test_any_node_list_can_be_read(text: str) -> None:
    problems: list[Problem] = []
    try:
        nodes = read_nodes(text, PbsSettings(), FACTS, problems)
    except SchedulerError:
        assert '"nodes":' not in text or '"timestamp"' not in text or "\n\t\t" not in text
        return
    for node in nodes:
        assert node.state in {"Ready", "Closed", "Down", "Booting"}


@given(
    mutated((BUSY / "qstat-Qf.json").read_text()), mutated((BUSY / "qstat-Bf.json").read_text()), st.text(max_size=99)
)
def test_any_facts_can_be_read_and_used(queues: str, server: str, text: str) -> None:
    problems: list[Problem] = []
    known = facts()
    try:
        known = type(known)(
            queues=parse_queues(queues, problems),
            server=parse_server(server, problems),
            types=parse_types(f"{text}\nResource x\n    type = {text}\n"),
            sched=parse_sched_config(f'{text}\nresources: "{text}"\nserver_dyn_res: "x !{text}"\n'),
        )
    except SchedulerError:
        return
    Stocks(known, problems)
    queue = read((BUSY / "qstat-f.json").read_text(), known)
    assert len(queue.jobs) >= 20


@given(st.text(max_size=200))
def test_any_text_is_a_listing_or_an_error(text: str) -> None:
    try:
        assert read_objects(text, "nodes", "pbsnodes", []) == {}
    except SchedulerError:
        assert text.strip()
