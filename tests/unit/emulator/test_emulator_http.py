"""Routes, envelopes, token, version and header size (§1.1, §4.5, §5.1)."""

from __future__ import annotations

import json
import socket

import pytest
import requests

PATHS = ["", "/agentPools", "/agentPools/pool1", "/agentPools/pool1/machines", "/agentPools/pool1/machines/m1"]


@pytest.mark.parametrize("path", PATHS)
def test_every_arm_route_needs_a_bearer(aks, path):
    """§10.1: 401, wrapped, marked as the gateway's."""
    answer = requests.get(aks.cluster + path, params={"api-version": "2025-06-02-preview"}, timeout=5)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AuthenticationFailed")
    assert answer.headers["x-ms-failure-cause"] == "gateway"


def test_the_bearer_check_can_be_switched_off(emulate):
    """§10.1 switch."""
    aks = emulate(require_bearer=False)
    assert requests.get(aks.pool, params={"api-version": "2025-06-02-preview"}, timeout=5).status_code == 200


def test_a_bearer_can_be_given_a_lifetime(emulate):
    """§1.3: good for so long after it was first seen; another one is good again."""
    aks = emulate(token_lifetime_s=60.0)
    assert aks.call("GET", aks.pool).status_code == 200
    aks.advance(60)
    answer = aks.call("GET", aks.pool)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "ExpiredAuthenticationToken")
    assert aks.call("GET", aks.pool, headers={"Authorization": "Bearer another"}).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_every_arm_route_needs_an_api_version(aks, path):
    """§10.1: 400 MissingApiVersionParameter, wrapped."""
    answer = requests.get(aks.cluster + path, headers={"Authorization": "Bearer t"}, timeout=5)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "MissingApiVersionParameter")


def test_an_api_version_that_is_none_is_refused(aks):
    """§1.1."""
    answer = aks.call("GET", aks.pool, params={"api-version": "latest"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidApiVersionParameter")


def test_path_segments_match_in_any_case_and_ids_come_back_with_lower_case_resourcegroups(aks):
    """§1.1."""
    aks.put("m1")
    url = aks.pool.replace("subscriptions", "SUBSCRIPTIONS").replace("agentPools", "AGENTpools") + "/MACHINES/M1"
    answer = aks.call("GET", url.replace("resourcegroups/rg-emulated", "RESOURCEGroups/RG-Emulated"))
    assert answer.status_code == 200
    assert answer.json()["name"] == "m1"
    assert "/resourcegroups/rg-emulated/" in answer.json()["id"]


def test_absent_machine_is_a_bare_404_with_one_unspecified_detail(aks):
    """§5.1."""
    answer = aks.get("nobody")
    body = answer.json()
    assert (answer.status_code, body["code"]) == (404, "NotFound")
    assert body["subcode"] == "GetMachine_NotFound_HCPServerError"
    assert body["details"][0]["code"] == "Unspecified"
    assert "Machine not found" in body["details"][0]["message"]


def test_absent_pool_is_a_bare_404(aks):
    """§5.1."""
    answer = aks.call("GET", aks.cluster + "/agentPools/nopool/machines")
    body = answer.json()
    assert (answer.status_code, body["code"], body["subcode"]) == (404, "NotFound", "GetAgentPool_NotFound")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("aks-emulated/", "other/", "ParentResourceNotFound"),
        ("rg-emulated", "rg-none", "ResourceGroupNotFound"),
        ("0001/", "0002/", "SubscriptionNotFound"),
    ],
)
def test_what_arm_misses_is_a_wrapped_404(aks, old, new, code):
    """§5.1."""
    answer = aks.call("GET", aks.pool.replace(old, new))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)
    assert answer.headers["x-ms-failure-cause"] == "gateway"


def test_an_absent_cluster_itself_is_resource_not_found(aks):
    """§5.1."""
    answer = aks.call("GET", aks.cluster + "x")
    assert answer.json()["error"]["code"] == "ResourceNotFound"


def test_the_cluster_says_where_its_vms_live(aks):
    """§7.2: node resource group."""
    answer = aks.call("GET", aks.cluster).json()
    assert answer["properties"]["nodeResourceGroup"] == "MC_rg-emulated_aks-emulated_eastus2"


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "POST"])
def test_a_single_machine_knows_only_put_and_get(aks, method):
    """§1.1: there is no DELETE on a machine."""
    aks.put("m1")
    answer = aks.call(method, aks.pool + "/machines/m1")
    assert answer.status_code == 405
    assert aks.get("m1").status_code == 200


def test_an_unknown_path_is_a_wrapped_404(aks):
    """§5.1."""
    answer = aks.call("GET", aks.cluster + "/sandwiches")
    assert answer.status_code == 404
    assert "error" in answer.json()


def test_arm_answers_carry_request_ids(aks):
    """§3: headers of a real answer."""
    first, second = aks.call("GET", aks.pool), aks.call("GET", aks.pool)
    for name in ("x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id"):
        assert len(first.headers[name]) == 36
        assert first.headers[name] != second.headers[name]


def test_headers_just_under_the_cap_pass_and_over_it_give_431(aks):
    """§4.5, §10.14: 64 KiB by default."""
    assert aks.call("GET", aks.pool, headers={"X-Fill": "x" * 64_000}).status_code == 200
    assert aks.call("GET", aks.pool, headers={"X-Fill": "x" * 65_536}).status_code == 431


def test_the_header_cap_counts_all_headers_and_can_answer_400(emulate):
    """§4.5: http.sys counts them together; ARM's own answer was 400."""
    aks = emulate(header_cap_bytes=8_000, header_cap_status=400)
    assert aks.call("GET", aks.pool, headers={"X-A": "x" * 3_000, "X-B": "x" * 3_000}).status_code == 200
    answer = aks.call("GET", aks.pool, headers={"X-A": "x" * 5_000, "X-B": "x" * 5_000})
    assert answer.status_code == 400
    assert "Too Large" in answer.text


def test_a_batch_header_over_the_cap_creates_nothing(emulate):
    """§4.5 with §10.4."""
    aks = emulate(header_cap_bytes=8_000)
    entries = [{"machineName": f"m{i}", "tags": {"t": "x" * 200}} for i in range(40)]
    assert aks.batch("m0", entries).status_code == 431
    assert aks.names() == []


def test_the_socket_is_gone_after_stop(emulate):
    """The port is free again, and nothing warns."""
    aks = emulate()
    host, port = aks.server.base_url.removeprefix("http://").split(":")
    aks.server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1)


def test_a_body_that_is_no_json_object_is_refused(aks):
    """§5.1."""
    for body in (b"{", b"[]", b"null", json.dumps({"properties": 3}).encode()):
        answer = aks.call("PUT", aks.pool + "/machines/m1", data=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter")
