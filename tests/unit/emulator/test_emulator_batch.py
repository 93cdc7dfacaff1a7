"""The `BatchPutMachine` header (§4) and its errors (§5.2)."""

from __future__ import annotations

import json

import pytest

NAMES = ("np-001", "np-002", "np-003")


def entries(*names, **more):
    return [{"machineName": name, **more} for name in names]


def as_provisioner_sends_it():
    return [
        {"machineName": "np-001", "zones": ["1"], "tags": {"job": "1"}},
        {"machineName": "np-002", "zones": ["2"], "tags": {"job": "2"}},
        {"machineName": "np-003", "zones": [], "tags": {}},
    ]


def placed(aks):
    return {m["name"]: (m.get("zones"), m["properties"].get("tags")) for m in aks.walk()}


def test_all_form_makes_every_machine_with_its_own_zone_and_tags(aks):
    """§4.2, Karpenter's form."""
    answer = aks.batch("np-001", as_provisioner_sends_it())
    assert answer.status_code == 200
    assert placed(aks) == {"np-001": (["1"], {"job": "1"}), "np-002": (["2"], {"job": "2"}), "np-003": (None, None)}
    assert aks.journal()["requests"][0]["batch"] == "all"


def test_additional_form_makes_the_url_machine_and_the_listed_ones(aks):
    """§4.2, telescope's form: vmSkus is accepted and ignored."""
    skus = {"vmSkus": {"value": [{"name": "Standard_D2s_v5", "resourceType": "virtualMachines"}]}}
    assert aks.batch("np-001", entries("np-002", "np-003"), more=skus).status_code == 200
    assert sorted(aks.names()) == sorted(NAMES)
    seen = aks.journal()["requests"][0]
    assert (seen["operation"], seen["batch"], seen["names"]) == ("machine.batch_put", "additional", list(NAMES))


def test_the_answer_is_the_url_machine_only(aks):
    """§4.3: the ordinary resource of the URL machine; its operation covers only that one."""
    answer = aks.batch("np-001", as_provisioner_sends_it())
    assert answer.json()["name"] == "np-001"
    assert "value" not in answer.json()


def test_entries_that_say_name_are_dropped_without_a_word(aks):
    """§4.3, the landmine: HTTP 200, and only the URL machine exists."""
    answer = aks.batch("np-001", [{"name": "np-002"}, {"name": "np-003"}, "np-004", {"machineName": 5}])
    assert answer.status_code == 200
    assert aks.names() == ["np-001"]
    assert aks.journal()["requests"][0]["ignored_entries"] == 4


def test_unknown_keys_and_duplicates_in_the_header_do_no_harm(aks):
    """§4.3."""
    doubled = entries("np-002", colour="blue") + entries("NP-002", "np-001")
    assert aks.batch("np-001", doubled).status_code == 200
    assert aks.names() == ["np-001", "np-002"]


def test_body_zones_and_tags_are_discarded_in_mode_all(aks):
    """§4.3, K10: they count only in the header, also for the URL machine."""
    aks.batch("np-001", entries("np-002"), zones=["1"], tags={"from": "body"})
    assert placed(aks) == {"np-001": (None, None), "np-002": (None, None)}


def test_primary_from_body_builds_the_url_machine_from_the_body(emulate):
    """§4.3, March 2026: its header entry is dropped as a duplicate."""
    aks = emulate(batch_mode="primary-from-body")
    header = [{"machineName": name, "zones": ["2"], "tags": {"from": "header"}} for name in ("np-001", "np-002")]
    aks.batch("np-001", header, zones=["1"], tags={"from": "body"})
    assert placed(aks) == {"np-001": (["1"], {"from": "body"}), "np-002": (["2"], {"from": "header"})}


def test_unsupported_ignores_the_header_and_still_answers_200(emulate):
    """§4.1: only the URL machine appears; it is an ordinary PUT, so a second one updates."""
    aks = emulate(batch_mode="unsupported")
    assert aks.batch("np-001", as_provisioner_sends_it(), tags={"a": "b"}).status_code == 200
    assert placed(aks) == {"np-001": (None, {"a": "b"})}
    assert aks.put("np-001", headers={"BatchPutMachine": "{nonsense"}).status_code == 200


def test_shared_fields_come_from_the_body(aks):
    """§4.3."""
    aks.batch("np-001", entries("np-002"), priority="Spot", kubernetes={"nodeLabels": {"x": "y"}})
    for name in ("np-001", "np-002"):
        properties = aks.properties(name)
        assert properties["priority"] == "Spot"
        assert properties["kubernetes"]["nodeLabels"] == {"x": "y"}


@pytest.mark.parametrize(("count", "status"), [(50, 200), (51, 400)])
def test_a_batch_holds_at_most_50_with_the_url_machine(aks, count, status):
    """§2.7; the answer to 51 is open (§12)."""
    names = [f"np-{i:03d}" for i in range(count)]
    answer = aks.batch(names[0], entries(*names[1:]))
    assert answer.status_code == status
    assert len(aks.names()) == (count if status == 200 else 0)


def test_an_existing_machine_is_an_error_and_the_others_are_made(aks):
    """§4.3, K10: batch never updates; §5.2 first shape."""
    aks.put("np-002", tags={"mine": "yes"})
    answer = aks.batch("np-001", as_provisioner_sends_it())
    assert answer.status_code == 400
    body = answer.json()
    assert body["code"] == "BatchMachineClientError"
    assert body["message"] == "the following machines failed with ClientError: np-002"
    assert [detail["target"] for detail in body["details"]] == ["np-002"]
    assert sorted(aks.names()) == sorted(NAMES)
    assert aks.properties("np-002")["tags"] == {"mine": "yes"}


def test_sending_a_landed_batch_again_fails_every_machine(aks):
    """§4.3 idempotence: a repeat hits existing machines."""
    aks.batch("np-001", as_provisioner_sends_it())
    etags = [aks.properties(name)["eTag"] for name in NAMES]
    answer = aks.batch("np-001", as_provisioner_sends_it())
    assert sorted(detail["target"] for detail in answer.json()["details"]) == sorted(NAMES)
    assert [aks.properties(name)["eTag"] for name in NAMES] == etags


def test_an_existing_machine_can_fail_the_whole_batch(emulate):
    """§12 switch."""
    aks = emulate(batch_existing="whole")
    aks.put("np-002")
    assert aks.batch("np-001", as_provisioner_sends_it()).json()["code"] == "BatchMachineClientError"
    assert aks.names() == ["np-002"]


def test_an_existing_machine_can_be_updated_unless_its_shape_changes(emulate):
    """§4.3: what the fake of the Karpenter provider does; switch."""
    aks = emulate(batch_existing="update")
    aks.put("np-002", tags={"a": "b"})
    assert aks.batch("np-001", entries("np-002")).status_code == 200
    answer = aks.batch("np-003", entries("np-002"), size="Standard_D4s_v5")
    assert answer.json()["details"][0]["code"] == "OperationNotAllowed"
    assert aks.properties("np-002")["tags"] == {"a": "b"}


def test_one_bad_zone_fails_one_machine(aks):
    """§5.2."""
    header = as_provisioner_sends_it()
    header[1]["zones"] = ["9"]
    answer = aks.batch("np-001", header)
    assert answer.json()["details"] == [
        {"code": "InvalidParameter", "message": "zone 9 is not valid here", "target": "np-002"}
    ]
    assert aks.names() == ["np-001", "np-003"]


def test_one_bad_name_fails_one_machine(aks):
    """§2.6 in a batch."""
    answer = aks.batch("np-001", entries("np-002", "x" * 35))
    assert [detail["target"] for detail in answer.json()["details"]] == ["x" * 35]
    assert aks.names() == ["np-001", "np-002"]


def test_internal_errors_alone_are_a_500_whose_message_is_json(aks):
    """§5.2 second shape: the details are a JSON string inside `message`."""
    aks.fault(kind="internal_error", names=["np-002"])
    answer = aks.batch("np-001", as_provisioner_sends_it())
    assert answer.status_code == 500
    body = answer.json()
    assert set(body) == {"code", "message"}
    assert body["code"] == "BatchMachineInternalServerError"
    details = json.loads(body["message"])["details"]
    assert details == [{"code": "InternalOperationError", "message": "could not be prepared", "target": "np-002"}]
    assert aks.names() == ["np-001", "np-003"]


def test_a_client_error_wins_over_internal_ones(aks):
    """§5.2: 400 with both kinds in `details`."""
    aks.put("np-001")
    aks.fault(kind="internal_error", names=["np-003"])
    body = aks.batch("np-001", as_provisioner_sends_it()).json()
    assert body["code"] == "BatchMachineClientError"
    assert body["message"] == (
        "the following machines failed with ClientError: np-001; "
        "the following machines failed with InternalError: np-003"
    )
    assert {detail["target"]: detail["code"] for detail in body["details"]} == {
        "np-001": "InvalidParameter",
        "np-003": "InternalOperationError",
    }


@pytest.mark.parametrize("size", ["Standard_Nope", None])
def test_a_bad_shared_property_rejects_the_whole_batch_with_an_ordinary_code(aks, size):
    """§5.2: nothing is created, no details."""
    answer = aks.batch("np-001", as_provisioner_sends_it(), size=size)
    assert answer.status_code == 400
    assert not answer.json()["code"].startswith("Batch")
    assert answer.json()["details"] is None
    assert aks.names() == []


@pytest.mark.parametrize(
    "header", ["{", "[]", '{"batchMachines":{}}', '{"batchMachines":[{"machineName":"a","zones":1}]}']
)
def test_a_header_that_cannot_be_read_creates_nothing(aks, header):
    """Open in the contract: 400 InvalidParameter."""
    answer = aks.put("np-001", headers={"BatchPutMachine": header})
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter")
    assert aks.names() == []


def test_half_a_batch_can_be_made_to_fail(aks):
    """§10.8: every second machine of a request."""
    aks.fault(kind="internal_error", every=2)
    names = [f"m{i}" for i in range(10)]
    answer = aks.batch(names[0], entries(*names))
    assert len(json.loads(answer.json()["message"])["details"]) == 5
    assert aks.names() == names[0::2]
