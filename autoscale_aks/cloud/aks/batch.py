"""Sending one chunk, and what its answer says of each machine (batching.md B1, B7 – B9).

=========================================  ==================================================================
Answer                                     Outcome of the chunk's machines
=========================================  ==================================================================
2xx to a batch                             all accepted, until the proof by LIST (B10)
2xx to a single PUT                        accepted when the answer is that machine, else unknown
batch error, well-formed                   those it names rejected, the others accepted
batch error, against its rules             all unknown
429 to the end, no token, 401, 403         all rejected: nothing was changed
412 to a single PUT                        unknown: the name exists
other 4xx with a code                      all rejected
no byte sent                               all rejected
time-out, reset, 408, other 5xx, no code   all unknown
=========================================  ==================================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.cloud.aks.budget import Lane
from autoscale_aks.cloud.aks.caller import Answer, Call
from autoscale_aks.cloud.aks.faults import Fault, is_batch_fault, parse_batch_faults, parse_fault, parse_object
from autoscale_aks.cloud.aks.proof import accept, refuse
from autoscale_aks.cloud.aks.transport import Response, Sent
from autoscale_aks.cloud.aks.wire import (
    BATCH_HEADER,
    BatchPart,
    HeaderLimits,
    encode_machine,
    split_by_budget,
)
from autoscale_aks.errors import AuthError, DeadlineError, ThrottledError
from autoscale_aks.model.launch import FaultKind, LaunchOutcome, LaunchState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from autoscale_aks.cloud.aks.caller import Caller
    from autoscale_aks.cloud.aks.endpoints import AksEndpoints
    from autoscale_aks.errors import CloudError
    from autoscale_aks.model.launch import LaunchRequest, MachineSpec, MachineTemplate

_REFUSED_FOR_SURE: Final = frozenset({401, 403, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of some machines of a chunk after their PUTs, before any proof."""

    outcomes: Mapping[str, LaunchOutcome]
    attempts: int
    puts: int
    started_at: float
    ended_at: float
    batches: tuple[tuple[str, ...], ...] = ()
    """Names, in order, of each PUT that carried the batch header and was answered 2xx."""


class MachineWriter:
    """PUTs machines, many at once or one by one. Thread-safe; never raises for a machine."""

    def __init__(self, caller: Caller, endpoints: AksEndpoints, limits: HeaderLimits, now: Callable[[], float]) -> None:
        self._caller = caller
        self._endpoints = endpoints
        self._limits = limits
        self._now = now

    def write(
        self, chunk: LaunchRequest, machines: Sequence[MachineSpec], *, batch: bool, deadline: float = math.inf
    ) -> Written:
        """Send `machines` of a chunk: in one PUT, in a few when the header would be too long (B5), or one by one.

        Machines whose PUT cannot leave before `deadline` are rejected: they were not sent.
        """
        started_at = self._now()
        parts = (
            split_by_budget(chunk.template, machines, self._limits)
            if batch
            else [BatchPart((machine,)) for machine in machines]
        )
        outcomes: dict[str, LaunchOutcome] = {}
        batches: list[tuple[str, ...]] = []
        attempts = puts = 0
        for part in parts:
            names = tuple(machine.name for machine in part.machines)
            try:
                answer = self._put(chunk.template, part, chunk.chunk_id, deadline)
            except (AuthError, ThrottledError, DeadlineError) as error:
                kind, code = kind_of(error)
                outcomes.update({name: refuse(name, kind, code, str(error)) for name in names})
                continue
            attempts += answer.attempts
            puts += 1
            outcomes.update(read_outcomes(answer, names))
            if part.header and isinstance(answer.result, Response) and answer.result.ok:
                batches.append(names)
        return Written(
            outcomes=frozendict(outcomes),
            attempts=attempts,
            puts=puts,
            started_at=started_at,
            ended_at=self._now(),
            batches=tuple(batches),
        )

    def _put(self, template: MachineTemplate, part: BatchPart, label: str, deadline: float) -> Answer:
        """One PUT. Alone, a machine is created but never changed: `If-None-Match: *` (§3)."""
        first = part.machines[0]
        return self._caller.call(
            Call(
                method="PUT",
                url=self._endpoints.machine_url(template.pool, first.name),
                lane=Lane.WRITE,
                body=encode_machine(template, first),
                headers={BATCH_HEADER: part.header} if part.header else {"If-None-Match": "*"},
                label=label,
            ),
            deadline,
        )


def read_outcomes(answer: Answer, names: Sequence[str]) -> dict[str, LaunchOutcome]:
    """The table above: one outcome per name of a PUT."""
    result = answer.result
    if not isinstance(result, Response):
        rejected = result.sent is Sent.NOT_SENT
        fault = Fault(FaultKind.TRANSIENT, "NotSent" if rejected else "NoAnswer", result.detail)
        return _all(names, LaunchState.REJECTED if rejected else LaunchState.UNKNOWN, fault)
    if result.ok:
        if len(names) == 1 and parse_object(result.body).get("name") != names[0]:
            fault = Fault(FaultKind.UNKNOWN, "NoProof", f"HTTP {result.status} without the machine in the answer")
            return _all(names, LaunchState.UNKNOWN, fault)
        return {name: accept(name) for name in names}
    fault = parse_fault(result.status, result.body)
    if is_batch_fault(fault):
        faults = None if result.truncated else parse_batch_faults(result.body, names)
        if faults is None:
            return _all(names, LaunchState.UNKNOWN, fault)
        return {name: _outcome(name, faults.get(name)) for name in names}
    return _all(names, _state_of(result, fault), replace(fault, code=fault.code or f"HTTP{result.status}"))


def _state_of(response: Response, fault: Fault) -> LaunchState:
    if response.status in _REFUSED_FOR_SURE:
        return LaunchState.REJECTED
    if response.status in {408, 412} or not 400 <= response.status < 500:
        return LaunchState.UNKNOWN
    return LaunchState.REJECTED if fault.code else LaunchState.UNKNOWN


def _outcome(name: str, fault: Fault | None) -> LaunchOutcome:
    if fault is None:
        return accept(name)
    return refuse(name, fault.kind, fault.code, fault.message)


def _all(names: Sequence[str], state: LaunchState, fault: Fault) -> dict[str, LaunchOutcome]:
    return {
        name: LaunchOutcome(name=name, state=state, kind=fault.kind, code=fault.code, message=fault.message)
        for name in names
    }


def kind_of(error: CloudError) -> tuple[FaultKind, str]:
    """Kind and code of a refusal that came as an exception, before anything was sent."""
    if isinstance(error, ThrottledError):
        return FaultKind.THROTTLE, "Throttled"
    if isinstance(error, AuthError):
        return FaultKind.AUTH, "AuthenticationFailed"
    if isinstance(error, DeadlineError):
        return FaultKind.TRANSIENT, "DeadlineExceeded"
    return FaultKind.VALIDATION, "Refused"
