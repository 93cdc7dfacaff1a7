"""Faults on demand (§10.8, §10.9): provisioning, nodes, eviction, connections."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from autoscale_aks.emulator.faults import FaultRule

SIZE = "Standard_D2s_v5"


def entries(*names):
    return [{"machineName": name} for name in names]


def inner(aks, name):
    error = aks.properties(name)["status"]["provisioningError"]
    return error["details"][0]["code"], error["details"][0]["message"]


@pytest.mark.parametrize(
    ("code", "seen", "token"),
    [
        ("SkuNotAvailable", "SkuNotAvailable", f"Following SKUs have failed for Capacity Restrictions: {SIZE}"),
        ("ZonalAllocationFailed", "ZonalAllocationFailed", f"{SIZE} in zone '2'"),
        ("AllocationFailed", "AllocationFailed", SIZE),
        ("OverconstrainedZonalAllocationRequest", "OverconstrainedZonalAllocationRequest", "Availability Zone: 2"),
        ("OverconstrainedAllocationRequest", "OverconstrainedAllocationRequest", f"VM Size: {SIZE}"),
        ("FamilyQuota", "OperationNotAllowed", "standardDSv5Family Cores quota"),
        ("RegionalQuota", "OperationNotAllowed", "Total Regional Cores quota"),
        ("SpotQuota", "OperationNotAllowed", "LowPriorityCores quota"),
        ("FailedToCreateOrUpdateVirtualMachineExtension",) * 2 + ("exit status=50",),
    ],
)
def test_a_machine_fails_later_with_the_tokens_clients_match(aks, code, seen, token):
    """§5.3: accepted with 200, then Failed; the resource stays and holds its name."""
    aks.fault(kind="provisioning_failure", code=code)
    operation = aks.put("m1", zones=["2"]).headers["Azure-AsyncOperation"]
    assert aks.state("m1") == "Creating"
    aks.advance(120)
    assert aks.state("m1") == "Failed"
    found, message = inner(aks, "m1")
    assert found == seen
    assert token in message
    assert aks.call("GET", operation).json()["status"] == "Failed"
    assert aks.nodes() == []
    assert aks.usage("cores") == 0
    assert aks.batch("m1", []).json()["code"] == "BatchMachineClientError"
    aks.delete("m1")
    aks.advance(300)
    assert aks.get("m1").status_code == 404


def test_a_rule_looks_at_size_zone_priority_and_name(aks):
    """§10.8 selectors."""
    aks.fault(kind="provisioning_failure", sizes=["standard_d4s_v5"], zones=["1"], priority="Spot", names=["gpu-*"])
    aks.put("gpu-a", size="Standard_D4s_v5", zones=["1"], priority="Spot")
    aks.put("cpu-a", size="Standard_D4s_v5", zones=["1"], priority="Spot")
    aks.put("gpu-b", size="Standard_D4s_v5", zones=["2"], priority="Spot")
    aks.put("gpu-c", size="Standard_D2s_v5", zones=["1"], priority="Spot")
    aks.put("gpu-d", size="Standard_D4s_v5", zones=["1"])
    aks.advance(300)
    assert [name for name in aks.names() if aks.state(name) == "Failed"] == ["gpu-a"]


def test_a_rule_stops_after_its_count(aks):
    """§10.8."""
    aks.fault(kind="provisioning_failure", count=2)
    aks.batch("a", entries("a", "b", "c"))
    aks.advance(300)
    assert [aks.state(name) for name in ("a", "b", "c")] == ["Failed", "Failed", "Succeeded"]


def test_chance_is_seeded_by_name_and_not_by_order(emulate):
    """§10: the same machines fail whatever the order of requests; another seed hits others."""
    names = [f"m{i:02d}" for i in range(40)]
    rule = FaultRule(kind="provisioning_failure", probability=0.5)

    def failed(order, seed):
        aks = emulate(seed=seed, faults=(rule,))
        aks.batch(order[0], entries(*order))
        aks.advance(300)
        return sorted(m["name"] for m in aks.walk() if m["properties"]["provisioningState"] == "Failed")

    first = failed(names, 1)
    assert 8 <= len(first) <= 32
    assert failed(names[::-1], 1) == first
    assert failed(names, 2) != first


def test_a_second_life_of_a_name_draws_again(emulate):
    """A probability is drawn per name and generation, or a name would fail for ever."""
    aks = emulate(faults=(FaultRule(kind="provisioning_failure", probability=0.5),))
    states = set()
    for _ in range(12):
        aks.put("m1")
        aks.advance(300)
        states.add(aks.state("m1"))
        aks.delete("m1")
        aks.advance(300)
    assert states == {"Failed", "Succeeded"}


def test_a_size_can_be_refused_at_once(aks):
    """§5.2, sync; of a batch nothing is created."""
    aks.fault(kind="size_not_supported", sizes=[SIZE])
    assert aks.batch("a", entries("a", "b")).json()["code"] == "VMSizeNotSupported"
    assert aks.names() == []
    assert aks.put("c", size="Standard_D4s_v5").status_code == 200


def test_single_puts_can_be_refused_too(aks):
    """§10.8."""
    aks.fault(kind="client_error", names=["a"], code="ValidationError", message="no")
    aks.fault(kind="internal_error", names=["b"])
    assert (aks.put("a").status_code, aks.put("a").json()["code"]) == (400, "ValidationError")
    assert (aks.put("b").status_code, aks.put("b").json()["code"]) == (500, "InternalOperationError")
    assert aks.names() == []


def test_a_stuck_machine_creates_for_ever(aks):
    """§10.8."""
    aks.fault(kind="stuck_creating", names=["m1"])
    aks.put("m1")
    aks.advance(100_000)
    assert aks.state("m1") == "Creating"
    aks.delete("m1")
    aks.advance(300)
    assert aks.names() == []


def test_a_node_may_never_register_or_never_get_ready(aks):
    """§10.8: the machine succeeds all the same."""
    aks.fault(kind="node_never_registers", names=["a"])
    aks.fault(kind="node_never_ready", names=["b"])
    aks.batch("a", entries("a", "b", "c"))
    aks.advance(1000)
    assert {aks.state(name) for name in ("a", "b", "c")} == {"Succeeded"}
    ready = {node["metadata"]["name"].split("-")[2]: is_ready(node) for node in aks.nodes()}
    assert ready == {"b": False, "c": True}


def is_ready(node):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])


def test_an_evicted_spot_machine_stays_listed_without_vm_and_node(aks):
    """§2.5: vmState Deleted; it must still be removed by deleteMachines; its quota is free."""
    aks.put("spot", priority="Spot")
    aks.put("regular")
    aks.advance(300)
    assert aks.usage("lowPriorityCores") == 2
    assert aks.fault(kind="evict")["hits_now"] == 1
    aks.advance(1)
    properties = aks.properties("spot")
    assert (properties["provisioningState"], properties["status"]["vmState"]) == ("Succeeded", "Deleted")
    assert aks.properties("regular")["status"]["vmState"] == "Running"
    assert [node["metadata"]["labels"]["kubernetes.io/hostname"].split("-")[2] for node in aks.nodes()] == ["regular"]
    assert (aks.usage("lowPriorityCores"), aks.usage("cores")) == (0, 2)
    assert aks.delete("spot").status_code == 202
    aks.advance(300)
    assert aks.names() == ["regular"]
    assert (aks.usage("lowPriorityCores"), aks.usage("cores")) == (0, 2)


def test_a_new_spot_machine_can_be_evicted_after_a_while(aks):
    """§10.8: an hour of life."""
    aks.fault(kind="evict", after_s=3600)
    aks.put("spot", priority="Spot")
    aks.put("regular")
    aks.advance(3600)
    assert aks.properties("spot")["status"]["vmState"] == "Running"
    aks.advance(200)
    assert aks.properties("spot")["status"]["vmState"] == "Deleted"
    assert aks.properties("regular")["status"]["vmState"] == "Running"


def test_somebody_may_delete_a_vm_and_a_node_may_be_lost(aks):
    """§2.5: vmState Deleted covers a user deletion too."""
    aks.batch("a", entries("a", "b"))
    aks.advance(300)
    aks.fault(kind="vm_deleted", names=["a"])
    aks.fault(kind="node_lost", names=["b"])
    assert aks.properties("a")["status"]["vmState"] == "Deleted"
    assert [is_ready(node) for node in aks.nodes()] == [False]


def test_a_reset_before_the_work_creates_nothing(aks):
    """§11: the client sees the same as after the work, and must LIST."""
    aks.fault(kind="reset_before", operations=["machine.batch_put"], count=1)
    with pytest.raises(requests.ConnectionError):
        aks.batch("a", entries("a", "b"))
    assert aks.names() == []
    assert aks.batch("a", entries("a", "b")).status_code == 200


def test_a_reset_after_the_work_has_created_everything(aks):
    """§11."""
    aks.fault(kind="reset_after", operations=["machine.batch_put"], names=["b"])
    with pytest.raises(requests.ConnectionError):
        aks.batch("a", entries("a", "b"))
    assert aks.names() == ["a", "b"]
    last = aks.journal(operation="machine.batch_put")["requests"][-1]
    assert (last["fault"], last["status"], last["names"]) == ("reset_after", None, ["a", "b"])


@pytest.mark.parametrize(("kind", "made"), [("error_before", []), ("error_after", ["a", "b"])])
def test_a_server_error_before_or_after_the_work(aks, kind, made):
    """§5.2, §10.8: never resend blindly on 500."""
    aks.fault(kind=kind, status=503, code="ServiceUnavailable", operations=["machine.batch_put"], count=1)
    answer = aks.batch("a", entries("a", "b"))
    assert (answer.status_code, answer.json()["code"]) == (503, "ServiceUnavailable")
    assert aks.names() == made


def test_an_answer_can_be_anything_at_all(aks):
    """§5.1: network boxes return HTML; §5.2: a batch code whose message cannot be decoded."""
    aks.fault(kind="error_after", status=502, body="<html>bad gateway</html>", operations=["machine.get"])
    aks.put("a")
    answer = aks.get("a")
    assert (answer.status_code, answer.text) == (502, "<html>bad gateway</html>")


def test_a_slow_answer_outlives_the_callers_patience_but_the_work_is_done(aks):
    """§10.9: a client timeout does not mean that nothing was created."""
    aks.fault(kind="slow", after_s=0.3, operations=["machine.batch_put"], count=1)
    header = {"BatchPutMachine": '{"batchMachines":[{"machineName":"b"}]}', "Authorization": "Bearer t"}
    body = {"properties": {"hardware": {"vmSize": SIZE}}}
    with pytest.raises(requests.Timeout):
        requests.put(
            aks.pool + "/machines/a",
            params={"api-version": "2025-06-02-preview"},
            json=body,
            headers=header,
            timeout=0.1,
        )
    assert aks.names() == []
    deadline = time.monotonic() + 5
    while not aks.names() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert aks.names() == ["a", "b"]


def test_a_late_answer_comes_when_the_work_has_long_been_done(aks):
    """§11: a client that lists after its timeout finds everything."""
    aks.fault(kind="slow_after", after_s=30.0, operations=["machine.batch_put"], count=1)
    with pytest.raises(requests.Timeout):
        requests.put(
            aks.pool + "/machines/a",
            params={"api-version": "2025-06-02-preview"},
            json={"properties": {"hardware": {"vmSize": SIZE}}},
            headers={"BatchPutMachine": '{"batchMachines":[{"machineName":"b"}]}', "Authorization": "Bearer t"},
            timeout=0.5,
        )
    assert aks.names() == ["a", "b"]


def test_a_rule_finds_the_names_in_a_delete_before_it_is_done(aks):
    """§7.5: only the request that names m2 breaks."""
    for name in ("m1", "m2"):
        aks.put(name)
    aks.fault(kind="error_before", names=["m2"], operations=["machine.delete"], status=503)
    assert [aks.delete(name).status_code for name in ("m1", "m2")] == [202, 503]


def test_a_rule_may_look_at_one_page_of_a_list(emulate):
    """§7.4: page 2 of 3 fails however often it is asked for."""
    aks = emulate(page_size=2, trailing_empty_page=False)
    aks.batch("a", [{"machineName": name} for name in "bcdef"])
    aks.fault(kind="error_before", operations=["machine.list"], pages=2)
    first = aks.call("GET", f"{aks.pool}/machines").json()
    assert [machine["name"] for machine in first["value"]] == ["a", "b"]
    assert [aks.call("GET", first["nextLink"]).status_code for _ in range(3)] == [500, 500, 500]
    third = first["nextLink"].replace("oken=2", "oken=4")
    assert [machine["name"] for machine in aks.call("GET", third).json()["value"]] == ["e", "f"]


def test_stopping_in_the_middle_of_a_slow_answer_is_clean(emulate):
    """No warning, no hang, and the work is not done any more."""
    aks = emulate(latency_s=30.0)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(aks.put, "m1")
        while not aks.server.journal.entries():
            time.sleep(0.005)
        time.sleep(0.02)
        started = time.monotonic()
        aks.server.stop()
        with pytest.raises(requests.ConnectionError):
            pending.result(timeout=5)
    assert time.monotonic() - started < 15, "it waited for the answer"
    assert not aks.server.state.pools()[0].machines


def test_rules_are_listed_counted_and_removed(aks):
    """The control endpoint."""
    first = aks.fault(kind="provisioning_failure", names=["a"])["ids"][0]
    second = aks.fault(kind="stuck_creating", names=["b"])["ids"][0]
    aks.put("a")
    url = f"{aks.server.base_url}/_emulator/faults"
    listed = {rule["id"]: rule["hits"] for rule in aks.session.get(url, timeout=5).json()["faults"]}
    assert listed == {first: 1, second: 0}
    assert aks.session.delete(f"{url}/{first}", timeout=5).json() == {"removed": 1}
    assert aks.session.delete(f"{url}/{first}", timeout=5).status_code == 404
    assert aks.session.delete(url, timeout=5).json() == {"removed": 1}


@pytest.mark.parametrize("rule", [{}, {"kind": "x"}, {"kind": "slow", "colour": 1}, {"kind": "slow", "every": 0}, 3])
def test_a_rule_that_makes_no_sense_is_refused(aks, rule):
    """The control endpoint."""
    answer = aks.session.post(f"{aks.server.base_url}/_emulator/faults", json=rule, timeout=5)
    assert answer.status_code == 400
