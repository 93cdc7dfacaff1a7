"""Agent pools (§2.1, §7.5)."""

from __future__ import annotations

import pytest


def put_pool(aks, name, **properties):
    url = f"{aks.cluster}/agentPools/{name}"
    return aks.call("PUT", url, json={"properties": properties}, params={"api-version": "2024-06-02-preview"})


def get_pool(aks, name):
    return aks.call("GET", f"{aks.cluster}/agentPools/{name}")


def test_a_machines_pool_is_created_201_and_succeeds_after_a_moment(aks):
    """§2.1: Creating → Succeeded in under a second; no count, no vmSize."""
    answer = put_pool(aks, "pool2", mode="Machines")
    assert answer.status_code == 201
    properties = answer.json()["properties"]
    assert (properties["type"], properties["mode"]) == ("VirtualMachines", "Machines")
    assert not {"count", "vmSize"} & set(properties)
    assert get_pool(aks, "pool2").json()["properties"]["provisioningState"] == "Creating"
    operation = answer.headers["Azure-AsyncOperation"]
    assert aks.session.get(operation, headers={"Authorization": "Bearer t"}, timeout=5).json()["status"] == "InProgress"
    aks.advance(1)
    assert get_pool(aks, "pool2").json()["properties"]["provisioningState"] == "Succeeded"
    done = aks.session.get(operation, headers={"Authorization": "Bearer t"}, timeout=5).json()
    assert done["status"] == "Succeeded"
    assert done["endTime"] >= done["startTime"]


def test_a_second_put_is_an_update_with_a_new_etag(aks):
    """§1.1: 200 on update; §10.11."""
    first = put_pool(aks, "pool2", mode="Machines")
    second = put_pool(aks, "pool2", mode="Machines")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["properties"]["eTag"] != second.json()["properties"]["eTag"]


@pytest.mark.parametrize(("strict", "status"), [(True, 400), (False, 201)])
def test_fields_other_than_mode_are_a_switch(emulate, strict, status):
    """§2.1: accepted in 2025, 400 since 2026."""
    aks = emulate(strict_pool_body=strict)
    assert put_pool(aks, "pool2", mode="Machines", count=3).status_code == status


@pytest.mark.parametrize("name", ["Pool2", "2pool", "pool-2", "thirteenchars"])
def test_pool_names_have_a_pattern(aks, name):
    """§2.1: ^[a-z][a-z0-9]{0,11}$."""
    assert put_pool(aks, name, mode="Machines").status_code == 400


def test_machines_need_a_pool_in_machines_mode(aks):
    """§5.1: bare 400; clients match the sentence."""
    assert put_pool(aks, "np", mode="User", count=1, vmSize="Standard_D2s_v5").status_code == 201
    answer = aks.put("m1", pool=f"{aks.cluster}/agentPools/np")
    assert answer.status_code == 400
    assert answer.json() == {
        "code": "BadRequest",
        "message": "Agent pool 'np' is not in 'Machines' mode.",
        "details": None,
        "subcode": "",
    }


def test_pools_are_listed(aks):
    """§1.1."""
    put_pool(aks, "pool2", mode="Machines")
    answer = aks.call("GET", aks.cluster + "/agentPools").json()
    assert [pool["name"] for pool in answer["value"]] == ["pool1", "pool2"]


def test_deleting_a_pool_removes_its_machines_and_absent_is_success(aks):
    """§7.5: 202, later 404; 204 when there is none."""
    aks.put("m1")
    answer = aks.call("DELETE", aks.pool)
    assert answer.status_code == 202
    assert get_pool(aks, "pool1").json()["properties"]["provisioningState"] == "Deleting"
    assert aks.state("m1") == "Deleting"
    aks.advance(600)
    assert get_pool(aks, "pool1").status_code == 404
    result = aks.session.get(answer.headers["Location"], headers={"Authorization": "Bearer t"}, timeout=5)
    assert result.status_code == 204
    assert aks.call("DELETE", aks.pool).status_code == 204
    assert aks.usage("cores") == 0


@pytest.mark.parametrize(("follows", "state"), [(False, "Succeeded"), (True, "Updating")])
def test_whether_a_pool_moves_with_its_machines_is_a_switch(emulate, follows, state):
    """§7.1: not recorded."""
    aks = emulate(pool_follows_machines=follows)
    aks.put("m1")
    assert get_pool(aks, "pool1").json()["properties"]["provisioningState"] == state
    aks.advance(300)
    assert get_pool(aks, "pool1").json()["properties"]["provisioningState"] == "Succeeded"


def test_a_cluster_has_room_for_so_many_pools(emulate):
    """§2.7: 100, a switch."""
    aks = emulate(pools_per_cluster=2)
    assert put_pool(aks, "pool2", mode="Machines").status_code == 201
    assert put_pool(aks, "pool3", mode="Machines").status_code == 400
