"""Whatever Slurm prints, reading never raises for a record and never loses a good one beside a bad one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from slurm_lines import FACTS, SAMPLE, line

from autoscale_aks.schedulers.slurm.facts import parse_licenses, parse_partitions
from autoscale_aks.schedulers.slurm.jobs import read_queue
from autoscale_aks.schedulers.slurm.nodes import read_nodes
from autoscale_aks.schedulers.slurm.settings import SlurmSettings

if TYPE_CHECKING:
    from autoscale_aks.errors import Problem

SETTINGS = SlurmSettings()
LINES = (SAMPLE / "squeue.txt").read_text().splitlines()
NODES = (SAMPLE / "scontrol-show-nodes.txt").read_text().splitlines()
VALUES = sorted({value for captured in LINES for value in captured.split("\t")})
ODD = st.sampled_from(
    ["", "N/A", "(null)", "-1", "0", "9" * 25, "9" * 5000, "1e9", "٣", "[", "]", "1-", "[1-3%x]", "1_[", "gres:",
     "gres:gpu:", "gpu:a:b:3", "cpu=", "mem=x", "node=0", "a|", "((", "!!", "*2", "\x00", "a,,b", "n[1-2",
     "UNLIMITED", "2-4"]
)  # fmt: skip
FIELD = st.one_of(ODD, st.sampled_from(VALUES), st.text(st.characters(exclude_characters="\t\n"), max_size=30))


@st.composite
def mutated(draw: st.DrawFn, lines: list[str], separator: str) -> str:
    parts = draw(st.sampled_from(lines)).split(separator)
    for _ in range(draw(st.integers(1, 4))):
        parts[draw(st.integers(0, len(parts) - 1))] = draw(FIELD)
    return separator.join(parts)


@given(st.lists(st.one_of(mutated(LINES, "\t"), st.text(max_size=80)), max_size=8))
def test_any_queue_can_be_read_and_the_good_job_in_it_is_found(lines: list[str]) -> None:
    good = line(JobID="987654", PriorityLong="77")
    queue = read_queue("\n".join([*lines, good]), SETTINGS, FACTS)
    assert "987654" in [job.name for job in queue.jobs]
    for job in queue.jobs:
        assert (job.problem is not None) == (job.count == 0)
        assert job.runnable == (not job.not_runnable_reason)
        assert len(job.name) < 100


@given(st.lists(st.one_of(mutated(NODES[:20], " "), st.text(max_size=80)), max_size=8))
def test_any_node_list_can_be_read(lines: list[str]) -> None:
    problems: list[Problem] = []
    for node in read_nodes("\n".join([*lines, NODES[0]]), SETTINGS, {}, problems):
        assert node.state in {"Ready", "Closed", "Down", "Booting"}


@given(st.text(max_size=200), st.text(max_size=20))
def test_any_facts_can_be_read(text: str, value: str) -> None:
    problems: list[Problem] = []
    parse_licenses(f"{text}\nLicenseName=x Total={value} Used=0 Free={value}", problems)
    parse_partitions(f"{text}\nPartitionName=x TotalNodes={value} PriorityTier=2", problems)
