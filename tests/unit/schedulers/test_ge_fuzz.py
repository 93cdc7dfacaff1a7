"""Whatever Grid Engine prints, reading never raises for a record and never loses a good one beside a bad one."""

from __future__ import annotations

from ge_site import BUSY, CAPTURES, COMPLEXES, QUEUES, FakeGridEngine, job, listing, scheduler
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.errors import Problem, SchedulerError
from autoscale_aks.schedulers.gridengine.details import parse_details
from autoscale_aks.schedulers.gridengine.nodes import parse_hosts, read_nodes
from autoscale_aks.schedulers.gridengine.objects import parse_complexes, parse_queues
from autoscale_aks.schedulers.gridengine.quotas import Stocks

ENTRIES = [f"<job_list{part}" for part in (BUSY / "qstat-all.xml").read_text().split("<job_list")[1:]]
HOSTS = (BUSY / "qhost-F.xml").read_text() + (CAPTURES / "50-lost-host" / "qhost-j-q.xml").read_text()
DETAILS = (BUSY / "qstat-j.xml").read_text()[-20_000:]
ODD = st.sampled_from(
    ["", "-1", "0", "9" * 30, "9" * 5000, "1e9", "٣", "&lt;", "&#0;", "&", "<", ">", "]]>", "NONE", "1-", "9-1",
     "1-99999999", "1G", "g", "infinity", "mpi", "four", "all.q@", "@@", "*", "[", "|", "!", "true", "hqw", "\x00"]
)  # fmt: skip
VALUE = st.one_of(ODD, st.text(max_size=30))


@st.composite
def mutated(draw: st.DrawFn, text: str, *, most: int = 6) -> str:
    lines = text.split("\n")
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, len(lines) - 1))
        if draw(st.booleans()):
            before, bracket, rest = lines[at].partition(">")
            lines[at] = f"{before}{bracket}{draw(VALUE)}<{rest.partition('<')[2]}"
        elif draw(st.booleans()) and len(lines) > 1:
            del lines[at]
        else:
            lines.insert(at, draw(VALUE))
    return "\n".join(lines)


@given(st.lists(st.sampled_from(ENTRIES), min_size=1, max_size=4).flatmap(lambda some: mutated("".join(some))))
def test_any_queue_can_be_read_and_the_good_job_after_it_is_found(text: str) -> None:
    state = scheduler(FakeGridEngine(jobs=listing(text, job(987654)))).read()
    assert "987654" in [found.name for found in state.jobs]
    for found in state.jobs:
        assert (found.problem is not None) == (found.count == 0)
        assert found.runnable == (not found.not_runnable_reason)
        assert len(found.name) < 100


@given(mutated(HOSTS))
def test_any_host_list_can_be_read(text: str) -> None:
    problems: list[Problem] = []
    try:
        hosts = parse_hosts(text, problems)
    except SchedulerError:
        assert "<qhost" not in text
        return
    complexes = parse_complexes(COMPLEXES)
    for node in read_nodes(hosts.values(), frozenset(complexes), complexes, problems, problems):
        assert node.state in {"Ready", "Closed", "Down", "Booting"}


@given(mutated(DETAILS), mutated(QUEUES), mutated(COMPLEXES), st.text(max_size=200))
def test_any_configuration_can_be_read(details: str, queues: str, complexes: str, text: str) -> None:
    parse_details(details)
    parse_queues(queues)
    problems: list[Problem] = []
    stocks = Stocks(parse_complexes(complexes), problems)
    stocks.read_rules(f"{{\n   name x\n   enabled TRUE\n   limit users {text} to slots={text[:9]}\n}}\n")
    assert dict(stocks.shared()) == {}
