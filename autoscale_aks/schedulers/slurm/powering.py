"""Power saving: what Slurm wants up and down, from the spool of its hooks and from its nodes' own states.

Slurm decides by itself which nodes it needs (`ResumeProgram`) and which not (`SuspendProgram`). The spool says so at
once and exactly; a node's state says so again in every look, so that an event that was never kept is not lost and
one that nobody waits for any more does not make a machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autoscale_aks.schedulers.port import NodeRequest
from autoscale_aks.schedulers.slurm.nodes import REASON
from autoscale_aks.schedulers.slurm.spool import RESUME, RESUME_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.schedulers.slurm.nodes import NodeRecord
    from autoscale_aks.schedulers.slurm.spool import SpoolEvent

COMING: Final = frozenset({"POWERING_UP", "POWER_UP"})
LEAVING: Final = frozenset({"POWERING_DOWN", "POWERED_DOWN", "POWER_DOWN"})
MOVING: Final = COMING | LEAVING
"""Nodes whose power Slurm itself is changing, or has taken: nothing but Slurm may change their state."""
_OUT: Final = frozenset({"DOWN", "POWERED_DOWN", "CLOUD"})
_OURS: Final = ("ResumeTimeout reached", f"{REASON}:")
STILL: Final = "Slurm shows it powering up"


def find_requests(events: Iterable[SpoolEvent], records: Mapping[str, NodeRecord] | None) -> tuple[NodeRequest, ...]:
    """What is asked for now: of each node its last event, and before an `up` the `down` that it follows.

    `records` are Slurm's nodes; None: they were not read, and the events are believed.
    """
    found: dict[str, list[NodeRequest]] = {}
    jobs: dict[str, str] = {}
    for event in sorted(events, key=lambda event: event.at):
        if event.what == RESUME_FILE:
            jobs.update(event.jobs)
            continue
        for name in event.names:
            is_up = event.what == RESUME
            cause = f"{event.what} for job {jobs[name]}" if is_up and jobs.get(name) else event.what
            request = NodeRequest(name=name, is_up=is_up, at=event.at, cause=cause)
            kept = found.get(name, []) if is_up else []
            found[name] = [*(one for one in kept if not one.is_up), request]
    requests = [_checked(one, records) for many in found.values() for one in many]
    for name, record in (records or {}).items():
        is_told = any(one.is_up for one in found.get(name, ()))
        if record.flags & COMING and not is_told:
            requests.append(NodeRequest(name=name, is_up=True, at=0.0, cause=STILL))
    return tuple(sorted(requests, key=lambda one: one.at))


def _checked(request: NodeRequest, records: Mapping[str, NodeRecord] | None) -> NodeRequest:
    """An `up` that Slurm does not wait for (any more) is told with that as its problem."""
    if not request.is_up or records is None:
        return request
    record = records.get(request.name)
    if record is None:
        problem = "Slurm does not know it"
    elif record.flags & COMING:
        return request
    else:
        problem = f"Slurm does not wait for it any more: it is {'+'.join(sorted(record.flags))}"
    return NodeRequest(name=request.name, is_up=True, at=request.at, cause=request.cause, problem=problem)


def given_up(records: Iterable[NodeRecord]) -> tuple[str, ...]:
    """Nodes without a machine that Slurm leaves DOWN until somebody says otherwise, and for no other reason.

    They did not come up in time (`ResumeTimeout`), or their machine was lost.
    """
    return tuple(
        record.name
        for record in records
        if record.flags >= _OUT and not record.is_dynamic and record.pairs.get("Reason", "").startswith(_OURS)
    )
