"""Nodes that somebody takes from the scheduler by hand (`azaks remove`), from the first close to the last word.

What is under way stands in the ledger before the first node is closed, so that a run killed in between leaves no node
closed for ever, and none that the loop takes for one of its own half done deletes: the machines are to stay. The next
cycle ends it: a closed node without work is forgotten by the scheduler as was asked for, any other is open again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autoscale_aks.errors import SchedulerError
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.reconcile.queue_view import QueueView

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.ledger.store import Ledger
    from autoscale_aks.reconcile.observation import Observation
    from autoscale_aks.reconcile.world import World

FLAG: Final = "removing: "
"""What the ledger's flags of such machines begin with; the value is when it was begun."""
_SHUT: Final = frozenset({"Closed", "Down"})
"""Some schedulers keep a forgotten node, down (Slurm)."""
_LEAVING: Final = frozenset({MachineState.CLOSING, MachineState.DELETING})


def begin(world: World, names: Iterable[str]) -> None:
    """Write down that these machines' nodes are about to be closed and forgotten."""
    now = repr(world.clock.now())
    world.ledger.set_flags({f"{FLAG}{name}": now for name in names})


def end(ledger: Ledger, names: Iterable[str]) -> None:
    """Their nodes are forgotten, or open again."""
    ledger.set_flags({f"{FLAG}{name}": None for name in names})


def under_way(ledger: Ledger) -> frozenset[str]:
    """Machines whose removal was begun and not ended."""
    return frozenset(ledger.flags(FLAG))


def finish_removals(world: World, seen: Observation) -> tuple[str, ...]:
    """End what a killed `azaks remove` has begun, unless the machines are leaving by now. Notices."""
    names = under_way(world.ledger)
    if not names:
        return ()
    over = [name for name in names if _is_leaving(seen, name)]
    known = {name: seen.scheduler_names[name] for name in names.difference(over) if name in seen.scheduler_names}
    if seen.is_scheduler_whole:
        over.extend(names.difference(over, known))
    try:
        notices = _end_known(world, seen, known, over) if known else ()
    except SchedulerError as error:
        notices = (f"a removal by hand that was cut short is not ended yet: {error}",)
    if over:
        end(world.ledger, over)
    return notices


def _is_leaving(seen: Observation, name: str) -> bool:
    return name in seen.gone or name not in seen.records or seen.records[name].state in _LEAVING


def _end_known(world: World, seen: Observation, known: dict[str, str], over: list[str]) -> tuple[str, ...]:
    """Forget closed nodes without work, open the others; those that are done with go into `over`."""
    again = QueueView.of(world.scheduler.read())
    leaving: list[str] = []
    back: list[str] = []
    for name, node_name in sorted(known.items()):
        record = seen.records[name]
        node = again.nodes.get(name) or again.nodes.get(node_name) or again.node_of(record, None)
        is_idle = again.state.complete and node is not None and node.state in _SHUT
        is_idle = is_idle and not again.jobs_on(record, node, None) and again.working.isdisjoint({name, node_name})
        (leaving if is_idle else back).append(name)
    if back:
        world.scheduler.reopen_nodes([known[name] for name in back])
        over.extend(back)
    if leaving:
        world.scheduler.remove_nodes([known[name] for name in leaving])
        over.extend(leaving)
    return (_sentence(leaving, back),)


def _sentence(leaving: list[str], back: list[str]) -> str:
    ends = [
        f"{len(names)} {fate}"
        for names, fate in ((leaving, "forgotten by the scheduler"), (back, "open again"))
        if names
    ]
    return f"a removal by hand was cut short and is ended now: {', '.join(ends)}"
