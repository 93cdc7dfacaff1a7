"""Captured pods through the real planner, and what the configuration tells of machines that do not exist yet."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml
from kube_objects import CAPTURES, HOST, apart, container, node, pod, read, spread

from autoscale_aks.config import load_config
from autoscale_aks.model.snapshot import Snapshot
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reconcile.fresh_nodes import rules_of_cycle
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from autoscale_aks.config import Config
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.schedulers.port import SchedulerState

ROOT = Path(__file__).parents[4]
MANIFESTS = sorted((ROOT / "conf" / "kubernetes").glob("*.yaml"))
CONFIG: dict[str, Any] = {
    "aks": {"subscription": "00000000-0000-4000-8000-000000000001", "resource_group": "rg", "cluster": "c",
            "location": "westus2", "owner": "kub", "credential": ["emulator"], "cloud": "custom",
            "arm_url": "http://127.0.0.1:1"},
    "scheduler": {"type": "kubernetes", "url": "http://127.0.0.1:1", "zone_labels": "plain", "known_zones": ["1", "2"]},
    "ledger": {"path": "ledger"},
    "default_resources": [
        {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
        {"select": {}, "name": "mem", "value": "node.memory"},
        {"select": {}, "name": "ngpus", "value": "node.gpu_count"},
    ],
    "nodearrays": {
        "general": {"zones": ["1", "2"], "max_pods": 30, "node_labels": {"disk": "ssd"},
                    "buckets": [{"vm_size": "d4", "vcpu_count": 4, "memory_gb": 16},
                                {"vm_size": "d8", "vcpu_count": 8, "memory_gb": 32}]},
        "gpu": {"node_taints": ["sku=gpu:NoSchedule"],
                "buckets": [{"vm_size": "nc6", "vcpu_count": 6, "memory_gb": 64, "gpu_count": 2}]},
    },
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "autoscale.json").write_text(json.dumps(CONFIG))
    (tmp_path / "autoscale.json").chmod(0o600)
    return load_config(tmp_path / "autoscale.json")


def planned(config: Config, state: SchedulerState) -> Plan:
    snapshot, policy = decode_scenario({"nodearrays": [], "jobs": []})
    assert isinstance(snapshot, Snapshot)
    found = replace(
        snapshot, nodearrays=config.arrays, default_resources=rules_of_cycle(config, state), jobs=state.jobs,
        shared_resources=state.shared_resources,
    )  # fmt: skip
    return plan(found, policy)


def settings_of(config: Config) -> dict[str, Any]:
    """What pods are read with: the file's settings and what node arrays add to them."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in config.scheduler.settings.items()}


def look(config: Config, *pods: Any, **more: Any) -> Plan:
    settings = {key: value for key, value in settings_of(config).items() if key != "url"}
    lists = {key: settings.pop(key) for key in ("known_zones", "known_taints")}
    return planned(config, read(*pods, lists=lists, **settings, **more))


def sizes(made: Plan) -> list[str]:
    return sorted(f"{claim.bucket.vm_size}:{claim.bucket.offering.zone or '-'}" for claim in made.claims)


def test_the_captured_pods_get_the_machines_a_person_would_give_them(config: Config) -> None:
    capture = {**settings_of(config), "type": "kubernetes", "capture_dir": str(CAPTURES / "10-pending")}
    capture.pop("url")
    made = planned(config, build_scheduler(capture).read())
    # aff (d4, apart from web), zone2 (zone 2), init (3 CPUs), web-1 and web-2 (1.5), nolimits: two zones, web not
    # beside aff; gpu-1 alone tolerates the GPU machines; big-1 fits nowhere.
    assert sizes(made) == ["d4:1", "d4:1", "d4:2", "nc6:-"]


def test_arrays_tell_their_labels_taints_pods_and_zones(config: Config) -> None:
    general, gpu = (config.nodearrays[name].array.resources for name in ("general", "gpu"))
    assert general["label.disk"] == "ssd"
    assert general["label.agentpool"] == "general"
    assert (general["pods"], gpu["pods"]) == (30, 250)
    assert gpu["taint.sku=gpu:NoSchedule"] is True
    assert config.scheduler.settings["known_taints"] == ["sku=gpu:NoSchedule"]
    assert config.scheduler.settings["known_zones"] == ["1", "2"], "what the file says stays"
    assert config.scheduler.settings["pools"] == {"general": ["general"], "gpu": ["gpu"]}


def test_another_scheduler_sees_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "autoscale.json").write_text(json.dumps({**CONFIG, "scheduler": {"type": "slurm"}}))
    found = load_config(tmp_path / "autoscale.json")
    assert not found.nodearrays["gpu"].array.resources
    assert not found.scheduler.settings


def test_a_pod_that_daemon_pods_leave_no_room_for_gets_a_larger_machine(config: Config) -> None:
    template = {"spec": {"containers": [container(cpu="100m", memory="1Gi")], "tolerations": [{"operator": "Exists"}]}}
    agent = {"metadata": {"name": "agent"}, "spec": {"template": template}}
    whole = pod("whole", containers=[container(cpu="4")])
    assert sizes(look(config, whole)) == ["d4:1"]
    assert sizes(look(config, whole, daemon_sets=[agent])) == ["d8:1"]
    nearly = pod("nearly", containers=[container(cpu="3900m", memory="15Gi")])
    assert sizes(look(config, nearly, daemon_sets=[agent])) == ["d4:1"], "exactly what is left fits"


def test_pods_that_stay_apart_get_a_machine_each_and_others_share_them(config: Config) -> None:
    databases = [pod(f"db-{n}", labels={"app": "db"}, **apart(app="db")) for n in range(3)]
    small = [pod(f"w-{n}", containers=[container(cpu="500m")]) for n in range(4)]
    assert len(sizes(look(config, *databases, *small))) == 3


def test_pods_of_unlike_kinds_that_stay_apart_do_so_on_new_machines_too(config: Config) -> None:
    noisy = [pod(f"n-{n}", labels={"app": "noisy"}) for n in range(2)]
    assert len(sizes(look(config, pod("quiet", **apart(app="noisy")), *noisy))) == 2
    assert len(sizes(look(config, pod("quiet"), *noisy))) == 1


def test_spreading_over_hosts_is_kept_on_new_machines(config: Config) -> None:
    waiting = [pod(f"w-{n}", labels={"app": "w"}, **spread(HOST, skew=2, app="w")) for n in range(5)]
    assert len(sizes(look(config, *waiting))) == 3


def test_thirty_pods_a_machine_and_no_more(config: Config) -> None:
    assert len(sizes(look(config, *(pod(f"p{n}", containers=[{"name": "c"}]) for n in range(61))))) == 3


def test_labels_and_taints_of_machines_to_come_are_judged(config: Config) -> None:
    assert sizes(look(config, pod(nodeSelector={"disk": "ssd"}))) == ["d4:1"]
    assert sizes(look(config, pod(nodeSelector={"disk": "hdd"}))) == []
    assert sizes(look(config, pod(containers=[container(**{"nvidia.com/gpu": "1"})]))) == [], "it tolerates no taint"
    tolerant = pod(
        containers=[container(**{"nvidia.com/gpu": "1"})], tolerations=[{"key": "sku", "operator": "Exists"}]
    )
    assert sizes(look(config, tolerant)) == ["nc6:-"]


def test_a_gang_that_does_not_fit_gets_nothing(config: Config) -> None:
    capped = replace(config, nodearrays={**config.nodearrays, "general": replace(
        config.nodearrays["general"], array=replace(config.nodearrays["general"].array, max_count=2))})  # fmt: skip
    meta = {"annotations": {"kueue.x-k8s.io/pod-group-total-count": "5"}}
    labels = {"kueue.x-k8s.io/pod-group-name": "g"}
    gang = [pod(f"g{n}", labels=labels, meta=meta, containers=[container(cpu="4")]) for n in range(5)]
    assert sizes(look(capped, *gang)) == []
    assert len(sizes(look(config, *gang))) >= 3


def test_a_live_node_that_shows_no_label_is_not_taken_for_one_that_does() -> None:
    state = read(pod(nodeSelector={"disk": "ssd"}), nodes=(node("n1"),))
    (found,) = state.nodes or ()
    assert "label.disk" not in found.resources


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
@pytest.mark.parametrize("version", ["1.28", "1.35"])
def test_the_manifests_are_what_kubernetes_takes(path: Path, version: str) -> None:
    documents = list(yaml.safe_load_all(path.read_text()))
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_configuration_that_is_shipped_can_be_read() -> None:
    config = load_config(ROOT / "conf" / "kubernetes" / "autoscale.json")
    assert config.scheduler.settings["known_zones"] == [f"southcentralus-{zone}" for zone in (1, 2, 3)]
