"""LIST paging (§7.4) and deleteMachines (§7.5)."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest


def fill(aks, count):
    names = [f"m{i:03d}" for i in range(count)]
    for start in range(0, count, 50):
        chunk = names[start : start + 50]
        assert aks.batch(chunk[0], [{"machineName": name} for name in chunk]).status_code == 200
    return names


def pages(aks, url=None, **params):
    url = url or f"{aks.pool}/machines"
    found = [aks.call("GET", url, params=params).json()]
    while "nextLink" in found[-1]:
        link = found[-1]["nextLink"]
        found.append(aks.session.get(link, headers={"Authorization": "Bearer t"}, timeout=5).json())
    return found


def test_pages_hold_50_and_every_machine_comes_once(aks):
    """§7.4."""
    names = fill(aks, 120)
    found = pages(aks)
    assert [len(page["value"]) for page in found] == [50, 50, 20, 0]
    assert [machine["name"] for page in found for machine in page["value"]] == names


def test_one_machine_has_a_next_link_to_an_empty_page(aks):
    """§7.4: as recorded; the empty page has no link."""
    aks.put("m1")
    first, last = pages(aks)
    assert len(first["value"]) == 1
    assert last == {"value": []}


def test_an_empty_pool_is_one_page_without_link(aks):
    """§7.4."""
    assert pages(aks) == [{"value": []}]


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (50, [50]), (51, [50, 1])])
def test_the_trailing_empty_page_is_a_switch(emulate, count, sizes):
    """§7.4."""
    aks = emulate(trailing_empty_page=False)
    fill(aks, count)
    assert [len(page["value"]) for page in pages(aks)] == sizes


def test_next_link_is_absolute_on_our_host_and_has_the_token_twice(aks):
    """§7.4: both `%24skipToken` and `skipToken`."""
    fill(aks, 51)
    link = aks.call("GET", f"{aks.pool}/machines").json()["nextLink"]
    assert link.startswith(aks.server.base_url + "/subscriptions/")
    assert "%24skipToken=50" in link
    query = parse_qs(urlsplit(link).query)
    assert query["$skipToken"] == query["skipToken"] == ["50"]
    assert query["api-version"] == ["2025-06-02-preview"]


def test_a_made_up_skip_token_is_refused(aks):
    """Open in the contract: 400."""
    assert aks.call("GET", f"{aks.pool}/machines", params={"$skipToken": "abc"}).status_code == 400
    assert aks.call("GET", f"{aks.pool}/machines", params={"$skipToken": "1", "skipToken": "2"}).status_code == 400


def test_the_page_size_is_a_switch(emulate):
    """§7.4 (M)."""
    aks = emulate(page_size=7)
    fill(aks, 20)
    assert [len(page["value"]) for page in pages(aks)] == [7, 7, 6, 0]


def test_vm_state_in_lists_may_need_expand(emulate):
    """§1.1: `$expand` is accepted, and without it vmState may be absent."""
    aks = emulate(list_vm_state="expand", page_size=1)
    fill(aks, 2)
    aks.advance(300)
    plain = [m for page in pages(aks) for m in page["value"]]
    expanded = [m for page in pages(aks, **{"$expand": "properties.status.vmState"}) for m in page["value"]]
    assert [m["properties"]["status"].get("vmState") for m in plain] == [None, None]
    assert [m["properties"]["status"].get("vmState") for m in expanded] == ["Running", "Running"]
    assert aks.properties("m000")["status"]["vmState"] == "Running"


def test_expand_is_accepted_by_default(aks):
    """§1.1."""
    fill(aks, 1)
    answer = aks.call("GET", f"{aks.pool}/machines", params={"$expand": "properties.status.vmState"})
    assert answer.status_code == 200


def test_delete_answers_202_with_both_headers_then_deleting_then_404(aks):
    """§7.5, §6.4."""
    fill(aks, 3)
    aks.advance(300)
    answer = aks.delete("m000", "M001")
    assert answer.status_code == 202
    operation, location = answer.headers["Azure-AsyncOperation"], answer.headers["Location"]
    assert "/operations/" in operation
    assert "/operationresults/" in location
    assert [aks.state(name) for name in ("m000", "m001", "m002")] == ["Deleting", "Deleting", "Succeeded"]
    assert aks.call("GET", operation).json()["status"] == "InProgress"
    assert aks.call("GET", location).status_code == 202
    aks.advance(300)
    assert aks.get("m000").status_code == 404
    assert aks.names() == ["m002"]
    assert aks.call("GET", operation).json()["status"] == "Succeeded"
    assert aks.call("GET", location).status_code == 204


def test_the_node_goes_with_its_machine(aks):
    """§7.5."""
    fill(aks, 2)
    aks.advance(300)
    assert len(aks.nodes()) == 2
    aks.delete("m000")
    aks.advance(300)
    assert len(aks.nodes()) == 1


@pytest.mark.parametrize("wrapped", [False, True])
def test_none_valid_is_400_and_names_the_valid_ones(emulate, wrapped):
    """§5.1: clients match the code and the sentence, bare or wrapped."""
    aks = emulate(delete_error_wrapped=wrapped)
    fill(aks, 2)
    answer = aks.delete("ghost")
    assert answer.status_code == 400
    error = answer.json()["error"] if wrapped else answer.json()
    assert error["code"] == "InvalidParameter"
    assert "Cannot find any valid machines" in error["message"]
    assert "m000, m001" in error["message"]


@pytest.mark.parametrize(("mixed", "status", "left"), [("proceed", 202, ["m001"]), ("reject", 400, ["m000", "m001"])])
def test_known_and_unknown_names_together_are_a_switch(emulate, mixed, status, left):
    """§12."""
    aks = emulate(delete_mixed=mixed)
    fill(aks, 2)
    assert aks.delete("m000", "ghost").status_code == status
    aks.advance(300)
    assert aks.names() == left


def test_deleting_twice_is_harmless(aks):
    """§7.5."""
    fill(aks, 1)
    assert aks.delete("m000").status_code == 202
    assert aks.delete("m000").status_code == 202
    aks.advance(300)
    assert aks.names() == []
    assert aks.usage("cores") == 0


def test_a_creating_machine_can_be_deleted_and_its_name_used_again(aks):
    """A late creation of the old machine must not touch the new one."""
    old = aks.put("m1").json()["properties"]["eTag"]
    aks.advance(40)
    aks.delete("m1")
    aks.advance(25)
    assert aks.state("m1") == "Deleting"
    aks.advance(75)
    assert aks.get("m1").status_code == 404
    new = aks.put("m1").json()["properties"]
    assert new["eTag"] != old
    assert aks.state("m1") == "Creating"


@pytest.mark.parametrize("body", [{}, {"machineNames": []}, {"machineNames": "m1"}, {"machineNames": [1]}])
def test_delete_needs_a_list_of_names(aks, body):
    """§7.5."""
    assert aks.call("POST", f"{aks.pool}/deleteMachines", json=body).status_code == 400


def test_an_unknown_operation_is_404(aks):
    """§6.4."""
    url = f"/subscriptions/{aks.spec.subscription}/providers/Microsoft.ContainerService/locations/eastus2/operations/x"
    assert aks.call("GET", url).status_code == 404
