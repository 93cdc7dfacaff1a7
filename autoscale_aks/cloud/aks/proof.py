"""What a LIST says of machines before and after their PUTs. Pure (batching.md B9, B10; aks-machine-api.md §11).

Before: a name that is there is never sent.

=======================================  ======================================================
Listed                                   Outcome
=======================================  ======================================================
with our mark and the same size          accepted: asking again makes no second machine
with our mark, failed                    rejected with its error; it holds its name until deleted
with our mark, being deleted             rejected, conflict
without our mark, or with another size   rejected, conflict
=======================================  ======================================================

After:

=======================================  ==================  ======================  ===============
Outcome of the PUT                       listed              missing, list complete  missing, list not complete
=======================================  ==================  ======================  ===============
accepted                                 accepted            send again, alone       unknown
unknown                                  accepted (adopted)  send again, alone       unknown
rejected                                 accepted if alive   rejected                rejected
=======================================  ==================  ======================  ===============

A machine listed with somebody else's mark, or with another size, is rejected in every row of the second table.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autoscale_aks.cloud.aks.endpoints import check_machine_name, check_pool_name
from autoscale_aks.cloud.aks.wire import MAX_PER_PUT
from autoscale_aks.model.launch import OWNER_TAG, FaultKind, LaunchOutcome, LaunchState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.model.launch import LaunchRequest, Machine, MachineTemplate


def refuse(name: str, kind: FaultKind, code: str, message: str) -> LaunchOutcome:
    """A machine that was not sent, or is not ours, and why."""
    return LaunchOutcome(name=name, state=LaunchState.REJECTED, kind=kind, code=code, message=message)


def accept(name: str) -> LaunchOutcome:
    """A machine that exists or will."""
    return LaunchOutcome(name=name, state=LaunchState.ACCEPTED)


def check_chunk(request: LaunchRequest) -> LaunchOutcome | None:
    """The refusal all machines of an impossible chunk share, with no name in it; None when it can be sent."""
    if len(request.machines) > MAX_PER_PUT:
        return refuse("", FaultKind.VALIDATION, "ChunkTooLarge", f"{len(request.machines)} machines, at most 50")
    names = [machine.name for machine in request.machines]
    if len(set(names)) != len(names):
        return refuse("", FaultKind.VALIDATION, "DuplicateName", "a name stands twice in one chunk")
    try:
        check_pool_name(request.template.pool)
        for name in names:
            check_machine_name(name)
    except ValueError as error:
        return refuse("", FaultKind.VALIDATION, "InvalidName", str(error))
    return None


def judge_existing(machine: Machine, template: MachineTemplate) -> LaunchOutcome:
    """The first table: a name that is taken before anything was sent."""
    mark = template.tags.get(OWNER_TAG)
    if mark is None or machine.tags.get(OWNER_TAG) != mark:
        return refuse(machine.name, FaultKind.CONFLICT, "NameTaken", "a machine of this name exists and is not ours")
    if machine.is_deleting:
        return refuse(machine.name, FaultKind.CONFLICT, "StillDeleting", "a machine of this name is being deleted")
    if machine.is_failed:
        kind, code = machine.error_kind or FaultKind.CONFLICT, machine.error_code or "StillFailed"
        return refuse(machine.name, kind, code, machine.error_message or "a failed machine holds this name")
    if _has_other_size(machine, template):
        return refuse(machine.name, FaultKind.CONFLICT, "NameTaken", f"a {machine.vm_size} of this name exists")
    return accept(machine.name)


def judge_written(outcome: LaunchOutcome, machine: Machine | None, template: MachineTemplate) -> LaunchOutcome | None:
    """The second table for a complete list; None: send it again, alone."""
    rejected = outcome.state is LaunchState.REJECTED
    if machine is None:
        return outcome if rejected else None
    mark, theirs = template.tags.get(OWNER_TAG), machine.tags.get(OWNER_TAG)
    if mark is not None and theirs not in {None, mark}:
        return refuse(machine.name, FaultKind.CONFLICT, "NameTaken", "somebody else made a machine of this name")
    if _has_other_size(machine, template):
        return refuse(machine.name, FaultKind.CONFLICT, "NameTaken", f"a {machine.vm_size} of this name was made")
    if rejected and (machine.is_failed or machine.is_deleting):
        return outcome
    return accept(machine.name)


def _has_other_size(machine: Machine, template: MachineTemplate) -> bool:
    return bool(machine.vm_size) and machine.vm_size.lower() != template.vm_size.lower()


def judge_again(before: LaunchOutcome, after: LaunchOutcome) -> LaunchOutcome:
    """What a re-sent PUT adds to an outcome whose machine no list showed.

    412 after a 2xx: it exists, the list lags. A refusal that says nothing of the machine, and a conflict with an
    operation on it, leave it unknown.
    """
    if after.state is LaunchState.UNKNOWN and after.kind is FaultKind.CONFLICT and before.state is LaunchState.ACCEPTED:
        return accept(after.name)
    passing = {FaultKind.THROTTLE, FaultKind.AUTH, FaultKind.TRANSIENT, FaultKind.CONFLICT}
    if after.state is LaunchState.REJECTED and after.kind in passing:
        return replace(after, state=LaunchState.UNKNOWN)
    return after


def honours_batch(batches: Sequence[Sequence[str]], listed: Mapping[str, Machine]) -> bool | None:
    """Whether batches answered 2xx made more than their URL machine (§4.1).

    True when any other machine of theirs is listed; False when a URL machine is listed without any other of its
    batch; None when there is nothing to see.
    """
    if any(name in listed for names in batches for name in names[1:]):
        return True
    return False if any(names[0] in listed for names in batches) else None
