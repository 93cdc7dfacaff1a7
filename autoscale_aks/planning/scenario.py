"""A scenario file → Snapshot and Policy (contract scenario.md, In)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import ConstraintError, Problem, ScenarioError
from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.model.limits import CoreQuota, Limits, SharedResource
from autoscale_aks.model.policy import OPTIMIZE_SECONDS, Objective, PlacementOrder, Policy, Timeout, work_of
from autoscale_aks.model.snapshot import BackOff, Blocked, NameSeries, Snapshot, Source
from autoscale_aks.planning.reading import Reader, joined, kind_of
from autoscale_aks.planning.scenario_arrays import decode_nodearrays
from autoscale_aks.planning.scenario_jobs import JobDecoder
from autoscale_aks.planning.scenario_nodes import decode_nodes
from autoscale_aks.units import parse_decimal

if TYPE_CHECKING:
    from collections.abc import Iterable

_TOP_KEYS: Final = (
    "name", "now", "disable_default_resources", "default_resources", "policy", "limits", "nodearrays",
    "existing_nodes", "unmanaged_nodes", "shared_resources", "jobs", "sources", "blocked",
)  # fmt: skip
_POLICY_KEYS: Final = (
    "placement_order", "objective", "optimize_seconds", "idle_timeout", "boot_timeout", "machines_per_put",
    "max_creates_per_cycle", "max_deletes_per_cycle",
)  # fmt: skip


def parse_json(text: str, path: str = "") -> Any:
    """JSON with exact decimals. Raises ScenarioError with line and column for anything unreadable."""
    try:
        return json.loads(text, parse_float=parse_decimal, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        problem = Problem(path, f"not JSON: {error.msg} at line {error.lineno} column {error.colno}")
    except ValueError as error:
        problem = Problem(path, f"not readable JSON: {error}")
    except RecursionError:
        problem = Problem(path, "nested too deeply")
    raise ScenarioError([problem])


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number JSON knows")


def decode_scenario(raw: Any) -> tuple[Snapshot, Policy]:
    """Read one scenario. Raises ScenarioError with every problem of its frame; a fault inside one job, node or
    bucket makes that one invalid or leaves it out, and stands in the snapshot's `problems`."""
    if not isinstance(raw, Mapping):
        raise ScenarioError([Problem("", f"expected a scenario object, found {kind_of(raw)}")])
    frame = Reader()
    parts = Reader()
    frame.keys(raw, "", _TOP_KEYS)
    now = frame.time(raw, "now", "")
    arrays = decode_nodearrays(frame.items(raw, "nodearrays", "", required=True), frame, parts)
    policy = decode_policy(raw.get("policy", {}), frame)
    limits = decode_limits(raw.get("limits", {}), frame)
    shared = decode_shared_resources(raw.get("shared_resources", {}), frame)
    disable = frame.flag(raw, "disable_default_resources", "", default=False)
    rules = tuple(frame.items(raw, "default_resources", ""))
    try:
        parse_default_resources(rules, disable_defaults=disable)
    except ConstraintError as error:
        frame.problems.extend(error.problems)
    nodes = decode_nodes(frame.items(raw, "existing_nodes", ""), "existing_nodes", parts, managed=True)
    unmanaged = decode_nodes(frame.items(raw, "unmanaged_nodes", ""), "unmanaged_nodes", parts, managed=False)
    decoder = JobDecoder()
    jobs = tuple(
        decoder.decode(item, f"jobs[{index}]") for index, item in enumerate(frame.items(raw, "jobs", "", required=True))
    )
    blocked = _decode_blocked(raw.get("blocked", {}), frame)
    sources = _decode_sources(frame.items(raw, "sources", ""), frame)
    name = frame.text(raw, "name", "", default="")
    if frame.problems:
        raise ScenarioError(frame.problems)
    snapshot = Snapshot(
        name=name,
        now=now,
        default_resources=rules,
        disable_default_resources=disable,
        limits=limits,
        nodearrays=arrays,
        nodes=nodes,
        unmanaged_nodes=unmanaged,
        shared_resources=shared,
        jobs=jobs,
        naming=scenario_names((array.name for array in arrays), raw),
        blocked=blocked,
        sources=sources,
        problems=tuple(parts.problems),
    )
    return snapshot, policy


def scenario_names(arrays: Iterable[str], raw: Mapping[str, Any]) -> Mapping[str, NameSeries]:
    """`NODEARRAY-N`, the lowest N that no node in the file holds, readable or not (scenario.md)."""
    taken: dict[str, set[int]] = {name: set() for name in arrays}
    numbered = re.compile(r"(.*)-(0|[1-9]\d{0,17})\Z", re.DOTALL)
    written = (node for key in ("existing_nodes", "unmanaged_nodes") for node in raw.get(key) or ())
    for node in written:
        name = node.get("name", node.get("hostname")) if isinstance(node, Mapping) else None
        match = numbered.match(name) if isinstance(name, str) else None
        if match and match.group(1) in taken:
            taken[match.group(1)].add(int(match.group(2)))
    return frozendict(
        {name: NameSeries(prefix=f"{name}-", taken=frozenset(numbers)) for name, numbers in taken.items()}
    )


def decode_policy(raw: Any, reader: Reader, path: str = "policy") -> Policy:
    """Policy keys as they stand in a scenario and in autoscale.json."""
    raw = reader.keys(raw, path, _POLICY_KEYS)
    default = Policy()
    found = replace(
        default,
        placement_order=_choice(raw, "placement_order", path, PlacementOrder, default.placement_order, reader),
        objective=_choice(raw, "objective", path, Objective, default.objective, reader),
        optimize_work=_optimize_work(raw, path, reader),
        idle_timeout=decode_timeout(raw, "idle_timeout", path, default.idle_timeout, reader),
        boot_timeout=decode_timeout(raw, "boot_timeout", path, default.boot_timeout, reader),
        machines_per_put=reader.count(raw, "machines_per_put", path, default.machines_per_put),
        max_creates_per_cycle=reader.optional_count(raw, "max_creates_per_cycle", path),
        max_deletes_per_cycle=reader.optional_count(raw, "max_deletes_per_cycle", path),
    )
    if not 1 <= found.machines_per_put <= 50:
        reader.wrong(joined(path, "machines_per_put"), "must be 1 to 50: a PUT carries at most 50 machines")
    return found


def _optimize_work(raw: Mapping[str, Any], path: str, reader: Reader) -> int | None:
    """Seconds as units of work, at most an hour's; None for null and where the objective is not the cost."""
    seconds = reader.number(raw, "optimize_seconds", path, None if "optimize_seconds" in raw else OPTIMIZE_SECONDS)
    return None if seconds is None or raw.get("objective") != Objective.COST.value else work_of(min(seconds, 3600))


def _choice(raw: Any, key: str, path: str, kind: Any, default: Any, reader: Reader) -> Any:
    found = raw.get(key, default.value)
    for member in kind:
        if member.value == found:
            return member
    known = ", ".join(f'"{member.value}"' for member in kind)
    reader.wrong(joined(path, key), f"expected one of {known}, found {found!r:.40}")
    return default


def decode_timeout(raw: Mapping[str, Any], key: str, path: str, default: Timeout, reader: Reader) -> Timeout:
    """Seconds, or an object of seconds per node array with `default`."""
    found = raw.get(key)
    where = joined(path, key)
    if isinstance(found, Mapping):
        seconds = {
            str(name): float(amount) for name in found if (amount := reader.number(found, name, where)) is not None
        }
        return Timeout(default_s=seconds.pop("default", default.default_s), by_nodearray=frozendict(seconds))
    amount = reader.number(raw, key, path)
    return default if amount is None else Timeout(default_s=float(amount))


def decode_limits(raw: Any, reader: Reader, path: str = "limits") -> Limits:
    """Limits above node arrays; what is absent does not bind."""
    raw = reader.keys(raw, path, ("cluster_max_cores", "cluster_max_nodes", "regions", "spot_regions", "families"))
    families = reader.keys(raw.get("families", {}), f"{path}.families", _any_key(raw.get("families")))
    return Limits(
        cluster_max_cores=reader.optional_count(raw, "cluster_max_cores", path),
        cluster_max_nodes=reader.optional_count(raw, "cluster_max_nodes", path),
        regions=_quotas(raw.get("regions", {}), f"{path}.regions", reader),
        spot_regions=_quotas(raw.get("spot_regions", {}), f"{path}.spot_regions", reader),
        families=frozendict(
            {region: _quotas(found, f"{path}.families.{region}", reader) for region, found in families.items()}
        ),
    )


def _quotas(raw: Any, path: str, reader: Reader) -> Mapping[str, CoreQuota]:
    found = reader.keys(raw, path, _any_key(raw))
    quotas: dict[str, CoreQuota] = {}
    for name, entry in found.items():
        where = f"{path}.{name}"
        entry = reader.keys(entry, where, ("quota_cores", "used_elsewhere_cores"))  # noqa: PLW2901
        quota = reader.count(entry, "quota_cores", where)
        quotas[name] = CoreQuota(quota, reader.count(entry, "used_elsewhere_cores", where, 0))
    return frozendict(quotas)


def _any_key(raw: Any) -> tuple[str, ...]:
    return tuple(raw) if isinstance(raw, Mapping) else ()


def decode_shared_resources(raw: Any, reader: Reader, path: str = "shared_resources") -> Mapping[str, SharedResource]:
    """Licences (`initial`, `current`) and shared values (`value`)."""
    found: dict[str, SharedResource] = {}
    for name, entry in reader.keys(raw, path, _any_key(raw)).items():
        where = f"{path}.{name}"
        entry = reader.keys(entry, where, ("initial", "current", "value"))  # noqa: PLW2901
        initial = reader.value(entry.get("initial"), f"{where}.initial")
        current = reader.value(entry.get("current", entry.get("initial")), f"{where}.current")
        found[name] = SharedResource(
            initial=initial, current=current, value=reader.value(entry.get("value"), f"{where}.value")
        )
    return frozendict(found)


def _decode_blocked(raw: Any, reader: Reader) -> Blocked:
    raw = reader.keys(raw, "blocked", ("auth", "throttled_until", "back_offs"))
    back_offs: list[BackOff] = []
    for index, entry in enumerate(reader.items(raw, "back_offs", "blocked")):
        where = f"blocked.back_offs[{index}]"
        entry = reader.keys(entry, where, ("code", "until", "nodearray", "vm_size", "zone", "spot"))  # noqa: PLW2901
        code = reader.text(entry, "code", where, "CAPACITY_BACKOFF")
        if code not in {"CAPACITY_BACKOFF", "BOOT_CIRCUIT_OPEN"}:
            reader.wrong(f"{where}.code", 'expected "CAPACITY_BACKOFF" or "BOOT_CIRCUIT_OPEN"')
        back_offs.append(
            BackOff(
                code=code,
                until=reader.time(entry, "until", where),
                nodearray=reader.optional_text(entry, "nodearray", where),
                vm_size=reader.optional_text(entry, "vm_size", where),
                zone=reader.optional_text(entry, "zone", where),
                spot=None if entry.get("spot") is None else reader.flag(entry, "spot", where, default=False),
            )
        )
    return Blocked(
        auth=reader.optional_text(raw, "auth", "blocked"),
        throttled_until=reader.time(raw, "throttled_until", "blocked"),
        back_offs=tuple(back_offs),
    )


def _decode_sources(raw: list[Any], reader: Reader) -> tuple[Source, ...]:
    found: list[Source] = []
    for index, entry in enumerate(raw):
        where = f"sources[{index}]"
        entry = reader.keys(entry, where, ("name", "complete", "age_s", "detail"))  # noqa: PLW2901
        found.append(
            Source(
                name=reader.text(entry, "name", where),
                complete=reader.flag(entry, "complete", where, default=True),
                age_s=float(reader.number(entry, "age_s", where, 0) or 0),
                detail=reader.text(entry, "detail", where, ""),
            )
        )
    return tuple(found)
