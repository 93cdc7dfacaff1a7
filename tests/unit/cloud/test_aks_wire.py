from __future__ import annotations

import json

import pytest
from aks_fakes import MARK, TEMPLATE, specs
from frozendict import frozendict
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.cloud.aks.wire import (
    BatchPart,
    HeaderForm,
    HeaderLimits,
    decode_machine,
    decode_page,
    decode_pool,
    encode_batch_header,
    encode_delete,
    encode_json,
    encode_machine,
    encode_pool,
    header_bytes,
    machines_per_put,
    parse_timestamp,
    split_by_budget,
)
from autoscale_aks.errors import ProtocolError
from autoscale_aks.model.launch import OWNER_TAG, FaultKind, MachineSpec, MachineTemplate

BARE = MachineTemplate(pool="pool1", vm_size="Standard_D2_v3")
FULL = MachineTemplate(
    pool="pool1",
    vm_size="Standard_NC24ads_A100_v4",
    spot=True,
    node_labels={"sched.example/partition": "gpu", **MARK},
    node_taints=("sched.example/dedicated=gpu:NoSchedule",),
    tags=MARK,
    os_sku="Ubuntu2204",
    os_disk_size_gb=128,
    os_disk_type="Managed",
    orchestrator_version="1.32.6",
    max_pods=30,
    gpu_driver="Install",
    gpu_instance_profile="MIG1g",
    node_image_version="AKSUbuntu-2204gen2containerd-202508.20.0",
    ssh_access="LocalUser",
    vnet_subnet_id="/subscriptions/s/subnets/a",
    spot_max_price=-1.0,
)


def test_the_smallest_body_is_only_the_size() -> None:
    assert encode_machine(BARE, MachineSpec(name="m1")) == {"properties": {"hardware": {"vmSize": "Standard_D2_v3"}}}


def test_a_full_body_has_every_field_in_its_place() -> None:
    assert encode_machine(FULL, MachineSpec(name="m1", zone="2", tags={"job": "000123"})) == {
        "zones": ["2"],
        "properties": {
            "hardware": {
                "vmSize": "Standard_NC24ads_A100_v4",
                "gpuInstanceProfile": "MIG1g",
                "gpuProfile": {"driver": "Install"},
            },
            "operatingSystem": {"osSKU": "Ubuntu2204", "osDiskSizeGB": 128, "osDiskType": "Managed"},
            "kubernetes": {
                "orchestratorVersion": "1.32.6",
                "nodeLabels": {"sched.example/partition": "gpu", OWNER_TAG: "site-a"},
                "nodeInitializationTaints": ["sched.example/dedicated=gpu:NoSchedule"],
                "maxPods": 30,
            },
            "priority": "Spot",
            "billing": {"spotMaxPrice": -1.0},
            "security": {"sshAccess": "LocalUser"},
            "network": {"vnetSubnetID": "/subscriptions/s/subnets/a"},
            "nodeImageVersion": "AKSUbuntu-2204gen2containerd-202508.20.0",
            "tags": {OWNER_TAG: "site-a", "job": "000123"},
        },
    }


def test_tags_never_stand_at_top_level_and_regular_priority_is_never_sent() -> None:
    body = encode_machine(TEMPLATE, MachineSpec(name="m1", tags={"a": "b"}))
    assert set(body) == {"properties"}
    assert "priority" not in body["properties"]
    assert (
        "billing"
        not in encode_machine(MachineTemplate(pool="p", vm_size="s", spot_max_price=0.1), MachineSpec(name="m"))[
            "properties"
        ]
    )


def test_a_pool_body_has_only_the_mode() -> None:
    assert encode_pool() == {"properties": {"mode": "Machines"}}


def test_b7_additional_form_is_the_published_header_byte_for_byte() -> None:
    header = encode_batch_header(BARE, specs("np-001", "np-002", "np-003"), HeaderForm.ADDITIONAL)
    assert header == (
        '{"vmSkus":{"value":[{"name":"Standard_D2_v3","resourceType":"virtualMachines"}]},'
        '"batchMachines":[{"machineName":"np-002"},{"machineName":"np-003"}]}'
    )


def test_b7_all_form_lists_every_machine_with_its_own_zones_and_tags() -> None:
    machines = (
        MachineSpec(name="np-001", zone="1", tags={"job": "1"}),
        MachineSpec(name="np-002", zone="2", tags={"job": "2"}),
        MachineSpec(name="np-003"),
    )
    assert encode_batch_header(BARE, machines, HeaderForm.ALL) == (
        '{"batchMachines":[{"machineName":"np-001","zones":["1"],"tags":{"job":"1"}},'
        '{"machineName":"np-002","zones":["2"],"tags":{"job":"2"}},{"machineName":"np-003","zones":[],"tags":{}}]}'
    )
    body = encode_machine(BARE, machines[0])
    assert (body["zones"], body["properties"]["tags"]) == (["1"], {"job": "1"})


def additional(*machines: MachineSpec) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = json.loads(encode_batch_header(TEMPLATE, machines, HeaderForm.ADDITIONAL))[
        "batchMachines"
    ]
    return entries


def test_b7_additional_form_does_not_lose_a_machines_own_zone_and_tags() -> None:
    entries = additional(MachineSpec(name="a"), MachineSpec(name="b", zone="3", tags={"job": "9"}))
    assert entries == [{"machineName": "b", "zones": ["3"], "tags": {OWNER_TAG: "site-a", "job": "9"}}], (
        "tags in the header stand instead of the body's, so that the shared ones are among them"
    )


def test_b7_additional_form_lists_the_url_machine_only_when_the_header_alone_can_carry_its_zone_or_tags() -> None:
    assert additional(*specs("a", "b")) == [{"machineName": "b"}]
    assert additional(MachineSpec(name="a", zone="1"), MachineSpec(name="b")) == [
        {"machineName": "a", "zones": ["1"]},
        {"machineName": "b"},
    ]
    assert additional(MachineSpec(name="a", tags={"job": "1"}), MachineSpec(name="b"))[0] == {
        "machineName": "a",
        "tags": {OWNER_TAG: "site-a", "job": "1"},
    }


def test_b7_the_ownership_mark_stands_in_tags_labels_and_header() -> None:
    body = encode_machine(TEMPLATE, MachineSpec(name="a"))
    assert body["properties"]["tags"][OWNER_TAG] == "site-a"
    assert body["properties"]["kubernetes"]["nodeLabels"][OWNER_TAG] == "site-a"
    header = json.loads(encode_batch_header(TEMPLATE, specs("a", "b"), HeaderForm.ALL))
    assert [entry["tags"] for entry in header["batchMachines"]] == [{OWNER_TAG: "site-a"}] * 2


@pytest.mark.parametrize("form", HeaderForm)
def test_a_header_is_one_line_of_ascii_whatever_the_tags_hold(form: HeaderForm) -> None:
    nasty = MachineSpec(name="b", tags={"k\r\nX-Evil: 1": "ümläut \r\n\x00 \U0001f600 \ud800"})
    header = encode_batch_header(BARE, (MachineSpec(name="a"), nasty), form)
    assert header.isascii()
    assert header.isprintable()
    assert json.loads(header)["batchMachines"][-1]["tags"] == dict(nasty.tags)


@pytest.mark.parametrize(
    ("names", "zone", "tags", "form", "expected"),
    [
        ([f"scale500-machine-{n:03d}" for n in range(50)], None, {}, HeaderForm.ADDITIONAL, 2029),
        (["x" * 34] * 50, "1", {}, HeaderForm.ALL, 3888),
    ],
)
def test_b5_header_bytes_are_the_contracts_numbers(
    names: list[str], zone: str | None, tags: dict[str, str], form: HeaderForm, expected: int
) -> None:
    machines = [MachineSpec(name=name, zone=zone, tags=tags) for name in names]
    template = MachineTemplate(pool="p", vm_size="Standard_D2_v3")
    assert abs(header_bytes(encode_batch_header(template, machines, form)) - expected) <= 12


def test_b5_machines_per_put_is_the_largest_number_that_fits() -> None:
    tags = {f"key-{index:02d}": "v" * 20 for index in range(10)}
    fits = machines_per_put(TEMPLATE, 34, zone="1", tags=tags)
    assert 1 < fits < 50

    def size(count: int) -> int:
        machine = MachineSpec(name="n" * 34, zone="1", tags=tags)
        return header_bytes(encode_batch_header(TEMPLATE, [machine] * count, HeaderForm.ALL))

    assert size(fits) <= 12 * 1024 < size(fits + 1)


def test_b5_machines_per_put_is_between_1_and_50() -> None:
    assert machines_per_put(BARE, 10) == 50
    assert machines_per_put(BARE, 34, tags={"t": "x" * 20_000}) == 1


def test_b5_a_chunk_over_the_budget_is_cut_into_few_equal_contiguous_parts() -> None:
    machines = [MachineSpec(name=f"m-{n:02d}", tags={"t": "x" * 500}) for n in range(50)]
    limits = HeaderLimits()
    parts = split_by_budget(TEMPLATE, machines, limits)
    assert [machine for part in parts for machine in part.machines] == machines
    assert {len(part.machines) for part in parts} <= {16, 17}
    assert [part.header for part in parts] == [
        encode_batch_header(TEMPLATE, part.machines, limits.form) for part in parts
    ]
    assert all(header_bytes(part.header) <= 12 * 1024 for part in parts)
    assert split_by_budget(TEMPLATE, specs("only"), limits) == [BatchPart(specs("only"))]
    alone = split_by_budget(TEMPLATE, specs("a", "b"), HeaderLimits(budget_bytes=1))
    assert alone == [BatchPart(specs("a")), BatchPart(specs("b"))]


def test_delete_bodies_name_machines() -> None:
    assert encode_json(encode_delete(["a", "b"])) == b'{"machineNames":["a","b"]}'


RECORDED = {
    "id": "/subscriptions/SUB/resourcegroups/RG/x/machines/m1",
    "name": "m1",
    "type": "Microsoft.ContainerService/managedClusters/agentPools/machines",
    "zones": ["1"],
    "properties": {
        "hardware": {"vmSize": "Standard_D4s_v5", "gpuInstanceProfile": ""},
        "kubernetes": {"nodeInitializationTaints": None, "nodeName": "aks-pool1-m1-71327483-vm"},
        "provisioningState": "Succeeded",
        "resourceId": "/subscriptions/SUB/vm",
        "tags": {"owner": "sched"},
        "status": {"creationTimestamp": "2026-05-20T21:39:36.1234567Z", "vmState": "Running"},
    },
}


def test_a_recorded_machine_is_read() -> None:
    machine = decode_machine(RECORDED, "pool1")
    assert (machine.name, machine.pool, machine.zone, machine.spot) == ("m1", "pool1", "1", False)
    assert machine.node_name == "aks-pool1-m1-71327483-vm"
    assert machine.tags == {"owner": "sched"}
    assert machine.vm_state == "Running"
    assert machine.created_at == pytest.approx(1779313176.1234567)
    assert not machine.is_failed
    assert machine.error_kind is None


def test_a_failed_machine_says_why_by_its_compute_error() -> None:
    value = {
        "name": "m1",
        "properties": {
            "provisioningState": "Failed",
            "priority": "Spot",
            "status": {
                "provisioningError": {
                    "code": "QuotaExceeded",
                    "message": "outer",
                    "details": [{"code": "OperationNotAllowed", "message": "approved standardDSv3Family Cores quota."}],
                }
            },
        },
    }
    machine = decode_machine(value, "pool1")
    assert machine.is_failed
    assert machine.spot
    assert (machine.error_kind, machine.error_code) == (FaultKind.QUOTA, "OperationNotAllowed")


def test_an_evicted_machine_is_failed_and_an_unknown_state_is_kept() -> None:
    evicted = decode_machine(
        {"name": "a", "properties": {"provisioningState": "Succeeded", "status": {"vmState": "Deleted"}}}, "p"
    )
    assert evicted.is_failed
    assert (
        decode_machine({"name": "a", "properties": {"provisioningState": "Mending"}}, "p").provisioning_state
        == "Mending"
    )


def test_b7_a_mark_lost_from_the_tags_is_read_from_the_labels() -> None:
    value = {"name": "a", "properties": {"tags": None, "kubernetes": {"nodeLabels": {OWNER_TAG: "site-a", "x": "y"}}}}
    assert decode_machine(value, "p").tags == MARK


@pytest.mark.parametrize("value", [None, [], "m1", {}, {"name": 3}, {"name": ""}])
def test_a_machine_without_a_name_is_refused(value: object) -> None:
    with pytest.raises(ProtocolError):
        decode_machine(value, "p")


@pytest.mark.parametrize(
    "properties",
    [
        None,
        [],
        "x",
        {"hardware": [], "kubernetes": 3, "status": "no", "tags": ["a"], "provisioningState": 7, "priority": {}},
        {"status": {"provisioningError": [], "creationTimestamp": 5, "vmState": {}}, "tags": {"a": 1}},
        {
            "status": {
                "provisioningError": {"code": 3, "details": [None]},
                "creationTimestamp": "9999-99-99T00:00:00Z",
            }
        },
    ],
)
def test_wrong_types_in_a_machine_are_read_as_absent(properties: object) -> None:
    machine = decode_machine({"name": "m", "zones": [3], "properties": properties}, "p")
    assert (machine.name, machine.zone, machine.created_at, machine.tags) == ("m", None, None, frozendict())


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"value":{}}', b'{"value":[],"nextLink":3}', b"[" * 100_000]
)
def test_a_page_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_page(body)


def test_pages_may_be_empty() -> None:
    assert decode_page(b'{"value":[]}').next_link is None
    assert decode_page(b'{"value":[1],"nextLink":"u"}').next_link == "u"
    assert decode_page(b'{"value":[],"nextLink":null}').items == ()


def test_a_pool_needs_properties() -> None:
    assert decode_pool(b'{"properties":{"mode":"Machines","provisioningState":"Creating"}}').mode == "Machines"
    assert decode_pool(b'{"properties":{}}').provisioning_state == ""
    with pytest.raises(ProtocolError):
        decode_pool(b"{}")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T01:00:10+01:00", 10.0),
        ("1970-01-01T00:00:10.5Z", 10.5),
        ("yesterday", None),
        ("1970-01-01T00:00:10", None),
        ("", None),
        (None, None),
    ],
)
def test_timestamps(text: str | None, seconds: float | None) -> None:
    assert parse_timestamp(text) == seconds


@given(
    st.lists(
        st.builds(
            MachineSpec,
            name=st.text(min_size=1, max_size=8),
            zone=st.sampled_from([None, "1", "2"]),
            tags=st.sampled_from([{}, {"a": "b"}, {"a": "c"}, {"\u00e4": 'x"y'}]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_what_neighbours_share_is_encoded_once_and_the_header_is_the_same(machines: list[MachineSpec]) -> None:
    entries = [
        {
            "machineName": machine.name,
            "zones": [machine.zone] if machine.zone else [],
            "tags": {**TEMPLATE.tags, **machine.tags},
        }
        for machine in machines
    ]
    expected = encode_json({"batchMachines": entries}).decode("ascii")
    assert encode_batch_header(TEMPLATE, machines, HeaderForm.ALL) == expected
