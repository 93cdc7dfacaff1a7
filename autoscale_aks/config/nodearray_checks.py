"""What the schema cannot say about node arrays: parts of one, or several together, that contradict each other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.config.calendars import check_windows
from autoscale_aks.config.findings import Finding, listed, quoted
from autoscale_aks.errors import ConstraintError
from autoscale_aks.matching.parse import parse_constraints
from autoscale_aks.model.launch import OWNER_TAG
from autoscale_aks.units import parse_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from autoscale_aks.config.findings import Path

_POOL: Final = re.compile(r"[a-z][a-z0-9]{0,11}")
_RESERVED_POOL: Final = "aksmanagedap"
_OLDEST: Final = "2025-06-02-preview"
"""The API version of machine requests where none is given."""
_PRICE_SINCE: Final = "2026-01"
"""`billing.spotMaxPrice` is in machines from this API version on (aks-machine-api.md §2.3)."""
_OPEN_LABEL_DOMAINS: Final = ("node.kubernetes.io", "kubelet.kubernetes.io")
_CLOSED_LABEL_DOMAINS: Final = ("kubernetes.io", "k8s.io", "kubernetes.azure.com")


def check_nodearrays(document: Mapping[str, Any]) -> Iterator[Finding]:
    """All checks of node arrays, each alone and then against the others."""
    arrays: Mapping[str, Any] = document.get("nodearrays", {})
    home = document.get("aks", {}).get("location")
    for name, array in arrays.items():
        path = ("nodearrays", name)
        yield from _check_identity(name, array, home, path)
        yield from _check_machines(array, path, document.get("aks", {}).get("machine_api_version", _OLDEST))
        yield from check_values(array.get("resources", {}), (*path, "resources"))
        yield from _check_buckets(array, path)
        yield from _check_kept(array, path)
        yield from _check_group_scope(array, path)
    yield from _check_shared_pools(arrays, home)


def _check_kept(array: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """Machines and room that are kept whether there is work or not."""
    most, least = array.get("max_count"), array.get("min_nodes", 0)
    if most is not None and least > most:
        about = ((*path, "max_count"),)
        yield Finding((*path, "min_nodes"), f"more than max_count ({most}); no plan can have so many", about=about)
    for index, entry in enumerate(array.get("headroom", [])):
        constraints = entry.get("constraints", {}) if isinstance(entry, dict) else {}
        if isinstance(entry, dict):
            yield from check_windows(entry.get("when", []), (*path, "headroom", index, "when"))
        try:
            parse_constraints(constraints, "")
        except ConstraintError as error:
            for problem in error.problems:
                place = f"{problem.path}: " if problem.path else ""
                yield Finding((*path, "headroom", index, "constraints"), f"{place}{problem.message}")


def check_values(values: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """Sizes among values that cannot be read (`memory::4x`)."""
    for name, value in values.items():
        if fault := _fault_of_value(value):
            yield Finding((*path, name), fault)


def _fault_of_value(value: object) -> str | None:
    try:
        parse_value(value)
    except ValueError as error:
        return str(error)
    return None


def pool_of(name: str, array: Mapping[str, Any]) -> str:
    """The agent pool of a node array: its own name unless it says otherwise."""
    return str(array.get("agent_pool", name))


def zones_of(array: Mapping[str, Any], bucket: Mapping[str, Any]) -> list[str | None]:
    """The zones a bucket stands in: its own, else its array's, else none."""
    return [bucket["zone"]] if "zone" in bucket else array.get("zones") or [None]


def groups_of(array: Mapping[str, Any], bucket: Mapping[str, Any]) -> list[str]:
    """A bucket's placement groups: its own, else its array's."""
    groups: list[str] = bucket.get("placement_groups", array.get("placement_groups", []))
    return groups


def _check_identity(name: str, array: Mapping[str, Any], home: str | None, path: Path) -> Iterator[Finding]:
    if name == "default":
        yield Finding(path, 'no node array may be called "default"; in idle_timeout the word means all the others')
    pool = pool_of(name, array)
    if pool == _RESERVED_POOL:
        yield Finding((*path, "agent_pool"), f'"{_RESERVED_POOL}" belongs to AKS itself; choose another pool')
    elif "agent_pool" not in array and not _POOL.fullmatch(name):
        yield Finding(
            (*path, "agent_pool"),
            "is missing, and the node array's name cannot be a pool's (at most 12 lower-case letters and digits that "
            "begin with a letter); name the pool here",
            about=(path,),
        )
    if "location" not in array and home is None:
        about = (("aks",), ("aks", "location"))
        yield Finding(
            (*path, "location"), "is missing; name the region here, or once for all in aks.location", about=about
        )


def _check_machines(array: Mapping[str, Any], path: Path, version: str) -> Iterator[Finding]:
    if "spot_max_price" in array:
        if not array.get("spot", False):
            yield Finding(
                (*path, "spot_max_price"),
                'is for spot machines only; set "spot": true or take it out',
                about=((*path, "spot"),),
            )
        if array["spot_max_price"] <= 0 and array["spot_max_price"] != -1:
            yield Finding((*path, "spot_max_price"), "expected a price above 0, or -1 for up to the on-demand price")
        if array.get("spot", False) and version < _PRICE_SINCE:
            yield Finding(
                (*path, "spot_max_price"),
                f"machines have it since API version {_PRICE_SINCE}-02-preview, and {version} would refuse them; set "
                "aks.machine_api_version, or take it out for up to the on-demand price",
                about=(("aks", "machine_api_version"),),
            )
    if array.get("os_sku", "").lower().startswith("windows"):
        yield Finding((*path, "os_sku"), "only Linux nodes can be made; name a Linux system such as Ubuntu2204")
    for key in array.get("tags", {}):
        if key.lower() == OWNER_TAG:
            yield Finding((*path, "tags", key), "is set by the program from aks.owner; take it out")
    for key in array.get("node_labels", {}):
        domain = key.partition("/")[0] if "/" in key else ""
        if key == OWNER_TAG:
            yield Finding((*path, "node_labels", key), "is set by the program from aks.owner; take it out")
        elif _within(domain, _CLOSED_LABEL_DOMAINS) and not _within(domain, _OPEN_LABEL_DOMAINS):
            yield Finding(
                (*path, "node_labels", key),
                f"labels under {domain} belong to Kubernetes and AKS; use a domain of the site's own",
            )


def _within(domain: str, domains: tuple[str, ...]) -> bool:
    return any(domain == parent or domain.endswith(f".{parent}") for parent in domains)


def _check_buckets(array: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    first_at: dict[tuple[str, str | None], int] = {}
    for index, bucket in enumerate(array.get("buckets", [])):
        if not isinstance(bucket, dict):
            continue
        at = (*path, "buckets", index)
        yield from _check_bucket(array, bucket, at)
        for zone in zones_of(array, bucket):
            key = (str(bucket.get("vm_size", index)).lower(), zone)
            first = first_at.setdefault(key, index)
            if first != index:
                where = f" in zone {zone}" if zone else ""
                about = ((*at, "zone"), (*path, "buckets", first, "zone"))
                yield Finding(
                    at, f"offers the same VM size{where} as buckets[{first}]; make one entry of them", about=about
                )


def _check_bucket(array: Mapping[str, Any], bucket: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    vcpus = bucket.get("vcpu_count")
    if vcpus is not None and bucket.get("pcpu_count", 0) > vcpus:
        yield Finding((*path, "pcpu_count"), f"more physical cores than vCPUs ({vcpus}); were the two exchanged?")
    if vcpus is not None and bucket.get("quota_vcpus", vcpus) < vcpus:
        yield Finding(
            (*path, "quota_vcpus"),
            f"less than vcpu_count ({vcpus}); quota counts at least the vCPUs a job can use",
        )
    if bucket.get("gpu_model") and bucket.get("gpu_count", 0) == 0:
        yield Finding((*path, "gpu_count"), "is 0 or missing though gpu_model is given; say how many GPUs there are")
    groups, zones = groups_of(array, bucket), zones_of(array, bucket)
    if groups and len(zones) > 1 and array.get("placement_group_scope") != "zone":
        names = listed([quoted(zone) for zone in zones if zone])
        yield Finding(
            (*path, "zone"),
            f"is missing: a placement group lies in one zone, and this bucket stands in several; choose {names}, or "
            'let groups be zones with "placement_group_scope": "zone"',
        )
    yield from check_values(bucket.get("vm_capabilities", {}), (*path, "vm_capabilities"))


def _check_group_scope(array: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """Groups that are to be zones need zones, and have to be known to be given one."""
    if array.get("placement_group_scope") != "zone":
        return
    buckets = [bucket for bucket in array.get("buckets", []) if isinstance(bucket, dict)]
    zones = {zone for bucket in buckets for zone in zones_of(array, bucket)}
    at = (*path, "placement_group_scope")
    about = ((*path, "zones"), (*path, "buckets"))
    if None in zones:
        yield Finding(at, '"zone" needs availability zones; name them in zones, or take "label" or "pool"', about=about)
    elif array.get("new_placement_groups", False) and len(zones) > 1:
        yield Finding(
            at,
            '"zone" cannot choose a zone for groups that are made later; name the groups in placement_groups, keep one '
            "zone, or take new_placement_groups out",
            about=((*path, "new_placement_groups"), *about),
        )


def _check_shared_pools(arrays: Mapping[str, Any], home: str | None) -> Iterator[Finding]:
    first_of: dict[str, str] = {}
    for name, array in arrays.items():
        pool = pool_of(name, array)
        other = first_of.setdefault(pool, name)
        for key, default in (("location", home), ("spot", False)):
            if array.get(key, default) != arrays[other].get(key, default):
                pair = (("nodearrays", name), ("nodearrays", other))
                yield Finding(
                    (*pair[0], key if key in array else "agent_pool"),
                    f'differs in {key} from node array "{other}", which uses the same agent pool "{pool}"; '
                    "give one of them an agent_pool of its own",
                    about=(("aks", "location"), *((*path, part) for path in pair for part in (key, "agent_pool"))),
                )
