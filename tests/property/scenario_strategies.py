"""Small but rich scenarios: several arrays, sizes, groups, limits, live nodes, licences, trees, gangs, chunks."""

from __future__ import annotations

from typing import Any

from builders import STANDARD, licence
from hypothesis import strategies as st

SIZES = {
    "F2": {"vm_size": "Standard_F2", "vcpu_count": 2, "memory_gb": 4, "vm_family": "F"},
    "F4": {"vm_size": "Standard_F4", "vcpu_count": 4, "memory_gb": 8, "vm_family": "F", "pcpu_count": 2},
    "D8": {"vm_size": "Standard_D8", "vcpu_count": 8, "memory_gb": 32, "vm_family": "D"},
    "N6": {"vm_size": "Standard_N6", "vcpu_count": 6, "memory_gb": 56, "vm_family": "N", "gpu_count": 1},
}
GROUPS = ("pg0", "pg1")
DEFAULTS = [
    STANDARD,
    [],
    [{"select": {}, "name": "ncpus", "value": "node.pcpu_count"}, {"select": {}, "name": "mem",
                                                                   "value": "node.memory", "subtract": "memory::1g"}],
    [{"select": {"node.gpu_count": 1}, "name": "kind", "value": "gpu"}, {"select": {}, "name": "kind", "value": "cpu"},
     {"select": {"kind": "gpu"}, "name": "half", "value": "`node.vcpu_count / 4`"}, *STANDARD],
]  # fmt: skip
amounts = st.sampled_from([0, 0.1, 0.5, 1, 1, 1, 2, 2, 3, 4, 6, 8, 16])
memory = st.sampled_from(["memory::1g", "memory::1.5g", "memory::3g", "memory::8g", "size::512m", "memory::2g"])


def maybe(strategy: st.SearchStrategy[Any], *, often: int = 3) -> st.SearchStrategy[Any]:
    """The strategy's value in one of `often` cases, else None: a key to be left out."""
    return st.integers(0, often - 1).flatmap(lambda draw: strategy if draw == 0 else st.none())


def without_none(raw: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if value is not None}


@st.composite
def node_arrays(draw: Any, name: str) -> dict[str, Any]:
    buckets = []
    for size in draw(st.lists(st.sampled_from(sorted(SIZES)), min_size=1, max_size=2, unique=True)):
        extra = {
            "max_count": draw(st.sampled_from([1, 3, 6, 12])),
            "available_count": draw(maybe(st.integers(0, 3), often=5)),
            "placement_groups": draw(st.sampled_from([None, None, ["pg0"], ["pg0", "pg1"]])),
            "max_placement_group_size": draw(maybe(st.integers(1, 3))),
            "price": draw(st.sampled_from([None, 0.1, 0.25, 3])),
            "quota_vcpus": draw(maybe(st.just(16), often=8)),
            "last_capacity_failure": draw(maybe(st.just(100), often=6)),
        }
        buckets.append(without_none({**SIZES[size], **extra}))
    extra = {
        "priority": draw(maybe(st.integers(-1, 5))),
        "spot": draw(maybe(st.booleans())),
        "location": draw(st.sampled_from(["westus2", "westus2", "eastus"])),
        "enabled": draw(maybe(st.booleans(), often=6)),
        "max_count": draw(maybe(st.integers(0, 4))),
        "max_core_count": draw(maybe(st.integers(0, 24))),
        "new_placement_groups": draw(maybe(st.just(True), often=4)),
        "resources": draw(st.sampled_from([None, None, {"project": "open"}, {"project": "closed", "tokens": 2.5}])),
    }
    return {"name": name, "buckets": buckets, **without_none(extra)}


@st.composite
def live_nodes(draw: Any, arrays: list[dict[str, Any]], number: int) -> dict[str, Any]:
    array = draw(st.sampled_from(arrays))
    bucket = draw(st.sampled_from(array["buckets"]))
    busy = draw(st.booleans())
    group = draw(st.sampled_from([None, None, *bucket.get("placement_groups", [])]))
    extra = {
        "hostname": f"ip-{number}",
        "placement_group": group,
        "state": draw(st.sampled_from(["Ready", "Ready", "Ready", "Creating", "Failed", "Draining"])),
        "stage": draw(st.sampled_from([None, None, None, "in-flight", "draining"])),
        "available": {"ncpus": draw(st.integers(0, 2))} if busy else None,
        "job_ids": ["earlier"] if draw(st.integers(0, 3)) == 0 else None,
        "resources": draw(st.sampled_from([None, None, {"rack": "r7"}, {"ncpus": 3}])),
    }
    name = f"{array['name']}-{draw(st.sampled_from([number, number + 8]))}"
    return {"name": name, "nodearray": array["name"], "vm_size": bucket["vm_size"], **without_none(extra)}


def facts() -> st.SearchStrategy[dict[str, Any]]:
    """Constraints that take nothing."""
    return st.one_of(
        st.sampled_from([
            {"node.vm_size": "Standard_F*"}, {"node.vm_size": ["Standard_D8", "Standard_F4"]}, {"project": "open"},
            {"project": "clo*"}, {"project": ["closed", "open"]}, {"node.spot": False}, {"node.location": "eastus"},
            {"in-a-placement-group": True}, {"in-a-placement-group": False}, {"node.placement_group": "pg1"},
            {"node.gpu_count": 1}, {"node.memory": "memory::8g"}, {"rack": "r7"}, {"node.exists": True},
            {"kind": "gpu"},
            {"node.hostname": "ip-1"}, {"node.nodearray": ["b", "a"]}, {"x": None}, {"capacity-failure-backoff": 300},
            {"shared-non-consumable": {"resource": "version", "value": "1.2"}},
        ]),
    )  # fmt: skip


def takes() -> st.SearchStrategy[dict[str, Any]]:
    """Constraints that take something."""
    return st.one_of(
        amounts.map(lambda n: {"ncpus": n}),
        memory.map(lambda m: {"mem": m}),
        st.sampled_from([{"memgb": 1}, {"memgb": 2.5}, {"ngpus": 1}, {"tokens": 1}, {"half": 1}]),
        st.builds(licence, st.sampled_from([1, 1, 2, 0.5]), once=st.booleans()),
    )


def trees(*, plain_only: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    """Nested constraints; with `plain_only` without amounts, exclusivity and shared amounts."""
    leaves = facts() if plain_only else st.one_of(facts(), takes())

    def grow(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several = st.lists(children, max_size=3)
        return st.one_of(
            several.map(lambda c: {"and": c}),
            several.map(lambda c: {"or": c}),
            several.map(lambda c: {"xor": c}),
            children.map(lambda c: {"not": c}),
        )

    return st.recursive(leaves, grow, max_leaves=4)


def constraints() -> st.SearchStrategy[list[dict[str, Any]]]:
    exclusive = st.sampled_from([[], [], [], [{"exclusive": True}], [{"exclusive-task": True}]])
    return st.builds(
        lambda first, more, alone: [*first, *more, *alone],
        st.lists(takes(), min_size=0, max_size=2),
        st.one_of(st.just([]), st.just([]), st.just([]), facts().map(lambda f: [f]), trees().map(lambda t: [t])),
        exclusive,
    )


@st.composite
def jobs(draw: Any, name: str) -> dict[str, Any]:
    shape = draw(st.sampled_from(["pack", "pack", "array", "spread", "gang", "packed gang", "together", "chunks"]))
    job: dict[str, Any] = {"name": name, "constraints": draw(constraints())}
    few = draw(st.integers(1, 4))
    if shape in {"pack", "array"}:
        job["iterations"] = draw(st.sampled_from([1, 3, 9, 20, 40]))
    elif shape == "spread":
        job |= {"iterations": few, "packing_strategy": "scatter"}
    elif shape == "gang":
        job["node_count"] = few
    elif shape == "packed gang":
        job |= {"node_count": few, "packing_strategy": "pack"}
    elif shape == "together":
        job |= {"colocated": True, **draw(st.sampled_from([{"node_count": few}, {"iterations": few}]))}
        job |= draw(st.sampled_from([{}, {"packing_strategy": "scatter"}, {"packing_strategy": "pack"}]))
    else:
        job["chunks"] = [{"constraints": draw(constraints()), "iterations": draw(st.integers(1, 2))} for _ in range(2)]
        job |= draw(st.sampled_from([{}, {}, {"colocated": True}, {"packing_strategy": "scatter"}]))
    if draw(st.integers(0, 4)) == 0:
        job["count"] = draw(st.integers(0, 3))
    return job


def quotas() -> st.SearchStrategy[Any]:
    return maybe(
        st.builds(
            lambda n, used: {"quota_cores": n, "used_elsewhere_cores": used}, st.integers(0, 40), st.integers(0, 8)
        )
    )


@st.composite
def limits(draw: Any) -> dict[str, Any]:
    found = {"cluster_max_cores": draw(maybe(st.integers(0, 40))), "cluster_max_nodes": draw(maybe(st.integers(0, 6)))}
    for kind in ("regions", "spot_regions"):
        found[kind] = without_none({region: draw(quotas()) for region in ("westus2", "eastus")})
    found["families"] = {"westus2": without_none({family: draw(quotas()) for family in ("F", "D")})}
    return without_none(found)


@st.composite
def scenarios(draw: Any, max_jobs: int = 4) -> dict[str, Any]:
    """One whole scenario."""
    arrays = [draw(node_arrays(name)) for name in draw(st.sampled_from([["a"], ["a", "b"], ["b", "a"]]))]
    nodes = [draw(live_nodes(arrays, number)) for number in range(1, 1 + draw(st.integers(0, 3)))]
    names = [f"j{number}" for number in range(draw(st.integers(1, max_jobs)))]
    return {
        "default_resources": draw(st.sampled_from(DEFAULTS)),
        "nodearrays": arrays,
        "existing_nodes": nodes,
        "unmanaged_nodes": draw(st.sampled_from([[], [], [{"hostname": "onprem-1", "resources": {"ncpus": 4,
                                                                                                 "rack": "r7"}}]])),
        "shared_resources": {"lic": {"initial": 5, "current": draw(st.sampled_from([0, 1, 2, 5]))},
                             "version": {"value": "1.2"}},
        "limits": draw(limits()),
        "policy": draw(st.sampled_from([{}, {}, {"placement_order": "bucket"}, {"objective": "cost"},
                                        {"max_creates_per_cycle": 2}, {"machines_per_put": 2}])),
        "blocked": draw(st.sampled_from([{}] * 30 + [
            {"auth": "token refused"}, {"throttled_until": "2026-11-22T08:05:00Z"},
            {"back_offs": [{"code": "CAPACITY_BACKOFF", "vm_size": "Standard_F4", "until": "2026-11-22T08:05:00Z"}]},
            {"back_offs": [{"code": "BOOT_CIRCUIT_OPEN", "nodearray": "a"}]}])),
        "jobs": [draw(jobs(name)) for name in names],
    }  # fmt: skip
