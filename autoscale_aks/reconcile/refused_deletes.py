"""Machines whose delete the cloud refuses again and again: told of, and kept from holding up any other (T14b, T14c).

A refusal may be of a whole request, so a machine that has been refused for `PATIENCE_S` is asked for alone, a few of
them a cycle. It stays closed and counts as a machine; what is to be done about it is said in every cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autoscale_aks.reports.sentences import render_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.reconcile.observation import Observation
    from autoscale_aks.reconcile.world import World

FLAG: Final = "delete refused: "
"""What the ledger's flags of such machines begin with; the value is when it was refused first."""
PATIENCE_S: Final = 1800.0
ALONE: Final = 20
"""So many are asked for alone in one cycle, in turn."""
_NAMED: Final = 3


def requests(names: Sequence[str], since: Mapping[str, str], now: float) -> list[list[str]]:
    """The names of one pool as they are asked for: most together, those that were long refused alone, in turn."""
    stubborn = [name for name in names if _is_overdue(since.get(name), now)]
    together = [name for name in names if name not in set(stubborn)]
    first = int(now // 60) * ALONE % len(stubborn) if stubborn else 0
    turn = (stubborn[first:] + stubborn[:first])[:ALONE]
    return [*([together] if together else []), *([name] for name in turn)]


def note(world: World, seen: Observation, refused: Mapping[str, str], accepted: Iterable[str]) -> tuple[str, ...]:
    """Keep since when machines are refused, forget those that are not any more; what is to be said of the others."""
    now = world.clock.now()
    since = world.ledger.flags(FLAG)
    over = {*accepted, *seen.gone} | (since.keys() - seen.records.keys())
    changes: dict[str, str | None] = {f"{FLAG}{name}": None for name in since if name in over}
    changes |= {f"{FLAG}{name}": repr(now) for name in refused if name not in since}
    if changes:
        world.ledger.set_flags(changes)
    overdue = [name for name in since if name not in over and _is_overdue(since[name], now)]
    if not overdue:
        return ()
    name = overdue[0]
    shown = ", ".join(overdue[:_NAMED]) + (f" and {len(overdue) - _NAMED:,} more" if len(overdue) > _NAMED else "")
    why = refused.get(name, "asked for in turn")
    text = (
        f"the cloud has refused to delete {shown} since {render_time(float(since[name]))} ({why}); they count and bill "
        f"until they are gone; next: azaks machines delete --pool {seen.records[name].pool} {name} --wait, and the "
        "service's support if that is refused too"
    )
    return (text,)


def _is_overdue(since: str | None, now: float) -> bool:
    return since is not None and now - float(since) >= PATIENCE_S
