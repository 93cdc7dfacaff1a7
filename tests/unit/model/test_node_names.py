"""The three names of one machine, in both directions (aks-machine-api.md §7.2), and the page that shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.emulator.settings import EmulatorSettings
from autoscale_aks.model.node_names import (
    NODE_NUMBER,
    kubernetes_node,
    machine_of_host,
    machine_of_kubernetes_node,
    machine_prefix,
    nodearray_of,
    scheduler_node,
)

PAGE = (Path(__file__).parents[3] / "docs" / "names.md").read_text(encoding="utf-8")
POOLS = st.from_regex(r"[a-z][a-z0-9]{0,11}", fullmatch=True)
MACHINES = st.from_regex(r"[a-z][a-z0-9]{0,7}-[a-z]([a-z0-9-]{0,14}[a-z0-9])?-[1-9][0-9]{0,6}", fullmatch=True)
NUMBERS = st.from_regex(r"[0-9]{8}", fullmatch=True)


@given(pool=POOLS, machine=MACHINES, number=NUMBERS)
def test_a_kubernetes_node_tells_its_machine_whatever_the_names_look_like(pool: str, machine: str, number: str) -> None:
    node = kubernetes_node(pool, machine, number)
    assert machine_of_kubernetes_node(node) == machine_of_kubernetes_node(node, pool) == machine
    assert machine_of_host(f"{node}.internal.example") == machine
    assert machine_of_kubernetes_node(node, f"{pool[:11]}x" if pool[-1] != "x" else "other") is None


@given(machine=MACHINES)
def test_a_scheduler_node_of_ours_is_its_machine_and_back(machine: str) -> None:
    assert machine_of_host(scheduler_node(machine)) == machine


@given(owner=st.from_regex(r"[a-z][a-z0-9]{0,7}", fullmatch=True), number=st.integers(0, 10**15))
def test_a_name_of_ours_tells_its_node_array(owner: str, number: int) -> None:
    for array in ("htc", "htc-big", "gpu"):
        assert nodearray_of(f"{machine_prefix(owner, array)}{number}", owner, ("gpu", "htc-big", "htc")) == array


@pytest.mark.parametrize(
    "name", ["az1-htc-007", "az1-htc-", "az1-htc", "az1-htc-x1", "az2-htc-1", "az1-mem-1", "az1-htc-1-2", "htc-1", ""]
)
def test_another_name_is_of_no_node_array_of_ours(name: str) -> None:
    assert nodearray_of(name, "az1", ("htc",)) is None


def test_the_service_as_emulated_gives_names_that_are_read() -> None:
    node = f"aks-htc-az1-htc-17-12345678{EmulatorSettings().node_suffix}"
    assert node == kubernetes_node("htc", "az1-htc-17", "12345678")
    assert machine_of_kubernetes_node(node) == "az1-htc-17"


def _rows(header: str) -> list[list[str]]:
    table = PAGE.split(header)[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table]


def test_the_page_shows_what_the_code_does() -> None:
    forms = {row[0]: row for row in _rows("| of | form | example | who gives it |")}
    assert forms["machine (AKS)"][2] == f"{machine_prefix('az1', 'htc')}17"
    assert forms["Kubernetes node, VM"][1] == kubernetes_node("POOL", "MACHINE", NODE_NUMBER)
    assert forms["Kubernetes node, VM"][2] == kubernetes_node("htc", "az1-htc-17", "12345678")
    assert forms["scheduler's node"][2] == scheduler_node("az1-htc-17")
    met = _rows("| name that is met | machine | why |")
    assert len(met) == 6
    for name, machine, _ in met:
        found = machine_of_kubernetes_node(name) if name.startswith("aks-") else machine_of_host(name)
        assert (found or "none") == machine
