"""Each kind of mistake gives one problem, at its path, in words with a next step (user ask T29)."""

from __future__ import annotations

import json

import pytest
from config_samples import GONE, SMALL, changed, problems

HTC = "nodearrays/htc"
BUCKET = "nodearrays/htc/buckets/0"
B0 = "nodearrays.htc.buckets[0]"
SHARED = {"initial": 5}

ONE_PROBLEM = [
    # unknown keys
    ("aks/cluser", "x", "aks.cluser", 'did you mean "cluster"?'),
    ("idle_timout", 5, "idle_timout", 'did you mean "idle_timeout"?'),
    (f"{HTC}/MaxCount", 5, "nodearrays.htc.MaxCount", 'did you mean "max_count"?'),
    (f"{HTC}/vm_sizes", [], "nodearrays.htc.vm_sizes", "the list is called buckets"),
    (f"{HTC}/idle_timeout", 5, "nodearrays.htc.idle_timeout", "it stands at the top level"),
    (f"{BUCKET}/available_count", 5, f"{B0}.available_count", "scenarios only"),
    ("policy/qqq", 1, "policy.qqq", "known are placement_order, objective"),
    ("_comment", "x", "_comment", "there is no such key"),
    # missing keys
    ("aks/owner", GONE, "aks.owner", "is missing"),
    ("scheduler/type", GONE, "scheduler.type", "is missing"),
    ("ledger", GONE, "ledger", "is missing"),
    (f"{BUCKET}/vm_size", GONE, f"{B0}.vm_size", "name of the VM size"),
    ("aks/location", GONE, "nodearrays.htc.location", "aks.location"),
    # types
    ("aks/workers", "20", "aks.workers", 'expected a whole number, found the string "20"; write it without quotes'),
    ("aks/workers", 2.5, "aks.workers", "expected a whole number, found the number 2.5"),
    ("aks/workers", True, "aks.workers", "expected a whole number, found true"),
    ("aks/workers", None, "aks.workers", "found null"),
    (f"{HTC}/spot", "True", "nodearrays.htc.spot", "expected true or false"),
    (f"{HTC}/spot", 1, "nodearrays.htc.spot", "found the number 1"),
    (f"{HTC}/zones", ["1", 2], "nodearrays.htc.zones[1]", 'write "2"'),
    ("aks/credential", "azure_cli", "aks.credential", "write it in square brackets"),
    ("aks/cluster", 7, "aks.cluster", 'found the number 7; write "7"'),
    ("nodearrays", [], "nodearrays", "expected an object { … }, found an empty list"),
    ("default_resources", {}, "default_resources", "expected a list [ … ], found an empty object"),
    ("default_resources", [5], "default_resources[0]", "expected an object"),
    ("idle_timeout", "5m", "idle_timeout", "expected a number of seconds, or an object"),
    (f"{HTC}/resources", {"a": [1]}, "nodearrays.htc.resources.a", "found a list"),
    ("ledger/history_days", "30", "ledger.history_days", "write it without quotes"),
    ("metrics/listen", 9469, "metrics.listen", "found the number 9469"),
    ("metrics/port", 9469, "metrics.port", "the key is listen"),
    ("logging/format", "xml", "logging.format", 'expected "text" or "json"'),
    # ranges and choices
    ("ledger/history_days", -1, "ledger.history_days", "expected a number from 0 to 3650, found -1"),
    ("metrics/listen", "localhost", "metrics.listen", "expected HOST:PORT"),
    ("metrics/listen", "127.0.0.1:70000", "metrics.listen", "expected HOST:PORT"),
    ("metrics/textfile", "~/azaks.prom", "metrics.textfile", "does not begin with ~"),
    ("logging/collapse_s", -1, "logging.collapse_s", "expected a number from 0 to 86400, found -1"),
    ("logging/collapse", 60, "logging.collapse", 'did you mean "collapse_s"?'),
    ("policy/machines_per_put", 51, "policy.machines_per_put", "expected a number from 1 to 50, found 51"),
    ("idle_timeout", -1, "idle_timeout", "expected a number from 0 to 31536000, found -1"),
    ("boot_timeout", 0, "boot_timeout", "expected a number above 0 and of at most 31536000, found 0"),
    ("boot_timeout", {"htc": 0}, "boot_timeout.htc", "above 0"),
    (f"{BUCKET}/vcpu_count", 0, f"{B0}.vcpu_count", "from 1 to"),
    (f"{BUCKET}/price", -0.5, f"{B0}.price", "found -0.5"),
    (f"{HTC}/max_pods", 251, "nodearrays.htc.max_pods", "from 10 to 250"),
    (f"{HTC}/os_disk_size_gb", 4096, "nodearrays.htc.os_disk_size_gb", "from 0 to 2048"),
    (f"{HTC}/buckets", [], "nodearrays.htc.buckets", "is empty; at least 1 entry"),
    (f"{HTC}/zones", ["1", "1"], "nodearrays.htc.zones[1]", '"1" stands in this list already'),
    ("aks/cloud", "pubic", "aks.cloud", 'did you mean "public"?'),
    ("aks/batch_header", "none", "aks.batch_header", 'expected "all", "additional" or "off"'),
    ("policy/optimize_seconds", -1, "policy.optimize_seconds", "expected a number from 0 to 3600, found -1"),
    ("policy/objective", "costs", "policy.objective", 'did you mean "cost"?'),
    (f"{BUCKET}/arch", "x64", f"{B0}.arch", '"amd64" or "arm64" (or null)'),
    # names
    (f"{HTC}/agent_pool", "HTC", "nodearrays.htc.agent_pool", "at most 12 lower-case letters and digits"),
    (f"{HTC}/agent_pool", "a" * 13, "nodearrays.htc.agent_pool", "at most 12"),
    (f"{HTC}/agent_pool", "htc\n", "nodearrays.htc.agent_pool", "at most 12"),
    (f"{HTC}/agent_pool", "aksmanagedap", "nodearrays.htc.agent_pool", "belongs to AKS"),
    ("aks/owner", "Team-1", "aks.owner", "at most 8 lower-case letters and digits"),
    ("aks/owner", "1st", "aks.owner", "begin with a letter"),
    ("aks/subscription", "my-sub", "aks.subscription", "az account show"),
    ("aks/location", "South Central US", "aks.location", '"southcentralus"'),
    ("aks/machine_api_version", "latest", "aks.machine_api_version", "2025-06-02-preview"),
    (f"{BUCKET}/vm_size", "D4 v5", f"{B0}.vm_size", "Standard_D4s_v5"),
    (f"{BUCKET}/placement_groups", ["a b"], f"{B0}.placement_groups[0]", "a placement group's name"),
    (f"{HTC}/node_labels", {"a b": "c"}, 'nodearrays.htc.node_labels["a b"]', "a Kubernetes label's key"),
    (f"{HTC}/node_labels", {"kubernetes.azure.com/x": "y"}, 'nodearrays.htc.node_labels["kubernetes.azure.com/x"]',
     "belong to Kubernetes"),
    (f"{HTC}/node_labels", {"azaks-owner": "me"}, "nodearrays.htc.node_labels.azaks-owner", "aks.owner"),
    (f"{HTC}/tags", {"azaks-owner": "me"}, "nodearrays.htc.tags.azaks-owner", "aks.owner"),
    (f"{HTC}/tags", {"a/b": "me"}, 'nodearrays.htc.tags["a/b"]', "a tag's name"),
    (f"{HTC}/tags", {f"t{n}": "" for n in range(47)}, "nodearrays.htc.tags", "at most 46"),
    (f"{HTC}/tags", {"a": "x" * 257}, "nodearrays.htc.tags.a", "at most 256 characters, found 257"),
    (f"{HTC}/node_taints", ["a=b"], "nodearrays.htc.node_taints[0]", "NoSchedule"),
    (f"{HTC}/vnet_subnet_id", "/subscriptions/x", "nodearrays.htc.vnet_subnet_id", "a subnet's resource id"),
    (f"{HTC}/os_sku", "Windows2022", "nodearrays.htc.os_sku", "only Linux"),
    ("ledger/path", "~/ledger", "ledger.path", "does not begin with ~"),
    ("nodearrays/default", SMALL["nodearrays"]["htc"], "nodearrays.default", "idle_timeout"),
    # addresses
    ("aks/kubernetes_url", "ftp://h", "aks.kubernetes_url", "https://HOST"),
    ("aks/kubernetes_url", "10.0.0.1:443", "aks.kubernetes_url", "https://HOST"),
    ("aks/kubernetes_url", "http://api.example.org", "aks.kubernetes_url", "for this host only"),
    ("aks/kubernetes_url", "http://127.0.0.1.example.org", "aks.kubernetes_url", "for this host only"),
    ("aks/kubernetes_url", "https://h:99999", "aks.kubernetes_url", "is no address"),
    ("aks/kubernetes_url", "http://[::1", "aks.kubernetes_url", "is no address"),
    ("aks/kubernetes_url", "https://me@h", "aks.kubernetes_url", "names a user"),
    ("aks/kubernetes_url", "https://h/?x=1", "aks.kubernetes_url", "after ? or #"),
    ("aks/kubernetes_url", "https://h\n", "aks.kubernetes_url", "control character"),
    ("aks/kubernetes_ca_file", "/ca.pem", "aks.kubernetes_ca_file", "without kubernetes_url"),
    # deadlines and groups
    ("aks/deadlines", {"list": 0}, "aks.deadlines.list", "from 1 to 86400"),
    ("aks/deadlines", {"lists": 9}, "aks.deadlines.lists", 'did you mean "list"?'),
    (f"{HTC}/placement_group_scope", "rack", "nodearrays.htc.placement_group_scope", '"label", "pool" or "zone"'),
    (f"{HTC}/placement_group_scope", "zone", "nodearrays.htc.placement_group_scope", "needs availability zones"),
    # values that contradict each other
    ("idle_timeout", {"hpcc": 5}, "idle_timeout.hpcc", 'did you mean "hpc"?'),
    ("boot_timeout", {"other": 5}, "boot_timeout.other", 'known are "htc", "hpc" or "default"'),
    ("policy", {"idle_timeout": {"htx": 1}}, "policy.idle_timeout.htx", 'did you mean "htc"?'),
    ("policy/min_lifetime", {"htx": 1}, "policy.min_lifetime.htx", 'did you mean "htc"?'),
    ("policy/mass_delete", {"share": 2}, "policy.mass_delete.share", "from 0 to 1"),
    ("policy/mass_delete", {"shares": 0.2}, "policy.mass_delete.shares", 'did you mean "share"?'),
    ("policy/back_off", {"spot": -1}, "policy.back_off.spot", "found -1"),
    ("policy/back_off", {"capacity": 5}, "policy.back_off.capacity", "no such key"),
    ("policy/boot_stages", {"registered": {"htx": 9}}, "policy.boot_stages.registered.htx", 'did you mean "htc"?'),
    ("policy/boot_stages", {"ready": -1}, "policy.boot_stages.ready", "found -1"),
    ("policy/boot_stages", {"ready": {"htx": 9}}, "policy.boot_stages.ready.htx", 'did you mean "htc"?'),
    ("policy/boot_stages", {"joined": 9}, "policy.boot_stages.joined", "no such key"),
    (f"{HTC}/headroom", [{"constraints": {"ncpus": 1}, "when": [{"from": "7:30"}]}],
     "nodearrays.htc.headroom[0].when[0].from", 'from "00:00" to "24:00"'),
    (f"{HTC}/headroom", [{"constraints": {"ncpus": 1}, "when": [{"days": ["monday"]}]}],
     "nodearrays.htc.headroom[0].when[0].days[0]", '"mon"'),
    (f"{HTC}/headroom", [{"constraints": {"ncpus": 1}, "when": [{"time_zone": "Mars/Olympus"}]}],
     "nodearrays.htc.headroom[0].when[0].time_zone", "no time zone"),
    (f"{HTC}/headroom", [{"constraints": {"ncpus": 1}, "when": [{"from": "08:00", "to": "08:00"}]}],
     "nodearrays.htc.headroom[0].when[0].to", "never open"),
    ("policy/spot_evictions", {"count": 0}, "policy.spot_evictions.count", "from 1 to"),
    ("policy/boot_circuit", {"failures": 0}, "policy.boot_circuit.failures", "from 1 to"),
    ("policy/gang_timeout", "10m", "policy.gang_timeout", "expected a number"),
    (f"{HTC}/max_creates_per_cycle", -1, "nodearrays.htc.max_creates_per_cycle", "found -1"),
    (f"{HTC}/min_nodes", -1, "nodearrays.htc.min_nodes", "found -1"),
    ("nodearrays/htc", {**SMALL["nodearrays"]["htc"], "min_nodes": 5, "max_count": 4}, "nodearrays.htc.min_nodes",
     "more than max_count (4)"),
    (f"{HTC}/headroom", [{"count": 2}], "nodearrays.htc.headroom[0].constraints", "is missing"),
    (f"{HTC}/headroom", [{"constraints": {"ncpus": 1}, "count": 0}], "nodearrays.htc.headroom[0].count", "from 1 to"),
    (f"{HTC}/headroom", [{"constraints": {"ncpus": "memory::4x"}}], "nodearrays.htc.headroom[0].constraints",
     "unknown suffix"),
    (f"{HTC}/headroom", [{"constraints": {"node.vmsize": "a"}}], "nodearrays.htc.headroom[0].constraints",
     'did you mean "node.vm_size"?'),
    (f"{BUCKET}/pcpu_count", 8, f"{B0}.pcpu_count", "more physical cores than vCPUs (4)"),
    (f"{BUCKET}/quota_vcpus", 2, f"{B0}.quota_vcpus", "less than vcpu_count (4)"),
    (f"{BUCKET}/gpu_model", "T4", f"{B0}.gpu_count", "how many GPUs"),
    (f"{HTC}/spot_max_price", -1, "nodearrays.htc.spot_max_price", "spot machines only"),
    (HTC, {**SMALL["nodearrays"]["htc"], "spot": True, "spot_max_price": 0.5}, "nodearrays.htc.spot_max_price",
     "set aks.machine_api_version"),
    (f"{HTC}/gpu_instance_profile", "MIG9g", "nodearrays.htc.gpu_instance_profile", '"MIG1g"'),
    (f"{HTC}/node_image_version", "a b", "nodearrays.htc.node_image_version", "a node image version"),
    ("aks/kubernetes_context", "prod", "aks.kubernetes_context", "without kubernetes_config_file"),
    ("aks", {**SMALL["aks"], "kubernetes_url": "https://k.example", "kubernetes_in_cluster": True},
     "aks.kubernetes_in_cluster", "keep one"),
    ("aks", {**SMALL["aks"], "kubernetes_config_file": "kube.json", "kubernetes_in_cluster": True},
     "aks.kubernetes_in_cluster", "beside kubernetes_config_file"),
    (f"{HTC}/resources", {"mem": "memory::4x"}, "nodearrays.htc.resources.mem", "unknown suffix"),
    ("aks", {**SMALL["aks"], "cloud": "custom", "token_scope": "https://a.example/.default"}, "aks.arm_url",
     "is missing"),
    ("aks", {**SMALL["aks"], "cloud": "custom", "arm_url": "https://a.example"}, "aks.token_scope", "is missing"),
    ("aks", {**SMALL["aks"], "arm_url": "http://[::1]:1", "credential": ["azure_cli", "emulator"]}, "aks.credential",
     "stands alone"),
    ("aks/credential", ["emulator"], "aks.credential", "on this host"),
    ("shared_resources", {"lic": {"current": 5}}, "shared_resources.lic.initial", "is missing"),
    ("shared_resources", {"lic": {"initial": 5, "current": 6}}, "shared_resources.lic.current", "at most initial"),
    ("shared_resources", {"lic": {"initial": 5, "value": 6}}, "shared_resources.lic", "has both"),
    ("shared_resources", {"lic": {"initial": "many"}}, "shared_resources.lic.initial", "expected a number or a size"),
    ("shared_resources", {"lic": {}}, "shared_resources.lic", "is empty"),
    ("shared_resources", {"lic": 5}, "shared_resources.lic", "expected an object"),
    ("limits", {"families": {"westus2": {"standardDSv5Family": {}}}},
     "limits.families.westus2.standardDSv5Family.quota_cores", "is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "value", "path", "says"), ONE_PROBLEM)
def test_each_mistake_stands_at_its_path_in_words(change: str, value: object, path: str, says: str) -> None:
    found = problems(changed(change, value))
    assert says in dict(found).get(path, f"nothing at {path}"), found
    others = {other for other, _ in found} - {path}
    assert not others or change == "aks/location", f"one mistake, but also {others}"


def test_a_good_configuration_has_no_problems() -> None:
    assert problems(SMALL) == []


def test_all_problems_come_at_once_in_the_order_of_the_file_with_their_lines() -> None:
    document = changed("aks/workers", 0)
    document["aks"]["cluser"] = "x"
    document["nodearrays"]["htc"]["buckets"][0]["vcpu_count"] = "four"
    document["nodearrays"]["hpc"]["agent_pool"] = "HPC!"
    document["idle_timeout"] = {"gone": 5}
    found = problems(json.dumps(document, indent=1))
    text = json.dumps(document, indent=1).splitlines()
    assert [path for path, _ in found] == [
        "aks.workers",
        "aks.cluser",
        "nodearrays.htc.buckets[0].vcpu_count",
        "nodearrays.hpc.agent_pool",
        "idle_timeout.gone",
    ]
    for (path, message), word in zip(found, ["workers", "cluser", "four", "HPC!", "gone"], strict=True):
        line = next(number for number, content in enumerate(text, 1) if word in content)
        assert message.endswith(f"(line {line})"), path


def test_every_bad_bucket_is_named_not_only_the_first() -> None:
    bad = {"vm_size": 5, "vcpu_count": -1, "memory_gb": 0, "price": "free", "max_count": 1.5, "extra": 1}
    found = problems(changed("nodearrays/htc/buckets", [bad, bad]))
    assert len(found) == 12
    assert {path.split(".")[2] for path, _ in found} == {"buckets[0]", "buckets[1]"}


def test_a_bad_node_array_name_is_one_problem_and_its_inside_is_still_checked() -> None:
    document = changed("nodearrays/HTC_long", {"buckets": [{"vm_size": "a", "vcpu_count": 1, "memory_gb": -1}]})
    document["idle_timeout"] = {"HTC_long": 5}
    found = dict(problems(document))
    assert set(found) == {"nodearrays.HTC_long", "nodearrays.HTC_long.buckets[0].memory_gb"}
    assert "resources" in found["nodearrays.HTC_long"]


@pytest.mark.parametrize("name", ["long-name", "abcdefghijklm"])
def test_a_name_that_cannot_be_a_pool_asks_for_agent_pool(name: str) -> None:
    array = SMALL["nodearrays"]["htc"]
    assert [path for path, _ in problems(changed(f"nodearrays/{name}", array))] == [f"nodearrays.{name}.agent_pool"]
    assert problems(changed(f"nodearrays/{name}", {**array, "agent_pool": "long"})) == []


@pytest.mark.parametrize(("key", "value"), [("location", "eastus"), ("spot", True)])
def test_node_arrays_of_one_pool_must_agree(key: str, value: object) -> None:
    document = changed("nodearrays/hpc/agent_pool", "htc")
    assert problems(document) == []
    found = problems(changed(f"nodearrays/hpc/{key}", value, base=document))
    assert [path for path, _ in found] == [f"nodearrays.hpc.{key}"]
    assert 'node array "htc"' in found[0][1]


def test_the_same_size_twice_in_one_array_is_one_problem_but_not_in_two_zones() -> None:
    bucket = SMALL["nodearrays"]["htc"]["buckets"][0]
    twice = changed("nodearrays/htc/buckets", [bucket, bucket])
    assert [path for path, _ in problems(twice)] == ["nodearrays.htc.buckets[1]"]
    zones = changed("nodearrays/htc/buckets", [{**bucket, "zone": "1"}, {**bucket, "zone": "2"}])
    assert problems(zones) == []


def test_groups_made_later_cannot_be_given_one_of_several_zones() -> None:
    document = changed("nodearrays/hpc/new_placement_groups", True)
    document["nodearrays"]["hpc"] |= {"placement_group_scope": "zone", "zones": ["1", "2"]}
    ((path, message),) = problems(document)
    assert path == "nodearrays.hpc.placement_group_scope"
    assert "name the groups in placement_groups" in message
    document["nodearrays"]["hpc"]["zones"] = ["1"]
    assert problems(document) == []


def test_a_placement_group_needs_one_zone() -> None:
    document = changed("nodearrays/hpc/placement_groups", ["pg0"])
    document["nodearrays"]["hpc"]["zones"] = ["1", "2"]
    assert [path for path, _ in problems(document)] == ["nodearrays.hpc.buckets[0].zone"]
    document["nodearrays"]["hpc"]["buckets"][0]["zone"] = "2"
    assert problems(document) == []


def test_a_timeout_in_both_places_is_a_problem() -> None:
    document = changed("policy", {"idle_timeout": 5})
    assert problems(document) == []
    assert [path for path, _ in problems({**document, "idle_timeout": 6})] == ["policy.idle_timeout"]


def test_a_wrong_value_is_not_also_called_missing() -> None:
    document = changed("aks/location", "South Central US")
    document["aks"] |= {"cloud": "custom", "arm_url": 5, "credential": ["emulator"]}
    assert [path for path, _ in problems(document)] == ["aks.location", "aks.arm_url"]


def test_an_unknown_region_in_limits_is_fine() -> None:
    limits = {"regions": {"norwayeast": {"quota_cores": 5}}, "spot_regions": {"x": {"quota_cores": 0}}}
    assert problems(changed("limits", limits)) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost/", "http://[::1]:9", "http://127.9.9.9"])
def test_plain_http_is_for_this_host(url: str) -> None:
    emulated = {"cloud": "custom", "arm_url": url, "credential": ["emulator"], "subscription": "emulated"}
    assert problems({**SMALL, "aks": {**SMALL["aks"], **emulated}}) == []


@pytest.mark.parametrize(
    "document", [changed("scheduler/what", {"ever": [1, None]}), changed("nodearrays/htc/max_count", None)]
)
def test_what_is_open_or_may_be_null_is_taken(document: object) -> None:
    assert problems(document) == []


def test_a_flood_of_problems_is_cut_and_says_so() -> None:
    document = changed("default_resources", [1] * 5000)
    del document["aks"], document["ledger"], document["scheduler"]
    found = problems(document)
    assert len(found) == 1001
    assert any("the rest is not listed" in message for _, message in found)
