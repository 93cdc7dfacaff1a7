"""An independent verifier of plans over the model's values, fast enough for a million jobs.

It uses none of the planner's code: constraints are read anew from their JSON, every node is played through with
exact amounts, and limits are counted anew. Unlike `tests/checker.py`, which checks the rendered answer slot by slot,
it works on `Plan` values and takes equal slots at once; in return it knows only the forms that benchmarks use, and
says so (ValueError) when it meets another.

Verified: slots and status of every job; capacity of every node and resource; `left`; constraints; exclusivity;
gangs whole, on different nodes, in one group; every limit; names; waves; reason codes; that nothing that was
left out would still fit (silently not scaling); and, for jobs that ask for amounts only, that each slot is where the
order of places puts it (P2, P3, A2, A3: `firstfit.py`). Which of several legal nodes is best for all other jobs shows
in the node count and in the price, which are held against accepted values.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from benchmarks.firstfit import FirstFit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from autoscale_aks.model.bucket import NodeArray, Offering
    from autoscale_aks.model.job import JobShape
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot

    Holds = Callable[["Machine"], bool]

_SUFFIXES: Final = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE: Final = re.compile(r"(?:size|memory)::(\d+(?:\.\d+)?)([bkmgt])\Z")
_FACTS: Final = {"node.vcpu_count": "vcpu_count", "node.memory": "memory", "node.gpu_count": "gpu_count"}
_PLACED: Final = {"SATISFIED", "WAITING_FOR_BOOT"}
_READY: Final = {"ready", "started", "idle", "mixed", "allocated", "busy", "free"}


def amount_of(value: Any) -> int | Fraction | None:
    """A number or size, exact; None for anything else."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        match = _SIZE.match(value)
        return None if match is None else _whole(Fraction(match[1]) * _SUFFIXES[match[2]])
    return _whole(Fraction(getattr(value, "bytes", value)))


def _whole(number: Fraction) -> int | Fraction:
    return number.numerator if number.denominator == 1 else number


# --- machines ------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Site:
    """What all nodes of one array, size, zone and group have in common."""

    array: NodeArray
    offering: Offering
    group: str | None
    totals: dict[str, Any]

    def fact(self, name: str) -> Any:
        """A property as a constraint names it."""
        found = {"nodearray": self.array.name, "location": self.array.location, "spot": self.array.spot,
                 "placement_group": self.group}  # fmt: skip
        return found[name] if name in found else getattr(self.offering, name)


@dataclass(slots=True, eq=False)
class Machine:
    """One node while it is played through."""

    site: Site
    left: dict[str, Any]
    is_busy: bool
    is_usable: bool = True
    is_ready: bool = True
    is_sealed: bool = False


def _totals(snapshot: Snapshot, array: NodeArray, offering: Offering) -> dict[str, Any]:
    found = {name: amount_of(value) for name, value in array.resources.items()}
    for rule in snapshot.default_resources:
        if rule["select"] or rule["value"] not in _FACTS or set(rule) != {"select", "name", "value"}:
            raise ValueError(f"the audit does not know this default resource: {rule}")
        found.setdefault(rule["name"], amount_of(getattr(offering, _FACTS[rule["value"]])))
    return found


class Sites:
    """Every site, made once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._arrays = {array.name: array for array in snapshot.nodearrays}
        self._found: dict[Any, Site] = {}

    def of(self, array: str, vm_size: str, zone: str | None, group: str | None) -> Site:
        """The site; KeyError when the configuration has no such bucket."""
        key = (array, vm_size, zone, group)
        if key not in self._found:
            offers = self._arrays[array].offerings
            offering = next(offer for offer in offers if (offer.vm_size, offer.zone) == (vm_size, zone))
            totals = _totals(self._snapshot, self._arrays[array], offering)
            self._found[key] = Site(self._arrays[array], offering, group, totals)
        return self._found[key]

    def every(self) -> Iterator[Site]:
        """Every bucket of the configuration."""
        for array in self._arrays.values():
            for offering in array.offerings:
                for group in (None, *offering.placement_groups):
                    yield self.of(array.name, offering.vm_size, offering.zone, group)

    def price(self, key: Any) -> Any:
        """Per hour, of one node; None: not known."""
        return self.of(*key).offering.price

    def machine(self, node: Node) -> Machine:
        """A live node."""
        if node.resources:
            raise ValueError("the audit does not know nodes that report resources of their own")
        site = self.of(str(node.nodearray), str(node.vm_size), node.zone, node.placement_group)
        left = {**site.totals, **{name: amount_of(value) for name, value in node.available.items()}}
        ready = node.state.lower() in _READY and node.stage.value == "existing"
        busy = bool(node.job_ids) or left != site.totals
        return Machine(site, left, busy, is_usable=ready, is_ready=ready)


# --- constraints ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Way:
    """One way in which a slot can be satisfied: what it takes, and what must hold."""

    takes: dict[str, Any] = field(default_factory=dict)
    fixed: list[Holds] = field(default_factory=list)
    """Hold or not whatever is placed."""
    moving: list[Holds] = field(default_factory=list)
    """Look at what is left."""
    is_exclusive: bool = False

    def joined(self, other: Way) -> Way:
        """Both at once; amounts add up."""
        takes = dict(self.takes)
        for name, amount in other.takes.items():
            takes[name] = takes.get(name, 0) + amount
        return Way(takes, self.fixed + other.fixed, self.moving + other.moving, self.is_exclusive or other.is_exclusive)


def read_ways(constraint: Any) -> list[Way]:
    """Alternatives in document order."""
    if isinstance(constraint, list | tuple):
        return _all_of([read_ways(item) for item in constraint])
    return _all_of([_read_item(key, value) for key, value in constraint.items()])


def _all_of(choices: list[list[Way]]) -> list[Way]:
    found = []
    for combination in product(*choices):
        way = Way()
        for part in combination:
            way = way.joined(part)
        found.append(way)
    return found


def _read_item(key: str, value: Any) -> list[Way]:
    if key == "and":
        return read_ways(value)
    if key == "or":
        return [way for child in value for way in read_ways(child)]
    if key in {"xor", "not"}:
        return _read_judged(key, value)
    if key == "exclusive":
        return [Way(is_exclusive=bool(value))]
    if key == "in-a-placement-group":
        return [Way(fixed=[lambda machine: (machine.site.group is not None) == value])]
    if key.startswith("node.") or key == "nodearray":
        name = key.removeprefix("node.")
        options = value if isinstance(value, list | tuple) else (value,)
        return [Way(fixed=[lambda machine: any(_same(machine.site.fact(name), option) for option in options)])]
    amount = amount_of(value)
    if amount is None or "-" in key:
        raise ValueError(f"the audit does not know {key}: {value!r}")
    return [Way(takes={key: amount})]


def _read_judged(key: str, value: Any) -> list[Way]:
    """`not` and `xor`: judged alone, on the node as it is."""
    children = [value] if key == "not" else list(value)
    groups = [read_ways(child) for child in children]
    if key == "xor" and any(way.takes for ways in groups for way in ways):
        raise ValueError("the audit does not know xor over amounts")
    wanted = 0 if key == "not" else 1

    def holds(machine: Machine) -> bool:
        return sum(any(_fits(way, machine) for way in ways) for ways in groups) == wanted

    looks_at_what_is_left = any(way.takes or way.moving for ways in groups for way in ways)
    return [Way(moving=[holds])] if looks_at_what_is_left else [Way(fixed=[holds])]


def _fits(way: Way, machine: Machine) -> bool:
    enough = all(machine.left.get(name) is not None and machine.left[name] >= n for name, n in way.takes.items())
    return enough and all(test(machine) for test in (*way.fixed, *way.moving))


def _same(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return isinstance(actual, str) and fnmatchcase(actual, wanted)
    return type(actual) is type(wanted) and actual == wanted


@dataclass(slots=True, eq=False)
class Wants:
    """A shape, read by the audit."""

    ways: list[Way]
    nodes: int
    slots: int
    one_a_node: bool
    colocated: bool
    _fixed: dict[tuple[int, int], bool] = field(default_factory=dict)

    @property
    def is_gang(self) -> bool:
        """Whether jobs are placed whole or not at all."""
        return bool(self.nodes) or self.colocated

    @property
    def is_plain(self) -> bool:
        """Whether it is placed slot by slot, by amounts alone."""
        first = self.ways[0]
        special = first.fixed or first.moving or first.is_exclusive or not first.takes
        return len(self.ways) == 1 and not special and not self.is_gang and not self.one_a_node

    def allowed(self, number: int, machine: Machine) -> bool:
        """What must hold of the site, judged once a site."""
        key = (number, id(machine.site))
        found = self._fixed.get(key)
        if found is None:
            found = all(test(machine) for test in self.ways[number].fixed)
            if self.colocated:
                found = found and machine.site.group is not None
            self._fixed[key] = found
        return found


def read_shape(shape: JobShape) -> Wants:
    """A job's shape."""
    if shape.chunks:
        raise ValueError("the audit does not know jobs of several chunks")
    strategy = shape.packing_strategy.value if shape.packing_strategy else None
    scatter = strategy == "scatter" or (shape.node_count > 0 and strategy is None)
    slots = shape.node_count or shape.iterations
    return Wants(read_ways(shape.constraints), shape.node_count, slots, scatter, shape.colocated)


# --- the audit -----------------------------------------------------------------------------------------------------


class Audit:
    """One pass over a plan."""

    def __init__(self, snapshot: Snapshot, policy: Policy, plan: Plan) -> None:
        self.snapshot, self.policy, self.plan = snapshot, policy, plan
        self.problems: list[str] = []
        self.sites = Sites(snapshot)
        if snapshot.unmanaged_nodes or snapshot.shared_resources:
            raise ValueError("the audit does not know unmanaged nodes and shared resources")
        self.machines = [self.sites.machine(node) for node in snapshot.nodes]
        self.live = len(self.machines)
        for claim in plan.claims:
            bucket = claim.bucket
            site = self.sites.of(bucket.array.name, bucket.vm_size, bucket.offering.zone, bucket.placement_group)
            self.machines.append(Machine(site, dict(site.totals), is_busy=False, is_ready=False))
        self._wants: dict[int, Wants] = {}
        self._limits = Limiter(snapshot, policy, [machine.site for machine in self.machines], self.live)

    def wrong(self, text: str) -> None:
        """Note a violation."""
        self.problems.append(text)

    def wants(self, shape: JobShape) -> Wants:
        """A shape, read once."""
        if id(shape) not in self._wants:
            self._wants[id(shape)] = read_shape(shape)
        return self._wants[id(shape)]

    def run(self) -> list[str]:
        """Every violation."""
        self._names()
        self._waves()
        self._price()
        self.problems += self._limits.broken()
        self._jobs(self._play())
        self._left()
        self._nothing_left_out()
        return self.problems

    def _play(self) -> dict[int, list[tuple[int, int]]]:
        """Take every placement in the order of the jobs; returns job → (node, slots)."""
        placed: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for placement in self.plan.placements:
            stop = placement.first_node + placement.nodes
            if placement.first_node < 0 or stop > len(self.machines) or placement.nodes < 1 or placement.slots_each < 1:
                self.wrong(f"no such placement: {placement}")
                continue
            placed[placement.job] += [(number, placement.slots_each) for number in range(placement.first_node, stop)]
        wanted = [self.wants(job.shape) for job in self.snapshot.jobs]
        amounts = [way.takes for wants in self._wants.values() for way in wants.ways]
        names = [node.name for node in self.snapshot.nodes] + [claim.name for claim in self.plan.claims]
        first_fit = FirstFit(self.machines, names, self.live, list(self.sites.every()), self.policy, amounts)
        for number, wants in enumerate(wanted):
            name = self.snapshot.jobs[number].name
            for node, slots in placed[number]:
                self._take(name, wants, node, slots)
            nodes = list(dict.fromkeys(node for node, _ in placed[number]))
            first_fit.update(nodes)
            if wants.is_plain:
                is_short = sum(slots for _, slots in placed[number]) < self.snapshot.jobs[number].count * wants.slots
                self.problems += [
                    f"{name}: {text}" for text in first_fit.check(number, wants, nodes, is_short=is_short)
                ]
            else:
                first_fit.note(number, nodes)
        self._new_nodes_in_order(placed, wanted, first_fit)
        return placed

    def _new_nodes_in_order(
        self, placed: Mapping[int, list[tuple[int, int]]], wanted: Sequence[Wants], first_fit: FirstFit
    ) -> None:
        """A plain job's new nodes are of the best bucket that limits still allow; what they allow at the end they
        allowed before."""
        sites = list(self.sites.every())
        allowed = [site.array.enabled and self._limits.allows(site) for site in sites]
        made: set[int] = set()
        for number, wants in enumerate(wanted):
            new = {node for node, _ in placed[number] if node >= self.live} - made
            made |= new
            if not wants.is_plain or not new:
                continue
            used = {id(self.machines[node].site) for node in new}
            for site in first_fit.order_of_sites(wants):
                used.discard(id(sites[site]))
                if not used:
                    break
                if allowed[site]:
                    self.wrong(
                        f"{self.snapshot.jobs[number].name}: new nodes of a bucket behind "
                        f"{sites[site].array.name}/{sites[site].offering.vm_size}, which is still to be had"
                    )
                    break

    def _take(self, name: str, wants: Wants, number: int, slots: int) -> None:
        machine = self.machines[number]
        if machine.is_sealed or not machine.is_usable:
            self.wrong(f"{name}: node {number} is {'held by an exclusive job' if machine.is_sealed else 'not usable'}")
            return
        missing = slots
        for index, way in enumerate(wants.ways):
            while missing and wants.allowed(index, machine):
                step = _most(way, machine, missing)
                if not step:
                    break
                for resource, amount in way.takes.items():
                    machine.left[resource] -= amount * step
                machine.is_busy = True
                machine.is_sealed = machine.is_sealed or way.is_exclusive
                missing -= step
                if not way.moving:
                    break
        if missing:
            self.wrong(
                f"{name}: {missing} of {slots} slots do not fit on node {number} ({machine.site.offering.vm_size})"
            )

    def _names(self) -> None:
        names = [claim.name for claim in self.plan.claims]
        if len(set(names)) != len(names) or not {node.name for node in self.snapshot.nodes}.isdisjoint(names):
            self.wrong("names of new nodes are not all new")
        for claim in self.plan.claims:
            series = self.snapshot.naming[claim.bucket.array.name]
            number = claim.name.removeprefix(series.prefix)
            if not number.isdecimal() or int(number) < series.start or int(number) in series.taken:
                self.wrong(f"{claim.name} is not a name of the series {series.prefix}{series.start}…")

    def _waves(self) -> None:
        claimed = {claim.name: claim.bucket.key for claim in self.plan.claims}
        asked: Counter[str] = Counter()
        for wave in self.plan.waves:
            for batch in wave.batches:
                asked.update(batch.names)
                if len(batch.names) != wave.per_worker or not 1 <= wave.per_worker <= self.policy.machines_per_put:
                    self.wrong(f"{batch.chunk_id}: {len(batch.names)} machines, {wave.per_worker} a worker")
                if any(claimed.get(name) != wave.bucket.key for name in batch.names):
                    self.wrong(f"{batch.chunk_id}: machines of another bucket")
        if dict(asked) != dict.fromkeys(claimed, 1):
            self.wrong("the waves do not ask for every new node once")

    def _price(self) -> None:
        made = Counter(claim.bucket.key for claim in self.plan.claims)
        said = {outcome.bucket.key: outcome.new_nodes for outcome in self.plan.buckets if outcome.new_nodes}
        if said != made:
            self.wrong("the buckets do not count the new nodes")
        prices = [self.sites.price(key) for key in made.elements()]
        if self.plan.price_per_hour != (None if None in prices else sum(prices, Fraction(0))):
            self.wrong(f"the price is {self.plan.price_per_hour}")

    def _jobs(self, placed: Mapping[int, list[tuple[int, int]]]) -> None:
        if len(self.plan.outcomes) != len(self.snapshot.jobs):
            self.wrong(f"{len(self.plan.outcomes)} outcomes for {len(self.snapshot.jobs)} jobs")
        for number, (job, outcome) in enumerate(zip(self.snapshot.jobs, self.plan.outcomes, strict=False)):
            wants = self.wants(job.shape)
            nodes = placed.get(number, [])
            slots = sum(count for _, count in nodes)
            code, status = outcome.reason.code.value, outcome.status.value
            if outcome.slots != slots or outcome.requested != job.count * wants.slots or slots > outcome.requested:
                self.wrong(f"{job.name}: says {outcome.slots} of {outcome.requested} slots, placed are {slots}")
            wanted = "success" if slots == outcome.requested else "partial" if slots else "failed"
            if status != wanted:
                self.wrong(f"{job.name}: {status}, expected {wanted}")
            if (wanted == "success") != (code in _PLACED):
                self.wrong(f"{job.name}: {status} for the reason {code}")
            waits = any(not self.machines[node].is_ready for node, _ in nodes)
            if wanted == "success" and (code == "WAITING_FOR_BOOT") != waits:
                self.wrong(f"{job.name}: {code}, but its nodes are {'not ' if waits else ''}all ready")
            if wants.one_a_node or wants.is_gang:
                self._gang(job.name, wants, nodes, slots)

    def _gang(self, name: str, wants: Wants, nodes: Sequence[tuple[int, int]], slots: int) -> None:
        """A record's jobs can be told apart where none is on a node twice: no node holds more slots than jobs."""
        if wants.is_gang and slots % wants.slots:
            self.wrong(f"{name}: {slots} slots are no whole number of gangs of {wants.slots}")
        jobs = -(-slots // wants.slots)
        on_node: Counter[int] = Counter()
        in_group: Counter[Any] = Counter()
        for node, count in nodes:
            site = self.machines[node].site
            on_node[node] += count
            in_group[site.array.name, site.group] += count
        if wants.one_a_node and any(count > jobs for count in on_node.values()):
            self.wrong(f"{name}: a gang is twice on a node")
        if wants.colocated and any(count % wants.slots for count in in_group.values()):
            self.wrong(f"{name}: a gang is not in one placement group")

    def _left(self) -> None:
        if len(self.plan.left) != len(self.machines):
            self.wrong(f"`left` speaks of {len(self.plan.left)} nodes, there are {len(self.machines)}")
        amounts: dict[int, dict[str, Any]] = {}
        for number, (said, machine) in enumerate(zip(self.plan.left, self.machines, strict=False)):
            if id(said) not in amounts:
                amounts[id(said)] = {name: amount_of(value) for name, value in said.items()}
            shown = amounts[id(said)]
            if machine.is_usable and any(shown.get(name) != left for name, left in machine.left.items()):
                self.wrong(f"node {number}: `left` says {shown}, expected {machine.left}")

    def _nothing_left_out(self) -> None:
        """No slot that was left out fits on any node now or on a new one (gangs are not looked at)."""
        refused: dict[int, str] = {}
        for job, outcome in zip(self.snapshot.jobs, self.plan.outcomes, strict=False):
            wants = self.wants(job.shape)
            if outcome.slots < outcome.requested and not (wants.is_gang or wants.one_a_node):
                refused.setdefault(id(job.shape), job.name)
        if not refused:
            return
        room = [machine for machine in self.machines if _has_room(machine)]
        fresh = [
            Machine(site, dict(site.totals), is_busy=False)
            for site in self.sites.every()
            if site.array.enabled and self._limits.allows(site)
        ]
        for shape, name in refused.items():
            wants = self._wants[shape]
            for where, machines in (("a node", room), ("a new node", fresh)):
                if any(
                    wants.allowed(index, machine) and _most(way, machine, 1)
                    for machine in machines
                    for index, way in enumerate(wants.ways)
                ):
                    self.wrong(f"{name}: left out, although it fits on {where}")


def _has_room(machine: Machine) -> bool:
    return machine.is_usable and not machine.is_sealed and any(machine.left.values())


def _most(way: Way, machine: Machine, wanted: int) -> int:
    """Slots of one way that fit now; one at a time where it looks at what is left."""
    if way.is_exclusive:
        if machine.is_busy:
            return 0
        wanted = 1
    if way.moving:
        if not all(test(machine) for test in way.moving):
            return 0
        wanted = 1
    left = machine.left
    for name, amount in way.takes.items():
        there = left.get(name)
        if there is None:
            return 0
        if there < amount * wanted:
            wanted = int(there // amount)
    return wanted


class Limiter:
    """Every limit, counted anew: what stands against it, and what is left."""

    def __init__(self, snapshot: Snapshot, policy: Policy, sites: Sequence[Site], live: int) -> None:
        self._snapshot, self._policy = snapshot, policy
        self._used: Counter[Any] = Counter()
        self._of_site: dict[int, list[tuple[Any, int, int]]] = {}
        for number, site in enumerate(sites):
            for key, cost, _ in self._charges(site):
                if number >= live or key[0] not in {"available", "creates"}:
                    self._used[key] += cost
        self._new = {id(site): site for site in sites[live:]}

    def _charges(self, site: Site) -> list[tuple[Any, int, int]]:
        """What one node of a site takes: counter, cost, limit."""
        if id(site) in self._of_site:
            return self._of_site[id(site)]
        array, offering, limits = site.array, site.offering, self._snapshot.limits
        size = (array.name, offering.vm_size, offering.zone)
        quota, cores = offering.quota_vcpus, offering.vcpu_count
        regional = (limits.spot_regions if array.spot else limits.regions).get(array.location)
        family = None if array.spot else limits.families.get(array.location, {}).get(offering.vm_family)
        capped = site.group is not None
        found = [
            (("bucket", size), 1, offering.max_count),
            (("available", size), 1, offering.available_count),
            (("array", array.name), 1, array.max_count),
            (("array cores", array.name), cores, array.max_core_count),
            (("cluster",), 1, limits.cluster_max_nodes),
            (("cluster cores",), cores, limits.cluster_max_cores),
            (("region", array.location, array.spot), quota, _left_of(regional)),
            (("family", array.location, offering.vm_family), quota, _left_of(family)),
            (("group", array.name, site.group), 1, offering.max_placement_group_size if capped else None),
            (("creates",), 1, self._policy.max_creates_per_cycle),
        ]
        self._of_site[id(site)] = [(key, cost, limit) for key, cost, limit in found if limit is not None]
        return self._of_site[id(site)]

    def broken(self) -> list[str]:
        """Limits that new nodes exceed."""
        return [
            f"{' '.join(map(str, key))}: {self._used[key]} of {limit}"
            for key, limit in {(key, limit) for site in self._new.values() for key, _, limit in self._charges(site)}
            if self._used[key] > limit
        ]

    def allows(self, site: Site) -> bool:
        """Whether one more node of this site is within every limit."""
        return all(self._used[key] + cost <= limit for key, cost, limit in self._charges(site))


def _left_of(quota: Any) -> int | None:
    return None if quota is None else quota.quota_cores - quota.used_elsewhere_cores


def audit(snapshot: Snapshot, policy: Policy, plan: Plan) -> list[str]:
    """Every violation, in words; an empty list is a plan that keeps the rules."""
    return Audit(snapshot, policy, plan).run()
