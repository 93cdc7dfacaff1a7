"""The AKS client against the emulator over real HTTP: two readings of one wire that must agree.

The emulated clock moves with the wall, so that its token buckets fill; nothing else here waits for it.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from autoscale_aks.cloud.aks.auth import StaticTokenSource
from autoscale_aks.cloud.aks.client import AksClient, ClientSettings
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.endpoints import AksEndpoints
from autoscale_aks.cloud.aks.scale import Watch
from autoscale_aks.cloud.aks.wire import HeaderForm, HeaderLimits
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import BucketSpec, ClusterSpec, EmulatorSettings, QuotaSettings, ThrottleSettings
from autoscale_aks.errors import AuthError, CloudError
from autoscale_aks.model.launch import OWNER_TAG, ChunkOutcome, FaultKind, LaunchRequest, MachineSpec, MachineTemplate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CLUSTER = ClusterSpec(pools=("np1",))
MARK = {OWNER_TAG: "site-a"}
TEMPLATE = MachineTemplate(pool="np1", vm_size="Standard_D4s_v5", tags=MARK, node_labels=MARK)


@contextmanager
def world(
    settings: dict[str, Any] | None = None, client: ClientSettings | None = None, *, token: str = "emulated"
) -> Iterator[tuple[EmulatorServer, AksClient]]:
    given = {"clusters": (CLUSTER,), **(settings or {})}
    with EmulatorServer(EmulatorSettings(**given)) as server:
        endpoints = AksEndpoints(
            arm_url=server.base_url,
            scope="emulator/.default",
            subscription=CLUSTER.subscription,
            resource_group=CLUSTER.resource_group,
            cluster=CLUSTER.name,
            kubernetes_url=server.base_url,
        )
        tokens = StaticTokenSource(token, endpoint=server.base_url)

        def sleep(seconds: float) -> None:
            server.clock.advance(seconds)

        # The client lives by the emulated clock: its sleeps move it.
        effects = Effects(now=server.clock.now, sleep=sleep)
        with AksClient(endpoints, tokens, kubernetes_tokens=tokens, settings=client, effects=effects) as made:
            yield server, made


def chunks(workers: int, per_worker: int, template: MachineTemplate = TEMPLATE) -> list[LaunchRequest]:
    return [
        LaunchRequest(
            chunk_id=f"chunk_{worker}",
            template=template,
            machines=tuple(
                MachineSpec(name=f"m-{worker}-{index}", zone=str(index % 3 + 1), tags={"job": str(index)})
                for index in range(per_worker)
            ),
        )
        for worker in range(workers)
    ]


def states(outcomes: Sequence[ChunkOutcome]) -> dict[str, str]:
    return {each.name: each.state.value for outcome in outcomes for each in outcome.outcomes}


def asked(server: EmulatorServer, operation: str) -> int:
    return len(server.journal.summary(operation=operation)["requests"])


def test_a_pool_is_made_found_and_refused_in_another_mode() -> None:
    with world() as (server, client):
        client.ensure_pool("np2")
        client.ensure_pool("np2")
        assert asked(server, "pool.put") == 1
        assert client.list_machines("np2").complete
        absent = client.list_machines("np3")
        assert (absent.complete, absent.machines) == (True, ())


@pytest.mark.parametrize("form", HeaderForm)
def test_b7_every_machine_of_both_header_forms_keeps_its_zone_and_tags(form: HeaderForm) -> None:
    with world(client=ClientSettings(header=HeaderLimits(form=form))) as (server, client):
        outcomes = client.create_machines(chunks(2, 5))
        assert set(states(outcomes).values()) == {"accepted"}
        assert asked(server, "machine.batch_put") == 2
        listed = client.list_machines("np1").machines
        listed_zones = {machine.name: machine.zone for machine in listed}
        zones = {f"m-{worker}-{index}": str(index % 3 + 1) for worker in range(2) for index in range(5)}
        assert listed_zones == zones
        assert {machine.tags.get(OWNER_TAG) for machine in listed} == {"site-a"}
        assert [machine.name for machine in listed if machine.tags.get("job", "0") != machine.name[-1]] == []
        assert client.batch_honoured is True


def test_b3_a_thousand_machines_are_twenty_batches_and_one_list_before_and_after() -> None:
    with world() as (server, client):
        outcomes = client.create_machines(chunks(20, 50))
        assert set(states(outcomes).values()) == {"accepted"}
        assert (asked(server, "machine.batch_put"), asked(server, "machine.put")) == (20, 0)
        listing = client.list_machines("np1")
        assert (listing.complete, len(listing.machines), listing.pages) == (True, 1000, 21)


def test_the_whole_template_arrives() -> None:
    template = MachineTemplate(
        pool="np1",
        vm_size="Standard_D4s_v5",
        spot=True,
        node_labels={"sched.example/partition": "htc", **MARK},
        node_taints=("sched.example/dedicated=htc:NoSchedule",),
        tags=MARK,
        os_sku="Ubuntu2204",
        os_disk_size_gb=64,
        os_disk_type="Managed",
        orchestrator_version="1.32.6",
        max_pods=30,
        ssh_access="LocalUser",
    )
    with world() as (server, client):
        assert set(states(client.create_machines(chunks(1, 3, template))).values()) == {"accepted"}
        machine = client.list_machines("np1").machines[0]
        assert (machine.spot, machine.vm_size) == (True, "Standard_D4s_v5")
        assert machine.node_name is not None
        server.clock.advance(600)
        nodes = client.list_nodes(["np1"])
        assert {node.labels["sched.example/partition"] for node in nodes} == {"htc"}
        assert {node.ready for node in nodes} == {True}


@pytest.mark.parametrize("mode", ["all", "primary-from-body"])
def test_both_eras_of_the_batch_keep_the_url_machines_zone_and_mark(mode: str) -> None:
    with world({"batch_mode": mode}) as (_, client):
        client.create_machines(chunks(1, 4))
        listed = {machine.name: machine for machine in client.list_machines("np1").machines}
        assert (listed["m-0-0"].zone, listed["m-0-0"].tags[OWNER_TAG]) == ("1", "site-a")
        assert len(listed) == 4


def test_b10_an_ignored_header_is_found_out_and_remembered() -> None:
    with world({"batch_mode": "unsupported"}) as (server, client):
        outcomes = client.create_machines(chunks(2, 5))
        assert set(states(outcomes).values()) == {"accepted"}
        assert len(client.list_machines("np1").machines) == 10
        assert client.batch_honoured is False
        before = asked(server, "machine.batch_put")
        more = [
            LaunchRequest(
                chunk_id="chunk_9", template=TEMPLATE, machines=(MachineSpec(name="x1"), MachineSpec(name="x2"))
            )
        ]
        assert set(states(client.create_machines(more)).values()) == {"accepted"}
        assert asked(server, "machine.batch_put") == before


def test_the_same_batch_again_makes_nothing_and_is_accepted() -> None:
    with world() as (server, client):
        client.create_machines(chunks(1, 5))
        again = client.create_machines(chunks(1, 5))
        assert set(states(again).values()) == {"accepted"}
        assert asked(server, "machine.batch_put") == 1
        assert again[0].puts == 0


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "error_before", "error_after"])
def test_b9_a_batch_without_an_answer_is_listed_and_only_the_missing_is_made(kind: str) -> None:
    with world({"faults": (FaultRule(kind=kind, operations=("machine.batch_put",), count=1),)}) as (server, client):
        outcomes = client.create_machines(chunks(1, 5))
        assert set(states(outcomes).values()) == {"accepted"}
        assert len(client.list_machines("np1").machines) == 5
        assert asked(server, "machine.put") == (0 if kind.endswith("after") else 5)


@pytest.mark.parametrize(("kind", "fault"), [("client_error", None), ("internal_error", FaultKind.TRANSIENT)])
def test_b9_a_partial_batch_is_taken_machine_by_machine(kind: str, fault: FaultKind | None) -> None:
    with world({"faults": (FaultRule(kind=kind, names=("m-0-1", "m-0-3")),)}) as (_, client):
        (outcome,) = client.create_machines(chunks(1, 5))
        rejected = [each for each in outcome.outcomes if each.state.value == "rejected"]
        assert [each.name for each in rejected] == ["m-0-1", "m-0-3"]
        assert all(each.code for each in rejected)
        assert fault is None or {each.kind for each in rejected} == {fault}
        assert sorted(machine.name for machine in client.list_machines("np1").machines) == ["m-0-0", "m-0-2", "m-0-4"]


def test_b9_a_size_that_is_not_sold_rejects_its_chunks_only() -> None:
    with world({"faults": (FaultRule(kind="size_not_supported", sizes=("Standard_D8s_v5",)),)}) as (_, client):
        requests = chunks(3, 2)
        requests[1] = replace(requests[1], template=replace(TEMPLATE, vm_size="Standard_D8s_v5"))
        outcomes = client.create_machines(requests)
        codes = [{each.code for each in outcome.outcomes} for outcome in outcomes]
        assert codes == [{""}, {"VMSizeNotSupported"}, {""}]
        assert {each.kind for each in outcomes[1].outcomes} == {FaultKind.VALIDATION}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SkuNotAvailable", FaultKind.CAPACITY),
        ("ZonalAllocationFailed", FaultKind.CAPACITY),
        ("OverconstrainedAllocationRequest", FaultKind.CAPACITY),
    ],
)
def test_machines_that_fail_later_say_why_in_the_list(code: str, kind: FaultKind) -> None:
    with world({"faults": (FaultRule(kind="provisioning_failure", code=code, names=("m-0-0",)),)}) as (
        server,
        client,
    ):
        client.create_machines(chunks(1, 2))
        server.clock.advance(600)
        listed = {machine.name: machine for machine in client.list_machines("np1").machines}
        assert (listed["m-0-0"].is_failed, listed["m-0-0"].error_kind, listed["m-0-0"].error_code) == (
            True,
            kind,
            code,
        )
        assert not listed["m-0-1"].is_failed


def test_a_family_quota_that_is_used_up_is_seen_as_quota() -> None:
    with world({"quota": QuotaSettings(family=8)}) as (server, client):
        client.create_machines(chunks(1, 4))
        server.clock.advance(600)
        failed = [machine for machine in client.list_machines("np1").machines if machine.is_failed]
        assert len(failed) == 2
        assert {machine.error_kind for machine in failed} == {FaultKind.QUOTA}


def test_an_evicted_machine_is_listed_as_failed_where_vm_state_must_be_asked_for() -> None:
    faults = (FaultRule(kind="evict", names=("m-0-0",), after_s=1),)
    spot = MachineTemplate(pool="np1", vm_size="Standard_D4s_v5", spot=True, tags=MARK, node_labels=MARK)
    with world({"faults": faults, "list_vm_state": "expand"}) as (server, client):
        client.create_machines(chunks(1, 2, spot))
        server.clock.advance(600)
        assert [machine.name for machine in client.list_machines("np1").machines if machine.is_failed] == ["m-0-0"]


def test_b8_a_429_is_waited_out_as_long_as_it_asks() -> None:
    rule = FaultRule(kind="throttle", operations=("machine.batch_put",), count=1, after_s=20)
    with world({"faults": (rule,)}) as (server, client):
        started = server.clock.now()
        (outcome,) = client.create_machines(chunks(1, 3))
        assert set(states([outcome]).values()) == {"accepted"}
        assert (outcome.attempts, outcome.puts) == (2, 1)
        assert 20 <= server.clock.now() - started < 25


def test_b8_a_long_429_is_given_back_with_its_moment() -> None:
    rule = FaultRule(kind="throttle", operations=("machine.batch_put",), after_s=900)
    with world({"faults": (rule,)}) as (server, client):
        (outcome,) = client.create_machines(chunks(1, 3))
        assert {each.kind for each in outcome.outcomes} == {FaultKind.THROTTLE}
        assert client.remembered.not_before["write"] == pytest.approx(server.clock.now() + 900, abs=5)
        assert client.list_machines("np1").machines == ()


def test_b4_a_small_bucket_of_the_service_slows_but_loses_nothing() -> None:
    throttle = ThrottleSettings(batch=BucketSpec(3, 1.0))
    with world({"throttle": throttle}, ClientSettings(workers=8)) as (_, client):
        outcomes = client.create_machines(chunks(12, 2))
        assert set(states(outcomes).values()) == {"accepted"}
        assert len(client.list_machines("np1").machines) == 24


def test_listing_follows_every_page_and_a_broken_one_is_not_hidden() -> None:
    with world({"page_size": 7}) as (server, client):
        client.create_machines(chunks(1, 20))
        listing = client.list_machines("np1")
        assert (listing.complete, len(listing.machines), listing.pages) == (True, 20, 4)
        server.state.faults.add(FaultRule(kind="error_before", operations=("machine.list",), status=503))
        assert not client.list_machines("np1").complete


@pytest.mark.parametrize("mixed", ["proceed", "reject"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_deleting_takes_known_and_unknown_names(mixed: str, wrapped: bool) -> None:
    with world({"delete_mixed": mixed, "delete_error_wrapped": wrapped}) as (server, client):
        client.create_machines(chunks(2, 40))
        names = [machine.name for machine in client.list_machines("np1").machines]
        server.clock.advance(600)
        outcome = client.delete_machines("np1", [*names[:60], "never-was"])
        assert (len(outcome.accepted), outcome.refused) == (61, ())
        left = client.list_machines("np1").machines
        assert sum(machine.is_deleting for machine in left) == 60
        server.clock.advance(600)
        assert len(client.list_machines("np1").machines) == 20
        assert client.delete_machines("np1", names[:60]).refused == ()


def test_nodes_become_ready_and_pages_of_them_are_followed() -> None:
    with world() as (server, client):
        client.create_machines(chunks(6, 50))
        assert client.list_nodes(["np1"]) == ()
        server.clock.advance(900)
        nodes = client.list_nodes(["np1"])
        assert len(nodes) == 300
        assert {node.ready for node in nodes} == {True}
        machines = client.list_machines("np1").machines
        assert {machine.node_name for machine in machines} == {node.name for node in nodes}
        assert {f"azure://{machine.resource_id}" for machine in machines} == {node.provider_id for node in nodes}


def test_b11_scale_machine_measures_a_whole_run() -> None:
    with world() as (server, client):
        record = client.scale_machine(TEMPLATE, 20, 2, watch=Watch(poll_s=2))
        data = json.loads(record.to_json())
        assert (data["success"], data["successful_machines"], data["failed_machines"]) == (True, 20, [])
        assert sorted(data["batch_command_execution_times"]) == ["chunk_0", "chunk_1"]
        assert data["new_node_readiness"]["P100"]["elapsed_time_seconds"] > 30
        assert data["readiness"]["P50"]["target_nodes"] == 10
        assert asked(server, "machine.batch_put") == 2


def test_b2_scale_machine_refuses_an_uneven_split_without_a_request() -> None:
    with world() as (server, client):
        with pytest.raises(ValueError, match="evenly"):
            client.scale_machine(TEMPLATE, 97, 2)
        assert server.journal.summary()["requests"] == []


def test_no_bearer_no_list() -> None:
    with world({"require_bearer": True}, token="") as (_, client), pytest.raises(AuthError):
        client.list_machines("np1")


def test_a_missing_cluster_is_an_error_and_not_an_empty_pool() -> None:
    with EmulatorServer(EmulatorSettings(clusters=(CLUSTER,))) as server:
        endpoints = AksEndpoints(
            arm_url=server.base_url,
            scope="s",
            subscription=CLUSTER.subscription,
            resource_group=CLUSTER.resource_group,
            cluster="elsewhere",
        )
        tokens = StaticTokenSource("t", endpoint=server.base_url)
        with AksClient(endpoints, tokens) as client, pytest.raises(CloudError):
            client.list_machines("np1")
