"""An independent reading of the contract: does an answer keep what its scenario asks for?

`check(scenario, answer)` returns the violations found, in words. It imports nothing of the package: constraints are
interpreted directly from their JSON, every node is played through slot by slot in the order in which jobs were
taken, and limits are counted anew.

Not verified: which of several legal nodes is best (P2, P3, A3: the golden cases do that), the wording of messages,
jobs of chunks whose slots cannot be told apart within a bounded search, and site-registered kinds (C6).
"""

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


# --- the check -----------------------------------------------------------------------------------------------------


def check(scenario: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    """Everything in which an answer breaks its scenario's rules; empty when nothing was found."""
    if not answer.get("ok"):
        return [] if answer.get("errors") else ["not ok, and no errors"]
    return _Check(World(scenario), answer).run()


class _Check:
    def __init__(self, world: World, answer: dict[str, Any]) -> None:
        self.world, self.raw, self.answer = world, world.raw, answer
        self.found: list[str] = []
        self.new: dict[str, Place] = {}

    @property
    def nodes(self) -> dict[str, Place]:
        return {**self.world.existing, **self.new}

    def wrong(self, text: str) -> None:
        self.found.append(text)

    def expect(self, holds: Any, text: str) -> None:
        if not holds:
            self.wrong(text)

    def run(self) -> list[str]:
        self._read_new_nodes()
        if self.found:
            return self.found
        self._names()
        self._waves_and_price()
        self._limits()
        jobs = list(zip(self.raw["jobs"], self.answer["jobs"], strict=True))
        for number, (job, entry) in enumerate(jobs):
            self._one_answer(job, entry)
            if entry["status"] != "invalid" and not self.found:
                self._play(number, job, entry)
        if not self.found:
            self._what_is_left()
            for job, entry in jobs:
                self._reason(job, entry)
        self._lists()
        return self.found

    def _read_new_nodes(self) -> None:
        for entry in self.answer["new_nodes"]:
            array = self.world.arrays.get(entry["nodearray"])
            sizes = [b for b in (array or {}).get("buckets", []) if b["vm_size"] == entry["vm_size"]]
            if not sizes or entry["name"] in self.new:
                self.wrong(f"{entry['name']}: no such bucket, or the name stands twice")
                continue
            group = entry["placement_group"]
            known = {g for a, b, g in self.world.buckets() if a is array and b in sizes}
            opened = array.get("new_placement_groups") and re.fullmatch(
                rf"{re.escape(array['name'])}_pg\d+", group or ""
            )
            self.expect(group in known or opened, f"{entry['name']}: unknown placement group {group}")
            bucket = next((b for b in sizes if group in {None, *b.get("placement_groups", [])}), sizes[0])
            self.expect(not self.world.held_back(array, bucket), f"{entry['name']}: its bucket must not grow now")
            self.new[entry["name"]] = self.world.empty(array, bucket, group, entry["name"])

    def _names(self) -> None:
        taken = {node.get("name") or node.get("hostname") for node in self.raw.get("existing_nodes", [])}
        taken |= {node.get("name") or node.get("hostname") for node in self.raw.get("unmanaged_nodes", [])}
        for array in self.world.arrays:
            mine = {name for name, place in self.new.items() if place.facts["nodearray"] == array}
            lowest: set[str] = set()
            number = 1
            while len(lowest) < len(mine):
                if f"{array}-{number}" not in taken:
                    lowest.add(f"{array}-{number}")
                number += 1
            self.expect(mine == lowest, f"new names of {array} are not the lowest free: {sorted(mine - lowest)[:3]}")

    def _waves_and_price(self) -> None:
        """B1–B3, puts, price."""
        cap = self.raw.get("policy", {}).get("machines_per_put", 50)
        waves: dict[tuple[Any, ...], list[Any]] = {}
        for wave in self.answer["waves"]:
            waves.setdefault((wave["nodearray"], wave["vm_size"], wave.get("placement_group")), []).append(wave)
            equal = all(len(chunk) == wave["per_worker"] for chunk in wave["chunks"])
            self.expect(equal and len(wave["chunks"]) == wave["workers"], f"B1: unequal chunks in {wave['nodearray']}")
            self.expect(1 <= wave["per_worker"] <= cap, f"B2: {wave['per_worker']} machines in one PUT")
        wanted: dict[tuple[Any, ...], list[str]] = {}
        for entry in self.answer["new_nodes"]:
            wanted.setdefault((entry["nodearray"], entry["vm_size"], entry["placement_group"]), []).append(
                entry["name"]
            )
        self.expect(set(waves) == set(wanted), "B3: waves and new nodes are not of the same buckets")
        zoned = {(a["name"], b["vm_size"]) for a in self.raw["nodearrays"] for b in a["buckets"] if b.get("zone")}
        for key in set(waves) & set(wanted):
            names = [name for wave in waves[key] for chunk in wave["chunks"] for name in chunk]
            n, puts = len(wanted[key]), -(-len(wanted[key]) // cap)
            if key[:2] in zoned:
                self.expect(sorted(names) == sorted(wanted[key]), f"B1: waves of {key} do not hold its new nodes")
                continue
            self.expect(names == wanted[key], f"B1: waves of {key} are not its new nodes in order")
            self.expect(sum(wave["workers"] for wave in waves[key]) == puts, f"B3: {key} needs {puts} PUTs")
            self.expect(len(waves[key]) == (1 if n % puts == 0 else 2), f"B3: {key} has {len(waves[key])} waves")
        total = sum(wave["workers"] for wave in self.answer["waves"])
        self.expect(self.answer["puts"] == total, f"puts is {self.answer['puts']}, chunks are {total}")
        prices = [value_of(place.bucket.get("price")) for place in self.new.values()]
        if None in prices:
            self.expect(self.answer["price_per_hour"] is None, "a price is unknown, and yet there is a sum")
        else:
            self.expect(abs((self.answer["price_per_hour"] or 0) - float(sum(prices))) < 1e-9, "wrong price_per_hour")

    def _limits(self) -> None:
        places = list(self.nodes.values())
        for place in self.new.values():
            room, name = self.world.room(place.array, place.bucket, place.group, places)
            if name == "placement group":  # sizes that share a group may differ in its cap: the largest counts
                mates = [p for p in places if p.bucket and p.array is place.array and p.group == place.group]
                room = max(p.bucket.get("max_placement_group_size", 100) for p in mates) - len(mates)
            if room < 0:
                self.wrong(f"L1: {name} is exceeded with {place.name}")

    # --- jobs ---

    def _one_answer(self, job: dict[str, Any], entry: dict[str, Any]) -> None:
        name, reason = entry["name"], entry["reason"]
        if not isinstance(job, dict) or not isinstance(job.get("name"), str) or not job["name"]:
            self.expect(entry["status"] == "invalid", f"{name}: a job without a name is {entry['status']}")
            return
        self.expect(name == job["name"], f"{name} answers {job['name']}")
        self.expect(entry["slots"] == sum(n["slots"] for n in entry["nodes"]), f"{name}: slots do not add up")
        self.expect(reason["code"] in STATUS_OF, f"{name}: no such reason {reason['code']}")
        self.expect(
            entry["status"] in STATUS_OF.get(reason["code"], ()), f"{name}: {entry['status']} with {reason['code']}"
        )
        self.expect(reason["message"] and reason["message"] != reason["code"], f"{name}: no message")
        self.expect(len({n["name"] for n in entry["nodes"]}) == len(entry["nodes"]), f"{name}: a node stands twice")
        if entry["status"] == "invalid":
            self.expect(not entry["slots"], f"{name}: invalid, and yet placed")
            return
        asked = requested(job)
        self.expect(entry["requested"] == asked, f"{name}: requested {entry['requested']}, asks {asked}")
        if not job.get("runnable", True):
            self.expect(reason["code"] == "NOT_RUNNABLE", f"{name}: not runnable, but {reason['code']}")
            return
        self.expect(reason["code"] != "NOT_RUNNABLE", f"{name}: runnable, but NOT_RUNNABLE")
        status = "success" if entry["slots"] == asked else "partial" if entry["slots"] else "failed"
        self.expect(
            entry["slots"] <= asked and entry["status"] == status,
            f"{name}: {entry['slots']} of {asked} is {entry['status']}",
        )
        for at in entry["nodes"]:
            place = self.nodes.get(at["name"])
            if place is None or at["slots"] <= 0:
                self.wrong(f"{name}: {at['slots']} slots on {at['name']}")
                continue
            self.expect(at["new"] == place.is_new, f"{name}: {at['name']} new is {at['new']}")
            self.expect(place.is_new or self.world.offers(place), f"A8: {name} on {at['name']}, which offers nothing")
        if status == "success" and not self.found:
            ready = all(self.world.is_ready(self.nodes[at["name"]]) for at in entry["nodes"])
            self.expect((reason["code"] == "SATISFIED") == ready, f"{name}: ready is {ready}, but {reason['code']}")

    def _play(self, number: int, job: dict[str, Any], entry: dict[str, Any]) -> None:
        """Places the job's slots as answered, in order, on what is left (A9)."""
        name, parts, count = job["name"], parts_of(job), job.get("count", 1)
        whole = sum(part[1] for part in parts)
        if not entry["nodes"]:
            return
        if is_gang(job):
            self.expect(entry["slots"] % whole == 0, f"{name}: a gang of {whole} has {entry['slots']} slots")
        if job.get("colocated"):
            self._together(name, job, entry, count)
        if parts[0][2] and len(parts) == 1:
            copies = -(-entry["slots"] // whole)
            self.expect(all(at["slots"] <= copies for at in entry["nodes"]), f"A4: {name} has two slots on a node")
        if len(parts) > 1:
            self._play_chunks(name, number, parts, entry)
            return
        constraints, each, _ = parts[0]
        paid: dict[int, frozenset[str]] = {}
        played = 0
        for at in entry["nodes"]:
            place = self.nodes[at["name"]]
            for _ in range(at["slots"]):
                copy = played // each
                way = self.world.first_way(constraints, place, number, paid.get(copy, frozenset()))
                if way is None:
                    why = self._why(constraints, place, number)
                    self.wrong(f"{name}: slot {played + 1} does not fit on {at['name']} ({why})")
                    return
                paid[copy] = self.world.apply(way, place, number, paid.get(copy, frozenset()))
                played += 1
            if any(kind == "exclusive-task" for kind, *_ in way):
                self.expect(at["slots"] <= each, f"{name}: two tasks share the exclusive {at['name']}")

    def _why(self, constraints: list[Any], place: Place, tenant: Any) -> str:
        if place.holder not in {None, tenant}:
            return "held alone by another"
        ways = self.world.ways({"and": constraints}, place, tenant, frozenset())
        return (
            ", ".join(str(self.world.lacks(way, place, tenant, frozenset())) for way in ways[:3])
            or "constraints do not hold"
        )

    def _together(self, name: str, job: dict[str, Any], entry: dict[str, Any], count: int) -> None:
        """A5: one group a gang, never without one; one bucket where the job is not of chunks."""
        places = [self.nodes[at["name"]] for at in entry["nodes"]]
        keys = {
            (p.facts.get("nodearray"), p.group) + (() if job.get("chunks") else (p.facts.get("vm_size"),))
            for p in places
        }
        self.expect(all(p.group for p in places), f"A5: {name} is colocated and on a node outside groups")
        self.expect(len(keys) <= count, f"A5: {name} is split over {sorted(map(str, keys))}")

    def _play_chunks(self, name: str, number: int, parts: list[Any], entry: dict[str, Any]) -> None:
        """A6: some way of giving the slots to the chunks explains the answer (bounded search)."""
        budget = [20_000]
        quota = {at["name"]: at["slots"] for at in entry["nodes"]}
        copies = entry["slots"] // sum(part[1] for part in parts)
        order = [(copy, index) for copy in range(copies) for index, part in enumerate(parts) for _ in range(part[1])]
        done = self._assign(number, parts, order, 0, quota, {}, [frozenset()] * copies, budget)
        if not done:
            for at in entry["nodes"]:
                self.nodes[at["name"]].is_certain = False
            self.expect(budget[0] <= 0, f"A6: no giving of {quota} to the chunks of {name} explains it")

    def _assign(self, number: int, parts: list[Any], order: list[Any], step: int, quota: dict[str, int],
                used: dict[Any, set[str]], paid: list[frozenset[str]], budget: list[int]) -> bool:  # fmt: skip
        if step == len(order):
            return True
        copy, index = order[step]
        constraints, _, one_each = parts[index]
        for node in [name for name, slots in quota.items() if slots]:
            budget[0] -= 1
            place, before = self.nodes[node], self._mark()
            taken = used.setdefault((copy, index), set())
            if budget[0] <= 0 or (one_each and node in taken):
                continue
            way = self.world.first_way(constraints, place, (number, copy), paid[copy])
            if way is None:
                continue
            was_there, old = node in taken, paid[copy]
            paid[copy] = self.world.apply(way, place, (number, copy), old)
            taken.add(node)
            quota[node] -= 1
            if self._assign(number, parts, order, step + 1, quota, used, paid, budget):
                return True
            quota[node] += 1
            paid[copy] = old
            if not was_there:
                taken.discard(node)
            self._restore(before)
        return False

    def _mark(self) -> Any:
        return dict(self.world.pool), {n: (dict(p.left), p.tenants, p.holder) for n, p in self.nodes.items()}

    def _restore(self, mark: Any) -> None:
        self.world.pool.update(mark[0])
        for name, (left, tenants, holder) in mark[1].items():
            place = self.nodes[name]
            place.left, place.tenants, place.holder = dict(left), tenants, holder

    # --- after all jobs ---

    def _what_is_left(self) -> None:
        """A9: amounts left on nodes and in shared pools are exactly what the placements leave."""
        for entry in [*self.answer["new_nodes"], *self.answer["existing_nodes"]]:
            place = self.nodes[entry["name"]]
            if not place.is_certain or not (place.is_new or self.world.offers(place)):
                continue
            for name, raw in entry["available"].items():
                value = value_of(raw)
                if amount_of(value) is None or amount_of(place.resources.get(name)) is None:
                    continue
                key, amount = place.charge(name, value)
                left = place.left[key]
                close = abs(left - amount) <= max(abs(left), 1) / 10**9
                self.expect(close, f"{place.name}: {name} left {raw}, played {float(left)}")
        for name, raw in self.answer["shared_resources"].items():
            left = amount_of(self.world.pool.get(name))
            if left is not None and all(place.is_certain for place in self.nodes.values()):
                self.expect(
                    abs(left - Fraction(str(raw))) < Fraction(1, 10**9), f"C5: {name} left {raw}, played {float(left)}"
                )

    def _fitting(self, constraints: list[Any], *, amounts: bool = True, colocated: bool = False) -> list[Any]:
        """Buckets whose empty node takes a slot, shared resources set aside; without amounts: whose facts allow it."""
        found = []
        pool, self.world.pool = self.world.pool, self.world.start_pool
        for array, bucket, group in self.world.buckets():
            groups = [group]
            if colocated:
                groups = [group] if group else ["a new group"] if array.get("new_placement_groups") else []
            for one in groups:
                place = self.world.empty(array, bucket, one)
                if amounts:
                    fits = self.world.first_way(constraints, place, pool=False) is not None
                else:
                    fits = bool(self.world.ways({"and": constraints}, place, None, frozenset()))
                if fits and (array.get("enabled", True) or not amounts):
                    found.append((array, bucket, one))
        self.world.pool = pool
        return found

    def _reason(self, job: dict[str, Any], entry: dict[str, Any]) -> None:
        name, code = entry["name"], entry["reason"]["code"]
        if entry["status"] in {"success", "invalid"} or not job.get("runnable", True):
            return
        blocked = self.raw.get("blocked", {})
        self.expect((code == "AUTH") == bool(blocked.get("auth")), f"{name}: AUTH, blocked {blocked}")
        throttled = blocked.get("throttled_until") is not None and not blocked.get("auth")
        self.expect((code == "API_THROTTLED") == throttled, f"{name}: {code}, throttled is {throttled}")
        if code in {"AUTH", "API_THROTTLED"}:
            return
        parts, colocated = parts_of(job), bool(job.get("colocated"))
        fitting = [self._fitting(part[0], colocated=colocated) for part in parts]
        if code in {"TOO_BIG_FOR_ANY_NODE", "NO_BUCKET_MATCH"}:
            self.expect(
                not all(fitting), f"{name}: {code}, but every part fits an empty node of {[len(f) for f in fitting]}"
            )
        elif code not in {"CAPACITY_BACKOFF", "PLACEMENT_GROUP_TOO_SMALL"}:
            self.expect(all(fitting), f"{name}: {code}, but no empty node holds some part")
        if code == "TOO_BIG_FOR_ANY_NODE":
            facts = [self._fitting(part[0], amounts=False) for part in parts]
            near = any(not fit and fact for fit, fact in zip(fitting, facts, strict=True))
            self.expect(near, f"{name}: TOO_BIG, but no node has all the facts it asks for")
        if code == "PLACEMENT_GROUP_TOO_SMALL":
            cap = max((b.get("max_placement_group_size", 100) for f in fitting for _, b, _ in f), default=0)
            self.expect(colocated and requested(job) > cap, f"{name}: fits a group of {cap}")
        if code == "CAPACITY_BACKOFF":
            known = blocked.get("back_offs") or "capacity-failure-backoff" in str(job)
            self.expect(known, f"{name}: nothing is in back-off")
        if code == "BOOT_CIRCUIT_OPEN":
            self.expect(any(o.get("code") == code for o in blocked.get("back_offs", [])), f"{name}: no circuit is open")
        self._shared_reason(name, code, job, parts)
        if code in {"QUOTA", "LIMIT", "LOST_TO_PRIORITY", "CAPACITY_BACKOFF", "BOOT_CIRCUIT_OPEN"}:
            self._nothing_fits(name, job, parts, fitting)
        limit = entry["reason"].get("limit")
        if code == "QUOTA":
            self.expect(limit and "quota" in limit["kind"] and limit["missing"] > 0, f"{name}: QUOTA with {limit}")

    def _shared_reason(self, name: str, code: str, job: dict[str, Any], parts: list[Any]) -> None:
        """SHARED_RESOURCE: no way is left whose shared needs the pool still holds."""
        if code != "SHARED_RESOURCE":
            return
        takes = [take for part in parts for c in part[0] for take in re.findall(r"shared-consumable", str(c))]
        self.expect(takes, f"{name}: asks for nothing shared")
        needs: dict[str, Fraction] = {}
        for constraints, slots, _ in parts:
            for array, bucket, group in self._fitting(constraints)[:1]:
                place = self.world.empty(array, bucket, group)
                ways = self.world.ways({"and": constraints}, place, None, frozenset())
                if len(ways) != 1:
                    return
                for kind, source, amount in ways[0]:
                    if kind in {"shared", "once"}:
                        times = slots if kind == "shared" and is_gang(job) else 1
                        needs[source] = needs.get(source, Fraction(0)) + amount * times
        pool = {source: amount_of(self.world.pool.get(source)) for source in needs}
        short = any(pool[s] is None or pool[s] < much for s, much in needs.items())
        self.expect(short, f"{name}: SHARED_RESOURCE, but {pool} is left")

    def _nothing_fits(self, name: str, job: dict[str, Any], parts: list[Any], fitting: list[Any]) -> None:
        """L3, A1: what was refused for room has none at the end either."""
        if len(parts) > 1 or job.get("colocated") or re.search(r"'(not|xor)'", str(parts)):
            return
        constraints, slots, one_each = parts[0]
        mine = {at["name"] for e in self.answer["jobs"] if e["name"] == name for at in e["nodes"]}
        places = list(self.nodes.values())
        free = [p for p in places if (p.is_new or self.world.offers(p)) and not (one_each and p.name in mine)
                and self.world.first_way(constraints, p, "one more") is not None]  # fmt: skip
        if not all(place.is_certain for place in places):
            return
        if not is_gang(job):
            self.expect(not free, f"{name}: one more slot fits on {free[0].name if free else ''}")
        elif one_each:
            self.expect(len(free) < slots, f"{name}: {len(free)} nodes are free for a gang of {slots}")
        for array, bucket, group in fitting[0]:
            if (
                self.world.held_back(array, bucket)
                or self.world.first_way(constraints, self.world.empty(array, bucket, group)) is None
            ):
                continue
            room, _ = self.world.room(array, bucket, group, places)
            if not is_gang(job):
                self.expect(room <= 0, f"{name}: {array['name']}/{bucket['vm_size']} may still get {room} nodes")
            elif one_each:
                in_it = [p for p in free if p.bucket is bucket and p.group == group]
                self.expect(
                    len(in_it) + room < slots, f"{name}: {array['name']}/{bucket['vm_size']} takes the gang whole"
                )

    def _lists(self) -> None:
        """Node lists and buckets agree with the jobs' entries."""
        used = {at["name"] for entry in self.answer["jobs"] for at in entry["nodes"]}
        self.expect(set(self.answer["matched"]) == used, "matched is not the set of nodes with slots")
        self.expect(all(name in used for name in self.new), "a new node without a slot")
        failed = {n for n, p in self.world.existing.items() if (p.live or {}).get("state", "").lower() in FAILED}
        self.expect(set(self.answer["failed"]) == failed, "failed is not the set of failed nodes")
        for entry in self.answer["existing_nodes"]:
            self.expect(entry["matched"] == (entry["name"] in used), f"{entry['name']}: matched is {entry['matched']}")
        made = sum(bucket["new_nodes"] for bucket in self.answer["buckets"])
        self.expect(made == len(self.new), f"buckets count {made} new nodes, there are {len(self.new)}")


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
