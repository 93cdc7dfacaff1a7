"""Plain Python in, the planner's values out, read by the very code that reads a scenario file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict

from autoscale_aks.errors import InputError, Problem
from autoscale_aks.planning.reading import Reader
from autoscale_aks.planning.scenario import decode_shared_resources
from autoscale_aks.planning.scenario_arrays import decode_nodearrays, decode_offering
from autoscale_aks.planning.scenario_jobs import JobDecoder
from autoscale_aks.planning.scenario_nodes import decode_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal
    from fractions import Fraction

    from typing_extensions import Unpack

    from autoscale_aks.model.bucket import NodeArray, Offering
    from autoscale_aks.model.job import Job
    from autoscale_aks.model.limits import SharedResource
    from autoscale_aks.model.node import Node


class WritesJson(Protocol):
    """A constraint as a value: anything that writes itself as an object of the language (C4)."""

    def to_json(self) -> Any:
        """The object, such as `{"ncpus": 4}`."""
        ...


AnyConstraint: TypeAlias = "Mapping[str, Any] | WritesJson"
"""A constraint as JSON (`{"ncpus": 4}`) or as a value (`MinResource("ncpus", 4)`)."""
Amount: TypeAlias = "int | float | Decimal | Fraction"
"""A number; floats mean the decimal that they print as, so 0.1 is a tenth (V1)."""


class OfferingKeys(TypedDict, total=False):
    """What may be said of a VM size beside its cores and memory; defaults are those of scenario.md."""

    vm_family: str
    pcpu_count: int
    quota_vcpus: int
    gpu_count: int
    gpu_model: str | None
    cores_per_socket: int | None
    infiniband: bool
    arch: str | None
    zone: str | None
    price: Amount | None
    max_count: int | None
    available_count: int | None
    placement_groups: Sequence[str]
    max_placement_group_size: int
    last_capacity_failure: Amount | None
    vm_capabilities: Mapping[str, Any]


class NodeArrayKeys(TypedDict, total=False):
    """What may be said of a node array beside its name and what it offers."""

    agent_pool: str
    location: str
    spot: bool
    priority: int
    enabled: bool
    max_count: int | None
    max_core_count: int | None
    new_placement_groups: bool
    resources: Mapping[str, Any]
    software_configuration: Mapping[str, Any]


class NodeKeys(TypedDict, total=False):
    """What may be said of a node beside where it belongs."""

    hostname: str | None
    state: str
    target_state: str
    stage: str
    placement_group: str | None
    zone: str | None
    keep_alive: bool
    resources: Mapping[str, Any]
    available: Mapping[str, Any]
    job_ids: Sequence[str]
    create_time: Amount | str | None
    last_match_time: Amount | str | None
    idle_since: Amount | str | None
    private_ip: str | None
    instance_id: str | None


class JobKeys(TypedDict, total=False):
    """What may be said of a job beside its name and constraints."""

    iterations: int
    node_count: int
    colocated: bool
    packing_strategy: str | None
    chunks: Sequence[Mapping[str, Any]]
    count: int
    runnable: bool
    not_runnable_reason: str
    priority: Amount
    queue: str
    user: str


def build_offering(vm_size: str, *, vcpu_count: int, memory_gb: Amount, **keys: Unpack[OfferingKeys]) -> Offering:
    """A VM size that a node array offers.

    `memory_gb` is in GiB, `price` in the price list's currency an hour, `last_capacity_failure` in seconds ago.
    Raises InputError with every problem at once.
    """
    reader = Reader()
    raw = {"vm_size": vm_size, "vcpu_count": vcpu_count, "memory_gb": memory_gb, **keys}
    found = decode_offering(raw, f"offering {vm_size}", {}, reader)
    if found is None or reader.problems:
        raise InputError(reader.problems)
    return found


def build_nodearray(name: str, *offerings: Offering, **keys: Unpack[NodeArrayKeys]) -> NodeArray:
    """A family of nodes with common settings; its offerings in order of preference (P2).

    Raises InputError with every problem at once, and when a VM size stands twice in one zone.
    """
    reader = Reader()
    array = decode_nodearrays([{"name": name, "buckets": [], **keys}], reader, reader)[0]
    seen: set[tuple[str, str | None]] = set()
    for offering in offerings:
        if (offering.vm_size, offering.zone) in seen:
            reader.wrong(f"nodearray {name}", f"offers {offering.vm_size} twice in one zone")
        seen.add((offering.vm_size, offering.zone))
    if reader.problems:
        raise InputError(reader.problems)
    return replace(array, offerings=offerings)


def build_node(name: str, nodearray: str | None = None, vm_size: str | None = None, **keys: Unpack[NodeKeys]) -> Node:
    """A node that exists or is in flight; without a node array it is on-premise and comes before all buckets (P1).

    `available` is what is left of it, by resource; what is not named there is wholly left. `resources` is what the
    scheduler reports of it and overrides everything else (D2). Times are seconds since the epoch or RFC 3339.
    Raises InputError with every problem at once.
    """
    reader = Reader()
    raw = {"name": name, "nodearray": nodearray, "vm_size": vm_size, **keys}
    found = decode_nodes([raw], "node", reader, managed=nodearray is not None)
    if reader.problems:
        raise InputError(reader.problems)
    return found[0]


def build_job(name: str, *constraints: AnyConstraint, **keys: Unpack[JobKeys]) -> Job:
    """A job; all constraints must hold. What places it follows from `iterations`, `node_count` and the rest (A0).

    `count` makes one record of so many independent jobs alike. Raises InputError when the record cannot be read. A
    malformed constraint makes the job `INVALID` in the plan and stops no other (C7); `parse_constraint` raises at
    once.
    """
    written: dict[str, Any] = {"name": name, "constraints": [write_constraint(one) for one in constraints], **keys}
    if "chunks" in keys:
        written["chunks"] = [_write_chunk(chunk) for chunk in keys["chunks"]]
    job = JobDecoder().decode(written, f"job {name}")
    if job.problem is not None:
        raise InputError([job.problem])
    return job


def write_constraint(constraint: AnyConstraint) -> Any:
    """A constraint as JSON (C4); JSON stays as it is."""
    return constraint.to_json() if hasattr(constraint, "to_json") else constraint


def _write_chunk(chunk: Mapping[str, Any]) -> dict[str, Any]:
    return {**chunk, "constraints": [write_constraint(one) for one in chunk.get("constraints", ())]}


def build_licences(initial: Amount, current: Amount | None = None) -> SharedResource:
    """Licences that all buckets share: so many in all, `current` left now (all of them when not given) (C5).

    Raises InputError for what is not a number of 0 or more.
    """
    return _shared({"initial": initial, "current": initial if current is None else current})


def build_shared_value(value: Amount | str | bool) -> SharedResource:
    """A value that all buckets share and that jobs may ask to equal something (`shared-non-consumable`)."""
    return _shared({"value": value})


def _shared(raw: dict[str, Any]) -> SharedResource:
    reader = Reader()
    if "initial" in raw:
        for key in raw:
            reader.number(raw, key, "licences")
    found = decode_shared_resources({"licences": raw}, reader, "shared")["licences"]
    if reader.problems:
        raise InputError(reader.problems)
    return found


def check_names(what: str, names: Sequence[str]) -> list[Problem]:
    """A problem for every name that stands twice."""
    seen: set[str] = set()
    problems = []
    for name in names:
        if name in seen:
            problems.append(Problem(f"{what} {name}", "stands there already"))
        seen.add(name)
    return problems
