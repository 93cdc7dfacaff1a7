"""The node list (§7.2, §10.10)."""

from __future__ import annotations

import pytest

from autoscale_aks.emulator.kubernetes import SelectorError, parse_selector
from autoscale_aks.emulator.settings import ClusterSpec


@pytest.fixture
def three(aks):
    header = [
        {"machineName": "a", "zones": ["1"]},
        {"machineName": "b", "zones": ["2"]},
        {"machineName": "c"},
    ]
    labels = {"sched.example/partition": "gpu", "agentpool": "not-yours"}
    kubernetes = {"nodeLabels": labels, "nodeInitializationTaints": ["sched.example/only=gpu:NoSchedule"]}
    assert aks.batch("a", header, priority="Spot", kubernetes=kubernetes).status_code == 200
    aks.advance(300)
    return aks


def test_labels_taints_and_provider_id(three):
    """§7.2."""
    node = three.nodes()[0]
    machine = three.get("a").json()["properties"]
    name = machine["kubernetes"]["nodeName"]
    assert node["metadata"]["name"] == name
    assert node["spec"]["providerID"] == "azure://" + machine["resourceId"]
    assert node["metadata"]["labels"] == {
        "sched.example/partition": "gpu",
        "agentpool": "pool1",
        "kubernetes.azure.com/agentpool": "pool1",
        "kubernetes.azure.com/mode": "user",
        "kubernetes.azure.com/cluster": "MC_rg-emulated_aks-emulated_eastus2",
        "kubernetes.azure.com/os-sku": "Ubuntu",
        "kubernetes.azure.com/scalesetpriority": "spot",
        "node.kubernetes.io/instance-type": "Standard_D2s_v5",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": name,
        "topology.kubernetes.io/region": "eastus2",
        "topology.kubernetes.io/zone": "eastus2-1",
    }
    assert {"key": "kubernetes.azure.com/scalesetpriority", "value": "spot", "effect": "NoSchedule"} in (
        node["spec"]["taints"]
    )
    assert {"key": "sched.example/only", "value": "gpu", "effect": "NoSchedule"} in node["spec"]["taints"]


def test_a_regional_machine_is_in_zone_0_and_a_regular_one_has_no_spot_mark(aks):
    """§7.2: AKS never writes `regular`."""
    aks.put("r")
    aks.advance(300)
    (node,) = aks.nodes()
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "0"
    assert "kubernetes.azure.com/scalesetpriority" not in node["metadata"]["labels"]
    assert node["spec"]["taints"] == []


def test_capacity_is_that_of_the_size(aks):
    """§10.10."""
    aks.put("g", size="Standard_NC24ads_A100_v4", zones=["3"])
    aks.put("h", size="Standard_E32-8s_v5")
    aks.advance(300)
    capacity = {node["metadata"]["name"].split("-")[2]: node["status"]["capacity"] for node in aks.nodes()}
    assert capacity["g"] == {"cpu": "24", "memory": f"{220 * 1024 * 1024}Ki", "pods": "250", "nvidia.com/gpu": "1"}
    assert capacity["h"]["cpu"] == "8"


def test_a_node_that_is_not_ready_says_so_and_is_tainted(aks):
    """§7.3: what counts as ready."""
    aks.fault(kind="node_never_ready")
    aks.put("m1")
    aks.advance(300)
    (node,) = aks.nodes()
    conditions = {condition["type"]: condition["status"] for condition in node["status"]["conditions"]}
    assert conditions["Ready"] == "False"
    assert {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"} in node["spec"]["taints"]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("agentpool=pool1", "abc"),
        ("agentpool==pool2", ""),
        ("agentpool!=pool2", "abc"),
        ("topology.kubernetes.io/zone=eastus2-1", "a"),
        ("topology.kubernetes.io/zone in (eastus2-1, 0)", "ac"),
        ("topology.kubernetes.io/zone notin (eastus2-1,0)", "b"),
        ("sched.example/partition,agentpool=pool1", "abc"),
        ("!sched.example/partition", ""),
        ("agentpool=pool1,topology.kubernetes.io/zone!=0", "ab"),
    ],
)
def test_label_selectors(three, selector, names):
    """§10.10."""
    found = [node["metadata"]["name"].split("-")[2] for node in three.nodes(labelSelector=selector)]
    assert "".join(found) == names


def test_limit_and_continue_walk_all_nodes_once(three):
    """§10.10: Kubernetes paging."""
    first = three.call("GET", "/api/v1/nodes", params={"limit": "2"}).json()
    assert (first["kind"], first["metadata"]["remainingItemCount"]) == ("NodeList", 1)
    token = first["metadata"]["continue"]
    second = three.call("GET", "/api/v1/nodes", params={"limit": "2", "continue": token}).json()
    assert "continue" not in second["metadata"]
    names = [node["metadata"]["name"].split("-")[2] for page in (first, second) for node in page["items"]]
    assert names == ["a", "b", "c"]


@pytest.mark.parametrize("params", [{"labelSelector": "a b"}, {"continue": "?"}, {"limit": "x"}])
def test_what_cannot_be_read_is_a_status_400(aks, params):
    """The API server's own error form."""
    answer = aks.call("GET", "/api/v1/nodes", params=params)
    assert (answer.status_code, answer.json()["kind"]) == (400, "Status")


def test_one_node_by_name(three):
    """The API server's own forms."""
    name = three.nodes()[0]["metadata"]["name"]
    assert three.call("GET", f"/api/v1/nodes/{name}").json()["metadata"]["name"] == name
    assert three.call("GET", "/api/v1/nodes/ghost").json()["reason"] == "NotFound"


def test_the_api_server_wants_a_token_too(aks):
    """§10.1, in the API server's form."""
    answer = aks.session.get(f"{aks.server.base_url}/api/v1/nodes", timeout=5)
    assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized")


def test_the_number_in_node_names_is_shared_or_not(emulate):
    """§12: 8 digits, a switch."""
    for mode, different in (("cluster", 1), ("machine", 2)):
        aks = emulate(node_number=mode, node_suffix="-vm1")
        names = [aks.put(name).json()["properties"]["kubernetes"]["nodeName"] for name in ("a", "b")]
        numbers = {name.split("-")[3] for name in names}
        assert len(numbers) == different
        assert all(len(number) == 8 and number.isdigit() for number in numbers)
        assert all(name.endswith("-vm1") for name in names)


def test_every_cluster_has_its_own_nodes(emulate):
    """§10: several clusters."""
    one, two = ClusterSpec(pools=("pool1",)), ClusterSpec(name="second", location="westus2", pools=("pool1",))
    aks = emulate(clusters=(one, two))
    aks.call("PUT", aks.server.base_url + two.id + "/agentPools/pool1/machines/m1", json=BODY)
    aks.advance(300)
    assert aks.nodes() == []
    for name, count in (("aks-emulated", 0), ("second", 1)):
        assert len(aks.call("GET", f"/clusters/{name}/api/v1/nodes").json()["items"]) == count
    assert aks.call("GET", "/clusters/third/api/v1/nodes").status_code == 404
    assert aks.usage("cores") == 0


BODY = {"properties": {"hardware": {"vmSize": "Standard_D2s_v5"}}}


def test_a_selector_that_cannot_be_read_raises():
    """Without HTTP."""
    with pytest.raises(SelectorError):
        parse_selector("a b")
