"""From what each source says of a machine to its cell of the reconcile table, and to one node that counts once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.ledger.records import MachineRecord, MachineState
from autoscale_aks.model.launch import ClusterNode, Machine
from autoscale_aks.model.node import Stage
from autoscale_aks.reconcile.join import VISIBILITY_GRACE_S, Sighting, join_machine
from autoscale_aks.reconcile.table import Action
from autoscale_aks.schedulers.port import SchedulerNode

NOW = 10_000.0
YOUNG_STATES = (MachineState.INTENDED, MachineState.ACCEPTED, MachineState.UNKNOWN, MachineState.LISTED)
ASKED_STATES = (MachineState.INTENDED, MachineState.ACCEPTED, MachineState.UNKNOWN)
RECORD = MachineRecord(
    name="site-htc-1",
    nodearray="htc",
    pool="htc",
    vm_size="Standard_D4s_v5",
    zone="2",
    spot=False,
    placement_group="pg1",
    plan_id="p",
    chunk_id="chunk_0",
    state=MachineState.LISTED,
    asked_at=NOW - 500,
    updated_at=NOW,
)
MACHINE = Machine(name="site-htc-1", pool="htc", provisioning_state="Succeeded", node_name="aks-1", resource_id="/m/1")
READY = ClusterNode(name="aks-1", pool="htc", ready=True, private_ip="10.0.0.4")
SCHEDULED = SchedulerNode(name="htc-1", state="Ready", machine="site-htc-1", available={"ncpus": 2})


def sight(state: MachineState = MachineState.LISTED, asked_s_ago: float = 500.0, **more: Any) -> Sighting:
    """A ready machine that every source knows, but for what is said otherwise."""
    given_ = {
        "machine": MACHINE,
        "listing_complete": True,
        "cluster_node": READY,
        "reads_cluster_nodes": True,
        "scheduler_node": SCHEDULED,
        "scheduler_reports_nodes": True,
        **more,
    }
    asked_at = NOW - asked_s_ago
    moved_at = asked_at if state in ASKED_STATES else NOW
    return Sighting(record=replace(RECORD, state=state, asked_at=asked_at, updated_at=moved_at), **given_)


def verdict(seen: Sighting) -> tuple[Stage, str] | None:
    node = join_machine(seen, NOW).node
    return None if node is None else (node.stage, node.state)


def unlisted(state: MachineState, **more: Any) -> Sighting:
    return sight(state, machine=None, cluster_node=None, **more)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (MachineState.INTENDED, (Stage.IN_FLIGHT, "Creating")),
        (MachineState.ACCEPTED, (Stage.IN_FLIGHT, "Creating")),
        (MachineState.UNKNOWN, (Stage.IN_FLIGHT, "Creating")),
        (MachineState.REJECTED, (Stage.IN_FLIGHT, "Creating")),
        (MachineState.LISTED, (Stage.IN_FLIGHT, "Creating")),
        (MachineState.READY, (Stage.EXISTING, "Ready")),
        (MachineState.CLOSING, (Stage.DRAINING, "Draining")),
        (MachineState.DELETING, (Stage.DRAINING, "Deleting")),
    ],
)
def test_not_listed_in_a_list_that_is_not_complete_is_as_last_known(
    state: MachineState, expected: tuple[Stage, str]
) -> None:
    assert verdict(unlisted(state, listing_complete=False, asked_s_ago=1e6)) == expected


def test_not_listed_and_last_known_ready_has_what_the_scheduler_says_of_it() -> None:
    seen = unlisted(MachineState.READY, listing_complete=False)
    assert join_machine(seen, NOW).node.available == {"ncpus": 2}  # type: ignore[union-attr]
    assert verdict(replace(seen, scheduler_node=None)) == (Stage.IN_FLIGHT, "Rejoining")
    assert verdict(replace(seen, scheduler_node=None, scheduler_reports_nodes=False)) == (Stage.EXISTING, "Ready")


@pytest.mark.parametrize("state", YOUNG_STATES)
def test_not_listed_and_asked_for_within_the_grace_is_in_flight(state: MachineState) -> None:
    assert verdict(unlisted(state, asked_s_ago=VISIBILITY_GRACE_S)) == (Stage.IN_FLIGHT, "Creating")


@pytest.mark.parametrize("state", ASKED_STATES)
def test_not_listed_and_asked_for_before_the_grace_is_gone(state: MachineState) -> None:
    assert verdict(unlisted(state, asked_s_ago=VISIBILITY_GRACE_S + 1)) is None


@pytest.mark.parametrize("state", [MachineState.REJECTED, MachineState.DELETING])
def test_not_listed_and_rejected_or_deleting_is_gone_at_once(state: MachineState) -> None:
    assert verdict(unlisted(state, asked_s_ago=1.0)) is None


@pytest.mark.parametrize("state", [MachineState.LISTED, MachineState.READY, MachineState.CLOSING])
def test_not_listed_though_it_was_listed_before_is_gone(state: MachineState) -> None:
    assert verdict(unlisted(state, asked_s_ago=VISIBILITY_GRACE_S + 1)) is None


@pytest.mark.parametrize("state", list(MachineState))
def test_deleting_is_draining_whatever_the_ledger_says(state: MachineState) -> None:
    assert verdict(sight(state, machine=replace(MACHINE, provisioning_state="Deleting"))) == (
        Stage.DRAINING,
        "Deleting",
    )


@pytest.mark.parametrize(
    "change", [{"provisioning_state": "Failed"}, {"provisioning_state": "Canceled"}, {"vm_state": "Deleted"}]
)
def test_failed_or_without_its_vm_is_failed_and_offers_nothing(change: dict[str, str]) -> None:
    node = join_machine(sight(machine=replace(MACHINE, **change)), NOW).node
    assert node is not None
    assert (node.is_failed, node.offers(NOW, 1e9), node.available) == (True, False, {})


def test_listed_while_the_ledger_closes_it_is_draining() -> None:
    assert verdict(sight(MachineState.CLOSING)) == (Stage.DRAINING, "Draining")


def test_a_delete_that_does_not_show_is_waited_for_and_then_tried_again() -> None:
    seen = sight(MachineState.DELETING)
    late = replace(seen, record=replace(seen.record, updated_at=NOW - VISIBILITY_GRACE_S - 1))
    assert (verdict(seen), join_machine(seen, NOW).action) == ((Stage.DRAINING, "Deleting"), Action.KEEP)
    assert (verdict(late), join_machine(late, NOW).action) == ((Stage.DRAINING, "Draining"), Action.FINISH)


@pytest.mark.parametrize("node", [None, replace(READY, ready=False)])
def test_listed_without_a_ready_node_is_in_flight(node: ClusterNode | None) -> None:
    assert verdict(sight(cluster_node=node)) == (Stage.IN_FLIGHT, "Creating")


def test_where_the_cluster_cannot_be_asked_a_machine_that_was_made_has_booted() -> None:
    blind = {"cluster_node": None, "reads_cluster_nodes": False}
    assert verdict(sight(**blind)) == (Stage.EXISTING, "Ready")
    creating = replace(MACHINE, provisioning_state="Creating")
    assert verdict(sight(**blind, machine=creating)) == (Stage.IN_FLIGHT, "Creating")


@pytest.mark.parametrize("node", [None, replace(SCHEDULED, state="Booting")])
def test_ready_and_not_joined_in_the_scheduler_is_in_flight(node: SchedulerNode | None) -> None:
    assert verdict(sight(scheduler_node=node)) == (Stage.IN_FLIGHT, "Joining")


def test_ready_in_cluster_and_scheduler_exists_with_what_the_scheduler_reports() -> None:
    node = join_machine(sight(job_ids=("7",)), NOW).node
    assert node is not None
    assert (node.stage, node.state, node.is_ready, node.hostname) == (Stage.EXISTING, "Ready", True, "htc-1")
    assert (node.available, node.job_ids, node.private_ip) == ({"ncpus": 2}, ("7",), "10.0.0.4")
    assert (node.nodearray, node.vm_size, node.zone, node.placement_group, node.instance_id) == (
        "htc", "Standard_D4s_v5", "2", "pg1", "/m/1",
    )  # fmt: skip


def test_ready_where_the_scheduler_reports_no_nodes_exists() -> None:
    assert verdict(sight(scheduler_node=None, scheduler_reports_nodes=False)) == (Stage.EXISTING, "Ready")


@pytest.mark.parametrize("state", ["Closed", "Down"])
def test_ready_and_closed_in_the_scheduler_exists_and_offers_nothing(state: str) -> None:
    node = join_machine(sight(MachineState.READY, scheduler_node=replace(SCHEDULED, state=state)), NOW).node
    assert node is not None
    assert (node.stage, node.is_ready, node.offers(NOW, 1e9)) == (Stage.EXISTING, False, False)


sightings = st.builds(
    sight,
    state=st.sampled_from(MachineState),
    asked_s_ago=st.sampled_from([0.0, VISIBILITY_GRACE_S, VISIBILITY_GRACE_S + 1, 1e6]),
    machine=st.none()
    | st.builds(
        lambda provisioning, vm: replace(MACHINE, provisioning_state=provisioning, vm_state=vm),
        st.sampled_from(["Creating", "Succeeded", "Updating", "Failed", "Canceled", "Deleting", "New"]),
        st.sampled_from([None, "Running", "Deleted"]),
    ),
    listing_complete=st.booleans(),
    cluster_node=st.sampled_from([None, READY, replace(READY, ready=False)]),
    reads_cluster_nodes=st.booleans(),
    scheduler_node=st.none()
    | st.sampled_from(["Ready", "Closed", "Down", "Booting"]).map(lambda state: replace(SCHEDULED, state=state)),
    scheduler_reports_nodes=st.booleans(),
    job_ids=st.sampled_from([(), ("7",)]),
)


@given(seen=sightings)
def test_law_every_combination_of_sources_is_one_node_or_none(seen: Sighting) -> None:
    node = join_machine(seen, NOW).node
    if node is None:
        assert seen.machine is None, "what is listed is never gone"
        assert seen.listing_complete, "absence from half a list proves nothing"
        return
    assert node.name == RECORD.name
    assert node.stage is not Stage.PLANNED
    if node.is_ready:
        assert seen.record.state not in {MachineState.CLOSING, MachineState.DELETING}
        assert seen.scheduler_node is not None or not seen.scheduler_reports_nodes, "else nobody knows what is left"
    else:
        assert node.available == {}, "only a ready node has something left"
    if seen.machine is not None and (seen.machine.is_failed or seen.machine.is_deleting):
        assert not node.offers(NOW, None)


CORDONED = replace(READY, ready=False, cordoned=True)


@pytest.mark.parametrize(
    ("state", "asked_s_ago", "jobs"),
    [
        (MachineState.READY, 100.0, ()),
        (MachineState.READY, 1e6, ()),
        (MachineState.READY, 1e6, ("job",)),
        (MachineState.LISTED, 1e6, ("job",)),
    ],
)
def test_t20_a_node_that_an_administrator_cordoned_is_closed_however_long_it_is_so(
    state: MachineState, asked_s_ago: float, jobs: tuple[str, ...]
) -> None:
    cordoned = CORDONED
    seen = sight(state, cluster_node=cordoned, asked_s_ago=asked_s_ago, job_ids=jobs, boot_timeout_s=600.0)
    node = join_machine(seen, NOW).node
    assert node is not None
    assert (node.stage, node.state, node.job_ids) == (Stage.EXISTING, "Closed", jobs)
    assert (node.lost_since, node.boot_deadline) == (None, None)


@pytest.mark.parametrize(
    "held",
    [
        {"cluster_node": CORDONED},
        {"cluster_node": CORDONED, "scheduler_node": replace(SCHEDULED, state="Closed")},
        {"scheduler_node": replace(SCHEDULED, state="Closed")},
        {"scheduler_node": replace(SCHEDULED, state="Down")},
        {"scheduler_node": replace(SCHEDULED, state="Closed"), "reads_cluster_nodes": False, "cluster_node": None},
        {"scheduler_node": replace(SCHEDULED, state="Down"), "reads_cluster_nodes": False, "cluster_node": None},
    ],
)
def test_t12_a_node_that_is_kept_from_its_first_work_has_its_time_to_boot_and_no_more(held: dict[str, Any]) -> None:
    seen = sight(asked_s_ago=500.0, boot_timeout_s=600.0, **held)
    node = join_machine(seen, NOW).node
    assert node is not None
    assert (node.stage, node.boot_deadline, node.lost_since) == (Stage.IN_FLIGHT, NOW + 100.0, None)


@pytest.mark.parametrize("held", [{"cluster_node": CORDONED}, {"scheduler_node": replace(SCHEDULED, state="Closed")}])
@pytest.mark.parametrize("past", [{"chunk_id": ""}, {"ready_at": NOW - 400.0}])
def test_t20_a_closed_machine_of_whose_past_the_ledger_knows_nothing_stays(
    held: dict[str, Any], past: dict[str, Any]
) -> None:
    """It was taken in by its marks, or taken back: an administrator may have closed it after months of work."""
    seen = sight(asked_s_ago=1e6, boot_timeout_s=600.0, **held)
    node = join_machine(replace(seen, record=replace(seen.record, **past)), NOW).node
    assert node is not None
    assert (node.stage, node.state, node.boot_deadline) == (Stage.EXISTING, "Closed", None)


@pytest.mark.parametrize("state", [MachineState.ACCEPTED, MachineState.UNKNOWN])
def test_t03_a_request_that_left_long_after_its_intent_has_the_whole_grace_of_the_list(state: MachineState) -> None:
    """A throttled burst may last minutes: its last machines are not missing because its first were asked for then."""
    late = unlisted(state, asked_s_ago=600.0)
    answered = replace(late.record, updated_at=NOW - VISIBILITY_GRACE_S)
    assert verdict(replace(late, record=answered)) == (Stage.IN_FLIGHT, "Creating")
    assert verdict(late) is None
