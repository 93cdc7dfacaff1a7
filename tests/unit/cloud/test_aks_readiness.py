"""Readiness in two forms and the operation record (aks-machine-api.md §7.3, batching.md B11)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from aks_fakes import EPOCH, TEMPLATE, FakeArm, FakeClock, answer, chunk, client_of, error, put_names
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.cloud.aks.readiness import compatible_percentiles, new_node_percentiles
from autoscale_aks.cloud.aks.scale import Watch

if TYPE_CHECKING:
    from autoscale_aks.cloud.aks.transport import Request, Response, SendFailure


@pytest.mark.parametrize(
    ("baseline", "expected", "targets"),
    [
        (0, 10, [5, 7, 9, 10, 10]),
        (3, 10, [7, 10, 12, 13, 13]),
        (100, 10, [101, 101, 101, 109, 110]),
        (0, 1000, [500, 700, 900, 990, 1000]),
    ],
)
def test_b11_compatible_targets_are_the_published_table(baseline: int, expected: int, targets: list[int]) -> None:
    reached = compatible_percentiles(baseline, expected, [], 0.0)
    assert [each.target_nodes for each in reached.values()] == targets
    assert list(reached) == ["P50", "P70", "P90", "P99", "P100"]


def test_b11_our_targets_count_only_new_nodes() -> None:
    reached = new_node_percentiles(100, 10, [float(n) for n in range(1, 11)], 0.0)
    assert [each.target_nodes for each in reached.values()] == [105, 107, 109, 110, 110]
    assert [each.elapsed_s for each in reached.values()] == [5.0, 7.0, 9.0, 10.0, 10.0]


def test_b11_the_envelope_of_a_percentile() -> None:
    reached = compatible_percentiles(0, 10, [100.0 + n for n in range(5)], 62.80049)
    assert reached["P50"].to_dict() == {
        "target_nodes": 5,
        "elapsed_time_seconds": 41.2,
        "percentage": 50,
        "success": True,
    }
    assert reached["P100"].to_dict() == {
        "target_nodes": 10,
        "elapsed_time_seconds": None,
        "percentage": 100,
        "success": False,
    }


def test_b11_a_node_ready_before_the_clock_started_took_no_time() -> None:
    assert compatible_percentiles(0, 1, [5.0], 9.0)["P100"].elapsed_s == 0.0


@given(st.integers(0, 200), st.lists(st.floats(0, 1e4), min_size=1, max_size=60))
def test_b11_percentiles_never_fall_and_do_not_depend_on_order(baseline: int, moments: list[float]) -> None:
    for form in (compatible_percentiles, new_node_percentiles):
        reached = form(baseline, len(moments), moments, 0.0)
        assert reached == form(baseline, len(moments), reversed(moments), 0.0)
        elapsed = [each.elapsed_s for each in reached.values()]
        assert None not in elapsed
        assert elapsed == sorted(elapsed, key=lambda value: value or 0.0)
        assert elapsed[-1] == max(moments)


class FakeCluster(FakeArm):
    """A FakeArm with a pool and nodes: a machine's node is ready `boot_s` after its PUT."""

    def __init__(self, clock: FakeClock, boot_s: float = 30.0) -> None:
        super().__init__()
        self.clock, self.boot_s = clock, boot_s
        self.made: dict[str, float] = {}
        self.old_nodes: tuple[str, ...] = ()
        self.pool_ready_at = 0.0
        self.pool_state = "Succeeded"
        self.nodes_fail = False

    def send(self, request: Request) -> Response | SendFailure:
        path = urlsplit(request.url).path
        if path == "/api/v1/nodes":
            return error(500, "x") if self.nodes_fail else answer(200, {"items": self._nodes()})
        if path.endswith("/agentPools/pool1"):
            state = self.pool_state if self.clock.now() >= self.pool_ready_at else "Updating"
            return answer(200, {"properties": {"mode": "Machines", "provisioningState": state}})
        if request.method == "PUT":
            self.clock.sleep(1.0)
            for name in put_names(request):
                self.made[name] = self.clock.now()
        return super().send(request)

    def _nodes(self) -> list[dict[str, Any]]:
        now = self.clock.now()
        ready = dict.fromkeys(self.old_nodes, True)
        ready |= {name: now >= made + self.boot_s for name, made in self.made.items()}
        return [
            {
                "metadata": {"name": f"node-{name}", "labels": {"agentpool": "pool1"}},
                "status": {"conditions": [{"type": "Ready", "status": str(is_ready)}]},
            }
            for name, is_ready in ready.items()
        ]


def test_b11_a_record_holds_what_the_law_lists() -> None:
    clock = FakeClock()
    cluster = FakeCluster(clock)
    cluster.old_nodes = ("old-1", "old-2", "old-3")
    cluster.pool_ready_at = EPOCH + 15
    record = client_of(cluster, clock).scale_machine(TEMPLATE, 10, 1, names=[f"m{n}" for n in range(10)])
    assert record.success
    data = json.loads(record.to_json())
    assert list(data) == [
        "cluster",
        "agent_pool",
        "vm_size",
        "count",
        "workers",
        "use_batch_api",
        "start_time",
        "puts",
        "command_execution_time",
        "batch_command_execution_times",
        "successful_machines",
        "failed_machine_count",
        "failed_by_kind",
        "unknown_machines",
        "failed_machines",
        "readiness",
        "new_node_readiness",
        "node_readiness_time",
        "success",
    ]
    assert (data["cluster"], data["agent_pool"], data["vm_size"]) == ("cl", "pool1", "Standard_D4s_v5")
    assert (data["count"], data["workers"], data["use_batch_api"], data["successful_machines"]) == (10, 1, True, 10)
    assert data["command_execution_time"] == 1.0
    assert data["batch_command_execution_times"] == {
        "chunk_0": {
            "start_time": "2025-06-15T15:06:40Z",
            "end_time": "2025-06-15T15:06:41Z",
            "execution_time_seconds": 1.0,
            "total_machines_in_batch": 10,
            "attempts": 1,
        }
    }
    assert [each["target_nodes"] for each in data["readiness"].values()] == [7, 10, 12, 13, 13]
    new_s = data["new_node_readiness"]["P100"]["elapsed_time_seconds"]
    assert 31 <= new_s <= 33, "from the first PUT: one second for it, then the boot"
    compatible_s = data["readiness"]["P100"]["elapsed_time_seconds"]
    assert compatible_s < new_s - 10, "its clock starts when the pool has succeeded"
    assert data["node_readiness_time"] == compatible_s


def test_b11_a_batch_that_did_not_land_whole_is_not_waited_for() -> None:
    clock = FakeClock()
    cluster = FakeCluster(clock)
    cluster.on_put = lambda names, request: error(400, "VMSizeNotSupported", "x" * 999) if names[0] == "m00" else None
    record = client_of(cluster, clock).scale_machine(TEMPLATE, 24, 2, names=[f"m{n:02d}" for n in range(24)])
    assert not record.success
    data = record.to_dict()
    assert (data["successful_machines"], data["failed_machine_count"], len(data["failed_machines"])) == (12, 12, 10)
    assert data["failed_machines"][0] == {
        "name": "m00",
        "provisioningState": "rejected",
        "error_kind": "validation",
        "error_code": "VMSizeNotSupported",
        "error_message": "x" * 300,
    }
    assert (data["readiness"], data["node_readiness_time"]) == ({}, None)


def test_b11_machines_that_fail_later_end_the_waiting_early() -> None:
    clock = FakeClock()
    cluster = FakeCluster(clock, boot_s=1e9)
    client = client_of(cluster, clock)

    def fails(names: list[str], request: Request) -> Response:
        cluster.add("a", state="Succeeded")
        cluster.add("b", state="Failed", provisioningError={"code": "SkuNotAvailable", "message": "none left"})
        return answer(200, cluster.machines["a"])

    cluster.on_put = fails
    record = client.scale_machine(TEMPLATE, 2, 1, names=["a", "b"])
    assert clock.time < EPOCH + 60
    assert [(each.name, each.state, each.code) for each in record.failed_machines] == [
        ("b", "Failed", "SkuNotAvailable")
    ]
    assert record.successful_machines == 1
    assert record.readiness["P100"].elapsed_s is None


def looks_at_machines(cluster: FakeCluster, clock: FakeClock, machines: int = 2) -> list[float]:
    """Scale out and say when, after the PUTs, the machines were listed."""
    looks: list[float] = []
    cluster.on_list = lambda: looks.append(clock.now() - EPOCH)
    client_of(cluster, clock).scale_machine(TEMPLATE, machines, 1, names=[f"m{n}" for n in range(machines)])
    return looks[2:]


def test_terminal_failures_are_looked_for_at_once_and_every_thirty_seconds_beside_the_nodes() -> None:
    clock = FakeClock()
    looks = looks_at_machines(FakeCluster(clock, boot_s=125.0), clock)
    assert looks == pytest.approx([1.0, 31.0, 61.0, 91.0, 121.0], abs=2.0)


@pytest.mark.parametrize("others", ["Succeeded", "Deleting", "Canceled"])
def test_a_failure_ends_the_waiting_only_when_every_machine_is_listed_and_final(others: str) -> None:
    clock = FakeClock()

    class Mixed(FakeCluster):
        def send(self, request: Request) -> Response | SendFailure:
            reply = super().send(request)
            if request.method == "PUT":
                self.add("m0", state="Failed", provisioningError={"code": "SkuNotAvailable", "message": "none left"})
                self.add("m1", state="Creating")
            elif self.clock.now() > EPOCH + 100:
                self.add("m1", state=others)
            return reply

    looks = looks_at_machines(Mixed(clock, boot_s=1e9), clock)
    assert looks[-1] == pytest.approx(121.0, abs=2.0)
    assert len(looks) == 5


def test_percentiles_reached_before_a_failure_are_kept() -> None:
    clock = FakeClock()

    class Half(FakeCluster):
        def send(self, request: Request) -> Response | SendFailure:
            reply = super().send(request)
            if request.method == "PUT":
                self.made["b"] = 1e18
            if self.clock.now() > EPOCH + 50:
                self.add("a", state="Succeeded")
                self.add("b", state="Failed", provisioningError={"code": "AllocationFailed", "message": "none"})
            return reply

    record = client_of(Half(clock), clock).scale_machine(TEMPLATE, 2, 1, names=["a", "b"])
    assert [name for name, reached in record.new_node_readiness.items() if reached.elapsed_s is not None] == ["P50"]
    assert (record.successful_machines, dict(record.failed_by_kind)) == (1, {"capacity": 1})


def test_each_look_tells_how_many_new_nodes_are_ready() -> None:
    clock, told = FakeClock(), []
    cluster = FakeCluster(clock)
    cluster.old_nodes = ("old-1",)
    watch = Watch(on_ready=told.append)
    client_of(cluster, clock).scale_machine(TEMPLATE, 2, 1, names=["a", "b"], watch=watch)
    assert told[0] == 0
    assert told[-1] == 2
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("pool_state", "pool_ready_at", "waited"),
    [("Succeeded", 0.0, 1200), ("Succeeded", 1e18, 600), ("Failed", 0.0, 0)],
)
def test_b11_waiting_ends(pool_state: str, pool_ready_at: float, waited: float) -> None:
    clock = FakeClock()
    cluster = FakeCluster(clock, boot_s=1e9)
    cluster.pool_state, cluster.pool_ready_at = pool_state, pool_ready_at
    record = client_of(cluster, clock).scale_machine(TEMPLATE, 2, 1, names=["a", "b"])
    assert clock.time - EPOCH == pytest.approx(waited, abs=15)
    assert not record.success
    assert record.node_readiness_time is None


def test_b11_without_nodes_to_look_at_the_machines_are_made_all_the_same() -> None:
    clock = FakeClock()
    cluster = FakeCluster(clock)
    cluster.nodes_fail = True
    record = client_of(cluster, clock).scale_machine(TEMPLATE, 2, 1, names=["a", "b"])
    assert record.successful_machines == 2
    assert record.readiness == {}


def test_b11_passing_trouble_while_waiting_is_waited_out() -> None:
    clock = FakeClock()

    class Shaky(FakeCluster):
        def send(self, request: Request) -> Response | SendFailure:
            if EPOCH + 5 < self.clock.now() < EPOCH + 60 and request.method == "GET":
                return error(400, "BadRequest", "a bad minute")
            return super().send(request)

    cluster = Shaky(clock, boot_s=40.0)
    cluster.pool_ready_at = EPOCH + 20
    record = client_of(cluster, clock).scale_machine(TEMPLATE, 2, 1, names=["a", "b"])
    assert record.success
    assert record.new_node_readiness["P100"].elapsed_s == pytest.approx(60, abs=12)


def test_b11_nobody_has_to_wait() -> None:
    clock = FakeClock()
    cluster = FakeCluster(clock)
    record = client_of(cluster, clock).scale_machine(TEMPLATE, 2, 1, names=["a", "b"], watch=Watch(timeout_s=0))
    assert (clock.time, record.success) == (EPOCH + 1.0, True)


def test_b11_attempts_are_counted_per_chunk() -> None:
    clock = FakeClock()
    cluster = FakeCluster(clock)
    replies = [error(429, "Throttled")]
    cluster.on_put = lambda names, request: replies.pop() if replies else None
    record = client_of(cluster, clock).scale_machine(TEMPLATE, 2, 1, names=["a", "b"], watch=Watch(timeout_s=0))
    assert record.batch_command_execution_times["chunk_0"].attempts == 2
    assert chunk(0, "a").chunk_id == "chunk_0"
