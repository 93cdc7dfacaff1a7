"""Machines that leave by hand: the loop's close → look → delete, and nothing that is protected (T14a, T20)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.model.plan import Plan, Release, ReleaseCause
from autoscale_aks.reconcile.release import Releases, Wishes, release
from autoscale_aks.reports.sentences import render_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.model.node import Node
    from autoscale_aks.reconcile.acts.acting import Act
    from autoscale_aks.reconcile.observation import Observation
    from autoscale_aks.reconcile.world import World

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """What may leave, and what may not and why."""

    nodes: tuple[Node, ...]
    refused: Mapping[str, str] = field(default_factory=frozendict)
    """Machine → why it stays."""
    leaving_already: tuple[str, ...] = ()
    """Machines whose delete was accepted before."""
    told: Mapping[str, frozenset[str]] = field(default_factory=frozendict)
    """Machine → its jobs, which would be lost: to be shown to whoever decides."""


def plan_leaving(seen: Observation, nodes: Iterable[Node], *, force: bool, waits: bool = False) -> Leaving:
    """Who of these may leave. `force`: also where work runs, which is then told; `waits`: when that work is done.

    Nothing leaves on half a picture (user ask T13c), and nothing that is protected, by force or not (T20a).
    """
    partial = [source for source in seen.snapshot.sources if not source.complete]
    leaving: list[Node] = []
    refused: dict[str, str] = {}
    already: list[str] = []
    told: dict[str, frozenset[str]] = {}
    for node in nodes:
        if node.state == "Deleting":
            already.append(node.name)
        elif node.keep_alive:
            refused[node.name] = _protected(seen, node)
        elif partial:
            refused[node.name] = f"{partial[0].name} could not be read whole: nothing is deleted on half a picture"
        elif node.job_ids and not force and not waits:
            refused[node.name] = f"has work: {_shown(node.job_ids)}; drain it, or repeat with --force"
        else:
            leaving.append(node)
            if node.job_ids:
                told[node.name] = frozenset(node.job_ids)
    return Leaving(
        nodes=tuple(leaving), refused=frozendict(refused), leaving_already=tuple(already), told=frozendict(told)
    )


def _protected(seen: Observation, node: Node) -> str:
    found = seen.protections.get(node.name)
    if found is None:
        return "is protected by its tag azaks-keep-alive; take the tag away first"
    until = "" if found.until is None else f" until {render_time(found.until)}"
    return f"is protected by {found.owner}{until} ({found.reason}); azaks unprotect {node.name}"


def _shown(jobs: tuple[str, ...]) -> str:
    return ", ".join(jobs[:_SHOWN]) + (f" and {len(jobs) - _SHOWN} more" if len(jobs) > _SHOWN else "")


def leave(world: World, act: Act, leaving: Leaving, agreed: Mapping[str, frozenset[str]], why: str) -> Releases:
    """Close, look again, delete. `agreed` are jobs, by machine, of which somebody was told and that may be lost.

    A machine with any other job by now is reopened and stays.
    """
    return _carry_out(world, act, leaving, Wishes(why=why, told=agreed))


def drain_now(world: World, act: Act, leaving: Leaving, why: str) -> Releases:
    """Close machines that are marked as drained; those without work are deleted, the loop goes on with the others."""
    return _carry_out(world, act, leaving, Wishes(why=why, drained=frozenset(node.name for node in leaving.nodes)))


def _carry_out(world: World, act: Act, leaving: Leaving, wishes: Wishes) -> Releases:
    names = {node.name for node in leaving.nodes}
    halted = world.halted()
    if halted or not names:
        return Releases(kept=dict.fromkeys(names, halted or ""))
    decided = Plan(
        jobs=(),
        outcomes=(),
        placements=(),
        claims=(),
        waves=(),
        releases=tuple(Release(node, _cause(node)) for node in leaving.nodes),
    )
    seen = replace(act.seen, closing=tuple(name for name in act.seen.closing if name in names))
    done = release(world, seen, decided, wishes)
    act.notices += tuple(done.notices)
    act.summary |= {"deleted": len(done.deleted), "reopened": len(done.reopened), "kept": len(done.kept)}
    return done


def _cause(node: Node) -> ReleaseCause:
    """A failed machine runs nothing and need not be closed."""
    return ReleaseCause.FAILED if node.is_failed else ReleaseCause.BY_HAND
