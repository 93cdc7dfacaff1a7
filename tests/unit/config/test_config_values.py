"""A good file becomes frozen, exact values; defaults are the contract's (scenario.md)."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from config_samples import EXAMPLE, SMALL, changed
from jsonschema import Draft202012Validator

from autoscale_aks.cli.wiring import build_client
from autoscale_aks.config import Config, load_config, parse_config, schema_text, values
from autoscale_aks.errors import ConfigError
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.model.bucket import expand_buckets
from autoscale_aks.model.launch import CallDeadlines
from autoscale_aks.model.limits import CoreQuota
from autoscale_aks.model.policy import (
    OPTIMIZE_SECONDS,
    BackOffTimes,
    BootCircuit,
    MassDelete,
    Objective,
    PlacementOrder,
    Policy,
    SpotEvictions,
    work_of,
)
from autoscale_aks.units import Size

GIB = 1024**3


def parsed(document: Any) -> Config:
    return parse_config(json.dumps(document))


def test_the_smallest_configuration_gets_the_contracts_defaults() -> None:
    config = parsed(SMALL)
    assert config.policy == Policy()
    assert config.limits.cluster_max_cores is None
    assert config.aks.arm_url == "https://management.azure.com"
    assert config.aks.token_scope == "https://management.azure.com/.default"
    assert config.aks.pool_api_version == "2024-06-02-preview"
    assert config.aks.machine_api_version == "2025-06-02-preview"
    assert config.aks.credential == ("workload_identity", "managed_identity")
    assert (config.aks.batch_header, config.aks.header_budget_bytes, config.aks.workers) == ("all", 12288, 100)
    array = config.nodearrays["htc"].array
    assert (array.agent_pool, array.location, array.spot, array.priority) == ("htc", "westus2", False, 1)
    (offering,) = array.offerings
    assert (offering.pcpu_count, offering.quota_vcpus, offering.vm_family) == (4, 4, "Standard_D4s_v5")
    assert (offering.price, offering.zone, offering.max_count) == (None, None, None)
    assert offering.memory == Size(16 * GIB)
    assert offering.max_placement_group_size == 100


def test_a_node_array_may_stand_in_a_region_of_its_own() -> None:
    arrays = parsed(changed("nodearrays/hpc/location", "eastus")).arrays
    assert [array.location for array in arrays] == ["westus2", "eastus"]


def test_us_government_has_a_scope_of_its_own() -> None:
    aks = parsed(changed("aks/cloud", "usgov")).aks
    assert aks.arm_url == "https://management.usgovcloudapi.net"
    assert aks.token_scope == "https://management.core.usgovcloudapi.net/.default"


def test_addresses_lose_their_last_slash_and_the_emulator_needs_no_scope() -> None:
    aks = {**SMALL["aks"], "cloud": "custom", "arm_url": "http://127.0.0.1:80/", "credential": ["emulator"]}
    config = parsed({**SMALL, "aks": {**aks, "kubernetes_url": "http://localhost:1/k8s/"}})
    assert config.aks.arm_url == "http://127.0.0.1:80"
    assert config.aks.token_scope == "http://127.0.0.1:80/.default"
    assert config.aks.kubernetes_url == "http://localhost:1/k8s"


def test_amounts_are_exact() -> None:
    document = changed("nodearrays/htc/resources", {"a": 0.1, "b": "memory::1.5g", "c": "x", "d": True, "e": None})
    document["nodearrays"]["htc"]["buckets"][0] |= {"memory_gb": 0.1, "price": 0.23}
    array = parsed(document).nodearrays["htc"].array
    assert array.resources == {"a": Fraction(1, 10), "b": Size(3 * GIB // 2), "c": "x", "d": True, "e": None}
    assert array.offerings[0].memory == Size(Fraction(GIB, 10))
    assert array.offerings[0].price == Fraction(23, 100)


@pytest.mark.parametrize("text", ["4", "4.0", "4e0", "0.4e1"])
def test_whole_numbers_may_be_written_with_a_point(text: str) -> None:
    config = parse_config(json.dumps(SMALL).replace('"vcpu_count": 4', f'"vcpu_count": {text}'))
    count = config.nodearrays["htc"].array.offerings[0].vcpu_count
    assert (count, type(count)) == (4, int)


def test_templates_carry_the_settings_and_the_ownership_mark() -> None:
    settings = {
        "agent_pool": "pool1", "spot": True, "spot_max_price": 0.5, "node_labels": {"site/x": "y"},
        "node_taints": ["site/x=y:NoSchedule"], "tags": {"dept": "cfd"}, "os_sku": "AzureLinux3",
        "os_disk_size_gb": 128, "os_disk_type": "Ephemeral", "orchestrator_version": "1.32", "max_pods": 30,
        "gpu_driver": "None", "ssh_access": "Disabled", "gpu_instance_profile": "MIG1g",
        "node_image_version": "AKSUbuntu-2204gen2containerd-202508.20.0",
        "vnet_subnet_id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n",
    }  # fmt: skip
    document = changed("nodearrays/htc", {**SMALL["nodearrays"]["htc"], **settings})
    document["aks"]["machine_api_version"] = "2026-01-02-preview"
    template = parsed(document).nodearrays["htc"].template_for("Standard_D4s_v5")
    assert template.pool == "pool1"
    assert template.vm_size == "Standard_D4s_v5"
    assert template.node_labels == {"site/x": "y", "azaks-owner": "az1"}
    assert template.tags == {"dept": "cfd", "azaks-owner": "az1"}
    assert template.node_taints == ("site/x=y:NoSchedule",)
    for key in settings.keys() - {"agent_pool", "node_labels", "tags", "node_taints"}:
        assert getattr(template, key) == settings[key], key


def test_a_template_is_refused_for_a_size_that_is_not_offered() -> None:
    with pytest.raises(ValueError, match="only Standard_D4s_v5"):
        parsed(SMALL).nodearrays["htc"].template_for("Standard_Nope")


def test_the_arrays_groups_and_zones_hold_for_buckets_that_name_none() -> None:
    document = changed("nodearrays/hpc/placement_groups", ["pg0", "pg1"])
    array = document["nodearrays"]["hpc"]
    array |= {"max_placement_group_size": 7, "new_placement_groups": True}
    array["buckets"].append({"vm_size": "B", "vcpu_count": 1, "memory_gb": 1, "placement_groups": [],
                             "max_placement_group_size": 9})  # fmt: skip
    made = parsed(document).nodearrays["hpc"].array
    assert [(offer.placement_groups, offer.max_placement_group_size) for offer in made.offerings] == [
        (("pg0", "pg1"), 7),
        ((), 9),
    ]
    assert made.new_placement_groups
    zoned = parsed(changed("nodearrays/htc/zones", ["2", "1"])).nodearrays["htc"].array
    assert [bucket.id for bucket in expand_buckets(zoned)] == ["htc/Standard_D4s_v5:2", "htc/Standard_D4s_v5:1"]


@pytest.mark.parametrize("wrap", [lambda timeouts: timeouts, lambda timeouts: {"policy": timeouts}])
def test_timeouts_stand_at_the_top_or_in_policy(wrap: Any) -> None:
    policy = parsed({**SMALL, **wrap({"idle_timeout": {"htc": 7.5}, "boot_timeout": 60})}).policy
    assert policy.idle_timeout.of("htc") == 7.5
    assert policy.idle_timeout.of("hpc") == Policy().idle_timeout.default_s
    assert policy.boot_timeout.of("hpc") == 60


def test_policy_and_limits_are_read_whole() -> None:
    policy = {"placement_order": "bucket", "objective": "cost", "optimize_seconds": 0.5, "machines_per_put": 10,
              "max_creates_per_cycle": 0,
              "max_deletes_per_cycle": None}  # fmt: skip
    limits = {
        "cluster_max_cores": 5, "cluster_max_nodes": 6, "regions": {"a": {"quota_cores": 7}},
        "spot_regions": {"b": {"quota_cores": 8, "used_elsewhere_cores": 1}},
        "families": {"a": {"Standard NCASv3_T4 Family": {"quota_cores": 9}}},
    }  # fmt: skip
    config = parsed({**SMALL, "policy": policy, "limits": limits})
    assert config.policy.placement_order is PlacementOrder.BUCKET
    assert config.policy.objective is Objective.COST
    assert config.policy.optimize_work == work_of(0.5)
    assert parsed({**SMALL, "policy": {"objective": "cost"}}).policy.optimize_work == work_of(OPTIMIZE_SECONDS)
    assert parsed({**SMALL, "policy": {"objective": "cost", "optimize_seconds": None}}).policy.optimize_work is None
    assert parsed(SMALL).policy == Policy()
    assert (config.policy.machines_per_put, config.policy.max_creates_per_cycle) == (10, 0)
    assert config.policy.max_deletes_per_cycle is None
    assert config.limits.cluster_max_nodes == 6
    assert config.limits.spot_regions == {"b": CoreQuota(8, 1)}
    assert config.limits.families == {"a": {"Standard NCASv3_T4 Family": CoreQuota(9)}}


def test_what_guards_a_cycle_is_read_whole_and_has_defaults() -> None:
    policy = {
        "min_lifetime": {"htc": 60}, "gang_timeout": 90, "mass_delete": {"share": 0.25, "count": None},
        "back_off": {"spot": 1, "zone": 2, "region": 3, "quota": 4, "validation": 5, "family": 6},
        "boot_circuit": {"failures": 2, "retry": 7}, "spot_evictions": {"count": 3, "window": 8},
    }  # fmt: skip
    found = parsed({**SMALL, "policy": policy}).policy
    assert (found.min_lifetime.of("htc"), found.min_lifetime.of("hpc"), found.gang_timeout) == (60, 0, 90)
    assert found.mass_delete == MassDelete(share=0.25, count=None)
    times = {"spot_s": 1, "zone_s": 2, "region_s": 3, "quota_s": 4, "validation_s": 5, "family_s": 6}
    assert found.back_off == BackOffTimes(**times, stated=frozenset(times))
    assert found.boot_circuit == BootCircuit(failures=2, retry_s=7)
    assert found.spot_evictions == SpotEvictions(count=3, window_s=8)
    assert parsed({**SMALL, "policy": {"mass_delete": {"share": 0.1}}}).policy.mass_delete == MassDelete(share=0.1)
    assert parsed({**SMALL, "policy": {key: {} for key in policy if key != "gang_timeout"}}).policy == Policy()


def test_the_schema_s_defaults_of_what_guards_a_cycle_are_the_program_s() -> None:
    keys = json.loads(schema_text())["$defs"]["policy"]["properties"]
    written = {key: {name: one["default"] for name, one in keys[key]["properties"].items()}
               for key in ("mass_delete", "back_off", "boot_circuit", "spot_evictions")}  # fmt: skip
    found = parsed({**SMALL, "policy": written}).policy
    assert replace(found, back_off=replace(found.back_off, stated=frozenset())) == Policy()
    assert keys["gang_timeout"]["default"] == Policy().gang_timeout


def test_clocks_of_boot_stages_are_read_and_hold_for_the_node_arrays_that_are_named() -> None:
    stages = {"provisioned": 9, "registered": {"htc": 7}, "ready": 5}
    found = parsed({**SMALL, "policy": {"boot_stages": stages}}).policy
    assert found.boot_stages.of("htc") == (9.0, 7.0, 5.0)
    assert found.boot_stages.of("hpc") == (9.0, math.inf, 5.0)
    assert Policy().boot_stages.of("htc") == (math.inf, math.inf, math.inf)


def test_a_node_array_s_minimum_headroom_and_cap_are_read() -> None:
    array = {**SMALL["nodearrays"]["htc"], "min_nodes": 2, "max_creates_per_cycle": 0,
             "headroom": [{"constraints": {"ncpus": 1.5}}, {"count": 3, "constraints": {"ncpus": 4}}]}  # fmt: skip
    config = parsed({**SMALL, "nodearrays": {"htc": array}})
    (found,) = config.arrays
    assert (found.min_nodes, found.max_creates_per_cycle) == (2, 0)
    assert [(one.count, dict(one.constraints)) for one in config.nodearrays["htc"].headroom] == [
        (1, {"ncpus": Decimal("1.5")}), (3, {"ncpus": 4}),
    ]  # fmt: skip
    (plain,) = parsed({**SMALL, "nodearrays": {"htc": SMALL["nodearrays"]["htc"]}}).arrays
    assert (plain.min_nodes, plain.max_creates_per_cycle) == (0, None)


def test_every_field_of_the_policy_is_a_key_of_the_schema_and_the_other_way_round() -> None:
    keys = set(json.loads(schema_text())["$defs"]["policy"]["properties"])
    fields = {field.name for field in dataclasses.fields(Policy)}
    assert keys == fields - {"optimize_work"} | {"optimize_seconds"}


def test_shared_resources_are_stocks_or_facts() -> None:
    shared = parsed({**SMALL, "shared_resources": {"lic": {"initial": 10}, "ver": {"value": "1.2"}}}).shared_resources
    assert (shared["lic"].initial, shared["lic"].current, shared["lic"].value) == (10, 10, None)
    assert (shared["ver"].initial, shared["ver"].current, shared["ver"].value) == (None, None, "1.2")


def test_scheduler_settings_pass_as_they_are() -> None:
    scheduler = {"type": "command", "timeout_s": 2.5, "args": ["a", {"b": 1}]}
    made = parsed({**SMALL, "scheduler": scheduler}).scheduler
    assert made.type == "command"
    assert dict(made.settings) == {"timeout_s": 2.5, "args": ["a", {"b": 1}]}
    assert type(made.settings["timeout_s"]) is float


def test_default_resources_stand_as_they_were_written() -> None:
    entries = [{"select": {"or": [{"a": 1}]}, "name": "x", "value": 0.1}]
    (made,) = parsed({**SMALL, "default_resources": entries}).default_resources
    assert made["select"] == {"or": [{"a": 1}]}
    assert str(made["value"]) == "0.1"


def test_the_configuration_cannot_be_changed() -> None:
    config = parsed(SMALL)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.aks.owner = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.nodearrays["x"] = config.nodearrays["htc"]  # type: ignore[index]


def test_the_example_is_valid_and_means_what_it_says() -> None:
    config = load_config(EXAMPLE)
    assert [array.name for array in config.arrays] == ["htc", "hpc", "gpu", "mem"]
    assert config.agent_pools == ("htc", "hpc", "gpu", "mem")
    facts = {
        offering.vm_size: (offering.vcpu_count, offering.memory.bytes // GIB, offering.gpu_count, offering.price)
        for array in config.arrays
        for offering in array.offerings
    }
    assert facts == {
        "Standard_D4s_v5": (4, 16, 0, Fraction("0.23")),
        "Standard_D8s_v5": (8, 32, 0, Fraction("0.461")),
        "Standard_F16s_v2": (16, 32, 0, Fraction("0.816")),
        "Standard_NC4as_T4_v3": (4, 28, 1, Fraction("0.631")),
        "Standard_E16s_v5": (16, 128, 0, Fraction("1.21")),
    }
    assert config.nodearrays["hpc"].array.offerings[0].placement_groups
    assert {array.location for array in config.arrays} == {"southcentralus"}
    assert [entry["name"] for entry in config.default_resources] == [
        "ncpus",
        "mem",
        "ngpus",
        "slot_type",
        "partition",
    ]


def test_the_readmes_emulator_settings_are_valid() -> None:
    text = (EXAMPLE.parent / "README.md").read_text()
    block = re.search(r"```json\n\"aks\": (\{.*?\n\})\n```", text, re.DOTALL)
    assert block is not None
    assert parsed({**SMALL, "aks": json.loads(block.group(1))}).aks.credential == ("emulator",)


def test_every_property_of_the_schema_says_what_it_means() -> None:
    schema = json.loads(schema_text())
    Draft202012Validator.check_schema(schema)
    silent = [path for path, part in properties(schema, "") if not described(schema, part)]
    assert silent == []


def test_closed_objects_are_closed() -> None:
    schema = json.loads(schema_text())
    loose = [name for name, part in [("", schema), *schema["$defs"].items()]
             if part.get("type") == "object" and "additionalProperties" not in part]  # fmt: skip
    assert loose == []


def properties(part: Any, path: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    if isinstance(part, dict):
        for key, child in part.items():
            if key == "properties":
                found += [(f"{path}.{name}", value) for name, value in child.items()]
            if key in ("additionalProperties", "items") and isinstance(child, dict):
                found.append((f"{path}.{key}", child))
            found += properties(child, f"{path}.{key}")
    return found


def described(schema: Any, part: Any) -> bool:
    target = schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else {}
    return bool(part.get("description") or target.get("description"))


def test_the_schema_is_next_to_the_code_that_reads_it() -> None:
    beside = Path(values.__file__).parent / "autoscale.schema.json"
    assert beside.read_text(encoding="utf-8") == schema_text()


def test_deadlines_are_seconds_by_kind_of_call_and_the_rest_keeps_its_default() -> None:
    assert parsed(SMALL).aks.deadlines == CallDeadlines(list_s=120, create_s=300, delete_s=120, pool_s=300)
    given = parsed(changed("aks/deadlines", {"list": 5, "create": 2.5})).aks.deadlines
    assert given == CallDeadlines(list_s=5, create_s=2.5, delete_s=120, pool_s=300)


def test_a_deadline_reaches_the_client(tmp_path: Path) -> None:
    config = parse_config(json.dumps(changed("aks/deadlines", {"create": 7})), str(tmp_path / "autoscale.json"))
    with Ledger.open(tmp_path / "ledger.sqlite", now=0.0) as ledger, build_client(config, ledger) as client:
        assert client.settings.deadlines.create_s == 7


@pytest.mark.parametrize("scope", ["label", "pool"])
def test_a_placement_group_is_a_label_unless_the_node_array_says_more(scope: str) -> None:
    assert parsed(SMALL).nodearrays["hpc"].placement_group_scope == "label"
    document = changed("nodearrays/hpc/placement_groups", ["pg0"])
    document["nodearrays"]["hpc"]["placement_group_scope"] = scope
    made = parsed(document).nodearrays["hpc"]
    assert made.placement_group_scope == scope
    assert [offer.placement_groups for offer in made.array.offerings] == [("pg0",)]


def zoned(groups: list[str], zones: list[str], **more: Any) -> dict[str, list[str]]:
    """Zone → the groups that stand in it."""
    document = changed("nodearrays/hpc/placement_groups", groups)
    document["nodearrays"]["hpc"] |= {"placement_group_scope": "zone", "zones": zones, **more}
    offerings = parsed(document).nodearrays["hpc"].array.offerings
    found: dict[str, list[str]] = {str(offering.zone): [] for offering in offerings}
    for offering in offerings:
        found[str(offering.zone)] += offering.placement_groups
    return found


def test_where_groups_are_zones_each_stands_in_one_chosen_by_its_name_alone() -> None:
    groups = [f"pg{number}" for number in range(60)]
    placed = zoned(groups, ["1", "2", "3"])
    assert sorted(group for found in placed.values() for group in found) == sorted(groups)
    assert all(len(found) >= 10 for found in placed.values()), "they are spread"
    assert {zone: set(found) for zone, found in zoned(groups[::-1], ["3", "1", "2"]).items()} == {
        zone: set(found) for zone, found in placed.items()
    }
    more = zoned(groups, ["1", "2", "3", "4"])
    assert all(set(more[zone]) <= set(placed[zone]) for zone in "123"), "a new zone only takes over"


def test_a_group_of_several_sizes_stands_in_a_zone_that_all_of_them_have() -> None:
    size = {"vcpu_count": 4, "memory_gb": 8}
    placed = zoned(
        ["pg0", "pg1"], ["1", "2"], buckets=[{"vm_size": "A", **size}, {"vm_size": "B", "zone": "2", **size}]
    )
    assert placed == {"1": [], "2": ["pg0", "pg1"] * 2}


def test_the_loop_has_defaults_and_paths_of_its_own() -> None:
    plain = parsed(SMALL).loop
    assert (plain.cycle_deadline_s, plain.wake_socket, plain.wake_delay_s, plain.lease) == (900.0, None, 1.0, None)
    document = {
        **SMALL,
        "aks": {**SMALL["aks"], "kubernetes_url": "https://k8s.example"},
        "loop": {"cycle_deadline_s": 60, "wake_socket": "wake.sock", "wake_delay_s": 0, "lease": {}},
    }
    loop = parse_config(json.dumps(document), "/etc/azaks/autoscale.json").loop
    assert (loop.cycle_deadline_s, loop.wake_socket, loop.wake_delay_s) == (60.0, Path("/etc/azaks/wake.sock"), 0.0)
    assert loop.lease is not None
    owner = SMALL["aks"]["owner"]
    assert (loop.lease.namespace, loop.lease.name, loop.lease.duration_s) == ("kube-system", f"azaks-{owner}", 60.0)


def test_a_lease_needs_the_address_of_the_clusters_kubernetes() -> None:
    with pytest.raises(ConfigError, match=r"give aks\.kubernetes_url"):
        parsed({**SMALL, "loop": {"lease": {"namespace": "azaks", "duration_s": 30}}})
