"""An independent reading of the contract: does an answer keep what its scenario asks for?

`check(scenario, answer)` returns the violations found, in words. It imports nothing of the package: constraints are
interpreted directly from their JSON, every node is played through slot by slot in the order in which jobs were
taken, and limits are counted anew.

Not verified: which of several legal nodes is best (P2, P3, A3: the golden cases do that), the wording of messages,
jobs of chunks whose slots cannot be told apart within a bounded search, and site-registered kinds (C6).
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from checker_world import FAILED, STATUS_OF, Place, World, amount_of, is_gang, parts_of, requested, value_of


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
