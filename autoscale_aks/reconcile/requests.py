"""Nodes that the scheduler itself wants up or down, by name (Slurm's power saving).

The scheduler has decided; what is left to us are limits, sizes, chunks and the order of things:

- A node that is to come gets a machine of exactly its name, in the node array that the name tells. It is planned as a
  minimum of that array: all that is there, and what is asked for.
- A machine of that name that is still there from before has to be gone first: the scheduler waits for a fresh boot.
- Machines of such a node array never leave because they are idle; that, too, is for the scheduler to say.
- A request is settled when the ledger knows its machine, or knows it to be leaving: never before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.errors import Problem, SchedulerError
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.model.launch import LaunchState
from autoscale_aks.model.node_names import machine_prefix, nodearray_of
from autoscale_aks.model.policy import Timeout
from autoscale_aks.model.snapshot import NameSeries
from autoscale_aks.planning.scale_in import is_counted
from autoscale_aks.reconcile.observation import Requested

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from autoscale_aks.config import Config
    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.reconcile.failover import Launched
    from autoscale_aks.reconcile.joining import Joiner
    from autoscale_aks.reconcile.release import Releases
    from autoscale_aks.reconcile.world import World
    from autoscale_aks.schedulers.port import NodeRequest

NEVER_S: Final = float("inf")
MOST_APART: Final = 100_000
"""Numbers of nodes that are asked for at once may lie so far apart; all between them are looked at."""
_SHOWN: Final = 5
_COMING: Final = frozenset(
    {MachineState.INTENDED, MachineState.ACCEPTED, MachineState.UNKNOWN, MachineState.LISTED, MachineState.READY}
)
_GOING: Final = frozenset({MachineState.CLOSING, MachineState.DELETING})


def sort_requests(config: Config, joined: Joiner) -> Requested:
    """What is to be made, what is to go, what is met, and what can never be met. Changes nothing."""
    state = joined.queue.state
    every = [array.name for array in config.arrays]
    powered = every if state.powered is None else [name for name in every if name in state.powered]
    if not powered:
        return Requested()
    sorting = _Sorting(powered, config.aks.owner, joined.records, frozenset(joined.gone))
    for request in state.requests:
        sorting.take(request)
    sorting.refuse_scattered()
    return Requested(
        powered=frozenset(powered),
        wanted=frozendict({array: tuple(found.values()) for array, found in sorting.wanted.items() if found}),
        unwanted=frozendict(sorting.unwanted),
        met=tuple(sorting.met),
        notices=tuple(_sentence(why, names) for why, names in sorting.said.items()),
    )


@dataclass(slots=True)
class _Sorting:
    powered: Sequence[str]
    owner: str
    records: Mapping[str, MachineRecord]
    gone: Collection[str]
    wanted: dict[str, dict[int, NodeRequest]] = field(default_factory=dict)
    unwanted: dict[str, NodeRequest] = field(default_factory=dict)
    met: list[NodeRequest] = field(default_factory=list)
    said: dict[str, list[str]] = field(default_factory=dict)

    def take(self, request: NodeRequest) -> None:
        """Put one request in its place."""
        record = None if request.name in self.gone else self.records.get(request.name)
        if request.is_up:
            self._take_up(request, record)
        elif record is None or record.state is MachineState.DELETING or record.asked_at > request.at:
            self.met.append(request)
        elif record.state in _COMING | _GOING:
            self.unwanted[request.name] = request
        else:
            self.met.append(request)

    def _take_up(self, request: NodeRequest, record: MachineRecord | None) -> None:
        array = nodearray_of(request.name, self.owner, self.powered)
        is_leaving = request.name in self.unwanted or (record is not None and record.state in _GOING)
        if record is not None and record.state in _COMING and not is_leaving:
            self.met.append(request)
        elif request.problem:
            self._refuse(request, request.problem)
        elif array is None:
            arrays = ", ".join(machine_prefix(self.owner, name) + "NUMBER" for name in self.powered[:_SHOWN])
            self._refuse(request, f"its name is none of ours ({arrays})")
        elif is_leaving:
            self.said.setdefault("waits until the machine that had its name is gone", []).append(request.name)
        else:
            number = int(request.name.removeprefix(machine_prefix(self.owner, array)))
            self.wanted.setdefault(array, {})[number] = request

    def refuse_scattered(self) -> None:
        """Drop requests whose numbers lie too far beyond the first."""
        for found in self.wanted.values():
            first = min(found, default=0)
            for number in [number for number in found if number - first > MOST_APART]:
                self._refuse(found.pop(number), f"its number is more than {MOST_APART} beyond the first one")
        self.wanted = {array: dict(sorted(found.items())) for array, found in self.wanted.items()}

    def _refuse(self, request: NodeRequest, why: str) -> None:
        self.met.append(request)
        self.said.setdefault(f"gets no machine: {why}", []).append(request.name)


def with_requests(snapshot: Snapshot, requested: Requested) -> Snapshot:
    """The snapshot with what is asked for as the node arrays' minimums, under exactly these names."""
    if not requested.powered:
        return snapshot
    counted = Counter(node.nodearray for node in snapshot.nodes if is_counted(node))
    naming = {
        array: _series(snapshot.naming[array].prefix, [request.name for request in requests])
        for array, requests in requested.wanted.items()
    }
    coming = {request.name for request in requested.met if request.is_up}
    return replace(
        snapshot,
        nodearrays=tuple(
            _asked(array, len(requested.wanted.get(array.name, ())), counted[array.name])
            if array.name in requested.powered
            else array
            for array in snapshot.nodearrays
        ),
        naming=frozendict({**snapshot.naming, **naming}),
        nodes=tuple(replace(node, is_late=False) if node.name in coming else node for node in snapshot.nodes),
    )


def _asked(array: NodeArray, wanted: int, there: int) -> NodeArray:
    most = array.max_creates_per_cycle
    return replace(
        array,
        min_nodes=there + wanted if wanted else 0,
        max_creates_per_cycle=wanted if most is None else min(most, wanted),
    )


def _series(prefix: str, names: Sequence[str]) -> NameSeries:
    """A series whose free numbers are those of these names, as far as they go."""
    numbers = {int(name.removeprefix(prefix)) for name in names}
    first, last = min(numbers), max(numbers)
    return NameSeries(prefix=prefix, start=first, taken=frozenset(range(first, last + 1)) - numbers)


def powered_policy(policy: Policy, requested: Requested) -> Policy:
    """The policy, by which machines that the scheduler powers itself are never idle for too long."""
    if not requested.powered:
        return policy
    never = {**policy.idle_timeout.by_nodearray, **dict.fromkeys(requested.powered, NEVER_S)}
    return replace(
        policy, idle_timeout=Timeout(default_s=policy.idle_timeout.default_s, by_nodearray=frozendict(never))
    )


def in_the_schedulers_words(decided: Plan, requested: Requested) -> Plan:
    """A minimum that stands for requests is not called one: nobody has configured it."""
    paths = {f"nodearrays.{array}.min_nodes": len(requests) for array, requests in requested.wanted.items()}
    if not paths:
        return decided
    problems = tuple(
        Problem("scheduler", f"of {paths[one.path]} nodes that it powers up, {one.message}")
        if one.path in paths
        else one
        for one in decided.problems
    )
    return replace(decided, problems=problems)


def settle(world: World, requested: Requested, found: Launched, releases: Releases) -> tuple[str, ...]:
    """Tell the scheduler's driver which requests are done with, now that the ledger has them. Notices."""
    if not requested.powered:
        return ()
    asked = {*found.names(LaunchState.ACCEPTED), *found.names(LaunchState.UNKNOWN)}
    done = [
        *requested.met,
        *(one for requests in requested.wanted.values() for one in requests if one.name in asked),
        *(one for name, one in requested.unwanted.items() if name in releases.deleted),
    ]
    left = [name for name in requested.names if name not in asked]
    notices = list(requested.notices)
    if left:
        notices.append(_sentence("has no machine yet and is asked for again in the next cycle", left))
    try:
        world.scheduler.settle_requests(done)
    except SchedulerError as error:
        notices.append(f"requests of the scheduler stay open and are looked at again: {error}")
    return tuple(notices)


def _sentence(why: str, names: Iterable[str]) -> str:
    known = tuple(names)
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"the scheduler asks for {', '.join(known[:_SHOWN])}{more}: {why}"
