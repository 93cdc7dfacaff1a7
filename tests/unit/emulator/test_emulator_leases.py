"""Leases of the API server: optimistic concurrency, so that of two writers one loses."""

from __future__ import annotations

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
LEASE = f"{LEASES}/azaks-site"


def body(holder: str, version: str | None = None) -> dict[str, object]:
    metadata = {"name": "azaks-site", **({"resourceVersion": version} if version else {})}
    return {"metadata": metadata, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 60}}


def test_a_lease_is_made_once_and_read_back(aks):
    missing = aks.call("GET", LEASE)
    assert (missing.status_code, missing.json()["reason"]) == (404, "NotFound")
    made = aks.call("POST", LEASES, json=body("head-1"))
    assert (made.status_code, made.json()["kind"]) == (201, "Lease")
    assert made.json()["metadata"]["namespace"] == "kube-system"
    again = aks.call("POST", LEASES, json=body("head-2"))
    assert (again.status_code, again.json()["reason"]) == (409, "AlreadyExists")
    assert aks.call("GET", LEASE).json() == made.json()


def test_of_two_writers_with_one_version_one_loses(aks):
    version = aks.call("POST", LEASES, json=body("head-1")).json()["metadata"]["resourceVersion"]
    won = aks.call("PUT", LEASE, json=body("head-2", version))
    lost = aks.call("PUT", LEASE, json=body("head-3", version))
    assert (won.status_code, lost.status_code, lost.json()["reason"]) == (200, 409, "Conflict")
    held = aks.call("GET", LEASE).json()
    assert held["spec"]["holderIdentity"] == "head-2"
    assert held["metadata"]["uid"] == won.json()["metadata"]["uid"]
    assert held["metadata"]["resourceVersion"] != version


def test_clusters_and_namespaces_have_leases_of_their_own_and_a_put_needs_one_that_exists(aks):
    aks.call("POST", LEASES, json=body("head-1"))
    assert aks.call("GET", LEASE.replace("kube-system", "default")).status_code == 404
    assert aks.call("PUT", f"{LEASES}/ghost", json=body("head-1")).status_code == 404
    assert aks.call("GET", f"/clusters/{aks.spec.name}{LEASE}").status_code == 200
    assert aks.call("GET", f"/clusters/other{LEASE}").status_code == 404


def test_what_is_no_lease_is_refused_in_the_servers_own_form(aks):
    for wrong in ({}, {"metadata": {}}, {"metadata": {"name": "x"}, "spec": []}, {"metadata": {"name": 3}}):
        answer = aks.call("POST", LEASES, json=wrong)
        assert (answer.status_code, answer.json()["kind"]) == (400, "Status")
    assert aks.call("POST", LEASES, data="{").status_code == 400
    assert aks.session.get(aks.server.base_url + LEASE, timeout=5).status_code == 401


def test_the_store_can_be_looked_at_machine_by_machine(aks):
    aks.put("m1", tags={"azaks-owner": "site"})
    aks.advance(300)
    (row,) = aks.session.get(f"{aks.server.base_url}/_emulator/machines", timeout=5).json()["machines"]
    assert (row["name"], row["pool"], row["state"], row["node"]) == ("m1", "pool1", "Succeeded", "ready")
    assert (row["tags"], row["vm_state"]) == ({"azaks-owner": "site"}, "Running")
