"""Single machine PUT and GET (§2, §3)."""

from __future__ import annotations

import pytest


def test_a_create_answers_200_creating_with_empty_status_and_the_defaults(aks):
    """§3: the recorded answer."""
    answer = aks.put("m1", zones=["1"], tags={"owner": "sched"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["name"], body["zones"]) == ("m1", ["1"])
    assert body["type"] == "Microsoft.ContainerService/managedClusters/agentPools/machines"
    properties = body["properties"]
    assert properties["provisioningState"] == "Creating"
    assert properties["status"] == {}
    assert properties["hardware"] == {"vmSize": "Standard_D2s_v5", "gpuInstanceProfile": ""}
    assert properties["operatingSystem"]["osDiskSizeGB"] == 128
    assert properties["kubernetes"]["maxPods"] == 250
    assert properties["kubernetes"]["nodeInitializationTaints"] is None
    assert properties["kubernetes"]["nodeName"].startswith("aks-pool1-m1-")
    assert properties["kubernetes"]["nodeName"].endswith("-vm")
    assert properties["mode"] == "User"
    assert properties["network"] == {"enableNodePublicIP": False}
    assert properties["tags"] == {"owner": "sched"}
    assert "resourceId" not in properties
    assert "Azure-AsyncOperation" in answer.headers


def test_create_status_201_is_a_switch(emulate):
    """§12: REC 200, SPEC 201."""
    aks = emulate(create_status=201)
    assert aks.put("m1").status_code == 201
    assert aks.put("m1").status_code == 200


def test_get_is_complete_at_once(aks):
    """§10.5: the fields Karpenter demands right after the PUT."""
    aks.put("m1")
    body = aks.get("m1").json()
    properties = body["properties"]
    assert properties["resourceId"].endswith(properties["kubernetes"]["nodeName"])
    assert "/resourceGroups/MC_rg-emulated_aks-emulated_eastus2/" in properties["resourceId"]
    assert properties["status"]["creationTimestamp"].endswith("Z")
    assert properties["nodeImageVersion"]
    assert "vmState" not in properties["status"]
    assert "ipAddresses" not in properties["network"]


def test_a_machine_succeeds_after_its_vm_is_made(aks):
    """§7.1: about 49 s, then vmState and an address; the operation ends."""
    operation = aks.put("m1").headers["Azure-AsyncOperation"]
    aks.advance(20)
    assert aks.state("m1") == "Creating"
    aks.advance(60)
    properties = aks.properties("m1")
    assert properties["provisioningState"] == "Succeeded"
    assert properties["status"]["vmState"] == "Running"
    assert properties["network"]["ipAddresses"][0]["family"] == "IPv4"
    assert aks.call("GET", operation).json()["status"] == "Succeeded"


def test_succeeded_before_the_vm_exists_is_a_switch(emulate):
    """§7.1: the conflict between telescope and the recordings."""
    aks = emulate(succeeded_early=True)
    aks.put("m1")
    properties = aks.properties("m1")
    assert properties["provisioningState"] == "Succeeded"
    assert "vmState" not in properties["status"]
    assert aks.nodes() == []


@pytest.mark.parametrize(("priority", "shown"), [(None, None), ("Regular", None), ("Spot", "Spot")])
def test_priority_is_shown_only_for_spot(aks, priority, shown):
    """§2.5."""
    aks.put("m1", **({"priority": priority} if priority else {}))
    assert aks.properties("m1").get("priority") == shown
    assert ("priority" in aks.properties("m1")) == (shown is not None)


def test_top_level_tags_are_rejected(aks):
    """§2.2: tags live in properties."""
    body = {"properties": {"hardware": {"vmSize": "Standard_D2s_v5"}}, "tags": {"a": "b"}}
    answer = aks.call("PUT", aks.pool + "/machines/m1", json=body)
    assert answer.status_code == 400
    assert "unmarshal" in answer.json()["message"]
    assert aks.get("m1").status_code == 404


@pytest.mark.parametrize(("strict", "status"), [(True, 400), (False, 200)])
def test_unknown_fields_are_a_switch(emulate, strict, status):
    """§10.3."""
    aks = emulate(strict_machine_body=strict)
    assert aks.put("m1", colour="blue").status_code == status
    assert aks.put("m2", kubernetes={"podColour": "blue"}).status_code == status


def test_read_only_fields_are_accepted_and_ignored(aks):
    """§2.3: whatever they hold; a client may send back what it read."""
    mine = {"nodeName": "mine", "currentOrchestratorVersion": "9.9"}
    answer = aks.put(
        "m1", provisioningState=5, eTag="mine", status="mine", kubernetes=mine, network={"ipAddresses": [{"ip": "1"}]}
    )
    assert answer.status_code == 200
    assert "mine" not in aks.get("m1").text
    properties = aks.properties("m1")
    assert properties["provisioningState"] == "Creating"
    assert properties["kubernetes"]["currentOrchestratorVersion"] == "1.32.6"
    assert "ipAddresses" not in properties["network"]


def test_what_get_shows_can_be_put_back(aks):
    """§3: the CLI sends the whole body back."""
    aks.put("m1", tags={"a": "b"}, kubernetes={"nodeLabels": {"x": "y"}}, priority="Spot")
    aks.advance(300)
    answer = aks.call("PUT", aks.pool + "/machines/m1", json=aks.get("m1").json())
    assert answer.status_code == 200, answer.text
    aks.advance(600)
    assert aks.properties("m1")["tags"] == {"a": "b"}


@pytest.mark.parametrize(
    "body",
    [
        {"size": None},
        {"priority": "Cheap"},
        {"mode": "Machines"},
        {"evictionPolicy": "Delete"},
        {"billing": {"spotMaxPrice": 1}},
        {"operatingSystem": {"osDiskSizeGB": 4096}},
        {"operatingSystem": {"osDiskSizeGB": "128"}},
        {"kubernetes": {"maxPods": 251}},
        {"kubernetes": {"nodeTaints": ["nonsense"]}},
        {"kubernetes": {"nodeLabels": {"a": 1}}},
        {"hardware": []},
        {"hardware": {"vmSize": "Standard_D2s_v5", "ultraSsdEnabled": True}},
        {"zones": ["9"]},
        {"zones": ["1", "2"]},
        {"zones": "1"},
        {"tags": {"a/b": "c"}},
        {"tags": {f"t{i}": "" for i in range(51)}},
    ],
)
def test_bad_bodies_are_refused_and_nothing_is_made(aks, body):
    """§2.3, §2.7."""
    answer = aks.put("m1", **body)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter")
    assert aks.names() == []


def test_a_whole_body_as_a_provisioner_sends_it_is_accepted(aks):
    """§3, the fuller request."""
    answer = aks.put(
        "m1",
        size="Standard_NC24ads_A100_v4",
        zones=["3"],
        tags={"owner": "sched"},
        priority="Spot",
        mode="User",
        security={"sshAccess": "LocalUser"},
        operatingSystem={"osType": "Linux", "osSKU": "Ubuntu2204", "osDiskSizeGB": 128, "osDiskType": "Managed"},
        kubernetes={"nodeLabels": {"a/b": "c"}, "nodeInitializationTaints": ["d=e:NoSchedule"], "nodeTaints": []},
        nodeImageVersion="AKSUbuntu-2204gen2containerd-202601.01.0",
    )
    assert answer.status_code == 200, answer.text
    assert aks.properties("m1")["nodeImageVersion"] == "AKSUbuntu-2204gen2containerd-202601.01.0"


@pytest.mark.parametrize("size", ["Standard_Nope", "Standard_M64s"])
def test_a_size_that_is_unknown_or_restricted_is_refused_at_once(emulate, size):
    """§5.2: bare, details null."""
    aks = emulate(restrictions={"Standard_M64s": ()})
    answer = aks.put("m1", size=size)
    assert answer.status_code == 400
    assert answer.json() == {
        "code": "VMSizeNotSupported",
        "message": f"Virtual Machine size: '{size}' is not supported for subscription {aks.spec.subscription} "
        "in location 'eastus2'.",
        "details": None,
        "subcode": "",
    }


@pytest.mark.parametrize(
    ("name", "status"),
    [("a" * 34, 200), ("a" * 35, 400), ("1abc", 200), ("Abc_d-e", 200), ("-abc", 400), ("a.b", 400)],
)
def test_machine_names_match_the_pattern_and_the_usable_length(aks, name, status):
    """§2.6: at most 34."""
    assert aks.put(name).status_code == status


def test_the_usable_length_is_a_switch(emulate):
    """§2.6: the pattern itself allows 40."""
    aks = emulate(machine_name_cap=40)
    assert aks.put("a" * 40).status_code == 200
    assert aks.put("a" * 41).status_code == 400


def test_the_longest_node_name_is_a_dns_label(emulate):
    """§2.6: 4 + 12 + 1 + 34 + 1 + 8 + 3 = 63."""
    aks = emulate()
    pool = f"{aks.cluster}/agentPools/twelvechars1"
    aks.call("PUT", pool, json={"properties": {"mode": "Machines"}})
    name = aks.put("m" * 34, pool=pool).json()["properties"]["kubernetes"]["nodeName"]
    assert len(name) == 63


def test_machine_put_is_preview_only_unless_switched(emulate):
    """§1.2: GA has no machine PUT."""
    body = {"properties": {"hardware": {"vmSize": "Standard_D2s_v5"}}}
    for mode, status in (("reject", 400), ("accept", 200)):
        aks = emulate(ga_machine_put=mode)
        answer = aks.call("PUT", aks.pool + "/machines/m1", json=body, params={"api-version": "2025-07-01"})
        assert answer.status_code == status


def test_fields_newer_than_the_api_version_can_be_refused(emulate):
    """§2.3 "since"."""
    aks = emulate(fields_by_version=True)
    body = {"properties": {"hardware": {"vmSize": "Standard_D2s_v5"}, "priority": "Spot", "evictionPolicy": "Delete"}}
    url = aks.pool + "/machines/m1"
    assert aks.call("PUT", url, json=body, params={"api-version": "2025-06-02-preview"}).status_code == 400
    assert aks.call("PUT", url, json=body, params={"api-version": "2026-01-02-preview"}).status_code == 200


def test_a_second_put_updates_labels_taints_and_tags(aks):
    """§3: 200, Updating, status {}, a new eTag; back to Succeeded after some minutes."""
    first = aks.put("m1", tags={"a": "1"}).json()["properties"]
    aks.advance(120)
    answer = aks.put("m1", tags={"b": "2"}, kubernetes={"nodeLabels": {"x": "y"}})
    assert answer.status_code == 200
    second = answer.json()["properties"]
    assert (second["provisioningState"], second["status"]) == ("Updating", {})
    assert second["eTag"] != first["eTag"]
    assert second["tags"] == {"b": "2"}
    aks.advance(120)
    assert aks.state("m1") == "Updating"
    aks.advance(300)
    assert aks.state("m1") == "Succeeded"
    assert aks.properties("m1")["kubernetes"]["nodeLabels"] == {"x": "y"}
    assert aks.nodes(labelSelector="x=y")


@pytest.mark.parametrize("code", ["OperationNotAllowed", "PropertyChangeNotAllowed"])
@pytest.mark.parametrize("change", [{"size": "Standard_D4s_v5"}, {"priority": "Spot"}, {"zones": ["2"]}])
def test_size_priority_and_zone_never_change(emulate, code, change):
    """§3: 400; the code is a switch."""
    aks = emulate(immutable_code=code)
    aks.put("m1", zones=["1"])
    before = aks.get("m1").json()
    answer = aks.put("m1", **{"zones": ["1"], **change})
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert aks.get("m1").json() == before


def test_all_create_only_fields_can_be_guarded(emulate):
    """§2.3: the C marks that are only assumed."""
    for guard, status in (("seen", 200), ("all", 400)):
        aks = emulate(immutable_fields=guard)
        aks.put("m1")
        assert aks.put("m1", kubernetes={"maxPods": 30}).status_code == status
        assert aks.put("m1", priority="Regular", kubernetes={"maxPods": 250}).status_code == 200


@pytest.mark.parametrize("quote", ["", '"'])
def test_if_match_compares_without_quotes(aks, quote):
    """§3, §10.11: 412 on mismatch, and each write makes a new eTag."""
    etag = aks.put("m1").json()["properties"]["eTag"]
    good = {"If-Match": f"{quote}{etag}{quote}"}
    assert aks.put("m1", headers=good).status_code == 200
    again = aks.put("m1", headers=good)
    assert (again.status_code, again.json()["code"]) == (412, "ConditionNotMet")
    assert aks.put("other", headers=good).status_code == 412


def test_if_none_match_star_creates_only(emulate):
    """§3: safe against accidental updates; the code is a switch."""
    aks = emulate(precondition_code="PreconditionFailed")
    only_new = {"If-None-Match": "*"}
    assert aks.put("m1", headers=only_new).status_code == 200
    answer = aks.put("m1", headers=only_new)
    assert (answer.status_code, answer.json()["code"]) == (412, "PreconditionFailed")


def test_a_machine_being_deleted_cannot_be_put(aks):
    """§5.1: 409."""
    aks.put("m1")
    aks.delete("m1")
    answer = aks.put("m1")
    assert (answer.status_code, answer.json()["code"]) == (409, "OperationNotAllowed")


def test_an_update_while_creating_is_a_switch(emulate):
    """Open in the contract."""
    for mode, status in (("accept", 200), ("conflict", 409)):
        aks = emulate(update_while_creating=mode)
        aks.put("m1")
        assert aks.put("m1", tags={"a": "b"}).status_code == status


def test_the_cluster_and_the_pool_have_room_for_so_many_machines(emulate):
    """§2.7."""
    aks = emulate(nodes_per_cluster=2)
    assert [aks.put(name).status_code for name in ("a", "b", "c")] == [200, 200, 400]
    aks = emulate(machines_per_pool=1)
    assert [aks.put(name).status_code for name in ("a", "b")] == [200, 400]
