"""The checker's own reading of a scenario: values, constraints and nodes as the contract describes them."""

from __future__ import annotations

import ast
import operator
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import product
from typing import Any

GIB = 1024**3
MEMORY_BYTES = {"memb": 1, "memkb": 1024, "memmb": 1024**2, "memgb": GIB, "memtb": 1024**4}
LOWER = {"b": 1, "k": 1024, "m": 1024**2, "g": GIB, "t": 1024**4, "p": 1024**5}
SUFFIXES = {"": 1, **LOWER, **{f"{s}b": f for s, f in LOWER.items() if s != "b"}}
SUFFIXES |= {s.upper(): 1000**power for power, s in enumerate("kmgtp", 1)}
FAILED = {"failed", "error", "canceled", "cancelled", "unavailable"}
CLOSED = {"closed", "draining", "drained", "offline", "down", "deleting", "terminated", "terminating", "off",
          "deallocated", "stopped", "unknown"}  # fmt: skip
READY = {"ready", "started", "idle", "mixed", "allocated", "busy", "free"}
LIVE = {"create_time", "create_time_remaining", "create_time_unix", "delete_time", "delete_time_unix", "hostname",
        "hostname_or_uuid", "instance_id", "last_match_time", "last_match_time_unix", "name", "private_ip",
        "state"}  # fmt: skip
STATUS_OF = {
    "SATISFIED": {"success"},
    "WAITING_FOR_BOOT": {"success"},
    "INVALID": {"invalid"},
    "NOT_RUNNABLE": {"failed"},
}
UNPLACED = ("AUTH", "API_THROTTLED", "TOO_BIG_FOR_ANY_NODE", "PLACEMENT_GROUP_TOO_SMALL", "NO_BUCKET_MATCH",
            "SHARED_RESOURCE", "CAPACITY_BACKOFF", "BOOT_CIRCUIT_OPEN", "LOST_TO_PRIORITY", "QUOTA",
            "LIMIT")  # fmt: skip
STATUS_OF |= {code: {"partial", "failed"} for code in UNPLACED}
ENDLESS = 1 << 40


@dataclass(frozen=True)
class Bytes:
    n: Fraction


def value_of(raw: Any) -> Any:
    """A JSON scalar: numbers exact, `size::…` as bytes (V1, V2)."""
    if isinstance(raw, str) and raw.startswith(("size::", "memory::")):
        digits, suffix = re.fullmatch(r"([0-9.]+)\s*([A-Za-z]*)", raw.split("::", 1)[1].strip()).groups()
        return Bytes(Fraction(digits) * SUFFIXES[suffix])
    if raw is None or isinstance(raw, bool | str | Bytes | Fraction):
        return raw
    return Fraction(str(raw))


def amount_of(value: Any) -> Fraction | None:
    return value.n if isinstance(value, Bytes) else value if isinstance(value, Fraction) else None


def same(actual: Any, wanted: Any) -> bool:
    """V2, V4, V5, C3."""
    if isinstance(wanted, str):
        return isinstance(actual, str) and (actual == wanted or fnmatchcase(actual, wanted))
    if wanted is None or isinstance(wanted, bool) or actual is None or isinstance(actual, bool | str):
        return actual is wanted
    return amount_of(actual) == amount_of(wanted)


# --- expressions of default_resources (D3), read with Python's own grammar ---------------------------------------

_ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
               ast.FloorDiv: lambda a, b: Fraction(a // b)}  # fmt: skip
_COMPARE = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
            ast.Eq: operator.eq, ast.NotEq: operator.ne}  # fmt: skip
_MODIFIERS = {
    "add": ast.Add,
    "subtract": ast.Sub,
    "multiply": ast.Mult,
    "divide": ast.Div,
    "divide_floor": ast.FloorDiv,
}


def combine(kind: type, left: Any, right: Any) -> Any:
    a, b = amount_of(left), amount_of(right)
    if a is None or b is None or (kind in {ast.Div, ast.FloorDiv} and not b):
        return None
    sizes = isinstance(left, Bytes) + isinstance(right, Bytes)
    result = _ARITHMETIC[kind](a, b)
    return Bytes(result) if sizes and not (sizes == 2 and kind in {ast.Div, ast.FloorDiv}) else result


def compute(tree: ast.expr, prop: Any) -> Any:
    if isinstance(tree, ast.Constant):
        return value_of(tree.value)
    if isinstance(tree, ast.BinOp):
        return combine(type(tree.op), compute(tree.left, prop), compute(tree.right, prop))
    if isinstance(tree, ast.UnaryOp):
        return combine(ast.Sub, Fraction(0), compute(tree.operand, prop))
    if isinstance(tree, ast.IfExp):
        return compute(tree.body if compute(tree.test, prop) else tree.orelse, prop)
    if isinstance(tree, ast.Compare):
        left, right = (compute(side, prop) for side in (tree.left, tree.comparators[0]))
        if isinstance(left, str) or isinstance(right, str):
            return (left == right) == isinstance(tree.ops[0], ast.Eq)
        return _COMPARE[type(tree.ops[0])](amount_of(left), amount_of(right))
    if isinstance(tree, ast.Call):
        return {"min": min, "max": max}[tree.func.id]((compute(arg, prop) for arg in tree.args), key=amount_of)
    return prop(ast.unparse(tree).removeprefix("node."))


def expression(text: str, prop: Any) -> Any:
    return compute(ast.parse(re.sub(r"(?:size|memory)::[0-9.]+[A-Za-z]*", r"'\g<0>'", text), mode="eval").body, prop)


# --- nodes ---------------------------------------------------------------------------------------------------------


@dataclass
class Place:
    """One node, empty or live, new or existing: its facts, and what is left of it while slots are played."""

    name: str
    facts: dict[str, Any]
    bucket: dict[str, Any] | None = None
    array: dict[str, Any] | None = None
    live: dict[str, Any] | None = None
    own: dict[str, Any] = field(default_factory=dict)
    is_new: bool = False
    resources: dict[str, Any] = field(default_factory=dict)
    views: dict[str, int] = field(default_factory=dict)
    left: dict[str, Fraction] = field(default_factory=dict)
    tenants: frozenset[Any] = frozenset()
    holder: Any = None
    """Who holds the node alone: a job (exclusive-task), or "nobody else" (exclusive)."""
    is_certain: bool = True

    @property
    def group(self) -> str | None:
        return self.facts.get("placement_group")

    def prop(self, name: str) -> Any:
        if name.startswith("resources."):
            return self.resource(name.removeprefix("resources."))
        if name.startswith("vm_capabilities."):
            return value_of((self.facts.get("vm_capabilities") or {}).get(name.split(".", 1)[1]))
        if name.startswith("software_configuration."):
            found: Any = self.facts.get("software_configuration")
            for part in name.split(".")[1:]:
                found = found.get(part) if isinstance(found, dict) else None
            return value_of(found)
        if name == "exists":
            return self.live is not None
        if name == "keep_alive":
            return bool((self.live or {}).get("keep_alive", False))
        if name == "hostname_or_uuid":
            return (self.live or {}).get("hostname") or (self.live or {}).get("instance_id")
        if name == "state":
            return None if self.live is None else self.live.get("state", "Ready")
        if name in LIVE:
            return value_of((self.live or {}).get(name.removesuffix("_unix")))
        return self.facts.get(name)

    def resource(self, name: str) -> Any:
        found = self.resources.get(name)
        return self.prop("instance_id") if found is None and name == "ccnodeid" else found

    def charge(self, name: str, amount: Any) -> tuple[str, Fraction]:
        """The quantity an amount is taken from, and how much of it (V4)."""
        if name in self.views:
            return "memory", amount.n if isinstance(amount, Bytes) else amount * self.views[name]
        return name, amount.n / MEMORY_BYTES.get(name, 1) if isinstance(amount, Bytes) else amount


class World:
    """A scenario, as a checker reads it."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.arrays = {array["name"]: array for array in raw["nodearrays"]}
        self.pool = {name: value_of(shared.get("current", shared.get("initial")))
                     for name, shared in raw.get("shared_resources", {}).items()}  # fmt: skip
        self.start_pool = dict(self.pool)
        self.existing: dict[str, Place] = {}
        self.unseen: set[str] = set()
        for node in raw.get("existing_nodes", []):
            self._add_existing(node)
        for node in raw.get("unmanaged_nodes", []):
            name = node.get("name") or node["hostname"]
            own = {key: value_of(value) for key, value in node.get("resources", {}).items()}
            self.existing[name] = self._settle(Place(name, {}, live=node, own=own))

    def _add_existing(self, node: dict[str, Any]) -> None:
        name = node.get("name") or node.get("hostname")
        array = self.arrays.get(node["nodearray"])
        sizes = [b for b in (array or {}).get("buckets", []) if b["vm_size"] == node["vm_size"]]
        bucket = next((b for b in sizes if b.get("zone") == node.get("zone")), sizes[0] if sizes else None)
        own = {**(array or {}).get("resources", {}), **node.get("resources", {})}
        group = node.get("placement_group")
        if bucket is None:
            facts = {"nodearray": node["nodearray"], "vm_size": node["vm_size"], "placement_group": group}
        else:
            facts = facts_of(array, bucket, group, node.get("zone"))
        place = Place(name, facts, bucket, array, node, {key: value_of(value) for key, value in own.items()})
        self.existing[name] = self._settle(place)

    def empty(self, array: dict[str, Any], bucket: dict[str, Any], group: str | None, name: str = "") -> Place:
        own = {key: value_of(value) for key, value in array.get("resources", {}).items()}
        return self._settle(Place(name, facts_of(array, bucket, group, None), bucket, array, own=own, is_new=True))

    def _settle(self, place: Place) -> Place:
        """Resources by D1–D7, memory views by V1, what is left by `available`."""
        found = place.resources = dict(place.own)
        same_memory = []
        for entry in self.raw.get("default_resources", []):
            modifier = next((key for key in _MODIFIERS if key in entry), None)
            if entry["value"] == "node.memory" and modifier is None:
                same_memory.append(entry["name"])
            place.left = {name: amount for name, value in found.items() if (amount := amount_of(value)) is not None}
            if entry["name"] in found or not self.holds(entry.get("select", {}), place):
                continue
            raw = entry["value"]
            if isinstance(raw, str) and raw.startswith("`"):
                value = expression(raw.strip("`"), place.prop)
            else:
                value = place.prop(raw.removeprefix("node.")) if str(raw).startswith("node.") else value_of(raw)
            if modifier and value is not None:
                value = combine(_MODIFIERS[modifier], value, value_of(entry[modifier]))
            if value is not None or entry.get("allow_none"):
                found[entry["name"]] = value
        built_in = not self.raw.get("disable_default_resources", False)
        for name, fact in (
            ("ncpus", "vcpu_count"),
            ("pcpus", "pcpu_count"),
            ("ngpus", "gpu_count"),
            ("nodearray", "nodearray"),
        ):
            if built_in and name not in found and place.facts.get(fact) is not None:
                found[name] = place.facts[fact]
        self._see_memory(place, {**dict.fromkeys(same_memory, 1), **MEMORY_BYTES}, built_in=built_in)
        place.left = {}
        for source in (found, {name: value_of(raw) for name, raw in (place.live or {}).get("available", {}).items()}):
            for name, value in source.items():
                if amount_of(value) is not None:
                    key, amount = place.charge(name, value)
                    amount = max(amount, Fraction(0))
                    is_busy = source is not found and key in place.left and amount < place.left[key]
                    place.left[key] = min(amount, place.left.get(key, amount)) if key == "memory" else amount
                    place.tenants |= {"earlier work"} if is_busy else frozenset()
        if place.live and place.live.get("job_ids"):
            place.tenants |= {"earlier work"}
        return place

    def _see_memory(self, place: Place, units: dict[str, int], *, built_in: bool) -> None:
        in_bytes = {n: v.n if isinstance(v, Bytes) else v * u for n, u in units.items()
                    if amount_of(v := place.own.get(n)) is not None}  # fmt: skip
        memory = place.facts.get("memory")
        if not in_bytes and memory is None:
            return
        quantity = min(in_bytes.values()) if in_bytes else memory.n
        for name, unit in units.items():
            if built_in and name in MEMORY_BYTES and name not in place.resources:
                place.resources[name] = quantity / unit
            value = place.resources.get(name)
            if amount_of(value) is not None and (value.n if isinstance(value, Bytes) else value * unit) == quantity:
                place.views[name] = unit

    # --- constraints (§5) ---

    def ways(self, constraint: dict[str, Any], place: Place, tenant: Any, paid: frozenset[str]) -> Any:
        """The alternatives of a constraint on a node as it is: lists of what a slot takes, in order."""
        parts = [(key, constraint[key]) for key in sorted(constraint)]
        if len(parts) != 1:
            return self._all([self.ways({key: raw}, place, tenant, paid) for key, raw in parts])
        key, raw = parts[0]
        if key == "and":
            return self._all([self.ways(child, place, tenant, paid) for child in raw])
        if key == "or":
            return [way for child in raw for way in self.ways(child, place, tenant, paid)]
        if key == "xor":
            true = [child for child in raw if self.holds(child, place, tenant, paid)]
            return self.ways(true[0], place, tenant, paid) if len(true) == 1 else []
        if key == "not":
            return [] if self.holds(raw, place, tenant, paid) else [[]]
        return self._leaf(key, raw, place)

    def _all(self, children: list[Any]) -> list[Any]:
        return [[take for way in choice for take in way] for choice in product(*children)]

    def _leaf(self, key: str, raw: Any, place: Place) -> list[Any]:
        yes = [[]]
        if key in {"exclusive", "exclusive-task", "exclusive_task"}:
            return [[(key.replace("_", "-"), None, None)]] if raw else yes
        if key == "never":
            return []
        if key == "in-a-placement-group":
            return yes if (place.group is not None) == raw else []
        if key == "capacity-failure-backoff":
            age = (place.bucket or {}).get("last_capacity_failure")
            return yes if age is None or value_of(age) > value_of(raw) else []
        if key.startswith("shared-consumable"):
            names = raw.get("resources") or raw.get("sources") or [raw.get("resource-name")]
            amount = value_of(raw.get("amount", raw.get("requested")))
            once = raw.get("decrement_once", raw.get("once", False))
            return [[("once" if once else "shared", name, amount) for name in names]]
        if key.startswith("shared-non-consumable"):
            shared = self.raw.get("shared_resources", {}).get(raw.get("resource", raw.get("resource-name")))
            held = shared and value_of(shared.get("value", shared.get("current", shared.get("initial"))))
            return yes if shared and same(held, value_of(raw["value"])) else []
        is_property = key.startswith("node.")
        actual = place.prop(key.removeprefix("node.")) if is_property else place.resource(key)
        if isinstance(raw, list) or is_property:
            wanted = raw if isinstance(raw, list) else [raw]
            return yes if any(same(actual, value_of(one)) for one in wanted) else []
        value = value_of(raw)
        if amount_of(value) is None:
            return yes if same(actual, value) else []
        if not amount_of(value):
            return yes if actual is not None else []
        return [[("take", key, value)]]

    def holds(
        self, constraint: dict[str, Any], place: Place, tenant: Any = None, paid: frozenset[str] = frozenset()
    ) -> bool:
        return any(self.lacks(way, place, tenant, paid) is None for way in self.ways(constraint, place, tenant, paid))

    def lacks(
        self, way: list[Any], place: Place, tenant: Any, paid: frozenset[str], *, pool: bool = True
    ) -> str | None:
        """Why a way does not fit on the node now; None when it fits."""
        asked: dict[str, Fraction] = {}
        for kind, name, amount in way:
            if kind == "exclusive" and place.tenants:
                return "exclusive"
            if kind == "exclusive-task" and place.tenants - {tenant}:
                return "exclusive-task"
            if kind == "take":
                key, much = place.charge(name, amount)
                asked[key] = asked.get(key, Fraction(0)) + much
                if key not in place.left or place.left[key] < asked[key]:
                    return name
            if kind in {"shared", "once"} and pool and not (kind == "once" and name in paid):
                left = amount_of(self.pool.get(name))
                key = f"shared {name}"
                asked[key] = asked.get(key, Fraction(0)) + amount
                if left is None or left < asked[key]:
                    return f"shared {name}"
        return None

    def first_way(self, constraints: list[Any], place: Place, tenant: Any = None, paid: frozenset[str] = frozenset(), *,
                  pool: bool = True) -> list[Any] | None:  # fmt: skip
        """The way that counts for the next slot (C2); None when no slot fits."""
        if place.holder is not None and place.holder != tenant:
            return None
        ways = self.ways({"and": constraints}, place, tenant, paid)
        return next((way for way in ways if self.lacks(way, place, tenant, paid, pool=pool) is None), None)

    def apply(self, way: list[Any], place: Place, tenant: Any, paid: frozenset[str]) -> frozenset[str]:
        for kind, name, amount in way:
            if kind == "take":
                key, much = place.charge(name, amount)
                place.left[key] -= much
            elif kind == "exclusive":
                place.holder = "nobody else"
            elif kind == "exclusive-task":
                place.holder = tenant
            elif kind == "shared" or (kind == "once" and name not in paid):
                self.pool[name] -= amount
        place.tenants |= {tenant}
        return paid | {name for kind, name, _ in way if kind == "once"}

    # --- limits (L1) ---

    def offers(self, place: Place) -> bool:
        """A8; boot timeouts are the business of the tests that set `now`."""
        node = place.live or {}
        state = node.get("state", "Ready").lower()
        in_life = (
            node.get("stage", "existing") != "draining" and node.get("target_state", "Started").lower() == "started"
        )
        return in_life and state not in FAILED and state not in CLOSED

    def is_ready(self, place: Place) -> bool:
        node = place.live or {}
        return (
            place.live is not None
            and node.get("stage", "existing") == "existing"
            and node.get("state", "Ready").lower() in READY
        )

    def rules(
        self, array: dict[str, Any], bucket: dict[str, Any], group: str | None
    ) -> list[tuple[str, int, Any, Any, bool]]:
        """Limits over a bucket: (name, limit, whether a node counts, cost of a node, whether only new ones count)."""
        limits, where, size = self.raw.get("limits", {}), location_of(array), bucket["vm_size"]
        found: list[tuple[str, Any, Any, Any, bool]] = []

        def add(name: str, limit: Any, counts: Any, cost: Any = lambda _: 1, *, new: bool = False) -> None:
            if limit is not None:
                found.append((name, int(limit), counts, cost, new))

        def in_region(p: Place) -> bool:
            return (
                p.array is not None
                and location_of(p.array) == where
                and bool(p.array.get("spot")) == bool(array.get("spot"))
            )

        def in_array(p: Place) -> bool:
            return p.facts.get("nodearray") == array["name"]

        def in_bucket(p: Place) -> bool:
            return (
                in_array(p)
                and p.facts["vm_size"] == size
                and p.bucket is not None
                and p.bucket.get("zone") == bucket.get("zone")
            )

        kind = "spot_regions" if array.get("spot") else "regions"
        add(kind, cores_left(limits.get(kind, {}).get(where)), in_region, quota_of)
        if not array.get("spot"):
            family = plain(bucket.get("vm_family", size))
            quota = next((q for n, q in limits.get("families", {}).get(where, {}).items() if plain(n) == family), None)
            add("families", cores_left(quota), lambda p: in_region(p) and plain(family_of(p)) == family, quota_of)
        add("cluster cores", limits.get("cluster_max_cores"), lambda p: p.bucket is not None, vcpus_of)
        add("cluster nodes", limits.get("cluster_max_nodes"), lambda p: bool(p.facts))
        add("array max_count", array.get("max_count"), in_array)
        add(
            "array max_core_count",
            array.get("max_core_count"),
            lambda p: in_array(p) and p.bucket is not None,
            vcpus_of,
        )
        add("bucket max_count", bucket.get("max_count"), in_bucket)
        add("bucket available_count", bucket.get("available_count"), in_bucket, new=True)
        add("creates a cycle", self.raw.get("policy", {}).get("max_creates_per_cycle"), lambda _: True, new=True)
        if group is not None:
            cap = bucket.get("max_placement_group_size", 100)
            add("placement group", cap, lambda p: in_array(p) and p.bucket is not None and p.group == group)
        return found

    def room(
        self, array: dict[str, Any], bucket: dict[str, Any], group: str | None, nodes: list[Place]
    ) -> tuple[int, str]:
        """New nodes the bucket may still get beside `nodes`, and the limit that says so (negative: exceeded)."""
        sample = Place("", facts_of(array, bucket, group, None), bucket, array, is_new=True)
        tightest = (ENDLESS, "")
        for name, limit, counts, cost, only_new in self.rules(array, bucket, group):
            used = sum(cost(p) for p in nodes if (p.is_new or not only_new) and counts(p))
            tightest = min(tightest, ((limit - used) // max(cost(sample), 1), name))
        return tightest

    def held_back(self, array: dict[str, Any], bucket: dict[str, Any]) -> bool:
        """Whether new nodes of a bucket must not be asked for (blocked, back-off, not enabled)."""
        blocked = self.raw.get("blocked", {})
        facts = {
            "nodearray": array["name"],
            "vm_size": bucket["vm_size"],
            "zone": bucket.get("zone"),
            "spot": bool(array.get("spot")),
        }
        offs = blocked.get("back_offs", [])
        hit = any(all(off.get(key) in {None, fact} for key, fact in facts.items()) for off in offs)
        return bool(
            hit or blocked.get("auth") or blocked.get("throttled_until") is not None or not array.get("enabled", True)
        )

    def buckets(self) -> list[tuple[dict[str, Any], dict[str, Any], str | None]]:
        """Every bucket, with the groups that only nodes know of."""
        found = []
        for array in self.raw["nodearrays"]:
            for bucket in array["buckets"]:
                groups = [None, *bucket.get("placement_groups", [])]
                groups += [p.group for p in self.existing.values() if p.bucket is bucket]
                found += [(array, bucket, group) for group in dict.fromkeys(groups)]
        return found


def location_of(array: dict[str, Any]) -> str:
    return array.get("location") or "westus2"


def plain(family: str) -> str:
    return family.replace(" ", "").casefold()


def family_of(place: Place) -> str:
    return place.bucket.get("vm_family", place.bucket["vm_size"])


def cores_left(quota: dict[str, Any] | None) -> int | None:
    return None if quota is None else quota["quota_cores"] - quota.get("used_elsewhere_cores", 0)


def quota_of(place: Place) -> int:
    vcpus = place.bucket["vcpu_count"]
    return place.bucket.get("quota_vcpus") or vcpus


def vcpus_of(place: Place) -> int:
    return place.bucket["vcpu_count"]


def facts_of(array: dict[str, Any], bucket: dict[str, Any], group: str | None, zone: str | None) -> dict[str, Any]:
    """§3, the part that is known before a machine exists."""
    zone = zone or bucket.get("zone")
    both = {**array, **bucket}
    facts = {
        "arch": both.get("arch"), "colocated": group is not None, "cores_per_socket": both.get("cores_per_socket"),
        "gpu_count": bucket.get("gpu_count", 0), "gpu_model": both.get("gpu_model"),
        "infiniband": bucket.get("infiniband", False), "location": location_of(array),
        "memory": Bytes(value_of(bucket["memory_gb"]) * GIB), "nodearray": array["name"],
        "pcpu_count": bucket.get("pcpu_count", bucket["vcpu_count"]), "placement_group": group,
        "price": bucket.get("price"), "priority": array.get("priority", 1), "spot": array.get("spot", False),
        "vcpu_count": bucket["vcpu_count"], "vm_family": bucket.get("vm_family", bucket["vm_size"]),
        "vm_size": bucket["vm_size"], "zone": zone,
    }  # fmt: skip
    facts = {name: value if isinstance(value, Bytes) else value_of(value) for name, value in facts.items()}
    facts["bucket_id"] = "/".join(filter(None, (array["name"], bucket["vm_size"], zone and f"z{zone}", group)))
    facts["vm_capabilities"] = both.get("vm_capabilities")
    facts["software_configuration"] = both.get("software_configuration")
    return facts


def parts_of(job: dict[str, Any]) -> list[tuple[list[Any], int, bool]]:
    """A0, A6: per chunk its constraints, its slots, and whether each needs a node of its own."""
    raw = job.get("constraints", [])
    shared = [raw] if isinstance(raw, dict) else raw
    strategy = job.get("packing_strategy")
    found = []
    for chunk in job.get("chunks") or [{**job, "constraints": []}]:
        nodes = chunk.get("node_count", 0)
        one_each = strategy == "scatter" or (nodes > 0 and strategy is None)
        own = chunk.get("constraints", [])
        own = [own] if isinstance(own, dict) else own
        found.append(([*shared, *own], nodes or chunk.get("iterations", 1), one_each))
    return found


def is_gang(job: dict[str, Any]) -> bool:
    return bool(job.get("colocated") or job.get("chunks") or job.get("node_count", 0) > 0)


def requested(job: dict[str, Any]) -> int:
    return job.get("count", 1) * sum(part[1] for part in parts_of(job))
