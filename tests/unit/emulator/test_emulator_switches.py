"""Readings of the contract that are not the default: points of confidence M or L."""

from __future__ import annotations

import pytest
import requests

from autoscale_aks.emulator.settings import QuotaSettings

SPOT_KEY = "kubernetes.azure.com/scalesetpriority"


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_envelope_of_the_gateways_own_errors_is_a_switch(emulate, wrapped):
    """§10.1: no bearer (M), no api-version (L)."""
    aks = emulate(gateway_wrapped=wrapped)
    no_token = requests.get(aks.pool, params={"api-version": "2025-06-02-preview"}, timeout=5)
    no_version = requests.get(aks.pool, headers={"Authorization": "Bearer t"}, timeout=5)
    assert [("error" in answer.json(), answer.status_code) for answer in (no_token, no_version)] == [
        (wrapped, 401),
        (wrapped, 400),
    ]


@pytest.mark.parametrize(
    ("reading", "status", "tags"), [("honoured", 412, {"job": "1"}), ("ignored", 200, {"job": "2"})]
)
def test_create_only_is_a_switch(emulate, reading, status, tags):
    """§3, L: `If-None-Match: *` may be ignored; then the PUT changes the machine."""
    aks = emulate(if_none_match=reading)
    aks.put("m1", tags={"job": "1"})
    assert aks.put("m1", headers={"If-None-Match": "*"}, tags={"job": "2"}).status_code == status
    assert aks.properties("m1")["tags"] == tags


@pytest.mark.parametrize(("most", "status"), [(None, 202), (2, 400), (3, 202)])
def test_how_many_can_be_deleted_at_once_is_a_switch(emulate, most, status):
    """§2.7, L: nothing is published."""
    aks = emulate(delete_max=most)
    for name in "abc":
        aks.put(name)
    answer = aks.delete("a", "b", "c")
    assert (answer.status_code, aks.state("a")) == (status, "Deleting" if status == 202 else "Creating")


@pytest.mark.parametrize(("tainted", "keys"), [(True, [SPOT_KEY]), (False, [])])
def test_the_taint_of_spot_nodes_is_a_switch(emulate, tainted, keys):
    """§7.2, L."""
    aks = emulate(spot_taint=tainted)
    aks.put("m1", priority="Spot")
    aks.advance(600)
    (node,) = aks.nodes()
    assert [taint["key"] for taint in node["spec"]["taints"]] == keys
    assert node["metadata"]["labels"][SPOT_KEY] == "spot"


@pytest.mark.parametrize(("counts", "state", "used"), [(False, "Succeeded", 0), (True, "Failed", 0)])
def test_whether_spot_takes_regional_quota_is_a_switch(emulate, counts, state, used):
    """§9.2, M."""
    aks = emulate(quota=QuotaSettings(regional=1, spot_counts_as_regional=counts))
    aks.put("m1", priority="Spot")
    aks.advance(600)
    assert (aks.state("m1"), aks.usage("cores")) == (state, used)


def test_spot_that_counts_as_regional_is_in_both_counters(emulate):
    """§9.2, M."""
    aks = emulate(quota=QuotaSettings(spot_counts_as_regional=True))
    aks.put("m1", priority="Spot")
    assert (aks.usage("cores"), aks.usage("lowPriorityCores")) == (2, 2)


@pytest.mark.parametrize("lean", [True, False])
def test_the_resource_id_in_put_answers_is_a_switch(emulate, lean):
    """§3, M: absent in the PUT answers of 2025, there on GET."""
    aks = emulate(lean_put_answer=lean)
    assert ("resourceId" in aks.put("m1").json()["properties"]) is not lean
    assert "resourceId" in aks.properties("m1")


@pytest.mark.parametrize("code", ["InvalidParameter", "BadRequest"])
def test_the_code_of_a_bad_body_is_a_switch(emulate, code):
    """§5.1, M."""
    aks = emulate(bad_body_code=code)
    answer = aks.put("m1", whatever=1)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_creation_can_be_canceled(aks):
    """§2.4, M: a terminal state nobody has seen; the operation says so too."""
    aks.fault(kind="provisioning_canceled", names=["m1"])
    operation = aks.put("m1").headers["azure-asyncoperation"]
    assert aks.state("m1") == "Creating"
    aks.advance(600)
    properties = aks.properties("m1")
    assert properties["provisioningState"] == "Canceled"
    assert properties["status"]["provisioningError"]["code"] == "OperationCanceled"
    answer = aks.session.get(operation, headers={"Authorization": "Bearer t"}, timeout=5)
    assert answer.json()["status"] == "Canceled"
    assert aks.usage("standardDSv5Family") == 0
